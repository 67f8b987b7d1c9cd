/*
 * An exchange as its handler sees it: the request, its body, cancelling; and the exchange's own
 * life.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_server_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

struct lh_http_exchange *lh_http_exchange_new(struct lh_http_server *server,
                                              struct lh_http_connection *home, lh_str target)
{
    struct lh_http_exchange *x = lh_malloc(sizeof(*x));
    memset(x, 0, offsetof(struct lh_http_exchange, scratch)); /* the scratch needs no zeroes */
    x->magic = LH_HTTP_EXCHANGE_MAGIC;
    atomic_init(&x->refs, 1);
    x->server = server;
    x->home = home;
    x->fd = home->fd;
    memcpy(x->address, home->address, sizeof(x->address));
    x->begun = lh_mono_now();
    x->body_limit = server->options.body_bytes_max;
    x->arena = LH_ARENA_INIT(LH_HTTP_ARENA_BYTES);
    x->inner = LH_ARENA_INIT(SIZE_MAX);
    x->answer.length = -1;
    lh_mutex_init(&x->mutex);
    lh_mutex_init(&x->cancel_mutex);
    lh_cond_init(&x->changed);
    lh_http_stream_init(&x->in, server->options.stream_bytes);
    lh_http_stream_init(&x->out, server->options.stream_bytes);
    x->target = lh_http_copy(x, target);
    return x;
}

void lh_http_exchange_unref(struct lh_http_exchange *x)
{
    LH_CHECK_MAGIC(x, LH_HTTP_EXCHANGE_MAGIC);
    if (atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    LH_CHECK(!x->swept && !x->handling);
    x->magic = 0;
    if (x->answer.body_on_heap)
        free(x->answer.body);
    free(x->body_memory);
    free(x->gathered);
    lh_http_stream_deinit(&x->in);
    lh_http_stream_deinit(&x->out);
    lh_arena_deinit(&x->arena);
    lh_arena_deinit(&x->inner);
    pthread_cond_destroy(&x->changed);
    pthread_mutex_destroy(&x->cancel_mutex);
    pthread_mutex_destroy(&x->mutex);
    free(x);
}

void *lh_http_alloc(struct lh_http_exchange *x, size_t bytes)
{
    size_t used = (x->scratch_used + 15) & ~(size_t)15;
    if (used <= sizeof(x->scratch) && bytes <= sizeof(x->scratch) - used) {
        x->scratch_used = used + bytes;
        return x->scratch + used;
    }
    void *memory = lh_arena_alloc(&x->inner, bytes);
    LH_CHECK(memory != NULL); /* headers are bounded; only a machine without memory comes here */
    return memory;
}

lh_str lh_http_copy(struct lh_http_exchange *x, lh_str text)
{
    char *copy = lh_http_alloc(x, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return lh_str_of(copy, text.len);
}

/* ---- the request ---- */

enum lh_http_method lh_http_method(const struct lh_http_exchange *x)
{
    return x->method;
}

lh_str lh_http_target(const struct lh_http_exchange *x)
{
    return x->target;
}

lh_str lh_http_param(const struct lh_http_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->match.param_count; i++)
        if (lh_str_is(x->match.param_names[i], name))
            return x->params[i];
    LH_UNREACHABLE("the route has a parameter of that name");
    return LH_STR_NONE;
}

bool lh_http_query(const struct lh_http_exchange *x, const char *name, lh_str *ret)
{
    for (size_t i = 0; i < x->arg_count; i++) {
        if (lh_str_is(x->args[i].name, name)) {
            *ret = x->args[i].value;
            return true;
        }
    }
    return false;
}

lh_code lh_http_query_u64(const struct lh_http_exchange *x, const char *name, uint64_t min,
                          uint64_t max, uint64_t *ret, struct lh_error *err)
{
    lh_str text;
    uint64_t value = 0;
    if (!lh_http_query(x, name, &text))
        return LH_OK;
    if (!lh_str_to_u64(text, &value) || value < min || value > max)
        return lh_fail(err, LH_INVALID, "%s must be a whole number from %llu to %llu", name,
                       (unsigned long long)min, (unsigned long long)max);
    *ret = value;
    return LH_OK;
}

size_t lh_http_query_count(const struct lh_http_exchange *x)
{
    return x->arg_count;
}

struct lh_http_header lh_http_query_at(const struct lh_http_exchange *x, size_t index)
{
    LH_CHECK(index < x->arg_count);
    return (struct lh_http_header){x->args[index].name, x->args[index].value};
}

lh_str lh_http_header(const struct lh_http_exchange *x, const char *name)
{
    lh_str wanted = lh_str_from(name);
    for (size_t i = 0; i < x->header_count; i++)
        if (lh_str_eq_nocase(x->headers[i].name, wanted))
            return x->headers[i].value;
    return LH_STR_NONE;
}

size_t lh_http_header_count(const struct lh_http_exchange *x)
{
    return x->header_count;
}

struct lh_http_header lh_http_header_at(const struct lh_http_exchange *x, size_t index)
{
    LH_CHECK(index < x->header_count);
    return x->headers[index];
}

lh_str lh_http_request_id(const struct lh_http_exchange *x)
{
    return x->request_id;
}

lh_str lh_http_client_address(const struct lh_http_exchange *x)
{
    return lh_str_from(x->address);
}

struct lh_arena *lh_http_arena(struct lh_http_exchange *x)
{
    return &x->arena;
}

/* ---- cancelling ---- */

bool lh_http_cancelled(const struct lh_http_exchange *x)
{
    return atomic_load(&x->cancelled);
}

/* cancel_mutex held. */
static void call_on_cancel(struct lh_http_exchange *x)
{
    void (*on_cancel)(void *ctx) = x->on_cancel;
    x->on_cancel = NULL;
    if (on_cancel != NULL)
        on_cancel(x->cancel_ctx);
}

void lh_http_on_cancel(struct lh_http_exchange *x, void (*on_cancel)(void *ctx), void *ctx)
{
    lh_mutex_lock(&x->cancel_mutex);
    x->on_cancel = on_cancel;
    x->cancel_ctx = ctx;
    if (lh_http_cancelled(x))
        call_on_cancel(x);
    lh_mutex_unlock(&x->cancel_mutex);
}

void lh_http_mark_gone(struct lh_http_exchange *x)
{
    if (!x->gone)
        atomic_fetch_add(&x->server->cancelled, 1);
    x->gone = true;
}

void lh_http_cancel(struct lh_http_exchange *x, bool gone)
{
    lh_mutex_lock(&x->mutex);
    if (gone)
        lh_http_mark_gone(x);
    atomic_store(&x->cancelled, true);
    pthread_cond_broadcast(&x->changed);
    if (x->suspended && x->gone)
        lh_http_mhd_resume(x);
    lh_mutex_unlock(&x->mutex);

    lh_mutex_lock(&x->cancel_mutex);
    call_on_cancel(x);
    lh_mutex_unlock(&x->cancel_mutex);
}

void lh_http_drop_body(struct lh_http_exchange *x)
{
    if (x->phase != LH_PHASE_HELD && x->phase != LH_PHASE_BODY)
        return;
    x->discard = true;
    if (x->suspended)
        lh_http_mhd_resume(x);
}

/* ---- the request's body ---- */

bool lh_http_has_body(const struct lh_http_exchange *x)
{
    return x->body_length != 0;
}

int64_t lh_http_body_length(const struct lh_http_exchange *x)
{
    return x->body_length;
}

static lh_code check_limit(const struct lh_http_exchange *x, uint64_t bytes, struct lh_error *err)
{
    if (bytes > (uint64_t)x->body_limit)
        return lh_fail(err, LH_TOO_LARGE, "the body is larger than the %lld bytes allowed here",
                       (long long)x->body_limit);
    return LH_OK;
}

lh_code lh_http_body_limit(struct lh_http_exchange *x, int64_t bytes_max, struct lh_error *err)
{
    LH_CHECK(bytes_max >= 0 && x->body_read == 0);
    x->body_limit = bytes_max;
    return check_limit(x, x->body_length > 0 ? (uint64_t)x->body_length : 0, err);
}

/* Waits until there are bytes, or the body has ended (*ret_len 0). Called and left with the mutex.
 */
static lh_code wait_for_body(struct lh_http_exchange *x, const char **ret_at, size_t *ret_len,
                             struct lh_error *err)
{
    x->wants_body = true;
    for (;;) {
        *ret_len = lh_http_stream_bytes(&x->in, ret_at);
        if (*ret_len > 0)
            return LH_OK;
        if (x->slow)
            return lh_fail(err, LH_REQUEST_TIMEOUT, "the body came too slowly");
        if (x->discard) /* its rest had to be dropped to let the answer out */
            return lh_fail(err, LH_INCOMPLETE_BODY, "the answer began before the body's end");
        if (x->body_ended)
            return LH_OK;
        if (x->gone)
            return lh_fail(err, LH_INCOMPLETE_BODY, "the client left before the body's end");
        if (lh_http_cancelled(x))
            return lh_fail(err, LH_CANCELLED, "the request was cancelled");
        if (x->suspended)
            lh_http_mhd_resume(x);
        pthread_cond_wait(&x->changed, &x->mutex);
    }
}

static lh_code read_streamed(struct lh_http_exchange *x, char *out, size_t max, size_t *ret_len,
                             struct lh_error *err)
{
    const char *at = NULL;
    size_t len = 0;
    lh_mutex_lock(&x->mutex);
    lh_code code = wait_for_body(x, &at, &len, err);
    lh_mutex_unlock(&x->mutex);
    if (code != LH_OK)
        return code;
    if (len > max)
        len = max;
    if (len > 0) {
        memcpy(out, at, len); /* the region is ours until it is consumed */
        lh_mutex_lock(&x->mutex);
        lh_http_stream_consume(&x->in, len);
        if (x->suspended && lh_http_stream_roomy(&x->in))
            lh_http_mhd_resume(x);
        lh_mutex_unlock(&x->mutex);
    }
    *ret_len = len;
    return LH_OK;
}

lh_code lh_http_body_read(struct lh_http_exchange *x, void *bytes, size_t max, size_t *ret_len,
                          struct lh_error *err)
{
    LH_CHECK(max > 0 && (!x->on_event_thread || x->gathered != NULL || !lh_http_has_body(x)));
    size_t len = 0;
    if (x->body_length > 0)
        LH_TRY(check_limit(x, (uint64_t)x->body_length, err));
    if (x->gathered != NULL) {
        uint64_t left = (uint64_t)x->body_length - x->body_read;
        len = left < max ? (size_t)left : max;
        memcpy(bytes, x->gathered + x->body_read, len);
    } else if (lh_http_has_body(x)) {
        LH_TRY(read_streamed(x, bytes, max, &len, err));
    }
    LH_TRY(check_limit(x, x->body_read + len, err));
    x->body_read += len;
    *ret_len = len;
    return LH_OK;
}

/* Reads to the end of the body into body_memory, which has `capacity` bytes (and one more) at first
 * and doubles up to what the limit allows. */
static lh_code gather(struct lh_http_exchange *x, size_t capacity, size_t *ret_len,
                      struct lh_error *err)
{
    size_t used = 0;
    for (;;) {
        if (used == capacity || x->body_memory == NULL) {
            capacity *= x->body_memory == NULL ? 1 : 2;
            char *grown = realloc(x->body_memory, capacity + 1);
            if (grown == NULL)
                return lh_fail(err, LH_NO_MEMORY, "no memory for a body of %zu bytes", capacity);
            x->body_memory = grown;
        }
        size_t len = 0;
        LH_TRY(lh_http_body_read(x, x->body_memory + used, capacity - used, &len, err));
        if (len == 0)
            break;
        used += len;
    }
    x->body_memory[used] = '\0';
    *ret_len = used;
    return LH_OK;
}

lh_code lh_http_body_all(struct lh_http_exchange *x, size_t bytes_max, lh_str *ret_body,
                         struct lh_error *err)
{
    LH_CHECK(x->body_read == 0 && x->body_memory == NULL);
    LH_TRY(lh_http_body_limit(x, bytes_max < INT64_MAX ? (int64_t)bytes_max : INT64_MAX, err));
    if (x->gathered != NULL) {
        x->body_read = (uint64_t)x->body_length;
        *ret_body = lh_str_of(x->gathered, (size_t)x->body_length);
        return LH_OK;
    }
    /* One byte more than announced, so that the end is seen without growing. */
    size_t first = x->body_length >= 0 ? (size_t)x->body_length + 1 : LH_HTTP_SMALL_BYTES;
    size_t len = 0;
    LH_TRY(gather(x, first, &len, err));
    *ret_body = lh_str_of(x->body_memory, len);
    return LH_OK;
}

static bool is_json_type(lh_str content_type)
{
    lh_str type = LH_STR_NONE;
    if (!lh_str_next(&content_type, ';', &type))
        return true;
    type = lh_str_trim(type);
    const lh_str suffix = LH_STR("+json");
    return type.len == 0 || lh_str_eq_nocase(type, LH_STR("application/json")) ||
           lh_str_eq_nocase(type, LH_STR("text/json")) ||
           (type.len > suffix.len &&
            lh_str_eq_nocase(lh_str_skip(type, type.len - suffix.len), suffix));
}

lh_code lh_http_body_json(struct lh_http_exchange *x, size_t bytes_max, json_t **ret_root,
                          struct lh_error *err)
{
    lh_str type = lh_http_header(x, "content-type");
    if (!is_json_type(type)) {
        LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "the body is taken as application/json, not %.*s",
                          (int)(type.len < 100 ? type.len : 100), type.ptr),
                  "the hint returns it");
        return lh_hint(err, "send the header Content-Type: application/json");
    }
    lh_str text;
    LH_TRY(lh_http_body_all(x, bytes_max, &text, err));
    if (text.len == 0)
        return lh_fail(err, LH_INVALID, "a JSON body is needed, and there is none");
    return lh_json_parse(text, ret_root, err);
}
