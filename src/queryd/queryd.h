/*
 * The core of queryd: runs one statement in a worker process and hands its answer on. No sockets,
 * no DuckDB.
 */
#ifndef LH_QUERYD_QUERYD_H
#define LH_QUERYD_QUERYD_H

#include "base/json.h"
#include "queryd/cache.h"
#include "queryd/catalog.h"
#include "queryd/pool.h"
#include "queryd/running.h"
#include "queryd/vectors.h"

struct lh_service;
extern const struct lh_service lh_queryd_service;

/* What queries need; opened by api_service.c, or by a test piece by piece. */
struct lh_queryd {
    struct lh_pool *pool;
    struct lh_running *running;
    struct lh_datasets *datasets;
    struct lh_cache *cache;
    struct lh_vectors vectors;
    struct lh_objstore *store;
    int64_t timeout_ms;    /* of a query that wishes no shorter one */
    int64_t sql_bytes_max; /* beyond: LH_TOO_LARGE */
    uint64_t rows_max;     /* of a result, 0 = no limit */
    struct lh_query_counts {
        atomic_ullong ok, refused, failed, timed_out, cancelled, retried, rows, bytes;
    } counts;
    char *data_dir, *cache_dir, *spill_dir; /* absolute, without links */
    const char *read_dirs[3]; /* of the workers: data_dir, and cache_dir where it lies elsewhere */
    const char *sandbox_missing;
};

struct lh_query_request {
    lh_str sql;
    const json_t *params;    /* array, object or NULL */
    const char *format;      /* "json", "ndjson" or "csv" */
    uint64_t limit;          /* 0 = none */
    int64_t timeout_ms;      /* 0 = the service's */
    const char *as_of;       /* RFC 3339; NULL = the present */
    const json_t *snapshots; /* {"dataset": n} or NULL */
};

/* Where the answer goes. */
struct lh_query_sink {
    void *ctx;
    /* The query has an id and may be stopped from now on, and again that it is over (NULL). */
    void (*on_run)(void *ctx, struct lh_run *run);
    /* Bytes of the answer; the first call begins it. A failure ends the query. */
    lh_code (*on_body)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
};

/* Runs it to its end. Codes: LH_INVALID_SQL (with line, column and excerpt),
 * LH_STATEMENT_NOT_ALLOWED, LH_BAD_DATA, LH_INVALID, LH_TOO_LARGE, LH_NOT_FOUND (a snapshot),
 * LH_QUERY_TIMEOUT, LH_QUERY_MEMORY, LH_CANCELLED, LH_BUSY, LH_UNAVAILABLE, or what the sink
 * returned. A failure may come after bytes did. */
lh_code lh_query_run(struct lh_queryd *queryd, const struct lh_query_request *request,
                     const struct lh_query_sink *sink, struct lh_error *err);

#endif
