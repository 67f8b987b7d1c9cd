/* The objects of an index in the store. */
#include "vectord/objects.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define ROOT         "_vectors/"
#define SNAPSHOT_END ".lhv1"
#define LOG_FOLDER   "log/"
#define LOG_END      ".lhvl"

enum {
    SEQUENCE_DIGITS = 20,
    KEY_SIZE = sizeof(ROOT) + LH_INDEX_NAME_MAX + sizeof("/" LOG_FOLDER) + SEQUENCE_DIGITS +
               sizeof(LOG_END),
    /* storaged is given this time for each MiB of a snapshot beyond its usual deadline. */
    SNAPSHOT_MS_PER_MIB = 100,
    PROBE_MS = 500,
};

bool lh_vindex_name_valid(lh_str name)
{
    if (name.len == 0 || name.len > LH_INDEX_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool other = (c >= '0' && c <= '9') || c == '-';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return true;
}

static lh_str snapshot_key(const char *name, char key[KEY_SIZE])
{
    int len = snprintf(key, KEY_SIZE, ROOT "%s" SNAPSHOT_END, name);
    return lh_str_of(key, (size_t)len);
}

static lh_str log_key(const char *name, uint64_t sequence, char key[KEY_SIZE])
{
    int len = snprintf(key, KEY_SIZE, ROOT "%s/" LOG_FOLDER "%020llu" LOG_END, name,
                       (unsigned long long)sequence);
    LH_CHECK(len > 0 && len < KEY_SIZE);
    return lh_str_of(key, (size_t)len);
}

/* For /health: whether the store answers. That a condition does not hold or a key is absent is an
 * answer. */
static lh_code note(struct lh_commons *commons, lh_code code)
{
    if (code == LH_OK || code == LH_PRECONDITION || code == LH_NOT_FOUND)
        atomic_store(&commons->storage_failing, 0);
    else
        atomic_fetch_add(&commons->storage_failing, 1);
    return code;
}

void lh_objects_probe(struct lh_commons *commons)
{
    struct lh_object_info info;
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(note(commons, lh_objstore_head(commons->store, LH_STR(ROOT "probe"),
                                             lh_deadline_in_ms(PROBE_MS), &info, &ignored)),
              "the failure is what was asked for");
}

/* ---- the log ---- */

lh_code lh_objects_put_log(struct lh_commons *commons, const char *name, uint64_t sequence,
                           lh_str object, struct lh_error *err)
{
    char key[KEY_SIZE];
    const struct lh_object_body body = {.bytes = object.ptr, .len = object.len};
    const struct lh_put_options options = {.if_none_match = true};
    struct lh_object_info info;
    return note(commons, lh_objstore_put(commons->store, log_key(name, sequence, key), &body,
                                         &options, lh_commons_deadline(commons), &info, err));
}

lh_code lh_objects_get_log(struct lh_commons *commons, const char *name, uint64_t sequence,
                           struct lh_buf *out, struct lh_error *err)
{
    char key[KEY_SIZE];
    return note(commons, lh_objstore_get(commons->store, log_key(name, sequence, key),
                                         lh_commons_deadline(commons), out, NULL, err));
}

lh_code lh_objects_delete_log(struct lh_commons *commons, const char *name, uint64_t sequence,
                              struct lh_error *err)
{
    char key[KEY_SIZE];
    return note(commons, lh_objstore_delete(commons->store, log_key(name, sequence, key),
                                            lh_commons_deadline(commons), err));
}

/* The sequence in a log object's key. */
static bool parse_log_key(lh_str key, lh_str prefix, uint64_t *ret_sequence)
{
    if (key.len != prefix.len + SEQUENCE_DIGITS + sizeof(LOG_END) - 1 || !lh_str_ends(key, LOG_END))
        return false;
    return lh_str_to_u64(lh_str_of(key.ptr + prefix.len, SEQUENCE_DIGITS), ret_sequence);
}

struct log_listing {
    lh_str prefix;
    lh_code (*on_log)(void *ctx, uint64_t sequence, uint64_t bytes, struct lh_error *err);
    void *ctx;
};

static lh_code on_log_key(void *ctx, lh_str key, const struct lh_object_info *info,
                          struct lh_error *err)
{
    const struct log_listing *listing = ctx;
    uint64_t sequence;
    if (!parse_log_key(key, listing->prefix, &sequence))
        return LH_OK;
    return listing->on_log(listing->ctx, sequence, info->size, err);
}

lh_code lh_objects_list_log(struct lh_commons *commons, const char *name,
                            lh_code (*on_log)(void *ctx, uint64_t sequence, uint64_t bytes,
                                              struct lh_error *err),
                            void *ctx, struct lh_error *err)
{
    char text[KEY_SIZE];
    int len = snprintf(text, sizeof(text), ROOT "%s/" LOG_FOLDER, name);
    struct log_listing listing = {lh_str_of(text, (size_t)len), on_log, ctx};
    return note(commons, lh_objstore_list(commons->store, listing.prefix,
                                          lh_commons_deadline(commons), on_log_key, &listing, err));
}

struct sequences {
    uint64_t *values;
    size_t count, capacity;
    uint64_t max;
};

static lh_code collect(void *ctx, uint64_t sequence, uint64_t bytes, struct lh_error *err)
{
    (void)bytes, (void)err;
    struct sequences *sequences = ctx;
    if (sequence > sequences->max)
        return LH_OK;
    sequences->values = lh_grow(sequences->values, &sequences->capacity, sequences->count + 1,
                                sizeof(*sequences->values));
    sequences->values[sequences->count++] = sequence;
    return LH_OK;
}

lh_code lh_objects_sweep_log(struct lh_commons *commons, const char *name, uint64_t sequence_max,
                             struct lh_error *err)
{
    struct sequences sequences = {.max = sequence_max};
    lh_code code = lh_objects_list_log(commons, name, collect, &sequences, err);
    for (size_t i = 0; code == LH_OK && i < sequences.count; i++)
        code = lh_objects_delete_log(commons, name, sequences.values[i], err);
    free(sequences.values);
    return code;
}

/* ---- the snapshot ---- */

static lh_deadline snapshot_deadline(const struct lh_commons *commons, uint64_t bytes)
{
    return lh_deadline_in_ms(commons->settings->storage_timeout +
                             (int64_t)(bytes >> 20) * SNAPSHOT_MS_PER_MIB);
}

lh_code lh_objects_put_snapshot(struct lh_commons *commons, const char *name,
                                const struct lh_frozen *frozen, const char *etag,
                                char ret_etag[LH_ETAG_SIZE], uint64_t *ret_bytes,
                                struct lh_error *err)
{
    char key[KEY_SIZE];
    struct lh_lhv1_writer writer;
    lh_lhv1_writer_init(&writer, frozen);
    const struct lh_object_body body = {
        .len = writer.bytes, .read = lh_lhv1_writer_read, .ctx = &writer};
    bool is_new = etag[0] == '\0';
    const struct lh_put_options options = {.if_none_match = is_new,
                                           .if_match = is_new ? NULL : etag};
    struct lh_object_info info = {0};
    lh_code code = lh_objstore_put(commons->store, snapshot_key(name, key), &body, &options,
                                   snapshot_deadline(commons, writer.bytes), &info, err);
    if (code == LH_OK) {
        memcpy(ret_etag, info.etag, LH_ETAG_SIZE);
        *ret_bytes = writer.bytes;
    }
    lh_lhv1_writer_deinit(&writer);
    return note(commons, code);
}

lh_code lh_objects_get_snapshot(struct lh_commons *commons, const char *name, lh_deadline deadline,
                                lh_code (*write)(void *ctx, const void *bytes, size_t len,
                                                 struct lh_error *err),
                                void *ctx, struct lh_object_info *ret_info, struct lh_error *err)
{
    char key[KEY_SIZE];
    return lh_objstore_get_to(commons->store, snapshot_key(name, key), deadline, write, ctx,
                              ret_info, err);
}

lh_code lh_objects_delete_snapshot(struct lh_commons *commons, const char *name,
                                   struct lh_error *err)
{
    char key[KEY_SIZE];
    return note(commons, lh_objstore_delete(commons->store, snapshot_key(name, key),
                                            lh_commons_deadline(commons), err));
}

/* ---- all of them ---- */

struct index_listing {
    void (*on_index)(void *ctx, lh_str name, bool has_snapshot);
    void *ctx;
    char log_name[LH_INDEX_NAME_MAX + 1]; /* of the log object seen last: told once each */
};

static lh_code on_key(void *ctx, lh_str key, const struct lh_object_info *info,
                      struct lh_error *err)
{
    (void)info, (void)err;
    struct index_listing *listing = ctx;
    lh_str rest = lh_str_skip(key, sizeof(ROOT) - 1);
    if (lh_str_ends(rest, SNAPSHOT_END)) {
        lh_str name = lh_str_of(rest.ptr, rest.len - (sizeof(SNAPSHOT_END) - 1));
        if (lh_vindex_name_valid(name))
            listing->on_index(listing->ctx, name, true);
        return LH_OK;
    }
    lh_str name = LH_STR_NONE;
    lh_str tail = rest;
    lh_str_next(&tail, '/', &name);
    if (!lh_str_starts(tail, LOG_FOLDER) || !lh_vindex_name_valid(name) ||
        lh_str_is(name, listing->log_name))
        return LH_OK;
    memcpy(listing->log_name, name.ptr, name.len);
    listing->log_name[name.len] = '\0';
    listing->on_index(listing->ctx, name, false);
    return LH_OK;
}

lh_code lh_objects_list(struct lh_commons *commons,
                        void (*on_index)(void *ctx, lh_str name, bool has_snapshot), void *ctx,
                        struct lh_error *err)
{
    struct index_listing listing = {.on_index = on_index, .ctx = ctx};
    return note(commons, lh_objstore_list(commons->store, LH_STR(ROOT),
                                          lh_deadline_in_ms(commons->settings->load_timeout),
                                          on_key, &listing, err));
}
