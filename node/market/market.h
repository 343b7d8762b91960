/* The market's part of the node: what its pieces share, and what the node tells them.
 *
 *     jobs.c       the asking side: jobs, from a chat to a verified answer
 *     job_remote.c its leg to a provider: channel, stream, receipts, vouchers
 *     provider.c   the serving side
 *     settle.c     the provider's money: settlements, and transcripts for auditors
 *     auditor.c    replays drawn receipts and reports
 *     doubts.c     checks auditors of what was served or paid for here, and doubts them; show.c shows transcripts
 *     job_plant.c  shows to the ledger what was planted; plant.c says what that is
 *     market_use.c what they all do with what they share
 *     hops.c       models that are cut over several devices of one owner; hop_lend.c lends layers to one
 *     market_share.c whether this machine is lent now: the owner's word, his rules, what the machine says
 *     market.c     opens the store, gossips offers, hands ledger events around
 *
 * One store (HOME/market) for all of it, written in synced batches before anything that depends on it leaves:
 *
 *     'h' 'r'   channels and their receipts (node/pay/channel.h), sides 'P' and 'R'
 *     'j' id    a job this node asked for (jobs.c)
 *     't' id    a transcript this node served (provider.c)
 *     'p' id n  what a receipt was before it grew (channel_past.c)
 *     'v' root  a channel's receipts as they were settled (settle.c)
 *     'k' 'e'   a height that the ledger had, and what forgotten channels earned (provider_retain.c)
 *     'f' provider model   a transaction for a channel that is on its way (job_fund.c)
 *     'n' root  what a model is called here (model_names.c)
 *     'd' id    a doubt about an auditor, and what its committee is shown (doubts.c)
 *     's' id    what opens the commitments of a job's receipt (job_show.c)
 *     'g' id    a job whose answer is challenged once it settles (job_challenge.c)
 */
#ifndef KITH_NODE_MARKET_H
#define KITH_NODE_MARKET_H

#include "node/pay/account.h"
#include "node/blobs/blobs.h"
#include "node/pay/channel_list.h"
#include "node/hops/hop_lend.h"
#include "node/hops/hops.h"
#include "node/market/jobs.h"
#include "node/market/offer.h"
#include "node/market/share_rules.h"
#include "node/net/streams.h"
#include "node/worker/worker.h"

#define MARKET_SIDE_PROVIDER  'P'
#define MARKET_SIDE_REQUESTER 'R'

/* What every piece needs; all borrowed, alive as long as the market. */
struct market_services {
    struct host *host;
    struct ledger *ledger;
    struct account *account;
    struct peers *peers;
    struct streams *streams;
    struct blobs *blobs;
    struct workers *workers;
    struct kv *kv;
    struct offers *offers;
    const struct seckey *key;        /* the node's; as key_derive left it */
    const struct planting *planting; /* what is planted; NULL: nothing. Filled in by the market */
    struct pubkey self;
    struct hash chain;
};

/* market_use.c */
/* The worker that runs this whole model, started if need be. ERR_NOT_FOUND: the model is not on this machine. */
enum err market_worker(const struct market_services *s, const struct hash *model, struct worker **out,
                       struct note *note) MUST_USE;
/* Appends `plain` sealed to a node's key, under a fresh one. False if `to` is no key. */
bool market_seal(const struct market_services *s, const struct pubkey *to, struct bytes plain,
                 struct buf *out) MUST_USE;

/* This node's terms as a provider; a model not in the list is not served. */
#define MARKET_PAUSED_FOREVER UINT64_MAX /* until somebody says otherwise */
struct market_share {
    bool on;
    bool finishing;                    /* on until the jobs that run are over */
    struct amount price_in, price_out; /* mote per million tokens */
    uint32_t slots;                    /* jobs at once, over all models */
    uint64_t paused_until_ms;          /* wall clock */
    struct share_rules rules;
    const struct hash *models;
    unsigned models_n;
};

/* What is asked where the owner names no price: 0.1 KITH for a million tokens read, 0.4 for a million written. */
#define SHARE_PRICE_IN  (MOTE_PER_KITH / 10)
#define SHARE_PRICE_OUT (MOTE_PER_KITH / 10 * 4)

struct market;
struct market_options {
    struct market_services services; /* kv and offers are filled in here */
    const char *home;
    const char *endpoint;      /* HOST:PORT others reach us at, for offers; "" offers nothing */
    const char *default_model; /* path of the GGUF that "default" means; NULL: none */
    const char *plant;         /* file of planted jobs (plant.h); NULL: none */
    bool audits;               /* take part as an auditor when drawn */
    uint64_t check_auditors;   /* one of so many verdicts over what it served or paid for is checked; 0: none */
    uint64_t settle_ms;        /* how often a provider settles; 0: only when asked */
    struct job_limits keep;    /* of the jobs that this node asked for */
};
enum err market_open(const struct market_options *o, struct market **out, struct note *note) MUST_USE;
/* The way that is told from now on (p2p/way.h). */
void market_set_endpoint(struct market *m, const char *endpoint);
void market_close(struct market *m);

/* After every committed block, with its events, in order. */
void market_on_event(struct market *m, const struct ledger_event *e);
void market_on_block(struct market *m);

struct jobs *market_jobs(struct market *m);
struct offers *market_offers(struct market *m);
struct hops *market_hops(struct market *m);
struct hop_lender *market_lender(struct market *m);
/* What is kept of jobs: those asked for, and the transcripts of those served, as the last look found them. */
struct market_kept {
    uint64_t jobs, jobs_bytes;
    uint64_t transcripts, transcripts_bytes, transcripts_dropped;
};
struct market_kept market_kept(const struct market *m);
/* The terms as they are; models are borrowed until they are set again. */
struct market_share market_share(const struct market *m);
/* They are kept in HOME/share and hold over restarts. Where they are no reason to serve, offers are withdrawn first,
 * and the jobs that run are finished. */
enum err market_set_share(struct market *m, const struct market_share *s, struct note *note) MUST_USE;
/* Appends one line: why this machine is or is not working. The result is off, on, waiting (a rule says no), paused or
 * finishing. */
const char *market_share_state(struct market *m, struct buf *why);
/* What the last decision was made from. */
const struct share_readings *market_share_readings(const struct market *m);
unsigned market_jobs_running(const struct market *m);
/* Settles every channel with something unsettled; `fn` (may be NULL) hears of each. */
typedef void (*market_settling_fn)(void *arg, const struct hash *channel, struct amount amount);
void market_settle(struct market *m, market_settling_fn fn, void *arg);
/* A receipt of a settlement that this node provided for, and its proof, appended. */
enum err market_receipt(struct market *m, const struct hash *settlement, uint32_t index, struct signed_receipt *out,
                        struct buf *proof, struct note *note) MUST_USE;
/* Those that this node pays through (MARKET_SIDE_REQUESTER), or is paid through. */
void market_each_channel(struct market *m, uint8_t side, channel_fn fn, void *arg);
uint64_t market_jobs_served(const struct market *m);
/* Vouchers over all channels that pay this node: settled so far, and not yet. */
struct amount market_earned(const struct market *m);
struct amount market_unsettled(const struct market *m);

/* Root of a model: "default", a hexadecimal root, the name that it has here, or under which it is published, in that
 * order: who publishes later takes nobody's names over. ERR_NOT_FOUND names what was asked. */
enum err market_find_model(struct market *m, const char *name, struct hash *root, struct note *note) MUST_USE;
/* What people call it: as it is published, else as it is called here, else "". Valid until the next call. */
const char *market_model_name(struct market *m, const struct hash *root);
/* What it is to be called here (node/blobs/model_names.h). ERR_DUPLICATE: another model is published under that name;
 * `root` NULL: it is not known yet which it is. */
enum err market_may_name(struct market *m, const struct hash *root, const char *name, struct note *note) MUST_USE;
enum err market_name_model(struct market *m, const struct hash *root, const char *name, struct note *note) MUST_USE;
enum err market_forget_name(struct market *m, const struct hash *root, struct note *note) MUST_USE;

#endif
