/* Filters over columns: the columns of an index, the filters used last, and the evaluation. */
#include "vectord/fields.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/thread.h"
#include "vectord/column.h"

enum {
    COLUMNS_MAX = 64,
    SELECTIONS_MAX = 32,
    BLOCK_WORDS = 64, /* evaluated at a time: it stays in the nearest cache */
};

/* The slots that fulfil one filter. */
struct selection {
    char *key; /* NULL = this place is free */
    size_t key_len;
    uint64_t used_at;
    uint64_t *words;
    size_t word_max;
    uint32_t slots; /* that have been evaluated */
};

struct lh_fields {
    pthread_mutex_t mutex;
    struct lh_counted counted;
    atomic_uint_fast64_t bytes; /* counted.bytes, for those without the mutex */
    uint64_t now;               /* counts uses */
    struct lh_column columns[COLUMNS_MAX];
    size_t column_count;
    struct selection selections[SELECTIONS_MAX];
};

void lh_slot_set_deinit(struct lh_slot_set *set)
{
    free(set->words);
    memset(set, 0, sizeof(*set));
}

/* ---- life ---- */

static void drop_selection(struct lh_fields *fields, struct selection *selection)
{
    lh_counted_free(&fields->counted, selection->words, selection->word_max,
                    sizeof(*selection->words));
    free(selection->key);
    memset(selection, 0, sizeof(*selection));
}

static void fields_free(void *attachment)
{
    struct lh_fields *fields = attachment;
    for (size_t i = 0; i < SELECTIONS_MAX; i++)
        drop_selection(fields, &fields->selections[i]);
    for (size_t i = 0; i < fields->column_count; i++)
        lh_column_deinit(&fields->columns[i], &fields->counted);
    LH_CHECK(fields->counted.bytes == 0);
    pthread_mutex_destroy(&fields->mutex);
    free(fields);
}

/* The fields of an index, made when they are first asked for. */
static struct lh_fields *fields_of(struct lh_vindex *index)
{
    void *found = atomic_load(&index->attachment);
    if (found != NULL)
        return found;
    struct lh_fields *fields = lh_calloc(1, sizeof(*fields));
    lh_mutex_init(&fields->mutex);
    fields->counted.budget = index->budget;
    atomic_store(&index->attachment_free, fields_free);
    if (atomic_compare_exchange_strong(&index->attachment, &found, fields))
        return fields;
    fields_free(fields); /* somebody was faster */
    return found;
}

uint64_t lh_fields_bytes(struct lh_vindex *index)
{
    struct lh_fields *fields = atomic_load(&index->attachment);
    return fields == NULL ? 0 : atomic_load(&fields->bytes);
}

/* ---- one evaluation ---- */

struct term {
    struct lh_column *column;
    unsigned char *verdicts; /* for each content of the column; NULL = asked slot by slot */
};

struct evaluation {
    struct lh_fields *fields;
    const struct lh_vindex *index;
    uint32_t slots;
    uint64_t started; /* `now` of it: what was used since is part of it */
    struct term terms[LH_FILTER_TERMS_MAX];
};

/* The column of a field; the one least recently used goes when there are too many. Those of this
 * evaluation stay, so at most COLUMNS_MAX fields may be in one filter. */
static lh_code find_column(struct evaluation *evaluation, lh_str field, struct lh_column **ret,
                           struct lh_error *err)
{
    struct lh_fields *fields = evaluation->fields;
    struct lh_column *oldest = NULL;
    for (size_t i = 0; i < fields->column_count; i++) {
        struct lh_column *column = &fields->columns[i];
        if (lh_str_is(field, column->field)) {
            column->used_at = ++fields->now;
            *ret = column;
            return LH_OK;
        }
        if (oldest == NULL || column->used_at < oldest->used_at)
            oldest = column;
    }
    struct lh_column *column = &fields->columns[fields->column_count];
    if (fields->column_count < COLUMNS_MAX) {
        fields->column_count++;
    } else {
        LH_CHECK(oldest != NULL);
        if (oldest->used_at > evaluation->started)
            return lh_fail(err, LH_INVALID, "a filter may ask for at most %d different fields",
                           COLUMNS_MAX);
        column = oldest;
        lh_column_deinit(column, &fields->counted);
    }
    lh_column_init(column, field);
    column->used_at = ++fields->now;
    *ret = column;
    return LH_OK;
}

/* Forgets all that is not of this evaluation, so that it has the memory. Columns do not move: those
 * of this evaluation are pointed to. */
static void make_room(struct evaluation *evaluation)
{
    struct lh_fields *fields = evaluation->fields;
    for (size_t i = 0; i < SELECTIONS_MAX; i++) {
        if (fields->selections[i].used_at <= evaluation->started)
            drop_selection(fields, &fields->selections[i]);
    }
    for (size_t i = 0; i < fields->column_count; i++) {
        struct lh_column *column = &fields->columns[i];
        if (column->used_at > evaluation->started)
            continue;
        lh_str field = lh_str_from(column->field);
        struct lh_column empty;
        lh_column_init(&empty, field);
        lh_column_deinit(column, &fields->counted);
        *column = empty;
    }
}

static lh_code catch_up(struct evaluation *evaluation, struct lh_column *column,
                        struct lh_error *err)
{
    struct lh_counted *counted = &evaluation->fields->counted;
    struct lh_error first = LH_ERROR_INIT;
    if (lh_column_catch_up(column, evaluation->index, evaluation->slots, counted, &first) == LH_OK)
        return LH_OK;
    make_room(evaluation);
    if (lh_column_catch_up(column, evaluation->index, evaluation->slots, counted, err) == LH_OK)
        return LH_OK;
    return lh_fail_context(err, "the index of the field '%s'", column->field);
}

/* Decides the condition for every content, where that is less work than for every slot. */
static void decide(struct term *term, const struct lh_filter *condition, uint32_t slot_count)
{
    size_t count = term->column->content_count;
    if (count > slot_count)
        return;
    term->verdicts = lh_malloc(count);
    for (uint32_t code = 0; code < count; code++)
        term->verdicts[code] = lh_column_takes(term->column, condition, code);
}

static lh_code prepare(struct evaluation *evaluation, const struct lh_filter *filter, uint32_t from,
                       struct lh_error *err)
{
    for (size_t i = 0; i < filter->part_count; i++)
        LH_TRY(prepare(evaluation, filter->parts[i], from, err));
    if (filter->field.len == 0)
        return LH_OK;
    struct term *term = &evaluation->terms[filter->number];
    LH_TRY(find_column(evaluation, filter->field, &term->column, err));
    LH_TRY(catch_up(evaluation, term->column, err));
    decide(term, filter, evaluation->slots - from);
    return LH_OK;
}

/* 64 slots or what is left of them. */
static uint64_t condition_word(const struct term *term, const struct lh_filter *condition,
                               uint32_t slot, uint32_t count)
{
    const uint32_t *codes = term->column->codes + slot;
    uint64_t word = 0;
    if (term->verdicts != NULL) {
        for (uint32_t i = 0; i < count; i++)
            word |= (uint64_t)term->verdicts[codes[i]] << i;
    } else {
        for (uint32_t i = 0; i < count; i++)
            word |= (uint64_t)lh_column_takes(term->column, condition, codes[i]) << i;
    }
    return word;
}

static uint32_t slots_of_word(const struct evaluation *evaluation, uint32_t slot)
{
    return evaluation->slots - slot < 64 ? evaluation->slots - slot : 64;
}

/* Words [first, first + count) of the slots that fulfil the filter. */
static void evaluate(const struct evaluation *evaluation, const struct lh_filter *filter,
                     uint32_t first, uint32_t count, uint64_t *out)
{
    uint64_t part[BLOCK_WORDS];
    switch (filter->kind) {
    case LH_FILTER_ALL:
    case LH_FILTER_ANY:
        memset(out, filter->kind == LH_FILTER_ALL ? 0xff : 0, count * sizeof(*out));
        for (size_t i = 0; i < filter->part_count; i++) {
            evaluate(evaluation, filter->parts[i], first, count, part);
            for (uint32_t j = 0; j < count; j++)
                out[j] = filter->kind == LH_FILTER_ALL ? out[j] & part[j] : out[j] | part[j];
        }
        return;
    case LH_FILTER_NOT:
        evaluate(evaluation, filter->parts[0], first, count, out);
        for (uint32_t j = 0; j < count; j++)
            out[j] = ~out[j];
        return;
    case LH_FILTER_ONE_OF:
    case LH_FILTER_RANGE:
    case LH_FILTER_EXISTS:
        break;
    }
    for (uint32_t j = 0; j < count; j++) {
        uint32_t slot = (first + j) * 64;
        out[j] = condition_word(&evaluation->terms[filter->number], filter, slot,
                                slots_of_word(evaluation, slot));
    }
}

/* ---- selections ---- */

static struct selection *find_selection(struct lh_fields *fields, lh_str key)
{
    struct selection *oldest = &fields->selections[0];
    for (size_t i = 0; i < SELECTIONS_MAX; i++) {
        struct selection *selection = &fields->selections[i];
        if (selection->key != NULL && lh_str_eq(lh_str_of(selection->key, selection->key_len), key))
            return selection;
        if (selection->used_at < oldest->used_at)
            oldest = selection;
    }
    drop_selection(fields, oldest);
    oldest->key = lh_strndup(key.ptr, key.len);
    oldest->key_len = key.len;
    return oldest;
}

static uint32_t word_count(uint32_t slots)
{
    return slots / 64 + (slots % 64 > 0);
}

/* Evaluates the slots that the selection has not seen. */
static lh_code extend(struct evaluation *evaluation, struct selection *selection,
                      const struct lh_filter *filter, struct lh_error *err)
{
    struct lh_counted *counted = &evaluation->fields->counted;
    uint32_t first = selection->slots / 64, end = word_count(evaluation->slots);
    LH_TRY(prepare(evaluation, filter, selection->slots, err));
    if (end > selection->word_max) {
        uint64_t *grown = lh_counted_grow(counted, selection->words, &selection->word_max, end,
                                          sizeof(*grown), err);
        if (grown == NULL)
            return err->code;
        selection->words = grown;
    }
    while (first < end) {
        uint32_t count = end - first < BLOCK_WORDS ? end - first : BLOCK_WORDS;
        evaluate(evaluation, filter, first, count, selection->words + first);
        first += count;
    }
    selection->slots = evaluation->slots;
    return LH_OK;
}

/* The first `slots` of a selection that has at least as many. */
static lh_code copy_set(const struct selection *selection, uint32_t slots,
                        struct lh_slot_set *ret_set, struct lh_error *err)
{
    uint32_t count = word_count(slots);
    uint64_t *words = lh_try_malloc((size_t)count + 1, sizeof(*words));
    if (words == NULL)
        return lh_fail(err, LH_INDEX_MEMORY, "no memory for the result of a filter");
    if (count > 0)
        memcpy(words, selection->words, count * sizeof(*words));
    if (slots % 64 > 0)
        words[count - 1] &= (UINT64_C(1) << slots % 64) - 1;
    *ret_set = (struct lh_slot_set){.words = words, .slots = slots};
    return LH_OK;
}

static lh_code select_slots(struct evaluation *evaluation, const struct lh_filter *filter,
                            lh_str key, struct lh_slot_set *ret_set, struct lh_error *err)
{
    struct lh_fields *fields = evaluation->fields;
    evaluation->started = fields->now;
    struct selection *selection = find_selection(fields, key);
    selection->used_at = ++fields->now;
    lh_code code = LH_OK;
    if (selection->slots < evaluation->slots)
        code = extend(evaluation, selection, filter, err);
    for (size_t i = 0; i < LH_FILTER_TERMS_MAX; i++)
        free(evaluation->terms[i].verdicts);
    if (code == LH_OK)
        code = copy_set(selection, evaluation->slots, ret_set, err);
    if (code != LH_OK)
        drop_selection(fields, selection);
    return code;
}

lh_code lh_fields_select(struct lh_vindex *index, uint32_t slots, const struct lh_filter *filter,
                         lh_str key, struct lh_slot_set *ret_set, struct lh_error *err)
{
    struct lh_fields *fields = fields_of(index);
    struct evaluation *evaluation = lh_calloc(1, sizeof(*evaluation));
    evaluation->fields = fields;
    evaluation->index = index;
    evaluation->slots = slots;
    lh_mutex_lock(&fields->mutex);
    lh_code code = select_slots(evaluation, filter, key, ret_set, err);
    atomic_store(&fields->bytes, fields->counted.bytes);
    lh_mutex_unlock(&fields->mutex);
    free(evaluation);
    return code;
}
