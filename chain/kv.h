/* The store behind the ledger: an ordered map of byte strings with atomic batches.
 *
 * Two implementations: LevelDB for the real thing, memory for tests and the simulator, where a write
 * can be made to fail and unsynced writes can be lost. A batch is applied as a whole or not at all;
 * once kv_write with `sync` returned ERR_OK, it and all before it survive a crash.
 *
 * One thread. The first byte of a key says whose it is, so that the ledger and the consensus can share
 * a store and a batch without knowing of each other.
 */
#ifndef KITH_CHAIN_KV_H
#define KITH_CHAIN_KV_H

#include "base/bytes.h"

#define KV_META      'm' /* ledger: genesis, head of the chain */
#define KV_STATE     's' /* ledger: records of the authenticated state, by their logical key */
#define KV_TX        'x' /* ledger: what became of a transaction, by its id */
#define KV_BLOCK     'b' /* consensus: blocks and their commits */
#define KV_CONSENSUS 'c' /* consensus: anything else */
#define KV_HISTORY   'h' /* node: what happened to each account (node/consensus/history.h) */

/* Puts and deletes in order; the last one to a key wins. {0} is empty. */
struct kv_batch {
    struct buf ops;
    uint32_t count;
};
void kv_batch_put(struct kv_batch *b, struct bytes key, struct bytes value);
void kv_batch_delete(struct kv_batch *b, struct bytes key);
/* Appends what `from` does. */
void kv_batch_append(struct kv_batch *b, const struct kv_batch *from);
void kv_batch_clear(struct kv_batch *b);
/* For implementations: the operations one by one. *at starts at 0; false at the end. A delete gives value.p NULL. */
bool kv_batch_next(const struct kv_batch *b, size_t *at, struct bytes *key, struct bytes *value);

/* False stops the scan. Key and value are borrowed for the call; the store must not be written in it. */
typedef bool (*kv_visit_fn)(void *arg, struct bytes key, struct bytes value);

/* A store as it was at one moment, walked while others write. */
struct kv_view;
struct kv_view_ops {
    bool (*next)(struct kv_view *v, struct bytes *key, struct bytes *value);
    enum err (*close)(struct kv_view *v);
};
struct kv_view {
    const struct kv_view_ops *ops;
};

struct kv;
struct kv_ops {
    enum err (*get)(struct kv *kv, struct bytes key, struct buf *value, struct note *note);
    enum err (*scan)(struct kv *kv, struct bytes prefix, struct bytes from, kv_visit_fn visit, void *arg,
                     struct note *note);
    enum err (*write)(struct kv *kv, const struct kv_batch *batch, bool sync, struct note *note);
    enum err (*room)(const struct kv *kv, size_t need, struct note *note);
    void (*close)(struct kv *kv);
    enum err (*view)(struct kv *kv, struct bytes prefix, struct kv_view **out, struct note *note); /* NULL: a copy */
};
struct kv {
    const struct kv_ops *ops;
};

/* Appends the value; ERR_NOT_FOUND leaves `value` as it was. */
enum err kv_get(struct kv *kv, struct bytes key, struct buf *value, struct note *note) MUST_USE;
/* Every key that starts with `prefix`, in the order of unsigned bytes. */
enum err kv_scan(struct kv *kv, struct bytes prefix, kv_visit_fn visit, void *arg, struct note *note) MUST_USE;
/* The same, from the first of them that is not before `from`, which starts with `prefix`. */
enum err kv_scan_from(struct kv *kv, struct bytes prefix, struct bytes from, kv_visit_fn visit, void *arg,
                      struct note *note) MUST_USE;
/* ERR_FULL when the disk is full: nothing of the batch is applied, and a later try may succeed. */
enum err kv_write(struct kv *kv, const struct kv_batch *batch, bool sync, struct note *note) MUST_USE;
/* ERR_FULL: a write of so many bytes would be refused now for want of room. */
enum err kv_room(const struct kv *kv, size_t need, struct note *note) MUST_USE;
void kv_close(struct kv *kv);
/* Every key that starts with `prefix`, as they are now, whatever is written later. One view of a store at a time; it is
 * closed before the store. */
enum err kv_view_open(struct kv *kv, struct bytes prefix, struct kv_view **out, struct note *note) MUST_USE;
/* In the order of keys, borrowed until the next call. False at the end, or when the store failed. */
bool kv_view_next(struct kv_view *v, struct bytes *key, struct bytes *value);
/* Anything but ERR_OK: it ended before its time. NULL is fine. */
enum err kv_view_close(struct kv_view *v) MUST_USE;

/* A directory, made if absent (its parent must exist). Held under LevelDB's own lock: a second opener gets ERR_BUSY. */
enum err kv_leveldb_open(const char *path, struct kv **out, struct note *note) MUST_USE;

struct kv *kv_mem_open(void);
/* The k-th write from now (1 is the next) and all after it fail with `e`; 0 ends that. */
void kv_mem_fail(struct kv *kv, uint64_t k, enum err e);
/* What a power cut does: every write after the last synced one is gone. */
void kv_mem_crash(struct kv *kv);
/* A copy of the content, with no faults set. */
struct kv *kv_mem_copy(const struct kv *kv);

#endif
