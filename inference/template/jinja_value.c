/* Values of templates: making, comparing, walking; and the arena and limits they live under. */
#include "inference/template/jinja.h"

#include "base/mem.h"
#include "inference/tok/unicode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- state -- */

#define CHUNK_SIZE 65536u

struct jinja_chunk {
    struct jinja_chunk *next;
    size_t used, size;
    _Alignas(16) uint8_t bytes[];
};

bool jinja_fail(struct jinja *j, enum err e, const char *format, ...)
{
    char text[256];
    va_list args;
    if (j->err != ERR_OK)
        return false;
    j->err = e;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note_set(j->note, e, "chat template, line %u: %s", j->line, text);
    return false;
}

bool jinja_step(struct jinja *j, size_t bytes)
{
    if (j->err != ERR_OK)
        return false;
    size_t more = bytes / TEMPLATE_STEP_BYTES;
    if (more >= TEMPLATE_STEPS_MAX || (j->steps += 1 + (uint32_t)more) > TEMPLATE_STEPS_MAX)
        return jinja_fail(j, ERR_LIMIT, "more than %u steps", TEMPLATE_STEPS_MAX);
    return true;
}

bool jinja_enter(struct jinja *j)
{
    if (++j->depth > TEMPLATE_DEPTH_MAX)
        return jinja_fail(j, ERR_LIMIT, "nested deeper than %d", TEMPLATE_DEPTH_MAX);
    return true;
}

void *jinja_alloc(struct jinja *j, size_t count, size_t size)
{
    if (j->err != ERR_OK)
        return NULL;
    if (count > TEMPLATE_MEMORY_MAX / size || count * size > TEMPLATE_MEMORY_MAX - j->memory) {
        jinja_fail(j, ERR_LIMIT, "more than %u bytes of memory", TEMPLATE_MEMORY_MAX);
        return NULL;
    }
    size_t n = (count * size + 15) / 16 * 16;
    j->memory += n < TEMPLATE_MEMORY_MAX - j->memory ? n : TEMPLATE_MEMORY_MAX - j->memory;
    struct jinja_chunk *c = j->chunks;
    if (!c || c->size - c->used < n) {
        size_t room = n > CHUNK_SIZE ? n : CHUNK_SIZE;
        c = mem_new(sizeof *c + room);
        c->size = room;
        c->next = j->chunks;
        j->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    return p;
}

struct bytes jinja_copy(struct jinja *j, struct bytes text)
{
    uint8_t *p = text.n ? jinja_alloc(j, text.n, 1) : NULL;
    if (!p)
        return bytes_of(NULL, 0);
    memcpy(p, text.p, text.n);
    return bytes_of(p, text.n);
}

void jinja_clear(struct jinja *j)
{
    while (j->chunks) {
        struct jinja_chunk *next = j->chunks->next;
        free(j->chunks);
        j->chunks = next;
    }
}

/* -- making -- */

struct jinja_value jinja_undefined(struct bytes name)
{
    return (struct jinja_value){.kind = JINJA_UNDEFINED, .text = name};
}

struct jinja_value jinja_none(void)
{
    return (struct jinja_value){.kind = JINJA_NONE};
}

struct jinja_value jinja_flag(bool flag)
{
    return (struct jinja_value){.kind = JINJA_FLAG, .flag = flag};
}

struct jinja_value jinja_integer(int64_t integer)
{
    return (struct jinja_value){.kind = JINJA_INTEGER, .integer = integer};
}

struct jinja_value jinja_real(double real)
{
    return (struct jinja_value){.kind = JINJA_REAL, .real = real};
}

struct jinja_value jinja_text(struct bytes text)
{
    return (struct jinja_value){.kind = JINJA_TEXT, .text = text};
}

struct jinja_value jinja_literal(const char *text)
{
    return jinja_text(bytes_of_text(text));
}

/* Doubles the room; the old items stay in the arena, which costs at most as much again. */
static void *grow(struct jinja *j, void *items, size_t n, size_t *room, size_t size)
{
    size_t more = *room ? 2 * *room : 4;
    void *p = jinja_alloc(j, more, size);
    if (p && n)
        memcpy(p, items, n * size);
    if (p)
        *room = more;
    return p;
}

struct jinja_list *jinja_list_new(struct jinja *j)
{
    return jinja_alloc(j, 1, sizeof(struct jinja_list));
}

void jinja_list_add(struct jinja *j, struct jinja_list *list, struct jinja_value item)
{
    if (!list || j->err != ERR_OK)
        return;
    if (list->n == list->room) {
        void *p = grow(j, list->items, list->n, &list->room, sizeof item);
        if (!p)
            return;
        list->items = p;
    }
    list->items[list->n++] = item;
}

struct jinja_value jinja_list_value(const struct jinja_list *list)
{
    if (!list)
        return jinja_undefined(bytes_of(NULL, 0));
    return (struct jinja_value){.kind = JINJA_LIST, .list = list};
}

struct jinja_dict *jinja_dict_new(struct jinja *j)
{
    return jinja_alloc(j, 1, sizeof(struct jinja_dict));
}

void jinja_dict_put(struct jinja *j, struct jinja_dict *dict, struct jinja_value key, struct jinja_value value)
{
    if (!dict)
        return;
    struct jinja_value *old = jinja_dict_find(j, dict, key);
    if (j->err != ERR_OK)
        return;
    if (old) {
        *old = value;
        return;
    }
    if (dict->n == dict->room) {
        void *p = grow(j, dict->items, dict->n, &dict->room, sizeof *dict->items);
        if (!p)
            return;
        dict->items = p;
    }
    dict->items[dict->n++] = (struct jinja_entry){key, value};
}

struct jinja_value *jinja_dict_find(struct jinja *j, const struct jinja_dict *dict, struct jinja_value key)
{
    if (key.kind == JINJA_TEXT)
        return jinja_dict_find_text(j, dict, key.text);
    if (!jinja_step(j, 32 * dict->n))
        return NULL;
    for (size_t i = 0; i < dict->n; i++)
        if (jinja_equal(j, dict->items[i].key, key))
            return &dict->items[i].value;
    return NULL;
}

/* Dicts are small, and a large one is paid for in steps. */
struct jinja_value *jinja_dict_find_text(struct jinja *j, const struct jinja_dict *dict, struct bytes key)
{
    if (!jinja_step(j, 32 * dict->n))
        return NULL;
    for (size_t i = 0; i < dict->n; i++)
        if (dict->items[i].key.kind == JINJA_TEXT && bytes_equal(dict->items[i].key.text, key))
            return &dict->items[i].value;
    return NULL;
}

struct jinja_value jinja_dict_value(struct jinja_dict *dict)
{
    if (!dict)
        return jinja_undefined(bytes_of(NULL, 0));
    return (struct jinja_value){.kind = JINJA_DICT, .dict = dict};
}

static struct jinja_value from_array(struct jinja *j, const json_t *json)
{
    struct jinja_list *list = jinja_list_new(j);
    for (size_t i = 0; i < json_array_size(json) && j->err == ERR_OK; i++)
        jinja_list_add(j, list, jinja_from_json(j, json_array_get(json, i)));
    return jinja_list_value(list);
}

/* JSON objects have no duplicate keys (base/json.h), so none are looked for. */
static struct jinja_value from_object(struct jinja *j, const json_t *json)
{
    struct jinja_dict *dict = jinja_dict_new(j);
    if (!dict)
        return jinja_dict_value(NULL);
    dict->items = jinja_alloc(j, json_object_size(json) + 1, sizeof *dict->items);
    dict->room = dict->items ? json_object_size(json) + 1 : 0;
    json_t *object = (json_t *)(uintptr_t)json; /* jansson's iterators are not const-correct; nothing is changed */
    for (void *i = json_object_iter(object); i && j->err == ERR_OK; i = json_object_iter_next(object, i)) {
        const char *key = json_object_iter_key(i);
        struct jinja_value value = jinja_from_json(j, json_object_iter_value(i));
        if (j->err == ERR_OK)
            dict->items[dict->n++] = (struct jinja_entry){jinja_text(bytes_of_text(key)), value};
    }
    return jinja_dict_value(dict);
}

/* Recursion is bounded: base/json.h reads nothing deeper than JSON_DEPTH_MAX. */
struct jinja_value jinja_from_json(struct jinja *j, const json_t *json)
{
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT:
        return from_object(j, json);
    case JSON_ARRAY:
        return from_array(j, json);
    case JSON_STRING:
        return jinja_text(bytes_of(json_string_value(json), json_string_length(json)));
    case JSON_INTEGER:
        return jinja_integer(json_integer_value(json));
    case JSON_REAL:
        return jinja_real(json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE:
        return jinja_flag(json_is_true(json));
    case JSON_NULL:
        break;
    }
    return jinja_none();
}

/* -- asking -- */

const char *jinja_kind_name(struct jinja_value v)
{
    static const char *const names[] = {"undefined", "none", "bool",      "int",  "float",   "string",
                                        "list",      "dict", "namespace", "loop", "function"};
    return names[v.kind];
}

bool jinja_is(struct jinja_value v, const char *text)
{
    return v.kind == JINJA_TEXT && bytes_equal(v.text, bytes_of_text(text));
}

bool jinja_is_number(struct jinja_value v)
{
    return v.kind == JINJA_INTEGER || v.kind == JINJA_REAL || v.kind == JINJA_FLAG;
}

double jinja_to_real(struct jinja_value v)
{
    return v.kind == JINJA_REAL ? v.real : v.kind == JINJA_FLAG ? (double)v.flag : (double)v.integer;
}

bool jinja_truth(struct jinja_value v)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_FLAG:
        return v.flag;
    case JINJA_INTEGER:
        return v.integer != 0;
    case JINJA_REAL:
        return v.real < 0 || v.real > 0;
    case JINJA_TEXT:
        return v.text.n > 0;
    case JINJA_LIST:
        return v.list->n > 0;
    case JINJA_DICT:
        return v.dict->n > 0;
    case JINJA_NAMESPACE:
    case JINJA_LOOP:
    case JINJA_FUNCTION:
        return true;
    }
    return false;
}

static int64_t whole(struct jinja_value v)
{
    return v.kind == JINJA_FLAG ? v.flag : v.integer;
}

static int compare_numbers(struct jinja_value a, struct jinja_value b)
{
    if (a.kind != JINJA_REAL && b.kind != JINJA_REAL)
        return (whole(a) > whole(b)) - (whole(a) < whole(b));
    double x = jinja_to_real(a), y = jinja_to_real(b);
    return (x > y) - (x < y);
}

static bool equal_dicts(struct jinja *j, const struct jinja_dict *a, const struct jinja_dict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        struct jinja_value *other = jinja_dict_find(j, b, a->items[i].key);
        if (!other || !jinja_equal(j, a->items[i].value, *other))
            return false;
    }
    return true;
}

static bool equal_lists(struct jinja *j, const struct jinja_list *a, const struct jinja_list *b)
{
    if (a->n != b->n || a->tuple != b->tuple)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!jinja_equal(j, a->items[i], b->items[i]))
            return false;
    return true;
}

bool jinja_equal(struct jinja *j, struct jinja_value a, struct jinja_value b)
{
    bool same = false;
    if (jinja_is_number(a) && jinja_is_number(b))
        return compare_numbers(a, b) == 0;
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case JINJA_TEXT:
        return a.text.n == b.text.n && jinja_step(j, a.text.n) && bytes_equal(a.text, b.text);
    case JINJA_LIST:
    case JINJA_DICT:
        if (jinja_enter(j) && jinja_step(j, 0))
            same = a.kind == JINJA_LIST ? equal_lists(j, a.list, b.list) : equal_dicts(j, a.dict, b.dict);
        j->depth--;
        return same;
    case JINJA_NAMESPACE:
        return a.dict == b.dict;
    case JINJA_LOOP:
        return a.loop == b.loop;
    case JINJA_FUNCTION:
        return a.function == b.function;
    default: /* undefined, none */
        return true;
    }
}

int jinja_compare(struct jinja *j, struct jinja_value a, struct jinja_value b)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        return compare_numbers(a, b);
    if (a.kind == JINJA_TEXT && b.kind == JINJA_TEXT && jinja_step(j, a.text.n)) {
        size_t n = a.text.n < b.text.n ? a.text.n : b.text.n;
        int order = n ? memcmp(a.text.p, b.text.p, n) : 0; /* UTF-8 sorts like its code points */
        return order ? order : (a.text.n > b.text.n) - (a.text.n < b.text.n);
    }
    if (a.kind == JINJA_LIST && b.kind == JINJA_LIST) {
        int order = 0;
        size_t n = a.list->n < b.list->n ? a.list->n : b.list->n;
        if (jinja_enter(j))
            for (size_t i = 0; i < n && order == 0 && jinja_step(j, 0); i++)
                if (!jinja_equal(j, a.list->items[i], b.list->items[i]))
                    order = jinja_compare(j, a.list->items[i], b.list->items[i]);
        j->depth--;
        return order ? order : (a.list->n > b.list->n) - (a.list->n < b.list->n);
    }
    jinja_fail(j, ERR_FORMAT, "%s and %s have no order", jinja_kind_name(a), jinja_kind_name(b));
    return 0;
}

bool jinja_contains(struct jinja *j, struct jinja_value container, struct jinja_value item)
{
    switch (container.kind) {
    case JINJA_TEXT:
        if (item.kind != JINJA_TEXT)
            return jinja_fail(j, ERR_FORMAT, "only a string can be in a string, not %s", jinja_kind_name(item));
        return jinja_step(j, container.text.n) && jinja_text_find(container.text, item.text, 0) != SIZE_MAX;
    case JINJA_LIST:
        for (size_t i = 0; i < container.list->n && jinja_step(j, 0); i++)
            if (jinja_equal(j, container.list->items[i], item))
                return true;
        return false;
    case JINJA_DICT:
    case JINJA_NAMESPACE:
        return jinja_dict_find(j, container.dict, item) != NULL;
    case JINJA_UNDEFINED:
        return false;
    default:
        return jinja_fail(j, ERR_FORMAT, "nothing can be in %s", jinja_kind_name(container));
    }
}

const struct jinja_list *jinja_items(struct jinja *j, struct jinja_value v)
{
    if (v.kind == JINJA_LIST)
        return v.list;
    struct jinja_list *list = jinja_list_new(j);
    if (v.kind == JINJA_DICT)
        for (size_t i = 0; i < v.dict->n; i++)
            jinja_list_add(j, list, v.dict->items[i].key);
    else if (v.kind == JINJA_TEXT)
        for (size_t at = 0, n; at < v.text.n && j->err == ERR_OK; at += n) {
            uint32_t c;
            n = unicode_get(v.text.p + at, v.text.n - at, &c);
            jinja_list_add(j, list, jinja_text(bytes_of(v.text.p + at, n)));
        }
    else if (v.kind != JINJA_UNDEFINED)
        jinja_fail(j, ERR_FORMAT, "%s is nothing to walk over", jinja_kind_name(v));
    return j->err == ERR_OK ? list : NULL;
}

int64_t jinja_length(struct jinja *j, struct jinja_value v)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
        return 0;
    case JINJA_TEXT:
        return jinja_step(j, v.text.n) ? (int64_t)jinja_text_length(v.text) : 0;
    case JINJA_LIST:
        return (int64_t)v.list->n;
    case JINJA_DICT:
        return (int64_t)v.dict->n;
    default:
        jinja_fail(j, ERR_FORMAT, "%s has no length", jinja_kind_name(v));
        return 0;
    }
}
