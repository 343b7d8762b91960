/* An answer that begins with what was thought on the way to it, between two marks: <think>..</think>ANSWER.
 *
 * Which marks a model has, its vocabulary or its template shows (inference/template/answer_form.h); a prompt may end
 * with the first mark, so that the answer begins within the thought. Only a thought in front of the answer is one: what
 * stands between such marks later is what the model says of them. Answers in channels have base/harmony.h. Pure. */
#ifndef KITH_BASE_THOUGHT_H
#define KITH_BASE_THOUGHT_H

#include "base/bytes.h"

enum thought_kind {
    THOUGHT_NONE,
    THOUGHT_THINK,   /* <think> </think> */
    THOUGHT_SEED,    /* <seed:think> </seed:think> */
    THOUGHT_BRACKET, /* [THINK] [/THINK] */
    THOUGHT_COHERE,  /* <|START_THINKING|> <|END_THINKING|> */
    THOUGHT_CHANNEL, /* <|channel>thought <channel|> */
    THOUGHT_INNER,   /* <|inner_prefix|> <|inner_suffix|> */
    THOUGHT_THOUGHT, /* <thought> </thought> */
    THOUGHT_KINDS
};
/* Of a kind but NONE. */
const char *thought_open(enum thought_kind kind);
const char *thought_close(enum thought_kind kind);

/* What stands around what is said, where the answer has it. */
enum said_kind {
    SAID_PLAIN,
    SAID_ANSWER,   /* <answer> </answer> */
    SAID_RESPONSE, /* <response> </response> */
    SAID_ALL,      /* a line `all`, and >>> with a call behind it */
    SAID_KINDS
};

/* How the answers of one model to one prompt are written. */
struct thought_form {
    uint8_t kind;   /* enum thought_kind */
    bool is_within; /* the prompt ends within the thought */
    uint8_t said;   /* enum said_kind */
};

/* The same, or, where nobody said how the model thinks, as an answer shows it that begins with <think>: for whoever
 * shows answers to people. */
struct thought_form thought_form_shown(struct thought_form form);

/* A split answer; all are parts of it. Each time a longer answer is split, `thought` and `said` only grow. */
struct thought_split {
    struct bytes thought; /* without white space around it */
    struct bytes said;    /* all of an answer that has no thought; else without the white space between the two. Marks
                             around it are off, but for one that more follows behind */
    size_t thought_end;   /* bytes of the answer that the thought took, with its marks; 0 where there is none */
};
/* Splits an answer so far. Of one that is not over, what may still turn out to be a mark is in neither. */
void thought_split(struct thought_form form, struct bytes answer, bool is_over, struct thought_split *out);

/* Whether a prompt ends within a thought of that kind: behind the first mark, but for white space. */
bool thought_is_left_open(enum thought_kind kind, struct bytes prompt);

#endif
