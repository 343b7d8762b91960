/* Small random models of every architecture, made in memory: always the same ones. */
#ifndef KITH_TESTS_MODEL_MAKE_H
#define KITH_TESTS_MODEL_MAKE_H

#include "inference/kernels/quant.h"
#include "tests/gguf_make.h"

#define MODEL_MAKE_VOCAB   96
#define MODEL_MAKE_CONTEXT 256

/* What a model is made of; the rest follows from its architecture. */
struct model_make {
    const char *label, *architecture;
    enum gguf_tensor_type type;
    uint32_t embed, layers, heads, heads_kv, head, mix, experts, used;
    uint32_t shared; /* length of the expert that all rows share; 0: none */
    bool biases, tied;
    void (*more)(struct gguf_make *m, const struct model_make *s);
};

/* The i-th of a list that has every architecture and what is special to each; NULL behind the last. */
const struct model_make *model_make_at(size_t i);
/* Appends the file to `out`. */
void model_make(struct buf *out, const struct model_make *s);

/* For `more`: numbers under the architecture's name, and vectors of random values around a mean. */
void model_make_say(struct gguf_make *m, const struct model_make *s, const char *key, uint32_t v);
void model_make_say_real(struct gguf_make *m, const struct model_make *s, const char *key, float v);
void model_make_vector(struct gguf_make *m, const char *name, size_t n, float mean);
/* A `more`: a window of 70 positions. */
void model_make_window(struct gguf_make *m, const struct model_make *s);

#endif
