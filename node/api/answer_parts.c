/* Answers in parts, as the API tells them. */
#include "node/api/answer_parts.h"

#include "base/codec.h"
#include "base/harmony.h"
#include "node/api/tool_calls.h"

#include <string.h>

void answer_parts_clear(struct answer_parts *p)
{
    buf_clear(&p->said);
    buf_clear(&p->thought);
    json_decref(p->calls);
    *p = (struct answer_parts){0};
}

static void read_calls(struct answer_parts *p, const json_t *tools, struct bytes answer)
{
    struct harmony_part part;
    p->calls = json_array();
    while (harmony_next(&answer, &part)) {
        if (part.kind != HARMONY_CALL || tool_calls_add(p->calls, tools, part.name, part.text))
            continue;
        buf_add_text(&p->said, p->said.n ? "\n\n" : "");
        buf_add(&p->said, part.text.p, part.text.n);
    }
    if (json_array_size(p->calls))
        return;
    json_decref(p->calls);
    p->calls = NULL;
}

/* What harmony_join makes of the thoughts up to there. */
static size_t thought_first(struct bytes answer)
{
    struct harmony_part part;
    size_t n = 0;
    while (harmony_next(&answer, &part) && !(part.kind == HARMONY_ANSWER && part.text.n))
        if (part.kind == HARMONY_THOUGHT && part.text.n)
            n += part.text.n + (n ? strlen("\n\n") : 0);
    return n;
}

static void read_thought(struct answer_parts *p, struct thought_form form, struct bytes answer, bool is_over)
{
    struct thought_split s;
    thought_split(form, answer, is_over, &s);
    p->are = form.kind != THOUGHT_NONE || form.said != SAID_PLAIN;
    if (!p->are)
        return;
    buf_add(&p->thought, s.thought.p, s.thought.n);
    buf_add(&p->said, s.said.p, s.said.n);
    p->thought_first = p->thought.n;
}

void answer_parts_read(struct answer_parts *p, struct thought_form form, const json_t *tools, struct bytes answer,
                       bool is_over)
{
    answer_parts_clear(p);
    if (!harmony_is(answer, is_over)) {
        read_thought(p, form, answer, is_over);
        return;
    }
    p->are = p->in_channels = true;
    harmony_join(answer, HARMONY_THOUGHT, &p->thought);
    harmony_join(answer, HARMONY_ANSWER, &p->said);
    p->thought_first = thought_first(answer);
    if (is_over)
        read_calls(p, tools, answer);
}

void answer_parts_call(struct answer_parts *p, const json_t *tools, const char *function, struct bytes arguments,
                       bool is_over)
{
    answer_parts_clear(p);
    p->are = p->in_channels = true;
    if (!is_over)
        return;
    p->calls = json_array();
    if (tool_calls_add(p->calls, tools, bytes_of_text(function), arguments))
        return;
    json_decref(p->calls);
    p->calls = NULL;
    buf_add(&p->said, arguments.p, arguments.n);
}

/* Of the tokens in [from, to) of an answer. One that reaches beyond is counted where it begins. */
static uint32_t count_tokens(struct bytes ends, size_t from, size_t to)
{
    uint32_t n = 0;
    size_t begin = 0;
    for (size_t i = 0; i < ends.n / 4; i++) {
        const size_t end = load_le32(ends.p + 4 * i);
        n += begin >= from && begin < to;
        begin = end;
    }
    return n;
}

uint32_t answer_parts_thought_tokens(struct thought_form form, struct bytes answer, struct bytes ends)
{
    struct thought_split s;
    struct harmony_part part;
    struct bytes rest = answer;
    uint32_t n = 0;
    if (!harmony_is(answer, true)) {
        thought_split(form, answer, true, &s);
        return count_tokens(ends, 0, s.thought_end);
    }
    for (size_t from = 0, to; harmony_next(&rest, &part); from = to) {
        to = answer.n - rest.n;
        n += part.kind == HARMONY_THOUGHT ? count_tokens(ends, from, to) : 0;
    }
    return n;
}
