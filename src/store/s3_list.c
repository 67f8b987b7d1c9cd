/*
 * Listings: pages of objects (ListObjectsV2) and the account's buckets.
 */
#include "base/mem.h"
#include "base/xml.h"
#include "store/s3_client_private.h"

#include <string.h>

enum {
    QUERY_BYTES_MAX = 12 << 10,
    PAGE_BYTES_MAX = 16 << 20, /* a thousand keys of 1,024 bytes, every byte escaped, and more */
    PAGE_ARENA_BYTES = 32 << 20,
    PAGE_NODES_MAX = 40000, /* a thousand objects with owner and all */
};

/* Keys come percent-encoded, so that they may hold what XML cannot. Some stores write a blank as a
 * plus; none leaves a plus as it is. */
static lh_code decode_key(lh_str text, struct lh_buf *out, struct lh_error *err)
{
    lh_buf_reset(out);
    char *space = lh_buf_reserve(out, text.len);
    size_t len = 0;
    if (space == NULL || !lh_percent_decode(text, true, space, &len))
        return lh_fail(err, LH_BAD_UPSTREAM, "the store's listing has a key that is not encoded");
    lh_buf_commit(out, len);
    return LH_OK;
}

static lh_code read_object(const struct lh_xml_node *node, struct lh_object_info *ret_info,
                           struct lh_error *err)
{
    struct lh_object_info info = {0};
    if (!lh_str_to_u64(lh_xml_child_text(node, "Size"), &info.size) ||
        !lh_s3_take_etag(lh_xml_child_text(node, "ETag"), info.etag))
        return lh_fail(err, LH_BAD_UPSTREAM, "the store's listing has an object without size");
    (void)lh_parse_rfc3339(lh_xml_child_text(node, "LastModified"), &info.modified_ms);
    *ret_info = info;
    return LH_OK;
}

struct visit {
    lh_s3_visitor visitor;
    void *ctx;
    struct lh_buf key;
};

static lh_code visit_objects(struct visit *visit, const struct lh_xml_node *root,
                             struct lh_error *err)
{
    const struct lh_xml_node *node = lh_xml_child(root, "Contents");
    for (; node != NULL; node = lh_xml_next(node)) {
        struct lh_object_info info;
        LH_TRY(decode_key(lh_xml_child_text(node, "Key"), &visit->key, err));
        LH_TRY(read_object(node, &info, err));
        LH_TRY(visit->visitor(visit->ctx, lh_buf_str(&visit->key), &info, err));
    }
    return LH_OK;
}

static lh_code visit_prefixes(struct visit *visit, const struct lh_xml_node *root,
                              struct lh_error *err)
{
    const struct lh_xml_node *node = lh_xml_child(root, "CommonPrefixes");
    for (; node != NULL; node = lh_xml_next(node)) {
        LH_TRY(decode_key(lh_xml_child_text(node, "Prefix"), &visit->key, err));
        LH_TRY(visit->visitor(visit->ctx, lh_buf_str(&visit->key), NULL, err));
    }
    return LH_OK;
}

static lh_code take_token(const struct lh_xml_node *root, struct lh_buf *token,
                          struct lh_error *err)
{
    lh_buf_reset(token);
    if (!lh_str_is(lh_xml_child_text(root, "IsTruncated"), "true"))
        return LH_OK;
    lh_buf_append_str(token, lh_xml_child_text(root, "NextContinuationToken"));
    if (token->len == 0 || lh_buf_overflowed(token))
        return lh_fail(err, LH_BAD_UPSTREAM, "the store's listing cannot be gone on with");
    return LH_OK;
}

/* Parses the answer's body into `arena`; its root must have that name. */
static lh_code parse(const struct lh_s3_answer *answer, const char *name, struct lh_arena *arena,
                     const struct lh_xml_node **ret_root, struct lh_error *err)
{
    lh_code code = lh_xml_parse(lh_buf_str(&answer->body), PAGE_NODES_MAX, arena, ret_root, err);
    if (code == LH_OK && lh_str_is((*ret_root)->name, name))
        return LH_OK;
    return lh_fail(err, LH_BAD_UPSTREAM, "the store's answer is no %s", name);
}

static void add_parameter(struct lh_buf *query, const char *name, lh_str value)
{
    if (value.len == 0)
        return;
    lh_buf_printf(query, "&%s=", name);
    lh_http_encode(query, value, false);
}

lh_code lh_s3_client_list(struct lh_s3_client *client, const struct lh_s3_list *list,
                          lh_s3_visitor visit, void *ctx, struct lh_buf *ret_token,
                          struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf query = LH_BUF_INIT(QUERY_BYTES_MAX);
    lh_buf_printf(&query, "list-type=2&encoding-type=url&max-keys=%u", list->limit);
    add_parameter(&query, "prefix", list->prefix);
    add_parameter(&query, "delimiter", list->delimiter);
    add_parameter(&query, "continuation-token", list->token);
    if (lh_buf_overflowed(&query))
        return lh_fail(err, LH_INVALID, "the prefix or the cursor of the listing is too long");
    const struct lh_s3_call call = {
        .method = LH_HTTP_GET, .bucket = list->bucket, .query = query.data, .limits = list->limits};
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(PAGE_BYTES_MAX);
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(PAGE_ARENA_BYTES);
    const struct lh_xml_node *root = NULL;
    LH_TRY(lh_s3_client_call(client, &call, &answer, err));
    LH_TRY(parse(&answer, "ListBucketResult", &arena, &root, err));
    struct visit state = {visit, ctx, LH_BUF_INIT(PAGE_BYTES_MAX)};
    lh_code code = visit_objects(&state, root, err);
    if (code == LH_OK)
        code = visit_prefixes(&state, root, err);
    lh_buf_deinit(&state.key);
    LH_TRY(code);
    return take_token(root, ret_token, err);
}

lh_code lh_s3_client_list_buckets(struct lh_s3_client *client, const struct lh_s3_limits *limits,
                                  lh_s3_visitor visit, void *ctx, struct lh_error *err)
{
    const struct lh_s3_call call = {.method = LH_HTTP_GET, .limits = *limits};
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(PAGE_BYTES_MAX);
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(PAGE_ARENA_BYTES);
    const struct lh_xml_node *root = NULL;
    LH_TRY(lh_s3_client_call(client, &call, &answer, err));
    LH_TRY(parse(&answer, "ListAllMyBucketsResult", &arena, &root, err));
    const struct lh_xml_node *node = lh_xml_child(lh_xml_child(root, "Buckets"), "Bucket");
    for (; node != NULL; node = lh_xml_next(node)) {
        struct lh_object_info info = {0};
        (void)lh_parse_rfc3339(lh_xml_child_text(node, "CreationDate"), &info.modified_ms);
        LH_TRY(visit(ctx, lh_xml_child_text(node, "Name"), &info, err));
    }
    return LH_OK;
}
