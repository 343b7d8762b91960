/* Templates: the tests behind `is`. */
#include "inference/template/jinja.h"

#include "inference/tok/unicode.h"

#include <math.h>

static bool test_defined(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)j;
    (void)args;
    return v.kind != JINJA_UNDEFINED;
}

static bool test_undefined(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return !test_defined(j, v, args);
}

/* is none, is string and the like: the kinds each accepts, as a set of bits. */
#define KIND(kind) (1u << JINJA_##kind)
static const struct {
    const char *name;
    unsigned kinds;
} kind_tests[] = {
    {"none", KIND(NONE)},
    {"boolean", KIND(FLAG)},
    {"integer", KIND(INTEGER)},
    {"float", KIND(REAL)},
    {"number", KIND(INTEGER) | KIND(REAL) | KIND(FLAG)},
    {"string", KIND(TEXT)},
    {"mapping", KIND(DICT)},
    {"sequence", KIND(TEXT) | KIND(LIST) | KIND(DICT) | KIND(UNDEFINED)},
    {"iterable", KIND(TEXT) | KIND(LIST) | KIND(DICT) | KIND(UNDEFINED)},
    {"callable", KIND(FUNCTION) | KIND(LOOP) | KIND(UNDEFINED)}, /* as the reference answers */
};

static bool test_true(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)j;
    (void)args;
    return v.kind == JINJA_FLAG && v.flag;
}

static bool test_false(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)j;
    (void)args;
    return v.kind == JINJA_FLAG && !v.flag;
}

static bool divides(struct jinja *j, struct jinja_value v, int64_t by)
{
    if (!jinja_is_number(v) || by == 0)
        return jinja_fail(j, ERR_FORMAT, "%s is not divided by %lld", jinja_kind_name(v), (long long)by);
    if (v.kind == JINJA_REAL)
        return fpclassify(fmod(v.real, (double)by)) == FP_ZERO;
    return by == -1 || (v.kind == JINJA_FLAG ? v.flag : v.integer) % by == 0;
}

static bool test_even(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)args;
    return divides(j, v, 2);
}

static bool test_odd(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)args;
    if (v.kind == JINJA_REAL) /* a remainder of exactly 1 */
        return divides(j, jinja_real(v.real - 1), 2);
    return !divides(j, v, 2) && j->err == ERR_OK;
}

static bool test_divisibleby(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return divides(j, v, jinja_arg_integer(j, args, 0, "num", 0));
}

static struct jinja_value other(const struct jinja_args *args)
{
    return jinja_arg(args, 0, "other", jinja_undefined(bytes_of(NULL, 0)));
}

static bool test_eq(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return jinja_equal(j, v, other(args));
}

/* One object in memory, as far as values have one: 1 is not true, and a list is only itself. */
static bool test_sameas(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    struct jinja_value o = other(args);
    if (v.kind != o.kind)
        return false;
    if (v.kind == JINJA_LIST)
        return v.list == o.list;
    return v.kind == JINJA_DICT ? v.dict == o.dict : jinja_equal(j, v, o);
}

static bool test_ne(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return !jinja_equal(j, v, other(args));
}

static bool test_lt(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return jinja_compare(j, v, other(args)) < 0;
}

static bool test_le(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return jinja_compare(j, v, other(args)) <= 0;
}

static bool test_gt(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return jinja_compare(j, v, other(args)) > 0;
}

static bool test_ge(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return jinja_compare(j, v, other(args)) >= 0;
}

static bool test_in(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    return jinja_contains(j, other(args), v);
}

/* All cased letters are of this case, and there is one. */
static bool is_cased(struct jinja *j, struct jinja_value v, enum unicode_class wanted, enum unicode_class unwanted)
{
    bool any = false;
    struct bytes text = jinja_to_text(j, v);
    if (!jinja_step(j, 16 * text.n)) /* a class costs more than a byte */
        return false;
    for (size_t at = 0; at < text.n;) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        enum unicode_class k = unicode_class_of(c);
        if (k == unwanted || k == UNICODE_LT)
            return false;
        any |= k == wanted;
    }
    return any;
}

static bool test_lower(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)args;
    return is_cased(j, v, UNICODE_LL, UNICODE_LU);
}

static bool test_upper(struct jinja *j, struct jinja_value v, const struct jinja_args *args)
{
    (void)args;
    return is_cased(j, v, UNICODE_LU, UNICODE_LL);
}

static const struct {
    const char *name;
    bool (*test)(struct jinja *j, struct jinja_value v, const struct jinja_args *args);
} tests[] = {
    {"defined", test_defined},
    {"undefined", test_undefined},
    {"true", test_true},
    {"false", test_false},
    {"even", test_even},
    {"odd", test_odd},
    {"divisibleby", test_divisibleby},
    {"eq", test_eq},
    {"equalto", test_eq},
    {"==", test_eq},
    {"sameas", test_sameas},
    {"ne", test_ne},
    {"!=", test_ne},
    {"lt", test_lt},
    {"lessthan", test_lt},
    {"<", test_lt},
    {"le", test_le},
    {"<=", test_le},
    {"gt", test_gt},
    {"greaterthan", test_gt},
    {">", test_gt},
    {"ge", test_ge},
    {">=", test_ge},
    {"in", test_in},
    {"lower", test_lower},
    {"upper", test_upper},
};

bool jinja_test(struct jinja *j, struct bytes name, struct jinja_value self, const struct jinja_args *args)
{
    for (size_t i = 0; i < sizeof kind_tests / sizeof *kind_tests; i++)
        if (bytes_equal(name, bytes_of_text(kind_tests[i].name)))
            return kind_tests[i].kinds >> self.kind & 1;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (bytes_equal(name, bytes_of_text(tests[i].name)))
            return tests[i].test(j, self, args);
    return jinja_fail(j, ERR_UNSUPPORTED, "the test '%.*s' is not supported", (int)(name.n < 40 ? name.n : 40),
                      (const char *)name.p);
}
