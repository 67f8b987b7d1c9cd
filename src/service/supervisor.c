/*
 * The supervisor's loop: one thread, one poll over a signalfd and the services' pipes.
 *
 * States of a service, and what moves it on:
 *   WAITING   an earlier stage is not ready yet        -> STARTING  all services of it are
 *   STARTING  runs, has not said "ready"               -> READY     it says so
 *                                                      -> PAUSED    it ended
 *   READY     serves                                   -> PAUSED    it ended
 *   PAUSED    ended by itself, waits for restart_at    -> STARTING  the time has come
 *   ENDING    got SIGTERM (and, late, SIGKILL)         -> ENDED     it ended
 *   ENDED     only while everything stops
 *
 * While stopping, stages end in reverse order: the services of a stage get SIGTERM when all later
 * ones are ENDED.
 */
#include "service/supervisor.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/memory.h"
#include "service/notify.h"
#include "service/spawn.h"
#include "service/supervisor_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAUSE_MS_MIN = 100,
    PAUSE_MS_MAX = 5000,
    HEALTHY_MS = 30 * 1000,   /* ready for so long: earlier crashes are forgotten */
    START_ATTEMPTS_MAX = 5,   /* of a service that was never ready */
    STOP_GRACE_MS = 5 * 1000, /* beyond the drain time of the service itself */
    NOTIFY_LINE_MAX = 512,
    EXIT_USAGE = 2,
};

enum state { WAITING, STARTING, READY, PAUSED, ENDING, ENDED };

struct unit {
    enum state state;
    int notify_fd;        /* -1 = closed */
    struct lh_buf notify; /* a line that is not complete yet */
    bool ever_ready;
    unsigned attempts; /* of the first start */
    lh_mono ready_at;
    int64_t pause_ms; /* before the next restart */
    lh_deadline restart_at;
};

struct supervisor {
    const struct lh_supervisor_options *options;
    struct lh_supervised services[LH_SUPERVISED_COUNT];
    struct unit units[LH_SUPERVISED_COUNT];
    char internal[LH_SHA256_HEX]; /* by which the services know each other; new at each start */
    lh_mono started;
    int signal_fd;
    bool all_were_ready;
    bool stopping;
    bool killed;               /* a second signal: no patience any more */
    lh_deadline stop_deadline; /* of the stage that ends now */
    struct lh_error failure;   /* why it stops, if not by a signal */
};

static const char *const names[LH_SUPERVISED_COUNT] = {"storaged", "catalogd", "vectord",
                                                       "ingestd",  "queryd",   "gateway"};
/* Services of one stage start together, when all of the earlier stages are ready. */
static const int stages[LH_SUPERVISED_COUNT] = {0, 1, 1, 2, 2, 3};

static void tell(struct supervisor *s, enum lh_supervisor_event_type type, size_t index,
                 int64_t pause_ms, int wait_status)
{
    if (s->options->on_event == NULL)
        return;
    const struct lh_supervisor_event event = {
        .type = type,
        .index = index,
        .elapsed_ms = lh_mono_since_ms(s->started),
        .pause_ms = pause_ms,
        .wait_status = wait_status,
        .services = s->services,
    };
    s->options->on_event(s->options->ctx, &event);
}

/* ---- stopping ---- */

static void begin_stopping(struct supervisor *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->stop_deadline = (lh_deadline){0};
    lh_notify_systemd("STOPPING=1");
    tell(s, LH_SUPERVISOR_STOPPING, 0, 0, 0);
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (s->services[i].pid == 0)
            s->units[i].state = ENDED;
    }
}

/* The last stage that has not ended, or -1. */
static int stage_to_end(const struct supervisor *s)
{
    for (size_t i = LH_SUPERVISED_COUNT; i-- > 0;) {
        if (s->units[i].state != ENDED)
            return stages[i];
    }
    return -1;
}

static void signal_stage(struct supervisor *s, int stage, int signal_number)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (stages[i] != stage || s->services[i].pid <= 0)
            continue;
        kill(s->services[i].pid, signal_number);
        s->units[i].state = ENDING;
    }
}

static bool is_ending(const struct supervisor *s, int stage)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (stages[i] == stage && s->units[i].state == ENDING)
            return true;
    }
    return false;
}

/* SIGTERM to the stage whose turn it is; SIGKILL when it takes too long. */
static void go_on_stopping(struct supervisor *s)
{
    int stage = stage_to_end(s);
    if (stage < 0)
        return;
    if (!is_ending(s, stage)) {
        signal_stage(s, stage, SIGTERM);
        s->stop_deadline =
            lh_deadline_in_ms(s->options->settings->http.drain_timeout + STOP_GRACE_MS);
    } else if (lh_deadline_passed(s->stop_deadline)) {
        LH_LOG(WARN, "killing what does not stop", LH_LOG_INT("stage", stage));
        signal_stage(s, stage, SIGKILL);
        s->stop_deadline = LH_NO_DEADLINE;
    }
}

static void kill_all(struct supervisor *s)
{
    s->killed = true;
    for (int stage = 0; stage <= stages[LH_SUPERVISED_COUNT - 1]; stage++)
        signal_stage(s, stage, SIGKILL);
    s->stop_deadline = LH_NO_DEADLINE;
}

static void give_up(struct supervisor *s, lh_code code, const struct lh_error *why)
{
    if (s->stopping)
        return;
    s->failure = *why;
    s->failure.code = code;
    begin_stopping(s);
}

/* ---- starting ---- */

static void pause_before_restart(struct supervisor *s, size_t index, int wait_status)
{
    struct unit *unit = &s->units[index];
    if (unit->ever_ready && s->services[index].ready &&
        lh_mono_since_ms(unit->ready_at) >= HEALTHY_MS)
        unit->pause_ms = PAUSE_MS_MIN;
    s->services[index].ready = false;
    int64_t pause_ms = unit->pause_ms;
    unit->state = PAUSED;
    unit->restart_at = lh_deadline_in_ms(pause_ms);
    unit->pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
    LH_LOG(WARN, "service ended", LH_LOG_STR("program", names[index]),
           LH_LOG_INT("exit", WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1),
           LH_LOG_INT("signal", WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0),
           LH_LOG_INT("restart_in_ms", pause_ms));
    tell(s, LH_SUPERVISOR_CRASHED, index, pause_ms, wait_status);
}

/* A service that never served and ended: wrong configuration is final, the rest after some
 * attempts. */
static void first_start_failed(struct supervisor *s, size_t index, int wait_status)
{
    struct unit *unit = &s->units[index];
    struct lh_error why = LH_ERROR_INIT;
    unit->attempts++;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_USAGE) {
        unit->state = ENDED;
        LH_IGNORE(lh_fail(&why, LH_INVALID_CONFIG, "%s refuses its configuration", names[index]),
                  "given up with it");
        give_up(s, LH_INVALID_CONFIG, &why);
    } else if (unit->attempts >= START_ATTEMPTS_MAX) {
        unit->state = ENDED;
        LH_IGNORE(lh_fail(&why, LH_UNAVAILABLE, "%s does not start: it ended %u times",
                          names[index], unit->attempts),
                  "given up with it");
        give_up(s, LH_UNAVAILABLE, &why);
    } else {
        pause_before_restart(s, index, wait_status);
    }
}

static lh_code spawn_unit(struct supervisor *s, size_t index, struct lh_error *err)
{
    int notify[2];
    if (pipe2(notify, O_CLOEXEC | O_NONBLOCK) != 0)
        return lh_fail_errno(err, "cannot make a pipe for %s", names[index]);
    struct lh_plan plan = {0};
    lh_plan_make(s->options->settings, s->options->line, s->services, s->internal, &plan);
    const struct lh_spawn spawn = {
        .program = names[index],
        .args = (const char *const *)plan.args,
        .environment = plan.environment,
        .fd = notify[1],
    };
    lh_code code = lh_spawn(&spawn, &s->services[index].pid, err);
    lh_plan_free(&plan);
    close(notify[1]);
    if (code != LH_OK) {
        close(notify[0]);
        return code;
    }
    s->units[index].notify_fd = notify[0];
    s->units[index].state = STARTING;
    lh_buf_reset(&s->units[index].notify);
    return LH_OK;
}

static void start_unit(struct supervisor *s, size_t index)
{
    struct unit *unit = &s->units[index];
    if (unit->state == PAUSED)
        s->services[index].restarts++;
    struct lh_error err = LH_ERROR_INIT;
    if (spawn_unit(s, index, &err) == LH_OK)
        return;
    lh_log_error(LH_LOG_ERROR, "cannot start a service", &err);
    if (unit->ever_ready)
        pause_before_restart(s, index, 0);
    else
        give_up(s, LH_UNAVAILABLE, &err);
}

static bool may_start(const struct supervisor *s, size_t index)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (stages[i] < stages[index] && !s->units[i].ever_ready)
            return false;
    }
    return true;
}

static void start_what_is_due(struct supervisor *s)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT && !s->stopping; i++) {
        const struct unit *unit = &s->units[i];
        if ((unit->state == WAITING && may_start(s, i)) ||
            (unit->state == PAUSED && lh_deadline_passed(unit->restart_at)))
            start_unit(s, i);
    }
}

/* ---- what services say ---- */

static void became_ready(struct supervisor *s, size_t index)
{
    struct unit *unit = &s->units[index];
    unit->state = READY;
    unit->ever_ready = true;
    unit->ready_at = lh_mono_now();
    s->services[index].ready = true;
    tell(s, LH_SUPERVISOR_SERVICE_READY, index, 0, 0);
    if (s->all_were_ready)
        return;
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (!s->services[i].ready)
            return;
    }
    s->all_were_ready = true;
    lh_notify_systemd("READY=1");
    tell(s, LH_SUPERVISOR_ALL_READY, 0, 0, 0);
    lh_memory_trim();
}

static void take_line(struct supervisor *s, size_t index, lh_str line)
{
    static const lh_str listening = LH_STR("listening ");
    struct lh_supervised *service = &s->services[index];
    if (lh_str_starts(line, listening.ptr))
        snprintf(service->address, sizeof(service->address), "%.*s",
                 LH_FMT(lh_str_skip(line, listening.len)));
    else if (lh_str_is(line, "ready") && s->units[index].state == STARTING)
        became_ready(s, index);
}

static void close_notify(struct unit *unit)
{
    if (unit->notify_fd >= 0)
        close(unit->notify_fd);
    unit->notify_fd = -1;
}

static void read_notify(struct supervisor *s, size_t index)
{
    struct unit *unit = &s->units[index];
    char bytes[NOTIFY_LINE_MAX];
    ssize_t len = read(unit->notify_fd, bytes, sizeof(bytes));
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        close_notify(unit); /* said all, or ended: its SIGCHLD tells */
        return;
    }
    lh_buf_append(&unit->notify, bytes, (size_t)len);
    const char *end;
    while (unit->notify.len > 0 &&
           (end = memchr(unit->notify.data, '\n', unit->notify.len)) != NULL) {
        size_t line_len = (size_t)(end - unit->notify.data);
        take_line(s, index, lh_str_of(unit->notify.data, line_len));
        lh_buf_consume(&unit->notify, line_len + 1);
    }
}

/* ---- what ended ---- */

static void ended(struct supervisor *s, size_t index, int wait_status)
{
    struct unit *unit = &s->units[index];
    if (unit->notify_fd >= 0)
        read_notify(s, index); /* its last words may still be in the pipe */
    close_notify(unit);
    s->services[index].pid = 0;
    if (s->stopping) {
        unit->state = ENDED;
        s->services[index].ready = false;
    } else if (unit->ever_ready) {
        pause_before_restart(s, index, wait_status);
    } else {
        first_start_failed(s, index, wait_status);
    }
}

static void reap(struct supervisor *s)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        int wait_status = 0;
        if (s->services[i].pid > 0 && waitpid(s->services[i].pid, &wait_status, WNOHANG) > 0)
            ended(s, i, wait_status);
    }
}

/* ---- the loop ---- */

static void reload_all(const struct supervisor *s)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (s->services[i].pid > 0)
            kill(s->services[i].pid, SIGHUP);
    }
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue; /* one may stand for several: reap looks at all */
        if (info.ssi_signo == SIGHUP)
            reload_all(s);
        else if (s->stopping)
            kill_all(s);
        else
            begin_stopping(s);
    }
    reap(s);
}

/* Until the next restart, or the end of patience. */
static int wait_ms(const struct supervisor *s)
{
    lh_deadline next = s->stopping ? s->stop_deadline : LH_NO_DEADLINE;
    for (size_t i = 0; i < LH_SUPERVISED_COUNT && !s->stopping; i++) {
        if (s->units[i].state == PAUSED)
            next = lh_deadline_sooner(next, s->units[i].restart_at);
    }
    return next.ns == INT64_MAX ? -1 : lh_deadline_left_ms(next) + 1;
}

static lh_code wait_for_news(struct supervisor *s, struct lh_error *err)
{
    struct pollfd fds[LH_SUPERVISED_COUNT + 1];
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++)
        fds[i] = (struct pollfd){.fd = s->units[i].notify_fd, .events = POLLIN};
    fds[LH_SUPERVISED_COUNT] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
    if (poll(fds, LH_COUNT(fds), wait_ms(s)) < 0 && errno != EINTR)
        return lh_fail_errno(err, "cannot wait for the services");
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (fds[i].fd >= 0 && fds[i].revents != 0)
            read_notify(s, i);
    }
    if (fds[LH_SUPERVISED_COUNT].revents != 0)
        read_signals(s);
    return LH_OK;
}

static lh_code run_loop(struct supervisor *s, struct lh_error *err)
{
    for (;;) {
        if (s->stopping)
            go_on_stopping(s);
        else
            start_what_is_due(s);
        if (s->stopping && stage_to_end(s) < 0)
            break;
        LH_TRY(wait_for_news(s, err));
    }
    if (s->killed)
        return lh_fail(err, LH_CANCELLED, "stopped at once by a second signal");
    if (s->failure.code != LH_OK) {
        *err = s->failure;
        return err->code;
    }
    return LH_OK;
}

static lh_code open_signals(struct supervisor *s, struct lh_error *err)
{
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGHUP);
    LH_CHECK(pthread_sigmask(SIG_BLOCK, &wanted, NULL) == 0);
    s->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return lh_fail_errno(err, "cannot wait for signals");
    return LH_OK;
}

lh_code lh_supervisor_run(const struct lh_supervisor_options *options, struct lh_error *err)
{
    struct supervisor s = {.options = options, .started = lh_mono_now()};
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        s.services[i].name = names[i];
        s.units[i] = (struct unit){
            .notify_fd = -1, .notify = LH_BUF_INIT(NOTIFY_LINE_MAX), .pause_ms = PAUSE_MS_MIN};
    }
    uint8_t secret[LH_SHA256_SIZE];
    lh_random_bytes(secret, sizeof(secret));
    lh_hex(secret, sizeof(secret), s.internal);
    LH_TRY(open_signals(&s, err));
    lh_code code = run_loop(&s, err);
    if (code != LH_OK)
        kill_all(&s); /* a loop that failed leaves nothing behind */
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        close_notify(&s.units[i]);
        lh_buf_deinit(&s.units[i].notify);
    }
    close(s.signal_fd);
    return code;
}
