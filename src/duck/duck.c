/*
 * Databases and connections.
 *
 * Every database is in memory, loads no extensions and reports its errors as JSON. The order of the
 * settings matters: some are taken before the database opens, some only after it, and
 * lock_configuration is the last one of all (lh_duck_lock).
 */
#include "duck/duck_private.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>

enum { VERSION_MIN = 10404, VERSION_END = 10600, QUOTED_MAX = 1 << 20 };

const char *lh_duck_version(void)
{
    return duckdb_library_version();
}

/* "v1.5.5" as 10505; -1 for a text that is no version. */
static int version_number(const char *text)
{
    int major = 0;
    int minor = 0;
    int patch = 0;
    if (sscanf(text, "v%d.%d.%d", &major, &minor, &patch) != 3)
        return -1;
    return major * 10000 + minor * 100 + patch;
}

static lh_code check_version(struct lh_error *err)
{
    const char *version = duckdb_library_version();
    int number = version_number(version);
    if (number >= VERSION_MIN && number < VERSION_END)
        return LH_OK;
    LH_IGNORE(
        lh_fail(err, LH_INVALID_CONFIG,
                "libduckdb is %s; this program works with 1.4.4 up to, but not including, 1.6",
                version),
        "the hint returns the code");
    return lh_hint(err, "run tools/bootstrap, or let DUCKDB_DIR point to a fitting library");
}

static lh_code set(duckdb_config config, const char *name, const char *value, struct lh_error *err)
{
    if (duckdb_set_config(config, name, value) != DuckDBSuccess)
        return lh_fail(err, LH_INTERNAL, "DuckDB refuses the setting %s = '%s'", name, value);
    return LH_OK;
}

static lh_code set_bytes(duckdb_config config, const char *name, int64_t bytes,
                         struct lh_error *err)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64 "B", bytes);
    return set(config, name, text, err);
}

static lh_code configure(duckdb_config config, const struct lh_duck_options *options,
                         struct lh_error *err)
{
    LH_TRY(set(config, "autoinstall_known_extensions", "false", err));
    LH_TRY(set(config, "autoload_known_extensions", "false", err));
    LH_TRY(set(config, "allow_community_extensions", "false", err));
    LH_TRY(set(config, "allow_persistent_secrets", "false", err));
    LH_TRY(set_bytes(config, "memory_limit", options->memory_bytes, err));
    /* 1.4 does not take this before it is open; then errors are plain texts. */
    (void)duckdb_set_config(config, "errors_as_json", "true");
    char threads[24];
    snprintf(threads, sizeof(threads), "%" PRId64, options->threads);
    LH_TRY(set(config, "threads", threads, err));
    LH_TRY(
        set(config, "temp_directory", options->spill_dir != NULL ? options->spill_dir : "", err));
    if (options->spill_dir != NULL)
        LH_TRY(set_bytes(config, "max_temp_directory_size", options->spill_bytes_max, err));
    return LH_OK;
}

static lh_code open_configured(duckdb_config config, struct lh_duck **ret_duck,
                               struct lh_error *err)
{
    duckdb_database database = NULL;
    char *why = NULL;
    if (duckdb_open_ext(":memory:", &database, config, &why) != DuckDBSuccess) {
        lh_code code = lh_duck_fail(err, why, NULL);
        duckdb_free(why);
        return code;
    }
    struct lh_duck *duck = lh_calloc(1, sizeof(*duck));
    duck->magic = LH_DUCK_MAGIC;
    duck->database = database;
    *ret_duck = duck;
    return LH_OK;
}

lh_code lh_duck_open(const struct lh_duck_options *options, struct lh_duck **ret_duck,
                     struct lh_error *err)
{
    LH_CHECK(options->memory_bytes > 0 && options->threads > 0);
    LH_TRY(check_version(err));
    duckdb_config config = NULL;
    if (duckdb_create_config(&config) != DuckDBSuccess)
        return lh_fail(err, LH_NO_MEMORY, "no memory for DuckDB's configuration");
    struct lh_duck *duck = NULL;
    lh_code code = configure(config, options, err);
    if (code == LH_OK)
        code = open_configured(config, &duck, err);
    duckdb_destroy_config(&config);
    if (code == LH_OK)
        *ret_duck = duck;
    return code;
}

void lh_duck_close(struct lh_duck *duck)
{
    if (duck == NULL)
        return;
    LH_CHECK_MAGIC(duck, LH_DUCK_MAGIC);
    duck->magic = 0;
    duckdb_close(&duck->database);
    free(duck);
}

lh_code lh_duck_connect(struct lh_duck *duck, struct lh_duck_conn **ret_conn, struct lh_error *err)
{
    LH_CHECK_MAGIC(duck, LH_DUCK_MAGIC);
    duckdb_connection connection = NULL;
    if (duckdb_connect(duck->database, &connection) != DuckDBSuccess)
        return lh_fail(err, LH_NO_MEMORY, "DuckDB gives no further connection");
    struct lh_duck_conn *conn = lh_calloc(1, sizeof(*conn));
    conn->magic = LH_DUCK_CONN_MAGIC;
    conn->connection = connection;
    *ret_conn = conn;
    return LH_OK;
}

void lh_duck_disconnect(struct lh_duck_conn *conn)
{
    if (conn == NULL)
        return;
    LH_CHECK_MAGIC(conn, LH_DUCK_CONN_MAGIC);
    conn->magic = 0;
    duckdb_disconnect(&conn->connection);
    free(conn);
}

lh_code lh_duck_lock(struct lh_duck_conn *conn, const char *const *dirs, size_t dir_count,
                     struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(QUOTED_MAX);
    lh_buf_append_cstr(&sql, "SET allowed_directories = [");
    for (size_t i = 0; i < dir_count; i++) {
        /* Without the slash at its end, /data would allow /data2, too. */
        LH_AUTO_FREE char *dir = lh_asprintf("%s/", dirs[i]);
        if (i > 0)
            lh_buf_append_char(&sql, ',');
        lh_duck_quote_literal(&sql, lh_str_from(dir));
    }
    lh_buf_append_char(&sql, ']');
    if (lh_buf_overflowed(&sql))
        return lh_fail(err, LH_INVALID_CONFIG, "the names of the data folders are too long");
    LH_TRY(lh_duck_exec(conn, sql.data, err));
    LH_TRY(lh_duck_exec(conn, "SET enable_external_access = false", err));
    return lh_duck_exec(conn, "SET lock_configuration = true", err);
}

lh_code lh_duck_exec(struct lh_duck_conn *conn, const char *sql, struct lh_error *err)
{
    LH_CHECK_MAGIC(conn, LH_DUCK_CONN_MAGIC);
    duckdb_result result = {0};
    lh_code code = LH_OK;
    if (duckdb_query(conn->connection, sql, &result) != DuckDBSuccess)
        code = lh_duck_fail(err, duckdb_result_error(&result), NULL);
    duckdb_destroy_result(&result); /* also after a failure: it owns the message */
    return code;
}

void lh_duck_interrupt(struct lh_duck_conn *conn)
{
    LH_CHECK_MAGIC(conn, LH_DUCK_CONN_MAGIC);
    duckdb_interrupt(conn->connection);
}

static void quote(struct lh_buf *out, lh_str text, char mark)
{
    lh_buf_append_char(out, mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == mark)
            lh_buf_append_char(out, mark);
        lh_buf_append_char(out, text.ptr[i]);
    }
    lh_buf_append_char(out, mark);
}

void lh_duck_quote_literal(struct lh_buf *out, lh_str text)
{
    quote(out, text, '\'');
}

void lh_duck_quote_name(struct lh_buf *out, lh_str name)
{
    quote(out, name, '"');
}
