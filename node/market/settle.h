/* A provider's money: settles its channels on the ledger, and hands the transcripts of drawn receipts to
 * the auditors, again and again until their verdict is on the ledger or the deadline is past. */
#ifndef KITH_NODE_SETTLE_H
#define KITH_NODE_SETTLE_H

#include "node/market/provider.h"

struct settle;

/* every_ms 0: only settle_now. */
struct settle *settle_new(const struct market_services *s, struct provider *provider, uint64_t every_ms);
void settle_free(struct settle *t);
/* Every channel with something unsettled and no settlement under way; `fn` (may be NULL) hears of each. */
void settle_now(struct settle *t, market_settling_fn fn, void *arg);
/* Receipt `index` of a settlement with its place in the tree that was settled (appended). ERR_NOT_FOUND where this node
 * is not the provider, or has the receipts no more. */
enum err settle_receipt(struct settle *t, const struct hash *settlement, uint32_t index, struct signed_receipt *out,
                        struct buf *proof, struct note *note) MUST_USE;
/* The encoding of an audit_show of it, appended. ERR_NOT_FOUND as there. */
enum err settle_show(struct settle *t, const struct hash *settlement, uint32_t index, struct buf *plain) MUST_USE;
void settle_on_event(struct settle *t, const struct ledger_event *e);

#endif
