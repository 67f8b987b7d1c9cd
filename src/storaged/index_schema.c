/*
 * The tables of the index, as the steps that made them: a new database goes all of them, an older
 * one those that it has not gone yet, in one transaction. What lies in them and what holds between
 * them is described in docs/formats/store.md; change both together.
 */
#include "storaged/index_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

enum { APPLICATION_ID = 0x4c484f53 /* "LHOS" */ };

static const char format_1[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;"
    "CREATE TABLE buckets(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  objects INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;"
    "CREATE TABLE objects(bucket INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,"
    "  modified INTEGER NOT NULL, etag TEXT NOT NULL, content_type TEXT NOT NULL,"
    "  body INTEGER NOT NULL, in_file INTEGER NOT NULL, sum INTEGER NOT NULL,"
    "  PRIMARY KEY(bucket, key)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE bodies(id INTEGER PRIMARY KEY, sums BLOB NOT NULL, sums_sum INTEGER NOT NULL,"
    "  payload BLOB) STRICT;"
    "INSERT INTO meta VALUES('epoch', 0);"
    "INSERT INTO buckets VALUES(1, 'lake', 0, 0);";

/* Rows of objects and bodies stay as they are: what is new has a default, and counts for a row's
 * checksum only where it is another. */
static const char format_2[] =
    "ALTER TABLE objects RENAME COLUMN in_file TO flags;"
    "ALTER TABLE objects ADD COLUMN part_count INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE objects ADD COLUMN checksum BLOB;"
    "ALTER TABLE buckets ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE buckets ADD COLUMN created INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE buckets ADD COLUMN quota INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE buckets ADD COLUMN public_rights INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE buckets ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE documents(bucket INTEGER NOT NULL, kind INTEGER NOT NULL, text BLOB NOT NULL,"
    "  sum INTEGER NOT NULL, PRIMARY KEY(bucket, kind)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE attributes(body INTEGER PRIMARY KEY, headers BLOB NOT NULL, tags BLOB NOT NULL,"
    "  sum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE uploads(bucket INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL,"
    "  body INTEGER NOT NULL, created INTEGER NOT NULL, owner TEXT NOT NULL,"
    "  content_type TEXT NOT NULL, checksum INTEGER NOT NULL, flags INTEGER NOT NULL,"
    "  sum INTEGER NOT NULL, PRIMARY KEY(bucket, key, id)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE parts(list INTEGER NOT NULL, number INTEGER NOT NULL, start INTEGER NOT NULL,"
    "  size INTEGER NOT NULL, modified INTEGER NOT NULL, etag TEXT NOT NULL,"
    "  part INTEGER NOT NULL, flags INTEGER NOT NULL, checksum BLOB, sum INTEGER NOT NULL,"
    "  PRIMARY KEY(list, number)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE doomed(list INTEGER PRIMARY KEY) STRICT;"
    "INSERT INTO meta VALUES('bucket', 1);";

/* The same of a store of format 2 that has none of it yet. */
static const char versions[] =
    "ALTER TABLE objects ADD COLUMN version INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE versions(bucket INTEGER NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL,"
    "  size INTEGER NOT NULL, modified INTEGER NOT NULL, etag TEXT NOT NULL,"
    "  content_type TEXT NOT NULL,"
    "  body INTEGER NOT NULL, flags INTEGER NOT NULL, sum INTEGER NOT NULL,"
    "  part_count INTEGER NOT NULL, checksum BLOB,"
    "  PRIMARY KEY(bucket, key, version DESC)) WITHOUT ROWID, STRICT;"
    "CREATE INDEX null_versions ON versions(bucket, key) WHERE (flags&32 OR version=0);";

static const char *const steps[] = {format_1, format_2};
enum { SCHEMA_VERSION = 2 };
_Static_assert(LH_COUNT(steps) == SCHEMA_VERSION, "a step for each version");

/* The first bucket was made by a step of SQL, which knows no checksums. */
static lh_code seal_lake(sqlite3 *db, struct lh_error *err)
{
    char sql[96];
    const struct lh_bucket lake = {.id = LH_BUCKET_LAKE, .name = "lake"};
    snprintf(sql, sizeof(sql), "UPDATE buckets SET sum=%" PRId64 " WHERE id=%d",
             (int64_t)lh_index_bucket_sum(&lake), LH_BUCKET_LAKE);
    return lh_index_exec(db, sql, err);
}

static lh_code upgrade(sqlite3 *db, int64_t version, struct lh_error *err)
{
    char head[96];
    snprintf(head, sizeof(head), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             APPLICATION_ID, SCHEMA_VERSION);
    LH_TRY(lh_index_exec(db, "BEGIN IMMEDIATE", err));
    for (int64_t step = version; step < SCHEMA_VERSION; step++)
        LH_TRY(lh_index_exec(db, steps[step], err));
    if (version < 2)
        LH_TRY(seal_lake(db, err));
    LH_TRY(lh_index_exec(db, versions, err));
    LH_TRY(lh_index_exec(db, head, err));
    return lh_index_exec(db, "COMMIT", err); /* what has failed is rolled back by the close */
}

/* 0 for an empty database. */
static lh_code read_version(sqlite3 *db, const char *path, int64_t *ret_version,
                            struct lh_error *err)
{
    int64_t application = 0;
    int64_t tables = 0;
    LH_TRY(lh_index_query_i64(db, "PRAGMA application_id", &application, err));
    LH_TRY(lh_index_query_i64(db, "SELECT count(*) FROM sqlite_schema", &tables, err));
    if (tables == 0) {
        *ret_version = 0;
        return LH_OK;
    }
    if (application != APPLICATION_ID)
        return lh_fail(err, LH_INVALID_CONFIG, "%s is not the index of an object store", path);
    return lh_index_query_i64(db, "PRAGMA user_version", ret_version, err);
}

static lh_code has_versions(sqlite3 *db, bool *ret_has, struct lh_error *err)
{
    int64_t tables = 0;
    LH_TRY(lh_index_query_i64(db, "SELECT count(*) FROM sqlite_schema WHERE name='versions'",
                              &tables, err));
    *ret_has = tables > 0;
    return LH_OK;
}

static lh_code refuse_newer(const char *path, int64_t version, struct lh_error *err)
{
    if (version <= SCHEMA_VERSION)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG,
                      "%s is of version %" PRId64 ", this program knows versions up to %d", path,
                      version, SCHEMA_VERSION),
              "the hint returns the code");
    return lh_hint(err, "start the newer program that wrote it");
}

lh_code lh_index_prepare_schema(sqlite3 *db, const char *path, struct lh_error *err)
{
    int64_t version = 0;
    LH_TRY(read_version(db, path, &version, err));
    bool whole = false;
    LH_TRY(refuse_newer(path, version, err));
    LH_TRY(has_versions(db, &whole, err));
    return whole ? LH_OK : upgrade(db, version, err);
}

lh_code lh_index_require_schema(sqlite3 *db, const char *path, struct lh_error *err)
{
    int64_t version = 0;
    LH_TRY(read_version(db, path, &version, err));
    bool whole = false;
    LH_TRY(refuse_newer(path, version, err));
    LH_TRY(has_versions(db, &whole, err));
    if (whole)
        return LH_OK;
    LH_IGNORE(
        lh_fail(err, LH_INVALID_CONFIG, "%s is of an older version (%" PRId64 ")", path, version),
        "the hint returns the code");
    return lh_hint(err, "start storaged once: it brings the store up to date");
}
