/* Fetching a blob by its Merkle root from several peers at once, and answering for one that is here. Pure:
 * sources and leaves go in, questions come out; the owner stores the bytes.
 *
 *     a leaf:  MISSING --blob_fetch_next--> ASKED --blob_fetch_step--> HERE
 *                 ^----- timeout, corrupt, source gone -----'
 *
 * Every leaf is verified against the root when it comes. The first one that fits also proves the size; until
 * then each source is asked for leaf 0 alone, under the size that it claims. A source that sends a leaf
 * which does not fit is out at once; one that leaves BLOB_STRIKES_MAX questions unanswered, too.
 *
 * Invariant: a leaf is ASKED if and only if exactly one source has it among its questions.
 */
#ifndef KITH_P2P_BLOB_H
#define KITH_P2P_BLOB_H

#include "base/merkle.h"
#include "p2p/msg.h"

struct blob_fetch;

struct blob_fetch *blob_fetch_new(const struct hash *root);
void blob_fetch_free(struct blob_fetch *f);

/* A size that was proven before, and leaves that are here already. */
void blob_fetch_set_size(struct blob_fetch *f, uint64_t size);
void blob_fetch_set_here(struct blob_fetch *f, uint64_t index);
/* A leaf that came could not be stored, or was lost: it is missing again. */
void blob_fetch_set_missing(struct blob_fetch *f, uint64_t index);

/* Only the first `leaves` are wanted: no others are asked for. UINT64_MAX: all (so it is at the start). */
void blob_fetch_set_limit(struct blob_fetch *f, uint64_t leaves);
/* How many leaves from the first on are here without a gap. */
uint64_t blob_fetch_front(const struct blob_fetch *f);

/* A peer says that it has the blob. ERR_MISMATCH: its size cannot be; ERR_FULL: enough sources; ERR_DUPLICATE. */
enum err blob_fetch_add(struct blob_fetch *f, const struct pubkey *source, uint64_t size) MUST_USE;
void blob_fetch_remove(struct blob_fetch *f, const struct pubkey *source);
unsigned blob_fetch_sources(const struct blob_fetch *f);

struct blob_ask {
    struct pubkey source;
    uint64_t index;
};
/* The next question to send; false when all that may be asked now is asked. */
bool blob_fetch_next(struct blob_fetch *f, uint64_t now_ms, struct blob_ask *out);
/* An answer. ERR_OK: it fits and was missing: store it. ERR_DUPLICATE: fits, was here. ERR_NOT_FOUND: the source does
 * not have it and was removed. ERR_CORRUPT, ERR_PROTOCOL (not asked): removed, and deserves worse. */
enum err blob_fetch_step(struct blob_fetch *f, const struct pubkey *source, const struct leaf *m) MUST_USE;
/* Gives up questions that are too old. */
void blob_fetch_tick(struct blob_fetch *f, uint64_t now_ms);
/* When to call that; UINT64_MAX if nothing is asked. */
uint64_t blob_fetch_timeout_ms(const struct blob_fetch *f);

bool blob_fetch_is_done(const struct blob_fetch *f);
/* False while no leaf has proven it. */
bool blob_fetch_size(const struct blob_fetch *f, uint64_t *size);
uint64_t blob_fetch_here(const struct blob_fetch *f);

/* Reads n bytes of the blob at an offset; false if it cannot. */
typedef bool (*blob_read_fn)(void *arg, uint64_t at, void *p, size_t n);
/* Appends the body of the LEAF that answers; with `tree` NULL, or an index or a read that fails, the one that
 * says that it is not here. */
void blob_answer(const struct merkle_tree *tree, blob_read_fn read, void *arg, const struct leaf_get *ask,
                 struct buf *out);

#endif
