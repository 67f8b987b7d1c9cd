/*
 * The table of keys: who may come in, and what they may do. One table behind all doors: SigV4 on
 * S3, Bearer (or X-Api-Key) on the native REST, a password elsewhere. It is read from the file that
 * [keys] file names and can be read again while requests are under way. thread-safe.
 *
 *   [[key]]
 *   id = "app"                      # access key
 *   secret = "at least 16 bytes"    # secret key; also the Bearer token
 *   role = "write"                  # admin, write or read
 *   pattern = ["logs", "raw/app*"] # text or list; "*" when it is not there
 *   user_id = "app"                 # <Owner><ID>; the id when it is not there
 *   display_name = "The app"        # the user_id when it is not there
 *
 * No file and no key: everybody may do everything (the services then listen on loopback only,
 * unless -insecure is said). docs/operations/keys.md is the manual.
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
    LH_KEY_PATTERN_SIZE = 512,
    LH_KEY_SECRET_MIN = 16, /* bytes; a shorter one is warned of */
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
    char pattern[LH_KEY_PATTERN_SIZE]; /* "bucket", "bucket/prefix*", "*"; a line each */
    char user_id[LH_KEY_NAME_SIZE];    /* <Owner><ID>; several keys may share one */
    char display_name[LH_KEY_NAME_SIZE];
};

struct lh_keys;

struct lh_keys_options {
    const char *file;   /* "" or NULL: none */
    const char *id;     /* of one key that may do everything, without a file; "" or NULL: none */
    const char *secret; /* of that key */
    /* The token by which the services of one lakehouse know each other, an admin everywhere; "" or
     * NULL: none. It makes no table of keys. */
    const char *internal;
};

/* Reads the file and logs how many keys there are, and what is careless about them: short secrets,
 * a file that everybody on the host may read. LH_INVALID_CONFIG with line and reason. The texts of
 * the options must outlive the keys. */
lh_code lh_keys_open(const struct lh_keys_options *options, struct lh_keys **ret_keys,
                     struct lh_error *err);
void lh_keys_close(struct lh_keys *keys); /* accepts NULL */
/* Reads the file again and logs the ids that came, went and changed. On a failure the table stays
 * as it is. */
lh_code lh_keys_reload(struct lh_keys *keys, struct lh_error *err);
/* Whether there is a table of keys at all. */
bool lh_keys_required(const struct lh_keys *keys);

/* Copies the key out. False when there is none. A token is a secret, or the internal one; how long
 * it takes to find none tells nothing about those that there are. */
bool lh_keys_by_id(struct lh_keys *keys, lh_str id, struct lh_key *ret_key);
bool lh_keys_by_token(struct lh_keys *keys, lh_str token, struct lh_key *ret_key);

/* Whether the key may do that with `object_key` of `bucket` (empty: with the bucket itself; no
 * bucket either: with the store). One of its patterns must match, which is a bucket, or a bucket
 * and a prefix of keys behind a slash; a '*' at the end of either part stands for any rest. A
 * bucket alone means all of it, "*" everything. For a listing `object_key` is the prefix that is
 * listed. */
bool lh_key_may(const struct lh_key *key, enum lh_access access, lh_str bucket, lh_str object_key);

/* A fresh key of that role as a table to paste into the file, with random id and secret. `pattern`
 * must be valid. */
struct lh_buf;
lh_code lh_keys_make(const char *role, lh_str pattern, struct lh_buf *out, struct lh_error *err);

#endif
