/* Templates: filters on numbers, with the rules of Python's int(), float(), abs() and round(). */
#include "inference/template/jinja.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jinja_value nothing(void)
{
    return jinja_undefined(bytes_of(NULL, 0));
}

/* A number as Python reads one from text: white space around it, underscores between digits. False where it cannot
 * be one, or is written with more than NUMBER_TEXT characters. */
#define NUMBER_TEXT 63
static bool number_text(struct jinja_value v, char out[NUMBER_TEXT + 1])
{
    struct bytes text = v.kind == JINJA_TEXT ? jinja_strip(v.text, NULL, true, true) : bytes_of(NULL, 0);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool between = i && i + 1 < text.n && text.p[i - 1] >= '0' && text.p[i - 1] <= '9' && text.p[i + 1] >= '0' &&
                       text.p[i + 1] <= '9';
        if (text.p[i] == '_' && between)
            continue;
        if (n == NUMBER_TEXT || text.p[i] == 0 || strchr("_xX( ", text.p[i])) /* strtod reads more than Python does */
            return false;
        out[n++] = (char)text.p[i];
    }
    out[n] = 0;
    return n > 0;
}

static struct jinja_value whole_of_real(struct jinja *j, double v, struct jinja_value fallback)
{
    if (isnan(v))
        return fallback;
    if (v > -9.2e18 && v < 9.2e18)
        return jinja_integer((int64_t)v);
    jinja_fail(j, ERR_RANGE, "a whole number over 63 bits");
    return nothing();
}

/* The fallback where a text is no number, as Jinja has it; 3 for "3.7". */
struct jinja_value jinja_number_int(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value fallback = jinja_arg(args, 0, "default", jinja_integer(0));
    char text[NUMBER_TEXT + 1], *end;
    if (jinja_arg_integer(j, args, 1, "base", 10) != 10)
        jinja_fail(j, ERR_UNSUPPORTED, "int with a base other than 10 is not supported");
    if (self.kind == JINJA_UNDEFINED)
        jinja_fail(j, ERR_FORMAT, "int of what is undefined");
    if (self.kind == JINJA_REAL)
        return whole_of_real(j, self.real, fallback);
    if (jinja_is_number(self))
        return jinja_integer(self.kind == JINJA_FLAG ? self.flag : self.integer);
    if (!number_text(self, text))
        return fallback;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (*end == 0 && errno == 0)
        return jinja_integer(whole);
    double real = strtod(text, &end);
    return *end || isinf(real) ? fallback : whole_of_real(j, real, fallback);
}

struct jinja_value jinja_number_float(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value fallback = jinja_arg(args, 0, "default", jinja_real(0));
    char text[NUMBER_TEXT + 1], *end;
    if (self.kind == JINJA_UNDEFINED)
        jinja_fail(j, ERR_FORMAT, "float of what is undefined");
    if (jinja_is_number(self))
        return jinja_real(jinja_to_real(self));
    if (!number_text(self, text))
        return fallback;
    double value = strtod(text, &end);
    return *end ? fallback : jinja_real(value);
}

struct jinja_value jinja_number_abs(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    if (self.kind == JINJA_REAL)
        return jinja_real(fabs(self.real));
    bool negative = jinja_is_number(self) && jinja_compare(j, self, jinja_integer(0)) < 0;
    return jinja_binary(j, bytes_of_text(negative ? "-" : "+"), jinja_integer(0), self);
}

static double power_of_ten(int64_t digits)
{
    double scale = 1;
    while (digits-- > 0)
        scale *= 10;
    return scale;
}

/* To a multiple of 10^-digits. */
static struct jinja_value rounded_whole(struct jinja *j, int64_t v, int64_t digits)
{
    int64_t scale = 1;
    for (; digits < 0; digits++)
        scale *= 10;
    int64_t rest = v % scale, whole = v - rest, twice = 2 * (rest < 0 ? -rest : rest);
    if (twice > scale || (twice == scale && whole / scale % 2 != 0)) {
        if (__builtin_add_overflow(whole, rest < 0 ? -scale : scale, &whole))
            jinja_fail(j, ERR_RANGE, "a whole number over 63 bits");
    }
    return jinja_integer(whole);
}

/* Whole numbers stay whole; a fraction's exact value is what is rounded. Halves to even. */
static struct jinja_value rounded(struct jinja *j, struct jinja_value v, int64_t digits)
{
    char text[400];
    double value = jinja_to_real(v);
    if (v.kind != JINJA_REAL)
        return rounded_whole(j, v.kind == JINJA_FLAG ? v.flag : v.integer, digits);
    if (digits < 0) {
        double scale = power_of_ten(-digits);
        return jinja_real(nearbyint(value / scale) * scale);
    }
    if (!isfinite(value) || fabs(value) > 1e17)
        return v;
    snprintf(text, sizeof text, "%.*f", (int)digits, value);
    return jinja_real(strtod(text, NULL));
}

struct jinja_value jinja_number_round(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    int64_t digits = jinja_arg_integer(j, args, 0, "precision", 0);
    struct bytes way = jinja_arg_text(j, args, 1, "method", "common");
    bool up = bytes_equal(way, bytes_of_text("ceil")), down = bytes_equal(way, bytes_of_text("floor"));
    if (!jinja_is_number(self) || digits < -15 || digits > 15) {
        jinja_fail(j, ERR_FORMAT, "%s cannot be rounded to %lld decimals", jinja_kind_name(self), (long long)digits);
        return nothing();
    }
    if (!up && !down)
        return rounded(j, self, digits);
    double scale = digits < 0 ? 1 / power_of_ten(-digits) : power_of_ten(digits), value = jinja_to_real(self) * scale;
    return jinja_real(((up ? ceil(value) : floor(value)) + 0.0) / scale); /* no negative zero */
}
