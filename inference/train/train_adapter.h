/* A trained update as a file: an adapter as llama.cpp reads it (GGUF; general.type "adapter", adapter.type "lora"),
 * with what it was made of and the digest of its making under kith.train: docs/training.md lists the keys. */
#ifndef KITH_INFERENCE_TRAIN_ADAPTER_H
#define KITH_INFERENCE_TRAIN_ADAPTER_H

#include "inference/train/train_run.h"

/* Appends the file of a training that is over and measured. */
void train_adapter_put(const struct train_run *r, struct buf *out);

/* What a file says of its making. */
struct train_claim {
    struct gguf *file;
    struct hash base, data, digest;
    struct train_recipe recipe; /* not checked */
    struct gguf_array digests;  /* [steps] */
};
/* The file is a stranger's, and outlives the claim. */
enum err train_claim_open(struct bytes file, struct train_claim *out, struct note *note) MUST_USE;
void train_claim_close(struct train_claim *c);
/* The digest that it says was behind step i < steps. */
uint64_t train_claim_digest(const struct train_claim *c, uint32_t i);
/* The file as a whole is the one that the training makes, bit for bit; the note says what is not. */
bool train_claim_is(const struct train_claim *c, struct bytes file, const struct train_run *r, struct note *note);

#endif
