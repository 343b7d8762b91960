/* Answers in parts, as the API tells them. */
#include "node/api/answer_parts.h"

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

void answer_parts_read(struct answer_parts *p, const json_t *tools, struct bytes answer, bool is_over)
{
    answer_parts_clear(p);
    p->are = harmony_is(answer, is_over);
    if (!p->are)
        return;
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
    p->are = true;
    if (!is_over)
        return;
    p->calls = json_array();
    if (tool_calls_add(p->calls, tools, bytes_of_text(function), arguments))
        return;
    json_decref(p->calls);
    p->calls = NULL;
    buf_add(&p->said, arguments.p, arguments.n);
}
