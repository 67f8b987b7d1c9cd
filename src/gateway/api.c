/* The gateway's table of routes, and the service itself. */
#include "base/mem.h"
#include "gateway/gateway.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "service/service.h"

/* ---- handlers ---- */

static lh_code to_storaged(void *gateway, struct lh_http_exchange *x, struct lh_error *err)
{
    /* Where an object's file lies concerns processes of this host only. */
    lh_str locate;
    if (lh_http_query(x, "locate", &locate))
        return lh_fail(err, LH_FORBIDDEN, "?locate is for services on the same host");
    return lh_gateway_proxy(gateway, LH_UPSTREAM_STORAGED, x, err);
}

static lh_code to_catalogd(void *gateway, struct lh_http_exchange *x, struct lh_error *err)
{
    return lh_gateway_proxy(gateway, LH_UPSTREAM_CATALOGD, x, err);
}

static lh_code to_ingestd(void *gateway, struct lh_http_exchange *x, struct lh_error *err)
{
    return lh_gateway_proxy(gateway, LH_UPSTREAM_INGESTD, x, err);
}

static lh_code to_queryd(void *gateway, struct lh_http_exchange *x, struct lh_error *err)
{
    return lh_gateway_proxy(gateway, LH_UPSTREAM_QUERYD, x, err);
}

static lh_code to_vectord(void *gateway, struct lh_http_exchange *x, struct lh_error *err)
{
    return lh_gateway_proxy(gateway, LH_UPSTREAM_VECTORD, x, err);
}

/* ---- routes ---- */

/* Which parameters a path takes is for the service to say. */
#define PASS      LH_ROUTE_ANY_QUERY
#define PASS_BODY (LH_ROUTE_ANY_QUERY | LH_ROUTE_BODY)

// clang-format off
static const struct lh_route routes[] = {
    {LH_HTTP_GET, "/", lh_gateway_console, LH_ROUTE_INLINE | LH_ROUTE_UNREADY, "",
     "the console", NULL, "200 304"},
    {LH_HTTP_GET, "/v1/health", lh_gateway_status, 0, "",
     "the health of all services", NULL, "200"},

    {LH_HTTP_POST, "/v1/ingest", to_ingestd, PASS_BODY, "",
     "a file into a dataset", "text/csv application/x-ndjson application/vnd.apache.parquet multipart/form-data",
     "200 201 409 415 422 507"},
    {LH_HTTP_GET, "/v1/ingest", to_ingestd, PASS, "",
     "the ingests at work", NULL, "200"},

    {LH_HTTP_POST, "/v1/sql", to_queryd, PASS_BODY, "",
     "a query", "application/json text/plain", "200 400 403 507"},
    {LH_HTTP_GET, "/v1/sql", to_queryd, PASS, "",
     "the queries at work", NULL, "200"},
    {LH_HTTP_DELETE, "/v1/sql/{id}", to_queryd, PASS, "",
     "cancels a query", NULL, "204 404"},

    {LH_HTTP_GET | LH_HTTP_POST | LH_HTTP_DELETE, "/v1/catalog/{rest*}", to_catalogd, PASS_BODY, "",
     "datasets: list, get, commit, history, restore, rename, delete", "application/json",
     "200 201 204 404 409 412"},

    {LH_HTTP_GET, "/v1/storage", to_storaged, PASS, "",
     "lists objects", NULL, "200"},
    {LH_HTTP_GET | LH_HTTP_PUT | LH_HTTP_DELETE, "/v1/storage/{key*}", to_storaged, PASS_BODY, "",
     "one object", "application/octet-stream", "200 201 204 206 304 404 412 416 507"},

    {LH_HTTP_GET | LH_HTTP_POST, "/v1/vectors", to_vectord, PASS_BODY, "",
     "lists indexes, creates one", "application/json", "200 201 409"},
    {LH_HTTP_GET | LH_HTTP_POST | LH_HTTP_DELETE, "/v1/vectors/{rest*}", to_vectord, PASS_BODY, "",
     "an index: statistics, add, search, items, delete", "application/json application/x-ndjson application/octet-stream",
     "200 204 404 422 507"},
};
// clang-format on

/* ---- the service ---- */

static void close_gateway(void *state)
{
    struct lh_gateway *gateway = state;
    lh_http_client_free(gateway->client);
    lh_console_free(gateway->console);
    free(gateway);
}

static lh_code open_gateway(const struct lh_settings *settings, struct lh_service_host *host,
                            void **ret_state, struct lh_error *err)
{
    (void)host;
    const struct lh_gateway_settings *mine = &settings->gateway;
    const struct lh_http_client_options options = {
        .connections_idle_max = (size_t)settings->http.workers_max,
        .connect_timeout_ms = mine->connect_timeout,
        .user_agent = "gateway",
        .ca_file = settings->http.tls_ca,
    };
    struct lh_http_client *client = NULL;
    LH_TRY(lh_http_client_new(&options, &client, err));
    struct lh_gateway *gateway = lh_calloc(1, sizeof(*gateway));
    *gateway = (struct lh_gateway){
        .upstreams = {[LH_UPSTREAM_STORAGED] = {"storaged", mine->storaged_url},
                      [LH_UPSTREAM_CATALOGD] = {"catalogd", mine->catalogd_url},
                      [LH_UPSTREAM_INGESTD] = {"ingestd", mine->ingestd_url},
                      [LH_UPSTREAM_QUERYD] = {"queryd", mine->queryd_url},
                      [LH_UPSTREAM_VECTORD] = {"vectord", mine->vectord_url}},
        .first_byte_timeout_ms = mine->first_byte_timeout,
        .timeout_ms = mine->timeout,
        .client = client,
        .console = lh_console_new(),
    };
    *ret_state = gateway;
    return LH_OK;
}

const struct lh_service lh_gateway_service = {
    .name = "gateway",
    .summary = "the one public door: routes, streams, deadlines, console",
    .routes = routes,
    .route_count = LH_COUNT(routes),
    .stateless = true,
    .open = open_gateway,
    .close = close_gateway,
};
