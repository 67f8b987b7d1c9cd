/*
 * A dataset as a value: its identity, its schemas, its snapshots, and which objects belong to which
 * snapshot. A `struct lh_dataset` never changes after lh_dataset_freeze made it, so threads share
 * it by reference; whoever wants another state builds a draft and freezes that.
 *
 * The model. A snapshot is a version of the table: 1, 2, 3, ... in one line. An object (a Parquet
 * file) is part of every snapshot s with added <= s and (removed == 0 or s < removed); an intake of
 * content likewise. So append adds objects, replace ends the ones that live and adds others,
 * restore ends and adds what makes the difference, and no snapshot ever changes. A schema change is
 * a new schema id on a new snapshot.
 */
#ifndef LH_CATALOGD_DATASET_H
#define LH_CATALOGD_DATASET_H

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LH_NONCE_SIZE = 33, /* 32 hex digits */
    LH_NAME_PART_MAX = 128,
    LH_NAME_MAX = 2 * LH_NAME_PART_MAX + 1,
    LH_FINGERPRINT_MAX = 128,
    LH_CONTENT_ID_MAX = 128,
    LH_COLUMN_NAME_MAX = 1024,
    LH_COLUMN_TYPE_MAX = 16384,
};

enum lh_operation { LH_OP_CREATE, LH_OP_APPEND, LH_OP_REPLACE, LH_OP_RESTORE };
const char *lh_operation_word(enum lh_operation operation);
bool lh_operation_parse(lh_str word, enum lh_operation *ret);

struct lh_column {
    lh_str name;
    lh_str type; /* DuckDB's text: BIGINT, DECIMAL(18,3), STRUCT(a INTEGER) */
    bool nullable;
};

struct lh_schema {
    int32_t id; /* 1, 2, 3, ... */
    lh_str fingerprint;
    size_t column_first; /* in the dataset's columns */
    size_t column_count;
};

struct lh_snapshot {
    int64_t id;
    lh_time_ms time; /* never before the snapshot before */
    enum lh_operation operation;
    int32_t schema_id;
    int64_t restored;             /* the snapshot that a restore brought back, else 0 */
    lh_str content_id;            /* "" when the commit named none */
    int64_t rows, bytes, objects; /* of the whole snapshot */
    int64_t rows_added, bytes_added, objects_added;
    int64_t rows_removed, bytes_removed, objects_removed;
};

/* Both kinds of thing that a snapshot has. */
struct lh_span {
    int64_t added;
    int64_t removed; /* 0 = lives */
};

struct lh_object {
    struct lh_span span;
    lh_str key;
    lh_str content_id; /* of the commit that brought it; "" when that named none */
    lh_str stats;      /* JSON object: column -> {"min","max","nulls"}; "" when unknown */
    int64_t rows;
    int64_t bytes;
};

/* One intake: what makes the same bytes twice "unchanged". */
struct lh_content {
    struct lh_span span;
    lh_str id; /* "" when the commit named none */
};

/* A manifest that this one replaced by a rename: where the old one is still found, it is void. */
struct lh_origin {
    lh_str dataset_id;
    lh_str nonce;
};

/* What a draft and a frozen dataset have in common. In a frozen one capacities are 0 and all texts
 * lie in its own memory; in a draft texts are borrowed. */
struct lh_dataset_parts {
    char id[LH_UUID_TEXT];     /* lh_dataset_id(name) */
    char nonce[LH_NONCE_SIZE]; /* of the commit that wrote this state; random */
    lh_str name;               /* canonical: "sales", "eu.sales" */
    lh_time_ms created;
    struct lh_schema *schemas;
    struct lh_column *columns;
    struct lh_snapshot *snapshots; /* ascending ids, at least one; the last is the present */
    struct lh_content *contents;
    struct lh_object *objects;
    struct lh_origin *origins;
    size_t schema_count, schema_capacity;
    size_t column_count, column_capacity;
    size_t snapshot_count, snapshot_capacity;
    size_t content_count, content_capacity;
    size_t object_count, object_capacity;
    size_t origin_count, origin_capacity;
};

struct lh_dataset {
    uint32_t magic;
    atomic_uint refs;
    struct lh_dataset_parts parts;
};

/* ---- names and identities ---- */

/* "x", "main.x" and "ns.x", each part [A-Za-z_][A-Za-z0-9_-]{0,127}; `out` gets the canonical text
 * with its terminator ("main." is dropped). LH_INVALID_NAME. */
lh_code lh_dataset_name_parse(lh_str text, char out[LH_NAME_MAX + 1], struct lh_error *err);
/* UUIDv5 of the canonical name: the same on any machine and after any loss. */
void lh_dataset_id(lh_str name, char out[LH_UUID_TEXT]);

/* ---- drafts ---- */

/* A draft that begins as `dataset` (whose texts it borrows), or empty for NULL. */
struct lh_dataset_parts lh_draft_from(const struct lh_dataset *dataset);
void lh_draft_deinit(struct lh_dataset_parts *draft);
#define LH_AUTO_DRAFT __attribute__((cleanup(lh_draft_deinit)))

/* Each makes room and gives the new, zeroed element. */
struct lh_schema *lh_draft_add_schema(struct lh_dataset_parts *draft);
struct lh_column *lh_draft_add_column(struct lh_dataset_parts *draft);
struct lh_snapshot *lh_draft_add_snapshot(struct lh_dataset_parts *draft);
struct lh_content *lh_draft_add_content(struct lh_dataset_parts *draft);
struct lh_object *lh_draft_add_object(struct lh_dataset_parts *draft);
struct lh_origin *lh_draft_add_origin(struct lh_dataset_parts *draft);

/* Forgets the oldest snapshots beyond `snapshots_max`, and the objects and contents that only they
 * had. */
void lh_draft_forget(struct lh_dataset_parts *draft, size_t snapshots_max);

/* ---- frozen ---- */

/* Copies the draft into one block of memory; one reference, the caller's. */
struct lh_dataset *lh_dataset_freeze(const struct lh_dataset_parts *draft);
struct lh_dataset *lh_dataset_ref(struct lh_dataset *dataset); /* thread-safe; NULL gives NULL */
void lh_dataset_unref(struct lh_dataset *dataset);             /* thread-safe; accepts NULL */
void lh_dataset_cleanup(struct lh_dataset **dataset);
#define LH_AUTO_DATASET __attribute__((cleanup(lh_dataset_cleanup)))

/* Whether the thing is part of the snapshot. */
bool lh_span_holds(const struct lh_span *span, int64_t snapshot);

/* The present snapshot. */
const struct lh_snapshot *lh_dataset_head(const struct lh_dataset *dataset);
/* By id, or NULL when there is none or it is forgotten. O(log n). */
const struct lh_snapshot *lh_dataset_find_snapshot(const struct lh_dataset *dataset, int64_t id);
/* The newest snapshot that is not after `time`, or NULL. */
const struct lh_snapshot *lh_dataset_as_of(const struct lh_dataset *dataset, lh_time_ms time);
const struct lh_schema *lh_dataset_schema(const struct lh_dataset *dataset, int32_t schema_id);

/* Validator of parts from outside (a decoded manifest): identities, order, sums. LH_CORRUPT that
 * says which rule is broken. */
lh_code lh_dataset_check(const struct lh_dataset_parts *parts, struct lh_error *err);

#endif
