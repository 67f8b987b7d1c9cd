/*
 * The views of a worker: one for each name in use, over the files of one snapshot of a dataset.
 * Kept from query to query, since most queries ask for what the last one had.
 */
#ifndef LH_QUERYWORKER_VIEWS_H
#define LH_QUERYWORKER_VIEWS_H

#include "base/json.h"
#include "duck/duck.h"

struct lh_views;

/* `conn` is borrowed and used for trusted statements only. */
struct lh_views *lh_views_new(struct lh_duck_conn *conn);

/* Sees to it that schema.name shows exactly this snapshot. `dataset` is the payload of DATASET. */
lh_code lh_views_show(struct lh_views *views, lh_str schema, lh_str name, const json_t *dataset,
                      struct lh_error *err);

#endif
