/* The reference kernels: docs/arithmetic.md in scalar C, to be read beside it. */
#include "inference/kernels/ops.h"

#include <math.h>

/* One block of n elements, n <= room; what is behind them becomes zeros. */
static bool quantise_block(const float *x, size_t n, size_t room, int8_t *q, float *s)
{
    uint32_t peak_bits = 0; /* magnitudes order as their bits do, NaN above infinity */
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = arith_bits(x[i]) & 0x7FFFFFFFu;
        peak_bits = bits > peak_bits ? bits : peak_bits;
    }
    float peak = arith_of_bits(peak_bits);
    memset(q, 0, room);
    *s = 0.0f;
    if (!arith_is_finite(peak))
        return false;
    if (peak < ARITH_TINY)
        return true;
    float inverse = 127.0f / peak;
    *s = peak / 127.0f;
    for (size_t i = 0; i < n; i++)
        q[i] = (int8_t)arith_round(x[i] * inverse);
    return true;
}

static bool ref_quantise(const float *x, size_t n, int8_t *q, float *s)
{
    bool finite = true;
    for (size_t i = 0; i < n; i += ARITH_BLOCK, q += ARITH_BLOCK)
        if (!quantise_block(x + i, n - i < ARITH_BLOCK ? n - i : ARITH_BLOCK, ARITH_BLOCK, q, s++))
            finite = false;
    return finite;
}

static bool ref_quantise_wide(const float *x, size_t n, int8_t *q, float *s)
{
    return quantise_block(x, n, ARITH_RUN, q, s);
}

static void ref_sum_run(const int8_t *q, int16_t *out)
{
    for (size_t i = 0; i < 16; i++) {
        int32_t sum = 0;
        for (size_t j = 0; j < 16; j++)
            sum += q[16 * i + j];
        out[i] = (int16_t)sum;
    }
}

static bool ref_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!arith_is_finite(x[i]))
            return false;
    return true;
}

/* The terms of one block against one column, added to a run. q, s, sums: of the block's elements.
 * |sum| <= 256 x 128 x 32 x 127 < 2^27. */
static float add_block(const struct quant_format *f, const uint8_t *w, const int8_t *q, float s, const int16_t *sums,
                       float run)
{
    struct quant_block b;
    int32_t sum = 0, mins = 0;
    quant_read_block(f, w, &b);
    for (size_t i = 0; i < f->block; i++)
        sum += b.scale[i / f->sub] * (quant_weight(f, b.code[i]) * q[i]);
    run = run + (b.d * s) * (float)sum;
    if (!f->has_min)
        return run;
    for (size_t i = 0; i < f->block; i += 16)
        mins += b.min[i / f->sub] * sums[i / 16];
    return run + (b.m * s) * (float)mins;
}

/* Column c with one row of a blocked format, in runs of 256. */
static float dot_blocks(const struct quant_format *f, const uint8_t *w, const struct ops_input *x, size_t c)
{
    bool narrow = f->input == QUANT_NARROW;
    const struct ops_blocks *in = narrow ? &x->narrow : &x->wide;
    float total = 0.0f;
    for (size_t start = 0; start < x->n; start += ARITH_RUN) {
        size_t end = x->n - start < ARITH_RUN ? x->n : start + ARITH_RUN, at = start / ARITH_RUN * x->cols + c;
        const int16_t *sums = in->sums + at * 16;
        const int8_t *q = in->q + at * ARITH_RUN;
        const float *s = in->s + at * (narrow ? ARITH_RUN / ARITH_BLOCK : 1);
        float run = 0.0f;
        for (size_t i = start; i < end; i += f->block, q += f->block, sums += f->block / 16, w += f->bytes)
            run = add_block(f, w, q, *s++, sums, run);
        total = total + run;
    }
    return total;
}

/* Element i goes to stripe i mod 16. */
static float dot_floats(enum gguf_tensor_type type, const uint8_t *w, const float *x, size_t n)
{
    float lanes[ARITH_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        float weight = type == GGUF_TENSOR_F32    ? arith_of_bits(load_le32(w + 4 * i))
                       : type == GGUF_TENSOR_BF16 ? arith_of_bits((uint32_t)load_le16(w + 2 * i) << 16)
                                                  : arith_half(load_le16(w + 2 * i));
        lanes[i % ARITH_LANES] = lanes[i % ARITH_LANES] + weight * x[i];
    }
    return arith_fold(lanes);
}

static void ref_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                         size_t stride)
{
    const struct quant_format *f = quant_format(w->type);
    for (size_t r = first; r < first + rows; r++) {
        const uint8_t *row = w->data + r * w->row_bytes;
        for (size_t c = 0; c < x->cols; c++)
            out[c * stride + r] =
                f->input == QUANT_FLOATS ? dot_floats(w->type, row, x->f + c * x->n, x->n) : dot_blocks(f, row, x, c);
    }
}

static void ref_norm(const float *x, const float *gain, float epsilon, size_t n, float *out)
{
    float lanes[ARITH_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % ARITH_LANES] = lanes[i % ARITH_LANES] + x[i] * x[i];
    float mean = arith_fold(lanes) / (float)(int32_t)n;
    float scale = 1.0f / sqrtf(mean + epsilon);
    for (size_t i = 0; i < n; i++)
        out[i] = (x[i] * scale) * gain[i];
}

static void ref_layer_norm(const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out)
{
    float lanes[ARITH_LANES] = {0}, squares[ARITH_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % ARITH_LANES] = lanes[i % ARITH_LANES] + x[i];
    float mean = arith_fold(lanes) / (float)(int32_t)n;
    for (size_t i = 0; i < n; i++) {
        float d = x[i] - mean;
        squares[i % ARITH_LANES] = squares[i % ARITH_LANES] + d * d;
    }
    float scale = 1.0f / sqrtf(arith_fold(squares) / (float)(int32_t)n + epsilon);
    for (size_t i = 0; i < n; i++)
        out[i] = ((x[i] - mean) * scale) * gain[i] + bias[i];
}

static void ref_gated_silu(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (gate[i] / (1.0f + arith_exp(-gate[i]))) * up[i];
}

static void ref_gated_gelu(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = arith_gelu_tanh(gate[i]) * up[i];
}

static void ref_gated_clamped(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = arith_gate_clamped(gate[i], up[i]);
}

static void ref_gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = arith_gelu_erf(x[i]);
}

static void ref_gelu_tanh(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = arith_gelu_tanh(x[i]);
}

static void ref_squares(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = arith_square(x[i]);
}

static void ref_rotate(float *x, const float *cosine, const float *sine, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
}

static void ref_rotate_halves(float *x, const float *cosine, const float *sine, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        float a = x[i], b = x[i + pairs];
        x[i] = a * cosine[i] - b * sine[i];
        x[i + pairs] = a * sine[i] + b * cosine[i];
    }
}

static void ref_add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] + y[i];
}

static void ref_add_scaled(float *x, const float *y, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] + y[i] * by;
}

static void ref_scale(float *x, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] * by;
}

static void ref_soft_cap(float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap * arith_tanh(x[i] / cap);
}

static void ref_convolve(const float *const *x, const float *tap, size_t taps, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        float sum = 0.0f;
        for (size_t k = 0; k < taps; k++)
            sum = sum + x[k][i] * tap[k * n + i];
        out[i] = sum;
    }
}

static void ref_silu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / (1.0f + arith_exp(-x[i]));
}

static void ref_unit(float *x, size_t n, float epsilon, float by)
{
    float lanes[ARITH_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % ARITH_LANES] = lanes[i % ARITH_LANES] + x[i] * x[i];
    ref_scale(x, (1.0f / sqrtf(arith_fold(lanes) + epsilon)) * by, n);
}

static void ref_times(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] * y[i];
}

static void ref_times_sigmoid(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] * (1.0f / (1.0f + arith_exp(-y[i])));
}

static void learn(float *s, size_t n, const struct ops_delta *r)
{
    for (size_t j = 0; j < n; j++) {
        float u = 0.0f, sum = 0.0f;
        for (size_t i = 0; i < n; i++)
            u = u + s[i * n + j] * r->k[i];
        float d = (r->v[j] - u * r->decay) * r->beta;
        for (size_t i = 0; i < n; i++) {
            s[i * n + j] = s[i * n + j] * r->decay + r->k[i] * d;
            if (r->out)
                sum = sum + s[i * n + j] * r->q[i];
        }
        if (r->out)
            r->out[j] = sum;
    }
}

static void ref_delta(float *s, size_t n, const struct ops_delta *row, size_t count)
{
    for (size_t t = 0; t < count; t++)
        learn(s, n, &row[t]);
}

static void score_one(const int8_t *q, const float *qs, const int8_t *k, const float *ks, size_t blocks, size_t count,
                      float scale, float *out)
{
    for (size_t t = 0; t < count; t++) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; b++) {
            int32_t dot = 0;
            for (size_t i = 0; i < ARITH_BLOCK; i++)
                dot += q[b * ARITH_BLOCK + i] * k[ops_key_at(b, t, i)];
            sum = sum + (qs[b] * ks[b * ARITH_CHUNK + t]) * (float)dot;
        }
        out[t] = sum * scale;
    }
}

static void ref_scores(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                       size_t count, float scale, float *out)
{
    for (size_t i = 0; i < n; i++)
        score_one(q + i * blocks * ARITH_BLOCK, qs + i * blocks, k, ks, blocks, count, scale, out + i * ARITH_CHUNK);
}

static bool ref_peak(const float *s, size_t count, float *out)
{
    float peak = s[0];
    for (size_t t = 0; t < count; t++)
        peak = s[t] > peak ? s[t] : peak;
    *out = peak;
    return ref_finite(s, count);
}

static float ref_exponentials(float *s, size_t count, float peak)
{
    float lanes[ARITH_LANES] = {0};
    for (size_t t = 0; t < count; t++) {
        s[t] = arith_exp(s[t] - peak);
        lanes[t % ARITH_LANES] = lanes[t % ARITH_LANES] + s[t];
    }
    return arith_fold(lanes);
}

/* The weights p[t] vs[t] of a block become integers of 15 bits under one scale; then the sum is exact. */
static void weigh_one(const float *p, const int8_t *v, const float *vs, size_t blocks, size_t count, float *out)
{
    for (size_t b = 0; b < blocks; b++, out += ARITH_BLOCK) {
        float weight[ARITH_CHUNK], peak = 0.0f;
        for (size_t t = 0; t < count; t++) {
            weight[t] = p[t] * vs[b * ARITH_CHUNK + t];
            peak = weight[t] > peak ? weight[t] : peak;
        }
        int32_t sum[ARITH_BLOCK] = {0};
        float scale = 0.0f;
        if (peak >= ARITH_TINY) {
            float inverse = ARITH_WEIGHT_MAX / peak;
            scale = peak / ARITH_WEIGHT_MAX;
            for (size_t t = 0; t < count; t++) {
                int32_t w = arith_round(weight[t] * inverse);
                for (size_t i = 0; i < ARITH_BLOCK; i++)
                    sum[i] += w * v[ops_value_at(b, t, i)];
            }
        }
        for (size_t i = 0; i < ARITH_BLOCK; i++)
            out[i] = scale * (float)sum[i];
    }
}

static void ref_weigh(const float *p, size_t n, const int8_t *v, const float *vs, size_t blocks, size_t count,
                      float *out)
{
    for (size_t i = 0; i < n; i++)
        weigh_one(p + i * ARITH_CHUNK, v, vs, blocks, count, out + i * blocks * ARITH_BLOCK);
}

const struct ops ops_ref = {
    .name = "ref",
    .quantise = ref_quantise,
    .quantise_wide = ref_quantise_wide,
    .sum_run = ref_sum_run,
    .finite = ref_finite,
    .multiply = ref_multiply,
    .norm = ref_norm,
    .layer_norm = ref_layer_norm,
    .gated_silu = ref_gated_silu,
    .gated_gelu = ref_gated_gelu,
    .gated_clamped = ref_gated_clamped,
    .gelu = ref_gelu,
    .gelu_tanh = ref_gelu_tanh,
    .squares = ref_squares,
    .rotate = ref_rotate,
    .rotate_halves = ref_rotate_halves,
    .add = ref_add,
    .add_scaled = ref_add_scaled,
    .scale = ref_scale,
    .soft_cap = ref_soft_cap,
    .convolve = ref_convolve,
    .silu = ref_silu,
    .unit = ref_unit,
    .times = ref_times,
    .times_sigmoid = ref_times_sigmoid,
    .delta = ref_delta,
    .scores = ref_scores,
    .peak = ref_peak,
    .exponentials = ref_exponentials,
    .weigh = ref_weigh,
};
