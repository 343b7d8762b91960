/* The pages of all caches of an engine: counted by the sequences that hold them, and found again by what they were made
 * from, so that sequences that begin alike share a beginning.
 *
 *     taken --publish--> known, held <--find-- / --drop--> known, idle --trim--> gone
 *        '--drop--> gone
 *
 *   1. A known page is whole: all its positions are in it, each finite as is each before it, and nobody writes to it.
 *   2. Its key is a hash over a root and all tokens up to its end; whoever finds it has just these tokens.
 *   3. Idle pages are in the order in which they were dropped. Sequences drop their last page first, so a page is
 *      newer than those that continue it, and trimming from the old end never breaks a chain in the middle.
 *   4. A page may have the state of recurrent layers behind it, without which nobody can go on from it. Nobody depends
 * on one that is whole: it may be dropped at any time, the least recently used first, held page or not. */
#ifndef KITH_INFERENCE_PAGES_H
#define KITH_INFERENCE_PAGES_H

#include "base/hash.h"
#include "inference/kernels/arith.h"

struct pages;

/* How many hold so many positions. */
static inline uint32_t pages_for(uint32_t positions)
{
    return (positions + ARITH_CHUNK - 1) / ARITH_CHUNK;
}

struct page {
    uint32_t refs;
    uint32_t number; /* of no other page that exists, and below pages_number_end: where a device keeps its part */
    bool is_known;
    struct hash key;
    uint32_t tokens[ARITH_CHUNK];
    struct page *same;          /* next in its bucket of the index */
    struct page *older, *newer; /* of the idle ones */
    float *state;               /* what recurrent layers carry behind its last position, or NULL: 4 */
    bool is_state_whole;
    struct page *state_older, *state_newer; /* of those that have one */
    _Alignas(16) uint8_t data[];
};

struct pages *pages_new(size_t data_bytes, size_t state_bytes);
/* Nobody may hold one any more. */
void pages_free(struct pages *p);

/* A new one, data and tokens zero, held once. */
struct page *pages_take(struct pages *p);
/* One holder less. */
void pages_drop(struct pages *p, struct page *page);

/* Where chains of keys begin: pages are found only by those who begin alike. `variant`: whatever else than tokens the
 * numbers in a page depend on. */
struct hash pages_root(const struct hash *scope, uint32_t variant);
struct hash pages_key(const struct hash *before, const uint32_t tokens[ARITH_CHUNK]);
/* The known page of this key and these tokens, held once more; NULL if there is none. */
struct page *pages_find(struct pages *p, const struct hash *key, const uint32_t tokens[ARITH_CHUNK]);
/* Makes a page known. Returns the one to hold from now on: itself, or the one that was known already (their bits are
 * the same), and then `page` was dropped. */
struct page *pages_publish(struct pages *p, struct page *page, const struct hash *key);

/* Over all numbers that were given so far; the smallest that is free is given first. */
uint32_t pages_number_end(const struct pages *p);
/* How many exist, idle ones too. */
uint32_t pages_count(const struct pages *p);

/* Room for the state behind a page, which is not whole yet; NULL where there is too little. */
float *pages_keep_state(struct pages *p, struct page *page);
void pages_settle_state(struct page *page);
/* NULL where it has none that is whole; it is the most recently used then. */
const float *pages_state(struct pages *p, struct page *page);
void pages_drop_state(struct pages *p, struct page *page);

/* Of idle pages, and of all states. */
uint64_t pages_idle_bytes(const struct pages *p);
/* Frees the oldest idle pages and states until no more than that is left; from now on states take half of it at most.
 */
void pages_trim(struct pages *p, uint64_t idle_bytes_max);

#endif
