/*
 * The one HTTP client of a service. In a file of its own, so that a service that never calls
 * another one does not link libcurl.
 */
#include "base/check.h"
#include "net/http_client.h"
#include "service/host.h"

enum { CONNECT_TIMEOUT_MS = 1000 };

struct lh_http_client *lh_service_client(struct lh_service_host *host)
{
    if (host->client == NULL) {
        const struct lh_settings *settings = &host->settings;
        const struct lh_http_client_options options = {
            .connections_idle_max = (size_t)settings->http.workers_max,
            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
            .user_agent = host->service->name,
            .ca_file = settings->http.tls_ca,
            .bearer_origin = lh_settings_storaged_url(settings, host->service->name),
            .bearer = settings->keys.internal,
        };
        struct lh_error err = LH_ERROR_INIT;
        LH_CHECK(lh_http_client_new(&options, &host->client, &err) == LH_OK);
        host->free_client = lh_http_client_free;
    }
    return host->client;
}
