/* Inside the tokenizer: what tok.c, tok_special.c and the kinds share. Nobody else includes it
 * but their tests. */
#ifndef KITH_INFERENCE_TOK_KINDS_H
#define KITH_INFERENCE_TOK_KINDS_H

#include "inference/tok/pretok.h"
#include "inference/tok/tok.h"
#include "inference/tok/vocab.h"

#include <pthread.h>

struct gguf_array;

enum tok_kind {
    TOK_SPM,
    TOK_BPE,
    TOK_WPM,
};

/* Two tokens that become one; their order in the file is their rank. */
struct tok_rule {
    int32_t left;
    int32_t right;
    int32_t result;
};

/* What is made when it is first needed, by whichever thread. */
struct tok_lazy {
    pthread_mutex_t lock;
    struct trie *trie;
};

struct tok {
    enum tok_kind kind;
    struct vocab vocab;
    int32_t bos, eos, unknown; /* -1: none */
    bool add_bos, add_eos;
    bool add_space;    /* a space goes before a text's first word (SPM), or its first piece shows one (WPM) */
    bool words_apart;  /* no token spans two words (SPM) */
    bool strips_right; /* control tokens swallow white space behind them (phi-3) */
    bool *eog;         /* [count] */
    bool shows_marks;  /* control tokens that begin the parts of an answer are text of it (tok_special.c) */
    struct tok_lazy *lazy;
    uint32_t *specials; /* tokens looked for in a text, sorted by their text */
    uint32_t specials_n;
    uint32_t special_first[257]; /* where those with a first byte b begin in `specials` */
    int32_t byte_ids[256];       /* token of a single byte, or -1 */

    /* WPM */
    bool lowers, strips_accents;

    /* BPE */
    const struct pretok *pretok;
    struct tok_rule *rules;
    uint32_t rules_n;
    uint32_t *rule_slots; /* hash table of rule + 1 over (left, right) */
    uint32_t rule_slots_mask;
};

/* With the vocabulary filled and indexed: marks what ends an answer, and prepares tok_special_match. */
void tok_special_open(struct tok *t);
/* A control token that is text of an answer. */
bool tok_special_is_mark(const struct tok *t, uint32_t id);
/* The longest special token that begins at `at`, or -1. Control tokens only with `all`. */
int32_t tok_special_match(const struct tok *t, struct bytes text, size_t at, bool all);

void tok_spm_open(struct tok *t);
enum err tok_spm_encode(const struct tok *t, struct bytes text, bool first, struct tok_ids *out,
                        struct note *note) MUST_USE;
/* Spaces become U+2581, and with `space_first` one stands in front. */
void tok_spm_escape(struct bytes text, bool space_first, struct buf *out);
/* What a text may become without being asked for by name: no text turns into a control token, nor the spelling of a
 * byte token into that byte. -1: nothing. */
int32_t tok_spm_find_plain(const struct vocab *v, const uint8_t *text, size_t n);
/* The tokens <0x00> to <0xFF>, or of texts of one byte; a text by these. */
void tok_spm_find_bytes(struct tok *t);
enum err tok_spm_add_bytes(const struct tok *t, struct bytes text, struct tok_ids *out, struct note *note) MUST_USE;
void tok_spm_piece(const struct tok *t, uint32_t id, struct buf *out);

void tok_wpm_encode(const struct tok *t, struct bytes text, struct tok_ids *out);

/* One merge of a BPE vocabulary, as "LEFT RIGHT"; in the order of the file. */
enum err tok_bpe_reserve(struct tok *t, uint64_t count, struct note *note) MUST_USE;
enum err tok_bpe_add(struct tok *t, struct bytes merge, struct note *note) MUST_USE;
void tok_bpe_open(struct tok *t);
enum err tok_bpe_encode(const struct tok *t, struct bytes text, struct tok_ids *out, struct note *note) MUST_USE;
void tok_bpe_piece(const struct tok *t, uint32_t id, struct buf *out);

#endif
