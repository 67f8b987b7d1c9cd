/* Metrics as Prometheus text. */
#include "service/metrics.h"

#include "base/number.h"

#include <math.h>
#include <stdarg.h>

/* HELP texts escape the backslash and the line feed. */
static void append_help(struct lh_buf *out, const char *help)
{
    for (; *help != '\0'; help++) {
        if (*help == '\\')
            lh_buf_append_cstr(out, "\\\\");
        else if (*help == '\n')
            lh_buf_append_cstr(out, "\\n");
        else
            lh_buf_append_char(out, *help);
    }
}

/* Label values escape the double quote, too. */
static void append_label_value(struct lh_buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\')
            lh_buf_append_cstr(out, "\\\\");
        else if (*value == '"')
            lh_buf_append_cstr(out, "\\\"");
        else if (*value == '\n')
            lh_buf_append_cstr(out, "\\n");
        else
            lh_buf_append_char(out, *value);
    }
}

static void append_number(struct lh_buf *out, double value)
{
    char text[LH_NUMBER_MAX];
    if (isnan(value))
        lh_buf_append_cstr(out, "NaN");
    else if (isinf(value))
        lh_buf_append_cstr(out, value > 0 ? "+Inf" : "-Inf");
    else if (value == floor(value) &&
             fabs(value) < 9007199254740992.0) /* 2^53: exact as integers */
        lh_buf_append(out, text, lh_format_i64((int64_t)value, text));
    else
        lh_buf_append(out, text, lh_format_f64(value, text));
}

void lh_metric(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
               const char *help)
{
    lh_buf_printf(metrics->out, "# HELP %s ", name);
    append_help(metrics->out, help);
    lh_buf_printf(metrics->out, "\n# TYPE %s %s\n", name, type == LH_COUNTER ? "counter" : "gauge");
}

void lh_metric_value(struct lh_metrics *metrics, const char *name, double value, ...)
{
    struct lh_buf *out = metrics->out;
    lh_buf_append_cstr(out, name);
    va_list labels;
    va_start(labels, value);
    char separator = '{';
    for (const char *label; (label = va_arg(labels, const char *)) != NULL; separator = ',') {
        lh_buf_append_char(out, separator);
        lh_buf_append_cstr(out, label);
        lh_buf_append_cstr(out, "=\"");
        append_label_value(out, va_arg(labels, const char *));
        lh_buf_append_char(out, '"');
    }
    va_end(labels);
    if (separator == ',')
        lh_buf_append_char(out, '}');
    lh_buf_append_char(out, ' ');
    append_number(out, value);
    lh_buf_append_char(out, '\n');
}
