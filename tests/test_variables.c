/* What a request may set of a template. */
#include "base/limits.h"
#include "base/variables.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

static json_t *parse(const char *text)
{
    json_t *value = json_parse(bytes_of_text(text), NULL);
    assert_non_null(value);
    return value;
}

static void what_can_be_set(void **state)
{
    (void)state;
    static const char *const good[] = {"null", "{}", "{\"enable_thinking\":false,\"a\":\"x\",\"_b1\":1.5,\"c\":null}"};
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "vars must be an object"},
        {"\"x\"", "vars must be an object"},
        {"{\"a\":[1]}", "vars.a is a list"},
        {"{\"a\":{}}", "vars.a is an object"},
        {"{\"messages\":\"x\"}", "vars.messages cannot be set"},
        {"{\"add_generation_prompt\":false}", "vars.add_generation_prompt cannot be set"},
        {"{\"\":1}", "vars has a name \"\""},
        {"{\"1a\":1}", "vars has a name \"1a\""},
        {"{\"a-b\":1}", "vars has a name \"a-b\""},
    };
    struct note note = {{0}};
    assert_int_equal(variables_check(NULL, "vars", &note), ERR_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        json_t *v = parse(good[i]);
        assert_int_equal(variables_check(v, "vars", &note), ERR_OK);
        json_decref(v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *v = parse(bad[i].text);
        assert_int_equal(variables_check(v, "vars", &note), ERR_FORMAT);
        if (strncmp(note.text, bad[i].says, strlen(bad[i].says)) != 0)
            fail_msg("%s: %s", bad[i].text, note.text);
        json_decref(v);
    }
}

static void they_are_bounded(void **state)
{
    (void)state;
    struct note note = {{0}};
    char name[TEMPLATE_VARIABLE_NAME_MAX + 2] = "";
    json_t *many = json_object(), *long_one = json_object(), *named = json_object();
    for (int i = 0; i < TEMPLATE_VARIABLES_MAX; i++) {
        snprintf(name, sizeof name, "v%d", i);
        json_object_set_new(many, name, json_true());
    }
    assert_int_equal(variables_check(many, "vars", &note), ERR_OK);
    json_object_set_new(many, "one_more", json_true());
    assert_int_equal(variables_check(many, "vars", &note), ERR_RANGE);

    struct buf text = {0};
    while (text.n < TEMPLATE_VARIABLES_BYTES_MAX - strlen("{\"a\":\"\"}"))
        buf_add(&text, "x", 1);
    json_object_set_new(long_one, "a", json_stringn(buf_text(&text), text.n));
    assert_int_equal(variables_check(long_one, "vars", &note), ERR_OK);
    json_object_set_new(long_one, "a", json_sprintf("%sx", buf_text(&text)));
    assert_int_equal(variables_check(long_one, "vars", &note), ERR_RANGE);
    buf_clear(&text);

    memset(name, 'n', TEMPLATE_VARIABLE_NAME_MAX);
    name[TEMPLATE_VARIABLE_NAME_MAX] = 0;
    json_object_set_new(named, name, json_true());
    assert_int_equal(variables_check(named, "vars", &note), ERR_OK);
    strcat(name, "n");
    json_object_set_new(named, name, json_true());
    assert_int_equal(variables_check(named, "vars", &note), ERR_FORMAT);
    json_decref(many);
    json_decref(long_one);
    json_decref(named);
}

static void how_much_it_thinks(void **state)
{
    (void)state;
    static const struct {
        const char *effort, *from, *to; /* NULL: refused */
    } cases[] = {
        {"low", "{}", "{\"reasoning_effort\":\"low\"}"},
        {"max", "{\"a\":1}", "{\"a\":1,\"reasoning_effort\":\"max\"}"},
        {"none", "{}", "{\"enable_thinking\":false}"},
        {"none", "{\"enable_thinking\":false}", "{\"enable_thinking\":false}"},
        {"none", "{\"enable_thinking\":true}", NULL},
        {"low", "{\"reasoning_effort\":\"low\"}", "{\"reasoning_effort\":\"low\"}"},
        {"low", "{\"reasoning_effort\":\"high\"}", NULL},
        {"", "{}", NULL},
        {"Low", "{}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct note note = {{0}};
        json_t *v = parse(cases[i].from), *want = parse(cases[i].to ? cases[i].to : cases[i].from);
        enum err e = variables_set_effort(v, cases[i].effort, "effort", &note);
        assert_int_equal(e, cases[i].to ? ERR_OK : ERR_FORMAT);
        assert_true(json_equal(v, want));
        assert_true(e == ERR_OK || strncmp(note.text, "effort ", 7) == 0);
        json_decref(v);
        json_decref(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_set),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(how_much_it_thinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
