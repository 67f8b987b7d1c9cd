/* Codes: encoding and calibration. */
#include "vectord/codes.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- life ---- */

lh_code lh_codes_new(const struct lh_code_scale *scale, size_t dim_count, uint32_t slots_max,
                     struct lh_codes **ret_codes, struct lh_error *err)
{
    struct lh_codes *codes = lh_calloc(1, sizeof(*codes));
    atomic_init(&codes->references, 1);
    codes->scale = *scale;
    codes->dim_count = dim_count;
    codes->row_bytes = lh_row_code_bytes(dim_count);
    lh_code code = lh_rows_init(&codes->rows, (size_t)slots_max * codes->row_bytes, err);
    if (code != LH_OK) {
        free(codes);
        return code;
    }
    *ret_codes = codes;
    return LH_OK;
}

struct lh_codes *lh_codes_ref(struct lh_codes *codes)
{
    if (codes != NULL)
        atomic_fetch_add(&codes->references, 1);
    return codes;
}

void lh_codes_unref(struct lh_codes *codes)
{
    if (codes == NULL || atomic_fetch_sub(&codes->references, 1) > 1)
        return;
    lh_rows_deinit(&codes->rows);
    free(codes);
}

lh_code lh_codes_fit(struct lh_codes *codes, size_t count, struct lh_error *err)
{
    return lh_rows_fit(&codes->rows, count * codes->row_bytes, err);
}

size_t lh_codes_encode(const struct lh_codes *codes, const float *vector, void *ret_row)
{
    const float low = codes->scale.low, per_step = 1 / codes->scale.step;
    const float top = (float)codes->scale.level_max;
    unsigned char *row = ret_row;
    int32_t clipped = 0; /* counted in 32 bits so that the loop becomes vectors */
    for (size_t i = 0; i < codes->dim_count; i++) {
        float level = (vector[i] - low) * per_step;
        clipped += level < -0.5F || level > top + 0.5F;
        level = level < 0 ? 0 : level;
        level = level > top ? top : level;
        row[i] = (unsigned char)(int32_t)(level + 0.5F);
    }
    memset(row + codes->dim_count, 0, codes->row_bytes - codes->dim_count);
    return (size_t)clipped;
}

/* ---- calibration ---- */

enum {
    QUERIES = 128,    /* held out */
    NEAREST = 10,     /* the true ones */
    AMONG = 20,       /* searched for among so many by codes */
    BASE_MAX = 10000, /* rows of the sample */
    VALUES_MAX = 1 << 18,
};

struct near {
    float order;
    uint32_t row;
};

struct calibration {
    const float **base; /* rows of the sample */
    size_t base_count;
    const float *queries[QUERIES];
    size_t dim_count;
    struct near truth[QUERIES][NEAREST];
    float *values; /* of components, sorted */
    size_t value_count;
};

/* The `max` nearest, sorted: of most rows it takes one comparison to pass them over. */
static void offer(struct near *nearest, size_t *count, size_t max, struct near candidate)
{
    if (*count == max && candidate.order >= nearest[max - 1].order)
        return;
    size_t at = *count < max ? (*count)++ : max - 1;
    for (; at > 0 && nearest[at - 1].order > candidate.order; at--)
        nearest[at] = nearest[at - 1];
    nearest[at] = candidate;
}

static void find_truth(struct calibration *c)
{
    const struct lh_kernels *kernels = &lh_isa_used()->kernels[LH_MEASURE_L2];
    size_t bytes = lh_row_floats(c->dim_count) * sizeof(float);
    for (size_t q = 0; q < QUERIES; q++) {
        size_t count = 0;
        for (size_t i = 0; i < c->base_count; i++) {
            float order = kernels->one(c->queries[q], c->base[i], bytes);
            offer(c->truth[q], &count, NEAREST, (struct near){order, (uint32_t)i});
        }
    }
}

static int compare_floats(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

/* Components spread over the sample, sorted, for its quantiles. The smallest and largest of all
 * rows are among them. */
static void collect_values(struct calibration *c)
{
    size_t all = c->base_count * c->dim_count;
    size_t stride = all / VALUES_MAX + 1;
    c->values = lh_calloc(all / stride + 3, sizeof(float));
    float smallest = c->base[0][0], largest = smallest;
    for (size_t i = 0; i < c->base_count; i++) {
        for (size_t j = 0; j < c->dim_count; j++) {
            float value = c->base[i][j];
            smallest = value < smallest ? value : smallest;
            largest = value > largest ? value : largest;
            if ((i * c->dim_count + j) % stride == 0)
                c->values[c->value_count++] = value;
        }
    }
    c->values[c->value_count++] = smallest;
    c->values[c->value_count++] = largest;
    qsort(c->values, c->value_count, sizeof(float), compare_floats);
}

static struct lh_code_scale scale_of(const struct calibration *c, double clipped,
                                     uint32_t level_max)
{
    size_t beyond = (size_t)((double)c->value_count * clipped);
    float low = c->values[beyond], high = c->values[c->value_count - 1 - beyond];
    float step = (high - low) / (float)level_max;
    return (struct lh_code_scale){
        .low = low, .step = step > 0 ? step : 1, .level_max = level_max, .clipped = clipped};
}

/* How many of the true nearest are among those by codes; what is as near as the last true one
 * counts as one of them. */
static size_t count_found(const struct calibration *c, size_t q, const struct near *among,
                          size_t count)
{
    const struct lh_kernels *kernels = &lh_isa_used()->kernels[LH_MEASURE_L2];
    size_t bytes = lh_row_floats(c->dim_count) * sizeof(float);
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += kernels->one(c->queries[q], c->base[among[i].row], bytes) <=
                 c->truth[q][NEAREST - 1].order;
    return found < NEAREST ? found : NEAREST;
}

static double score_of(const struct calibration *c, const struct lh_code_scale *scale)
{
    const struct lh_codes codes = {
        .scale = *scale, .dim_count = c->dim_count, .row_bytes = lh_row_code_bytes(c->dim_count)};
    const struct lh_kernels *kernels =
        &lh_isa_used()->kernels[scale->level_max <= 127 ? LH_MEASURE_CODE7 : LH_MEASURE_CODE8];
    size_t bytes = codes.row_bytes;
    unsigned char *rows = NULL;
    LH_CHECK(posix_memalign((void **)&rows, LH_ROW_ALIGN, (c->base_count + 1) * bytes) == 0);
    for (size_t i = 0; i < c->base_count; i++)
        lh_codes_encode(&codes, c->base[i], rows + i * bytes);
    unsigned char *query = rows + c->base_count * bytes;
    size_t found = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        struct near among[AMONG];
        size_t count = 0;
        lh_codes_encode(&codes, c->queries[q], query);
        for (size_t i = 0; i < c->base_count; i++) {
            float order = kernels->one(query, rows + i * bytes, bytes);
            offer(among, &count, AMONG, (struct near){order, (uint32_t)i});
        }
        found += count_found(c, q, among, count);
    }
    free(rows);
    return (double)found / (QUERIES * NEAREST);
}

/* The fewest levels whose best clipping is good enough win: they are the fastest. */
static bool choose(const struct calibration *c, bool must, struct lh_code_scale *ret_scale)
{
    static const double clippings[] = {0, 1e-5, 1e-4, 2e-4};
    static const struct {
        uint32_t level_max;
        double score_min; /* a sample is easier than the whole: the coarse one must do better */
    } tries[] = {{127, 0.999}, {255, LH_CODE_SCORE_MIN}};
    struct lh_code_scale best = {0};
    for (size_t t = 0; t < LH_COUNT(tries); t++) {
        for (size_t p = 0; p < LH_COUNT(clippings); p++) {
            struct lh_code_scale scale = scale_of(c, clippings[p], tries[t].level_max);
            scale.score = score_of(c, &scale);
            if (scale.score > best.score)
                best = scale;
        }
        *ret_scale = best;
        if (best.score >= tries[t].score_min)
            return true;
    }
    return must;
}

bool lh_codes_calibrate(const float *const *rows, size_t count, size_t dim_count, bool must,
                        struct lh_code_scale *ret_scale)
{
    LH_CHECK(count >= LH_CALIBRATE_ROWS_MIN);
    if (dim_count > LH_CODE_DIMENSION_MAX)
        return false;
    struct calibration *c = lh_calloc(1, sizeof(*c));
    c->dim_count = dim_count;
    c->base = lh_calloc(count, sizeof(*c->base));
    size_t taken = count < BASE_MAX + QUERIES ? count : BASE_MAX + QUERIES;
    /* Rows spread over all; of those again every n-th is a query. */
    size_t held = 0;
    for (size_t i = 0; i < taken; i++) {
        const float *row = rows[i * count / taken];
        if (held < QUERIES && held * taken <= i * QUERIES)
            c->queries[held++] = row;
        else
            c->base[c->base_count++] = row;
    }
    LH_CHECK(held == QUERIES);
    find_truth(c);
    collect_values(c);
    bool good = choose(c, must, ret_scale);
    free(c->values);
    free(c->base);
    free(c);
    return good;
}
