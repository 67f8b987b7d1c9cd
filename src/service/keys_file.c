/*
 * The keys file: reading it, and making a key for it. Every mistake is told with its line; no
 * secret ever stands in a message.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/toml.h"
#include "service/keys_private.h"

enum {
    FILE_BYTES_MAX = 16 << 20,
    ID_CHARACTERS = 20,
    SECRET_RANDOM = 30, /* bytes; 40 characters of base64 */
};

static const char *const role_names[] = {
    [LH_ROLE_READ] = "read", [LH_ROLE_WRITE] = "write", [LH_ROLE_ADMIN] = "admin"};

static enum lh_role parse_role(lh_str text)
{
    for (size_t i = LH_ROLE_READ; i < LH_COUNT(role_names); i++) {
        if (lh_str_is(text, role_names[i]))
            return (enum lh_role)i;
    }
    return LH_ROLE_NONE;
}

/* ---- one value ---- */

static bool is_printable(lh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return lh_utf8_valid(text);
}

/* Copies a text into a member that is still empty. */
static lh_code set_text(char *member, size_t size, const char *name, lh_str value,
                        struct lh_error *err)
{
    if (member[0] != '\0')
        return lh_fail(err, LH_INVALID_CONFIG, "%s cannot be a list", name);
    if (value.len == 0 || value.len >= size || !is_printable(value))
        return lh_fail(err, LH_INVALID_CONFIG, "%s must be 1 to %zu printable bytes", name,
                       size - 1);
    memcpy(member, value.ptr, value.len);
    return LH_OK;
}

/* An id goes into Authorization headers between '=' and '/', a token behind "Bearer ". */
static lh_code set_word(char *member, size_t size, const char *name, lh_str value,
                        struct lh_error *err)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] <= ' ' || value.ptr[i] > '~' || value.ptr[i] == ',')
            return lh_fail(err, LH_INVALID_CONFIG,
                           "%s must be ASCII without blanks, control characters and commas", name);
    }
    return set_text(member, size, name, value, err);
}

static lh_code check_pattern(lh_str pattern, struct lh_error *err)
{
    lh_str rest = pattern, bucket = LH_STR_NONE;
    lh_str_next(&rest, '/', &bucket);
    const char *star = bucket.len > 0 ? memchr(bucket.ptr, '*', bucket.len) : NULL;
    bool star_inside = star && star != bucket.ptr + bucket.len - 1;
    star = rest.len > 0 ? memchr(rest.ptr, '*', rest.len) : NULL;
    star_inside |= star && star != rest.ptr + rest.len - 1;
    if (bucket.len == 0 || star_inside || !is_printable(pattern))
        return lh_fail(err, LH_INVALID_CONFIG,
                       "the pattern \"%.*s\" is no bucket or bucket/prefix, with a '*' only at the "
                       "end of either",
                       LH_FMT(pattern));
    return LH_OK;
}

/* Patterns of a list are lines of one text. */
static lh_code add_pattern(struct lh_key *key, lh_str pattern, struct lh_error *err)
{
    LH_TRY(check_pattern(pattern, err));
    size_t used = strlen(key->pattern);
    size_t gap = used > 0;
    if (used + gap + pattern.len >= sizeof(key->pattern))
        return lh_fail(err, LH_INVALID_CONFIG, "the patterns of a key are longer than %zu bytes",
                       sizeof(key->pattern) - 1);
    if (gap)
        key->pattern[used] = '\n';
    memcpy(key->pattern + used + gap, pattern.ptr, pattern.len);
    return LH_OK;
}

static lh_code set_role(struct lh_key *key, lh_str value, struct lh_error *err)
{
    if (key->role != LH_ROLE_NONE)
        return lh_fail(err, LH_INVALID_CONFIG, "role cannot be a list");
    key->role = parse_role(value);
    if (key->role == LH_ROLE_NONE)
        return lh_fail(err, LH_INVALID_CONFIG, "role is \"%.*s\", not admin, write or read",
                       LH_FMT(value));
    return LH_OK;
}

static lh_code set_member(struct lh_key *key, lh_str name, lh_str value, struct lh_error *err)
{
    if (lh_str_is(name, "id"))
        return set_word(key->id, sizeof(key->id), "id", value, err);
    if (lh_str_is(name, "secret"))
        return set_word(key->secret, sizeof(key->secret), "secret", value, err);
    if (lh_str_is(name, "role"))
        return set_role(key, value, err);
    if (lh_str_is(name, "pattern"))
        return add_pattern(key, value, err);
    if (lh_str_is(name, "user_id"))
        return set_text(key->user_id, sizeof(key->user_id), "user_id", value, err);
    if (lh_str_is(name, "display_name"))
        return set_text(key->display_name, sizeof(key->display_name), "display_name", value, err);
    return lh_fail(err, LH_INVALID_CONFIG, "a key has no \"%.*s\"", LH_FMT(name));
}

/* ---- one key ---- */

/* What every key must have, and what follows from the rest. */
static lh_code complete(struct lh_key *key, size_t number, struct lh_error *err)
{
    const char *missing = !key->id[0]                 ? "id"
                          : !key->secret[0]           ? "secret"
                          : key->role == LH_ROLE_NONE ? "role"
                                                      : NULL;
    if (missing)
        return lh_fail(err, LH_INVALID_CONFIG, "key %zu (\"%s\") has no %s", number, key->id,
                       missing);
    if (!key->pattern[0])
        key->pattern[0] = '*';
    if (!key->user_id[0])
        snprintf(key->user_id, sizeof(key->user_id), "%.*s", (int)sizeof(key->user_id) - 1,
                 key->id);
    if (!key->display_name[0])
        memcpy(key->display_name, key->user_id, sizeof(key->display_name));
    return LH_OK;
}

static struct lh_key *append_key(struct lh_key_table *table)
{
    table->keys = lh_grow(table->keys, &table->capacity, table->count + 1, sizeof(*table->keys));
    struct lh_key *key = &table->keys[table->count++];
    memset(key, 0, sizeof(*key));
    return key;
}

static lh_code on_entry(void *ctx, lh_str name, size_t index, lh_str key, lh_str value,
                        struct lh_error *err)
{
    struct lh_key_table *table = ctx;
    if (!lh_str_is(name, "key"))
        return lh_fail(err, LH_INVALID_CONFIG, "a keys file has no [[%.*s]], only [[key]]",
                       LH_FMT(name));
    if (index >= LH_KEYS_MAX)
        return lh_fail(err, LH_INVALID_CONFIG, "there are more than %d keys", LH_KEYS_MAX);
    if (index == table->count)
        append_key(table);
    return key.len > 0 ? set_member(&table->keys[index], key, value, err) : LH_OK;
}

lh_code lh_key_table_read(const char *file, struct lh_key_table *table, struct lh_error *err)
{
    LH_AUTO_FREE char *bytes = NULL;
    size_t len = 0;
    if (lh_read_file(file, FILE_BYTES_MAX, &bytes, &len, err) != LH_OK) {
        err->code = LH_INVALID_CONFIG; /* for whoever named it, whatever the reason */
        return lh_fail_context(err, "the keys file");
    }
    lh_code code = lh_toml_parse_tables(lh_str_of(bytes, len), on_entry, table, err);
    explicit_bzero(bytes, len);
    if (code != LH_OK)
        return lh_fail_context(err, "%s:%llu:%llu", file, (unsigned long long)err->line,
                               (unsigned long long)err->column);
    for (size_t i = 0; i < table->count; i++) {
        if (complete(&table->keys[i], i + 1, err) != LH_OK)
            return lh_fail_context(err, "%s", file);
    }
    return LH_OK;
}

lh_code lh_key_table_add_admin(struct lh_key_table *table, const char *id, const char *secret,
                               struct lh_error *err)
{
    lh_str id_text = lh_str_from(id), secret_text = lh_str_from(secret);
    if (id_text.len == 0 && secret_text.len == 0)
        return LH_OK;
    if (id_text.len == 0 || secret_text.len == 0)
        return lh_fail(err, LH_INVALID_CONFIG, "keys.id and keys.secret go together");
    struct lh_key *key = append_key(table);
    key->role = LH_ROLE_ADMIN;
    LH_TRY(set_word(key->id, sizeof(key->id), "keys.id", id_text, err));
    LH_TRY(set_word(key->secret, sizeof(key->secret), "keys.secret", secret_text, err));
    return complete(key, table->count, err);
}

void lh_key_table_deinit(struct lh_key_table *table)
{
    if (table->keys)
        explicit_bzero(table->keys, table->count * sizeof(*table->keys));
    free(table->keys);
    *table = (struct lh_key_table){0};
}

/* ---- a new key ---- */

/* Five bits a character, of 32 that nobody mistakes for another. */
static void random_id(char *out, size_t len)
{
    static const char digits[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    uint8_t bytes[ID_CHARACTERS];
    lh_random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < len; i++)
        out[i] = digits[bytes[i] % 32];
    out[len] = '\0';
}

lh_code lh_keys_make(const char *role, lh_str pattern, struct lh_buf *out, struct lh_error *err)
{
    if (parse_role(lh_str_from(role)) == LH_ROLE_NONE)
        return lh_fail(err, LH_INVALID, "\"%s\" is no role: admin, write or read", role);
    LH_TRY(check_pattern(pattern, err));
    if (memchr(pattern.ptr, '"', pattern.len) || memchr(pattern.ptr, '\\', pattern.len))
        return lh_fail(err, LH_INVALID, "write a pattern with quotes into the file by hand");
    char id[ID_CHARACTERS + 1], secret[SECRET_RANDOM / 3 * 4 + 1];
    uint8_t bytes[SECRET_RANDOM];
    lh_random_bytes(bytes, sizeof(bytes));
    random_id(id, sizeof(id) - 1);
    lh_base64_encode(bytes, sizeof(bytes), secret);
    /* A secret is also a token, typed into URLs and shells: no '+' and no '/'. */
    for (char *c = secret; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    lh_buf_printf(out, "[[key]]\nid = \"%s\"\nsecret = \"%s\"\nrole = \"%s\"\npattern = \"%.*s\"\n",
                  id, secret, role, LH_FMT(pattern));
    return LH_OK;
}
