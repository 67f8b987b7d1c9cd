/* Any text as the body of a commit: a refusal that says why, or a request that makes a dataset
 * which survives its manifest. */
#include "base/check.h"
#include "catalogd/commit_json.h"
#include "catalogd/manifest.h"

enum { BYTES_MAX = 4 << 20 };

static void commit(const struct lh_commit_request *request)
{
    const struct lh_commit_context context = {.now = 1, .snapshots_max = 2};
    struct lh_error err = LH_ERROR_INIT;
    enum lh_commit_status status;
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL, *back = NULL;
    if (lh_commit_apply(NULL, request, &context, &dataset, &status, &err) != LH_OK) {
        LH_CHECK(err.code == LH_PRECONDITION);
        return;
    }
    LH_AUTO_BUF struct lh_buf bytes = LH_BUF_INIT(BYTES_MAX);
    LH_CHECK(lh_manifest_encode(dataset, BYTES_MAX, &bytes, &err) == LH_OK);
    LH_CHECK(lh_manifest_decode(lh_buf_str(&bytes), BYTES_MAX, &back, &err) == LH_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lh_commit_limits limits = {.columns_max = 100, .objects_max = 100};
    struct lh_error err = LH_ERROR_INIT;
    json_t *root = NULL;
    if (lh_json_parse(lh_str_of((const char *)data, size), &root, &err) != LH_OK)
        return 0;
    LH_AUTO_COMMIT_BODY struct lh_commit_body body = {0};
    if (lh_commit_body_parse(root, &limits, &body, &err) == LH_OK &&
        lh_commit_check(&body.request, &err) == LH_OK)
        commit(&body.request);
    else
        LH_CHECK(err.message[0] != '\0');
    return 0;
}
