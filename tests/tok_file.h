/* Tokenizers of files made on the spot, and what their tests expect of them. */
#ifndef KITH_TESTS_TOK_FILE_H
#define KITH_TESTS_TOK_FILE_H

#include "inference/tok/tok.h"
#include "tests/gguf_file.h"

#define KEY(name) "tokenizer.ggml." name

static const struct tok_options plain = {TOK_ENDS_NONE, false}, special = {TOK_ENDS_NONE, true},
                                as_file = {TOK_ENDS_FILE, false}, forced = {TOK_ENDS_BOS, false};

/* NULL with a note where the file is refused. */
struct tok *tok_file_open_path(const char *path, struct note *note);
struct tok *tok_file_open(struct gguf_file *f, struct note *note);
/* Fails the test where the text is refused. Free with tok_ids_clear. */
struct tok_ids tok_file_encode(const struct tok *t, const char *text, struct tok_options options);
void tok_file_expect(const struct tok *t, const char *text, struct tok_options options, size_t n,
                     const int32_t *expected);
#define EXPECT(t, text, options, ...)                                                                                  \
    tok_file_expect(t, text, options, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t), (int32_t[]){__VA_ARGS__})
/* The file is refused for that reason. */
void tok_file_refused(struct gguf_file *f, enum err err, const char *text);

#endif
