/* Data sets on this machine: a file is encrypted before it enters the store, and the ledger gets two roots. Whoever has
 * the key and the hashes of the plain leaves can tell of every leaf whether the key opens it to what was promised.
 *
 *     key         32 random bytes
 *     leaf i      cipher bytes = plain bytes XOR XChaCha20(key, nonce i), so leaf stands against leaf
 *     plain leaf  H[kith.data](salt_i | bytes), salt_i = H[kith.data keyed with key](i): a guess at a
 *                 leaf's content cannot be checked without the key
 *     roots       base/merkle.h over those hashes; the cipher's is that of the stored blob
 *
 * Under HOME/data, beside the blobs and named by the plain root:
 *
 *     ROOT.key    the key (0600), of sets that are ours or were bought; it never leaves but sealed to a buyer's
 *     ROOT.plain  the hashes of the plain leaves, one behind the other; anybody may have them
 *     ROOT.adding the cipher root, while the two above are written and their blob is not in the store
 */
#ifndef KITH_NODE_DATA_H
#define KITH_NODE_DATA_H

#include "base/key.h"
#include "node/blobs/blobs.h"

#define DATA_KEY_SIZE 32

struct data_facts {
    struct hash cipher_root, plain_root;
    uint64_t size;
};
struct rec_data;
struct data_facts data_facts_of(const struct rec_data *d);
typedef void (*data_done_fn)(void *arg, enum err e, const struct data_facts *f, const struct note *note);
/* Encrypts a file into the store, under a new key. What fails leaves nothing. On a thread; `done` on the loop, never
 * within the call. */
void data_add(struct host *host, struct blobs *blobs, const char *home, const char *path, data_done_fn done, void *arg);
/* At the start: what processes left that ended while they encrypted. */
void data_clean(const char *home);

/* ERR_NOT_FOUND: it is not here. */
enum err data_key_read(const char *home, const struct hash *plain_root, uint8_t key[DATA_KEY_SIZE],
                       struct note *note) MUST_USE;
bool data_has_key(const char *home, const struct hash *plain_root); /* without a look at it */
enum err data_key_write(const char *home, const struct hash *plain_root, const uint8_t key[DATA_KEY_SIZE],
                        struct note *note) MUST_USE;

/* Of merkle_leaves(f->size) hashes, which the caller frees. ERR_NOT_FOUND: they are not here; ERR_MISMATCH: they are
 * not those of the plain root. */
enum err data_plain_read(const char *home, const struct data_facts *f, struct hash **leaves,
                         struct note *note) MUST_USE;
enum err data_plain_write(const char *home, const struct data_facts *f, const struct hash *leaves,
                          struct note *note) MUST_USE;
char *data_plain_path(const char *home, const struct hash *plain_root); /* the caller's to free */

/* Opens every leaf of a set whose blob is whole and whose hashes are here. */
struct data_opening {
    struct data_facts facts;
    uint8_t key[DATA_KEY_SIZE];
    const char *to;       /* a new file for the plain bytes, which is there once it is whole; NULL: only compares */
    bool proves;          /* a leaf that does not open is to be proven: */
    struct hash grant;    /* for this grant, */
    struct seckey secret; /* with its one-time secret */
};
struct data_opened {
    bool fits;
    uint64_t leaf;      /* else the first that does not open */
    struct buf dispute; /* and the body of a tx_data_dispute, where one was asked for */
};
typedef void (*data_opened_fn)(void *arg, enum err e, const struct data_opened *o, const struct note *note);
/* On a thread; o is copied, with `to`. ERR_CORRUPT: the stored blob has other bytes than its root says. A key that does
 * not fit is ERR_OK where nothing was to be written, else ERR_MISMATCH. */
void data_open(struct host *host, struct blobs *blobs, const char *home, const struct data_opening *o,
               data_opened_fn done, void *arg);

#endif
