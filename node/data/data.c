/* Encrypting a data set into the store, its two files beside the blob, and opening it again. */
#include "node/data/data.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/secret.h"
#include "chain/market_records.h"
#include "chain/records.h"
#include "chain/tx.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct data_facts data_facts_of(const struct rec_data *d)
{
    return (struct data_facts){.cipher_root = d->cipher_root, .plain_root = d->plain_root, .size = d->size};
}

/* -- files beside the blob -- */

static char *path_of(const char *home, const struct hash *plain_root, const char *ending)
{
    char hex[65];
    struct buf b = {0};
    hex_put(hex, plain_root->b, sizeof plain_root->b);
    buf_add_format(&b, "%s/data/%s.%s", home, hex, ending);
    char *path = mem_string(buf_text(&b));
    buf_clear(&b);
    return path;
}

char *data_plain_path(const char *home, const struct hash *plain_root)
{
    return path_of(home, plain_root, "plain");
}

enum err data_key_read(const char *home, const struct hash *plain_root, uint8_t key[DATA_KEY_SIZE], struct note *note)
{
    struct buf raw = {0};
    char *path = path_of(home, plain_root, "key");
    enum err e = file_read(path, DATA_KEY_SIZE, &raw, note);
    if (e == ERR_OK && raw.n != DATA_KEY_SIZE)
        e = note_set(note, ERR_CORRUPT, "%s has %zu bytes, a key has %d: put back a copy of it", path, raw.n,
                     DATA_KEY_SIZE);
    if (e == ERR_OK)
        memcpy(key, raw.p, DATA_KEY_SIZE);
    if (raw.p)
        secret_wipe(raw.p, raw.n);
    buf_clear(&raw);
    free(path);
    return e;
}

bool data_has_key(const char *home, const struct hash *plain_root)
{
    struct stat st;
    char *path = path_of(home, plain_root, "key");
    bool has = stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == DATA_KEY_SIZE;
    free(path);
    return has;
}

enum err data_key_write(const char *home, const struct hash *plain_root, const uint8_t key[DATA_KEY_SIZE],
                        struct note *note)
{
    char *path = path_of(home, plain_root, "key");
    enum err e = file_write(path, 0600, bytes_of(key, DATA_KEY_SIZE), note);
    free(path);
    return e;
}

static bool are_of(const struct data_facts *f, const struct hash *leaves)
{
    struct merkle_tree *tree = merkle_tree_new(leaves, merkle_leaves(f->size), f->size);
    struct hash root = merkle_tree_root(tree);
    merkle_tree_free(tree);
    return hash_equal(&root, &f->plain_root);
}

enum err data_plain_read(const char *home, const struct data_facts *f, struct hash **leaves, struct note *note)
{
    const uint64_t n = merkle_leaves(f->size);
    struct buf raw = {0};
    char *path = data_plain_path(home, &f->plain_root);
    enum err e = file_read(path, n * sizeof **leaves, &raw, note);
    if (e == ERR_OK) {
        *leaves = mem_array(n, sizeof **leaves);
        if (raw.n == n * sizeof **leaves)
            memcpy(*leaves, raw.p, raw.n);
        if (raw.n != n * sizeof **leaves || !are_of(f, *leaves)) {
            free(*leaves);
            e = note_set(note, ERR_MISMATCH,
                         "%s is not what the ledger's root says: remove it, and fetch the data again", path);
        }
    }
    buf_clear(&raw);
    free(path);
    return e;
}

enum err data_plain_write(const char *home, const struct data_facts *f, const struct hash *leaves, struct note *note)
{
    if (!are_of(f, leaves))
        return note_set(note, ERR_MISMATCH, "these are not the hashes of the plain data");
    char *path = data_plain_path(home, &f->plain_root);
    enum err e = file_write(path, 0600, bytes_of(leaves, merkle_leaves(f->size) * sizeof *leaves), note);
    free(path);
    return e;
}

/* -- adding -- */

struct adding {
    struct host *host;
    struct blobs *blobs;
    bool is_new; /* files beside the blob were begun */
    char *home, *path, *beside;
    data_done_fn done;
    void *arg;
    struct data_facts facts;
    uint8_t key[DATA_KEY_SIZE];
    enum err e;
    struct note note;
};

static void remove_one(const char *home, const struct hash *plain_root, const char *ending)
{
    char *path = path_of(home, plain_root, ending);
    unlink(path);
    free(path);
}

static void remove_beside(const char *home, const struct hash *plain_root)
{
    remove_one(home, plain_root, "plain");
    remove_one(home, plain_root, "key");
}

/* Synced: one that came back after a power cut would speak of a set that is long registered. */
static void journal_remove(const char *home, const struct hash *plain_root)
{
    char *path = path_of(home, plain_root, "adding");
    struct note note;
    if (unlink(path) == 0 && file_sync_parent(path, &note) != ERR_OK)
        log_event(LOG_ODD, "data", "not synced", "why=%s", note.text);
    free(path);
}

static void finish(struct adding *a)
{
    if (a->e != ERR_OK && a->is_new) /* a key that nobody else has, of bytes that are nowhere */
        remove_beside(a->home, &a->facts.plain_root);
    if (a->is_new)
        journal_remove(a->home, &a->facts.plain_root);
    a->done(a->arg, a->e, &a->facts, &a->note);
    if (a->beside)
        unlink(a->beside);
    secret_wipe(a->key, sizeof a->key);
    free(a->home);
    free(a->path);
    free(a->beside);
    free(a);
}

/* Each piece is read once, into memory of our own: others may change or shorten the file meanwhile. */
static enum err write_cipher(struct adding *a, int fd, uint64_t size, struct hash *leaves, struct hash *sealed)
{
    uint8_t *plain = mem_new(LEAF_SIZE), *piece = mem_new(LEAF_SIZE);
    FILE *f = fopen(a->beside, "wbx");
    enum err e = f ? ERR_OK : file_failed(&a->note, "write", a->beside);
    for (uint64_t i = 0; e == ERR_OK && i < merkle_leaves(size); i++) {
        uint32_t n = merkle_leaf_size(size, i);
        e = file_read_at(fd, a->path, plain, n, i * LEAF_SIZE, &a->note);
        if (e != ERR_OK)
            break;
        leaves[i] = data_leaf_hash(a->key, i, plain, n);
        seal_stream(piece, a->key, i, plain, n);
        sealed[i] = merkle_leaf_hash(piece, n);
        if (fwrite(piece, 1, n, f) != n)
            e = file_failed(&a->note, "write", a->beside);
    }
    if (f && fclose(f) != 0 && e == ERR_OK)
        e = file_failed(&a->note, "write", a->beside);
    free(plain);
    free(piece);
    return e;
}

static struct hash root_of(const struct hash *leaves, uint64_t size)
{
    struct merkle_tree *tree = merkle_tree_new(leaves, merkle_leaves(size), size);
    struct hash root = merkle_tree_root(tree);
    merkle_tree_free(tree);
    return root;
}

/* Says whose key and hashes come next, for data_clean. */
static enum err journal_write(struct adding *a)
{
    char *path = path_of(a->home, &a->facts.plain_root, "adding");
    enum err e = file_write(path, 0600, bytes_of(a->facts.cipher_root.b, HASH_SIZE), &a->note);
    free(path);
    return e;
}

static enum err add_file(struct adding *a, int fd, uint64_t size)
{
    uint64_t n = merkle_leaves(size);
    struct hash *leaves = mem_array(n, sizeof *leaves), *sealed = mem_array(n, sizeof *sealed);
    enum err e = write_cipher(a, fd, size, leaves, sealed);
    if (e == ERR_OK) {
        a->facts = (struct data_facts){root_of(sealed, size), root_of(leaves, size), size};
        a->is_new = true;
        e = journal_write(a);
    }
    free(sealed);
    if (e == ERR_OK)
        e = data_key_write(a->home, &a->facts.plain_root, a->key, &a->note);
    if (e == ERR_OK)
        e = data_plain_write(a->home, &a->facts, leaves, &a->note);
    free(leaves);
    return e;
}

static void work(void *arg)
{
    struct adding *a = arg;
    int fd;
    uint64_t size;
    a->e = file_open_regular(a->path, &fd, &size, &a->note);
    if (a->e != ERR_OK)
        return;
    if (size == 0)
        a->e = note_set(&a->note, ERR_FORMAT, "%s is empty", a->path);
    else if (size > BLOB_SIZE_MAX)
        a->e = note_set(&a->note, ERR_LIMIT, "%s is larger than a blob may be", a->path);
    else
        a->e = add_file(a, fd, size);
    close(fd);
}

static void on_imported(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct adding *a = arg;
    a->e = e;
    if (e != ERR_OK)
        a->note = *note;
    else if (!hash_equal(root, &a->facts.cipher_root))
        a->e = note_set(&a->note, ERR_CORRUPT, "the disk gave back other bytes than were written: add it again");
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

/* -- what a process left that ended meanwhile -- */

static bool is_there(const char *home, const struct hash *root, const char *ending)
{
    char *path = path_of(home, root, ending);
    bool there = access(path, F_OK) == 0 || errno != ENOENT;
    free(path);
    return there;
}

/* ROOT.adding: key and hashes go only where nothing is of the blob that they are of, for sure. */
static void clean_one(const char *home, const char *name)
{
    struct hash plain_root, cipher_root;
    struct buf raw = {0}, path = {0};
    char hex[2 * HASH_SIZE + 1] = {0};
    memcpy(hex, name, 2 * HASH_SIZE);
    if (!hex_get(hex, plain_root.b, HASH_SIZE))
        return;
    buf_add_format(&path, "%s/data/%s", home, name);
    if (file_read(buf_text(&path), HASH_SIZE, &raw, NULL) == ERR_OK && raw.n == HASH_SIZE) {
        memcpy(cipher_root.b, raw.p, HASH_SIZE);
        if (!is_there(home, &cipher_root, "blob") && !is_there(home, &cipher_root, "part"))
            remove_beside(home, &plain_root);
        journal_remove(home, &plain_root);
    }
    buf_clear(&raw);
    buf_clear(&path);
}

static bool is_journal(const char *name)
{
    return strlen(name) == 2 * HASH_SIZE + 7 && strcmp(name + 2 * HASH_SIZE, ".adding") == 0;
}

void data_clean(const char *home)
{
    struct buf path = {0};
    buf_add_format(&path, "%s/data", home);
    DIR *d = opendir(buf_text(&path));
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        if (is_journal(entry->d_name))
            clean_one(home, entry->d_name);
        if (strncmp(entry->d_name, "adding-", 7) != 0)
            continue;
        buf_reset(&path);
        buf_add_format(&path, "%s/data/%s", home, entry->d_name);
        unlink(buf_text(&path));
    }
    if (d)
        closedir(d);
    buf_clear(&path);
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

/* -- opening -- */

struct opening {
    struct data_opening o;
    char *home, *cipher_path, *to, *beside;
    data_opened_fn done;
    void *arg;
    struct hash *leaves; /* of the plain data */
    struct data_opened result;
    enum err e;
    struct note note;
};

/* Leaf i of the blob, into a piece of LEAF_SIZE. */
static enum err read_leaf(struct opening *x, FILE *f, uint64_t i, uint8_t *piece)
{
    const uint32_t n = merkle_leaf_size(x->o.facts.size, i);
    if (fread(piece, 1, n, f) == n)
        return ERR_OK;
    return ferror(f) ? file_failed(&x->note, "read", x->cipher_path)
                     : note_set(&x->note, ERR_CORRUPT, "%s is shorter than it was", x->cipher_path);
}

/* The tree of the stored blob, which may have changed on its disk since it was checked. */
static enum err cipher_tree(struct opening *x, FILE *f, struct merkle_tree **out)
{
    const uint64_t n = merkle_leaves(x->o.facts.size);
    struct hash *leaves = mem_array(n, sizeof *leaves);
    uint8_t *piece = mem_new(LEAF_SIZE);
    enum err e = ERR_OK;
    rewind(f);
    for (uint64_t i = 0; i < n && e == ERR_OK; i++) {
        e = read_leaf(x, f, i, piece);
        if (e == ERR_OK)
            leaves[i] = merkle_leaf_hash(piece, merkle_leaf_size(x->o.facts.size, i));
    }
    if (e == ERR_OK) {
        *out = merkle_tree_new(leaves, n, x->o.facts.size);
        struct hash root = merkle_tree_root(*out);
        if (!hash_equal(&root, &x->o.facts.cipher_root)) {
            merkle_tree_free(*out);
            e = note_set(&x->note, ERR_CORRUPT, "%s is not what it was: its disk changed it. Fetch the data again",
                         x->cipher_path);
        }
    }
    free(leaves);
    free(piece);
    return e;
}

static struct hashes proof_of(const struct merkle_tree *t, uint64_t i, struct hash room[LEAF_PROOF_MAX])
{
    return (struct hashes){.p = room[0].b, .n = merkle_tree_proof(t, i, room)};
}

/* Leaf result.leaf as the body of a dispute. */
static void put_dispute(struct opening *x, const struct merkle_tree *cipher, const uint8_t *leaf)
{
    const uint64_t i = x->result.leaf;
    struct hash cipher_room[LEAF_PROOF_MAX], plain_room[LEAF_PROOF_MAX];
    struct merkle_tree *plain = merkle_tree_new(x->leaves, merkle_leaves(x->o.facts.size), x->o.facts.size);
    struct tx_data_dispute d = {.grant = x->o.grant,
                                .index = i,
                                .leaf = bytes_of(leaf, merkle_leaf_size(x->o.facts.size, i)),
                                .leaf_proof = proof_of(cipher, i, cipher_room),
                                .plain_leaf = x->leaves[i],
                                .plain_proof = proof_of(plain, i, plain_room)};
    memcpy(d.secret.b, x->o.secret.b, sizeof d.secret.b);
    tx_data_dispute_put(&x->result.dispute, &d);
    merkle_tree_free(plain);
}

/* A leaf did not open: is that the key's fault, or our disk's? `piece` is overwritten. */
static enum err misfit(struct opening *x, FILE *f, uint8_t *piece)
{
    struct merkle_tree *cipher;
    enum err e = cipher_tree(x, f, &cipher);
    if (e != ERR_OK)
        return e;
    if (x->o.proves) {
        if (fseeko(f, (off_t)(x->result.leaf * LEAF_SIZE), SEEK_SET) != 0)
            e = file_failed(&x->note, "read", x->cipher_path);
        if (e == ERR_OK)
            e = read_leaf(x, f, x->result.leaf, piece);
        if (e == ERR_OK)
            put_dispute(x, cipher, piece);
    }
    merkle_tree_free(cipher);
    if (e == ERR_OK && x->to)
        e = note_set(&x->note, ERR_MISMATCH, "the key does not open leaf %llu to what the ledger's root says",
                     (unsigned long long)x->result.leaf);
    return e;
}

static enum err open_leaves(struct opening *x, FILE *f, FILE *to)
{
    uint8_t *piece = mem_new(LEAF_SIZE), *plain = mem_new(LEAF_SIZE);
    enum err e = ERR_OK;
    x->result.fits = true;
    for (uint64_t i = 0; i < merkle_leaves(x->o.facts.size) && e == ERR_OK; i++) {
        const uint32_t n = merkle_leaf_size(x->o.facts.size, i);
        e = read_leaf(x, f, i, piece);
        if (e != ERR_OK)
            break;
        seal_stream(plain, x->o.key, i, piece, n);
        struct hash h = data_leaf_hash(x->o.key, i, plain, n);
        if (!hash_equal(&h, &x->leaves[i])) {
            x->result.fits = false;
            x->result.leaf = i;
            e = misfit(x, f, piece);
            break;
        }
        if (to && fwrite(plain, 1, n, to) != n)
            e = file_failed(&x->note, "write", x->beside);
    }
    secret_wipe(plain, LEAF_SIZE);
    free(plain);
    free(piece);
    return e;
}

/* Whole, synced and named, or not there. */
static enum err finish_file(struct opening *x, FILE *to, enum err e)
{
    if (e == ERR_OK && (fflush(to) != 0 || fsync(fileno(to)) != 0))
        e = file_failed(&x->note, "write", x->beside);
    if (fclose(to) != 0 && e == ERR_OK)
        e = file_failed(&x->note, "write", x->beside);
    if (e == ERR_OK && rename(x->beside, x->to) != 0)
        e = file_failed(&x->note, "write", x->to);
    if (e == ERR_OK)
        return file_sync_parent(x->to, &x->note);
    unlink(x->beside);
    return e;
}

static enum err open_into(struct opening *x, FILE *f)
{
    if (!x->to)
        return open_leaves(x, f, NULL);
    if (access(x->to, F_OK) == 0)
        return note_set(&x->note, ERR_EXISTS, "%s is there already", x->to);
    FILE *to = fopen(x->beside, "wbx");
    if (!to)
        return file_failed(&x->note, "write", x->beside);
    return finish_file(x, to, open_leaves(x, f, to));
}

static void open_work(void *arg)
{
    struct opening *x = arg;
    if (x->e == ERR_OK)
        x->e = data_plain_read(x->home, &x->o.facts, &x->leaves, &x->note);
    if (x->e != ERR_OK)
        return;
    FILE *f = fopen(x->cipher_path, "rb");
    x->e = f ? open_into(x, f) : file_failed(&x->note, "read", x->cipher_path);
    if (f)
        fclose(f);
    free(x->leaves);
}

static void open_done(void *arg)
{
    struct opening *x = arg;
    x->done(x->arg, x->e, &x->result, &x->note);
    secret_wipe(&x->o, sizeof x->o);
    buf_clear(&x->result.dispute);
    free(x->home);
    free(x->cipher_path);
    free(x->to);
    free(x->beside);
    free(x);
}

void data_open(struct host *host, struct blobs *blobs, const char *home, const struct data_opening *o,
               data_opened_fn done, void *arg)
{
    struct opening *x = mem_new(sizeof *x);
    const char *path = blobs_path(blobs, &o->facts.cipher_root);
    *x = (struct opening){.o = *o, .home = mem_string(home), .done = done, .arg = arg};
    if (path)
        x->cipher_path = mem_string(path);
    else
        x->e = note_set(&x->note, ERR_NOT_FOUND, "the encrypted data is not on this machine");
    if (o->to) {
        struct buf beside = {0};
        uint64_t number;
        host_random(host, &number, sizeof number);
        buf_add_format(&beside, "%s.%016llx", o->to, (unsigned long long)number);
        x->to = mem_string(o->to);
        x->beside = mem_string(buf_text(&beside));
        buf_clear(&beside);
    }
    host_submit(host, open_work, open_done, x);
}
