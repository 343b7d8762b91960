/* A member of the JSON on standard input, for the shell of tests over processes, which ask for hundreds: FIELD.FIELD, a
 * number being a place in a list. A text as it is, the rest as JSON; null, and what is not there, is an empty line.
 * Status 1: no JSON. */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL: not there. */
static const json_t *member(const json_t *v, char *path)
{
    for (char *name = strtok(path, "."); v && name; name = strtok(NULL, ".")) {
        if (json_is_array(v))
            v = json_array_get(v, (size_t)strtoul(name, NULL, 10));
        else
            v = json_object_get(v, name);
    }
    return v;
}

int main(int argc, char **argv)
{
    json_error_t error;
    if (argc != 2)
        return fprintf(stderr, "json FIELD.FIELD\n"), 2;
    json_t *whole = json_loadf(stdin, JSON_DECODE_ANY, &error);
    if (!whole)
        return fprintf(stderr, "json: %s\n", error.text), 1;
    const json_t *v = member(whole, argv[1]);
    if (json_is_string(v))
        puts(json_string_value(v));
    else if (!v || json_is_null(v))
        puts("");
    else {
        struct buf out = {0};
        json_print_short(&out, v);
        puts(buf_text(&out));
        buf_clear(&out);
    }
    json_decref(whole);
    return 0;
}
