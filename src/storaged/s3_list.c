/*
 * Listings: ListObjects, ListObjectsV2 and ListObjectVersions over one page of the store. Entries
 * go from the index straight into the answer's text; common prefixes gather in a second buffer,
 * since they stand behind the objects.
 */
#include <string.h>

#include "base/number.h"
#include "storaged/s3.h"

enum {
    /* A page ends early when it has so many bytes, whatever its limit: memory follows this bound.
     */
    PAGE_BYTES = 4 << 20,
    PAGE_BYTES_MAX = PAGE_BYTES + (64 << 10), /* the last entry and the frame */
};

enum kind { LIST_V1, LIST_V2, LIST_VERSIONS };

struct listing {
    struct lh_s3 *s3;
    enum kind kind;
    struct lh_list_options options;
    uint64_t max_keys; /* as it is told to the client */
    bool url;          /* encoding-type=url */
    bool with_owner;
    lh_str owner; /* the element <Owner>, made once */
    struct lh_xml keys;
    struct lh_xml prefixes;
    uint64_t count;
    struct lh_version_list_options versions; /* of LIST_VERSIONS, beside `options` */
    struct lh_version last_version;
    bool more;
    size_t last_len; /* the name behind which the next page begins */
    bool last_is_key;
    char last[LH_STORE_KEY_MAX];
    char cursor[LH_STORE_CURSOR_MAX]; /* "" = there is no more */
};

/* ---- one entry ---- */

static void add_checksum(struct lh_xml *xml, const struct lh_store_info *info)
{
    if (info->checksum.kind == LH_CHECKSUM_NONE)
        return;
    lh_xml_cstr(xml, "ChecksumAlgorithm", lh_checksum_name(info->checksum.kind));
    lh_xml_cstr(xml, "ChecksumType", info->checksum_composite ? "COMPOSITE" : "FULL_OBJECT");
}

static void add_body(struct listing *listing, const struct lh_store_info *info)
{
    struct lh_xml *xml = &listing->keys;
    lh_xml_quoted(xml, "ETag", info->etag);
    add_checksum(xml, info);
    lh_xml_u64(xml, "Size", info->size);
    if (listing->with_owner)
        lh_buf_append_str(xml->out, listing->owner);
    lh_buf_append_cstr(xml->out, "<StorageClass>STANDARD</StorageClass>");
}

static void add_key(struct listing *listing, lh_str name, const struct lh_store_info *info)
{
    struct lh_xml *xml = &listing->keys;
    lh_xml_open(xml, "Contents");
    lh_xml_key(xml, "Key", name, listing->url);
    lh_xml_time(xml, "LastModified", info->modified_ms);
    add_body(listing, info);
    lh_xml_close(xml, "Contents");
}

static void add_version(struct listing *listing, lh_str name, const struct lh_store_info *info,
                        bool is_latest)
{
    struct lh_xml *xml = &listing->keys;
    const char *element = info->delete_marker ? "DeleteMarker" : "Version";
    char id[LH_VERSION_ID_SIZE];
    lh_version_id(lh_version_of(info), id);
    lh_xml_open(xml, element);
    lh_xml_key(xml, "Key", name, listing->url);
    lh_xml_cstr(xml, "VersionId", id);
    lh_xml_bool(xml, "IsLatest", is_latest);
    lh_xml_time(xml, "LastModified", info->modified_ms);
    if (info->delete_marker)
        lh_buf_append_str(xml->out, listing->owner);
    else
        add_body(listing, info);
    lh_xml_close(xml, element);
}

static void add_prefix(struct listing *listing, lh_str name)
{
    lh_xml_open(&listing->prefixes, "CommonPrefixes");
    lh_xml_key(&listing->prefixes, "Prefix", name, listing->url);
    lh_xml_close(&listing->prefixes, "CommonPrefixes");
}

/* Remembers where the page is; false when it is full. */
static bool go_on(struct listing *listing, lh_str name, bool is_key)
{
    listing->count++;
    listing->last_is_key = is_key;
    listing->last_len = name.len < sizeof(listing->last) ? name.len : sizeof(listing->last);
    memcpy(listing->last, name.ptr, listing->last_len);
    return listing->keys.out->len + listing->prefixes.out->len < PAGE_BYTES;
}

static bool add_entry(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    struct listing *listing = ctx;
    (void)damaged; /* it is there; to read it says what is wrong with it */
    if (info)
        add_key(listing, name, info);
    else
        add_prefix(listing, name);
    return go_on(listing, name, info != NULL);
}

static bool add_version_entry(void *ctx, lh_str name, const struct lh_store_info *info,
                              bool is_latest)
{
    struct listing *listing = ctx;
    if (info) {
        add_version(listing, name, info, is_latest);
        /* By its number, also a null one: it is found again when that one has gone. */
        listing->last_version =
            (struct lh_version){.kind = info->version > 0 ? LH_VERSION_NUMBERED : LH_VERSION_NULL,
                                .number = info->version};
    } else {
        add_prefix(listing, name);
    }
    return go_on(listing, name, info != NULL);
}

/* ---- the request ---- */

static lh_str query_or_empty(const struct lh_s3 *s3, const char *name)
{
    lh_str value = LH_STR("");
    lh_http_query(s3->x, name, &value);
    return value;
}

static lh_code take_common(struct listing *listing, struct lh_error *err)
{
    struct lh_s3 *s3 = listing->s3;
    uint64_t most = s3->storaged->list_limit_max;
    uint64_t max_keys = most;
    lh_str encoding = LH_STR_NONE;
    if (query_or_empty(s3, "max-keys").len > 0)
        LH_TRY(lh_http_query_u64(s3->x, "max-keys", 0, INT32_MAX, &max_keys, err));
    if (lh_http_query(s3->x, "encoding-type", &encoding) && !lh_str_is(encoding, "url"))
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "encoding-type must be url");
    listing->url = encoding.ptr != NULL;
    listing->max_keys = max_keys < most ? max_keys : most;
    listing->options.bucket = s3->bucket.id;
    listing->options.prefix = query_or_empty(s3, "prefix");
    listing->options.delimiter = query_or_empty(s3, "delimiter");
    listing->options.limit = (size_t)listing->max_keys;
    return LH_OK;
}

static lh_code take_v2(struct listing *listing, struct lh_error *err)
{
    struct lh_s3 *s3 = listing->s3;
    if (!lh_str_is(query_or_empty(s3, "list-type"), "2"))
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "list-type must be 2");
    listing->kind = LIST_V2;
    listing->options.cursor = query_or_empty(s3, "continuation-token");
    listing->options.after = query_or_empty(s3, "start-after");
    listing->with_owner = lh_str_eq_nocase(query_or_empty(s3, "fetch-owner"), LH_STR("true"));
    return LH_OK;
}

static lh_code take_versions(struct listing *listing, struct lh_error *err)
{
    struct lh_s3 *s3 = listing->s3;
    struct lh_version_list_options *options = &listing->versions;
    lh_str version = query_or_empty(s3, "version-id-marker");
    *options = (struct lh_version_list_options){
        .bucket = listing->options.bucket,
        .prefix = listing->options.prefix,
        .delimiter = listing->options.delimiter,
        .key_after = query_or_empty(s3, "key-marker"),
        .in_key = version.len > 0,
        .limit = listing->options.limit,
    };
    listing->options.after = options->key_after;
    listing->with_owner = true;
    if (version.len > 0 && options->key_after.len == 0)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "a version-id-marker cannot be given without a key-marker");
    if (version.len > 0 && !lh_version_parse(version, &options->version_after))
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "version-id-marker is not one of ours");
    return LH_OK;
}

/* ---- the answer ---- */

static void add_markers_v1(struct listing *listing, struct lh_xml *xml)
{
    lh_xml_key(xml, "Marker", listing->options.after, listing->url);
    if (listing->more && listing->options.delimiter.len > 0)
        lh_xml_key(xml, "NextMarker", lh_str_of(listing->last, listing->last_len), listing->url);
}

static void add_markers_v2(struct listing *listing, struct lh_xml *xml)
{
    lh_str token = LH_STR_NONE;
    lh_xml_u64(xml, "KeyCount", listing->count);
    if (listing->options.after.len > 0)
        lh_xml_key(xml, "StartAfter", listing->options.after, listing->url);
    if (lh_http_query(listing->s3->x, "continuation-token", &token))
        lh_xml_text(xml, "ContinuationToken", token);
    if (listing->more)
        lh_xml_cstr(xml, "NextContinuationToken", listing->cursor);
}

static void add_markers_versions(struct listing *listing, struct lh_xml *xml)
{
    lh_xml_key(xml, "KeyMarker", listing->options.after, listing->url);
    lh_xml_text(xml, "VersionIdMarker", query_or_empty(listing->s3, "version-id-marker"));
    if (!listing->more)
        return;
    lh_xml_key(xml, "NextKeyMarker", lh_str_of(listing->last, listing->last_len), listing->url);
    char id[LH_VERSION_ID_SIZE];
    lh_version_id(listing->last_version, id);
    if (listing->last_is_key)
        lh_xml_cstr(xml, "NextVersionIdMarker", id);
}

/* What stands behind the objects: it is known only when they have been read. */
static void add_frame(struct listing *listing, struct lh_xml *xml)
{
    lh_xml_text(xml, "Name", lh_str_from(listing->s3->bucket.name));
    /* botocore decodes every element of a V1 listing but this one. */
    lh_xml_key(xml, "Prefix", listing->options.prefix, listing->url && listing->kind != LIST_V1);
    if (listing->options.delimiter.len > 0)
        lh_xml_key(xml, "Delimiter", listing->options.delimiter, listing->url);
    lh_xml_u64(xml, "MaxKeys", listing->max_keys);
    if (listing->url)
        lh_xml_cstr(xml, "EncodingType", "url");
    lh_xml_bool(xml, "IsTruncated", listing->more);
    switch (listing->kind) {
    case LIST_V1:
        add_markers_v1(listing, xml);
        break;
    case LIST_V2:
        add_markers_v2(listing, xml);
        break;
    case LIST_VERSIONS:
        add_markers_versions(listing, xml);
        break;
    }
}

static lh_code fill(struct listing *listing, struct lh_error *err)
{
    struct lh_store *store = listing->s3->storaged->store;
    if (listing->kind == LIST_VERSIONS)
        return lh_store_list_versions(store, &listing->versions, add_version_entry, listing,
                                      &listing->more, err);
    LH_TRY(lh_store_list(store, &listing->options, add_entry, listing, listing->cursor, err));
    listing->more = listing->cursor[0] != '\0';
    return LH_OK;
}

static lh_code run(struct listing *listing, struct lh_error *err)
{
    const char *root = listing->kind == LIST_VERSIONS ? "ListVersionsResult" : "ListBucketResult";
    struct lh_s3 *s3 = listing->s3;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT((size_t)2 * PAGE_BYTES_MAX);
    LH_AUTO_BUF struct lh_buf prefixes = LH_BUF_INIT(PAGE_BYTES_MAX);
    LH_AUTO_BUF struct lh_buf owner = LH_BUF_INIT(1024);
    struct lh_xml owner_xml = {&owner};
    lh_s3_xml_owner(s3, &owner_xml, "Owner", lh_s3_owner_of(&s3->bucket));
    listing->owner = lh_buf_str(&owner);
    listing->keys.out = &body;
    listing->prefixes.out = &prefixes;
    lh_xml_begin(&listing->keys, root);
    if (listing->options.limit > 0)
        LH_TRY(fill(listing, err));
    lh_buf_append_str(&body, lh_buf_str(&prefixes));
    add_frame(listing, &listing->keys);
    lh_xml_close(&listing->keys, root);
    return lh_s3_reply_xml(s3, &body, err);
}

lh_code lh_s3_list_objects(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str type;
    struct listing listing = {.s3 = s3, .kind = LIST_V1, .with_owner = true};
    LH_TRY(take_common(&listing, err));
    if (lh_http_query(s3->x, "list-type", &type))
        LH_TRY(take_v2(&listing, err));
    else
        listing.options.after = query_or_empty(s3, "marker");
    return run(&listing, err);
}

lh_code lh_s3_list_versions(struct lh_s3 *s3, struct lh_error *err)
{
    struct listing listing = {.s3 = s3, .kind = LIST_VERSIONS};
    LH_TRY(take_common(&listing, err));
    LH_TRY(take_versions(&listing, err));
    return run(&listing, err);
}
