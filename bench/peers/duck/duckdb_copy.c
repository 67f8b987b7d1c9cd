/*
 * The peer of ingest: DuckDB's own COPY of a CSV file to Parquet, with nothing around it.
 *
 *   duckdb_copy INPUT OUTPUT THREADS
 *   {"rows":..., "cpu_s":..., "wall_s":..., "max_rss_bytes":...}
 */
#include "base/buf.h"
#include "base/clock.h"
#include "duck/duck.h"

#include <stdio.h>
#include <sys/resource.h>

static void ignore_stats(void *ctx, const struct lh_duck_column_stats *stats)
{
    (void)ctx;
    (void)stats;
}

static lh_code copy(const char *input, const char *output, const char *threads, uint64_t *ret_rows,
                    struct lh_error *err)
{
    int64_t count = 0;
    if (!lh_str_to_i64(lh_str_from(threads), &count) || count < 1)
        return lh_fail(err, LH_INVALID, "THREADS is a number");
    const struct lh_duck_options options = {.memory_bytes = INT64_C(1) << 30, .threads = count};
    struct lh_duck *duck = NULL;
    struct lh_duck_conn *conn = NULL;
    uint64_t bytes = 0;
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(1 << 16);
    lh_buf_append_cstr(&sql, "COPY (SELECT * FROM read_csv(");
    lh_duck_quote_literal(&sql, lh_str_from(input));
    lh_buf_append_cstr(&sql, ")) TO ");
    lh_duck_quote_literal(&sql, lh_str_from(output));
    lh_buf_append_cstr(&sql, " (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)");
    lh_code code = lh_duck_open(&options, &duck, err);
    if (code == LH_OK)
        code = lh_duck_connect(duck, &conn, err);
    if (code == LH_OK)
        code = lh_duck_copy(conn, sql.data, ignore_stats, NULL, ret_rows, &bytes, err);
    lh_duck_disconnect(conn);
    lh_duck_close(duck);
    return code;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct lh_error err = LH_ERROR_INIT;
    uint64_t rows = 0;
    lh_mono began = lh_mono_now();
    if (argc != 4) {
        fputs("usage: duckdb_copy INPUT OUTPUT THREADS\n", stderr);
        return 2;
    }
    if (copy(argv[1], argv[2], argv[3], &rows, &err) != LH_OK) {
        fprintf(stderr, "duckdb_copy: %s\n", err.message);
        return 1;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"rows\":%llu,\"cpu_s\":%.3f,\"wall_s\":%.3f,\"max_rss_bytes\":%lld}\n",
           (unsigned long long)rows, seconds(usage.ru_utime) + seconds(usage.ru_stime),
           lh_mono_since_s(began), (long long)usage.ru_maxrss * 1024);
    return 0;
}
