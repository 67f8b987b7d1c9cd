/* The Prometheus text, byte for byte. */
#include "support/cmocka.h"

#include "service/metrics.h"

#include <math.h>

static void test_samples(void **state)
{
    (void)state;
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_metrics metrics = {.out = &out};
    lh_metric(&metrics, "lakehouse_things_total", LH_COUNTER, "Things.\nWith a \\.");
    lh_metric_value(&metrics, "lakehouse_things_total", 3, NULL);
    lh_metric_value(&metrics, "lakehouse_things_total", 1.5, "kind", "a", "name", "b\"\\\nc", NULL);
    assert_string_equal(out.data,
                        "# HELP lakehouse_things_total Things.\\nWith a \\\\.\n"
                        "# TYPE lakehouse_things_total counter\n"
                        "lakehouse_things_total 3\n"
                        "lakehouse_things_total{kind=\"a\",name=\"b\\\"\\\\\\nc\"} 1.5\n");
}

static void check_number(double value, const char *expected)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_metrics metrics = {.out = &out};
    lh_metric_value(&metrics, "x", value, NULL);
    lh_buf_consume(&out, 2);
    lh_buf_append(&out, "", 1);
    out.data[out.len - 2] = '\0'; /* the line feed */
    assert_string_equal(out.data, expected);
}

static void test_numbers(void **state)
{
    (void)state;
    check_number(0, "0");
    check_number(-7, "-7");
    check_number(9007199254740991.0, "9007199254740991");
    check_number(0.25, "0.25");
    check_number((double)NAN, "NaN");
    check_number((double)INFINITY, "+Inf");
    check_number(-(double)INFINITY, "-Inf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
