/*
 * What the files of the core share.
 *
 * Lock: intake->lock guards the list of jobs, the turns and the counts. It is never held across
 * I/O. A job's own members belong to its thread, but for the atomics, which the list reads.
 */
#ifndef LH_INGESTD_INGESTD_PRIVATE_H
#define LH_INGESTD_INGESTD_PRIVATE_H

#include "base/clock.h"
#include "base/hash.h"
#include "ingestd/catalog.h"
#include "ingestd/ingestd.h"
#include "ingestd/journal.h"
#include "ingestd/protocol.h"
#include "store/objstore.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LH_JOB_MAGIC = 0x6a6f6221, LH_INTAKE_MAGIC = 0x696e7461 };

enum lh_job_phase {
    LH_JOB_RECEIVING,
    LH_JOB_WAITING, /* for its turn to convert */
    LH_JOB_CONVERTING,
    LH_JOB_STORING,
    LH_JOB_COMMITTING,
};

struct lh_job {
    uint32_t magic;
    struct lh_intake *intake;
    struct lh_job_start start;
    char id[LH_UUID_TEXT]; /* of the job, its folder, its journal entry and its object */
    char dataset[LH_INGEST_NAME_SIZE]; /* guarded by intake->lock once the job is listed */
    char content_id[LH_CONTENT_ID_SIZE];
    char *dir;
    int input_fd;
    struct lh_digest *digest;
    char *content_type;
    char *file_name;
    lh_mono began;
    uint64_t input_bytes;
    _Atomic(uint64_t) received; /* input_bytes, for the list */
    _Atomic(int) phase;
    bool has_turn;
    bool succeeded;
    bool leaves_entry;   /* in the journal, for the background; guarded by intake->lock */
    struct lh_job *next; /* in the list */
};

struct lh_intake {
    uint32_t magic;
    struct lh_intake_options options;
    char *dir;
    char *spool;
    struct lh_journal *journal;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a turn came free, an entry was left behind, or stop */
    struct lh_job *jobs;    /* oldest first */
    size_t job_count;
    size_t turns_taken;
    size_t unsettled;
    size_t damaged;
    bool stopping;
    struct lh_intake_stats totals; /* its counters only */

    bool has_thread;
    pthread_t thread;
};

bool lh_job_cancelled(const struct lh_job *job);
lh_code lh_fail_cancelled(struct lh_error *err);

/* Waits for a turn to convert, and gives it back. LH_CANCELLED, LH_TIMEOUT, LH_BUSY on stop. */
lh_code lh_job_take_turn(struct lh_job *job, lh_deadline deadline, struct lh_error *err);
void lh_job_give_turn(struct lh_job *job);

/* Runs a worker on the job's input (convert.c). *ret_result is the payload of its answer as JSON;
 * the Parquet file stands in the job's folder. `schema`: the dataset's columns that the file must
 * fit, as JSON, or NULL. */
lh_code lh_job_convert(struct lh_job *job, const struct lh_ingest_options *options,
                       const json_t *schema, lh_deadline deadline, json_t **ret_result,
                       struct lh_error *err);

/* ---- settle.c: from a stored object to a known outcome ---- */

/* Sends the commit of an entry that the journal holds, again and again until the deadline while its
 * outcome is unknown. Afterwards one of these holds:
 *   LH_OK               the catalog has answered (*ret_answer); the entry is gone, and so is the
 * object when the catalog did not take it, because it had the content already LH_PRECONDITION
 * another commit came first, and this one never happens: entry and object stand another code
 * refused: entry and object are gone, or will be by the background *ret_unknown        nothing is
 * known: the background goes on with it */
lh_code lh_settle_commit(struct lh_intake *intake, const struct lh_journal_entry *entry,
                         lh_deadline deadline, json_t **ret_answer, bool *ret_unknown,
                         struct lh_error *err);

/* Removes an object that is in no commit, and its entry; when the store cannot be reached, the
 * entry is left to the background. */
void lh_settle_delete(struct lh_intake *intake, const struct lh_journal_entry *entry);

/* Leaves an entry to the background, which takes it up once its job has ended. */
void lh_settle_later(struct lh_intake *intake, const struct lh_journal_entry *entry);

/* The background thread; `arg` is the intake. */
void *lh_settle_run(void *arg);

#endif
