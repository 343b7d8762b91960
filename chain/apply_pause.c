/* When mismatches are too many to be fraud.
 *
 * An exact mismatch is a fact, but a broken backend makes them wholesale, for owners who have nothing in common. So
 * verdicts are counted by epochs: once PAUSE_OWNERS_LEAST owners had a mismatch in one, and more than
 * pause_bps of its verdicts are mismatches, nobody is slashed, and no mismatch is held against anyone, for an epoch
 * from the last such verdict on. Forfeits, the pay of who found them and full audit go on, so that cheating does not
 * pay meanwhile, and several owners in one hand who bring a pause about gain nothing that they sell. */
#include "chain/apply.h"

void apply_count_verdict(struct apply *a, const struct pubkey *owner, enum audit_verdict verdict)
{
    struct rec_epoch e = state_get_epoch(a->s);
    struct rec_fault fault;
    if (verdict != AUDIT_MATCH && verdict != AUDIT_MISMATCH)
        return;
    if (a->clock_ms - e.began_ms >= a->params.audit_epoch_ms)
        e = (struct rec_epoch){.began_ms = a->clock_ms, .paused_until_ms = e.paused_until_ms};
    bool known = state_get_fault(a->s, owner, &fault) && fault.mismatch_ms && fault.mismatch_ms >= e.began_ms;
    e.verdicts += e.verdicts < UINT32_MAX;
    if (verdict == AUDIT_MISMATCH) {
        e.mismatches += e.mismatches < UINT32_MAX;
        e.owners += !known && e.owners < UINT32_MAX;
        if (e.owners >= PAUSE_OWNERS_LEAST &&
            (uint64_t)e.mismatches * BPS_ALL > (uint64_t)e.verdicts * a->params.pause_bps) {
            e.paused_until_ms = a->clock_ms + a->params.audit_epoch_ms;
            struct ledger_event *ev = apply_event(a, LEDGER_SLASHING_PAUSED);
            ev->time_ms = apply_date(a, e.paused_until_ms);
            ev->index = e.mismatches;
            ev->code = (uint8_t)(e.owners < UINT8_MAX ? e.owners : UINT8_MAX);
        }
    }
    state_put_epoch(a->s, &e);
}

bool apply_slashing_paused(const struct apply *a)
{
    return a->clock_ms < state_get_epoch(a->s).paused_until_ms;
}
