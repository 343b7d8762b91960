/* Transcripts that others are owed: auditors that were drawn, and members of committees. Each is shown what he was
 * drawn for, sealed to him, over a stream of its own; again and again, until he is not owed it any more. */
#ifndef KITH_NODE_SHOW_H
#define KITH_NODE_SHOW_H

#include "node/market/market.h"

struct show {
    struct shows *shows;
    struct show *next;
    struct hash id; /* of a settlement, or of a doubt */
    struct pubkey to;
    uint32_t index;
    uint64_t stream; /* 0: not open */
    struct timer timer;
};

struct shows {
    const struct market_services *s; /* borrowed, as long as this */
    struct show *first;
    bool (*is_owed)(void *arg, const struct show *x);
    /* Appends the encoding of an audit_show. ERR_NOT_FOUND: it is not there. */
    enum err (*put)(void *arg, const struct show *x, struct buf *plain);
    void *arg;
};

void shows_add(struct shows *l, const struct hash *id, const struct pubkey *to, uint32_t index);
void shows_clear(struct shows *l);

#endif
