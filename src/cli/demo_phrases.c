/*
 * Phrases as a help desk gets them, and vectors for them.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "cli/demo.h"

static const char *const askers[] = {"How do I",
                                     "What is the best way to",
                                     "Is it possible to",
                                     "Who can help me",
                                     "Where do we",
                                     "We need to",
                                     "Please",
                                     "Last night I tried to",
                                     "Before the audit we"};
static const char *const actions[] = {
    "rotate the API keys of",      "restore a backup of",     "change the billing address of",
    "add a new teammate to",       "export all records from", "reset the password for",
    "reduce the storage costs of", "find slow queries in",    "move old files out of",
    "schedule a nightly load of",  "encrypt the traffic to",  "delete a customer's data from",
    "debug a failing import into", "set up alerts for",       "grant read access to",
    "rename a column in"};
static const char *const things[] = {
    "the orders warehouse", "our staging cluster",  "the marketing dashboard",
    "the payments service", "the sensor archive",   "the mobile app's logs",
    "the invoice bucket",   "the fraud model",      "the product catalogue",
    "the support inbox",    "the shipping tracker", "the loyalty programme"};
static const char *const closings[] = {"?",
                                       " without downtime?",
                                       " by Friday?",
                                       " in the European region?",
                                       " for the new office.",
                                       " as an administrator."};

/* Every index gives another phrase: its digits in the mixed base of the four lists, stepped by a
 * number that shares no factor with their product (10,368), so that neighbours differ in all parts.
 */
void lh_demo_phrase(size_t i, char out[LH_DEMO_PHRASE_MAX])
{
    enum { STEP = 4901 };
    size_t all = LH_COUNT(askers) * LH_COUNT(actions) * LH_COUNT(things) * LH_COUNT(closings);
    size_t n = i * STEP % all;
    const char *asker = askers[n % LH_COUNT(askers)];
    n /= LH_COUNT(askers);
    const char *action = actions[n % LH_COUNT(actions)];
    n /= LH_COUNT(actions);
    const char *thing = things[n % LH_COUNT(things)];
    n /= LH_COUNT(things);
    snprintf(out, LH_DEMO_PHRASE_MAX, "%s %s %s%s", asker, action, thing, closings[n]);
}

/* Letters in lower case; all else is a space between words. */
static size_t normalise(const char *text, char *out, size_t out_size)
{
    size_t len = 0;
    out[len++] = ' ';
    for (; *text && len < out_size - 1; text++) {
        char c = *text;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool is_letter = c >= 'a' && c <= 'z';
        if (is_letter)
            out[len++] = c;
        else if (out[len - 1] != ' ')
            out[len++] = ' ';
    }
    if (out[len - 1] != ' ')
        out[len++] = ' ';
    return len;
}

void lh_demo_embed(const char *text, float out[LH_DEMO_DIMENSION])
{
    enum { GRAM = 3 };
    char letters[2 * LH_DEMO_PHRASE_MAX];
    size_t len = normalise(text, letters, sizeof(letters));
    memset(out, 0, LH_DEMO_DIMENSION * sizeof(*out));
    out[0] = 1e-3F; /* a text without letters has a direction, too */
    for (size_t i = 0; i + GRAM <= len; i++) {
        uint64_t hash = lh_xxh3(letters + i, GRAM);
        out[hash % LH_DEMO_DIMENSION] += hash >> 63 ? 1.0F : -1.0F;
    }
    float square = 0;
    for (size_t i = 0; i < LH_DEMO_DIMENSION; i++)
        square += out[i] * out[i];
    float length = sqrtf(square);
    for (size_t i = 0; i < LH_DEMO_DIMENSION; i++)
        out[i] /= length;
}
