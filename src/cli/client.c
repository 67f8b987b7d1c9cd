/*
 * Calls to a running lakehouse.
 */
#include "cli/client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "service/settings.h"

enum { ANSWER_BYTES_MAX = 64 << 20, DOCUMENT_TIMEOUT_MS = 30000, CONNECT_TIMEOUT_MS = 3000 };

const char *lh_client_config_file(const struct lh_cli *cli)
{
    if (cli->config_flag)
        return cli->config_flag;
    return access("lakehouse.toml", F_OK) == 0 ? "lakehouse.toml" : NULL;
}

/* The gateway's address as a URL; an address for all interfaces is reached through loopback. */
static lh_code url_of_gateway(const struct lh_settings *settings, char **ret_url,
                              struct lh_error *err)
{
    const char *address = settings->gateway.listen;
    char host[256];
    uint16_t port;
    if (!lh_parse_address(lh_str_from(address), host, sizeof(host), &port) || port == 0)
        return lh_fail(err, LH_INVALID, "gateway.listen is %s: say by --url where it listens",
                       address);
    *ret_url = lh_settings_url(settings, address);
    return LH_OK;
}

static lh_code load_settings(const struct lh_cli *cli, struct lh_settings *ret,
                             struct lh_error *err)
{
    const struct lh_config_source source = {
        .file = lh_client_config_file(cli),
        .environment = environ,
    };
    return lh_settings_load(&source, ret, NULL, err);
}

static lh_code url_of_settings(const struct lh_cli *cli, char **ret_url, struct lh_error *err)
{
    struct lh_settings settings;
    LH_TRY(load_settings(cli, &settings, err));
    lh_code code = url_of_gateway(&settings, ret_url, err);
    lh_settings_free(&settings);
    return code;
}

static char *without_last_slashes(const char *url)
{
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    return lh_strndup(url, len);
}

lh_code lh_client_url(struct lh_cli *cli, const char **ret_url, struct lh_error *err)
{
    if (!cli->url) {
        const char *given = cli->url_flag ? cli->url_flag : getenv("LAKEHOUSE_URL");
        if (given && given[0])
            cli->url = without_last_slashes(given);
        else
            LH_TRY(url_of_settings(cli, &cli->url, err));
    }
    *ret_url = cli->url;
    return LH_OK;
}

static lh_code open_client(struct lh_cli *cli, struct lh_error *err)
{
    if (cli->client)
        return LH_OK;
    struct lh_settings settings; /* say whom to believe that it is the gateway */
    LH_TRY(load_settings(cli, &settings, err));
    const struct lh_http_client_options options = {
        .connections_idle_max = 4,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .user_agent = "lakehouse-cli/" LH_VERSION,
        .ca_file = settings.http.tls_ca,
    };
    lh_code code = lh_http_client_new(&options, &cli->client, err);
    lh_settings_free(&settings);
    return code;
}

lh_code lh_client_call(struct lh_cli *cli, const char *path, const struct lh_http_call *call,
                       const struct lh_http_sink *sink, int *ret_status, struct lh_error *err)
{
    const char *base;
    LH_TRY(lh_client_url(cli, &base, err));
    LH_TRY(open_client(cli, err));
    LH_AUTO_FREE char *url = lh_asprintf("%s%s", base, path);
    struct lh_http_call with_url = *call;
    with_url.url = url;
    lh_code code = lh_http_call(cli->client, &with_url, sink, ret_status, err);
    if (code != LH_UNAVAILABLE)
        return code;
    LH_IGNORE(lh_fail(err, LH_UNAVAILABLE, "no lakehouse answers at %s", base), "the hint follows");
    return lh_hint(err, "start one with: lakehouse serve (or say where it is: --url URL)");
}

/* ---- error answers ---- */

static lh_str text_of(const json_t *problem, const char *key)
{
    const json_t *value = json_object_get(problem, key);
    return json_is_string(value) ? lh_str_of(json_string_value(value), json_string_length(value))
                                 : LH_STR_NONE;
}

static uint64_t number_of(const json_t *problem, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(problem, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* application/problem+json (RFC 9457). What went wrong inside the server stands in its log only. */
static lh_code fail_from_problem(lh_code code, const json_t *problem, struct lh_error *err)
{
    lh_str detail = text_of(problem, "detail"), hint = text_of(problem, "hint");
    lh_str excerpt = text_of(problem, "excerpt"), request = text_of(problem, "request_id");
    if (detail.len > 0)
        code = lh_fail(err, code, "%.*s", LH_FMT(detail));
    else
        code = lh_fail(err, code, "%s (request %.*s: the server's log tells more)",
                       lh_code_title(code), LH_FMT(request));
    err->line = number_of(problem, "line");
    err->column = number_of(problem, "column");
    size_t room = sizeof(err->excerpt) - 1;
    memcpy(err->excerpt, excerpt.ptr ? excerpt.ptr : "", excerpt.len < room ? excerpt.len : room);
    return hint.len > 0 ? lh_hint(err, "%.*s", LH_FMT(hint)) : code;
}

lh_code lh_client_fail(int status, lh_str body, struct lh_error *err)
{
    LH_IGNORE(lh_http_fail_from_answer(status, body, "the server", err), "it finds the code");
    LH_AUTO_JSON json_t *problem = NULL;
    struct lh_error ignored = LH_ERROR_INIT;
    if (lh_json_parse(body, &problem, &ignored) != LH_OK || !json_is_object(problem))
        return err->code;
    return fail_from_problem(err->code, problem, err);
}

/* ---- documents ---- */

static lh_code append_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct lh_buf *body = ctx;
    lh_buf_append(body, bytes, len);
    return lh_buf_overflowed(body) ? lh_fail(err, LH_TOO_LARGE, "the answer is too large") : LH_OK;
}

lh_code lh_client_json(struct lh_cli *cli, enum lh_http_method method, const char *path,
                       const struct lh_buf *body, json_t **ret_root, struct lh_error *err)
{
    static const struct lh_http_header json_body = {
        {"Content-Type", sizeof("Content-Type") - 1},
        {"application/json", sizeof("application/json") - 1},
    };
    const struct lh_http_call call = {
        .method = method,
        .headers = &json_body,
        .header_count = body != NULL,
        .body = body ? body->data : NULL,
        .body_len = body ? body->len : 0,
        .deadline = lh_deadline_in_ms(DOCUMENT_TIMEOUT_MS),
        .cancelled = lh_cli_interrupted,
    };
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(ANSWER_BYTES_MAX);
    const struct lh_http_sink sink = {.ctx = &answer, .on_body = append_body};
    int status;
    LH_TRY(lh_client_call(cli, path, &call, &sink, &status, err));
    if (status < 200 || status > 299)
        return lh_client_fail(status, lh_buf_str(&answer), err);
    *ret_root = NULL;
    return answer.len > 0 ? lh_json_parse(lh_buf_str(&answer), ret_root, err) : LH_OK;
}

void lh_client_close(struct lh_cli *cli)
{
    if (cli->client)
        lh_http_client_free(cli->client);
    cli->client = NULL;
    free(cli->url);
    cli->url = NULL;
}
