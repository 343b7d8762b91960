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

#include "base/hash.h"
#include "node/host.h"

struct workers;
struct worker; /* one model */

struct workers_options {
    struct host *host;
    const char *program;   /* path of kith-worker; NULL: beside this program, then ../libexec, or $KITH_WORKER */
    const char *backend;   /* "auto" */
    uint32_t threads;      /* a worker; 0: as many as there are processors */
    uint32_t jobs_max;     /* at once, a worker */
    uint64_t memory_bytes; /* all of them together; 0: no limit. One over it stops the idlest. */
    const char *packs;     /* directory where packed weights are kept (inference/pack_file.h); NULL: not kept */
    uint64_t packs_bytes;  /* of it at most */
};
struct workers *workers_new(const struct workers_options *o);
/* Kills all; no callback comes any more. */
void workers_free(struct workers *w);

enum worker_mode { WORKER_FULL, WORKER_VOCAB }; /* vocab: tokenizer and template only, from the head of a file */

struct worker_info {
    struct hash root;
    enum worker_mode mode;
    bool ready;
    char architecture[64], format[32], backend[32], device[256]; /* device: as in worker_proto.h, may be empty */
    uint32_t vocab, context, jobs;
    int32_t bos, eos; /* -1: none */
    uint64_t parameters, memory_bytes;
    unsigned deaths;
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
typedef void (*worker_text_fn)(void *arg, enum err e, struct bytes text, const struct note *note);
/* Raw text, with BOS as the file says; `special` parses special tokens in it. */
worker_ask worker_tokenize(struct worker *w, struct bytes text, bool special, worker_ids_fn fn, void *arg);
/* OpenAI's message list and list of tools (JSON, or empty) through the model's chat template to ids, ready to be
 * answered. */
worker_ask worker_template(struct worker *w, struct bytes messages_json, struct bytes tools_json, worker_ids_fn fn,
                           void *arg);
worker_ask worker_detokenize(struct worker *w, struct bytes ids, worker_text_fn fn, void *arg);
/* Of ids that begin a text, special tokens included. */
worker_ask worker_detokenize_prompt(struct worker *w, struct bytes ids, worker_text_fn fn, void *arg);

struct worker_token {
    uint32_t index; /* in the answer, from 0; after the tokens that were given */
    uint32_t token;
    struct hash digest;    /* running, with this token */
    struct bytes text;     /* what this token completed: whole UTF-8 characters, may be empty */
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
};
worker_ask worker_run(struct worker *w, const struct worker_work *work, const struct worker_calls *calls, void *arg);

struct worker_verdict {
    bool same;
    uint32_t position;  /* of the first difference in the answer, if not the same */
    struct hash digest; /* that the replay gave over all the tokens */
};
typedef void (*worker_verdict_fn)(void *arg, enum err e, const struct worker_verdict *v, const struct note *note);
/* One prefill pass over prompt and tokens; same: every token is what the model chooses and the digest is `digest`. */
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

/* Takes a question back; a running job is cancelled at once. Unknown numbers are fine. */
void worker_drop(struct worker *w, worker_ask ask);

#endif
