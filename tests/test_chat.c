/* Chats as clients send them, through templates that know one form only. */
#include "inference/template/chat.h"

#include "tests/support.h"

#include <string.h>

static json_t *parse(const char *text)
{
    struct note note = {{0}};
    json_t *value = json_parse(bytes_of_text(text), &note);
    if (!value)
        fail_msg("%s", note.text);
    return value;
}

static const char chat[] =
    "[{\"role\":\"developer\",\"content\":\"Be kind.\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":"
    "{\"name\":\"f\",\"arguments\":\"{\\\"n\\\": 1}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"2\"}]";

static void converts_to_each_form(void **state)
{
    (void)state;
    static const char *const expected[CHAT_FORMS] = {
        "[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"a\\nb\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":{\"n\":1}}}]},{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"2\"}]",
        "[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"a\\nb\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":{\"n\":1}}}]},{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"2\"}]",
        "[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"a\\nb\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"{\\\"n\\\": 1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":"
        "\"2\"}]",
        chat,
        NULL, /* as filled */
    };
    json_t *messages = parse(chat);
    for (enum chat_form form = 0; form < CHAT_FORMS; form++) {
        json_t *got = chat_convert(messages, form), *want = parse(expected[form == CHAT_SPELLED ? CHAT_FILLED : form]);
        assert_true(json_equal(got, want));
        json_decref(got);
        json_decref(want);
    }
    json_t *same = parse(chat); /* the original is untouched */
    assert_true(json_equal(messages, same));
    json_decref(same);
    json_decref(messages);
}

/* What a model thought has three names among templates; the one that is given stays. */
static void thoughts_have_all_names(void **state)
{
    (void)state;
    json_t *messages = parse("[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\"},{\"role\":"
                             "\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\",\"thinking\":\"t\"},"
                             "{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":1}]");
    json_t *got = chat_convert(messages, CHAT_OBJECTS);
    assert_string_equal(json_text(json_array_get(got, 0), "thinking"), "r");
    assert_string_equal(json_text(json_array_get(got, 0), "reasoning"), "r");
    assert_string_equal(json_text(json_array_get(got, 1), "thinking"), "t");
    assert_null(json_object_get(json_array_get(got, 2), "thinking"));
    assert_null(json_object_get(json_array_get(messages, 0), "thinking"));
    json_decref(got);
    json_decref(messages);
}

/* An answer in channels that comes back as it was written. */
static void answers_are_taken_apart(void **state)
{
    (void)state;
    json_t *messages = parse("[{\"role\":\"assistant\",\"content\":\"<|channel|>analysis<|message|>hm<|start|>assistant"
                             "<|channel|>final<|message|>Four\"},{\"role\":\"user\",\"content\":\"<|channel|>final"
                             "<|message|>x\"},{\"role\":\"assistant\",\"content\":\"Four <|channel|>\"}]");
    json_t *got = chat_convert(messages, CHAT_OBJECTS);
    assert_string_equal(json_text(json_array_get(got, 0), "content"), "Four");
    assert_string_equal(json_text(json_array_get(got, 0), "thinking"), "hm");
    assert_true(json_equal(json_array_get(got, 1), json_array_get(messages, 1)));
    assert_true(json_equal(json_array_get(got, 2), json_array_get(messages, 2)));
    json_decref(got);
    json_decref(messages);
}

static void odd_messages_stay(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "[1,null,\"x\",[]]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"},{\"type\":\"text\",\"text\":\"a\"}]}]",
        "[{\"role\":\"user\",\"content\":[]}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]",
        "[{\"role\":1,\"content\":\"\",\"tool_calls\":[1,{\"function\":2},{\"function\":{\"arguments\":\"[1]\"}}]}]",
        "[{\"content\":\"\",\"tool_calls\":{}}]",
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        json_t *messages = parse(odd[i]);
        for (enum chat_form form = 0; form < CHAT_FORMS; form++) {
            json_t *got = chat_convert(messages, form);
            assert_true(json_equal(got, messages));
            json_decref(got);
        }
        json_decref(messages);
    }
    json_t *none = chat_convert(NULL, CHAT_OBJECTS);
    assert_int_equal(json_array_size(none), 0);
    json_decref(none);
}

static void renders_in_the_form_that_fits(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text; /* NULL: refused */
        enum err err;
    } cases[] = {
        {"{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}{% "
         "endfor %}",
         "{\"n\": 1}", ERR_OK},
        {"{% for m in messages %}{% for c in m.tool_calls or [] %}{{ 'A' + c.function.arguments }}{% endfor %}{% "
         "endfor "
         "%}",
         "A{\"n\": 1}", ERR_OK},
        {"{% for m in messages %}{{ m.role[0] + m.content }};{% endfor %}", "sBe kind.;ua\nb;a;t2;", ERR_OK},
        {"{% for p in messages[1].content %}{{ p.text + '/' }}{% endfor %}", "a/b/", ERR_OK},
        {"{% for m in messages %}{% if m.role == 'assistant' and not '<|' in m.content %}{{ m.tool_calls[0].function."
         "arguments | tojson }}{% endif %}{% endfor %}",
         "{\"n\": 1}", ERR_OK},
        {"{{ messages[0].role }}", "system", ERR_OK},
        {"{% if messages[2].content is none %}{{ raise_exception('no content') }}{% endif %}", NULL, ERR_REFUSED},
        {"{{ messages[0].nothing.more }}", NULL, ERR_FORMAT},
    };
    json_t *messages = parse(chat);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        struct note note = {{0}};
        struct template_input in = {.source = bytes_of_text(cases[i].source), .messages = messages};
        enum err err = chat_render(&in, &out, &note);
        if (err != cases[i].err || strcmp(buf_text(&out), cases[i].text ? cases[i].text : "") != 0)
            fail_msg("%s: %s '%s' %s", cases[i].source, err_name(err), buf_text(&out), note.text);
        assert_true((note.text[0] != 0) == (err != ERR_OK));
        buf_clear(&out);
    }
    json_decref(messages);
}

/* A tool without parameters, which a template looks into all the same. */
static void tools_have_what_templates_print(void **state)
{
    (void)state;
    struct note note = {{0}};
    struct buf out = {0};
    json_t *messages = parse("[{\"role\":\"user\",\"content\":\"hi\"}]"),
           *tools = parse("[{\"type\":\"function\",\"function\":{\"name\":\"get\"}}]");
    const struct template_input in = {
        .source = bytes_of_text("{% for t in tools %}{{ t.function.name }}:{{ t.function.description | tojson }}"
                                "{% for p in t.function.parameters.properties %}{{ p }}{% endfor %}{% endfor %}"),
        .messages = messages,
        .tools = tools};
    assert_int_equal(chat_render(&in, &out, &note), ERR_OK);
    assert_string_equal(buf_text(&out), "get:\"\"");
    assert_null(json_object_get(json_object_get(json_array_get(tools, 0), "function"), "parameters"));
    buf_clear(&out);
    json_decref(messages);
    json_decref(tools);
}

#define SAID "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}"

/* What templates do that were written for another kind of chat than is sent, each in a few words of our own. */
static void renders_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *source, *chat, *text; /* NULL: refused */
    } cases[] = {
        /* no content is no word */
        {SAID, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":null}]}",
         "u:hi;a:;"},
        {SAID, "{\"messages\":[{\"role\":\"user\",\"content\":\"None\"},{\"role\":\"assistant\",\"content\":null}]}",
         "u:None;a:;"},
        {SAID, "{\"messages\":[{\"role\":\"user\",\"content\":\"None\"}]}", "u:None;"},
        {"{% for m in messages %}{% if m.content is none %}-{% else %}{{ m.content }}{% endif %}{% endfor %}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"None\"},{\"role\":\"assistant\",\"content\":null}]}",
         "None-"},
        /* calls wait in a list for their results */
        {"{% set ns = namespace(ids=[]) %}{% for m in messages %}{% for c in m.tool_calls or [] %}{% set _ = "
         "ns.ids.append(c.id) %}{% endfor %}{% if m.role == 'tool' %}{{ ns.ids.pop(0) }}={{ m.content }};{% endif %}"
         "{% endfor %}",
         "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"x\"},{\"id\":\"y\"}]},"
         "{\"role\":\"tool\",\"content\":\"1\"},{\"role\":\"tool\",\"content\":\"2\"}]}",
         "x=1;y=2;"},
        /* thoughts are parts of the content */
        {"{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for b in m.content %}{% if "
         "b['type'] == 'thinking' %}[{{ b['thinking'] }}]{% else %}{{ b['text'] }}{% endif %}{% endfor %}{% endif %}"
         "{% endfor %}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"reasoning_content\":\"no\"},{\"role\":\"assistant\","
         "\"content\":\"ho\",\"reasoning_content\":\"hm\"},{\"role\":\"assistant\",\"content\":null,\"reasoning\":"
         "\"r\"}]}",
         "hi[hm]ho[r]"},
        /* tools and the time as texts; no tools; parameters without a description */
        {"{{ functions + datetime }}", "{\"messages\":[]}", "[]1970-01-01 00:00:09 GMT"},
        {"{{ functions + datetime }}", "{\"messages\":[],\"variables\":{\"datetime\":\"now\",\"functions\":\"f\"}}",
         "fnow"},
        {"{% for t in tools %}{{ t.function.name }}{% endfor %}{{ messages|length }}", "{\"messages\":[]}", "0"},
        {"{% for t in tools %}{% for p, o in t.function.parameters.properties|items %}{{ '-' + o.description + p }}"
         "{% endfor %}{% endfor %}",
         "{\"messages\":[],\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{\"type\":"
         "\"string\"},\"b\":{\"description\":\"B\"}}}}}]}",
         "-a-Bb"},
        /* no message of the system's is taken */
        {"{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" SAID,
         "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"hi\"},"
         "{\"role\":\"assistant\",\"content\":\"ho\"}]}",
         "u:Be kind.\nhi;a:ho;"},
        {"{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" SAID,
         "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"}]}", NULL},
        {"{{ raise_exception('nothing at all') }}",
         "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
         NULL},
        /* how much to think, by either name */
        {"{{ thinking }}", "{\"messages\":[],\"variables\":{\"enable_thinking\":false}}", "False"},
        {"{{ thinking }}", "{\"messages\":[],\"variables\":{\"reasoning_effort\":\"low\"}}", "True"},
        {"{{ thinking }}", "{\"messages\":[],\"variables\":{\"reasoning_effort\":\"low\",\"thinking\":3}}", "3"},
        {"{{ thinking is defined }}{{ enable_thinking is defined }}", "{\"messages\":[]}", "FalseFalse"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        struct note note = {{0}};
        json_t *input = parse(cases[i].chat);
        buf_add_text(&out, ">");
        const struct template_input in = {.source = bytes_of_text(cases[i].source),
                                          .messages = json_object_get(input, "messages"),
                                          .tools = json_object_get(input, "tools"),
                                          .variables = json_object_get(input, "variables"),
                                          .clock_s = 9};
        enum err err = chat_render(&in, &out, &note);
        if (err != (cases[i].text ? ERR_OK : ERR_REFUSED) ||
            strcmp(buf_text(&out) + 1, cases[i].text ? cases[i].text : "") != 0)
            fail_msg("%s: %s '%s' %s", cases[i].source, err_name(err), buf_text(&out), note.text);
        buf_clear(&out);
        json_decref(input);
    }
}

/* Where an answer is to be said and nothing else, its prompt ends behind the head, or behind a thought of nothing. */
static void begins_what_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *prompt, *function, *ends;
        bool has_channels, called;
    } cases[] = {
        {"a<|start|>assistant", NULL, "a<|start|>assistant<|channel|>final<|message|>", true, false},
        {"a<|start|>assistant\n", NULL, "a<|start|>assistant<|channel|>final<|message|>", true, false},
        {"a<|start|>assistant", "get",
         "a<|start|>assistant<|channel|>commentary to=functions.get <|constrain|>json<|message|>", true, true},
        {"a<|start|>assistant<|channel|>analysis<|message|>", "get",
         "a<|start|>assistant<|channel|>analysis<|message|>", true, false},
        {"a<|start|>assistant", "get", "a<|start|>assistant", false, false}, /* only a text here */
        {"a<|im_start|>assistant\n", "get", "a<|im_start|>assistant\n", false, false},
        {"a<think>", NULL, "a<think>\n\n</think>\n\n", false, false},
        {"a<think>\n", "get", "a<think>\n\n</think>\n\n", false, false},
        {"a<think>\n\n</think>\n\n", NULL, "a<think>\n\n</think>\n\n", false, false},
        {"a[THINK]", NULL, "a[THINK]\n\n[/THINK]\n\n", false, false},
        {"<think", NULL, "<think", false, false},
        {"", NULL, "", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf prompt = {0};
        buf_add_text(&prompt, cases[i].prompt);
        assert_int_equal(chat_begin(&prompt, cases[i].has_channels, cases[i].function), cases[i].called);
        assert_string_equal(buf_text(&prompt), cases[i].ends);
        buf_clear(&prompt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_to_each_form),           cmocka_unit_test(thoughts_have_all_names),
        cmocka_unit_test(answers_are_taken_apart),         cmocka_unit_test(odd_messages_stay),
        cmocka_unit_test(tools_have_what_templates_print), cmocka_unit_test(renders_in_the_form_that_fits),
        cmocka_unit_test(renders_what_was_meant),          cmocka_unit_test(begins_what_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
