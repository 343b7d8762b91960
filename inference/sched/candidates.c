/* Tokens in order, as far as it matters; see the header. What is computed for all of a vocabulary goes in pieces of a
 * constant length, for which the compiler uses its own vectors. */
#include "inference/sched/candidates.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define BUCKETS 2048u
#define PIECE   256u
#define GUESSES 256u
#define LEAST   (-23.0f) /* e^-23 x 2^32 < 1 */
#define ONE     0x1p-32f /* e^x of weight 1 */

__extension__ typedef unsigned __int128 wide;

struct candidate {
    float logit;
    float p; /* e^x */
    uint32_t id;
    uint64_t weight;
};

struct candidates {
    const struct ops *ops;
    uint32_t vocab, room; /* room: whole pieces */
    const float *logits;
    float *p;                 /* [room] x, then e^x; 0: no candidate */
    uint16_t *place;          /* [room] bucket */
    uint64_t sum[BUCKETS];    /* of weights */
    struct candidate *sorted; /* [sorted_n] of bucket sorted_at, BUCKETS: of none */
    uint32_t sorted_at, sorted_n, sorted_room;
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

/* About where the least x is, by a few of them: buckets reach down to it, and the last one has what is below, too. */
static float guess_least(const struct candidates *c, const float *logits, float peak, float temp)
{
    float least = 0;
    for (uint32_t i = 0, step = c->vocab / GUESSES + 1; i < c->vocab; i += step) {
        float x = (logits[i] - peak) / temp;
        least = x < least ? x : least;
    }
    return least < LEAST ? LEAST : least;
}

/* x of a piece, -infinity where it makes no candidate, and the bucket of each, rising as x falls. What a mask does not
 * allow may be over the peak. */
static void place(const float *restrict logits, float peak, float temp, float least, float scale, float *restrict x,
                  uint16_t *restrict out)
{
    for (size_t i = 0; i < PIECE; i++) {
        float value = (logits[i] - peak) / temp;
        float below = value >= least ? -value : -least;
        x[i] = value >= LEAST ? value : -INFINITY;
        below = below > 0 ? below : 0;
        out[i] = (uint16_t)(int32_t)(below * scale);
    }
}

static uint64_t weight_of(float p)
{
    return (uint64_t)(int64_t)(p * 0x1p32f); /* signed, since processors convert that at once */
}

/* A piece of what is not allowed becomes no candidate. */
static void mask_out(float *p, uint32_t first, uint32_t end, const uint32_t *mask)
{
    for (uint32_t i = first; i < end; i++)
        if (!(mask[i / 32] >> i % 32 & 1))
            p[i] = 0;
}

void candidates_fill(struct candidates *c, const float *logits, const uint32_t *mask, float peak, float temp)
{
    float least = guess_least(c, logits, peak, temp), padded[PIECE];
    float scale = least < -0x1p-64f ? (float)(BUCKETS - 1) / -least : 0.0f; /* else they are one bucket */
    c->logits = logits;
    c->sorted_at = BUCKETS;
    memset(c->sum, 0, sizeof c->sum);
    for (uint32_t i = 0; i < c->room; i += PIECE) {
        const float *from = logits + i;
        if (c->vocab - i < PIECE) {
            for (uint32_t k = 0; k < PIECE; k++)
                padded[k] = i + k < c->vocab ? logits[i + k] : -INFINITY;
            from = padded;
        }
        place(from, peak, temp, least, scale, c->p + i, c->place + i);
        c->ops->exponentials(c->p + i, PIECE, 0.0f);
        if (mask)
            mask_out(c->p, i, i + PIECE < c->vocab ? i + PIECE : c->vocab, mask);
        for (uint32_t k = i; k < i + PIECE; k++)
            c->sum[c->place[k]] += weight_of(c->p[k]);
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

static void add_sorted(struct candidates *c, uint32_t i)
{
    if (c->sorted_n == c->sorted_room) {
        c->sorted_room = c->sorted_room ? 2 * c->sorted_room : 256;
        c->sorted = mem_resize(c->sorted, c->sorted_room, sizeof *c->sorted);
    }
    c->sorted[c->sorted_n++] = (struct candidate){c->logits[i], c->p[i], i, weight_of(c->p[i])};
}

/* The candidates of a bucket, with rising ids; whether that is their order already. */
static bool gather(struct candidates *c, uint32_t which)
{
    bool in_order = true;
    c->sorted_n = 0;
    for (uint32_t first = 0; first < c->room; first += PIECE) {
        if (!has(c->place + first, (uint16_t)which))
            continue;
        for (uint32_t i = first; i < first + PIECE; i++) {
            if (c->place[i] != which || c->p[i] < ONE)
                continue;
            in_order = in_order && (c->sorted_n == 0 || c->sorted[c->sorted_n - 1].logit >= c->logits[i]);
            add_sorted(c, i);
        }
    }
    return in_order;
}

static const struct candidate *sort(struct candidates *c, uint32_t which)
{
    if (c->sorted_at == which)
        return c->sorted;
    if (!gather(c, which))
        qsort(c->sorted, c->sorted_n, sizeof *c->sorted, by_logit);
    c->sorted_at = which;
    return c->sorted;
}

/* -- fronts -- */

/* How many of the bucket that is sorted, at which `at` stands, belong to `f`. */
static uint32_t limit(const struct candidates *c, struct candidates_front f, struct candidates_front at)
{
    return at.bucket == f.bucket ? f.within : c->sorted_n;
}

/* All of the buckets before `end`. */
static struct candidates_front before(const struct candidates *c, uint32_t end)
{
    struct candidates_front at = {.bucket = end};
    for (uint32_t b = 0; b < end; b++)
        at.sum += c->sum[b];
    return at;
}

struct candidates_front candidates_first(struct candidates *c, uint32_t n)
{
    uint32_t count[BUCKETS] = {0}, bucket = 0;
    if (n >= c->vocab)
        return before(c, BUCKETS);
    for (uint32_t i = 0; i < c->room; i++)
        count[c->place[i]] += c->p[i] >= ONE;
    for (; bucket < BUCKETS && count[bucket] <= n; bucket++)
        n -= count[bucket];
    struct candidates_front at = before(c, bucket);
    if (bucket == BUCKETS || n == 0)
        return at;
    for (const struct candidate *s = sort(c, bucket); at.within < n;)
        at.sum += s[at.within++].weight;
    return at;
}

struct candidates_front candidates_heavy(struct candidates *c, struct candidates_front f, float top_p)
{
    struct candidates_front at = {0};
    if (top_p >= 1)
        return f;
    wide need = (wide)f.sum * (uint64_t)(top_p * 0x1p24f);
    for (; at.bucket < f.bucket && (wide)(at.sum + c->sum[at.bucket]) << 24 < need; at.bucket++)
        at.sum += c->sum[at.bucket];
    const struct candidate *s = sort(c, at.bucket);
    do
        at.sum += s[at.within++].weight;
    while (at.within < limit(c, f, at) && (wide)at.sum << 24 < need);
    return at;
}

/* The first bucket of a piece in which a candidate is under min_p, `first` if that is before it. */
static uint16_t first_under(const float *restrict p, const uint16_t *restrict place, float min_p, uint16_t first)
{
    for (size_t i = 0; i < PIECE; i++)
        if (p[i] < min_p && p[i] >= ONE && place[i] < first)
            first = place[i];
    return first;
}

struct candidates_front candidates_likely(struct candidates *c, struct candidates_front f, float min_p)
{
    uint16_t under = (uint16_t)BUCKETS;
    if (min_p <= 0)
        return f;
    for (uint32_t i = 0; i < c->room; i += PIECE)
        under = first_under(c->p + i, c->place + i, min_p, under);
    struct candidates_front at = before(c, under < f.bucket ? under : f.bucket);
    if (at.bucket == BUCKETS || (at.bucket == f.bucket && f.within == 0))
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
    for (; sum + c->sum[bucket] <= at; bucket++)
        sum += c->sum[bucket];
    const struct candidate *s = sort(c, bucket);
    while ((sum += s[i].weight) <= at)
        i++;
    return s[i].id;
}
