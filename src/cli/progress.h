/*
 * One line on stderr that tells how far a transfer is. It stands on terminals only, and is gone
 * when the work is done.
 */
#ifndef LH_CLI_PROGRESS_H
#define LH_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cli/terminal.h"

struct lh_progress {
    const char *label; /* "ingest trips.csv" */
    struct lh_style style;
    lh_mono start;
    int64_t quiet_ms;
    bool enabled;
    bool drawn;
};

/* What is known at one moment. */
struct lh_progress_state {
    const char *phase; /* NULL or "" while bytes are on their way; then "converting", ... */
    uint64_t bytes;
    uint64_t bytes_total; /* 0 = unknown */
    uint64_t rows;        /* 0 = unknown */
};

/* Nothing is drawn in the first quiet_ms. `label` must outlive it. */
void lh_progress_start(struct lh_progress *progress, const char *label, int64_t quiet_ms,
                       enum lh_color color);
void lh_progress_draw(struct lh_progress *progress, const struct lh_progress_state *state);
void lh_progress_end(struct lh_progress *progress); /* takes the line away */

/* The bar alone: `width` cells, filled to `done` of `total`, in eighths of a cell. */
void lh_progress_bar(struct lh_buf *out, uint64_t done, uint64_t total, size_t width);

#endif
