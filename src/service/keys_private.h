/*
 * The keys file as a list: what keys.c and keys_file.c share.
 */
#ifndef LH_SERVICE_KEYS_PRIVATE_H
#define LH_SERVICE_KEYS_PRIVATE_H

#include "service/keys.h"

/* Unused bytes of a key are zero, so that two keys can be compared as memory. */
struct lh_key_table {
    struct lh_key *keys;
    size_t count;
    size_t capacity;
};

/* Appends the keys of the file, checked one by one. LH_INVALID_CONFIG with file, line and column.
 */
lh_code lh_key_table_read(const char *file, struct lh_key_table *table, struct lh_error *err);
/* Appends the key of the settings, if they have one: it may do everything. */
lh_code lh_key_table_add_admin(struct lh_key_table *table, const char *id, const char *secret,
                               struct lh_error *err);
void lh_key_table_deinit(struct lh_key_table *table); /* accepts the zero state */

#endif
