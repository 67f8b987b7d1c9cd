/*
 * Nanoseconds for one distance, by kernel, dimension and where the rows lie: in the second-level
 * cache, or at random places of a large block, with the prefetching that a search does.
 *
 *   bench/distance            one JSON object a line
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "vectord/distance.h"

enum { CACHE_LINE = 64, AHEAD = 2, RUNS = 5 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void prefetch(const float *row, size_t floats)
{
    for (size_t i = 0; i < floats && i < 256; i += CACHE_LINE / sizeof(float))
        __builtin_prefetch(row + i);
}

/* Four rows at a time, those of two steps later being fetched. Returns nanoseconds a distance. */
static double run(const struct lh_kernels *kernels, const float *rows, size_t row_count,
                  size_t floats, size_t steps)
{
    const float *query = rows;
    float orders[4], sink = 0;
    uint64_t state = 88172645463325252;
    const float *ahead[AHEAD + 1][4];
    for (size_t i = 0; i <= AHEAD; i++) {
        for (size_t j = 0; j < 4; j++)
            ahead[i][j] = rows + (next_random(&state) % row_count) * floats;
    }
    lh_mono start = lh_mono_now();
    for (size_t step = 0; step < steps; step++) {
        const float **now = ahead[step % (AHEAD + 1)];
        kernels->l2_four(query, now, floats, orders);
        sink += orders[0] + orders[1] + orders[2] + orders[3];
        for (size_t j = 0; j < 4; j++) {
            now[j] = rows + (next_random(&state) % row_count) * floats;
            prefetch(now[j], floats);
        }
    }
    double elapsed = (double)lh_mono_since_ns(start);
    LH_CHECK(sink >= 0);
    return elapsed / (double)steps / 4;
}

int main(void)
{
    static const size_t dimensions[] = {128, 768};
    static const struct {
        const char *name;
        size_t bytes;
    } places[] = {{"L2", 256 << 10}, {"L3", 16 << 20}, {"memory", 600 << 20}};
    const struct lh_kernels *kernels;
    for (size_t d = 0; d < LH_COUNT(dimensions); d++) {
        size_t floats = lh_row_floats(dimensions[d]);
        for (size_t p = 0; p < LH_COUNT(places); p++) {
            size_t row_count = places[p].bytes / (floats * sizeof(float));
            float *rows = aligned_alloc(LH_ROW_ALIGN, row_count * floats * sizeof(float));
            LH_CHECK(rows != NULL);
            for (size_t i = 0; i < row_count * floats; i++)
                rows[i] = (float)(i % 97) / 97;
            for (size_t set = 0; (kernels = lh_kernels_at(set)) != NULL; set++) {
                double best = 1e9;
                for (int i = 0; i < RUNS; i++) {
                    double ns = run(kernels, rows, row_count, floats, 2000000 / floats * 16);
                    best = ns < best ? ns : best;
                }
                printf("{\"kernel\":\"%s\",\"dimension\":%zu,\"rows_in\":\"%s\",\"ns\":%.1f}\n",
                       kernels->name, dimensions[d], places[p].name, best);
            }
            free(rows);
        }
    }
    return 0;
}
