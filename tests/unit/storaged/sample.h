/*
 * A store for tests: opened with small limits and tended by hand, objects in one line, bodies that
 * tell by themselves what they are.
 */
#ifndef LH_TESTS_UNIT_STORAGED_SAMPLE_H
#define LH_TESTS_UNIT_STORAGED_SAMPLE_H

#include "support/cmocka.h"

#include "base/hash.h"
#include "base/mem.h"
#include "storaged/bucket.h"
#include "storaged/multipart.h"
#include "storaged/storaged.h"
#include "support/fixture.h"

#include <dirent.h>
#include <string.h>

enum { SAMPLE_INLINE_MAX = 64 << 10, SAMPLE_OBJECT_MAX = 4 << 20, SAMPLE_PART_MIN = 1000 };

static inline struct lh_store_options sample_options(const char *dir)
{
    return (struct lh_store_options){
        .dir = dir,
        .object_bytes_max = SAMPLE_OBJECT_MAX,
        .upload_budget_bytes = 64 << 20,
        .inline_bytes_max = SAMPLE_INLINE_MAX,
        .part_bytes_min = SAMPLE_PART_MIN,
        .tend_by_hand = true,
    };
}

static inline struct lh_store *sample_open(const char *dir)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    struct lh_store *store = NULL;
    lh_code code = lh_store_open(&options, &store, &err);
    if (code != LH_OK)
        print_message("cannot open: %s\n", err.message);
    assert_int_equal(code, LH_OK);
    return store;
}

/* Bytes that differ with the seed, at every place. */
static inline char *sample_body(size_t len, uint64_t seed)
{
    char *bytes = lh_malloc(len + 1);
    struct lh_random random = {seed};
    lh_random_fill(&random, bytes, len);
    return bytes;
}

/* Feeds `len` bytes in pieces of at most `piece`. */
static inline lh_code sample_feed(struct lh_upload *upload, const char *bytes, size_t len,
                                  size_t piece, struct lh_error *err)
{
    while (len > 0) {
        void *space;
        size_t room;
        LH_TRY(lh_upload_space(upload, &space, &room, err));
        room = room < piece ? room : piece;
        room = room < len ? room : len;
        memcpy(space, bytes, room);
        LH_TRY(lh_upload_added(upload, room, err));
        bytes += room;
        len -= room;
    }
    return LH_OK;
}

static inline lh_code sample_put_with(struct lh_store *store, struct lh_upload_options options,
                                      const char *bytes, size_t len, bool *ret_created,
                                      struct lh_error *err)
{
    struct lh_upload *upload;
    struct lh_store_info info;
    if (options.bucket == 0)
        options.bucket = LH_BUCKET_LAKE;
    LH_TRY(lh_upload_begin(store, &options, &upload, err));
    lh_code code = sample_feed(upload, bytes, len, 100000, err);
    if (code == LH_OK)
        code = lh_upload_commit(upload, &info, ret_created, err);
    lh_upload_free(upload);
    return code;
}

static inline lh_code sample_put(struct lh_store *store, const char *key, size_t len, uint64_t seed)
{
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    LH_AUTO_FREE char *bytes = sample_body(len, seed);
    return sample_put_with(
        store, (struct lh_upload_options){.key = lh_str_from(key), .length = (int64_t)len}, bytes,
        len, &created, &err);
}

/* The bytes from `start` of the body of that seed as a part of an upload of the bucket lake. */
static inline lh_code sample_put_part(struct lh_store *store, const char *key, const char *id,
                                      uint32_t number, size_t start, size_t len, uint64_t seed)
{
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    LH_AUTO_FREE char *bytes = sample_body(start + len, seed);
    return sample_put_with(store,
                           (struct lh_upload_options){.key = lh_str_from(key),
                                                      .length = (int64_t)len,
                                                      .upload_id = id,
                                                      .part_number = number},
                           bytes + start, len, &created, &err);
}

static inline lh_code sample_begin_upload(struct lh_store *store, const char *key,
                                          char id[LH_UPLOAD_ID_SIZE])
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_multipart_options options = {.bucket = LH_BUCKET_LAKE, .key = lh_str_from(key)};
    return lh_multipart_create(store, &options, id, &err);
}

/* Completes with the parts 1 to count, whatever their etags. */
static inline lh_code sample_complete(struct lh_store *store, const char *key, const char *id,
                                      size_t count)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    struct lh_completion_part parts[16] = {{0}};
    for (size_t i = 0; i < count; i++)
        parts[i].number = (uint32_t)i + 1;
    const struct lh_completion completion = {.bucket = LH_BUCKET_LAKE,
                                             .key = lh_str_from(key),
                                             .id = id,
                                             .parts = parts,
                                             .count = count,
                                             .size = -1};
    return lh_multipart_complete(store, &completion, &info, &err);
}

static inline lh_code sample_copy(struct lh_store *store, const char *from, const char *to)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *source;
    struct lh_store_info info;
    const struct lh_upload_options options = {
        .bucket = LH_BUCKET_LAKE, .key = lh_str_from(to), .length = -1};
    LH_TRY(lh_object_open(store, LH_BUCKET_LAKE, lh_str_from(from), &source, &err));
    lh_code code = lh_store_copy(store, source, &options, &info, &err);
    lh_object_close(source);
    return code;
}

static inline lh_code sample_delete(struct lh_store *store, const char *key)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_store_delete(store, LH_BUCKET_LAKE, lh_str_from(key), NULL, &err);
}

/* The whole object is compared with the body of that seed; its first failure otherwise. */
static inline lh_code sample_compare(struct lh_object *object, size_t len, uint64_t seed,
                                     bool *ret_same)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *expected = sample_body(len, seed);
    *ret_same = lh_object_info(object)->size == len;
    for (uint64_t at = 0; at < lh_object_info(object)->size;) {
        const void *bytes;
        size_t got;
        LH_TRY(lh_object_read(object, at, &bytes, &got, &err));
        *ret_same = *ret_same && memcmp(bytes, expected + at, got) == 0;
        at += got;
    }
    return LH_OK;
}

static inline lh_code sample_get(struct lh_store *store, const char *key, size_t len, uint64_t seed,
                                 bool *ret_same)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    LH_TRY(lh_object_open(store, LH_BUCKET_LAKE, lh_str_from(key), &object, &err));
    lh_code code = sample_compare(object, len, seed, ret_same);
    lh_object_close(object);
    return code;
}

static inline void assert_object(struct lh_store *store, const char *key, size_t len, uint64_t seed)
{
    bool same = false;
    assert_int_equal(sample_get(store, key, len, seed, &same), LH_OK);
    assert_true(same);
}

static inline void assert_absent(struct lh_store *store, const char *key)
{
    bool same;
    assert_int_equal(sample_get(store, key, 0, 0, &same), LH_NOT_FOUND);
}

static inline void sample_tend(struct lh_store *store)
{
    while (lh_store_tend(store)) {
    }
}

static inline struct lh_store_stats sample_stats(struct lh_store *store)
{
    struct lh_store_stats stats;
    lh_store_stats(store, &stats);
    return stats;
}

/* Files below dir/data, in all folders. */
static inline size_t sample_file_count(const char *dir)
{
    size_t count = 0;
    for (unsigned folder = 0; folder < 256; folder++) {
        LH_AUTO_FREE char *path = lh_asprintf("%s/data/%02x", dir, folder);
        DIR *entries = opendir(path);
        assert_non_null(entries);
        for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
            count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        closedir(entries);
    }
    return count;
}

#endif
