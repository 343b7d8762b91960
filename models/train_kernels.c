/* The steps between the matrix products when kith-guide is trained in bfloat16: norm, attention with RoPE, SwiGLU and
 * the residual addition, forward and backward. torch would take several passes over memory for each. guide_model.py
 * compiles this file and calls it through ctypes; sequences are packed end to end. It has no part in how Kith runs
 * models. */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { DIM = 256, HEADS = 4, HEADS_KV = 2, HEAD_DIM = 64, HALF = HEAD_DIM / 2, FFN = 512, CONTEXT = 512 };
enum { QKV = (HEADS + 2 * HEADS_KV) * HEAD_DIM, GROUP = HEADS / HEADS_KV };
static const float EPS = 1e-5f;

typedef uint16_t bf16;

static inline float wide(bf16 v)
{
    uint32_t u = (uint32_t)v << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline bf16 narrow(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (bf16)((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}

/* y = x / sqrt(mean(x^2) + eps); inv keeps the factor of each row. */
void norm_forward(long n, const float *x, bf16 *y, float *inv)
{
    for (long i = 0; i < n; i++, x += DIM, y += DIM) {
        float sum = 0;
        for (int d = 0; d < DIM; d++)
            sum += x[d] * x[d];
        float r = 1.0f / sqrtf(sum / DIM + EPS);
        inv[i] = r;
        for (int d = 0; d < DIM; d++)
            y[d] = narrow(x[d] * r);
    }
}

void norm_backward(long n, const bf16 *grad, const float *x, const float *inv, float *out)
{
    for (long i = 0; i < n; i++, grad += DIM, x += DIM, out += DIM) {
        float r = inv[i], sum = 0;
        for (int d = 0; d < DIM; d++)
            sum += wide(grad[d]) * x[d];
        sum *= r * r * r / DIM;
        for (int d = 0; d < DIM; d++)
            out[d] = wide(grad[d]) * r - x[d] * sum;
    }
}

/* y = silu(gate) * up for rows [gate, up]. */
void swiglu_forward(long n, const bf16 *h, bf16 *y)
{
    for (long i = 0; i < n; i++, h += 2 * FFN, y += FFN)
        for (int d = 0; d < FFN; d++) {
            float g = wide(h[d]);
            y[d] = narrow(g / (1.0f + expf(-g)) * wide(h[FFN + d]));
        }
}

void swiglu_backward(long n, const bf16 *grad, const bf16 *h, bf16 *out)
{
    for (long i = 0; i < n; i++, grad += FFN, h += 2 * FFN, out += 2 * FFN)
        for (int d = 0; d < FFN; d++) {
            float g = wide(h[d]), up = wide(h[FFN + d]), y = wide(grad[d]);
            float s = 1.0f / (1.0f + expf(-g));
            out[d] = narrow(y * up * s * (1.0f + g * (1.0f - s)));
            out[FFN + d] = narrow(y * g * s);
        }
}

/* out = x + y * keep[example of the row]. */
void add_forward(long n, const float *x, const bf16 *y, const float *keep, const int64_t *example, float *out)
{
    for (long i = 0; i < n; i++, x += DIM, y += DIM, out += DIM) {
        const float *k = keep + example[i] * DIM;
        for (int d = 0; d < DIM; d++)
            out[d] = x[d] + wide(y[d]) * k[d];
    }
}

void add_backward(long n, const float *grad, const float *keep, const int64_t *example, bf16 *out)
{
    for (long i = 0; i < n; i++, grad += DIM, out += DIM) {
        const float *k = keep + example[i] * DIM;
        for (int d = 0; d < DIM; d++)
            out[d] = narrow(grad[d] * k[d]);
    }
}

typedef struct {
    float q[CONTEXT][HEAD_DIM], k[CONTEXT][HEAD_DIM], v[CONTEXT][HEAD_DIM];
    float dq[CONTEXT][HEAD_DIM], dk[CONTEXT][HEAD_DIM], dv[CONTEXT][HEAD_DIM];
    float p[CONTEXT];
} Work;

/* One head's rows, RoPE applied where there is an angle (adjacent pairs). */
static void take(long t, const bf16 *from, const float *cosine, const float *sine, float (*to)[HEAD_DIM])
{
    for (long i = 0; i < t; i++, from += QKV)
        for (int d = 0; d < HALF; d++) {
            float a = wide(from[2 * d]), b = wide(from[2 * d + 1]);
            float c = cosine ? cosine[i * HALF + d] : 1.0f, s = cosine ? sine[i * HALF + d] : 0.0f;
            to[i][2 * d] = a * c - b * s;
            to[i][2 * d + 1] = a * s + b * c;
        }
}

/* The gradient of take. */
static void give(long t, float (*from)[HEAD_DIM], const float *cosine, const float *sine, bf16 *to)
{
    for (long i = 0; i < t; i++, to += QKV)
        for (int d = 0; d < HALF; d++) {
            float a = from[i][2 * d], b = from[i][2 * d + 1];
            float c = cosine ? cosine[i * HALF + d] : 1.0f, s = cosine ? sine[i * HALF + d] : 0.0f;
            to[2 * d] = narrow(a * c + b * s);
            to[2 * d + 1] = narrow(b * c - a * s);
        }
}

static float dot(const float *a, const float *b)
{
    float sum = 0;
    for (int d = 0; d < HEAD_DIM; d++)
        sum += a[d] * b[d];
    return sum;
}

/* Probabilities of row i over rows 0..i. */
static void weigh(Work *w, long i)
{
    float most = -INFINITY, sum = 0;
    for (long j = 0; j <= i; j++) {
        w->p[j] = dot(w->q[i], w->k[j]) * 0.125f;
        most = w->p[j] > most ? w->p[j] : most;
    }
    for (long j = 0; j <= i; j++)
        sum += w->p[j] = expf(w->p[j] - most);
    for (long j = 0; j <= i; j++)
        w->p[j] /= sum;
}

void attention_forward(long n, const int64_t *lengths, const bf16 *qkv, const float *cosine, const float *sine,
                       bf16 *out)
{
    static Work w;
    for (long e = 0; e < n; e++) {
        long t = lengths[e];
        for (int h = 0; h < HEADS; h++) {
            const bf16 *kv = qkv + (HEADS + h / GROUP) * HEAD_DIM;
            take(t, qkv + h * HEAD_DIM, cosine, sine, w.q);
            if (h % GROUP == 0) {
                take(t, kv, cosine, sine, w.k);
                take(t, kv + HEADS_KV * HEAD_DIM, NULL, NULL, w.v);
            }
            for (long i = 0; i < t; i++) {
                float sum[HEAD_DIM] = {0};
                weigh(&w, i);
                for (long j = 0; j <= i; j++)
                    for (int d = 0; d < HEAD_DIM; d++)
                        sum[d] += w.p[j] * w.v[j][d];
                for (int d = 0; d < HEAD_DIM; d++)
                    out[i * DIM + h * HEAD_DIM + d] = narrow(sum[d]);
            }
        }
        qkv += t * QKV;
        out += t * DIM;
    }
}

static void row_backward(Work *w, long i, const bf16 *grad)
{
    float g[HEAD_DIM], dp[CONTEXT], mean = 0;
    for (int d = 0; d < HEAD_DIM; d++)
        g[d] = wide(grad[d]);
    weigh(w, i);
    for (long j = 0; j <= i; j++) {
        dp[j] = dot(g, w->v[j]);
        mean += dp[j] * w->p[j];
    }
    for (long j = 0; j <= i; j++) {
        float p = w->p[j], s = p * (dp[j] - mean) * 0.125f;
        for (int d = 0; d < HEAD_DIM; d++) {
            w->dv[j][d] += p * g[d];
            w->dk[j][d] += s * w->q[i][d];
            w->dq[i][d] += s * w->k[j][d];
        }
    }
}

void attention_backward(long n, const int64_t *lengths, const bf16 *grad, const bf16 *qkv, const float *cosine,
                        const float *sine, bf16 *out)
{
    static Work w;
    for (long e = 0; e < n; e++) {
        long t = lengths[e];
        size_t rows = (size_t)t * sizeof w.q[0];
        for (int h = 0; h < HEADS; h++) {
            long at_k = (HEADS + h / GROUP) * HEAD_DIM, at_v = at_k + HEADS_KV * HEAD_DIM;
            take(t, qkv + h * HEAD_DIM, cosine, sine, w.q);
            memset(w.dq, 0, rows);
            if (h % GROUP == 0) {
                take(t, qkv + at_k, cosine, sine, w.k);
                take(t, qkv + at_v, NULL, NULL, w.v);
                memset(w.dk, 0, rows);
                memset(w.dv, 0, rows);
            }
            for (long i = 0; i < t; i++)
                row_backward(&w, i, grad + i * DIM + h * HEAD_DIM);
            give(t, w.dq, cosine, sine, out + h * HEAD_DIM);
            if (h % GROUP == GROUP - 1) {
                give(t, w.dk, cosine, sine, out + at_k);
                give(t, w.dv, NULL, NULL, out + at_v);
            }
        }
        grad += t * DIM;
        qkv += t * QKV;
        out += t * QKV;
    }
}
