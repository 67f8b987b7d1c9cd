/*
 * What a change makes of a dataset: pure functions from the present state and a request to the next
 * state. No I/O, no locks; the store is asked in store.c, the order of things is kept in
 * catalog_write.c.
 */
#ifndef LH_CATALOGD_COMMIT_H
#define LH_CATALOGD_COMMIT_H

#include "catalogd/dataset.h"

enum lh_commit_mode { LH_MODE_CREATE, LH_MODE_APPEND, LH_MODE_REPLACE };

/* A commit as the client asked for it. All texts are borrowed. */
struct lh_commit_request {
    lh_str name; /* canonical */
    lh_str fingerprint;
    enum lh_commit_mode mode;
    int64_t expect_snapshot; /* -1 = no condition; 0 = the dataset must not exist */
    lh_str content_id;       /* "" = none */
    const struct lh_column *columns;
    size_t column_count;
    const struct lh_object *objects; /* their spans and content ids are not looked at */
    size_t object_count;
};

enum lh_commit_status {
    LH_COMMIT_CREATED,
    LH_COMMIT_APPENDED,
    LH_COMMIT_REPLACED,
    LH_COMMIT_UNCHANGED,
    LH_COMMIT_RESTORED,
    LH_COMMIT_RENAMED,
};
const char *lh_commit_status_word(enum lh_commit_status status);

/* Circumstances of a change. */
struct lh_commit_context {
    lh_time_ms now;
    size_t snapshots_max;
};

/* Whether the request makes sense by itself: sizes of texts, sums, keys that are allowed and named
 * once. LH_INVALID, LH_INVALID_KEY, LH_BAD_DATA (422). */
lh_code lh_commit_check(const struct lh_commit_request *request, struct lh_error *err);

/* Register or commit. `current` is NULL for a name that is not known. *ret_next (one reference, the
 * caller's) is NULL when nothing changes (LH_COMMIT_UNCHANGED).
 * LH_EXISTS: create of a known name with other content. LH_FINGERPRINT_CONFLICT. LH_PRECONDITION:
 * expect_snapshot is not the present one. LH_BAD_DATA: an object is part of the dataset already. */
lh_code lh_commit_apply(const struct lh_dataset *current, const struct lh_commit_request *request,
                        const struct lh_commit_context *context, struct lh_dataset **ret_next,
                        enum lh_commit_status *ret_status, struct lh_error *err);

/* A new snapshot with the objects, the contents and the schema of `target`; NULL when that is
 * the present one. LH_NOT_FOUND when there is no such snapshot. */
lh_code lh_restore_apply(const struct lh_dataset *current, int64_t target,
                         const struct lh_commit_context *context, struct lh_dataset **ret_next,
                         struct lh_error *err);

/* The same dataset under another name, which makes it another id: its origin is remembered, so that
 * the manifest under the old id is known to be void. */
struct lh_dataset *lh_rename_apply(const struct lh_dataset *current, lh_str name);

#endif
