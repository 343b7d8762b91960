/* A payment channel as both of its ends keep it: one receipt a job, and the latest voucher over them all.
 *
 * The provider signs a receipt for what it has done so far (stop = RECEIPT_OPEN while the job runs); the
 * payer answers with a voucher over every receipt of the channel. Both sides compute the same tree, so
 * a voucher carries no list. Amounts only grow; a finished receipt never changes.
 *
 *     payer:     channel_put_receipt (checked) -> channel_pay  -> written -> channel_keep -> voucher goes out
 *     provider:  channel_put_receipt (own)     -> channel_take <- voucher comes in -> written -> channel_keep
 *
 * A receipt that was put is pending until it is kept; channel_undo takes it back, and the voucher with it. There is one
 * pending at most. Whatever is not pending is exactly what the latest voucher is over.
 *
 * A voucher that was lost on its way leaves the provider behind: its receipts are those of an earlier voucher of the
 * payer's. It says which it has (channel_put_behind), the payer sends those that differ (channel_put_missing), and the
 * provider takes them over with the voucher:
 *
 *     provider:  channel_catch_up <- voucher and receipts come in -> written -> channel_replace
 *
 * Pure. Persisted by its owner as one header record and one record a receipt (channel_store_*): the
 * owner writes, synced, before a voucher leaves or anything is delivered upon it.
 */
#ifndef KITH_NODE_CHANNEL_H
#define KITH_NODE_CHANNEL_H

#include "chain/kv.h"
#include "chain/receipt_tree.h"

#define CHANNEL_HEAD_FIELDS(F)                                                                                         \
    F(hash, id)                                                                                                        \
    F(hash, chain)                                                                                                     \
    F(pubkey, payer)                                                                                                   \
    F(pubkey, provider)                                                                                                \
    F(hash, model)                                                                                                     \
    F(amount, funded)                                                                                                  \
    F(amount, settled)                                                                                                 \
    F(flag, closed)                                                                                                    \
    F(flag, promised)                                                                                                  \
    F(voucher, voucher)                                                                                                \
    F(sig, payer_sig)
RECORD_DECLARE(channel_head, CHANNEL_HEAD_FIELDS)

struct channel {
    struct channel_head head; /* `promised`: voucher and payer_sig are there */
    uint32_t n, room;
    struct signed_receipt *receipts; /* changed by this file alone: the tree is over them */
    struct receipt_tree tree;
    struct {
        uint32_t *slot; /* 0: free; else a receipt's index and 1, in the place that its job says or behind it */
        uint32_t room;  /* a power of two, twice as many as receipts and more */
    } jobs;
    struct {
        bool is_set, is_new; /* is_new: the receipt is the list's last, and `was` is nothing */
        uint32_t index;
        struct signed_receipt was;
        struct voucher voucher; /* before it */
        struct sig payer_sig;
        bool promised;
    } pending;
    uint64_t past_next; /* payer: node/pay/channel_past.h's next number */
    bool is_given_up;   /* the provider cannot follow our vouchers any more: no new jobs over it; not stored */
};

/* Of a channel that the ledger has: its terms go into head, the rest of *c is made. */
void channel_init(struct channel *c, const struct channel_head *head);
void channel_clear(struct channel *c);

#define CHANNEL_NO_JOB UINT32_MAX
uint32_t channel_find_job(const struct channel *c, const struct hash *job);
/* Adds the receipt of a job or replaces the job's open one, as the pending one. ERR_AUTH: not signed by the provider.
 * ERR_STATE: the job is finished. ERR_RANGE: its counts or price went down. ERR_MISMATCH: of another channel.
 * ERR_LIMIT: RECEIPTS_MAX. ERR_BUSY: another one is pending. *index is where it stands. */
enum err channel_put_receipt(struct channel *c, const struct signed_receipt *r, uint32_t *index) MUST_USE;
void channel_keep(struct channel *c);
/* As it was before channel_put_receipt; nothing where none is pending. */
void channel_undo(struct channel *c);
/* The first n of its receipts stay, or one of them becomes another: for who goes back to what a copy once was. */
void channel_cut(struct channel *c, uint32_t n);
void channel_set_receipt(struct channel *c, uint32_t index, const struct signed_receipt *r);
/* Without the pending one, for who needs what the latest voucher is over; cleared by the caller. */
void channel_copy_kept(const struct channel *c, struct channel *out);

/* What all receipts together come to, as a voucher without a signature. ERR_RANGE on overflow, ERR_FUNDS when
 * it is more than the channel holds. */
enum err channel_sum(const struct channel *c, struct voucher *out) MUST_USE;
/* Payer: signs over the present receipts and keeps it as the latest. */
enum err channel_pay(struct channel *c, const struct seckey *payer) MUST_USE;
/* Provider: takes a voucher that is exactly over the present receipts. ERR_MISMATCH if it says anything else, ERR_FUNDS
 * if that is more than the channel holds. */
enum err channel_take(struct channel *c, const struct voucher *v, const struct sig *sig) MUST_USE;
/* What the kept receipts are: how many, and of each open one its place and how many tokens it is over, u32 each,
 * appended. */
void channel_put_behind(const struct channel *c, struct buf *out);
/* Payer: the receipts that somebody lacks who said that, each with its place, appended. ERR_FORMAT: it says what cannot
 * be. ERR_LIMIT: more than `room` bytes of them. */
enum err channel_put_missing(const struct channel *c, struct bytes behind, size_t room, struct buf *out) MUST_USE;
/* Provider: a copy of the channel with those taken over and the voucher over them, for channel_replace once it is
 * written, or for channel_clear. `proves` says of each whether it can be shown to auditors. ERR_MISMATCH: not all are
 * this provider's own, grown from those that are here, provable, and together what the voucher is over; or what is
 * pending is not among them, which would be delivered and never paid. ERR_FUNDS: more than the channel holds. */
typedef bool (*channel_proves_fn)(void *arg, const struct receipt *r);
enum err channel_catch_up(const struct channel *c, struct bytes missing, const struct voucher *v, const struct sig *sig,
                          channel_proves_fn proves, void *arg, struct channel *out) MUST_USE;
/* Nothing is pending then. */
void channel_replace(struct channel *c, struct channel *take);
/* What the latest voucher promises beyond what was settled. */
struct amount channel_unsettled(const struct channel *c);
/* Funded, not yet promised. */
struct amount channel_left(const struct channel *c);
/* Top hash of the receipts' tree, as a settlement needs it; only right after channel_take or channel_pay. */
struct hash channel_top(const struct channel *c);
/* A receipt's place in the tree that the latest voucher signs. */
enum err channel_prove(const struct channel *c, uint32_t index, struct buf *proof) MUST_USE;

/* Puts the header and receipt `index` (CHANNEL_NO_JOB: header only; CHANNEL_ALL: every one) into the batch. */
#define CHANNEL_ALL (UINT32_MAX - 1)
void channel_store(const struct channel *c, uint8_t side, uint32_t index, struct kv_batch *batch);
/* Takes it and its receipts out of the store, with the batch. */
void channel_forget(const struct channel *c, uint8_t side, struct kv_batch *batch);
/* Every stored channel of a side ('P' provider, 'R' requester), with its receipts. Broken records are
 * ERR_CORRUPT. */
typedef void (*channel_loaded_fn)(void *arg, struct channel *loaded_take);
enum err channel_load(struct kv *kv, uint8_t side, channel_loaded_fn fn, void *arg, struct note *note) MUST_USE;

#endif
