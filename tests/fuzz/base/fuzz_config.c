/* Any text as lakehouse.toml: an answer with a place, or settings that format and parse again. */
#include <stdlib.h>

#include "base/check.h"
#include "base/config.h"
#include "base/toml.h"

struct settings {
    char *name;
    int64_t bytes, time;
    bool flag;
};

static const struct lh_option options[] = {
    {"a", "name", LH_OPTION_STRING, offsetof(struct settings, name), "", 0, 0, NULL, ""},
    {"a", "bytes", LH_OPTION_BYTES, offsetof(struct settings, bytes), "0", 0, INT64_MAX, NULL, ""},
    {"", "time", LH_OPTION_DURATION, offsetof(struct settings, time), "0", 0, INT64_MAX, NULL, ""},
    {"", "flag", LH_OPTION_BOOL, offsetof(struct settings, flag), "true", 0, 0, NULL, ""},
};

static lh_code set(void *ctx, lh_str section, lh_str key, lh_str value, uint64_t line,
                   uint64_t column, struct lh_error *err)
{
    LH_CHECK(line > 0 && column > 0);
    size_t i = lh_config_find(options, 4, section, key);
    return i < 4 ? lh_config_set(&options[i], value, ctx, err) : LH_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings = {0};
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_toml_parse(lh_str_of((const char *)data, size), set, &settings, &err);
    LH_CHECK(code == LH_OK ? err.code == LH_OK : err.line > 0 && err.message[0] != '\0');
    for (size_t i = 0; i < 4; i++) {
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(size + 100);
        lh_config_format(&options[i], &settings, &text);
        LH_CHECK(lh_config_set(&options[i], lh_buf_str(&text), &settings, &err) == LH_OK);
    }
    lh_config_free(options, 4, &settings);
    return 0;
}
