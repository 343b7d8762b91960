/* Inside recurrent layers: what short convolutions (recur.c), delta nets (delta.c) and state spaces (scan.c) share. */
#ifndef KITH_INFERENCE_RECUR_IN_H
#define KITH_INFERENCE_RECUR_IN_H

#include "inference/engine/engine_in.h"

#define NONE UINT32_MAX

struct recur {
    size_t in_n;      /* elements of a row of `in` */
    float *in;        /* [batch, in_n] of a short convolution the two gates and what is convolved, and what enters it
                         stands where the first gate was; else what enters; or queries with their gates */
    float *mixed;     /* [batch, channels] what leaves the convolution of layers with heads */
    float *gate;      /* [batch, values_n side] of its results, or [batch, heads head] of attention's */
    float *raw;       /* [batch, 2 values_n] as products give them */
    float *rates;     /* [batch, 2, values_n] decay and beta, or decay and step */
    float *beside;    /* [batch, embed] what a state adds to the stream, where attention stands beside it */
    float **kept;     /* [batch] where the state behind a row is to be kept, or NULL */
    uint32_t *before; /* [batch] the row before in the same sequence, or NONE */
    uint32_t *after;
    uint32_t *first; /* [chains] */
    uint32_t chains;
};

struct recur_step {
    struct engine *e;
    const struct model_layer *l;
    /* A position of a head, whose convolution and rates are given. */
    struct ops_delta (*row)(const struct model *m, uint32_t head, const float *mixed, const float *rates);
};

/* The layer's part of a state: the history of its convolution, then its heads. */
float *recur_state_of(const struct recur_step *t, float *state);
/* What the layer's i-th guessed position of a sequence brought: what entered the convolution, what left it, rates. */
float *recur_guess_of(const struct recur_step *t, const struct state *s, uint32_t i);
/* What enters the convolution of row c. */
float *recur_entry_of(const struct engine *e, uint32_t c);
/* out[channels] = the convolution up to row c. */
void recur_convolve(const struct recur_step *t, uint32_t c, float *out);
/* By chains and heads: each head through the rows of its sequence. */
void recur_heads_part(void *arg, size_t first, size_t end);
/* Parts of a layer over chains: right guesses join the histories before convolutions; the batch leaves them behind. */
void recur_take_part(void *arg, size_t first, size_t end);
void recur_leave_part(void *arg, size_t first, size_t end);

/* -- delta.c, scan.c -- */
void delta_run(struct recur_step *t, const float *x, size_t cols);
void scan_run(struct recur_step *t, const float *x, size_t cols);

#endif
