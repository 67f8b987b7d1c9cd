/*
 * Looking at the index as a whole, when nobody else has it: SQLite's own check of its structure,
 * which reads every page and so tries every seal, and whether rows and what they name are as many.
 */
#include "storaged/index_private.h"

#include <inttypes.h>
#include <string.h>

/* Rows of one table that nothing names any more, or that are named and missing. */
static const struct {
    const char *what;
    const char *there;
    const char *named;
} counts[] = {
    {"bodies", "SELECT count(*) FROM bodies",
     "SELECT (SELECT count(*) FROM objects WHERE flags&4=0)+"
     "(SELECT count(*) FROM versions WHERE flags&68=0)+(SELECT count(*) FROM parts)"},
    {"attributes", "SELECT count(*) FROM attributes",
     "SELECT (SELECT count(*) FROM objects WHERE flags&2)+"
     "(SELECT count(*) FROM versions WHERE flags&2)+"
     "(SELECT count(*) FROM uploads WHERE flags&2)"},
    {"parts",
     "SELECT count(*) FROM parts WHERE list NOT IN (SELECT list FROM doomed)"
     " AND list NOT IN (SELECT body FROM uploads)",
     "SELECT (SELECT coalesce(sum(part_count), 0) FROM objects)+"
     "(SELECT coalesce(sum(part_count), 0) FROM versions)"},
    {"versions of keys that have a newer current one", "SELECT count(*) FROM versions",
     "SELECT count(*) FROM versions v WHERE coalesce("
     "(SELECT o.version>v.version FROM objects o WHERE o.bucket=v.bucket AND o.key=v.key),"
     "(SELECT n.flags&64 FROM versions n WHERE n.bucket=v.bucket AND n.key=v.key"
     " ORDER BY n.version DESC LIMIT 1)<>0)"},
};

static lh_code check_counts(sqlite3 *db, void (*found)(void *ctx, const char *what), void *ctx,
                            struct lh_error *err)
{
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int64_t there = 0;
        int64_t named = 0;
        char text[128];
        LH_TRY(lh_index_query_i64(db, counts[i].there, &there, err));
        LH_TRY(lh_index_query_i64(db, counts[i].named, &named, err));
        snprintf(text, sizeof(text), "it has %" PRId64 " %s, and %" PRId64 " are named", there,
                 counts[i].what, named);
        if (there != named)
            found(ctx, text);
    }
    return LH_OK;
}

static lh_code check_structure(sqlite3 *db, void (*found)(void *ctx, const char *what), void *ctx,
                               struct lh_error *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) != SQLITE_OK)
        return lh_index_fail(db, "be checked", err);
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text && strcmp(text, "ok") != 0)
            found(ctx, text);
    }
    lh_code code = result == SQLITE_DONE ? LH_OK : lh_index_fail(db, "be checked", err);
    sqlite3_finalize(statement);
    return code;
}

lh_code lh_index_check(struct lh_index *index, void (*found)(void *ctx, const char *what),
                       void *ctx, struct lh_error *err)
{
    lh_code code = check_structure(index->keeper, found, ctx, err);
    if (code == LH_OK)
        code = check_counts(index->keeper, found, ctx, err);
    if (code != LH_CORRUPT)
        return code;
    found(ctx, err->message); /* a finding, and other rows may still be readable */
    return LH_OK;
}
