/*
 * Listing: one page of keys in byte order, read in one snapshot of the index. With a delimiter, the
 * walk jumps behind each common prefix as soon as it has seen one key of it, so a page costs what
 * it returns and not what lies below its prefixes.
 */
#include "storaged/cursor.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storaged/list.h"
#include "storaged/store_private.h"

/* ---- cursors ---- */

enum { CURSOR_VERSION = 1, CURSOR_HEAD = 6 };

static uint32_t cursor_check(const struct lh_cursor *cursor, lh_str prefix, lh_str delimiter)
{
    const char kind[2] = {'\0', (char)cursor->kind};
    struct lh_xxh3 *state = lh_xxh3_new();
    lh_xxh3_update(state, prefix.ptr, prefix.len);
    lh_xxh3_update(state, kind, 1);
    lh_xxh3_update(state, delimiter.ptr, delimiter.len);
    lh_xxh3_update(state, kind, sizeof(kind));
    lh_xxh3_update(state, cursor->position, cursor->len);
    uint32_t check = (uint32_t)lh_xxh3_value(state);
    lh_xxh3_free(state);
    return check;
}

void lh_cursor_encode(const struct lh_cursor *cursor, lh_str prefix, lh_str delimiter,
                      char out[LH_STORE_CURSOR_MAX])
{
    unsigned char bytes[CURSOR_HEAD + LH_STORE_KEY_MAX];
    LH_CHECK(cursor->len > 0 && cursor->len <= LH_STORE_KEY_MAX);
    uint32_t check = cursor_check(cursor, prefix, delimiter);
    bytes[0] = CURSOR_VERSION;
    bytes[1] = (unsigned char)cursor->kind;
    for (int i = 0; i < 4; i++)
        bytes[2 + i] = (unsigned char)(check >> (8 * i));
    memcpy(bytes + CURSOR_HEAD, cursor->position, cursor->len);
    lh_hex(bytes, CURSOR_HEAD + cursor->len, out);
}

static bool decode(lh_str text, lh_str prefix, lh_str delimiter, struct lh_cursor *cursor)
{
    unsigned char bytes[CURSOR_HEAD + LH_STORE_KEY_MAX];
    size_t len = text.len / 2;
    if (text.len % 2 != 0 || len <= CURSOR_HEAD || len > sizeof(bytes) ||
        !lh_unhex(text, bytes, len))
        return false;
    if (bytes[0] != CURSOR_VERSION || (bytes[1] != LH_CURSOR_KEY && bytes[1] != LH_CURSOR_PREFIX))
        return false;
    cursor->kind = bytes[1] == LH_CURSOR_KEY ? LH_CURSOR_KEY : LH_CURSOR_PREFIX;
    cursor->len = len - CURSOR_HEAD;
    memcpy(cursor->position, bytes + CURSOR_HEAD, cursor->len);
    uint32_t check = 0;
    for (int i = 3; i >= 0; i--)
        check = check << 8 | bytes[2 + i];
    return check == cursor_check(cursor, prefix, delimiter);
}

lh_code lh_cursor_decode(lh_str text, lh_str prefix, lh_str delimiter, struct lh_cursor *ret_cursor,
                         struct lh_error *err)
{
    if (decode(text, prefix, delimiter, ret_cursor))
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID, "the cursor is not one of this listing"),
              "the hint returns it");
    return lh_hint(err, "pass `next` of the page before, with the same prefix and delimiter");
}

/* ---- positions ---- */

bool lh_position_after_prefix(lh_str prefix, struct lh_position *ret)
{
    size_t len = prefix.len;
    while (len > 0 && (unsigned char)prefix.ptr[len - 1] == 0xff)
        len--;
    if (len == 0)
        return false;
    memcpy(ret->bytes, prefix.ptr, len);
    ret->bytes[len - 1] = (char)((unsigned char)ret->bytes[len - 1] + 1);
    ret->len = len;
    return true;
}

/* The first string after this one. */
static void after_key(lh_str key, struct lh_position *ret)
{
    memcpy(ret->bytes, key.ptr, key.len);
    ret->bytes[key.len] = '\0';
    ret->len = key.len + 1;
}

bool lh_begins_with(lh_str key, lh_str prefix)
{
    return lh_str_eq(lh_str_of(key.ptr, key.len < prefix.len ? key.len : prefix.len), prefix);
}

lh_str lh_common_prefix(lh_str key, lh_str prefix, lh_str delimiter)
{
    if (delimiter.len == 0)
        return LH_STR_NONE;
    const char *rest = key.ptr + prefix.len;
    const char *found = memmem(rest, key.len - prefix.len, delimiter.ptr, delimiter.len);
    return found ? lh_str_of(key.ptr, (size_t)(found - key.ptr) + delimiter.len) : LH_STR_NONE;
}

/* ---- the page ---- */

struct page {
    struct lh_store *store;
    const struct lh_list_options *options;
    lh_list_visitor visit;
    void *ctx;
    struct lh_index_walk *walk;
    size_t count;
    bool full;
    struct lh_cursor last; /* the last entry; len 0 = none yet */
};

/* Where the page begins; false when nothing can follow. */
static bool first_position(const struct lh_list_options *options, const struct lh_cursor *cursor,
                           struct lh_position *ret)
{
    lh_str last = lh_str_of(cursor->position, cursor->len);
    if (cursor->len == 0 && lh_str_compare(options->after, options->prefix) >= 0 &&
        options->after.len > 0) {
        after_key(options->after, ret);
        return true;
    }
    if (cursor->len == 0) {
        if (options->prefix.len > 0)
            memcpy(ret->bytes, options->prefix.ptr, options->prefix.len);
        ret->len = options->prefix.len;
        return true;
    }
    if (cursor->kind == LH_CURSOR_PREFIX)
        return lh_position_after_prefix(last, ret);
    after_key(last, ret);
    return true;
}

static void emit(struct page *page, enum lh_cursor_kind kind, lh_str name,
                 const struct lh_store_info *info, bool damaged)
{
    page->last.kind = kind;
    page->last.len = name.len;
    memcpy(page->last.position, name.ptr, name.len);
    page->count++;
    page->full = !page->visit(page->ctx, lh_str_of(page->last.position, name.len), info, damaged) ||
                 page->count == page->options->limit;
}

/* Goes on behind all keys with this common prefix. *ret_end: there are none. */
static lh_code jump_behind(struct page *page, lh_str prefix, bool *ret_end, struct lh_error *err)
{
    struct lh_position behind;
    *ret_end = !lh_position_after_prefix(prefix, &behind);
    return *ret_end ? LH_OK
                    : lh_index_walk_seek(page->walk, lh_str_of(behind.bytes, behind.len), err);
}

/* S3's start-after and marker: a common prefix that does not lie behind it was on the page before,
 * even if some of its keys do. */
static bool is_before_start(const struct lh_list_options *options, lh_str common)
{
    return options->cursor.len == 0 && options->after.len > 0 &&
           lh_str_compare(common, options->after) <= 0;
}

/* Fills the page. *ret_more: it is full and another entry follows. */
static lh_code fill(struct page *page, bool *ret_more, struct lh_error *err)
{
    const struct lh_list_options *options = page->options;
    bool end = false;
    while (!end) {
        lh_str key;
        struct lh_index_row row;
        LH_TRY(lh_index_walk_next(page->walk, &key, &row, err));
        if (!key.ptr || !lh_begins_with(key, options->prefix))
            break;
        if (page->full) {
            *ret_more = true;
            return LH_OK;
        }
        lh_str common = lh_common_prefix(key, options->prefix, options->delimiter);
        if (common.ptr) {
            if (!is_before_start(options, common))
                emit(page, LH_CURSOR_PREFIX, common, NULL, false);
            LH_TRY(jump_behind(page, common, &end, err));
            continue;
        }
        if (row.damaged)
            lh_store_note_damaged(page->store, options->bucket, key);
        emit(page, LH_CURSOR_KEY, key, &row.info, row.damaged);
    }
    *ret_more = false;
    return LH_OK;
}

lh_code lh_list_check_part(const char *what, lh_str text, struct lh_error *err)
{
    if (text.len > LH_STORE_KEY_MAX)
        return lh_fail(err, LH_INVALID, "the %s has %zu bytes, at most %d are possible", what,
                       text.len, LH_STORE_KEY_MAX);
    if (text.len > 0 && (!lh_utf8_valid(text) || memchr(text.ptr, '\0', text.len)))
        return lh_fail(err, LH_INVALID, "the %s is not UTF-8 text", what);
    return LH_OK;
}

lh_code lh_store_list(struct lh_store *store, const struct lh_list_options *options,
                      lh_list_visitor visit, void *ctx, char ret_cursor[LH_STORE_CURSOR_MAX],
                      struct lh_error *err)
{
    LH_CHECK(options->limit > 0);
    LH_TRY(lh_list_check_part("prefix", options->prefix, err));
    LH_TRY(lh_list_check_part("delimiter", options->delimiter, err));
    LH_TRY(lh_list_check_part("start", options->after, err));
    struct page page = {.store = store, .options = options, .visit = visit, .ctx = ctx};
    struct lh_cursor cursor = {0};
    if (options->cursor.len > 0)
        LH_TRY(
            lh_cursor_decode(options->cursor, options->prefix, options->delimiter, &cursor, err));
    struct lh_position first;
    bool more = false;
    if (first_position(options, &cursor, &first)) {
        LH_TRY(lh_index_walk_begin(store->index, options->bucket, &page.walk, err));
        lh_code code = lh_index_walk_seek(page.walk, lh_str_of(first.bytes, first.len), err);
        if (code == LH_OK)
            code = fill(&page, &more, err);
        lh_index_walk_end(page.walk);
        LH_TRY(code);
    }
    ret_cursor[0] = '\0';
    if (more)
        lh_cursor_encode(&page.last, options->prefix, options->delimiter, ret_cursor);
    return LH_OK;
}
