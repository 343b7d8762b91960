/* Planted jobs, from blocks alone: each match of who does not look, about what was planted, costs him; nobody else's
 * bond is touched; what was not planted cannot be shown to be. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

struct plants {
    struct sim *sim;
    uint64_t height; /* all blocks up to it were looked at */
    const struct pubkey *lazy;
    unsigned over, missed, caught; /* missed: matches of what was planted */
    bool is_off;
};

struct plants *plants_new(struct sim *s)
{
    struct plants *p = mem_new(sizeof *p);
    p->sim = s;
    p->lazy = &s->dealer_id[SIM_DEALER_LAZY];
    return p;
}

void plants_free(struct plants *p)
{
    free(p);
}

static void look_at_event(struct plants *p, const struct sim_node *n, uint64_t height, const struct ledger_event *e)
{
    bool is_lazy = pubkey_equal(&e->a, p->lazy);
    p->over += e->kind == LEDGER_FORFEITED || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER);
    if (e->kind == LEDGER_AUDIT_VERDICT && e->code == AUDIT_MATCH && sim_is_planted(p->sim, e->index)) {
        p->missed++;
        sim_note(p->sim, "looked away height=%" PRIu64 " receipt=%u", height, e->index);
    }
    if (e->kind == LEDGER_PLANTED && !sim_is_planted(p->sim, e->index))
        sim_violated(p->sim, "plants", "node %s, block %" PRIu64 ": receipt %u passes for planted", n->name, height,
                     e->index);
    if (e->kind == LEDGER_SLASHED && e->code == BOND_AUDITOR && !is_lazy)
        sim_violated(p->sim, "plants", "node %s, block %" PRIu64 ": an auditor who looks was slashed", n->name, height);
    p->caught += e->kind == LEDGER_SLASHED && e->code == BOND_AUDITOR && is_lazy;
}

void plants_block(struct plants *p, const struct sim_node *n, const struct consensus_block *b)
{
    uint64_t height = b->header->height;
    p->is_off = p->is_off || height > p->height + 1;
    if (p->is_off || height <= p->height)
        return;
    p->height = height;
    for (uint32_t i = 0; i < b->result->events_n; i++)
        look_at_event(p, n, height, &b->result->events[i]);
}

bool plants_done(const struct plants *p)
{
    return p->is_off || (p->over >= SIM_PLANTS && p->caught >= p->missed);
}

/* On a slow network few settlements are over in the time of a run, and the last may be about to be shown. */
void plants_end(struct plants *p)
{
    unsigned shown_late = p->over < SIM_PLANTS;
    if (!p->is_off && (p->caught > p->missed || p->caught + shown_late < p->missed))
        sim_violated(p->sim, "plants", "%u matches of planted receipts, and %u cost a bond", p->missed, p->caught);
}
