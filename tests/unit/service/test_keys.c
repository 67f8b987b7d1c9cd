/*
 * The table of keys: what a file may say, who is found, what a pattern allows, and reading again.
 */
#include "service/keys.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "support/cmocka.h"
#include "support/fixture.h"

#define SECRET "0123456789abcdef"

static void write_file(const char *path, const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_write_file_durable(path, text, strlen(text), 0600, &err), LH_OK);
}

static struct lh_keys *open_file(const char *path)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_keys *keys = NULL;
    const struct lh_keys_options options = {.file = path, .internal = "the-internal-token"};
    if (lh_keys_open(&options, &keys, &err) != LH_OK)
        fail_msg("%s", err.message);
    return keys;
}

static struct lh_keys *open_text(const char *path, const char *text)
{
    write_file(path, text);
    return open_file(path);
}

LH_TEST(without_a_table_nobody_is_asked)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_keys *keys = NULL;
    struct lh_key key;
    const struct lh_keys_options none = {0}, internal = {.file = "", .internal = "t"};
    assert_int_equal(lh_keys_open(&none, &keys, &err), LH_OK);
    assert_false(lh_keys_required(keys));
    assert_false(lh_keys_by_id(keys, LH_STR("x"), &key));
    assert_false(lh_keys_by_token(keys, LH_STR(""), &key));
    assert_int_equal(lh_keys_reload(keys, &err), LH_OK);
    lh_keys_close(keys);
    assert_int_equal(lh_keys_open(&internal, &keys, &err), LH_OK);
    assert_false(lh_keys_required(keys));
    assert_true(lh_keys_by_token(keys, LH_STR("t"), &key));
    lh_keys_close(keys);
    lh_keys_close(NULL);
}

LH_TEST(one_key_of_the_settings)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_keys *keys = NULL;
    struct lh_key key;
    const struct lh_keys_options options = {.id = "root", .secret = SECRET};
    assert_int_equal(lh_keys_open(&options, &keys, &err), LH_OK);
    assert_true(lh_keys_required(keys));
    assert_true(lh_keys_by_id(keys, LH_STR("root"), &key));
    assert_int_equal(key.role, LH_ROLE_ADMIN);
    assert_string_equal(key.pattern, "*");
    lh_keys_close(keys);
    const struct lh_keys_options half = {.id = "root"};
    assert_int_equal(lh_keys_open(&half, &keys, &err), LH_INVALID_CONFIG);
}

LH_TEST(a_file_is_read)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "keys.toml");
    struct lh_keys *keys = open_text(
        path, "[[key]]\nid = \"b\"\nsecret = \"" SECRET "-b\"\nrole = \"read\"\n"
              "pattern = [\"logs\", \"raw/app/*\"]\nuser_id = \"team\"\ndisplay_name = \"The é\"\n"
              "[[key]]\nid = \"a\"\nsecret = \"" SECRET "-a\"\nrole = \"admin\"\n");
    struct lh_key key;
    assert_true(lh_keys_required(keys));
    assert_true(lh_keys_by_id(keys, LH_STR("b"), &key));
    assert_string_equal(key.secret, SECRET "-b");
    assert_string_equal(key.pattern, "logs\nraw/app/*");
    assert_string_equal(key.user_id, "team");
    assert_string_equal(key.display_name, "The é");
    assert_false(key.anonymous);
    assert_true(lh_keys_by_token(keys, LH_STR(SECRET "-a"), &key));
    assert_string_equal(key.id, "a");
    assert_string_equal(key.user_id, "a");
    assert_string_equal(key.display_name, "a");
    assert_true(lh_keys_by_token(keys, LH_STR("the-internal-token"), &key));
    assert_int_equal(key.role, LH_ROLE_ADMIN);
    assert_false(lh_keys_by_token(keys, LH_STR(SECRET "-c"), &key));
    assert_false(lh_keys_by_token(keys, LH_STR(""), &key));
    assert_false(lh_keys_by_id(keys, LH_STR("c"), &key));
    assert_false(lh_keys_by_id(keys, LH_STR("a\0b"), &key));
    assert_false(lh_keys_by_id(keys, LH_STR("the-internal-token"), &key));
    lh_keys_close(keys);
}

#define ID      "[[key]]\nid = \"a\"\n"
#define NAMED   ID "secret = \"" SECRET "\"\n"
#define KEY     NAMED "role = \"read\"\n"
#define ANOTHER "[[key]]\nid = \"b\"\nsecret = \"" SECRET "\"\nrole = \"read\"\n"

LH_TEST(mistakes_are_named)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {ID "role = \"read\"\n", "has no secret"},
        {"[[key]]\nsecret = \"" SECRET "\"\nrole = \"read\"\n", "has no id"},
        {NAMED, "has no role"},
        {"[[key]]\n", "has no id"},
        {NAMED "role = \"root\"\n", ":4:1: role is \"root\""},
        {NAMED "role = [\"read\", \"write\"]\n", "role cannot be a list"},
        {KEY "secrets = \"x\"\n", ":5:1: a key has no \"secrets\""},
        {KEY "pattern = \"\"\n", "is no bucket"},
        {KEY "pattern = \"a*b\"\n", "is no bucket"},
        {KEY "pattern = \"a/b*c\"\n", "is no bucket"},
        {KEY "pattern = \"/a\"\n", "is no bucket"},
        {KEY "pattern = []\n", "cannot be an empty list"},
        {KEY "pattern = 3.5\n", "cannot be a number with a fraction"},
        {KEY "display_name = [\"a\", \"b\"]\n", "display_name cannot be a list"},
        {KEY KEY, "two keys with the id \"a\""},
        {KEY ANOTHER, "the same secret"},
        {"[[key]]\nid = \"a b\"\n", "without blanks"},
        {"[[key]]\nid = \"\"\n", "id must be 1 to"},
        {"[[user]]\nid = \"a\"\n", "no [[user]]"},
        {"id = \"a\"\n", "outside of a [[table]]"},
        {"[key]\nid = \"a\"\n", "outside of a [[table]]"},
        {"[[key]\n", ":1:"},
    };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "keys.toml");
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_keys *keys = NULL;
        const struct lh_keys_options options = {.file = path};
        write_file(path, cases[i].text);
        assert_int_equal(lh_keys_open(&options, &keys, &err), LH_INVALID_CONFIG);
        if (!strstr(err.message, cases[i].says))
            fail_msg("case %zu says: %s", i, err.message);
        assert_null(strstr(err.message, SECRET));
    }
    struct lh_error err = LH_ERROR_INIT;
    struct lh_keys *keys = NULL;
    const struct lh_keys_options missing = {.file = "/nowhere/keys.toml"};
    assert_int_equal(lh_keys_open(&missing, &keys, &err), LH_INVALID_CONFIG);
}

LH_TEST(patterns_and_roles)
{
    static const struct {
        enum lh_role role;
        const char *pattern;
        enum lh_access access;
        const char *bucket, *key;
        bool may;
    } cases[] = {
        {LH_ROLE_READ, "*", LH_ACCESS_READ, "b", "k", true},
        {LH_ROLE_READ, "*", LH_ACCESS_READ, "", "", true},
        {LH_ROLE_READ, "*", LH_ACCESS_WRITE, "b", "k", false},
        {LH_ROLE_WRITE, "*", LH_ACCESS_READ, "b", "k", true},
        {LH_ROLE_WRITE, "*", LH_ACCESS_WRITE, "b", "k", true},
        {LH_ROLE_WRITE, "*", LH_ACCESS_ADMIN, "b", "", false},
        {LH_ROLE_ADMIN, "*", LH_ACCESS_ADMIN, "b", "", true},
        {LH_ROLE_NONE, "*", LH_ACCESS_READ, "b", "k", false},
        {LH_ROLE_WRITE, "logs", LH_ACCESS_WRITE, "logs", "any/key", true},
        {LH_ROLE_WRITE, "logs", LH_ACCESS_READ, "logs", "", true},
        {LH_ROLE_WRITE, "logs", LH_ACCESS_READ, "logs2", "", false},
        {LH_ROLE_WRITE, "logs", LH_ACCESS_READ, "log", "", false},
        {LH_ROLE_WRITE, "logs", LH_ACCESS_READ, "", "", false},
        {LH_ROLE_ADMIN, "logs-*", LH_ACCESS_ADMIN, "logs-", "", true},
        {LH_ROLE_ADMIN, "logs-*", LH_ACCESS_ADMIN, "logs-7", "", true},
        {LH_ROLE_ADMIN, "logs-*", LH_ACCESS_ADMIN, "logs", "", false},
        {LH_ROLE_WRITE, "b/app/*", LH_ACCESS_WRITE, "b", "app/", true},
        {LH_ROLE_WRITE, "b/app/*", LH_ACCESS_WRITE, "b", "app/x", true},
        {LH_ROLE_WRITE, "b/app/*", LH_ACCESS_WRITE, "b", "app", false},
        {LH_ROLE_WRITE, "b/app/*", LH_ACCESS_WRITE, "b", "apples", false},
        {LH_ROLE_WRITE, "b/app/*", LH_ACCESS_READ, "b", "", false},
        {LH_ROLE_ADMIN, "b/app/*", LH_ACCESS_ADMIN, "b", "", false},
        {LH_ROLE_READ, "b/one", LH_ACCESS_READ, "b", "one", true},
        {LH_ROLE_READ, "b/one", LH_ACCESS_READ, "b", "one/", false},
        {LH_ROLE_READ, "b/*", LH_ACCESS_READ, "b", "", true},
        {LH_ROLE_READ, "b*/p*", LH_ACCESS_READ, "bb", "pp", true},
        {LH_ROLE_READ, "b*/p*", LH_ACCESS_READ, "bb", "q", false},
        {LH_ROLE_READ, "x\nb/a/*\ny", LH_ACCESS_READ, "b", "a/1", true},
        {LH_ROLE_READ, "x\nb/a/*\ny", LH_ACCESS_READ, "y", "", true},
        {LH_ROLE_READ, "x\nb/a/*\ny", LH_ACCESS_READ, "z", "", false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_key key = {.role = cases[i].role};
        snprintf(key.pattern, sizeof(key.pattern), "%s", cases[i].pattern);
        bool may = lh_key_may(&key, cases[i].access, lh_str_from(cases[i].bucket),
                              lh_str_from(cases[i].key));
        if (may != cases[i].may)
            print_message("case %zu\n", i);
        assert_int_equal(may, cases[i].may);
        key.anonymous = true;
        assert_false(lh_key_may(&key, cases[i].access, lh_str_from(cases[i].bucket),
                                lh_str_from(cases[i].key)));
    }
}

LH_TEST(reading_again)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "keys.toml");
    struct lh_error err = LH_ERROR_INIT;
    struct lh_keys *keys = open_text(path, KEY);
    struct lh_key key;
    write_file(path, "[[key]]\nid = \"b\"\nsecret = \"another secret\"\nrole = \"read\"\n");
    assert_int_equal(lh_keys_reload(keys, &err), LH_INVALID_CONFIG); /* a blank in it */
    assert_true(lh_keys_by_id(keys, LH_STR("a"), &key));
    write_file(path, "");
    assert_int_equal(lh_keys_reload(keys, &err), LH_INVALID_CONFIG); /* would open the door */
    assert_true(lh_keys_by_id(keys, LH_STR("a"), &key));
    write_file(path, "[[key]]\nid = \"b\"\nsecret = \"short\"\nrole = \"read\"\n");
    assert_int_equal(lh_keys_reload(keys, &err), LH_OK);
    assert_false(lh_keys_by_id(keys, LH_STR("a"), &key));
    assert_false(lh_keys_by_token(keys, LH_STR(SECRET), &key));
    assert_true(lh_keys_by_token(keys, LH_STR("short"), &key));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(lh_keys_reload(keys, &err), LH_INVALID_CONFIG);
    assert_true(lh_keys_by_id(keys, LH_STR("b"), &key));
    lh_keys_close(keys);
}

/* Keys that are made are different each time, and a file of them can be read. */
LH_TEST(made_keys_can_be_read)
{
    enum { MADE = 200 };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "keys.toml");
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(1 << 20);
    struct lh_error err = LH_ERROR_INIT;
    for (int i = 0; i < MADE; i++)
        assert_int_equal(lh_keys_make("write", LH_STR("logs/*"), &text, &err), LH_OK);
    lh_keys_close(open_text(path, text.data));
    assert_int_equal(lh_keys_make("root", LH_STR("*"), &text, &err), LH_INVALID);
    assert_int_equal(lh_keys_make("read", LH_STR("a*b"), &text, &err), LH_INVALID_CONFIG);
    assert_int_equal(lh_keys_make("read", LH_STR("a/\"b"), &text, &err), LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_table_nobody_is_asked),
        cmocka_unit_test(one_key_of_the_settings),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(patterns_and_roles),
        cmocka_unit_test(reading_again),
        cmocka_unit_test(made_keys_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
