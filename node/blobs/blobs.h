/* The node's store of blobs (models, data) by Merkle root, under HOME/models and HOME/data, and what the
 * network sees of it: it serves the leaves of whole blobs and pulls blobs from whoever has them.
 *
 *     ROOT.blob      the bytes, mode 0400, complete and checked
 *     ROOT.leaves    size, stamp (size, time, inode of the .blob) and every leaf's hash
 *     ROOT.part      bytes of a blob that is being pulled
 *     ROOT.have      size and the hashes of the leaves that came; a leaf whose bytes do not hash to its
 *                    entry after a restart is asked for again
 *
 * Invariant: what is named .blob had its root checked before it got that name.
 */
#ifndef KITH_NODE_BLOBS_H
#define KITH_NODE_BLOBS_H

#include "base/merkle.h"
#include "node/net/peers.h"

struct blobs;

enum blob_kind { BLOB_MODEL, BLOB_DATA, BLOB_KIND_COUNT };

struct blobs_info {
    struct hash root;
    enum blob_kind kind;
    uint64_t size; /* 0 while a pull does not know it yet */
    uint64_t leaves, leaves_have;
    bool whole;
    bool pulling;
    unsigned sources;      /* peers that a pull takes leaves from, or would */
    bool waits;            /* for a place: others are pulled */
    unsigned asked;        /* peers that were asked last who has it */
    uint64_t asked_ago_ms; /* when */
};

/* Makes the two directories under `home`, drops what does not match its stamp or root (an `odd` line). */
enum err blobs_open(struct host *host, struct peers *peers, const char *home, struct blobs **out,
                    struct note *note) MUST_USE;
void blobs_close(struct blobs *b);

/* A whole blob was found to have other bytes than its root says: it is none any more until it is fetched. What was made
 * of it (a worker, packed weights) is not to be used. */
typedef void (*blobs_damage_fn)(void *arg, const struct hash *root);
void blobs_on_damage(struct blobs *b, blobs_damage_fn fn, void *arg);

/* Reads and hashes every leaf of a whole blob again. fn is called now and again with the bytes done, and once at the
 * end, whatever becomes of the blob (not when the store is closed); ERR_CORRUPT names the leaf, in the note. */
typedef void (*blobs_verify_fn)(void *arg, bool is_end, enum err e, uint64_t done, uint64_t total,
                                const struct note *note);
enum err blobs_verify(struct blobs *b, const struct hash *root, blobs_verify_fn fn, void *arg,
                      struct note *note) MUST_USE;

/* e is ERR_OK when the blob is whole; otherwise the note says why. On the loop, never within the call. */
typedef void (*blobs_done_fn)(void *arg, enum err e, const struct hash *root, const struct note *note);

/* Copies (or reflinks) a file into the store and hashes it, on a thread. A blob that is there already is
 * ERR_OK too. The file at `path` is not kept open. */
void blobs_import(struct blobs *b, enum blob_kind kind, const char *path, blobs_done_fn done, void *arg);
/* Fetches by root from connected peers, and from peers that connect later, until it is whole or cancelled, or nobody
 * gave any of it for BLOB_NOBODY_MS (ERR_NOT_FOUND; one that nobody waits for goes on). A second pull of the same root
 * waits for the same fetch. ERR_BUSY: BLOB_WANTED_MAX are wanted. */
void blobs_pull(struct blobs *b, enum blob_kind kind, const struct hash *root, blobs_done_fn done, void *arg);
/* The same for the first `leaves` only (all of a smaller blob): a model's metadata and vocabulary. When a pull of the
 * whole runs already, done waits for that. */
void blobs_pull_head(struct blobs *b, enum blob_kind kind, const struct hash *root, uint64_t leaves, blobs_done_fn done,
                     void *arg);
/* A read-only descriptor of what is here, with at least the first leaf checked; behind the leaves that are here it
 * reads as anything. Of a whole blob, as blobs_fd. ERR_NOT_FOUND: not even that. */
enum err blobs_head_fd(const struct blobs *b, const struct hash *root, int *fd, struct note *note) MUST_USE;
/* Ends a pull (done gets ERR_CANCELLED); what came so far stays for the next one. */
void blobs_pull_cancel(struct blobs *b, const struct hash *root);

/* One who waits for a pull (with this fn and arg) does so no more, and is not told. The pull ends if that was the last.
 */
void blobs_pull_leave(struct blobs *b, const struct hash *root, blobs_done_fn done, void *arg);
/* Instead of BLOB_NOBODY_MS. */
void blobs_set_nobody_ms(struct blobs *b, uint64_t ms);

/* False if nothing of it is here. */
bool blobs_find(const struct blobs *b, const struct hash *root, struct blobs_info *out) MUST_USE;
typedef void (*blobs_info_fn)(void *arg, const struct blobs_info *info);
void blobs_list(const struct blobs *b, blobs_info_fn fn, void *arg);
/* A read-only descriptor of a whole blob, for a worker; the caller closes it. */
enum err blobs_fd(const struct blobs *b, const struct hash *root, int *fd, struct note *note) MUST_USE;
/* Path of a whole blob, borrowed until it is removed; NULL if it is not whole. */
const char *blobs_path(const struct blobs *b, const struct hash *root);
/* Takes it off the disk; open descriptors keep their bytes. */
enum err blobs_remove(struct blobs *b, const struct hash *root, struct note *note) MUST_USE;

#endif
