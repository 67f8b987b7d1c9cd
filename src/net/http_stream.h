/*
 * A bounded byte ring between one writer and one reader. It holds no lock: positions change only by
 * commit and consume, which the owner calls under its own mutex; the bytes of a region that was
 * handed out belong to that side until then, so they are copied without a lock.
 *
 * Invariant (lh_http_stream_check): len <= capacity, start < capacity once there is memory.
 */
#ifndef LH_NET_HTTP_STREAM_H
#define LH_NET_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct lh_http_stream {
    char *data; /* NULL until the first byte is written */
    size_t capacity;
    size_t start; /* of the oldest byte */
    size_t len;
};

/* The memory comes later, by lh_http_stream_open. */
void lh_http_stream_init(struct lh_http_stream *stream, size_t capacity);
void lh_http_stream_deinit(struct lh_http_stream *stream);
/* Makes the memory if there is none; LH_NO_MEMORY is told by false. Writer only. */
bool lh_http_stream_open(struct lh_http_stream *stream);

/* The next run of free bytes, or of filled ones, that lies in one piece; 0 when there is none.
 * Space is there after lh_http_stream_open only. */
size_t lh_http_stream_space(const struct lh_http_stream *stream, char **ret_at);
size_t lh_http_stream_bytes(const struct lh_http_stream *stream, const char **ret_at);
void lh_http_stream_commit(struct lh_http_stream *stream, size_t len);  /* len <= space */
void lh_http_stream_consume(struct lh_http_stream *stream, size_t len); /* len <= bytes */

/* Room enough that waking a writer is worth it: half of the ring. */
bool lh_http_stream_roomy(const struct lh_http_stream *stream);
void lh_http_stream_check(const struct lh_http_stream *stream);

#endif
