/* Looking for marks. */
#include "inference/template/answer_form.h"

#include <string.h>

static bool speaks_of(struct bytes template, const char *mark)
{
    return template.n && memmem(template.p, template.n, mark, strlen(mark));
}

static bool has_token(const struct tok *tok, const char *mark)
{
    return tok_find(tok, mark) >= 0;
}

static bool has_tokens(const struct tok *tok, enum thought_kind kind)
{
    return kind == THOUGHT_CHANNEL ? has_token(tok, "<|channel>") && has_token(tok, thought_close(kind))
                                   : has_token(tok, thought_open(kind)) && has_token(tok, thought_close(kind));
}

static struct thought_form thought_form_of(const struct tok *tok, struct bytes template, struct bytes prompt)
{
    struct thought_form spoken = {.kind = THOUGHT_NONE}, known = spoken;
    for (uint8_t kind = THOUGHT_KINDS - 1; kind > THOUGHT_NONE; kind--) {
        if (thought_is_left_open(kind, prompt))
            return (struct thought_form){.kind = kind, .is_within = true};
        if (speaks_of(template, thought_close(kind)))
            spoken.kind = kind;
        if (has_tokens(tok, kind))
            known.kind = kind;
    }
    return spoken.kind != THOUGHT_NONE ? spoken : known;
}

/* MiniMax has <response> around results of tools. */
static uint8_t said_kind_of(struct bytes template)
{
    return speaks_of(template, "<answer>") && speaks_of(template, "</answer>") ? SAID_ANSWER
           : speaks_of(template, "<response></response>")                      ? SAID_RESPONSE
           : speaks_of(template, ">>>all\\n")                                  ? SAID_ALL
                                                                               : SAID_PLAIN;
}

struct answer_form answer_form_of(const struct tok *tok, struct bytes template, struct bytes prompt)
{
    struct answer_form f = {.thought = thought_form_of(tok, template, prompt), .calls = ANSWER_FORM_PLAIN};
    f.thought.said = said_kind_of(template);
    for (unsigned i = 0; i < CALL_FORMS; i++) {
        const char *mark = call_form_mark((enum call_form)i);
        if (speaks_of(template, mark) || has_token(tok, mark))
            f.calls |= 1u << i;
    }
    /* Templates that build their tags of a name write them out nowhere. */
    if (speaks_of(template, "DSML"))
        f.calls |= 1u << CALL_DSML | 1u << CALL_DSML_TOOL;
    return f;
}
