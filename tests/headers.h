/* A chain of headers without a ledger: validators of known keys that change on the way, commits by whom one likes. */
#ifndef KITH_TESTS_HEADERS_H
#define KITH_TESTS_HEADERS_H

#include "chain/light.h"

#define HEADERS_MAX  1200
#define HEADERS_POOL 64

struct headers {
    struct hash chain;
    struct seckey secret[HEADERS_POOL];
    struct pubkey key[HEADERS_POOL];
    uint32_t n;     /* validators of a height: members of the pool... */
    uint32_t every; /* ...of which one leaves and one comes each so many heights; 0: none */
    uint64_t start_ms, step_ms;
    struct hash state; /* what every header carries */
    uint32_t height;   /* last header made */
    struct header at[HEADERS_MAX + 1];
};

struct headers *headers_new(uint32_t validators, uint32_t every);
/* Makes headers up to a height. Another `salt` gives another history from here on. */
void headers_grow(struct headers *h, uint32_t height, uint64_t salt);
struct valset *headers_set(const struct headers *h, uint32_t height);
/* The light block of a height, signed by the first `signers` of its set (in the order of keys). */
void headers_put(const struct headers *h, uint32_t height, uint32_t signers, struct buf *out);
/* Any header, with any set and its members' signatures where the pool has their keys. */
void headers_put_as(const struct headers *h, const struct header *header, const struct valset *set, uint32_t signers,
                    struct buf *out);

#endif
