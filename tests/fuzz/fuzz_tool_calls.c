/* Answers are a stranger's text: calls found in them are of tools that exist, their arguments are JSON objects, and a
 * stream of any part of the answer sends nothing that turns out to be a call. */
#include "node/api/answer_parts.h"
#include "node/api/tool_calls.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char two_tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get\",\"parameters\":{\"properties\":{"
    "\"n\":{\"type\":\"integer\"},\"t\":{\"type\":\"string\"}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"get_it\"}}]";

static void check_calls(const json_t *calls)
{
    json_t *one;
    size_t i;
    json_array_foreach(calls, i, one)
    {
        const char *name = json_text(one, "name"), *arguments = json_text(one, "arguments");
        CHECK(strcmp(name, "get") == 0 || strcmp(name, "get_it") == 0);
        json_t *object = json_parse(bytes_of_text(arguments), NULL);
        CHECK(json_is_object(object));
        json_decref(object);
    }
}

/* Marks come whole: an answer so far does not end within one. */
static bool ends_in_mark(struct bytes text)
{
    size_t at = text.n;
    while (at > 0 && text.n - at < 40 && text.p[at - 1] != '<' && text.p[at - 1] != '>')
        at--;
    return at > 0 && text.p[at - 1] == '<';
}

static void check_grows(const struct buf *before, const struct buf *now)
{
    CHECK(now->n >= before->n && (before->n == 0 || memcmp(now->p, before->p, before->n) == 0));
}

/* The same of answers in parts: what was told of one so far is never taken back. */
static void try_parts(const json_t *tools, struct bytes answer)
{
    struct answer_parts last = {0}, now = {0};
    if (answer.n > 1024)
        answer.n = 1024;
    for (size_t n = 1; n <= answer.n; n++) {
        const struct bytes text = bytes_of(answer.p, n);
        if (ends_in_mark(text))
            continue;
        answer_parts_read(&now, (struct thought_form){.kind = THOUGHT_NONE}, tools, text, false);
        CHECK(!now.calls && now.said.n + now.thought.n <= n);
        check_grows(&last.thought, &now.thought);
        check_grows(&last.said, &now.said);
        answer_parts_clear(&last);
        last = now;
        now = (struct answer_parts){0};
    }
    answer_parts_read(&now, (struct thought_form){.kind = THOUGHT_NONE}, tools, answer, true);
    check_calls(now.calls);
    answer_parts_clear(&last);
    answer_parts_clear(&now);
}

/* And of answers with a thought in front, of any marks: what is told only grows, and is part of the answer. */
static void try_thoughts(struct bytes answer)
{
    if (answer.n > 1024)
        answer.n = 1024;
    for (unsigned kind = THOUGHT_NONE; kind < THOUGHT_KINDS; kind++)
        for (unsigned way = 0; way < 2 * SAID_KINDS; way++) {
            const bool within = way % 2 && kind != THOUGHT_NONE;
            const struct thought_form form = {(uint8_t)kind, within, (uint8_t)(way / 2)};
            struct thought_split last = {.said = {0}}, now;
            for (size_t n = 0; n <= answer.n; n++, last = now) {
                thought_split(form, bytes_of(answer.p, n), n == answer.n, &now);
                CHECK(now.thought.n + now.said.n <= n && now.thought_end <= n);
                CHECK(last.thought.n == 0 ||
                      (now.thought.n >= last.thought.n && memcmp(last.thought.p, now.thought.p, last.thought.n) == 0));
                CHECK(last.said.n == 0 ||
                      (now.said.n >= last.said.n && memcmp(last.said.p, now.said.p, last.said.n) == 0));
            }
        }
}

/* Places and marks of a stranger's worker: any bytes. */
static void try_marks(struct bytes input)
{
    struct buf out = {0}, ends = {0};
    size_t third = input.n / 3;
    answer_marks_join(bytes_of(input.p, third), bytes_of(input.p + third, third),
                      bytes_of(input.p + 2 * third, input.n - 2 * third), &out, &ends);
    CHECK(out.n >= third && ends.n % 4 == 0 && ends.n <= third);
    (void)answer_parts_thought_tokens((struct thought_form){.kind = THOUGHT_THINK, .is_within = true},
                                      bytes_of_buf(&out), bytes_of_buf(&ends));
    buf_clear(&out);
    buf_clear(&ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tools = json_parse(bytes_of_text(two_tools), NULL);
    struct hash job = {{7}};
    struct buf out = {0};
    size_t content_n;
    if (size > 4096)
        size = 4096;
    json_t *calls = tool_calls_find(tools, UINT32_MAX, bytes_of(data, size), &content_n);
    CHECK(content_n <= size && (calls || content_n == size));
    check_calls(calls);
    for (size_t n = 0, before = 0; n <= size; n++) {
        size_t sure = tool_calls_sure(tools, UINT32_MAX, bytes_of(data, n));
        CHECK(sure >= before && sure <= n && sure <= content_n);
        before = sure;
    }
    if (calls) {
        tool_calls_print(&out, calls, &job);
        json_t *again = json_parse(bytes_of_buf(&out), NULL);
        CHECK(json_array_size(again) == json_array_size(calls));
        json_decref(again);
        for (size_t i = 0; i < json_array_size(calls); i++) {
            buf_reset(&out);
            tool_calls_print_delta(&out, calls, &job, i, i % 2);
            again = json_parse(bytes_of_buf(&out), NULL);
            CHECK(json_is_object(again));
            json_decref(again);
        }
    }
    buf_clear(&out);
    try_parts(tools, bytes_of(data, size));
    try_thoughts(bytes_of(data, size));
    try_marks(bytes_of(data, size));
    json_decref(calls);
    json_decref(tools);
    return 0;
}
