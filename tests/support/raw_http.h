/*
 * HTTP by hand for tests: bytes out, bytes in, over 127.0.0.1. Every wait has a limit of 20 s (more
 * under sanitizers), after which the test fails.
 */
#ifndef LH_TESTS_SUPPORT_RAW_HTTP_H
#define LH_TESTS_SUPPORT_RAW_HTTP_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct lh_raw {
    int fd;
    struct lh_buf in; /* received, and not yet taken */
};

void lh_raw_open(struct lh_raw *raw, uint16_t port);
void lh_raw_close(struct lh_raw *raw);
void lh_raw_send(struct lh_raw *raw, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* False when the peer has closed. */
bool lh_raw_send_bytes(struct lh_raw *raw, const void *bytes, size_t len);

struct lh_raw_answer {
    int status; /* 0: the connection closed before a whole answer had come */
    struct lh_buf head;
    struct lh_buf body;
    bool chunked;
    bool cut; /* the body ended early */
};

/* Takes the next answer. `head_only`: an answer to HEAD. 100-continue is an answer of its own. */
void lh_raw_receive(struct lh_raw *raw, bool head_only, struct lh_raw_answer *ret_answer);
void lh_raw_answer_deinit(struct lh_raw_answer *answer);
/* A header's value, "" when absent; valid until the thread's next call. */
const char *lh_raw_header(const struct lh_raw_answer *answer, const char *name);
/* Whether the peer closes (or resets) within the time, without sending more. */
bool lh_raw_closes(struct lh_raw *raw, int64_t within_ms);
/* The same, whatever else it sends before. */
bool lh_raw_ends(struct lh_raw *raw, int64_t within_ms);
/* Whether any byte comes within the time. */
bool lh_raw_hears(struct lh_raw *raw, int64_t within_ms);

/* One request on a connection of its own. */
void lh_raw_exchange(uint16_t port, const char *request, struct lh_raw_answer *ret_answer);

#endif
