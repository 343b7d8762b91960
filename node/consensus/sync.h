/* Catching up: blocks with their commits from peers that are ahead, several asked for at once, applied in order.
 *
 * Heights that peers claim are only hints: a liar costs a question that times out, and then somebody else is asked. A
 * height may fall (a peer that was restored). Consensus goes on beside it, so nobody can stop a node by claiming
 * to be ahead.
 */
#ifndef KITH_NODE_SYNC_H
#define KITH_NODE_SYNC_H

#include "node/host/host.h"
#include "node/net/peers.h"

/* The messages. */
#define BLOCK_GET_FIELDS(F) F(u64, height)
RECORD_DECLARE(block_get, BLOCK_GET_FIELDS)
/* Both empty: the sender does not have it. `first`: the first height that it has; what is before was dropped. */
#define BLOCK_ANSWER_FIELDS(F) F(u64, height) F(u64, first) F(blob, block) F(blob, commit)
RECORD_DECLARE(block_answer, BLOCK_ANSWER_FIELDS)

struct sync;

struct sync_options {
    struct host *host;
    struct peers *peers;
    /* Applies the next block; anything but ERR_OK means that the peer gave a bad one. */
    enum err (*apply)(void *arg, struct bytes block, struct bytes commit, struct note *note);
    /* Appends a stored block and its commit. */
    enum err (*load)(void *arg, uint64_t height, struct buf *block, struct buf *commit);
    uint64_t (*first)(void *arg); /* height of the first stored block: older ones were dropped */
    void *arg;
};

/* Registers for BLOCK_GET and BLOCK. */
struct sync *sync_new(const struct sync_options *o, uint64_t height);
void sync_free(struct sync *s);
/* Ours is `height` now. */
void sync_height(struct sync *s, uint64_t height);
/* A peer says that its height is this; or it has gone. */
void sync_peer(struct sync *s, const struct pubkey *peer, uint64_t height);
void sync_peer_gone(struct sync *s, const struct pubkey *peer);
/* Greatest height that a connected peer claims. */
uint64_t sync_target(const struct sync *s);
/* A block that has come and waits for its turn, unchecked; borrowed until the next event. Empty where it has not. */
struct bytes sync_find(const struct sync *s, uint64_t height);
/* Asks for nothing while it is held. */
void sync_hold(struct sync *s, bool is_held);
/* The next block was asked for, and each connected peer that is ahead said that it dropped it. */
bool sync_is_pruned(const struct sync *s);

#endif
