/* The choice of an instruction set by processor. */
#include "vectord/distance.h"

#include "base/check.h"
#include "base/mem.h"

#if defined(__x86_64__)
extern const struct lh_isa lh_isa_avx2;   /* isa_avx2.c */
extern const struct lh_isa lh_isa_avx512; /* isa_avx512.c */

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
extern const struct lh_isa lh_isa_neon; /* isa_neon.c; every such processor has it */

static bool has_neon(void)
{
    return true;
}
#endif

static bool has_scalar(void)
{
    return true;
}

static const struct {
    const struct lh_isa *isa;
    bool (*supported)(void);
} all[] = {
    {&lh_isa_scalar, has_scalar},
#if defined(__x86_64__)
    {&lh_isa_avx2, has_avx2},
    {&lh_isa_avx512, has_avx512},
#elif defined(__aarch64__)
    {&lh_isa_neon, has_neon},
#endif
};

static const struct lh_isa *used;

const struct lh_isa *lh_isa_at(size_t index)
{
    for (size_t i = 0; i < LH_COUNT(all); i++) {
        if (all[i].supported() && index-- == 0)
            return all[i].isa;
    }
    return NULL;
}

static const struct lh_isa *fastest(void)
{
    const struct lh_isa *isa = &lh_isa_scalar;
    for (size_t i = 0; lh_isa_at(i) != NULL; i++)
        isa = lh_isa_at(i);
    return isa;
}

const struct lh_isa *lh_isa_find(lh_str name)
{
    if (lh_str_is(name, "auto"))
        return fastest();
    for (size_t i = 0; lh_isa_at(i) != NULL; i++) {
        if (lh_str_is(name, lh_isa_at(i)->name))
            return lh_isa_at(i);
    }
    return NULL;
}

const struct lh_isa *lh_isa_used(void)
{
    return used != NULL ? used : fastest();
}

void lh_isa_use(const struct lh_isa *isa)
{
    used = isa;
}

static size_t padded(size_t count, size_t block)
{
    return (count + block - 1) / block * block;
}

size_t lh_row_floats(size_t dim_count)
{
    return padded(dim_count, LH_ROW_FLOATS);
}

size_t lh_row_code_bytes(size_t dim_count)
{
    return padded(dim_count, LH_ROW_ALIGN);
}
