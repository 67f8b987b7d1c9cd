/* Arguments and environment of a supervised service. */
#include "service/supervisor_plan.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

/* A list of texts ended by NULL. */
struct texts {
    char **items;
    size_t count, capacity;
};

static void add(struct texts *texts, char *text)
{
    texts->items = lh_grow(texts->items, &texts->capacity, texts->count + 2, sizeof(char *));
    texts->items[texts->count++] = text;
    texts->items[texts->count] = NULL;
}

/* Whether its port was chosen by the system, and is known. */
static bool is_chosen(const struct lh_settings *settings, const struct lh_supervised *service)
{
    char host[256];
    uint16_t port = 0;
    if (service->address[0] == '\0')
        return false;
    const char *listen = lh_settings_listen(settings, lh_str_from(service->name));
    return lh_parse_address(lh_str_from(listen), host, sizeof(host), &port) && port == 0;
}

/* "LAKEHOUSE_STORAGED__LISTEN=", owned by the caller. */
static char *listen_variable(const char *service)
{
    char *text = lh_asprintf("LAKEHOUSE_%s__LISTEN=", service);
    for (char *c = text; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return text;
}

static bool is_chosen_listen_flag(const struct lh_settings *settings,
                                  const struct lh_supervised *services,
                                  const struct lh_config_flag *flag)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (lh_str_is(flag->key, "listen") && lh_str_is(flag->section, services[i].name))
            return is_chosen(settings, &services[i]);
    }
    return false;
}

static char **make_args(const struct lh_settings *settings, const struct lh_command_line *line,
                        const struct lh_supervised *services)
{
    struct texts args = {0};
    if (line->config_file != NULL) {
        add(&args, lh_strdup("-config"));
        add(&args, lh_strdup(line->config_file));
    }
    if (line->insecure)
        add(&args, lh_strdup("-insecure"));
    for (size_t i = 0; i < line->flag_count; i++) {
        const struct lh_config_flag *flag = &line->flags[i];
        if (is_chosen_listen_flag(settings, services, flag))
            continue;
        add(&args,
            lh_asprintf("-%.*s%s%.*s=%.*s", LH_FMT(flag->section), flag->section.len > 0 ? "." : "",
                        LH_FMT(flag->key), LH_FMT(flag->value)));
    }
    if (args.items == NULL)
        args.items = lh_calloc(1, sizeof(char *));
    return args.items;
}

static bool starts_with_any(const char *text, const struct texts *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++) {
        if (strncmp(text, prefixes->items[i], strlen(prefixes->items[i])) == 0)
            return true;
    }
    return false;
}

static char **make_environment(const struct lh_settings *settings,
                               const struct lh_supervised *services, const char *internal)
{
    struct texts replaced = {0}, environment = {0};
    add(&replaced, lh_strdup("LAKEHOUSE_NOTIFY_FD="));
    add(&environment, lh_strdup("LAKEHOUSE_NOTIFY_FD=3"));
    /* That is ours: a service must not report to systemd in our place. */
    add(&replaced, lh_strdup("NOTIFY_SOCKET="));
    if (settings->keys.internal[0] == '\0') {
        add(&replaced, lh_strdup("LAKEHOUSE_KEYS__INTERNAL="));
        add(&environment, lh_asprintf("LAKEHOUSE_KEYS__INTERNAL=%s", internal));
    }
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (!is_chosen(settings, &services[i]))
            continue;
        char *variable = listen_variable(services[i].name);
        add(&environment, lh_asprintf("%s%s", variable, services[i].address));
        add(&replaced, variable);
    }
    for (char **variable = environ; *variable != NULL; variable++) {
        if (!starts_with_any(*variable, &replaced))
            add(&environment, lh_strdup(*variable));
    }
    for (size_t i = 0; i < replaced.count; i++)
        free(replaced.items[i]);
    free(replaced.items);
    return environment.items;
}

void lh_plan_make(const struct lh_settings *settings, const struct lh_command_line *line,
                  const struct lh_supervised services[LH_SUPERVISED_COUNT], const char *internal,
                  struct lh_plan *ret_plan)
{
    ret_plan->args = make_args(settings, line, services);
    ret_plan->environment = make_environment(settings, services, internal);
}

static void free_texts(char **texts)
{
    for (char **text = texts; text != NULL && *text != NULL; text++)
        free(*text);
    free(texts);
}

void lh_plan_free(struct lh_plan *plan)
{
    free_texts(plan->args);
    free_texts(plan->environment);
    *plan = (struct lh_plan){0};
}
