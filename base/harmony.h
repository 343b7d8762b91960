/* An answer in parts, as gpt-oss writes it ("Harmony"): each part goes to a channel, and says so in its head.
 *
 *     <|channel|>analysis<|message|>THOUGHT
 *     <|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>ARGUMENTS
 *     <|start|>assistant<|channel|>final<|message|>ANSWER
 *
 * The first head lacks what the prompt ends with; `to=` may stand in front of the channel. What goes to a channel
 * `commentary` and to nobody is said to people, as `final` is; what goes to others than functions is not. The source is
 * the published description of the format. Pure. */
#ifndef KITH_BASE_HARMONY_H
#define KITH_BASE_HARMONY_H

#include "base/bytes.h"

enum harmony_kind { HARMONY_THOUGHT, HARMONY_ANSWER, HARMONY_CALL };

struct harmony_part {
    enum harmony_kind kind;
    struct bytes name; /* of the function that is called */
    struct bytes text; /* so far, where it is the last one */
};

/* Whether an answer is in parts; of one that is not over also whether that cannot be told yet. */
bool harmony_is(struct bytes answer, bool is_over);
/* Takes the next part off: false where none is left whose head is whole. */
bool harmony_next(struct bytes *rest, struct harmony_part *out);
/* Appends the texts of all parts of a kind, an empty line between two. What is appended for a longer answer begins with
 * what is appended for a shorter. */
void harmony_join(struct bytes answer, enum harmony_kind kind, struct buf *out);

#endif
