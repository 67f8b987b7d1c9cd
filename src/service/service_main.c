/*
 * The service factory: what happens between main and the requests.
 *
 *   flags -> settings -> log -> process limits -> signals -> data folder and its lock -> open
 *   -> listen -> start -> ready -> (SIGHUP -> reload)* -> (SIGTERM) -> stopping -> drain -> close
 *
 * SIGTERM, SIGINT and SIGHUP set a flag and post a semaphore, which is all that a signal handler
 * may do; the main thread waits on it. A second SIGTERM or SIGINT ends the process at once.
 *
 * A supervisor gives us a pipe (service/notify.h) and reads from it "listening ADDRESS" and
 * "ready", a line each.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "service/command_line.h"
#include "service/host.h"
#include "service/keys.h"
#include "service/memory.h"
#include "service/notify.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    OPEN_FILES_WANTED = 65536,
};

const char lh_version[] = LH_VERSION;

struct lh_service_host lh_host = {.lock_fd = -1};

/* ---- for the services ---- */

const char *lh_service_dir(struct lh_service_host *host)
{
    LH_CHECK(host->dir != NULL); /* not for a service that says it is stateless */
    return host->dir;
}

struct lh_keys *lh_service_keys(struct lh_service_host *host)
{
    LH_CHECK(host->keys != NULL); /* only for a service that asks for keys */
    return host->keys;
}

bool lh_service_stopping(const struct lh_service_host *host)
{
    return host->phase == LH_PHASE_STOPPING;
}

/* ---- signals ---- */

static sem_t wake; /* to stop, or to reload */
static atomic_bool reload_wanted;

static void on_stop_signal(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    if (atomic_exchange(&lh_host.phase, LH_PHASE_STOPPING) == LH_PHASE_STOPPING)
        _exit(EXIT_FAILURE);
    sem_post(&wake);
    errno = saved;
}

/* Also what a closed terminal sends, which is no reason to end. */
static void on_reload_signal(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    if (!atomic_exchange(&reload_wanted, true))
        sem_post(&wake);
    errno = saved;
}

static void install_signals(void)
{
    LH_CHECK(sem_init(&wake, 0, 0) == 0);
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    LH_CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    LH_CHECK(sigaction(SIGINT, &action, NULL) == 0);
    action.sa_handler = on_reload_signal;
    LH_CHECK(sigaction(SIGHUP, &action, NULL) == 0);
    action.sa_handler = SIG_IGN;
    LH_CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
}

/* ---- the process ---- */

static void limit_process(void)
{
    umask(077);
    const struct rlimit no_core = {0, 0}; /* a core would hold users' data */
    LH_CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);

    struct rlimit files;
    LH_CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    rlim_t wanted = files.rlim_max < OPEN_FILES_WANTED ? files.rlim_max : OPEN_FILES_WANTED;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = wanted;
        LH_CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    }
    lh_memory_limit_arenas();
}

static lh_code open_keys(struct lh_service_host *host, struct lh_error *err)
{
    const struct lh_keys_settings *settings = &host->settings.keys;
    const struct lh_keys_options options = {.file = settings->file,
                                            .id = settings->id,
                                            .secret = settings->secret,
                                            .internal = settings->internal};
    return host->service->asks_for_keys ? lh_keys_open(&options, &host->keys, err) : LH_OK;
}

/* The data folder of this service, and the lock that keeps a second process of its kind out of it.
 * The lock stands beside the folder, whose content is the service's own. */
static lh_code open_dir(struct lh_service_host *host, struct lh_error *err)
{
    if (host->service->stateless)
        return LH_OK;
    const char *data_dir = host->settings.data_dir;
    host->dir = lh_asprintf("%s/%s", data_dir, host->service->name);
    LH_TRY(lh_make_dirs(host->dir, err));
    LH_AUTO_FREE char *lock = lh_asprintf("%s/%s.lock", data_dir, host->service->name);
    if (lh_lock_file(lock, &host->lock_fd, err) != LH_OK)
        return lh_fail_context(err, "cannot use %s", host->dir);
    return LH_OK;
}

/* ---- listening ---- */

static bool is_loopback(const char *address)
{
    return lh_str_starts(lh_str_from(address), "127.") || strcmp(address, "::1") == 0;
}

/* Refuses an address that others can reach when nothing asks them for a key. */
static lh_code listen_address(const struct lh_service_host *host, bool insecure, char *ret_address,
                              size_t size, uint16_t *ret_port, struct lh_error *err)
{
    const char *listen = lh_settings_listen(&host->settings, lh_str_from(host->service->name));
    bool asks = host->keys != NULL && lh_keys_required(host->keys);
    if (!lh_parse_address(lh_str_from(listen), ret_address, size, ret_port))
        return lh_fail(err, LH_INVALID_CONFIG, "'%s' is not an address", listen);
    if (strcmp(ret_address, "localhost") == 0)
        snprintf(ret_address, size, "127.0.0.1");
    if (is_loopback(ret_address) || asks || insecure)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG,
                      "will not listen on %s: others could reach it, and nothing asks for a key",
                      listen),
              "the hint's code is the same");
    return lh_hint(err, "listen on 127.0.0.1, %sor say -insecure if the network itself is safe",
                   host->keys != NULL ? "set keys.file, " : "");
}

static lh_code start_server(struct lh_service_host *host, const char *address, uint16_t port,
                            struct lh_error *err)
{
    const struct lh_http_settings *http = &host->settings.http;
    const struct lh_http_server_options options = {
        .host = address,
        .port = port,
        .routes = host->routes,
        .route_count = host->route_count,
        .wants_rest = host->service->wants_rest,
        .service = host->state,
        .service_name = host->service->name,
        .version = lh_version,
        .connections_max = (size_t)http->connections_max,
        .connections_per_ip_max = (size_t)http->connections_per_ip_max,
        .workers_max = (size_t)http->workers_max,
        .queue_max = (size_t)http->queue_max,
        .header_timeout_ms = http->header_timeout,
        .idle_timeout_ms = http->idle_timeout,
        .body_rate_min = http->body_rate_min,
        .body_rate_window_ms = http->body_rate_window,
        .drain_timeout_ms = http->drain_timeout,
        .body_bytes_max = http->body_bytes_max,
        .target_bytes_max = (size_t)http->target_bytes_max,
        .header_bytes_max = (size_t)http->header_bytes_max,
        .header_count_max = (size_t)http->header_count_max,
        /* Request line and header must fit, and a little of a body. */
        .pool_bytes = (size_t)(http->target_bytes_max + http->header_bytes_max + 8 * LH_KIB),
        .stream_bytes = (size_t)http->stream_bytes,
        .tls_certificate = http->tls_certificate,
        .tls_key = http->tls_key,
    };
    return lh_http_server_start(&options, &host->server, err);
}

/* ---- telling how far we are ---- */

static void announce_listening(struct lh_service_host *host, const char *address)
{
    char text[300];
    const char *format = strchr(address, ':') != NULL ? "[%s]:%u" : "%s:%u";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), format, address, lh_http_server_port(host->server));
#pragma GCC diagnostic pop
    LH_LOG(INFO, "listening", LH_LOG_STR("address", text));
    LH_AUTO_FREE char *line = lh_asprintf("listening %s\n", text);
    lh_notify_line(line);
}

static void announce_ready(struct lh_service_host *host)
{
    LH_LOG(INFO, "ready", LH_LOG_INT("elapsed_ms", lh_mono_since_ms(host->started)));
    lh_notify_line("ready\n");
    lh_notify_close();
    lh_notify_systemd("READY=1");
    lh_memory_trim();
}

/* ---- a life ---- */

/* Each part by itself: what cannot be read stays as it was, and the rest is new. */
static void reload(struct lh_service_host *host)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_LOG(INFO, "reloading");
    if (host->keys != NULL && lh_keys_reload(host->keys, &err) != LH_OK)
        lh_log_error(LH_LOG_ERROR, "the keys stay as they were", &err);
    if (lh_http_server_reload_tls(host->server, &err) != LH_OK)
        lh_log_error(LH_LOG_ERROR, "the certificate stays as it was", &err);
    else if (host->settings.http.tls_certificate[0] != '\0')
        LH_LOG(INFO, "certificate loaded again");
    if (host->service->reload != NULL && host->service->reload(host->state, &err) != LH_OK)
        lh_log_error(LH_LOG_ERROR, "cannot reload", &err);
}

/* Until a signal says stop. */
static void wait_for_stop(struct lh_service_host *host)
{
    while (!lh_service_stopping(host)) {
        if (sem_wait(&wake) != 0)
            continue; /* EINTR */
        if (atomic_exchange(&reload_wanted, false))
            reload(host);
    }
}

static lh_code serve(struct lh_service_host *host, struct lh_error *err)
{
    const struct lh_service *service = host->service;
    lh_code code = service->start != NULL ? service->start(host->state, err) : LH_OK;
    if (code != LH_OK)
        return lh_service_stopping(host) ? LH_OK : code; /* told to stop while it loaded */
    enum lh_phase starting = LH_PHASE_STARTING;
    if (atomic_compare_exchange_strong(&host->phase, &starting, LH_PHASE_READY)) {
        lh_http_server_set_ready(host->server, true);
        announce_ready(host);
    }
    wait_for_stop(host);
    return LH_OK;
}

static lh_code open_and_serve(struct lh_service_host *host, bool insecure, struct lh_error *err)
{
    const struct lh_service *service = host->service;
    char address[256];
    uint16_t port = 0;
    LH_TRY(open_keys(host, err));
    LH_TRY(listen_address(host, insecure, address, sizeof(address), &port, err));
    LH_TRY(open_dir(host, err));
    LH_TRY(service->open(&host->settings, host, &host->state, err));

    lh_code code = start_server(host, address, port, err);
    if (code == LH_OK) {
        announce_listening(host, address);
        code = serve(host, err);
        atomic_store(&host->phase, LH_PHASE_STOPPING);
        LH_LOG(INFO, "stopping");
        if (service->stopping != NULL)
            service->stopping(host->state);
        size_t cancelled = lh_http_server_stop(host->server);
        LH_LOG(INFO, "stopped", LH_LOG_INT("cancelled", cancelled));
    }
    service->close(host->state);
    return code;
}

static void host_deinit(struct lh_service_host *host)
{
    if (host->free_client != NULL)
        host->free_client(host->client);
    if (host->lock_fd >= 0)
        close(host->lock_fd);
    lh_keys_close(host->keys);
    free(host->dir);
    free(host->routes);
    lh_settings_free(&host->settings);
}

/* ---- main ---- */

/* What is wrong with the command line or the configuration is for a person to read. */
static int usage_error(const char *program, const struct lh_error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->message);
    if (err->hint[0] != '\0')
        fprintf(stderr, "  hint: %s\n", err->hint);
    return EXIT_USAGE;
}

static int help(const struct lh_service *service)
{
    printf("%s %s: %s\n\nusage: %s [FLAG VALUE]...\n", service->name, lh_version, service->summary,
           service->name);
    lh_command_line_help(service->name, stdout);
    return 0;
}

static lh_code load_settings(const struct lh_command_line *line, struct lh_settings *ret,
                             struct lh_error *err)
{
    const struct lh_config_source source = {
        .file = line->config_file,
        .environment = environ,
        .flags = line->flags,
        .flag_count = line->flag_count,
    };
    return lh_settings_load(&source, ret, NULL, err);
}

static int run_service(struct lh_service_host *host, const struct lh_command_line *line)
{
    enum lh_log_level level = LH_LOG_INFO;
    LH_CHECK(lh_log_level_parse(host->settings.log.level, &level));
    lh_log_init(host->service->name, level, STDERR_FILENO);
    lh_notify_open();
    limit_process();
    install_signals();
    lh_host_make_routes(host);

    struct lh_error err = LH_ERROR_INIT;
    lh_code code = open_and_serve(host, line->insecure, &err);
    if (code == LH_OK)
        return EXIT_SUCCESS;
    if (code == LH_INVALID_CONFIG)
        return usage_error(host->service->name, &err);
    lh_log_error(LH_LOG_ERROR, "cannot serve", &err);
    return EXIT_FAILURE;
}

int lh_service_main(const struct lh_service *service, int argc, char **argv)
{
    struct lh_service_host *host = &lh_host;
    host->service = service;
    host->started = lh_mono_now();
    host->started_ms = lh_now_ms();

    struct lh_error err = LH_ERROR_INIT;
    struct lh_command_line line = {0};
    if (lh_command_line_parse(service->name, argc - 1, argv + 1, &line, &err) != LH_OK)
        return usage_error(service->name, &err);
    int status;
    if (line.help) {
        status = help(service);
    } else if (line.version) {
        status = printf("%s %s\n", service->name, lh_version) > 0 ? 0 : EXIT_FAILURE;
    } else if (load_settings(&line, &host->settings, &err) != LH_OK) {
        status = usage_error(service->name, &err);
    } else {
        status = run_service(host, &line);
        host_deinit(host);
    }
    lh_command_line_free(&line);
    return status;
}
