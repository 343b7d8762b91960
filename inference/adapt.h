/* Making an adapted model: a model's file, and low-rank adapters as llama.cpp and `kith train` write them, become one
 * file that runs like any other (docs/arithmetic.md, Low-rank additions).
 *
 *     base      a model, perhaps an adapted one
 *     adapter   GGUF with general.type "adapter", adapter.type "lora", general.architecture the base's,
 *               adapter.lora.alpha; tensors NAME.lora_a [rank, n] and NAME.lora_b [rows, rank] beside the base's NAME,
 *               F32, F16 or BF16
 *     made      the base's keys and tensors as they are, and NAME.lora_a, NAME.lora_b in F32: A the rows of all
 *               adapters one behind the other, B their columns, each times (alpha / rank) * weight; without an alpha
 *               (or 0) times the weight. What the base had of them comes first, as it was.
 *
 * Keys kith.adapted.base, kith.adapted.adapters and kith.adapted.weights say what it was made of, by the roots of the
 * files; kith.adapted.first, where the base was adapted too, which file that began with. The same files and weights
 * give the same bytes, so whoever has them need not fetch what they make.
 *
 * An update of `kith train` says beside which file it was trained (kith.train.base): it joins that one, or one that was
 * made of it, and is refused beside another, where its numbers mean nothing. Adapters that do not say are taken.
 *
 * Every file is a stranger's. Whether a matrix may have such an addition says whoever opens what was made. */
#ifndef KITH_INFERENCE_ADAPT_H
#define KITH_INFERENCE_ADAPT_H

#include "base/hash.h"

struct adapt_file {
    const char *name;   /* for notes */
    struct bytes bytes; /* all of it; must outlive what is made */
    struct hash root;   /* of the blob */
    float weight;       /* of an adapter; not of the base */
    bool is_of_any;     /* an adapter, taken although it says that it was trained beside another base */
};

struct adapt;
/* adapters[n], n >= 1. ERR_FORMAT and the like: the note names the file, and the tensor. */
enum err adapt_new(const struct adapt_file *base, const struct adapt_file *adapters, size_t n, struct adapt **out,
                   struct note *note) MUST_USE;
/* NULL is fine. */
void adapt_free(struct adapt *a);

struct adapt_facts {
    uint64_t bytes, matrices; /* of the file; with additions */
    uint32_t rank;            /* the largest */
};
struct adapt_facts adapt_facts(const struct adapt *a);

/* The next piece of the file, borrowed until the next call; false behind the last. */
bool adapt_next(struct adapt *a, struct bytes *piece) MUST_USE;

#endif
