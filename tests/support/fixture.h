/*
 * What tests need again and again: a folder of their own, and random numbers that can be had again.
 */
#ifndef LH_TESTS_SUPPORT_FIXTURE_H
#define LH_TESTS_SUPPORT_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

/* A new folder in $TMPDIR (or /tmp) whose name tells the test's file and line. A passed test
 * removes it at the end of the variable's scope; a failed one leaves by longjmp, so its folder
 * stays, and its path is printed when the program ends.
 *
 *   LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
 */
#define lh_temp_dir()    lh_temp_dir_at(__FILE__, __LINE__)
#define LH_AUTO_TEMP_DIR __attribute__((cleanup(lh_temp_dir_remove)))
char *lh_temp_dir_at(const char *file, int line);
void lh_temp_dir_remove(char **dir);

/* "dir/name", owned by the caller. */
char *lh_path_in(const char *dir, const char *name);

/* A fixed sequence (splitmix64). The seed is LAKEHOUSE_TEST_SEED, or a constant, and is printed. */
struct lh_random {
    uint64_t state;
};
struct lh_random lh_random_start(void);
uint64_t lh_random_u64(struct lh_random *random);
uint64_t lh_random_below(struct lh_random *random, uint64_t limit); /* 0 <= result < limit */
double lh_random_f64(struct lh_random *random);                     /* 0 <= result < 1 */
void lh_random_fill(struct lh_random *random, void *out, size_t len);

#endif
