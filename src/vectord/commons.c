/* What all indexes share. */
#include "vectord/commons.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

/* A quarter of the 47 bits of address space that a process has, for eight arrays each of all
 * indexes that there may be: an index can grow to this without ever being moved. */
#define ADDRESS_SPACE (UINT64_C(1) << 45)

void lh_commons_init(struct lh_commons *commons, const struct lh_vectord_settings *settings,
                     struct lh_objstore *store)
{
    memset(commons, 0, sizeof(*commons));
    commons->settings = settings;
    commons->store = store;
    commons->async = store != NULL && strcmp(settings->durability, "async") == 0;
    commons->budget.bytes_max = (uint64_t)settings->memory_limit;
    uint64_t share = ADDRESS_SPACE / 4 / (uint64_t)settings->indexes_max;
    commons->reserve_bytes = share < commons->budget.bytes_max ? share : commons->budget.bytes_max;
    lh_mutex_init(&commons->scratch_lock);
}

void lh_commons_deinit(struct lh_commons *commons)
{
    while (commons->scratches != NULL) {
        struct lh_scratch_node *node = commons->scratches;
        commons->scratches = node->next;
        lh_hnsw_scratch_deinit(&node->scratch);
        free(node);
    }
    while (commons->builders != NULL) {
        struct lh_builder_node *node = commons->builders;
        commons->builders = node->next;
        lh_builder_free(node->builder);
        free(node);
    }
    pthread_mutex_destroy(&commons->scratch_lock);
}

struct lh_scratch_node *lh_commons_take_scratch(struct lh_commons *commons)
{
    lh_mutex_lock(&commons->scratch_lock);
    struct lh_scratch_node *node = commons->scratches;
    if (node != NULL)
        commons->scratches = node->next;
    lh_mutex_unlock(&commons->scratch_lock);
    return node != NULL ? node : lh_calloc(1, sizeof(*node));
}

/* As many are kept as there ever were requests at the same time, which http.workers_max bounds. */
void lh_commons_give_scratch(struct lh_commons *commons, struct lh_scratch_node *node)
{
    lh_mutex_lock(&commons->scratch_lock);
    node->next = commons->scratches;
    commons->scratches = node;
    lh_mutex_unlock(&commons->scratch_lock);
}

static unsigned crew_size(const struct lh_vectord_settings *settings)
{
    if (settings->build_threads > 0)
        return (unsigned)settings->build_threads;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > 1 ? (unsigned)processors : 1;
}

struct lh_builder_node *lh_commons_take_builder(struct lh_commons *commons)
{
    lh_mutex_lock(&commons->scratch_lock);
    struct lh_builder_node *node = commons->builders;
    if (node != NULL) {
        commons->builders = node->next;
    } else {
        node = lh_calloc(1, sizeof(*node));
        node->builder = lh_builder_new(commons->crewed == NULL ? crew_size(commons->settings) : 1);
        if (commons->crewed == NULL)
            commons->crewed = node;
    }
    lh_mutex_unlock(&commons->scratch_lock);
    return node;
}

void lh_commons_give_builder(struct lh_commons *commons, struct lh_builder_node *node)
{
    lh_mutex_lock(&commons->scratch_lock);
    struct lh_builder_node **at = &commons->builders;
    if (*at != NULL && *at == commons->crewed)
        at = &(*at)->next;
    node->next = *at;
    *at = node;
    lh_mutex_unlock(&commons->scratch_lock);
}

bool lh_commons_may_be_quick(const struct lh_commons *commons)
{
    return lh_mono_now().ns >= atomic_load(&commons->quick_until_ns);
}

/* For as long as it took, the next ones are for the workers. */
void lh_commons_was_quick(struct lh_commons *commons, lh_mono start)
{
    lh_mono now = lh_mono_now();
    atomic_store(&commons->quick_until_ns, now.ns + (now.ns - start.ns));
}

lh_deadline lh_commons_deadline(const struct lh_commons *commons)
{
    return lh_deadline_in_ms(commons->settings->storage_timeout);
}
