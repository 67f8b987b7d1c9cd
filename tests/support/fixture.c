#include "support/fixture.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/str.h"

enum { DIRS_MAX = 256 };

/* Folders that are still there; tests of one program run one after the other. */
static char *dirs[DIRS_MAX];
static size_t dir_count;

static void print_kept_dirs(void)
{
    for (size_t i = 0; i < dir_count; i++)
        fprintf(stderr, "kept for a look: %s\n", dirs[i]);
}

char *lh_temp_dir_at(const char *file, int line)
{
    static bool registered;
    if (!registered)
        atexit(print_kept_dirs);
    registered = true;
    LH_CHECK(dir_count < DIRS_MAX);
    const char *name = strrchr(file, '/');
    name = name ? name + 1 : file;
    const char *parent = getenv("TMPDIR");
    char *dir = lh_asprintf("%s/lakehouse-%s-%d-XXXXXX", parent ? parent : "/tmp", name, line);
    LH_CHECK(mkdtemp(dir));
    dirs[dir_count++] = lh_strdup(dir);
    return dir;
}

static void forget(const char *dir)
{
    for (size_t i = 0; i < dir_count; i++) {
        if (strcmp(dirs[i], dir) == 0) {
            free(dirs[i]);
            dirs[i] = dirs[--dir_count];
            return;
        }
    }
}

void lh_temp_dir_remove(char **dir)
{
    if (!*dir)
        return;
    struct lh_error err = LH_ERROR_INIT;
    if (lh_clear_dir(*dir, &err) != LH_OK || rmdir(*dir) != 0)
        fprintf(stderr, "cannot remove %s: %s\n", *dir, err.message);
    forget(*dir);
    free(*dir);
    *dir = NULL;
}

char *lh_path_in(const char *dir, const char *name)
{
    return lh_asprintf("%s/%s", dir, name);
}

struct lh_random lh_random_start(void)
{
    uint64_t seed = 20240521;
    const char *wanted = getenv("LAKEHOUSE_TEST_SEED");
    if (wanted)
        LH_CHECK(lh_str_to_u64(lh_str_from(wanted), &seed));
    printf("seed: LAKEHOUSE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return (struct lh_random){seed};
}

/* Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
uint64_t lh_random_u64(struct lh_random *random)
{
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t lh_random_below(struct lh_random *random, uint64_t limit)
{
    LH_CHECK(limit > 0);
    return (uint64_t)(((unsigned __int128)lh_random_u64(random) * limit) >> 64);
}

double lh_random_f64(struct lh_random *random)
{
    return (double)(lh_random_u64(random) >> 11) * 0x1p-53;
}

void lh_random_fill(struct lh_random *random, void *out, size_t len)
{
    char *next = out;
    while (len > 0) {
        uint64_t bits = lh_random_u64(random);
        size_t part = len < sizeof(bits) ? len : sizeof(bits);
        memcpy(next, &bits, part);
        next += part;
        len -= part;
    }
}
