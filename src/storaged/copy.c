/*
 * Copies of whole objects. The bytes stay where they are when the file system can give a file a
 * second name: a copy is then a commit and no more. Part by part for an object in parts: under an
 * upload of our own that nobody sees, and that the keeper ends when a crash has cut it off.
 */
#include "storaged/object_private.h"

lh_code lh_store_copy(struct lh_store *store, struct lh_object *source,
                      const struct lh_upload_options *options, struct lh_store_info *ret_info,
                      struct lh_error *err)
{
    (void)store, (void)source, (void)options, (void)ret_info;
    return lh_fail(err, LH_UNSUPPORTED, "copies are not there yet");
}
