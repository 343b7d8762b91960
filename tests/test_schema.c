/* Schemas: which texts they take, byte by byte; random answers against a validator that shares nothing with them; masks
 * against trying every token; the public JSON test suite. What they refuse is in test_schema_refused.c. */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/grammars.h"
#include "tests/support.h"
#include "tests/validate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- which texts -- */

struct example {
    const char *schema, *good[8], *bad[8];
};

static const struct example examples[] = {
    {"true",
     {"1", "null", "{\"a\":[1, 2],\"a\": {}}", "\"\\ud83d\\ude00\\u00e9\xC3\xA9\"", "-0.5e+10", "[]"},
     {" 1", "1 ", "[1,  2]", "[1 ,2]", "01", "\"\\ud83d\"", "nul", "\"\xC3\""}},
    {"{\"type\":\"string\",\"title\":\"t\"}", {"\"\"", "\"\\\"\\/\\n\""}, {"1", "\"\n\"", "\"\xED\xA0\x80\""}},
    {"{\"type\":[\"integer\",\"null\"]}",
     {"0", "-7", "999999999999999999", "null"},
     {"00", "-0", "1.0", "1e1", "\"\"", "-"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"True", "null", "tru"}},
    {"{\"enum\":[\"a\",\"ab\",1,12,{\"x\":[1]},0.1,null]}",
     {"\"a\"", "\"ab\"", "1", "12", "{\"x\":[1]}", "0.1", "null"},
     {"\"b\"", "2", "{\"x\": [1]}", "0.10", "\"\\u0061\""}},
    {"{\"enum\":[[7,33.33],{\"a\":-0.1,\"b\":[]},0.1]}",
     {"[7,33.33]", "{\"a\":-0.1,\"b\":[]}", "0.1"},
     {"[7, 33.33]", "[7,33.329999999999998]", "{\"a\":-0.1}"}},
    {"{\"const\":\"caf\\u00e9\\n\"}", {"\"caf\xC3\xA9\\n\""}, {"\"caf\"", "\"caf\\u00e9\\n\""}},
    {"{\"enum\":[\"a\",1,2.0],\"type\":\"integer\"}", {"1", "2"}, {"\"a\""}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{},\"c\":{\"type\":\"null\"}},"
     "\"required\":[\"b\"]}",
     {"{\"b\":1}", "{\"a\":1, \"b\":[]}", "{\"a\":1,\"b\": {},\"c\":null}", "{\"b\":1,\"c\":null}"},
     {"{}", "{\"a\":1}", "{\"b\":1,\"a\":1}", "{\"b\":1,}", "{\"b\":1,\"d\":1}", "{ \"b\":1}", "{\"b\":1,\"b\":1}"}},
    {"{\"properties\":{\"ab\":{\"type\":\"null\"},\"a\\u00e9\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":"
     "\"integer\"}}",
     {"{}", "{\"ab\":null}", "{\"ab\":null,\"a\":1,\"abc\":2,\"a\xC3\xAA\":3}", "{\"\":1}", "{\"b\":1, \"c\":2}"},
     {"{\"ab\":1}", "{\"a\xC3\xA9\":1}", "{\"a\":null}", "{\"a\":1,\"ab\":null}", "{\"a\\u0062\":1}"}},
    {"{\"type\":\"object\",\"properties\":{}}", {"{}"}, {"{\"a\":1}"}},
    {"{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":2}",
     {"{\"a\":1}", "{\"a\":1,\"b\":2}"},
     {"{}", "{\"a\":1,\"b\":2,\"c\":3}"}},
    {"{\"required\":[\"z\"],\"properties\":{\"a\":{\"type\":\"null\"}}}",
     {"{\"z\":1}", "{\"a\":null,\"z\":[]}"},
     {"{}", "{\"a\":null}"}},
    {"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}",
     {"[1]", "[1,2, 3]"},
     {"[]", "[1,2,3,4]", "[\"\"]", "[1,]"}},
    {"{\"prefixItems\":[{\"type\":\"null\"},{\"type\":\"integer\"}],\"minItems\":1}",
     {"[null]", "[null, 1]"},
     {"[]", "[1]", "[null,1,1]"}},
    {"{\"prefixItems\":[{\"type\":\"null\"}],\"items\":{\"type\":\"boolean\"},\"minItems\":3,\"maxItems\":4}",
     {"[null,true,false]", "[null,true,false,true]"},
     {"[null,true]", "[null,true,false,true,true]", "[true,true,true]"}},
    {"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":2}]}",
     {"12", "\"ab\"", "\"\""},
     {"\"abc\"", "null"}},
    {"{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}},\"required\":[\"k\"],\"oneOf\":[{"
     "\"properties\":{\"k\":{\"const\":\"x\"},"
     "\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]},{\"properties\":{\"k\":{\"const\":\"y\"}}}]}",
     {"{\"k\":\"x\",\"n\":1}", "{\"k\":\"y\"}"},
     {"{\"k\":\"x\"}", "{\"k\":\"z\"}", "{\"k\":\"y\",\"n\":1}"}},
    {"{\"allOf\":[{\"$ref\":\"#/$defs/"
     "a\"},{\"properties\":{\"y\":{\"type\":\"integer\"}},\"required\":[\"y\"]}],\"$defs\":{\"a\":{\"type\":"
     "\"object\",\"properties\":{\"x\":{\"type\":\"null\"}}}}}",
     {"{\"x\":null,\"y\":1}", "{\"y\":1}"},
     {"{}", "{\"x\":null}", "{\"y\":1,\"x\":null}"}},
    {"{\"$ref\":\"#/definitions/"
     "node\",\"definitions\":{\"node\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":"
     "{\"anyOf\":[{\"$ref\":\"#/definitions/node\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}}}",
     {"{\"v\":1,\"next\":null}", "{\"v\":1, \"next\": {\"v\":2,\"next\":{\"v\":3,\"next\":null}}}"},
     {"{\"v\":1,\"next\":{}}", "{\"v\":1}", "null"}},
    {"{\"nullable\":true,\"allOf\":[{\"type\":\"integer\"}]}", {"1", "null"}, {"\"\"", "1.5"}},
    {"{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"string\",\"nullable\":true}}}", {"null", "\"x\""}, {"1"}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"\xC3\xA9\xF0\x9F\x98\x80\\n\"", "\"\\ud83d\\ude00x\""},
     {"\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\""}},
    {"{\"pattern\":\"^(a|b)+[0-9]{2,3}x?$\"}",
     {"\"a12\"", "\"abba123x\""},
     {"\"12\"", "\"a1\"", "\"a12xx\"", "\"a1234\""}},
    {"{\"pattern\":\"b\"}", {"\"b\"", "\"aab\\n\xC3\xA9\""}, {"\"a\"", "\"\""}},
    {"{\"pattern\":\"^\\\\w+\\\\s\\\\\\\\[^a-z\\\"]\\\\u00e9.$\"}",
     {"\"a_9 \\\\A\xC3\xA9?\"", "\"a\\t\\\\\xE2\x82\xAC\xC3\xA9\\\"\""},
     {"\"a \\\\b\xC3\xA9?\"", "\"a \\\\\\\"\xC3\xA9?\"", "\"a \\\\A\xC3\xA9\\n\""}},
    {"{\"pattern\":\"^a$|^b\"}", {"\"a\"", "\"b\"", "\"bcd\""}, {"\"ab\"", "\"cb\""}},
    {"{\"pattern\":\"^(?:ab*){0}c*?$\"}", {"\"\"", "\"ccc\""}, {"\"ab\""}},
    {"{\"format\":\"date\"}",
     {"\"2024-02-29\"", "\"2000-02-29\"", "\"2026-12-31\""},
     {"\"2023-02-29\"", "\"1900-02-29\"", "\"2026-04-31\"", "\"2026-13-01\""}},
    {"{\"format\":\"date-time\"}",
     {"\"2026-07-29T23:59:59Z\"", "\"2026-07-29T00:00:00.123+05:30\""},
     {"\"2026-07-29 00:00:00Z\"", "\"2026-07-29T24:00:00Z\""}},
    {"{\"format\":\"uuid\"}", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567e89b12d3a456426614174000\""}},
    {"{\"format\":\"duration\"}", {"\"P3W\"", "\"P1Y2M3DT4H\"", "\"PT1M\""}, {"\"P\"", "\"PT\"", "\"P1H\""}},
    {"{\"format\":\"ipv4\"}", {"\"0.0.0.0\"", "\"255.1.20.199\""}, {"\"256.0.0.0\"", "\"1.2.3\"", "\"01.2.3.4\""}},
    {"{\"format\":\"ipv6\"}",
     {"\"::\"", "\"::1\"", "\"fe80::1:2\"", "\"1:2:3:4:5:6:7:8\""},
     {"\"1:2:3\"", "\"1::2::3\"", "\":::\""}},
    {"{\"format\":\"email\"}", {"\"a.b@example.org\""}, {"\"a@b\"", "\"@example.org\"", "\"a@-x.org\""}},
    {"{\"type\":\"number\"}", {"0", "-0", "1.50", "1e5", "1E-05"}, {"1e100", ".5", "1.", "+1", "1e"}},
    {"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
     {"0", "1", "0.5", "0.0", "1.000", "0.999999999999999999"},
     {"1.1", "-0", "-0.0", "2", "1.01", "1e0"}},
};

static void texts_are_taken_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        const struct example *e = &examples[i];
        struct grammar *g = grammar_compiled(e->schema);
        for (unsigned k = 0; k < 8 && e->good[k]; k++)
            if (!grammar_takes(g, bytes_of_text(e->good[k])))
                fail_msg("%s does not take %s", e->schema, e->good[k]);
        for (unsigned k = 0; k < 8 && e->bad[k]; k++)
            if (grammar_takes(g, bytes_of_text(e->bad[k])))
                fail_msg("%s takes %s", e->schema, e->bad[k]);
        grammar_free(g);
    }
}

/* -- numbers, all of a range -- */

static void check_range(const char *type, double min, double max, bool exclusive, int digits, double step)
{
    char schema[200], text[64];
    snprintf(schema, sizeof schema, "{\"type\":\"%s\",\"%s\":%.6g,\"%s\":%.6g}", type,
             exclusive ? "exclusiveMinimum" : "minimum", min, exclusive ? "exclusiveMaximum" : "maximum", max);
    struct grammar *g = grammar_compiled(schema);
    int from = (int)(min / step) - 200, to = (int)(max / step) + 200;
    for (int i = from; i <= to; i++) {
        double x = i * step;
        snprintf(text, sizeof text, "%.*f", digits, x);
        x = strtod(text, NULL);
        bool in = exclusive ? x > min && x < max : x >= min && x <= max;
        if (*text == '-' && x == 0)
            in = false;
        if (grammar_takes(g, bytes_of_text(text)) != in)
            fail_msg("%s and %s: %d is wrong", schema, text, !in);
    }
    grammar_free(g);
}

static void numbers_keep_to_their_bounds(void **state)
{
    (void)state;
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        check_range("integer", -13, 205, exclusive, 0, 1);
        check_range("integer", 0, 99, exclusive, 0, 1);
        check_range("integer", 7, 7 + exclusive * 2, exclusive, 0, 1);
        check_range("integer", -1000, -98, exclusive, 0, 1);
        check_range("integer", 995, 10012, exclusive, 0, 1);
        check_range("integer", 0.5, 3.5, exclusive, 0, 1);
        check_range("number", 0.25, 1.5, exclusive, 3, 0.001);
        check_range("number", -1.75, 0.125, exclusive, 2, 0.01);
        check_range("number", -3, -2.5, exclusive, 1, 0.1);
        check_range("number", 9.99, 100.01, exclusive, 2, 0.01);
    }
    struct grammar *g =
        grammar_compiled("{\"minimum\":-9223372036854775808,\"maximum\":9223372036854775807,\"type\":\"integer\"}");
    assert_true(grammar_takes(g, bytes_of_text("9223372036854775807")));
    assert_true(grammar_takes(g, bytes_of_text("-9223372036854775808")));
    assert_false(grammar_takes(g, bytes_of_text("9223372036854775808")));
    assert_false(grammar_takes(g, bytes_of_text("-9223372036854775809")));
    grammar_free(g);
}

/* -- random answers -- */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

/* Every byte, and pieces as vocabularies have them. */
static const char *const pieces[] = {"{\"", "\":",      "\": ",     "\", \"", "\",\"", "},",     "}]",         "[{",
                                     "\"}", "true",     "false",    "null",   "10",    "25",     "-1",         "0.",
                                     "e+",  "\xC3\xA9", "\xF0\x9F", "\xA9x",  "\\u00", "\\n",    "\\ud83d\\u", "ab",
                                     "abc", "a",        "a",        " the",   "the",   "202",    "6-0",        ": [",
                                     "[]",  "{}",       ", ",       "name",   "\"na",  "\"v\":", "next",       "null}"};
#define PIECES (sizeof pieces / sizeof *pieces)
#define VOCAB  (256 + PIECES)

static struct trie *small_vocabulary(struct buf *text, uint32_t *starts)
{
    for (uint32_t i = 0; i < VOCAB; i++) {
        const uint8_t byte = (uint8_t)i;
        starts[i] = (uint32_t)text->n;
        if (i < 256)
            buf_add(text, &byte, 1);
        else
            buf_add_text(text, pieces[i - 256]);
    }
    starts[VOCAB] = (uint32_t)text->n;
    return trie_new(text, starts, VOCAB);
}

static bool has_bit(const uint32_t *bits, uint32_t i)
{
    return bits[i / 32] >> i % 32 & 1;
}

/* One that is allowed; after a while one that comes nearer to an end. */
static int pick(const uint32_t *bits, unsigned step)
{
    static const char closers[] = "\"}]0,:";
    if (step > 60)
        for (const char *c = closers; *c; c++)
            if (has_bit(bits, (uint8_t)*c) && draw(2))
                return (uint8_t)*c;
    uint32_t from = draw(3) ? draw(256) : 256 + draw(PIECES);
    for (uint32_t i = 0; i < VOCAB; i++)
        if (has_bit(bits, (from + i) % VOCAB))
            return (int)((from + i) % VOCAB);
    return -1;
}

/* Every token tried by itself on a fresh matcher. */
static void check_mask(const struct grammar *g, const uint32_t *bits, const struct buf *answer, const struct buf *text,
                       const uint32_t *starts)
{
    for (uint32_t i = 0; i < VOCAB; i++) {
        struct matcher *m = matcher_new(g);
        assert_true(matcher_take(m, bytes_of_buf(answer)));
        if (matcher_take(m, bytes_of(text->p + starts[i], starts[i + 1] - starts[i])) != has_bit(bits, i))
            fail_msg("token %u after %.*s", i, (int)answer->n, (const char *)answer->p);
        matcher_free(m);
    }
}

static void answer(const struct grammar *g, struct matcher *m, const struct trie *t, const struct buf *text,
                   const uint32_t *starts, struct buf *out)
{
    uint32_t bits[VOCAB / 32 + 1];
    for (unsigned step = 0; step < 20000; step++) {
        assert_true(matcher_mask(m, t, bits));
        if (step < 40 && draw(100) == 0)
            check_mask(g, bits, out, text, starts);
        if (matcher_is_complete(m) && (!matcher_goes_on(m) || draw(4) == 0))
            return;
        int token = pick(bits, step);
        assert_true(token >= 0); /* what was begun can be ended */
        struct bytes piece = bytes_of(text->p + starts[token], starts[token + 1] - starts[token]);
        assert_true(matcher_take(m, piece));
        buf_add(out, piece.p, piece.n);
    }
    fail_msg("no end: %.*s", 200, (const char *)out->p);
}

static void answer_often(const char *schema, unsigned times)
{
    uint32_t starts[VOCAB + 1];
    struct buf text = {0}, out = {0};
    struct trie *t = small_vocabulary(&text, starts);
    struct grammar *g = grammar_compiled(schema);
    json_t *root = json_parse(bytes_of_text(schema), NULL);
    random_state = 20260729;
    for (unsigned i = 0; i < times; i++) {
        json_error_t error;
        struct matcher *m = matcher_new(g);
        buf_reset(&out);
        answer(g, m, t, &text, starts, &out);
        json_t *v = json_loadb((const char *)out.p, out.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!v && !strstr(error.text, "NUL byte in object key")) /* which jansson alone does not read */
            fail_msg("%s: %.*s: %s", schema, (int)out.n, (const char *)out.p, error.text);
        if (v && !validate(root, root, v))
            fail_msg("%s: %.*s does not satisfy it", schema, (int)out.n, (const char *)out.p);
        json_decref(v);
        matcher_free(m);
    }
    json_decref(root);
    grammar_free(g);
    trie_free(t);
    buf_clear(&text);
    buf_clear(&out);
}

static void random_answers_satisfy(void **state)
{
    (void)state;
    static const char *const more[] = {
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":12},\"age\":{"
        "\"type\":\"integer\",\"minimum\":0,"
        "\"maximum\":130},\"score\":{\"type\":\"number\",\"minimum\":-0.5,\"exclusiveMaximum\":10},\"tags\":{\"type\":"
        "\"array\",\"items\":{\"enum\":[\"ab\",\"abc\","
        "\"x\"]},\"maxItems\":4}},\"required\":[\"name\",\"score\"],\"additionalProperties\":{\"type\":\"integer\"}}",
        "{\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"type\":"
        "\"array\",\"items\":{\"$ref\":\"#/$defs/t\"},"
        "\"maxItems\":3}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/t\"}",
        "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"type\":\"string\"}},"
        "\"required\":[\"a\"]},{\"type\":\"object\",\"properties\":"
        "{\"a\":{\"const\":10},\"c\":{\"type\":\"null\"}},\"required\":[\"a\",\"c\"]},{\"type\":\"null\"}]}",
        "{\"allOf\":[{\"type\":[\"integer\",\"string\"],\"minimum\":3},{\"maximum\":40,\"maxLength\":3},{\"minLength\":"
        "2}]}",
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\",\"prefixItems\":[{\"type\":\"boolean\"},{"
        "\"type\":\"number\"}],\"minItems\":2},"
        "\"minProperties\":2}",
        "{\"pattern\":\"^(ab|a[0-9]{2})*-[g-z!]?$\",\"type\":\"string\"}",
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        if (!strchr(examples[i].schema, '\\') && !strstr(examples[i].schema, "(?")) /* POSIX has neither */
            answer_often(examples[i].schema, 40);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        answer_often(more[i], 200);
}

/* -- forgetting and limits -- */

/* Many counters and readings, so that the tables overflow many times. */
static void a_full_cache_changes_nothing(void **state)
{
    (void)state;
    uint32_t starts[VOCAB + 1], bits[VOCAB / 32 + 1], again[VOCAB / 32 + 1];
    struct buf text = {0};
    struct trie *t = small_vocabulary(&text, starts);
    struct grammar *g = grammar_compiled("{\"type\":\"string\",\"pattern\":\"^(?:[a-e]|ab|abc)*a[a-e]{200}x$\"}");
    struct matcher *m = matcher_new(g);
    struct buf so_far = {0};
    random_state = 5;
    assert_true(matcher_take(m, bytes_of("\"", 1)));
    buf_add_text(&so_far, "\"");
    for (unsigned i = 0; i < 12000; i++) {
        const char c = (char)('a' + (draw(2) ? 0 : draw(5)));
        assert_true(matcher_take(m, bytes_of(&c, 1)));
        buf_add(&so_far, &c, 1);
        if (i % 1999 == 0) {
            assert_true(matcher_mask(m, t, bits));
            struct matcher *fresh = matcher_new(g);
            assert_true(matcher_take(fresh, bytes_of_buf(&so_far)));
            assert_true(matcher_mask(fresh, t, again));
            assert_memory_equal(bits, again, sizeof bits - 4);
            matcher_free(fresh);
        }
    }
    matcher_free(m);
    grammar_free(g);
    trie_free(t);
    buf_clear(&text);
    buf_clear(&so_far);
}

/* A mask that would cost too much is empty, asked once or again, by one who has read all or starts there. */
static void a_mask_has_a_bound(void **state)
{
    (void)state;
    enum { DEEP = 6, TOKENS = 15625 };
    uint32_t *starts = mem_array(TOKENS + 1, sizeof *starts), *bits = mem_array(TOKENS / 32 + 1, sizeof *bits);
    struct buf text = {0}, so_far = {0};
    for (uint32_t i = 0; i < TOKENS; i++)
        for (uint32_t k = 0, rest = i; k < DEEP; k++, rest /= 5) {
            const char c = (char)('a' + rest % 5);
            buf_add(&text, &c, 1);
            starts[i + 1] = (uint32_t)text.n;
        }
    struct trie *t = trie_new(&text, starts, TOKENS);
    struct grammar *g =
        grammar_compiled("{\"pattern\":\"^(?:[a-e]{0,900}a[a-e]{900}|[a-e]{0,900}b[a-e]{901}|[a-e]{0,900}c[a-e]{902}|"
                         "[a-e]{0,900}d[a-e]{903})$\"}");
    struct matcher *m = matcher_new(g);
    random_state = 9;
    buf_add_text(&so_far, "\"");
    for (unsigned i = 0; i < 850; i++) {
        const char c = (char)('a' + draw(5));
        buf_add(&so_far, &c, 1);
    }
    assert_true(matcher_take(m, bytes_of(so_far.p, 2)));
    assert_true(matcher_mask(m, t, bits)); /* few readings yet */
    assert_int_equal(bits[0], UINT32_MAX);
    assert_true(matcher_take(m, bytes_of(so_far.p + 2, so_far.n - 2)));
    for (unsigned i = 0; i < 2; i++) {
        assert_false(matcher_mask(m, t, bits));
        for (unsigned k = 0; k < TOKENS / 32 + 1; k++)
            assert_int_equal(bits[k], 0);
        matcher_free(i == 0 ? NULL : m);
    }
    m = matcher_new(g);
    assert_true(matcher_take(m, bytes_of_buf(&so_far)));
    assert_false(matcher_mask(m, t, bits));
    matcher_free(m);
    grammar_free(g);
    trie_free(t);
    free(starts);
    free(bits);
    buf_clear(&text);
    buf_clear(&so_far);
}

static void optional_properties_up_to_the_bound(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_text(&b, "{\"properties\":{");
    for (unsigned i = 0; i < SCHEMA_PROPERTIES_MAX; i++)
        buf_add_format(&b, "%s\"p%u\":true", i ? "," : "", i);
    buf_add_text(&b, "}}");
    struct grammar *g = grammar_compiled(buf_text(&b));
    assert_true(grammar_takes(g, bytes_of_text("{}")));
    assert_true(grammar_takes(g, bytes_of_text("{\"p999\":1}")));
    assert_true(grammar_takes(g, bytes_of_text("{\"p0\":1,\"p500\": 2, \"p999\":3}")));
    assert_false(grammar_takes(g, bytes_of_text("{\"p500\":1,\"p0\":2}")));
    grammar_free(g);
    buf_clear(&b);
}

/* -- the public suite -- */

/* Without the white space that our texts never have: all of it outside strings. */
static void squeeze(const struct buf *in, struct buf *out)
{
    bool inside = false;
    for (size_t i = 0; i < in->n; i++) {
        uint8_t c = in->p[i];
        if (inside && c == '\\' && i + 1 < in->n) {
            buf_add(out, in->p + i++, 2);
            continue;
        }
        if (c == '"')
            inside = !inside;
        if (inside || !strchr(" \t\n\r", c) || c == 0)
            buf_add(out, &c, 1);
    }
}

static void the_json_suite(void **state)
{
    (void)state;
    TEST_NEEDS(found, "vectors/json");
    char *dir_path = mem_string(found);
    DIR *dir = opendir(dir_path);
    assert_non_null(dir);
    struct grammar *g = grammar_compiled("true");
    unsigned good = 0, bad = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct buf path = {0}, content = {0}, text = {0};
        buf_add_format(&path, "%s/%s", dir_path, entry->d_name);
        bool yes = strncmp(entry->d_name, "y_", 2) == 0, no = strncmp(entry->d_name, "n_", 2) == 0;
        if ((yes || no) && file_read(buf_text(&path), 1 << 20, &content, NULL) == ERR_OK) {
            squeeze(&content, &text);
            /* 78 digits behind the point are more than we write */
            bool want = yes && !strstr(entry->d_name, "double_close_to_zero");
            if (yes && grammar_takes(g, bytes_of_buf(&text)) != want)
                fail_msg("%s", entry->d_name);
            if (no && grammar_takes(g, bytes_of_buf(&content)))
                fail_msg("%s", entry->d_name);
            good += yes;
            bad += no;
        }
        buf_clear(&path);
        buf_clear(&content);
        buf_clear(&text);
    }
    assert_in_range(good, 90, 100);
    assert_in_range(bad, 180, 200);
    closedir(dir);
    free(dir_path);
    grammar_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_taken_or_not), cmocka_unit_test(numbers_keep_to_their_bounds),
        cmocka_unit_test(random_answers_satisfy), cmocka_unit_test(a_full_cache_changes_nothing),
        cmocka_unit_test(a_mask_has_a_bound),     cmocka_unit_test(optional_properties_up_to_the_bound),
        cmocka_unit_test(the_json_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
