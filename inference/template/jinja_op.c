/* Templates: binary operators, subscripts, slices, and taking arguments apart. */
#include "inference/template/jinja.h"

#include "inference/tok/unicode.h"

#include <math.h>
#include <string.h>

static struct jinja_value nothing(void)
{
    return jinja_undefined(bytes_of(NULL, 0));
}

static bool is(struct bytes op, const char *text)
{
    return bytes_equal(op, bytes_of_text(text));
}

static int64_t whole(struct jinja_value v)
{
    return v.kind == JINJA_FLAG ? v.flag : v.integer;
}

static struct jinja_value overflow(struct jinja *j)
{
    jinja_fail(j, ERR_RANGE, "a whole number over 63 bits");
    return nothing();
}

static struct jinja_value power(struct jinja *j, int64_t a, int64_t b)
{
    int64_t result = 1;
    if (b < 0 || b > 64) {
        jinja_fail(j, ERR_UNSUPPORTED, "a power with exponent %lld: 0 to 64 are", (long long)b);
        return nothing();
    }
    while (b-- > 0)
        if (__builtin_mul_overflow(result, a, &result))
            return overflow(j);
    return jinja_integer(result);
}

static struct jinja_value divide(struct jinja *j, bool remainder, int64_t a, int64_t b)
{
    if (a == INT64_MIN && b == -1)
        return remainder ? jinja_integer(0) : overflow(j);
    int64_t quotient = a / b, rest = a % b;
    if (rest && (rest < 0) != (b < 0)) { /* rounds down, as Python does */
        quotient--;
        rest += b;
    }
    return jinja_integer(remainder ? rest : quotient);
}

/* Python's rules: the remainder has the divisor's sign, also where it is zero, and the quotient is exact. */
static struct jinja_value divide_reals(bool remainder, double x, double y)
{
    double rest = fmod(x, y), quotient = (x - rest) / y;
    if ((rest < 0 || rest > 0) && (rest < 0) != (y < 0)) {
        rest += y;
        quotient -= 1;
    } else if (!(rest < 0 || rest > 0))
        rest = copysign(0, y);
    if (remainder)
        return jinja_real(rest);
    if (!(quotient < 0 || quotient > 0))
        return jinja_real(copysign(0, x / y));
    double whole = floor(quotient);
    return jinja_real(quotient - whole > 0.5 ? whole + 1 : whole);
}

static struct jinja_value whole_binary(struct jinja *j, struct bytes op, int64_t a, int64_t b)
{
    int64_t result = 0;
    if (is(op, "//") || is(op, "%"))
        return divide(j, is(op, "%"), a, b);
    if (is(op, "**"))
        return power(j, a, b);
    bool over = is(op, "+")   ? __builtin_add_overflow(a, b, &result)
                : is(op, "-") ? __builtin_sub_overflow(a, b, &result)
                              : __builtin_mul_overflow(a, b, &result);
    return over ? overflow(j) : jinja_integer(result);
}

static struct jinja_value number_binary(struct jinja *j, struct bytes op, struct jinja_value a, struct jinja_value b)
{
    bool divides = is(op, "/") || is(op, "//") || is(op, "%");
    double x = jinja_to_real(a), y = jinja_to_real(b);
    if (divides && y >= 0 && y <= 0) {
        jinja_fail(j, ERR_FORMAT, "division by zero");
        return nothing();
    }
    if (is(op, "/"))
        return jinja_real(x / y);
    if (a.kind != JINJA_REAL && b.kind != JINJA_REAL)
        return whole_binary(j, op, whole(a), whole(b));
    if (is(op, "+"))
        return jinja_real(x + y);
    if (is(op, "-"))
        return jinja_real(x - y);
    if (is(op, "*"))
        return jinja_real(x * y);
    if (is(op, "//") || is(op, "%"))
        return divide_reals(is(op, "%"), x, y);
    jinja_fail(j, ERR_UNSUPPORTED, "powers of fractions are not supported");
    return nothing();
}

static struct jinja_value repeat(struct jinja *j, struct jinja_value v, int64_t times)
{
    if (v.kind == JINJA_TEXT) {
        size_t n = times > 0 ? v.text.n : 0;
        if (n && (size_t)times > TEMPLATE_OUTPUT_MAX / n) {
            jinja_fail(j, ERR_LIMIT, "more than %u bytes of text", TEMPLATE_OUTPUT_MAX);
            return nothing();
        }
        uint8_t *p = n ? jinja_alloc(j, n * (size_t)times, 1) : NULL;
        for (int64_t i = 0; p && i < times; i++)
            memcpy(p + (size_t)i * n, v.text.p, n);
        return jinja_text(p ? bytes_of(p, n * (size_t)times) : bytes_of(NULL, 0));
    }
    struct jinja_list *list = jinja_list_new(j);
    for (int64_t i = 0; i < times && v.list->n && jinja_step(j, 0); i++)
        for (size_t k = 0; k < v.list->n; k++)
            jinja_list_add(j, list, v.list->items[k]);
    if (list)
        list->tuple = v.list->tuple;
    return jinja_list_value(list);
}

static struct jinja_value concatenate(struct jinja *j, const struct jinja_list *a, const struct jinja_list *b)
{
    struct jinja_list *list = jinja_list_new(j);
    for (size_t i = 0; i < a->n; i++)
        jinja_list_add(j, list, a->items[i]);
    for (size_t i = 0; i < b->n; i++)
        jinja_list_add(j, list, b->items[i]);
    if (list)
        list->tuple = a->tuple;
    return jinja_list_value(list);
}

/* True if `op` compares; the answer is in *result. */
static bool compared(struct jinja *j, struct bytes op, struct jinja_value a, struct jinja_value b, bool *result)
{
    if (is(op, "=="))
        *result = jinja_equal(j, a, b);
    else if (is(op, "!="))
        *result = !jinja_equal(j, a, b);
    else if (is(op, "in"))
        *result = jinja_contains(j, b, a);
    else if (is(op, "not in"))
        *result = !jinja_contains(j, b, a);
    else if (is(op, "<"))
        *result = jinja_compare(j, a, b) < 0;
    else if (is(op, "<="))
        *result = jinja_compare(j, a, b) <= 0;
    else if (is(op, ">"))
        *result = jinja_compare(j, a, b) > 0;
    else if (is(op, ">="))
        *result = jinja_compare(j, a, b) >= 0;
    else
        return false;
    return true;
}

struct jinja_value jinja_binary(struct jinja *j, struct bytes op, struct jinja_value a, struct jinja_value b)
{
    bool result;
    if (compared(j, op, a, b, &result))
        return jinja_flag(result);
    if (is(op, "~")) {
        struct bytes left = jinja_to_text(j, a);
        return jinja_text(jinja_join(j, left, jinja_to_text(j, b)));
    }
    if (jinja_is_number(a) && jinja_is_number(b))
        return number_binary(j, op, a, b);
    if (is(op, "+") && a.kind == JINJA_TEXT && b.kind == JINJA_TEXT)
        return jinja_text(jinja_join(j, a.text, b.text));
    if (is(op, "+") && a.kind == JINJA_LIST && b.kind == JINJA_LIST)
        return concatenate(j, a.list, b.list);
    if (is(op, "*") && (a.kind == JINJA_TEXT || a.kind == JINJA_LIST) && b.kind == JINJA_INTEGER)
        return repeat(j, a, b.integer);
    if (is(op, "*") && a.kind == JINJA_INTEGER && (b.kind == JINJA_TEXT || b.kind == JINJA_LIST))
        return repeat(j, b, a.integer);
    struct jinja_value culprit = a.kind == JINJA_UNDEFINED ? a : b;
    if (culprit.kind == JINJA_UNDEFINED)
        jinja_fail(j, ERR_FORMAT, "'%.*s' is undefined", (int)(culprit.text.n < 63 ? culprit.text.n : 63),
                   culprit.text.n ? (const char *)culprit.text.p : "");
    else
        jinja_fail(j, ERR_FORMAT, "%s %.*s %s has no meaning", jinja_kind_name(a), (int)op.n, (const char *)op.p,
                   jinja_kind_name(b));
    return nothing();
}

/* -- subscripts -- */

static struct jinja_value character(struct bytes text, size_t index)
{
    uint32_t c;
    size_t at = jinja_text_offset(text, index);
    return jinja_text(bytes_of(text.p + at, unicode_get(text.p + at, text.n - at, &c)));
}

struct jinja_value jinja_subscript(struct jinja *j, struct jinja_value self, struct jinja_value key)
{
    if (j->err != ERR_OK)
        return nothing();
    if (self.kind == JINJA_UNDEFINED) {
        jinja_fail(j, ERR_FORMAT, "'%.*s' is undefined", (int)(self.text.n < 63 ? self.text.n : 63),
                   self.text.n ? (const char *)self.text.p : "");
        return nothing();
    }
    if (self.kind == JINJA_DICT || self.kind == JINJA_NAMESPACE) {
        struct jinja_value *found = jinja_dict_find(j, self.dict, key);
        if (found)
            return *found;
    }
    if ((self.kind == JINJA_LIST || self.kind == JINJA_TEXT) && (key.kind == JINJA_INTEGER || key.kind == JINJA_FLAG)) {
        int64_t n = jinja_length(j, self), index = whole(key);
        index += index < 0 ? n : 0;
        if (index < 0 || index >= n)
            return nothing();
        return self.kind == JINJA_LIST ? self.list->items[index] : character(self.text, (size_t)index);
    }
    if (key.kind != JINJA_TEXT)
        return nothing();
    struct jinja_value method = jinja_method(j, self, key.text);
    return method.kind == JINJA_UNDEFINED ? jinja_undefined(key.text) : method;
}

/* One bound of a slice, brought into low..high. */
static int64_t bound(struct jinja *j, struct jinja_value v, int64_t n, int64_t low, int64_t high, int64_t missing)
{
    if (v.kind == JINJA_NONE)
        return missing;
    if (v.kind != JINJA_INTEGER) {
        jinja_fail(j, ERR_FORMAT, "a slice's bound is %s: it must be a whole number", jinja_kind_name(v));
        return missing;
    }
    int64_t at = v.integer < 0 ? v.integer + n : v.integer;
    return at < low ? low : at > high ? high : at;
}

/* Python's rules: https://docs.python.org/3/reference/expressions.html, "Slicings". */
struct jinja_value jinja_slice(struct jinja *j, struct jinja_value self, const struct jinja_value bounds[3])
{
    if (j->err != ERR_OK)
        return nothing();
    if (self.kind != JINJA_LIST && self.kind != JINJA_TEXT) {
        jinja_fail(j, ERR_FORMAT, "%s cannot be sliced", jinja_kind_name(self));
        return nothing();
    }
    int64_t n = jinja_length(j, self), step = 1;
    if (bounds[2].kind == JINJA_INTEGER)
        step = bounds[2].integer;
    if (step == 0 || step == INT64_MIN || (bounds[2].kind != JINJA_INTEGER && bounds[2].kind != JINJA_NONE)) {
        jinja_fail(j, ERR_FORMAT, "a slice's step must be a whole number but 0");
        return nothing();
    }
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    int64_t from = bound(j, bounds[0], n, low, high, step > 0 ? 0 : n - 1);
    int64_t to = bound(j, bounds[1], n, low, high, step > 0 ? n : -1);
    if (self.kind == JINJA_TEXT && step == 1) {
        size_t start = jinja_text_offset(self.text, (size_t)from), end = jinja_text_offset(self.text, (size_t)to);
        return jinja_text(bytes_of(self.text.p + start, end > start ? end - start : 0));
    }
    const struct jinja_list *items = jinja_items(j, self);
    struct jinja_list *list = jinja_list_new(j);
    for (int64_t at = from; items && list && (step > 0 ? at < to : at > to) && jinja_step(j, 0);) {
        jinja_list_add(j, list, items->items[at]);
        if (__builtin_add_overflow(at, step, &at))
            break;
    }
    if (self.kind == JINJA_LIST && list)
        list->tuple = self.list->tuple;
    if (self.kind == JINJA_LIST || !list)
        return jinja_list_value(list);
    struct buf b = {0};
    for (size_t i = 0; i < list->n; i++)
        buf_add(&b, list->items[i].text.p, list->items[i].text.n);
    return jinja_text(jinja_take(j, &b));
}

/* -- arguments -- */

struct jinja_value jinja_arg(const struct jinja_args *args, size_t index, const char *name, struct jinja_value fallback)
{
    if (index < args->n)
        return args->values[index];
    for (size_t i = 0; i < args->named_n; i++)
        if (bytes_equal(args->names[i], bytes_of_text(name)))
            return args->named[i];
    return fallback;
}

struct bytes jinja_arg_text(struct jinja *j, const struct jinja_args *args, size_t index, const char *name,
                            const char *fallback)
{
    struct jinja_value v = jinja_arg(args, index, name, fallback ? jinja_literal(fallback) : nothing());
    if (v.kind != JINJA_TEXT) {
        jinja_fail(j, ERR_FORMAT, "argument '%s' is %s: it must be a string", name, jinja_kind_name(v));
        return bytes_of(NULL, 0);
    }
    return v.text;
}

int64_t jinja_arg_integer(struct jinja *j, const struct jinja_args *args, size_t index, const char *name,
                          int64_t fallback)
{
    struct jinja_value v = jinja_arg(args, index, name, jinja_integer(fallback));
    if (v.kind != JINJA_INTEGER && v.kind != JINJA_FLAG) {
        jinja_fail(j, ERR_FORMAT, "argument '%s' is %s: it must be a whole number", name, jinja_kind_name(v));
        return fallback;
    }
    return whole(v);
}
