/* Access to data: this machine's part in the exchange that the ledger runs (chain/apply_grant.c). Transactions are the
 * owner's, whose wallet signs them; here is what they stand on: encrypted bytes, hashes of the plain leaves, one-time
 * keys, and keys that were released.
 *
 *     buyer    fetch (bytes and hashes, compared with the ledger's roots) -> key of its own -> data_grant
 *     seller                                                  key_release <- sealed, once it is known to open leaf 0
 *     buyer    the released key opens every leaf: it is kept, or a data_dispute proves the one that it does not
 *
 * A key is kept as soon as the block with its release comes, however late it comes, or at the next start within its
 * dispute time: the sealed key leaves the ledger when that is over. So while one is waited for, blocks are not passed
 * over by a snapshot (access_waits).
 *
 *     HOME/data/KEY.once    the secret (0600) of a grant's key, by that key */
#ifndef KITH_NODE_ACCESS_H
#define KITH_NODE_ACCESS_H

#include "chain/ledger.h"
#include "node/data/data.h"
#include "node/net/streams.h"

struct access;

struct access_options {
    struct host *host;
    struct ledger *ledger;
    struct peers *peers;
    struct streams *streams;
    struct blobs *blobs;
    const char *home;
};
/* All borrowed but home. */
struct access *access_new(const struct access_options *o);
void access_free(struct access *a);
void access_on_event(struct access *a, const struct ledger_event *e);
/* A key that was paid for is still to come, and comes in a block: a state from after its dispute time is without it. */
bool access_waits(const struct access *a);

typedef void (*access_done_fn)(void *arg, enum err e, const struct note *note);
/* Until both are here and are what the roots say: the blob, from whoever has it, and the hashes of the plain leaves,
 * from peers asked one after the other. ERR_TIMEOUT: none had those within ACCESS_HASHES_MS of the last byte. */
void access_fetch(struct access *a, const struct data_facts *f, access_done_fn done, void *arg);

/* A buyer's key for one grant; its secret is on the disk before this returns. */
enum err access_key_new(struct access *a, struct pubkey *out, struct note *note) MUST_USE;
/* True if the secret of a grant's key is here: this machine can open what is released for it. */
bool access_has_secret(const struct access *a, const struct pubkey *key);
/* The data's key sealed for a grant, appended. ERR_NOT_FOUND: it is not here; ERR_CORRUPT: what is here does not open
 * the set's first leaf, and releasing it would cost the bond. */
enum err access_seal(struct access *a, const struct rec_grant *g, struct buf *sealed, struct note *note) MUST_USE;

/* What a released key is worth: `dispute` is the body of a tx_data_dispute, empty where it fits, and then it is kept.
 */
typedef void (*access_verdict_fn)(void *arg, enum err e, bool fits, struct bytes dispute, const struct note *note);
void access_check(struct access *a, const struct rec_grant *g, access_verdict_fn done, void *arg);

#endif
