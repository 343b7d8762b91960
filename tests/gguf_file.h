/* Small GGUF files made in memory, for tests of what reads them: metadata only. */
#ifndef KITH_TESTS_GGUF_FILE_H
#define KITH_TESTS_GGUF_FILE_H

#include "base/bytes.h"

struct gguf_file {
    struct buf body; /* the keys so far */
    uint64_t keys;
};

void gguf_file_text(struct gguf_file *f, const char *key, const char *value);
void gguf_file_i32(struct gguf_file *f, const char *key, int32_t value);
void gguf_file_flag(struct gguf_file *f, const char *key, bool value);
void gguf_file_texts(struct gguf_file *f, const char *key, const char *const *values, size_t n);
void gguf_file_floats(struct gguf_file *f, const char *key, const float *values, size_t n);
void gguf_file_ints(struct gguf_file *f, const char *key, const int32_t *values, size_t n);
/* Appends the file to `out` and clears the maker. */
void gguf_file_end(struct gguf_file *f, struct buf *out);

#endif
