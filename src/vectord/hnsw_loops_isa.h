/* Included once by the file of each instruction set, behind its kernels: the loops for every
 * measure, and the table of them. */
#include "vectord/hnsw_private.h"

#define LH_LOOP_NEGATIVE false
#define LH_LOOP(name)    l2_##name
#include "vectord/hnsw_loops.h"
#undef LH_LOOP
#undef LH_LOOP_NEGATIVE
#define LH_LOOP_NEGATIVE true
#define LH_LOOP(name)    ip_##name
#include "vectord/hnsw_loops.h"
#undef LH_LOOP
#undef LH_LOOP_NEGATIVE
#define LH_LOOP_NEGATIVE false
#define LH_LOOP(name)    code8_##name
#include "vectord/hnsw_loops.h"
#undef LH_LOOP
#define LH_LOOP(name) code7_##name
#include "vectord/hnsw_loops.h"
#undef LH_LOOP

extern const struct lh_isa LH_ISA_TABLE;
const struct lh_isa LH_ISA_TABLE = {
    .name = LH_ISA_NAME,
    .kernels = {[LH_MEASURE_L2] = {l2_one, l2_four},
                [LH_MEASURE_IP] = {ip_one, ip_four},
                [LH_MEASURE_CODE8] = {code8_one, code8_four},
                [LH_MEASURE_CODE7] = {code7_one, code7_four}},
    .loops = {[LH_MEASURE_L2] = &l2_loops,
              [LH_MEASURE_IP] = &ip_loops,
              [LH_MEASURE_CODE8] = &code8_loops,
              [LH_MEASURE_CODE7] = &code7_loops},
};
