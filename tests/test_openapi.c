/* The description of the API has the routes that there are, and no others. */
#include "node/api/api.h"

#include "tests/support.h"

#include <stdio.h>
#include <string.h>

/* {name}, * and ** alike. */
static void simplify(const char *path, char *out, size_t room)
{
    size_t n = 0;
    for (; *path && n + 1 < room; path++) {
        out[n++] = *path == '{' ? '*' : *path;
        if (*path == '{')
            path += strcspn(path, "}");
        else if (*path == '*')
            path += strspn(path + 1, "*");
    }
    out[n] = 0;
}

static bool is_route(const char *method, const char *path)
{
    const char *a_method, *a_path;
    char here[128], there[128];
    simplify(path, here, sizeof here);
    for (size_t i = 0; api_route(i, &a_method, &a_path); i++) {
        simplify(a_path, there, sizeof there);
        if (strcasecmp(method, a_method) == 0 && strcmp(here, there) == 0)
            return true;
    }
    return false;
}

static void every_route_is_described(void **state)
{
    (void)state;
    struct note note = {{0}};
    json_t *doc = json_parse(api_openapi_text(), &note), *paths = json_object_get(doc, "paths"), *methods, *one;
    const char *path, *method;
    size_t described = 0, routes = 0;
    if (!doc)
        fail_msg("%s", note.text);
    json_object_foreach(paths, path, methods)
    {
        json_object_foreach(methods, method, one)
        {
            if (!is_route(method, path))
                fail_msg("%s %s is described, but there is no such route", method, path);
            assert_non_null(json_text(one, "summary"));
            described++;
        }
    }
    while (api_route(routes, &method, &path))
        routes++;
    if (described != routes)
        fail_msg("%zu routes, but node/api/openapi.json describes %zu", routes, described);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_route_is_described)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
