/* Calls of tools: what requests may say, every form of answer, what is no call, and how much of a stream is sure. */
#include "node/api/tool_calls.h"

#include "node/api/tool_schema.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static const char two_tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"get\"}}]";

static json_t *parse(const char *text)
{
    struct note note = {{0}};
    json_t *value = json_parse(bytes_of_text(text), &note);
    if (!value)
        fail_msg("%s", note.text);
    return value;
}

#define CALL(name, arguments) "{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}"

static const struct {
    const char *answer, *content, *calls; /* calls NULL: none, and the content is the answer */
} answers[] = {
    /* Qwen and Hermes */
    {"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"K\xc3\xb6ln\", \"t\": 0.1}}\n</tool_call>",
     "", "[" CALL("get_weather", "{\\\"city\\\":\\\"K\xc3\xb6ln\\\",\\\"t\\\":0.1}") "]"},
    {"Let me look.\n<tool_call>{\"name\":\"get\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"name\":\"get_weather\","
     "\"arguments\":{\"s\":\"</tool_call>\"}}</tool_call>\n",
     "Let me look.\n", "[" CALL("get", "{}") "," CALL("get_weather", "{\\\"s\\\":\\\"</tool_call>\\\"}") "]"},
    {"<think>\nhm\n</think>\n\n<tool_call>{\"name\":\"get\"}", "<think>\nhm\n</think>\n\n", "[" CALL("get", "{}") "]"},
    {"<tool_call>{\"name\":\"get\",\"arguments\":\"{\\\"a\\\":[1,2]}\"}</tool_call>", "",
     "[" CALL("get", "{\\\"a\\\":[1,2]}") "]"},
    {"<tool_call>{\"name\":\"other\",\"arguments\":{}}</tool_call>", NULL, NULL},
    {"<tool_call>{\"name\":\"get\",\"arguments\":[1]}</tool_call>", NULL, NULL},
    {"<tool_call>{\"name\":\"get\",\"arguments\":\"x\"}</tool_call>", NULL, NULL},
    {"<tool_call>{\"name\":\"get\",\"arguments\":{\"a\":</tool_call>", NULL, NULL},
    {"<tool_call>{\"name\":\"get\"}</tool_call> and more", NULL, NULL},
    {"<tool_call>", NULL, NULL},
    /* Llama 3 */
    {"{\"name\": \"get\", \"parameters\": {\"q\": \"}\\\"{\"}}", "",
     "[" CALL("get", "{\\\"q\\\":\\\"}\\\\\\\"{\\\"}") "]"},
    {"<|python_tag|>{\"name\":\"get\",\"parameters\":{}}; {\"name\":\"get_weather\",\"parameters\":{}}", "",
     "[" CALL("get", "{}") "," CALL("get_weather", "{}") "]"},
    {"{\"type\":\"function\",\"function\":{\"name\":\"get\",\"parameters\":{\"a\":1}}}", "",
     "[" CALL("get", "{\\\"a\\\":1}") "]"},
    {"{\"name\":\"get\",\"parameters\":{}} is what I would call", NULL, NULL},
    {"{\"answer\": 42}", NULL, NULL},
    {"{", NULL, NULL},
    /* Mistral */
    {"[TOOL_CALLS][{\"name\":\"get\",\"arguments\":{\"a\":1},\"id\":\"abcdefghi\"}]", "",
     "[" CALL("get", "{\\\"a\\\":1}") "]"},
    {" [{\"name\":\"get\",\"arguments\":{}},{\"name\":\"get_weather\",\"arguments\":{}}]", "",
     "[" CALL("get", "{}") "," CALL("get_weather", "{}") "]"},
    {"ok [TOOL_CALLS]get_weather[ARGS]{\"a\":1}[TOOL_CALLS]get[CALL_ID]x9[ARGS]{}", "ok ",
     "[" CALL("get_weather", "{\\\"a\\\":1}") "," CALL("get", "{}") "]"},
    {"get_weather{\"city\":\"x\"}get{}", "",
     "[" CALL("get_weather", "{\\\"city\\\":\\\"x\\\"}") "," CALL("get", "{}") "]"},
    {"get_weather is a tool", NULL, NULL},
    {"[1, 2]", NULL, NULL},
    {"[]", NULL, NULL},
    {"[{\"name\":\"get\",\"arguments\":{}}] or so", NULL, NULL},
    /* text */
    {"", NULL, NULL},
    {"  \n", NULL, NULL},
    {"Hello {world}", NULL, NULL},
};

static void finds_calls_of_every_form(void **state)
{
    (void)state;
    json_t *tools = parse(two_tools);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t content_n = 99;
        json_t *calls = tool_calls_find(tools, UINT32_MAX, bytes_of_text(answers[i].answer), &content_n);
        json_t *expected = answers[i].calls ? parse(answers[i].calls) : NULL;
        const char *content = answers[i].calls ? answers[i].content : answers[i].answer;
        if (!calls != !expected || (calls && !json_equal(calls, expected)) || content_n != strlen(content)) {
            char *got = calls ? json_dumps(calls, 0) : NULL;
            fail_msg("'%s': %s, %zu bytes of content", answers[i].answer, got ? got : "no calls", content_n);
        }
        json_decref(calls);
        json_decref(expected);
    }
    json_decref(tools);
}

/* Whatever comes next, a stream never sends what turns out to be a call, nor takes anything back. */
static void streams_send_what_is_sure(void **state)
{
    (void)state;
    json_t *tools = parse(two_tools);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t content_n, before = 0;
        struct bytes answer = bytes_of_text(answers[i].answer);
        json_decref(tool_calls_find(tools, UINT32_MAX, answer, &content_n));
        for (size_t n = 0; n <= answer.n; n++) {
            size_t sure = tool_calls_sure(tools, UINT32_MAX, bytes_of(answer.p, n));
            if (sure < before || sure > n || sure > content_n)
                fail_msg("'%s': of %zu bytes %zu are sure, after %zu", answers[i].answer, n, sure, before);
            before = sure;
        }
    }
    static const struct {
        const char *text;
        size_t sure;
    } cases[] = {{"Hello", 5},      {" Hello <", 7}, {"Hello <tool_call", 6}, {"Hello <b", 8}, {"  ", 0},
                 {"ge", 0},         {"get", 0},      {"get it", 6},           {"get {", 0},    {"{\"a\"", 0},
                 {"<|python", 0},   {"<|im", 4},     {"a [TOOL", 2},          {"a [TOOLS", 8}, {"get_w", 0},
                 {"get_wonder", 10}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (tool_calls_sure(tools, UINT32_MAX, bytes_of_text(cases[i].text)) != cases[i].sure)
            fail_msg("'%s': %zu are sure", cases[i].text,
                     tool_calls_sure(tools, UINT32_MAX, bytes_of_text(cases[i].text)));
    json_decref(tools);
}

#define A_TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
#define TWO_TOOLS    "\"tools\":[" A_TOOL("f") "," A_TOOL("g") "]"
#define ALLOWED(mode, tools)                                                                                           \
    "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"" mode "\",\"tools\":[" tools "]}}"

static void requests_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err err;
        size_t tools;
        bool one_only, forced;
    } cases[] = {
        {"{}", ERR_OK, 0, false, false},
        {"{\"tools\":null,\"tool_choice\":null}", ERR_OK, 0, false, false},
        {"{\"tools\":[]}", ERR_OK, 0, false, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a-B_9\"}}]}", ERR_OK, 1, false, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"auto\","
         "\"parallel_tool_calls\":false}",
         ERR_OK, 1, true, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"none\"}", ERR_OK, 0,
         false, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"required\"}", ERR_OK, 1,
         false, true},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
         "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
         ERR_OK, 1, false, true},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
         "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
         ERR_FORMAT, 0, false, false},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("auto", A_TOOL("g")) "}", ERR_OK, 1, false, false},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("required", A_TOOL("g") "," A_TOOL("g")) "}", ERR_OK, 1, false,
         true},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("required", A_TOOL("g") "," A_TOOL("f")) "}", ERR_OK, 2, false,
         true},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("auto", A_TOOL("h")) "}", ERR_FORMAT, 0, false, false},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("auto", "1") "}", ERR_FORMAT, 0, false, false},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("auto", "") "}", ERR_FORMAT, 0, false, false},
        {"{" TWO_TOOLS ",\"tool_choice\":" ALLOWED("sometimes", A_TOOL("g")) "}", ERR_FORMAT, 0, false, false},
        {"{" TWO_TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\"}}", ERR_FORMAT, 0, false, false},
        {"{\"tool_choice\":" ALLOWED("auto", A_TOOL("g")) "}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":[],\"tool_choice\":\"required\"}", ERR_FORMAT, 0, false, false},
        {"{\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}", ERR_FORMAT, 0, false, false},
        {"{\"tool_choice\":\"any\"}", ERR_FORMAT, 0, false, false},
        {"{\"tool_choice\":{}}", ERR_FORMAT, 0, false, false},
        {"{\"tool_choice\":\"auto\"}", ERR_OK, 0, false, false},
        {"{\"parallel_tool_calls\":1}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":{}}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":[1]}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":[{\"type\":\"retrieval\",\"function\":{\"name\":\"f\"}}]}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}", ERR_FORMAT, 0, false, false},
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}]}",
         ERR_FORMAT, 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *body = parse(cases[i].body);
        const json_t *tools;
        struct tool_forced forced;
        bool one_only;
        struct note note = {{0}};
        assert_int_equal(tool_calls_read(body, &tools, &one_only, &forced, &note), cases[i].err);
        assert_int_equal(json_array_size(tools), cases[i].tools);
        assert_int_equal(!tools, cases[i].tools == 0);
        assert_true((note.text[0] != 0) == (cases[i].err != ERR_OK));
        assert_int_equal(forced.call != NULL, cases[i].forced);
        assert_int_equal(forced.name != NULL, cases[i].forced && cases[i].tools == 1);
        assert_int_equal(forced.name != NULL, forced.arguments != NULL);
        tool_forced_clear(&forced);
        if (cases[i].err == ERR_OK)
            assert_int_equal(one_only, cases[i].one_only);
        json_decref(body);
    }
}

/* A forced call is an answer to a schema, which our own grammars read; references still mean what they meant. */
static void forces_calls_by_a_schema(void **state)
{
    (void)state;
    static const char head[] = "{\"type\":\"object\",\"properties\":{\"name\":{\"const\":\"",
                      middle[] = "\"},\"arguments\":",
                      tail[] = "},\"required\":[\"name\",\"arguments\"],\"additionalProperties\":false}";
    static const char *const moved =
        "{\"properties\":{\"$ref\":{\"$ref\":\"#/anyOf/1/properties/arguments/$defs/const\"},"
        "\"b\":{\"const\":{\"$ref\":\"#/x\"}}},\"$defs\":{\"const\":{\"items\":{\"$ref\":"
        "\"#/anyOf/1/properties/arguments\"}}},\"type\":\"object\"}";
    json_t *tools = parse(
        "[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"b\",\"parameters\":{\"properties\":{\"$ref\":{\"$ref\":"
        "\"#/$defs/const\"},\"b\":{\"const\":{\"$ref\":\"#/x\"}}},\"$defs\":{\"const\":{\"items\":{\"$ref\":\"#\"}}},"
        "\"type\":\"object\"}}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"c\",\"parameters\":{\"not\":{}}}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"d\",\"strict\":true,\"parameters\":{\"not\":{}}}}]");
    struct buf want = {0};
    buf_add_format(&want,
                   "{\"anyOf\":[%sa%s{\"type\":\"object\",\"properties\":{}}%s,%sb%s%s%s,%sc%s{\"type\":\"object\"}%s,"
                   "%sd%s{\"not\":{}}%s]}",
                   head, middle, tail, head, middle, moved, tail, head, middle, tail, head, middle, tail);
    json_t *all = tool_schema_of_call(tools, NULL), *wanted = parse(buf_text(&want));
    assert_true(json_equal(all, wanted));
    json_t *one = tool_schema_of_call(tools, "c");
    assert_int_equal(json_array_size(json_object_get(one, "anyOf")), 1);
    assert_null(tool_schema_of_call(tools, "e"));
    /* of the arguments alone, references are where they were */
    json_t *arguments = tool_schema_of_arguments(tools, "b");
    assert_true(
        json_equal(arguments, json_object_get(json_object_get(json_array_get(tools, 1), "function"), "parameters")));
    json_decref(arguments);
    assert_null(tool_schema_of_arguments(tools, "e"));
    json_decref(one);
    json_decref(wanted);
    json_decref(all);
    json_decref(tools);
    buf_clear(&want);
}

static void prints_as_clients_expect(void **state)
{
    (void)state;
    json_t *tools = parse(two_tools);
    size_t n;
    json_t *calls = tool_calls_find(tools, UINT32_MAX, bytes_of_text("get{\"a\":\"\xc3\xa9\"}get{}"), &n);
    struct hash job = {{1}};
    struct buf out = {0};
    tool_calls_print(&out, calls, &job);
    assert_string_equal(buf_text(&out),
                        "[{\"id\":\"100000000\",\"type\":\"function\",\"function\":{\"name\":\"get\",\"arguments\":"
                        "\"{\\\"a\\\":\\\"\xc3\xa9\\\"}\"}},{\"id\":\"100000100\",\"type\":\"function\",\"function\":{"
                        "\"name\":\"get\",\"arguments\":\"{}\"}}]");
    buf_reset(&out);
    tool_calls_print_delta(&out, calls, &job, 1, false);
    assert_string_equal(buf_text(&out), "{\"index\":1,\"id\":\"100000100\",\"type\":\"function\",\"function\":{"
                                        "\"name\":\"get\",\"arguments\":\"\"}}");
    buf_reset(&out);
    tool_calls_print_delta(&out, calls, &job, 0, true);
    assert_string_equal(buf_text(&out), "{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\\\"\xc3\xa9\\\"}\"}}");
    json_decref(calls);
    json_decref(tools);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_calls_of_every_form), cmocka_unit_test(streams_send_what_is_sure),
        cmocka_unit_test(requests_are_checked),      cmocka_unit_test(forces_calls_by_a_schema),
        cmocka_unit_test(prints_as_clients_expect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
