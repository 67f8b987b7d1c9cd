/* Threads that share the parts of one piece of work. */
#include "vectord/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"

struct member {
    struct lh_crew *crew;
    size_t number;
    pthread_t thread;
};

struct lh_crew {
    struct member *members; /* number 0 is whoever calls */
    size_t count;
    pthread_mutex_t mutex;
    pthread_cond_t begin, end;
    uint64_t round; /* of work; a member that has seen it is in it */
    size_t working; /* members that are not done with the round */
    bool stopping;

    void (*run)(void *ctx, size_t thread, size_t part);
    void *ctx;
    size_t part_count;
    atomic_size_t next;
};

static void take_parts(struct lh_crew *crew, size_t number)
{
    size_t part;
    while ((part = atomic_fetch_add(&crew->next, 1)) < crew->part_count)
        crew->run(crew->ctx, number, part);
}

static void *run_member(void *ctx)
{
    struct member *member = ctx;
    struct lh_crew *crew = member->crew;
    uint64_t seen = 0;
    lh_mutex_lock(&crew->mutex);
    for (;;) {
        while (crew->round == seen && !crew->stopping)
            lh_cond_wait_until(&crew->begin, &crew->mutex, LH_NO_DEADLINE);
        if (crew->stopping)
            break;
        seen = crew->round;
        lh_mutex_unlock(&crew->mutex);
        take_parts(crew, member->number);
        lh_mutex_lock(&crew->mutex);
        if (--crew->working == 0)
            pthread_cond_signal(&crew->end);
    }
    lh_mutex_unlock(&crew->mutex);
    return NULL;
}

struct lh_crew *lh_crew_new(size_t thread_count)
{
    struct lh_crew *crew = lh_calloc(1, sizeof(*crew));
    lh_mutex_init(&crew->mutex);
    lh_cond_init(&crew->begin);
    lh_cond_init(&crew->end);
    crew->count = 1;
    crew->members = lh_calloc(thread_count > 1 ? thread_count : 1, sizeof(*crew->members));
    struct lh_error err = LH_ERROR_INIT;
    while (crew->count < thread_count) {
        struct member *member = &crew->members[crew->count];
        *member = (struct member){.crew = crew, .number = crew->count};
        if (lh_thread_start(&member->thread, "builder", run_member, member, &err) != LH_OK)
            break;
        crew->count++;
    }
    return crew;
}

void lh_crew_free(struct lh_crew *crew)
{
    if (crew == NULL)
        return;
    lh_mutex_lock(&crew->mutex);
    crew->stopping = true;
    pthread_cond_broadcast(&crew->begin);
    lh_mutex_unlock(&crew->mutex);
    for (size_t i = 1; i < crew->count; i++)
        LH_CHECK(pthread_join(crew->members[i].thread, NULL) == 0);
    pthread_cond_destroy(&crew->begin);
    pthread_cond_destroy(&crew->end);
    pthread_mutex_destroy(&crew->mutex);
    free(crew->members);
    free(crew);
}

size_t lh_crew_size(const struct lh_crew *crew)
{
    return crew->count;
}

void lh_crew_run(struct lh_crew *crew, void (*run)(void *ctx, size_t thread, size_t part),
                 void *ctx, size_t part_count)
{
    if (crew->count == 1 || part_count <= 1) {
        for (size_t part = 0; part < part_count; part++)
            run(ctx, 0, part);
        return;
    }
    lh_mutex_lock(&crew->mutex);
    crew->run = run;
    crew->ctx = ctx;
    crew->part_count = part_count;
    atomic_store(&crew->next, 0);
    crew->working = crew->count - 1;
    crew->round++;
    pthread_cond_broadcast(&crew->begin);
    lh_mutex_unlock(&crew->mutex);
    take_parts(crew, 0);
    lh_mutex_lock(&crew->mutex);
    while (crew->working > 0)
        lh_cond_wait_until(&crew->end, &crew->mutex, LH_NO_DEADLINE);
    lh_mutex_unlock(&crew->mutex);
}
