/*
 * Datasets for the tests of catalogd: requests in one line, and states made by commits.
 */
#ifndef LH_TESTS_UNIT_CATALOGD_SAMPLE_H
#define LH_TESTS_UNIT_CATALOGD_SAMPLE_H

#include "support/cmocka.h"

#include "base/buf.h"
#include "base/mem.h"
#include "catalogd/commit.h"

#include <stdio.h>
#include <string.h>

static const struct lh_column sample_columns[] = {
    {LH_STR("id"), LH_STR("BIGINT"), false},
    {LH_STR("name \"quoted\""), LH_STR("VARCHAR"), true},
};

static const struct lh_commit_context sample_context = {.now = 1763800000000,
                                                        .snapshots_max = 1000};

/* A request for dataset "sales" with one object of 10 rows and 1,000 bytes per key ("" = none). */
static inline struct lh_commit_request sample_request(enum lh_commit_mode mode, const char *key,
                                                      const char *content_id,
                                                      struct lh_object *object)
{
    *object = (struct lh_object){
        .key = lh_str_from(key),
        .stats = LH_STR("{\"id\":{\"min\":1,\"max\":9,\"nulls\":0}}"),
        .rows = 10,
        .bytes = 1000,
    };
    return (struct lh_commit_request){
        .name = LH_STR("sales"),
        .fingerprint = LH_STR("f1"),
        .mode = mode,
        .expect_snapshot = -1,
        .content_id = lh_str_from(content_id),
        .columns = sample_columns,
        .column_count = LH_COUNT(sample_columns),
        .objects = object,
        .object_count = key[0] != '\0' ? 1 : 0,
    };
}

/* Applies it to *dataset and puts the next state in its place; the status, or -1 with *ret_err. */
static inline int sample_apply(struct lh_dataset **dataset, const struct lh_commit_request *request,
                               struct lh_error *ret_err)
{
    struct lh_dataset *next = NULL;
    enum lh_commit_status status;
    *ret_err = LH_ERROR_INIT;
    if (lh_commit_check(request, ret_err) != LH_OK ||
        lh_commit_apply(*dataset, request, &sample_context, &next, &status, ret_err) != LH_OK)
        return -1;
    assert_true((next == NULL) == (status == LH_COMMIT_UNCHANGED));
    if (next) {
        assert_int_equal(lh_dataset_check(&next->parts, ret_err), LH_OK);
        lh_dataset_unref(*dataset);
        *dataset = next;
    }
    return (int)status;
}

static inline int sample_commit(struct lh_dataset **dataset, enum lh_commit_mode mode,
                                const char *key, const char *content_id)
{
    struct lh_object object;
    struct lh_commit_request request = sample_request(mode, key, content_id, &object);
    struct lh_error err;
    int status = sample_apply(dataset, &request, &err);
    return status >= 0 ? status : -(int)err.code;
}

/* The keys of a snapshot, in the order of the objects: "a b c". Owned by the caller. */
static inline char *sample_keys(const struct lh_dataset *dataset, int64_t snapshot)
{
    struct lh_buf keys = LH_BUF_INIT(1 << 20);
    for (size_t i = 0; i < dataset->parts.object_count; i++) {
        const struct lh_object *object = &dataset->parts.objects[i];
        if (!lh_span_holds(&object->span, snapshot))
            continue;
        if (keys.len > 0)
            lh_buf_append_char(&keys, ' ');
        lh_buf_append_str(&keys, object->key);
    }
    return lh_buf_take(&keys);
}

static inline void sample_restore(struct lh_dataset **dataset, int64_t snapshot)
{
    struct lh_dataset *next = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_restore_apply(*dataset, snapshot, &sample_context, &next, &err), LH_OK);
    assert_non_null(next);
    assert_int_equal(lh_dataset_check(&next->parts, &err), LH_OK);
    lh_dataset_unref(*dataset);
    *dataset = next;
}

#endif
