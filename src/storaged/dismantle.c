/*
 * Taking lists of parts apart: those of replaced objects and of uploads that were given up. A list
 * may have ten thousand parts, so the commit that dooms it writes one row, and the keeper does the
 * rest in bites, beside other commits. A list that is being read is left for later.
 *
 *   doomed -> parts and their bodies removed, bite by bite -> their files removed -> forgotten
 */
#include "storaged/store_private.h"

#include "base/log.h"
#include "base/mem.h"

enum { BITE = 256 };

struct bite {
    struct lh_commit commit;
    uint64_t list;
    struct lh_index_part parts[BITE];
    size_t count;
};

static bool add_part(void *ctx, const struct lh_index_part *part)
{
    struct bite *bite = ctx;
    bite->parts[bite->count++] = *part;
    return bite->count < BITE;
}

static lh_code apply_bite(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    const struct bite *bite = (struct bite *)commit;
    commit->changes = true;
    for (size_t i = 0; i < bite->count; i++)
        LH_TRY(lh_index_remove_part(store->index, bite->list, &bite->parts[i], err));
    return bite->count < BITE ? lh_index_end_doom(store->index, bite->list, err) : LH_OK;
}

static void publish_bite(struct lh_store *store, struct lh_commit *commit)
{
    const struct bite *bite = (struct bite *)commit;
    for (size_t i = 0; i < bite->count; i++) {
        if (bite->parts[i].in_file && !bite->parts[i].damaged)
            lh_store_doom_file(store, bite->parts[i].body);
    }
}

static const struct lh_commit_kind bite_kind = {.apply = apply_bite, .publish = publish_bite};

static lh_code take_bite(struct lh_store *store, uint64_t list, struct lh_error *err)
{
    LH_AUTO_FREE struct bite *bite = lh_calloc(1, sizeof(*bite));
    bite->commit.kind = &bite_kind;
    bite->commit.err = LH_ERROR_INIT;
    bite->list = list;
    LH_TRY(lh_index_parts(store->index, list, 0, add_part, bite, err));
    return lh_commit_submit(store, &bite->commit, err);
}

/* The first doomed list that nobody reads; 0 when there is none. */
static lh_code next_list(struct lh_store *store, uint64_t *ret_list, struct lh_error *err)
{
    uint64_t list = 0;
    do
        LH_TRY(lh_index_next_doomed(store->index, list, &list, err));
    while (list != 0 && lh_store_is_pinned(store, list));
    *ret_list = list;
    return LH_OK;
}

bool lh_store_dismantle(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    uint64_t list = 0;
    if (atomic_load(&store->read_only))
        return false;
    lh_code code = next_list(store, &list, &err);
    if (code == LH_OK && list != 0)
        code = take_bite(store, list, &err);
    if (code != LH_OK)
        lh_log_error(LH_LOG_WARN, "parts could not be removed; tried again later", &err);
    return code == LH_OK && list != 0;
}
