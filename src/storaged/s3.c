/*
 * Which operation a request means, and what it must pass before that runs.
 *
 *   1. Host and path say bucket and key (each decoded exactly once; a plus is a plus).
 *   2. The first line of `rules` that fits method, level, sub-resource and header is the operation.
 *   3. A name in the query that this operation does not take, but S3 knows as a sub-resource, is
 *      501: `PUT /b/k?acl` must never store an object. For writes any unknown name is 501.
 *   4. Who asks (s3_auth.c), whether the bucket is there, and whether they may.
 */
#include "storaged/s3.h"

#include "base/mem.h"
#include "base/thread.h"
#include "net/router.h"

#include <string.h>

enum level { SERVICE = 1, BUCKET = 2, OBJECT = 4 };

enum rule_flags {
    NO_BUCKET = 1,   /* runs whether the bucket is there or not */
    OF_PREFIX = 2,   /* concerns the keys below ?prefix=, and not the bucket as such */
    UNSIGNED_OK = 4, /* asks nobody who they are (CORS preflight) */
    EACH_KEY = 8,    /* asks for each key of its body by itself */
    QUICK = 16,      /* worth a try where nothing may wait (LH_ROUTE_TRY) */
    ANYBODY = 32,    /* every key may ask; the answer has what it may see */
};

struct rule {
    unsigned levels;
    unsigned methods;
    const char *query;  /* sub-resource that must be there; NULL = none */
    const char *header; /* header that must be there; NULL = none */
    const char *takes;  /* other names of the query, parted by spaces */
    enum lh_access access;
    unsigned flags;
    lh_s3_operation run;
};

#define R LH_ACCESS_READ
#define W LH_ACCESS_WRITE
#define A LH_ACCESS_ADMIN

static const char list_takes[] = "prefix delimiter marker max-keys encoding-type list-type "
                                 "start-after continuation-token fetch-owner";
static const char versions_takes[] =
    "prefix delimiter key-marker version-id-marker max-keys encoding-type";
static const char uploads_takes[] =
    "prefix delimiter key-marker upload-id-marker max-uploads encoding-type";
static const char get_takes[] =
    "versionId partNumber response-cache-control response-content-disposition "
    "response-content-encoding response-content-language response-content-type response-expires";

/* The first that fits is meant, so lines with a sub-resource stand before those without. */
static const struct rule rules[] = {
    {SERVICE, LH_HTTP_GET, NULL, NULL, "max-buckets continuation-token prefix bucket-region", R,
     NO_BUCKET | ANYBODY, lh_s3_list_buckets},

    {BUCKET | OBJECT, LH_HTTP_OPTIONS, NULL, NULL, "*", R, NO_BUCKET | UNSIGNED_OK,
     lh_s3_preflight},

    {BUCKET, LH_HTTP_GET, "location", NULL, "", R, 0, lh_s3_get_location},
    {BUCKET, LH_HTTP_GET, "versions", NULL, versions_takes, R, OF_PREFIX, lh_s3_list_versions},
    {BUCKET, LH_HTTP_GET, "uploads", NULL, uploads_takes, R, OF_PREFIX, lh_s3_list_uploads},
    {BUCKET, LH_HTTP_GET, "cors", NULL, "", A, 0, lh_s3_get_cors},
    {BUCKET, LH_HTTP_PUT, "cors", NULL, "", A, 0, lh_s3_put_cors},
    {BUCKET, LH_HTTP_DELETE, "cors", NULL, "", A, 0, lh_s3_delete_cors},
    {BUCKET, LH_HTTP_GET, "tagging", NULL, "", A, 0, lh_s3_get_bucket_tags},
    {BUCKET, LH_HTTP_PUT, "tagging", NULL, "", A, 0, lh_s3_put_bucket_tags},
    {BUCKET, LH_HTTP_DELETE, "tagging", NULL, "", A, 0, lh_s3_delete_bucket_tags},
    {BUCKET, LH_HTTP_GET, "lifecycle", NULL, "", A, 0, lh_s3_get_lifecycle},
    {BUCKET, LH_HTTP_PUT, "lifecycle", NULL, "", A, 0, lh_s3_put_lifecycle},
    {BUCKET, LH_HTTP_DELETE, "lifecycle", NULL, "", A, 0, lh_s3_delete_lifecycle},
    {BUCKET, LH_HTTP_GET, "acl", NULL, "", R, 0, lh_s3_get_acl},
    {BUCKET, LH_HTTP_PUT, "acl", NULL, "", A, 0, lh_s3_put_bucket_acl},
    {BUCKET, LH_HTTP_GET, "lakehouse-settings", NULL, "", A, 0, lh_s3_get_settings},
    {BUCKET, LH_HTTP_PUT, "lakehouse-settings", NULL, "", A, 0, lh_s3_put_settings},
    {BUCKET, LH_HTTP_GET, "versioning", NULL, "", R, 0, lh_s3_get_versioning},
    {BUCKET, LH_HTTP_PUT, "versioning", NULL, "", A, 0, lh_s3_put_versioning},
    {BUCKET, LH_HTTP_GET, "policy", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_DELETE, "policy", NULL, "", A, 0, lh_s3_delete_unconfigured},
    {BUCKET, LH_HTTP_GET, "policyStatus", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_GET, "object-lock", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_GET, "encryption", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_DELETE, "encryption", NULL, "", A, 0, lh_s3_delete_unconfigured},
    {BUCKET, LH_HTTP_GET, "website", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_DELETE, "website", NULL, "", A, 0, lh_s3_delete_unconfigured},
    {BUCKET, LH_HTTP_GET, "logging", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_GET, "notification", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_GET, "requestPayment", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_GET, "accelerate", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_GET, "replication", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_DELETE, "replication", NULL, "", A, 0, lh_s3_delete_unconfigured},
    {BUCKET, LH_HTTP_GET, "ownershipControls", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_DELETE, "ownershipControls", NULL, "", A, 0, lh_s3_delete_unconfigured},
    {BUCKET, LH_HTTP_GET, "publicAccessBlock", NULL, "", R, 0, lh_s3_get_unconfigured},
    {BUCKET, LH_HTTP_DELETE, "publicAccessBlock", NULL, "", A, 0, lh_s3_delete_unconfigured},
    {BUCKET, LH_HTTP_POST, "delete", NULL, "", W, EACH_KEY, lh_s3_delete_objects},
    {BUCKET, LH_HTTP_HEAD, NULL, NULL, "", R, 0, lh_s3_head_bucket},
    {BUCKET, LH_HTTP_GET, NULL, NULL, list_takes, R, OF_PREFIX, lh_s3_list_objects},
    {BUCKET, LH_HTTP_PUT, NULL, NULL, "", A, NO_BUCKET, lh_s3_create_bucket},
    {BUCKET, LH_HTTP_DELETE, NULL, NULL, "", A, 0, lh_s3_delete_bucket},

    {OBJECT, LH_HTTP_GET, "uploadId", NULL, "max-parts part-number-marker encoding-type", R, 0,
     lh_s3_list_parts},
    {OBJECT, LH_HTTP_GET, "attributes", NULL, "versionId max-parts part-number-marker", R, 0,
     lh_s3_get_attributes},
    {OBJECT, LH_HTTP_GET, "tagging", NULL, "versionId", R, 0, lh_s3_get_tags},
    {OBJECT, LH_HTTP_PUT, "tagging", NULL, "versionId", W, 0, lh_s3_put_tags},
    {OBJECT, LH_HTTP_DELETE, "tagging", NULL, "versionId", W, 0, lh_s3_delete_tags},
    {OBJECT, LH_HTTP_GET, "acl", NULL, "versionId", R, 0, lh_s3_get_acl},
    {OBJECT, LH_HTTP_PUT, "acl", NULL, "versionId", W, 0, lh_s3_put_object_acl},
    {OBJECT, LH_HTTP_GET | LH_HTTP_HEAD, NULL, NULL, get_takes, R, QUICK, lh_s3_get_object},
    {OBJECT, LH_HTTP_PUT, "uploadId", "x-amz-copy-source", "partNumber", W, 0, lh_s3_copy_part},
    {OBJECT, LH_HTTP_PUT, "uploadId", NULL, "partNumber", W, 0, lh_s3_put_part},
    {OBJECT, LH_HTTP_PUT, NULL, "x-amz-copy-source", "", W, 0, lh_s3_copy_object},
    {OBJECT, LH_HTTP_PUT, NULL, NULL, "", W, QUICK, lh_s3_put_object},
    {OBJECT, LH_HTTP_POST, "uploads", NULL, "", W, 0, lh_s3_create_multipart},
    {OBJECT, LH_HTTP_POST, "uploadId", NULL, "", W, 0, lh_s3_complete_multipart},
    {OBJECT, LH_HTTP_DELETE, "uploadId", NULL, "", W, 0, lh_s3_abort_multipart},
    {OBJECT, LH_HTTP_DELETE, NULL, NULL, "versionId", W, 0, lh_s3_delete_object},
};

/* What S3 knows as a sub-resource or as a choice that changes what is meant, beside those that the
 * rules name. */
static const char *const unserved[] = {
    "abac",
    "analytics",
    "append",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "partNumber",
    "renameObject",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "torrent",
    "versionId",
};

/* ---- bucket and key ---- */

static lh_code decode(struct lh_s3 *s3, lh_str raw, lh_str *ret, struct lh_error *err)
{
    size_t len = 0;
    char *text = lh_arena_alloc(lh_http_arena(s3->x), raw.len + 1);
    if (text == NULL)
        return lh_fail(err, LH_BUSY, "no memory for a name");
    if (!lh_percent_decode(raw, false, text, &len))
        return lh_s3_fail(s3, err, LH_S3_INVALID_URI,
                          "the path holds a percent sign without two hex digits");
    text[len] = '\0';
    *ret = lh_str_of(text, len);
    return LH_OK;
}

static lh_str host_without_port(lh_str host)
{
    const char *colon = host.len > 0 ? memrchr(host.ptr, ':', host.len) : NULL;
    if (colon != NULL)
        host.len = (size_t)(colon - host.ptr);
    return host;
}

/* The bucket in front of one of our domains; empty when Host names none. */
static lh_str bucket_of_host(const struct lh_storaged *storaged, const struct lh_http_exchange *x)
{
    lh_str domains = lh_str_from(storaged->s3_domain);
    if (domains.len == 0)
        return LH_STR("");
    lh_str host = host_without_port(lh_http_header(x, "Host"));
    lh_str domain;
    while (lh_str_next(&domains, ',', &domain)) {
        domain = lh_str_trim(domain);
        if (domain.len == 0 || host.len < domain.len + 2)
            continue;
        size_t bucket_len = host.len - domain.len - 1;
        if (host.ptr[bucket_len] == '.' &&
            lh_str_eq_nocase(lh_str_skip(host, bucket_len + 1), domain))
            return lh_str_of(host.ptr, bucket_len);
    }
    return LH_STR("");
}

bool lh_s3_is_host_of_bucket(const void *service, const struct lh_http_exchange *x)
{
    return bucket_of_host(service, x).len > 0;
}

/* Amazon S3 User Guide, "Virtual hosting of buckets". `/bucket` and `/bucket/` are the same. */
static lh_code find_names(struct lh_s3 *s3, struct lh_error *err)
{
    lh_router_split(lh_http_target(s3->x), &s3->path, &s3->query);
    lh_str rest = lh_str_skip(s3->path, 1);
    s3->bucket_name = bucket_of_host(s3->storaged, s3->x);
    if (s3->bucket_name.len == 0) {
        const char *slash = rest.len > 0 ? memchr(rest.ptr, '/', rest.len) : NULL;
        size_t len = slash != NULL ? (size_t)(slash - rest.ptr) : rest.len;
        LH_TRY(decode(s3, lh_str_of(rest.ptr, len), &s3->bucket_name, err));
        rest = lh_str_skip(rest, slash != NULL ? len + 1 : len);
        if (s3->bucket_name.len == 0 && rest.len > 0)
            return lh_s3_fail(s3, err, LH_S3_INVALID_URI, "the path names no bucket");
    }
    if (rest.len == 0)
        return LH_OK;
    LH_TRY(decode(s3, rest, &s3->key, err));
    return lh_store_check_key(s3->key, err);
}

static enum level level_of(const struct lh_s3 *s3)
{
    if (s3->key.len > 0)
        return OBJECT;
    return s3->bucket_name.len > 0 ? BUCKET : SERVICE;
}

/* ---- the rule ---- */

static bool fits(const struct lh_s3 *s3, const struct rule *rule)
{
    lh_str ignored;
    unsigned method = lh_http_method(s3->x);
    return (rule->levels & level_of(s3)) != 0 && (rule->methods & method) != 0 &&
           (rule->query == NULL || lh_http_query(s3->x, rule->query, &ignored)) &&
           (rule->header == NULL || lh_http_header(s3->x, rule->header).ptr != NULL);
}

static bool in_list(const char *list, lh_str name)
{
    lh_str rest = lh_str_from(list);
    lh_str item;
    while (lh_str_next(&rest, ' ', &item))
        if (item.len > 0 && (lh_str_eq(item, name) || lh_str_is(item, "*")))
            return true;
    return false;
}

static bool is_sub_resource(lh_str name)
{
    for (size_t i = 0; i < LH_COUNT(rules); i++)
        if (rules[i].query != NULL && lh_str_is(name, rules[i].query))
            return true;
    for (size_t i = 0; i < LH_COUNT(unserved); i++)
        if (lh_str_is(name, unserved[i]))
            return true;
    return false;
}

/* Names that say nothing of what is meant: signatures, and what SDKs put beside them. */
static bool is_neutral(lh_str name)
{
    static const char *const neutral[] = {"x-id", "AWSAccessKeyId", "Signature", "Expires"};
    for (size_t i = 0; i < LH_COUNT(neutral); i++)
        if (lh_str_is(name, neutral[i]))
            return true;
    return lh_str_starts_nocase(name, LH_STR("x-amz-"));
}

static lh_code check_query(struct lh_s3 *s3, const struct rule *rule, struct lh_error *err)
{
    bool is_write = (rule->methods & (LH_HTTP_GET | LH_HTTP_HEAD)) == 0;
    for (size_t i = 0; i < lh_http_query_count(s3->x); i++) {
        lh_str name = lh_http_query_at(s3->x, i).name;
        if ((rule->query != NULL && lh_str_is(name, rule->query)) || in_list(rule->takes, name))
            continue;
        if (is_sub_resource(name) || (is_write && !is_neutral(name)))
            return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                              "%s of a %s does not know the query parameter %.*s",
                              lh_http_method_name(lh_http_method(s3->x)),
                              level_of(s3) == OBJECT ? "key" : "bucket",
                              (int)(name.len < 64 ? name.len : 64), name.ptr);
    }
    return LH_OK;
}

/* A form of a browser (Amazon S3 API Reference, "POST Object") is not served; other requests that
 * no rule fits are for no operation of S3 at all, unless a sub-resource says otherwise. */
static lh_code fail_without_rule(struct lh_s3 *s3, struct lh_error *err)
{
    bool is_post = lh_http_method(s3->x) == LH_HTTP_POST;
    for (size_t i = 0; i < lh_http_query_count(s3->x); i++)
        if (is_sub_resource(lh_http_query_at(s3->x, i).name))
            return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "this sub-resource is not served");
    if (is_post && lh_str_starts(lh_http_header(s3->x, "Content-Type"), "multipart/form-data"))
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "uploads by HTML form are not served");
    return lh_s3_fail(s3, err, LH_S3_METHOD_NOT_ALLOWED,
                      "the method %s is not allowed against this resource",
                      lh_http_method_name(lh_http_method(s3->x)));
}

static const struct rule *find_rule(const struct lh_s3 *s3)
{
    for (size_t i = 0; i < LH_COUNT(rules); i++)
        if (fits(s3, &rules[i]))
            return &rules[i];
    return NULL;
}

/* ---- the bucket, and who may ---- */

/* x-amz-expected-bucket-owner: a guard against a name that has come into other hands. */
static lh_code check_owner(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str expected = lh_http_header(s3->x, "x-amz-expected-bucket-owner");
    if (expected.ptr == NULL || lh_str_is(expected, lh_s3_owner_of(&s3->bucket)))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_ACCESS_DENIED, "the bucket has another owner");
}

static lh_code authorize(struct lh_s3 *s3, const struct rule *rule, struct lh_error *err)
{
    lh_str key = s3->key;
    if ((rule->flags & OF_PREFIX) != 0) {
        key = LH_STR("");
        lh_http_query(s3->x, "prefix", &key);
    }
    if ((rule->flags & (UNSIGNED_OK | EACH_KEY)) != 0)
        return LH_OK;
    if ((rule->flags & ANYBODY) != 0 && !s3->who.anonymous)
        return LH_OK;
    return lh_s3_authorize(s3, rule->access, s3->bucket_name, key, err);
}

/* What would have to wait in the end need not begin there; what an Origin may is in the index. */
static lh_code check_quick(const struct lh_s3 *s3, const struct rule *rule, struct lh_error *err)
{
    bool is_quick =
        rule != NULL && (rule->flags & QUICK) != 0 && lh_http_header(s3->x, "Origin").ptr == NULL;
    return is_quick ? LH_OK : lh_check_may_wait("this operation", err);
}

static lh_code serve(struct lh_s3 *s3, struct lh_error *err)
{
    LH_TRY(find_names(s3, err));
    const struct rule *rule = find_rule(s3);
    LH_TRY(check_quick(s3, rule, err));
    if (s3->storaged->store == NULL)
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                          "the objects are in an external S3 store: ask that one");
    struct lh_error missing = LH_ERROR_INIT;
    lh_code found = LH_NOT_FOUND;
    if (s3->bucket_name.len > 0)
        found = lh_bucket_find(s3->storaged->store, s3->bucket_name, &s3->bucket, &missing);
    if (found == LH_OK)
        lh_s3_allow_origin(s3);
    if (rule == NULL)
        return fail_without_rule(s3, err);
    LH_TRY(check_query(s3, rule, err));
    if ((rule->flags & UNSIGNED_OK) == 0)
        LH_TRY(lh_s3_authenticate(s3, err));
    if (found != LH_OK && (rule->flags & NO_BUCKET) == 0)
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_BUCKET, "The specified bucket does not exist");
    if (found == LH_OK)
        LH_TRY(check_owner(s3, err));
    else if (s3->bucket_name.len > 0 && (rule->flags & UNSIGNED_OK) == 0)
        LH_TRY(lh_bucket_check_name(s3->bucket_name, err)); /* it is to be made */
    LH_TRY(authorize(s3, rule, err));
    return rule->run(s3, err);
}

lh_code lh_s3_end(struct lh_s3 *s3, lh_code code, const struct lh_error *failure,
                  struct lh_error *err)
{
    if (code == LH_OK)
        return LH_OK;
    if (s3->is_native || code == LH_WOULD_WAIT || lh_http_started(s3->x)) {
        *err = *failure;
        return code;
    }
    return lh_s3_reply_error(s3, failure, err);
}

lh_code lh_s3_handle(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_s3 s3 = {.storaged = service, .x = x, .body_mode = LH_S3_BODY_UNSIGNED};
    struct lh_error failure = LH_ERROR_INIT;
    lh_http_set_header(x, "Server", LH_STR("Lakehouse"));
    lh_http_set_header(x, "x-amz-request-id", lh_http_request_id(x));
    lh_http_set_header(x, "x-amz-id-2", LH_STR(LH_S3_HOST_ID));
    lh_code code = serve(&s3, &failure);
    return lh_s3_end(&s3, code, &failure, err);
}
