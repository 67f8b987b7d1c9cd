/*
 * The graph's inner loops with AVX2 and FMA. The only file that is compiled for them (flags.cmake),
 * so it defines nothing but static functions and one table: an inline function of a shared header
 * could otherwise end up in the program in this form for all callers.
 */
#if defined(__x86_64__)

#include "vectord/kernels_avx2.h"

#define LH_ISA_NAME  "avx2"
#define LH_ISA_TABLE lh_isa_avx2
#include "vectord/hnsw_loops_isa.h"

#else
typedef int lh_hnsw_loops_avx2_is_empty; /* ISO C wants a declaration in every file */
#endif
