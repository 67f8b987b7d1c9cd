/*
 * CORS: which pages of other origins may use a bucket from a browser (Amazon S3 User Guide, "Using
 * cross-origin resource sharing"; Fetch Standard, "CORS protocol"). The rules are kept as their
 * document and are read for those requests only that carry an Origin.
 */
#include <stdio.h>
#include <string.h>

#include "storaged/s3.h"

enum { RULES_MAX = 100, VALUE_MAX = 2048 };

/* ---- configuration ---- */

/* At most one star, for any run of bytes. */
static bool matches(lh_str pattern, lh_str text, bool nocase)
{
    const char *star = pattern.len > 0 ? memchr(pattern.ptr, '*', pattern.len) : NULL;
    size_t head = star != NULL ? (size_t)(star - pattern.ptr) : pattern.len;
    size_t tail = star != NULL ? pattern.len - head - 1 : 0;
    if (text.len < head + tail || (star == NULL && text.len != head))
        return false;
    bool (*same)(lh_str, lh_str) = nocase ? lh_str_eq_nocase : lh_str_eq;
    return same(lh_str_of(pattern.ptr, head), lh_str_of(text.ptr, head)) &&
           same(lh_str_skip(pattern, pattern.len - tail), lh_str_skip(text, text.len - tail));
}

static bool is_pattern(lh_str text)
{
    size_t stars = 0;
    for (size_t i = 0; i < text.len; i++)
        stars += text.ptr[i] == '*';
    return text.len > 0 && stars <= 1;
}

static bool is_method(lh_str text)
{
    return lh_str_is(text, "GET") || lh_str_is(text, "PUT") || lh_str_is(text, "POST") ||
           lh_str_is(text, "DELETE") || lh_str_is(text, "HEAD");
}

/* One element of a rule: its name decides what it may hold. */
static bool is_valid_element(const struct lh_xml_node *node)
{
    uint64_t seconds;
    if (lh_str_is(node->name, "AllowedOrigin") || lh_str_is(node->name, "AllowedHeader"))
        return is_pattern(node->text);
    if (lh_str_is(node->name, "AllowedMethod"))
        return is_method(node->text);
    if (lh_str_is(node->name, "ExposeHeader"))
        return lh_http_is_token(node->text);
    if (lh_str_is(node->name, "MaxAgeSeconds"))
        return lh_str_to_u64(node->text, &seconds) && seconds <= INT32_MAX;
    return lh_str_is(node->name, "ID") && node->text.len <= 255;
}

static bool is_valid_rule(const struct lh_xml_node *rule)
{
    if (!lh_str_is(rule->name, "CORSRule") || lh_xml_child(rule, "AllowedOrigin") == NULL ||
        lh_xml_child(rule, "AllowedMethod") == NULL)
        return false;
    for (const struct lh_xml_node *node = rule->first_child; node; node = node->next)
        if (!is_valid_element(node))
            return false;
    return true;
}

lh_code lh_s3_put_cors(struct lh_s3 *s3, struct lh_error *err)
{
    size_t count = 0;
    const struct lh_xml_node *root = NULL;
    LH_TRY(lh_s3_body_xml(s3, "CORSConfiguration", &root, err));
    for (const struct lh_xml_node *rule = root->first_child; rule; rule = rule->next)
        if (++count > RULES_MAX || !is_valid_rule(rule))
            return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "CORS rule %zu is not valid", count);
    if (count == 0)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "there is no CORSRule");
    LH_TRY(lh_s3_keep_document(s3, LH_BUCKET_CORS, root, LH_S3_INVALID_REQUEST, "CORS rules", err));
    return lh_http_reply_empty(s3->x, 200, err);
}

lh_code lh_s3_get_cors(struct lh_s3 *s3, struct lh_error *err)
{
    return lh_s3_reply_document(s3, LH_BUCKET_CORS, LH_S3_NO_SUCH_CORS, err);
}

lh_code lh_s3_delete_cors(struct lh_s3 *s3, struct lh_error *err)
{
    LH_TRY(lh_bucket_set_document(s3->storaged->store, s3->bucket.id, LH_BUCKET_CORS, LH_STR_NONE,
                                  err));
    return lh_http_reply_empty(s3->x, 204, err);
}

/* ---- requests of browsers ---- */

static const struct lh_xml_node *read_rules(struct lh_s3 *s3)
{
    struct lh_error ignored = LH_ERROR_INIT;
    const struct lh_xml_node *root = NULL;
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
    if (lh_bucket_document(s3->storaged->store, s3->bucket.id, LH_BUCKET_CORS, &text, &ignored) !=
            LH_OK ||
        lh_xml_parse(lh_buf_str(&text), LH_S3_XML_NODES_MAX, lh_http_arena(s3->x), &root,
                     &ignored) != LH_OK)
        return NULL;
    return root;
}

/* Whether one of the elements of that name fits the text. */
static const struct lh_xml_node *find_match(const struct lh_xml_node *rule, const char *name,
                                            lh_str text, bool nocase)
{
    const struct lh_xml_node *node = lh_xml_child(rule, name);
    while (node != NULL && !matches(node->text, text, nocase))
        node = lh_xml_next(node);
    return node;
}

static bool allows_headers(const struct lh_xml_node *rule, lh_str headers)
{
    lh_str name;
    while (lh_str_next(&headers, ',', &name)) {
        name = lh_str_trim(name);
        if (name.len > 0 && find_match(rule, "AllowedHeader", name, true) == NULL)
            return false;
    }
    return true;
}

/* The values of all elements of that name, parted by commas. */
static void set_joined(struct lh_s3 *s3, const char *header, const struct lh_xml_node *rule,
                       const char *name)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(VALUE_MAX);
    for (const struct lh_xml_node *node = lh_xml_child(rule, name); node;
         node = lh_xml_next(node)) {
        if (text.len > 0)
            lh_buf_append_cstr(&text, ", ");
        lh_buf_append_str(&text, node->text);
    }
    if (text.len > 0)
        lh_http_set_header(s3->x, header, lh_buf_str(&text));
}

/* The first rule that fits decides. False when none does. */
static bool apply(struct lh_s3 *s3, lh_str origin, lh_str method, lh_str headers)
{
    const struct lh_xml_node *rule = lh_xml_child(read_rules(s3), "CORSRule");
    const struct lh_xml_node *allowed = NULL;
    for (; rule != NULL; rule = lh_xml_next(rule)) {
        allowed = find_match(rule, "AllowedOrigin", origin, false);
        if (allowed != NULL && find_match(rule, "AllowedMethod", method, false) != NULL &&
            allows_headers(rule, headers))
            break;
    }
    if (rule == NULL)
        return false;
    bool anybody = lh_str_is(allowed->text, "*");
    lh_http_set_header(s3->x, "Access-Control-Allow-Origin", anybody ? LH_STR("*") : origin);
    if (!anybody)
        lh_http_set_header(s3->x, "Access-Control-Allow-Credentials", LH_STR("true"));
    lh_http_set_header(s3->x, "Vary",
                       LH_STR("Origin, Access-Control-Request-Headers, "
                              "Access-Control-Request-Method"));
    set_joined(s3, "Access-Control-Allow-Methods", rule, "AllowedMethod");
    set_joined(s3, "Access-Control-Expose-Headers", rule, "ExposeHeader");
    lh_str age = lh_xml_child_text(rule, "MaxAgeSeconds");
    if (age.len > 0)
        lh_http_set_header(s3->x, "Access-Control-Max-Age", age);
    if (headers.len > 0)
        lh_http_set_header(s3->x, "Access-Control-Allow-Headers", headers);
    return true;
}

void lh_s3_allow_origin(struct lh_s3 *s3)
{
    lh_str origin = lh_http_header(s3->x, "Origin");
    lh_str asked = lh_http_header(s3->x, "Access-Control-Request-Method");
    enum lh_http_method method = lh_http_method(s3->x);
    if (origin.ptr == NULL || method == LH_HTTP_OPTIONS)
        return;
    /* Browsers send the header with preflights only; S3 believes it wherever it stands. */
    apply(s3, origin, asked.ptr != NULL ? asked : lh_str_from(lh_http_method_name(method)),
          LH_STR(""));
}

lh_code lh_s3_preflight(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str origin = lh_http_header(s3->x, "Origin");
    lh_str method = lh_http_header(s3->x, "Access-Control-Request-Method");
    lh_str headers = lh_http_header(s3->x, "Access-Control-Request-Headers");
    if (origin.len == 0)
        return lh_s3_fail(s3, err, LH_S3_BAD_REQUEST,
                          "Insufficient information. Origin request header needed.");
    if (!is_method(method))
        return lh_s3_fail(s3, err, LH_S3_BAD_REQUEST, "Invalid Access-Control-Request-Method: %.*s",
                          LH_FMT(method));
    if (s3->bucket.id == 0 || !apply(s3, origin, method, headers))
        return lh_s3_fail(s3, err, LH_S3_ACCESS_FORBIDDEN,
                          "CORSResponse: This CORS request is not allowed.");
    return lh_http_reply_empty(s3->x, 200, err);
}
