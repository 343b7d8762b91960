/* The part of base/hash.h that the engine uses, for machines without libsodium: BLAKE2b (RFC 7693) with keys and
 * personalisations. That its digests are libsodium's shows in `make portable`, which compares them. */
#include "base/hash.h"

#include <string.h>

#define BLOCK 128

static const char tags[HASH_TAG_COUNT][16] = {
#define T(name, text) text,
    HASH_TAG_LIST(T)
#undef T
};

/* RFC 7693, section 2.6. */
static const uint64_t start[8] = {0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
                                  0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179};
/* Section 2.7; rounds 10 and 11 are 0 and 1 again. */
static const uint8_t order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

struct state {
    uint64_t h[8], taken;
    uint8_t block[BLOCK];
    size_t held;
};
_Static_assert(sizeof(struct state) <= sizeof(struct hasher), "the opaque state fits");

static uint64_t turn(uint64_t x, unsigned by)
{
    return x >> by | x << (64 - by);
}

static void mix(uint64_t v[16], const uint8_t at[4], uint64_t x, uint64_t y)
{
    uint64_t *a = &v[at[0]], *b = &v[at[1]], *c = &v[at[2]], *d = &v[at[3]];
    *a = *a + *b + x;
    *d = turn(*d ^ *a, 32);
    *c = *c + *d;
    *b = turn(*b ^ *c, 24);
    *a = *a + *b + y;
    *d = turn(*d ^ *a, 16);
    *c = *c + *d;
    *b = turn(*b ^ *c, 63);
}

static void compress(struct state *s, bool last)
{
    static const uint8_t at[8][4] = {{0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14}, {3, 7, 11, 15},
                                     {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13},  {3, 4, 9, 14}};
    uint64_t v[16], m[16];
    for (size_t i = 0; i < 8; i++) {
        v[i] = s->h[i];
        v[i + 8] = start[i];
    }
    v[12] ^= s->taken;
    v[14] = last ? ~v[14] : v[14];
    for (size_t i = 0; i < 16; i++)
        m[i] = load_le64(s->block + 8 * i);
    for (size_t round = 0; round < 12; round++)
        for (size_t i = 0; i < 8; i++)
            mix(v, at[i], m[order[round % 10][2 * i]], m[order[round % 10][2 * i + 1]]);
    for (size_t i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[i + 8];
    s->held = 0;
}

static void add(struct state *s, const uint8_t *p, size_t n)
{
    while (n) {
        if (s->held == BLOCK) /* only when more follows: the last block is different */
            compress(s, false);
        size_t part = BLOCK - s->held < n ? BLOCK - s->held : n;
        memcpy(s->block + s->held, p, part);
        s->held += part;
        s->taken += part;
        p += part;
        n -= part;
    }
}

static void start_keyed(struct hasher *h, enum hash_tag tag, const uint8_t *key, size_t key_n)
{
    struct state *s = (void *)h->opaque;
    uint8_t padded[BLOCK] = {0};
    memset(s, 0, sizeof *s);
    memcpy(s->h, start, sizeof start);
    s->h[0] ^= HASH_SIZE | key_n << 8 | 1u << 16 | 1u << 24;
    s->h[6] ^= load_le64((const uint8_t *)tags[tag]);
    s->h[7] ^= load_le64((const uint8_t *)tags[tag] + 8);
    if (!key)
        return;
    memcpy(padded, key, key_n);
    add(s, padded, BLOCK);
}

void hash_start(struct hasher *h, enum hash_tag tag)
{
    start_keyed(h, tag, NULL, 0);
}

void hash_add(struct hasher *h, const void *p, size_t n)
{
    add((void *)h->opaque, p, n);
}

void hash_add_u32(struct hasher *h, uint32_t v)
{
    uint8_t b[4];
    store_le32(b, v);
    hash_add(h, b, sizeof b);
}

struct hash hash_end(struct hasher *h)
{
    struct state *s = (void *)h->opaque;
    struct hash out;
    memset(s->block + s->held, 0, BLOCK - s->held);
    compress(s, true);
    for (size_t i = 0; i < HASH_SIZE / 8; i++)
        store_le64(out.b + 8 * i, s->h[i]);
    return out;
}

struct hash hash_once(enum hash_tag tag, const void *p, size_t n)
{
    struct hasher h;
    hash_start(&h, tag);
    hash_add(&h, p, n);
    return hash_end(&h);
}

struct hash hash_keyed(enum hash_tag tag, const uint8_t key[32], const void *p, size_t n)
{
    struct hasher h;
    start_keyed(&h, tag, key, 32);
    hash_add(&h, p, n);
    return hash_end(&h);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_SIZE) == 0;
}
