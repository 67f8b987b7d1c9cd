/*
 * The settings of all services as one struct, made from settings.def. Every program loads all of
 * it, so that a misspelt section is found by whichever program reads the file.
 */
#ifndef LH_SERVICE_SETTINGS_H
#define LH_SERVICE_SETTINGS_H

#include "base/config.h"

/* struct lh_gateway_settings, struct lh_storaged_settings, ... */
#define LH_SECTION(section, help)                               struct lh_##section##_settings {
#define LH_TEXT(section, key, type, fallback, choices, help)    char *key;
#define LH_NUMBER(section, key, type, fallback, min, max, help) int64_t key;
#define LH_FLAG(section, key, fallback, help)                   bool key;
#define LH_SECTION_END(section)                                                                    \
    }                                                                                              \
    ;
#include "service/settings.def"
#undef LH_SECTION
#undef LH_TEXT
#undef LH_NUMBER
#undef LH_FLAG
#undef LH_SECTION_END

struct lh_settings {
    char *data_dir;
#define LH_SECTION(section, help) struct lh_##section##_settings section;
#define LH_TEXT(section, key, type, fallback, choices, help)
#define LH_NUMBER(section, key, type, fallback, min, max, help)
#define LH_FLAG(section, key, fallback, help)
#define LH_SECTION_END(section)
#include "service/settings.def"
#undef LH_SECTION
#undef LH_TEXT
#undef LH_NUMBER
#undef LH_FLAG
#undef LH_SECTION_END
};

/* The table for base/config.h. */
extern const struct lh_option lh_settings_options[];
extern const size_t lh_settings_option_count;

/* Loads, then puts the listen addresses into every URL that is "auto". */
lh_code lh_settings_load(const struct lh_config_source *source, struct lh_settings *ret_settings,
                         enum lh_config_origin *origins, struct lh_error *err);
void lh_settings_free(struct lh_settings *settings);

/* The listen address of a service's section; the section must have one. Borrowed. */
const char *lh_settings_listen(const struct lh_settings *settings, lh_str section);

/* Where the storaged of a service is; "" for a service that needs none. Borrowed. */
const char *lh_settings_storaged_url(const struct lh_settings *settings, const char *section);

/* What a section is ("the object store"), or NULL for a section that does not exist. */
const char *lh_settings_section_help(const char *section);

/* Where a valid listen address of these settings is reached on this host, as a URL owned by the
 * caller: https when the doors speak TLS, an address of all interfaces by loopback. */
char *lh_settings_url(const struct lh_settings *settings, const char *listen);

/* The table as a page of documentation (Markdown): docs/operations/limits.md. */
void lh_settings_document(struct lh_buf *out);

#endif
