/*
 * The body of POST /ingest: a file, or a form with a file in it.
 */
#include "base/mem.h"
#include "ingestd/api.h"
#include "net/multipart.h"

enum { READ_STEP = 256 << 10, FIELD_NAME_MAX = 1024 };

/* ---- forms ---- */

struct form {
    struct lh_job *job;
    struct lh_ingest_options *options;
    bool has_file;
    bool in_file;
    struct lh_buf name; /* of the field under way */
    struct lh_buf value;
};

static lh_code on_part(void *ctx, const struct lh_multipart_part *part, struct lh_error *err)
{
    struct form *form = ctx;
    form->in_file = lh_str_is(part->name, "file") || part->filename.len > 0;
    if (form->in_file) {
        if (form->has_file)
            return lh_fail(err, LH_INVALID, "the form has more than one file");
        form->has_file = true;
        lh_job_describe(form->job, part->content_type, part->filename);
        return LH_OK;
    }
    lh_buf_reset(&form->name);
    lh_buf_reset(&form->value);
    lh_buf_append_str(&form->name, part->name);
    return LH_OK;
}

static lh_code on_data(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct form *form = ctx;
    if (form->in_file)
        return lh_job_receive(form->job, bytes, len, err);
    lh_buf_append(&form->value, bytes, len);
    return LH_OK;
}

static lh_code on_end(void *ctx, struct lh_error *err)
{
    struct form *form = ctx;
    if (form->in_file)
        return LH_OK;
    if (lh_buf_overflowed(&form->name) || lh_buf_overflowed(&form->value))
        return lh_fail(err, LH_INVALID, "the field %.*s of the form is too long",
                       LH_FMT(lh_buf_str(&form->name)));
    lh_str name = lh_buf_str(&form->name);
    /* "name" is what forms call the dataset; every other field is a parameter. */
    return lh_ingest_options_set(form->options, lh_str_is(name, "name") ? LH_STR("dataset") : name,
                                 lh_buf_str(&form->value), err);
}

/* ---- bodies ---- */

/* Passes the body on, piece by piece, in constant memory. */
static lh_code read_body(struct lh_http_exchange *x,
                         lh_code (*take)(void *ctx, const void *bytes, size_t len,
                                         struct lh_error *err),
                         void *ctx, struct lh_error *err)
{
    LH_AUTO_FREE char *piece = lh_malloc(READ_STEP);
    for (;;) {
        size_t len = 0;
        LH_TRY(lh_http_body_read(x, piece, READ_STEP, &len, err));
        if (len == 0)
            return LH_OK;
        LH_TRY(take(ctx, piece, len, err));
    }
}

static lh_code take_file(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    return lh_job_receive(ctx, bytes, len, err);
}

static lh_code take_form(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    return lh_multipart_feed(ctx, bytes, len, err);
}

static lh_code upload_form(struct lh_http_exchange *x, struct form *form,
                           struct lh_multipart *parser, struct lh_error *err)
{
    const struct lh_multipart_sink sink = {
        .ctx = form, .on_part = on_part, .on_data = on_data, .on_end = on_end};
    LH_TRY(lh_multipart_init(parser, lh_http_header(x, "Content-Type"), &sink, err));
    LH_TRY(read_body(x, take_form, parser, err));
    LH_TRY(lh_multipart_finish(parser, err));
    if (form->has_file)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID, "the form has no file"), "a hint follows");
    return lh_hint(err, "send it as the field 'file'");
}

lh_code lh_ingestd_upload(struct lh_http_exchange *x, struct lh_job *job,
                          struct lh_ingest_options *options, struct lh_error *err)
{
    lh_str content_type = lh_http_header(x, "Content-Type");
    if (!lh_multipart_is(content_type)) {
        lh_job_describe(job, content_type, LH_STR(""));
        return read_body(x, take_file, job, err);
    }
    struct lh_multipart parser = {0};
    struct form form = {.job = job,
                        .options = options,
                        .name = LH_BUF_INIT(FIELD_NAME_MAX),
                        .value = LH_BUF_INIT(LH_INGEST_VALUE_MAX + 1)};
    lh_code code = upload_form(x, &form, &parser, err);
    lh_multipart_deinit(&parser);
    lh_buf_deinit(&form.name);
    lh_buf_deinit(&form.value);
    return code;
}
