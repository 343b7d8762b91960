/* Choosing a token. See the header for the rules by number. */
#include "inference/sched/sampler.h"

#include "base/mem.h"
#include "inference/sched/candidates.h"

#include <stdlib.h>

struct sampler {
    const struct ops *ops;
    uint32_t vocab;
    struct candidates *candidates; /* NULL: not needed yet */
    uint32_t *counts;              /* [vocab], zero between calls; NULL: not needed yet */
};

struct sampler *sampler_new(const struct ops *ops, uint32_t vocab)
{
    struct sampler *s = mem_new(sizeof *s);
    s->ops = ops;
    s->vocab = vocab;
    return s;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    candidates_free(s->candidates);
    free(s->counts);
    free(s);
}

static bool has_penalties(const struct request *r)
{
    return r->repeat_penalty != 1 || r->presence != 0 || r->frequency != 0;
}

bool sampler_is_plain(const struct request *r)
{
    return r->temp == 0 && !has_penalties(r) && r->biases.n == 0;
}

/* Of rule 0. */
static void add_biases(const struct request *r, float *logits)
{
    for (uint32_t i = 0; i < request_biases_n(r); i++) {
        struct request_bias b = request_bias_at(r, i);
        logits[b.token] = logits[b.token] + b.add;
    }
}

/* Rule 1. */
static void penalise(struct sampler *s, const struct request *r, float *logits, const uint32_t *recent, size_t n)
{
    size_t from = n > r->window ? n - r->window : 0;
    if (!has_penalties(r))
        return;
    if (!s->counts)
        s->counts = mem_array(s->vocab, sizeof *s->counts);
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

/* One by one; a penalty may have made logits that are not finite. */
static uint32_t largest_allowed(const uint32_t *mask, const float *logits, uint32_t n)
{
    uint32_t best = 0;
    while (best + 1 < n && !is_allowed(mask, best))
        best++;
    for (uint32_t i = best + 1; i < n; i++) {
        if (mask && mask[i / 32] == 0) {
            i |= 31;
            continue;
        }
        if (logits[i] > logits[best] && is_allowed(mask, i))
            best = i;
    }
    return best;
}

static uint32_t largest(const struct sampler *s, const uint32_t *mask, const float *logits)
{
    uint32_t best;
    return !mask && ops_largest(s->ops, logits, s->vocab, &best) ? best : largest_allowed(mask, logits, s->vocab);
}

/* Rule 7. */
static uint64_t draw(uint64_t sum, const struct request *r, uint32_t choice, uint32_t position)
{
    __extension__ typedef unsigned __int128 wide;
    uint8_t message[8];
    store_le32(message, choice);
    store_le32(message + 4, position);
    struct hash h = hash_keyed(HASH_SAMPLE, r->seed.b, message, sizeof message);
    return (uint64_t)((wide)load_le64(h.b) * sum >> 64);
}

uint32_t sampler_pick(struct sampler *s, const struct request *r, const uint32_t *mask, float *logits,
                      const uint32_t *recent, size_t recent_n, uint32_t choice, uint32_t position)
{
    add_biases(r, logits);
    penalise(s, r, logits, recent, recent_n);
    uint32_t best = largest(s, mask, logits);
    if (r->temp == 0 || !arith_is_finite(logits[best])) /* a penalty may overflow */
        return best;
    if (!s->candidates)
        s->candidates = candidates_new(s->ops, s->vocab);
    candidates_fill(s->candidates, logits, mask, logits[best], r->temp);                           /* rule 3 */
    struct candidates_front f = candidates_first(s->candidates, r->top_k ? r->top_k : UINT32_MAX); /* rule 4 */
    f = candidates_heavy(s->candidates, f, r->top_p);                                              /* rule 5 */
    f = candidates_likely(s->candidates, f, r->min_p);                                             /* rule 6 */
    return candidates_at(s->candidates, draw(f.sum, r, choice, position));
}
