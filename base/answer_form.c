/* Marks of answers, and texts with their marks put back. */
#include "base/answer_form.h"

#include "base/codec.h"

#include <string.h>

static const char *const forms[] = {
    [CALL_TAGGED] = "<tool_call>",
    [CALL_BRACKET] = "[TOOL_CALLS]",
    [CALL_FUNCTION] = "<function=",
    [CALL_ELEMENT] = "<function name=",
    [CALL_SEED] = "<seed:tool_call>",
    [CALL_INVOKE] = "<minimax:tool_call>",
    [CALL_DSML] = "<｜DSML｜function_calls>",
    [CALL_DSML_TOOL] = "<｜DSML｜tool_calls>",
    [CALL_DEEPSEEK] = "<｜tool▁calls▁begin｜>",
    [CALL_KIMI] = "<|tool_calls_section_begin|>",
    [CALL_PYTHON] = "<|tool_call_start|>",
    [CALL_GRANITE] = "<|tool_call|>",
    [CALL_ACTION] = "<|START_ACTION|>",
    [CALL_TOOLCALL] = "<TOOLCALL>",
    [CALL_SECTION] = "<tool_calls>",
    [CALL_PREFIX] = "<|tools_prefix|>",
    [CALL_GIGA] = "<|function_call|>",
    [CALL_GEMMA] = "<|tool_call>",
    [CALL_ALL] = ">>>",
};
_Static_assert(sizeof forms / sizeof *forms == CALL_FORMS && CALL_FORMS <= 32, "each has its bit");

/* What else stands in and behind calls. */
static const char *const inner[] = {
    "</tool_call>",
    "[ARGS]",
    "[CALL_ID]",
    "</seed:tool_call>",
    "</minimax:tool_call>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<|END_ACTION|>",
    "</TOOLCALL>",
    "</tool_calls>",
    "<|tools_suffix|>",
    "<tool_call|>",
    "<|\"|>",
    "<|python_tag|>",
    "<|channel>",
};

const char *call_form_mark(enum call_form form)
{
    CHECK(form < CALL_FORMS);
    return forms[form];
}

bool answer_form_is_mark(struct bytes text)
{
    for (int kind = THOUGHT_NONE + 1; kind < THOUGHT_KINDS; kind++)
        if (bytes_equal(text, bytes_of_text(thought_open((enum thought_kind)kind))) ||
            bytes_equal(text, bytes_of_text(thought_close((enum thought_kind)kind))))
            return true;
    for (size_t i = 0; i < CALL_FORMS; i++)
        if (bytes_equal(text, bytes_of_text(forms[i])))
            return true;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        if (bytes_equal(text, bytes_of_text(inner[i])))
            return true;
    return false;
}

void answer_marks_add(struct buf *marks, uint32_t token, struct bytes text)
{
    uint8_t head[5];
    if (text.n == 0 || text.n > ANSWER_MARK_MAX)
        return;
    store_le32(head, token);
    head[4] = (uint8_t)text.n;
    buf_add(marks, head, sizeof head);
    buf_add(marks, text.p, text.n);
}

/* Takes the next one off; false where none is whole. */
static bool next_mark(struct bytes *marks, uint32_t *token, struct bytes *text)
{
    size_t n = marks->n > 5 ? marks->p[4] : 0;
    if (n == 0 || marks->n < 5 + n)
        return false;
    *token = load_le32(marks->p);
    *text = bytes_of(marks->p + 5, n);
    *marks = bytes_of(marks->p + 5 + n, marks->n - 5 - n);
    return true;
}

void answer_marks_join(struct bytes text, struct bytes reaches, struct bytes marks, struct buf *out, struct buf *ends)
{
    const size_t before = out->n;
    size_t at = 0;
    uint32_t token = 0;
    struct bytes mark;
    bool more = next_mark(&marks, &token, &mark);
    for (uint32_t i = 0; i < reaches.n / 4; i++) {
        size_t reach = load_le32(reaches.p + 4 * (size_t)i);
        if (reach > text.n)
            break;
        if (reach > at) {
            buf_add(out, text.p + at, reach - at);
            at = reach;
        }
        for (; more && token <= i; more = next_mark(&marks, &token, &mark))
            if (token == i)
                buf_add(out, mark.p, mark.n);
        uint8_t raw[4];
        store_le32(raw, (uint32_t)(out->n - before));
        if (ends)
            buf_add(ends, raw, sizeof raw);
    }
    buf_add(out, text.p + at, text.n - at);
}
