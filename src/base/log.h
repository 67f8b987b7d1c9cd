/*
 * The log: one JSON object a line on stderr, written by one write(2) each, so lines of several
 * threads and processes never mix. thread-safe.
 *
 *   LH_LOG(INFO, "recovered", LH_LOG_STR("index", name), LH_LOG_INT("records", n));
 *   {"time":"2026-11-22T15:04:05.123Z","level":"info","service":"vectord","message":"recovered",
 *    "request_id":"...","index":"docs","records":12}
 *
 * The message is a constant phrase; what varies stands in fields. Base and the cores never log
 * above debug: they return errors. Never log keys, bodies or SQL literals.
 */
#ifndef LH_BASE_LOG_H
#define LH_BASE_LOG_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum lh_log_level { LH_LOG_DEBUG, LH_LOG_INFO, LH_LOG_WARN, LH_LOG_ERROR };

struct lh_log_field {
    const char *key;
    enum { LH_LOG_FIELD_STR, LH_LOG_FIELD_INT, LH_LOG_FIELD_F64 } type;
    lh_str str;
    int64_t i64;
    double f64;
};

#define LH_LOG_TEXT(name, text)                                                                    \
    ((struct lh_log_field){.key = (name), .type = LH_LOG_FIELD_STR, .str = (text)})
#define LH_LOG_STR(name, text) LH_LOG_TEXT(name, lh_str_from(text))
#define LH_LOG_INT(name, value)                                                                    \
    ((struct lh_log_field){.key = (name), .type = LH_LOG_FIELD_INT, .i64 = (int64_t)(value)})
#define LH_LOG_F64(name, value)                                                                    \
    ((struct lh_log_field){.key = (name), .type = LH_LOG_FIELD_F64, .f64 = (value)})

/* Once at start, before threads. `service` must outlive the process's logging. fd: usually 2. */
void lh_log_init(const char *service, enum lh_log_level level, int fd);
bool lh_log_level_parse(const char *word, enum lh_log_level *ret);
bool lh_log_enabled(enum lh_log_level level);

/* The request that this thread works on: its id goes into each line. Copied (at most 64 bytes). */
void lh_log_set_request_id(lh_str id);
lh_str lh_log_request_id(void);

void lh_log_write(enum lh_log_level level, const char *message, const struct lh_log_field *fields,
                  size_t count);

#define LH_LOG(level, message, ...)                                                                \
    do {                                                                                           \
        if (lh_log_enabled(LH_LOG_##level)) {                                                      \
            const struct lh_log_field lh_fields_[] = {__VA_ARGS__};                                \
            lh_log_write(LH_LOG_##level, (message), lh_fields_,                                    \
                         sizeof(lh_fields_) / sizeof(lh_fields_[0]));                              \
        }                                                                                          \
    } while (0)

/* A failure, with its code, message and errno. */
void lh_log_error(enum lh_log_level level, const char *message, const struct lh_error *err);

#endif
