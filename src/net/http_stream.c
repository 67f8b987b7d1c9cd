/*
 * The byte ring between the event thread and a worker: see http_stream.h.
 */
#include "net/http_stream.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

void lh_http_stream_init(struct lh_http_stream *stream, size_t capacity)
{
    LH_CHECK(capacity > 0);
    *stream = (struct lh_http_stream){.capacity = capacity};
}

void lh_http_stream_deinit(struct lh_http_stream *stream)
{
    free(stream->data);
    *stream = (struct lh_http_stream){0};
}

bool lh_http_stream_open(struct lh_http_stream *stream)
{
    if (stream->data == NULL)
        stream->data = lh_try_malloc(1, stream->capacity);
    return stream->data != NULL;
}

size_t lh_http_stream_space(const struct lh_http_stream *stream, char **ret_at)
{
    size_t end = stream->start + stream->len;
    if (end >= stream->capacity) { /* the filled part wraps: what is free lies in one piece */
        end -= stream->capacity;
        *ret_at = stream->data + end;
        return stream->start - end;
    }
    *ret_at = stream->data + end;
    return stream->capacity - end;
}

size_t lh_http_stream_bytes(const struct lh_http_stream *stream, const char **ret_at)
{
    if (stream->len == 0)
        return 0;
    size_t to_end = stream->capacity - stream->start;
    *ret_at = stream->data + stream->start;
    return stream->len < to_end ? stream->len : to_end;
}

void lh_http_stream_commit(struct lh_http_stream *stream, size_t len)
{
    LH_CHECK(len <= stream->capacity - stream->len);
    stream->len += len;
}

void lh_http_stream_consume(struct lh_http_stream *stream, size_t len)
{
    LH_CHECK(len <= stream->len);
    stream->len -= len;
    stream->start += len;
    if (stream->start >= stream->capacity)
        stream->start -= stream->capacity;
    /* start is left where it is when the ring is empty: the writer may be filling what comes next.
     */
}

bool lh_http_stream_roomy(const struct lh_http_stream *stream)
{
    return stream->len <= stream->capacity / 2;
}

void lh_http_stream_check(const struct lh_http_stream *stream)
{
    LH_CHECK(stream->capacity > 0);
    LH_CHECK(stream->len <= stream->capacity);
    LH_CHECK(stream->start < stream->capacity);
    LH_CHECK(stream->data != NULL || stream->len == 0);
}
