/*
 * Types as text. The library may be newer than its header: an id that is not listed here is no
 * error, it has the text UNKNOWN and is cast to VARCHAR by the query.
 */
#include "duck/type.h"

#include "base/mem.h"
#include "duck/duck.h"

#include <inttypes.h>

enum { NESTING_MAX = 64 };

static const struct {
    duckdb_type type;
    const char *text;
    bool encodes;
} plain_types[] = {
    {DUCKDB_TYPE_BOOLEAN, "BOOLEAN", true},
    {DUCKDB_TYPE_TINYINT, "TINYINT", true},
    {DUCKDB_TYPE_SMALLINT, "SMALLINT", true},
    {DUCKDB_TYPE_INTEGER, "INTEGER", true},
    {DUCKDB_TYPE_BIGINT, "BIGINT", true},
    {DUCKDB_TYPE_UTINYINT, "UTINYINT", true},
    {DUCKDB_TYPE_USMALLINT, "USMALLINT", true},
    {DUCKDB_TYPE_UINTEGER, "UINTEGER", true},
    {DUCKDB_TYPE_UBIGINT, "UBIGINT", true},
    {DUCKDB_TYPE_FLOAT, "FLOAT", true},
    {DUCKDB_TYPE_DOUBLE, "DOUBLE", true},
    {DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP", true},
    {DUCKDB_TYPE_DATE, "DATE", true},
    {DUCKDB_TYPE_TIME, "TIME", true},
    {DUCKDB_TYPE_INTERVAL, "INTERVAL", true},
    {DUCKDB_TYPE_HUGEINT, "HUGEINT", true},
    {DUCKDB_TYPE_UHUGEINT, "UHUGEINT", true},
    {DUCKDB_TYPE_VARCHAR, "VARCHAR", true},
    {DUCKDB_TYPE_BLOB, "BLOB", true},
    {DUCKDB_TYPE_TIMESTAMP_S, "TIMESTAMP_S", true},
    {DUCKDB_TYPE_TIMESTAMP_MS, "TIMESTAMP_MS", true},
    {DUCKDB_TYPE_TIMESTAMP_NS, "TIMESTAMP_NS", true},
    {DUCKDB_TYPE_TIMESTAMP_TZ, "TIMESTAMP WITH TIME ZONE", true},
    {DUCKDB_TYPE_UUID, "UUID", true},
    {DUCKDB_TYPE_SQLNULL, "NULL", true},
    {DUCKDB_TYPE_TIME_TZ, "TIME WITH TIME ZONE", false},
    {DUCKDB_TYPE_TIME_NS, "TIME_NS", false},
    {DUCKDB_TYPE_BIT, "BIT", false},
    {DUCKDB_TYPE_BIGNUM, "BIGNUM", false},
};

static void type_text(duckdb_logical_type type, unsigned depth, struct lh_buf *out);

static void append_owned(struct lh_buf *out, char *text, void (*quote)(struct lh_buf *, lh_str))
{
    quote(out, lh_str_from(text));
    duckdb_free(text);
}

static void child_text(duckdb_logical_type child, unsigned depth, struct lh_buf *out)
{
    type_text(child, depth + 1, out);
    duckdb_destroy_logical_type(&child);
}

/* DuckDB quotes a member's name only where it must. */
static void quote_name_if_needed(struct lh_buf *out, lh_str name)
{
    bool plain = name.len > 0 && !(name.ptr[0] >= '0' && name.ptr[0] <= '9');
    for (size_t i = 0; i < name.len && plain; i++) {
        char c = name.ptr[i];
        plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    if (plain)
        lh_buf_append_str(out, name);
    else
        lh_duck_quote_name(out, name);
}

static void struct_text(duckdb_logical_type type, unsigned depth, struct lh_buf *out)
{
    lh_buf_append_cstr(out, "STRUCT(");
    idx_t count = duckdb_struct_type_child_count(type);
    for (idx_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_cstr(out, ", ");
        append_owned(out, duckdb_struct_type_child_name(type, i), quote_name_if_needed);
        lh_buf_append_char(out, ' ');
        child_text(duckdb_struct_type_child_type(type, i), depth, out);
    }
    lh_buf_append_char(out, ')');
}

static void union_text(duckdb_logical_type type, unsigned depth, struct lh_buf *out)
{
    lh_buf_append_cstr(out, "UNION(");
    idx_t count = duckdb_union_type_member_count(type);
    for (idx_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_cstr(out, ", ");
        append_owned(out, duckdb_union_type_member_name(type, i), quote_name_if_needed);
        lh_buf_append_char(out, ' ');
        child_text(duckdb_union_type_member_type(type, i), depth, out);
    }
    lh_buf_append_char(out, ')');
}

static void enum_text(duckdb_logical_type type, struct lh_buf *out)
{
    lh_buf_append_cstr(out, "ENUM(");
    uint32_t count = duckdb_enum_dictionary_size(type);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_cstr(out, ", ");
        append_owned(out, duckdb_enum_dictionary_value(type, i), lh_duck_quote_literal);
    }
    lh_buf_append_char(out, ')');
}

static void plain_text(duckdb_type id, struct lh_buf *out)
{
    for (size_t i = 0; i < LH_COUNT(plain_types); i++) {
        if (plain_types[i].type == id) {
            lh_buf_append_cstr(out, plain_types[i].text);
            return;
        }
    }
    lh_buf_append_cstr(out, "UNKNOWN");
}

static void type_text(duckdb_logical_type type, unsigned depth, struct lh_buf *out)
{
    if (depth > NESTING_MAX) {
        lh_buf_append_cstr(out, "UNKNOWN");
        return;
    }
    duckdb_type id = duckdb_get_type_id(type);
    switch (id) {
    case DUCKDB_TYPE_DECIMAL:
        lh_buf_printf(out, "DECIMAL(%u,%u)", (unsigned)duckdb_decimal_width(type),
                      (unsigned)duckdb_decimal_scale(type));
        return;
    case DUCKDB_TYPE_ENUM:
        enum_text(type, out);
        return;
    case DUCKDB_TYPE_LIST:
        child_text(duckdb_list_type_child_type(type), depth, out);
        lh_buf_append_cstr(out, "[]");
        return;
    case DUCKDB_TYPE_ARRAY:
        child_text(duckdb_array_type_child_type(type), depth, out);
        lh_buf_printf(out, "[%" PRIu64 "]", (uint64_t)duckdb_array_type_array_size(type));
        return;
    case DUCKDB_TYPE_STRUCT:
        struct_text(type, depth, out);
        return;
    case DUCKDB_TYPE_UNION:
        union_text(type, depth, out);
        return;
    case DUCKDB_TYPE_MAP:
        lh_buf_append_cstr(out, "MAP(");
        child_text(duckdb_map_type_key_type(type), depth, out);
        lh_buf_append_cstr(out, ", ");
        child_text(duckdb_map_type_value_type(type), depth, out);
        lh_buf_append_char(out, ')');
        return;
    default:
        plain_text(id, out);
        return;
    }
}

void lh_duck_type_text(duckdb_logical_type type, struct lh_buf *out)
{
    /* JSON is a VARCHAR with a name. */
    char *alias = duckdb_logical_type_get_alias(type);
    if (alias != NULL) {
        lh_buf_append_cstr(out, alias);
        duckdb_free(alias);
        return;
    }
    type_text(type, 0, out);
}

static bool type_encodes(duckdb_logical_type type, unsigned depth);

static bool child_encodes(duckdb_logical_type child, unsigned depth)
{
    bool encodes = type_encodes(child, depth + 1);
    duckdb_destroy_logical_type(&child);
    return encodes;
}

/* A key becomes the name of a member, so it must be a plain value. */
static bool key_encodes(duckdb_logical_type key)
{
    duckdb_type id = duckdb_get_type_id(key);
    bool nested = id == DUCKDB_TYPE_LIST || id == DUCKDB_TYPE_ARRAY || id == DUCKDB_TYPE_STRUCT ||
                  id == DUCKDB_TYPE_MAP;
    return child_encodes(key, 0) && !nested;
}

static bool type_encodes(duckdb_logical_type type, unsigned depth)
{
    if (depth > NESTING_MAX)
        return false;
    duckdb_type id = duckdb_get_type_id(type);
    switch (id) {
    case DUCKDB_TYPE_DECIMAL:
    case DUCKDB_TYPE_ENUM:
        return true;
    case DUCKDB_TYPE_LIST:
        return child_encodes(duckdb_list_type_child_type(type), depth);
    case DUCKDB_TYPE_ARRAY:
        return child_encodes(duckdb_array_type_child_type(type), depth);
    case DUCKDB_TYPE_MAP:
        return key_encodes(duckdb_map_type_key_type(type)) &&
               child_encodes(duckdb_map_type_value_type(type), depth);
    case DUCKDB_TYPE_STRUCT: {
        bool encodes = true;
        for (idx_t i = 0; i < duckdb_struct_type_child_count(type) && encodes; i++)
            encodes = child_encodes(duckdb_struct_type_child_type(type, i), depth);
        return encodes;
    }
    default:
        for (size_t i = 0; i < LH_COUNT(plain_types); i++)
            if (plain_types[i].type == id)
                return plain_types[i].encodes;
        return false;
    }
}

bool lh_duck_type_encodes(duckdb_logical_type type)
{
    return type_encodes(type, 0);
}
