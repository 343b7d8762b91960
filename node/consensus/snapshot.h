/* Snapshots in the node's hands: made at intervals beside the blocks, kept on disk, served to peers, and fetched by a
 * node that is new or far behind.
 *
 *     making    SCAN ----> CUT ----> WRITE ----> kept          a slice of SNAPSHOT_SLICE_MS at a time, on the loop
 *               a view     on a       leaf by leaf, hashes
 *               of H       thread     compared with the root
 *
 *     joining   LIST ----> HEADERS ----> TABLE ----> CLEAR ----> LEAVES ----> consensus at H + 1
 *               who has    H, H+1, H+2   and the     the old     from several
 *               which?     (light.h)     anchor      state       peers at once
 *
 * Nothing is given up before headers and table were verified. From CLEAR on the store belongs to the fetch, across
 * restarts, until it is done; a snapshot that nobody serves any more is replaced by a newer one.
 *
 * On disk, in `dir`: HEIGHT.leaves, and HEIGHT.index, which is written last and without which the other is nothing;
 * `trust`, the newest header that a join believed; making.entries, only while one is made.
 */
#ifndef KITH_NODE_SNAPSHOT_H
#define KITH_NODE_SNAPSHOT_H

#include "chain/light.h"
#include "node/consensus/consensus.h"

struct snapshots;

enum snapshot_sync {
    SNAPSHOT_SYNC_AUTO,     /* a snapshot where it is quicker, or blocks are gone */
    SNAPSHOT_SYNC_SNAPSHOT, /* a new node waits for one */
    SNAPSHOT_SYNC_BLOCKS    /* never */
};

struct snapshots_options {
    struct host *host;
    struct peers *peers;
    struct ledger *ledger;
    struct consensus *consensus;
    const char *dir;
    uint32_t interval; /* blocks between two snapshots; 0 makes none */
    enum snapshot_sync sync;
    /* Auto: something here waits for what the blocks in between say and no state does; a snapshot is then taken only
     * where they are gone. NULL: never. */
    bool (*needs_blocks)(void *arg);
    void *needs_arg;
    uint64_t checkpoint_height; /* where trust begins instead of the genesis; 0: none */
    struct hash checkpoint_id;
};

/* Registers with peers and consensus; reads what is kept. */
enum err snapshots_open(const struct snapshots_options *o, struct snapshots **out, struct note *note) MUST_USE;
void snapshots_close(struct snapshots *s);

struct snapshots_status {
    uint64_t newest; /* height of the newest one kept; 0: none */
    bool is_making;
    bool is_joining;       /* the state is being fetched */
    uint64_t join_height;  /* of the snapshot that is fetched */
    uint32_t leaves, have; /* of it */
};
struct snapshots_status snapshots_status(const struct snapshots *s);

/* "auto", "snapshot", "blocks". */
bool snapshot_sync_parse(const char *text, enum snapshot_sync *out) MUST_USE;

#endif
