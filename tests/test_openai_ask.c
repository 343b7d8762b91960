/* What a request in OpenAI's form says that it must not: each is refused by its name, and what is in range is read. */
#include "base/json.h"
#include "base/limits.h"
#include "node/api/api_openai.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

static enum err read_chat(const char *members, struct openai_ask *a, struct note *note)
{
    struct buf text = {0};
    buf_add_format(&text, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]%s%s}",
                   *members ? "," : "", members);
    json_t *body = json_parse(bytes_of_buf(&text), note);
    assert_non_null(body);
    openai_ask_init(a);
    enum err e = openai_read_chat(body, a, note);
    json_decref(body);
    buf_clear(&text);
    return e;
}

static void what_cannot_be_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *members, *says;
    } cases[] = {
        {"\"kith\":{\"route\":5}", "kith.route must be a text"},
        {"\"kith\":{\"route\":[\"local\"]}", "kith.route must be a text"},
        {"\"kith\":{\"route\":\"far\"}", "kith.route \"far\" must be auto, local or network"},
        {"\"kith\":{\"top_k\":0}", "kith.top_k must be a whole number from 1 to"},
        {"\"kith\":{\"top_k\":\"5\"}", "kith.top_k must be a whole number from 1 to"},
        {"\"kith\":{\"min_p\":1.5}", "kith.min_p must be a number from 0 to 1"},
        {"\"temperature\":-0.1", "temperature must be a number from 0 to 2"},
        {"\"temperature\":\"1\"", "temperature must be a number from 0 to 2"},
        {"\"top_p\":2", "top_p must be a number from 0 to 1"},
        {"\"n\":0", "n must be a whole number from 1 to 128"},
        {"\"n\":1.5", "n must be a whole number from 1 to 128"},
        {"\"n\":-1", "n must be a whole number from 1 to 128"},
        {"\"n\":1e300", "n must be a whole number from 1 to 128"},
        {"\"reasoning_effort\":\"much\"", "reasoning_effort is \"much\""},
        {"\"reasoning_effort\":3", "reasoning_effort must be a text"},
        {"\"chat_template_kwargs\":[]", "chat_template_kwargs must be an object"},
        {"\"chat_template_kwargs\":{\"a\":[]}", "chat_template_kwargs.a is a list"},
        {"\"presence_penalty\":3", "presence_penalty must be a number from -2 to 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct openai_ask a;
        struct note note = {{0}};
        assert_true(read_chat(cases[i].members, &a, &note) != ERR_OK);
        if (strncmp(note.text, cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("%s: %s", cases[i].members, note.text);
        openai_ask_clear(&a);
    }
}

static void what_can_be_is_read(void **state)
{
    (void)state;
    struct openai_ask a;
    struct note note = {{0}};
    assert_int_equal(
        read_chat("\"n\":2.0,\"temperature\":0.5,\"kith\":{\"route\":\"local\",\"top_k\":7,\"min_p\":0.25}", &a, &note),
        ERR_OK);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.job.route, ROUTE_LOCAL);
    assert_int_equal(a.job.top_k, 7);
    assert_true(a.job.temp == 0.5f && a.job.min_p == 0.25f);
    openai_ask_clear(&a);
    assert_int_equal(read_chat("\"n\":null,\"top_p\":null,\"kith\":{\"route\":null}", &a, &note), ERR_OK);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.job.route, ROUTE_AUTO);
    openai_ask_clear(&a);
}

/* A call that can only be one is asked for as a call, and as the text that says which where prompts cannot do that. */
static void one_call_has_its_name(void **state)
{
    (void)state;
    struct openai_ask a;
    struct note note = {{0}};
    assert_int_equal(
        read_chat("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
                  "\"object\",\"properties\":{}}}}],\"tool_choice\":\"required\","
                  "\"chat_template_kwargs\":{\"b\":true},\"reasoning_effort\":\"high\"",
                  &a, &note),
        ERR_OK);
    assert_string_equal(a.job.call, "f");
    assert_non_null(strstr(buf_text(&a.schema), "\"const\":\"f\""));
    assert_true(bytes_equal(a.job.call_schema, bytes_of_text("{\"type\":\"object\",\"properties\":{}}")));
    assert_string_equal(a.job.variables, "{\"b\":true,\"reasoning_effort\":\"high\"}");
    openai_ask_clear(&a);
    assert_int_equal(
        read_chat("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"function\","
                  "\"function\":{\"name\":\"g\"}}],\"tool_choice\":\"required\"",
                  &a, &note),
        ERR_OK);
    assert_true(!a.job.call && a.schema.n && !a.job.variables);
    openai_ask_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_is_named),
        cmocka_unit_test(what_can_be_is_read),
        cmocka_unit_test(one_call_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
