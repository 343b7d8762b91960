/* Inside the state: its keys, and the tree under them. Shared by state.c (records) and state_index.c (queues, indexes).
 */
#ifndef KITH_CHAIN_STATE_CORE_H
#define KITH_CHAIN_STATE_CORE_H

#include "chain/state.h"

#include <string.h>

struct key { /* class, then at most a number of 8 bytes, a byte, and two ids */
    uint8_t b[1 + 8 + 1 + 64];
    size_t n;
};

static inline void key_add(struct key *k, const void *p, size_t n)
{
    CHECK(k->n + n <= sizeof k->b);
    memcpy(k->b + k->n, p, n);
    k->n += n;
}

static inline struct key key_class(enum state_class cls)
{
    return (struct key){{(uint8_t)cls}, 1};
}

static inline struct key key_one(enum state_class cls, const uint8_t id[32])
{
    struct key k;
    k.b[0] = (uint8_t)cls;
    memcpy(k.b + 1, id, 32);
    k.n = 33;
    return k;
}

static inline void key_add_u8(struct key *k, uint8_t v)
{
    key_add(k, &v, 1);
}

/* Big-endian, so that the order of keys is the order of numbers. */
static inline void key_add_u64(struct key *k, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        key_add_u8(k, (uint8_t)(v >> shift));
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static inline struct bytes key_bytes(const struct key *k)
{
    return bytes_of(k->b, k->n);
}

static inline struct bytes lookup(const struct state *s, const struct key *k)
{
    return tree_get(s->tree, key_bytes(k));
}

static inline void store(struct state *s, const struct key *k, struct bytes value)
{
    tree_put(s->tree, key_bytes(k), value);
}

static inline void drop(struct state *s, const struct key *k)
{
    tree_remove(s->tree, key_bytes(k));
}

/* The next key under a prefix; `after` may be NULL. */
static inline bool walk(const struct state *s, const struct key *prefix, const struct key *after, struct bytes *key,
                        struct bytes *value)
{
    return tree_next(s->tree, key_bytes(prefix), after ? key_bytes(after) : (struct bytes){0}, key, value);
}

#endif
