/* The architectures that run, one row each. A row says what the layers are made of; where a file decides (windows,
 * caps, biases, experts), it says what the file may ask for. */
#include "inference/engine/model.h"

#include <string.h>

#define GEMMA (HAS_HALVES | HAS_EMBED_SCALE | HAS_GELU)
#define GEMMA4                                                                                                         \
    (MAY_LAYER_KEYS | HAS_VALUE_NORMS | HAS_PLAIN_SCORES | MAY_LAYER_INPUTS | HAS_TWO_MIXES | MAY_LAYER_SCALES)
#define COHERE   (HAS_FLAT_NORMS | HAS_ONE_NORM | HAS_LOGIT_FACTOR)
#define SIGMOIDS (MAY_WEIGH | HAS_SIGMOIDS | MAY_PREFER | MAY_LEAD)
#define GRANITE  (HAS_SCALES | MAY_BIASES | MAY_EXPERTS | MAY_SHARED | MAY_ROPE_FACTORS)

/* clang-format off */
static const struct model_kind kinds[] = {
    /*                                                                         window:       base   caps: scores, still   scale_
      name        has                                                          period, size  local        logits  period layers more */
    { "llama",    MAY_BIASES | MAY_EXPERTS | MAY_ROPE_FACTORS,                      1, 0,     0,     0,     0,     0,     0,     0 },
    { "qwen2",    HAS_HALVES | MAY_BIASES,                                          0, 0,     0,     0,     0,     0,     0,     0 },
    { "qwen2moe", HAS_HALVES | MAY_BIASES | MUST_EXPERTS | MUST_SHARED | HAS_PARTS_OF_ALL,
                                                                                    0, 0,     0,     0,     0,     0,     0,     0 },
    { "qwen3",    HAS_HALVES | HAS_HEAD_NORMS,                                      0, 0,     0,     0,     0,     0,     0,     0 },
    { "qwen3moe", HAS_HALVES | HAS_HEAD_NORMS | MUST_EXPERTS,                       0, 0,     0,     0,     0,     0,     0,     0 },
    { "gemma",    GEMMA,                                                            0, 0,     0,     0,     0,     0,     0,     0 },
    { "gemma2",   GEMMA | HAS_POST_NORMS | HAS_SOFT_CAPS,                           2, 4096,  0,     50.0f, 30.0f, 0,     46,     0 },
    { "gemma3",   GEMMA | HAS_POST_NORMS | HAS_SOFT_CAPS | HAS_HEAD_NORMS | HAS_LOCAL_TURNS,
                                                                                    6, 0,     10000, 0,     0,     0,     62,     0 },
    { "gemma4",   GEMMA | HAS_POST_NORMS | HAS_SOFT_CAPS | HAS_HEAD_NORMS | HAS_LOCAL_TURNS | MAY_EXPERTS | MAY_ROPE_FACTORS,
                                                                                    6, 0,     10000, 0,     0,     0,     0,     GEMMA4 },
    { "phi3",     HAS_HALVES | MAY_BIASES | MAY_FUSED | MAY_ROPE_FACTORS,           1, 0,     0,     0,     0,     0,     0,     0 },
    { "olmo2",    HAS_HALVES | HAS_ROW_NORMS | HAS_NO_PRE_NORMS | HAS_POST_NORMS | HAS_LOCAL_TURNS,
                                                                                    4, 0,     0,     0,     0,     0,     0,     0 },
    { "granite",  GRANITE,                                                          0, 0,     0,     0,     0,     0,     0,     MAY_STILL },
    { "granitemoe", GRANITE,                                                        0, 0,     0,     0,     0,     0,     0,     MAY_STILL },
    { "smollm3",  0,                                                                0, 0,     0,     0,     0,     4,     0,     0 },
    { "exaone",   HAS_HALVES | MAY_ROPE_FACTORS,                                    0, 0,     0,     0,     0,     0,     0,     0 },
    { "starcoder2", HAS_HALVES | HAS_LAYER_NORMS | HAS_NO_GATE | MAY_BIASES,        0, 0,     0,     0,     0,     0,     0,     0 },
    { "gpt-oss",  HAS_HALVES | MAY_BIASES | MUST_EXPERTS | MAY_EXPERT_BIASES | HAS_SINKS | HAS_CLAMPED_GATE | HAS_POST_NAME,
                                                                                    2, 128,   0,     0,     0,     0,     0,     0 },
    { "seed_oss", HAS_HALVES | MAY_BIASES | HAS_POST_NAME,                          0, 0,     0,     0,     0,     0,     0,     0 },
    { "ernie4_5", 0,                                                                0, 0,     0,     0,     0,     0,     0,     0 },
    { "hunyuan-dense", HAS_HALVES | HAS_HEAD_NORMS | HAS_LATE_NORMS,                0, 0,     0,     0,     0,     0,     0,     0 },
    { "glm4",     MAY_BIASES | MAY_FUSED | HAS_POST_NORMS,                          0, 0,     0,     0,     0,     0,     0,     0 },
    { "exaone4",  HAS_HALVES | HAS_HEAD_NORMS | HAS_NO_PRE_NORMS | HAS_POST_NORMS | HAS_STILL_WIDE | MAY_ROPE_FACTORS,
                                                                                    4, 0,     0,     0,     0,     0,     0,     0 },
    { "command-r", COHERE,                                                          0, 0,     0,     0,     0,     0,     0,     MAY_OWN_NORMS },
    { "cohere2",  COHERE | HAS_STILL_WIDE,                                          4, 4096,  0,     0,     0,     0,     0,     0 },
    { "nemotron", HAS_HALVES | HAS_LAYER_NORMS | HAS_NO_GATE | HAS_SQUARES | MAY_BIASES,
                                                                                    0, 0,     0,     0,     0,     0,     0,     0 },
    { "arcee",    HAS_NO_GATE | HAS_SQUARES | MAY_ROPE_FACTORS,                     0, 0,     0,     0,     0,     0,     0,     0 },
    { "ernie4_5-moe", MUST_EXPERTS | MAY_SHARED,                                    0, 0,     0,     0,     0,     0,     0,     MAY_PREFER | MAY_LEAD },
    { "glm4moe",  HAS_HALVES | MAY_BIASES | HAS_POST_NAME | MUST_EXPERTS | MAY_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     SIGMOIDS | MAY_HEAD_NORMS | MAY_LOOK_AHEAD },
    { "dots1",    HAS_HALVES | HAS_HEAD_NORMS | MUST_EXPERTS | MAY_SHARED,          0, 0,     0,     0,     0,     0,     0,     SIGMOIDS },
    { "hunyuan-moe", HAS_HALVES | HAS_HEAD_NORMS | HAS_LATE_NORMS | MUST_EXPERTS | MAY_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     MAY_LEAD },
    { "olmoe",    HAS_HALVES | HAS_ROW_NORMS | MUST_EXPERTS | HAS_PARTS_OF_ALL,     0, 0,     0,     0,     0,     0,     0,     0 },
    { "qwen2vl", HAS_HALVES | MAY_BIASES,
                                                                                    0, 0,     0,     0,     0,     0,     0,     MAY_SECTIONS },
    { "qwen3vl", HAS_HALVES | HAS_HEAD_NORMS,
                                                                                    0, 0,     0,     0,     0,     0,     0,     MAY_SECTIONS },
    { "qwen3vlmoe", HAS_HALVES | HAS_HEAD_NORMS | MUST_EXPERTS,
                                                                                    0, 0,     0,     0,     0,     0,     0,     MAY_SECTIONS },
    { "mistral3", MAY_BIASES | MAY_EXPERTS | MAY_ROPE_FACTORS,
                                                                                    0, 0,     0,     0,     0,     0,     0,     MAY_TEMPER },
    { "internlm2", MAY_BIASES,
                                                                                    0, 0,     0,     0,     0,     0,     0,     0 },
    { "chatglm", MAY_BIASES | MAY_FUSED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     0 },
    { "minicpm", HAS_SCALES | MAY_BIASES | MAY_EXPERTS | MAY_ROPE_FACTORS,
                                                                                    0, 0,     0,     0,     0,     0,     0,     0 },
    { "bailingmoe", MUST_EXPERTS | MAY_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     MAY_WEIGH | MAY_LEAD },
    { "lfm2", HAS_HALVES | HAS_HEAD_NORMS,
                                                                                    0, 0,     0,     0,     0,     0,     0,     HAS_SHORT_CONVS },
    { "lfm2moe", HAS_HALVES | HAS_HEAD_NORMS | MUST_EXPERTS,
                                                                                    0, 0,     0,     0,     0,     0,     0,     HAS_SHORT_CONVS | SIGMOIDS | HAS_WHOLE_SUMS },
    { "deepseek2", MAY_EXPERTS | MAY_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     HAS_LATENT | MAY_WEIGH | MAY_PREFER | MAY_LEAD | MAY_GROUPS | MAY_LOOK_AHEAD | MAY_TEMPER },
    { "qwen3next", HAS_HALVES | HAS_HEAD_NORMS | HAS_POST_NAME | MUST_EXPERTS | MUST_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     HAS_DELTA_NET | MAY_LOOK_AHEAD },
    { "qwen35", HAS_HALVES | HAS_HEAD_NORMS | HAS_POST_NAME,
                                                                                    0, 0,     0,     0,     0,     0,     0,     HAS_DELTA_NET | HAS_TILED_HEADS | MAY_SECTIONS | MAY_LOOK_AHEAD },
    { "qwen35moe", HAS_HALVES | HAS_HEAD_NORMS | HAS_POST_NAME | MUST_EXPERTS | MUST_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     HAS_DELTA_NET | HAS_TILED_HEADS | MAY_SECTIONS | MAY_LOOK_AHEAD },
    { "bailingmoe2", HAS_HALVES | HAS_HEAD_NORMS | MAY_FUSED | MUST_EXPERTS | MAY_SHARED,
                                                                                    0, 0,     0,     0,     0,     0,     0,     SIGMOIDS | MAY_GROUPS | MAY_LOOK_AHEAD },
    { "minimax-m2", HAS_HALVES | HAS_ROW_NORMS | MUST_EXPERTS,                      0, 0,     0,     0,     0,     0,     0,     MAY_WEIGH | HAS_SIGMOIDS | MAY_PREFER | HAS_WHOLE_SUMS },
    { "deepseek", MUST_EXPERTS | MAY_SHARED,                                        0, 0,     0,     0,     0,     0,     0,     MAY_WEIGH | MAY_LEAD },
    { "exaone-moe", HAS_HALVES | HAS_HEAD_NORMS | HAS_STILL_WIDE | MUST_EXPERTS | MAY_SHARED,
                                                                                    4, 128,   0,     0,     0,     0,     0,     SIGMOIDS | MAY_GROUPS | MAY_LOOK_AHEAD },
    { "bert",     HAS_ENCODER | MAY_BIASES | MAY_FUSED,                             0, 0,     0,     0,     0,     0,     0,     0 },
};
/* clang-format on */

const struct model_kind *model_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}
