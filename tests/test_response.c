/* Responses of OpenAI's API: items as the messages of a chat, tools as a chat has them, what is refused with which
 * words, and the events of a stream against the whole answer. */
#include "base/limits.h"
#include "node/api/api_openai_answer.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    struct note note = {{0}};
    json_t *value = json_parse(bytes_of_text(text), &note);
    if (!value)
        fail_msg("%s: %s", note.text, text);
    return value;
}

static void expect_json(const char *text, const char *wanted)
{
    json_t *a = parse(text), *b = parse(wanted);
    if (!json_equal(a, b))
        fail_msg("%s\nwanted: %s", text, wanted);
    json_decref(a);
    json_decref(b);
}

/* -- requests -- */

static const struct {
    const char *members, *messages; /* of the body, and what they come to */
} inputs[] = {
    {"\"input\":\"Hi\"", "[{\"role\":\"user\",\"content\":\"Hi\"}]"},
    {"\"input\":\"a\\u0000b\",\"instructions\":null", "[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]"},
    {"\"input\":\"Hi\",\"instructions\":\"Be brief.\"",
     "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"}]"},
    {"\"input\":[{\"role\":\"developer\",\"content\":\"D\"},{\"type\":null,\"role\":\"user\",\"content\":[{\"type\":"
     "\"input_text\",\"text\":\"a\"},{\"type\":\"input_text\",\"text\":\"b\"}]},{\"type\":\"message\",\"id\":\"msg_1\","
     "\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"c\","
     "\"annotations\":[],\"logprobs\":[]}]}]",
     "[{\"role\":\"developer\",\"content\":\"D\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
     "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"c\"}]}]"},
    /* calls of a turn stand in one message, behind its text where there is some */
    {"\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c1\","
     "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\",\"status\":\"completed\"},{\"type\":\"function_call\",\"call_id\":"
     "\"c2\",\"name\":\"g\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":"
     "\"2\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":\"1\"}"
     "]"
     "},{\"role\":\"assistant\",\"content\":\"so\"},{\"type\":\"function_call\",\"call_id\":\"c3\",\"name\":\"f\","
     "\"arguments\":\"{}\"}]",
     "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\","
     "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"c2\",\"type\":"
     "\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c2\","
     "\"content\":\"2\"},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"1\"}]},"
     "{\"role\":\"assistant\",\"content\":\"so\",\"tool_calls\":[{\"id\":\"c3\",\"type\":\"function\",\"function\":{"
     "\"name\":\"f\",\"arguments\":\"{}\"}}]}]"},
    /* what was thought goes to what follows it of the assistant */
    {"\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],"
     "\"content\":[{"
     "\"type\":\"reasoning_text\",\"text\":\"a\"},{\"type\":\"reasoning_text\",\"text\":\"b\"}]},{\"role\":"
     "\"assistant\","
     "\"content\":\"so\"},{\"type\":\"reasoning\",\"summary\":[],\"content\":[{\"type\":\"reasoning_text\",\"text\":"
     "\"c\"}]},"
     "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"reasoning\","
     "\"summary\":[{\"type\":\"summary_text\",\"text\":\"s\"}],\"encrypted_content\":\"x\"},{\"type\":\"reasoning\","
     "\"content\":[{\"type\":\"reasoning_text\",\"text\":\"lost\"}]},{\"role\":\"user\",\"content\":\"r\"},"
     "{\"role\":\"assistant\",\"content\":\"x\"}]",
     "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"so\",\"reasoning_content\":"
     "\"a\\n\\nb\"},"
     "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"c\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
     "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"user\",\"content\":\"r\"},"
     "{\"role\":\"assistant\",\"content\":\"x\"}]"},
};

static enum err read_members(const char *members, struct openai_ask *a, json_t **body, struct note *note)
{
    struct buf text = {0};
    buf_add_format(&text, "{\"model\":\"default\",%s}", members);
    *body = parse(buf_text(&text));
    buf_clear(&text);
    openai_ask_init(a);
    return openai_read_response(*body, a, note);
}

static void items_become_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct note note = {{0}};
        struct openai_ask a;
        json_t *body;
        if (read_members(inputs[i].members, &a, &body, &note) != ERR_OK)
            fail_msg("%s: %s", inputs[i].members, note.text);
        expect_json(a.job.messages, inputs[i].messages);
        openai_ask_clear(&a);
        json_decref(body);
    }
}

#define INPUT(items) "\"input\":[" items "]"
#define TOOL(more)   "\"input\":\"x\",\"tools\":[{\"type\":\"function\"" more "}]"

static const struct {
    const char *members, *begins; /* of the error: the field in front */
} refused[] = {
    {"\"instructions\":\"x\"", "input must be"},
    {"\"input\":[]", "input must be"},
    {"\"input\":5", "input must be"},
    {"\"input\":\"x\",\"instructions\":[]", "instructions must be"},
    {INPUT("\"x\""), "input[0] must be an object"},
    {INPUT("{\"role\":\"user\",\"content\":\"x\"},{\"type\":\"compaction\",\"summary\":[]}"),
     "input[1] is of type compaction"},
    {INPUT("{\"type\":\"reasoning\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}"), "input[0].content[0] must be"},
    {INPUT("{\"type\":\"reasoning\",\"content\":[{\"type\":\"reasoning_text\"}]}"), "input[0].content[0] must be"},
    {INPUT("{\"type\":5}"), "input[0] is of type (none)"},
    {INPUT("{\"role\":\"tool\",\"content\":\"x\"}"), "input[0].role is tool"},
    {INPUT("{\"content\":\"x\"}"), "input[0].role is (none)"},
    {INPUT("{\"role\":\"user\"}"), "input[0].content must be"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"x\"}]}"),
     "input[0].content[0] is of type input_image"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}"), "input[0].content[0].text must be"},
    {INPUT("{\"id\":\"msg_1\"}"), "input[0] refers to an item"},
    {INPUT("{\"type\":\"item_reference\",\"id\":\"msg_1\"}"), "input[0] refers to an item"},
    {INPUT("{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}"), "input[0] is a function_call"},
    {INPUT("{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":{}}"),
     "input[0] is a function_call"},
    {INPUT("{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"x\"}"), "input[0].call_id is c"},
    {INPUT("{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},"
           "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":null}"),
     "input[1].output must be"},
    {"\"input\":\"x\",\"previous_response_id\":\"resp_1\"", "previous_response_id is not supported: send"},
    {"\"input\":\"x\",\"conversation\":\"conv_1\"", "conversation is not supported: send"},
    {"\"input\":\"x\",\"prompt\":{\"id\":\"p\"}", "prompt is not supported: send"},
    {"\"input\":\"x\",\"background\":true", "background is not supported: ask"},
    {"\"input\":\"x\",\"store\":1", "store must be"},
    {"\"input\":\"x\",\"truncation\":\"auto\"", "truncation must be disabled"},
    {"\"input\":\"x\",\"stream_options\":{\"include_obfuscation\":true}", "stream_options.include_obfuscation is not"},
    {"\"input\":\"x\",\"max_output_tokens\":0", "max_output_tokens must be"},
    {"\"input\":\"x\",\"temperature\":3", "temperature must be"},
    {"\"input\":\"x\",\"text\":\"json\"", "text must be"},
    {"\"input\":\"x\",\"text\":{\"format\":{\"type\":\"xml\"}}", "text.format.type must be"},
    {"\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}", "text.format.schema is missing"},
    {"\"input\":\"x\",\"include\":\"all\"", "include must be"},
    {"\"input\":\"x\",\"include\":[\"everything\"]", "include[0] is everything"},
    {"\"input\":\"x\",\"top_logprobs\":2", "top_logprobs needs include"},
    {"\"input\":\"x\",\"metadata\":{\"a\":1}", "metadata has a value of a"},
    {"\"input\":\"x\",\"metadata\":[]", "metadata must be"},
    {"\"input\":\"x\",\"tools\":{}", "tools must be"},
    {"\"input\":\"x\",\"tools\":[{\"type\":\"web_search\"}]", "tools[0] is of type web_search"},
    {"\"input\":\"x\",\"tools\":[1]", "tools[0] is of type (none)"},
    {TOOL(""), "tools[0].name must be"},
    {TOOL(",\"name\":\"a b\""), "tools[0].name must be"},
    {TOOL(",\"name\":\"f\"") ",\"tool_choice\":\"any\"",
     "tool_choice must be auto, none, required, or {\"type\":\"function\",\"name\""},
    {TOOL(",\"name\":\"f\"") ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
     "tool_choice must be"},
    {TOOL(",\"name\":\"f\"") ",\"tool_choice\":{\"type\":\"function\",\"name\":\"g\"}", "tool_choice names g"},
    {"\"input\":\"x\",\"tool_choice\":\"required\"", "tool_choice asks for a call"},
    {"\"input\":\"x\",\"parallel_tool_calls\":1", "parallel_tool_calls must be"},
};

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct note note = {{0}};
        struct openai_ask a;
        json_t *body;
        enum err e = read_members(refused[i].members, &a, &body, &note);
        if ((e != ERR_FORMAT && e != ERR_RANGE) ||
            strncmp(note.text, refused[i].begins, strlen(refused[i].begins)) != 0)
            fail_msg("%s: %d %s", refused[i].members, e, note.text);
        openai_ask_clear(&a);
        json_decref(body);
    }
}

static void reads_what_is_asked(void **state)
{
    (void)state;
    struct note note = {{0}};
    struct openai_ask a;
    json_t *body;
    assert_int_equal(
        read_members(
            "\"input\":\"x\",\"store\":true,\"max_output_tokens\":7,\"temperature\":0.7,\"seed\":3,\"stream\":"
            "true,\"include\":[\"reasoning.encrypted_content\",\"message.output_text.logprobs\"],"
            "\"top_logprobs\":2,\"truncation\":\"disabled\",\"background\":false,\"metadata\":{\"a\":\"b\"},"
            "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"integer\"}}},"
            "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"strict\":null,"
            "\"parameters\":{\"type\":\"object\"}}],\"parallel_tool_calls\":false,\"user\":\"ada\"",
            &a, &body, &note),
        ERR_OK);
    assert_int_equal(a.job.tokens_max, 7);
    assert_int_equal(a.job.logprobs, 3);
    assert_int_equal(a.job.seed.b[0], 3);
    assert_true(a.job.has_seed && a.stream && a.one_call && a.job.temp == 0.7f);
    assert_int_equal(a.n * a.prompts_n, 1);
    assert_string_equal(buf_text(&a.schema), "{\"type\":\"integer\"}");
    expect_json(a.job.tools,
                "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
                "{\"type\":\"object\"}}}]");
    assert_non_null(strstr(buf_text(&a.echo), "\"temperature\":0.7,"));
    openai_ask_clear(&a);
    json_decref(body);
    /* a call that has to be made is the schema */
    assert_int_equal(read_members(TOOL(",\"name\":\"f\"") ",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}", &a,
                                  &body, &note),
                     ERR_OK);
    assert_non_null(strstr(buf_text(&a.schema), "\"const\":\"f\""));
    openai_ask_clear(&a);
    json_decref(body);
}

/* What the answer repeats of a request is bounded. */
static void long_requests_are_refused(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct note note = {{0}};
        struct openai_ask a;
        json_t *body = parse("{\"model\":\"default\",\"input\":\"x\",\"instructions\":\"\"}");
        size_t n = RESPONSE_ECHO_MAX - (over ? 0 : 1000);
        char *text = malloc(n);
        assert_non_null(text);
        memset(text, 'a', n);
        json_object_set_new(body, "instructions", json_stringn(text, n));
        openai_ask_init(&a);
        assert_int_equal(openai_read_response(body, &a, &note), over ? ERR_RANGE : ERR_OK);
        openai_ask_clear(&a);
        json_decref(body);
        free(text);
    }
}

/* -- answers -- */

struct scene {
    struct answer answer;
    struct choice choice;
    struct job_view view;
    json_t *events; /* that were sent, in their order */
};

static void scene_init(struct scene *s, const char *tools)
{
    *s = (struct scene){.events = json_array()};
    s->answer = (struct answer){.form = &openai_form_response,
                                .model = (char *)(uintptr_t) "m",
                                .choice = &s->choice,
                                .n = 1,
                                .tools = tools ? parse(tools) : NULL};
    s->answer.usage.prompt = 5;
    s->answer.usage.written = 3;
    s->answer.usage.cached = 2;
    s->choice = (struct choice){.answer = &s->answer, .job = {{1, 2}}};
    s->view =
        (struct job_view){.id = s->choice.job, .state = JOB_RUNNING, .is_local = true, .made_ms = 1000, .text = ""};
    buf_add_text(&s->answer.echo, ",\"store\":false");
}

static void scene_clear(struct scene *s)
{
    json_decref(s->events);
    json_decref(s->answer.tools);
    json_decref(s->choice.calls);
    answer_parts_clear(&s->choice.parts);
    buf_clear(&s->choice.json);
    buf_clear(&s->answer.echo);
}

/* Each frame is an event's type, and a line of data that says the same. */
static void take_frames(struct scene *s, char *text)
{
    while (*text) {
        char *data = strstr(text, "\ndata: "), *end = strstr(text, "\n\n");
        assert_true(strncmp(text, "event: ", 7) == 0 && data && end && data < end);
        *data = *end = 0;
        json_t *event = parse(data + 7);
        assert_string_equal(json_text(event, "type"), text + 7);
        json_array_append_new(s->events, event);
        text = end + 2;
    }
}

static void show(struct scene *s, const char *text, enum job_state state, const char *stop)
{
    struct buf frames = {0};
    s->view.text = text;
    s->view.text_n = strlen(text);
    s->view.state = state;
    s->view.stop = stop;
    s->view.done_ms = state == JOB_DONE ? 9000 : 0;
    openai_put_response_events(&frames, &s->choice, &s->view, openai_text_ready(&s->choice, &s->view));
    buf_add(&frames, "", 1);
    take_frames(s, (char *)frames.p);
    buf_clear(&frames);
}

/* The same of an answer in channels. */
static void think(struct scene *s, const char *whole, enum job_state state, const char *stop)
{
    answer_parts_read(&s->choice.parts, (struct thought_form){.kind = THOUGHT_NONE}, NULL, bytes_of_text(whole),
                      state == JOB_DONE);
    show(s, buf_text(&s->choice.parts.said), state, stop);
}

/* Types without their beginning, in a row; numbers are the places. */
static void expect_events(const struct scene *s, const char *wanted)
{
    struct buf types = {0};
    for (size_t i = 0; i < json_array_size(s->events); i++) {
        const json_t *event = json_array_get(s->events, i);
        assert_int_equal(json_integer_value(json_object_get(event, "sequence_number")), i);
        buf_add_format(&types, "%s%s", i ? " " : "", json_text(event, "type") + strlen("response."));
    }
    assert_string_equal(buf_text(&types), wanted);
    buf_clear(&types);
}

/* What a client has that puts the events together: the items that were done. */
static void expect_whole(struct scene *s, const char *status)
{
    const json_t *last = json_object_get(json_array_get(s->events, json_array_size(s->events) - 1), "response");
    const json_t *output = json_object_get(last, "output");
    json_t *items = json_array(), *text = json_string("");
    for (size_t i = 0; i < json_array_size(s->events); i++) {
        const json_t *event = json_array_get(s->events, i);
        const char *type = json_text(event, "type"), *delta = json_text(event, "delta");
        if (strcmp(type, "response.output_item.done") == 0) {
            assert_int_equal(json_integer_value(json_object_get(event, "output_index")), json_array_size(items));
            json_array_append(items, json_object_get(event, "item"));
        }
        if (strcmp(type, "response.output_text.delta") == 0) {
            struct buf both = {0};
            buf_add_format(&both, "%s%s", json_string_value(text), delta);
            json_string_set(text, buf_text(&both));
            buf_clear(&both);
        }
        if (strcmp(type, "response.output_text.done") == 0)
            assert_string_equal(json_text(event, "text"), json_string_value(text));
    }
    assert_true(json_equal(items, output));
    assert_string_equal(json_text(last, "status"), status);
    openai_form_response.put_choice(&s->choice, &s->view);
    json_t *whole = parse(buf_text(&s->choice.json));
    assert_true(json_equal(whole, last));
    json_decref(whole);
    json_decref(items);
    json_decref(text);
}

#define MESSAGE_BEGINS "output_item.added content_part.added"
#define MESSAGE_ENDS   "output_text.done content_part.done output_item.done"
#define CALL           "output_item.added function_call_arguments.delta function_call_arguments.done output_item.done"

static void streams_a_text(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL);
    show(&s, "Hel", JOB_RUNNING, NULL);
    show(&s, "Hello, w", JOB_RUNNING, NULL);
    show(&s, "Hello, world", JOB_DONE, "eos");
    expect_events(&s, "created in_progress " MESSAGE_BEGINS
                      " output_text.delta output_text.delta output_text.delta " MESSAGE_ENDS " completed");
    expect_whole(&s, "completed");
    const json_t *end = json_object_get(json_array_get(s.events, 10), "response");
    struct buf usage = {0};
    json_print(&usage, json_object_get(end, "usage"));
    expect_json(buf_text(&usage), "{\"input_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":2,"
                                  "\"cache_write_tokens\":0},\"output_tokens\":3,\"output_tokens_details\":{"
                                  "\"reasoning_tokens\":0},\"total_tokens\":8}");
    assert_int_equal(json_integer_value(json_object_get(end, "completed_at")), 9);
    assert_true(json_is_false(json_object_get(end, "store")));
    buf_clear(&usage);
    scene_clear(&s);
}

static void streams_an_end_that_came_early(void **state)
{
    (void)state;
    static const struct {
        const char *stop, *reason;
    } cases[] = {{"length", "max_output_tokens"}, {"numeric", "content_filter"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        scene_init(&s, NULL);
        show(&s, "Hel", JOB_DONE, cases[i].stop);
        expect_events(&s, "created in_progress " MESSAGE_BEGINS " output_text.delta " MESSAGE_ENDS " incomplete");
        expect_whole(&s, "incomplete");
        const json_t *end = json_object_get(json_array_get(s.events, 8), "response");
        assert_string_equal(json_text(json_object_get(end, "incomplete_details"), "reason"), cases[i].reason);
        assert_true(json_is_null(json_object_get(end, "completed_at")));
        scene_clear(&s);
    }
}

/* What was thought is an item in front of the message; what is thought behind its beginning one behind it. */
static void streams_thoughts(void **state)
{
    (void)state;
#define THOUGHT_BEGINS "output_item.added content_part.added reasoning_text.delta"
#define THOUGHT_ENDS   "reasoning_text.done content_part.done output_item.done"
    static const char mark[] = "<|channel|>analysis<|message|>",
                      next[] = "<|start|>assistant<|channel|>final<|message|>";
    struct scene s;
    struct buf text = {0};
    scene_init(&s, NULL);
    buf_add_format(&text, "%sLet", mark);
    think(&s, buf_text(&text), JOB_RUNNING, NULL);
    buf_add_format(&text, " me see.%s", next);
    think(&s, buf_text(&text), JOB_RUNNING, NULL);
    buf_add_text(&text, "It");
    think(&s, buf_text(&text), JOB_RUNNING, NULL);
    buf_add_format(&text, " is.<|start|>assistant%sGood.", mark);
    think(&s, buf_text(&text), JOB_DONE, "eos");
    expect_events(&s, "created in_progress " THOUGHT_BEGINS " reasoning_text.delta " THOUGHT_ENDS " " MESSAGE_BEGINS
                      " output_text.delta output_text.delta " MESSAGE_ENDS " " THOUGHT_BEGINS " " THOUGHT_ENDS
                      " completed");
    expect_whole(&s, "completed");
    scene_clear(&s);

    buf_reset(&text); /* cut off while it thinks: no message */
    scene_init(&s, NULL);
    buf_add_format(&text, "%sLet", mark);
    think(&s, buf_text(&text), JOB_DONE, "length");
    expect_events(&s, "created in_progress " THOUGHT_BEGINS " " THOUGHT_ENDS " incomplete");
    expect_whole(&s, "incomplete");
    scene_clear(&s);
    buf_clear(&text);
}

/* An empty answer is a message still, since clients look for one. */
static void streams_nothing(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL);
    show(&s, "", JOB_DONE, "eos");
    expect_events(&s, "created in_progress " MESSAGE_BEGINS " " MESSAGE_ENDS " completed");
    expect_whole(&s, "completed");
    const json_t *items = json_object_get(json_object_get(json_array_get(s.events, 7), "response"), "output");
    assert_int_equal(json_array_size(json_object_get(json_array_get(items, 0), "content")), 1);
    scene_clear(&s);
}

static void streams_calls(void **state)
{
    (void)state;
    static const char tools[] = "[{\"type\":\"function\",\"function\":{\"name\":\"get\"}}]";
    struct scene s;
    scene_init(&s, tools);
    show(&s, "{\"name\":\"get\",", JOB_RUNNING, NULL);
    show(&s, "{\"name\":\"get\",\"parameters\":{\"a\":1}};{\"name\":\"get\"}", JOB_DONE, "eos");
    expect_events(&s, "created in_progress " CALL " " CALL " completed");
    expect_whole(&s, "completed");
    const json_t *first = json_object_get(json_array_get(s.events, 5), "item"),
                 *second = json_object_get(json_array_get(s.events, 9), "item");
    assert_string_equal(json_text(first, "arguments"), "{\"a\":1}");
    assert_string_not_equal(json_text(first, "call_id"), json_text(second, "call_id"));
    assert_string_not_equal(json_text(first, "id"), json_text(second, "id"));
    scene_clear(&s);

    scene_init(&s, tools);
    show(&s, "Look: <tool", JOB_RUNNING, NULL);
    show(&s, "Look: <tool_call>{\"name\":\"get\"}</tool_call>", JOB_DONE, "eos");
    expect_events(&s, "created in_progress " MESSAGE_BEGINS " output_text.delta " MESSAGE_ENDS " " CALL " completed");
    expect_whole(&s, "completed");
    scene_clear(&s);
}

static void streams_a_failure(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL);
    show(&s, "Hel", JOB_RUNNING, NULL);
    s.view.error = "the provider is \"gone\"";
    show(&s, "Hel", JOB_FAILED, NULL);
    expect_events(&s, "created in_progress " MESSAGE_BEGINS " output_text.delta failed");
    const json_t *end = json_object_get(json_array_get(s.events, 5), "response");
    assert_string_equal(json_text(end, "status"), "failed");
    assert_string_equal(json_text(json_object_get(end, "error"), "message"), "the provider is \"gone\"");
    scene_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_become_messages), cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(reads_what_is_asked),   cmocka_unit_test(long_requests_are_refused),
        cmocka_unit_test(streams_a_text),        cmocka_unit_test(streams_an_end_that_came_early),
        cmocka_unit_test(streams_nothing),       cmocka_unit_test(streams_calls),
        cmocka_unit_test(streams_a_failure),     cmocka_unit_test(streams_thoughts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
