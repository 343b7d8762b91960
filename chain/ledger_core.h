/* Inside the ledger: its one struct, shared by ledger.c (open, finalize, commit), ledger_pool.c (what comes before a
 * block) and ledger_query.c. */
#ifndef KITH_CHAIN_LEDGER_CORE_H
#define KITH_CHAIN_LEDGER_CORE_H

#include "chain/apply.h"

/* Where the chain stands, kept in the store beside the state: not in it, or every block would change the state. */
#define REC_HEAD_FIELDS(F) F(u64, height) F(u64, time_ms) F(hash, block) F(hash, state_root) F(hash, previous_root)
RECORD_DECLARE(rec_head, REC_HEAD_FIELDS)

/* Transactions whose signatures were seen to fit: a direct-mapped cache by the first two bytes of the id. */
#define VERIFIED_SLOTS 65536u
struct verified {
    struct hash id;
    uint32_t n; /* bytes of the signatures */
    uint8_t signatures[sizeof(struct sig) + 4];
};

/* A transaction as its bytes alone say it. Borrows from them. */
struct checked {
    struct bytes raw;
    struct tx tx;
    struct hash id;
    struct verified verified;
    enum err e;
    bool is_done;     /* all of it up to here is known */
    struct pubkey to; /* of a transfer, else the signer */
    struct tree_spot signer_at, to_at;
};

/* A snapshot being fetched: the record in the store, and which leaves are there. */
struct ledger_fetch {
    bool is_on;
    bool is_clean; /* nothing of the old state is left */
    struct ledger_base snapshot;
    bool *has;
    uint32_t count;
};

/* Of a block's transactions, in order, with a copy of their bytes. */
struct checked_list {
    struct checked *at;
    uint32_t n, room;
    struct buf raw;
};

struct ledger {
    struct kv *kv;
    struct state state;
    struct genesis genesis;
    struct buf genesis_room; /* what genesis borrows from */
    struct hash chain;
    struct rec_head head;      /* last committed */
    struct rec_head next_head; /* of the finalized block */
    bool office_moves;         /* the office may not have arrived where the bonds want it */
    bool finalized;            /* a block is applied in memory and not yet committed */
    struct kv_batch results;   /* what became of its transactions */
    struct ledger_fetch fetch;
    struct verified *verified;
    struct checked_list checked;  /* of the last ledger_verify_all */
    struct checked_list expected; /* of the block after; n is 0 where none is known */
    uint64_t salt[2];             /* nobody can choose keys that meet in a table */
    struct parallel parallel;
    struct buf scratch;
    /* of the last finalize */
    struct apply_events events;
    enum err *codes;
    struct note *notes;
    uint32_t codes_room;
    struct ledger_validator validators[VALIDATORS_MAX];
    uint32_t validators_n;
    struct ledger_result result;
};

/* Every record of the store into an empty state; its root is then that of a height. */
enum err ledger_load_state(struct kv *kv, struct state *s, const struct hash *root, uint64_t height,
                           struct note *note) MUST_USE;
void ledger_put_head(struct kv_batch *batch, const struct rec_head *head);
/* Is a fetch under way? Reads which leaves are there. */
enum err ledger_fetch_load(struct ledger *l, struct note *note) MUST_USE;

/* Decode, chain, signature (or its memory); fills id. */
enum err ledger_verify(struct ledger *l, struct bytes raw, struct tx *t, struct hash *id, struct note *note) MUST_USE;
/* The same for all of a block, in parts; valid until the next call, which costs little for the same transactions: a
 * block that was judged is the one that is finalized. Where one's e is not ERR_OK, ledger_why says it in words.
 * follow (or NULL) is called for each in order, one at a time, from whichever thread has just verified it or one
 * before, while others still verify: it may read the state. */
typedef void (*ledger_follow_fn)(void *arg, const struct checked *c);
const struct checked *ledger_verify_all(struct ledger *l, const struct bytes *txs, uint32_t n, ledger_follow_fn follow,
                                        void *arg);
enum err ledger_why(const struct ledger *l, struct bytes raw, enum err e, struct note *note) MUST_USE;
/* What is known of the places of its accounts, before they are read. */
void ledger_prime(struct ledger *l, const struct checked *c);
/* Does fn(arg), which changes the ledger and shares no work itself; processors that it leaves idle, also its own where
 * it waits for a disk, verify what is expected meanwhile, until it is done. */
void ledger_do_beside(struct ledger *l, void (*fn)(void *arg), void *arg, bool waits);
void ledger_lists_clear(struct ledger *l);
/* A context for applying at this height and time. */
struct apply ledger_apply(struct ledger *l, uint64_t height, uint64_t time_ms, struct apply_events *events);

#endif
