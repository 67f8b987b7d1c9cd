/*
 * Colours, widths, and numbers for people.
 */
#include "cli/terminal.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void lh_terminal_init(void)
{
    /* LC_CTYPE alone: with LC_NUMERIC a comma could turn up in numbers. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
}

bool lh_is_terminal(FILE *stream)
{
    return isatty(fileno(stream));
}

static bool wants_color(FILE *stream, enum lh_color color)
{
    if (color != LH_COLOR_AUTO)
        return color == LH_COLOR_ALWAYS;
    const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
    if (no && no[0])
        return false;
    if (force && force[0] && strcmp(force, "0") != 0)
        return true;
    return lh_is_terminal(stream) && term && strcmp(term, "dumb") != 0;
}

struct lh_style lh_style_of(FILE *stream, enum lh_color color)
{
    if (!wants_color(stream, color))
        return (struct lh_style){"", "", "", "", "", "", ""};
    return (struct lh_style){
        .off = "\x1b[0m",
        .bold = "\x1b[1m",
        .dim = "\x1b[2m",
        .red = "\x1b[31m",
        .green = "\x1b[32m",
        .yellow = "\x1b[33m",
        .cyan = "\x1b[36m",
    };
}

size_t lh_terminal_width(FILE *stream)
{
    enum { USUAL_WIDTH = 80, LEAST_WIDTH = 20 };
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return USUAL_WIDTH;
    return size.ws_col < LEAST_WIDTH ? LEAST_WIDTH : size.ws_col;
}

/* ---- widths ---- */

/* The first character of text: its bytes and columns. What cannot be shown takes one of each. */
struct glyph {
    size_t bytes;
    size_t columns;
    bool visible;
};

static struct glyph first_glyph(lh_str text)
{
    const struct glyph hidden = {1, 1, false};
    size_t bytes = lh_utf8_length(text);
    wchar_t wide;
    mbstate_t state = {0};
    if (bytes == 0 || mbrtowc(&wide, text.ptr, bytes, &state) > bytes)
        return hidden;
    int columns = wcwidth(wide);
    if (columns < 0)
        return (struct glyph){bytes, 1, false};
    return (struct glyph){bytes, (size_t)columns, true};
}

size_t lh_display_width(lh_str text)
{
    size_t width = 0;
    while (text.len > 0) {
        struct glyph glyph = first_glyph(text);
        width += glyph.columns;
        text = lh_str_skip(text, glyph.bytes);
    }
    return width;
}

size_t lh_put_clipped(struct lh_buf *out, lh_str text, size_t columns)
{
    size_t used = 0;
    bool all_fits = lh_display_width(text) <= columns;
    size_t room = all_fits ? columns : columns - 1; /* one for the mark of the cut */
    while (text.len > 0) {
        struct glyph glyph = first_glyph(text);
        if (used + glyph.columns > room)
            break;
        if (glyph.visible)
            lh_buf_append(out, text.ptr, glyph.bytes);
        else
            lh_buf_append_str(out, LH_STR("·"));
        used += glyph.columns;
        text = lh_str_skip(text, glyph.bytes);
    }
    if (all_fits)
        return used;
    lh_buf_append_str(out, LH_STR("…"));
    return used + 1;
}

/* ---- numbers ---- */

const char *lh_human_count(uint64_t count, char out[LH_HUMAN_SIZE])
{
    char digits[LH_HUMAN_SIZE];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    char *at = out;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return out;
}

const char *lh_human_bytes(uint64_t bytes, char out[LH_HUMAN_SIZE])
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        value /= 1000;
        unit++;
    }
    int digits = unit == 0 || value >= 99.95 ? 0 : 1;
    snprintf(out, LH_HUMAN_SIZE, "%.*f %s", digits, value, units[unit]);
    return out;
}

const char *lh_human_seconds(double seconds, char out[LH_HUMAN_SIZE])
{
    if (seconds < 0.9995)
        snprintf(out, LH_HUMAN_SIZE, "%.0f ms", seconds * 1000);
    else if (seconds < 59.95)
        snprintf(out, LH_HUMAN_SIZE, "%.1f s", seconds);
    else
        snprintf(out, LH_HUMAN_SIZE, "%d:%02d min", (int)(seconds + 0.5) / 60,
                 (int)(seconds + 0.5) % 60);
    return out;
}
