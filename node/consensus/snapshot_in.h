/* Inside snapshots: shared by snapshot.c (keeping and serving), snapshot_make.c, and snapshot_join.c with
 * snapshot_fetch.c. Nobody else includes it. */
#ifndef KITH_NODE_SNAPSHOT_IN_H
#define KITH_NODE_SNAPSHOT_IN_H

#include "chain/snapshot.h"
#include "node/consensus/snapshot.h"

#define CODEC_TYPE_ledger_base struct ledger_base
RECORD_AS_FIELD(ledger_base)

/* -- what peers say to each other -- */

#define SNAPSHOT_OFFER_FIELDS(F) F(u64, height) F(hash, root) F(u32, leaves) F(hash, table)
RECORD_DECLARE(snapshot_offer, SNAPSHOT_OFFER_FIELDS)
#define SNAPSHOT_OFFER_SIZE    76
#define SNAPSHOT_ASK_FIELDS(F) F(u64, height)
RECORD_DECLARE(snapshot_ask, SNAPSHOT_ASK_FIELDS)
/* depths empty: the sender does not have it. */
#define SNAPSHOT_TABLE_FIELDS(F) F(u64, height) F(blob, depths) F(blob, anchor)
RECORD_DECLARE(snapshot_table_answer, SNAPSHOT_TABLE_FIELDS)
#define SNAPSHOT_LEAF_ASK_FIELDS(F) F(u64, height) F(u32, leaf)
RECORD_DECLARE(snapshot_leaf_ask, SNAPSHOT_LEAF_ASK_FIELDS)
#define SNAPSHOT_LEAF_ANSWER_FIELDS(F) F(u64, height) F(u32, leaf) F(flag, has) F(hashes, siblings) F(blob, entries)
RECORD_DECLARE(snapshot_leaf_answer, SNAPSHOT_LEAF_ANSWER_FIELDS)
/* block empty: the sender does not have it. */
#define LIGHT_ANSWER_FIELDS(F) F(u64, height) F(blob, block)
RECORD_DECLARE(light_answer, LIGHT_ANSWER_FIELDS)

/* -- what is kept -- */

#define SNAPSHOT_SLOT_FIELDS(F) F(hash, hash) F(u64, offset) F(u32, size)
RECORD_DECLARE(snapshot_slot, SNAPSHOT_SLOT_FIELDS)
#define SNAPSHOT_SLOT_SIZE 44
/* slots: one a leaf. check: H[kith.file] of the rest. */
#define SNAPSHOT_INDEX_FIELDS(F) F(ledger_base, base) F(blob, depths) F(blob, slots) F(blob, anchor) F(hash, check)
RECORD_DECLARE(snapshot_index, SNAPSHOT_INDEX_FIELDS)

struct kept {
    struct snapshot_index index; /* borrows from raw */
    struct buf raw;
    struct snapshot_table table;
    struct hash *hashes;
    struct snapshot_tree *tree;
    struct host_file *file;
};

struct making;
struct joining;

struct snapshots {
    struct snapshots_options o;
    char *dir;
    struct kept kept[SNAPSHOT_KEPT]; /* newest first */
    unsigned kept_n;
    struct making *making;
    struct joining *joining;
};

/* snapshot.c */
void snapshot_path(const struct snapshots *s, const char *name, char path[4096]);
void snapshot_file(const struct snapshots *s, uint64_t height, const char *kind, char path[4096]);
struct hash snapshot_index_check(const struct snapshot_index *x);
/* Takes a snapshot that lies on disk whole into service; the oldest goes where there are too many. */
enum err snapshot_keep(struct snapshots *s, uint64_t height, struct note *note) MUST_USE;

/* snapshot_make.c */
struct making *making_new(struct snapshots *s);
void making_free(struct making *m);
void making_on_block(struct making *m, uint64_t height);
bool making_is_on(const struct making *m);

/* snapshot_join.c */
/* Rather than blocks, where peers are at that height. `are_gone`: they dropped the next one. */
bool snapshot_is_wanted(const struct snapshots_options *o, uint64_t height, uint64_t peer_height, bool are_gone);
struct joining *joining_new(struct snapshots *s);
void joining_free(struct joining *j);
void joining_status(const struct joining *j, struct snapshots_status *out);

#endif
