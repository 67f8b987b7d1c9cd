/*
 * A filter and, behind a NUL, the metadata of an item. Whatever the metadata, a filter that parses
 * has an answer, and its opposite has the other one.
 */
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "vectord/filter.h"

static const struct lh_filter *parse(lh_str text, struct lh_arena *arena)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_filter *filter = NULL;
    lh_code code = lh_filter_parse(text, arena, &filter, &err);
    LH_CHECK(code == LH_OK || code == LH_INVALID || code == LH_TOO_LARGE);
    LH_CHECK(code == LH_OK || err.message[0] != '\0');
    return filter;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lh_str rest = lh_str_of((const char *)data, size), text = LH_STR_NONE;
    lh_str_next(&rest, '\0', &text);
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(64 * text.len + 4096);
    const struct lh_filter *filter = parse(text, &arena);
    if (filter == NULL)
        return 0;
    LH_AUTO_BUF struct lh_buf opposite = LH_BUF_INIT(text.len + 16);
    lh_buf_printf(&opposite, "{\"$not\":%.*s}", LH_FMT(text));
    bool holds = lh_filter_holds(filter, rest);
    filter = parse(lh_buf_str(&opposite), &arena);
    if (filter != NULL) /* it may nest too deep by one */
        LH_CHECK(lh_filter_holds(filter, rest) == !holds);
    return 0;
}
