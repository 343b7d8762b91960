/* The kernels of a GPU, as calls that queue them. Each gives the bits of its namesake in inference/kernels/ops.h or of
 * the step in layer.c, moe.c and attention.c that it names; docs/arithmetic.md is the definition.
 *
 * All pointers but those of structs are into the GPU's memory; `stream` is a CUDA stream. Shapes stand beside the
 * pointers, the last index running fastest. `cols` are rows of the batch. Pointers are aligned to 16, and so are rows
 * whose length is a multiple of 4 floats; nothing else is to be assumed of lengths: embed may be 2, a head 80. */
#ifndef KITH_INFERENCE_CUDA_KERNELS_H
#define KITH_INFERENCE_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a row stands in the batch, so that its flag is found: finite[slot[c]] is set to 0 where a value of column c is
 * not finite, and never to 1. slot NULL: row c itself. */
struct cuda_marks {
    const uint32_t *slot; /* [cols] */
    uint8_t *finite;      /* [rows of the batch] */
};

/* -- rows.cu -- */

/* out[c] = the norm of x[c], [cols, n]; by the mean square, or with a bias a layer norm. out may be x. */
void cuda_norm(void *stream, const float *x, const float *gain, const float *bias, float epsilon, uint32_t n,
               uint32_t cols, float *out);
/* x[i] += y[i] * by, i < count. */
void cuda_add(void *stream, float *x, const float *y, float by, uint64_t count);
/* x[c, i] += bias[i], [cols, n]. */
void cuda_add_bias(void *stream, float *x, const float *bias, uint32_t n, uint32_t cols);
enum cuda_gate { CUDA_SILU, CUDA_GELU, CUDA_CLAMPED, CUDA_GELU_ALONE, CUDA_SQUARES_ALONE, CUDA_GELU_ERF_ALONE };
/* gate[i] = activation of gate[i], times up[i], i < count; alone: no up. */
void cuda_activate(void *stream, enum cuda_gate kind, float *gate, const float *up, uint64_t count);
/* out[c] = x[slot[c]], [cols, n]; out is not x. */
void cuda_gather(void *stream, const float *x, const uint32_t *slot, uint32_t n, uint32_t cols, float *out);
/* x[c, i] = cap tanh(x[c, i] / cap) where cap is not 0; then marks what is not finite. */
void cuda_finish(void *stream, float *x, float cap, uint32_t n, uint32_t cols, struct cuda_marks marks);

/* -- best.cu -- */

/* cuda_finish of logits x[cols, n] * by, n > 0, which also finds the first of the largest of each row: best[cols],
 * which were zeros, have it as CUDA_BEST_LAST less their lower half. Of a row that is not finite it means nothing. */
#define CUDA_BEST_LAST 0xFFFFFFFFu
void cuda_tell(void *stream, float *x, float by, float cap, uint32_t n, uint32_t cols, struct cuda_marks marks,
               uint64_t *best);

/* -- products.cu -- */

/* A batch as input of products, in int8 blocks: q[cols, 256 R] zero-padded, R runs; s[cols, 8 R] or, wide, [cols, R];
 * sums[cols, 16 R] of 16 neighbours each, and the same as binary16, exact. q NULL: no product asks for these blocks. */
struct cuda_blocks {
    int8_t *q;
    float *s;
    int16_t *sums;
    uint16_t *halves; /* wide blocks only, else NULL */
};
/* One column may come to its products as it is, or as what it is the norm of: then each block of threads makes int8 of
 * it by itself, which takes less time than a kernel in between. */
struct cuda_raw {
    bool is;
    const float *gain; /* by the mean square; NULL: not normed */
    float epsilon;
    struct cuda_marks marks;
};
struct cuda_input {
    uint32_t n, cols;
    const float *f; /* [cols, n] */
    struct cuda_blocks narrow, wide;
    struct cuda_raw raw; /* then there are no blocks */
};
/* What the blocks of an input take, and where they lie in such memory (aligned to 256). */
size_t cuda_blocks_bytes(uint32_t n, uint32_t cols);
struct cuda_blocks cuda_blocks_at(void *memory, uint32_t n, uint32_t cols, bool is_wide);
/* in->f becomes those blocks that have memory. */
void cuda_quantise(void *stream, const struct cuda_input *in, struct cuda_marks marks);
/* The same of what cuda_norm makes of x[cols, n] or cuda_activate of gate and up, one pass over memory instead of two.
 * in->f is not read. The floats go to out[cols, n] too, unless it is NULL. */
void cuda_norm_quantise(void *stream, const float *x, const float *gain, const float *bias, float epsilon,
                        const struct cuda_input *in, float *out, struct cuda_marks marks);
void cuda_activate_quantise(void *stream, enum cuda_gate kind, const float *gate, const float *up,
                            const struct cuda_input *in, float *out, struct cuda_marks marks);

/* A matrix as cuda/repack.h lays it out; type is GGUF's, repack_type of the file's. */
struct cuda_matrix {
    uint32_t type, n, rows;
    const void *data;
};
/* out[c, r] = (w[r] . in[c]) (+ bias[r]) (+ to the stream: out[c, r] itself, after the bias); out is [cols, rows].
 * bias may be NULL. */
void cuda_multiply(void *stream, const struct cuda_matrix *w, const struct cuda_input *in, const float *bias, bool adds,
                   float *out);

/* Whether a product norms one column itself (raw.gain); that it comes as it is all allow. */
bool cuda_takes_normed(const struct cuda_matrix *w);

/* The same for up to three matrices with one input, in one launch where that saves time. */
struct cuda_task {
    const struct cuda_matrix *w;
    const float *bias;
    float *out;
};
void cuda_multiply_together(void *stream, const struct cuda_task *task, uint32_t n, const struct cuda_input *in);
/* One column: gate.out[rows] = what cuda_activate makes of both products. For such matrices as cuda_takes_gate says. */
void cuda_multiply_gated(void *stream, enum cuda_gate kind, const struct cuda_task *gate, const struct cuda_task *up,
                         const struct cuda_input *in);
bool cuda_takes_gate(const struct cuda_matrix *gate, const struct cuda_matrix *up);

/* -- moe.cu: a mixture of experts; matrices of all experts of a layer lie one behind the other -- */

struct cuda_picks {   /* of `cols` rows, `used` each: `cols` x used = P picks */
    uint32_t *chosen; /* [P] expert, by rank */
    float *weight;    /* [P] */
    uint32_t *begin;  /* [experts + 1] where an expert's picks begin in `pick` */
    uint32_t *pick;   /* [P] picks (row x used + rank), in order of experts, rising within one */
    uint32_t cols;    /* an expert has at most one pick of each row */
};
/* moe.c's routing: score[cols, experts] is scratch then. */
struct cuda_routes {
    uint32_t experts, used;
    bool of_all;                  /* weights do not sum to one */
    bool by_sigmoid;              /* ... and are sigmoids, not a softmax */
    float scale;                  /* of the weights */
    const float *preference;      /* [experts] added to what they are chosen by; NULL: none */
    uint32_t groups, groups_used; /* chosen from the best of so many groups of as many; 1: from all */
};
void cuda_route(void *stream, float *score, const struct cuda_routes *how, uint32_t cols, struct cuda_marks marks,
                struct cuda_picks out);
/* out[P, rows]: pick p = row x used + rank times the matrix of its expert, plus its bias, bias[experts, rows] (NULL:
 * none); the input of pick p is column p / share:
 * `used` picks share a row's, or each has its own (1). in->cols x share = P. `stride`: bytes from one expert's matrix
 * to the next. */
void cuda_multiply_picked(void *stream, const struct cuda_matrix *w, uint64_t stride, uint32_t experts, uint32_t share,
                          const struct cuda_input *in, struct cuda_picks picks, const float *bias, float *out);
/* out[c] = ((+0 + y[c, 0] w[c, 0]) + y[c, 1] w[c, 1]) ..., y[P, n]. */
void cuda_sum_picked(void *stream, const float *y, struct cuda_picks picks, uint32_t used, uint32_t n, uint32_t cols,
                     float *out);
/* x[c, i] += y[c, i] * s, s = 1 / (1 + e^-gate[c]), [cols, n]: a shared expert joins. */
void cuda_add_gated(void *stream, float *x, const float *y, const float *gate, uint32_t n, uint32_t cols);
/* Marks of the picks' inputs: mark[p] = slot of row p / used. out[P] */
void cuda_spread_slots(void *stream, const uint32_t *slot, uint32_t used, uint32_t cols, uint32_t *out);

/* -- states.cu: layers that carry a state from position to position (inference/engine/recur.h) -- */

struct cuda_chain {          /* rows of one sequence in a batch */
    float *state;            /* its state, of all layers that are here, and behind it what guesses left */
    uint32_t first, rows;    /* in `row` of struct cuda_states */
    uint32_t guessed, right; /* as struct device_chain has them */
};
#define CUDA_NOT_KEPT 0xFFFFFFFFu
struct cuda_states {
    const struct cuda_chain *chain; /* [chains] */
    uint32_t chains;                /* none is empty */
    const uint32_t *row;            /* [rows] of the batch, chain by chain */
    const uint32_t *whose, *place;  /* [rows] a row's chain, and how many of its rows stand before it */
    const uint32_t *keep;           /* [rows] which piece of the stage takes the state behind it, or CUDA_NOT_KEPT */
    float *stage;                   /* pieces of stage_floats */
    uint64_t stage_floats;
    /* of the layer */
    uint64_t state_at, guess_at; /* where its part of a state begins, in a piece of the stage too; its first guess */
    uint64_t guess_floats;
    uint32_t taps, channels;
    const float *tap; /* [taps, channels] */
    const float *in;  /* [rows, channels] what enters the convolution; of a short convolution [rows, 3, channels] */
};
/* recur.c's short convolution: out[rows, channels], as the layer's last product takes it. States go on. */
void cuda_convolve(void *stream, const struct cuda_states *s, uint32_t rows, struct cuda_marks marks, float *out);

/* -- heads.cu, attend.cu -- */

/* The cache in the GPU's memory: pages of ARITH_CHUNK positions, each as inference/engine/cache.h has it for the layers
 * that are here. Page number i begins at slab[i / CUDA_SLAB_PAGES] + i % CUDA_SLAB_PAGES x page_bytes. */
#define CUDA_SLAB_PAGES 32u
struct cuda_cache {
    uint8_t *const *slab; /* array in the GPU's memory */
    uint64_t page_bytes;
    uint64_t layer_at; /* of the layer in a page */
    uint32_t heads_kv;
    uint32_t blocks, blocks_v; /* of 32 along a key and along a value, the last padded with zeros */
    const uint32_t *position;  /* [rows] in its sequence */
    const uint32_t *table;     /* [rows] where its sequence's pages begin in `page` */
    const uint32_t *page;      /* numbers of pages */
};

struct cuda_turn {                      /* how heads are normed and rotated; NULL: not */
    const float *query_gain, *key_gain; /* [head] */
    float epsilon;
    const float *angles; /* [rows, 2, pairs]: cosines, sines */
    uint32_t pairs;
    bool is_halves;
    bool is_late; /* normed behind the rotation */
};
/* layer.c's heads_part: q[rows, heads, head] is turned in place; k and v [rows, heads_kv, head] are turned and go into
 * the cache as int8, and mark what is not finite. */
void cuda_heads(void *stream, float *q, float *k, const float *v, uint32_t heads, uint32_t head, uint32_t rows,
                const struct cuda_turn *turn, const struct cuda_cache *cache, struct cuda_marks marks);

/* How the columns of a batch meet the cache, the same for all layers: in stretches of columns that follow each other in
 * the batch and, position by position, in one sequence. Long ones walk over the cache together, short ones have its
 * chunks computed apart. */
struct cuda_stretch {
    uint32_t first, cols;
    uint32_t before; /* columns of short ones before it */
};
struct cuda_plan {
    uint32_t long_n, short_n;           /* of them there are, the long ones first */
    uint32_t short_cols, short_most;    /* columns of the short ones together, and of one at most */
    const struct cuda_stretch *stretch; /* in the GPU's memory; NULL: each column by itself, and the rest is ignored */
};

/* Heads of a batch that is one column, as the products made them: attention turns them, and keeps key and value, as
 * cuda_heads does it, and q stays as it is. The column's sequence has no other in the batch. */
struct cuda_fresh {
    const float *k, *v;
    const struct cuda_turn *turn; /* NULL: not */
};

struct cuda_attention {
    uint32_t heads, head, window; /* window 0: sees all before it */
    uint32_t value;               /* a value's length; 0: the head's */
    float scale, cap;             /* cap 0: none */
    const float *sinks;           /* [heads], in the GPU's memory; NULL: none (inference/engine/attention.h) */
    uint32_t pages_most;          /* no column sees more pages */
    /* Tests say less; 0: what a GPU needs. */
    uint32_t walk_queries; /* of long stretches together, from which they walk */
    uint32_t parts_most;   /* (query, chunk) in scratch, if there are not more queries */
    uint32_t places;       /* for blocks, of which each takes a chunk if there are not more chunks than places */
    struct cuda_plan plan;
    const struct cuda_fresh *fresh; /* NULL: heads are turned already */
};
/* The plan for columns slot[c] (NULL: c) of a batch, its stretches into out[cols]; all of it in this machine's memory.
 * No plan changes a bit of what is computed, as long as a stretch is one. */
struct cuda_plan cuda_attend_plan(const struct cuda_attention *a, uint32_t heads_kv, const uint32_t *position,
                                  const uint32_t *table, const uint32_t *slot, uint32_t cols, struct cuda_stretch *out);
/* Whether this thread's GPU has the shared memory that keys and values of so many elements need of a block, in bytes.
 */
bool cuda_attend_fits(uint32_t head, uint32_t value, size_t *needs, size_t *has);
/* What cuda_attend needs in scratch for so many columns, whatever the plan. */
uint64_t cuda_attend_scratch(const struct cuda_attention *a, uint32_t cols);
struct cuda_room {
    void *scratch;     /* cuda_attend_scratch, aligned to 256 */
    uint32_t *arrived; /* [cols, heads] zeros, and zeros again behind it */
};
/* out[cols, heads, value]: attention of q[slot[c]] over the positions up to its own. marks.slot is not NULL, finite of
 * a row is cleared where a score or a query is not finite, and its out is zeros. `in` (NULL: none): what cuda_quantise
 * makes of out is made here, in the same pass where that is possible. */
void cuda_attend(void *stream, const float *q, const struct cuda_attention *a, const struct cuda_cache *cache,
                 uint32_t cols, struct cuda_marks marks, struct cuda_room room, float *out,
                 const struct cuda_input *in);

/* -- latent.cu: heads that share one row of the cache (inference/engine/latent.c) -- */

/* Picks of `cols` rows with which each head's own matrix is multiplied as an expert's, of which a row picks all:
 * out.chosen, begin and pick for out.cols rows; there are no weights. */
void cuda_pick_heads(void *stream, uint32_t heads, struct cuda_picks out);

struct cuda_latent {
    uint32_t heads, plain, latent;
    struct cuda_turn turn; /* key_gain[latent] norms a row as far as it is not rotated; there is no query_gain */
};
/* out[rows, heads, plain]: what is not rotated of projected[rows, heads, plain + 2 pairs]. */
void cuda_split_heads(void *stream, const struct cuda_latent *a, const float *projected, uint32_t rows, float *out);
/* q[rows, heads, latent + 2 pairs]: made[rows, heads, latent] and what is rotated of `projected`. row[rows, latent + 2
 * pairs] is normed and rotated, goes into the cache as key and as far as it is not rotated as value, and marks what is
 * not finite. */
void cuda_join_heads(void *stream, const struct cuda_latent *a, const float *projected, const float *made, float *row,
                     uint32_t rows, const struct cuda_cache *cache, struct cuda_marks marks, float *q);

#ifdef __cplusplus
}
#endif
#endif
