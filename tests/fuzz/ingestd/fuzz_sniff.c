/*
 * Any start of any file: the look ends, decides on everything or says why not; and the CSV scanner
 * finds the same records whether the text comes whole or in pieces.
 */
#include "ingestd/csv.h"
#include "ingestd/sniff.h"

#include "base/check.h"

enum { FIELDS_MAX = 16 };

static uint64_t count_records(const struct lh_csv_dialect *dialect, const char *text, size_t size,
                              size_t piece, uint64_t *ret_line)
{
    struct lh_csv_field fields[FIELDS_MAX];
    struct lh_csv csv;
    struct lh_csv_record record;
    uint64_t count = 0;
    size_t shown = piece < size ? piece : size;
    lh_csv_init(&csv, dialect, fields, FIELDS_MAX);
    lh_csv_refill(&csv, lh_str_of(text, shown), shown == size);
    for (;;) {
        enum lh_csv_result result = lh_csv_next(&csv, &record);
        if (result == LH_CSV_RECORD) {
            LH_CHECK(record.count > 0 && record.bytes > 0);
            count++;
        } else if (result == LH_CSV_MORE) {
            size_t done = (size_t)(csv.at - text);
            shown = size - shown < piece ? size : shown + piece;
            lh_csv_refill(&csv, lh_str_of(text + done, shown - done), shown == size);
        } else {
            *ret_line = csv.line;
            return count;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_ingest_options options;
    const struct lh_sniff sniff = {
        .start = lh_str_of((const char *)data, size), .whole = size % 2 == 0, .columns_max = 8};
    lh_ingest_options_init(&options);
    lh_code code = lh_sniff(&sniff, &options, &err);
    LH_CHECK(code == LH_OK || code == LH_MEDIA_TYPE || code == LH_BAD_DATA);
    LH_CHECK(code != LH_OK ||
             (options.format != LH_INGEST_AUTO && options.encoding != LH_ENCODING_AUTO));
    const struct lh_csv_dialect dialect = {options.delimiter, options.quote, options.escape};
    lh_ingest_options_deinit(&options);

    uint64_t line = 0;
    uint64_t line_in_pieces = 0;
    uint64_t count = count_records(&dialect, (const char *)data, size, size + 1, &line);
    LH_CHECK(count == count_records(&dialect, (const char *)data, size, 3, &line_in_pieces));
    LH_CHECK(line == line_in_pieces);
    return 0;
}
