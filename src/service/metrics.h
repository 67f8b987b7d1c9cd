/*
 * The Prometheus text format (version 0.0.4), written directly: one call a sample.
 */
#ifndef LH_SERVICE_METRICS_H
#define LH_SERVICE_METRICS_H

#include "base/buf.h"

struct lh_metrics {
    struct lh_buf *out;
};

enum lh_metric_type { LH_COUNTER, LH_GAUGE };

/* HELP and TYPE lines; before the samples of that name. Names begin with lakehouse_ and end in the
 * unit. */
void lh_metric(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
               const char *help);
/* One sample; `labels` as name, value pairs ended by NULL, or NULL alone. Values are escaped. */
void lh_metric_value(struct lh_metrics *metrics, const char *name, double value, ...)
    __attribute__((sentinel));

#endif
