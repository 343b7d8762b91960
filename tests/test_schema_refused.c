/* Schemas that are refused, and with which word; forms, sizes and depths up to their bounds. */
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/grammars.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_refused(const char *schema, enum err e, const char *word)
{
    struct note note = {{0}};
    struct grammar *g = NULL;
    enum err got = schema_compile(bytes_of_text(schema), &g, &note);
    if (got != e || !strstr(note.text, word))
        fail_msg("%.100s: error %d \"%s\", not %d with %s", schema, got, note.text, e, word);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    static const char *const unsupported[][2] = {
        {"{\"not\":{}}", "\"not\""},
        {"{\"multipleOf\":2}", "\"multipleOf\""},
        {"{\"patternProperties\":{}}", "\"patternProperties\""},
        {"{\"type\":\"array\",\"uniqueItems\":true}", "\"uniqueItems\""},
        {"{\"properties\":{\"a\":{\"contains\":{}}}}", "\"contains\""},
        {"{\"unevaluatedProperties\":false}", "\"unevaluatedProperties\""},
        {"{\"type\":\"strin\"}", "\"type\""},
        {"{\"type\":[]}", "\"type\""},
        {"{\"format\":\"regex\"}", "regex"},
        {"{\"pattern\":\"(?=a)b\"}", "(?:"},
        {"{\"pattern\":\"a\\\\b\"}", "escapes"},
        {"{\"pattern\":\"(a)\\\\1\"}", "escapes"},
        {"{\"pattern\":\"(a\"}", "( without )"},
        {"{\"pattern\":\"a)\"}", ") without ("},
        {"{\"pattern\":\"[b-a]\"}", "range"},
        {"{\"pattern\":\"[a\"}", "[ without ]"},
        {"{\"pattern\":\"a{2,1}\"}", "{n,m}"},
        {"{\"pattern\":\"a{1001}\"}", "1000"},
        {"{\"pattern\":\"a**\"}", "two repetitions"},
        {"{\"pattern\":\"*\"}", "backslash"},
        {"{\"pattern\":\"(^a)\"}", "backslash"},
        {"{\"pattern\":\"\\\\\"}", "ends with a backslash"},
        {"{\"pattern\":\"\\\\ud83d\"}", "half a character"},
        {"{\"pattern\":\"a\",\"maxLength\":3}", "only one of"},
        {"{\"$ref\":\"http://example.org/x\"}", "\"$ref\""},
        {"{\"$ref\":\"#/$defs/x\"}", "#/$defs/x"},
        {"{\"items\":[{}]}", "\"items\""},
        {"{\"minItems\":-1}", "\"minItems\""},
        {"{\"minLength\":\"3\"}", "\"minLength\""},
        {"{\"minimum\":\"3\"}", "\"minimum\""},
        {"{\"minimum\":1e-30}", "too many digits"},
        {"{\"properties\":{\"a\":3}}", "object, true or false"},
        {"{\"properties\":[]}", "\"properties\""},
        {"{\"required\":\"a\"}", "\"required\""},
        {"{\"enum\":3}", "\"enum\""},
        {"{\"enum\":[\"a\"],\"minLength\":2}", "\"enum\""},
        {"{\"enum\":[1,500],\"type\":\"integer\",\"maximum\":5}", "\"enum\""},
        {"{\"allOf\":[{\"const\":9},{\"type\":\"integer\",\"maximum\":5}]}", "\"enum\""},
        {"{\"anyOf\":[]}", "\"anyOf\""},
        {"{\"allOf\":{}}", "\"allOf\""},
        {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", "\"pattern\""},
        {"{\"properties\":{\"a\":{}},\"maxProperties\":3}", "\"maxProperties\""},
        {"3", "object, true or false"},
    };
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        struct buf text = {0};
        json_t *v = json_parse(bytes_of_text(unsupported[i][0]), NULL);
        assert_non_null(v);
        json_print(&text, v);
        assert_refused(buf_text(&text), ERR_UNSUPPORTED, unsupported[i][1]);
        buf_clear(&text);
        json_decref(v);
    }
}

static void what_nothing_satisfies_is_refused(void **state)
{
    (void)state;
    assert_refused("false", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"enum\":[]}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"$ref\":\"#\"}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"anyOf\":[{\"$ref\":\"#\"}]}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"minItems\":3,\"maxItems\":2}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"minLength\":3,\"maxLength\":2}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"minimum\":3,\"maximum\":2}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"type\":\"integer\",\"exclusiveMinimum\":1,\"exclusiveMaximum\":2}", ERR_RANGE,
                   "nothing satisfies");
    assert_refused("{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"required\":[\"a\"],\"additionalProperties\":false}", ERR_RANGE, "nothing satisfies");
    assert_refused("{\"pattern\":\"^[]$\"}", ERR_RANGE, "nothing satisfies");
}

static void form_and_size_are_checked(void **state)
{
    (void)state;
    assert_refused("{\"type\" :\"null\"}", ERR_FORMAT, "canonical");
    assert_refused("{\"type\":", ERR_FORMAT, "not JSON");
    assert_refused("", ERR_FORMAT, "not JSON");
    assert_refused("{\"$ref\":\"#/$defs/a\",\"x-a\":1,\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"}]}}}",
                   ERR_LIMIT, "circle");
    struct buf b = {0};
    for (unsigned i = 0; i < SCHEMA_DEPTH_MAX + 1; i++)
        buf_add_text(&b, "{\"not\":");
    buf_add_text(&b, "{}");
    for (unsigned i = 0; i < SCHEMA_DEPTH_MAX + 1; i++)
        buf_add_text(&b, "}");
    assert_refused(buf_text(&b), ERR_LIMIT, "nested");
    buf_reset(&b);
    buf_add_text(&b, "{\"title\":\"");
    while (b.n <= SCHEMA_BYTES_MAX)
        buf_add_text(&b, "0123456789abcdef");
    buf_add_text(&b, "\"}");
    assert_refused(buf_text(&b), ERR_LIMIT, "bytes");
    buf_reset(&b);
    buf_add_text(&b, "{\"pattern\":\"((((a{1000}){1000}){1000}){1000})\"}");
    assert_refused(buf_text(&b), ERR_LIMIT, "pattern");
    buf_reset(&b);
    buf_add_text(&b, "{\"pattern\":\"(((((){1000}){1000}){1000}){1000})\"}");
    assert_refused(buf_text(&b), ERR_LIMIT, "pattern");
    buf_reset(&b);
    buf_add_text(&b, "{\"properties\":{");
    for (unsigned i = 0; i <= SCHEMA_PROPERTIES_MAX; i++)
        buf_add_format(&b, "%s\"p%u\":true", i ? "," : "", i);
    buf_add_text(&b, "}}");
    assert_refused(buf_text(&b), ERR_LIMIT, "properties");
    buf_clear(&b);
}

/* As deep as it goes, but never where it could not be closed. */
static void depth_ends_in_what_can_be_closed(void **state)
{
    (void)state;
    struct grammar *g = grammar_compiled("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"minItems\":0}");
    struct matcher *m = matcher_new(g);
    unsigned depth = 0;
    while (matcher_take(m, bytes_of("[", 1)))
        depth++;
    assert_in_range(depth, GRAMMAR_DEPTH_MAX - 1, GRAMMAR_DEPTH_MAX + 1);
    for (unsigned i = 0; i < depth; i++)
        assert_true(matcher_take(m, bytes_of("]", 1)));
    assert_true(matcher_is_complete(m));
    assert_false(matcher_goes_on(m));
    matcher_free(m);
    grammar_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(what_nothing_satisfies_is_refused),
        cmocka_unit_test(form_and_size_are_checked),
        cmocka_unit_test(depth_ends_in_what_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
