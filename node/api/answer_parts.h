/* What of a model's answer is for whom: what is said to people, what was thought on the way, and calls of tools. An
 * answer is in channels (base/harmony.h), or has a thought in front (base/thought.h), or is all said. Pure. */
#ifndef KITH_NODE_ANSWER_PARTS_H
#define KITH_NODE_ANSWER_PARTS_H

#include "base/answer_form.h"
#include "base/json.h"

/* {0}: of no answer yet. */
struct answer_parts {
    bool are;         /* the answer is in parts; else all of it is said, and nothing is here */
    bool in_channels; /* and calls are parts of their own; else they are in what is said (tool_calls_find) */
    struct buf said, thought;
    size_t thought_first; /* bytes of `thought` in front of the first that is said; then it grows no more */
    json_t *calls;        /* in channels: as tool_calls_find has them, or NULL; known when the answer is over */
};
void answer_parts_clear(struct answer_parts *p);
/* Reads an answer so far, with its marks in it (answer_marks_join); each time what was read before only grows. `tools`:
 * that it may call, or NULL; a call of another one in a channel, or whose arguments are no object, is said instead. */
void answer_parts_read(struct answer_parts *p, struct thought_form form, const json_t *tools, struct bytes answer,
                       bool is_over);
/* The same where the prompt calls the function already, and the answer is its arguments. */
void answer_parts_call(struct answer_parts *p, const json_t *tools, const char *function, struct bytes arguments,
                       bool is_over);
/* How many tokens of an answer that is over were thought, with the marks and heads that say so. `ends`: where each
 * token ends in it, u32 little-endian. */
uint32_t answer_parts_thought_tokens(struct thought_form form, struct bytes answer, struct bytes ends);

#endif
