/*
 * Nanoseconds for one distance, by instruction set, measure, dimension and where the rows lie: in
 * the second-level cache, or at random places of a large block, with the prefetching that a search
 * does.
 *
 *   bench/distance            one JSON object a line
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const struct {
    const char *name;
    enum lh_measure measure;
    size_t component_bytes;
} measures[] = {{"l2", LH_MEASURE_L2, sizeof(float)},
                {"ip", LH_MEASURE_IP, sizeof(float)},
                {"code8", LH_MEASURE_CODE8, 1},
                {"code7", LH_MEASURE_CODE7, 1}};

static const struct {
    const char *name;
    size_t bytes;
} places[] = {{"L2", 256 << 10}, {"L3", 16 << 20}, {"memory", 600 << 20}};

static void prefetch(const unsigned char *row, size_t bytes)
{
    for (size_t i = 0; i < bytes && i < 1024; i += CACHE_LINE)
        __builtin_prefetch(row + i);
}

/* Four rows at a time, those of two steps later being fetched. Returns nanoseconds a distance. */
static double run(const struct lh_kernels *kernels, const unsigned char *rows, size_t row_count,
                  size_t bytes, size_t steps)
{
    float orders[4], sink = 0;
    uint64_t state = 88172645463325252;
    const void *ahead[AHEAD + 1][4];
    for (size_t i = 0; i <= AHEAD; i++) {
        for (size_t j = 0; j < 4; j++)
            ahead[i][j] = rows + (next_random(&state) % row_count) * bytes;
    }
    lh_mono start = lh_mono_now();
    for (size_t step = 0; step < steps; step++) {
        const void **now = ahead[step % (AHEAD + 1)];
        kernels->four(rows, now, bytes, orders);
        sink += orders[0] + orders[1] + orders[2] + orders[3];
        for (size_t j = 0; j < 4; j++) {
            now[j] = rows + (next_random(&state) % row_count) * bytes;
            prefetch(now[j], bytes);
        }
    }
    double elapsed = (double)lh_mono_since_ns(start);
    LH_CHECK(sink > -1e30F);
    return elapsed / (double)steps / 4;
}

/* Floats of 0 to 1, or codes up to 127, which both measures of codes can take. */
static void fill(unsigned char *rows, size_t bytes, size_t component_bytes)
{
    for (size_t i = 0; i < bytes; i += component_bytes) {
        float value = (float)(i % 97) / 97;
        if (component_bytes == 1)
            rows[i] = (unsigned char)(i % 127);
        else
            memcpy(rows + i, &value, sizeof(value));
    }
}

static void run_place(size_t m, size_t dimension, size_t place)
{
    size_t bytes =
        (dimension * measures[m].component_bytes + LH_ROW_ALIGN - 1) / LH_ROW_ALIGN * LH_ROW_ALIGN;
    size_t row_count = places[place].bytes / bytes;
    unsigned char *rows = aligned_alloc(LH_ROW_ALIGN, row_count * bytes);
    LH_CHECK(rows != NULL);
    fill(rows, row_count * bytes, measures[m].component_bytes);
    const struct lh_isa *isa;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        double best = 1e9;
        for (int i = 0; i < RUNS; i++) {
            double ns = run(&isa->kernels[measures[m].measure], rows, row_count, bytes,
                            8000000 / bytes * 16);
            best = ns < best ? ns : best;
        }
        printf("{\"isa\":\"%s\",\"measure\":\"%s\",\"dimension\":%zu,\"rows_in\":\"%s\","
               "\"ns\":%.1f}\n",
               isa->name, measures[m].name, dimension, places[place].name, best);
    }
    free(rows);
}

int main(void)
{
    static const size_t dimensions[] = {128, 768};
    for (size_t d = 0; d < LH_COUNT(dimensions); d++) {
        for (size_t m = 0; m < LH_COUNT(measures); m++) {
            for (size_t place = 0; place < LH_COUNT(places); place++)
                run_place(m, dimensions[d], place);
        }
    }
    return 0;
}
