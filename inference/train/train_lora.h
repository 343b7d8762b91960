/* The update that is trained: beside each matrix W of a layer, [rows, n], a pair A [rank, n] and B [rows, rank], so
 * that a product becomes W x + (alpha / rank) B A x (arXiv:2106.09685). Which matrices: those of queries, keys, values,
 * of what attention gives back, of gate, up and down, as the file has them, so that fused ones have one pair. Where
 * a layer has experts, only those of its attention: experts, shared ones and their routers stay as they are. What
 * earlier adapters have added to a base that was adapted stays as it is, and the new pairs stand beside it.
 *
 * A lies in memory the other way round, [n, rank], as do the gradients and the optimiser's moments beside it. */
#ifndef KITH_INFERENCE_TRAIN_LORA_H
#define KITH_INFERENCE_TRAIN_LORA_H

#include "inference/engine/model.h"

#define TRAIN_VERSION 1 /* of the rules of docs/arithmetic.md, Training */

/* The products of a layer, in their order. What two and three matrices make is one row where the file has them fused.
 */
enum train_place { TRAIN_QKV, TRAIN_OUTPUT, TRAIN_MIX, TRAIN_DOWN, TRAIN_PLACES };
#define TRAIN_SITES_MAX 7 /* of a layer */

struct train_site {
    char name[48];        /* of its tensor, without ".weight" */
    struct ops_weight w;  /* [rows, n] */
    struct model_low low; /* what an adapted base has beside it */
    enum train_place place;
    size_t to;      /* where its rows begin among those of its place */
    float *a, *b;   /* [n, rank], [rows, rank]: within lora.value */
    float *da, *db; /* within lora.gradient */
};

struct train_lora {
    const struct model *m;
    uint32_t rank;
    float scale;             /* alpha / rank */
    struct train_site *site; /* [sites_n], layer by layer */
    size_t sites_n, *first;  /* first[layers + 1]: of a layer's sites */
    size_t values_n;
    float *value, *gradient; /* [values_n] */
};

/* Whether training has the steps of this model; the note names what it lacks. */
enum err train_lora_check(const struct model *m, struct note *note) MUST_USE;
/* For a model that was checked; A from the seed, B zeros. rank > 0. The model and its file must outlive it. */
struct train_lora *train_lora_new(const struct gguf *file, const struct model *m, uint32_t rank, float alpha,
                                  uint64_t seed);
/* NULL is fine. */
void train_lora_free(struct train_lora *l);
/* Rows of a place together. */
size_t train_place_rows(const struct model *m, enum train_place place);

#endif
