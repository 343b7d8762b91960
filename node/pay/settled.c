/* Settlements by channel and receipt. Each begins with the last receipt of the one before, so that those over one
 * receipt stand beside each other. */
#include "node/pay/settled.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void settled_clear(struct settled *t)
{
    free(t->at);
    *t = (struct settled){0};
}

static int order(const struct settled_entry *a, const struct settled_entry *b)
{
    int by_channel = memcmp(a->channel.b, b->channel.b, sizeof a->channel.b);
    if (by_channel)
        return by_channel;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return a->height < b->height ? -1 : a->height > b->height;
}

/* How many are before it. */
static size_t place(const struct settled *t, const struct settled_entry *e)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&t->at[middle], e) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The ledger keeps a settlement that is over for a while: half of the room at least is of those that it has. */
static void make_room(struct settled *t, const struct ledger *l)
{
    struct rec_settlement s;
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++)
        if (ledger_settlement(l, &t->at[i].id, &s))
            t->at[kept++] = t->at[i];
    t->n = kept;
    if (t->n > t->room / 2 || !t->room) {
        t->room = t->room ? 2 * t->room : 16;
        t->at = mem_resize(t->at, t->room, sizeof *t->at);
    }
}

static void add(struct settled *t, const struct ledger *l, const struct rec_settlement *s)
{
    const struct settled_entry e = {s->channel, s->id, s->height, s->from, s->count};
    if (t->n == t->room)
        make_room(t, l);
    size_t at = place(t, &e);
    for (size_t i = at; i < t->n && order(&t->at[i], &e) == 0; i++)
        if (hash_equal(&t->at[i].id, &e.id))
            return;
    memmove(t->at + at + 1, t->at + at, (t->n - at) * sizeof *t->at);
    t->at[at] = e;
    t->n++;
}

void settled_read(struct settled *t, const struct ledger *l, const struct pubkey *payer)
{
    struct rec_settlement s;
    struct hash last;
    t->n = 0;
    t->height = ledger_info(l).height;
    for (const struct hash *after = NULL; ledger_settlement_next(l, after, &s); after = &last) {
        last = s.id;
        if (pubkey_equal(&s.payer, payer))
            add(t, l, &s);
    }
}

void settled_add(struct settled *t, const struct ledger *l, const struct pubkey *payer, const struct hash *id)
{
    struct rec_settlement s;
    if (ledger_settlement(l, id, &s) && pubkey_equal(&s.payer, payer))
        add(t, l, &s);
}

void settled_block(struct settled *t, const struct ledger *l, const struct pubkey *payer)
{
    const uint64_t height = ledger_info(l).height;
    if (height > t->height + 1)
        settled_read(t, l, payer);
    t->height = height;
}

bool settled_next(const struct settled *t, const struct ledger *l, const struct hash *channel, uint32_t index,
                  size_t *at, struct rec_settlement *out)
{
    const struct settled_entry first = {.channel = *channel, .count = index + 1};
    size_t i = *at ? *at : place(t, &first);
    for (; i < t->n && hash_equal(&t->at[i].channel, channel) && t->at[i].from <= index; i++)
        if (ledger_settlement(l, &t->at[i].id, out)) {
            *at = i + 1;
            return true;
        }
    return false;
}
