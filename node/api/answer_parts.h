/* What of a model's answer is for whom, where it is in parts (base/harmony.h): what is said to people, what was thought
 * on the way, and calls of tools. Pure. */
#ifndef KITH_NODE_ANSWER_PARTS_H
#define KITH_NODE_ANSWER_PARTS_H

#include "base/json.h"

/* {0}: of no answer yet. */
struct answer_parts {
    bool are; /* the answer is in parts */
    struct buf said, thought;
    size_t thought_first; /* bytes of `thought` in front of the first that is said; then it grows no more */
    json_t *calls;        /* as tool_calls_find has them, or NULL; known when the answer is over */
};
void answer_parts_clear(struct answer_parts *p);
/* Reads an answer so far; each time what was read before only grows. `tools`: that it may call, or NULL; a call of
 * another one, or whose arguments are no object, is said instead. */
void answer_parts_read(struct answer_parts *p, const json_t *tools, struct bytes answer, bool is_over);
/* The same where the prompt calls the function already, and the answer is its arguments. */
void answer_parts_call(struct answer_parts *p, const json_t *tools, const char *function, struct bytes arguments,
                       bool is_over);

#endif
