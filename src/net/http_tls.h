/*
 * TLS of the HTTP server: its certificate, which can be exchanged while connections are open, and
 * what is sent past libmicrohttpd, which does the handshakes and the records. Only
 * http_server_mhd.c and http_tls.c include this.
 */
#ifndef LH_NET_HTTP_TLS_H
#define LH_NET_HTTP_TLS_H

#include "base/error.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

/* TLS 1.2 and 1.3, with the ciphers that GnuTLS holds for safe. */
#define LH_HTTP_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct lh_http_tls;

/* Reads a certificate, its chain behind it, and its key, each a file in PEM. LH_INVALID_CONFIG when
 * they cannot be read or do not belong together. handshake_ms: how long one may take. The paths are
 * copied. A process has one at a time: handshakes know no more than that. */
lh_code lh_http_tls_open(const char *certificate, const char *key, int64_t handshake_ms,
                         struct lh_http_tls **ret_tls, struct lh_error *err);
void lh_http_tls_close(struct lh_http_tls *tls); /* accepts NULL; no handshake may be under way */
/* Reads the files again, for the handshakes from now on. On a failure all stays as it is.
 * thread-safe against handshakes. */
lh_code lh_http_tls_reload(struct lh_http_tls *tls, struct lh_error *err);

/* What a handshake asks: a gnutls_certificate_retrieve_function2. */
int lh_http_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                         int authority_count, const gnutls_pk_algorithm_t *algorithms,
                         int algorithm_count, gnutls_pcert_st **ret_chain, unsigned *ret_chain_len,
                         gnutls_privkey_t *ret_key);

/* Sends all the bytes and says that nothing follows, in one try without waiting. False when a part
 * of them did not fit. */
bool lh_http_tls_send_last(gnutls_session_t session, const void *bytes, size_t len);

#endif
