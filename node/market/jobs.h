/* Jobs that this node asks for, for its own user: from a chat to a paid, verifiable answer.
 *
 *     made -> preparing   the model is found; a worker renders the template and tokenises
 *          -> routing     this machine, if it has the model, else the best offer that fits the budget
 *          -> funding     a channel to that provider with enough in it, opened on the ledger if need be
 *          -> running     tokens come, each receipt is paid
 *          -> done | failed
 *
 * A provider that fails or stalls sends the job back to routing, with the tokens so far; so does a
 * restart of this node. What was paid for is on disk, synced, before the payment leaves; an answer that was
 * seen is never seen otherwise again, because it is determined by the request.
 *
 * Transcripts are kept under the node's home, mode 0600, so that a job can be verified later.
 */
#ifndef KITH_NODE_JOBS_H
#define KITH_NODE_JOBS_H

#include "base/amount.h"
#include "base/answer_form.h"
#include "base/json.h"
#include "base/key.h"

struct jobs;
struct job_watch;

enum job_route { ROUTE_AUTO, ROUTE_LOCAL, ROUTE_NETWORK };
enum job_state { JOB_PREPARING, JOB_ROUTING, JOB_FUNDING, JOB_RUNNING, JOB_DONE, JOB_FAILED };
const char *job_state_name(enum job_state s);

/* What somebody asks. Texts are borrowed for the call. */
struct job_ask {
    const char *model;        /* name or root in hexadecimal */
    const char *messages;     /* OpenAI's message list as JSON; or NULL: */
    const char *tools;        /* with messages: OpenAI's list of tools as JSON, or NULL for none */
    const char *variables;    /* with messages: of the template, a checked JSON object (base/variables.h), or NULL */
    const char *call;         /* with messages: the function that the answer has to call, or NULL. Where the model's */
    struct bytes call_schema; /* prompts can call it themselves, the answer keeps to this instead of to `schema` */
    const char *prompt;       /* raw text, BOS as the model's file says; or NULL: */
    struct bytes prompt_ids;  /* tokens, u32 little-endian each */
    uint32_t tokens_max;      /* 0: as many as the context has room for, at most JOB_TOKENS_DEFAULT */
    float temp, top_p, min_p, repeat_penalty, presence, frequency;
    uint32_t top_k, window;
    bool has_seed;
    struct hash seed;
    struct bytes stops;  /* as in a request: u8 length and bytes, each */
    struct bytes biases; /* as in a request: of local models only */
    struct bytes schema; /* as in a request: canonical JSON, checked by the caller; empty: none */
    enum job_route route;
    struct amount cost_max;
    bool is_private;   /* only on this machine, shown to nobody */
    uint32_t choice;   /* which of several answers to one question this is to be, from 0 */
    uint8_t logprobs;  /* 0, or 1 and how many of the likeliest tokens beside each: local models only */
    uint64_t key;      /* drawn by the client; asking again with the same one gives the same job; 0: none */
    struct hash owner; /* whose it is: of the key that the request came with, zero for the node's own user */
    struct hash talk;  /* the conversation of that owner that it belongs to, drawn by the client; zero: none */
    const char *title; /* with talk: its question in short, of at most 255 bytes */
};
#define JOB_TOKENS_DEFAULT 512
/* Greedy, no penalties, everything else at its default. */
void job_ask_init(struct job_ask *a);

/* A snapshot; pointers are borrowed until the loop's next turn. */
struct job_view {
    struct hash id, owner, talk;
    const char *title;     /* of a question in a talk; otherwise empty */
    struct bytes messages; /* as JSON; empty where it was no chat that was asked for */
    const char *called;    /* the function that the text is the arguments of, or NULL: it is a text */
    enum job_state state;
    struct hash model;
    const char *model_name;
    bool is_local, is_private;
    struct pubkey provider; /* zero while none */
    struct hash channel;
    uint32_t prompt_tokens, tokens;
    const char *text; /* UTF-8, whole characters only */
    size_t text_n;
    uint32_t text_tokens;        /* how many of the tokens it is the text of */
    struct bytes reaches, marks; /* where these end in it, and those that leave no text (base/answer_form.h) */
    struct answer_form form;     /* how the model writes its answer to this prompt; plain where it was no chat */
    struct amount cost;
    const char *stop; /* "length", "eos", "stop", "numeric"; NULL while it runs */
    struct hash digest;
    struct hash receipt;    /* zero for a local job */
    uint32_t receipt_index; /* in its channel; UINT32_MAX before there is one */
    struct hash seed;
    struct bytes logprobs; /* of the tokens so far, each the token and the likeliest (wire_next_logprob); empty once the
                              watchers know that it is over */
    uint8_t logprobs_each; /* entries a token; 0: not asked for */
    uint32_t choice;       /* of the ask */
    uint32_t shared;       /* tokens of the prompt that an earlier job of this node had evaluated */
    uint32_t read;         /* ... that were read and paid step by step (inference/request.h), before any answer */
    bool verified;
    const char *note;  /* for people: what it waits for, or that it goes on; NULL or empty: nothing */
    uint32_t notes;    /* how often that changed */
    const char *error; /* of a failed job: one line, and its code */
    enum err code;
    uint64_t made_ms, first_token_ms, done_ms; /* wall clock; 0 = not yet */
};

/* How many jobs are kept, how large together, and how long after they were made. */
struct job_limits {
    uint64_t jobs, bytes, age_ms; /* age_ms 0: as long as there is room */
};
/* Those that are kept now. */
void jobs_kept(const struct jobs *j, uint64_t *n, uint64_t *bytes);

/* Starts it; *id is known at once and stays valid over restarts. */
enum err jobs_make(struct jobs *j, const struct job_ask *ask, struct hash *id, struct note *note) MUST_USE;
/* Made since the node started. */
uint64_t jobs_made(const struct jobs *j);
bool jobs_find(struct jobs *j, const struct hash *id, struct job_view *out) MUST_USE;
typedef void (*job_fn)(void *arg, const struct job_view *v);
/* Newest first, at most `most`; of that owner, or (NULL) of all. */
void jobs_each(struct jobs *j, const struct hash *owner, unsigned most, job_fn fn, void *arg);
/* A provider that runs is told; what was delivered is paid. */
void jobs_cancel(struct jobs *j, const struct hash *id);
/* Forgets the jobs of a conversation, of that owner or (NULL) of any. ERR_NOT_FOUND; ERR_STATE: one is under way, or
 * looked at. */
enum err jobs_forget_talk(struct jobs *j, const struct hash *owner, const struct hash *talk,
                          struct note *note) MUST_USE;

/* Called in the loop's next turn and then after every change (new text, new state) until unwatched.
 * The watch ends itself after the call that shows JOB_DONE or JOB_FAILED. */
struct job_watch *jobs_watch(struct jobs *j, const struct hash *id, job_fn fn, void *arg);
void jobs_unwatch(struct job_watch *w);

/* One who hears of every job: when it is made, runs, waits again, is over. Within the call that changes it: to look,
 * and no more. NULL: nobody. */
void jobs_on_state(struct jobs *j, job_fn fn, void *arg);

/* How much of the text could be shown when that many tokens were known: where a client that has seen them goes on. One
 * more than there are means the text that was held back until the end, too (a stop text's beginning, half a character).
 * Answered when the job has as many (or is over), in a later turn; `arg` names the question for jobs_drop_place. */
typedef void (*job_place_fn)(void *arg, size_t offset);
void jobs_place(struct jobs *j, const struct hash *id, uint32_t tokens, job_place_fn fn, void *arg);
void jobs_drop_place(struct jobs *j, const void *arg);

/* Replays the transcript on the local model in one prefill pass. ERR_OK: replayed, the verdict says whether the bits
 * are the same; ERR_NOT_FOUND: no such job or the model is not on this machine (the note says how to get it). */
struct job_verdict {
    bool same;         /* each token, and the digest */
    uint32_t position; /* of the first token that differs */
    struct hash digest;
    bool ends; /* the model ends it there, too, and for the reason that was said: else it was cut short */
    struct hash claimed;
};
typedef void (*job_verified_fn)(void *arg, enum err e, const struct job_verdict *v, const struct note *note);
void jobs_verify(struct jobs *j, const struct hash *id, job_verified_fn fn, void *arg);

/* The settlement over receipt `index` of a channel: its first one that reaches behind it. False: none yet. */
struct rec_settlement;
bool jobs_settlement(const struct jobs *j, const struct hash *channel, uint32_t index, struct rec_settlement *out);

/* Replays, and takes an answer that is not the model's own to the ledger, with a bond of the node's account: now, or
 * (!is_sent) as soon as its receipt settles, over restarts too. ERR_STATE: it is the model's own, nobody was paid, or
 * the settlement is over; ERR_DUPLICATE: committees have it already. */
struct job_challenge {
    bool is_sent;
    struct hash tx, settlement;
    uint32_t index; /* of the receipt */
};
typedef void (*job_challenged_fn)(void *arg, enum err e, const struct job_challenge *c, const struct note *note);
void jobs_challenge(struct jobs *j, const struct hash *id, job_challenged_fn fn, void *arg);

/* job_show.c: the encoding of an audit_show of a receipt that this node paid for, appended. ERR_NOT_FOUND where the job
 * is not kept, or the receipt is not over the whole of it. */
enum err jobs_show(struct jobs *jobs, const struct rec_settlement *s, uint32_t index, struct buf *plain) MUST_USE;

#endif
