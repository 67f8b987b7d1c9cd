/*
 * The console: one page, embedded by the build from web/index.html. Its content security policy
 * names the hashes of its own scripts, so nothing that data could smuggle into the page runs.
 */
#include "gateway/gateway.h"

#include "base/hash.h"
#include "base/mem.h"
#include "net/http_server.h"

#include <string.h>

extern const unsigned char lh_console_page[];
extern const size_t lh_console_page_size;

enum { POLICY_MAX = 4096, HASH_BASE64 = 4 * ((LH_SHA256_SIZE + 2) / 3) + 1, ETAG_HEX = 16 };

struct lh_console {
    char etag[ETAG_HEX + 3]; /* with its quotes */
    struct lh_buf policy;
};

static void append_hash(struct lh_buf *policy, lh_str script)
{
    uint8_t hash[LH_SHA256_SIZE];
    char text[HASH_BASE64];
    lh_sha256(script.ptr, script.len, hash);
    lh_base64_encode(hash, sizeof(hash), text);
    lh_buf_printf(policy, " 'sha256-%s'", text);
}

/* The hash of each inline script: what stands between <script> and </script>. */
static void append_script_hashes(struct lh_buf *policy, lh_str page)
{
    static const lh_str open = LH_STR("<script>"), close = LH_STR("</script>");
    for (;;) {
        const char *start = memmem(page.ptr, page.len, open.ptr, open.len);
        if (start == NULL)
            return;
        page = lh_str_skip(page, (size_t)(start - page.ptr) + open.len);
        const char *end = memmem(page.ptr, page.len, close.ptr, close.len);
        if (end == NULL)
            return;
        append_hash(policy, lh_str_of(page.ptr, (size_t)(end - page.ptr)));
        page = lh_str_skip(page, (size_t)(end - page.ptr));
    }
}

struct lh_console *lh_console_new(void)
{
    struct lh_console *console = lh_calloc(1, sizeof(*console));
    lh_str page = lh_str_of((const char *)lh_console_page, lh_console_page_size);
    uint64_t hash = lh_xxh3(page.ptr, page.len);
    snprintf(console->etag, sizeof(console->etag), "\"%016llx\"", (unsigned long long)hash);
    console->policy = LH_BUF_INIT(POLICY_MAX);
    lh_buf_append_cstr(&console->policy,
                       "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
                       "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'; script-src");
    append_script_hashes(&console->policy, page);
    return console;
}

void lh_console_free(struct lh_console *console)
{
    if (console == NULL)
        return;
    lh_buf_deinit(&console->policy);
    free(console);
}

lh_code lh_gateway_console(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_console *console = ((const struct lh_gateway *)state)->console;
    lh_str etag = lh_str_from(console->etag);
    lh_http_set_header(x, "ETag", etag);
    lh_http_set_header(x, "Cache-Control", LH_STR("no-cache"));
    lh_str known = lh_http_header(x, "If-None-Match");
    lh_str bare = lh_str_of(etag.ptr + 1, etag.len - 2);
    if (known.ptr != NULL && lh_http_etag_matches(known, bare, true))
        return lh_http_reply_empty(x, 304, err);
    lh_http_set_header(x, "Content-Security-Policy", lh_buf_str(&console->policy));
    lh_http_set_header(x, "X-Content-Type-Options", LH_STR("nosniff"));
    lh_http_set_header(x, "Referrer-Policy", LH_STR("no-referrer"));
    return lh_http_reply_bytes(x, 200, "text/html; charset=utf-8", lh_console_page,
                               lh_console_page_size, err);
}
