/* Leaves are hashed by whichever thread comes to them, in stretches; the tree above them is small. */
#include "base/merkle_file.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRETCH 32u /* leaves read at once: 1 MiB */

struct hashing {
    int fd;
    uint64_t size, leaves;
    struct hash *leaf;
    _Atomic uint64_t next;
    atomic_int error; /* errno of the first read that failed */
};

static bool read_all(int fd, uint8_t *p, size_t n, uint64_t at)
{
    while (n) {
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO; /* shorter than it was */
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

static void *work(void *arg)
{
    struct hashing *h = arg;
    uint8_t *room = mem_new((size_t)STRETCH * LEAF_SIZE);
    for (;;) {
        uint64_t first = atomic_fetch_add(&h->next, STRETCH);
        if (first >= h->leaves || atomic_load(&h->error))
            break;
        uint64_t at = first * LEAF_SIZE, left = h->size - at, most = (uint64_t)STRETCH * LEAF_SIZE;
        if (!read_all(h->fd, room, (size_t)(left < most ? left : most), at)) {
            atomic_store(&h->error, errno);
            break;
        }
        for (uint64_t i = first; i < h->leaves && i < first + STRETCH; i++)
            h->leaf[i] = merkle_leaf_hash(room + (i - first) * LEAF_SIZE, merkle_leaf_size(h->size, i));
    }
    free(room);
    return NULL;
}

enum err merkle_root_of_file(int fd, unsigned threads, struct hash *root, struct note *note)
{
    pthread_t id[THREADS_MAX];
    unsigned n = 1;
    struct stat st;
    CHECK(threads >= 1 && threads <= THREADS_MAX);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
        return note_set(note, ERR_IO, "the file cannot be examined");
    if ((uint64_t)st.st_size > BLOB_SIZE_MAX)
        return note_set(note, ERR_LIMIT, "the file is over the most of %llu GiB",
                        (unsigned long long)(BLOB_SIZE_MAX >> 30));
    struct hashing h = {.fd = fd, .size = (uint64_t)st.st_size, .leaves = merkle_leaves((uint64_t)st.st_size)};
    h.leaf = mem_array(h.leaves ? h.leaves : 1, sizeof *h.leaf);
    while (n < threads && pthread_create(&id[n], NULL, work, &h) == 0)
        n++;
    work(&h);
    for (unsigned i = 1; i < n; i++)
        pthread_join(id[i], NULL);
    int error = atomic_load(&h.error);
    if (!error) {
        struct merkle_tree *tree = merkle_tree_new(h.leaf, h.leaves, h.size);
        *root = merkle_tree_root(tree);
        merkle_tree_free(tree);
    }
    free(h.leaf);
    return error ? note_set(note, ERR_IO, "the file cannot be read: %s", strerror(error)) : ERR_OK;
}
