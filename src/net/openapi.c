/*
 * /openapi.json from the table of routes (OpenAPI 3.1).
 */
#include "base/json.h"
#include "net/http_server.h"

#include <string.h>

static void write_parameter(struct lh_json *json, lh_str name, const char *where, bool required)
{
    lh_json_object(json);
    lh_json_kstr(json, "name", name);
    lh_json_kcstr(json, "in", where);
    lh_json_kbool(json, "required", required);
    lh_json_key(json, "schema");
    lh_json_raw(json, LH_STR("{\"type\":\"string\"}"));
    lh_json_object_end(json);
}

/* The next {name} of a pattern, without braces and star. */
static bool next_name(const char **at, lh_str *ret_name)
{
    const char *open = strchr(*at, '{');
    if (open == NULL)
        return false;
    const char *close = strchr(open, '}');
    if (close == NULL)
        return false;
    *ret_name = lh_str_of(open + 1, (size_t)(close - open - 1));
    if (lh_str_ends(*ret_name, "*"))
        ret_name->len--;
    *at = close + 1;
    return true;
}

static void write_parameters(struct lh_json *json, const struct lh_route *route)
{
    lh_json_key(json, "parameters");
    lh_json_array(json);
    const char *at = route->pattern;
    lh_str name;
    while (next_name(&at, &name))
        write_parameter(json, name, "path", true);
    lh_str query = lh_str_from(route->query);
    while (lh_str_next(&query, ' ', &name))
        if (name.len > 0)
            write_parameter(json, name, "query", false);
    lh_json_array_end(json);
}

static void write_body(struct lh_json *json, const struct lh_route *route)
{
    if ((route->flags & LH_ROUTE_BODY) == 0)
        return;
    lh_json_key(json, "requestBody");
    lh_json_object(json);
    lh_json_key(json, "content");
    lh_json_object(json);
    lh_str types = lh_str_from(route->body != NULL ? route->body : "application/octet-stream");
    lh_str type;
    while (lh_str_next(&types, ' ', &type)) {
        char key[128];
        size_t len = type.len < sizeof(key) ? type.len : sizeof(key) - 1;
        if (len > 0 && type.ptr[len - 1] == ',')
            len--;
        if (len == 0)
            continue;
        memcpy(key, type.ptr, len);
        key[len] = '\0';
        lh_json_key(json, key);
        lh_json_raw(json, LH_STR("{}"));
    }
    lh_json_object_end(json);
    lh_json_object_end(json);
}

static void write_answers(struct lh_json *json, const struct lh_route *route)
{
    lh_json_key(json, "responses");
    lh_json_object(json);
    lh_str statuses = lh_str_from(route->answers != NULL ? route->answers : "200");
    lh_str status;
    while (lh_str_next(&statuses, ' ', &status)) {
        uint64_t number = 0;
        if (!lh_str_to_u64(status, &number) || number > 599)
            continue;
        char key[8];
        snprintf(key, sizeof(key), "%d", (int)number);
        lh_json_key(json, key);
        lh_json_object(json);
        lh_json_kcstr(json, "description", lh_http_status_text((int)number));
        lh_json_object_end(json);
    }
    lh_json_key(json, "default");
    lh_json_raw(json, LH_STR("{\"$ref\":\"#/components/responses/Problem\"}"));
    lh_json_object_end(json);
}

static void write_operation(struct lh_json *json, const struct lh_route *route,
                            enum lh_http_method method)
{
    char key[16];
    const char *name = lh_http_method_name(method);
    size_t len = 0;
    for (; name[len] != '\0'; len++)
        key[len] = (char)(name[len] | 0x20);
    key[len] = '\0';
    lh_json_key(json, key);
    lh_json_object(json);
    if (route->summary != NULL)
        lh_json_kcstr(json, "summary", route->summary);
    write_parameters(json, route);
    if (method != LH_HTTP_GET && method != LH_HTTP_HEAD)
        write_body(json, route);
    write_answers(json, route);
    lh_json_object_end(json);
}

static bool seen_before(const struct lh_route *routes, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(routes[i].pattern, routes[index].pattern) == 0)
            return true;
    return false;
}

/* The pattern as OpenAPI writes it: "{key*}" is "{key}". */
static void write_path_key(struct lh_json *json, const char *pattern)
{
    char key[256];
    size_t len = 0;
    for (; *pattern != '\0' && len < sizeof(key) - 1; pattern++)
        if (*pattern != '*')
            key[len++] = *pattern;
    key[len] = '\0';
    lh_json_key(json, key);
}

static void write_paths(struct lh_json *json, const struct lh_route *routes, size_t count)
{
    lh_json_key(json, "paths");
    lh_json_object(json);
    for (size_t i = 0; i < count; i++) {
        if (seen_before(routes, i))
            continue;
        write_path_key(json, routes[i].pattern);
        lh_json_object(json);
        unsigned written = 0; /* the first route that takes a method is the one that answers */
        for (size_t j = i; j < count; j++) {
            if (strcmp(routes[j].pattern, routes[i].pattern) != 0)
                continue;
            for (unsigned bit = LH_HTTP_GET; bit <= LH_HTTP_OPTIONS; bit <<= 1)
                if ((routes[j].methods & bit & ~written) != 0)
                    write_operation(json, &routes[j], bit);
            written |= routes[j].methods;
        }
        lh_json_object_end(json);
    }
    lh_json_object_end(json);
}

static const char components[] =
    "{\"responses\":{\"Problem\":{\"description\":\"A failure (RFC 9457)\",\"content\":"
    "{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}},"
    "\"schemas\":{\"Problem\":{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\","
    "\"code\",\"request_id\"],\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
    "\"string\"},\"status\":{\"type\":\"integer\"},\"code\":{\"type\":\"string\"},\"detail\":"
    "{\"type\":\"string\"},\"hint\":{\"type\":\"string\"},\"line\":{\"type\":\"integer\"},"
    "\"column\":{\"type\":\"integer\"},\"excerpt\":{\"type\":\"string\"},\"request_id\":{\"type\":"
    "\"string\"}}}}}";

void lh_http_openapi(const struct lh_route *routes, size_t count, const char *service_name,
                     const char *version, struct lh_buf *out)
{
    struct lh_json json = LH_JSON_TO(out);
    lh_json_object(&json);
    lh_json_kcstr(&json, "openapi", "3.1.0");
    lh_json_key(&json, "info");
    lh_json_object(&json);
    lh_json_kcstr(&json, "title", service_name);
    lh_json_kcstr(&json, "version", version);
    lh_json_object_end(&json);
    write_paths(&json, routes, count);
    lh_json_key(&json, "components");
    lh_json_raw(&json, lh_str_from(components));
    lh_json_object_end(&json);
}
