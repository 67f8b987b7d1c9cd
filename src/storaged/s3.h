/*
 * The S3 door of storaged: what its files share. One request is a struct lh_s3 on the stack of its
 * handler; an operation reads from it, and answers or fails. A failure is answered as S3's XML
 * (s3_error.c): by the word that lh_s3_fail has set, else by the one that fits the lh_code.
 *
 * Reading order: s3.c (which operation is meant), s3_auth.c (who asks, and may they), then one file
 * per family of operations. Wire contract: docs/api/s3.md.
 */
#ifndef LH_STORAGED_S3_H
#define LH_STORAGED_S3_H

#include "base/xml.h"
#include "net/aws_chunked.h"
#include "net/http_server.h"
#include "net/sigv4.h"
#include "service/keys.h"
#include "storaged/api.h"
#include "storaged/bucket.h"
#include "storaged/multipart.h"
#include "storaged/storaged.h"

/* The words of S3's error answers (Amazon S3 API Reference, "Error responses"). */
enum lh_s3_word {
    LH_S3_WORD_NONE, /* by the lh_code */
#define LH_S3_ERROR(name, status, word, message) LH_S3_##name,
#include "storaged/s3_error.def"
#undef LH_S3_ERROR
};

enum lh_s3_body_mode {
    LH_S3_BODY_SIGNED,           /* x-amz-content-sha256 holds the body's SHA-256 */
    LH_S3_BODY_UNSIGNED,         /* UNSIGNED-PAYLOAD, or no signature at all */
    LH_S3_BODY_CHUNKED_SIGNED,   /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
    LH_S3_BODY_CHUNKED_TRAILER,  /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER */
    LH_S3_BODY_UNSIGNED_TRAILER, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
};

struct lh_s3 {
    struct lh_storaged *storaged;
    struct lh_http_exchange *x;
    lh_str path;             /* raw, as it stands in the request line */
    lh_str query;            /* likewise */
    lh_str bucket_name;      /* decoded; empty for the service itself */
    lh_str key;              /* decoded and checked; empty for the bucket itself */
    struct lh_bucket bucket; /* set when the operation needs one that exists */
    struct lh_key who;       /* copy of the key that signed; who.anonymous when nobody did */
    bool signed_request;     /* a signature was given and holds */
    enum lh_s3_body_mode body_mode;
    bool is_native;          /* a request of the native REST: failures are not XML */
    bool checksum_of_object; /* x-amz-checksum-* are not the body's (CompleteMultipartUpload) */
    uint8_t body_sha256[32]; /* of LH_S3_BODY_SIGNED */
    struct lh_sigv4_context signature; /* for the chunks of a signed stream */
    enum lh_s3_word word;              /* of the failure */
};

struct lh_xml;
/* Answers when a body has been stored, or with `code` why it has not. */
typedef lh_code (*lh_s3_stored)(struct lh_s3 *s3, lh_code code, const struct lh_store_info *info,
                                bool created, struct lh_error *err);
typedef lh_code (*lh_s3_operation)(struct lh_s3 *s3, struct lh_error *err);

/* What x-amz-id-2 and <HostId> say: one host. */
#define LH_S3_HOST_ID "lakehouse"
/* The owner of everything where there are no keys, and of the bucket lake. */
#define LH_S3_OWNER "lakehouse"

/* s3.c: the one handler of all S3 paths; service is a struct lh_storaged. Before an operation runs,
 * these are settled: the bucket exists (but for those that make it), the key is valid, nothing in
 * the query asks for what is not served, and the one who asks may do it (copies still have to ask
 * for their source). */
lh_code lh_s3_handle(void *service, struct lh_http_exchange *x, struct lh_error *err);
/* The end of a request that came to `code`: answers a failure in the words of its door. */
lh_code lh_s3_end(struct lh_s3 *s3, lh_code code, const struct lh_error *failure,
                  struct lh_error *err);
/* Whether Host names a bucket (virtual-host style); service is a struct lh_storaged. */
bool lh_s3_is_host_of_bucket(const void *service, const struct lh_http_exchange *x);

/* s3_error.c: fails with that word; its status and code come from s3_error.def. */
#define lh_s3_fail(s3, err, word, ...)                                                             \
    LH_NEVER_OK(lh_s3_fail_call((s3), (err), (word), __VA_ARGS__))
lh_code lh_s3_fail_call(struct lh_s3 *s3, struct lh_error *err, enum lh_s3_word word,
                        const char *format, ...)
    __attribute__((format(printf, 4, 5), warn_unused_result));
/* The word for a failure of the core, which knows nothing of S3. */
enum lh_s3_word lh_s3_word_of(const struct lh_s3 *s3, lh_code code);
/* <Code> and <Message> of a failure that is one item's and not the whole request's. */
void lh_s3_xml_word(struct lh_xml *xml, enum lh_s3_word word);
/* Answers a failure as XML (without a body to HEAD). */
lh_code lh_s3_reply_error(struct lh_s3 *s3, const struct lh_error *failure, struct lh_error *err);

/* s3_auth.c: verifies the signature and fills who, signed_request, body_mode, signature. */
lh_code lh_s3_authenticate(struct lh_s3 *s3, struct lh_error *err);
/* May this key do that with this key of this bucket? Fails with AccessDenied. */
lh_code lh_s3_authorize(struct lh_s3 *s3, enum lh_access access, lh_str bucket, lh_str key,
                        struct lh_error *err);
/* The same as a question. */
bool lh_s3_may(const struct lh_s3 *s3, enum lh_access access, lh_str bucket, lh_str key);

/* s3_xml.c: documents out, straight into a buffer, and in (base/xml.h), as a small tree in the
 * exchange's arena of at most LH_S3_XML_NODES_MAX elements. */
struct lh_xml {
    struct lh_buf *out;
};
void lh_xml_begin(struct lh_xml *xml, const char *root); /* with S3's namespace */
void lh_xml_open(struct lh_xml *xml, const char *element);
void lh_xml_close(struct lh_xml *xml, const char *element);
void lh_xml_text(struct lh_xml *xml, const char *element, lh_str text);
void lh_xml_cstr(struct lh_xml *xml, const char *element, const char *text);
void lh_xml_u64(struct lh_xml *xml, const char *element, uint64_t value);
void lh_xml_bool(struct lh_xml *xml, const char *element, bool value);
void lh_xml_time(struct lh_xml *xml, const char *element, lh_time_ms time);
void lh_xml_quoted(struct lh_xml *xml, const char *element, const char *etag); /* "etag" */
/* A key, percent-encoded when the client asked for encoding-type=url. */
void lh_xml_key(struct lh_xml *xml, const char *element, lh_str key, bool url);

enum { LH_S3_XML_NODES_MAX = 60000, LH_S3_XML_BYTES_MAX = 4 << 20 };
/* An element with all that it holds. */
void lh_xml_node(struct lh_xml *xml, const struct lh_xml_node *node);
/* Appends the document of a tree, in S3's namespace: what we keep of a configuration. */
void lh_s3_xml_copy(struct lh_buf *out, const struct lh_xml_node *root);
/* Reads the whole body (verified against its digests by lh_s3_body_all) and parses it. MalformedXML
 * when it is none or its root has another name. */
lh_code lh_s3_body_xml(struct lh_s3 *s3, const char *root, const struct lh_xml_node **ret_root,
                       struct lh_error *err);
/* Sends a document with status 200; empties the buffer. */
lh_code lh_s3_reply_xml(struct lh_s3 *s3, struct lh_buf *body, struct lh_error *err);

/* s3_body.c: the request's body, decoded and verified. lh_s3_receive streams it into an upload,
 * judged by Content-MD5, x-amz-content-sha256, x-amz-checksum-* in headers or trailers, and
 * x-amz-decoded-content-length. */
struct lh_s3_digests {
    bool has_md5;
    uint8_t md5[16];
    struct lh_checksum checksum;     /* by header; kind NONE when there is none */
    enum lh_checksum_kind trailer;   /* announced by x-amz-trailer; else NONE */
    enum lh_checksum_kind algorithm; /* of x-amz-sdk-checksum-algorithm; else NONE */
};
lh_code lh_s3_take_digests(struct lh_s3 *s3, struct lh_s3_digests *ret, struct lh_error *err);
/* Length of the decoded body, -1 when it is not known. MissingContentLength. */
lh_code lh_s3_body_length(struct lh_s3 *s3, int64_t *ret_length, struct lh_error *err);
lh_code lh_s3_receive(struct lh_s3 *s3, const struct lh_s3_digests *digests,
                      struct lh_upload *upload, struct lh_error *err);
lh_code lh_s3_body_all(struct lh_s3 *s3, size_t bytes_max, lh_str *ret_body, struct lh_error *err);

/* ---- operations: family A, buckets and listings ---- */

/* s3_bucket.c */
const char *lh_s3_owner_of(const struct lh_bucket *bucket);
/* <ID> and <DisplayName> of a user id; the second form puts an element such as <Owner> around. */
void lh_s3_xml_user(const struct lh_s3 *s3, struct lh_xml *xml, const char *user_id);
void lh_s3_xml_owner(const struct lh_s3 *s3, struct lh_xml *xml, const char *element,
                     const char *user_id);
lh_code lh_s3_list_buckets(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_create_bucket(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_head_bucket(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_bucket(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_get_location(struct lh_s3 *s3, struct lh_error *err);
/* s3_list.c */
lh_code lh_s3_list_objects(struct lh_s3 *s3, struct lh_error *err); /* v1 and v2 */
lh_code lh_s3_list_versions(struct lh_s3 *s3, struct lh_error *err);
/* s3_delete.c */
lh_code lh_s3_delete_object(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_objects(struct lh_s3 *s3, struct lh_error *err);
/* s3_cors.c */
lh_code lh_s3_get_cors(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_cors(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_cors(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_preflight(struct lh_s3 *s3, struct lh_error *err);
/* Sets Access-Control-* on the answer when the request has an Origin that the bucket allows. */
void lh_s3_allow_origin(struct lh_s3 *s3);
/* s3_config.c */
/* Answers with a configuration as it is kept; with the failure `missing` when there is none. */
lh_code lh_s3_reply_document(struct lh_s3 *s3, enum lh_bucket_document kind,
                             enum lh_s3_word missing, struct lh_error *err);
/* Keeps a configuration that was found valid; `what` ("tags") for the failure `too_long`. */
lh_code lh_s3_keep_document(struct lh_s3 *s3, enum lh_bucket_document kind,
                            const struct lh_xml_node *root, enum lh_s3_word too_long,
                            const char *what, struct lh_error *err);
lh_code lh_s3_get_bucket_tags(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_bucket_tags(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_bucket_tags(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_get_settings(struct lh_s3 *s3, struct lh_error *err); /* ?lakehouse-settings */
lh_code lh_s3_put_settings(struct lh_s3 *s3, struct lh_error *err);
/* s3_lifecycle.c */
lh_code lh_s3_get_lifecycle(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_lifecycle(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_lifecycle(struct lh_s3 *s3, struct lh_error *err);
/* s3_acl.c: canned ones only */
lh_code lh_s3_get_acl(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_bucket_acl(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_object_acl(struct lh_s3 *s3, struct lh_error *err);
/* What x-amz-acl of a bucket says: private, public-read or public-read-write, as enum
 * lh_public_rights; NotImplemented for other lists. */
lh_code lh_s3_canned_acl(struct lh_s3 *s3, unsigned *ret_rights, struct lh_error *err);
/* s3_version.c */
lh_code lh_s3_get_versioning(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_versioning(struct lh_s3 *s3, struct lh_error *err);
/* s3_canned.c: the answers about what a bucket has not */
lh_code lh_s3_get_unconfigured(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_unconfigured(struct lh_s3 *s3, struct lh_error *err);

/* ---- operations: family B, objects ---- */

/* s3_get.c: also HEAD, ranges, conditions, partNumber, response-* */
lh_code lh_s3_get_object(struct lh_s3 *s3, struct lh_error *err);
/* s3_attributes.c */
lh_code lh_s3_get_attributes(struct lh_s3 *s3, struct lh_error *err);
/* s3_put.c */
lh_code lh_s3_put_object(struct lh_s3 *s3, struct lh_error *err);
/* s3_copy.c */
lh_code lh_s3_copy_object(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_copy_part(struct lh_s3 *s3, struct lh_error *err);
/* s3_multipart.c */
lh_code lh_s3_create_multipart(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_part(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_complete_multipart(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_abort_multipart(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_list_parts(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_list_uploads(struct lh_s3 *s3, struct lh_error *err);
/* s3_tagging.c: of objects */
lh_code lh_s3_get_tags(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_put_tags(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_s3_delete_tags(struct lh_s3 *s3, struct lh_error *err);

#endif
