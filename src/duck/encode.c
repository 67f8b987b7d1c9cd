/*
 * The encoder: a tree of vectors for the columns, made once from the types and pointed at each new
 * chunk, and a window of fixed size before the sink.
 */
#include "duck/encode_private.h"

#include "base/mem.h"
#include "duck/statement_private.h"

#include <string.h>

/* ---- the window ---- */

void lh_out_flush(struct lh_out *out)
{
    if (out->len > 0 && out->failure.code == LH_OK)
        LH_IGNORE(out->sink(out->sink_ctx, out->data, out->len, &out->failure),
                  "told at the end of the chunk");
    out->len = 0;
}

static void out_bytes_plain(struct lh_out *out, const char *bytes, size_t len)
{
    while (len > 0) {
        if (out->len == LH_OUT_BYTES)
            lh_out_flush(out);
        size_t part = LH_OUT_BYTES - out->len;
        if (part > len)
            part = len;
        memcpy(out->data + out->len, bytes, part);
        out->len += part;
        bytes += part;
        len -= part;
    }
}

void lh_out_bytes_slow(struct lh_out *out, const char *bytes, size_t len)
{
    if (!out->double_quotes) {
        out_bytes_plain(out, bytes, len);
        return;
    }
    while (len > 0) {
        const char *quote = memchr(bytes, '"', len);
        size_t part = quote != NULL ? (size_t)(quote - bytes) + 1 : len;
        out_bytes_plain(out, bytes, part);
        if (quote != NULL)
            out_bytes_plain(out, "\"", 1);
        bytes += part;
        len -= part;
    }
}

/* ---- vectors ---- */

static void vector_init(struct lh_vector *v, duckdb_logical_type type);

static void vector_child(struct lh_vector *child, duckdb_logical_type type)
{
    vector_init(child, type);
    duckdb_destroy_logical_type(&type);
}

static void vector_children(struct lh_vector *v, size_t count)
{
    v->child_count = count;
    v->children = lh_calloc(count + 1, sizeof(*v->children));
}

static void vector_init_struct(struct lh_vector *v, duckdb_logical_type type)
{
    vector_children(v, duckdb_struct_type_child_count(type));
    v->names = lh_calloc(v->child_count + 1, sizeof(*v->names));
    for (idx_t i = 0; i < v->child_count; i++) {
        v->names[i] = duckdb_struct_type_child_name(type, i);
        vector_child(&v->children[i], duckdb_struct_type_child_type(type, i));
    }
}

static void vector_init_enum(struct lh_vector *v, duckdb_logical_type type)
{
    v->storage = duckdb_enum_internal_type(type);
    v->dictionary_count = duckdb_enum_dictionary_size(type);
    v->dictionary = lh_calloc(v->dictionary_count + 1, sizeof(*v->dictionary));
    for (idx_t i = 0; i < v->dictionary_count; i++)
        v->dictionary[i] = duckdb_enum_dictionary_value(type, i);
}

static void vector_init(struct lh_vector *v, duckdb_logical_type type)
{
    v->type = duckdb_get_type_id(type);
    switch (v->type) {
    case DUCKDB_TYPE_DECIMAL:
        v->storage = duckdb_decimal_internal_type(type);
        v->scale = duckdb_decimal_scale(type);
        break;
    case DUCKDB_TYPE_ENUM:
        vector_init_enum(v, type);
        break;
    case DUCKDB_TYPE_STRUCT:
        vector_init_struct(v, type);
        break;
    case DUCKDB_TYPE_LIST:
        vector_children(v, 1);
        vector_child(&v->children[0], duckdb_list_type_child_type(type));
        break;
    case DUCKDB_TYPE_ARRAY:
        v->array_size = duckdb_array_type_array_size(type);
        vector_children(v, 1);
        vector_child(&v->children[0], duckdb_array_type_child_type(type));
        break;
    case DUCKDB_TYPE_MAP:
        vector_children(v, 2);
        vector_child(&v->children[0], duckdb_map_type_key_type(type));
        vector_child(&v->children[1], duckdb_map_type_value_type(type));
        break;
    default:
        break;
    }
}

static void vector_deinit(struct lh_vector *v)
{
    for (size_t i = 0; i < v->child_count; i++) {
        vector_deinit(&v->children[i]);
        if (v->names != NULL)
            duckdb_free(v->names[i]);
    }
    for (size_t i = 0; i < v->dictionary_count; i++)
        duckdb_free(v->dictionary[i]);
    free(v->dictionary);
    free(v->names);
    free(v->children);
}

static void vector_point(struct lh_vector *v, duckdb_vector vector)
{
    v->data = duckdb_vector_get_data(vector);
    v->validity = duckdb_vector_get_validity(vector);
    switch (v->type) {
    case DUCKDB_TYPE_STRUCT:
        for (idx_t i = 0; i < v->child_count; i++)
            vector_point(&v->children[i], duckdb_struct_vector_get_child(vector, i));
        break;
    case DUCKDB_TYPE_LIST:
        vector_point(&v->children[0], duckdb_list_vector_get_child(vector));
        break;
    case DUCKDB_TYPE_ARRAY:
        vector_point(&v->children[0], duckdb_array_vector_get_child(vector));
        break;
    case DUCKDB_TYPE_MAP: { /* a list of structs of key and value */
        duckdb_vector entries = duckdb_list_vector_get_child(vector);
        vector_point(&v->children[0], duckdb_struct_vector_get_child(entries, 0));
        vector_point(&v->children[1], duckdb_struct_vector_get_child(entries, 1));
        break;
    }
    default:
        break;
    }
}

lh_str lh_vector_enum(const struct lh_vector *v, idx_t row)
{
    uint64_t index = 0;
    switch (v->storage) {
    case DUCKDB_TYPE_UTINYINT:
        index = ((const uint8_t *)v->data)[row];
        break;
    case DUCKDB_TYPE_USMALLINT:
        index = ((const uint16_t *)v->data)[row];
        break;
    default:
        index = ((const uint32_t *)v->data)[row];
        break;
    }
    LH_CHECK(index < v->dictionary_count);
    return lh_str_from(v->dictionary[index]);
}

/* ---- the encoder ---- */

lh_code lh_duck_encoder_new(struct lh_duck_statement *s, enum lh_duck_format format,
                            lh_duck_sink sink, void *sink_ctx, struct lh_duck_encoder **ret_encoder,
                            struct lh_error *err)
{
    static const struct lh_row_format *const formats[] = {
        [LH_DUCK_JSON] = &lh_format_json,
        [LH_DUCK_NDJSON] = &lh_format_ndjson,
        [LH_DUCK_CSV] = &lh_format_csv,
    };
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    for (size_t i = 0; i < s->column_count; i++)
        if (!s->columns[i].encodes)
            return lh_fail(err, LH_UNSUPPORTED,
                           "the column \"%s\" has the type %s, which is not written: cast it",
                           s->columns[i].name, s->columns[i].type_text);

    struct lh_duck_encoder *e = lh_calloc(1, sizeof(*e));
    e->statement = s;
    e->format = formats[format];
    e->out = (struct lh_out){.data = lh_malloc(LH_OUT_BYTES), .sink = sink, .sink_ctx = sink_ctx};
    e->columns = lh_calloc(s->column_count + 1, sizeof(*e->columns));
    for (size_t i = 0; i < s->column_count; i++)
        vector_init(&e->columns[i], s->columns[i].type);
    if (format == LH_DUCK_NDJSON)
        e->keys = lh_encode_keys(s);
    *ret_encoder = e;
    return LH_OK;
}

void lh_duck_encoder_free(struct lh_duck_encoder *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->statement->column_count; i++) {
        vector_deinit(&e->columns[i]);
        if (e->keys != NULL)
            free(e->keys[i]);
    }
    free(e->keys);
    free(e->columns);
    free(e->out.data);
    free(e);
}

void lh_duck_encode_head(struct lh_duck_encoder *e)
{
    e->format->head(e);
}

lh_code lh_duck_encode_rows(struct lh_duck_encoder *e, size_t count, struct lh_error *err)
{
    struct lh_duck_statement *s = e->statement;
    LH_CHECK(s->chunk != NULL && count <= duckdb_data_chunk_get_size(s->chunk));
    for (idx_t i = 0; i < s->column_count; i++)
        vector_point(&e->columns[i], duckdb_data_chunk_get_vector(s->chunk, i));
    for (idx_t row = 0; row < count && e->out.failure.code == LH_OK; row++) {
        e->format->row(e, row);
        e->rows++;
    }
    if (e->out.failure.code != LH_OK)
        *err = e->out.failure;
    return e->out.failure.code;
}

void lh_duck_encode_tail(struct lh_duck_encoder *e, const struct lh_duck_summary *summary)
{
    e->format->tail(e, summary);
}

lh_code lh_duck_encode_flush(struct lh_duck_encoder *e, struct lh_error *err)
{
    lh_out_flush(&e->out);
    if (e->out.failure.code != LH_OK)
        *err = e->out.failure;
    return e->out.failure.code;
}
