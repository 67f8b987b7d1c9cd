/*
 * The journal of objects that may have been stored and are not yet known to the catalog: one small
 * durable file for each, written before the object, removed when its fate is known. What is found
 * there at start is settled (settle.h), so no crash leaves an object that belongs to nobody.
 *
 * A file is a line with the XXH3 of the rest in hex, then JSON:
 *   {"version":1,"key":"datasets/main/t/data/....parquet"}                  stored, not committed
 *   {"version":1,"key":"...","commit":{...}}                                the commit may be under
 * way `commit` is the body of POST /catalog/datasets, so that it can be sent again.
 */
#ifndef LH_INGESTD_JOURNAL_H
#define LH_INGESTD_JOURNAL_H

#include "base/error.h"
#include "base/str.h"

#include <stddef.h>

struct lh_journal;

struct lh_journal_entry {
    const char *id; /* the name of its file, without ".json" */
    lh_str key;
    lh_str commit; /* empty when no commit was sent */
};

/* `dir` is made when missing. */
lh_code lh_journal_open(const char *dir, struct lh_journal **ret_journal, struct lh_error *err);
void lh_journal_close(struct lh_journal *journal);

/* Durable when it returns LH_OK; replaces what the id had. thread-safe for different ids. */
lh_code lh_journal_write(struct lh_journal *journal, const struct lh_journal_entry *entry,
                         struct lh_error *err);
/* Missing is fine. Not made durable: an entry that comes back is only settled once more. */
lh_code lh_journal_remove(struct lh_journal *journal, const char *id, struct lh_error *err);

/* Calls on_entry for each entry; its failure ends the walk. A file that is damaged is left alone
 * and counted in *ret_damaged: what it spoke of is not known any more. */
lh_code lh_journal_each(struct lh_journal *journal,
                        lh_code (*on_entry)(void *ctx, const struct lh_journal_entry *entry,
                                            struct lh_error *err),
                        void *ctx, size_t *ret_damaged, struct lh_error *err);

#endif
