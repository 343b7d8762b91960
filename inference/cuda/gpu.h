/* Inside the device for NVIDIA's GPUs: its weights, its memory for a batch, its cache. */
#ifndef KITH_INFERENCE_CUDA_GPU_H
#define KITH_INFERENCE_CUDA_GPU_H

#include "inference/cuda/delta.h"
#include "inference/cuda/runtime.h"
#include "inference/engine/model.h"

struct gpu_norm {
    const float *gain, *bias; /* NULL: none */
};

struct gpu_product {
    struct cuda_matrix w;
    const float *bias;
    struct cuda_matrix low_down, low_up; /* struct model_low */
};

/* A matrix for each expert, one behind the other. */
struct gpu_experts {
    struct cuda_matrix w;
    uint64_t stride;
    const float *bias; /* [experts, rows]; NULL: none */
};

/* Attention over one row for all heads: struct model_latent. */
struct gpu_latent {
    struct gpu_product query_low, query, row;
    struct gpu_norm query_norm, row_norm;
    struct gpu_experts key_up, value_up; /* a matrix of each head's */
};

/* What of a layer carries a state (struct model_recurrent). */
struct gpu_recurrent {
    bool is;
    struct gpu_product in, out;
    const float *taps, *taps_bias;
    /* of a delta net or a state space */
    struct gpu_product gate, alpha, beta;
    const float *rate, *bias, *through;
    struct gpu_norm norm;
};

struct gpu_layer {
    struct gpu_norm attention_norm, query_norm, key_norm, attention_post, mix_norm, mix_post;
    struct gpu_product query, key, value, output, gate, up, down;
    struct gpu_latent latent; /* instead of the three */
    struct gpu_product router;
    struct cuda_matrix shared_gate;
    const float *sinks;      /* NULL: none */
    const float *preference; /* of experts; NULL: none */
    struct gpu_experts expert_gate, expert_up, expert_down;
    struct gpu_recurrent recurrent; /* instead of attention, or beside it */
    bool attends, mixes, has_experts, has_latent, is_still;
    uint32_t window;
    uint32_t place, keys_place; /* so many layers of this device before it carry a state; have keys and values */
};

/* Memory for a batch, made once: NAME, TYPE, elements of it for `n` rows. */
#define GPU_BUFFERS(B)                                                                                                 \
    B(x, float, n * m->embed)      /* the stream */                                                                    \
    B(packed, float, n * m->embed) /* ... of the rows that go on in the last layer */                                  \
    B(h, float, n * m->embed)      /* after a norm */                                                                  \
    B(q, float, n *model_queries_n(m))                                                                                 \
    B(o, float, n *gpu_inner(m))                                                                                       \
    B(low, float, n * m->query_low)                                                                                    \
    B(apart, float, n * m->heads * m->plain) /* queries of heads with one row for all, before their own matrices */    \
    B(made, float, n * m->heads * m->latent) /* ... and behind them */                                                 \
    B(pair, float, n * m->low_rank)          /* between down and up of what adapters add */                            \
    B(k, float, n * m->heads_kv * m->head)                                                                             \
    B(v, float, n * m->heads_kv * m->head)                                                                             \
    B(arrived, uint32_t, n * m->heads) /* zeros */                                                                     \
    B(gate, float, gpu_mix_rows(m, n))                                                                                 \
    B(up, float, gpu_mix_rows(m, n))                                                                                   \
    B(back, float, n * m->embed)                    /* what a branch adds, where it is not added as it is */           \
    B(aside, float, n * m->experts_used * m->embed) /* what experts made, by pick */                                   \
    B(score, float, n * m->experts)                                                                                    \
    B(chosen, uint32_t, n *gpu_picks(m))                                                                               \
    B(weight, float, n * m->experts_used)                                                                              \
    B(begin, uint32_t, gpu_picked(m) + 1)                                                                              \
    B(pick, uint32_t, n *gpu_picks(m))                                                                                 \
    B(pick_slot, uint32_t, n *gpu_picks(m))                                                                            \
    B(enters, float, n *gpu_enters(m))                        /* what enters a layer's convolution, and its gates */   \
    B(carried, float, gpu_carried(m) * n)                     /* what it makes of them; of a delta net: */             \
    B(mixed, float, (m->values_n ? m->channels : 0) * n)      /* what leaves the convolution */                        \
    B(between, float, (m->values_n ? gpu_carried(m) : 0) * n) /* the gate of the result */                             \
    B(alpha, float, n * m->values_n)                                                                                   \
    B(beta, float, n * 2 * m->values_n)                                                                                \
    B(rates, float, n * 2 * m->values_n)                                                                               \
    B(narrow, uint8_t, gpu_blocks_bytes(m, n))                                                                         \
    B(wide, uint8_t, gpu_blocks_bytes(m, n))

/* Picks of a row, and what is picked from: experts, or with a latent heads. */
static inline uint64_t gpu_picks(const struct model *m)
{
    const uint32_t heads = m->latent ? m->heads : 0;
    return m->experts_used > heads ? m->experts_used : heads;
}
static inline uint64_t gpu_picked(const struct model *m)
{
    const uint32_t heads = m->latent ? m->heads : 0;
    return m->experts > heads ? m->experts : heads;
}

static inline uint64_t gpu_mix_rows(const struct model *m, uint64_t n)
{
    uint64_t picked = (uint64_t)m->experts_used * m->expert_mix, most = model_mix_most(m);
    return n * (most > picked ? most : picked);
}

/* -- states: their layout is recur.h's, of the layers that are here -- */

/* What the last product of what carries a state takes of a row; 0 without any. */
static inline uint64_t gpu_carried(const struct model *m)
{
    return m->values_n ? (uint64_t)m->values_n * m->side : m->layers_recurrent ? m->channels : 0;
}
/* What a row brings to it; beside a delta net a row's queries with their gates, too. */
static inline uint64_t gpu_enters(const struct model *m)
{
    const uint64_t queries = 2 * (uint64_t)m->heads * m->head, channels = m->channels;
    if (m->values_n)
        return queries > channels ? queries : channels;
    return m->layers_recurrent ? 3 * channels : 0;
}
/* Of a layer: its part of a state, and what a guessed position brings, so that what it brings is aligned. */
static inline uint64_t gpu_state_floats(const struct model *m)
{
    const uint64_t heads = (uint64_t)m->values_n * m->depth * m->side;
    return m->layers_recurrent ? (m->taps - 1) * (uint64_t)m->channels + heads : 0;
}
static inline uint64_t gpu_guess_floats(const struct model *m)
{
    const uint64_t floats = m->channels + (m->values_n ? m->channels + 2 * (uint64_t)m->values_n : 0);
    return (floats + 3) / 4 * 4;
}

/* What attention, or what stands in its place, makes of a row, and what queries are made in. */
static inline uint64_t gpu_inner(const struct model *m)
{
    const uint64_t queries = model_queries_n(m), carried = gpu_carried(m);
    return queries > carried ? queries : carried;
}

/* The longest input of a product. */
static inline uint64_t gpu_widest(const struct model *m)
{
    const uint64_t rows[] = {m->embed,          (uint64_t)m->heads * model_out_length(m),
                             model_mix_most(m), m->query_low,
                             m->latent,         m->plain,
                             gpu_carried(m),    m->low_rank};
    uint64_t widest = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        widest = rows[i] > widest ? rows[i] : widest;
    return widest;
}

/* The blocks of an input, for as many columns as it may have. */
static inline uint64_t gpu_blocks_bytes(const struct model *m, uint64_t n)
{
    const uint32_t own = m->plain > m->latent ? m->plain : m->latent;
    uint64_t bytes = cuda_blocks_bytes((uint32_t)gpu_widest(m), (uint32_t)n);
    uint64_t picked = m->experts ? cuda_blocks_bytes(m->expert_mix, (uint32_t)n * m->experts_used) : 0;
    uint64_t heads = m->latent ? cuda_blocks_bytes(own, (uint32_t)n * m->heads) : 0;
    picked = picked > heads ? picked : heads;
    return bytes > picked ? bytes : picked;
}

struct gpu_buffers {
#define B(name, type, count) type *name;
    GPU_BUFFERS(B)
#undef B
};

/* Numbers of a batch, in one piece of memory that is copied at once. */
struct gpu_facts {
    const uint32_t *position, *table, *slot, *all, *page; /* all: 0, 1, 2 ... */
    const uint32_t *sees; /* the last position that a row sees: its own, or of an encoder the text's last */
    const float *angles[2];
    struct cuda_plan plan, slot_plan; /* of all rows, of those of slot */
    struct cuda_states states;        /* but for what is of a layer */
    uint8_t *finite;
    uint64_t *best;              /* of those that are told, cuda_tell's */
    uint64_t finite_at, best_at; /* where both stand, also in facts_host; */
    uint64_t told_end;           /* ... and where what comes back ends */
};

/* The launches of a batch of such a shape, recorded. */
struct gpu_shape {
    uint32_t n, wanted, told, pages_most;
    uint32_t plan[4], slot_plan[4]; /* the numbers of struct cuda_plan */
    uint32_t chains;
};
struct gpu_graph {
    struct gpu_shape shape;
    struct cuda_graph *graph; /* NULL: it was seen once */
    uint64_t used;            /* when, in batches */
};
#define GPU_GRAPHS     48u
#define GPU_TOLD_ROWS  256u /* rows whose logits are on the GPU at once: 128 MiB of a large vocabulary's */
#define GPU_GRAPH_ROWS 64u  /* larger batches are busy for longer than their launches */

/* Rows of logits that are on the GPU at once; made when the first are asked for. */
static inline uint64_t gpu_logits_bytes(const struct device_options *o)
{
    uint64_t rows = o->batch_max < GPU_TOLD_ROWS ? o->batch_max : GPU_TOLD_ROWS;
    return rows * o->model->vocab * sizeof(float);
}

struct device {
    struct device_options o;
    struct cuda_queue *queue;
    void *stream;
    /* weights */
    void **kept; /* all that was allocated for them */
    uint32_t kept_n, kept_room;
    struct gpu_layer *layer; /* [end - first] */
    struct gpu_norm output_norm;
    struct gpu_product output;
    uint64_t copied;
    /* a batch */
    struct gpu_buffers b;
    float *hidden, *logits;
    uint8_t *facts, *facts_host;
    uint64_t facts_room;
    void *scratch;
    uint64_t scratch_room;
    struct gpu_graph graph[GPU_GRAPHS];
    uint64_t batches;
    /* the cache */
    uint8_t **slab;      /* [slabs], host's list of the GPU's addresses */
    uint8_t **slab_list; /* the same in the GPU's memory, [slab_room] */
    uint32_t slabs, slab_room;
    uint64_t page_bytes, layer_bytes;
    /* states by their numbers, [states]; NULL: not yet. One is [layers, gpu_state_floats], then what guesses left,
     * [layers, GUESSES_MAX, gpu_guess_floats], of the layers here that carry one */
    float **state;
    uint32_t states;
    uint32_t state_layers, state_first; /* of the model's so many before them */
    float *stage, *stage_host;          /* of those that are kept, [keeps_max, layers, gpu_state_floats] */
};

/* -- gpu_states.c -- */
/* Layers [first, end) that carry a state, and that have keys and values. */
uint32_t gpu_carrying(const struct model *m, uint32_t first, uint32_t end);
uint32_t gpu_attending(const struct model *m, uint32_t first, uint32_t end);
/* What the states that a batch keeps take, on the device and beside it. */
uint64_t gpu_stage_bytes(const struct device_options *o);
enum err gpu_states_open(struct device *d, struct note *note) MUST_USE;
void gpu_states_close(struct device *d);
/* Room for the states of a batch's chains, each as it begins. */
enum err gpu_states_begin(struct device *d, const struct device_batch *b, struct note *note) MUST_USE;
/* chain[chains], whose[n], place[n] and keep[n] of a batch. */
void gpu_states_put(const struct device *d, const struct device_batch *b, struct cuda_chain *chain, uint32_t *whose,
                    uint32_t *place, uint32_t *keep);
/* What was kept, to here: queued, then given to those who asked. */
void gpu_states_get(struct device *d, const struct device_batch *b);
void gpu_states_give(const struct device *d, const struct device_batch *b);

/* -- gpu_weights.c -- */
/* Bytes of weights for such options. */
uint64_t gpu_weight_bytes(const struct device_options *o);
enum err gpu_weights_load(struct device *d, struct note *note) MUST_USE;
void gpu_weights_free(struct device *d);

/* -- gpu_graph.c -- */
/* The graph of a shape, NULL if there is none yet; *record if it is worth recording now (gpu_graph_keep). */
struct cuda_graph *gpu_graph_find(struct device *d, const struct gpu_shape *shape, bool *record);
void gpu_graph_keep(struct device *d, const struct gpu_shape *shape, struct cuda_graph *graph_take);
/* Memory that graphs know has moved. */
void gpu_graph_forget(struct device *d);

/* -- a pass -- */
/* The batch as the steps see it. */
struct gpu_pass {
    struct device *d;
    const struct model *m;
    struct gpu_facts f;
    float *x;      /* the stream */
    uint32_t rows; /* of the batch */
    uint32_t cols; /* that go on */
    const uint32_t *slot;
    struct cuda_plan plan; /* of those that go on */
    uint32_t pages_most;
    const struct device_batch *tapped; /* NULL: no row of these layers is wanted beside the results */
};

/* -- gpu_products.c -- */
struct cuda_marks gpu_marks(const struct gpu_pass *t);
/* Where x[cols, n] as input of products with up to three matrices (NULL: none) has its blocks; and made of it. */
struct cuda_input gpu_blocks(const struct gpu_pass *t, const float *x, uint32_t n, uint32_t cols,
                             const struct cuda_matrix *a, const struct cuda_matrix *b, const struct cuda_matrix *c);
bool gpu_has_blocks(const struct cuda_input *in);
struct cuda_input gpu_input(const struct gpu_pass *t, const float *x, uint32_t n, uint32_t cols,
                            const struct cuda_matrix *w);
/* One column of which products make what they need themselves. */
struct cuda_input gpu_raw_input(const struct gpu_pass *t, const float *x, uint32_t n, const float *gain);
/* The stream as it is as input of products with up to three matrices; and its norm, or where there is none the stream:
 * the floats, where they are wanted, are in b.h. */
struct cuda_input gpu_stream_input(const struct gpu_pass *t, const struct cuda_matrix *a, const struct cuda_matrix *b,
                                   const struct cuda_matrix *c);
struct cuda_input gpu_normed_input(const struct gpu_pass *t, const struct gpu_norm *n, const struct cuda_matrix *a,
                                   const struct cuda_matrix *b, const struct cuda_matrix *c);
enum cuda_gate gpu_gate(const struct gpu_pass *t);
/* What gate and up, [cols, n], come to as input of `w`. */
struct cuda_input gpu_gated_input(const struct gpu_pass *t, uint32_t n, uint32_t cols, struct cuda_marks marks,
                                  const struct cuda_matrix *w);
/* in.f has the floats, whatever the matrices ask for, where adapters add something; so raw.gain is not used there. */
void gpu_multiply(const struct gpu_pass *t, const struct gpu_product *p, const struct cuda_input *in, float *out);
/* The same for up to three, in one launch where that saves time. */
struct gpu_task {
    const struct gpu_product *p;
    float *out;
};
void gpu_multiply_together(const struct gpu_pass *t, const struct gpu_task *task, uint32_t n,
                           const struct cuda_input *in);
/* Of rows as long as the stream's. */
void gpu_norm_cols(const struct gpu_pass *t, const struct gpu_norm *n, const float *x, float *out);
/* b.back is added to the stream; normed or scaled first where the architecture has it so. The same of what a branch's
 * last product makes of `in`. */
void gpu_add_back(const struct gpu_pass *t, const struct gpu_norm *post);
void gpu_add_branch(const struct gpu_pass *t, const struct gpu_product *p, const struct cuda_input *in,
                    const struct gpu_norm *post);

/* -- gpu_carry.c -- */
/* What a layer has that carries a state: b.carried of all rows, and the states go on; then of those that go on as input
 * of the output's product. */
void gpu_carry(const struct gpu_pass *t, const struct gpu_layer *l);
struct cuda_input gpu_carried_input(const struct gpu_pass *t, const struct gpu_layer *l);

/* -- gpu_pass.c -- */
/* A layer's attention, but for the plan of a batch. */
struct cuda_attention gpu_pass_attention(const struct model *m, const struct gpu_layer *l, uint32_t pages_most);
/* All kernels of a batch. */
void gpu_pass_queue(struct gpu_pass *t, const struct gpu_shape *shape);
/* Logits of the rows [first, end) of those that are told, and which is the largest of each. */
void gpu_pass_tell(const struct gpu_pass *t, uint32_t first, uint32_t end);

/* -- gpu_run.c -- */
enum err gpu_run(struct device *d, const struct device_batch *b, struct note *note) MUST_USE;

#endif
