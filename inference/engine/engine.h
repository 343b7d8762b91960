/* The engine: one model, its threads, and any number of sequences. A call evaluates a batch of rows, of
 * whichever sequences, and gives for those that ask for it the final hidden state and the logits.
 *
 * A row's result is a function of the model and of the tokens of its own sequence up to it, and of nothing else: not of
 * the other rows, the threads, the kernels, or how the sequence was cut into batches (docs/arithmetic.md).
 *
 * The cache of a sequence: int8 keys and values with a scale per block of 32, in pages of ARITH_CHUNK positions, taken
 * as the sequence grows. */
#ifndef KITH_INFERENCE_ENGINE_H
#define KITH_INFERENCE_ENGINE_H

#include "base/hash.h"
#include "inference/engine/device.h"
#include "inference/engine/model.h"

struct engine;
struct engine_seq;
struct pool;

/* Layers [first, end) of the model are evaluated by a device. */
struct engine_device {
    const struct device_table *table;
    struct device *device_take;
    uint32_t first, end;
};
/* The devices failed, why, and what was made of it here takes over: the answers go on as they were. */
typedef void (*engine_lost_fn)(void *arg, const struct note *why);

struct engine_options {
    const struct model *model; /* outlives the engine */
    const struct ops *ops;
    unsigned threads;    /* 1..THREADS_MAX */
    struct pool *pool;   /* outlives the engine; NULL: its own, of so many threads */
    uint32_t batch_max;  /* rows of a call, 1..BATCH_MAX */
    uint32_t logits_max; /* ... of which so many keep their logits at most (neither no_logits nor best_only); 0: all */
    uint32_t context;    /* positions of a sequence at most; 0: the model's */
    /* For a model that writes: devices in the order of their layers, the last with the output; layers before the first
     * one's are evaluated here. */
    const struct engine_device *devices;
    uint32_t devices_n;
    engine_lost_fn lost; /* may be NULL */
    void *lost_arg;
};
struct engine *engine_new(const struct engine_options *o);
void engine_free(struct engine *e);
const struct model *engine_model(const struct engine *e);
const struct ops *engine_ops(const struct engine *e);
/* Its threads, for work between two calls. */
struct pool *engine_pool(const struct engine *e);
uint32_t engine_batch_max(const struct engine *e);
uint32_t engine_context(const struct engine *e);
/* What the scratch takes, and what a sequence of so many positions takes. */
uint64_t engine_bytes(const struct engine *e);
uint64_t engine_seq_bytes(const struct engine *e, uint32_t positions);

/* A sequence for a request of `length` tokens, its prompt and its token limit together: models that rotate long
 * requests otherwise than short ones (phi3) go by it, so it belongs to the request and to nothing of this host.
 * Prefixes may be shared only among requests that are alike in this. */
struct engine_seq *engine_seq_new(struct engine *e, uint32_t length);
void engine_seq_free(struct engine_seq *s);
uint32_t engine_seq_length(const struct engine_seq *s);
/* Takes back the last positions, down to `length`, all of which were finite: as if they had not been evaluated. Of a
 * model with recurrent layers only positions whose rows were `guessed`, in the last batch that the sequence had rows
 * in. */
void engine_seq_cut(struct engine_seq *s, uint32_t length);

/* A row of the stream that is wanted beside the results: what leaves a layer, not the last, at a position. */
struct engine_tap {
    uint32_t layer, position;
    float *to; /* [embed], filled when that position is evaluated */
};
/* Of a sequence that has no positions yet; borrowed until it ends. Of what it takes over from others
 * (engine_seq_reuse) no row is evaluated, and so none comes. */
void engine_seq_tap(struct engine_seq *s, const struct engine_tap *taps, uint32_t n);

/* -- beginnings that sequences share -- */

/* An empty sequence whose whole pages are found by later ones of the same scope, and which finds theirs. Others never
 * do: how fast an answer came must not tell a stranger what was asked before. */
void engine_seq_share(struct engine_seq *s, const struct hash *scope);
/* Takes over what is known for tokens[n], which begin with those that the sequence has. Returns its length then: of
 * positions that need not be evaluated any more. */
uint32_t engine_seq_reuse(struct engine_seq *s, const uint32_t *tokens, uint32_t n);
/* The page that the next position lies in, if tokens[n] fill it: two sequences with the same key are about to evaluate
 * the same positions. */
bool engine_seq_next_key(struct engine_seq *s, const uint32_t *tokens, uint32_t n, struct hash *key);
/* Pages that no sequence holds are kept until they are trimmed, the oldest first. */
uint64_t engine_idle_bytes(const struct engine *e);
void engine_trim(struct engine *e, uint64_t idle_bytes_max);

struct engine_row {
    struct engine_seq *seq;
    uint32_t token; /* < vocab */
    bool wants;     /* hidden state and logits of this position */
    bool no_logits; /* ... the hidden state only; such rows stand behind all others of a batch */
    bool best_only; /* ... of the logits only which is the largest: cheaper, in a long batch by far */
    bool guessed; /* it may be taken back (engine_seq_cut). Such rows are the last of their sequence in a batch, at most
                     GUESSES_MAX, and none is the last of a page */
    /* results of rows that want them, valid until the next call */
    const float *hidden; /* [embed], after the output norm */
    float *logits;       /* [vocab], NULL of best_only; the caller may change them */
    uint32_t best;       /* of best_only: the first of the largest */
    bool finite;         /* this position and all before it in the sequence; if not, nothing of it is to be used */
    /* the caller's: the hidden state's hash, once somebody has made it */
    bool is_hashed;
    struct hash hidden_hash;
};
/* For models that write (model_writes). Appends each row's token to its sequence, rows of one sequence in their order.
 * n <= batch_max; a sequence must have room (engine_context). */
void engine_eval(struct engine *e, struct engine_row *rows, uint32_t n);

/* -- embeddings -- */

/* out[embed] = one vector for a whole text of 1..engine_context tokens, each < vocab: the final hidden states, pooled
 * as the file says (the mean of all, the first's, the last's). An encoder lets every position see all; other models are
 * evaluated as for writing. Not of unit length yet. Uses the engine as engine_eval does: one call at a time, and
 * results of the last engine_eval are gone. False if a number on the way is not finite; out is then zero. */
bool engine_embed(struct engine *e, const uint32_t *ids, uint32_t n, float *out);
/* The same in pieces, for models that write: rows without logits, wanted where it says so of position i of n; their
 * hidden states are added to out[embed], which is zero before the first, in order; then comes the end. False as above,
 * where a row was not finite, too. */
bool engine_embed_wants(const struct engine *e, uint32_t i, uint32_t n);
void engine_embed_add(const struct engine *e, const float *hidden, float *out);
bool engine_embed_end(const struct engine *e, uint32_t n, bool finite, float *out);
/* The step after it that most uses want: x[n] divided by its length (docs/arithmetic.md). All zero stays as it is. */
void engine_embed_normalise(float *x, size_t n);
/* Memory that engine_embed takes for a text of so many tokens, and gives back. */
uint64_t engine_embed_bytes(const struct engine *e, uint32_t n);

#endif
