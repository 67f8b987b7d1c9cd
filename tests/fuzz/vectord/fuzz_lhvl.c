/* The reader of log objects: any bytes, as they are and under a right checksum. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "vectord/log.h"

static const struct lh_vindex_config config = {
    .name = "docs", .dimension = 2, .uuid = "0190f3a2-7c1e-7000-8000-0123456789ab"};

static void decode(lh_str object)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_lhvl_head head;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    if (lh_lhvl_decode(object, &config, &batch, &head, &err) != LH_OK) {
        LH_CHECK(err.code == LH_CORRUPT);
        return;
    }
    for (size_t i = 0; i < batch.count; i++) {
        const struct lh_change *change = &batch.changes[i];
        LH_CHECK(lh_utf8_valid(change->id) && lh_utf8_valid(change->metadata));
        LH_CHECK((change->kind == LH_CHANGE_UPSERT) == (change->vector != NULL));
        LH_CHECK(change->vector == NULL || isfinite(change->vector[0] + change->vector[1]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LH_AUTO_FREE char *object = lh_malloc(size + sizeof(uint64_t));
    memcpy(object, data, size);
    decode(lh_str_of(object, size));
    uint64_t sum = lh_xxh3(object, size);
    memcpy(object + size, &sum, sizeof(sum));
    decode(lh_str_of(object, size + sizeof(sum)));
    return 0;
}
