/* Pre-tokenizers: where byte-level BPE may not merge. Each published family cuts a text into words by
 * regular expressions of its own; here each expression is an ordered list of small matchers. The words
 * cover the text without gaps, and the time is linear in it. */
#ifndef KITH_INFERENCE_PRETOK_H
#define KITH_INFERENCE_PRETOK_H

#include "base/bytes.h"

struct pretok;

/* By the name in `tokenizer.ggml.pre`; NULL if it is not known. */
const struct pretok *pretok_find(struct bytes name);
/* Names that pretok_find knows, for a message: "gpt-2, llama-bpe, ...". */
void pretok_names(struct buf *out);
/* A word that is a token as a whole is taken before any merge. */
bool pretok_prefers_words(const struct pretok *p);
/* The family puts a beginning-of-text token in front where the file does not say. */
bool pretok_adds_bos(const struct pretok *p);

/* Tokens are written as they are read, spaces as U+2581, and what no token has as bytes (tok_spm.c): the text that is
 * split has its spaces so. A word of ends of lines that is a token is taken as a whole. */
bool pretok_is_plain(const struct pretok *p);

/* Lengths in bytes of the words of a text, in order. {0} is empty. */
struct pretok_words {
    uint32_t *lengths;
    size_t n;
};
void pretok_words_clear(struct pretok_words *w);
/* Text of fewer than 2^32 bytes, any bytes; what is not UTF-8 counts as one character a byte, of no class. */
void pretok_split(const struct pretok *p, struct bytes text, struct pretok_words *out);

#endif
