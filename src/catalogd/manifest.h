/*
 * The manifest: a dataset as one Parquet file, `_catalog/manifests/{dataset_id}.parquet` in the
 * store. docs/formats/catalog.md names every column. Pure: bytes in, bytes out.
 */
#ifndef LH_CATALOGD_MANIFEST_H
#define LH_CATALOGD_MANIFEST_H

#include "base/buf.h"
#include "catalogd/dataset.h"

#define LH_MANIFEST_PREFIX "_catalog/manifests/"
#define LH_MANIFEST_SUFFIX ".parquet"
enum {
    LH_MANIFEST_KEY_SIZE = sizeof(LH_MANIFEST_PREFIX) + LH_UUID_TEXT + sizeof(LH_MANIFEST_SUFFIX)
};

void lh_manifest_key(const char *dataset_id, char out[LH_MANIFEST_KEY_SIZE]);
/* False for a key that is not a manifest's. */
bool lh_manifest_key_parse(lh_str key, char ret_dataset_id[LH_UUID_TEXT]);

/* The manifest's bytes into `out` (empty before). LH_TOO_LARGE beyond bytes_max. */
lh_code lh_manifest_encode(const struct lh_dataset *dataset, size_t bytes_max, struct lh_buf *out,
                           struct lh_error *err);

/* The dataset, one reference, the caller's. Any damage is LH_CORRUPT: a flipped byte either fails
 * here or changes nothing. LH_UNSUPPORTED: written by a newer version. LH_TOO_LARGE. */
lh_code lh_manifest_decode(lh_str bytes, size_t bytes_max, struct lh_dataset **ret_dataset,
                           struct lh_error *err);

#endif
