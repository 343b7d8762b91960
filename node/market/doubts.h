/* Checking auditors: of what this node served, or paid for, what an auditor revealed as the witness of his replay is
 * compared with that of a replay here, for one of every `check_auditors` verdicts. One that differs, twice, is doubted
 * (docs/ledger.md): the node's account puts up the bond, and the committee is shown the transcript.
 *
 *     a verdict -> replayed under its salt: the same? forgotten
 *               -> replayed again: kept under 'd' and the doubt's id
 *               -> the settlement is over: doubted -> shown to each member -> over: forgotten
 *
 * What is kept goes on over restarts: a doubter who shows nothing loses his bond. Only what this machine has the model
 * of is checked: a provider's node of course, a payer's where somebody cared to have it. */
#ifndef KITH_NODE_DOUBTS_H
#define KITH_NODE_DOUBTS_H

#include "node/market/settle.h"

struct doubts;

/* check_auditors 0: none is checked, but what was doubted is gone through with. */
struct doubts *doubts_new(const struct market_services *s, struct settle *settle, struct jobs *jobs,
                          uint64_t check_auditors);
void doubts_free(struct doubts *d);
/* Before settle_on_event and job_challenge_event, which may drop what an auditor was shown. */
void doubts_on_event(struct doubts *d, const struct ledger_event *e);

#endif
