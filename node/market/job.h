/* One job of the asking side, shared by jobs.c (its life), job_prepare.c (until it is tokens), job_remote.c (its leg
 * to a provider), job_fund.c (what pays for it), job_wait.c (what it waits for), job_view.c (what others see of it),
 * job_talk.c (the conversation it is in), job_how.c (how it becomes a prompt), job_form.c (how its answer is written),
 * job_show.c (what others can be shown of it) and job_store.c (its record). Nobody else includes this, but for the
 * market, which opens it. */
#ifndef KITH_NODE_JOB_H
#define KITH_NODE_JOB_H

#include "inference/request.h"
#include "node/pay/channel_list.h"
#include "node/market/job_wire.h"
#include "node/market/market.h"
#include "node/pay/settled.h"

#define JOB_FAILED_PROVIDERS_MAX 8
#define JOB_STOP_NONE            254 /* r.stop while it runs */
#define JOB_STATE_NONE           255 /* told_state before anything was told */

/* Its leg to a provider: from an offer that was picked to the provider's last word. It outlives the job by a moment, so
 * that a last voucher that the provider cannot follow can be explained. */
struct job_remote {
    struct job *job;
    struct offer offer; /* its terms, fixed when it was picked */
    struct channel *channel;
    uint64_t stream;
    bool accepted;
    bool funding;           /* a transaction that it sent for its channel is on its way */
    bool waits;             /* for another's, to the same provider for the same model */
    bool owes;              /* a voucher that is written waits for credit on the stream */
    bool told_behind;       /* since the last voucher */
    struct buf missing;     /* of the voucher that is owed */
    struct amount cost_max; /* of the job in this channel, when all its tokens come */
    struct job_accept salts;
    struct job_step read; /* of the prompt, the last that the provider told */
    uint32_t paid;        /* tokens covered by a voucher, or brought along */
    uint64_t heard_ms;    /* when the provider last said something */
    struct timer stall;
};

#define JOB_NOTE_ROOM 200

/* What is kept of a job: everything that a restart, a verification or a question about it needs. `read`: the last step
 * of the prompt that was paid by itself, and its digest; 0: none. */
#define JOB_RECORD_FIELDS(F)                                                                                           \
    F(hash, id)                                                                                                        \
    F(u8, state)                                                                                                       \
    F(hash, model)                                                                                                     \
    F(text255, model_name)                                                                                             \
    F(u8, route)                                                                                                       \
    F(flag, local)                                                                                                     \
    F(flag, has_seed)                                                                                                  \
    F(flag, chat)                                                                                                      \
    F(flag, ids)                                                                                                       \
    F(amount, cost_max)                                                                                                \
    F(amount, cost)                                                                                                    \
    F(u64, key)                                                                                                        \
    F(hash, owner)                                                                                                     \
    F(u32, text_tokens)                                                                                                \
    F(u64, nonce)                                                                                                      \
    F(hash, seed_block)                                                                                                \
    F(hash, paid_id)                                                                                                   \
    F(pubkey, provider)                                                                                                \
    F(hash, channel)                                                                                                   \
    F(hash, receipt)                                                                                                   \
    F(hash, digest)                                                                                                    \
    F(u32, read)                                                                                                       \
    F(hash, read_digest)                                                                                               \
    F(u8, stop)                                                                                                        \
    F(flag, verified)                                                                                                  \
    F(u8, code)                                                                                                        \
    F(text255, error)                                                                                                  \
    F(u64, made_ms)                                                                                                    \
    F(u64, first_token_ms)                                                                                             \
    F(u64, done_ms)                                                                                                    \
    F(blob, input)                                                                                                     \
    F(blob, tools)                                                                                                     \
    F(blob, request)                                                                                                   \
    F(blob, tokens)                                                                                                    \
    F(blob, text)
RECORD_DECLARE(job_record, JOB_RECORD_FIELDS)

struct job {
    struct jobs *jobs;
    struct job *next;
    struct job_record r;    /* its blobs point into the buffers below */
    struct buf input;       /* messages as JSON, the raw prompt, or its tokens, u32 each (r.ids) */
    struct buf tools;       /* as JSON, empty: none */
    struct buf variables;   /* of the template, as JSON, empty: none */
    struct text64 call;     /* the function that the answer has to call; empty: none */
    struct buf call_schema; /* of its arguments, in place of the request's where the prompt calls it already: */
    bool called;
    struct hash talk;     /* the conversation that it is in; zero: none */
    struct text255 title; /* its question in short, in a conversation */
    struct buf request;   /* request.h's encoding; prompt and seed empty until prepared */
    struct buf tokens;    /* u32 each */
    struct buf text;      /* of all tokens, stop texts and half characters still on it */
    struct buf reaches;   /* where each of text_tokens ends in it, u32 each, */
    struct buf marks;     /* and those that leave no text (base/answer_form.h) */
    struct answer_form form;
    size_t text_shown;      /* how much of it may be shown */
    struct buf logprobs;    /* of the tokens, where the ask wanted them; not kept over a restart */
    uint8_t logprobs_asked; /* as in the worker's run */
    uint32_t shared;        /* tokens of the prompt that an earlier job had evaluated */
    struct worker *worker;  /* good while an ask of it is out; else job_need_worker looks for it */
    worker_ask ask, text_ask;
    uint32_t texted; /* tokens that `text` will cover when text_ask is answered; r.text_tokens: covers now */
    unsigned text_tries;
    struct job_accept salts; /* of its receipt's commitments, once there is one (is_salted) */
    bool is_salted;
    struct job_remote *remote;
    struct pubkey failed[JOB_FAILED_PROVIDERS_MAX]; /* providers that failed it, to be tried last */
    unsigned failed_n, tries;
    uint64_t head_leaves; /* of the model's file, asked for to have its vocabulary */
    bool waits_for_head;  /* they are being pulled */
    struct job_watch *watches;
    struct timer timer, turn, look;
    uint8_t told_state;       /* to who hears of all of them */
    uint64_t moved_ms;        /* when it last came forward */
    char why[JOB_NOTE_ROOM];  /* it was sent back to routing */
    char note[JOB_NOTE_ROOM]; /* for people: what it waits for, or that it goes on */
    uint32_t notes;           /* how often that changed */
    bool is_noted;            /* that it waits */
};

struct jobs {
    struct market_services s;
    struct job_limits most; /* of what is kept */
    struct timer keep_timer;
    struct market *market;
    struct job *first; /* newest first */
    unsigned n;
    uint64_t made;   /* since the start */
    job_fn on_state; /* NULL: nobody hears of all of them */
    void *state_arg;
    struct channel_list channels; /* those we pay through */
    struct job_place *places;
    struct funding *fundings;     /* job_fund.c */
    struct grievance *grievances; /* job_challenge.c */
    struct timer grievance_timer;
    struct settled settled;          /* what we pay */
    struct hash shown[PLANTS_SHOWN]; /* job_plant.c */
    unsigned shown_n;
};

/* -- jobs.c, for the remote leg and the market -- */
enum err jobs_open(struct market *m, const struct market_services *s, const struct job_limits *most, struct jobs **out,
                   struct note *note) MUST_USE;
void jobs_close(struct jobs *jobs);
/* New tokens were added, or the state changed: watchers are told in the loop's next turn. */
void job_changed(struct job *j);
/* The same, and their text is asked for. */
void job_tokens_came(struct job *j);
/* Ends it. `note` may be NULL where e is ERR_OK. */
void job_finish(struct job *j, enum err e, const char *why);
/* Back to routing, after a pause that grows; ends the job when it was tried too often. */
void job_retry(struct job *j, enum err e, const char *why);

/* The text of all its tokens, for one that is done without it. */
void job_mend_text(struct job *j);

/* Runs it, here or with a provider. */
void job_route(struct job *j);
/* How much of `text` (of all tokens so far, or of the first of them) may be shown. */
size_t job_showable(const struct job *j, const struct buf *text, bool over);

/* -- job_view.c -- */
/* Borrows from j->request. */
void job_get_request(const struct job *j, struct request *r);
uint32_t job_prompt_n(const struct job *j);
uint32_t job_tokens_n(const struct job *j);
uint32_t job_tokens_max(const struct job *j);
struct job *job_find(struct jobs *jobs, const struct hash *id);
void job_get_view(const struct job *j, struct job_view *v);

/* -- job_prepare.c -- */
/* Whether it is for this machine: its route, and whether the model is here. */
bool job_is_local(const struct job *j);
/* In the end it is routed, or finished with an error. */
void job_prepare(struct job *j);
/* It waits for the head of its model's file no more. */
void job_leave_head(struct job *j);
/* j->worker: one that knows the model's vocabulary. ERR_NOT_FOUND when not even the head of the file is here. */
enum err job_need_worker(struct job *j, struct note *note) MUST_USE;

/* -- job_replay.c -- */
void job_places_clear(struct jobs *jobs);

/* -- job_wait.c -- */
/* From now on it is looked whether it comes forward, until job_wait_end. */
void job_wait_start(struct job *j);
void job_wait_end(struct job *j);
/* It came forward: nothing is waited for. */
void job_moved(struct job *j);

/* -- job_challenge.c -- */
/* Behind job_load_all. */
enum err job_challenge_load(struct jobs *jobs, struct note *note) MUST_USE;
void job_challenge_clear(struct jobs *jobs);
void job_challenge_event(struct jobs *jobs, const struct ledger_event *e);
/* Behind the events of each block. */
void job_challenge_block(struct jobs *jobs);

/* -- job_plant.c -- */
void job_plant_event(struct jobs *jobs, const struct ledger_event *e);
/* What became of settlements before the start. */
void job_plant_load(struct jobs *jobs);

/* -- job_remote.c -- */
/* Picks an offer, finds or funds the channel, opens the stream; then tokens come. */
void job_remote_start(struct job *j);
/* With the channel that remote has. */
void job_remote_open(struct job *j);
/* Lets go of provider and stream, silently. */
void job_remote_stop(struct job *j);
/* The job is done: the provider may still say something about its last voucher, for a moment. */
void job_remote_linger(struct job *j);
void job_remote_cancel(struct job *j);
/* Its provider is of no use: back to routing, to others first. */
void job_remote_fail(struct job *j, enum err e, const char *why);

/* -- job_fund.c: channels that this node pays through -- */
/* Where the job's receipt is in its channel; CHANNEL_NO_JOB: there is none, or the channel is not kept. */
uint32_t job_receipt_index(const struct job *j);
/* A channel to the offer's provider that the job has a receipt in, or the one with most left; NULL: none. */
struct channel *job_channel_for(const struct job *j, const struct offer *o);
/* What the job will cost in that channel (NULL: a new one) when all its tokens come. False on overflow. */
bool job_channel_cost(const struct job *j, const struct offer *o, const struct channel *c, struct amount *out) MUST_USE;
/* What all of this job's receipts cost, but for those in `except` (which may be NULL). */
struct amount job_cost(const struct job *j, const struct channel *except);
/* Is there enough in remote->channel for that, beside what other jobs may come to? */
bool job_is_funded(const struct job *j);
/* Opens remote->channel, or tops it up, and opens the stream. */
void job_fund(struct job *j);
/* The provider cannot follow: no more jobs over it, and what is left in it comes back. */
void job_give_up_channel(struct job *j);
void job_fund_clear(struct jobs *jobs);
/* Goes on with transactions that were on their way when the process ended. */
enum err job_fund_load(struct jobs *jobs, struct note *note) MUST_USE;
/* Channels of this payer that the ledger has and the store has not. */
void job_remote_adopt(struct jobs *jobs);
void job_remote_channel_event(struct jobs *jobs, const struct ledger_event *e);

/* Waits for a settlement to be challenged. */
bool job_is_challenged(const struct job *j);

/* -- job_store.c -- */
/* Puts the job's record into the batch; synced by whoever writes the batch. */
void job_put(struct job *j, struct kv_batch *batch);
/* What job_put put. */
void job_delete(const struct job *j, struct kv_batch *batch);
/* It is over, and nobody looks at it. */
bool job_is_at_rest(const struct job *j);
/* Synced, but for a local job: that costs nothing and comes to the same again, and a wait for the disk in front of
 * each would hold up everybody. */
enum err job_save(struct job *j) MUST_USE;
enum err job_load_all(struct jobs *jobs, struct note *note) MUST_USE;
/* Of those that are finished and looked at by nobody, from memory and disk, oldest first: those that are beyond. */
void job_drop_old(struct jobs *jobs, const struct job_limits *most);
/* The same, and one channel that is over; every minute once it is started. */
void job_keep_step(struct jobs *jobs);
void job_keep_start(struct jobs *jobs);
struct job *job_new(struct jobs *jobs);
void job_free(struct job *j);

/* What is kept of a job stands under a letter and its id: its record under 'j', and in the same batch, beside it, what
 * only some jobs have, so that those of before it was there are read as they are. */
#define JOB_KEY_SIZE (1 + HASH_SIZE)
void job_key(uint8_t key[JOB_KEY_SIZE], char letter, const struct hash *id);
struct job_beside {
    char letter;
    const char *called;                             /* by an error */
    bool (*get)(struct job *j, struct bytes value); /* false: it is damaged, and nothing was taken */
};
enum err job_load_beside(struct jobs *jobs, const struct job_beside *what, struct note *note) MUST_USE;

/* -- job_how.c -- */
void job_how_put(const struct job *j, struct kv_batch *batch);
void job_how_delete(const struct job *j, struct kv_batch *batch);
enum err job_how_load(struct jobs *jobs, struct note *note) MUST_USE;

/* -- job_form.c -- */
void job_form_put(const struct job *j, struct kv_batch *batch);
void job_form_delete(const struct job *j, struct kv_batch *batch);
enum err job_form_load(struct jobs *jobs, struct note *note) MUST_USE;

/* -- job_show.c -- */
void job_salts_put(const struct job *j, struct kv_batch *batch);
void job_salts_delete(const struct job *j, struct kv_batch *batch);
enum err job_salts_load(struct jobs *jobs, struct note *note) MUST_USE;

/* -- job_talk.c -- */
/* Beside the job's record: nothing where it is in no conversation. */
void job_talk_put(const struct job *j, struct kv_batch *batch);
void job_talk_delete(const struct job *j, struct kv_batch *batch);
/* Behind the jobs themselves. */
enum err job_talk_load(struct jobs *jobs, struct note *note) MUST_USE;

#endif
