/*
 * The graph's inner loops with AVX-512 with VNNI. The only file that is compiled for them
 * (flags.cmake), so it defines nothing but static functions and one table: an inline function of a
 * shared header could otherwise end up in the program in this form for all callers.
 */
#if defined(__x86_64__)

#include "vectord/kernels_avx512.h"

#define LH_ISA_NAME  "avx512"
#define LH_ISA_TABLE lh_isa_avx512
#include "vectord/hnsw_loops_isa.h"

#else
typedef int lh_hnsw_loops_avx512_is_empty; /* ISO C wants a declaration in every file */
#endif
