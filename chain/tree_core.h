/* Inside the tree: pages of sorted entries below wide nodes, shared by tree.c (changes and journal), tree_pool.c
 * (memory), tree_page.c (where entries stand), tree_hash.c (roots), tree_prove.c and tree_order.c (walks in the order
 * of keys). Nobody else includes it.
 *
 *     top page --is_fan--> 64 pages by the next 6 bits --is_fan--> 64 pages each ...
 *         `---- otherwise: at most TREE_PAGE_MAX entries, sorted by path
 *
 * A page's place is found by arithmetic on the path, an entry within it by where a random path would stand: so a lookup
 * in a tree of a million entries touches four or five cache lines. How entries are divided into pages depends on
 * history; roots do not, since the binary tree that they are defined by is found again within a page:
 *
 *     between two neighbours of a page there is exactly one fork of the binary tree: where their paths part. The
 *     shallowest fork of a run of neighbours is its top, and divides it in two.
 *
 * So each entry keeps, beside its own hash, the hash of the fork behind it: n entries, n - 1 forks. A fork hangs from
 * another, or from the page's place, often several levels above its own; what is kept is its hash as seen from
 * `fork_depth`, the levels between included, and is only good for that depth.
 *
 * Invariants:
 *   - leaf 0 is never used; an entry is in exactly one page, at its path's place;
 *   - bits[i] are the first 64 bits of the path of leaves[i], ascending; equal ones stand in the order of whole paths;
 *   - an entry whose hash is stale is `dirty`, and its bits are in `touched`, or its page is stale;
 *   - where an entry went, its neighbours' bits are in `touched`: every fork that it stood under holds one of them;
 *   - a page that is stale has only stale pages above it;
 *   - a fork of clean entries, kept for the depth that it is asked for, is right;
 *   - an entry that changed since the last settle has this epoch, and the journal knows its first change;
 *   - the journal owns the old values of what it would bring back. */
#ifndef KITH_CHAIN_TREE_CORE_H
#define KITH_CHAIN_TREE_CORE_H

#include "chain/tree.h"

#define TREE_FAN_BITS  6u
#define TREE_FAN       (1u << TREE_FAN_BITS)
#define TREE_PAGE_MAX  1024u /* an insertion moves at most 12 bytes of each */
#define TREE_DEPTH_MAX 48u   /* of pages: deeper ones would need paths that agree in more bits than anybody finds */
#define TREE_NO_FORK   UINT16_MAX
#define TREE_RECENT    1024u
#define TREE_LOAD      64u /* entries that are filled in together */

/* Fixed-size items in chunks that never move. Item 0 is never used. */
struct pool {
    size_t item;
    uint8_t **chunks;
    uint32_t chunks_n;
    uint32_t used; /* first never used; starts at 1 */
    uint32_t free_first;
    void **slabs; /* what was allocated: one chunk, or several in a row */
    uint32_t slabs_n;
    uint8_t *slab; /* the rest of the last one */
    uint32_t slab_left;
};

/* Key, then value: in `room`, or where that is too small behind the pointer that is stored there. */
struct payload {
    uint32_t value_n;
    uint8_t key_n;
    bool is_large;
    uint8_t room[TREE_SMALL_MAX];
};

struct leaf {
    struct hash path, hash;
    struct hash fork; /* of the fork between this entry and the next of its page, as seen from fork_depth */
    struct payload data;
    uint16_t fork_depth; /* TREE_NO_FORK: not hashed yet */
    bool dirty;
    uint32_t epoch; /* of its last change, if that was not undone */
};

enum tree_kind { TREE_NONE, TREE_ONE, TREE_MANY }; /* entries below */

struct fan;
struct page {
    union {
        uint64_t *bits; /* room of them, and behind them the leaves */
        struct fan *fan;
    } u;
    uint32_t n, room;
    struct hash hash; /* of all below, as seen from `depth` */
    uint8_t depth;    /* bits of the path that its place stands for */
    uint8_t kind;
    bool is_fan;
    bool stale;
    bool moved;     /* entries came or went since it was hashed: forks may be kept for other depths */
    bool has_equal; /* neighbours agreed in 64 bits, at some time */
};

/* inner[1] is the top of a complete binary tree, the children of i are 2i and 2i + 1; from TREE_FAN on they are the
 * pages. */
struct fan {
    struct page pages[TREE_FAN];
    struct hash inner[TREE_FAN];
    uint8_t kinds[TREE_FAN];
};

struct order_node {
    uint32_t leaf, before, after;
    uint32_t rank; /* by a secret of this process: who chooses keys does not choose where they stand */
};
struct order {
    struct pool nodes;
    uint32_t root;
    uint8_t secret[16];
};

/* What a key was before a change. */
struct undo {
    struct hash path;
    uint32_t leaf; /* where it stood after the change; 0: it went */
    bool was_there;
    bool is_first; /* change of its entry since the last settle */
    struct payload data;
};

/* Where keys that were used lately stand, so that a record that is read and then written is hashed and searched once. A
 * leaf's number is good as long as the path there is the same. */
struct recent {
    struct tree_spot spot;
    uint8_t key_n;
    uint8_t key[47];
};

struct tree {
    struct pool leaves;
    struct page *top;
    uint64_t count;
    struct order order;
    bool listed[256];
    struct undo *journal;
    size_t journal_n, journal_room;
    uint32_t epoch;    /* counts settles, from 1 */
    uint64_t *touched; /* since the last root */
    size_t touched_n, touched_room;
    struct recent *recent;
    struct payload *loading; /* not entered yet */
    uint32_t loading_n;
    struct parallel parallel;
};

/* -- tree_pool.c -- */

void *pool_at(const struct pool *p, uint32_t i);
uint32_t pool_take(struct pool *p);
void pool_give(struct pool *p, uint32_t i);
void pool_clear(struct pool *p);

/* The key's first byte. */
const uint8_t *payload_at(const struct payload *d);
struct payload payload_make(struct bytes key, struct bytes value);
void payload_clear(const struct payload *d);
struct bytes leaf_key(const struct leaf *l);
struct bytes leaf_value(const struct leaf *l);

static inline struct leaf *tree_leaf(const struct tree *t, uint32_t i)
{
    return pool_at(&t->leaves, i);
}

static inline void leaf_fetch(const struct leaf *l)
{
    for (size_t at = 0; at < sizeof *l; at += 64)
        __builtin_prefetch((const char *)l + at, 1);
}

/* The child of a fan that holds these bits. */
static inline struct page *fan_child(const struct page *p, uint64_t bits)
{
    return &p->u.fan->pages[bits << p->depth >> (64 - TREE_FAN_BITS)];
}

static inline uint32_t *page_leaves(const struct page *p)
{
    return (uint32_t *)(void *)(p->u.bits + p->room);
}

static inline struct leaf *page_leaf(const struct tree *t, const struct page *p, uint32_t at)
{
    return tree_leaf(t, page_leaves(p)[at]);
}

/* The first of b[low..high-1], which rise, that is not below `bits`; high if all are. */
static inline uint32_t bits_rank(const uint64_t *b, uint32_t low, uint32_t high, uint64_t bits)
{
    uint32_t n = high - low, at = low;
    for (; n > 1; n -= n / 2) /* without a branch that nobody could foretell */
        at += b[at + n / 2 - 1] < bits ? n / 2 : 0;
    return at + (n == 1 && b[at] < bits);
}

/* -- tree_page.c -- */

struct place {
    struct page *page;
    uint64_t bits;
    uint32_t at;   /* where it stands or would stand */
    uint32_t leaf; /* 0: not there */
};

/* The page of these first bits; the first place in it that is not before them. */
struct page *tree_page(const struct tree *t, uint64_t bits);
uint32_t page_rank(const struct page *p, uint64_t bits);
/* Asks for the memory in which page_rank would look. */
void page_near(const struct page *p, uint64_t bits);
struct place locate(const struct tree *t, const struct hash *path);
/* The entry of a key, if it is there. */
uint32_t leaf_find(const struct tree *t, struct bytes key);
/* At a place where nothing is. */
void page_insert(struct tree *t, const struct place *x, uint32_t leaf);
void page_free(struct tree *t, struct page *p);
/* All that must be hashed again for what changed there. */
void mark_stale(struct tree *t, uint64_t bits);
struct hash tree_path(const struct tree *t, struct bytes key);
uint64_t path_bits(const struct hash *path);
static inline unsigned path_bit(const struct hash *path, unsigned i)
{
    return path->b[i / 8] >> (7 - i % 8) & 1;
}

/* -- tree_hash.c -- */

/* Entries low..high-1 of a page, the bit where their paths part (none for a single one), and the first on the one side.
 */
struct span {
    uint32_t low, high, split;
    unsigned fork;
};
struct span span_of(const struct tree *t, const struct page *p, uint32_t low, uint32_t high);
/* Where the hash of a span that is not empty is kept. */
struct hash *span_kept(const struct tree *t, const struct page *p, const struct span *s);
/* Place i of a fan's tree. */
void fan_child_get(const struct fan *f, unsigned i, const struct hash **hash, unsigned *kind);
/* The hashes of the definition; lift: of what stands alone at `from` bits of its path, as seen from fewer. */
struct hash tree_entry_hash(const struct hash *path, struct bytes value);
struct hash tree_pair_hash(const struct hash *zero, const struct hash *one);
struct hash tree_lift(struct hash h, const struct hash *path, unsigned from, unsigned to);

/* -- tree_order.c -- */

void order_init(struct tree *t);
void order_add(struct tree *t, uint32_t leaf);
void order_remove(struct tree *t, uint32_t leaf);
void order_clear(struct tree *t);

#endif
