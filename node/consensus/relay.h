/* Who is sent news whole, and who is only told of it.
 *
 * News is what a peer brought first: a transaction, a vote, a proposal. Sent on to everybody, it would come to
 * everybody once from each peer. So a node with many peers wants it whole from a few, its near ones, and asks the
 * others (MSG_NEWS) only to tell it: of what no near one brings in time it asks somebody who told.
 *
 *     near    RELAY_NEAR of them: those that were first most often of late, and one that is drawn, so that the fast do
 *             not close themselves off, and one who brings nothing is found out within a turn
 *     told    whoever asked us for that
 *
 * What a node says for the first time goes whole to all its peers: that is not this file's. No I/O but messages to
 * peers; the places of peers (slots) are bits in masks of others.
 */
#ifndef KITH_NODE_RELAY_H
#define KITH_NODE_RELAY_H

#include "base/limits.h"
#include "node/host/host.h"
#include "node/net/peers.h"

struct relay;

struct relay *relay_new(struct host *host, struct peers *peers);
void relay_free(struct relay *r);
/* A peer came or went. */
void relay_change(struct relay *r, const struct pubkey *peer, bool up);
/* MSG_NEWS: what `from` wants of us. ERR_PROTOCOL for what is no such message. */
enum err relay_take(struct relay *r, const struct pubkey *from, struct bytes body) MUST_USE;

/* A peer's place while it is up, below RELAY_SLOTS; -1 for one that has none, who is sent everything whole. */
int relay_slot(const struct relay *r, const struct pubkey *peer);
/* Its bit; 0 for one without a place, and for NULL. */
uint64_t relay_bit(const struct relay *r, const struct pubkey *peer);
/* Who has that place; NULL if nobody. */
const struct pubkey *relay_peer(const struct relay *r, int slot);
/* The bits of those who want to be told. */
uint64_t relay_told(const struct relay *r);
/* To all but those and `from` (may be NULL). */
void relay_pass(struct relay *r, enum msg_type type, struct bytes body, const struct pubkey *from);
/* To those, but `from`. */
void relay_tell(struct relay *r, enum msg_type type, struct bytes body, const struct pubkey *from);
/* `from` was first with something. */
void relay_credit(struct relay *r, const struct pubkey *from);

#endif
