/* The graph's inner loops: the reference, on every machine. */
#include "vectord/kernels_scalar.h"

#define LH_ISA_NAME  "scalar"
#define LH_ISA_TABLE lh_isa_scalar
#include "vectord/hnsw_loops_isa.h"
