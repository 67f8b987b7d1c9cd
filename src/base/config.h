/*
 * Configuration from one table of options: the table makes the parser of the file, of the
 * environment and of the flags, the help text, and docs/operations/limits.md.
 *
 * Order: flag > environment (LAKEHOUSE_SECTION__KEY) > file (TOML) > default. An unknown section or
 * key is an error that names its line and the nearest spelling; so is a value outside its bounds.
 */
#ifndef LH_BASE_CONFIG_H
#define LH_BASE_CONFIG_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lh_option_type {
    LH_OPTION_STRING,   /* char * */
    LH_OPTION_ADDRESS,  /* char *, "host:port"; port 0 lets the system choose */
    LH_OPTION_URL,      /* char *, "http://host:port", "auto" or "" */
    LH_OPTION_PATH,     /* char *; in a file: relative to its folder; empty only by default */
    LH_OPTION_BYTES,    /* int64_t; 4096, "64KiB", "5GiB", "10MB" */
    LH_OPTION_DURATION, /* int64_t milliseconds; "500ms", "60s", "5m", "1h" */
    LH_OPTION_COUNT,    /* int64_t */
    LH_OPTION_BOOL,     /* bool */
    LH_OPTION_CHOICE,   /* char *, one of `choices`, separated by | */
    LH_OPTION_SECRET,   /* char *; never shown */
};

struct lh_option {
    const char *section; /* "" = top level */
    const char *key;
    enum lh_option_type type;
    size_t offset;        /* of the member in the settings struct */
    const char *fallback; /* the default, as text */
    int64_t min, max;     /* for BYTES, DURATION and COUNT */
    const char *choices;
    const char *help;
};

enum lh_config_origin { LH_FROM_DEFAULT, LH_FROM_FILE, LH_FROM_ENVIRONMENT, LH_FROM_FLAG };

struct lh_config_flag {
    lh_str section; /* "" = top level */
    lh_str key;
    lh_str value;
};

struct lh_config_source {
    const char *file;         /* path, or NULL for none */
    char *const *environment; /* as environ, or NULL */
    const struct lh_config_flag *flags;
    size_t flag_count;
};

/* Fills every member of *settings (strings are owned by it); `origins`, when not NULL, has `count`
 * entries and learns where each value came from. On failure *settings is freed and zero.
 * LH_INVALID_CONFIG: message with file, line and column, hint with the nearest spelling. */
lh_code lh_config_load(const struct lh_option *options, size_t count,
                       const struct lh_config_source *source, void *settings,
                       enum lh_config_origin *origins, struct lh_error *err);
void lh_config_free(const struct lh_option *options, size_t count, void *settings);

/* One value from text, with the same checks; used for flags and tests. */
lh_code lh_config_set(const struct lh_option *option, lh_str text, void *settings,
                      struct lh_error *err);

/* The value as text ("5GiB", "60s"), as it would stand in a file, without quotes; of a secret only
 * whether there is one. */
void lh_config_format(const struct lh_option *option, const void *settings, struct lh_buf *out);

/* The index of section.key, or `count`. */
size_t lh_config_find(const struct lh_option *options, size_t count, lh_str section, lh_str key);

bool lh_parse_bytes(lh_str text, int64_t *ret);
bool lh_parse_duration_ms(lh_str text, int64_t *ret);
/* "host:port", "[v6]:port"; the host is copied with its terminator. */
bool lh_parse_address(lh_str text, char *ret_host, size_t host_size, uint16_t *ret_port);

#endif
