/*
 * The intake: its folder, the list of jobs, turns.
 *
 *   <dir>/spool/<job>/     one folder a job; emptied at start
 *   <dir>/journal/         see journal.h
 */
#include "ingestd/ingestd_private.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

#include <fcntl.h>

enum { LOOK_MS = 100 };

static const char *const phase_words[] = {"receiving", "waiting", "converting", "storing",
                                          "committing"};

/* ---- open and close ---- */

static lh_code count_entry(void *ctx, const struct lh_journal_entry *entry, struct lh_error *err)
{
    (void)entry;
    (void)err;
    ++*(size_t *)ctx;
    return LH_OK;
}

static lh_code open_folders(struct lh_intake *intake, struct lh_error *err)
{
    LH_AUTO_FREE char *journal = lh_asprintf("%s/journal", intake->dir);
    LH_TRY(lh_make_dirs(intake->spool, err));
    LH_TRY(lh_clear_dir(intake->spool, err));
    LH_TRY(lh_journal_open(journal, &intake->journal, err));
    return lh_journal_each(intake->journal, count_entry, &intake->unsettled, &intake->damaged, err);
}

/* A worker is told where its folder is, and may have another working directory than we. */
static lh_code absolute_path(const char *dir, char **ret_path, struct lh_error *err)
{
    LH_TRY(lh_make_dirs(dir, err));
    *ret_path = realpath(dir, NULL);
    if (*ret_path == NULL)
        return lh_fail_errno(err, "cannot find %s", dir);
    return LH_OK;
}

lh_code lh_intake_open(const struct lh_intake_options *options, struct lh_intake **ret_intake,
                       struct lh_error *err)
{
    LH_CHECK(options->jobs_max > 0 && options->store != NULL && options->catalog != NULL);
    char *dir = NULL;
    LH_TRY(absolute_path(options->dir, &dir, err));
    struct lh_intake *intake = lh_calloc(1, sizeof(*intake));
    intake->magic = LH_INTAKE_MAGIC;
    intake->options = *options;
    intake->dir = dir;
    intake->spool = lh_asprintf("%s/spool", dir);
    lh_mutex_init(&intake->lock);
    lh_cond_init(&intake->changed);
    lh_code code = open_folders(intake, err);
    if (code != LH_OK) {
        lh_intake_close(intake);
        return code;
    }
    *ret_intake = intake;
    return LH_OK;
}

lh_code lh_intake_start(struct lh_intake *intake, struct lh_error *err)
{
    LH_CHECK_MAGIC(intake, LH_INTAKE_MAGIC);
    LH_TRY(lh_thread_start(&intake->thread, "settle", lh_settle_run, intake, err));
    intake->has_thread = true;
    return LH_OK;
}

void lh_intake_stop(struct lh_intake *intake)
{
    LH_CHECK_MAGIC(intake, LH_INTAKE_MAGIC);
    lh_mutex_lock(&intake->lock);
    intake->stopping = true;
    pthread_cond_broadcast(&intake->changed);
    lh_mutex_unlock(&intake->lock);
}

void lh_intake_close(struct lh_intake *intake)
{
    if (intake == NULL)
        return;
    lh_intake_stop(intake);
    if (intake->has_thread)
        pthread_join(intake->thread, NULL);
    LH_CHECK(intake->jobs == NULL);
    intake->magic = 0;
    lh_journal_close(intake->journal);
    pthread_cond_destroy(&intake->changed);
    pthread_mutex_destroy(&intake->lock);
    free(intake->spool);
    free(intake->dir);
    free(intake);
}

/* ---- the list of jobs ---- */

static lh_code enlist(struct lh_intake *intake, struct lh_job *job, struct lh_error *err)
{
    lh_mutex_lock(&intake->lock);
    bool full = intake->job_count >= intake->options.jobs_max + intake->options.queue_max;
    if (!full) {
        struct lh_job **end = &intake->jobs;
        while (*end != NULL)
            end = &(*end)->next;
        *end = job;
        intake->job_count++;
    }
    size_t count = intake->job_count;
    lh_mutex_unlock(&intake->lock);
    if (full)
        return lh_fail(err, LH_BUSY, "%zu files are being taken in already", count);
    return LH_OK;
}

static void delist(struct lh_intake *intake, struct lh_job *job)
{
    lh_mutex_lock(&intake->lock);
    for (struct lh_job **at = &intake->jobs; *at != NULL; at = &(*at)->next) {
        if (*at != job)
            continue;
        *at = job->next;
        intake->job_count--;
        intake->totals.failed += !job->succeeded;
        intake->unsettled += job->leaves_entry;
        if (job->leaves_entry)
            pthread_cond_broadcast(&intake->changed);
        break;
    }
    lh_mutex_unlock(&intake->lock);
}

static lh_code make_spool(struct lh_job *job, struct lh_error *err)
{
    LH_AUTO_FREE char *input = lh_asprintf("%s/%s", job->dir, LH_JOB_INPUT);
    if (lh_io->mkdirat(AT_FDCWD, job->dir, 0700) != 0)
        return lh_fail_errno(err, "cannot make the folder of the upload");
    job->input_fd = lh_io->openat(AT_FDCWD, input, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (job->input_fd < 0)
        return lh_fail_errno(err, "cannot make the file of the upload");
    return LH_OK;
}

lh_code lh_job_begin(struct lh_intake *intake, const struct lh_job_start *start,
                     struct lh_job **ret_job, struct lh_error *err)
{
    LH_CHECK_MAGIC(intake, LH_INTAKE_MAGIC);
    struct lh_job *job = lh_calloc(1, sizeof(*job));
    job->magic = LH_JOB_MAGIC;
    job->intake = intake;
    job->start = *start;
    job->input_fd = -1;
    job->began = lh_mono_now();
    job->digest = lh_digest_new(LH_DIGEST_SHA256);
    snprintf(job->dataset, sizeof(job->dataset), "%s", start->dataset);
    lh_uuid7(job->id);
    job->dir = lh_asprintf("%s/%s", intake->spool, job->id);
    lh_code code = enlist(intake, job, err);
    if (code == LH_OK)
        code = make_spool(job, err);
    if (code != LH_OK) {
        lh_job_end(job);
        return code;
    }
    *ret_job = job;
    return LH_OK;
}

void lh_job_end(struct lh_job *job)
{
    if (job == NULL)
        return;
    LH_CHECK_MAGIC(job, LH_JOB_MAGIC);
    struct lh_error ignored = LH_ERROR_INIT;
    lh_job_give_turn(job);
    lh_cleanup_fd(&job->input_fd);
    LH_IGNORE(lh_clear_dir(job->dir, &ignored), "the next start empties the spool");
    LH_IGNORE(lh_io->unlinkat(AT_FDCWD, job->dir, AT_REMOVEDIR), "the same");
    delist(job->intake, job);
    job->magic = 0;
    lh_digest_free(job->digest);
    free(job->content_type);
    free(job->file_name);
    free(job->dir);
    free(job);
}

lh_code lh_job_receive(struct lh_job *job, const void *bytes, size_t len, struct lh_error *err)
{
    LH_TRY(lh_write_all(job->input_fd, bytes, len, "the upload", err));
    lh_digest_update(job->digest, bytes, len);
    job->input_bytes += len;
    atomic_store_explicit(&job->received, job->input_bytes, memory_order_relaxed);
    return LH_OK;
}

void lh_job_describe(struct lh_job *job, lh_str content_type, lh_str file_name)
{
    free(job->content_type);
    free(job->file_name);
    job->content_type = lh_strndup(content_type.len > 0 ? content_type.ptr : "", content_type.len);
    job->file_name = lh_strndup(file_name.len > 0 ? file_name.ptr : "", file_name.len);
}

/* ---- turns ---- */

bool lh_job_cancelled(const struct lh_job *job)
{
    return job->start.cancelled != NULL && job->start.cancelled(job->start.cancel_ctx);
}

lh_code lh_fail_cancelled(struct lh_error *err)
{
    return lh_fail(err, LH_CANCELLED, "the client has gone away");
}

/* One look, of at most LOOK_MS, at whether there is a turn. */
static bool try_turn(struct lh_job *job, bool *ret_stopping)
{
    struct lh_intake *intake = job->intake;
    lh_mutex_lock(&intake->lock);
    if (intake->turns_taken >= intake->options.jobs_max && !intake->stopping)
        lh_cond_wait_until(&intake->changed, &intake->lock, lh_deadline_in_ms(LOOK_MS));
    job->has_turn = !intake->stopping && intake->turns_taken < intake->options.jobs_max;
    intake->turns_taken += job->has_turn;
    *ret_stopping = intake->stopping;
    lh_mutex_unlock(&intake->lock);
    return job->has_turn;
}

lh_code lh_job_take_turn(struct lh_job *job, lh_deadline deadline, struct lh_error *err)
{
    bool stopping = false;
    LH_CHECK(!job->has_turn);
    while (!try_turn(job, &stopping)) {
        if (stopping)
            return lh_fail(err, LH_BUSY, "the service is stopping");
        if (lh_job_cancelled(job))
            return lh_fail_cancelled(err);
        if (lh_deadline_passed(deadline))
            return lh_fail(err, LH_TIMEOUT, "no turn to convert came in time");
    }
    return LH_OK;
}

void lh_job_give_turn(struct lh_job *job)
{
    if (!job->has_turn)
        return;
    struct lh_intake *intake = job->intake;
    lh_mutex_lock(&intake->lock);
    LH_CHECK(intake->turns_taken > 0);
    intake->turns_taken--;
    job->has_turn = false;
    pthread_cond_broadcast(&intake->changed);
    lh_mutex_unlock(&intake->lock);
}

/* ---- reports ---- */

void lh_intake_list(struct lh_intake *intake, struct lh_json *json)
{
    lh_mutex_lock(&intake->lock);
    for (struct lh_job *job = intake->jobs; job != NULL; job = job->next) {
        lh_json_object(json);
        lh_json_kcstr(json, "job", job->id);
        lh_json_kcstr(json, "dataset", job->dataset[0] != '\0' ? job->dataset : NULL);
        lh_json_kcstr(json, "phase", phase_words[atomic_load(&job->phase)]);
        lh_json_ku64(json, "bytes_in", atomic_load(&job->received));
        lh_json_key(json, "bytes_total");
        if (job->start.bytes_total >= 0)
            lh_json_i64(json, job->start.bytes_total);
        else
            lh_json_null(json);
        lh_json_ki64(json, "elapsed_ms", lh_mono_since_ms(job->began));
        lh_json_object_end(json);
    }
    lh_mutex_unlock(&intake->lock);
}

void lh_intake_stats(struct lh_intake *intake, struct lh_intake_stats *ret_stats)
{
    lh_mutex_lock(&intake->lock);
    *ret_stats = intake->totals;
    ret_stats->jobs = intake->job_count;
    ret_stats->converting = intake->turns_taken;
    ret_stats->unsettled = intake->unsettled;
    ret_stats->damaged = intake->damaged;
    lh_mutex_unlock(&intake->lock);
}
