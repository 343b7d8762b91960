/* Which settlements are over a channel's receipts, of the channels that one node pays through: the ledger has
 * settlements by their own id alone, and everybody's of a week. Read once, then kept by the events of each block. */
#ifndef KITH_NODE_SETTLED_H
#define KITH_NODE_SETTLED_H

#include "chain/ledger.h"

struct settled_entry {
    struct hash channel, id;
    uint64_t height;
    uint32_t from, count; /* receipts from .. count - 1 */
};

struct settled {
    struct settled_entry *at; /* by channel, then count, then height */
    size_t n, room;
    uint64_t height; /* of the last block that it is complete to */
};

/* All that `payer` pays, as the ledger is now: looks at everybody's. */
void settled_read(struct settled *t, const struct ledger *l, const struct pubkey *payer);
void settled_clear(struct settled *t);
/* What LEDGER_SETTLED tells of, of whatever payer. */
void settled_add(struct settled *t, const struct ledger *l, const struct pubkey *payer, const struct hash *id);
/* Behind the events of each block. Where there were blocks of which no events came (a snapshot), reads again. */
void settled_block(struct settled *t, const struct ledger *l, const struct pubkey *payer);
/* The next one over receipt `index` that the ledger still has, in the order in which they were made. *at: 0 at first.
 */
bool settled_next(const struct settled *t, const struct ledger *l, const struct hash *channel, uint32_t index,
                  size_t *at, struct rec_settlement *out);

#endif
