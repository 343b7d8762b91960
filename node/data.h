/* Data contributions: a file is encrypted before it enters the store, and the ledger gets two roots.
 *
 *     key         32 random bytes, in HOME/data/PLAIN_ROOT.key (0600), never anywhere else
 *     leaf i      cipher bytes = plain bytes XOR XChaCha20(key, nonce i), so leaf stands against leaf
 *     plain leaf  H[kith.data](salt_i | bytes), salt_i = H[kith.data keyed with key](i): a guess at a
 *                 leaf's content cannot be checked without the key
 *     roots       base/merkle.h over those hashes; the cipher's is that of the stored blob
 */
#ifndef KITH_NODE_DATA_H
#define KITH_NODE_DATA_H

#include "node/blobs.h"

struct data_facts {
    struct hash cipher_root, plain_root;
    uint64_t size;
};
typedef void (*data_done_fn)(void *arg, enum err e, const struct data_facts *f, const struct note *note);
/* On a thread; `done` on the loop, never within the call. */
void data_add(struct host *host, struct blobs *blobs, const char *home, const char *path, data_done_fn done, void *arg);

#endif
