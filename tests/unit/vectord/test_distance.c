#include "vectord/distance.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

enum { ROWS = 4, FLOATS_MAX = 4096 };

struct block {
    _Alignas(LH_ROW_ALIGN) float query[FLOATS_MAX];
    _Alignas(LH_ROW_ALIGN) float rows[ROWS][FLOATS_MAX];
};
static struct block block;

static void fill(struct lh_random *random, size_t dim_count, float scale)
{
    memset(&block, 0, sizeof(block));
    for (size_t i = 0; i < dim_count; i++) {
        block.query[i] = (float)(lh_random_f64(random) * 2 - 1) * scale;
        for (size_t r = 0; r < ROWS; r++)
            block.rows[r][i] = (float)(lh_random_f64(random) * 2 - 1) * scale;
    }
}

static double true_l2(const float *row, size_t dim_count)
{
    double sum = 0;
    for (size_t i = 0; i < dim_count; i++)
        sum +=
            ((double)block.query[i] - (double)row[i]) * ((double)block.query[i] - (double)row[i]);
    return sum;
}

static double true_ip(const float *row, size_t dim_count)
{
    double sum = 0;
    for (size_t i = 0; i < dim_count; i++)
        sum += (double)block.query[i] * (double)row[i];
    return -sum;
}

/* Errors of a float sum grow with the number of terms and their size, not with the result's. */
static double tolerance(size_t dim_count, double scale)
{
    return scale * scale * 4 * (double)dim_count * (double)FLT_EPSILON;
}

static void check_kernels(const struct lh_kernels *kernels, size_t dim_count, float scale)
{
    size_t floats = lh_row_floats(dim_count);
    double allowed = tolerance(dim_count, (double)scale);
    const float *rows[ROWS] = {block.rows[0], block.rows[1], block.rows[2], block.rows[3]};
    float l2[ROWS], ip[ROWS];
    kernels->l2_four(block.query, rows, floats, l2);
    kernels->ip_four(block.query, rows, floats, ip);
    for (size_t r = 0; r < ROWS; r++) {
        double expected_l2 = true_l2(rows[r], dim_count);
        double expected_ip = true_ip(rows[r], dim_count);
        assert_true(fabs((double)kernels->l2(block.query, rows[r], floats) - expected_l2) <=
                    allowed);
        assert_true(fabs((double)kernels->ip(block.query, rows[r], floats) - expected_ip) <=
                    allowed);
        assert_true(fabs((double)l2[r] - expected_l2) <= allowed);
        assert_true(fabs((double)ip[r] - expected_ip) <= allowed);
    }
}

LH_TEST(rows_are_padded_to_blocks)
{
    assert_int_equal(lh_row_floats(1), 16);
    assert_int_equal(lh_row_floats(16), 16);
    assert_int_equal(lh_row_floats(17), 32);
    assert_int_equal(lh_row_floats(768), 768);
}

LH_TEST(every_set_of_kernels_is_right_for_every_dimension)
{
    struct lh_random random = lh_random_start();
    const struct lh_kernels *kernels;
    for (size_t set = 0; (kernels = lh_kernels_at(set)) != NULL; set++) {
        for (size_t dim_count = 1; dim_count <= 300; dim_count++) {
            fill(&random, dim_count, 1);
            check_kernels(kernels, dim_count, 1);
        }
        fill(&random, FLOATS_MAX, 100);
        check_kernels(kernels, FLOATS_MAX, 100);
    }
}

LH_TEST(a_row_is_at_distance_zero_from_itself)
{
    struct lh_random random = lh_random_start();
    const struct lh_kernels *kernels;
    for (size_t set = 0; (kernels = lh_kernels_at(set)) != NULL; set++) {
        fill(&random, 99, 3);
        assert_true(kernels->l2(block.query, block.query, lh_row_floats(99)) == 0);
    }
}

LH_TEST(the_largest_vectors_do_not_overflow)
{
    const struct lh_kernels *kernels;
    for (size_t set = 0; (kernels = lh_kernels_at(set)) != NULL; set++) {
        fill(&(struct lh_random){1}, 0, 0);
        for (size_t i = 0; i < 64; i++) {
            block.query[i] = (float)sqrt(LH_NORM_SQUARED_MAX / 64);
            block.rows[0][i] = -block.query[i];
        }
        assert_true(isfinite(kernels->l2(block.query, block.rows[0], 64)));
        assert_true(isfinite(kernels->ip(block.query, block.rows[0], 64)));
    }
}

LH_TEST(the_best_set_is_one_of_the_list)
{
    bool found = false;
    for (size_t set = 0; lh_kernels_at(set) != NULL; set++)
        found = found || lh_kernels_at(set) == lh_kernels_best();
    assert_true(found);
    assert_ptr_equal(lh_kernels_at(0), &lh_kernels_scalar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_padded_to_blocks),
        cmocka_unit_test(every_set_of_kernels_is_right_for_every_dimension),
        cmocka_unit_test(a_row_is_at_distance_zero_from_itself),
        cmocka_unit_test(the_largest_vectors_do_not_overflow),
        cmocka_unit_test(the_best_set_is_one_of_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
