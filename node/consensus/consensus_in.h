/* Inside consensus: shared by consensus.c (the machine and its effects), consensus_disk.c (log and signer's file),
 * consensus_block.c (making, judging, applying and storing blocks), consensus_wire.c (messages), consensus_short.c
 * (proposals without transactions), consensus_duty.c (what a validator sends by itself), consensus_evidence.c,
 * consensus_testimony.c (what it can testify) and consensus_tx.c (pool, waiters, listeners). Nobody else includes it.
 */
#ifndef KITH_NODE_CONSENSUS_IN_H
#define KITH_NODE_CONSENSUS_IN_H

#include "chain/bft.h"
#include "chain/signer.h"
#include "node/consensus/consensus.h"
#include "node/consensus/mempool.h"
#include "node/consensus/relay.h"
#include "node/consensus/sync.h"
#include "node/consensus/wal.h"

/* -- what peers say to each other -- */

#define STATUS_FIELDS(F) F(u64, height)
RECORD_DECLARE(status, STATUS_FIELDS)
/* A proposal with its block. */
#define PROPOSED_FIELDS(F) F(proposal, proposal) F(blob, block)
RECORD_DECLARE(proposed, PROPOSED_FIELDS)
/* One that names its transactions. head: the block's encoding with an empty list of them. */
#define SHORT_FIELDS(F) F(proposal, proposal) F(blob, head) F(hashes, txs)
RECORD_DECLARE(short_proposal, SHORT_FIELDS)
/* There is one. */
#define PROPOSAL_TOLD_FIELDS(F) F(u64, height) F(u32, round) F(hash, value)
RECORD_DECLARE(proposal_told, PROPOSAL_TOLD_FIELDS)
/* Send me it (no positions), or its transactions at these positions (u16 each, rising); and those. */
#define PROPOSAL_ASK_FIELDS(F) F(u64, height) F(u32, round) F(hash, value) F(blob, wanted)
RECORD_DECLARE(proposal_ask, PROPOSAL_ASK_FIELDS)
#define PROPOSAL_TXS_FIELDS(F) F(u64, height) F(u32, round) F(hash, value) F(u32, positions) F(blob, txs)
RECORD_DECLARE(proposal_txs, PROPOSAL_TXS_FIELDS)
/* Votes of one height, round and kind for one thing: a bit for each validator, in the order of their indices. */
#define BALLOT_FIELDS(F) F(u64, height) F(u32, round) F(u8, kind) F(hash, value) F(u32, valid_round) F(blob, voted)
RECORD_DECLARE(ballot, BALLOT_FIELDS)

struct step_timer {
    struct timer timer;
    struct consensus *consensus;
    uint64_t height;
    uint32_t round;
    enum bft_step step;
};

/* A block of the height in the making, by id. */
struct value {
    struct hash id;
    struct buf raw; /* empty: free */
    uint64_t used;
};

struct wait {
    struct hash id;
    consensus_tx_fn fn;
    void *arg;
    uint64_t due_ms;
    bool is_over; /* its result is known, fn is to be called */
    enum err result;
    uint64_t height;
    struct note note;
};

/* Evidence that the ledger has not punished yet. */
struct pending {
    struct evidence evidence;
    uint64_t due_ms; /* when we send it, if nobody has */
};

#define AHEAD_PROPOSALS 2 /* of the next height: rounds 0 and 1 */

struct intake;
struct told_txs;
struct ballots;
struct partial;

struct consensus {
    struct consensus_options o;
    struct hash chain;
    struct seckey key;
    struct pubkey self;
    struct vrf_secret vrf; /* of our blocks' values for the beacon */
    bool has_key;
    struct bft *bft;
    struct mempool *pool;
    struct intake *intake;
    struct relay *relay;     /* this and the next three: NULL without peers */
    struct told_txs *told;   /* transactions that peers told of */
    struct ballots *ballots; /* votes and proposals that they told of */
    struct partial *partial; /* a proposal some of whose transactions are missing */
    struct sync *sync;
    struct wal *wal;
    struct host_file *signer_file;
    struct signer signer;
    uint64_t mute_height; /* nothing is signed in this height: its lock was forgotten */

    uint64_t height; /* in the making */
    struct valset *validators, *next_validators;
    struct hash beacon;     /* of the height in the making */
    uint64_t last_block_ms; /* monotonic time of the last commit */
    struct value values[BFT_VALUES_MAX];
    uint64_t value_clock;

    struct bft_event *queue; /* events that the last step gave rise to */
    uint32_t queue_n, queue_at, queue_room;
    bool is_running, is_replaying;
    struct bft_effect *deferred; /* effects of a replay, and those that the disk refused */
    uint32_t deferred_n, deferred_room;

    struct step_timer step_timers[BFT_DECIDED];
    struct timer start_timer; /* set until the loop turns for the first time: nothing begins before */
    struct timer go_timer, resend_timer, retry_timer, wait_timer;
    bool is_committing; /* finalized; the store refused the batch so far */
    bool is_stuck;
    bool is_stuck_said; /* in the log, once until a block is stored */
    struct kv_batch batch;
    const struct ledger_result *result;
    struct buf decided; /* the block being committed */

    struct buf ahead_votes; /* encodings of verified votes for the next height */
    uint32_t ahead_votes_n;
    struct buf ahead_proposals[AHEAD_PROPOSALS];
    uint32_t ahead_proposals_n;

    struct {
        consensus_block_fn fn;
        void *arg;
    } listeners[CONSENSUS_LISTENERS_MAX];
    uint32_t listeners_n;
    struct wait *waits;
    uint32_t waits_n, waits_room;
    uint32_t evidence;

    uint64_t first;       /* height of the first block that is kept */
    uint64_t keep_from;   /* no block from here on is dropped; 0: no bound but the window */
    struct hash kept_set; /* the set of validators that was stored last */

    uint64_t testimony_from; /* no testimony of a height below it is in the store */
    struct pending pending[CONSENSUS_EVIDENCE_MAX];
    uint32_t pending_n;
    consensus_send_fn send; /* NULL: to the pool */
    void *send_arg;
    uint64_t beacon_key_height; /* before it our key is not registered again */
};

/* consensus.c */
struct bft_effects consensus_feed(struct consensus *c, const struct bft_event *e);
void consensus_start_height(struct consensus *c);
void consensus_wake(struct consensus *c);
void consensus_wake_soon(struct consensus *c);
/* The disk refused something: says so once, and tries again by and by. */
void consensus_stuck(struct consensus *c, const char *why);

/* consensus_disk.c */
void disk_log_write(struct consensus *c, const struct bft_event *e, bool is_news);
/* Opens the log, comes back to where it ends, and collects in c->deferred what it left undone. */
enum err disk_log_replay(struct consensus *c, struct note *note);
/* `committed`: the chain's height. */
enum err disk_signer_open(struct consensus *c, uint64_t committed, struct note *note);
/* Written and synced. */
enum err disk_signer_write(struct consensus *c, const struct signer *s);

/* consensus_block.c */
enum err block_state_load(struct consensus *c, struct note *note);
struct buf *value_find(struct consensus *c, const struct hash *id);
void value_add(struct consensus *c, const struct hash *id, struct bytes raw);
void values_clear(struct consensus *c);
bool block_make(struct consensus *c, uint32_t round, struct hash *id);
/* What a proposal carries, once it was judged. */
struct judged {
    enum bft_verdict verdict;
    struct hash id;
    uint64_t time_ms;
    uint32_t round; /* in which it was made */
};
struct judged block_judge(struct consensus *c, struct bytes raw, uint32_t round);
bool block_is_timely(const struct consensus *c, uint64_t time_ms, uint32_t round);
void block_decide(struct consensus *c, uint32_t round, const struct hash *id);
enum err block_apply_synced(struct consensus *c, struct bytes block, struct bytes commit, struct note *note);
void block_commit_retry(struct consensus *c);

/* beacon and validators of the height and the one behind, as they stand in the store; a block and its commit */
void block_state_put(struct kv_batch *batch, uint64_t height, const struct hash *beacon, const struct valset *now,
                     const struct valset *next);
void block_drop(struct kv_batch *batch, uint64_t height);

/* consensus_keep.c */
void kept_open(struct consensus *c);
void kept_put_set(struct consensus *c, const struct header *h);
void kept_prune(struct consensus *c);

/* consensus_wire.c */
void wire_open(struct consensus *c);
void wire_send_vote(struct consensus *c, const struct vote *v);
void wire_send_proposal(struct consensus *c, const struct proposal *p);
void wire_send_status(struct consensus *c);
void wire_send_evidence(struct consensus *c, const struct evidence *e);
void wire_resend(struct consensus *c);
void wire_resend_pool(struct consensus *c);
void wire_take_ahead(struct consensus *c);

/* consensus_duty.c: after each block, and at the start. */
void duty_step(struct consensus *c);
bool duty_send(struct consensus *c, enum tx_kind kind, struct bytes body);

/* consensus_testimony.c */
enum err testimony_load(struct consensus *c, struct note *note);
void testimony_store(struct consensus *c, struct bytes raw_commit); /* into c->batch */

/* consensus_evidence.c */
enum err evidence_load(struct consensus *c, struct note *note);
/* Verified, and of this height or punishable: kept, said to all, and sent to the ledger by and by. */
void evidence_found(struct consensus *c, const struct evidence *e);
void evidence_step(struct consensus *c);

/* What a proposal of this or the next height would tell us; its signature is checked. */
bool wire_is_wanted(struct consensus *c, const struct proposal *p);
/* As if it had come whole. */
enum err wire_take_block(struct consensus *c, const struct pubkey *from, const struct proposal *p, struct bytes block);
/* One that is known here, to one peer: whole, or by its transactions' ids. */
void wire_send_known(struct consensus *c, const struct proposal *p, const struct pubkey *to);

/* consensus_short.c */
void short_open(struct consensus *c);
void short_close(struct consensus *c);
void short_ask(struct consensus *c, const struct pubkey *to, const struct proposal_told *p);
/* It came, and some of its transactions were asked for. */
bool short_is_partial(const struct consensus *c, const struct proposal_told *p);
/* Appends the proposal with its transactions' ids; false where the whole is as good. */
bool short_put(const struct proposal *p, struct bytes block, struct buf *out);

/* consensus_intake.c */
void intake_open(struct consensus *c);
void intake_close(struct consensus *c);

/* consensus_told.c */
void told_open(struct consensus *c);
void told_close(struct consensus *c);
void told_change(struct consensus *c, const struct pubkey *peer, bool up);
/* A peer's transaction into the pool, with those that waited for it; appends what was taken to a list for others. */
enum err told_take(struct consensus *c, struct bytes raw, const struct pubkey *from, struct buf *list);
/* It was in the pool or is in a block: of no interest for a while. */
void told_had(struct consensus *c, const struct hash *id);
/* A peer sent transactions: it is not one that only tells of them. */
void told_came(struct consensus *c, const struct pubkey *from);
/* Ids of what waits in the pool, to one peer or (NULL) to all. */
void told_say_pool(struct consensus *c, const struct pubkey *to);

/* consensus_ballots.c */
void ballots_open(struct consensus *c);
void ballots_close(struct consensus *c);
void ballots_new_height(struct consensus *c);
void ballots_peer_gone(struct consensus *c, const struct pubkey *peer);
/* A vote came that we did not have: those who want to be told are, by and by. */
void ballots_news(struct consensus *c);
void ballots_tell_proposal(struct consensus *c, const struct proposal *p, const struct pubkey *from);
/* All ballots that a peer may lack, to one or (NULL) to all. */
void ballots_say(struct consensus *c, const struct pubkey *to);

/* consensus_tx.c */
void txs_committed(struct consensus *c, const struct consensus_block *block);
void waits_clear(struct consensus *c);

#endif
