/* What the files that make small models share. */
#ifndef KITH_TESTS_MODEL_MAKE_IN_H
#define KITH_TESTS_MODEL_MAKE_IN_H

#include "tests/model_make.h"

bool is_one(const struct model_make *s, const char *architecture);
/* One of several, each with a space behind. */
bool is_of(const struct model_make *s, const char *architectures);

/* The name of a tensor of layer i; until the next one is asked for. */
const char *in_layer(uint32_t i, const char *name, const char *end);
void add_values(struct buf *b, size_t n, float mean, float deviation);
/* `count` of rows x n, random, so that a product with a row of deviation 1 has `gain`. */
void add_matrices(struct gguf_make *m, const struct model_make *s, const char *name, size_t n, size_t rows,
                  size_t count, float gain);
/* Weights of a product and what belongs to them; a norm; what stands around and behind attention. */
void add_product(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n, size_t rows);
void add_norm(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n);
void add_norms(struct gguf_make *m, const struct model_make *s, uint32_t i);
void add_mix(struct gguf_make *m, const struct model_make *s, uint32_t i);

/* Layers that carry a state: which ones, their tensors, their keys. */
bool is_short_convolution(const struct model_make *s, uint32_t i);
bool is_delta_net(const struct model_make *s, uint32_t i);
bool is_scan(const struct model_make *s, uint32_t i);
bool is_mix_alone(const struct model_make *s, uint32_t i);
bool has_attention(const struct model_make *s, uint32_t i);
bool has_delta_net(const struct model_make *s);
bool has_scan(const struct model_make *s);
bool has_one_branch(const struct model_make *s);
void add_short_convolution(struct gguf_make *m, const struct model_make *s, uint32_t i);
void add_delta_net(struct gguf_make *m, const struct model_make *s, uint32_t i);
void add_scan(struct gguf_make *m, const struct model_make *s, uint32_t i);
void say_delta_net(struct gguf_make *m, const struct model_make *s);
void say_scan(struct gguf_make *m, const struct model_make *s);

/* For `more`: adapters of this rank are joined to every product of the model that is being made. */
void model_make_low_rank(uint32_t rank);

#endif
