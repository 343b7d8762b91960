/* The node's part in deciding blocks: drives chain/bft.h with the host's timers, the peers' messages, the signer
 * and the ledger, and tells everybody else in the node what was decided.
 *
 *     messages, timers, pool                              ledger_prepare / _process
 *            |                                                       |
 *            v      write-ahead log                                  v
 *        bft_step ------> effects: cast, offer (signer, synced, then sent), make, timer, evidence
 *            |
 *            +----------> decide: ledger_finalize, then one synced batch: state, block, commit, validators
 *
 * What survives a kill at any moment: every decided block (the batch), every lock (the log is synced before a
 * precommit is signed), every signature (the signer's file is synced before one leaves). docs/consensus.md.
 */
#ifndef KITH_NODE_CONSENSUS_H
#define KITH_NODE_CONSENSUS_H

#include "chain/block.h"
#include "chain/ledger.h"
#include "node/host/host.h"
#include "node/net/peers.h"

struct consensus;

/* A committed block, with what the ledger made of it. Borrowed for the call. */
struct consensus_block {
    struct hash id;
    const struct header *header;
    const struct bytes *txs;
    const struct ledger_result *result;
};
/* Adds to what is stored with a block, in the same write, under a prefix of its own. */
typedef void (*consensus_store_fn)(void *arg, const struct consensus_block *block, struct kv_batch *batch);

struct consensus_options {
    struct host *host;
    struct kv *kv;              /* shared with the ledger */
    struct ledger *ledger;      /* opened */
    struct peers *peers;        /* NULL: alone */
    const struct seckey *key;   /* votes with it wherever it is a validator; NULL: only follows */
    const char *dir;            /* where signer and log are kept */
    uint32_t block_interval_ms; /* least time between blocks; 0: BLOCK_INTERVAL_MS */
    uint32_t heartbeat_ms;      /* empty blocks; 0: BLOCK_HEARTBEAT_MS; half of params.gap_ms at most */
    uint64_t keep_blocks;       /* older ones are dropped, once the unbonding period is over; 0: all are kept */
    consensus_store_fn store;   /* before each commit; may be NULL */
    void *store_arg;
};

/* Registers with the peers and takes up where it stopped. One clear line where files do not fit together. */
enum err consensus_open(const struct consensus_options *o, struct consensus **out, struct note *note) MUST_USE;
void consensus_close(struct consensus *c);

/* Checks a transaction, puts it into the pool and sends it on; ERR_DUPLICATE if it is there already. *id (may be
 * NULL) is set whenever the bytes are a transaction. */
enum err consensus_submit(struct consensus *c, struct bytes tx, struct hash *id, struct note *note) MUST_USE;
/* Many at once, `list` being one after the other, each with its length (u32) in front: verified beside the loop, then
 * put into the pool and sent on. fn (may be NULL) is called when all were judged, never within the call. ERR_FORMAT for
 * what is no list, ERR_FULL while too many wait. */
struct consensus_taken {
    uint32_t n, accepted; /* those that waited already count as accepted */
    enum err first_error; /* ERR_OK: all were accepted */
    uint32_t first_refused;
};
typedef void (*consensus_taken_fn)(void *arg, const struct consensus_taken *taken);
enum err consensus_submit_list(struct consensus *c, struct bytes list, consensus_taken_fn fn, void *arg,
                               struct note *note) MUST_USE;
void consensus_submit_cancel(struct consensus *c, consensus_taken_fn fn, void *arg);
/* Calls fn once when the transaction is in a committed block (e is its result there) or after timeout_ms
 * (ERR_TIMEOUT). Never within the call. */
typedef void (*consensus_tx_fn)(void *arg, enum err e, const struct hash *id, uint64_t height, const struct note *note);
enum err consensus_wait_tx(struct consensus *c, const struct hash *id, uint64_t timeout_ms, consensus_tx_fn fn,
                           void *arg) MUST_USE;
/* No call to fn with this arg comes any more. */
void consensus_wait_cancel(struct consensus *c, consensus_tx_fn fn, void *arg);
/* Is it waiting in the pool? */
bool consensus_has_tx(const struct consensus *c, const struct hash *id);
/* Who sends what this node submits by itself as a validator, with its key; without one it goes to the pool directly. */
typedef void (*consensus_send_fn)(void *arg, enum tx_kind kind, struct bytes body);
void consensus_on_send(struct consensus *c, consensus_send_fn fn, void *arg);
/* The signer's next nonce behind its transactions in the pool. */
uint64_t consensus_nonce(const struct consensus *c, const struct pubkey *account);

typedef void (*consensus_block_fn)(void *arg, const struct consensus_block *block);
/* In the order of subscribing, after each commit, on the loop's thread. At most CONSENSUS_LISTENERS_MAX. */
void consensus_on_block(struct consensus *c, consensus_block_fn fn, void *arg);

struct consensus_status {
    struct hash chain;
    uint64_t height;  /* last committed */
    uint64_t time_ms; /* of that block */
    struct hash block;
    uint64_t peer_height; /* greatest that a connected peer says */
    bool is_syncing;
    uint32_t round;    /* of the height in the making */
    bool is_validator; /* of the height in the making */
    uint32_t validators;
    uint32_t pool; /* transactions waiting */
    size_t pool_bytes;
    uint32_t evidence; /* equivocations seen since the start */
    bool is_stuck;     /* the disk takes nothing: no vote is cast until it does */
};
struct consensus_status consensus_status(const struct consensus *c);
/* The validators of the height in the making. */
const struct valset *consensus_validators(const struct consensus *c);
/* A stored block and its commit: appends the encodings; ERR_NOT_FOUND beyond the last height. Either may be NULL. */
enum err consensus_block_get(const struct consensus *c, uint64_t height, struct buf *block, struct buf *commit,
                             struct note *note) MUST_USE;

/* The light block (chain/light.h) of a height whose block is here, appended. */
enum err consensus_light_block(const struct consensus *c, uint64_t height, struct buf *out, struct note *note) MUST_USE;
/* The first height whose block is here; above the last one's where there is none yet. */
uint64_t consensus_first(const struct consensus *c);

/* -- for snapshots -- */

/* No block from this height on is dropped. */
void consensus_keep_from(struct consensus *c, uint64_t height);
/* The sets of the two next heights, as snapshot_anchor_put has them. */
void consensus_anchor_put(const struct consensus *c, struct buf *out);
/* No blocks are asked for while it is held. */
void consensus_hold(struct consensus *c, bool is_held);
/* Nobody connected still has the block that comes next here. */
bool consensus_is_pruned(const struct consensus *c);
/* With every leaf in the ledger: ends the fetch, and goes on with the height behind it. Between ledger_snapshot_begin
 * and this nothing is decided here. */
struct consensus_join {
    struct hash beacon; /* of the height behind the snapshot... */
    const struct valset *validators;
    const struct valset *next_validators; /* ...and of the one behind that */
};
enum err consensus_join_end(struct consensus *c, const struct consensus_join *j, struct note *note) MUST_USE;
/* What this node can testify of a height (chain/blame.h): appends the encoding. ERR_NOT_FOUND where it saw no quorum of
 * prevotes, and once no stake answers for the height any more. */
enum err consensus_testimony(const struct consensus *c, uint64_t height, struct buf *out, struct note *note) MUST_USE;

#endif
