/*
 * Listing versions: one page of the versions and delete markers of keys, read in one snapshot, by
 * key and the newest first. As in a listing of objects the walk jumps behind each common prefix.
 */
#include <string.h>

#include "base/check.h"
#include "storaged/list.h"
#include "storaged/store_private.h"

struct page {
    struct lh_store *store;
    const struct lh_version_list_options *options;
    lh_version_visitor visit;
    void *ctx;
    struct lh_index_walk *walk;
    size_t count;
    bool full;
    struct lh_position last; /* the key of the entry before: its others are not the latest */
};

/* Where the page begins. *ret_below: of the first key only versions with lower numbers. A null
 * version that has gone since leaves nothing to go on behind but the key itself. */
static lh_code first_position(const struct page *page, struct lh_position *ret, uint64_t *ret_below,
                              struct lh_error *err)
{
    const struct lh_version_list_options *options = page->options;
    lh_str from = options->prefix;
    bool inside = lh_str_compare(options->key_after, options->prefix) >= 0;
    *ret_below = INT64_MAX;
    if (inside)
        from = options->key_after;
    if (from.len > 0)
        memcpy(ret->bytes, from.ptr, from.len);
    ret->len = from.len;
    if (!inside || from.len == 0)
        return LH_OK;
    if (options->in_key && options->version_after.kind == LH_VERSION_NUMBERED) {
        *ret_below = options->version_after.number;
        return LH_OK;
    }
    struct lh_index_row row;
    lh_code code = LH_NOT_FOUND;
    if (options->in_key)
        code = lh_index_head_version(page->store->index, options->bucket, from,
                                     options->version_after, &row, err);
    if (code == LH_OK)
        *ret_below = row.info.version;
    else if (code == LH_NOT_FOUND)
        ret->bytes[ret->len++] = '\0'; /* the next place in the order of keys */
    else
        return code;
    return LH_OK;
}

static void emit(struct page *page, lh_str name, const struct lh_store_info *info)
{
    bool is_latest = !lh_str_eq(name, lh_str_of(page->last.bytes, page->last.len));
    memcpy(page->last.bytes, name.ptr, name.len);
    page->last.len = name.len;
    page->count++;
    page->full = !page->visit(page->ctx, lh_str_of(page->last.bytes, name.len), info, is_latest) ||
                 page->count == page->options->limit;
}

/* A common prefix; one that does not lie behind key_after was on the page before. */
static lh_code emit_prefix(struct page *page, lh_str common, bool *ret_end, struct lh_error *err)
{
    struct lh_position behind;
    *ret_end = !lh_position_after_prefix(common, &behind);
    if (lh_str_compare(common, page->options->key_after) > 0)
        emit(page, common, NULL);
    return *ret_end ? LH_OK
                    : lh_index_walk_seek_version(page->walk, lh_str_of(behind.bytes, behind.len),
                                                 INT64_MAX, err);
}

static lh_code fill(struct page *page, bool *ret_more, struct lh_error *err)
{
    const struct lh_version_list_options *options = page->options;
    bool end = false;
    *ret_more = false;
    while (!end) {
        lh_str key;
        struct lh_index_row row;
        LH_TRY(lh_index_walk_next(page->walk, &key, &row, err));
        if (!key.ptr || !lh_begins_with(key, options->prefix))
            return LH_OK;
        if (page->full) {
            *ret_more = true;
            return LH_OK;
        }
        lh_str common = lh_common_prefix(key, options->prefix, options->delimiter);
        if (common.ptr)
            LH_TRY(emit_prefix(page, common, &end, err));
        else
            emit(page, key, &row.info);
    }
    return LH_OK;
}

lh_code lh_store_list_versions(struct lh_store *store,
                               const struct lh_version_list_options *options,
                               lh_version_visitor visit, void *ctx, bool *ret_more,
                               struct lh_error *err)
{
    LH_CHECK(options->limit > 0);
    LH_TRY(lh_list_check_part("prefix", options->prefix, err));
    LH_TRY(lh_list_check_part("delimiter", options->delimiter, err));
    LH_TRY(lh_list_check_part("start", options->key_after, err));
    struct page page = {.store = store, .options = options, .visit = visit, .ctx = ctx};
    struct lh_position first;
    uint64_t below = 0;
    LH_TRY(first_position(&page, &first, &below, err));
    if (below != INT64_MAX)
        page.last = first; /* what is newer was on the page before */
    LH_TRY(lh_index_walk_versions(store->index, options->bucket, &page.walk, err));
    lh_code code =
        lh_index_walk_seek_version(page.walk, lh_str_of(first.bytes, first.len), below, err);
    if (code == LH_OK)
        code = fill(&page, ret_more, err);
    lh_index_walk_end(page.walk);
    return code;
}
