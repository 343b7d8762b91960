/* Offers: signing, checking, the table, and choosing. */
#include "node/market/offer.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(offer, OFFER_FIELDS)

struct offers { /* sorted by (model, provider) */
    struct offer *v;
    size_t n, room;
};

static struct hash offer_hash(const struct offer *o)
{
    struct buf b = {0};
    offer_put(&b, o);
    struct hash h = hash_once(HASH_OFFER, b.p, b.n - sizeof o->sig.b);
    buf_clear(&b);
    return h;
}

void offer_sign(struct offer *o, const struct seckey *node)
{
    struct hash h = offer_hash(o);
    key_sign_hash(node, &h, NULL, &o->sig);
}

enum err offer_decode(struct bytes b, const struct hash *chain, uint64_t wall_ms, struct offer *out)
{
    struct cursor c = cursor_of(b);
    offer_get(&c, out);
    if (!cursor_end(&c))
        return ERR_FORMAT;
    if (!hash_equal(&out->chain, chain))
        return ERR_CHAIN;
    if (out->issued_ms > wall_ms + OFFER_SKEW_MS || out->expiry_ms <= out->issued_ms ||
        out->expiry_ms - out->issued_ms > OFFER_LIFE_MS)
        return ERR_RANGE;
    if (out->expiry_ms + OFFER_SKEW_MS <= wall_ms)
        return ERR_EXPIRED;
    struct hash h = offer_hash(out);
    return key_verify_hash(&out->provider, &h, &out->sig) ? ERR_OK : ERR_AUTH;
}

bool offer_cost(struct amount price_in, struct amount price_out, uint64_t tokens_in, uint64_t tokens_out,
                struct amount *out)
{
    __extension__ typedef unsigned __int128 wide;
    wide in = (wide)price_in.mote * tokens_in, made = (wide)price_out.mote * tokens_out;
    wide sum = (in + made + 999999) / 1000000;
    if (sum < in / 1000000 || sum > UINT64_MAX)
        return false;
    out->mote = (uint64_t)sum;
    return true;
}

struct offers *offers_new(void)
{
    return mem_new(sizeof(struct offers));
}

void offers_free(struct offers *t)
{
    if (!t)
        return;
    free(t->v);
    free(t);
}

static int compare(const struct offer *o, const struct hash *model, const struct pubkey *provider)
{
    int by_model = hash_compare(&o->model, model);
    return by_model ? by_model : pubkey_compare(&o->provider, provider);
}

/* Index of the first entry that is not before (model, provider). */
static size_t place(const struct offers *t, const struct hash *model, const struct pubkey *provider)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&t->v[middle], model, provider) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool alive(const struct offer *o, uint64_t wall_ms)
{
    return o->expiry_ms + OFFER_SKEW_MS > wall_ms;
}

static void drop_expired(struct offers *t, uint64_t wall_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++)
        if (alive(&t->v[i], wall_ms))
            t->v[kept++] = t->v[i];
    t->n = kept;
}

bool offers_add(struct offers *t, const struct offer *o, uint64_t wall_ms)
{
    size_t i = place(t, &o->model, &o->provider);
    if (i < t->n && compare(&t->v[i], &o->model, &o->provider) == 0) {
        if (t->v[i].issued_ms >= o->issued_ms)
            return false;
        t->v[i] = *o;
        return true;
    }
    if (t->n == OFFERS_MAX) {
        drop_expired(t, wall_ms);
        if (t->n == OFFERS_MAX)
            return false;
        i = place(t, &o->model, &o->provider);
    }
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 16;
        t->v = mem_resize(t->v, t->room, sizeof *t->v);
    }
    memmove(&t->v[i + 1], &t->v[i], (t->n - i) * sizeof *t->v);
    t->v[i] = *o;
    t->n++;
    return true;
}

static bool excluded(const struct offer_need *need, const struct pubkey *provider)
{
    for (unsigned i = 0; i < need->exclude_n; i++)
        if (pubkey_equal(&need->exclude[i], provider))
            return true;
    return false;
}

static bool cost_of(const struct offer *o, const struct offer_need *need, struct amount *cost)
{
    return need->cost ? need->cost(need->cost_arg, o, cost)
                      : offer_cost(o->price_in, o->price_out, need->prompt_tokens, need->tokens_max, cost);
}

/* What speaks against this one, from the worst; *cost is set from OFFERS_DEAR on. */
static enum offers_lack lack_of(const struct offer *o, const struct offer_need *need, uint64_t wall_ms,
                                struct amount *cost)
{
    uint64_t tokens = (uint64_t)need->prompt_tokens + need->tokens_max;
    if (!hash_equal(&o->model, &need->model) || o->arith != need->arith || !alive(o, wall_ms) || o->slots == 0)
        return OFFERS_NONE;
    if (need->prompt_tokens >= o->context || tokens > (uint64_t)o->context || !cost_of(o, need, cost))
        return OFFERS_SMALL;
    if (amount_compare(*cost, need->budget) > 0)
        return OFFERS_DEAR;
    return o->slots_free == 0 || excluded(need, &o->provider) ? OFFERS_BUSY : OFFERS_FIT;
}

enum offers_lack offers_lack(const struct offers *t, const struct offer_need *need, uint64_t wall_ms,
                             struct amount *least)
{
    static const struct pubkey lowest;
    enum offers_lack best = OFFERS_NONE;
    *least = amount_of(UINT64_MAX);
    for (size_t i = place(t, &need->model, &lowest); i < t->n && hash_equal(&t->v[i].model, &need->model); i++) {
        struct amount cost;
        enum offers_lack this = lack_of(&t->v[i], need, wall_ms, &cost);
        if (this > best)
            best = this;
        if (this >= OFFERS_DEAR && amount_compare(cost, *least) < 0)
            *least = cost;
    }
    return best;
}

static uint64_t estimated_ms(const struct offer *o, uint32_t tokens)
{
    return o->first_token_ms + (o->tokens_per_s ? UINT64_C(1000) * tokens / o->tokens_per_s : UINT64_C(1) << 40);
}

const struct offer *offers_pick(const struct offers *t, const struct offer_need *need, uint64_t wall_ms)
{
    const struct offer *best = NULL;
    struct amount best_cost = {0};
    static const struct pubkey lowest;
    for (size_t i = place(t, &need->model, &lowest); i < t->n && hash_equal(&t->v[i].model, &need->model); i++) {
        const struct offer *o = &t->v[i];
        struct amount cost;
        if (lack_of(o, need, wall_ms, &cost) != OFFERS_FIT)
            continue;
        int by_cost = best ? amount_compare(cost, best_cost) : -1;
        if (by_cost < 0 || (by_cost == 0 && estimated_ms(o, need->tokens_max) < estimated_ms(best, need->tokens_max))) {
            best = o;
            best_cost = cost;
        }
    }
    return best;
}

void offers_each(const struct offers *t, uint64_t wall_ms, offer_fn fn, void *arg)
{
    for (size_t i = 0; i < t->n; i++)
        if (alive(&t->v[i], wall_ms) && t->v[i].slots)
            fn(arg, &t->v[i]);
}
