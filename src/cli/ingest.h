/*
 * A file sent to the lakehouse.
 */
#ifndef LH_CLI_INGEST_H
#define LH_CLI_INGEST_H

#include "base/json.h"
#include "cli/cli.h"

struct lh_ingest_request {
    const char *path;    /* "-" = stdin */
    const char *dataset; /* NULL = from the file's name */
    const char *mode;    /* NULL = create */
    const char *format;  /* NULL = the server looks */
    const char *label;   /* of the progress line; NULL = the path */
    bool progress_at_once;
};

/* Sends the file, with a progress line on stderr. *ret_answer (what the server says of the result)
 * is owned by the caller. */
lh_code lh_ingest_file(struct lh_cli *cli, const struct lh_ingest_request *request,
                       json_t **ret_answer, struct lh_error *err);

/* The answer for people: one line, then the warnings. `seconds`: as the user saw it. */
void lh_ingest_print(const struct lh_cli *cli, const json_t *answer, double seconds);

/* A dataset's name from a file's: "in/2024 sales.csv.gz" gives "_2024_sales". To be freed. */
char *lh_dataset_name_of(const char *path);

#endif
