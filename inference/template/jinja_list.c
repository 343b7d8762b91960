/* Templates: methods that change a list. Nothing else of a template's data changes once it is made, so nothing contains
 * itself; what is added here is looked through first, and stays so. */
#include "inference/template/jinja.h"

#include <string.h>

static struct jinja_value nothing(void)
{
    return jinja_undefined(bytes_of(NULL, 0));
}

static bool leads_to(struct jinja *j, struct jinja_value v, const struct jinja_list *list);

static bool items_lead_to(struct jinja *j, struct jinja_value v, const struct jinja_list *list)
{
    const size_t n = v.kind == JINJA_LIST ? v.list->n : v.dict->n;
    bool found = false;
    for (size_t i = 0; i < n && !found && j->err == ERR_OK; i++)
        found = leads_to(j, v.kind == JINJA_LIST ? v.list->items[i] : v.dict->items[i].value, list);
    return found;
}

/* Also where that cannot be told. */
static bool leads_to(struct jinja *j, struct jinja_value v, const struct jinja_list *list)
{
    bool found = true;
    if (v.kind == JINJA_NAMESPACE || v.kind == JINJA_LOOP || v.kind == JINJA_FUNCTION)
        return true;
    if (v.kind != JINJA_LIST && v.kind != JINJA_DICT)
        return false;
    if (v.kind == JINJA_LIST && v.list == list)
        return true;
    if (jinja_enter(j) && jinja_step(j, 0))
        found = items_lead_to(j, v, list);
    j->depth--;
    return found;
}

/* Lists are made in this rendering's arena, so they may be changed; tuples not. */
static struct jinja_list *own(struct jinja *j, struct jinja_value self, const char *what)
{
    if (!self.list->tuple)
        return (struct jinja_list *)(uintptr_t)self.list;
    jinja_fail(j, ERR_FORMAT, "a tuple has no '%s'", what);
    return NULL;
}

struct jinja_value jinja_list_append(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_list *list = own(j, self, "append");
    struct jinja_value item = jinja_arg(args, 0, "object", nothing());
    if (args->n != 1)
        jinja_fail(j, ERR_FORMAT, "append takes one value, not %zu", args->n);
    else if (list && leads_to(j, item, list))
        jinja_fail(j, ERR_UNSUPPORTED, "append: %s cannot be an item of this list", jinja_kind_name(item));
    else
        jinja_list_add(j, list, item);
    return jinja_none();
}

struct jinja_value jinja_list_pop(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_list *list = own(j, self, "pop");
    int64_t at = jinja_arg_integer(j, args, 0, "index", -1);
    if (!list || j->err != ERR_OK)
        return nothing();
    const int64_t n = (int64_t)list->n;
    at += at < 0 ? n : 0;
    if (at < 0 || at >= n) {
        jinja_fail(j, ERR_FORMAT, "pop: there is no such item among %zu", list->n);
        return nothing();
    }
    struct jinja_value item = list->items[at];
    list->n--;
    if (jinja_step(j, (size_t)(n - at) * sizeof item))
        memmove(list->items + at, list->items + at + 1, (size_t)(n - 1 - at) * sizeof item);
    return item;
}
