/* Doubts, from blocks alone: each witness that was made up costs the one who does so, and is found by doubting it; a
 * committee believes nobody who makes up what he found; nobody else's bond is touched. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

struct doubts {
    struct sim *sim;
    uint64_t height; /* all blocks up to it were looked at */
    const struct pubkey *lazy;
    unsigned over, lied, found, paid; /* settlements; his witnesses; those found out, and those that cost a bond */
    bool is_off;
};

struct doubts *doubts_new(struct sim *s)
{
    struct doubts *d = mem_new(sizeof *d);
    d->sim = s;
    d->lazy = &s->dealer_id[SIM_DEALER_LAZY];
    return d;
}

void doubts_free(struct doubts *d)
{
    free(d);
}

static void look_at_over(struct doubts *d, const struct sim_node *n, uint64_t height, const struct ledger_event *e)
{
    bool is_lazy = pubkey_equal(&e->b, d->lazy);
    sim_note(d->sim, "doubt over height=%" PRIu64 " receipt=%u lazy=%d code=%u", height, e->index, is_lazy, e->code);
    d->found += is_lazy && e->code == DOUBT_RIGHT;
    if (!is_lazy && e->code == DOUBT_RIGHT)
        sim_violated(d->sim, "doubts", "node %s, block %" PRIu64 ": the witness of a replay passes for made up",
                     n->name, height);
    if (is_lazy && e->code == DOUBT_WRONG)
        sim_violated(d->sim, "doubts", "node %s, block %" PRIu64 ": what was made up passes for a replay's", n->name,
                     height);
}

static void look_at_event(struct doubts *d, const struct sim_node *n, uint64_t height, const struct ledger_event *e,
                          struct hash *slashed)
{
    d->over += e->kind == LEDGER_FORFEITED || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER);
    d->lied += e->kind == LEDGER_AUDIT_VERDICT && e->code == AUDIT_MATCH && pubkey_equal(&e->a, d->lazy);
    if (e->kind == LEDGER_SLASHED && e->code == BOND_AUDITOR) {
        *slashed = e->id;
        if (!pubkey_equal(&e->a, d->lazy))
            sim_violated(d->sim, "doubts", "node %s, block %" PRIu64 ": an auditor who replays was slashed", n->name,
                         height);
    }
    if (e->kind == LEDGER_DOUBT_OVER) {
        look_at_over(d, n, height, e);
        d->paid += e->code == DOUBT_RIGHT && hash_equal(slashed, &e->id);
    }
}

void doubts_block(struct doubts *d, const struct sim_node *n, const struct consensus_block *b)
{
    uint64_t height = b->header->height;
    struct hash slashed = {{0}}; /* for which doubt, last */
    d->is_off = d->is_off || height > d->height + 1;
    if (d->is_off || height <= d->height)
        return;
    d->height = height;
    for (uint32_t i = 0; i < b->result->events_n; i++)
        look_at_event(d, n, height, &b->result->events[i], &slashed);
}

bool doubts_done(const struct doubts *d)
{
    return d->is_off || (d->over >= SIM_PLANTS && d->found >= d->lied);
}

/* On a slow network few settlements are over in the time of a run, and the last may be about to be doubted. */
void doubts_end(struct doubts *d)
{
    unsigned late = d->over < SIM_PLANTS;
    if (!d->is_off && (d->found > d->lied || d->found + 2 * late < d->lied || d->paid != d->found))
        sim_violated(d->sim, "doubts", "%u witnesses were made up, %u found out, and %u cost a bond", d->lied, d->found,
                     d->paid);
}
