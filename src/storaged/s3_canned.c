/*
 * The answers about what a bucket has not: clients ask for these and go on when they are told so
 * in S3's words.
 */
#include "base/mem.h"
#include "storaged/s3.h"

struct answer {
    const char *query;
    const char *root;     /* of the document; NULL = the failure `word` */
    const char *document; /* what it holds */
    enum lh_s3_word word;
};

static const struct answer answers[] = {
    {"logging", "BucketLoggingStatus", "", LH_S3_WORD_NONE},
    {"notification", "NotificationConfiguration", "", LH_S3_WORD_NONE},
    {"requestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>",
     LH_S3_WORD_NONE},
    {"accelerate", "AccelerateConfiguration", "", LH_S3_WORD_NONE},
    {"policy", NULL, NULL, LH_S3_NO_SUCH_BUCKET_POLICY},
    {"object-lock", NULL, NULL, LH_S3_OBJECT_LOCK_NOT_FOUND},
    {"encryption", NULL, NULL, LH_S3_ENCRYPTION_NOT_FOUND},
    {"website", NULL, NULL, LH_S3_NO_SUCH_WEBSITE},
    {"replication", NULL, NULL, LH_S3_NO_SUCH_REPLICATION},
    {"ownershipControls", NULL, NULL, LH_S3_NO_SUCH_OWNERSHIP_CONTROLS},
    {"publicAccessBlock", NULL, NULL, LH_S3_NO_SUCH_PUBLIC_ACCESS_BLOCK},
};

static lh_code reply(struct lh_s3 *s3, const char *root, const char *document, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(1024);
    struct lh_xml xml = {&body};
    lh_xml_begin(&xml, root);
    lh_buf_append_cstr(&body, document);
    lh_xml_close(&xml, root);
    return lh_s3_reply_xml(s3, &body, err);
}

lh_code lh_s3_get_unconfigured(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str ignored;
    if (lh_http_query(s3->x, "policyStatus", &ignored))
        return reply(s3, "PolicyStatus",
                     s3->bucket.public_rights != 0 ? "<IsPublic>true</IsPublic>"
                                                   : "<IsPublic>false</IsPublic>",
                     err);
    for (size_t i = 0; i < LH_COUNT(answers); i++) {
        const struct answer *answer = &answers[i];
        if (!lh_http_query(s3->x, answer->query, &ignored))
            continue;
        if (answer->root != NULL)
            return reply(s3, answer->root, answer->document, err);
        return lh_s3_fail(s3, err, answer->word, "the bucket has no such configuration");
    }
    return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "this sub-resource is not served");
}

/* What is not there is gone when it is deleted. */
lh_code lh_s3_delete_unconfigured(struct lh_s3 *s3, struct lh_error *err)
{
    return lh_http_reply_empty(s3->x, 204, err);
}
