/* Encrypting a data set into the store. */
#include "node/data.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/secret.h"
#include "chain/market_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct adding {
    struct host *host;
    struct blobs *blobs;
    char *home, *path, *beside;
    data_done_fn done;
    void *arg;
    struct data_facts facts;
    uint8_t key[32];
    enum err e;
    struct note note;
};

static void finish(struct adding *a)
{
    a->done(a->arg, a->e, &a->facts, &a->note);
    if (a->beside)
        unlink(a->beside);
    secret_wipe(a->key, sizeof a->key);
    free(a->home);
    free(a->path);
    free(a->beside);
    free(a);
}

static enum err write_cipher(struct adding *a, struct bytes plain, struct hash *leaves)
{
    uint8_t *piece = mem_new(LEAF_SIZE);
    FILE *f = fopen(a->beside, "wbx");
    enum err e = f ? ERR_OK : note_set(&a->note, ERR_IO, "cannot write %s", a->beside);
    for (uint64_t i = 0; e == ERR_OK && i < merkle_leaves(plain.n); i++) {
        uint32_t n = merkle_leaf_size(plain.n, i);
        const uint8_t *p = plain.p + i * LEAF_SIZE;
        leaves[i] = data_leaf_hash(a->key, i, p, n);
        seal_stream(piece, a->key, i, p, n);
        if (fwrite(piece, 1, n, f) != n)
            e = note_set(&a->note, ERR_FULL, "cannot write %s: is the disk full? Make room on it", a->beside);
    }
    if (f && fclose(f) != 0 && e == ERR_OK)
        e = note_set(&a->note, ERR_FULL, "cannot write %s: is the disk full? Make room on it", a->beside);
    free(piece);
    return e;
}

static enum err keep_key(struct adding *a)
{
    char hex[65], path[4096];
    hex_put(hex, a->facts.plain_root.b, sizeof a->facts.plain_root.b);
    snprintf(path, sizeof path, "%s/data/%s.key", a->home, hex);
    return file_write(path, 0600, bytes_of(a->key, sizeof a->key), &a->note);
}

static void work(void *arg)
{
    struct adding *a = arg;
    struct bytes plain;
    a->e = file_map(a->path, &plain, &a->note);
    if (a->e != ERR_OK)
        return;
    if (plain.n == 0)
        a->e = note_set(&a->note, ERR_FORMAT, "%s is empty", a->path);
    if (a->e == ERR_OK && plain.n > BLOB_SIZE_MAX)
        a->e = note_set(&a->note, ERR_LIMIT, "%s is larger than a blob may be", a->path);
    if (a->e == ERR_OK) {
        uint64_t n = merkle_leaves(plain.n);
        struct hash *leaves = mem_array(n, sizeof *leaves);
        a->e = write_cipher(a, plain, leaves);
        if (a->e == ERR_OK) {
            struct merkle_tree *tree = merkle_tree_new(leaves, n, plain.n);
            a->facts.plain_root = merkle_tree_root(tree);
            a->facts.size = plain.n;
            merkle_tree_free(tree);
            a->e = keep_key(a);
        }
        free(leaves);
    }
    file_unmap(plain);
}

static void on_imported(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct adding *a = arg;
    a->e = e;
    if (e == ERR_OK)
        a->facts.cipher_root = *root;
    else
        a->note = *note;
    finish(a);
}

static void on_worked(void *arg)
{
    struct adding *a = arg;
    if (a->e != ERR_OK)
        finish(a);
    else
        blobs_import(a->blobs, BLOB_DATA, a->beside, on_imported, a);
}

void data_add(struct host *host, struct blobs *blobs, const char *home, const char *path, data_done_fn done, void *arg)
{
    struct adding *a = mem_new(sizeof *a);
    struct buf beside = {0};
    uint64_t number;
    *a = (struct adding){
        .host = host, .blobs = blobs, .home = mem_string(home), .path = mem_string(path), .done = done, .arg = arg};
    host_random(host, a->key, sizeof a->key);
    host_random(host, &number, sizeof number);
    buf_add_format(&beside, "%s/data/adding-%016llx", home, (unsigned long long)number);
    a->beside = mem_string(buf_text(&beside));
    buf_clear(&beside);
    host_submit(host, work, on_worked, a);
}
