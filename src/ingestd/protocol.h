/*
 * What ingestd and its workers say to each other, over the frames of service/worker.h: one request
 * down, one answer up. A worker converts one file and ends.
 */
#ifndef LH_INGESTD_PROTOCOL_H
#define LH_INGESTD_PROTOCOL_H

#include "base/buf.h"
#include "base/error.h"
#include "ingestd/options.h"

#include <stddef.h>
#include <stdint.h>

enum lh_convert_frame {
    LH_CONVERT_REQUEST = 1, /* JSON, as lh_convert_request_write makes it */
    LH_CONVERT_RESULT = 2,  /* JSON: {"rows","bytes","schema":[{"name","type","nullable"}],
                               "stats":{column:{"min","max","nulls"}},"warnings":[...]} */
    LH_CONVERT_ERROR = 3,   /* as lh_frame_put_error makes it */
};

/* The files of a job, in its folder, which is all that the worker may touch. */
#define LH_JOB_INPUT  "input"
#define LH_JOB_OUTPUT "output.parquet"

struct lh_convert_request {
    char *dir; /* absolute; free of '..' */
    struct lh_ingest_options options;
    /* The dataset's columns, when the file must fit them (append, replace); NULL otherwise. */
    struct lh_ingest_column *schema;
    size_t schema_count;
    int64_t replacing; /* 1: a value that does not fit the schema is a conflict, not bad data */
    int64_t memory_bytes;
    int64_t threads;
    int64_t columns_max;
    int64_t line_bytes_max;
    int64_t sample_rows;
    int64_t resample_bytes_max;
};

void lh_convert_request_write(const struct lh_convert_request *request, struct lh_buf *out);
/* Everything in *ret_request is owned by the caller. LH_INVALID. */
lh_code lh_convert_request_read(lh_str text, struct lh_convert_request *ret_request,
                                struct lh_error *err);
void lh_convert_request_deinit(struct lh_convert_request *request);

/* Columns from JSON ([{"name","type",...}]) and back to nothing. */
lh_code lh_ingest_columns_read(const json_t *array, struct lh_ingest_column **ret_columns,
                               size_t *ret_count, struct lh_error *err);
void lh_ingest_columns_free(struct lh_ingest_column *columns, size_t count);

#endif
