/* Writes GGUF files for tests: whole ones, and ones that are wrong in one place. */
#ifndef KITH_TESTS_GGUF_MAKE_H
#define KITH_TESTS_GGUF_MAKE_H

#include "inference/gguf.h"

struct gguf_make {
    uint32_t magic, version;
    uint64_t tensors_n, keys_n; /* counted; a test may change what will be said */
    struct buf keys, infos, data;
};

void gguf_make_init(struct gguf_make *m);
void gguf_make_clear(struct gguf_make *m);
/* Any value, as it stands in the file. */
void gguf_make_raw(struct gguf_make *m, const char *key, uint32_t type, const void *value, size_t n);
void gguf_make_u32(struct gguf_make *m, const char *key, uint32_t v);
void gguf_make_f32(struct gguf_make *m, const char *key, float v);
void gguf_make_text(struct gguf_make *m, const char *key, const char *v);

/* A list, element by element, and then as a value of the file; empty to begin with, and again once it is taken. */
struct gguf_make_array {
    uint64_t n;
    struct buf values;
};
void gguf_make_array_text(struct gguf_make_array *a, const char *v);
void gguf_make_array_i32(struct gguf_make_array *a, int32_t v);
void gguf_make_array_take(struct gguf_make *m, const char *key, enum gguf_type type, struct gguf_make_array *a);

/* An info only, as said. */
void gguf_make_info(struct gguf_make *m, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                    uint64_t offset);
/* A matrix [rows, n] (a vector where rows is 1) with its data, at the next free place. */
void gguf_make_tensor(struct gguf_make *m, const char *name, uint64_t n, uint64_t rows, uint32_t type,
                      struct bytes data);
/* `count` matrices one behind the other; as gguf_make_tensor where count is 1. */
void gguf_make_tensors(struct gguf_make *m, const char *name, uint64_t n, uint64_t rows, uint64_t count, uint32_t type,
                       struct bytes data);
void gguf_make_end(const struct gguf_make *m, struct buf *out);
/* Says another context in a file that says one. */
void gguf_make_lengthen(struct buf *file, uint32_t context);

/* Random rows of a format, `draw(n)` giving numbers below n: any bits but those of scales and weights that are not
 * finite. */
void gguf_make_rows(uint32_t (*draw)(uint32_t below), enum gguf_tensor_type type, uint8_t *p, size_t bytes);

/* A llama model that can be followed by hand: 8 tokens, hidden states of 8, one layer of zeros, one-hot embeddings;
 * after token i it says i + 1, and behind token 5 the logit of token 6 overflows. `skip`: a tensor to leave out, or
 * NULL. */
void gguf_make_counter(struct gguf_make *m, const char *skip);

#endif
