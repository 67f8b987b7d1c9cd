#include "queryworker/messages.h"

#include <string.h>

static const char replacement[] = "(a data file)";

/* The text gets shorter or stays within its array: a path is cut first when there is no room. */
static void hide(char *text, size_t size, const char *dir)
{
    char *at = text;
    while ((at = strstr(at, dir)) != NULL) {
        size_t path_len = strcspn(at, "\"' \n,;)]");
        size_t rest_len = strlen(at + path_len);
        size_t room = size - 1 - (size_t)(at - text);
        size_t new_len = sizeof(replacement) - 1;
        if (new_len > room)
            new_len = room;
        if (rest_len > room - new_len)
            rest_len = room - new_len;
        memmove(at + new_len, at + path_len, rest_len);
        memcpy(at, replacement, new_len);
        at[new_len + rest_len] = '\0';
        at += new_len;
    }
}

void lh_message_hide(struct lh_error *failure, const char *dir)
{
    if (*dir == '\0')
        return;
    hide(failure->message, sizeof(failure->message), dir);
    hide(failure->hint, sizeof(failure->hint), dir);
    hide(failure->excerpt, sizeof(failure->excerpt), dir);
}
