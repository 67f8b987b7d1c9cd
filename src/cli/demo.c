/*
 * The demonstration, step by step.
 */
#include "cli/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/client.h"
#include "cli/ingest.h"
#include "cli/sql.h"
#include "cli/table.h"
#include "cli/terminal.h"

enum { BATCH_ITEMS = 500, BODY_BYTES_MAX = 32 << 20 };

static const char index_name[] = "helpdesk";
static const char question[] = "how can I get a backup back?";

static void headline(const struct lh_cli *cli, const char *text)
{
    struct lh_style style = lh_style_of(stdout, cli->color);
    printf("%s%s%s\n", style.bold, text, style.off);
    fflush(stdout);
}

/* ---- a file in ---- */

static lh_code ingest_trips(struct lh_cli *cli, const char *path, struct lh_error *err)
{
    /* Replace: a run with another number of rows is welcome; the same bytes are "unchanged". */
    const struct lh_ingest_request request = {
        .path = path,
        .dataset = "trips",
        .mode = "replace",
        .label = "trips.csv",
        .progress_at_once = true,
    };
    lh_mono start = lh_mono_now();
    LH_AUTO_JSON json_t *answer = NULL;
    LH_TRY(lh_ingest_file(cli, &request, &answer, err));
    lh_ingest_print(cli, answer, lh_mono_since_s(start));
    return LH_OK;
}

static lh_code make_and_ingest(struct lh_cli *cli, const char *dir, int64_t rows,
                               struct lh_error *err)
{
    char count[LH_HUMAN_SIZE], size[LH_HUMAN_SIZE], time[LH_HUMAN_SIZE];
    LH_AUTO_FREE char *path = lh_asprintf("%s/trips.csv", dir);
    lh_mono start = lh_mono_now();
    uint64_t bytes;
    headline(cli, "1  A file becomes a dataset");
    LH_TRY(lh_demo_write_trips(path, rows, &bytes, err));
    printf("trips.csv: made  %s rows  %s  %s\n", lh_human_count((uint64_t)rows, count),
           lh_human_bytes(bytes, size), lh_human_seconds(lh_mono_since_s(start), time));
    fflush(stdout);
    lh_code code = ingest_trips(cli, path, err);
    unlink(path);
    return code;
}

static lh_code show_ingest(struct lh_cli *cli, int64_t rows, struct lh_error *err)
{
    const char *parent = getenv("TMPDIR");
    LH_AUTO_FREE char *dir =
        lh_asprintf("%s/lakehouse-demo-XXXXXX", parent && parent[0] ? parent : "/tmp");
    if (!mkdtemp(dir))
        return lh_fail_errno(err, "cannot make a folder like %s", dir);
    lh_code code = make_and_ingest(cli, dir, rows, err);
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(lh_clear_dir(dir, &ignored), "what stays is a file in a temporary folder");
    rmdir(dir);
    return code;
}

/* ---- SQL out ---- */

static lh_code show_sql(struct lh_cli *cli, struct lh_error *err)
{
    static const char sql[] =
        "SELECT city, count(*) AS trips, round(avg(distance_km), 2) AS km,\n"
        "       sum(fare + tip)::BIGINT AS revenue, round(100 * sum(tip) / sum(fare), 1) AS "
        "tip_pct\n"
        "FROM trips GROUP BY city ORDER BY revenue DESC";
    struct lh_style style = lh_style_of(stdout, cli->color);
    headline(cli, "\n2  SQL over it");
    printf("%s%s%s\n", style.cyan, sql, style.off);
    const struct lh_sql_query query = {.sql = lh_str_from(sql)};
    return lh_sql_table(cli, &query, stdout, err);
}

/* ---- search by likeness ---- */

static void put_vector(struct lh_json *json, const char *text)
{
    float vector[LH_DEMO_DIMENSION];
    lh_demo_embed(text, vector);
    lh_json_array(json);
    for (size_t i = 0; i < LH_DEMO_DIMENSION; i++)
        lh_json_f32(json, vector[i]);
    lh_json_array_end(json);
}

static lh_code create_index(struct lh_cli *cli, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_kcstr(&json, "name", index_name);
    lh_json_ki64(&json, "dimension", LH_DEMO_DIMENSION);
    lh_json_kcstr(&json, "metric", "cosine");
    lh_json_object_end(&json);
    LH_AUTO_JSON json_t *answer = NULL;
    return lh_client_json(cli, LH_HTTP_POST, "/v1/vectors", &body, &answer, err);
}

static void put_item(struct lh_json *json, size_t i)
{
    char phrase[LH_DEMO_PHRASE_MAX], id[32];
    lh_demo_phrase(i, phrase);
    snprintf(id, sizeof(id), "ticket-%zu", i + 1);
    lh_json_object(json);
    lh_json_kcstr(json, "id", id);
    lh_json_key(json, "vector");
    put_vector(json, phrase);
    lh_json_key(json, "metadata");
    lh_json_object(json);
    lh_json_kcstr(json, "text", phrase);
    lh_json_object_end(json);
    lh_json_object_end(json);
}

static lh_code add_batch(struct lh_cli *cli, size_t from, size_t to, struct lh_error *err)
{
    LH_AUTO_FREE char *path = lh_asprintf("/v1/vectors/%s/add", index_name);
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_key(&json, "items");
    lh_json_array(&json);
    for (size_t i = from; i < to; i++)
        put_item(&json, i);
    lh_json_array_end(&json);
    lh_json_object_end(&json);
    LH_AUTO_JSON json_t *answer = NULL;
    return lh_client_json(cli, LH_HTTP_POST, path, &body, &answer, err);
}

static lh_code fill_index(struct lh_cli *cli, struct lh_error *err)
{
    lh_mono start = lh_mono_now();
    LH_TRY(create_index(cli, err));
    for (size_t from = 0; from < LH_DEMO_PHRASES; from += BATCH_ITEMS) {
        size_t to = from + BATCH_ITEMS < LH_DEMO_PHRASES ? from + BATCH_ITEMS : LH_DEMO_PHRASES;
        LH_TRY(add_batch(cli, from, to, err));
    }
    char count[LH_HUMAN_SIZE], time[LH_HUMAN_SIZE];
    printf("%s: %s texts  %d dimensions  durable  %s\n", index_name,
           lh_human_count(LH_DEMO_PHRASES, count), LH_DEMO_DIMENSION,
           lh_human_seconds(lh_mono_since_s(start), time));
    return LH_OK;
}

static lh_code search(struct lh_cli *cli, json_t **ret_answer, struct lh_error *err)
{
    LH_AUTO_FREE char *path = lh_asprintf("/v1/vectors/%s/search", index_name);
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_key(&json, "vector");
    put_vector(&json, question);
    lh_json_ki64(&json, "k", 5);
    lh_json_object_end(&json);
    return lh_client_json(cli, LH_HTTP_POST, path, &body, ret_answer, err);
}

/* The hits as rows of a table. */
static void print_hits(const struct lh_cli *cli, const json_t *answer, double seconds)
{
    struct lh_table *table = lh_table_new(10);
    lh_table_add_column(table, LH_STR("distance"), LH_STR("FLOAT"));
    lh_table_add_column(table, LH_STR("id"), LH_STR("VARCHAR"));
    lh_table_add_column(table, LH_STR("text"), LH_STR("VARCHAR"));
    size_t i;
    json_t *hit;
    json_array_foreach (json_object_get(answer, "hits"), i, hit) {
        LH_AUTO_BUF struct lh_buf row = LH_BUF_INIT(BODY_BYTES_MAX);
        struct lh_json json = LH_JSON_TO(&row);
        const json_t *metadata = json_object_get(hit, "metadata");
        char distance[32];
        snprintf(distance, sizeof(distance), "%.3f",
                 json_number_value(json_object_get(hit, "distance")));
        lh_json_array(&json);
        lh_json_raw(&json, lh_str_from(distance));
        lh_json_cstr(&json, json_string_value(json_object_get(hit, "id")));
        lh_json_cstr(&json, json_string_value(json_object_get(metadata, "text")));
        lh_json_array_end(&json);
        lh_table_add_row(table, lh_buf_str(&row));
    }
    struct lh_style style = lh_style_of(stdout, cli->color);
    char time[LH_HUMAN_SIZE];
    lh_table_print(table, stdout, lh_terminal_width(stdout), &style);
    printf("%s%llu hits  %s%s\n", style.dim, (unsigned long long)lh_table_row_count(table),
           lh_human_seconds(seconds, time), style.off);
    lh_table_free(table);
}

static lh_code show_vectors(struct lh_cli *cli, struct lh_error *err)
{
    struct lh_style style = lh_style_of(stdout, cli->color);
    headline(cli, "\n3  Search by likeness");
    LH_TRY(fill_index(cli, err));
    printf("%s\"%s\"%s\n", style.cyan, question, style.off);
    lh_mono start = lh_mono_now();
    LH_AUTO_JSON json_t *answer = NULL;
    LH_TRY(search(cli, &answer, err));
    print_hits(cli, answer, lh_mono_since_s(start));
    return LH_OK;
}

/* ---- what to do next ---- */

static lh_code show_next(struct lh_cli *cli, struct lh_error *err)
{
    const char *url;
    LH_TRY(lh_client_url(cli, &url, err));
    headline(cli, "\nNow yours");
    printf("  console  %s/\n  api      %s/v1\n", url, url);
    printf("  lakehouse sql \"FROM trips LIMIT 5\"\n  lakehouse ingest your.csv\n");
    fflush(stdout);
    return LH_OK;
}

lh_code lh_demo_run(struct lh_cli *cli, int64_t rows, struct lh_error *err)
{
    LH_TRY(show_ingest(cli, rows, err));
    LH_TRY(show_sql(cli, err));
    LH_TRY(show_vectors(cli, err));
    return show_next(cli, err);
}
