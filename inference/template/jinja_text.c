/* Texts of templates: printing as Python prints, JSON, and the searching and cutting of strings by
 * characters. */
#include "inference/template/jinja.h"

#include "inference/tok/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- printing -- */

/* What is printed is bounded, whatever a template nests. */
static bool fits(struct jinja *j, const struct buf *out)
{
    if (out->n > TEMPLATE_OUTPUT_MAX)
        return jinja_fail(j, ERR_LIMIT, "more than %u bytes of text", TEMPLATE_OUTPUT_MAX);
    return j->err == ERR_OK;
}

/* The fewest digits that read back as the same number, as Python's repr() has it. */
static void print_real(struct buf *out, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, v);
        double back = strtod(text, NULL);
        if (memcmp(&back, &v, sizeof v) == 0)
            break;
    }
    if (!strchr(text, 'e')) { /* nan and inf */
        buf_add_text(out, text);
        return;
    }
    /* The text is D.DDDeXX: Python writes it out for exponents of -4 to 15. */
    char *e = strchr(text, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    char *point = memchr(text, '.', (size_t)(e - text));
    int decimals = point ? (int)(e - point) - 1 : 0;
    if (exponent < -4 || exponent > 15) {
        buf_add(out, text, (size_t)(e - text));
        buf_add_format(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else
        buf_add_format(out, "%.*f", decimals > exponent ? decimals - exponent : 1, v);
}

/* A character that repr() shows as it is. */
static bool is_printable(uint32_t c)
{
    enum unicode_class k = unicode_class_of(c);
    return c == ' ' || (k != UNICODE_NONE && k != UNICODE_CONTROL && k != UNICODE_SEPARATOR);
}

static void print_quoted(struct buf *out, struct bytes text)
{
    bool single = text.n && memchr(text.p, '\'', text.n), twice = text.n && memchr(text.p, '"', text.n);
    char quote = single && !twice ? '"' : '\'';
    buf_add(out, &quote, 1);
    for (size_t at = 0, n; at < text.n; at += n) {
        uint32_t c;
        n = unicode_get(text.p + at, text.n - at, &c);
        if (c == '\n')
            buf_add_text(out, "\\n");
        else if (c == '\r')
            buf_add_text(out, "\\r");
        else if (c == '\t')
            buf_add_text(out, "\\t");
        else if (c == '\\' || c == (uint32_t)quote)
            buf_add_format(out, "\\%c", (char)c);
        else if (is_printable(c))
            buf_add(out, text.p + at, n);
        else
            buf_add_format(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
    buf_add(out, &quote, 1);
}

static void print_inner(struct jinja *j, struct buf *out, struct jinja_value v);

static void print_list(struct jinja *j, struct buf *out, const struct jinja_list *list)
{
    buf_add_text(out, list->tuple ? "(" : "[");
    for (size_t i = 0; i < list->n && fits(j, out); i++) {
        buf_add_text(out, i ? ", " : "");
        print_inner(j, out, list->items[i]);
    }
    buf_add_text(out, !list->tuple ? "]" : list->n == 1 ? ",)" : ")");
}

static void print_dict(struct jinja *j, struct buf *out, const struct jinja_dict *dict)
{
    buf_add_text(out, "{");
    for (size_t i = 0; i < dict->n && fits(j, out); i++) {
        buf_add_text(out, i ? ", " : "");
        print_inner(j, out, dict->items[i].key);
        buf_add_text(out, ": ");
        print_inner(j, out, dict->items[i].value);
    }
    buf_add_text(out, "}");
}

/* Like repr(). */
static void print_inner(struct jinja *j, struct buf *out, struct jinja_value v)
{
    if (v.kind == JINJA_TEXT && jinja_step(j, v.text.n))
        print_quoted(out, v.text);
    else if (v.kind == JINJA_UNDEFINED)
        buf_add_text(out, "Undefined");
    else
        jinja_print(j, out, v);
}

void jinja_print(struct jinja *j, struct buf *out, struct jinja_value v)
{
    if (!fits(j, out) || !jinja_step(j, 0))
        return;
    switch (v.kind) {
    case JINJA_UNDEFINED:
        break;
    case JINJA_NONE:
        buf_add_text(out, "None");
        break;
    case JINJA_FLAG:
        buf_add_text(out, v.flag ? "True" : "False");
        break;
    case JINJA_INTEGER:
        buf_add_format(out, "%lld", (long long)v.integer);
        break;
    case JINJA_REAL:
        print_real(out, v.real);
        break;
    case JINJA_TEXT:
        buf_add(out, v.text.p, v.text.n);
        fits(j, out);
        break;
    case JINJA_LIST:
    case JINJA_DICT:
        if (jinja_enter(j)) {
            if (v.kind == JINJA_LIST)
                print_list(j, out, v.list);
            else
                print_dict(j, out, v.dict);
        }
        j->depth--;
        break;
    case JINJA_NAMESPACE:
    case JINJA_LOOP:
    case JINJA_FUNCTION:
        jinja_fail(j, ERR_FORMAT, "%s cannot be printed", jinja_kind_name(v));
        break;
    }
}

struct bytes jinja_take(struct jinja *j, struct buf *b)
{
    struct bytes text = jinja_copy(j, bytes_of_buf(b));
    buf_clear(b);
    return text;
}

struct bytes jinja_to_text(struct jinja *j, struct jinja_value v)
{
    if (v.kind == JINJA_TEXT)
        return v.text;
    struct buf b = {0};
    jinja_print(j, &b, v);
    return jinja_take(j, &b);
}

struct bytes jinja_join(struct jinja *j, struct bytes a, struct bytes b)
{
    if (a.n == 0 || b.n == 0)
        return a.n ? a : b;
    uint8_t *p = a.n + b.n <= TEMPLATE_OUTPUT_MAX ? jinja_alloc(j, a.n + b.n, 1) : NULL;
    if (!p) {
        jinja_fail(j, ERR_LIMIT, "more than %u bytes of text", TEMPLATE_OUTPUT_MAX);
        return bytes_of(NULL, 0);
    }
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    return bytes_of(p, a.n + b.n);
}

/* -- JSON -- */

/* The letter behind the backslash of a short escape, or 0. */
static char json_escape(uint32_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void json_quoted(struct buf *out, struct bytes text, bool ascii)
{
    buf_add_text(out, "\"");
    for (size_t at = 0, n; at < text.n; at += n) {
        uint32_t c;
        n = unicode_get(text.p + at, text.n - at, &c);
        if (json_escape(c))
            buf_add_format(out, "\\%c", json_escape(c));
        else if (c < 0x20 || (ascii && c > 0x7e && c < 0x10000))
            buf_add_format(out, "\\u%04x", c);
        else if (ascii && c >= 0x10000 && c < 0x110000)
            buf_add_format(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        else
            buf_add(out, text.p + at, n);
    }
    buf_add_text(out, "\"");
}

static void json_newline(struct buf *out, int64_t indent, unsigned level)
{
    if (indent < 0)
        return;
    buf_add_text(out, "\n");
    for (int64_t i = 0; i < indent * level; i++)
        buf_add_text(out, " ");
}

static void json_inner(struct jinja *j, struct buf *out, struct jinja_value v, const struct jinja_json_style *style,
                       unsigned level);

static void json_list(struct jinja *j, struct buf *out, const struct jinja_list *list,
                      const struct jinja_json_style *style, unsigned level)
{
    buf_add_text(out, "[");
    for (size_t i = 0; i < list->n && fits(j, out); i++) {
        if (i)
            buf_add(out, style->comma.p, style->comma.n);
        json_newline(out, style->indent, level + 1);
        json_inner(j, out, list->items[i], style, level + 1);
    }
    if (list->n)
        json_newline(out, style->indent, level);
    buf_add_text(out, "]");
}

static int compare_keys(const void *a, const void *b)
{
    struct bytes x = ((const struct jinja_entry *)a)->key.text, y = ((const struct jinja_entry *)b)->key.text;
    int order = memcmp(x.p ? x.p : (const uint8_t *)"", y.p ? y.p : (const uint8_t *)"", x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* A copy with all keys as texts, sorted if asked for. */
static struct jinja_entry *json_entries(struct jinja *j, const struct jinja_dict *dict, bool sorted)
{
    struct jinja_entry *items = jinja_alloc(j, dict->n + 1, sizeof *items);
    for (size_t i = 0; items && i < dict->n; i++) {
        items[i] = dict->items[i];
        if (items[i].key.kind != JINJA_TEXT) {
            struct buf b = {0};
            struct jinja_json_style plain = {.indent = -1};
            json_inner(j, &b, items[i].key, &plain, 0);
            items[i].key = jinja_text(jinja_take(j, &b));
        }
    }
    if (items && sorted)
        qsort(items, dict->n, sizeof *items, compare_keys);
    return items;
}

static void json_dict(struct jinja *j, struct buf *out, const struct jinja_dict *dict,
                      const struct jinja_json_style *style, unsigned level)
{
    struct jinja_entry *items = json_entries(j, dict, style->sort_keys);
    buf_add_text(out, "{");
    for (size_t i = 0; items && i < dict->n && fits(j, out); i++) {
        if (i)
            buf_add(out, style->comma.p, style->comma.n);
        json_newline(out, style->indent, level + 1);
        json_quoted(out, items[i].key.text, style->ascii);
        buf_add(out, style->colon.p, style->colon.n);
        json_inner(j, out, items[i].value, style, level + 1);
    }
    if (dict->n)
        json_newline(out, style->indent, level);
    buf_add_text(out, "}");
}

static void json_inner(struct jinja *j, struct buf *out, struct jinja_value v, const struct jinja_json_style *style,
                       unsigned level)
{
    if (!fits(j, out) || !jinja_step(j, v.kind == JINJA_TEXT ? v.text.n : 0))
        return;
    switch (v.kind) {
    case JINJA_NONE:
        buf_add_text(out, "null");
        break;
    case JINJA_FLAG:
        buf_add_text(out, v.flag ? "true" : "false");
        break;
    case JINJA_INTEGER:
    case JINJA_REAL:
        jinja_print(j, out, v);
        break;
    case JINJA_TEXT:
        json_quoted(out, v.text, style->ascii);
        break;
    case JINJA_LIST:
    case JINJA_DICT:
        if (jinja_enter(j)) {
            if (v.kind == JINJA_LIST)
                json_list(j, out, v.list, style, level);
            else
                json_dict(j, out, v.dict, style, level);
        }
        j->depth--;
        break;
    default:
        jinja_fail(j, ERR_FORMAT, "%s cannot be written as JSON", jinja_kind_name(v));
    }
}

void jinja_print_json(struct jinja *j, struct buf *out, struct jinja_value v, const struct jinja_json_style *style)
{
    json_inner(j, out, v, style, 0);
}

/* -- strings -- */

bool jinja_is_space(uint32_t c)
{
    return unicode_is_space(c) || (c >= 0x1c && c <= 0x1f);
}

static bool strips(uint32_t c, const struct bytes *set)
{
    if (!set)
        return jinja_is_space(c);
    for (size_t at = 0; at < set->n;) {
        uint32_t s;
        at += unicode_get(set->p + at, set->n - at, &s);
        if (s == c)
            return true;
    }
    return false;
}

struct bytes jinja_strip(struct bytes text, const struct bytes *set, bool left, bool right)
{
    uint32_t c;
    while (left && text.n) {
        size_t n = unicode_get(text.p, text.n, &c);
        if (!strips(c, set))
            break;
        text = bytes_of(text.p + n, text.n - n);
    }
    while (right && text.n) {
        size_t n = 1;
        while (n < 4 && n < text.n && (text.p[text.n - n] & 0xc0) == 0x80)
            n++;
        unicode_get(text.p + text.n - n, n, &c);
        if (!strips(c, set))
            break;
        text.n -= n;
    }
    return text;
}

/* Bytes of the line end that stands at `at`, or 0: what Python's splitlines() knows. */
static size_t line_end(struct bytes text, size_t at)
{
    uint32_t c;
    if (text.p[at] == '\r' && at + 1 < text.n && text.p[at + 1] == '\n')
        return 2;
    size_t n = unicode_get(text.p + at, text.n - at, &c);
    bool ends = (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    return ends ? n : 0;
}

size_t jinja_text_line(struct bytes text, size_t *end)
{
    size_t n = 0;
    *end = 0;
    while (n < text.n && (*end = line_end(text, n)) == 0)
        n++;
    return n;
}

size_t jinja_text_length(struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += (text.p[i] & 0xc0) != 0x80;
    return n;
}

size_t jinja_text_offset(struct bytes text, size_t index)
{
    for (size_t i = 0; i < text.n; i++)
        if ((text.p[i] & 0xc0) != 0x80 && index-- == 0)
            return i;
    return text.n;
}

size_t jinja_text_find(struct bytes text, struct bytes what, size_t from)
{
    if (from > text.n || what.n > text.n - from)
        return SIZE_MAX;
    if (what.n == 0)
        return from;
    const uint8_t *p = memmem(text.p + from, text.n - from, what.p, what.n);
    return p ? (size_t)(p - text.p) : SIZE_MAX;
}

/* At most `count` times, or all if that is negative. An empty `old` stands between all characters. */
struct bytes jinja_text_replace(struct jinja *j, struct bytes text, struct bytes old, struct bytes new, int64_t count)
{
    struct buf out = {0};
    size_t at = 0;
    while (count != 0 && jinja_step(j, 0) && fits(j, &out)) {
        size_t found = jinja_text_find(text, old, at);
        if (found == SIZE_MAX)
            break;
        buf_add(&out, text.p + at, found - at);
        buf_add(&out, new.p, new.n);
        at = found + old.n;
        if (old.n == 0) {
            uint32_t c;
            if (at == text.n)
                break;
            size_t n = unicode_get(text.p + at, text.n - at, &c);
            buf_add(&out, text.p + at, n);
            at += n;
        }
        count -= count > 0;
    }
    buf_add(&out, text.p + at, text.n - at);
    return fits(j, &out) ? jinja_take(j, &out) : (buf_clear(&out), bytes_of(NULL, 0));
}

/* -- time -- */

struct date {
    int64_t year;
    int month, day, weekday, yearday, hour, minute, second; /* month and weekday from 0, Sunday is 0 */
};

/* Gregorian date from days since 1970-01-01, by counting from a March: leap days come last in a year. */
static struct date date_of(int64_t clock_s)
{
    int64_t days = clock_s / 86400, rest = clock_s % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * of_year + 2) / 153; /* from March */
    struct date d = {.year = year_of_era + era * 400 + (month >= 10),
                     .month = (int)((month + 2) % 12),
                     .day = (int)(of_year - (153 * month + 2) / 5 + 1),
                     .weekday = (int)(((days % 7) + 11) % 7),
                     .hour = (int)(rest / 3600),
                     .minute = (int)(rest / 60 % 60),
                     .second = (int)(rest % 60)};
    bool leap = (d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0;
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    d.yearday = before[d.month] + d.day + (leap && d.month > 1);
    return d;
}

static bool print_date(struct buf *out, const struct date *d, char what, bool unpadded)
{
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    const char *two = unpadded ? "%d" : "%02d";
    int hour12 = d->hour % 12 ? d->hour % 12 : 12;
    switch (what) {
    case 'Y':
        buf_add_format(out, "%lld", (long long)d->year);
        return true;
    case 'B':
        buf_add_text(out, months[d->month]);
        return true;
    case 'b':
        buf_add(out, months[d->month], 3);
        return true;
    case 'A':
        buf_add_text(out, days[d->weekday]);
        return true;
    case 'a':
        buf_add(out, days[d->weekday], 3);
        return true;
    case 'p':
        buf_add_text(out, d->hour < 12 ? "AM" : "PM");
        return true;
    case 'j':
        buf_add_format(out, unpadded ? "%d" : "%03d", d->yearday);
        return true;
    case '%':
        buf_add_text(out, "%");
        return true;
    default:
        break;
    }
    const struct {
        char what;
        int value;
    } numbers[] = {{'d', d->day},    {'m', d->month + 1}, {'y', (int)(d->year % 100)}, {'H', d->hour}, {'M', d->minute},
                   {'S', d->second}, {'I', hour12}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].what == what) {
            buf_add_format(out, two, numbers[i].value);
            return true;
        }
    return false;
}

struct bytes jinja_time(struct jinja *j, struct bytes format, int64_t clock_s)
{
    /* Years of four digits. */
    if (clock_s < INT64_C(-30610224000) || clock_s > INT64_C(253402300799)) {
        jinja_fail(j, ERR_RANGE, "the clock shows %lld: years 1000 to 9999 can be written", (long long)clock_s);
        return bytes_of(NULL, 0);
    }
    struct date d = date_of(clock_s);
    struct buf out = {0};
    for (size_t i = 0; i < format.n && jinja_step(j, 0); i++) {
        if (format.p[i] != '%') {
            buf_add(&out, format.p + i, 1);
            continue;
        }
        bool unpadded = i + 1 < format.n && format.p[i + 1] == '-';
        i += unpadded;
        char what = i + 1 < format.n ? (char)format.p[i + 1] : 0;
        if (!print_date(&out, &d, what, unpadded))
            jinja_fail(j, ERR_UNSUPPORTED, "strftime_now with '%%%c'", what ? what : ' ');
        i++;
    }
    return jinja_take(j, &out);
}
