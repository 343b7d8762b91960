/* The fetch of a blob, and the answer to a question for a leaf. */
#include "p2p/blob.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LEAF_MISSING, LEAF_ASKED, LEAF_HERE };

struct question {
    uint64_t index, asked_ms;
};

struct source {
    struct pubkey key;
    uint64_t size; /* as it claims */
    struct question asked[BLOB_WINDOW];
    unsigned n;
    unsigned strikes;
    unsigned late; /* given up, and may still be answered */
};

struct blob_fetch {
    struct hash root;
    bool sized;
    uint64_t size, leaves, here;
    uint8_t *state; /* [leaves], once sized */
    uint64_t next;  /* no leaf before it is MISSING */
    uint64_t limit; /* leaves from here on are not asked for */
    struct source source[BLOB_SOURCES_MAX];
    unsigned sources;
};

struct blob_fetch *blob_fetch_new(const struct hash *root)
{
    struct blob_fetch *f = mem_new(sizeof *f);
    f->root = *root;
    f->limit = UINT64_MAX;
    return f;
}

void blob_fetch_free(struct blob_fetch *f)
{
    if (!f)
        return;
    free(f->state);
    free(f);
}

/* -- leaves -- */

void blob_fetch_set_size(struct blob_fetch *f, uint64_t size)
{
    CHECK(size <= BLOB_SIZE_MAX);
    if (f->sized)
        return;
    f->sized = true;
    f->size = size;
    f->leaves = merkle_leaves(size);
    f->state = mem_array(f->leaves ? f->leaves : 1, 1);
    /* Whoever claimed another size claimed another blob. Questions for leaf 0 stay asked of several. */
    for (unsigned i = 0; i < f->sources;) {
        struct source s = f->source[i];
        if (s.size != size)
            blob_fetch_remove(f, &s.key);
        else
            i++;
    }
    for (unsigned i = 0; i < f->sources; i++) {
        f->source[i].late += f->source[i].n;
        f->source[i].n = 0;
    }
}

void blob_fetch_set_limit(struct blob_fetch *f, uint64_t leaves)
{
    f->limit = leaves;
}

uint64_t blob_fetch_front(const struct blob_fetch *f)
{
    uint64_t n = 0;
    while (f->sized && n < f->leaves && f->state[n] == LEAF_HERE)
        n++;
    return n;
}

void blob_fetch_set_here(struct blob_fetch *f, uint64_t index)
{
    CHECK(f->sized && index < f->leaves);
    f->here += f->state[index] != LEAF_HERE;
    f->state[index] = LEAF_HERE;
}

void blob_fetch_set_missing(struct blob_fetch *f, uint64_t index)
{
    CHECK(f->sized && index < f->leaves);
    f->here -= f->state[index] == LEAF_HERE;
    f->state[index] = LEAF_MISSING;
    if (index < f->next)
        f->next = index;
}

bool blob_fetch_is_done(const struct blob_fetch *f)
{
    return f->sized && f->here == f->leaves;
}

bool blob_fetch_size(const struct blob_fetch *f, uint64_t *size)
{
    *size = f->size;
    return f->sized;
}

uint64_t blob_fetch_here(const struct blob_fetch *f)
{
    return f->here;
}

/* -- sources -- */

static struct source *find_source(struct blob_fetch *f, const struct pubkey *key)
{
    for (unsigned i = 0; i < f->sources; i++)
        if (pubkey_equal(&f->source[i].key, key))
            return &f->source[i];
    return NULL;
}

/* A question is no longer open; its leaf is missing again unless it came. */
static void drop_question(struct blob_fetch *f, struct source *s, unsigned at)
{
    uint64_t index = s->asked[at].index;
    s->asked[at] = s->asked[--s->n];
    if (f->sized && f->state[index] == LEAF_ASKED)
        blob_fetch_set_missing(f, index);
}

void blob_fetch_remove(struct blob_fetch *f, const struct pubkey *source)
{
    struct source *s = find_source(f, source);
    if (!s)
        return;
    while (s->n)
        drop_question(f, s, 0);
    *s = f->source[--f->sources];
}

static bool size_can_be(const struct blob_fetch *f, uint64_t size)
{
    if (f->sized)
        return size == f->size;
    if (size != 0)
        return size <= BLOB_SIZE_MAX;
    struct merkle_tree *empty = merkle_tree_of(NULL, 0);
    struct hash root = merkle_tree_root(empty);
    merkle_tree_free(empty);
    return hash_equal(&root, &f->root);
}

enum err blob_fetch_add(struct blob_fetch *f, const struct pubkey *source, uint64_t size)
{
    if (find_source(f, source))
        return ERR_DUPLICATE;
    if (!size_can_be(f, size))
        return ERR_MISMATCH;
    if (f->sources == BLOB_SOURCES_MAX)
        return ERR_FULL;
    f->source[f->sources++] = (struct source){.key = *source, .size = size};
    if (size == 0)
        blob_fetch_set_size(f, 0);
    return ERR_OK;
}

unsigned blob_fetch_sources(const struct blob_fetch *f)
{
    return f->sources;
}

/* -- questions -- */

static bool next_missing(struct blob_fetch *f, uint64_t *index)
{
    while (f->next < f->leaves && f->state[f->next] != LEAF_MISSING)
        f->next++;
    *index = f->next;
    return f->next < f->leaves && f->next < f->limit;
}

/* The source with most room: the quick ones have it sooner again. */
static struct source *choose(struct blob_fetch *f)
{
    struct source *best = NULL;
    unsigned window = f->sized ? BLOB_WINDOW : 1;
    for (unsigned i = 0; i < f->sources; i++) {
        struct source *s = &f->source[i];
        if (s->n < window && (!best || s->n < best->n))
            best = s;
    }
    return best;
}

bool blob_fetch_next(struct blob_fetch *f, uint64_t now_ms, struct blob_ask *out)
{
    uint64_t index = 0;
    struct source *s = choose(f);
    if (!s || (f->sized && !next_missing(f, &index)))
        return false;
    if (f->sized)
        f->state[index] = LEAF_ASKED;
    s->asked[s->n++] = (struct question){index, now_ms};
    *out = (struct blob_ask){s->key, index};
    return true;
}

void blob_fetch_tick(struct blob_fetch *f, uint64_t now_ms)
{
    for (unsigned i = 0; i < f->sources;) {
        struct source *s = &f->source[i];
        for (unsigned k = 0; k < s->n;) {
            if (now_ms < s->asked[k].asked_ms + BLOB_LEAF_MS) {
                k++;
                continue;
            }
            drop_question(f, s, k);
            s->late++;
            s->strikes++;
        }
        if (s->strikes >= BLOB_STRIKES_MAX) {
            struct pubkey key = s->key;
            blob_fetch_remove(f, &key);
        } else {
            i++;
        }
    }
}

uint64_t blob_fetch_timeout_ms(const struct blob_fetch *f)
{
    uint64_t at = UINT64_MAX;
    for (unsigned i = 0; i < f->sources; i++)
        for (unsigned k = 0; k < f->source[i].n; k++)
            if (f->source[i].asked[k].asked_ms + BLOB_LEAF_MS < at)
                at = f->source[i].asked[k].asked_ms + BLOB_LEAF_MS;
    return at;
}

/* -- answers -- */

static bool fits(const struct blob_fetch *f, const struct leaf *m)
{
    struct hash proof[LEAF_PROOF_MAX];
    if (m->proof.n > LEAF_PROOF_MAX || m->size > BLOB_SIZE_MAX || m->index >= merkle_leaves(m->size) ||
        m->bytes.n != merkle_leaf_size(m->size, m->index) || (f->sized && m->size != f->size))
        return false;
    for (uint32_t i = 0; i < m->proof.n; i++)
        proof[i] = hashes_at(&m->proof, i);
    struct hash leaf = merkle_leaf_hash(m->bytes.p, m->bytes.n);
    return merkle_verify(&f->root, m->size, m->index, &leaf, proof, m->proof.n);
}

/* Was it asked? Then the question is answered. */
static bool close_question(struct blob_fetch *f, struct source *s, uint64_t index)
{
    for (unsigned k = 0; k < s->n; k++)
        if (s->asked[k].index == index) {
            drop_question(f, s, k);
            return true;
        }
    if (s->late == 0)
        return false;
    s->late--;
    return true;
}

enum err blob_fetch_step(struct blob_fetch *f, const struct pubkey *source, const struct leaf *m)
{
    struct source *s = find_source(f, source);
    if (!s)
        return ERR_DUPLICATE; /* it was a source once: nothing is owed to it, nor blamed on it */
    enum err e = ERR_OK;
    if (!hash_equal(&m->root, &f->root) || !close_question(f, s, m->index))
        e = ERR_PROTOCOL;
    else if (m->bytes.n == 0)
        e = ERR_NOT_FOUND;
    else if (!fits(f, m))
        e = ERR_CORRUPT;
    if (e != ERR_OK) {
        blob_fetch_remove(f, source);
        return e;
    }
    s->strikes = 0;
    blob_fetch_set_size(f, m->size);
    if (f->state[m->index] == LEAF_HERE)
        return ERR_DUPLICATE;
    blob_fetch_set_here(f, m->index);
    return ERR_OK;
}

/* -- answering others -- */

void blob_answer(const struct merkle_tree *tree, blob_read_fn read, void *arg, const struct leaf_get *ask,
                 struct buf *out)
{
    static const struct hash none;
    uint8_t bytes[LEAF_SIZE];
    struct hash proof[LEAF_PROOF_MAX];
    struct leaf m = {.root = ask->root, .index = ask->index, .proof = {none.b, 0}};
    uint64_t size = tree ? merkle_tree_size(tree) : 0;
    if (ask->index < merkle_leaves(size)) {
        uint32_t n = merkle_leaf_size(size, ask->index);
        if (read(arg, ask->index * LEAF_SIZE, bytes, n)) {
            m.size = size;
            m.proof = (struct hashes){(const uint8_t *)proof, merkle_tree_proof(tree, ask->index, proof)};
            m.bytes = bytes_of(bytes, n);
        }
    }
    leaf_put(out, &m);
}
