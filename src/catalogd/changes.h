/*
 * The change feed's memory: the last changes in a ring, each with its number. A reader brings the
 * number of the last change it knows; when that has left the ring, or is of another run of the
 * program, it starts anew from the whole list ("reset"). No lock of its own: the catalog's mutex
 * guards it.
 */
#ifndef LH_CATALOGD_CHANGES_H
#define LH_CATALOGD_CHANGES_H

#include "base/hash.h"
#include "base/str.h"
#include "catalogd/dataset.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LH_CHANGES_BOOT_SIZE = 17, LH_CURSOR_SIZE = LH_CHANGES_BOOT_SIZE + 21 };

enum lh_change_kind { LH_CHANGE_COMMIT, LH_CHANGE_DELETE };

struct lh_change {
    char *dataset;
    char dataset_id[LH_UUID_TEXT];
    char version[LH_NONCE_SIZE]; /* of the new state: its nonce; "" for a delete */
    enum lh_change_kind kind;
    int64_t snapshot; /* the new head; 0 for a delete */
};

struct lh_changes {
    char boot[LH_CHANGES_BOOT_SIZE]; /* names this run of the program; random */
    uint64_t last;                   /* number of the newest change; the first is 1 */
    struct lh_change *ring;          /* change n is at n % capacity */
    size_t capacity;
};

void lh_changes_init(struct lh_changes *changes, size_t capacity);
void lh_changes_deinit(struct lh_changes *changes);

/* `dataset` is the new state, or, for a delete, the one that is gone. */
void lh_changes_add(struct lh_changes *changes, const struct lh_dataset *dataset,
                    enum lh_change_kind kind);
/* One change as the ring keeps it; its text is the caller's to free. */
struct lh_change lh_change_of(const struct lh_dataset *dataset, enum lh_change_kind kind);

/* The cursor that stands behind the newest change. */
void lh_changes_cursor(const struct lh_changes *changes, char out[LH_CURSOR_SIZE]);

/* Whether `cursor` still leads into the ring; then *ret_since is the last change that its holder
 * knows. False: reset. */
bool lh_changes_known(const struct lh_changes *changes, lh_str cursor, uint64_t *ret_since);

/* Copies of the changes after `since`, oldest first, in a new array owned by the caller. */
size_t lh_changes_after(const struct lh_changes *changes, uint64_t since,
                        struct lh_change **ret_changes);
void lh_change_list_free(struct lh_change *list, size_t count);

#endif
