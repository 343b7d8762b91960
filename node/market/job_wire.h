/* What the two ends of a job, and of an audit, say on their streams (node/net/streams.h).
 *
 * A job's stream, requester R to provider P:
 *
 *     R  open      JOB_OPEN: terms; request and tokens so far, sealed to P
 *     P  accept    JOB_ACCEPT: the salts of the commitments in the receipts to come
 *     P  step      JOB_STEP: the prompt is read up to the end of a step, and the digest there
 *     P  tokens    JOB_TOKENS: some tokens, each with the running digest
 *     P  receipt   JOB_RECEIPT: signed, open or finished, over what was sent so far
 *     R  pay       JOB_PAY: voucher over the channel with that receipt in it
 *     P  behind    JOB_BEHIND: which receipts P has, where the voucher is over others; R pays again and sends those
 *     R  cancel    JOB_CANCEL: P stops; what is not in a receipt yet is not paid
 *
 * A long prompt is read and paid in steps (inference/request.h), each with a receipt of its own; P reads at most two
 * beyond what is paid, and no token comes before all but the last are. P sends at most STEP_TOKENS tokens beyond what
 * is paid, R pays every receipt at once: so neither side is ever ahead by more than a step or two. A stream that breaks
 * is opened again (with whichever provider) with the tokens so far, and the answer continues: it is determined.
 *
 * An audit's stream, provider P to the auditor A that the ledger drew; or a doubter P to a member A of the committee:
 *
 *     P  open      AUDIT_OPEN: settlement (or doubt) and index
 *     P  show      AUDIT_SHOW: the receipt, its proof, and what its commitments hide, sealed to A
 *     A  closes    when the verdict is on its way to the ledger
 */
#ifndef KITH_NODE_JOB_WIRE_H
#define KITH_NODE_JOB_WIRE_H

#include "chain/market_records.h"

enum job_message {
    JOB_ACCEPT = 1,
    JOB_TOKENS = 2,
    JOB_RECEIPT = 3,
    JOB_PAY = 4,
    JOB_CANCEL = 5,
    AUDIT_SHOW = 6,
    JOB_BEHIND = 7,
    JOB_STEP = 8,
};

/* Body of the stream's opening. `sealed`: job_secret, sealed to the provider's node key. `seed_block` is the block
 * whose hash entered the seed, zero when the user gave one. */
#define JOB_OPEN_FIELDS(F)                                                                                             \
    F(hash, job)                                                                                                       \
    F(hash, channel)                                                                                                   \
    F(hash, model)                                                                                                     \
    F(u64, nonce)                                                                                                      \
    F(hash, seed_block)                                                                                                \
    F(amount, price_in)                                                                                                \
    F(amount, price_out)                                                                                               \
    F(flag, open)                                                                                                      \
    F(blob, sealed)
RECORD_DECLARE(job_open, JOB_OPEN_FIELDS)

/* `request`: inference/request.h; `tokens`: u32 little-endian ids that are answered already; `receipt`: the
 * signed_receipt that this channel has of the job already, or empty: P may have lost it. */
#define JOB_SECRET_FIELDS(F) F(blob, request) F(blob, tokens) F(blob, receipt)
RECORD_DECLARE(job_secret, JOB_SECRET_FIELDS)

#define JOB_ACCEPT_FIELDS(F) F(hash, request_salt) F(hash, answer_salt) F(hash, digest_salt)
RECORD_DECLARE(job_accept, JOB_ACCEPT_FIELDS)

/* `first`: index in the answer of the first of them; `tokens`: one JOB_TOKEN_SIZE after the other. */
#define JOB_TOKENS_FIELDS(F) F(u32, first) F(blob, tokens)
RECORD_DECLARE(job_tokens, JOB_TOKENS_FIELDS)
#define JOB_TOKEN_SIZE 36 /* u32 token, 32 bytes of digest */

/* `digest`: digest_step's (inference/sched/digest.h), of the prompt up to `at`. */
#define JOB_STEP_FIELDS(F) F(u32, at) F(hash, digest)
RECORD_DECLARE(job_step, JOB_STEP_FIELDS)

/* `missing`: after JOB_BEHIND, as channel_put_missing has it; else empty. */
#define JOB_PAY_FIELDS(F) F(voucher, voucher) F(sig, sig) F(blob, missing)
RECORD_DECLARE(job_pay, JOB_PAY_FIELDS)

/* As channel_put_behind has it. */
#define JOB_BEHIND_FIELDS(F) F(blob, receipts)
RECORD_DECLARE(job_behind, JOB_BEHIND_FIELDS)

#define AUDIT_OPEN_FIELDS(F) F(hash, settlement) F(u32, index)
RECORD_DECLARE(audit_open, AUDIT_OPEN_FIELDS)

/* Sealed to the auditor's node key. */
#define AUDIT_SHOW_FIELDS(F)                                                                                           \
    F(blob, receipt)                                                                                                   \
    F(blob, proof)                                                                                                     \
    F(hash, request_salt)                                                                                              \
    F(hash, answer_salt)                                                                                               \
    F(hash, digest_salt)                                                                                               \
    F(blob, request)                                                                                                   \
    F(blob, tokens)                                                                                                    \
    F(hash, digest)
RECORD_DECLARE(audit_show, AUDIT_SHOW_FIELDS)

/* What a receipt is over: prompt and answer, or (`until`) the prompt's steps up to there and no answer. `answered`: how
 * many tokens of the answer: those that it bills, and those that others had answered before. */
struct receipt_reach {
    uint32_t until, answered;
};
struct receipt_reach receipt_reach(const struct receipt *r, struct bytes request);

/* A message is its type byte, then the record. */
struct cursor job_message_open(struct bytes message, uint8_t *type);
void job_message_start(struct buf *b, enum job_message type);

/* H[kith.job](chain | payer | nonce | model | hash of the request without its seed). */
struct hash job_id(const struct hash *chain, const struct pubkey *payer, uint64_t nonce, const struct hash *model,
                   const struct hash *request);
/* H[kith.seed](job | payer | block): nobody's choice but the chain's. */
struct hash job_seed(const struct hash *job, const struct pubkey *payer, const struct hash *block);

#endif
