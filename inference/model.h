/* A model of the `llama` kind as the engine sees it: numbers from the metadata, and every weight in its place in the
 * mapped file, checked against them.
 *
 * What holds for every model that model_open returned: each matrix has exactly the shape that the numbers ask for,
 * a format that the kernels have, rows of whole blocks, and only finite scales and weights. */
#ifndef KITH_INFERENCE_MODEL_H
#define KITH_INFERENCE_MODEL_H

#include "inference/ops.h"
#include "inference/pack.h"

struct model_layer {
    const float *attention_norm; /* [embed] */
    struct ops_weight query, key, value,
        output;                       /* [heads x head, embed], [heads_kv x head, embed] twice, [embed, heads x head] */
    const float *mix_norm;            /* [embed] */
    struct ops_weight gate, up, down; /* [mix, embed] twice, [embed, mix] */
};

struct model {
    char architecture[64];
    char format[32]; /* of most of its bytes: "Q8_0" */
    uint32_t vocab, context, embed, layers, heads, heads_kv, head, mix;
    float epsilon; /* of the norms */
    uint32_t rope_pairs;
    double rope_base, rope_scale; /* positions are divided by rope_scale */
    const float *rope_factors;    /* [rope_pairs], or NULL */
    uint64_t parameters;
    struct ops_weight embedding, output; /* [vocab, embed]; the same one where the file has one */
    const float *output_norm;            /* [embed] */
    struct model_layer *layer;           /* [layers] */
};

/* Reads a parsed file; the file's bytes must outlive the model. `pack`: the weights once more, for kernels that want
 * them packed (struct ops), each found finite when it was packed; or NULL. Looks at every byte of the other tensors
 * once, unless the pack says that this was done (pack_is_checked). */
enum err model_open(const struct gguf *file, const struct pack *pack, struct model **out, struct note *note) MUST_USE;
void model_free(struct model *m);

#endif
