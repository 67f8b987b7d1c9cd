/*
 * Certificates of the HTTP server.
 *
 * A handshake borrows the certificate that is the newest when it asks, and may use it until it is
 * over. So one that was replaced is kept for as long as a handshake may take (the sweeper cuts
 * those that take longer), and is freed by the next reload after that, or at the end.
 */
#include "net/http_tls.h"

#include <pthread.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

enum {
    CHAIN_MAX = 16,
    PEM_BYTES_MAX = 1 << 20,
    HANDSHAKE_SLACK_MS = 10 * 1000, /* the sweeper's ticks, and a machine that is busy */
};

struct certificate {
    struct certificate *older;
    lh_deadline unused_after; /* of one that was replaced */
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_len;
    gnutls_privkey_t key;
};

struct lh_http_tls {
    char *certificate_file;
    char *key_file;
    int64_t handshake_ms;
    struct certificate *newest;
};

/* Guards `serving` and its list; held for a few assignments. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lh_http_tls *serving;

/* ---- one certificate ---- */

static void certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return;
    for (unsigned i = 0; i < certificate->chain_len; i++)
        gnutls_pcert_deinit(&certificate->chain[i]);
    if (certificate->key)
        gnutls_privkey_deinit(certificate->key);
    free(certificate);
}

static lh_code fail_tls(const char *file, int status, struct lh_error *err)
{
    return lh_fail(err, LH_INVALID_CONFIG, "%s: %s", file, gnutls_strerror(status));
}

/* Whether the key is that of the certificate, which handshakes would find out one by one. */
static int check_pair(const gnutls_datum_t *chain, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t credentials;
    int status = gnutls_certificate_allocate_credentials(&credentials);
    if (status < 0)
        return status;
    status =
        gnutls_certificate_set_x509_key_mem2(credentials, chain, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_certificate_free_credentials(credentials);
    return status;
}

static lh_code import(const struct lh_http_tls *tls, const gnutls_datum_t *chain,
                      const gnutls_datum_t *key, struct certificate *to, struct lh_error *err)
{
    unsigned chain_len = CHAIN_MAX;
    int status = gnutls_pcert_list_import_x509_raw(to->chain, &chain_len, chain,
                                                   GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_SORT);
    if (status < 0)
        return fail_tls(tls->certificate_file, status, err);
    to->chain_len = chain_len;
    status = gnutls_privkey_init(&to->key);
    if (status >= 0)
        status = gnutls_privkey_import_x509_raw(to->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (status >= 0)
        status = check_pair(chain, key);
    return status < 0 ? fail_tls(tls->key_file, status, err) : LH_OK;
}

static lh_code read_pem(const char *file, char **ret_bytes, gnutls_datum_t *ret,
                        struct lh_error *err)
{
    size_t len = 0;
    if (lh_read_file(file, PEM_BYTES_MAX, ret_bytes, &len, err) != LH_OK) {
        err->code = LH_INVALID_CONFIG; /* for whoever named it, whatever the reason */
        return err->code;
    }
    *ret = (gnutls_datum_t){.data = (unsigned char *)*ret_bytes, .size = (unsigned)len};
    return LH_OK;
}

static lh_code load(const struct lh_http_tls *tls, struct certificate **ret, struct lh_error *err)
{
    LH_AUTO_FREE char *chain_bytes = NULL;
    LH_AUTO_FREE char *key_bytes = NULL;
    gnutls_datum_t chain, key;
    LH_TRY(read_pem(tls->certificate_file, &chain_bytes, &chain, err));
    LH_TRY(read_pem(tls->key_file, &key_bytes, &key, err));
    struct certificate *certificate = lh_calloc(1, sizeof(*certificate));
    lh_code code = import(tls, &chain, &key, certificate, err);
    explicit_bzero(key_bytes, key.size);
    if (code != LH_OK) {
        certificate_free(certificate);
        return code;
    }
    *ret = certificate;
    return LH_OK;
}

/* ---- the certificates of the server ---- */

static void free_all(struct certificate *certificate)
{
    while (certificate) {
        struct certificate *older = certificate->older;
        certificate_free(certificate);
        certificate = older;
    }
}

/* Takes those out of the list that no handshake can have any more; returns them as a list. */
static struct certificate *take_unused(struct lh_http_tls *tls)
{
    struct certificate **link = &tls->newest->older;
    while (*link && !lh_deadline_passed((*link)->unused_after))
        link = &(*link)->older; /* older ones were replaced earlier: the rest of the list is due */
    return LH_TAKE(*link);
}

lh_code lh_http_tls_open(const char *certificate, const char *key, int64_t handshake_ms,
                         struct lh_http_tls **ret_tls, struct lh_error *err)
{
    struct lh_http_tls *tls = lh_calloc(1, sizeof(*tls));
    tls->certificate_file = lh_strdup(certificate);
    tls->key_file = lh_strdup(key);
    tls->handshake_ms = handshake_ms;
    lh_code code = load(tls, &tls->newest, err);
    if (code != LH_OK) {
        lh_http_tls_close(tls);
        return code;
    }
    lh_mutex_lock(&lock);
    LH_CHECK(serving == NULL);
    serving = tls;
    lh_mutex_unlock(&lock);
    *ret_tls = tls;
    return LH_OK;
}

void lh_http_tls_close(struct lh_http_tls *tls)
{
    if (!tls)
        return;
    lh_mutex_lock(&lock);
    if (serving == tls)
        serving = NULL;
    lh_mutex_unlock(&lock);
    free_all(tls->newest);
    free(tls->certificate_file);
    free(tls->key_file);
    free(tls);
}

lh_code lh_http_tls_reload(struct lh_http_tls *tls, struct lh_error *err)
{
    struct certificate *certificate = NULL;
    LH_TRY(load(tls, &certificate, err));
    lh_mutex_lock(&lock);
    tls->newest->unused_after = lh_deadline_in_ms(tls->handshake_ms + HANDSHAKE_SLACK_MS);
    certificate->older = tls->newest;
    tls->newest = certificate;
    struct certificate *unused = take_unused(tls);
    lh_mutex_unlock(&lock);
    free_all(unused);
    return LH_OK;
}

int lh_http_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                         int authority_count, const gnutls_pk_algorithm_t *algorithms,
                         int algorithm_count, gnutls_pcert_st **ret_chain, unsigned *ret_chain_len,
                         gnutls_privkey_t *ret_key)
{
    (void)session, (void)authorities, (void)authority_count;
    (void)algorithms, (void)algorithm_count;
    lh_mutex_lock(&lock);
    struct certificate *certificate = serving ? serving->newest : NULL;
    lh_mutex_unlock(&lock);
    if (!certificate)
        return -1;
    *ret_chain = certificate->chain;
    *ret_chain_len = certificate->chain_len;
    *ret_key = certificate->key;
    return 0;
}

bool lh_http_tls_send_last(gnutls_session_t session, const void *bytes, size_t len)
{
    const char *next = bytes;
    while (len > 0) {
        ssize_t sent = gnutls_record_send(session, next, len);
        if (sent <= 0)
            return false;
        next += sent;
        len -= (size_t)sent;
    }
    return gnutls_bye(session, GNUTLS_SHUT_WR) == GNUTLS_E_SUCCESS;
}
