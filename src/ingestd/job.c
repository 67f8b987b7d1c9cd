/*
 * A job from its last byte to its answer.
 *
 *   look       our own look at the first bytes: format, encoding, delimiter
 *   plan       what the dataset is now: known content is "unchanged" at once; what must be refused
 * is refused before any work convert    a worker makes the Parquet file store      journal entry,
 * then the object commit     plan again, journal entry with the commit, then the commit
 *
 * The commit names the snapshot that it was planned on. When another one came first, it is planned
 * anew.
 */
#include "ingestd/ingestd_private.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "ingestd/sniff.h"

#include <fcntl.h>
#include <sys/stat.h>

enum {
    CATALOG_MS = 15000,    /* one question to the catalog */
    COMMIT_MS = 12000,     /* until the outcome of a commit must be known */
    COMMIT_TRIES = 50,     /* against others who commit to the same dataset */
    COMMIT_MAX = 15 << 20, /* less than catalogd takes */
};

/* ---- look ---- */

static lh_code look(struct lh_job *job, struct lh_ingest_options *options, struct lh_error *err)
{
    LH_AUTO_FREE char *start = lh_malloc(LH_SNIFF_BYTES);
    size_t len = job->input_bytes < LH_SNIFF_BYTES ? (size_t)job->input_bytes : LH_SNIFF_BYTES;
    LH_TRY(lh_pread_all(job->input_fd, start, len, 0, "the upload", err));
    const struct lh_sniff sniff = {
        .start = lh_str_of(start, len),
        .whole = len == job->input_bytes,
        .content_type = lh_str_from(job->content_type),
        .file_name = lh_str_from(job->file_name),
        .columns_max = (size_t)job->intake->options.columns_max,
    };
    LH_TRY(lh_sniff(&sniff, options, err));
    return lh_ingest_options_check(options, err);
}

static lh_code name_dataset(struct lh_job *job, struct lh_ingest_options *options,
                            struct lh_error *err)
{
    bool named = options->dataset[0] != '\0' ||
                 lh_ingest_name_from_file(lh_str_from(job->file_name), options->dataset);
    if (!named) {
        LH_IGNORE(lh_fail(err, LH_INVALID, "the dataset is not named"), "a hint follows");
        return lh_hint(err, "say ?dataset=NAME");
    }
    lh_mutex_lock(&job->intake->lock);
    memcpy(job->dataset, options->dataset, sizeof(job->dataset));
    lh_mutex_unlock(&job->intake->lock);
    return LH_OK;
}

/* ---- plan ---- */

/* Whether the dataset (NULL = there is none) has this content already, which leaves nothing to do;
 * fails for what the mode does not allow. */
static lh_code plan(const struct lh_job *job, const struct lh_ingest_options *options,
                    const json_t *dataset, bool *ret_unchanged, struct lh_error *err)
{
    bool all = false;
    bool known = lh_catalog_client_count_content(dataset, job->content_id, &all) > 0;
    *ret_unchanged = options->mode == LH_INGEST_REPLACE ? all : known;
    if (dataset == NULL || *ret_unchanged || options->mode != LH_INGEST_CREATE)
        return LH_OK;
    LH_IGNORE(
        lh_fail(err, LH_EXISTS, "the dataset %s exists, and holds other content", job->dataset),
        "a hint follows");
    return lh_hint(err, "mode=append adds to it, mode=replace puts this in its place");
}

static lh_code ask_dataset(struct lh_job *job, json_t **ret_dataset, struct lh_error *err)
{
    return lh_catalog_client_get(job->intake->options.catalog, job->dataset, 0,
                                 lh_deadline_in_ms(CATALOG_MS), ret_dataset, err);
}

/* ---- what was converted, against the dataset ---- */

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    const char *left = json_string_value(json_object_get(a, key));
    const char *right = json_string_value(json_object_get(b, key));
    return left != NULL && right != NULL && strcmp(left, right) == 0;
}

/* The worker fits the file to the schema that it was given; this is for a dataset that appeared
 * since, and for types that Parquet does not give back as they went in. */
static lh_code check_schema(const struct lh_job *job, const json_t *dataset, const json_t *result,
                            struct lh_error *err)
{
    const json_t *wanted = json_object_get(dataset, "schema");
    const json_t *got = json_object_get(result, "schema");
    size_t count = json_array_size(wanted);
    if (json_array_size(got) != count)
        return lh_fail(err, LH_FINGERPRINT_CONFLICT, "the file has %zu columns, the dataset %s %zu",
                       json_array_size(got), job->dataset, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *a = json_array_get(wanted, i);
        const json_t *b = json_array_get(got, i);
        if (same_text(a, b, "name") && same_text(a, b, "type"))
            continue;
        return lh_fail(err, LH_FINGERPRINT_CONFLICT,
                       "column %zu is %s %s in the file, %s %s in the dataset", i + 1,
                       json_string_value(json_object_get(b, "name")),
                       json_string_value(json_object_get(b, "type")),
                       json_string_value(json_object_get(a, "name")),
                       json_string_value(json_object_get(a, "type")));
    }
    return LH_OK;
}

/* The fingerprint of a new schema: SHA-256 over name 0x1f type 0x1f ("null"|"notnull") 0x1e of each
 * column in order. */
static void fingerprint_of(const json_t *schema, char out[LH_SHA256_HEX])
{
    struct lh_digest *digest = lh_digest_new(LH_DIGEST_SHA256);
    size_t index;
    json_t *column;
    json_array_foreach (schema, index, column) {
        const json_t *name = json_object_get(column, "name");
        const json_t *type = json_object_get(column, "type");
        bool nullable = json_is_true(json_object_get(column, "nullable"));
        lh_digest_update(digest, json_string_value(name), json_string_length(name));
        lh_digest_update(digest, "\x1f", 1);
        lh_digest_update(digest, json_string_value(type), json_string_length(type));
        const char *tail = nullable ? "\x1fnull\x1e" : "\x1fnotnull\x1e";
        lh_digest_update(digest, tail, strlen(tail));
    }
    uint8_t hash[LH_SHA256_SIZE];
    lh_digest_final(digest, hash);
    lh_digest_free(digest);
    lh_hex(hash, sizeof(hash), out);
}

/* ---- store ---- */

struct object {
    char key[LH_KEY_MAX];
    uint64_t bytes;
    int fd;
    uint64_t offset;
    const struct lh_job *job;
};

/* datasets/{namespace}/{name}/data/{id}.parquet. The id is new in every job, so that nothing is
 * ever overwritten. */
static void make_key(const struct lh_job *job, char key[LH_KEY_MAX])
{
    const char *dot = strchr(job->dataset, '.');
    int space_len = dot != NULL ? (int)(dot - job->dataset) : (int)strlen("main");
    snprintf(key, LH_KEY_MAX, "datasets/%.*s/%s/data/%s.parquet", space_len,
             dot != NULL ? job->dataset : "main", dot != NULL ? dot + 1 : job->dataset, job->id);
}

static lh_code read_object(void *ctx, void *bytes, size_t max, size_t *ret_len,
                           struct lh_error *err)
{
    struct object *object = ctx;
    if (lh_job_cancelled(object->job))
        return lh_fail_cancelled(err);
    uint64_t left = object->bytes - object->offset;
    size_t len = left < max ? (size_t)left : max;
    LH_TRY(lh_pread_all(object->fd, bytes, len, object->offset, "the converted file", err));
    object->offset += len;
    *ret_len = len;
    return LH_OK;
}

static lh_code open_object(struct object *object, struct lh_error *err)
{
    LH_AUTO_FREE char *path = lh_asprintf("%s/%s", object->job->dir, LH_JOB_OUTPUT);
    struct stat st;
    object->fd = lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    if (object->fd < 0 || lh_io->fstat(object->fd, &st) != 0)
        return lh_fail_errno(err, "cannot open the converted file");
    object->bytes = (uint64_t)st.st_size;
    make_key(object->job, object->key);
    return LH_OK;
}

/* The entry first, so that whatever happens to the object, it is known. */
static lh_code put_object(struct lh_job *job, struct object *object, struct lh_error *err)
{
    struct lh_intake *intake = job->intake;
    const struct lh_journal_entry entry = {.id = job->id, .key = lh_str_from(object->key)};
    const struct lh_object_body body = {.len = object->bytes, .read = read_object, .ctx = object};
    const struct lh_put_options options = {.if_none_match = true,
                                           .content_type = "application/vnd.apache.parquet"};
    struct lh_object_info info;
    LH_TRY(lh_journal_write(intake->journal, &entry, err));
    lh_code code =
        lh_objstore_put(intake->options.store, entry.key, &body, &options,
                        lh_deadline_in_ms(intake->options.storage_timeout_ms), &info, err);
    if (code == LH_TIMEOUT || code == LH_UNAVAILABLE || code == LH_BAD_UPSTREAM)
        lh_settle_later(intake, &entry); /* it may still arrive: removed in the background, later */
    else if (code != LH_OK)
        lh_settle_delete(intake, &entry);
    return code;
}

/* ---- commit ---- */

static void write_member(struct lh_json *json, const char *key, const json_t *value)
{
    LH_AUTO_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    lh_json_key(json, key);
    lh_json_raw(json, lh_str_from(text));
}

static lh_code write_commit(const struct lh_job *job, const struct lh_ingest_options *options,
                            const json_t *dataset, const json_t *result,
                            const struct object *object, struct lh_buf *out, struct lh_error *err)
{
    const json_t *schema = json_object_get(dataset != NULL ? dataset : result, "schema");
    char fingerprint[LH_SHA256_HEX];
    fingerprint_of(schema, fingerprint);
    const char *known = json_string_value(json_object_get(dataset, "fingerprint"));
    struct lh_json json = LH_JSON_TO(out);
    lh_json_object(&json);
    lh_json_kcstr(&json, "name", job->dataset);
    lh_json_kcstr(&json, "mode", lh_ingest_mode_name(options->mode));
    lh_json_kcstr(&json, "fingerprint", known != NULL ? known : fingerprint);
    lh_json_kcstr(&json, "content_id", job->content_id);
    lh_json_ki64(&json, "expect_snapshot",
                 json_integer_value(json_object_get(dataset, "snapshot")));
    write_member(&json, "schema", schema);
    lh_json_key(&json, "objects");
    lh_json_array(&json);
    lh_json_object(&json);
    lh_json_kcstr(&json, "key", object->key);
    lh_json_ki64(&json, "rows", json_integer_value(json_object_get(result, "rows")));
    lh_json_ku64(&json, "bytes", object->bytes);
    write_member(&json, "stats", json_object_get(result, "stats"));
    lh_json_object_end(&json);
    lh_json_array_end(&json);
    lh_json_object_end(&json);
    if (lh_buf_overflowed(out))
        return lh_fail(err, LH_BAD_DATA, "the names of the columns are too long");
    return LH_OK;
}

/* One try. LH_PRECONDITION: another commit came first. *ret_open: entry and object still stand. */
static lh_code commit_once(struct lh_job *job, const struct lh_ingest_options *options,
                           const json_t *result, const struct object *object, json_t **ret_answer,
                           bool *ret_open, struct lh_error *err)
{
    LH_AUTO_JSON json_t *dataset = NULL;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(COMMIT_MAX);
    bool unchanged = false;
    bool unknown = false;
    *ret_open = true;
    LH_TRY(ask_dataset(job, &dataset, err));
    LH_TRY(plan(job, options, dataset, &unchanged, err));
    if (dataset != NULL && !unchanged)
        LH_TRY(check_schema(job, dataset, result, err));
    LH_TRY(write_commit(job, options, dataset, result, object, &body, err));
    const struct lh_journal_entry entry = {
        .id = job->id, .key = lh_str_from(object->key), .commit = lh_buf_str(&body)};
    LH_TRY(lh_journal_write(job->intake->journal, &entry, err));
    lh_code code = lh_settle_commit(job->intake, &entry, lh_deadline_in_ms(COMMIT_MS), ret_answer,
                                    &unknown, err);
    *ret_open = code == LH_PRECONDITION;
    if (!unknown)
        return code;
    return lh_hint(err, "the commit is settled in the background: send the same request again, and "
                        "the answer says which way");
}

static lh_code commit(struct lh_job *job, const struct lh_ingest_options *options,
                      const json_t *result, const struct object *object, json_t **ret_answer,
                      struct lh_error *err)
{
    bool open = true;
    lh_code code = LH_PRECONDITION;
    for (int i = 0; i < COMMIT_TRIES && code == LH_PRECONDITION; i++) {
        if (i > 0)
            lh_sleep_ms(i);
        code = commit_once(job, options, result, object, ret_answer, &open, err);
    }
    const struct lh_journal_entry entry = {.id = job->id, .key = lh_str_from(object->key)};
    if (code != LH_OK && open)
        lh_settle_delete(job->intake, &entry);
    if (code == LH_PRECONDITION)
        return lh_fail(err, LH_CONFLICT, "others keep committing to the dataset %s", job->dataset);
    return code;
}

/* ---- the answer ---- */

static void count_success(struct lh_job *job, const char *status, uint64_t rows, uint64_t bytes_out)
{
    struct lh_intake *intake = job->intake;
    lh_mutex_lock(&intake->lock);
    struct lh_intake_stats *totals = &intake->totals;
    totals->created += strcmp(status, "created") == 0;
    totals->appended += strcmp(status, "appended") == 0;
    totals->replaced += strcmp(status, "replaced") == 0;
    totals->unchanged += strcmp(status, "unchanged") == 0;
    totals->rows += rows;
    totals->bytes_in += job->input_bytes;
    totals->bytes_out += bytes_out;
    lh_mutex_unlock(&intake->lock);
    job->succeeded = true;
}

struct summary {
    const char *status;
    const json_t *ids; /* has dataset_id and snapshot */
    const json_t *schema;
    const json_t *warnings; /* NULL = none */
    uint64_t rows;
    uint64_t bytes_out;
};

static lh_code write_answer(struct lh_job *job, const struct summary *summary, struct lh_buf *out,
                            int *ret_status, struct lh_error *err)
{
    struct lh_json json = LH_JSON_TO(out);
    lh_json_object(&json);
    lh_json_kcstr(&json, "dataset", job->dataset);
    lh_json_kcstr(&json, "dataset_id",
                  json_string_value(json_object_get(summary->ids, "dataset_id")));
    lh_json_kcstr(&json, "status", summary->status);
    lh_json_ki64(&json, "snapshot", json_integer_value(json_object_get(summary->ids, "snapshot")));
    lh_json_ku64(&json, "rows", summary->rows);
    lh_json_ku64(&json, "rejected", 0);
    lh_json_ku64(&json, "bytes_in", job->input_bytes);
    lh_json_ku64(&json, "bytes_out", summary->bytes_out);
    write_member(&json, "schema", summary->schema);
    if (summary->warnings != NULL) {
        write_member(&json, "warnings", summary->warnings);
    } else {
        lh_json_key(&json, "warnings");
        lh_json_array(&json);
        lh_json_array_end(&json);
    }
    lh_json_kcstr(&json, "content_id", job->content_id);
    lh_json_ki64(&json, "elapsed_ms", lh_mono_since_ms(job->began));
    lh_json_object_end(&json);
    if (lh_buf_overflowed(out))
        return lh_fail(err, LH_INTERNAL, "the answer is too large");
    *ret_status = strcmp(summary->status, "created") == 0 ? 201 : 200;
    count_success(job, summary->status, summary->rows, summary->bytes_out);
    return LH_OK;
}

/* The content is part of the dataset: nothing was converted. Rows and bytes are those it has there.
 */
static lh_code answer_unchanged(struct lh_job *job, const json_t *dataset, struct lh_buf *out,
                                int *ret_status, struct lh_error *err)
{
    struct summary summary = {
        .status = "unchanged",
        .ids = dataset,
        .schema = json_object_get(dataset, "schema"),
    };
    size_t index;
    json_t *object;
    json_array_foreach (json_object_get(dataset, "objects"), index, object) {
        const char *content = json_string_value(json_object_get(object, "content_id"));
        if (content == NULL || strcmp(content, job->content_id) != 0)
            continue;
        summary.rows += (uint64_t)json_integer_value(json_object_get(object, "rows"));
        summary.bytes_out += (uint64_t)json_integer_value(json_object_get(object, "bytes"));
    }
    return write_answer(job, &summary, out, ret_status, err);
}

/* ---- the steps ---- */

static lh_code convert(struct lh_job *job, const struct lh_ingest_options *options,
                       const json_t *dataset, json_t **ret_result, struct lh_error *err)
{
    lh_deadline deadline = lh_deadline_in_ms(job->intake->options.convert_timeout_ms);
    atomic_store(&job->phase, LH_JOB_WAITING);
    LH_TRY(lh_job_take_turn(job, deadline, err));
    atomic_store(&job->phase, LH_JOB_CONVERTING);
    lh_code code =
        lh_job_convert(job, options, json_object_get(dataset, "schema"), deadline, ret_result, err);
    lh_job_give_turn(job);
    return code;
}

static lh_code store_and_commit(struct lh_job *job, const struct lh_ingest_options *options,
                                const json_t *result, struct object *object, json_t **ret_answer,
                                struct lh_error *err)
{
    atomic_store(&job->phase, LH_JOB_STORING);
    LH_TRY(open_object(object, err));
    LH_TRY(put_object(job, object, err));
    atomic_store(&job->phase, LH_JOB_COMMITTING);
    return commit(job, options, result, object, ret_answer, err);
}

lh_code lh_job_run(struct lh_job *job, struct lh_ingest_options *options, struct lh_buf *ret_answer,
                   int *ret_status, struct lh_error *err)
{
    LH_CHECK_MAGIC(job, LH_JOB_MAGIC);
    LH_AUTO_JSON json_t *dataset = NULL;
    LH_AUTO_JSON json_t *result = NULL;
    LH_AUTO_JSON json_t *answer = NULL;
    bool unchanged = false;
    LH_TRY(look(job, options, err));
    LH_TRY(name_dataset(job, options, err));
    lh_ingest_content_id(job->digest, options, job->content_id);
    LH_TRY(ask_dataset(job, &dataset, err));
    LH_TRY(plan(job, options, dataset, &unchanged, err));
    if (unchanged)
        return answer_unchanged(job, dataset, ret_answer, ret_status, err);
    LH_TRY(convert(job, options, dataset, &result, err));

    struct object object = {.job = job, .fd = -1};
    lh_code code = store_and_commit(job, options, result, &object, &answer, err);
    lh_cleanup_fd(&object.fd);
    LH_TRY(code);
    const char *status = json_string_value(json_object_get(answer, "status"));
    const struct summary summary = {
        .status = status != NULL ? status : "",
        .ids = answer,
        .schema = json_object_get(result, "schema"),
        .warnings = json_object_get(result, "warnings"),
        .rows = (uint64_t)json_integer_value(json_object_get(result, "rows")),
        .bytes_out = object.bytes,
    };
    return write_answer(job, &summary, ret_answer, ret_status, err);
}
