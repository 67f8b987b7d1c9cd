/* The core: creating, dropping, finding and listing indexes. */
#include "vectord/vectord.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/load.h"
#include "vectord/objects.h"
#include "vectord/vectord_private.h"

enum { VECTORD_MAGIC = 0x4c485644 };

lh_code lh_vectord_use_isa(const char *name, struct lh_error *err)
{
    const struct lh_isa *isa = lh_isa_find(lh_str_from(name));
    if (isa == NULL)
        return lh_fail(err, LH_INVALID, "vectord.isa is %s, which this processor does not have",
                       name);
    lh_isa_use(isa);
    return LH_OK;
}

struct lh_vectord *lh_vectord_new(const struct lh_vectord_settings *settings,
                                  struct lh_objstore *store)
{
    struct lh_vectord *vectord = lh_calloc(1, sizeof(*vectord));
    vectord->magic = VECTORD_MAGIC;
    lh_commons_init(&vectord->commons, settings, store);
    lh_registry_init(&vectord->registry);
    lh_mutex_init(&vectord->keeper_mutex);
    lh_cond_init(&vectord->keeper_wake);
    return vectord;
}

void lh_vectord_free(struct lh_vectord *vectord)
{
    if (vectord == NULL)
        return;
    LH_CHECK_MAGIC(vectord, VECTORD_MAGIC);
    lh_vectord_stop(vectord);
    if (vectord->keeper_runs)
        LH_CHECK(pthread_join(vectord->keeper, NULL) == 0);
    if (vectord->commons.async)
        lh_vectord_flush_all(vectord);
    vectord->magic = 0;
    lh_registry_deinit(&vectord->registry);
    lh_commons_deinit(&vectord->commons);
    pthread_cond_destroy(&vectord->keeper_wake);
    pthread_mutex_destroy(&vectord->keeper_mutex);
    free(vectord);
}

struct lh_commons *lh_vectord_commons(struct lh_vectord *vectord)
{
    LH_CHECK_MAGIC(vectord, VECTORD_MAGIC);
    return &vectord->commons;
}

static lh_code check_name(lh_str name, struct lh_error *err)
{
    if (lh_vindex_name_valid(name))
        return LH_OK;
    int shown = name.len < LH_INDEX_NAME_MAX ? (int)name.len : LH_INDEX_NAME_MAX;
    return lh_fail(err, LH_INVALID_NAME,
                   "'%.*s' is no name of an index: a letter or _, then at most 127 letters, "
                   "digits, _ or -",
                   shown, name.ptr);
}

lh_code lh_vectord_find(struct lh_vectord *vectord, lh_str name,
                        struct lh_collection **ret_collection, struct lh_error *err)
{
    LH_CHECK_MAGIC(vectord, VECTORD_MAGIC);
    LH_TRY(check_name(name, err));
    struct lh_collection *found = lh_registry_find(&vectord->registry, name);
    if (found == NULL)
        return lh_fail(err, LH_NOT_FOUND, "there is no index '%.*s'", LH_FMT(name));
    *ret_collection = found;
    return LH_OK;
}

size_t lh_vectord_list(struct lh_vectord *vectord, lh_str prefix, lh_str after, size_t max,
                       struct lh_collection **ret_collections)
{
    LH_CHECK_MAGIC(vectord, VECTORD_MAGIC);
    return lh_registry_list(&vectord->registry, prefix, after, max, ret_collections);
}

/* ---- creating ---- */

static lh_code check_number(const char *name, int64_t value, int64_t min, int64_t max,
                            struct lh_error *err)
{
    if (value >= min && value <= max)
        return LH_OK;
    return lh_fail(err, LH_INVALID, "'%s' is %lld; %lld to %lld are possible", name,
                   (long long)value, (long long)min, (long long)max);
}

static lh_code make_config(const struct lh_vectord *vectord, const struct lh_create *create,
                           struct lh_vindex_config *ret_config, struct lh_error *err)
{
    LH_TRY(check_name(create->name, err));
    LH_TRY(check_number("dimension", create->dimension, 1, vectord->commons.settings->dimension_max,
                        err));
    LH_TRY(check_number("m", create->m, LH_HNSW_M_MIN, LH_HNSW_M_MAX, err));
    LH_TRY(check_number("ef_construction", create->ef_construction, 1, LH_HNSW_EF_CONSTRUCTION_MAX,
                        err));
    struct lh_vindex_config config = {.dimension = (uint32_t)create->dimension,
                                      .metric = create->metric,
                                      .m = (uint32_t)create->m,
                                      .ef_construction = (uint32_t)create->ef_construction,
                                      .quantization = create->quantization,
                                      .seed = lh_xxh3(create->name.ptr, create->name.len),
                                      .created_ms = lh_now_ms()};
    memcpy(config.name, create->name.ptr, create->name.len);
    lh_uuid4(config.uuid);
    *ret_config = config;
    return LH_OK;
}

/* Whether the index that is there is the one that is wanted. */
static lh_code compare(struct lh_collection *collection, const struct lh_vindex_config *wanted,
                       struct lh_error *err)
{
    struct lh_vindex *index;
    LH_TRY(lh_collection_index(collection, &index, err));
    const struct lh_vindex_config found = index->config;
    lh_vindex_unref(index);
    if (found.dimension == wanted->dimension && found.metric == wanted->metric &&
        found.m == wanted->m && found.ef_construction == wanted->ef_construction &&
        found.quantization == wanted->quantization)
        return LH_OK;
    return lh_fail(err, LH_EXISTS,
                   "there is an index '%s' with dimension %u, metric %s, m %u, ef_construction %u",
                   found.name, found.dimension, lh_metric_name(found.metric), found.m,
                   found.ef_construction);
}

static lh_code write_empty(struct lh_collection *collection, struct lh_vindex *index,
                           struct lh_log_figures *figures, char etag[LH_ETAG_SIZE],
                           struct lh_error *err)
{
    struct lh_frozen *frozen = NULL;
    /* What an interrupted drop of the same name left behind goes first. */
    LH_TRY(lh_objects_sweep_log(collection->commons, collection->name, UINT64_MAX, err));
    LH_TRY(lh_frozen_new(index, 0, &frozen, err));
    lh_code code = lh_objects_put_snapshot(collection->commons, collection->name, frozen, "", etag,
                                           &figures->snapshot_bytes, err);
    lh_frozen_free(frozen);
    return code;
}

static bool never(const void *ctx)
{
    (void)ctx;
    return false;
}

/* Makes the objects, then the collection. If there is a snapshot already (an earlier attempt that
 * timed out, or another vectord), that one is loaded. */
static lh_code create_new(struct lh_vectord *vectord, const struct lh_vindex_config *config,
                          struct lh_collection *collection, bool *ret_created, struct lh_error *err)
{
    struct lh_commons *commons = &vectord->commons;
    struct lh_vindex *index = NULL;
    struct lh_log_figures figures = {0};
    char etag[LH_ETAG_SIZE] = "";
    LH_TRY(lh_vindex_new(config, &commons->budget, commons->reserve_bytes, &index, err));
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code =
        commons->store == NULL ? LH_OK : write_empty(collection, index, &figures, etag, &failure);
    if (code == LH_OK) {
        lh_collection_set_ready(collection, index, &figures, etag);
        *ret_created = true;
        return LH_OK;
    }
    lh_vindex_unref(index);
    if (code != LH_PRECONDITION) {
        *err = failure;
        return code;
    }
    *ret_created = false;
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(lh_collection_load(collection, never, NULL, &ignored), "it is a state of the index");
    return compare(collection, config, err);
}

static lh_code create_claimed(struct lh_vectord *vectord, const struct lh_vindex_config *config,
                              bool *ret_created, struct lh_error *err)
{
    struct lh_registry *registry = &vectord->registry;
    struct lh_collection *found = lh_registry_find(registry, lh_str_from(config->name));
    if (found != NULL) {
        bool dropping = lh_collection_state(found) == LH_COLLECTION_DROPPING;
        lh_code found_code = dropping ? lh_vectord_finish_drop(vectord, found, err) /* once more */
                                      : compare(found, config, err);
        lh_collection_unref(found);
        *ret_created = false;
        if (found_code != LH_OK || !dropping)
            return found_code;
    }
    if (lh_registry_count(registry) >= (size_t)vectord->commons.settings->indexes_max)
        return lh_fail(err, LH_INDEX_MEMORY, "there are as many indexes as vectord.indexes_max");
    struct lh_collection *collection = lh_collection_new(&vectord->commons, config->name);
    lh_code code = create_new(vectord, config, collection, ret_created, err);
    if (lh_collection_state(collection) != LH_COLLECTION_LOADING)
        lh_registry_add(registry, collection);
    lh_collection_unref(collection);
    return code;
}

lh_code lh_vectord_create(struct lh_vectord *vectord, const struct lh_create *create,
                          bool *ret_created, struct lh_error *err)
{
    LH_CHECK_MAGIC(vectord, VECTORD_MAGIC);
    struct lh_vindex_config config;
    LH_TRY(make_config(vectord, create, &config, err));
    LH_TRY(lh_registry_claim(&vectord->registry, create->name,
                             lh_commons_deadline(&vectord->commons), err));
    lh_code code = create_claimed(vectord, &config, ret_created, err);
    lh_registry_unclaim(&vectord->registry, create->name);
    return code;
}

/* ---- dropping ---- */

lh_code lh_vectord_finish_drop(struct lh_vectord *vectord, struct lh_collection *collection,
                               struct lh_error *err)
{
    struct lh_commons *commons = &vectord->commons;
    if (commons->store != NULL)
        LH_TRY(lh_objects_delete_snapshot(commons, collection->name, err));
    lh_registry_remove(&vectord->registry, collection);
    lh_mutex_lock(&collection->mutex);
    collection->state = LH_COLLECTION_GONE;
    pthread_cond_broadcast(&collection->changed);
    lh_mutex_unlock(&collection->mutex);
    /* The index is gone. What stays of its log is ignored, and swept by the next start or create.
     */
    struct lh_error ignored = LH_ERROR_INIT;
    if (commons->store != NULL)
        LH_IGNORE(lh_objects_sweep_log(commons, collection->name, UINT64_MAX, &ignored),
                  "see above");
    return LH_OK;
}

static void set_dropping(struct lh_collection *collection)
{
    lh_collection_begin_writing(collection); /* the commit under way comes to its end */
    lh_mutex_lock(&collection->mutex);
    if (collection->state != LH_COLLECTION_GONE)
        collection->state = LH_COLLECTION_DROPPING;
    lh_mutex_unlock(&collection->mutex);
    lh_collection_end_writing(collection);
}

static lh_code drop_claimed(struct lh_vectord *vectord, lh_str name, struct lh_error *err)
{
    struct lh_collection *collection;
    LH_TRY(lh_vectord_find(vectord, name, &collection, err));
    set_dropping(collection);
    lh_code code = lh_vectord_finish_drop(vectord, collection, err);
    lh_collection_unref(collection);
    return code;
}

lh_code lh_vectord_drop(struct lh_vectord *vectord, lh_str name, struct lh_error *err)
{
    LH_CHECK_MAGIC(vectord, VECTORD_MAGIC);
    LH_TRY(check_name(name, err));
    LH_TRY(
        lh_registry_claim(&vectord->registry, name, lh_commons_deadline(&vectord->commons), err));
    lh_code code = drop_claimed(vectord, name, err);
    lh_registry_unclaim(&vectord->registry, name);
    return code;
}
