/* Chat templates: from a list of messages to the text of a prompt.
 *
 * A model's file carries its template, a program in the Jinja language, written by a stranger. This is
 * an interpreter for the part of Jinja that published templates use (docs/tokens.md lists it). It
 * has no access to anything but its input; steps, memory, output and depth are bounded by
 * base/limits.h and never by time, so that one input gives one text on every machine. */
#ifndef KITH_INFERENCE_TEMPLATE_H
#define KITH_INFERENCE_TEMPLATE_H

#include "base/json.h"

struct template_input {
    struct bytes source;        /* at most TEMPLATE_BYTES_MAX */
    const json_t *messages;     /* array */
    const json_t *tools;        /* array, or NULL for none */
    const json_t *variables;    /* object with further variables of the template, or NULL */
    struct bytes bos, eos;      /* texts of these tokens, may be empty */
    bool add_generation_prompt; /* the text ends where the answer begins */
    int64_t clock_s;            /* what strftime_now shows: seconds since 1970, UTC; an input like any other */
};

/* Appends the prompt. On failure `out` is as before and the note says why, with the template's line. */
enum err template_render(const struct template_input *input, struct buf *out, struct note *note) MUST_USE;
/* Only whether it can be read. */
enum err template_check(struct bytes source, struct note *note) MUST_USE;

#endif
