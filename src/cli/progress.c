/*
 * The progress line.
 */
#include "cli/progress.h"

enum { BAR_CELLS = 24, LINE_BYTES_MAX = 4096 };

void lh_progress_start(struct lh_progress *progress, const char *label, int64_t quiet_ms,
                       enum lh_color color)
{
    *progress = (struct lh_progress){
        .label = label,
        .style = lh_style_of(stderr, color),
        .start = lh_mono_now(),
        .quiet_ms = quiet_ms,
        .enabled = lh_is_terminal(stderr),
    };
}

void lh_progress_bar(struct lh_buf *out, uint64_t done, uint64_t total, size_t width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double part = total > 0 ? (double)done / (double)total : 0;
    part = part > 1 ? 1 : part;
    size_t filled = (size_t)(part * (double)width * 8 + 0.5);
    for (size_t i = 0; i < filled / 8; i++)
        lh_buf_append_str(out, LH_STR("█"));
    lh_buf_append_cstr(out, eighths[filled % 8]);
    for (size_t i = (filled + 7) / 8; i < width; i++)
        lh_buf_append_str(out, LH_STR("░"));
}

/* "  ███████░░░ 71%  48.1 MB  412 MB/s  0:04 left" */
static void put_transfer(struct lh_buf *out, const struct lh_progress *progress,
                         const struct lh_progress_state *state)
{
    char text[LH_HUMAN_SIZE];
    double seconds = lh_mono_since_s(progress->start);
    double rate = seconds > 0 ? (double)state->bytes / seconds : 0;
    if (state->bytes_total > 0) {
        lh_buf_printf(out, "  %s", progress->style.cyan);
        lh_progress_bar(out, state->bytes, state->bytes_total, BAR_CELLS);
        lh_buf_printf(out, "%s %3d%%", progress->style.off,
                      (int)(state->bytes * 100 / state->bytes_total));
    }
    lh_buf_printf(out, "  %s", lh_human_bytes(state->bytes, text));
    lh_buf_printf(out, "  %s/s", lh_human_bytes((uint64_t)rate, text));
    if (state->bytes_total > state->bytes && rate > 0) {
        double left = (double)(state->bytes_total - state->bytes) / rate;
        lh_buf_printf(out, "  %s left", lh_human_seconds(left, text));
    }
}

static void put_line(struct lh_buf *out, const struct lh_progress *progress,
                     const struct lh_progress_state *state)
{
    static const char *const spinner[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    char text[LH_HUMAN_SIZE];
    lh_buf_append_cstr(out, progress->label);
    if (!state->phase || !state->phase[0]) {
        put_transfer(out, progress, state);
    } else {
        size_t frame = (size_t)(lh_mono_since_ms(progress->start) / 100) % 10;
        lh_buf_printf(out, "  %s%s%s %s", progress->style.cyan, spinner[frame], progress->style.off,
                      state->phase);
        lh_buf_printf(out, "  %s", lh_human_bytes(state->bytes, text));
        lh_buf_printf(out, "  %s", lh_human_seconds(lh_mono_since_s(progress->start), text));
    }
    if (state->rows > 0)
        lh_buf_printf(out, "  %s rows", lh_human_count(state->rows, text));
}

void lh_progress_draw(struct lh_progress *progress, const struct lh_progress_state *state)
{
    if (!progress->enabled || lh_mono_since_ms(progress->start) < progress->quiet_ms)
        return;
    LH_AUTO_BUF struct lh_buf line = LH_BUF_INIT(LINE_BYTES_MAX);
    put_line(&line, progress, state);
    fprintf(stderr, "\r\x1b[K%s", line.data); /* to the line's start, and clear it */
    fflush(stderr);
    progress->drawn = true;
}

void lh_progress_end(struct lh_progress *progress)
{
    if (progress->drawn)
        fputs("\r\x1b[K", stderr);
    progress->drawn = false;
}
