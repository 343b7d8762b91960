/* A sequence through a model with its pairs, and the gradients of the pairs back from its loss. Weights are read out of
 * their formats as binary32, a few rows at a time, for each product again. What the way back needs is kept layer by
 * layer; norms, gates and attention's weights are made again. docs/arithmetic.md, Training, is the contract. */
#ifndef KITH_INFERENCE_TRAIN_PASS_H
#define KITH_INFERENCE_TRAIN_PASS_H

#include "inference/train/train_lora.h"
#include "inference/train/train_product.h"

struct train_pass;

struct train_pass_options {
    const struct train_lora *lora; /* outlives the pass */
    const struct train_set *set;
    struct pool *pool;
    uint32_t length; /* of every sequence: a multiple of 16, within the model's context */
};
/* Bytes that a pass takes. */
uint64_t train_pass_bytes(const struct train_pass_options *o);
struct train_pass *train_pass_new(const struct train_pass_options *o);
/* NULL is fine. */
void train_pass_free(struct train_pass *p);

/* Tokens [length + 1], each below the vocabulary; counts[i]: whether what is foretold at i, tokens[i + 1], counts.
 * Returns the sum of the negative log-probabilities of those that count, left to right. */
double train_pass_loss(struct train_pass *p, const uint32_t *tokens, const uint8_t *counts);
/* After it: adds to the pairs' gradients those of that sum divided by n. */
void train_pass_back(struct train_pass *p, uint64_t n);

#endif
