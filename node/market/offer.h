/* Offers: what providers of the network say they would do, for how much. Signed, gossiped, short-lived,
 * never on the ledger. The table holds at most OFFERS_MAX, one per (provider, model); a newer one replaces
 * an older, an expired one is as good as gone.
 *
 * Pure: no I/O; the time comes in.
 */
#ifndef KITH_NODE_OFFER_H
#define KITH_NODE_OFFER_H

#include "base/codec.h"

/* Prices are mote per million tokens. `slots` 0: nothing is offered any more. `issued_ms` and `expiry_ms` are
 * wall-clock times of the provider; a reader tolerates OFFER_SKEW_MS. */
#define OFFER_FIELDS(F)                                                                                                \
    F(hash, chain)                                                                                                     \
    F(pubkey, provider)                                                                                                \
    F(text255, endpoint)                                                                                               \
    F(hash, model)                                                                                                     \
    F(u32, arith)                                                                                                      \
    F(amount, price_in)                                                                                                \
    F(amount, price_out)                                                                                               \
    F(u32, context)                                                                                                    \
    F(u32, slots)                                                                                                      \
    F(u32, slots_free)                                                                                                 \
    F(u32, first_token_ms)                                                                                             \
    F(u32, tokens_per_s)                                                                                               \
    F(u64, issued_ms)                                                                                                  \
    F(u64, expiry_ms)                                                                                                  \
    F(sig, sig)
RECORD_DECLARE(offer, OFFER_FIELDS)

#define OFFER_SKEW_MS   10000
#define OFFER_BYTES_MAX 640

void offer_sign(struct offer *o, const struct seckey *node);
/* Canonical bytes of a well-formed, signed, unexpired offer of this chain; nothing else decodes. */
enum err offer_decode(struct bytes b, const struct hash *chain, uint64_t wall_ms, struct offer *out) MUST_USE;

/* What this many tokens cost at these prices: ceil((in * price_in + out * price_out) / 10^6). False on
 * overflow. */
bool offer_cost(struct amount price_in, struct amount price_out, uint64_t tokens_in, uint64_t tokens_out,
                struct amount *out) MUST_USE;

struct offers;
struct offers *offers_new(void);
void offers_free(struct offers *t);
/* True if it was news (and should be passed on): unknown, or issued later than what was known. */
bool offers_add(struct offers *t, const struct offer *o, uint64_t wall_ms) MUST_USE;

/* What a job needs, to rank the offers for it. */
struct offer_need {
    struct hash model;
    uint32_t arith;
    uint32_t prompt_tokens, tokens_max;
    struct amount budget;         /* the whole job may cost at most this */
    const struct pubkey *exclude; /* providers that failed this job already */
    unsigned exclude_n;
    /* What the whole job comes to with that offer, where it has a past; NULL: by the numbers above. False: nothing that
     * can be paid. */
    bool (*cost)(void *arg, const struct offer *o, struct amount *out);
    void *cost_arg;
};
/* The best offer, or NULL: it has a free slot, room for the context and fits the budget; cheapest for
 * this job first, then the sooner estimated end, then the smaller key. Borrowed until the table changes. */
const struct offer *offers_pick(const struct offers *t, const struct offer_need *need, uint64_t wall_ms);

/* What the best of them lack, from nothing at all to nothing. *least: the lowest cost among those that are dear or
 * better. */
enum offers_lack {
    OFFERS_NONE,  /* nobody offers the model */
    OFFERS_SMALL, /* nobody has room for so many tokens */
    OFFERS_DEAR,  /* over the budget */
    OFFERS_BUSY,  /* no free slot, or excluded */
    OFFERS_FIT,
};
enum offers_lack offers_lack(const struct offers *t, const struct offer_need *need, uint64_t wall_ms,
                             struct amount *least);

typedef void (*offer_fn)(void *arg, const struct offer *o);
/* Unexpired ones that offer something, in order of (model, provider). */
void offers_each(const struct offers *t, uint64_t wall_ms, offer_fn fn, void *arg);

#endif
