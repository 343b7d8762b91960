/* Guessing, and whether it pays. Times decide how much is guessed and never what is answered. */
#include "inference/sched/draft.h"

#include "base/err.h"

#define RUN_LEAST 2u   /* tokens that must be alike before what follows is worth a guess */
#define RUN_MOST  32u  /* longer ones say no more */
#define LATE      0.1  /* weight of the last time measured */
#define SEEN      0.04 /* ... and of the last guess compared */
#define FIRST     4u   /* tokens of a guess while nothing is known */
#define PAUSE     12u  /* steps until another try where guesses do not pay; doubles, up to two times */

/* How many tokens before `a` and before `b` are alike, a < b. */
static uint32_t alike(const uint32_t *tokens, uint32_t a, uint32_t b)
{
    uint32_t n = 0;
    while (n < RUN_MOST && n < a && tokens[a - 1 - n] == tokens[b - 1 - n])
        n++;
    return n;
}

uint32_t draft_guess(const uint32_t *tokens, uint32_t n, uint32_t max, uint32_t *out)
{
    uint32_t best = 0, from = 0;
    for (uint32_t at = n; --at > 0 && best < RUN_MOST;) {
        uint32_t run = tokens[at - 1] == tokens[n - 1] ? alike(tokens, at, n) : 0;
        if (run > best) { /* the last of equals */
            best = run;
            from = at;
        }
    }
    if (best < RUN_LEAST)
        return 0;
    for (uint32_t i = 0; i < max; i++) /* beyond the end what was guessed goes round again */
        out[i] = from + i < n ? tokens[from + i] : out[from + i - n];
    return max;
}

static void blend(double *average, double value)
{
    *average = *average > 0 ? *average + (value - *average) * LATE : value;
}

void draft_measure(struct draft_cost *c, uint32_t guesses, uint64_t us)
{
    CHECK(guesses <= DRAFT_MAX);
    blend(guesses ? &c->with_us[guesses] : &c->plain_us, (double)us);
}

/* The cost of a batch with k guesses: measured, or between what was measured beside it; 0: unknown. */
static double cost_of(const struct draft_cost *c, uint32_t k)
{
    uint32_t low = k, high = k;
    if (c->with_us[k] > 0)
        return c->with_us[k];
    while (low > 0 && !(c->with_us[low] > 0))
        low--;
    while (high <= DRAFT_MAX && !(c->with_us[high] > 0))
        high++;
    double a = low ? c->with_us[low] : c->plain_us;
    if (high > DRAFT_MAX)
        return low ? c->plain_us + (a - c->plain_us) * k / low : 0;
    return a + (c->with_us[high] - a) * (k - low) / (high - low);
}

/* Tokens that a step with k guesses gives: 1 + p + p^2 + ... */
static double gain_of(double right, uint32_t k)
{
    double gain = 1, power = 1;
    for (uint32_t i = 0; i < k; i++)
        gain += power *= right;
    return gain;
}

uint32_t draft_length(struct draft *d, const struct draft_cost *c, uint32_t room)
{
    static const uint32_t lengths[] = {2, 3, 5, 7, 11, 15};
    uint32_t most = d->most < room ? d->most : room, best = 0;
    if (most == 0)
        return 0;
    if (d->pause > 0) {
        d->pause--;
        return 0;
    }
    if (c && !(c->plain_us > 0))
        return 0; /* to have something to compare with */
    if (!c || d->reached < 2 * FIRST)
        return most < FIRST ? most : FIRST;
    double speed = 1 / c->plain_us;
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint32_t k = lengths[i] < most ? lengths[i] : most;
        double us = cost_of(c, k);
        if (us > 0 && gain_of((double)d->right, k) / us > speed * 1.02) {
            speed = gain_of((double)d->right, k) / us;
            best = k;
        }
    }
    if (best > 0)
        d->unpaid = 0;
    else {
        d->pause = PAUSE << d->unpaid;
        d->unpaid += d->unpaid < 2;
        return most < 2 ? most : 2; /* once, to see whether that is still so */
    }
    return best;
}

void draft_learn(struct draft *d, uint32_t guessed, uint32_t right)
{
    CHECK(right <= guessed);
    uint32_t reached = right < guessed ? right + 1 : right;
    for (uint32_t i = 0; i < reached; i++) {
        double average = (double)d->right;
        average += ((i < right ? 1.0 : 0.0) - average) * (d->reached < 25 ? 1.0 / (d->reached + 1.0) : SEEN);
        d->right = (float)average;
        d->reached++;
    }
    d->guessed += guessed;
    d->counted += right;
}
