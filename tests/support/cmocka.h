/*
 * cmocka, with the headers that it needs before it, in the order that it needs.
 */
#ifndef LH_TESTS_SUPPORT_CMOCKA_H
#define LH_TESTS_SUPPORT_CMOCKA_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* A test function takes a state that most do not use. */
#define LH_TEST(name) static void name(void **state_ __attribute__((unused)))

#endif
