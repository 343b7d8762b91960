/* The architectures that run, one row each. A row says what the layers are made of; where a file decides (windows,
 * caps, biases, experts), it says what the file may ask for. */
#include "inference/model.h"

#include <string.h>

#define GEMMA (HAS_HALVES | HAS_POST_NORMS | HAS_EMBED_SCALE | HAS_GELU | HAS_SOFT_CAPS)

/* clang-format off */
static const struct model_kind kinds[] = {
    /*          name        has                                          window: period, default
                                                                                    base  caps: scores, logits  scale */
    {           "llama",    MAY_BIASES | MAY_EXPERTS | MAY_ROPE_FACTORS,      1, 0,    0,     0,     0,     0},
    {           "qwen2",    HAS_HALVES | MAY_BIASES,                          0, 0,    0,     0,     0,     0},
    {           "qwen3",    HAS_HALVES | HAS_HEAD_NORMS,                      0, 0,    0,     0,     0,     0},
    {           "qwen3moe", HAS_HALVES | HAS_HEAD_NORMS | MUST_EXPERTS,       0, 0,    0,     0,     0,     0},
    {           "gemma2",   GEMMA,                                            2, 4096, 0,     50.0f, 30.0f, 46},
    {           "gemma3",   GEMMA | HAS_HEAD_NORMS,                           6, 0,    10000, 0,     0,     62},
    {           "phi3",     HAS_HALVES | MAY_BIASES | MAY_FUSED | MAY_ROPE_FACTORS,
                                                                              1, 0,    0,     0,     0,     0},
    {           "bert",     HAS_ENCODER | MAY_BIASES | MAY_FUSED,             0, 0,    0,     0,     0,     0},
};
/* clang-format on */

const struct model_kind *model_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const char *model_kind_names(void)
{
    return "llama, qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3 and bert";
}
