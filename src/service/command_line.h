/*
 * The command line that all programs share: -config FILE, -data DIR, -insecure, -version, -help,
 * and every configuration key as a flag: -key of the program's own section, -section.key of any
 * other. One dash or two, "-key value" or "-key=value"; dashes inside of a name count as
 * underscores.
 */
#ifndef LH_SERVICE_COMMAND_LINE_H
#define LH_SERVICE_COMMAND_LINE_H

#include "base/config.h"

#include <stdio.h>

struct lh_command_line {
    const char *config_file; /* NULL when not given */
    bool insecure;
    bool version;
    bool help;
    struct lh_config_flag *flags; /* borrow from argv and from the table of settings */
    size_t flag_count;
};

/* `section` is the program's own ("storaged"), or "" for a program without one. `argv` without the
 * program's name. LH_INVALID_CONFIG with the nearest spelling for a flag that does not exist. */
lh_code lh_command_line_parse(const char *section, int argc, char *const *argv,
                              struct lh_command_line *ret_line, struct lh_error *err);
void lh_command_line_free(struct lh_command_line *line);

/* The flags as text for -help: the general ones, then the keys of the section and of [http], [log].
 */
void lh_command_line_help(const char *section, FILE *out);

#endif
