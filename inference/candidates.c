/* Tokens in order, as far as it matters; see the header. What is computed for all of a vocabulary goes in pieces of a
 * constant length, for which the compiler uses its own vectors. */
#include "inference/candidates.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define BUCKETS 2048u
#define NOWHERE UINT16_MAX /* no candidate */
#define PIECE   256u
#define LANES   16u
#define LEAST   (-23.0f) /* e^-23 x 2^32 < 1 */

__extension__ typedef unsigned __int128 wide;

struct candidate {
    float logit;
    float p; /* e^x */
    uint32_t id;
    uint64_t weight;
};

struct bucket {
    uint64_t sum; /* of weights */
    uint32_t n;
    float least; /* p */
};

struct candidates {
    const struct ops *ops;
    uint32_t vocab, room; /* room: whole pieces */
    const float *logits;
    float *p;        /* [room] x, then e^x */
    uint16_t *place; /* [room] bucket */
    struct bucket bucket[BUCKETS];
    struct candidate *sorted; /* of bucket sorted_at, BUCKETS: of none */
    uint32_t sorted_at, sorted_room;
};

struct candidates *candidates_new(const struct ops *ops, uint32_t vocab)
{
    struct candidates *c = mem_new(sizeof *c);
    c->ops = ops;
    c->vocab = vocab;
    c->room = (vocab + PIECE - 1) / PIECE * PIECE;
    c->p = mem_array(c->room, sizeof *c->p);
    c->place = mem_array(c->room, sizeof *c->place);
    return c;
}

void candidates_free(struct candidates *c)
{
    if (!c)
        return;
    free(c->p);
    free(c->place);
    free(c->sorted);
    free(c);
}

/* -- all of the vocabulary -- */

/* x of a piece, and the least of them so far, stripe by stripe. */
static void measure(const float *restrict logits, float peak, float temp, float *restrict x, float *restrict least)
{
    for (size_t i = 0; i < PIECE; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            x[i + k] = (logits[i + k] - peak) / temp;
            least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
        }
}

/* x of all into c->p, -infinity behind the last; returns the least that counts. */
static float measure_all(struct candidates *c, const float *logits, float peak, float temp)
{
    float lanes[LANES] = {0}, padded[PIECE], least = 0;
    uint32_t whole = c->vocab / PIECE * PIECE, rest = c->vocab - whole;
    for (uint32_t i = 0; i < whole; i += PIECE)
        measure(logits + i, peak, temp, c->p + i, lanes);
    if (rest) {
        for (uint32_t i = 0; i < PIECE; i++)
            padded[i] = i < rest ? logits[whole + i] : peak;
        measure(padded, peak, temp, c->p + whole, lanes);
        for (uint32_t i = rest; i < PIECE; i++)
            c->p[whole + i] = -INFINITY;
    }
    for (size_t k = 0; k < LANES; k++)
        least = lanes[k] < least ? lanes[k] : least;
    return least < LEAST ? LEAST : least;
}

/* The bucket of each x, rising as x falls. What a mask does not allow may be over the peak. */
static void place(float *restrict x, float scale, uint16_t *restrict out)
{
    for (size_t i = 0; i < PIECE; i++) {
        float below = x[i] >= LEAST ? -x[i] : -LEAST;
        x[i] = x[i] >= LEAST ? x[i] : -INFINITY;
        below = below > 0 ? below : 0;
        out[i] = (uint16_t)(int32_t)(below * scale);
    }
}

static bool is_allowed(const uint32_t *mask, uint32_t id)
{
    return !mask || mask[id / 32] >> id % 32 & 1;
}

static uint64_t weight_of(float p)
{
    return (uint64_t)(p * 0x1p32f);
}

/* A piece of e^x into the buckets. */
static void count(struct candidates *c, uint32_t first, const uint32_t *mask)
{
    for (uint32_t i = first; i < first + PIECE; i++) {
        uint64_t weight = c->p[i] > 0 && is_allowed(mask, i) ? weight_of(c->p[i]) : 0;
        if (!weight) {
            c->place[i] = NOWHERE;
            continue;
        }
        struct bucket *b = &c->bucket[c->place[i]];
        b->sum += weight;
        b->n++;
        b->least = c->p[i] < b->least ? c->p[i] : b->least;
    }
}

void candidates_fill(struct candidates *c, const float *logits, const uint32_t *mask, float peak, float temp)
{
    float least = measure_all(c, logits, peak, temp);
    float scale = least < -0x1p-64f ? (float)(BUCKETS - 1) / -least : 0.0f; /* else they are one bucket */
    c->logits = logits;
    c->sorted_at = BUCKETS;
    for (uint32_t b = 0; b < BUCKETS; b++)
        c->bucket[b] = (struct bucket){.least = INFINITY};
    for (uint32_t i = 0; i < c->room; i += PIECE) {
        place(c->p + i, scale, c->place + i);
        c->ops->exponentials(c->p + i, PIECE, 0.0f);
        count(c, i, mask);
    }
}

/* -- one bucket -- */

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool has(const uint16_t *restrict place, uint16_t which)
{
    uint16_t found = 0;
    for (size_t i = 0; i < PIECE; i++)
        found |= place[i] == which ? 1 : 0;
    return found != 0;
}

/* The candidates of a bucket, with rising ids; whether that is their order already. */
static bool gather(struct candidates *c, uint32_t which)
{
    uint32_t n = 0;
    bool in_order = true;
    for (uint32_t first = 0; first < c->room; first += PIECE) {
        if (!has(c->place + first, (uint16_t)which))
            continue;
        for (uint32_t i = first; i < first + PIECE; i++) {
            if (c->place[i] != which)
                continue;
            c->sorted[n] = (struct candidate){c->logits[i], c->p[i], i, weight_of(c->p[i])};
            in_order = in_order && (n == 0 || c->sorted[n - 1].logit >= c->sorted[n].logit);
            n++;
        }
    }
    return in_order;
}

static const struct candidate *sort(struct candidates *c, uint32_t which)
{
    uint32_t n = c->bucket[which].n;
    if (c->sorted_at == which)
        return c->sorted;
    if (n > c->sorted_room) {
        c->sorted_room = 2 * n;
        c->sorted = mem_resize(c->sorted, c->sorted_room, sizeof *c->sorted);
    }
    if (!gather(c, which))
        qsort(c->sorted, n, sizeof *c->sorted, by_logit);
    c->sorted_at = which;
    return c->sorted;
}

/* -- fronts -- */

/* How many of the bucket at which `at` stands belong to `f`. */
static uint32_t limit(const struct candidates *c, struct candidates_front f, struct candidates_front at)
{
    return at.bucket == f.bucket ? f.within : c->bucket[at.bucket].n;
}

struct candidates_front candidates_first(struct candidates *c, uint32_t n)
{
    struct candidates_front at = {0};
    for (; at.bucket < BUCKETS && c->bucket[at.bucket].n <= n; at.bucket++) {
        n -= c->bucket[at.bucket].n;
        at.sum += c->bucket[at.bucket].sum;
    }
    for (const struct candidate *s = at.bucket < BUCKETS && n ? sort(c, at.bucket) : NULL; at.within < n && s;)
        at.sum += s[at.within++].weight;
    return at;
}

struct candidates_front candidates_heavy(struct candidates *c, struct candidates_front f, float top_p)
{
    struct candidates_front at = {0};
    if (top_p >= 1)
        return f;
    wide need = (wide)f.sum * (uint64_t)(top_p * 0x1p24f);
    for (; at.bucket < f.bucket && (wide)(at.sum + c->bucket[at.bucket].sum) << 24 < need; at.bucket++)
        at.sum += c->bucket[at.bucket].sum;
    const struct candidate *s = sort(c, at.bucket);
    do
        at.sum += s[at.within++].weight;
    while (at.within < limit(c, f, at) && (wide)at.sum << 24 < need);
    return at;
}

struct candidates_front candidates_likely(struct candidates *c, struct candidates_front f, float min_p)
{
    struct candidates_front at = {0};
    for (; at.bucket < f.bucket && c->bucket[at.bucket].least >= min_p; at.bucket++)
        at.sum += c->bucket[at.bucket].sum;
    if (at.bucket == BUCKETS || limit(c, f, at) == 0)
        return at;
    const struct candidate *s = sort(c, at.bucket);
    while (at.within < limit(c, f, at) && (s[at.within].p >= min_p || at.sum == 0))
        at.sum += s[at.within++].weight;
    return at;
}

uint32_t candidates_at(struct candidates *c, uint64_t at)
{
    uint32_t bucket = 0, i = 0;
    uint64_t sum = 0;
    for (; sum + c->bucket[bucket].sum <= at; bucket++)
        sum += c->bucket[bucket].sum;
    const struct candidate *s = sort(c, bucket);
    while ((sum += s[i].weight) <= at)
        i++;
    return s[i].id;
}
