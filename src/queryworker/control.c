/*
 * Queue and cancel flag under one lock. The number of the query is set where START is read, so a
 * CANCEL behind it in the stream never meets an older number; one for a query that is over is void.
 */
#include "queryworker/control.h"

#include "base/mem.h"
#include "base/thread.h"
#include "duck/duck.h"
#include "queryd/protocol.h"
#include "service/worker.h"

#include <string.h>
#include <unistd.h>

struct message {
    uint32_t type;
    struct lh_buf payload;
    struct message *next;
};

struct lh_control {
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct message *first, **last;
    uint64_t number; /* of the query started last */
    bool cancelled;
    struct lh_duck_conn *running;
};

/* The first eight bytes of START and CANCEL; they are taken off. */
static uint64_t take_number(struct lh_buf *payload)
{
    uint64_t number = 0;
    if (payload->len < sizeof(number))
        return 0;
    memcpy(&number, payload->data, sizeof(number));
    lh_buf_consume(payload, sizeof(number));
    return number;
}

static void cancel(struct lh_control *control, uint64_t number)
{
    if (number != control->number)
        return;
    control->cancelled = true;
    if (control->running != NULL)
        lh_duck_interrupt(control->running);
}

static void enqueue(struct lh_control *control, uint32_t type, struct lh_buf *payload)
{
    struct message *message = lh_calloc(1, sizeof(*message));
    message->type = type;
    message->payload = *payload;
    *payload = LH_BUF_INIT(LH_FRAME_MAX);
    *control->last = message;
    control->last = &message->next;
    pthread_cond_signal(&control->arrived);
}

static void *run_reader(void *arg)
{
    struct lh_control *control = arg;
    struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    for (;;) {
        struct lh_error err = LH_ERROR_INIT;
        uint32_t type = 0;
        if (lh_frame_receive(control->fd, LH_NO_DEADLINE, &type, &payload, &err) != LH_OK)
            _exit(0);
        lh_mutex_lock(&control->lock);
        if (type == LH_QUERY_CANCEL) {
            cancel(control, take_number(&payload));
        } else {
            if (type == LH_QUERY_START) {
                control->number = take_number(&payload);
                control->cancelled = false;
            }
            enqueue(control, type, &payload);
        }
        lh_mutex_unlock(&control->lock);
    }
    return NULL;
}

lh_code lh_control_start(int fd, struct lh_control **ret_control, struct lh_error *err)
{
    struct lh_control *control = lh_calloc(1, sizeof(*control));
    control->fd = fd;
    control->last = &control->first;
    lh_mutex_init(&control->lock);
    lh_cond_init(&control->arrived);
    pthread_t thread;
    lh_code code = lh_thread_start(&thread, "frames", run_reader, control, err);
    if (code != LH_OK) {
        free(control);
        return code;
    }
    pthread_detach(thread); /* it lives as long as the process */
    *ret_control = control;
    return LH_OK;
}

uint32_t lh_control_next(struct lh_control *control, struct lh_buf *payload)
{
    lh_mutex_lock(&control->lock);
    while (control->first == NULL)
        lh_cond_wait_until(&control->arrived, &control->lock, LH_NO_DEADLINE);
    struct message *message = control->first;
    control->first = message->next;
    if (control->first == NULL)
        control->last = &control->first;
    lh_mutex_unlock(&control->lock);

    uint32_t type = message->type;
    lh_buf_deinit(payload);
    *payload = message->payload;
    free(message);
    return type;
}

void lh_control_running(struct lh_control *control, struct lh_duck_conn *conn)
{
    lh_mutex_lock(&control->lock);
    control->running = conn;
    lh_mutex_unlock(&control->lock);
}

lh_code lh_control_check(struct lh_control *control, struct lh_error *err)
{
    lh_mutex_lock(&control->lock);
    bool cancelled = control->cancelled;
    lh_mutex_unlock(&control->lock);
    return cancelled ? lh_fail(err, LH_CANCELLED, "the query was cancelled") : LH_OK;
}
