/* What layers without attention carry from position to position: the last inputs of their convolutions. It belongs to a
 * sequence, as its cache does; docs/arithmetic.md says how it goes on.
 *
 *     now --certain rows--> now          guessed rows are computed and put aside: the next batch takes in those that
 *      '--guessed rows--> guesses        were not cut, before its own
 *
 * Behind some pages of the cache the state is kept (pages.h, 4), since a sequence can only go on from a page that has
 * it: a small one behind every page. A large one is kept behind the last whole page of the prompt, where the same
 * question asked again goes on; behind the last page that was known already, where two prompts part for the second
 * time, since a third will come; and behind the newest page of the answer, where the next turn of a talk goes on. */
#ifndef KITH_INFERENCE_RECUR_H
#define KITH_INFERENCE_RECUR_H

#include "base/hash.h"
#include "base/limits.h"
#include "inference/engine/model.h"

struct engine_seq;

struct state {
    float *now;     /* [layers_recurrent, recur_floats] behind all positions but those that are guessed; NULL: zeros */
    float *guesses; /* [layers_recurrent, GUESSES_MAX, recur_guess_floats] what they bring; NULL: none so far */
    uint32_t guessed;                   /* positions behind `now` */
    float *ahead;                       /* [values_n, depth, side] a layer's heads behind the guesses of a batch */
    uint32_t guessing;                  /* in the batch that is evaluated */
    uint32_t prompt_pages, known_pages; /* a large state is kept behind so many pages; 0: not */
    uint32_t answer_pages;              /* it was last kept behind so many, of the answer */
    uint32_t number;                    /* under which devices have their part of it, plus 1; 0: under none */
    bool is_taken_over;                 /* `now` was one that was kept, and devices do not have it yet */
    bool has_goal;                      /* the key of the page that ends the prompt */
    struct hash goal;
};

/* What the last product of a recurrent layer takes of a row; 0 without any. */
size_t recur_inner(const struct model *m);
/* Of one layer: the last inputs of its convolution, a head, all its heads, both; and what a guessed position brings. */
size_t recur_history_floats(const struct model *m);
size_t recur_head_floats(const struct model *m);
size_t recur_heads_bytes(const struct model *m);
size_t recur_floats(const struct model *m);
size_t recur_guess_floats(const struct model *m);
/* It is little beside the keys and values of a page: then it is kept behind each. */
bool recur_keeps_all(const struct model *m);
/* Of all layers, as it is kept; of a sequence with all that it may need. */
size_t recur_state_bytes(const struct model *m);
uint64_t recur_seq_bytes(const struct model *m);

void recur_state_clear(struct state *s);
/* The last `count` positions were guesses, and wrong. */
void recur_cut(struct state *s, uint32_t count);
/* A sequence is about to have positions up to `end`, by pages that were known, of tokens[n] in all; `known` pages of
 * them there were, with a state or not. */
void recur_reuse(struct engine_seq *s, uint32_t end, uint32_t known, uint32_t n);
/* engine_seq_next_key: where states are large the page that ends the prompt is what others wait for. */
bool recur_next_key(struct engine_seq *s, const uint32_t *tokens, uint32_t n, struct hash *key);
/* All that a sequence's state says is gone: it is that of none of its positions, here. */
void recur_forget(struct state *s, const struct model *m);
/* Where the state behind a position is to be kept; NULL: it is not. */
float *recur_keep(struct engine_seq *s, uint32_t position);

#endif
