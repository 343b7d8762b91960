/* Choosing a token. See the header for the rules by number. */
#include "inference/sampler.h"

#include "base/mem.h"

#include <stdlib.h>

struct candidate {
    float logit;
    float p; /* e^x */
    uint32_t id;
    uint64_t weight;
};

struct sampler {
    uint32_t vocab;
    struct candidate *candidates; /* [vocab] */
    uint32_t *counts;             /* [vocab], zero between calls */
};

struct sampler *sampler_new(uint32_t vocab)
{
    struct sampler *s = mem_new(sizeof *s);
    s->vocab = vocab;
    s->candidates = mem_array(vocab, sizeof *s->candidates);
    s->counts = mem_array(vocab, sizeof *s->counts);
    return s;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->candidates);
    free(s->counts);
    free(s);
}

/* Rule 1. */
static void penalise(struct sampler *s, const struct request *r, float *logits, const uint32_t *recent, size_t n)
{
    size_t from = n > r->window ? n - r->window : 0;
    if (r->repeat_penalty == 1 && r->presence == 0 && r->frequency == 0)
        return;
    for (size_t i = from; i < n; i++)
        if (recent[i] < s->vocab)
            s->counts[recent[i]]++;
    for (size_t i = from; i < n; i++) {
        uint32_t id = recent[i], count = id < s->vocab ? s->counts[id] : 0;
        if (count == 0)
            continue; /* done with its first occurrence */
        float l = logits[id];
        l = l > 0 ? l / r->repeat_penalty : l * r->repeat_penalty;
        l = l - r->presence;
        l = l - (float)(int32_t)count * r->frequency;
        logits[id] = l;
        s->counts[id] = 0;
    }
}

/* Rule 0. */
static bool is_allowed(const uint32_t *mask, uint32_t id)
{
    return !mask || mask[id / 32] >> id % 32 & 1;
}

static uint32_t largest(const uint32_t *mask, const float *logits, uint32_t n)
{
    uint32_t best = 0;
    while (best + 1 < n && !is_allowed(mask, best))
        best++;
    for (uint32_t i = best + 1; i < n; i++)
        if (logits[i] > logits[best] && is_allowed(mask, i))
            best = i;
    return best;
}

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Rules 3 and 4. */
static uint32_t gather(struct sampler *s, const struct request *r, const uint32_t *mask, const float *logits,
                       float peak)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        float x = (logits[i] - peak) / r->temp;
        if (x < -23.0f || !is_allowed(mask, i)) /* e^-23 x 2^32 < 1 */
            continue;
        float p = arith_exp(x);
        uint64_t weight = (uint64_t)(p * 0x1p32f);
        if (weight)
            s->candidates[n++] = (struct candidate){logits[i], p, i, weight};
    }
    qsort(s->candidates, n, sizeof *s->candidates, by_logit);
    return r->top_k && r->top_k < n ? r->top_k : n;
}

static uint64_t sum_of(const struct candidate *c, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += c[i].weight;
    return sum;
}

/* Rule 5; top_p as an integer of 24 bits, which a binary32 in 0..1 scales to without loss above 2^-24. */
static uint32_t front(const struct candidate *c, uint32_t n, float top_p)
{
    __extension__ typedef unsigned __int128 wide;
    if (top_p >= 1)
        return n;
    wide need = (wide)sum_of(c, n) * (uint64_t)(top_p * 0x1p24f);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += c[i].weight;
        if ((wide)sum << 24 >= need)
            return i + 1;
    }
    return n;
}

/* Rule 6. */
static uint32_t likely(const struct candidate *c, uint32_t n, float min_p)
{
    uint32_t kept = 1;
    while (kept < n && c[kept].p >= min_p)
        kept++;
    return kept;
}

/* Rule 7. */
static uint32_t draw(const struct candidate *c, uint32_t n, const struct request *r, uint32_t choice, uint32_t position)
{
    __extension__ typedef unsigned __int128 wide;
    uint8_t message[8];
    store_le32(message, choice);
    store_le32(message + 4, position);
    struct hash h = hash_keyed(HASH_SAMPLE, r->seed.b, message, sizeof message);
    uint64_t at = (uint64_t)((wide)load_le64(h.b) * sum_of(c, n) >> 64), sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += c[i].weight;
        if (sum > at)
            return c[i].id;
    }
    return c[n - 1].id;
}

uint32_t sampler_pick(struct sampler *s, const struct request *r, const uint32_t *mask, float *logits,
                      const uint32_t *recent, size_t recent_n, uint32_t choice, uint32_t position)
{
    penalise(s, r, logits, recent, recent_n);
    uint32_t best = largest(mask, logits, s->vocab);
    if (r->temp == 0 || !arith_is_finite(logits[best])) /* a penalty may overflow */
        return best;
    uint32_t n = gather(s, r, mask, logits, logits[best]);
    n = front(s->candidates, n, r->top_p);
    n = likely(s->candidates, n, r->min_p);
    return draw(s->candidates, n, r, choice, position);
}
