/* The serving side of the market: takes jobs over streams, runs them in workers, hands out tokens no
 * further than STEP_TOKENS beyond what is paid, and keeps what auditors may ask for.
 *
 *     opened -> running -> draining (all produced, not all paid) -> finished
 *         \-------\-----------\--> dropped (stream closed, nobody pays, model failed)
 *
 * While it runs it first reads the prompt, in steps that are paid one by one, then it writes.
 *
 * Receipts of one channel go out one at a time, since a voucher is over all receipts of a channel.
 */
#ifndef KITH_NODE_PROVIDER_H
#define KITH_NODE_PROVIDER_H

#include "node/pay/channel_list.h"
#include "node/market/job_wire.h"
#include "node/market/market.h"

struct provider;

enum err provider_new(const struct market_services *s, struct provider **out, struct note *note) MUST_USE;
void provider_free(struct provider *p);
void provider_on_event(struct provider *p, const struct ledger_event *e);
void provider_set_share(struct provider *p, const struct market_share *s);
const struct market_share *provider_share(const struct provider *p);
/* While it is closed it takes no job; those that run are finished. */
void provider_set_closed(struct provider *p, bool closed);
unsigned provider_running(const struct provider *p);
/* Called whenever a job was taken or has ended; may be NULL. */
void provider_on_slots(struct provider *p, void (*fn)(void *arg), void *arg);
uint64_t provider_served(const struct provider *p);

/* Measured over the jobs served so far; 0 before the first. */
uint32_t provider_first_token_ms(const struct provider *p);
uint32_t provider_tokens_per_s(const struct provider *p);

/* A channel that this node is paid through, from the store or the ledger; NULL if there is none, or no room: where all
 * CHANNELS_MAX are in use. */
struct channel *provider_channel(struct provider *p, const struct hash *id);
void provider_each_channel(struct provider *p, channel_fn fn, void *arg);
/* What was earned over channels that are remembered no more. */
struct amount provider_earned_before(const struct provider *p);
/* What is kept for auditors, as the last look found it; dropped since the start. */
struct provider_kept {
    uint64_t transcripts, bytes, dropped;
};
struct provider_kept provider_kept(const struct provider *p);
enum err provider_store_channel(struct provider *p, const struct channel *c) MUST_USE;

/* What was served, as kept for audits. `steps`: of the prompt, those whose digests are here: STEP_SIZE each, in order.
 */
#define STEP_SIZE 36 /* u32 end, 32 bytes of digest */
#define TRANSCRIPT_FIELDS(F)                                                                                           \
    F(hash, job)                                                                                                       \
    F(hash, channel)                                                                                                   \
    F(hash, request_salt)                                                                                              \
    F(hash, answer_salt)                                                                                               \
    F(hash, digest_salt)                                                                                               \
    F(hash, digest)                                                                                                    \
    F(u8, stop)                                                                                                        \
    F(u32, base)                                                                                                       \
    F(blob, request)                                                                                                   \
    F(blob, tokens)                                                                                                    \
    F(blob, digests)                                                                                                   \
    F(blob, steps)
RECORD_DECLARE(transcript, TRANSCRIPT_FIELDS)
/* Of a job in a channel: the payer chooses a job's id, so the same one may be another job in another channel. Borrows
 * from *raw. */
enum err provider_transcript(struct provider *p, const struct hash *channel, const struct hash *job, struct buf *raw,
                             struct transcript *t) MUST_USE;
/* What a receipt's commitments to answer and digest hide. False if the transcript has not so much. */
bool transcript_of_receipt(const struct receipt *r, const struct transcript *t, struct bytes *tokens,
                           struct hash *digest) MUST_USE;

#endif
