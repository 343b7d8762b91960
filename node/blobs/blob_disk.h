/* How blobs lie on the disk: names, the file of leaf hashes, copying in. Used by node/blobs/blobs.c alone.
 *
 * ROOT.leaves and ROOT.have are one format: a header of 32 bytes (magic, size, time and inode of the .blob;
 * little-endian u64 each), then a hash per leaf, zero where the leaf has not come.
 */
#ifndef KITH_NODE_BLOB_DISK_H
#define KITH_NODE_BLOB_DISK_H

#include "base/merkle.h"
#include "node/host/host.h"

#define BLOB_HEAD_SIZE 32

struct blob_head {
    uint64_t size, time_ns, inode; /* the last two 0 for a .have */
};
void blob_head_put(uint8_t out[BLOB_HEAD_SIZE], const struct blob_head *h);
/* False if it is none, or its size is over the limit. */
bool blob_head_get(const uint8_t in[BLOB_HEAD_SIZE], struct blob_head *h) MUST_USE;

/* Reads head and hashes; *leaves (merkle_leaves(size) of them, at least room for one) is the caller's to free. A short
 * file reads as if zero hashes followed. */
enum err blob_leaves_read(struct host *host, const char *path, struct blob_head *h, struct hash **leaves,
                          struct note *note) MUST_USE;
enum err blob_leaves_write(struct host *host, const char *path, const struct blob_head *h, const struct hash *leaves,
                           struct note *note) MUST_USE;

/* Time and inode that a finished file has now. */
enum err blob_stamp(const char *path, struct blob_head *h, struct note *note) MUST_USE;
/* Nobody writes to it any more: mode 0400. */
enum err blob_seal(const char *path, struct note *note) MUST_USE;
/* It is a part again, and to be written: mode 0600. */
enum err blob_unseal(const char *path, struct note *note) MUST_USE;

/* Copies `from` to `to` (a reflink where the file system can), synced and sealed, and hashes what is in `to`, which
 * nobody else can change. May run on any thread. The caller frees *leaves. */
enum err blob_copy(const char *from, const char *to, uint64_t *size, struct hash **leaves, struct note *note) MUST_USE;

#endif
