/* Any bytes as a manifest: damage that is named, or a dataset that keeps every rule and comes back
 * the same when it is written and read again. */
#include "base/check.h"
#include "catalogd/manifest.h"

enum { BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL, *again = NULL;
    lh_str bytes = lh_str_of((const char *)data, size);
    if (lh_manifest_decode(bytes, BYTES_MAX, &dataset, &err) != LH_OK) {
        LH_CHECK(err.message[0] != '\0');
        return 0;
    }
    LH_CHECK(lh_dataset_check(&dataset->parts, &err) == LH_OK);
    LH_AUTO_BUF struct lh_buf written = LH_BUF_INIT(BYTES_MAX);
    LH_CHECK(lh_manifest_encode(dataset, BYTES_MAX, &written, &err) == LH_OK);
    LH_CHECK(lh_manifest_decode(lh_buf_str(&written), BYTES_MAX, &again, &err) == LH_OK);
    LH_CHECK(lh_dataset_head(again)->id == lh_dataset_head(dataset)->id);
    return 0;
}
