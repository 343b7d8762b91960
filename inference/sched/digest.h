/* The running digest of an answer: what provider and checker compare. It starts from the model and the whole
 * request, and absorbs at every position of the answer the final hidden state (after the output norm, the bits of
 * n_embd binary32 values, little-endian) and the token that was chosen there.
 *
 *     d0     = H[kith.digest](arith | model root | request hash | seed | H[kith.tokens](prompt ids) | prompt count)
 *     d(i+1) = H[kith.digest](d(i) | H[kith.hidden](hidden) | token)
 *
 * Hidden states are hashed by themselves, so that those of many positions are hashed at once: only the chain is one
 * behind the other.
 *
 * A position whose numbers are not finite absorbs the 7 bytes "numeric" instead, and ends the answer.
 *
 * An embedding absorbs its text and the pooled vector:
 *
 *     H[kith.digest]("embedding" | arith | model root | H[kith.tokens](ids) | count | vector) */
#ifndef KITH_INFERENCE_DIGEST_H
#define KITH_INFERENCE_DIGEST_H

#include "inference/request.h"

struct hash digest_start(const struct hash *model, const struct request *r);
/* The bits of x[n], little-endian. */
void digest_add_floats(struct hasher *h, const float *x, size_t n);
struct hash digest_hidden(const float *hidden, size_t n);
void digest_add(struct hash *digest, const struct hash *hidden, uint32_t token);
void digest_add_numeric(struct hash *digest);
/* `ids`: u32 little-endian each; vector[n], before it is made of unit length. */
struct hash digest_embedding(const struct hash *model, struct bytes ids, const float *vector, size_t n);

#endif
