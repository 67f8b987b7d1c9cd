/*
 * What durable small writes cost without an object store: the two peers of storaged's PUT.
 *
 *   objects files DIR THREADS SECONDS BYTES   one file per object: write to a temporary name,
 * fdatasync, rename, fsync of the folder; 256 folders, random names objects log DIR THREADS SECONDS
 * BYTES     one log: writers queue their record, one thread writes all that wait by one writev and
 * one fdatasync, and answers them
 *
 * Prints a JSON object like http_load.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"

enum { FOLDERS = 256, GROUP_MAX = 512, LATENCIES_MAX = 1 << 20 };

struct record {
    struct record *next;
    bool done;
    pthread_cond_t answered;
};

struct bench {
    const char *dir;
    size_t threads;
    double seconds;
    size_t bytes;
    void *payload;
    bool to_log;
    lh_mono start;
    atomic_uint_fast64_t done;
    uint32_t *latencies_us;

    int log_fd;
    pthread_mutex_t mutex;
    pthread_cond_t queued;
    struct record *queue;
    bool stop;
};

static void fail(const char *what)
{
    fprintf(stderr, "objects: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- a file for each object ---- */

static void put_file(const struct bench *bench)
{
    uint64_t id;
    lh_random_bytes(&id, sizeof(id));
    char folder[32];
    char from[64];
    char to[64];
    snprintf(folder, sizeof(folder), "%02x", (unsigned)(id % FOLDERS));
    snprintf(from, sizeof(from), "%s/.%016llx", folder, (unsigned long long)id);
    snprintf(to, sizeof(to), "%s/%016llx", folder, (unsigned long long)id);
    int fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bench->payload, bench->bytes) != (ssize_t)bench->bytes ||
        fdatasync(fd) != 0 || close(fd) != 0 || rename(from, to) != 0)
        fail(from);
    int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 || fsync(dir_fd) != 0 || close(dir_fd) != 0)
        fail(folder);
}

/* ---- a log with group commit ---- */

static void write_group(const struct bench *bench, size_t count)
{
    struct iovec parts[GROUP_MAX];
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct iovec){bench->payload, bench->bytes};
    if (writev(bench->log_fd, parts, (int)count) != (ssize_t)(count * bench->bytes) ||
        fdatasync(bench->log_fd) != 0)
        fail("log");
}

static void *log_main(void *arg)
{
    struct bench *bench = arg;
    lh_mutex_lock(&bench->mutex);
    for (;;) {
        while (!bench->queue && !bench->stop)
            pthread_cond_wait(&bench->queued, &bench->mutex);
        if (!bench->queue)
            break;
        struct record *group = LH_TAKE(bench->queue);
        size_t count = 0;
        for (const struct record *record = group; record; record = record->next)
            count++;
        lh_mutex_unlock(&bench->mutex);
        write_group(bench, count); /* at most one record of each thread waits */
        lh_mutex_lock(&bench->mutex);
        for (struct record *record = group, *next; record; record = next) {
            next = record->next;
            record->done = true;
            pthread_cond_signal(&record->answered);
        }
    }
    lh_mutex_unlock(&bench->mutex);
    return NULL;
}

static void put_record(struct bench *bench)
{
    struct record record = {0};
    lh_cond_init(&record.answered);
    lh_mutex_lock(&bench->mutex);
    record.next = bench->queue;
    bench->queue = &record;
    pthread_cond_signal(&bench->queued);
    while (!record.done)
        pthread_cond_wait(&record.answered, &bench->mutex);
    lh_mutex_unlock(&bench->mutex);
    pthread_cond_destroy(&record.answered);
}

/* ---- the run ---- */

static void *writer_main(void *arg)
{
    struct bench *bench = arg;
    while (lh_mono_since_s(bench->start) < bench->seconds) {
        lh_mono begun = lh_mono_now();
        if (bench->to_log)
            put_record(bench);
        else
            put_file(bench);
        uint64_t n = atomic_fetch_add(&bench->done, 1);
        if (n < LATENCIES_MAX)
            bench->latencies_us[n] = (uint32_t)(lh_mono_since_ns(begun) / 1000);
    }
    return NULL;
}

static void run(struct bench *bench)
{
    struct lh_error err = LH_ERROR_INIT;
    pthread_t committer;
    LH_AUTO_FREE pthread_t *writers = lh_calloc(bench->threads, sizeof(*writers));
    bench->start = lh_mono_now();
    if (lh_thread_start(&committer, "log", log_main, bench, &err) != LH_OK)
        fail(err.message);
    for (size_t i = 0; i < bench->threads; i++)
        if (lh_thread_start(&writers[i], "writer", writer_main, bench, &err) != LH_OK)
            fail(err.message);
    for (size_t i = 0; i < bench->threads; i++)
        pthread_join(writers[i], NULL);
    lh_mutex_lock(&bench->mutex);
    bench->stop = true;
    pthread_cond_signal(&bench->queued);
    lh_mutex_unlock(&bench->mutex);
    pthread_join(committer, NULL);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(struct bench *bench)
{
    double seconds = lh_mono_since_s(bench->start);
    uint64_t done = atomic_load(&bench->done);
    size_t count = done < LATENCIES_MAX ? (size_t)done : LATENCIES_MAX;
    qsort(bench->latencies_us, count, sizeof(uint32_t), compare);
    struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&out);
    lh_json_object(&json);
    lh_json_ku64(&json, "requests", done);
    lh_json_ku64(&json, "failed", 0);
    lh_json_kf64(&json, "seconds", seconds);
    lh_json_kf64(&json, "per_second", (double)done / seconds);
    lh_json_ku64(&json, "p50_us", count ? bench->latencies_us[count / 2] : 0);
    lh_json_ku64(&json, "p99_us", count ? bench->latencies_us[count * 99 / 100] : 0);
    lh_json_object_end(&json);
    printf("%s\n", out.data);
    lh_buf_deinit(&out);
}

static void prepare(struct bench *bench)
{
    if (chdir(bench->dir) != 0)
        fail(bench->dir);
    for (unsigned folder = 0; !bench->to_log && folder < FOLDERS; folder++) {
        char name[8];
        snprintf(name, sizeof(name), "%02x", folder);
        if (mkdir(name, 0700) != 0 && errno != EEXIST)
            fail(name);
    }
    bench->log_fd =
        bench->to_log ? open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (bench->to_log && bench->log_fd < 0)
        fail("log");
    bench->payload = lh_calloc(1, bench->bytes);
    bench->latencies_us = lh_calloc(LATENCIES_MAX, sizeof(uint32_t));
    lh_mutex_init(&bench->mutex);
    lh_cond_init(&bench->queued);
}

int main(int argc, char **argv)
{
    if (argc != 6 || (strcmp(argv[1], "files") != 0 && strcmp(argv[1], "log") != 0)) {
        fprintf(stderr, "usage: objects files|log DIR THREADS SECONDS BYTES\n");
        return 2;
    }
    struct bench bench = {
        .dir = argv[2],
        .threads = strtoul(argv[3], NULL, 10),
        .seconds = strtod(argv[4], NULL),
        .bytes = strtoul(argv[5], NULL, 10),
        .to_log = strcmp(argv[1], "log") == 0,
    };
    if (bench.threads == 0 || bench.threads > GROUP_MAX || bench.bytes == 0) {
        fprintf(stderr, "objects: 1 to %d threads, 1 byte or more\n", GROUP_MAX);
        return 2;
    }
    prepare(&bench);
    run(&bench);
    report(&bench);
    return 0;
}
