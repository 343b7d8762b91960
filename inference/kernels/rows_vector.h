/* The kernels that are no products of matrices, with registers of 16 bytes: the body of ops_neon.c, ops_neon_dot.c and
 * ops_wasm.c, behind tile_vector.h. Lanes are elements of a row, positions of the cache or stripes of a sum, never
 * parts of a term. What is missing here is the reference's: it is not where the time goes, or the compiler does the
 * same. */
#include "inference/kernels/delta_body.h"

#include <math.h>

/* e^x as arith_exp has it, operation for operation. */
ALWAYS v_f32 exp4(v_f32 x)
{
    v_i32 under = x<v_splat(ARITH_EXP_MIN), over = x> v_splat(ARITH_EXP_MAX);
    x = (v_f32)v_select(over, (v_i32)v_splat(ARITH_EXP_MAX), (v_i32)x); /* a NaN stays */
    v_f32 shifted = x * v_splat(1.44269504f) + v_splat(12582912.0f);
    v_f32 n = shifted - v_splat(12582912.0f);
    v_f32 r = (x - n * v_splat(0.693359375f)) - n * v_splat(-2.12194440e-4f);
    v_f32 p = v_splat(1.98412698e-4f);
    p = p * r + v_splat(1.38888889e-3f);
    p = p * r + v_splat(8.33333333e-3f);
    p = p * r + v_splat(4.16666667e-2f);
    p = p * r + v_splat(1.66666667e-1f);
    p = p * r + v_splat(0.5f);
    p = p * r + v_splat(1.0f);
    p = p * r + v_splat(1.0f);
    v_u32 exponent = (v_u32)shifted - 0x4B400000u + 127u;
    p = p * (v_f32)(exponent << 23);
    return (v_f32)((v_i32)p & ~under);
}

/* The first `count` of 4 values, +0 behind them. */
ALWAYS v_f32 load_part(const float *x, size_t count)
{
    float padded[4] = {0};
    memcpy(padded, x, count * sizeof *x);
    return v_load(padded);
}

ALWAYS void store_part(float *out, v_f32 v, size_t count)
{
    float all[4];
    v_store(all, v);
    memcpy(out, all, count * sizeof *out);
}

ALWAYS float fold16(const v_f32 lanes[4])
{
    float all[ARITH_LANES];
    for (size_t k = 0; k < 4; k++)
        v_store(all + 4 * k, lanes[k]);
    return arith_fold(all);
}

/* -- rows of activations -- */

/* The largest magnitude, as bits: they order as magnitudes do, NaN above infinity. n is a multiple of 4. */
ALWAYS uint32_t peak_bits(const float *x, size_t n)
{
    v_i32 peaks = {0};
    for (size_t i = 0; i < n; i += 4) {
        v_i32 v = (v_i32)v_load(x + i) & 0x7FFFFFFF;
        peaks = v_select(v > peaks, v, peaks);
    }
    int32_t peak = 0;
    for (size_t k = 0; k < 4; k++)
        peak = peaks[k] > peak ? peaks[k] : peak;
    return (uint32_t)peak;
}

/* arith_round of four. */
ALWAYS v_i32 round4(v_f32 x)
{
    return (v_i32)(x + v_splat(12582912.0f)) - 0x4B400000;
}

/* A block of n values, a multiple of 16. */
ALWAYS bool quantise_whole(const float *x, size_t n, int8_t *q, float *s)
{
    float peak = arith_of_bits(peak_bits(x, n));
    bool fine = arith_is_finite(peak);
    if (!fine || peak < ARITH_TINY) {
        memset(q, 0, n);
        *s = 0.0f;
        return fine;
    }
    v_f32 inverse = v_splat(127.0f / peak);
    *s = peak / 127.0f;
    for (size_t i = 0; i < n; i += 16) {
        v_i32 r[4];
        for (size_t k = 0; k < 4; k++)
            r[k] = round4(v_load(x + i + 4 * k) * inverse);
        v_i8 bytes = v_narrow16(v_narrow32(r[0], r[1]), v_narrow32(r[2], r[3]));
        memcpy(q + i, &bytes, sizeof bytes);
    }
    return true;
}

static bool vector_quantise(const float *x, size_t n, int8_t *q, float *s)
{
    bool finite = true;
    for (; n >= ARITH_BLOCK; n -= ARITH_BLOCK, x += ARITH_BLOCK, q += ARITH_BLOCK)
        finite = quantise_whole(x, ARITH_BLOCK, q, s++) && finite;
    return (n == 0 || ops_ref.quantise(x, n, q, s)) && finite;
}

static bool vector_quantise_wide(const float *x, size_t n, int8_t *q, float *s)
{
    return n < ARITH_RUN ? ops_ref.quantise_wide(x, n, q, s) : quantise_whole(x, ARITH_RUN, q, s);
}

static bool vector_finite(const float *x, size_t n)
{
    v_i32 bad = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        bad = bad | (((v_i32)v_load(x + i) & 0x7F800000) == 0x7F800000);
    return (bad[0] | bad[1] | bad[2] | bad[3]) == 0 && ops_ref.finite(x + i, n - i);
}

static void vector_norm(const float *x, const float *gain, float epsilon, size_t n, float *out)
{
    v_f32 lanes[4] = {{0}, {0}, {0}, {0}};
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        for (size_t k = 0; k < 4; k++)
            lanes[k] = lanes[k] + v_load(x + i + 4 * k) * v_load(x + i + 4 * k);
    for (size_t k = 0; i < n; i += 4, k++) {
        v_f32 v = load_part(x + i, n - i < 4 ? n - i : 4);
        lanes[k] = lanes[k] + v * v;
    }
    float scale = 1.0f / sqrtf(fold16(lanes) / (float)(int32_t)n + epsilon);
    for (i = 0; i < n; i++)
        out[i] = (x[i] * scale) * gain[i];
}

ALWAYS v_f32 gated4(v_f32 gate, v_f32 up)
{
    return (gate / (v_splat(1.0f) + exp4(-gate))) * up;
}

static void vector_gated_silu(const float *gate, const float *up, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        v_store(out + i, gated4(v_load(gate + i), v_load(up + i)));
    if (i < n)
        store_part(out + i, gated4(load_part(gate + i, n - i), load_part(up + i, n - i)), n - i);
}

/* arith_gelu_tanh of four. */
ALWAYS v_f32 gelu4(v_f32 x)
{
    v_f32 twice = x * (v_splat(1.59576912f) + v_splat(7.13548163e-2f) * (x * x));
    return x / (v_splat(1.0f) + exp4(-twice));
}

static void vector_gated_gelu(const float *gate, const float *up, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        v_store(out + i, gelu4(v_load(gate + i)) * v_load(up + i));
    if (i < n)
        store_part(out + i, gelu4(load_part(gate + i, n - i)) * load_part(up + i, n - i), n - i);
}

/* arith_gate_clamped of four. What is not more or less, NaN too, stays. */
ALWAYS v_f32 clamped4(v_f32 gate, v_f32 up)
{
    const v_f32 most = v_splat(ARITH_CLAMP), least = v_splat(-ARITH_CLAMP), one = v_splat(1.0f);
    gate = (v_f32)v_select(gate > most, (v_i32)most, (v_i32)gate);
    up = (v_f32)v_select(up > most, (v_i32)most, v_select(up < least, (v_i32)least, (v_i32)up));
    return (gate / (one + exp4(-(v_splat(ARITH_CLAMP_SLOPE) * gate)))) * (up + one);
}

static void vector_gated_clamped(const float *gate, const float *up, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        v_store(out + i, clamped4(v_load(gate + i), v_load(up + i)));
    if (i < n)
        store_part(out + i, clamped4(load_part(gate + i, n - i), load_part(up + i, n - i)), n - i);
}

static void vector_gelu_tanh(float *x, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        v_store(x + i, gelu4(v_load(x + i)));
    if (i < n)
        store_part(x + i, gelu4(load_part(x + i, n - i)), n - i);
}

/* arith_square of four. */
ALWAYS v_f32 squares4(v_f32 x)
{
    v_f32 above = (v_f32)v_select(x < v_splat(0.0f), (v_i32)v_splat(0.0f), (v_i32)x);
    return above * above;
}

static void vector_squares(float *x, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        v_store(x + i, squares4(v_load(x + i)));
    if (i < n)
        store_part(x + i, squares4(load_part(x + i, n - i)), n - i);
}

/* -- attention: lanes are positions. A chunk always has memory for 64, so groups of 4 read no further. -- */

/* sum + the four products of each dword, of bytes in -127..127. */
ALWAYS v_i32 add_products(v_i32 sum, v_i8 a, v_i8 b)
{
#if defined(TILE_DOT)
    return v_dot4(sum, a, b);
#else
    return sum + v_fold(v_add_pairs((v_i32){0}, v_mul_low(a, b)), v_add_pairs((v_i32){0}, v_mul_high(a, b)));
#endif
}

static void score_one(const int8_t *q, const float *qs, const int8_t *k, const float *ks, size_t blocks, size_t count,
                      float scale, float *out)
{
    for (size_t t = 0; t < count; t += 4) {
        v_f32 sum = {0};
        for (size_t b = 0; b < blocks; b++) {
            v_i32 dot = {0};
            for (size_t i = 0; i < ARITH_BLOCK; i += 4)
                dot = add_products(dot, v_load8(k + ops_key_at(b, t, i)), v_spread(q + b * ARITH_BLOCK + i));
            sum = sum + (v_splat(qs[b]) * v_load(ks + b * ARITH_CHUNK + t)) * __builtin_convertvector(dot, v_f32);
        }
        v_store(out + t, sum * v_splat(scale));
    }
}

static void vector_scores(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                          size_t count, float scale, float *out)
{
    for (size_t i = 0; i < n; i++)
        score_one(q + i * blocks * ARITH_BLOCK, qs + i * blocks, k, ks, blocks, count, scale, out + i * ARITH_CHUNK);
}

static bool vector_peak(const float *s, size_t count, float *out)
{
    if (count < 4)
        return ops_ref.peak(s, count, out);
    v_f32 peaks = v_load(s);
    for (size_t t = 4; t < count; t += 4) { /* at the end some twice: a maximum does not mind */
        v_f32 v = v_load(s + (t + 4 <= count ? t : count - 4));
        peaks = (v_f32)v_select(v > peaks, (v_i32)v, (v_i32)peaks);
    }
    float peak = peaks[0];
    for (size_t k = 1; k < 4; k++)
        peak = peaks[k] > peak ? peaks[k] : peak;
    *out = peak;
    return vector_finite(s, count);
}

static float vector_exponentials(float *s, size_t count, float peak)
{
    v_f32 lanes[4] = {{0}, {0}, {0}, {0}}, top = v_splat(peak);
    size_t t = 0;
    for (; t + 4 <= count; t += 4) {
        v_f32 e = exp4(v_load(s + t) - top);
        v_store(s + t, e);
        lanes[t / 4 % 4] = lanes[t / 4 % 4] + e;
    }
    if (t < count) {
        store_part(s + t, exp4(load_part(s + t, count - t) - top), count - t);
        lanes[t / 4 % 4] = lanes[t / 4 % 4] + load_part(s + t, count - t);
    }
    return fold16(lanes);
}

/* 15-bit weights of one block, zeros behind `count`. Returns their scale. */
static float weights_of(const float *p, const float *vs, size_t count, int16_t weight[ARITH_CHUNK])
{
    float w[ARITH_CHUNK] = {0};
    for (size_t t = 0; t < count; t++)
        w[t] = p[t] * vs[t];
    memset(weight, 0, ARITH_CHUNK * sizeof *weight);
    float peak = arith_of_bits(peak_bits(w, ARITH_CHUNK));
    if (peak < ARITH_TINY)
        return 0.0f;
    v_f32 inverse = v_splat(ARITH_WEIGHT_MAX / peak);
    for (size_t t = 0; t < ARITH_CHUNK; t += 8) {
        v_i16 eight = v_narrow32(round4(v_load(w + t) * inverse), round4(v_load(w + t + 4) * inverse));
        memcpy(weight + t, &eight, sizeof eight);
    }
    return peak / ARITH_WEIGHT_MAX;
}

static void weigh_one(const float *p, const int8_t *v, const float *vs, size_t blocks, size_t count, float *out)
{
    for (size_t b = 0; b < blocks; b++) {
        int16_t weight[ARITH_CHUNK];
        v_f32 scale = v_splat(weights_of(p, vs + b * ARITH_CHUNK, count, weight));
        for (size_t half = 0; half < ARITH_BLOCK; half += 16, out += 16) {
            v_i32 sum[4][2]; /* of 4 elements each, of 2 in a register: even and odd pairs of positions */
            memset(sum, 0, sizeof sum);
            for (size_t t = 0; t < count; t += 4) {
                v_i16 w;
                memcpy(&w, weight + t, 8);
                memcpy((char *)&w + 8, weight + t, 8);
                for (size_t e = 0; e < 4; e++) {
                    v_i8 values = v_load8(v + ops_value_at(b, t, half + 4 * e));
                    sum[e][0] += v_dot2(v_widen8_low(values), w);
                    sum[e][1] += v_dot2(v_widen8_high(values), w);
                }
            }
            for (size_t e = 0; e < 4; e++)
                v_store(out + 4 * e, scale * __builtin_convertvector(v_fold(sum[e][0], sum[e][1]), v_f32));
        }
    }
}

static void vector_weigh(const float *p, size_t n, const int8_t *v, const float *vs, size_t blocks, size_t count,
                         float *out)
{
    for (size_t i = 0; i < n; i++)
        weigh_one(p + i * ARITH_CHUNK, v, vs, blocks, count, out + i * blocks * ARITH_BLOCK);
}

/* -- the reference's -- */

#define FROM_REF(name, parameters, arguments)                                                                          \
    static void vector_##name parameters                                                                               \
    {                                                                                                                  \
        ops_ref.name arguments;                                                                                        \
    }
FROM_REF(sum_run, (const int8_t *q, int16_t *out), (q, out))
FROM_REF(layer_norm, (const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out),
         (x, gain, bias, epsilon, n, out))
FROM_REF(gelu, (float *x, size_t n), (x, n))
FROM_REF(rotate, (float *x, const float *cosine, const float *sine, size_t pairs), (x, cosine, sine, pairs))
FROM_REF(rotate_halves, (float *x, const float *cosine, const float *sine, size_t pairs), (x, cosine, sine, pairs))
FROM_REF(add, (float *x, const float *y, size_t n), (x, y, n))
FROM_REF(add_scaled, (float *x, const float *y, float by, size_t n), (x, y, by, n))
FROM_REF(scale, (float *x, float by, size_t n), (x, by, n))
FROM_REF(soft_cap, (float *x, float cap, size_t n), (x, cap, n))
#undef FROM_REF

/* clang-format off */
#define VECTOR_OPS(text)                                                                                               \
    {                                                                                                                  \
        .name = text, .wants_packed = true, .quantise = vector_quantise, .quantise_wide = vector_quantise_wide,        \
        .sum_run = vector_sum_run, .finite = vector_finite, .multiply = vector_multiply, .norm = vector_norm,          \
        .layer_norm = vector_layer_norm, .gated_silu = vector_gated_silu, .gated_gelu = vector_gated_gelu, .gated_clamped = vector_gated_clamped,             \
        .gelu = vector_gelu, .gelu_tanh = vector_gelu_tanh, .squares = vector_squares, .rotate = vector_rotate,        \
        .rotate_halves = vector_rotate_halves, .add = vector_add,                                                      \
        .add_scaled = vector_add_scaled, .scale = vector_scale, .soft_cap = vector_soft_cap, RECUR_OPS,                           \
        .scores = vector_scores, .peak = vector_peak, .exponentials = vector_exponentials, .weigh = vector_weigh       \
    }
/* clang-format on */
