/* The channels that a provider is paid through: as the ledger has them, and room for one more. */
#include "node/market/provider_in.h"

#include "base/limits.h"

/* Has it come to its end, with nothing in escrow for which somebody may ask for its receipts? */
static bool is_over(const struct provider *p, const struct channel *c)
{
    struct rec_channel rec;
    return !ledger_channel(p->s.ledger, &c->head.id, &rec) && !ledger_channel_in_escrow(p->s.ledger, &c->head.id);
}

bool provider_serves(const struct provider *p, const struct channel *c)
{
    const struct serving *v = p->serving;
    while (v && v->channel != c)
        v = v->next;
    return v != NULL;
}

bool provider_forget(struct provider *p, struct channel *c)
{
    struct kv_batch batch = {0};
    struct amount before = p->retain.earned;
    channel_forget(c, MARKET_SIDE_PROVIDER, &batch);
    provider_put_earned(p, c, &batch);
    bool good = kv_write(p->s.kv, &batch, false, NULL) == ERR_OK;
    kv_batch_clear(&batch);
    if (good)
        channel_list_remove(&p->channels, c);
    else
        p->retain.earned = before;
    return good;
}

/* For one more: in the place of one that was never used, which the ledger remembers, or of one that is over. Others
 * could else fill the list for the price of opening channels, and years would. */
static bool make_room(struct provider *p)
{
    for (size_t i = 0; p->channels.n >= CHANNELS_MAX && i < p->channels.n; i++) {
        struct channel *c = p->channels.at[i];
        if (!provider_serves(p, c) && (c->n == 0 || is_over(p, c)))
            return provider_forget(p, c);
    }
    return p->channels.n < CHANNELS_MAX;
}

struct channel *provider_channel(struct provider *p, const struct hash *id)
{
    struct rec_channel rec;
    struct channel *c = channel_list_find(&p->channels, id);
    if (!ledger_channel(p->s.ledger, id, &rec) || !pubkey_equal(&rec.provider, &p->s.self))
        return c;
    if (!c && !make_room(p))
        return NULL;
    return channel_list_refresh(&p->channels, &p->s.chain, &rec);
}

void provider_each_channel(struct provider *p, channel_fn fn, void *arg)
{
    channel_list_each(&p->channels, fn, arg);
}

enum err provider_store_channel(struct provider *p, const struct channel *c)
{
    struct kv_batch batch = {0};
    channel_store(c, MARKET_SIDE_PROVIDER, CHANNEL_NO_JOB, &batch);
    enum err e = kv_write(p->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    return e;
}
