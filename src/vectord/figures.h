/* What an index is made of, for statistics. */
#ifndef LH_VECTORD_FIGURES_H
#define LH_VECTORD_FIGURES_H

#include "vectord/codes.h"
#include "vectord/collection.h"

struct lh_index_figures {
    /* Bytes in use; dead items count until they are rebuilt away. */
    uint64_t vector_bytes;
    uint64_t code_bytes;
    uint64_t link_bytes;
    uint64_t id_bytes;
    uint64_t metadata_bytes;
    uint64_t field_bytes; /* indexes of fields, and filters that are remembered */
    uint32_t level_count; /* of the graph */
    bool has_codes;
    struct lh_code_scale scale; /* when it has codes */
};

/* LH_INDEX_CORRUPT, LH_UNAVAILABLE, LH_NOT_FOUND by state. thread-safe. */
lh_code lh_collection_figures(struct lh_collection *collection,
                              struct lh_index_figures *ret_figures, struct lh_error *err);

#endif
