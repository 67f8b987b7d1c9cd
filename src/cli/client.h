/*
 * Calls to a running lakehouse, by way of its gateway.
 */
#ifndef LH_CLI_CLIENT_H
#define LH_CLI_CLIENT_H

#include "base/json.h"
#include "cli/cli.h"
#include "net/http_client.h"

/* "http://127.0.0.1:3110": --url, then LAKEHOUSE_URL, then the configuration. Borrowed. */
lh_code lh_client_url(struct lh_cli *cli, const char **ret_url, struct lh_error *err);

/* The configuration file of this run, or NULL: --config, or lakehouse.toml in this folder. */
const char *lh_client_config_file(const struct lh_cli *cli);

/* One call to `path` below the gateway. `call` says all but the URL. LH_UNAVAILABLE with the
 * address and what to do when nobody answers there. */
lh_code lh_client_call(struct lh_cli *cli, const char *path, const struct lh_http_call *call,
                       const struct lh_http_sink *sink, int *ret_status, struct lh_error *err);

/* An answer that is an error as ours: what is wrong, the hint, the line and its caret. */
lh_code lh_client_fail(int status, lh_str body, struct lh_error *err);

/* A small exchange of documents: `body` may be NULL. Any status but 2xx is its error. Within 30 s.
 * *ret_root is owned by the caller and NULL when the answer has no body. */
lh_code lh_client_json(struct lh_cli *cli, enum lh_http_method method, const char *path,
                       const struct lh_buf *body, json_t **ret_root, struct lh_error *err);

void lh_client_close(struct lh_cli *cli);

#endif
