/* Transactions that peers told of by their ids and that did not come yet: whom to ask for which, and when.
 *
 *              told of (or already asked elsewhere: one more to ask)
 *     unknown ---------------------> WAITING --CONSENSUS_PATIENCE_MS--> ASKED --CONSENSUS_ASK_MS, denied, or its peer
 * gone--> ASKED ^                              |                                 | (the next) |             came | |
 *        +------------------------------+---------------------------------+-- nobody is left to ask
 *
 * Of those who told of one, who left the fewest questions unanswered is asked first: who tells of what it does not send
 * delays nothing that somebody else has told of too. A peer answers for at most WANTED_PEER_MAX, so none takes the
 * place of another. No I/O, no clock: peers are relay.h's slots, below RELAY_SLOTS.
 */
#ifndef KITH_NODE_WANTED_H
#define KITH_NODE_WANTED_H

#include "base/hash.h"

struct wanted;

/* `key` is random and secret: ids are what peers say they are. */
struct wanted *wanted_new(const uint8_t key[16]);
void wanted_free(struct wanted *t);
/* False: not remembered, this peer told of too many. */
bool wanted_add(struct wanted *t, const struct hash *id, int slot, uint64_t now_ms);
/* It came, or is of no interest any more: gives who told of it, as bits. 0 if nobody did. */
uint64_t wanted_remove(struct wanted *t, const struct hash *id);
/* Who was asked for it says that it has it no more. */
void wanted_denied(struct wanted *t, const struct hash *id, int slot, uint64_t now_ms);
/* What was asked of this peer came. */
void wanted_came(struct wanted *t, int slot);
/* The peer went: whoever has its place next starts anew. */
void wanted_gone(struct wanted *t, int slot, uint64_t now_ms);
/* The next one to ask for, and whom; false if none is due. */
bool wanted_next(struct wanted *t, uint64_t now_ms, struct hash *id, int *slot);
/* When wanted_next has something again; UINT64_MAX if nothing waits. */
uint64_t wanted_due_ms(const struct wanted *t);
uint32_t wanted_count(const struct wanted *t);

#endif
