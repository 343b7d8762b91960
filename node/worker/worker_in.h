/* Inside the daemon's workers: what worker.c (processes, messages), worker_ask.c (questions) and worker_pool.c share.
 */
#ifndef KITH_NODE_WORKER_IN_H
#define KITH_NODE_WORKER_IN_H

#include "base/keep.h"
#include "inference/worker_proto.h"
#include "node/worker/worker.h"

struct worker_proc;

struct workers {
    struct workers_options o;
    struct buf program, packs;
    struct worker *list, *gone;
    const struct workers_far *far;
    void *far_arg;
};

enum ask_kind {
    ASK_READY,
    ASK_TOKENIZE,
    ASK_DETOKENIZE,
    ASK_TEMPLATE,
    ASK_RUN,
    ASK_VERIFY,
    ASK_EMBED,
    ASK_SCORE,
    ASK_HOP
};

/* A question that is not answered yet. It is kept whole, so that it can be asked again of the next process. */
struct ask {
    struct ask *next;
    uint64_t id;
    enum ask_kind kind;
    struct buf frame; /* all but ASK_RUN, which is encoded anew with the tokens so far */
    struct buf request, tokens;
    struct buf scored; /* logprobs that came, of so many ids */
    uint32_t scored_n;
    struct hash scope;
    uint8_t logprobs;
    bool is_witnessed;
    union {
        worker_ready_fn ready;
        worker_ids_fn ids;
        worker_prompt_fn prompt;
        worker_text_fn text; /* and scores */
        worker_verdict_fn verdict;
        worker_embedding_fn embedding;
        worker_answer_fn answer;
        struct worker_calls calls;
    } fn;
    void *arg;
    enum err failed; /* told in the loop's next turn */
    struct note note;
};

/* One model:
 *
 *     down --ask--> starting --opened--> ready --death--> waiting --timer--> starting
 *                       '--failed--> refused (the model cannot be run)          '--too many deaths--> down
 *
 * One whose layers are cut over several devices is held before it starts until these are there (worker_layers.c); one
 * of layers for another device goes from `waiting` to `refused`.
 */
enum worker_state { WORKER_DOWN, WORKER_HELD, WORKER_STARTING, WORKER_READY, WORKER_WAITING, WORKER_REFUSED };

struct worker {
    struct workers *owner;
    struct host *host;
    struct worker *next;
    struct hash root;
    enum worker_mode mode;
    int fd;
    uint64_t file_bytes;
    struct keep_file pack; /* packed weights: what is kept, or is being made by the process */
    enum worker_state state;
    struct worker_proc *proc; /* in STARTING and READY */
    struct wire_opened opened;
    enum err refusal;
    struct note refusal_note;
    unsigned deaths;
    uint64_t guessed, guessed_right;
    uint64_t used_ms; /* when it last had something to do */
    struct timer restart, late;
    struct ask *asks; /* oldest first */
    uint32_t asks_n;
    uint64_t next_id;
    bool is_gone; /* stopped: tells its questions so, and is freed */

    /* layers elsewhere */
    struct worker_layers layers; /* of mode WORKER_LAYERS, with ... */
    worker_ended_fn ended;       /* ... whom to tell */
    void *ended_arg;
    struct buf hops;          /* of its cut; empty: all is here, since */
    bool has_lost_hops;       /* ... an answer said so */
    uint32_t batch, pages;    /* of its cut */
    uint64_t elsewhere_bytes; /* of the file */
    bool is_calling;          /* it waits for worker_far_answer, of ... */
    uint32_t called;
};

/* worker.c */
void worker_start(struct worker *w); /* if it is down */
void worker_spawn(struct worker *w); /* it is to run, with the cut that it has */
void worker_send_take(struct worker *w, struct buf *frames);
/* Kills its process, if there is one. */
void worker_drop_process(struct worker *w);
/* Name of the file of packed weights. */
void worker_pack_name(const struct hash *root, struct buf *out);

/* worker_pool.c */
struct worker *worker_new(struct workers *ws, const struct hash *root, enum worker_mode mode, int fd_take,
                          uint64_t file_bytes);
/* Stops idle workers until there is room beside all but `except`; false if those that work fill it. */
bool workers_make_room(struct workers *ws, const struct worker *except, uint64_t need);

/* worker_layers.c */
/* True: it may start. */
bool worker_may_start(struct worker *w);
enum err worker_take_far_call(struct worker *w, const struct wire_frame *frame) MUST_USE;
/* Its process ended, or it goes. */
void worker_tell_ended(struct worker *w, bool for_good);
/* One of layers has no process any more. */
void worker_end_layers(struct worker *w);
uint32_t worker_elsewhere(const struct worker *w); /* layers */

/* worker_ask.c */
struct ask *ask_new(struct worker *w, enum ask_kind kind, void *arg);
worker_ask ask_go(struct worker *w, struct ask *a);
struct ask *ask_find(struct worker *w, uint64_t id);
/* All of them, to a process that has just opened the model. */
void ask_send_all(struct worker *w);
/* Takes an answer; ERR_PROTOCOL when the process talks nonsense. The callbacks may stop the worker. */
enum err ask_take(struct worker *w, const struct wire_frame *frame) MUST_USE;
/* Ends all of them with this error, or only those that are marked as failed. */
void ask_fail_all(struct worker *w, enum err e, const struct note *note);
void ask_fail_marked(struct worker *w);
/* Those that only wait for the model. */
void ask_tell_ready(struct worker *w);
void ask_free_all(struct worker *w);

#endif
