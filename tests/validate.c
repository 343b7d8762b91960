/* Keyword by keyword, on values. */
#include "tests/validate.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

static bool is_type(const char *name, json_t *v)
{
    if (strcmp(name, "integer") == 0)
        return json_is_integer(v) || (json_is_real(v) && json_real_value(v) == (double)(json_int_t)json_real_value(v));
    return (strcmp(name, "object") == 0 && json_is_object(v)) || (strcmp(name, "array") == 0 && json_is_array(v)) ||
           (strcmp(name, "string") == 0 && json_is_string(v)) || (strcmp(name, "number") == 0 && json_is_number(v)) ||
           (strcmp(name, "boolean") == 0 && json_is_boolean(v)) || (strcmp(name, "null") == 0 && json_is_null(v));
}

static bool types(json_t *want, json_t *v)
{
    bool any = json_is_string(want) && is_type(json_string_value(want), v);
    for (size_t i = 0; i < json_array_size(want); i++)
        any |= is_type(json_string_value(json_array_get(want, i)), v);
    return any;
}

static bool same(json_t *a, json_t *b)
{
    return json_equal(a, b) || (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b));
}

static bool is_among(json_t *list, json_t *v)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (same(json_array_get(list, i), v))
            return true;
    return false;
}

static size_t characters(json_t *v)
{
    size_t n = 0;
    for (size_t i = 0; i < json_string_length(v); i++)
        n += (json_string_value(v)[i] & 0xC0) != 0x80;
    return n;
}

static bool matches(const char *pattern, json_t *v)
{
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool good = regexec(&re, json_string_value(v), 0, NULL, 0) == 0;
    regfree(&re);
    return good;
}

static bool is_date(const char *s)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d, n = 0;
    if (sscanf(s, "%4d-%2d-%2d%n", &y, &m, &d, &n) != 3 || n != 10 || s[n] || m < 1 || m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return d <= days[m - 1] + (m == 2 && leap);
}

static bool is_format(const char *name, json_t *v)
{
    if (strcmp(name, "date") == 0)
        return is_date(json_string_value(v));
    if (strcmp(name, "uuid") == 0)
        return matches("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", v);
    return true;
}

static bool limits(json_t *s, const char *min, const char *max, double n)
{
    json_t *a = json_object_get(s, min), *b = json_object_get(s, max);
    return (!a || n >= json_number_value(a)) && (!b || n <= json_number_value(b));
}

static bool string(json_t *s, json_t *v)
{
    json_t *pattern = json_object_get(s, "pattern"), *format = json_object_get(s, "format");
    return limits(s, "minLength", "maxLength", (double)characters(v)) &&
           (!pattern || matches(json_string_value(pattern), v)) && (!format || is_format(json_string_value(format), v));
}

static bool number(json_t *s, json_t *v)
{
    json_t *a = json_object_get(s, "exclusiveMinimum"), *b = json_object_get(s, "exclusiveMaximum");
    double x = json_number_value(v);
    return limits(s, "minimum", "maximum", x) && (!a || x > json_number_value(a)) && (!b || x < json_number_value(b));
}

static bool array(json_t *root, json_t *s, json_t *v)
{
    json_t *prefix = json_object_get(s, "prefixItems"), *items = json_object_get(s, "items");
    if (!limits(s, "minItems", "maxItems", (double)json_array_size(v)))
        return false;
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *of = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        if (of && !validate(root, of, json_array_get(v, i)))
            return false;
    }
    return true;
}

static bool object(json_t *root, json_t *s, json_t *v)
{
    json_t *named = json_object_get(s, "properties"), *more = json_object_get(s, "additionalProperties");
    json_t *required = json_object_get(s, "required"), *value;
    const char *key;
    if (!limits(s, "minProperties", "maxProperties", (double)json_object_size(v)))
        return false;
    for (size_t i = 0; i < json_array_size(required); i++)
        if (!json_object_get(v, json_string_value(json_array_get(required, i))))
            return false;
    json_object_foreach(v, key, value)
    {
        json_t *of = json_object_get(named, key) ? json_object_get(named, key) : more;
        if (of && !validate(root, of, value))
            return false;
    }
    return true;
}

static bool combined(json_t *root, json_t *s, json_t *v)
{
    static const char *const any_of[] = {"anyOf", "oneOf"};
    json_t *all = json_object_get(s, "allOf");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (!validate(root, json_array_get(all, i), v))
            return false;
    for (unsigned k = 0; k < 2; k++) {
        json_t *list = json_object_get(s, any_of[k]);
        bool any = !list;
        for (size_t i = 0; i < json_array_size(list) && !any; i++)
            any = validate(root, json_array_get(list, i), v);
        if (!any)
            return false;
    }
    return true;
}

static json_t *target(json_t *root, const char *ref)
{
    json_t *at = root;
    char step[256];
    int n;
    for (ref++; *ref && at; ref += n) {
        n = 0;
        if (sscanf(ref, "/%255[^/]%n", step, &n) != 1)
            return NULL;
        at = json_object_get(at, step);
    }
    return at;
}

bool validate(json_t *root, json_t *s, json_t *v)
{
    if (!json_is_object(s))
        return json_is_true(s);
    json_t *type = json_object_get(s, "type"), *list = json_object_get(s, "enum"), *only = json_object_get(s, "const");
    json_t *ref = json_object_get(s, "$ref");
    if (json_is_true(json_object_get(s, "nullable")) && json_is_null(v))
        return true;
    if ((type && !types(type, v)) || (list && !is_among(list, v)) || (only && !same(only, v)))
        return false;
    if (ref && !validate(root, target(root, json_string_value(ref)), v))
        return false;
    if (!combined(root, s, v))
        return false;
    if (json_is_string(v))
        return string(s, v);
    if (json_is_number(v))
        return number(s, v);
    if (json_is_array(v))
        return array(root, s, v);
    return !json_is_object(v) || object(root, s, v);
}
