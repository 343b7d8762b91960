/* Chance from a seed: splitmix64. */
#ifndef KITH_TESTS_SIM_RANDOM_H
#define KITH_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
    uint64_t s;
};

static inline uint64_t random_next(struct random *r)
{
    uint64_t z = (r->s += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 0 .. n-1; 0 for n = 0. */
static inline uint64_t random_below(struct random *r, uint64_t n)
{
    return n ? random_next(r) % n : 0;
}

static inline uint64_t random_between(struct random *r, uint64_t least, uint64_t most)
{
    return least + random_below(r, most - least + 1);
}

static inline bool random_chance(struct random *r, unsigned percent)
{
    return random_below(r, 100) < percent;
}

static inline void random_bytes(struct random *r, void *p, size_t n)
{
    uint8_t *to = p;
    for (; n >= 8; n -= 8, to += 8) {
        uint64_t v = random_next(r);
        memcpy(to, &v, 8);
    }
    uint64_t v = random_next(r);
    memcpy(to, &v, n);
}

/* A stream of its own, so that one who draws more does not change what others draw. */
static inline struct random random_fork(struct random *r)
{
    return (struct random){random_next(r)};
}

#endif
