/*
 * What the operations on objects have in common: the headers of a request that come with an object,
 * and those of its answer. The native REST (api_put.c) reads the same ones in the same way.
 */
#ifndef LH_STORAGED_S3_OBJECT_H
#define LH_STORAGED_S3_OBJECT_H

#include "storaged/s3.h"

/* ---- s3_checksum.c ---- */

enum { LH_S3_CHECKSUM_TEXT = LH_CHECKSUM_TEXT + 11 }; /* base64, "-10000" */

/* The kind that "x-amz-checksum-crc32" and its like speak of; NONE for other names. */
enum lh_checksum_kind lh_s3_checksum_of_header(lh_str name);
/* What is to be computed over the body; NONE = nothing. */
enum lh_checksum_kind lh_s3_digests_kind(const struct lh_s3_digests *digests);
/* The kind that a header such as x-amz-checksum-algorithm names; NONE when it is absent.
 * InvalidRequest for a word that is none. */
lh_code lh_s3_take_algorithm(struct lh_s3 *s3, const char *header, enum lh_checksum_kind *ret,
                             struct lh_error *err);
/* x-amz-checksum-type; *ret_given false when it is absent. InvalidRequest for other words than
 * COMPOSITE and FULL_OBJECT, or one that the kind cannot be. */
lh_code lh_s3_take_checksum_type(struct lh_s3 *s3, enum lh_checksum_kind kind, bool *ret_given,
                                 bool *ret_composite, struct lh_error *err);
/* The checksum of a whole object as CompleteMultipartUpload sends it: a composite one has the
 * number of its parts behind a dash, which must be `part_count`. BadDigest. */
lh_code lh_s3_take_object_checksum(struct lh_s3 *s3, size_t part_count, struct lh_checksum *ret,
                                   struct lh_error *err);

/* part_count 0: of one that is not composite. */
void lh_s3_checksum_text(const struct lh_checksum *sum, uint32_t part_count,
                         char out[LH_S3_CHECKSUM_TEXT]);
/* <ChecksumCRC32> and its like; nothing for kind NONE. */
void lh_s3_xml_checksum(struct lh_xml *xml, const struct lh_checksum *sum, uint32_t part_count);
/* "COMPOSITE" or "FULL_OBJECT" */
const char *lh_s3_checksum_type(bool composite);
/* The header of the kind; nothing for NONE. */
void lh_s3_set_checksum(struct lh_s3 *s3, const struct lh_checksum *sum, uint32_t part_count);
/* The same for a whole object, and x-amz-checksum-type. */
void lh_s3_set_object_checksum(struct lh_s3 *s3, const struct lh_store_info *info);
/* As part_count above. */
uint32_t lh_s3_composite_parts(const struct lh_store_info *info);

/* ---- s3_body.c ---- */

/* The request's body becomes the object or part that `options` describe, verified against every
 * digest that the request names. options->checksum is what must be computed even if it names none;
 * another one that it names is InvalidRequest. `stored` then answers, perhaps after this has
 * returned: a small body does not hold its thread while it waits for its commit. It is called once,
 * also with a failure, those of lh_upload_begin and lh_upload_commit among them. */
lh_code lh_s3_store_body(struct lh_s3 *s3, struct lh_upload_options *options, lh_s3_stored stored,
                         struct lh_error *err);

/* Copies bytes into an upload's window, which is written out as it fills. */
lh_code lh_s3_add_bytes(struct lh_upload *upload, const void *bytes, size_t len,
                        struct lh_error *err);

/* ---- s3_headers.c ---- */

/* What would change the meaning of a write and is not served: encryption, grants, locks, other
 * storage classes, appends. NotImplemented and its like, never silently ignored. */
lh_code lh_s3_refuse_headers(struct lh_s3 *s3, struct lh_error *err);
/* Content type and headers that are kept with an object. InvalidArgument, MetadataTooLarge. */
lh_code lh_s3_take_headers(struct lh_s3 *s3, struct lh_upload_options *options,
                           struct lh_error *err);
/* x-amz-tagging. InvalidArgument, InvalidTag. */
lh_code lh_s3_take_tags(struct lh_s3 *s3, struct lh_attributes *ret_tags, struct lh_error *err);
/* InvalidTag: how many, how long, twice. */
lh_code lh_s3_check_tags(struct lh_s3 *s3, const struct lh_attributes *tags, struct lh_error *err);
struct lh_store_condition lh_s3_condition(const struct lh_s3 *s3);
/* After a conditional write: If-Match of an absent key is NoSuchKey, not PreconditionFailed. */
lh_code lh_s3_condition_failed(struct lh_s3 *s3, lh_code code, struct lh_error *err);
/* partNumber, which must be there, from 1 to LH_PARTS_MAX. InvalidArgument. */
lh_code lh_s3_take_part_number(struct lh_s3 *s3, uint32_t *ret, struct lh_error *err);
/* uploadId, as a string in the arena. */
const char *lh_s3_upload_id(const struct lh_s3 *s3);
void lh_s3_set_etag(struct lh_s3 *s3, const char *etag);
/* A failure of multipart.h: LH_NOT_FOUND becomes NoSuchUpload. */
lh_code lh_s3_no_upload(struct lh_s3 *s3, lh_code code, struct lh_error *err);

/* ---- s3_version.c ---- */

/* An id of a version. NoSuchVersion for one that no version can have. */
lh_code lh_s3_parse_version(struct lh_s3 *s3, lh_str id, struct lh_version *ret,
                            struct lh_error *err);
/* versionId; absent: the current one. */
lh_code lh_s3_take_version(struct lh_s3 *s3, struct lh_version *ret, struct lh_error *err);
void lh_s3_set_version_header(struct lh_s3 *s3, const char *header, struct lh_version version);
/* x-amz-version-id of what was written; nothing where versioning is not enabled. */
void lh_s3_set_written_version(struct lh_s3 *s3, const struct lh_store_info *info);
/* An object, of which the bucket says how it is versioned. NoSuchVersion, NoSuchKey; a delete
 * marker is MethodNotAllowed when it is asked for. Sets the headers that tell of a marker. */
lh_code lh_s3_open_version(struct lh_s3 *s3, const struct lh_bucket *bucket, lh_str key,
                           struct lh_version version, struct lh_object **ret_object,
                           struct lh_error *err);
/* The one that bucket, key and versionId of the request name; sets x-amz-version-id. */
lh_code lh_s3_open(struct lh_s3 *s3, struct lh_object **ret_object, struct lh_error *err);

/* ---- s3_multipart.c ---- */

/* Upload id and part number of the query, and the checksum that the upload wants of its parts.
 * InvalidArgument, NoSuchUpload. */
lh_code lh_s3_begin_part(struct lh_s3 *s3, struct lh_upload_options *ret_options,
                         struct lh_error *err);
/* What CompleteMultipartUpload is asked for, by its headers and its document; points into the arena
 * and to *checksum. MalformedXML, InvalidArgument, BadDigest. */
lh_code lh_s3_take_completion(struct lh_s3 *s3, struct lh_completion *ret,
                              struct lh_checksum *checksum, struct lh_error *err);

/* ---- s3_copy.c ---- */

struct lh_s3_source {
    lh_str bucket_name;
    lh_str key;
    struct lh_version version;
    struct lh_bucket bucket;
    struct lh_object *object;
};
/* Bucket and key that x-amz-copy-source names, decoded into the arena. InvalidArgument,
 * NoSuchVersion. */
lh_code lh_s3_take_source(struct lh_s3 *s3, struct lh_s3_source *source, struct lh_error *err);

struct lh_s3_run {
    uint64_t offset;
    uint64_t len;
};
/* x-amz-copy-source-range of a source of that size; the whole when there is none. InvalidArgument,
 * InvalidRange. */
lh_code lh_s3_take_run(struct lh_s3 *s3, uint64_t size, struct lh_s3_run *ret,
                       struct lh_error *err);

#endif
