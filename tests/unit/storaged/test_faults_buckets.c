/* Every call on files fails in turn, in what changes buckets, tags and headers. */
#include "unit/storaged/turns.h"

static lh_code set_tags(struct lh_store *store)
{
    static const struct lh_attribute tag = {LH_STR("colour"), LH_STR("red")};
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_attributes tags = {&tag, 1};
    return lh_store_set_tags(store, LH_BUCKET_LAKE, LH_STR("parts"), tags, &err);
}

static lh_code put_with_headers(struct lh_store *store)
{
    static const struct lh_attribute header = {LH_STR("x-amz-meta-a"), LH_STR("b")};
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    const struct lh_upload_options options = {
        .key = LH_STR("small"), .length = 1, .headers = {&header, 1}};
    return sample_put_with(store, options, "x", 1, &created, &err);
}

static lh_code create_bucket(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    return lh_bucket_create(store, LH_STR("new"), "me", &bucket, &err);
}

static lh_code delete_bucket(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_bucket_delete(store, LH_STR("old"), &err);
}

static lh_code set_lifecycle(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_lifecycle_rule rule = {.enabled = true, .expire_days = 100};
    return lh_bucket_set_lifecycle(store, LH_BUCKET_LAKE, &rule, 1, LH_STR("<rule/>"), &err);
}

static const struct action actions[] = {
    {"set tags", set_tags},
    {"put with headers", put_with_headers},
    {"create a bucket", create_bucket},
    {"delete a bucket", delete_bucket},
    {"set a life cycle", set_lifecycle},
};

int main(void)
{
    return turns_run(actions, LH_COUNT(actions));
}
