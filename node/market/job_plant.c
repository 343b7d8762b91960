/* Showing what was planted, as the payer: once the first auditors of a settlement have been heard, the receipt that
 * they looked at, if it is one of ours. What was planted is seen from the receipt, so this keeps nothing but what it
 * sent. */
#include "node/market/job.h"

#include "base/log.h"
#include "chain/genesis.h"
#include "node/market/plant.h"
#include "node/pay/channel_past.h"

static bool was_shown(struct jobs *jobs, const struct hash *settlement)
{
    for (unsigned i = 0; i < PLANTS_SHOWN; i++)
        if (hash_equal(&jobs->shown[i], settlement))
            return true;
    jobs->shown[jobs->shown_n++ % PLANTS_SHOWN] = *settlement;
    return false;
}

static void show(struct jobs *jobs, const struct hash *settlement, uint32_t index, const struct signed_receipt *r,
                 struct bytes proof)
{
    struct buf receipt = {0}, body = {0};
    if (was_shown(jobs, settlement))
        return;
    signed_receipt_put(&receipt, r);
    const struct tx_plant t = {*settlement,
                               index,
                               bytes_of_buf(&receipt),
                               proof,
                               planting_salt(jobs->s.planting, &r->receipt.job),
                               planting_secret(jobs->s.planting, &r->receipt.job)};
    tx_plant_put(&body, &t);
    log_event(LOG_INFO, "jobs", "planted job shown", "index=%u", index);
    account_send(jobs->s.account, TX_PLANT, bytes_of_buf(&body), NULL, NULL);
    buf_clear(&receipt);
    buf_clear(&body);
}

/* Does the ledger take it now, and is there somebody to catch, or an audit that is to end here? */
static bool is_time(const struct jobs *jobs, const struct rec_settlement *s, const struct audit_draw *d)
{
    if (d->round)
        return false;
    if (s->state < SETTLEMENT_PAID)
        return s->round > 0;
    struct params p = ledger_params(jobs->s.ledger);
    struct ledger_info info = ledger_info(jobs->s.ledger);
    return s->state == SETTLEMENT_PAID && s->round == 0 && d->verdict == AUDIT_MATCH &&
           info.time_ms - info.stood_ms - s->time_ms < params_verdict_ms(&p);
}

static bool look(void *arg, const struct rec_settlement *s)
{
    struct jobs *jobs = arg;
    const struct channel *c = channel_list_find(&jobs->channels, &s->channel);
    if (!c || !pubkey_equal(&s->payer, &jobs->s.self))
        return true;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        struct signed_receipt r;
        struct buf proof = {0};
        bool found = is_time(jobs, s, &d) && channel_past_find(jobs->s.kv, c, s, d.index, &r, &proof) == ERR_OK &&
                     planting_made(jobs->s.planting, &r.receipt);
        if (found)
            show(jobs, &s->id, d.index, &r, bytes_of_buf(&proof));
        buf_clear(&proof);
        if (found)
            break;
    }
    return true;
}

void job_plant_event(struct jobs *jobs, const struct ledger_event *e)
{
    struct rec_settlement s;
    bool said = e->kind == LEDGER_AUDIT_VERDICT || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER);
    if (jobs->s.planting && said && ledger_settlement(jobs->s.ledger, &e->id, &s))
        (void)look(jobs, &s);
}

void job_plant_load(struct jobs *jobs)
{
    struct rec_settlement s;
    for (size_t i = 0; jobs->s.planting && i < jobs->settled.n; i++)
        if (ledger_settlement(jobs->s.ledger, &jobs->settled.at[i].id, &s))
            (void)look(jobs, &s);
}
