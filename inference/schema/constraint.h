/* A request's schema over a model's vocabulary: which tokens an answer may have next. docs/arithmetic.md, Constraints.
 */
#ifndef KITH_INFERENCE_CONSTRAINT_H
#define KITH_INFERENCE_CONSTRAINT_H

#include "inference/tok/tok.h"

struct constraint;

enum constraint_state {
    CONSTRAINT_OPEN,  /* some token is allowed */
    CONSTRAINT_WHOLE, /* none is, and the text is whole: the vocabulary has no token that ends it */
    CONSTRAINT_DEAD,  /* none is, and the text is not whole */
};

/* `vocab`: of the model, at least. ERR_UNSUPPORTED and the like, with a note, for a schema that cannot be followed,
 * also because no token of this vocabulary begins an answer. Borrows the tokenizer. */
enum err constraint_new(struct bytes schema, const struct tok *tok, uint32_t vocab, struct constraint **out,
                        struct note *note) MUST_USE;
void constraint_free(struct constraint *c);
/* Bit `token`: it may come next. [(vocab + 31) / 32], until the next call. */
const uint32_t *constraint_mask(const struct constraint *c);
/* The token, one of those allowed, has come; not one that ends an answer. */
enum constraint_state constraint_take(struct constraint *c, uint32_t token);

#endif
