/* Inside a pass: its state, and the steps that its files share. What is called d... is the gradient of what is called
 * so without. */
#ifndef KITH_INFERENCE_TRAIN_PASS_IN_H
#define KITH_INFERENCE_TRAIN_PASS_IN_H

#include "inference/train/train_pass.h"

struct kept {
    float *in, *mid;             /* [embed]: the stream before each branch */
    float *plain;                /* [heads + heads_kv, head]: queries and keys before their norms; or NULL */
    float *qkv, *o;              /* normed and turned; what attention makes */
    float *mix;                  /* [2 mix]: gate and up; NULL where there are experts */
    float *branch[2];            /* [embed]: what the branches made, where that is normed; or NULL */
    float *low[TRAIN_SITES_MAX]; /* [rank]: (A x) scaled */
};

struct train_moe;

struct train_pass {
    struct train_pass_options o;
    const struct model *m;
    size_t t;
    float *memory;
    struct kept *kept;                                        /* [layers] */
    float *x;                                                 /* [embed, t]: the stream; going back its gradient */
    float *h, *dh, *branch;                                   /* [embed, t] */
    float *wide, *dwide;                                      /* [the widest place, t] */
    float *act;                                               /* [mix, t] */
    float *low, *turned;                                      /* [rank, t], [t, rank] */
    float *frozen;                                            /* [low_rank, t]: of what the base's adapters add */
    float *logits;                                            /* [vocab, t] */
    float *weights;                                           /* rows that were read out */
    float *scratch;                                           /* attention's */
    float *cosine[MODEL_ROPE_COUNT], *sine[MODEL_ROPE_COUNT]; /* [rope_pairs, t], or NULL */
    double *nll;                                              /* [t] */
    float *largest, *sum;                                     /* [t]: of logits, of their exponentials */
    struct train_moe *moe;                                    /* scratch of experts, or NULL */
    const uint32_t *tokens;                                   /* of train_pass_loss */
    const uint8_t *counts;
};

#define TRAIN_PASS_CUT 16 /* positions of a part, so that lengths are multiples of it */

/* -- products (train_pass_products.c) -- */

/* Floats that p->weights needs. */
size_t train_pass_weights(const struct model *m);
/* y[rows, t] = W x, or goes on from what is there. */
void train_pass_weigh(struct train_pass *p, const struct ops_weight *w, size_t t, const float *x, float *y, bool add);
/* dx[n, t] = W' dy, or goes on from what is there. */
void train_pass_weigh_back(struct train_pass *p, const struct ops_weight *w, size_t t, const float *dy, float *dx,
                           bool add);
/* The same with what the base's adapters add. */
void train_pass_frozen(struct train_pass *p, const struct ops_weight *w, const struct model_low *low, size_t t,
                       const float *x, float *y);
void train_pass_frozen_back(struct train_pass *p, const struct ops_weight *w, const struct model_low *low, size_t t,
                            const float *dy, float *dx, bool add);
/* The products of a place, pairs included. */
void train_pass_place(struct train_pass *p, uint32_t layer, enum train_place place, const float *x, float *y);
/* Adds to the pairs' gradients; sets dx, the gradient of the input, or not (NULL). */
void train_pass_place_back(struct train_pass *p, uint32_t layer, enum train_place place, const float *x,
                           const float *dy, float *dx);

/* -- what is done to rows (train_pass_rows.c) -- */

/* Of [embed, t]. */
void train_pass_norm(struct train_pass *p, const float *x, const float *gain, float *out);
void train_pass_norm_back(struct train_pass *p, const float *x, const float *gain, const float *d, float *out,
                          bool add);
/* The stream as it enters a branch: p->h, or x itself where nothing is normed. */
const float *train_pass_enter(struct train_pass *p, const struct model_norm *norm, const float *x);
/* p->x goes on to the stream before the branch, from p->dh, the gradient of what entered it. */
void train_pass_enter_back(struct train_pass *p, const struct model_norm *norm, const float *x);
/* What a branch made is normed, where the model has it so, and added to the stream. */
void train_pass_leave(struct train_pass *p, const struct model_norm *post, const float *made);
/* p->branch: the gradient of what the branch made, from that of the stream behind it. */
void train_pass_leave_back(struct train_pass *p, const struct model_norm *post, const float *made);
void train_pass_bias(const struct train_pass *p, const float *bias, size_t rows, float *y);
/* Queries and keys of a layer, which follow each other in y: normed, then turned; or both undone for gradients. */
void train_pass_heads(struct train_pass *p, uint32_t layer, float *y, bool back);
/* out[mix, t] of mix[2 mix, t]. */
void train_pass_gate(struct train_pass *p, const float *mix, float *out);
void train_pass_gate_back(struct train_pass *p, const float *mix, const float *d, float *out);

/* -- experts (train_pass_experts.c) -- */

uint64_t train_moe_bytes(const struct model *m, size_t t);
/* NULL where the model has no experts. */
struct train_moe *train_moe_new(const struct model *m, size_t t);
void train_moe_free(struct train_moe *e);
/* y[embed, t] of x, which entered a layer with experts. */
void train_pass_experts(struct train_pass *p, uint32_t layer, const float *x, float *y);
/* Sets dx. */
void train_pass_experts_back(struct train_pass *p, uint32_t layer, const float *x, const float *dy, float *dx);

#endif
