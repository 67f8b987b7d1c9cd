/*
 * Life cycle of a bucket's objects (Amazon S3 API Reference, PutBucketLifecycleConfiguration): the
 * rules that the keeper carries out. Whatever a rule says that we would not do is refused, since a
 * rule that is kept and not obeyed is worse than none. What it says of noncurrent versions and of
 * delete markers is kept where there are none, so that it is obeyed: in buckets without versions.
 */
#include "base/hash.h"
#include "storaged/s3.h"

enum { ID_MAX = 255, DAYS_MAX = 1000000, MS_PER_DAY = 86400000 };

static lh_code refuse(struct lh_s3 *s3, const struct lh_xml_node *node, struct lh_error *err)
{
    return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "<%.*s> of a lifecycle rule is not served",
                      LH_FMT(node->name));
}

static lh_code take_days(struct lh_s3 *s3, const struct lh_xml_node *node, uint32_t *ret,
                         struct lh_error *err)
{
    uint64_t days = 0;
    if (!lh_str_to_u64(node->text, &days) || days < 1 || days > DAYS_MAX)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "<%.*s> must be a positive whole number of days", LH_FMT(node->name));
    *ret = (uint32_t)days;
    return LH_OK;
}

static lh_code take_date(struct lh_s3 *s3, const struct lh_xml_node *node, lh_time_ms *ret,
                         struct lh_error *err)
{
    lh_time_ms at = 0;
    if (!lh_parse_rfc3339(node->text, &at))
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "<Date> is no date");
    if (at <= 0 || at % MS_PER_DAY != 0)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "<Date> must be at midnight GMT");
    *ret = at;
    return LH_OK;
}

static lh_code take_expiration(struct lh_s3 *s3, const struct lh_xml_node *node,
                               struct lh_lifecycle_rule *rule, struct lh_error *err)
{
    for (const struct lh_xml_node *child = node->first_child; child; child = child->next) {
        if (lh_str_is(child->name, "Days"))
            LH_TRY(take_days(s3, child, &rule->expire_days, err));
        else if (lh_str_is(child->name, "Date"))
            LH_TRY(take_date(s3, child, &rule->expire_at_ms, err));
        else if (!lh_str_is(child->name, "ExpiredObjectDeleteMarker") ||
                 s3->bucket.versioning != LH_VERSIONING_NONE)
            return refuse(s3, child, err);
    }
    if (node->first_child == NULL || node->first_child->next != NULL)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML,
                          "<Expiration> needs one of <Days>, <Date>, <ExpiredObjectDeleteMarker>");
    return LH_OK;
}

static lh_code take_abort(struct lh_s3 *s3, const struct lh_xml_node *node,
                          struct lh_lifecycle_rule *rule, struct lh_error *err)
{
    const struct lh_xml_node *days = lh_xml_child(node, "DaysAfterInitiation");
    if (days == NULL)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "<DaysAfterInitiation> is missing");
    return take_days(s3, days, &rule->abort_upload_days, err);
}

/* <Filter> holds <Prefix>, or <And> around it, or nothing. */
static lh_code take_filter(struct lh_s3 *s3, const struct lh_xml_node *node,
                           struct lh_lifecycle_rule *rule, struct lh_error *err)
{
    for (const struct lh_xml_node *child = node->first_child; child; child = child->next) {
        if (lh_str_is(child->name, "Prefix"))
            rule->prefix = child->text;
        else if (lh_str_is(child->name, "And") && lh_str_is(node->name, "Filter"))
            LH_TRY(take_filter(s3, child, rule, err));
        else
            return refuse(s3, child, err);
    }
    return LH_OK;
}

static lh_code take_status(struct lh_s3 *s3, lh_str text, bool *ret_enabled, struct lh_error *err)
{
    *ret_enabled = lh_str_is(text, "Enabled");
    if (*ret_enabled || lh_str_is(text, "Disabled"))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "<Status> must be Enabled or Disabled");
}

static lh_code take_element(struct lh_s3 *s3, const struct lh_xml_node *node,
                            struct lh_lifecycle_rule *rule, struct lh_error *err)
{
    if (lh_str_is(node->name, "ID"))
        rule->id = node->text;
    else if (lh_str_is(node->name, "Prefix"))
        rule->prefix = node->text;
    else if (lh_str_is(node->name, "Status"))
        return LH_OK; /* read before */
    else if (lh_str_is(node->name, "NoncurrentVersionExpiration"))
        return s3->bucket.versioning == LH_VERSIONING_NONE ? LH_OK : refuse(s3, node, err);
    else if (lh_str_is(node->name, "Filter"))
        return take_filter(s3, node, rule, err);
    else if (lh_str_is(node->name, "Expiration"))
        return take_expiration(s3, node, rule, err);
    else if (lh_str_is(node->name, "AbortIncompleteMultipartUpload"))
        return take_abort(s3, node, rule, err);
    else
        return refuse(s3, node, err);
    return LH_OK;
}

static lh_code take_rule(struct lh_s3 *s3, const struct lh_xml_node *node,
                         struct lh_lifecycle_rule *rule, struct lh_error *err)
{
    if (!lh_str_is(node->name, "Rule"))
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "<%.*s> is no <Rule>", LH_FMT(node->name));
    *rule = (struct lh_lifecycle_rule){.id = LH_STR(""), .prefix = LH_STR("")};
    LH_TRY(take_status(s3, lh_xml_child_text(node, "Status"), &rule->enabled, err));
    for (const struct lh_xml_node *child = node->first_child; child; child = child->next)
        LH_TRY(take_element(s3, child, rule, err));
    if (rule->id.len > ID_MAX)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "an <ID> has more than %d bytes",
                          ID_MAX);
    if (lh_xml_child(node, "Expiration") == NULL && rule->abort_upload_days == 0 &&
        lh_xml_child(node, "NoncurrentVersionExpiration") == NULL)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "a rule must do something: <Expiration> or "
                          "<AbortIncompleteMultipartUpload>");
    return LH_OK;
}

static bool has_id(const struct lh_lifecycle_rule *rules, size_t count, lh_str id)
{
    for (size_t i = 0; i < count; i++)
        if (id.len > 0 && lh_str_eq(rules[i].id, id))
            return true;
    return false;
}

static lh_code take_rules(struct lh_s3 *s3, const struct lh_xml_node *root,
                          struct lh_lifecycle_rule *rules, size_t *ret_count, struct lh_error *err)
{
    size_t count = 0;
    for (const struct lh_xml_node *node = root->first_child; node; node = node->next) {
        if (count == LH_LIFECYCLE_RULES_MAX)
            return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST, "a bucket has at most %d rules",
                              LH_LIFECYCLE_RULES_MAX);
        LH_TRY(take_rule(s3, node, &rules[count], err));
        if (has_id(rules, count, rules[count].id))
            return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "the rule <ID> %.*s stands twice",
                              LH_FMT(rules[count].id));
        count++;
    }
    if (count == 0)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "there is no <Rule>");
    *ret_count = count;
    return LH_OK;
}

/* The document as it is kept: every rule has an <ID>. */
static void write_rules(struct lh_buf *out, const struct lh_xml_node *root)
{
    struct lh_xml xml = {out};
    lh_xml_begin(&xml, "LifecycleConfiguration");
    for (const struct lh_xml_node *rule = root->first_child; rule; rule = rule->next) {
        lh_xml_open(&xml, "Rule");
        if (lh_xml_child_text(rule, "ID").len == 0) {
            char id[LH_UUID_TEXT];
            lh_uuid4(id);
            lh_xml_cstr(&xml, "ID", id);
        }
        for (const struct lh_xml_node *node = rule->first_child; node; node = node->next)
            if (!lh_str_is(node->name, "ID") || node->text.len > 0)
                lh_xml_node(&xml, node);
        lh_xml_close(&xml, "Rule");
    }
    lh_xml_close(&xml, "LifecycleConfiguration");
}

lh_code lh_s3_put_lifecycle(struct lh_s3 *s3, struct lh_error *err)
{
    size_t count = 0;
    const struct lh_xml_node *root = NULL;
    struct lh_lifecycle_rule rules[LH_LIFECYCLE_RULES_MAX];
    LH_TRY(lh_s3_body_xml(s3, "LifecycleConfiguration", &root, err));
    LH_TRY(take_rules(s3, root, rules, &count, err));
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
    write_rules(&text, root);
    if (lh_buf_overflowed(&text))
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST, "the rules are beyond %d bytes",
                          LH_BUCKET_DOCUMENT_MAX);
    LH_TRY(lh_bucket_set_lifecycle(s3->storaged->store, s3->bucket.id, rules, count,
                                   lh_buf_str(&text), err));
    return lh_http_reply_empty(s3->x, 200, err);
}

lh_code lh_s3_get_lifecycle(struct lh_s3 *s3, struct lh_error *err)
{
    return lh_s3_reply_document(s3, LH_BUCKET_LIFECYCLE, LH_S3_NO_SUCH_LIFECYCLE, err);
}

lh_code lh_s3_delete_lifecycle(struct lh_s3 *s3, struct lh_error *err)
{
    LH_TRY(lh_bucket_set_lifecycle(s3->storaged->store, s3->bucket.id, NULL, 0, LH_STR_NONE, err));
    return lh_http_reply_empty(s3->x, 204, err);
}
