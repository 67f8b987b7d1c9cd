/*
 * lh_crew: threads that share the parts of one piece of work. The caller is one of them; with a
 * crew of one there are no others.
 */
#ifndef LH_VECTORD_CREW_H
#define LH_VECTORD_CREW_H

#include <stddef.h>

struct lh_crew;

/* A crew of up to `thread_count`: of fewer when the system gives no more threads. */
struct lh_crew *lh_crew_new(size_t thread_count);
void lh_crew_free(struct lh_crew *crew); /* accepts NULL */
size_t lh_crew_size(const struct lh_crew *crew);

/* Calls run(ctx, thread, part) for each part below part_count, in any order, `thread` being a
 * number below the crew's size that no other call has meanwhile; returns when all are done. One
 * caller at a time. */
void lh_crew_run(struct lh_crew *crew, void (*run)(void *ctx, size_t thread, size_t part),
                 void *ctx, size_t part_count);

#endif
