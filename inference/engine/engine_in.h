/* Inside the engine: its state and the steps that its files share. A step is split over the pool by rows of a matrix,
 * by rows of the batch, or by (row, head); no result is ever put together from two threads. */
#ifndef KITH_INFERENCE_ENGINE_IN_H
#define KITH_INFERENCE_ENGINE_IN_H

#include "inference/engine/cache.h"
#include "inference/engine/engine.h"
#include "inference/engine/pool.h"
#include "inference/engine/recur.h"
#include "inference/engine/rope.h"

struct engine_seq {
    struct engine *engine;
    struct cache cache;
    uint32_t length;
    bool is_long;                 /* rotated by the table for long requests */
    bool finite;                  /* of every position so far */
    struct state state;           /* of recurrent layers */
    const struct engine_tap *tap; /* [taps] */
    uint32_t taps;
    uint32_t row;                      /* its last so far in the batch that is put together */
    struct engine_seq *before, *after; /* of all of the engine */
};

struct moe;    /* scratch of a mixture of experts */
struct latent; /* scratch of heads that share one row */
struct recur;  /* scratch of recurrent layers */
struct inputs; /* what a second embedding gives the layers */

struct engine {
    const struct model *m;
    const struct ops *ops;
    struct pool *pool;
    bool is_pool_shared;
    struct pages *pages;
    struct rope *rope[MODEL_ROPE_COUNT]; /* NULL where nothing is rotated so */
    const float *angles[2]; /* of the batch's rows, where they are given (device.h): then no table counts */
    uint32_t batch_max, context;
    /* scratch; [rows of the batch, ...] */
    float *x;             /* [embed] the residual stream */
    float *h;             /* [embed] after a norm */
    float *q, *k, *v, *o; /* [model_queries_n], [heads_kv head] twice, [model_queries_n] */
    float *gate, *up;     /* [model_mix_most] */
    float *back;          /* [embed] what a branch adds */
    float *low;           /* [low_rank] between down and up of what adapters add */
    float *hidden;        /* [embed] until a batch leaves scratch of a layer with two mixes */
    float *logits;        /* [logits_rows, vocab] */
    uint32_t logits_rows; /* as many as were needed so far, */
    uint32_t logits_most; /* ... and may be */
    void *narrow, *wide;  /* the inputs of products in blocks, ops_blocks_bytes each */
    uint32_t *position;   /* of each row in its sequence */
    uint32_t *slot;       /* rows of the batch that still go on, in the last layer */
    bool *finite;         /* of each row in this batch */
    uint8_t *scratch;     /* of attention: engine_attend_scratch */
    size_t widest;
    struct moe *moe;       /* NULL without experts */
    struct latent *latent; /* NULL where the model has none */
    struct recur *recur;   /* NULL without recurrent layers */
    struct inputs *inputs; /* NULL without a second embedding */
    struct engine_row *rows;
    uint32_t n;
    const struct device_tap *tap; /* [taps] of the batch, by rows */
    uint32_t taps, tap_from;      /* rows that they count from */
    struct device_tap *tap_list;
    uint32_t tap_room;
    struct engine_seq *seqs;        /* all, in no order */
    struct engine_devices *devices; /* NULL: all layers are evaluated here */
};

/* -- layer.c: steps over `cols` rows -- */

/* x[cols, n] as input of products with up to three matrices (NULL: none), in the blocks that they ask for. Row c is row
 * slot[c] of the batch: where a value is not finite, e->finite[slot[c]] is cleared. */
struct ops_input engine_input(struct engine *e, const float *x, size_t n, size_t cols, const uint32_t *slot,
                              const struct ops_weight *a, const struct ops_weight *b, const struct ops_weight *c);
/* out[cols, w.rows] */
void engine_multiply(struct engine *e, const struct ops_weight *w, const struct ops_input *x, float *out);
/* The same plus what adapters add, plus the bias. */
void engine_product(struct engine *e, const struct model_product *p, const struct ops_input *x, float *out);
/* out[cols, n] = norm of x[cols, n]; out may be x. */
void engine_norm(struct engine *e, const struct model_norm *norm, const float *x, size_t n, float *out, size_t cols);
/* x[cols, embed] += y, which is scaled where the model has it so. */
void engine_add(struct engine *e, float *x, const float *y, size_t cols);
/* gate[cols, n] = activation of gate, times up; where there is no gate, of up alone. */
void engine_activate(struct engine *e, float *gate, const float *up, size_t n, size_t cols);

/* How a row of the batch is turned, in layers with a window (`is_local`) or others; NULL: not at all. */
const struct rope *engine_rope(const struct engine *e, size_t row, bool is_local);
/* The angles of a row in a layer: cosines, and *sine; NULL where nothing is rotated. */
const float *engine_angles(const struct engine *e, const struct model_layer *l, size_t row, const float **sine);
/* Queries of x[cols, embed] into e->q, and keys and values into the caches by way of e->k and e->v: normed and rotated
 * as the architecture has it. Rows are those of the batch. */
enum { ENGINE_QUERIES = 1, ENGINE_KEYS = 2 };
void engine_project(struct engine *e, uint32_t layer, const float *x, size_t cols, unsigned what);
/* What attention of so many rows needs. */
size_t engine_attend_scratch(const struct model *m, size_t cols);
/* e->o[cols, heads head] = attention; row c is row e->slot[c] of the batch, and its query there in e->q. */
void engine_attend(struct engine *e, uint32_t layer, size_t cols);
/* e->back[cols, embed] = what attention's last product makes of e->o; out[cols, embed] = what a layer's gate, up and
 * down make of x[cols, embed]. Rows are e->slot's. */
void engine_attention_output(struct engine *e, const struct model_layer *l, size_t cols);
void engine_mix(struct engine *e, const struct model_layer *l, const float *x, float *out, size_t cols);
/* One layer of a model that writes, over the batch. Returns how many rows go on. */
size_t engine_layer(struct engine *e, uint32_t layer);

/* -- engine_tap.c -- */
/* e->tap of the batch whose positions are known. */
void engine_list_taps(struct engine *e);
/* A layer's rows, from e->x. */
void engine_take_taps(const struct engine *e, uint32_t layer);

/* -- engine.c -- */
/* out[w->n] = a row of weights as it is. What is packed is read there, so that its pages of the file need not be in
 * memory; with devices perhaps nothing was packed yet. */
void engine_read_row(const struct engine *e, const struct ops_weight *w, uint32_t row, float *out);
/* The embeddings of the batch's tokens into e->x. */
void engine_enter(struct engine *e);
/* The `cols` rows that go on behind the last layer: their hidden states, and the logits of those that want them. */
void engine_leave(struct engine *e, size_t cols);
/* Of the `cols` rows that go on, how many want logits, too: the others stand behind them. */
size_t engine_told(const struct engine *e, size_t cols);

/* Room for so many rows of logits; what was there is lost. */
void engine_reserve_logits(struct engine *e, uint32_t rows);

/* -- engine_device.c: layers that devices evaluate -- */
struct engine_devices *engine_devices_new(const struct engine_options *o);
void engine_devices_free(struct engine_devices *d);
/* Layers before it are evaluated here. */
uint32_t engine_devices_first(const struct engine_devices *d);
/* The rest of a batch behind the layers that are evaluated here: e->slot as pack_wanted leaves it, e->hidden, logits
 * and the largest of them of rows that are told, e->finite. How many rows go on. If a device fails all are closed,
 * e->devices is NULL, the caches of all sequences are made again here, for what they had before the batch, and it
 * returns false: the batch is to be evaluated here, from its first layer on. */
bool engine_devices_run(struct engine *e, size_t *cols);
/* A sequence ends: what devices have of it is free. */
void engine_devices_leave(struct engine *e, struct engine_seq *s);
/* Memory that devices read or write at every batch; it lives until the engine's end, or until it is unpinned. */
void engine_devices_pin(struct engine *e);
void engine_devices_unpin_logits(struct engine *e);
/* The same for an encoder: x[n, embed] of a whole text, as it leaves the layers that are evaluated here, through the
 * others. False: x is to be made again, here. */
bool engine_devices_encode(struct engine *e, float *x);

/* -- latent.c -- */
struct latent *latent_new(const struct model *m, uint32_t batch);
void latent_free(struct latent *t);
uint64_t latent_bytes(const struct model *m, uint32_t batch);
/* engine_project of a layer with a latent. */
void latent_project(struct engine *e, uint32_t layer, const float *x, size_t cols);
/* What the layer's output takes, [cols, heads value], of what attention left in e->o; rows are e->slot's. */
const float *latent_values(struct engine *e, const struct model_layer *l, size_t cols);

/* -- moe.c -- */
struct moe *moe_new(const struct model *m, uint32_t batch);
void moe_free(struct moe *m);
uint64_t moe_bytes(const struct model *m, uint32_t batch);
/* e->back[cols, embed] = what the experts of a layer make of x[cols, embed], chosen by `by`, which may be e->back; rows
 * are e->slot's. */
void moe_run(struct engine *e, const struct model_layer *l, const float *x, const float *by, size_t cols);

/* -- inputs.c -- */
struct inputs *inputs_new(const struct model *m, uint32_t batch);
void inputs_free(struct inputs *t);
uint64_t inputs_bytes(const struct model *m, uint32_t batch);
/* Those of the batch's tokens, whose embeddings are in e->x. */
void inputs_make(struct engine *e);
/* e->back[cols, embed] = what a layer's part of them adds to e->x, before it is normed; rows are e->slot's. */
void inputs_run(struct engine *e, uint32_t layer, size_t cols);

/* -- recur.c -- */
struct recur *recur_new(const struct model *m, uint32_t batch);
void recur_free(struct recur *t);
uint64_t recur_bytes(const struct model *m, uint32_t batch);
/* The rows of a batch whose positions are known: which follow each other, and behind which a state is to be kept. */
void recur_begin(struct engine *e);
/* The same of rows that were evaluated before: no state is kept behind them. */
void recur_begin_again(struct engine *e);
/* The batch's states are not kept after all. */
void recur_drop_kept(struct engine *e);
/* Row c was evaluated, and its sequence's `finite` says of it, too. */
void recur_settle(struct engine *e, uint32_t c);
/* e->o[cols, channels] = what a recurrent layer makes of x[cols, embed], all rows of the batch, as its last product
 * takes it. The states of the sequences go on. */
void recur_run(struct engine *e, const struct model_layer *l, const float *x, size_t cols);

/* Attention's queries[cols, heads, 2, head], each with its gate behind it, part to e->q and to what recur_gate takes:
 * e->o[cols, heads head] times sigmoids of the gates of the rows e->slot. */
float *recur_queries(struct engine *e);
void recur_part_queries(struct engine *e, size_t cols);
void recur_gate(struct engine *e, size_t cols);
/* Of what a state and attention beside it make in turn in e->back, the first is put aside, and added behind. */
void recur_set_aside(struct engine *e, size_t cols);
void recur_add_aside(struct engine *e, size_t cols);
/* Of e->o only what e->slot names, the first `cols` of it. Returns cols. */
size_t recur_pack(struct engine *e, size_t cols);

/* -- encoder.c -- */
/* The hidden states of a whole text, [n, embed], by a model that does not write. rows[batch_max]: scratch, the first
 * one's sequence takes the keys and values. False if a number on the way is not finite. */
bool encoder_run(struct engine *e, struct engine_row *rows, const uint32_t *ids, uint32_t n, float *hidden);

#endif
