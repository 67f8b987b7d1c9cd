/* Every call on files fails in turn, in what changes objects of parts, copies, and many deletes at
 * once. */
#include "unit/storaged/turns.h"

static lh_code put_over_parts(struct lh_store *store)
{
    return sample_put(store, "parts", SMALL, 8);
}

static lh_code copy_small(struct lh_store *store)
{
    return sample_copy(store, "small", "copy");
}

static lh_code copy_large(struct lh_store *store)
{
    return sample_copy(store, "large", "copy");
}

static lh_code copy_parts(struct lh_store *store)
{
    return sample_copy(store, "parts", "copy");
}

static lh_code delete_many(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_deletion list[] = {{.key = LH_STR("large")},
                                 {.key = LH_STR("none")},
                                 {.key = LH_STR("parts")},
                                 {.key = LH_STR("small")}};
    return lh_store_delete_many(store, LH_BUCKET_LAKE, list, LH_COUNT(list), &err);
}

static const struct action actions[] = {
    {"put over parts", put_over_parts}, {"copy small", copy_small},   {"copy large", copy_large},
    {"copy parts", copy_parts},         {"delete many", delete_many},
};

int main(void)
{
    return turns_run(actions, LH_COUNT(actions));
}
