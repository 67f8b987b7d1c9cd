/* Every call on files fails in turn, in what changes uploads in parts. */
#include "unit/storaged/turns.h"

static lh_code begin_upload(struct lh_store *store)
{
    char id[LH_UPLOAD_ID_SIZE];
    return sample_begin_upload(store, "small", id);
}

static lh_code put_part(struct lh_store *store)
{
    return sample_put_part(store, "k", upload_id, 4, 0, SMALL, 7);
}

static lh_code put_part_again(struct lh_store *store)
{
    return sample_put_part(store, "k", upload_id, 1, 0, LARGE + 1, 7);
}

/* Over an object with a file, and a part is left out. */
static lh_code complete(struct lh_store *store)
{
    return sample_complete(store, "k", upload_id, 2);
}

static lh_code abort_it(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_multipart_abort(store, LH_BUCKET_LAKE, LH_STR("k"), upload_id, &err);
}

static const struct action actions[] = {
    {"begin an upload", begin_upload},
    {"put a small part", put_part},
    {"put a part again", put_part_again},
    {"complete", complete},
    {"abort", abort_it},
};

int main(void)
{
    return turns_run(actions, LH_COUNT(actions));
}
