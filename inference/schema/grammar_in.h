/* Inside the grammar: what building and reading share. */
#ifndef KITH_INFERENCE_GRAMMAR_IN_H
#define KITH_INFERENCE_GRAMMAR_IN_H

#include "inference/schema/grammar.h"

enum grammar_kind {
    OP_RETURN,
    OP_FAIL,
    OP_RANGE, /* a byte from x & 255 to x >> 8, then `next` */
    OP_SET,   /* a byte of sets[x], then `next` */
    OP_SPLIT, /* `next` or x */
    OP_CALL,  /* x, then `next` */
    OP_BELOW, /* if the counter is below x, `next` */
    OP_LEAST, /* if the counter is at least x, `next` */
    OP_COUNT, /* the counter rises, up to x; `next` */
    OP_JUMP,  /* `next` */
};

struct grammar_op {
    uint8_t kind;
    uint8_t height; /* rules that must be opened, inside each other, to reach the end of this one from here */
    uint32_t x, next;
};
#define HEIGHT_NEVER 255

struct grammar {
    struct grammar_op *ops;
    uint32_t n, room;
    uint32_t (*sets)[8];
    uint32_t sets_n, sets_room;
    uint32_t start;
    bool is_full, is_closed;
    uint8_t class_of[256]; /* bytes that no operation tells apart */
    uint8_t sample[256];   /* [classes] one byte of each */
    uint32_t classes;
};

static inline bool set_has(const uint32_t set[8], unsigned byte)
{
    return set[byte / 32] >> byte % 32 & 1;
}

static inline bool op_takes(const struct grammar *g, const struct grammar_op *op, uint8_t byte)
{
    if (op->kind == OP_RANGE)
        return byte >= (op->x & 255) && byte <= op->x >> 8;
    return set_has(g->sets[op->x], byte);
}

#endif
