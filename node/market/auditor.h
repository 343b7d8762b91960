/* The auditor: when the ledger draws this node, it waits for the provider's transcript, checks that it is the
 * one the receipt commits to, replays it in one prefill pass and reports to the ledger. As a member of the committee of
 * a doubt it does the same with what the doubter shows, under the salt of the auditor in question, and reports the
 * witness that it found.
 *
 *     drawn -> shown -> replaying -> reported
 *         \-> late: the deadline is near and nothing fitting was shown: reported as withheld, by one who was there
 *             for half of the window, awake
 */
#ifndef KITH_NODE_AUDITOR_H
#define KITH_NODE_AUDITOR_H

#include "node/market/job_wire.h"
#include "node/market/market.h"

struct auditor;

struct auditor *auditor_new(const struct market_services *s);
void auditor_free(struct auditor *a);
void auditor_on_event(struct auditor *a, const struct ledger_event *e);
/* Verdicts reported since the start, by enum audit_verdict. */
void auditor_counts(const struct auditor *a, uint64_t counts[AUDIT_VERDICTS]);

#endif
