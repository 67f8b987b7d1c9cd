/*
 * The graph's inner loops with NEON. The only file that is compiled for them (flags.cmake), so it
 * defines nothing but static functions and one table: an inline function of a shared header could
 * otherwise end up in the program in this form for all callers.
 */
#if defined(__aarch64__)

#include "vectord/kernels_neon.h"

#define LH_ISA_NAME  "neon"
#define LH_ISA_TABLE lh_isa_neon
#include "vectord/hnsw_loops_isa.h"

#else
typedef int lh_hnsw_loops_neon_is_empty; /* ISO C wants a declaration in every file */
#endif
