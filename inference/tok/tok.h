/* Text to tokens and back, as the model's file says.
 *
 * Three kinds: SentencePiece-style with scores and byte fallback (`llama`), byte-level BPE with
 * merges and a pre-tokenizer (`gpt2`), and the WordPiece of embedding models (`bert`). docs/tokens.md states the rules;
 * they follow what published files were made for, and every one of them is a function of the file alone.
 *
 * A tokenizer owns its vocabulary, is read-only once opened, and may be used by several threads. */
#ifndef KITH_INFERENCE_TOK_H
#define KITH_INFERENCE_TOK_H

#include "base/bytes.h"
#include "inference/tok/trie.h"

struct gguf;
struct tok;

/* A growing row of tokens. {0} is empty. Free with tok_ids_clear. */
struct tok_ids {
    int32_t *p;
    size_t n;
    size_t room;
};
void tok_ids_clear(struct tok_ids *ids);
void tok_ids_add(struct tok_ids *ids, int32_t id);

/* Tokens put around a text. */
enum tok_ends {
    TOK_ENDS_NONE,
    TOK_ENDS_FILE, /* beginning and end of text as the file says */
    TOK_ENDS_BOS,  /* beginning of text, whatever the file says; the text must have such a token */
};

struct tok_options {
    enum tok_ends ends;
    bool special; /* control tokens spelled out in the text become those tokens; user-defined ones always do */
};

/* Reads `tokenizer.*`; the file's bytes are not needed afterwards. */
enum err tok_open(const struct gguf *file, struct tok **out, struct note *note) MUST_USE;
/* NULL is fine. */
void tok_free(struct tok *t);

/* Appends the tokens of the text, which may hold any bytes, at most PROMPT_BYTES_MAX of them. */
enum err tok_encode(const struct tok *t, struct bytes text, struct tok_options options, struct tok_ids *out,
                    struct note *note) MUST_USE;
/* Appends the bytes that a token stands for, which may be a part of a character: how an answer is
 * put together token by token. With `special`, control tokens give their text, else nothing but those that begin the
 * parts of an answer (<|channel|> and its kin, where <|return|> and <|call|> end it). Nothing is
 * appended for an id that is not in the vocabulary. */
void tok_piece(const struct tok *t, int32_t id, bool special, struct buf *out);
/* Appends the text of tokens that begin a text: the pieces, less a beginning-of-text token in front
 * (unless `special`) and the space that encoding put before the first word. */
void tok_decode(const struct tok *t, const int32_t *ids, size_t n, bool special, struct buf *out);

uint32_t tok_count(const struct tok *t);
/* -1 where the file names none. */
int32_t tok_bos(const struct tok *t);
int32_t tok_eos(const struct tok *t);
/* TOK_ENDS_FILE puts tok_bos in front. */
bool tok_adds_bos(const struct tok *t);
/* Ends an answer: end of text, end of turn, and those known by their published names. */
bool tok_is_eog(const struct tok *t, int32_t id);
/* Answers are in parts, each with the head of its channel in front (base/harmony.h). */
bool tok_has_channels(const struct tok *t);
/* The text of a control token that tells a thought or a call from what is said (base/answer_form.h), and that tok_piece
 * leaves out without `special`; empty for any other. */
struct bytes tok_mark(const struct tok *t, int32_t id);
/* A control token: no part of a text. */
bool tok_is_control(const struct tok *t, int32_t id);
/* A token's text as the vocabulary has it (borrowed), empty for an id that is not in it. */
struct bytes tok_text(const struct tok *t, int32_t id);
/* The pieces of all tokens but control tokens and those that end an answer, as a tree. Made when it is first asked for.
 */
const struct trie *tok_trie(const struct tok *t);
/* The token that is spelled so in the vocabulary, or -1. */
int32_t tok_find(const struct tok *t, const char *text);

#endif
