/*
 * An open object, for those that read it and for those that copy it.
 */
#ifndef LH_STORAGED_OBJECT_PRIVATE_H
#define LH_STORAGED_OBJECT_PRIVATE_H

#include "storaged/store_private.h"

/* A run of the object's bytes that are one body: all of them, or one part. */
struct lh_piece {
    uint32_t number; /* of the part */
    uint64_t start;
    uint64_t size; /* 0 = none is loaded */
    uint64_t body;
    struct lh_index_object known; /* its sums and payload */
    int fd;                       /* -1 for one that lives in the index */
};

struct lh_object {
    uint32_t magic;
    struct lh_store *store;
    int64_t bucket;
    char *key;
    size_t key_len;
    struct lh_version version; /* that was asked for */
    struct lh_index_row row;
    bool pinned; /* row.body is a list of parts that stays */
    struct lh_piece piece;
    char *block; /* of a file; made by the first read */

    char *headers; /* encoded; the lists borrow from them */
    char *tags;
    size_t headers_len;
    size_t tags_len;
    struct lh_attribute *header_list;
    struct lh_attribute *tag_list;
    size_t header_count;
    size_t tag_count;
};

/* Makes a part the piece at hand. LH_CORRUPT. */
lh_code lh_object_load_part(struct lh_object *object, const struct lh_index_part *part,
                            struct lh_error *err);

#endif
