/* Steps on activations; see the header. Loops over positions stand inside, so that compilers make vectors of them. */
#include "inference/train/train_rows.h"

#include "inference/kernels/arith_fn.h"

#include <math.h>

#define TOGETHER 64 /* positions whose sums are kept at once */

/* c[i] = 1 / sqrt(mean of squares + epsilon) of positions [from, from + many). */
static void scales(const float *x, size_t t, size_t from, size_t many, float epsilon, size_t n, float *c)
{
    for (size_t i = 0; i < many; i++)
        c[i] = 0.0f;
    for (size_t f = 0; f < n; f++) {
        const float *row = x + f * t + from;
        for (size_t i = 0; i < many; i++)
            c[i] = c[i] + row[i] * row[i];
    }
    for (size_t i = 0; i < many; i++)
        c[i] = 1.0f / sqrtf(c[i] / (float)(int32_t)n + epsilon);
}

static size_t step(const struct train_cut *c, size_t at)
{
    return c->end - at < TOGETHER ? c->end - at : TOGETHER;
}

void train_norm(const struct train_cut *c, const float *x, const float *gain, float epsilon, size_t n, float *out)
{
    float scale[TOGETHER];
    for (size_t at = c->first, many; at < c->end; at += many) {
        many = step(c, at);
        scales(x, c->t, at, many, epsilon, n, scale);
        for (size_t f = 0; f < n; f++) {
            const float *row = x + f * c->t + at;
            float *to = out + f * c->t + at;
            for (size_t i = 0; i < many; i++)
                to[i] = (row[i] * scale[i]) * gain[f];
        }
    }
}

void train_norm_back(const struct train_cut *c, const float *x, const float *gain, float epsilon, size_t n,
                     const float *d, float *out, bool add)
{
    float scale[TOGETHER], sum[TOGETHER];
    for (size_t at = c->first, many; at < c->end; at += many) {
        many = step(c, at);
        scales(x, c->t, at, many, epsilon, n, scale);
        for (size_t i = 0; i < many; i++)
            sum[i] = 0.0f;
        for (size_t f = 0; f < n; f++) {
            const float *row = x + f * c->t + at, *from = d + f * c->t + at;
            for (size_t i = 0; i < many; i++)
                sum[i] = sum[i] + (from[i] * gain[f]) * (row[i] * scale[i]);
        }
        for (size_t i = 0; i < many; i++)
            sum[i] = sum[i] / (float)(int32_t)n;
        for (size_t f = 0; f < n; f++) {
            const float *row = x + f * c->t + at, *from = d + f * c->t + at;
            float *to = out + f * c->t + at;
            for (size_t i = 0; i < many; i++) {
                float g = scale[i] * (from[i] * gain[f] - (row[i] * scale[i]) * sum[i]);
                to[i] = add ? to[i] + g : g;
            }
        }
    }
}

void train_turn(const struct train_cut *c, float *x, const float *cosine, const float *sine, size_t pairs, bool halves,
                bool back)
{
    for (size_t p = 0; p < pairs; p++) {
        float *a = x + (halves ? p : 2 * p) * c->t, *b = x + (halves ? p + pairs : 2 * p + 1) * c->t;
        const float *co = cosine + p * c->t, *si = sine + p * c->t;
        for (size_t i = c->first; i < c->end; i++) {
            float u = a[i], v = b[i], s = back ? -si[i] : si[i];
            a[i] = u * co[i] - v * s;
            b[i] = u * s + v * co[i];
        }
    }
}

/* -- gates -- */

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + arith_fn_exp(-x));
}

#define GELU_1 1.59576912f /* as in arith_fn_gelu_tanh */
#define GELU_3 7.13548163e-2f

void train_gate(const float *gate, const float *up, size_t n, bool gelu, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (gelu ? arith_fn_gelu_tanh(gate[i]) : gate[i] / (1.0f + arith_fn_exp(-gate[i]))) * up[i];
}

void train_gate_back(const float *gate, const float *up, const float *d, size_t n, bool gelu, float *dgate, float *dup)
{
    for (size_t i = 0; i < n; i++) {
        const float g = gate[i], square = g * g, from = d[i];
        const float s = sigmoid(gelu ? g * (GELU_1 + GELU_3 * square) : g);
        const float slope = gelu ? GELU_1 + (3.0f * GELU_3) * square : 1.0f;
        const float by_gate = s + (g * slope) * (s * (1.0f - s));
        dgate[i] = (from * up[i]) * by_gate;
        dup[i] = from * (g * s);
    }
}
