/*
 * The table of keys: who may come in, and what they may do. One table behind all doors: SigV4 on
 * S3, Bearer (or X-Api-Key) on the native REST, a password elsewhere. It is read from the file that
 * [keys] file names and can be read again while requests are under way. thread-safe.
 *
 * No file: no keys, and everybody may do everything (the services then listen on loopback only,
 * unless -insecure is said).
 */
#ifndef LH_SERVICE_KEYS_H
#define LH_SERVICE_KEYS_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    LH_KEYS_MAX = 10000,
    LH_KEY_ID_SIZE = 129, /* all with their terminators */
    LH_KEY_SECRET_SIZE = 129,
    LH_KEY_NAME_SIZE = 65,
    LH_KEY_PATTERN_SIZE = 256,
};

enum lh_role { LH_ROLE_NONE, LH_ROLE_READ, LH_ROLE_WRITE, LH_ROLE_ADMIN };

/* What a request does: read (get, head, list), write (put, delete, copy into), admin (make, drop
 * and set up buckets). */
enum lh_access { LH_ACCESS_READ, LH_ACCESS_WRITE, LH_ACCESS_ADMIN };

struct lh_key {
    bool anonymous;                  /* nobody: no key was given */
    char id[LH_KEY_ID_SIZE];         /* access key */
    char secret[LH_KEY_SECRET_SIZE]; /* secret key; also the Bearer token */
    enum lh_role role;
    char pattern[LH_KEY_PATTERN_SIZE]; /* "bucket", "bucket/prefix*", "*"; see lh_key_may */
    char user_id[LH_KEY_NAME_SIZE];    /* <Owner><ID>; several keys may share one */
    char display_name[LH_KEY_NAME_SIZE];
};

struct lh_keys;

/* `path` "" or NULL: no keys. `internal` is the token by which the services of one lakehouse know
 * each other (role admin everywhere), or NULL. LH_INVALID_CONFIG with line and reason. */
lh_code lh_keys_open(const char *path, const char *internal, struct lh_keys **ret_keys,
                     struct lh_error *err);
void lh_keys_close(struct lh_keys *keys); /* accepts NULL */
/* Reads the file again; on a failure the table stays as it is. */
lh_code lh_keys_reload(struct lh_keys *keys, struct lh_error *err);
/* Whether there is a table of keys at all. */
bool lh_keys_required(const struct lh_keys *keys);

/* Copies the key out. False when there is none. by_token compares in constant time. */
bool lh_keys_by_id(struct lh_keys *keys, lh_str id, struct lh_key *ret_key);
bool lh_keys_by_token(struct lh_keys *keys, lh_str token, struct lh_key *ret_key);

/* Whether the key may do that with `key` of `bucket` (empty: with the bucket itself). A pattern
 * is a bucket, or a bucket and a prefix of keys behind a slash; a '*' at the end of either part
 * stands for any rest. For a listing `key` is the prefix that is listed. */
bool lh_key_may(const struct lh_key *key, enum lh_access access, lh_str bucket, lh_str object_key);

#endif
