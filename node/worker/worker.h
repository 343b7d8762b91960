/* The daemon's side of kith-worker: one process per loaded model, spoken to with the messages of
 * inference/worker_proto.h, started again when it dies. Jobs that ran in it go on from their tokens so far:
 * the answer is determined, so nobody notices but by the time it took.
 *
 * Everything is asked by number and answered by a callback on the loop, exactly once for a question,
 * never within the call; `worker_drop` takes a question back without an answer. A worker that dies more than
 * WORKER_DEATHS_MAX times in a row fails what it has (ERR_CLOSED), since then the model or the job kills it.
 */
#ifndef KITH_NODE_WORKER_H
#define KITH_NODE_WORKER_H

#include "base/answer_form.h"
#include "base/codec.h"
#include "base/hash.h"
#include "node/host/host.h"

struct workers;
struct worker; /* one model */

struct workers_options {
    struct host *host;
    const char *program;   /* path of kith-worker; NULL: beside this program, then ../libexec, or $KITH_WORKER */
    const char *backend;   /* "auto" */
    uint32_t threads;      /* a worker; 0: as many as there are processors */
    uint32_t jobs_max;     /* at once, a worker */
    uint64_t memory_bytes; /* all of them together; 0: no limit. One over it stops the idlest. */
    const char *packs;     /* directory where packed weights are kept (inference/engine/pack_file.h); NULL: not kept */
    uint64_t packs_bytes;  /* of it at most */
};
struct workers *workers_new(const struct workers_options *o);
/* Kills all; no callback comes any more. */
void workers_free(struct workers *w);

enum worker_mode {
    WORKER_FULL,
    WORKER_VOCAB,  /* tokenizer and template only, from the head of a file */
    WORKER_LAYERS, /* some layers, for whoever has the others: see below */
};

struct worker_info {
    struct hash root;
    enum worker_mode mode;
    bool ready;
    char architecture[64], format[32], backend[32], device[256]; /* device: as in worker_proto.h, may be empty */
    uint32_t vocab, context, jobs;
    int32_t bos, eos; /* -1: none */
    uint64_t parameters, memory_bytes;
    unsigned deaths;
    uint64_t guessed, guessed_right; /* tokens of answers (inference/sched/draft.h), since it was first wanted */
    uint32_t layers;                 /* of the model */
    uint32_t elsewhere;              /* of them, that other devices evaluate now */
    uint32_t first, end;             /* of WORKER_LAYERS, with ... */
    uint32_t batch, pages;           /* ... rows of a call, and pages of the cache that there is room for */
    bool is_held;                    /* it waits for other devices */
};

/* The worker for this model, started if there is none. `fd` (a read-only file with the model, or its head)
 * is taken over. The worker stays until workers_stop or until memory is needed. ERR_FULL: no memory for it while
 * others work. */
enum err workers_get(struct workers *w, const struct hash *root, enum worker_mode mode, int fd_take,
                     struct worker **out, struct note *note) MUST_USE;
/* The one that runs already, or NULL. It may have died while nobody asked it anything, and waits to be wanted: */
struct worker *workers_find(struct workers *w, const struct hash *root, enum worker_mode mode);
/* Starts such a one again, unless it dies every time; else a provider whose idle worker ended would never offer its
 * model again, and so never be asked. */
void worker_wake(struct worker *w);
void workers_stop(struct workers *w, struct worker *one);
/* The model's file was found damaged: stops who runs it, and forgets the packed weights that were made of it. */
void workers_drop_model(struct workers *w, const struct hash *root);
typedef void (*worker_info_fn)(void *arg, const struct worker_info *info);
void workers_each(struct workers *w, worker_info_fn fn, void *arg);
void worker_get_info(const struct worker *w, struct worker_info *out);

typedef uint64_t worker_ask; /* never 0 */

/* Waits until the model is loaded, or says why it is not. */
typedef void (*worker_ready_fn)(void *arg, enum err e, const struct worker_info *info, const struct note *note);
worker_ask worker_when_ready(struct worker *w, worker_ready_fn fn, void *arg);

/* `ids`: u32 little-endian. */
typedef void (*worker_ids_fn)(void *arg, enum err e, struct bytes ids, const struct note *note);
struct worker_text {
    struct bytes text;
    struct bytes reaches, marks; /* of an answer: where each token ends, and marks (base/answer_form.h) */
};
typedef void (*worker_text_fn)(void *arg, enum err e, const struct worker_text *t, const struct note *note);
/* Raw text, with BOS as the file says; `special` parses special tokens in it. */
worker_ask worker_tokenize(struct worker *w, struct bytes text, bool special, worker_ids_fn fn, void *arg);
/* A chat, borrowed for the call: OpenAI's message list and list of tools, variables of the template (base/variables.h),
 * as JSON each, the last two may be empty; which kind of answer it is to have (enum wire_begins), and of what function.
 */
struct worker_chat {
    struct bytes messages, tools, variables;
    uint8_t begins;
    struct text64 function;
};
struct worker_prompt {
    struct bytes ids;
    bool called; /* the prompt calls the function already, and its answer will be the arguments */
    struct answer_form form;
};
typedef void (*worker_prompt_fn)(void *arg, enum err e, const struct worker_prompt *p, const struct note *note);
/* Through the model's chat template to ids, ready to be answered. */
worker_ask worker_template(struct worker *w, const struct worker_chat *chat, worker_prompt_fn fn, void *arg);
/* Of an answer's ids. */
worker_ask worker_detokenize(struct worker *w, struct bytes ids, worker_text_fn fn, void *arg);
/* Of ids that begin a text, special tokens included. */
worker_ask worker_detokenize_prompt(struct worker *w, struct bytes ids, worker_text_fn fn, void *arg);

struct worker_token {
    uint32_t index; /* in the answer, from 0; after the tokens that were given */
    uint32_t token;
    struct hash digest;    /* running, with this token */
    struct bytes text;     /* what this token completed: whole UTF-8 characters, may be empty */
    uint32_t reach;        /* bytes of the answer's text with it, those held back included */
    struct bytes mark;     /* its own text where that is no part of it (base/answer_form.h) */
    struct bytes logprobs; /* wire_next_logprob (inference/worker_proto.h); empty if not asked for */
};
struct worker_done {
    uint8_t stop;            /* enum of inference/request.h */
    uint32_t tokens, shared; /* of the answer; of the prompt, known from an earlier question of the same scope */
    struct hash digest;
    uint64_t prompt_us, decode_us;
    struct bytes text; /* what no token had given yet */
};
/* Any of them may be NULL. After `done` (e != ERR_OK: the job failed, `d` is NULL) nothing more comes. */
struct worker_calls {
    void (*token)(void *arg, const struct worker_token *t);
    void (*done)(void *arg, enum err e, const struct worker_done *d, const struct note *note);
};
/* `request`: inference/request.h's encoding; `tokens`: ids (u32 LE) that are answered already, replayed first, or that
 * are to be verified. `scope`: whoever asks; only what the same scope asked before makes an answer quicker, so that no
 * stranger's timing tells of others; zero: shared with nobody. `logprobs`: 0, or 1 and how many of the likeliest. */
struct worker_work {
    struct bytes request, tokens;
    struct hash scope;
    uint8_t logprobs;
    const struct hash *key; /* worker_verify alone: its witness is wanted, too, drawn by this; NULL: none */
};
worker_ask worker_run(struct worker *w, const struct worker_work *work, const struct worker_calls *calls, void *arg);

struct worker_verdict {
    bool same;
    uint32_t position;   /* of the first difference in the answer, if not the same */
    struct hash digest;  /* that the replay gave over all the tokens */
    struct hash witness; /* inference/sched/witness.h, of these tokens, the same or not; zero where no key was given */
};
typedef void (*worker_verdict_fn)(void *arg, enum err e, const struct worker_verdict *v, const struct note *note);
/* One prefill pass over prompt and tokens; same: every token is what the model chooses and the digest is `digest`. With
 * a key nothing is taken over from earlier questions, whatever the scope, and the pass goes on behind a difference. */
worker_ask worker_verify(struct worker *w, const struct worker_work *work, const struct hash *digest,
                         worker_verdict_fn fn, void *arg);

struct worker_embedding {
    uint32_t tokens;
    struct bytes values; /* f32 little-endian each, of unit length */
    struct hash digest;
};
typedef void (*worker_embedding_fn)(void *arg, enum err e, const struct worker_embedding *v, const struct note *note);
/* `dimensions`: only the first so many; 0: all. */
worker_ask worker_embed(struct worker *w, struct bytes ids, uint32_t dimensions, worker_embedding_fn fn, void *arg);

/* How likely each of the ids is behind those before it: their logprobs (wire_next_logprob), as of a run with
 * `logprobs`, of which the first has only one, and 0. ERR_LIMIT: over WORKER_SCORED_MAX bytes. */
worker_ask worker_score(struct worker *w, struct bytes ids, uint8_t logprobs, worker_text_fn fn, void *arg);

/* -- layers that another device evaluates (node/worker/worker_layers.c) -- */

/* Some layers of a model, for a head on another device. workers_find never finds it and nothing evicts it: it is
 * whoever got it who stops it. What its layers keep between calls dies with its process, so it is not started again:
 * all that it was asked fails, then `ended` comes, once and never within the call; only workers_stop is left to do. */
struct worker_layers {
    struct hash root;
    uint32_t first, end;
    uint64_t bytes; /* of the file that these are; until the worker says what it takes */
};
typedef void (*worker_ended_fn)(void *arg, enum err e, const struct note *note);
enum err workers_get_layers(struct workers *w, const struct worker_layers *of, int fd_take, worker_ended_fn ended,
                            void *arg, struct worker **out, struct note *note) MUST_USE;
/* A batch through them (inference/engine/far.h); at most FAR_CALL_MAX bytes. */
typedef void (*worker_answer_fn)(void *arg, enum err e, struct bytes answer, const struct note *note);
worker_ask worker_hop_call(struct worker *w, struct bytes call, worker_answer_fn fn, void *arg);

/* What a worker of a whole model is started with. */
struct worker_cut {
    struct bytes hops;     /* u32 first, u32 end of each range that is evaluated elsewhere; empty: all is here */
    uint32_t batch, pages; /* that all of them take */
    uint64_t bytes;        /* of the file that need not be in memory here */
};
/* Who knows which layers are elsewhere (node/hops/hops.h). It may call back into none of this file within a call, but
 * for worker_far_answer within `call`. */
struct workers_far {
    /* Bytes of the file that other devices are to have; 0: this model is not cut. */
    uint64_t (*elsewhere)(void *arg, const struct hash *root);
    /* A process is to be started. True: at once, with *cut. False: its questions wait for worker_release or
     * worker_refuse. */
    bool (*start)(void *arg, struct worker *w, struct worker_cut *cut);
    /* The worker asks hop `hop` of the cut, and does nothing else until worker_far_answer. */
    void (*call)(void *arg, struct worker *w, uint32_t hop, struct bytes call);
    /* It says that it cannot run the model, and why: more may be known of it. */
    void (*refused)(void *arg, struct worker *w, enum err e, struct note *note);
    /* Its process ended, and waits for no answer any more; `for_good`: the worker goes. */
    void (*ended)(void *arg, struct worker *w, bool for_good);
};
/* `far` outlives its use; NULL: nobody. */
void workers_set_far(struct workers *w, const struct workers_far *far, void *arg);
/* The held one starts with this, which may be zero. */
void worker_release(struct worker *w, const struct worker_cut *cut);
/* The held one does not: what it was asked fails, what it is asked next starts it anew. */
void worker_refuse(struct worker *w, enum err e, const char *text);
/* Would it have room with all layers here? Stops idle workers for that. */
bool worker_has_room(struct worker *w);
/* Its process ends and another starts, or a held one is looked at anew; what it was asked goes on. Not within a
 * callback of its own. */
void worker_again(struct worker *w);
/* `e` ERR_OK: the answer; else the worker evaluates all layers itself from now on. Dropped if it asked nothing. */
void worker_far_answer(struct worker *w, uint32_t hop, enum err e, struct bytes answer, const char *text);

/* Takes a question back; a running job is cancelled at once. Unknown numbers are fine. */
void worker_drop(struct worker *w, worker_ask ask);

#endif
