/*
 * The demonstration: made data, real work. The same seed gives the same bytes on every machine, so
 * a second run finds everything "unchanged".
 */
#ifndef LH_CLI_DEMO_H
#define LH_CLI_DEMO_H

#include "base/buf.h"
#include "base/error.h"
#include "cli/cli.h"

enum { LH_DEMO_ROWS = 1000000 };

/* All of it, shown on stdout: a CSV made, ingested and queried, phrases put into a vector index and
 * searched. LH_CANCELLED after Ctrl-C. */
lh_code lh_demo_run(struct lh_cli *cli, int64_t rows, struct lh_error *err);

/* Taxi trips as CSV into a new file. (demo_trips.c) */
lh_code lh_demo_write_trips(const char *path, int64_t rows, uint64_t *ret_bytes,
                            struct lh_error *err);

/* Phrases and their vectors. (demo_phrases.c) */
enum { LH_DEMO_PHRASES = 3000, LH_DEMO_DIMENSION = 128, LH_DEMO_PHRASE_MAX = 160 };
void lh_demo_phrase(size_t i, char out[LH_DEMO_PHRASE_MAX]);
/* The directions of its character trigrams, hashed; length 1. No model of language: it finds texts
 * that share words and stems. */
void lh_demo_embed(const char *text, float out[LH_DEMO_DIMENSION]);

/* A small sequence of numbers, the same everywhere. */
struct lh_demo_random {
    uint64_t state;
};
uint64_t lh_demo_random_below(struct lh_demo_random *random, uint64_t limit);

#endif
