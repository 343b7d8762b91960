/* The authenticated state: a map from keys to values whose root hash depends on the content alone, not on
 * the order in which it came to be.
 *
 * Each key is hashed to 256 bits, path = H[kith.statekey](key), and the entries stand in a binary tree by those bits:
 *
 *     no entry        0
 *     one entry       H[kith.stateleaf](path | value)
 *     more            H[kith.state](hash of those whose next bit is 0 | hash of those whose next bit is 1)
 *
 * So an entry stands at the shortest prefix of its path that it shares with no other: about log2 n deep. A proof is the
 * siblings along the path; absence is shown by the empty place, or the other entry, found there.
 *
 * All of it is in memory. Changes are kept in a journal until they are settled, so a transaction or a whole block is
 * undone exactly; hashing happens once, in tree_root, over what changed. Chosen classes of keys (by first byte)
 * are also kept in order, for walks.
 */
#ifndef KITH_CHAIN_TREE_H
#define KITH_CHAIN_TREE_H

#include "base/codec.h"
#include "chain/parallel.h"

struct tree;

/* Key and value together of at most so many bytes lie within the entry. */
#define TREE_SMALL_MAX 50

/* Keys whose first byte is in `listed` can be walked. */
struct tree *tree_new(const char *listed);
void tree_free(struct tree *t);
/* How tree_root shares its work; without this call it does all of it itself. */
void tree_set_parallel(struct tree *t, const struct parallel *p);
uint64_t tree_count(const struct tree *t);

/* The value, borrowed; p is NULL where there is none. A small one (TREE_SMALL_MAX) holds until its key's next
 * change, a larger one until that change is settled or undone. Keys have at most 255 bytes. */
struct bytes tree_get(const struct tree *t, struct bytes key);
void tree_put(struct tree *t, struct bytes key, struct bytes value);
void tree_remove(struct tree *t, struct bytes key);
struct tree_spot {
    struct hash path;
    uint32_t leaf;
};
/* For what will be needed soon, from any thread while nobody changes the tree: tree_paths hashes keys, tree_near asks
 * for the memory around a path, tree_warm brings the entry near and says where it stands; tree_prime, on the owner's
 * thread, saves hashing and searching again. A spot that is out of date, or zero in `leaf`, costs a search. */
#define TREE_PATHS_MAX 64u
void tree_paths(const struct bytes *keys, uint32_t n, struct hash *out);
void tree_near(const struct tree *t, const struct hash *path);
struct tree_spot tree_warm(const struct tree *t, const struct hash *path);
void tree_prime(struct tree *t, struct bytes key, const struct tree_spot *spot);
/* Asks for the entry's memory. */
void tree_fetch(const struct tree *t, const struct tree_spot *spot);
/* For filling a tree: no journal, and no other call until tree_load_end. Entries go in some at a time; false if a key
 * of those was there, which is then left out. */
bool tree_load(struct tree *t, struct bytes key, struct bytes value) MUST_USE;
bool tree_load_end(struct tree *t) MUST_USE;
/* The first listed key behind `after` that starts with `prefix` (after.p NULL: the first of all). Borrowed like values.
 */
bool tree_next(const struct tree *t, struct bytes prefix, struct bytes after, struct bytes *key, struct bytes *value);
/* The first entry, of any class, whose path is behind `after` (NULL: the first of all); *path may be *after. */
bool tree_next_path(const struct tree *t, const struct hash *after, struct hash *path, struct bytes *key,
                    struct bytes *value);

/* Hashes what changed. */
struct hash tree_root(struct tree *t);

/* The journal: how long it is, back to a length, and its end. */
size_t tree_mark(const struct tree *t);
void tree_undo(struct tree *t, size_t mark);
void tree_settle(struct tree *t);
/* Every key that changed since the last settle, with what it has now (value.p NULL: removed). A key that was removed in
 * between may come more than once. */
typedef void (*tree_change_fn)(void *arg, struct bytes key, struct bytes value);
void tree_changes(struct tree *t, tree_change_fn visit, void *arg);

/* Appends a proof about this key, present or not. Root must be hashed (tree_root) since the last change. */
void tree_prove(const struct tree *t, struct bytes key, struct buf *proof);
/* True if under `root` the key has this value, or, with value.p NULL, none. Total over hostile input. */
bool tree_verify(const struct hash *root, struct bytes key, struct bytes value, struct bytes proof) MUST_USE;

#endif
