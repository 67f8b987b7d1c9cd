/*
 * What the person at the terminal sees: colours, widths, numbers for people.
 */
#ifndef LH_CLI_TERMINAL_H
#define LH_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"

/* Once at start: the locale of characters, for their widths; numbers stay as they are in C. */
void lh_terminal_init(void);

/* Escape sequences, or "" where there is no colour. */
struct lh_style {
    const char *off, *bold, *dim, *red, *green, *yellow, *cyan;
};

/* By --color, then NO_COLOR, CLICOLOR_FORCE, TERM=dumb, then whether stream is a terminal. */
struct lh_style lh_style_of(FILE *stream, enum lh_color color);

bool lh_is_terminal(FILE *stream);
size_t lh_terminal_width(FILE *stream); /* 80 where there is none */

/* Columns that a text takes; what is no valid UTF-8 or no visible character takes one. */
size_t lh_display_width(lh_str text);
/* Appends as much of text as fits `columns`, with "…" at the end when something was cut; control
 * bytes become "·", so that no data steers the terminal. Returns the columns used. */
size_t lh_put_clipped(struct lh_buf *out, lh_str text, size_t columns);

/* "3,066,766", "48.1 MB", "0.9 s" */
enum { LH_HUMAN_SIZE = 40 };
const char *lh_human_count(uint64_t count, char out[LH_HUMAN_SIZE]);
const char *lh_human_bytes(uint64_t bytes, char out[LH_HUMAN_SIZE]);
const char *lh_human_seconds(double seconds, char out[LH_HUMAN_SIZE]);

#endif
