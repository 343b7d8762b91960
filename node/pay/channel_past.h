/* What the receipts of a paying channel were before they grew. A provider may settle any voucher that it was ever sent,
 * and whoever challenges a receipt needs its place in the tree of that one. So what an open receipt was is kept where
 * another takes its place, until nothing can be settled or challenged with it any more.
 *
 * On the disk alone, under 'p', the channel and a number that rises; the newest CHANNEL_PAST_MAX of a channel. */
#ifndef KITH_NODE_CHANNEL_PAST_H
#define KITH_NODE_CHANNEL_PAST_H

#include "chain/records.h"
#include "node/pay/channel_list.h"

/* `receipts` and `tokens`: of the first voucher without it. */
#define PAST_RECEIPT_FIELDS(F) F(u32, index) F(u32, receipts) F(u64, tokens) F(signed_receipt, was)
RECORD_DECLARE(past_receipt, PAST_RECEIPT_FIELDS)

/* Between channel_pay and channel_keep: what the pending receipt takes the place of, if anything, into the batch that
 * the voucher is written with. */
void channel_past_add(struct channel *c, struct kv_batch *batch);
/* At the start: where the numbers of the channels in the list go on. ERR_CORRUPT: a broken record. */
enum err channel_past_load(struct kv *kv, const struct channel_list *l, struct note *note) MUST_USE;
/* Receipt `index` as it was settled, and its place in the tree, appended. ERR_MISMATCH: no voucher that is remembered
 * was over that. */
enum err channel_past_find(struct kv *kv, const struct channel *c, const struct rec_settlement *s, uint32_t index,
                           struct signed_receipt *out, struct buf *proof) MUST_USE;
/* Nothing that vouchers over at most so many tokens took the place of is asked for any more. */
void channel_past_drop(struct kv *kv, const struct hash *channel, uint64_t tokens);

#endif
