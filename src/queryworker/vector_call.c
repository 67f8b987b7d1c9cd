/* The arguments of vector_search. */
#include "queryworker/vector_call.h"

#include "base/mem.h"

#include <string.h>

enum { BODY_MAX = 8 << 20, NAME_MAX = 1024, DIGITS_MAX = 64 };

static const char usage[] =
    "vector_search('index', [0.1, 0.2, ...], k := 10, ef := 64, filter := '{\"field\": 1}')";

/* An argument: a constant of the tree, or the value of a parameter. */
struct argument {
    uint32_t node;       /* LH_AST_NONE = not given */
    const json_t *bound; /* of a parameter; NULL = a constant */
};

enum argument_kind {
    ARG_INDEX, /* these two by position, the others by name */
    ARG_QUERY,
    ARG_K,
    ARG_EF,
    ARG_FILTER,
    ARG_REFINE,
    ARG_EXACT,
    ARGUMENTS,
};

static const char *const argument_names[ARGUMENTS] = {"index",  "query",  "k",    "ef",
                                                      "filter", "refine", "exact"};

struct reading {
    const struct lh_ast *ast;
    const json_t *params;
    json_t *used;
    struct lh_error *err;
    size_t *offset; /* of what is being looked at */
    size_t call;    /* of the call */
    struct argument arguments[ARGUMENTS];
};

/* ---- places and failures ---- */

static void note_place(struct reading *r, uint32_t node)
{
    uint64_t offset = 0;
    uint32_t location = lh_ast_member(r->ast, node, "query_location");
    if (location != LH_AST_NONE && lh_str_to_u64(lh_ast_raw(r->ast, location), &offset) &&
        offset <= UINT32_MAX)
        *r->offset = (size_t)offset;
}

static lh_code fail_argument(struct reading *r, enum argument_kind kind, const char *wanted)
{
    *r->offset = r->call;
    if (r->arguments[kind].node != LH_AST_NONE)
        note_place(r, r->arguments[kind].node);
    LH_IGNORE(
        lh_fail(r->err, LH_INVALID_SQL, "vector_search: '%s' %s", argument_names[kind], wanted),
        "the hint returns the code");
    return lh_hint(r->err, "%s", usage);
}

/* ---- which argument is which ---- */

static bool class_is(const struct reading *r, uint32_t node, const char *class)
{
    return lh_ast_is(r->ast, lh_ast_member(r->ast, node, "class"), class);
}

static lh_code set_parameter(struct reading *r, uint32_t node, enum argument_kind kind)
{
    LH_AUTO_BUF struct lh_buf name = LH_BUF_INIT(NAME_MAX);
    uint64_t number = 0;
    lh_ast_text(r->ast, lh_ast_member(r->ast, node, "identifier"), &name);
    lh_str text = lh_buf_str(&name);
    const json_t *value = NULL;
    if (json_is_array(r->params) && lh_str_to_u64(text, &number) && number > 0)
        value = json_array_get(r->params, number - 1);
    else if (json_is_object(r->params) && text.len > 0)
        value = json_object_get(r->params, name.data);
    if (value == NULL) {
        LH_IGNORE(lh_fail(r->err, LH_INVALID, "params has no value for $%.*s", LH_FMT(text)),
                  "the hint returns the code");
        return lh_hint(r->err, "params is an array for $1, $2 or ?, and an object for $name");
    }
    json_object_set_new(r->used, name.data, json_true());
    r->arguments[kind].bound = value;
    return LH_OK;
}

static lh_code set_argument(struct reading *r, uint32_t node, enum argument_kind kind)
{
    if (r->arguments[kind].node != LH_AST_NONE)
        return fail_argument(r, kind, "stands twice");
    while (class_is(r, node, "CAST")) /* [...]::FLOAT[3] */
        node = lh_ast_member(r->ast, node, "child");
    if (node == LH_AST_NONE)
        return fail_argument(r, kind, "is not understood");
    r->arguments[kind].node = node;
    note_place(r, node);
    return class_is(r, node, "PARAMETER") ? set_parameter(r, node, kind) : LH_OK;
}

static lh_code set_named(struct reading *r, uint32_t node, lh_str name)
{
    for (enum argument_kind kind = ARG_INDEX; kind < ARGUMENTS; kind++) {
        if (lh_str_eq_nocase(name, lh_str_from(argument_names[kind])))
            return set_argument(r, node, kind);
    }
    const char *nearest = lh_nearest(name, argument_names, ARGUMENTS);
    note_place(r, node);
    LH_IGNORE(lh_fail(r->err, LH_INVALID_SQL, "vector_search has no argument '%.*s'", LH_FMT(name)),
              "the hint returns the code");
    return nearest == NULL ? lh_hint(r->err, "%s", usage)
                           : lh_hint(r->err, "did you mean '%s'?", nearest);
}

/* k := 3 is an alias in the tree, k = 3 a comparison. */
static lh_code take_argument(struct reading *r, uint32_t node, size_t position)
{
    LH_AUTO_BUF struct lh_buf name = LH_BUF_INIT(NAME_MAX);
    lh_ast_text(r->ast, lh_ast_member(r->ast, node, "alias"), &name);
    if (name.len > 0)
        return set_named(r, node, lh_buf_str(&name));
    uint32_t left = lh_ast_member(r->ast, node, "left");
    if (class_is(r, node, "COMPARISON") && class_is(r, left, "COLUMN_REF")) {
        uint32_t names = lh_ast_member(r->ast, left, "column_names");
        uint32_t first = names == LH_AST_NONE ? LH_AST_NONE : lh_ast_child(r->ast, names);
        if (first != LH_AST_NONE)
            lh_ast_text(r->ast, first, &name);
        return set_named(r, lh_ast_member(r->ast, node, "right"), lh_buf_str(&name));
    }
    if (position <= ARG_QUERY)
        return set_argument(r, node, (enum argument_kind)position);
    note_place(r, node);
    LH_IGNORE(lh_fail(r->err, LH_INVALID_SQL,
                      "vector_search has two arguments without a name, the others are named"),
              "the hint returns the code");
    return lh_hint(r->err, "%s", usage);
}

/* ---- constants ---- */

static uint32_t constant(const struct reading *r, uint32_t node)
{
    if (!class_is(r, node, "CONSTANT"))
        return LH_AST_NONE;
    return lh_ast_member(r->ast, lh_ast_member(r->ast, node, "value"), "value");
}

/* The digits of a whole number; one that needs 128 bits is two halves in the tree. */
static bool put_whole(const struct reading *r, uint32_t value, struct lh_buf *out)
{
    if (lh_ast_type(r->ast, value) == LH_AST_SCALAR) {
        lh_buf_append_str(out, lh_ast_raw(r->ast, value));
        return true;
    }
    uint32_t upper = lh_ast_member(r->ast, value, "upper");
    uint32_t lower = lh_ast_member(r->ast, value, "lower");
    int64_t high = 0;
    uint64_t low = 0;
    if (upper == LH_AST_NONE || lower == LH_AST_NONE ||
        !lh_str_to_i64(lh_ast_raw(r->ast, upper), &high) ||
        !lh_str_to_u64(lh_ast_raw(r->ast, lower), &low))
        return false;
    unsigned __int128 bits = (unsigned __int128)(uint64_t)high << 64 | low;
    unsigned __int128 rest = high < 0 ? -bits : bits;
    char digits[DIGITS_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    if (high < 0)
        digits[--at] = '-';
    lh_buf_append(out, digits + at, sizeof(digits) - at);
    return true;
}

/* A number as JSON: a decimal is its digits and a power of ten, so nothing is rounded. */
static bool put_number(const struct reading *r, uint32_t node, struct lh_buf *out)
{
    while (class_is(r, node, "CAST"))
        node = lh_ast_member(r->ast, node, "child");
    uint32_t value = constant(r, node);
    if (value == LH_AST_NONE || lh_ast_type(r->ast, value) == LH_AST_STRING)
        return false;
    lh_str raw = lh_ast_raw(r->ast, value);
    if (lh_str_is(raw, "true") || lh_str_is(raw, "false") || lh_str_is(raw, "null"))
        return false;
    uint32_t type = lh_ast_member(r->ast, lh_ast_member(r->ast, node, "value"), "type");
    uint32_t scale = lh_ast_member(r->ast, lh_ast_member(r->ast, type, "type_info"), "scale");
    if (!put_whole(r, value, out))
        return false;
    if (scale != LH_AST_NONE)
        lh_buf_printf(out, "e-%.*s", LH_FMT(lh_ast_raw(r->ast, scale)));
    return true;
}

/* The text of a constant or parameter; false when it is none. */
static bool text_of(const struct reading *r, const struct argument *argument, struct lh_buf *out)
{
    if (argument->bound != NULL) {
        if (!json_is_string(argument->bound))
            return false;
        lh_buf_append(out, json_string_value(argument->bound), json_string_length(argument->bound));
        return true;
    }
    uint32_t value = constant(r, argument->node);
    if (value == LH_AST_NONE || lh_ast_type(r->ast, value) != LH_AST_STRING)
        return false;
    lh_ast_text(r->ast, value, out);
    return true;
}

/* ---- the body ---- */

static void put_json(struct lh_json *json, const json_t *value)
{
    LH_AUTO_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    lh_json_raw(json, lh_str_from(text));
}

/* A value that may be given as JSON in a text, or as a parameter of that kind. */
static lh_code put_document(struct reading *r, enum argument_kind kind, json_type wanted,
                            const char *what, struct lh_json *json)
{
    const struct argument *argument = &r->arguments[kind];
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(BODY_MAX);
    LH_AUTO_JSON json_t *parsed = NULL;
    const json_t *value = argument->bound;
    if (text_of(r, argument, &text)) {
        struct lh_error wrong = LH_ERROR_INIT;
        if (lh_json_parse(lh_buf_str(&text), &parsed, &wrong) != LH_OK)
            return fail_argument(r, kind, wrong.message);
        value = parsed;
    }
    if (value == NULL || json_typeof(value) != wanted)
        return fail_argument(r, kind, what);
    put_json(json, value);
    return LH_OK;
}

static lh_code put_list(struct reading *r, uint32_t list, struct lh_json *json)
{
    static const char wrong[] =
        "is an array of numbers that stand in the statement, or a parameter";
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(BODY_MAX);
    uint32_t children = lh_ast_member(r->ast, list, "children");
    uint32_t child = children == LH_AST_NONE ? LH_AST_NONE : lh_ast_child(r->ast, children);
    lh_buf_append_char(&text, '[');
    for (; child != LH_AST_NONE; child = lh_ast_next(r->ast, child)) {
        if (text.len > 1)
            lh_buf_append_char(&text, ',');
        if (!put_number(r, child, &text)) {
            note_place(r, child);
            LH_IGNORE(lh_fail(r->err, LH_INVALID_SQL, "vector_search: 'query' %s", wrong),
                      "the hint returns the code");
            return lh_hint(r->err, "%s", usage);
        }
    }
    lh_buf_append_char(&text, ']');
    if (lh_buf_overflowed(&text))
        return fail_argument(r, ARG_QUERY, "is too long");
    lh_json_raw(json, lh_buf_str(&text));
    return LH_OK;
}

static lh_code put_query(struct reading *r, struct lh_json *json)
{
    const struct argument *argument = &r->arguments[ARG_QUERY];
    uint32_t name = lh_ast_member(r->ast, argument->node, "function_name");
    lh_json_key(json, "vector");
    if (argument->bound == NULL && class_is(r, argument->node, "FUNCTION") &&
        (lh_ast_is(r->ast, name, "list_value") || lh_ast_is(r->ast, name, "array_value")))
        return put_list(r, argument->node, json);
    return put_document(r, ARG_QUERY, JSON_ARRAY,
                        "is an array of numbers that stand in the statement, or a parameter", json);
}

static lh_code put_number_argument(struct reading *r, enum argument_kind kind, struct lh_json *json)
{
    const struct argument *argument = &r->arguments[kind];
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(DIGITS_MAX);
    if (argument->node == LH_AST_NONE)
        return LH_OK;
    lh_json_key(json, argument_names[kind]);
    if (argument->bound != NULL && json_is_number(argument->bound))
        put_json(json, argument->bound);
    else if (argument->bound == NULL && put_number(r, argument->node, &text))
        lh_json_raw(json, lh_buf_str(&text));
    else
        return fail_argument(r, kind, "is a number or a parameter");
    return LH_OK;
}

/* In the tree, true is CAST('t' AS BOOLEAN). */
static bool is_word(const struct reading *r, uint32_t value, const char *word)
{
    return value != LH_AST_NONE && lh_ast_is(r->ast, value, word);
}

static lh_code put_exact(struct reading *r, struct lh_json *json)
{
    const struct argument *argument = &r->arguments[ARG_EXACT];
    if (argument->node == LH_AST_NONE)
        return LH_OK;
    uint32_t value = argument->bound == NULL ? constant(r, argument->node) : LH_AST_NONE;
    bool truth = json_is_true(argument->bound) || is_word(r, value, "t");
    if (!truth && !json_is_false(argument->bound) && !is_word(r, value, "f"))
        return fail_argument(r, ARG_EXACT, "is true or false, or a parameter");
    lh_json_kbool(json, argument_names[ARG_EXACT], truth);
    return LH_OK;
}

static lh_code put_body(struct reading *r, struct lh_buf *body)
{
    struct lh_json json = LH_JSON_TO(body);
    lh_json_object(&json);
    LH_TRY(put_query(r, &json));
    LH_TRY(put_number_argument(r, ARG_K, &json));
    LH_TRY(put_number_argument(r, ARG_EF, &json));
    LH_TRY(put_number_argument(r, ARG_REFINE, &json));
    LH_TRY(put_exact(r, &json));
    if (r->arguments[ARG_FILTER].node != LH_AST_NONE) {
        lh_json_key(&json, "filter");
        LH_TRY(put_document(r, ARG_FILTER, JSON_OBJECT, "is a JSON object as a text", &json));
    }
    lh_json_object_end(&json);
    return lh_buf_overflowed(body) ? fail_argument(r, ARG_QUERY, "is too long") : LH_OK;
}

static lh_code read_call(struct reading *r, uint32_t function, struct lh_vector_call *call)
{
    uint32_t children = lh_ast_member(r->ast, function, "children");
    uint32_t child = children == LH_AST_NONE ? LH_AST_NONE : lh_ast_child(r->ast, children);
    for (size_t position = 0; child != LH_AST_NONE; position++) {
        LH_TRY(take_argument(r, child, position));
        child = lh_ast_next(r->ast, child);
    }
    for (enum argument_kind kind = ARG_INDEX; kind <= ARG_QUERY; kind++) {
        if (r->arguments[kind].node == LH_AST_NONE)
            return fail_argument(r, kind, "is missing");
    }
    if (!text_of(r, &r->arguments[ARG_INDEX], &call->index) || call->index.len == 0)
        return fail_argument(r, ARG_INDEX, "is the name of an index, as a text");
    return put_body(r, &call->body);
}

void lh_vector_call_deinit(struct lh_vector_call *call)
{
    lh_buf_deinit(&call->index);
    lh_buf_deinit(&call->body);
}

lh_code lh_vector_call_read(const struct lh_ast *ast, uint32_t function, const json_t *params,
                            json_t *used, struct lh_vector_call *ret_call, size_t *ret_offset,
                            struct lh_error *err)
{
    size_t offset = 0;
    struct reading r = {.ast = ast, .params = params, .used = used, .err = err, .offset = &offset};
    struct lh_vector_call call = {.index = LH_BUF_INIT(NAME_MAX), .body = LH_BUF_INIT(BODY_MAX)};
    for (size_t i = 0; i < ARGUMENTS; i++)
        r.arguments[i].node = LH_AST_NONE;
    note_place(&r, function);
    call.offset = r.call = offset;
    lh_code code = read_call(&r, function, &call);
    if (code != LH_OK) {
        lh_vector_call_deinit(&call);
        *ret_offset = offset;
        return code;
    }
    *ret_call = call;
    return LH_OK;
}
