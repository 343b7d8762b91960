/* Thoughts in front of answers, by their marks. */
#include "base/thought.h"

#include <string.h>

static const char *const marks[][2] = {[THOUGHT_THINK] = {"<think>", "</think>"},
                                       [THOUGHT_SEED] = {"<seed:think>", "</seed:think>"},
                                       [THOUGHT_BRACKET] = {"[THINK]", "[/THINK]"},
                                       [THOUGHT_COHERE] = {"<|START_THINKING|>", "<|END_THINKING|>"},
                                       [THOUGHT_CHANNEL] = {"<|channel>thought", "<channel|>"},
                                       [THOUGHT_INNER] = {"<|inner_prefix|>", "<|inner_suffix|>"},
                                       [THOUGHT_THOUGHT] = {"<thought>", "</thought>"}};

static const char *const around[][2] = {
    [SAID_PLAIN] = {"", ""},
    [SAID_ANSWER] = {"<answer>", "</answer>"},
    [SAID_RESPONSE] = {"<response>", "</response>"},
    [SAID_ALL] = {"all\n", ">>>"},
};

const char *thought_open(enum thought_kind kind)
{
    CHECK(kind > THOUGHT_NONE && kind < THOUGHT_KINDS);
    return marks[kind][0];
}

const char *thought_close(enum thought_kind kind)
{
    CHECK(kind > THOUGHT_NONE && kind < THOUGHT_KINDS);
    return marks[kind][1];
}

struct thought_form thought_form_shown(struct thought_form form)
{
    return form.kind == THOUGHT_NONE ? (struct thought_form){.kind = THOUGHT_THINK, .said = form.said} : form;
}

static struct bytes from(struct bytes text, size_t at)
{
    return bytes_of(text.p + at, text.n - at);
}

/* The text is shorter than the mark, and begins it. */
static bool may_become(struct bytes text, const char *mark)
{
    return text.n < strlen(mark) && memcmp(text.p, mark, text.n) == 0;
}

/* Less the end that may become the mark. */
static struct bytes less_half_mark(struct bytes text, const char *mark)
{
    size_t n = strlen(mark) - 1;
    for (n = n < text.n ? n : text.n; n > 0; n--)
        if (memcmp(text.p + text.n - n, mark, n) == 0)
            return bytes_of(text.p, text.n - n);
    return text;
}

/* The thought, and what is said behind it. */
static void take_thought(struct thought_form form, bool is_over, struct thought_split *out)
{
    const struct bytes answer = out->said;
    const char *open = thought_open(form.kind), *close = thought_close(form.kind);
    struct bytes rest = bytes_trim_front(answer);
    bool is_opened = bytes_begin(rest, open);
    if (!is_opened && !is_over && may_become(rest, open)) {
        out->said.n = 0;
        return;
    }
    if (!is_opened && !form.is_within)
        return;
    if (is_opened)
        rest = from(rest, strlen(open));
    const uint8_t *end = rest.n ? memmem(rest.p, rest.n, close, strlen(close)) : NULL;
    struct bytes thought = end       ? bytes_of(rest.p, (size_t)(end - rest.p))
                           : is_over ? rest
                                     : less_half_mark(rest, close);
    out->thought = bytes_trim(thought);
    if (end) {
        struct bytes behind = from(rest, thought.n + strlen(close));
        out->said = bytes_trim_front(behind);
        out->thought_end = answer.n - behind.n;
    } else {
        out->said = from(answer, answer.n);
        out->thought_end = answer.n;
    }
}

/* Takes off what stands around it. White space in front of the closing mark waits for what comes behind. */
static void take_off(const char *open, const char *close, bool is_over, struct bytes *said)
{
    struct bytes rest = bytes_trim_front(*said);
    if (!is_over && may_become(rest, open))
        said->n = 0;
    if (!bytes_begin(rest, open))
        return;
    rest = bytes_trim_front(from(rest, strlen(open)));
    const uint8_t *end = rest.n ? memmem(rest.p, rest.n, close, strlen(close)) : NULL;
    const size_t n = end ? (size_t)(end - rest.p) : rest.n;
    if (end && bytes_trim(from(rest, n + strlen(close))).n)
        *said = rest;
    else
        *said = bytes_trim_behind(end || is_over ? bytes_of(rest.p, n) : less_half_mark(rest, close));
}

void thought_split(struct thought_form form, struct bytes answer, bool is_over, struct thought_split *out)
{
    *out = (struct thought_split){.said = answer};
    if (form.kind != THOUGHT_NONE && answer.n)
        take_thought(form, is_over, out);
    if (form.said != SAID_PLAIN && out->said.n)
        take_off(around[form.said][0], around[form.said][1], is_over, &out->said);
}

bool thought_is_left_open(enum thought_kind kind, struct bytes prompt)
{
    const char *open = kind == THOUGHT_NONE ? NULL : thought_open(kind);
    size_t n = open ? strlen(open) : 0;
    prompt = bytes_trim_behind(prompt);
    return n && prompt.n >= n && memcmp(prompt.p + prompt.n - n, open, n) == 0;
}
