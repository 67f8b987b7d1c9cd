/*
 * lh_vindex: one vector index in memory: the graph, the caller's ids, the metadata. An item that is
 * updated gets a new slot and its old one dies; slots die, but their bytes stay until the index is
 * copied without them (lh_vindex_compact). So whoever holds a reference may read any slot's id,
 * metadata and vector without a lock.
 *
 * Locking is the owner's (collection.c): one writer at a time; readers hold a shared lock while
 * they search or look an id up, which a writer takes exclusively for moments (lh_vindex_apply).
 */
#ifndef LH_VECTORD_INDEX_H
#define LH_VECTORD_INDEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/str.h"
#include "vectord/hnsw.h"
#include "vectord/rows.h"

enum { LH_INDEX_NAME_MAX = 128, LH_ITEM_ID_MAX = 256 };

/* Whether walks go by 8-bit codes: auto = where a sample says that they lose nothing. */
enum lh_quantization { LH_QUANTIZATION_AUTO, LH_QUANTIZATION_NONE, LH_QUANTIZATION_SQ8 };

/* What an index is: fixed when it is created. */
struct lh_vindex_config {
    char name[LH_INDEX_NAME_MAX + 1];
    uint32_t dimension;
    enum lh_metric metric;
    uint32_t m;
    uint32_t ef_construction;
    enum lh_quantization quantization;
    uint64_t
        seed; /* of the graph's levels; from the name, so that equal input gives equal graphs */
    char uuid[LH_UUID_TEXT]; /* tells it from an earlier index of the same name */
    lh_time_ms created_ms;
};

/* Memory that several indexes share. */
struct lh_budget {
    atomic_uint_fast64_t used_bytes;
    uint64_t bytes_max;
};

/* LH_INDEX_MEMORY when it is used up. thread-safe. */
lh_code lh_budget_take(struct lh_budget *budget, uint64_t bytes, struct lh_error *err);
void lh_budget_give(struct lh_budget *budget, uint64_t bytes);

/* From id to slot: open addressing with linear probing. */
struct lh_id_entry {
    uint32_t tag; /* low half of the id's hash; also its place */
    int32_t slot; /* -1 = free */
};
struct lh_id_table {
    struct lh_id_entry *entries;
    uint32_t mask; /* entries - 1 */
};

struct lh_vindex {
    uint32_t magic;
    atomic_int references;
    struct lh_vindex_config config;
    struct lh_budget *budget;
    atomic_uint_fast64_t taken_bytes; /* from the budget; changed by the writer alone */
    struct lh_hnsw graph;
    uint32_t calibrate_at;        /* when there are so many slots, codes are calibrated (again) */
    struct lh_rows id_ends;       /* uint64_t: end of the slot's id in `ids` */
    struct lh_rows ids;           /* bytes */
    struct lh_rows metadata_ends; /* uint64_t */
    struct lh_rows metadata;      /* compact JSON objects; no bytes = none */
    struct lh_id_table table;
    struct lh_id_table next_table; /* larger, filled by reserve, put in place by the next apply */
    struct lh_id_table last_table; /* replaced, freed by the next reserve */

    /* What others derive from the items and keep with the index (indexes of the metadata's fields);
     * set once, freed with it. The engine does not look into it. */
    _Atomic(void *) attachment;
    void (*_Atomic attachment_free)(void *attachment);
};

/* An empty index with one reference. The budget is borrowed and may be NULL. `reserve_bytes`:
 * address space for each kind of data. LH_INDEX_MEMORY. */
lh_code lh_vindex_new(const struct lh_vindex_config *config, struct lh_budget *budget,
                      uint64_t reserve_bytes, struct lh_vindex **ret_index, struct lh_error *err);
struct lh_vindex *lh_vindex_ref(struct lh_vindex *index);
void lh_vindex_unref(struct lh_vindex *index); /* accepts NULL; the last one frees */

/* What a batch will need at most. */
struct lh_vindex_need {
    uint32_t items;
    uint64_t id_bytes;
    uint64_t metadata_bytes;
};

/* Makes room, so that applying the batch cannot fail; may run beside readers. LH_INDEX_MEMORY, with
 * everything as before. */
lh_code lh_vindex_reserve(struct lh_vindex *index, const struct lh_vindex_need *need,
                          struct lh_error *err);

enum lh_change_kind { LH_CHANGE_UPSERT = 1, LH_CHANGE_DELETE = 2 };

struct lh_change {
    enum lh_change_kind kind;
    lh_str id;
    lh_str metadata;     /* of an upsert; len 0 = none */
    const float *vector; /* of an upsert: dimension floats, prepared (lh_vector_prepare) */
};

struct lh_applied {
    size_t added;
    size_t updated;
    size_t deleted;
};

/* Applies changes in order, room having been made; an id may stand twice. Searches may go on: new
 * items are linked beside them, and `lock` (may be NULL) is taken exclusively for the moments in
 * which up to LH_HNSW_LINK_MAX of them appear and what they replace disappears. Adds to
 * *ret_applied. */
void lh_vindex_apply(struct lh_vindex *index, const struct lh_change *changes, size_t count,
                     struct lh_builder *builder, pthread_rwlock_t *lock,
                     struct lh_applied *ret_applied);

/* One change, nobody searching. True if there was one of that id. */
bool lh_vindex_upsert(struct lh_vindex *index, lh_str id, const float *vector, lh_str metadata,
                      struct lh_builder *builder);
bool lh_vindex_delete(struct lh_vindex *index, lh_str id);

/* Fills the empty index `to` with the items of `from` in slots below `end` whose bit in `left_out`
 * is not set, and codes on the same scale as `codes` (may be NULL). Searches of `from` and changes
 * to it may go on. LH_INDEX_MEMORY. */
lh_code lh_vindex_compact(struct lh_vindex *to, struct lh_vindex *from, uint32_t end,
                          const uint64_t *left_out, struct lh_codes *codes,
                          struct lh_builder *builder, struct lh_error *err);

/* The live slot of an id, or -1. */
int32_t lh_vindex_find(const struct lh_vindex *index, lh_str id);

/* Borrowed for as long as the reference is held. Any slot, dead ones too. */
lh_str lh_vindex_id(const struct lh_vindex *index, uint32_t slot);
lh_str lh_vindex_metadata(const struct lh_vindex *index, uint32_t slot); /* len 0 = none */

uint32_t lh_vindex_live(const struct lh_vindex *index);
uint64_t lh_vindex_bytes(const struct lh_vindex *index);

/* After the arrays were loaded: checks ids and metadata, builds the table. LH_CORRUPT. */
lh_code lh_vindex_load_finish(struct lh_vindex *index, struct lh_error *err);

/* Validator: everything of lh_hnsw_check, and: ids well-formed, every live id found, table exact.
 */
lh_code lh_vindex_check(const struct lh_vindex *index, struct lh_error *err);

/* "cosine", "l2", "ip". */
const char *lh_metric_name(enum lh_metric metric);
bool lh_metric_parse(lh_str text, enum lh_metric *ret);
/* "auto", "none", "sq8". */
const char *lh_quantization_name(enum lh_quantization quantization);
bool lh_quantization_parse(lh_str text, enum lh_quantization *ret);

/* Makes a vector of a request fit for the index: scales it to unit length under cosine (one that
 * has it already stays as it is, bit by bit). Returns NULL, or what is wrong with it. */
const char *lh_vector_prepare(float *vector, size_t dim_count, enum lh_metric metric);

#endif
