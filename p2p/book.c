/* Two tables of buckets. */
#include "p2p/book.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BUCKET_ROOM    32
#define TRIED_BUCKETS  32
#define NEW_BUCKETS    (BOOK_MAX / BUCKET_ROOM - TRIED_BUCKETS)
#define BUCKETS        (TRIED_BUCKETS + NEW_BUCKETS)
#define SOURCE_BUCKETS 8 /* that one network of tellers reaches */
#define FAILURES_MAX   5
#define MAGIC          "KITHBK2\n"
#define MAGIC_SIZE     8

struct entry {
    struct addr addr;
    uint64_t good_ms; /* 0: never connected */
    uint64_t order;   /* of arrival */
    uint32_t failures;
};

struct bucket {
    struct entry *entry[BUCKET_ROOM]; /* the first n */
    unsigned n;
};

struct book {
    uint8_t key[32];
    struct bucket bucket[BUCKETS]; /* tried ones first */
    unsigned count;
    uint64_t order;
};

struct book *book_new(const uint8_t key[32])
{
    struct book *b = mem_new(sizeof *b);
    memcpy(b->key, key, sizeof b->key);
    return b;
}

void book_free(struct book *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (unsigned j = 0; j < b->bucket[i].n; j++)
            free(b->bucket[i].entry[j]);
    free(b);
}

unsigned book_count(const struct book *b)
{
    return b->count;
}

static uint64_t keyed(const struct book *b, const void *p, size_t n)
{
    struct hash h = hash_keyed(HASH_GOSSIP, b->key, p, n);
    return load_le64(h.b);
}

static struct bucket *tried_bucket(struct book *b, const struct endpoint *e)
{
    struct bytes group = endpoint_group(e);
    return &b->bucket[keyed(b, group.p, group.n) % TRIED_BUCKETS];
}

static struct bucket *new_bucket(struct book *b, const struct endpoint *teller, const struct endpoint *e)
{
    struct bytes group = endpoint_group(e), source = endpoint_group(teller);
    uint8_t mix[9] = {0};
    store_le64(mix, keyed(b, source.p, source.n));
    mix[8] = (uint8_t)(keyed(b, group.p, group.n) % SOURCE_BUCKETS);
    return &b->bucket[TRIED_BUCKETS + keyed(b, mix, sizeof mix) % NEW_BUCKETS];
}

static struct entry *find(const struct book *b, const struct pubkey *key, unsigned *bucket, unsigned *at)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (unsigned j = 0; j < b->bucket[i].n; j++)
            if (pubkey_equal(&b->bucket[i].entry[j]->addr.key, key)) {
                *bucket = i;
                *at = j;
                return b->bucket[i].entry[j];
            }
    return NULL;
}

static void take_out(struct book *b, struct bucket *k, unsigned at)
{
    k->entry[at] = k->entry[--k->n];
    b->count--;
}

/* Which one to give up: it failed most; among equals the oldest. */
static unsigned worst_of(const struct bucket *k)
{
    unsigned worst = 0;
    for (unsigned i = 1; i < k->n; i++) {
        const struct entry *e = k->entry[i], *w = k->entry[worst];
        if (e->failures > w->failures || (e->failures == w->failures && e->order < w->order))
            worst = i;
    }
    return worst;
}

static void put_in(struct book *b, struct bucket *k, struct entry *e)
{
    if (k->n == BUCKET_ROOM) {
        unsigned at = worst_of(k);
        free(k->entry[at]);
        take_out(b, k, at);
    }
    e->order = b->order++;
    k->entry[k->n++] = e;
    b->count++;
}

/* Where it is dialled; of one behind a relay that is the relay, whose network counts. */
static bool parse(const struct addr *a, struct endpoint *out)
{
    struct way way;
    if (way_parse(a->endpoint.s, &way, NULL) != ERR_OK)
        return false;
    *out = way.at[0];
    return true;
}

void book_add(struct book *b, const struct endpoint *teller, const struct addr *a)
{
    struct endpoint endpoint;
    unsigned bucket, at;
    if (!parse(a, &endpoint) || (endpoint_is_private(&endpoint) && !endpoint_is_private(teller)) ||
        find(b, &a->key, &bucket, &at))
        return;
    struct entry *e = mem_new(sizeof *e);
    e->addr = *a;
    put_in(b, new_bucket(b, teller, &endpoint), e);
}

void book_good(struct book *b, const struct addr *a, uint64_t wall_ms)
{
    struct endpoint endpoint;
    unsigned bucket, at;
    if (!parse(a, &endpoint))
        return;
    struct entry *e = find(b, &a->key, &bucket, &at);
    if (e)
        take_out(b, &b->bucket[bucket], at);
    else
        e = mem_new(sizeof *e);
    e->addr = *a;
    e->good_ms = wall_ms ? wall_ms : 1;
    e->failures = 0;
    put_in(b, tried_bucket(b, &endpoint), e);
}

void book_bad(struct book *b, const struct pubkey *key)
{
    unsigned bucket, at;
    struct entry *e = find(b, key, &bucket, &at);
    if (!e || ++e->failures < FAILURES_MAX || e->good_ms != 0)
        return;
    take_out(b, &b->bucket[bucket], at);
    free(e);
}

bool book_find(const struct book *b, const struct pubkey *key, struct addr *out)
{
    unsigned bucket, at;
    const struct entry *e = find(b, key, &bucket, &at);
    if (e)
        *out = e->addr;
    return e != NULL;
}

bool book_pick(const struct book *b, uint64_t random, struct addr *out)
{
    if (b->count == 0)
        return false;
    /* One bit chooses the half, the rest where in it the walk starts. */
    unsigned start =
        random & 1 ? TRIED_BUCKETS + (unsigned)(random >> 1) % NEW_BUCKETS : (unsigned)(random >> 1) % TRIED_BUCKETS;
    for (unsigned i = 0; i < BUCKETS; i++) {
        const struct bucket *k = &b->bucket[(start + i) % BUCKETS];
        if (k->n == 0)
            continue;
        *out = k->entry[(random >> 32) % k->n]->addr;
        return true;
    }
    return false;
}

unsigned book_sample(const struct book *b, uint64_t random, struct addr *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned half = 0; half < 2; half++) {
        unsigned first = half ? TRIED_BUCKETS : 0, count = half ? NEW_BUCKETS : TRIED_BUCKETS;
        for (unsigned i = 0; i < count; i++) {
            const struct bucket *k = &b->bucket[first + (unsigned)((random + i) % count)];
            for (unsigned j = 0; j < k->n && n < max; j++)
                out[n++] = k->entry[(j + (random >> 16)) % k->n]->addr;
        }
    }
    return n;
}

/* In the file: MAGIC, the key, and for each entry (time of its last connection, bucket, address). With its key and
 * buckets hearsay stays where its teller could put it: were it spread anew, a liar would reach other buckets with each
 * restart. */
void book_put(const struct book *b, struct buf *out)
{
    buf_add(out, MAGIC, MAGIC_SIZE);
    buf_add(out, b->key, sizeof b->key);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (unsigned j = 0; j < b->bucket[i].n; j++) {
            codec_put_u64(out, &b->bucket[i].entry[j]->good_ms);
            codec_put_u16(out, &(uint16_t){(uint16_t)i});
            addr_put(out, &b->bucket[i].entry[j]->addr);
        }
}

static void put_back(struct book *b, unsigned bucket, const struct addr *a)
{
    struct endpoint endpoint;
    unsigned known_bucket, at;
    if (!parse(a, &endpoint) || find(b, &a->key, &known_bucket, &at))
        return;
    struct entry *e = mem_new(sizeof *e);
    e->addr = *a;
    put_in(b, &b->bucket[bucket], e);
}

bool book_get(struct book *b, struct bytes in)
{
    struct cursor c = cursor_of(in);
    const uint8_t *magic = cursor_take(&c, MAGIC_SIZE), *key = cursor_take(&c, sizeof b->key);
    if (!key || memcmp(magic, MAGIC, MAGIC_SIZE) != 0)
        return false;
    if (b->count == 0)
        memcpy(b->key, key, sizeof b->key);
    while (cursor_ok(&c) && c.n > 0) {
        uint64_t good_ms;
        uint16_t bucket;
        struct addr a;
        codec_get_u64(&c, &good_ms);
        codec_get_u16(&c, &bucket);
        addr_get(&c, &a);
        if (!cursor_ok(&c) || bucket >= BUCKETS || (good_ms == 0 && bucket < TRIED_BUCKETS))
            return false;
        if (good_ms)
            book_good(b, &a, good_ms);
        else
            put_back(b, bucket, &a);
    }
    return cursor_end(&c);
}
