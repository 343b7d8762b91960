/* The settlements of one node that are in escrow: for as long the receipts that they are over may be drawn, shown to a
 * committee, or challenged. */
#ifndef KITH_NODE_ESCROW_H
#define KITH_NODE_ESCROW_H

#include "chain/ledger.h"

struct escrow_entry {
    struct hash channel, receipts_root;
    uint32_t from, count; /* receipts from .. count - 1 */
};

struct escrow {
    struct escrow_entry *at;
    size_t n, room;
};

/* Those that `self` provided for, or pays, as the ledger is now. Looks at everybody's that are in escrow, and at none
 * that is over. */
void escrow_read(struct escrow *e, const struct ledger *l, const struct pubkey *self);
void escrow_clear(struct escrow *e);
bool escrow_has_root(const struct escrow *e, const struct hash *receipts_root);
bool escrow_has_channel(const struct escrow *e, const struct hash *channel);
/* May anybody still ask for receipt `index` of a channel: is it in escrow, or may a settlement to come be over it? */
bool escrow_may_ask(const struct escrow *e, const struct ledger *l, const struct hash *channel, uint32_t index);

#endif
