/* lakehouse vector create | add | search | delete | drop | stats | recall | ls */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/vector_add.h"

enum { BODY_MAX = 16 << 20, ROWS_SHOWN = 100, BATCH_DEFAULT = 1000 };

/* What the flags say; each subcommand looks at its own. */
struct vector_flags {
    int64_t dimension, m, ef_construction, k, ef, sample, batch;
    const char *metric, *quantization, *id, *filter, *sql, *format, *id_column, *vector_column;
    bool exact, json;
};

struct vector_command {
    struct lh_cli *cli;
    const struct vector_flags *flags;
    const char *const *words; /* without the subcommand's name */
    size_t word_count;
    bool *misused; /* set when it was typed wrongly */
};

static lh_code fail_usage(const struct vector_command *command, struct lh_error *err,
                          const char *wrong)
{
    *command->misused = true;
    return lh_fail(err, LH_INVALID, "%s", wrong);
}

/* ---- calls ---- */

/* "/v1/vectors/NAME" and what follows. */
static char *path_of(const char *index, const char *rest)
{
    struct lh_buf path = LH_BUF_INIT(8192);
    lh_buf_append_cstr(&path, "/v1/vectors/");
    lh_http_encode(&path, lh_str_from(index), false);
    lh_buf_append_cstr(&path, rest);
    return lh_buf_take(&path);
}

static lh_code ask(const struct vector_command *command, enum lh_http_method method,
                   const char *rest, const struct lh_buf *body, json_t **ret_answer,
                   struct lh_error *err)
{
    LH_AUTO_FREE char *path = path_of(command->words[0], rest);
    return lh_client_json(command->cli, method, path, body, ret_answer, err);
}

static bool for_people(const struct vector_command *command)
{
    return !command->flags->json && lh_is_terminal(stdout);
}

static void print_document(const struct vector_command *command, const json_t *document)
{
    json_dumpf(document, stdout, for_people(command) ? JSON_INDENT(2) : JSON_COMPACT);
    putchar('\n');
}

/* ---- create, drop, stats, recall ---- */

static void put_count(struct lh_json *json, const char *key, int64_t value)
{
    if (value > 0)
        lh_json_ki64(json, key, value);
}

static void put_text(struct lh_json *json, const char *key, const char *value)
{
    if (value != NULL)
        lh_json_kcstr(json, key, value);
}

static lh_code put_filter(const struct vector_command *command, struct lh_json *json,
                          struct lh_error *err)
{
    const char *filter = command->flags->filter;
    LH_AUTO_JSON json_t *parsed = NULL;
    if (filter == NULL)
        return LH_OK;
    *command->misused = true; /* unless it can be read */
    if (lh_json_parse(lh_str_from(filter), &parsed, err) != LH_OK)
        return lh_fail_context(err, "--filter");
    *command->misused = false;
    lh_json_key(json, "filter");
    lh_json_raw(json, lh_str_from(filter));
    return LH_OK;
}

static lh_code run_create(const struct vector_command *command, struct lh_error *err)
{
    const struct vector_flags *flags = command->flags;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_MAX);
    LH_AUTO_JSON json_t *answer = NULL;
    struct lh_json json = LH_JSON_TO(&body);
    if (flags->dimension == 0)
        return fail_usage(command, err, "how many numbers has a vector? say --dimension N");
    lh_json_object(&json);
    lh_json_kcstr(&json, "name", command->words[0]);
    put_count(&json, "dimension", flags->dimension);
    put_text(&json, "metric", flags->metric);
    put_count(&json, "m", flags->m);
    put_count(&json, "ef_construction", flags->ef_construction);
    put_text(&json, "quantization", flags->quantization);
    lh_json_object_end(&json);
    LH_TRY(lh_client_json(command->cli, LH_HTTP_POST, "/v1/vectors", &body, &answer, err));
    print_document(command, answer);
    return LH_OK;
}

static lh_code run_drop(const struct vector_command *command, struct lh_error *err)
{
    LH_AUTO_JSON json_t *answer = NULL;
    return ask(command, LH_HTTP_DELETE, "", NULL, &answer, err);
}

static lh_code run_stats(const struct vector_command *command, struct lh_error *err)
{
    LH_AUTO_JSON json_t *answer = NULL;
    LH_TRY(ask(command, LH_HTTP_GET, "", NULL, &answer, err));
    print_document(command, answer);
    return LH_OK;
}

static lh_code run_recall(const struct vector_command *command, struct lh_error *err)
{
    const struct vector_flags *flags = command->flags;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_MAX);
    LH_AUTO_JSON json_t *answer = NULL;
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    put_count(&json, "sample", flags->sample);
    put_count(&json, "k", flags->k);
    put_count(&json, "ef", flags->ef);
    LH_TRY(put_filter(command, &json, err));
    lh_json_object_end(&json);
    LH_TRY(ask(command, LH_HTTP_POST, "/recall", &body, &answer, err));
    print_document(command, answer);
    return LH_OK;
}

/* ---- ls ---- */

static void print_index(struct lh_table *table, const json_t *index)
{
    static const char *const keys[] = {"name",  "dimension", "metric",       "quantization",
                                       "count", "deleted",   "memory_bytes", "status"};
    LH_AUTO_BUF struct lh_buf row = LH_BUF_INIT(BODY_MAX);
    struct lh_json json = LH_JSON_TO(&row);
    lh_json_array(&json);
    for (size_t i = 0; i < LH_COUNT(keys); i++) {
        const json_t *value = json_object_get(index, keys[i]);
        LH_AUTO_FREE char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        lh_json_raw(&json, text == NULL ? LH_STR("null") : lh_str_from(text));
    }
    lh_json_array_end(&json);
    lh_table_add_row(table, lh_buf_str(&row));
}

static struct lh_table *table_of_indexes(void)
{
    static const char *const columns[][2] = {
        {"name", "VARCHAR"},         {"dimension", "BIGINT"}, {"metric", "VARCHAR"},
        {"quantization", "VARCHAR"}, {"items", "BIGINT"},     {"deleted", "BIGINT"},
        {"memory", "BIGINT"},        {"status", "VARCHAR"},
    };
    struct lh_table *table = lh_table_new(ROWS_SHOWN);
    for (size_t i = 0; i < LH_COUNT(columns); i++)
        lh_table_add_column(table, lh_str_from(columns[i][0]), lh_str_from(columns[i][1]));
    return table;
}

static void print_table(const struct vector_command *command, struct lh_table *table)
{
    struct lh_style style = lh_style_of(stdout, command->cli->color);
    lh_table_print(table, stdout, lh_terminal_width(stdout), &style);
}

/* One page; *cursor becomes where the next one begins, NULL at the end. */
static lh_code list_page(const struct vector_command *command, struct lh_table *table,
                         char **cursor, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(8192);
    LH_AUTO_JSON json_t *answer = NULL;
    size_t i;
    json_t *index;
    lh_buf_append_cstr(&path, "/v1/vectors?limit=1000");
    if (*cursor != NULL) {
        lh_buf_append_cstr(&path, "&cursor=");
        lh_http_encode(&path, lh_str_from(*cursor), false);
    }
    free(*cursor);
    *cursor = NULL;
    LH_TRY(lh_client_json(command->cli, LH_HTTP_GET, path.data, NULL, &answer, err));
    json_array_foreach (json_object_get(answer, "items"), i, index) {
        if (for_people(command))
            print_index(table, index);
        else
            print_document(command, index);
    }
    const char *next = json_string_value(json_object_get(answer, "next"));
    *cursor = next == NULL ? NULL : lh_strdup(next);
    return LH_OK;
}

static lh_code run_ls(const struct vector_command *command, struct lh_error *err)
{
    struct lh_table *table = table_of_indexes();
    char *cursor = NULL;
    lh_code code;
    do {
        code = list_page(command, table, &cursor, err);
    } while (code == LH_OK && cursor != NULL);
    free(cursor);
    if (code == LH_OK && for_people(command))
        print_table(command, table);
    lh_table_free(table);
    return code;
}

/* ---- search ---- */

static lh_code put_query(const struct vector_command *command, struct lh_json *json,
                         struct lh_error *err)
{
    const struct vector_flags *flags = command->flags;
    LH_AUTO_JSON json_t *vector = NULL;
    if ((flags->id != NULL) == (command->word_count > 1))
        return fail_usage(command, err,
                          "search for what? a vector, '[0.1, 0.2, ...]', or --id of an item");
    if (flags->id != NULL) {
        lh_json_kcstr(json, "id", flags->id);
        return LH_OK;
    }
    lh_str text = lh_str_from(command->words[1]);
    if (lh_json_parse(text, &vector, err) != LH_OK || !json_is_array(vector))
        return fail_usage(command, err, "the vector is an array of numbers, '[0.1, 0.2, ...]'");
    lh_json_key(json, "vector");
    lh_json_raw(json, text);
    return LH_OK;
}

static void print_hits(const struct vector_command *command, const json_t *hits)
{
    struct lh_table *table = lh_table_new(ROWS_SHOWN);
    size_t i;
    json_t *hit;
    lh_table_add_column(table, LH_STR("id"), LH_STR("VARCHAR"));
    lh_table_add_column(table, LH_STR("distance"), LH_STR("FLOAT"));
    lh_table_add_column(table, LH_STR("metadata"), LH_STR("JSON"));
    json_array_foreach (hits, i, hit) {
        LH_AUTO_FREE char *metadata =
            json_dumps(json_object_get(hit, "metadata"), JSON_COMPACT | JSON_ENCODE_ANY);
        bool none = metadata == NULL || strcmp(metadata, "null") == 0;
        LH_AUTO_JSON json_t *row =
            json_pack("[O, O, s?]", json_object_get(hit, "id"), json_object_get(hit, "distance"),
                      none ? NULL : metadata);
        LH_AUTO_FREE char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(9));
        lh_table_add_row(table, lh_str_from(text));
    }
    print_table(command, table);
    lh_table_free(table);
}

static lh_code run_search(const struct vector_command *command, struct lh_error *err)
{
    const struct vector_flags *flags = command->flags;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_MAX);
    LH_AUTO_JSON json_t *answer = NULL;
    struct lh_json json = LH_JSON_TO(&body);
    size_t i;
    json_t *hit;
    lh_json_object(&json);
    LH_TRY(put_query(command, &json, err));
    put_count(&json, "k", flags->k);
    put_count(&json, "ef", flags->ef);
    if (flags->exact)
        lh_json_kbool(&json, "exact", true);
    LH_TRY(put_filter(command, &json, err));
    lh_json_object_end(&json);
    LH_TRY(ask(command, LH_HTTP_POST, "/search", &body, &answer, err));
    const json_t *hits = json_object_get(answer, "hits");
    if (for_people(command)) {
        print_hits(command, hits);
        return LH_OK;
    }
    json_array_foreach (hits, i, hit) {
        json_dumpf(hit, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    return LH_OK;
}

/* ---- add, delete ---- */

static lh_code run_add(const struct vector_command *command, struct lh_error *err)
{
    const struct vector_flags *flags = command->flags;
    if ((flags->sql != NULL) == (command->word_count > 1))
        return fail_usage(command, err, "add what? a file (- is stdin), or the rows of --sql");
    const struct lh_vector_add add = {
        .index = command->words[0],
        .path = flags->sql == NULL ? command->words[1] : NULL,
        .sql = flags->sql,
        .format = flags->format,
        .id_column = flags->id_column != NULL ? flags->id_column : "id",
        .vector_column = flags->vector_column != NULL ? flags->vector_column : "vector",
        .batch = flags->batch > 0 ? flags->batch : BATCH_DEFAULT,
    };
    struct lh_vector_added added = {0};
    lh_mono start = lh_mono_now();
    lh_code code = lh_vector_add(command->cli, &add, &added, err);
    if (code != LH_OK) {
        if (added.added + added.updated > 0)
            return lh_fail_context(err, "%llu items were put, then",
                                   (unsigned long long)(added.added + added.updated));
        return code;
    }
    if (!for_people(command)) {
        printf("{\"added\":%llu,\"updated\":%llu,\"durable\":%s}\n",
               (unsigned long long)added.added, (unsigned long long)added.updated,
               added.durable ? "true" : "false");
        return LH_OK;
    }
    char count[LH_HUMAN_SIZE], updated[LH_HUMAN_SIZE], time[LH_HUMAN_SIZE];
    printf("%s: %s added, %s updated  %s\n", add.index, lh_human_count(added.added, count),
           lh_human_count(added.updated, updated), lh_human_seconds(lh_mono_since_s(start), time));
    return LH_OK;
}

static lh_code run_delete(const struct vector_command *command, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_MAX);
    LH_AUTO_JSON json_t *answer = NULL;
    struct lh_json json = LH_JSON_TO(&body);
    const char *filter = command->flags->filter;
    if ((filter != NULL) == (command->word_count > 1))
        return fail_usage(command, err, "delete what? ids, or what fulfils a --filter");
    lh_json_object(&json);
    LH_TRY(put_filter(command, &json, err));
    if (filter == NULL) {
        lh_json_key(&json, "ids");
        lh_json_array(&json);
        for (size_t i = 1; i < command->word_count; i++)
            lh_json_cstr(&json, command->words[i]);
        lh_json_array_end(&json);
    }
    lh_json_object_end(&json);
    LH_TRY(ask(command, LH_HTTP_POST, "/delete", &body, &answer, err));
    print_document(command, answer);
    return LH_OK;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    size_t words_min, words_max; /* behind the name */
    const char *arguments;
    lh_code (*run)(const struct vector_command *command, struct lh_error *err);
} subcommands[] = {
    {"create", 1, 1, "INDEX --dimension N", run_create},
    {"add", 1, 2, "INDEX FILE", run_add},
    {"search", 1, 2, "INDEX '[0.1, ...]'", run_search},
    {"delete", 1, SIZE_MAX, "INDEX ID ...", run_delete},
    {"drop", 1, 1, "INDEX", run_drop},
    {"stats", 1, 1, "INDEX", run_stats},
    {"recall", 1, 1, "INDEX", run_recall},
    {"ls", 0, 0, "", run_ls},
};

static lh_code fail_subcommand(const char *name, struct lh_error *err)
{
    const char *names[LH_COUNT(subcommands)];
    for (size_t i = 0; i < LH_COUNT(subcommands); i++)
        names[i] = subcommands[i].name;
    const char *nearest = lh_nearest(lh_str_from(name), names, LH_COUNT(names));
    LH_IGNORE(lh_fail(err, LH_INVALID, "lakehouse vector has no \"%s\"", name),
              "the hint returns the code");
    return nearest == NULL ? lh_hint(err, "lakehouse help vector lists what it has")
                           : lh_hint(err, "did you mean: lakehouse vector %s", nearest);
}

static lh_code find_subcommand(const struct lh_cli_arguments *arguments, size_t *ret,
                               struct lh_error *err)
{
    if (arguments->count == 0)
        return lh_fail(err, LH_INVALID, "lakehouse vector what? lakehouse help vector");
    size_t words = arguments->count - 1;
    for (size_t i = 0; i < LH_COUNT(subcommands); i++) {
        if (strcmp(subcommands[i].name, arguments->words[0]) != 0)
            continue;
        *ret = i;
        if (words >= subcommands[i].words_min && words <= subcommands[i].words_max)
            return LH_OK;
        return lh_fail(err, LH_INVALID, "usage: lakehouse vector %s %s", subcommands[i].name,
                       subcommands[i].arguments);
    }
    return fail_subcommand(arguments->words[0], err);
}

static int run_flags(struct lh_cli *cli, const struct lh_cli_flag *flags, size_t flag_count,
                     const struct vector_flags *values, int argc, char **argv)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    size_t which = 0;
    if (lh_cli_parse(cli, flags, flag_count, argc, argv, &arguments, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, flag_count);
    if (find_subcommand(&arguments, &which, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    lh_cli_catch_interrupts();
    bool misused = false;
    const struct vector_command command = {cli, values, arguments.words + 1, arguments.count - 1,
                                           &misused};
    if (subcommands[which].run(&command, &err) == LH_OK)
        return LH_EXIT_OK;
    return misused ? lh_cli_misused(cli, &err) : lh_cli_failed(cli, &err);
}

int lh_cmd_vector(struct lh_cli *cli, int argc, char **argv)
{
    struct vector_flags values = {0};
    const struct lh_cli_flag flags[] = {
        {"dimension", 'd', LH_CLI_COUNT, &values.dimension, "N", "create: numbers of a vector"},
        {"metric", 0, LH_CLI_TEXT, &values.metric, "METRIC", "create: cosine, l2 or ip"},
        {"quantization", 0, LH_CLI_TEXT, &values.quantization, "KIND", "create: auto, none or sq8"},
        {"m", 0, LH_CLI_COUNT, &values.m, "N", "create: links of a node"},
        {"ef-construction", 0, LH_CLI_COUNT, &values.ef_construction, "N",
         "create: nodes looked at when one is linked"},
        {"sql", 0, LH_CLI_TEXT, &values.sql, "SQL", "add: the rows of a query"},
        {"format", 0, LH_CLI_TEXT, &values.format, "FORMAT",
         "add: ndjson, csv, tsv, json or parquet"},
        {"id-column", 0, LH_CLI_TEXT, &values.id_column, "NAME", "add: else id"},
        {"vector-column", 0, LH_CLI_TEXT, &values.vector_column, "NAME", "add: else vector"},
        {"batch", 0, LH_CLI_COUNT, &values.batch, "N", "add: items in one request (1,000)"},
        {"id", 0, LH_CLI_TEXT, &values.id, "ID", "search: the neighbours of this item"},
        {"k", 'k', LH_CLI_COUNT, &values.k, "N", "search, recall: how many (10)"},
        {"ef", 0, LH_CLI_COUNT, &values.ef, "N", "search, recall: candidates kept"},
        {"exact", 0, LH_CLI_SWITCH, &values.exact, NULL, "search: look at every item"},
        {"filter", 0, LH_CLI_TEXT, &values.filter, "JSON",
         "search, delete, recall: a condition on the metadata"},
        {"sample", 0, LH_CLI_COUNT, &values.sample, "N", "recall: queries (100)"},
        {"json", 0, LH_CLI_SWITCH, &values.json, NULL, "answers as JSON"},
    };
    return run_flags(cli, flags, LH_COUNT(flags), &values, argc, argv);
}
