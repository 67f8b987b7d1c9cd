/* The column of one field: a number for every slot, and the dictionary behind the numbers. */
#include "vectord/column.h"

#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

enum {
    TABLE_MIN = 256,
    KIND_BYTES = 1,
    NUMBER_BYTES = KIND_BYTES + sizeof(double) + sizeof(int32_t),
    TEXT_HEAD_BYTES = KIND_BYTES + sizeof(uint32_t),
    EXPANSION = 16, /* a value's text is two bytes with its comma, its code 13 */
};

/* ---- counted memory ---- */

void *lh_counted_grow(struct lh_counted *counted, void *array, size_t *capacity, size_t need,
                      size_t element_bytes, struct lh_error *err)
{
    size_t wanted = *capacity + *capacity / 2;
    wanted = wanted < need ? need : wanted;
    uint64_t more = (uint64_t)(wanted - *capacity) * element_bytes;
    if (lh_budget_take(counted->budget, more, err) != LH_OK)
        return NULL;
    void *grown = lh_try_malloc(wanted, element_bytes);
    if (grown == NULL) {
        lh_budget_give(counted->budget, more);
        LH_IGNORE(lh_fail(err, LH_INDEX_MEMORY, "no memory for the index of a field"),
                  "the caller returns the code");
        return NULL;
    }
    if (array != NULL)
        memcpy(grown, array, *capacity * element_bytes);
    free(array);
    counted->bytes += more;
    *capacity = wanted;
    return grown;
}

void lh_counted_free(struct lh_counted *counted, void *array, size_t capacity, size_t element_bytes)
{
    uint64_t bytes = (uint64_t)capacity * element_bytes;
    free(array);
    counted->bytes -= bytes;
    lh_budget_give(counted->budget, bytes);
}

/* ---- life ---- */

void lh_column_init(struct lh_column *column, lh_str field)
{
    memset(column, 0, sizeof(*column));
    column->field = lh_strndup(field.ptr, field.len);
}

void lh_column_deinit(struct lh_column *column, struct lh_counted *counted)
{
    lh_counted_free(counted, column->codes, column->code_max, sizeof(*column->codes));
    lh_counted_free(counted, column->contents, column->content_max, sizeof(*column->contents));
    lh_counted_free(counted, column->bytes, column->byte_max, 1);
    lh_counted_free(counted, column->table, column->table_size, sizeof(*column->table));
    free(column->field);
    memset(column, 0, sizeof(*column));
}

/* ---- contents as bytes ---- */

static void encode(void *ctx, const struct lh_value *value)
{
    struct lh_buf *out = ctx;
    lh_buf_append_char(out, (char)value->kind);
    if (value->kind == LH_VALUE_STRING) {
        uint32_t len = (uint32_t)value->text.len;
        lh_buf_append(out, &len, sizeof(len));
        lh_buf_append_str(out, value->text);
    } else {
        lh_buf_append(out, &value->number, sizeof(value->number));
        lh_buf_append(out, &value->rest, sizeof(value->rest));
    }
}

/* The first of the values; returns what is behind it. */
static lh_str decode(lh_str bytes, struct lh_value *ret)
{
    *ret = (struct lh_value){.kind = (enum lh_value_kind)bytes.ptr[0]};
    if (ret->kind != LH_VALUE_STRING) {
        memcpy(&ret->number, bytes.ptr + KIND_BYTES, sizeof(ret->number));
        memcpy(&ret->rest, bytes.ptr + KIND_BYTES + sizeof(ret->number), sizeof(ret->rest));
        return lh_str_skip(bytes, NUMBER_BYTES);
    }
    uint32_t len;
    memcpy(&len, bytes.ptr + KIND_BYTES, sizeof(len));
    ret->text = lh_str_of(bytes.ptr + TEXT_HEAD_BYTES, len);
    return lh_str_skip(bytes, TEXT_HEAD_BYTES + len);
}

static lh_str content_bytes(const struct lh_column *column, uint32_t code)
{
    const struct lh_content *content = &column->contents[code];
    if (content->len == 0)
        return LH_STR(""); /* there may be no bytes at all */
    return lh_str_of(column->bytes + content->offset, content->len);
}

bool lh_column_takes(const struct lh_column *column, const struct lh_filter *condition,
                     uint32_t code)
{
    LH_DCHECK(code < column->content_count);
    if (code == 0 || condition->kind == LH_FILTER_EXISTS)
        return code != 0;
    lh_str rest = content_bytes(column, code);
    while (rest.len > 0) {
        struct lh_value value;
        rest = decode(rest, &value);
        if (lh_filter_takes(condition, &value))
            return true;
    }
    return false;
}

/* ---- the dictionary ---- */

static void table_put(uint32_t *table, size_t size, uint32_t tag, uint32_t code)
{
    size_t at = tag & (size - 1);
    while (table[at] != 0)
        at = (at + 1) & (size - 1);
    table[at] = code;
}

/* The code of a content, or 0. */
static uint32_t table_find(const struct lh_column *column, lh_str bytes, uint32_t tag)
{
    size_t mask = column->table_size - 1;
    for (size_t at = tag & mask; column->table[at] != 0; at = (at + 1) & mask) {
        uint32_t code = column->table[at];
        if (column->contents[code].tag == tag && lh_str_eq(content_bytes(column, code), bytes))
            return code;
    }
    return 0;
}

/* At most two thirds full. */
static lh_code fit_table(struct lh_column *column, struct lh_counted *counted, struct lh_error *err)
{
    size_t wanted = column->content_count + 1;
    if (column->table_size > 0 && wanted + wanted / 2 <= column->table_size)
        return LH_OK;
    size_t size = 0, next = column->table_size == 0 ? TABLE_MIN : 2 * column->table_size;
    uint32_t *table = lh_counted_grow(counted, NULL, &size, next, sizeof(*table), err);
    if (table == NULL)
        return err->code;
    memset(table, 0, size * sizeof(*table));
    for (uint32_t code = 1; code < column->content_count; code++)
        table_put(table, size, column->contents[code].tag, code);
    lh_counted_free(counted, column->table, column->table_size, sizeof(*table));
    column->table = table;
    column->table_size = size;
    return LH_OK;
}

static lh_code fit_contents(struct lh_column *column, size_t more_bytes, struct lh_counted *counted,
                            struct lh_error *err)
{
    if (column->content_count == column->content_max) {
        struct lh_content *grown =
            lh_counted_grow(counted, column->contents, &column->content_max,
                            column->content_count + 1, sizeof(*column->contents), err);
        if (grown == NULL)
            return err->code;
        column->contents = grown;
    }
    if (column->byte_count + more_bytes > column->byte_max) {
        char *grown = lh_counted_grow(counted, column->bytes, &column->byte_max,
                                      column->byte_count + more_bytes, 1, err);
        if (grown == NULL)
            return err->code;
        column->bytes = grown;
    }
    return LH_OK;
}

static lh_code intern(struct lh_column *column, lh_str bytes, struct lh_counted *counted,
                      uint32_t *ret_code, struct lh_error *err)
{
    uint32_t tag = (uint32_t)lh_xxh3(bytes.ptr, bytes.len);
    LH_TRY(fit_table(column, counted, err));
    uint32_t code = table_find(column, bytes, tag);
    if (code == 0) {
        LH_TRY(fit_contents(column, bytes.len, counted, err));
        code = (uint32_t)column->content_count++;
        column->contents[code] = (struct lh_content){column->byte_count, (uint32_t)bytes.len, tag};
        if (bytes.len > 0)
            memcpy(column->bytes + column->byte_count, bytes.ptr, bytes.len);
        column->byte_count += bytes.len;
        table_put(column->table, column->table_size, tag, code);
    }
    *ret_code = code;
    return LH_OK;
}

/* ---- reading slots ---- */

static lh_code read_slot(struct lh_column *column, const struct lh_vindex *index,
                         struct lh_buf *scratch, struct lh_counted *counted, struct lh_error *err)
{
    uint32_t code = 0;
    lh_str metadata = lh_vindex_metadata(index, column->slots);
    lh_buf_reset(scratch);
    scratch->max = EXPANSION * metadata.len + EXPANSION;
    if (lh_metadata_walk(metadata, lh_str_from(column->field), encode, scratch)) {
        LH_CHECK(!lh_buf_overflowed(scratch));
        LH_TRY(intern(column, lh_buf_str(scratch), counted, &code, err));
    }
    column->codes[column->slots++] = code;
    return LH_OK;
}

lh_code lh_column_catch_up(struct lh_column *column, const struct lh_vindex *index, uint32_t slots,
                           struct lh_counted *counted, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf scratch = {0};
    if (column->content_count == 0) {
        LH_TRY(fit_contents(column, 0, counted, err));
        column->contents[column->content_count++] = (struct lh_content){0};
    }
    if (slots > column->code_max) {
        uint32_t *grown = lh_counted_grow(counted, column->codes, &column->code_max, slots,
                                          sizeof(*column->codes), err);
        if (grown == NULL)
            return err->code;
        column->codes = grown;
    }
    while (column->slots < slots)
        LH_TRY(read_slot(column, index, &scratch, counted, err));
    return LH_OK;
}
