/* Inside the serving side: shared by provider.c (delivering and being paid), provider_open.c (taking a job),
 * provider_transcript.c and provider_channels.c. Nobody else includes it. */
#ifndef KITH_NODE_PROVIDER_IN_H
#define KITH_NODE_PROVIDER_IN_H

#include "node/pay/escrow.h"
#include "node/market/provider.h"
#include "node/host/timer.h"

struct serving {
    struct provider *provider;
    struct serving *next;
    uint64_t stream;
    struct pubkey from;
    struct channel *channel;
    struct hash job;
    struct worker *worker;
    worker_ask ask;
    struct buf request; /* encoded */
    uint32_t prompt_n;
    uint32_t base;      /* tokens that others had answered before this provider first took the job */
    struct buf tokens;  /* u32 each */
    struct buf digests; /* 32 bytes each; those before `first` are unknown */
    struct buf steps;   /* of the prompt that are read, as in a transcript */
    uint32_t read;      /* the end of the last of them, */
    uint32_t read_told, read_receipted, read_paid;
    uint32_t first; /* tokens given to us with the opening: not sent back */
    uint32_t sent, receipted, paid;
    struct job_accept salts;
    bool planted; /* every digest is `plant` (plant.h) */
    struct hash plant;
    struct amount price_in, price_out;
    struct amount price_least; /* of an earlier receipt of this job: no later one is over less */
    bool accepted;             /* the acceptance went out: nothing goes before it, however soon the worker answers */
    bool produced_all, awaiting_pay;
    struct buf pay;   /* a voucher that waits for our ledger: the channel was topped up a moment ago */
    bool told_behind; /* the payer was told which receipts are here */
    bool closed;      /* the finished receipt went out */
    uint8_t stop;
    uint64_t opened_ms, first_ms;
    struct timer timer;
};

/* provider_retain.c: a pass through what is kept. */
struct provider_retain {
    struct timer timer;
    struct buf from; /* the key where the pass goes on; empty: at the start */
    uint64_t mark;   /* a height that the ledger had */
    struct escrow escrow;
    uint64_t escrow_height; /* what it was read at */
    bool has_escrow;
    struct provider_kept pass, kept; /* this one so far, and the last whole one */
    uint64_t dropped;
    struct amount earned; /* over channels that are forgotten */
};

struct provider {
    struct market_services s;
    struct market_share share;
    bool closed;
    struct hash *share_models;
    struct serving *serving;
    unsigned serving_n;
    void (*on_slots)(void *arg);
    void *on_slots_arg;
    struct channel_list channels;
    struct timer timer;
    struct provider_retain retain;
    uint64_t served, tokens_made, decode_ms, first_token_ms_sum;
};

/* provider.c */
extern const struct stream_calls serving_stream_calls; /* of an opened job's stream; arg: the serving */
extern const struct worker_calls serving_worker_calls;
/* How far the worker may read the prompt: two steps beyond what is paid; 0: there are no steps left. */
uint32_t serving_reads_to(const struct serving *v);
/* Sends what may be sent: after the acceptance, the ends of steps of the prompt, tokens up to a step beyond the paid
 * ones, and a receipt when one is due and the channel has no other under way. May free v. */
void serving_pump(struct serving *v);
/* False where the stream has no credit; clears the message. */
bool serving_send(struct serving *v, struct buf *message);
/* Closes the stream, and frees it. */
void serving_drop(struct serving *v, enum err e, const char *why);
void serving_free(struct serving *v);
/* A job was taken or has ended. */
void provider_tell_slots(struct provider *p);

/* provider_transcript.c */
/* What was sent of it so far. */
void serving_put_transcript(const struct serving *v, struct kv_batch *batch);
/* The digest of the step that ends there, among a transcript's. */
bool transcript_step(struct bytes steps, uint32_t at, struct hash *digest) MUST_USE;
/* Can this receipt be shown to auditors, with what it is over? `arg`: the provider. */
bool provider_proves(void *arg, const struct receipt *r);

/* provider_channels.c */
bool provider_serves(const struct provider *p, const struct channel *c);
/* Out of list and store, and frees it. False: the store refused. */
bool provider_forget(struct provider *p, struct channel *c);

/* provider_retain.c */
void provider_retain_start(struct provider *p);
void provider_retain_stop(struct provider *p);
/* False: the pass is over, or must wait for the ledger. */
bool provider_retain_step(struct provider *p);
/* Counts what a channel earned that is taken out with the batch. */
void provider_put_earned(struct provider *p, const struct channel *c, struct kv_batch *batch);

/* provider_open.c: a streams_accept_fn. */
enum err provider_accept(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                         const struct stream_calls **calls, void **calls_arg);

#endif
