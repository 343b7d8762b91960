/* What is in escrow. */
#include "node/pay/escrow.h"

#include "base/mem.h"

#include <stdlib.h>

void escrow_clear(struct escrow *e)
{
    free(e->at);
    *e = (struct escrow){0};
}

struct reading {
    struct escrow *e;
    const struct pubkey *self;
};

static bool add_ours(void *arg, const struct rec_settlement *s)
{
    const struct reading *r = arg;
    struct escrow *e = r->e;
    if (!pubkey_equal(&s->provider, r->self) && !pubkey_equal(&s->payer, r->self))
        return true;
    if (e->n == e->room) {
        e->room = e->room ? 2 * e->room : 16;
        e->at = mem_resize(e->at, e->room, sizeof *e->at);
    }
    e->at[e->n++] = (struct escrow_entry){s->channel, s->receipts_root, s->from, s->count};
    return true;
}

void escrow_read(struct escrow *e, const struct ledger *l, const struct pubkey *self)
{
    struct reading r = {e, self};
    e->n = 0;
    ledger_escrow_each(l, add_ours, &r);
}

bool escrow_has_root(const struct escrow *e, const struct hash *receipts_root)
{
    for (size_t i = 0; i < e->n; i++)
        if (hash_equal(&e->at[i].receipts_root, receipts_root))
            return true;
    return false;
}

bool escrow_has_channel(const struct escrow *e, const struct hash *channel)
{
    for (size_t i = 0; i < e->n; i++)
        if (hash_equal(&e->at[i].channel, channel))
            return true;
    return false;
}

bool escrow_may_ask(const struct escrow *e, const struct ledger *l, const struct hash *channel, uint32_t index)
{
    struct rec_channel rec;
    for (size_t i = 0; i < e->n; i++)
        if (hash_equal(&e->at[i].channel, channel) && e->at[i].from <= index && index < e->at[i].count)
            return true;
    /* a settlement begins with the last receipt of the one before */
    return ledger_channel(l, channel, &rec) && (uint64_t)index + 1 >= rec.receipts;
}
