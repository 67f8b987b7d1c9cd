#include "base/arena.h"

#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

LH_TEST(pieces_are_aligned_and_apart)
{
    enum { PIECES = 2000 };
    static struct {
        unsigned char *ptr;
        size_t len;
    } pieces[PIECES];
    struct lh_random random = lh_random_start();
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(64 << 20);
    for (size_t i = 0; i < PIECES; i++) {
        /* Mostly small, at times larger than a block. */
        size_t len = lh_random_below(&random, i % 50 == 0 ? 20000 : 200);
        pieces[i].ptr = lh_arena_alloc(&arena, len);
        pieces[i].len = len;
        assert_non_null(pieces[i].ptr);
        assert_int_equal((uintptr_t)pieces[i].ptr % 16, 0);
        memset(pieces[i].ptr, (int)(i & 0xFF), len);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < pieces[i].len; j++)
            assert_int_equal(pieces[i].ptr[j], i & 0xFF);
    }
}

LH_TEST(the_limit_holds)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(100);
    assert_null(lh_arena_alloc(&arena, 101));
    assert_null(lh_arena_alloc(&arena, SIZE_MAX));
    assert_non_null(lh_arena_alloc(&arena, 90));
    assert_null(lh_arena_alloc(&arena, 16));
    assert_null(lh_arena_printf(&arena, "%s", "a text that is too long"));
    assert_null(lh_arena_strndup(&arena, "x", 1));
    lh_arena_deinit(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(lh_arena_alloc(&arena, 90));
}

LH_TEST(many_small_pieces_count_in_full)
{
    /* One byte takes sixteen: a limit that counted one would let sixteen times as much through. */
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1600);
    size_t count = 0;
    while (lh_arena_alloc(&arena, 1))
        count++;
    assert_int_equal(count, 100);
}

LH_TEST(texts_and_zeroes)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
    assert_string_equal(lh_arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(lh_arena_strndup(&arena, NULL, 0), "");
    assert_string_equal(lh_arena_printf(&arena, "%d/%s", 12, "x"), "12/x");
    char *zeroed = lh_arena_calloc(&arena, 5000);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(zeroed[i], 0);
    assert_non_null(lh_arena_alloc(&arena, 0));
    assert_ptr_not_equal(lh_arena_alloc(&arena, 0), lh_arena_alloc(&arena, 0));
}

LH_TEST(a_large_piece_leaves_the_block_in_use)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
    char *first = lh_arena_alloc(&arena, 16);
    assert_non_null(lh_arena_alloc(&arena, 100000));
    char *second = lh_arena_alloc(&arena, 16);
    assert_ptr_equal(second, first + 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),          cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(many_small_pieces_count_in_full),       cmocka_unit_test(texts_and_zeroes),
        cmocka_unit_test(a_large_piece_leaves_the_block_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
