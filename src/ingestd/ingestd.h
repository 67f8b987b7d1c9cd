/*
 * The intake of files: a stream of bytes becomes one Parquet object and one commit, or nothing. The
 * core, without sockets; api*.c is its HTTP face. README.md of this folder: the files in reading
 * order, the steps of a job and what each leaves behind when it fails.
 *
 *   LH_TRY(lh_job_begin(intake, &start, &job, err));
 *   while (...) LH_TRY(lh_job_receive(job, bytes, len, err));      (and lh_job_end on any failure)
 *   LH_TRY(lh_job_run(job, &options, &answer, &status, err));
 *   lh_job_end(job);
 *
 * A job belongs to one thread; everything else is thread-safe.
 */
#ifndef LH_INGESTD_INGESTD_H
#define LH_INGESTD_INGESTD_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "ingestd/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_service;
struct lh_objstore;
struct lh_catalog_client;
struct lh_intake;
struct lh_job;

extern const struct lh_service lh_ingestd_service;

struct lh_intake_options {
    const char *dir;           /* of the service: spool and journal live in it */
    struct lh_objstore *store; /* borrowed, like the catalog */
    struct lh_catalog_client *catalog;
    int64_t memory_bytes; /* of one conversion, like the limits below */
    int64_t threads;
    int64_t columns_max;
    int64_t line_bytes_max;
    int64_t sample_rows;
    int64_t resample_bytes_max;
    int64_t convert_timeout_ms;
    int64_t storage_timeout_ms;
    size_t jobs_max;  /* conversions at the same time */
    size_t queue_max; /* further jobs, receiving or waiting */
};

/* Removes what a crash left in the spool and counts what it left in the journal. The folder must be
 * this process's own (lh_service_dir is). */
lh_code lh_intake_open(const struct lh_intake_options *options, struct lh_intake **ret_intake,
                       struct lh_error *err);
/* Starts the thread that settles what the journal holds (settle.c). */
lh_code lh_intake_start(struct lh_intake *intake, struct lh_error *err);
/* Ends waits for a turn, and the thread; jobs under way go on. */
void lh_intake_stop(struct lh_intake *intake);
void lh_intake_close(struct lh_intake *intake); /* no job may be left; accepts NULL */

/* ---- one job ---- */

struct lh_job_start {
    const char *dataset;                /* as far as it is known, for the list; "" = not yet */
    int64_t bytes_total;                /* of the body; -1 = unknown */
    bool (*cancelled)(const void *ctx); /* the client is gone; asked at least every 100 ms */
    const void *cancel_ctx;
};

/* LH_BUSY when jobs_max + queue_max jobs are under way. */
lh_code lh_job_begin(struct lh_intake *intake, const struct lh_job_start *start,
                     struct lh_job **ret_job, struct lh_error *err);

/* The next bytes of the file, into the spool. LH_STORAGE_FULL, LH_IO. */
lh_code lh_job_receive(struct lh_job *job, const void *bytes, size_t len, struct lh_error *err);

/* What the upload said of the file; either may be empty. Decides on format and name when the
 * options leave them open. */
void lh_job_describe(struct lh_job *job, lh_str content_type, lh_str file_name);

/* Everything after the last byte. On success the answer (JSON) and its status, 200 or 201; what the
 * job stored is then part of the dataset. On failure nothing of it is, with one exception that is
 * named as such (LH_TIMEOUT or LH_UNAVAILABLE from the catalog at the very end: the commit is
 * settled in the background, one way or the other). Options that were left open are filled in. */
lh_code lh_job_run(struct lh_job *job, struct lh_ingest_options *options, struct lh_buf *ret_answer,
                   int *ret_status, struct lh_error *err);

/* Removes the job's files and gives its place free. Accepts NULL. */
void lh_job_end(struct lh_job *job);

/* ---- for GET /ingest, /health and /metrics ---- */

/* The jobs under way as the members of an array, oldest first. */
void lh_intake_list(struct lh_intake *intake, struct lh_json *json);

struct lh_intake_stats {
    size_t jobs; /* under way */
    size_t converting;
    size_t unsettled; /* objects whose commit is not known yet */
    size_t damaged;   /* entries of the journal that cannot be read */
    uint64_t created, appended, replaced, unchanged, failed;
    uint64_t rows, bytes_in, bytes_out; /* of what succeeded */
};
void lh_intake_stats(struct lh_intake *intake, struct lh_intake_stats *ret_stats);

#endif
