/*
 * Type words. Only what stands in this table reaches DuckDB.
 */
#include "ingestd/types.h"

#include "base/mem.h"

static const struct {
    const char *word;
    const char *canonical;
} types[] = {
    {"BIGINT", "BIGINT"},
    {"INT8", "BIGINT"},
    {"LONG", "BIGINT"},
    {"INTEGER", "INTEGER"},
    {"INT", "INTEGER"},
    {"INT4", "INTEGER"},
    {"SMALLINT", "SMALLINT"},
    {"TINYINT", "TINYINT"},
    {"UBIGINT", "UBIGINT"},
    {"UINTEGER", "UINTEGER"},
    {"USMALLINT", "USMALLINT"},
    {"UTINYINT", "UTINYINT"},
    {"DOUBLE", "DOUBLE"},
    {"FLOAT8", "DOUBLE"},
    {"FLOAT", "FLOAT"},
    {"REAL", "FLOAT"},
    {"FLOAT4", "FLOAT"},
    {"BOOLEAN", "BOOLEAN"},
    {"BOOL", "BOOLEAN"},
    {"VARCHAR", "VARCHAR"},
    {"TEXT", "VARCHAR"},
    {"STRING", "VARCHAR"},
    {"DATE", "DATE"},
    {"TIME", "TIME"},
    {"TIMESTAMP", "TIMESTAMP"},
    {"DATETIME", "TIMESTAMP"},
    {"TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"},
    {"UUID", "UUID"},
    {"BLOB", "BLOB"},
    {"JSON", "JSON"},
    {"TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE"},
};

enum { DECIMAL_WIDTH_MAX = 38 };

static lh_code fail_type(lh_str text, struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_INVALID, "'%.*s' is no type for a column", LH_FMT(text)),
              "a hint follows");
    return lh_hint(err, "BIGINT, INTEGER, DOUBLE, DECIMAL(18,2), VARCHAR, BOOLEAN, DATE, TIME, "
                        "TIMESTAMP, TIMESTAMPTZ, UUID, JSON; with [] for a list");
}

/* "(18, 3)" behind DECIMAL or NUMERIC; both numbers are optional as in SQL: 18 and 3, or n and 0.
 */
static bool parse_decimal(lh_str arguments, unsigned *ret_width, unsigned *ret_scale)
{
    uint64_t width = 18;
    uint64_t scale = 3;
    arguments = lh_str_trim(arguments);
    if (arguments.len > 0) {
        if (arguments.ptr[0] != '(' || arguments.ptr[arguments.len - 1] != ')')
            return false;
        lh_str rest = lh_str_of(arguments.ptr + 1, arguments.len - 2);
        lh_str first = LH_STR_NONE;
        lh_str second = LH_STR("0");
        (void)lh_str_next(&rest, ',', &first);
        if (lh_str_next(&rest, ',', &second) && rest.ptr != NULL && rest.len > 0)
            return false;
        if (!lh_str_to_u64(lh_str_trim(first), &width) ||
            !lh_str_to_u64(lh_str_trim(second), &scale))
            return false;
    }
    if (width == 0 || width > DECIMAL_WIDTH_MAX || scale > width)
        return false;
    *ret_width = (unsigned)width;
    *ret_scale = (unsigned)scale;
    return true;
}

lh_code lh_column_type_parse(lh_str text, char **ret_type, struct lh_error *err)
{
    lh_str word = lh_str_trim(text);
    const char *list = "";
    if (lh_str_ends(word, "[]")) {
        list = "[]";
        word = lh_str_trim(lh_str_of(word.ptr, word.len - 2));
    }
    for (size_t i = 0; i < LH_COUNT(types); i++) {
        if (!lh_str_eq_nocase(word, lh_str_from(types[i].word)))
            continue;
        *ret_type = lh_asprintf("%s%s", types[i].canonical, list);
        return LH_OK;
    }
    static const char *const decimals[] = {"DECIMAL", "NUMERIC"};
    for (size_t i = 0; i < LH_COUNT(decimals); i++) {
        lh_str name = lh_str_from(decimals[i]);
        unsigned width;
        unsigned scale;
        if (word.len < name.len || !lh_str_eq_nocase(lh_str_of(word.ptr, name.len), name) ||
            !parse_decimal(lh_str_skip(word, name.len), &width, &scale))
            continue;
        *ret_type = lh_asprintf("DECIMAL(%u,%u)%s", width, scale, list);
        return LH_OK;
    }
    return fail_type(text, err);
}
