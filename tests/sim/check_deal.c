/* Who provides answers for what he settled: of the bond that he had when a settlement was made nothing is back with him
 * before it is over, and two mismatches cost a part of it. From blocks alone. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

#define SETTLED_MAX 16

struct settled {
    struct hash id;
    uint64_t height;
    bool is_over;
};

struct answers {
    struct sim *sim;
    uint64_t height; /* all blocks up to it were looked at */
    struct pubkey owner;
    struct settled at[SETTLED_MAX];
    unsigned n, forfeited;
    uint64_t withdrawn_height; /* of the last withdrawal */
    bool is_slashed, is_off;
};

struct answers *answers_new(struct sim *s)
{
    struct answers *a = mem_new(sizeof *a);
    a->sim = s;
    a->owner = s->dealer_id[SIM_DEALER_PROVIDER];
    return a;
}

void answers_free(struct answers *a)
{
    free(a);
}

static void over(struct answers *a, const struct hash *id)
{
    for (unsigned i = 0; i < a->n; i++)
        if (hash_equal(&a->at[i].id, id))
            a->at[i].is_over = true;
}

static void look_at_event(struct answers *a, const struct sim_node *n, uint64_t height, const struct ledger_event *e)
{
    if (e->kind == LEDGER_SETTLED && a->n < SETTLED_MAX)
        a->at[a->n++] = (struct settled){.id = e->id, .height = height};
    if (e->kind == LEDGER_FORFEITED || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER))
        over(a, &e->id);
    a->forfeited += e->kind == LEDGER_FORFEITED;
    if (e->kind == LEDGER_SLASHED && e->code == BOND_PROVIDER) {
        a->is_slashed = true;
        sim_note(a->sim, "provider slashed height=%" PRIu64 " mote=%" PRIu64, height, e->amount.mote);
    }
    if (e->kind != LEDGER_UNBONDED || e->code != BOND_PROVIDER || !pubkey_equal(&e->a, &a->owner))
        return;
    for (unsigned i = 0; i < a->n; i++)
        if (!a->at[i].is_over && a->at[i].height <= a->withdrawn_height)
            sim_violated(a->sim, "answers",
                         "node %s, block %" PRIu64
                         ": the provider's bond is back, and what it settled in block %" PRIu64 " is in escrow",
                         n->name, height, a->at[i].height);
}

void answers_block(struct answers *a, const struct sim_node *n, const struct consensus_block *b)
{
    uint64_t height = b->header->height;
    a->is_off = a->is_off || height > a->height + 1;
    if (a->is_off || height <= a->height)
        return;
    a->height = height;
    for (uint32_t i = 0; i < b->result->events_n; i++)
        look_at_event(a, n, height, &b->result->events[i]);
    for (uint32_t i = 0; i < b->header->txs_n; i++) {
        struct tx t;
        if (b->result->codes[i] == ERR_OK && tx_decode(b->txs[i], &t, NULL) == ERR_OK && t.kind == TX_UNBOND &&
            pubkey_equal(&t.signer, &a->owner))
            a->withdrawn_height = height;
    }
}

bool answers_done(const struct answers *a)
{
    return a->is_off || a->forfeited >= 2;
}

void answers_end(struct answers *a)
{
    if (!a->is_off && a->forfeited >= 2 && !a->is_slashed)
        sim_violated(a->sim, "answers", "two settlements were forfeited for mismatches, and nothing was slashed");
    if (!a->is_off && a->forfeited < 2)
        sim_violated(a->sim, "answers", "%u settlements of a provider that cheats were forfeited, of 2", a->forfeited);
}
