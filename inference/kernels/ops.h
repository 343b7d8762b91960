/* The kernels: everything that a backend must do by the rules of docs/arithmetic.md. ops_ref.c is the
 * definition, in plain scalar C; every other set gives the same bits and is tested by equality.
 *
 * Shapes stand beside the pointers, the last index running fastest. P(n) is n rounded up to whole blocks of
 * 32; elements from n to P(n) are zero in int8 rows. B = P(n)/32.
 * All pointers may be unaligned. A kernel touches nothing but its arguments: any thread may call it. */
#ifndef KITH_INFERENCE_OPS_H
#define KITH_INFERENCE_OPS_H

#include "inference/kernels/chunk.h"
#include "inference/kernels/quant.h"

/* A batch of activations as int8 in blocks, in runs of ARITH_RUN elements; R runs, the last padded with zeros. What a
 * run of a column needs stands together, and runs of neighbouring columns follow each other, since products go
 * through the columns run by run. */
struct ops_blocks {
    int8_t *q;     /* [R, cols, RUN] */
    float *s;      /* narrow: [R, cols, 8], a scale a block of 32; wide: [R, cols] */
    int16_t *sums; /* [R, cols, 16]: of 16 neighbouring q each */
};

/* A batch of activations as input of matrix products: as they are, and in the blocks that formats ask for. */
struct ops_input {
    size_t n;                       /* elements of a row */
    size_t cols;                    /* rows of the batch: columns of the result */
    const float *f;                 /* [cols, n] */
    struct ops_blocks narrow, wide; /* where a format of that input is to be multiplied */
};

/* A matrix of weights, in the format of its file. */
struct ops_weight {
    enum gguf_tensor_type type;
    size_t n;    /* elements of a row: the length of the input */
    size_t rows; /* the length of the result */
    size_t row_bytes;
    const uint8_t *data; /* [rows, row_bytes] */
    const uint8_t
        *packed; /* the same as inference/kernels/pack.h has it, for sets that want it; NULL for formats of floats */
};

/* A position of a delta net's head: queries, keys and values of [n]. out NULL: nobody asks. */
struct ops_delta {
    const float *q, *k, *v;
    float decay, beta;
    float *out; /* [n] */
};

struct ops {
    const char *name;
    bool wants_packed; /* multiply reads blocked formats from `packed`, the others from `data` */

    /* x[n] -> q[P(n)], s[B]. False if a value is not finite: its block is then zeros with scale 0. */
    bool (*quantise)(const float *x, size_t n, int8_t *q, float *s);
    /* The same as one block: n <= RUN, q[RUN], one scale. */
    bool (*quantise_wide)(const float *x, size_t n, int8_t *q, float *s);
    /* out[16]: the sums of 16 neighbours each of q[RUN]. */
    void (*sum_run)(const int8_t *q, int16_t *out);
    /* All of x[n] are finite. */
    bool (*finite)(const float *x, size_t n);
    /* out[c, r] = w[r] . x[c] for r in [first, first + rows), c < x->cols; out is [cols, stride]. `first` is a multiple
     * of OPS_GRAIN. */
    void (*multiply)(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                     size_t stride);
    /* out[i] = x[i] / rms(x) * gain[i], i < n; out may be x. */
    void (*norm)(const float *x, const float *gain, float epsilon, size_t n, float *out);
    /* out[i] = (x[i] - mean(x)) / deviation(x) * gain[i] + bias[i], i < n; out may be x. */
    void (*layer_norm)(const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out);
    /* out[i] = silu(gate[i]) * up[i], i < n; out may be gate. */
    void (*gated_silu)(const float *gate, const float *up, size_t n, float *out);
    /* The same with the GELU that is written with a hyperbolic tangent. */
    void (*gated_gelu)(const float *gate, const float *up, size_t n, float *out);
    /* The same with both between limits: arith_gate_clamped. */
    void (*gated_clamped)(const float *gate, const float *up, size_t n, float *out);
    /* x[i] = GELU of x[i], the one that is written with an error function, i < n. */
    void (*gelu)(float *x, size_t n);
    /* The same by the one that is written with a hyperbolic tangent. */
    void (*gelu_tanh)(float *x, size_t n);
    /* x[i] = the square of x[i] where it is positive, else 0, i < n. */
    void (*squares)(float *x, size_t n);
    /* Rotates the adjacent pairs (x[2i], x[2i+1]) by the angles whose cosines and sines are given, i < pairs. */
    void (*rotate)(float *x, const float *cosine, const float *sine, size_t pairs);
    /* The same with the pairs (x[i], x[i+pairs]). */
    void (*rotate_halves)(float *x, const float *cosine, const float *sine, size_t pairs);
    /* x[i] += y[i], i < n. */
    void (*add)(float *x, const float *y, size_t n);
    /* x[i] += y[i] * by, i < n. */
    void (*add_scaled)(float *x, const float *y, float by, size_t n);
    /* x[i] *= by, i < n. */
    void (*scale)(float *x, float by, size_t n);
    /* x[i] = cap * tanh(x[i] / cap), i < n. */
    void (*soft_cap)(float *x, float cap, size_t n);

    /* out[i] = sum over k < taps, from +0, of x[k][i] * tap[k, i]: tap[taps, n], i < n; out is none of x. */
    void (*convolve)(const float *const *x, const float *tap, size_t taps, size_t n, float *out);
    /* x[i] = x[i] / (1 + e^-x[i]), i < n. */
    void (*silu)(float *x, size_t n);
    /* x[i] = x[i] * (by / |x|), i < n, a multiple of ARITH_LANES. */
    void (*unit)(float *x, size_t n, float epsilon, float by);
    /* x[i] *= y[i], i < n; the same with y[i]'s sigmoid. */
    void (*times)(float *x, const float *y, size_t n);
    void (*times_sigmoid)(float *x, const float *y, size_t n);
    /* count >= 1 positions, one behind the other, of a gated delta net's head: s[n, n] decays and learns that k is to
     * give v, and is asked q. With u = s'k: d = (v - u decay) beta, s = s decay + k d', out = s'q. n <= SIDE_MAX is a
     * multiple of ARITH_LANES. */
    void (*delta)(float *s, size_t n, const struct ops_delta *row, size_t count);

    /* One chunk of the cache for n <= OPS_QUERIES queries of one head, `count` <= ARITH_CHUNK visible positions from
     * its first on; B blocks along the head. out[i, t] = (q[i] . k[t]) * scale: q[n, 32 B], qs[n, B], k in the order of
     * ops_key_at, ks[B, CHUNK], out[n, CHUNK], in which what stands behind `count` means nothing. */
    void (*scores)(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                   size_t count, float scale, float *out);
    /* The largest of s[count], of any size; false if one is not finite. */
    bool (*peak)(const float *s, size_t count, float *out);
    /* s[t] = e^(s[t] - peak), t < count, of any size; s[t] may be -infinity, which gives +0. Returns their sum. */
    float (*exponentials)(float *s, size_t count, float peak);
    /* out[i, 32 B] = sum over t < count of p[i, t] v[t]: p[n, CHUNK], +0 behind `count`, v in the order of
     * ops_value_at, vs[B, CHUNK], all finite. */
    void (*weigh)(const float *p, size_t n, const int8_t *v, const float *vs, size_t blocks, size_t count, float *out);
};

#define OPS_GRAIN   32 /* rows of a matrix that go together: a few tiles of every set */
#define OPS_QUERIES 8  /* that meet a chunk together, so that it is unpacked once for all */

/* Column `col` of an input: x[n] into the blocks for which there is memory. False if a value is not finite. */
bool ops_put_column(const struct ops *o, const struct ops_input *in, size_t col, const float *x);
/* The first of the largest of x[n]; false if one of them is not finite, and then *index is 0. */
bool ops_largest(const struct ops *o, const float *x, size_t n, uint32_t *index);
/* What the blocks of an input take, and where they lie in one piece of memory (aligned to 64). */
size_t ops_blocks_bytes(size_t n, size_t cols);
struct ops_blocks ops_blocks_at(void *memory, size_t n, size_t cols);

extern const struct ops ops_ref;
#if defined(__x86_64__)
extern const struct ops ops_avx2, ops_avxvnni, ops_avx512, ops_avx512_vnni;
#elif defined(__aarch64__)
extern const struct ops ops_neon, ops_neon_dot;
#elif defined(__wasm_simd128__)
extern const struct ops ops_wasm;
#endif

/* "auto" for the fastest that this processor runs, or a name. NULL, with a note, if there is no such set or
 * the processor lacks its instructions. */
const struct ops *ops_pick(const char *name, struct note *note);
/* The i-th set that this processor runs, the reference first; NULL behind the last. */
const struct ops *ops_at(size_t i);

#endif
