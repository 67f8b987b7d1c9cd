#include "vectord/distance.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

enum { ROWS = 4, FLOATS_MAX = 4096, CODES_MAX = LH_CODE_DIMENSION_MAX };

struct block {
    _Alignas(LH_ROW_ALIGN) float query[FLOATS_MAX];
    _Alignas(LH_ROW_ALIGN) float rows[ROWS][FLOATS_MAX];
    _Alignas(LH_ROW_ALIGN) unsigned char code_query[CODES_MAX];
    _Alignas(LH_ROW_ALIGN) unsigned char code_rows[ROWS][CODES_MAX];
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

/* One row by itself and as one of four. */
static void check_near(const struct lh_kernels *kernels, size_t dim_count, double allowed,
                       double (*expected)(const float *row, size_t dim_count))
{
    size_t bytes = lh_row_floats(dim_count) * sizeof(float);
    const void *const rows[ROWS] = {block.rows[0], block.rows[1], block.rows[2], block.rows[3]};
    float orders[ROWS];
    kernels->four(block.query, rows, bytes, orders);
    for (size_t r = 0; r < ROWS; r++) {
        double wanted = expected(block.rows[r], dim_count);
        assert_true(fabs((double)kernels->one(block.query, rows[r], bytes) - wanted) <= allowed);
        assert_true(fabs((double)orders[r] - wanted) <= allowed);
    }
}

/* Errors of a float sum grow with the number of terms and their size, not with the result's. */
static void check_floats(const struct lh_isa *isa, size_t dim_count, double scale)
{
    double allowed = scale * scale * 4 * (double)dim_count * (double)FLT_EPSILON;
    check_near(&isa->kernels[LH_MEASURE_L2], dim_count, allowed, true_l2);
    check_near(&isa->kernels[LH_MEASURE_IP], dim_count, allowed, true_ip);
}

LH_TEST(rows_are_padded_to_blocks)
{
    assert_int_equal(lh_row_floats(1), 16);
    assert_int_equal(lh_row_floats(16), 16);
    assert_int_equal(lh_row_floats(17), 32);
    assert_int_equal(lh_row_floats(768), 768);
    assert_int_equal(lh_row_code_bytes(1), 64);
    assert_int_equal(lh_row_code_bytes(64), 64);
    assert_int_equal(lh_row_code_bytes(65), 128);
}

LH_TEST(floats_are_right_for_every_dimension)
{
    struct lh_random random = lh_random_start();
    const struct lh_isa *isa;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        print_message("%s\n", isa->name);
        for (size_t dim_count = 1; dim_count <= 300; dim_count++) {
            fill(&random, dim_count, 1);
            check_floats(isa, dim_count, 1);
        }
        fill(&random, FLOATS_MAX, 100);
        check_floats(isa, FLOATS_MAX, 100);
    }
}

/* Every instruction set's sums of codes are the reference's, bit for bit. */
static void check_codes(const struct lh_isa *isa, enum lh_measure measure, size_t bytes)
{
    const void *const rows[ROWS] = {block.code_rows[0], block.code_rows[1], block.code_rows[2],
                                    block.code_rows[3]};
    const struct lh_kernels *reference = &lh_isa_scalar.kernels[measure];
    float orders[ROWS];
    isa->kernels[measure].four(block.code_query, rows, bytes, orders);
    for (size_t r = 0; r < ROWS; r++) {
        float wanted = reference->one(block.code_query, rows[r], bytes);
        assert_true(isa->kernels[measure].one(block.code_query, rows[r], bytes) == wanted);
        assert_true(orders[r] == wanted);
    }
}

static void fill_codes(struct lh_random *random, size_t bytes, unsigned level_max)
{
    for (size_t i = 0; i < bytes; i++) {
        block.code_query[i] = (unsigned char)lh_random_below(random, level_max + 1);
        for (size_t r = 0; r < ROWS; r++)
            block.code_rows[r][i] = (unsigned char)lh_random_below(random, level_max + 1);
    }
}

LH_TEST(codes_are_the_same_everywhere)
{
    struct lh_random random = lh_random_start();
    const struct lh_isa *isa;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        for (size_t bytes = 64; bytes <= 4096; bytes += 64) {
            fill_codes(&random, bytes, 255);
            check_codes(isa, LH_MEASURE_CODE8, bytes);
            fill_codes(&random, bytes, 127);
            check_codes(isa, LH_MEASURE_CODE7, bytes);
        }
    }
}

LH_TEST(the_farthest_codes_do_not_overflow)
{
    const struct lh_isa *isa;
    memset(block.code_query, 0, CODES_MAX);
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        memset(block.code_rows, 255, sizeof(block.code_rows));
        check_codes(isa, LH_MEASURE_CODE8, CODES_MAX);
        assert_true(isa->kernels[LH_MEASURE_CODE8].one(block.code_query, block.code_rows[0],
                                                       CODES_MAX) == 255.0F * 255 * CODES_MAX);
        memset(block.code_rows, 127, sizeof(block.code_rows));
        check_codes(isa, LH_MEASURE_CODE7, CODES_MAX);
    }
}

LH_TEST(a_row_is_at_distance_zero_from_itself)
{
    struct lh_random random = lh_random_start();
    const struct lh_isa *isa;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        fill(&random, 99, 3);
        assert_true(isa->kernels[LH_MEASURE_L2].one(block.query, block.query, 448) == 0);
    }
}

LH_TEST(the_largest_vectors_do_not_overflow)
{
    const struct lh_isa *isa;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        fill(&(struct lh_random){1}, 0, 0);
        for (size_t i = 0; i < 64; i++) {
            block.query[i] = (float)sqrt(LH_NORM_SQUARED_MAX / 64);
            block.rows[0][i] = -block.query[i];
        }
        assert_true(isfinite(isa->kernels[LH_MEASURE_L2].one(block.query, block.rows[0], 256)));
        assert_true(isfinite(isa->kernels[LH_MEASURE_IP].one(block.query, block.rows[0], 256)));
    }
}

LH_TEST(an_instruction_set_is_found_by_its_name)
{
    const struct lh_isa *isa, *last = NULL;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        assert_ptr_equal(lh_isa_find(lh_str_from(isa->name)), isa);
        last = isa;
    }
    assert_ptr_equal(lh_isa_at(0), &lh_isa_scalar);
    assert_ptr_equal(lh_isa_find(LH_STR("auto")), last);
    assert_null(lh_isa_find(LH_STR("mmx")));
    assert_ptr_equal(lh_isa_used(), last);
    lh_isa_use(&lh_isa_scalar);
    assert_ptr_equal(lh_isa_used(), &lh_isa_scalar);
    lh_isa_use(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_padded_to_blocks),
        cmocka_unit_test(floats_are_right_for_every_dimension),
        cmocka_unit_test(codes_are_the_same_everywhere),
        cmocka_unit_test(the_farthest_codes_do_not_overflow),
        cmocka_unit_test(a_row_is_at_distance_zero_from_itself),
        cmocka_unit_test(the_largest_vectors_do_not_overflow),
        cmocka_unit_test(an_instruction_set_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
