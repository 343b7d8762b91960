/* Calls as the models of the day write them: every form whole, cut, of a tool that does not exist, and in a stream; and
 * the types of what stands between tags. */
#include "base/answer_form.h"
#include "node/api/tool_calls.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static const char some_tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"put\",\"parameters\":{\"type\":\"object\",\"properties\":{"
    "\"text\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"},\"x\":{\"type\":\"number\"},\"on\":{\"type\":"
    "\"boolean\"},"
    "\"list\":{\"type\":\"array\"},\"map\":{\"type\":\"object\"},\"maybe\":{\"type\":[\"string\",\"null\"]},"
    "\"any\":{},\"one\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]},\"kind\":{\"enum\":[\"1\",\"2\"]}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"get\"}}]";

static json_t *parse(const char *text)
{
    struct note note = {{0}};
    json_t *value = json_parse(bytes_of_text(text), &note);
    if (!value)
        fail_msg("%s: %s", note.text, text);
    return value;
}

#define V      "\xef\xbd\x9c"
#define S      "\xe2\x96\x81"
#define DSML   V "DSML" V
#define BEGIN  "<" V "tool" S "calls" S "begin" V ">"
#define CALLED "<" V "tool" S "call" S "begin" V ">"
#define SEP    "<" V "tool" S "sep" V ">"
#define DONE   "<" V "tool" S "call" S "end" V ">"
#define END    "<" V "tool" S "calls" S "end" V ">"

/* `calls`: name and arguments, one behind the other; NULL: it is text. */
static const struct {
    enum call_form form;
    const char *answer, *content, *calls;
} cases[] = {
    /* Qwen3-Coder, Qwen3.5, Step, Nemotron 3 */
    {CALL_TAGGED,
     "<tool_call>\n<function=put>\n<parameter=text>\n12\n</parameter>\n<parameter=n>\n12\n</parameter>\n</function>\n"
     "</tool_call>",
     "", "put {\"text\":\"12\",\"n\":12}"},
    {CALL_TAGGED,
     "I look.\n<tool_call>\n<function=get>\n</function>\n</tool_call>\n<tool_call><function=get></function>",
     "I look.\n", "get {} get {}"},
    {CALL_FUNCTION, "<function=put>\n<parameter=text>\na\n\nb\n</parameter>\n</function>\n</tool_call>", "",
     "put {\"text\":\"a\\n\\nb\"}"},
    {CALL_TAGGED, "<tool_call><function=put><parameter=text>a</parameter>b</parameter></function></tool_call>", "",
     "put {\"text\":\"a</parameter>b\"}"},
    {CALL_TAGGED, "<tool_call>\n<function=put>\n<parameter=n>\n12", NULL, NULL},
    {CALL_TAGGED, "<tool_call>\n<function=other>\n</function>\n</tool_call>", NULL, NULL},
    /* the schema's types, or, where it has none, what the value looks like */
    {CALL_TAGGED,
     "<tool_call><function=put><parameter=x>1</parameter><parameter=on>True</parameter><parameter=list>[1, 'a']"
     "</parameter><parameter=map>{\"a\": null}</parameter></function></tool_call>",
     "", "put {\"x\":1,\"on\":true,\"list\":[1,\"a\"],\"map\":{\"a\":null}}"},
    {CALL_TAGGED,
     "<tool_call><function=put><parameter=maybe>null</parameter><parameter=any>5</parameter><parameter=one>7</"
     "parameter>"
     "<parameter=kind>1</parameter><parameter=new>a b</parameter></function></tool_call>",
     "", "put {\"maybe\":null,\"any\":5,\"one\":7,\"kind\":\"1\",\"new\":\"a b\"}"},
    {CALL_TAGGED, "<tool_call><function=put><parameter=n>many</parameter></function></tool_call>", "",
     "put {\"n\":\"many\"}"},
    {CALL_TAGGED, "<tool_call><function=put><parameter=list>1, 2</parameter></function></tool_call>", "",
     "put {\"list\":\"1, 2\"}"},
    /* Functionary 3.2, whose prompt ends with the first mark */
    {CALL_ALL, "get\n{}", "", "get {}"},
    {CALL_ALL, "put\n{\"n\": 1}>>>get\n{}", "", "put {\"n\":1} get {}"},
    {CALL_ALL, "I look.>>>put\n{\"n\": 1}>>>get\n{}", "I look.", "put {\"n\":1} get {}"},
    {CALL_ALL, "I look.>>>put\n{\"n\": 1", NULL, NULL},
    {CALL_ALL, "I look.>>>other\n{}", NULL, NULL},
    /* Functionary, Llama 3.1 */
    {CALL_FUNCTION, "<function=put>{\"n\": 1}</function><function=get>{}</function>", "", "put {\"n\":1} get {}"},
    {CALL_FUNCTION, "put\n{\"n\": 1}", "", "put {\"n\":1}"},
    /* GLM */
    {CALL_TAGGED,
     "\n<tool_call>put\n<arg_key>text</arg_key>\n<arg_value>a <b> c</arg_value>\n<arg_key>n</arg_key>\n"
     "<arg_value>3</arg_value>\n</tool_call>",
     "", "put {\"text\":\"a <b> c\",\"n\":3}"},
    {CALL_TAGGED, "<tool_call>get</tool_call><tool_call>get\n</tool_call>", "", "get {} get {}"},
    {CALL_TAGGED, "<tool_call>put<arg_key>n</arg_key><arg_value>3</arg_value>", NULL, NULL},
    /* Hunyuan, MiniMax M1, Apriel */
    {CALL_SECTION, "<tool_calls>\n<tool_call>put\n```json\n{\"n\":1}\n```\n</tool_call>\n</tool_calls>", "",
     "put {\"n\":1}"},
    {CALL_SECTION,
     "<tool_calls>\n{\"name\":\"get\",\"arguments\":{}}\n{\"name\":\"put\",\"arguments\":{\"n\":1}}\n"
     "</tool_calls>",
     "", "get {} put {\"n\":1}"},
    {CALL_SECTION, "ok <tool_calls>[{\"name\":\"get\",\"arguments\":{},\"id\":\"1\"}]</tool_calls>", "ok ", "get {}"},
    /* Seed */
    {CALL_SEED, "<seed:tool_call>\n<function=put>\n<parameter=text>a</parameter>\n</function>\n</seed:tool_call>", "",
     "put {\"text\":\"a\"}"},
    /* MiniMax M2 */
    {CALL_INVOKE,
     "<minimax:tool_call>\n<invoke name=\"put\">\n<parameter name=\"text\">a</parameter>\n<parameter name=\"n\">2"
     "</parameter>\n</invoke>\n<invoke name=\"get\">\n</invoke>\n</minimax:tool_call>",
     "", "put {\"text\":\"a\",\"n\":2} get {}"},
    /* DeepSeek V3.2 and V4: whether it is a text stands beside it */
    {CALL_DSML,
     "<" DSML "function_calls>\n<" DSML "invoke name=\"put\">\n<" DSML "parameter name=\"any\" string=\"true\">5</" DSML
     "parameter>\n<" DSML "parameter name=\"n\" string=\"false\">5</" DSML "parameter>\n</" DSML "invoke>\n</" DSML
     "function_calls>",
     "", "put {\"any\":\"5\",\"n\":5}"},
    {CALL_DSML_TOOL, "<" DSML "tool_calls>\n<" DSML "invoke name=\"get\">\n</" DSML "invoke>\n</" DSML "tool_calls>",
     "", "get {}"},
    /* DeepSeek R1 and V3, V3.1 */
    {CALL_DEEPSEEK,
     BEGIN CALLED "function" SEP "put\n```json\n{\"n\":1}\n```" DONE "\n" CALLED "function" SEP
                  "get\n```json\n{}\n```" DONE END,
     "", "put {\"n\":1} get {}"},
    {CALL_DEEPSEEK, "Look." BEGIN CALLED "put" SEP "{\"n\":1}" DONE END, "Look.", "put {\"n\":1}"},
    {CALL_DEEPSEEK, BEGIN CALLED "put" SEP "{\"n\":", NULL, NULL},
    /* Kimi K2 */
    {CALL_KIMI,
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.put:0<|tool_call_argument_begin|>{\"n\":1}<|tool_call_"
     "end|>"
     "<|tool_call_begin|>functions.get:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
     "", "put {\"n\":1} get {}"},
    /* LFM2, Llama 4 */
    {CALL_PYTHON,
     "<|tool_call_start|>[put(text='it\\'s \"a\"', n=-3, x=1.5, on=True, list=[1, {'a': None}]), get()]"
     "<|tool_call_end|>",
     "", "put {\"text\":\"it's \\\"a\\\"\",\"n\":-3,\"x\":1.5,\"on\":true,\"list\":[1,{\"a\":null}]} get {}"},
    {CALL_PYTHON, "<|tool_call_start|>[{\"name\":\"get\",\"arguments\":{}}]<|tool_call_end|>So.", NULL, NULL},
    {CALL_TAGGED, "[put(n=1), get()]", "", "put {\"n\":1} get {}"},
    {CALL_TAGGED, "[put(n=1", NULL, NULL},
    {CALL_TAGGED, "[put(n=1, n=2)]", NULL, NULL},
    {CALL_TAGGED, "[put(1)]", NULL, NULL},
    {CALL_TAGGED, "[1, 2]", NULL, NULL},
    /* Granite, Command R7B, Nemotron, Apertus, GigaChat */
    {CALL_GRANITE, "<|tool_call|>[{\"name\":\"get\",\"arguments\":{}}]", "", "get {}"},
    {CALL_ACTION,
     "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"put\", \"parameters\": {\"n\": 1}}\n]"
     "<|END_ACTION|>",
     "", "put {\"n\":1}"},
    {CALL_TOOLCALL, "<TOOLCALL>[{\"name\":\"put\",\"arguments\":{\"n\":1}}]</TOOLCALL>", "", "put {\"n\":1}"},
    {CALL_PREFIX, "<|tools_prefix|>[{\"put\": {\"n\": 1}}, {\"get\": {}}]<|tools_suffix|>", "", "put {\"n\":1} get {}"},
    {CALL_GIGA, "<|function_call|>{\"name\": \"get\", \"arguments\": {}}", "", "get {}"},
    /* MiniCPM */
    {CALL_ELEMENT, "<function name=\"put\"><param name=\"n\">1</param><param name=\"text\">1</param></function>", "",
     "put {\"n\":1,\"text\":\"1\"}"},
    /* Gemma 4 */
    {CALL_GEMMA,
     "<|tool_call>call:put{text:<|\"|>a \"b\"<|\"|>,n:3,on:true,list:[<|\"|>x<|\"|>],map:{a:{b:None}}}<tool_call|>"
     "<|tool_call>call:get{}<tool_call|>",
     "", "put {\"text\":\"a \\\"b\\\"\",\"n\":3,\"on\":true,\"list\":[\"x\"],\"map\":{\"a\":{\"b\":null}}} get {}"},
    /* Mistral, by its marks */
    {CALL_BRACKET, "Well. [TOOL_CALLS]put[ARGS]{\"n\": 1}[TOOL_CALLS]get[ARGS]{}", "Well. ", "put {\"n\":1} get {}"},
    /* a mark that comes to nothing */
    {CALL_KIMI, "<|tool_calls_section_begin|>", NULL, NULL},
    {CALL_INVOKE, "It writes <minimax:tool_call> then.", NULL, NULL},
};

static char *shown(const json_t *calls)
{
    struct buf out = {0};
    for (size_t i = 0; i < json_array_size(calls); i++)
        buf_add_format(&out, "%s%s %s", i ? " " : "", json_text(json_array_get(calls, i), "name"),
                       json_text(json_array_get(calls, i), "arguments"));
    char *text = strdup(buf_text(&out));
    buf_clear(&out);
    return text;
}

static void every_form_is_read(void **state)
{
    (void)state;
    json_t *tools = parse(some_tools);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bytes answer = bytes_of_text(cases[i].answer);
        size_t content_n = 0;
        json_t *calls = tool_calls_find(tools, 1u << cases[i].form, answer, &content_n);
        char *got = shown(calls);
        if (strcmp(got, cases[i].calls ? cases[i].calls : "") != 0 ||
            content_n != (cases[i].calls ? strlen(cases[i].content) : answer.n))
            fail_msg("'%s': %s, content of %zu bytes", cases[i].answer, got, content_n);
        free(got);
        json_decref(calls);
    }
    json_decref(tools);
}

/* A form that the model does not show is text. */
static void other_forms_are_text(void **state)
{
    (void)state;
    json_t *tools = parse(some_tools);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t content_n;
        const uint32_t form = 1u << cases[i].form;
        if (!cases[i].calls || (form & ANSWER_FORM_PLAIN) || !strchr("<", *cases[i].answer))
            continue;
        json_t *calls = tool_calls_find(tools, ~form & ANSWER_FORM_PLAIN, bytes_of_text(cases[i].answer), &content_n);
        if (calls)
            fail_msg("'%s' is read without its form", cases[i].answer);
    }
    json_decref(tools);
}

/* Byte by byte: what is sent is never taken back, nor is any of a call. */
static void streams_send_what_is_sure(void **state)
{
    (void)state;
    json_t *tools = parse(some_tools);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bytes answer = bytes_of_text(cases[i].answer);
        size_t content_n, before = 0;
        json_decref(tool_calls_find(tools, 1u << cases[i].form, answer, &content_n));
        for (size_t n = 0; n <= answer.n; n++) {
            size_t sure = tool_calls_sure(tools, 1u << cases[i].form, bytes_of(answer.p, n));
            if (sure < before || sure > n || sure > content_n)
                fail_msg("'%s': of %zu bytes %zu are sure, after %zu", cases[i].answer, n, sure, before);
            before = sure;
        }
    }
    json_decref(tools);
}

/* A NUL in a name that comes from between tags: no reader of JSON would take it. */
static void a_nul_is_no_call(void **state)
{
    (void)state;
    static const char answer[] = "<tool_call>get<arg_key>a\0b</arg_key><arg_value>3</arg_value></tool_call>";
    json_t *tools = parse(some_tools);
    size_t content_n;
    assert_null(tool_calls_find(tools, UINT32_MAX, bytes_of((const uint8_t *)answer, sizeof answer - 1), &content_n));
    assert_int_equal(content_n, sizeof answer - 1);
    json_decref(tools);
}

/* Brackets by the thousand: refused, and not by the stack. */
static void deep_values_are_refused(void **state)
{
    (void)state;
    json_t *tools = parse(some_tools);
    struct buf answer = {0};
    size_t content_n;
    buf_add_text(&answer, "[put(list=");
    for (unsigned i = 0; i < 100000; i++)
        buf_add_text(&answer, "[");
    assert_null(tool_calls_find(tools, UINT32_MAX, bytes_of_buf(&answer), &content_n));
    assert_int_equal(content_n, answer.n);
    buf_clear(&answer);
    json_decref(tools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),        cmocka_unit_test(other_forms_are_text),
        cmocka_unit_test(streams_send_what_is_sure), cmocka_unit_test(a_nul_is_no_call),
        cmocka_unit_test(deep_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
