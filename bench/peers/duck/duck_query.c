/*
 * The peer of bench/load/sql.py: the same query on DuckDB inside one process, without a server
 * around it.
 *
 *   duck_query FILE.parquet COUNT SQL     the view `t` shows the file
 *
 * Prints {"p50_us": ..., "cpu_us": ...}: the median of COUNT runs, and CPU time of one run. Rows
 * are fetched and dropped.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "duck/duck.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static lh_code run_once(struct lh_duck_conn *conn, const char *sql, struct lh_error *err)
{
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(conn, sql, NULL, 0, &rows, err));
    while (lh_duck_next(rows))
        ;
    return lh_duck_rows_close(&rows, err);
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static lh_code measure(const char *file, uint64_t count, const char *sql, struct lh_error *err)
{
    const struct lh_duck_options options = {.memory_bytes = INT64_C(1) << 30, .threads = 2};
    struct lh_duck *duck = NULL;
    struct lh_duck_conn *conn = NULL;
    LH_AUTO_BUF struct lh_buf view = LH_BUF_INIT(64 << 10);
    lh_buf_append_cstr(&view, "CREATE VIEW t AS SELECT * FROM read_parquet([");
    lh_duck_quote_literal(&view, lh_str_from(file));
    lh_buf_append_cstr(&view, "])");
    LH_TRY(lh_duck_open(&options, &duck, err));
    LH_TRY(lh_duck_connect(duck, &conn, err));
    LH_TRY(lh_duck_exec(conn, "SET parquet_metadata_cache = true", err));
    LH_TRY(lh_duck_exec(conn, view.data, err));
    LH_TRY(run_once(conn, sql, err));

    LH_AUTO_FREE int64_t *times = lh_calloc(count, sizeof(*times));
    double cpu = cpu_seconds();
    for (uint64_t i = 0; i < count; i++) {
        lh_mono start = lh_mono_now();
        LH_TRY(run_once(conn, sql, err));
        times[i] = lh_mono_since_ns(start);
    }
    cpu = cpu_seconds() - cpu;
    qsort(times, count, sizeof(*times), by_value);
    printf("{\"p50_us\": %.1f, \"cpu_us\": %.1f}\n", (double)times[count / 2] / 1e3,
           cpu * 1e6 / (double)count);
    lh_duck_disconnect(conn);
    lh_duck_close(duck);
    return LH_OK;
}

int main(int argc, char **argv)
{
    struct lh_error err = LH_ERROR_INIT;
    uint64_t count = 0;
    if (argc != 4 || !lh_str_to_u64(lh_str_from(argv[2]), &count) || count == 0) {
        fprintf(stderr, "usage: duck_query FILE.parquet COUNT SQL\n");
        return 2;
    }
    if (measure(argv[1], count, argv[3], &err) != LH_OK) {
        fprintf(stderr, "duck_query: %s\n", err.message);
        return 1;
    }
    return 0;
}
