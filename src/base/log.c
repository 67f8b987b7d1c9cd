/*
 * The log. A line is built in one buffer and leaves by one write(2), so lines never mix; a line
 * that would be too long loses its fields, never its form. Not through lh_io: a fault that a test
 * puts on files must not depend on what is logged.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

enum { LINE_BYTES_MAX = 16 << 10, TEXT_BYTES_MAX = 2 << 10, REQUEST_ID_BYTES_MAX = 64 };

static const char *const level_words[] = {
    [LH_LOG_DEBUG] = "debug",
    [LH_LOG_INFO] = "info",
    [LH_LOG_WARN] = "warn",
    [LH_LOG_ERROR] = "error",
};

/* Written by lh_log_init before there are threads. */
static const char *service_name = "lakehouse";
static int log_fd = STDERR_FILENO;
static atomic_int level_min = LH_LOG_INFO;

static _Thread_local char request_id[REQUEST_ID_BYTES_MAX];
static _Thread_local size_t request_id_len;

void lh_log_init(const char *service, enum lh_log_level level, int fd)
{
    service_name = service;
    log_fd = fd;
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

bool lh_log_level_parse(const char *word, enum lh_log_level *ret)
{
    for (size_t i = 0; i < LH_COUNT(level_words); i++) {
        if (strcmp(word, level_words[i]) == 0) {
            *ret = (enum lh_log_level)i;
            return true;
        }
    }
    return false;
}

bool lh_log_enabled(enum lh_log_level level)
{
    return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

void lh_log_set_request_id(lh_str id)
{
    request_id_len = id.len < REQUEST_ID_BYTES_MAX ? id.len : REQUEST_ID_BYTES_MAX;
    if (request_id_len > 0)
        memcpy(request_id, id.ptr, request_id_len);
}

lh_str lh_log_request_id(void)
{
    return lh_str_of(request_id, request_id_len);
}

static void put_head(struct lh_json *json, enum lh_log_level level, const char *message)
{
    char time[LH_RFC3339_SIZE];
    lh_format_rfc3339(lh_now_ms(), time);
    lh_json_object(json);
    lh_json_kcstr(json, "time", time);
    lh_json_kcstr(json, "level", level_words[level]);
    lh_json_kcstr(json, "service", service_name);
    lh_json_kcstr(json, "message", message);
    if (request_id_len > 0)
        lh_json_kstr(json, "request_id", lh_log_request_id());
}

static void put_field(struct lh_json *json, const struct lh_log_field *field)
{
    switch (field->type) {
    case LH_LOG_FIELD_STR: {
        size_t len = field->str.len < TEXT_BYTES_MAX ? field->str.len : TEXT_BYTES_MAX;
        lh_json_kstr(json, field->key, lh_str_of(field->str.ptr, len));
        return;
    }
    case LH_LOG_FIELD_INT:
        lh_json_ki64(json, field->key, field->i64);
        return;
    case LH_LOG_FIELD_F64:
        lh_json_kf64(json, field->key, field->f64);
        return;
    }
}

static void put_line(struct lh_buf *line, enum lh_log_level level, const char *message,
                     const struct lh_log_field *fields, size_t count)
{
    struct lh_json json = LH_JSON_TO(line);
    put_head(&json, level, message);
    for (size_t i = 0; i < count; i++)
        put_field(&json, &fields[i]);
    lh_json_object_end(&json);
    lh_buf_append_char(line, '\n');
}

void lh_log_write(enum lh_log_level level, const char *message, const struct lh_log_field *fields,
                  size_t count)
{
    int saved_errno = errno;
    LH_AUTO_BUF struct lh_buf line = LH_BUF_INIT(LINE_BYTES_MAX);
    put_line(&line, level, message, fields, count);
    if (lh_buf_overflowed(&line)) {
        lh_buf_reset(&line);
        struct lh_log_field cut = LH_LOG_INT("fields_dropped", count);
        put_line(&line, level, message, &cut, 1);
    }
    while (write(log_fd, line.data, line.len) < 0 && errno == EINTR)
        continue;
    errno = saved_errno;
}

void lh_log_error(enum lh_log_level level, const char *message, const struct lh_error *err)
{
    if (!lh_log_enabled(level))
        return;
    const struct lh_log_field fields[] = {
        LH_LOG_STR("code", lh_code_word(err->code)),
        LH_LOG_STR("error", err->message),
        LH_LOG_INT("errno", err->sys_errno),
    };
    lh_log_write(level, message, fields, err->sys_errno != 0 ? 3 : 2);
}
