/* Parsing of options: a word is looked up, its value checked by its type, and both are kept as text. */
#include "cli/args.h"

#include "base/bytes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec *find_in(const struct option_spec *table, const char *name, size_t n)
{
    for (; table && table->name; table++)
        if (strlen(table->name) == n && memcmp(table->name, name, n) == 0)
            return table;
    return NULL;
}

static const struct option_spec *find_letter(const struct option_spec *table, char letter)
{
    for (; table && table->name; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

static const struct option_spec *find(const struct args *a, const char *name)
{
    const struct option_spec *spec = find_in(a->tables[0], name, strlen(name));
    return spec ? spec : find_in(a->tables[1], name, strlen(name));
}

/* A word that begins with a dash and is more than one; "-" alone stands for standard input, "-5" for a number that
 * whoever reads it refuses. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9');
}

/* Finds the option of a word and, for `--name=value`, its value. */
static const struct option_spec *option_of(const struct option_spec *const tables[2], const char *word,
                                           const char **value)
{
    *value = NULL;
    for (int t = 0; t < 2; t++) {
        const struct option_spec *spec;
        if (word[1] == '-') {
            size_t n = strcspn(word + 2, "=");
            spec = find_in(tables[t], word + 2, n);
            if (spec && word[2 + n] == '=')
                *value = word + 2 + n + 1;
        } else
            spec = word[2] ? NULL : find_letter(tables[t], word[1]);
        if (spec)
            return spec;
    }
    return NULL;
}

static bool is_digits(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

static bool parse_count(const char *text, uint64_t *out)
{
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return is_digits(text) && errno == 0;
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    if (!*text || strspn(text, "0123456789.+-eE") != strlen(text))
        return false;
    *out = strtod(text, &end);
    return *end == 0 && isfinite(*out);
}

static bool is_bounded(const struct option_spec *spec)
{
    return spec->least != 0 || spec->most != 0;
}

static enum err check_number(const struct option_spec *spec, const char *text, struct note *note)
{
    uint64_t count = 0;
    double v = 0, most = spec->most;
    bool whole = spec->type == OPTION_COUNT;
    if (whole ? !is_digits(text) : !parse_real(text, &v))
        return note_set(note, ERR_USAGE, "--%s \"%.40s\" is not a %s", spec->name, text,
                        whole ? "whole number" : "number");
    if (!is_bounded(spec))
        most = whole ? (double)UINT64_MAX : HUGE_VAL;
    bool fits = !whole || parse_count(text, &count);
    if (whole)
        v = (double)count;
    if (!fits || v < spec->least || v > most)
        return note_set(note, ERR_USAGE, "--%s %.40s is out of range: %.9g to %.9g", spec->name, text, spec->least,
                        most);
    return ERR_OK;
}

static enum err check_value(const struct option_spec *spec, const char *text, struct note *note)
{
    struct note inner = {{0}};
    struct amount amount;
    uint8_t hex[32];
    switch (spec->type) {
    case OPTION_COUNT:
    case OPTION_REAL:
        return check_number(spec, text, note);
    case OPTION_AMOUNT:
        if (amount_parse(text, &amount, &inner) != ERR_OK)
            return note_set(note, ERR_USAGE, "--%s %.250s", spec->name, inner.text);
        return ERR_OK;
    case OPTION_HEX32:
        if (strlen(text) != 64 || !hex_get(text, hex, sizeof hex))
            return note_set(note, ERR_USAGE, "--%s \"%.70s\" is not 64 hexadecimal digits", spec->name, text);
        return ERR_OK;
    case OPTION_FLAG:
    case OPTION_TEXT:
        break;
    }
    return ERR_OK;
}

static enum err unknown(const struct args *a, const char *word, struct note *note)
{
    const char *best = NULL;
    unsigned least = 3; /* two letters wrong are still a slip, three another word */
    const char *name = word + strspn(word, "-");
    for (int t = 0; t < 2; t++)
        for (const struct option_spec *s = a->tables[t]; s && s->name; s++)
            if (text_distance(s->name, name) < least) {
                least = text_distance(s->name, name);
                best = s->name;
            }
    if (best)
        return note_set(note, ERR_USAGE, "unknown option %.60s: did you mean --%s?", word, best);
    return note_set(note, ERR_USAGE, "unknown option %.60s", word);
}

/* Takes the option at argv[*i] with its value; *i is left on the last word used. */
static enum err take_option(struct args *a, int argc, char *const *argv, int *i, struct note *note)
{
    const char *value;
    const struct option_spec *spec = option_of(a->tables, argv[*i], &value);
    if (!spec)
        return unknown(a, argv[*i], note);
    if (spec->type == OPTION_FLAG) {
        if (value)
            return note_set(note, ERR_USAGE, "--%s takes no value, but \"%.40s\" was given", spec->name, value);
    } else if (!value) {
        const char *next = *i + 1 < argc ? argv[*i + 1] : NULL, *ignored;
        if (!next || (is_option(next) && option_of(a->tables, next, &ignored)))
            return note_set(note, ERR_USAGE, "--%s needs a value: %s", spec->name, spec->value);
        value = argv[++*i];
    }
    enum err e = check_value(spec, value, note);
    if (e != ERR_OK)
        return e;
    for (unsigned k = 0; k < a->given_n && !spec->many && spec->type != OPTION_FLAG; k++)
        if (a->given[k].spec == spec)
            return note_set(note, ERR_USAGE, "--%s is given twice: \"%.40s\" and \"%.40s\"", spec->name,
                            a->given[k].text, value);
    if (a->given_n == ARGS_MAX)
        return note_set(note, ERR_USAGE, "more than %d options", ARGS_MAX);
    a->given[a->given_n].spec = spec;
    a->given[a->given_n++].text = value;
    return ERR_OK;
}

enum err args_parse(struct args *a, const struct option_spec *table, const struct option_spec *more, int argc,
                    char *const *argv, struct note *note)
{
    *a = (struct args){.tables = {table, more}};
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && is_option(argv[i])) {
            enum err e = take_option(a, argc, argv, &i, note);
            if (e != ERR_OK)
                return e;
        } else if (a->words_n == ARGS_MAX)
            return note_set(note, ERR_USAGE, "more than %d words", ARGS_MAX);
        else
            a->words[a->words_n++] = argv[i];
    }
    return ERR_OK;
}

int args_next_word(const struct option_spec *table, int argc, char *const *argv, int from)
{
    const struct option_spec *const tables[2] = {table, NULL};
    for (int i = from; i < argc; i++) {
        const char *value;
        if (!is_option(argv[i]))
            return i;
        const struct option_spec *spec = option_of(tables, argv[i], &value);
        if (!spec)
            return argc;
        if (spec->type != OPTION_FLAG && !value)
            i++;
    }
    return argc;
}

bool args_has(const struct args *a, const char *name)
{
    return args_nth(a, name, 0) != NULL;
}

const char *args_nth(const struct args *a, const char *name, unsigned i)
{
    const struct option_spec *spec = find(a, name);
    CHECK(spec);
    for (unsigned k = 0; k < a->given_n; k++)
        if (a->given[k].spec == spec && i-- == 0)
            return spec->type == OPTION_FLAG ? "" : a->given[k].text;
    return NULL;
}

const char *args_text(const struct args *a, const char *name)
{
    const struct option_spec *spec = find(a, name);
    CHECK(spec && spec->type != OPTION_FLAG);
    const char *text = spec->preset;
    for (unsigned k = 0; k < a->given_n; k++)
        if (a->given[k].spec == spec)
            text = a->given[k].text;
    return text;
}

uint64_t args_count(const struct args *a, const char *name)
{
    uint64_t v = 0;
    const char *text = args_text(a, name);
    CHECK(text && parse_count(text, &v));
    return v;
}

double args_real(const struct args *a, const char *name)
{
    double v = 0;
    const char *text = args_text(a, name);
    CHECK(text && parse_real(text, &v));
    return v;
}

struct amount args_amount(const struct args *a, const char *name)
{
    struct amount v = {0};
    const char *text = args_text(a, name);
    CHECK(text && amount_parse(text, &v, NULL) == ERR_OK);
    return v;
}

void args_hex32(const struct args *a, const char *name, uint8_t out[32])
{
    const char *text = args_text(a, name);
    CHECK(text && hex_get(text, out, 32));
}

const char *args_word(const struct args *a, unsigned i)
{
    return i < a->words_n ? a->words[i] : NULL;
}

bool args_duration(const char *text, uint64_t *ms)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    const uint64_t most_ms = 366 * units[3].ms;
    size_t n = strspn(text, "0123456789");
    uint64_t v = strtoull(text, NULL, 10);
    if (n == 0 || n > 8 || v == 0 || strlen(text) != n + 1)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (text[n] == units[i].unit && v <= most_ms / units[i].ms) {
            *ms = v * units[i].ms;
            return true;
        }
    return false;
}
