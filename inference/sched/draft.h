/* Drafts: tokens that an answer may go on with, guessed from what stands in prompt and answer already, so that one
 * batch evaluates several positions of one answer. Nothing of an answer depends on them: a guess counts only where the
 * sampler chooses the same token at its position, as it would have without the guess.
 *
 * The guess is what followed the last occurrence of the longest run of tokens that the text ends with. How many tokens
 * are guessed is a matter of what pays: the row of a guess costs little while memory is what bounds a batch, and more
 * in a larger one, so the time of batches is measured with and without guesses, and so is how often guesses are right.
 */
#ifndef KITH_INFERENCE_DRAFT_H
#define KITH_INFERENCE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#define DRAFT_MAX 15 /* rows beside the one that is certain: with it, as many as the kernels take at once */

/* One answer's. All zeros but `most` to begin with. */
struct draft {
    uint32_t most;             /* tokens of a guess, up to DRAFT_MAX; 0: no guesses */
    float right;               /* of guessed tokens that were reached, the share that was right; late ones count more */
    uint32_t reached;          /* guessed tokens that were compared, all in all */
    uint32_t guessed, counted; /* all in all: tokens guessed, and those of them that the answer took */
    uint32_t pause, unpaid;    /* steps without a guess, since none paid; how often in a row, up to 2 */
};

/* What batches cost, for all answers of an engine. All zeros to begin with. */
struct draft_cost {
    double plain_us;               /* a batch without guesses */
    double with_us[DRAFT_MAX + 1]; /* a batch with so many, 0 where unknown */
};

/* A batch with `guesses` rows of guesses took so long; only batches of one answer, nobody reading, are to be told. */
void draft_measure(struct draft_cost *c, uint32_t guesses, uint64_t us);
/* How many tokens to guess now, `room` at most; the cost may be NULL. */
uint32_t draft_length(struct draft *d, const struct draft_cost *c, uint32_t room);
/* Guesses up to `max` tokens that go on with tokens[n]; returns how many. */
uint32_t draft_guess(const uint32_t *tokens, uint32_t n, uint32_t max, uint32_t *out);
/* Of `guessed` tokens the first `right` were what was chosen; `all` were compared or not because the answer ended. */
void draft_learn(struct draft *d, uint32_t guessed, uint32_t right);

#endif
