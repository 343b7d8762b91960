#include "node/api/tool_schema.h"

#include "inference/schema/schema.h"

#include <stdio.h>
#include <string.h>

#define PLACE_ROOM 64

/* What a member's value is: a schema, schemas by name, or data that only looks like one. */
enum value_kind { SCHEMA, NAMES, DATA };

static enum value_kind kind_of(const char *key)
{
    static const struct {
        const char *key;
        enum value_kind kind;
    } others[] = {{"properties", NAMES}, {"$defs", NAMES}, {"definitions", NAMES}, {"patternProperties", NAMES},
                  {"const", DATA},       {"enum", DATA},   {"default", DATA},      {"examples", DATA},
                  {"example", DATA}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(key, others[i].key) == 0)
            return others[i].kind;
    return SCHEMA;
}

/* References count from the root, which is no longer where they were written for: it is at `place` now. As deep as
 * JSON may be. */
static void move_references(json_t *value, enum value_kind kind, const char *place)
{
    size_t i;
    json_t *inner;
    const char *key;
    if (kind == DATA)
        return;
    json_array_foreach(value, i, inner)
    {
        move_references(inner, SCHEMA, place);
    }
    json_object_foreach(value, key, inner)
    {
        const char *text = json_string_value(inner);
        if (kind == SCHEMA && text && *text == '#' && strcmp(key, "$ref") == 0) {
            struct buf moved = {0};
            buf_add_format(&moved, "#%s%s", place, text + 1);
            json_string_set(inner, buf_text(&moved));
            buf_clear(&moved);
        } else
            move_references(inner, kind == NAMES ? SCHEMA : kind_of(key), place);
    }
}

static bool can_be_kept_to(const json_t *schema)
{
    struct grammar *g = NULL;
    struct buf text = {0};
    json_print(&text, schema);
    bool good = schema_compile(bytes_of_buf(&text), &g, NULL) == ERR_OK;
    grammar_free(g);
    buf_clear(&text);
    return good;
}

/* Of a tool's arguments, where the whole schema has them at `place`. Without parameters it has none. */
static json_t *schema_of_arguments(const json_t *function, const char *place)
{
    const json_t *parameters = json_object_get(function, "parameters");
    if (!json_is_given(parameters))
        return json_pack("{s:s, s:{}}", "type", "object", "properties");
    if (!json_is_true(json_object_get(function, "strict")) && !can_be_kept_to(parameters))
        return json_pack("{s:s}", "type", "object");
    json_t *copy = json_deep_copy(parameters);
    move_references(copy, SCHEMA, place);
    return copy;
}

static json_t *schema_of_one(const json_t *function, const char *place)
{
    return json_pack("{s:s, s:{s:{s:O}, s:o}, s:[s, s], s:b}", "type", "object", "properties", "name", "const",
                     json_object_get(function, "name"), "arguments", schema_of_arguments(function, place), "required",
                     "name", "arguments", "additionalProperties", 0);
}

json_t *tool_schema_of_call(const json_t *tools, const char *named)
{
    json_t *any = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        char place[PLACE_ROOM];
        if (named && strcmp(json_text(function, "name"), named) != 0)
            continue;
        snprintf(place, sizeof place, "/anyOf/%zu/properties/arguments", json_array_size(any));
        json_array_append_new(any, schema_of_one(function, place));
    }
    if (json_array_size(any))
        return json_pack("{s:o}", "anyOf", any);
    json_decref(any);
    return NULL;
}

json_t *tool_schema_of_arguments(const json_t *tools, const char *named)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        if (strcmp(json_text(function, "name"), named) == 0)
            return schema_of_arguments(function, "");
    }
    return NULL;
}
