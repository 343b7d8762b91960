/* A model's vocabulary in memory: for each token its text as the file has it, a score and a type, and
 * the way back from text to token. Owned by a tokenizer; filled once, then only read. */
#ifndef KITH_INFERENCE_VOCAB_H
#define KITH_INFERENCE_VOCAB_H

#include "base/bytes.h"

/* What stands in `tokenizer.ggml.token_type`. */
enum vocab_type {
    VOCAB_NORMAL = 1,
    VOCAB_UNKNOWN = 2,
    VOCAB_CONTROL = 3,
    VOCAB_USER = 4,
    VOCAB_UNUSED = 5,
    VOCAB_BYTE = 6,
};

struct vocab {
    struct buf texts;    /* one behind the other */
    uint32_t *starts;    /* [count + 1] into texts */
    float *scores;       /* [count] */
    uint8_t *types;      /* [count], enum vocab_type */
    uint32_t count;      /* at most VOCAB_MAX */
    uint32_t text_max;   /* bytes of the longest text */
    uint32_t *slots;     /* hash table of token + 1; 0 is empty */
    uint32_t slots_mask; /* size - 1, size a power of two */
    uint64_t seed;       /* of the hash: from the vocabulary itself, so that no file can make texts collide */
};

/* {0} is an empty vocabulary. */
void vocab_clear(struct vocab *v);
/* Room for `count` tokens, at most VOCAB_MAX: adding more ends the process. */
void vocab_reserve(struct vocab *v, uint32_t count);
/* Appends a token. Refuses a text over TOKEN_PIECE_MAX, an unknown type and a score that is no number. */
enum err vocab_add(struct vocab *v, struct bytes text, float score, uint32_t type, struct note *note) MUST_USE;
/* Builds the index when all are added. Refuses two tokens with one text; empty texts are never found. */
enum err vocab_index(struct vocab *v, struct note *note) MUST_USE;

/* The text of a token (id < count). */
struct bytes vocab_text(const struct vocab *v, uint32_t id);
/* The token with this text, or -1. */
int32_t vocab_find(const struct vocab *v, struct bytes text);
/* For other tables with the same protection. */
uint64_t vocab_hash(uint64_t seed, const void *p, size_t n);

#endif
