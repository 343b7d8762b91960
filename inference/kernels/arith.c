/* Elementary functions from primitives: those of binary32 stand in arith_fn.h; those of binary64 are for tables. */
#include "inference/kernels/arith_fn.h"

float arith_exp(float x)
{
    return arith_fn_exp(x);
}

float arith_tanh(float x)
{
    return arith_fn_tanh(x);
}

float arith_gelu_tanh(float x)
{
    return arith_fn_gelu_tanh(x);
}

float arith_gelu_erf(float x)
{
    return arith_fn_gelu_erf(x);
}

float arith_square(float x)
{
    return arith_fn_square(x);
}

float arith_gate_clamped(float gate, float up)
{
    return arith_fn_gate_clamped(gate, up);
}

float arith_half(uint16_t h)
{
    return arith_fn_half(h);
}

#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: exact times any exponent */
#define LN2_LOW  0x1.a39ef35793c76p-33

/* x = m 2^e, m in [sqrt 1/2, sqrt 2): log m = 2 artanh((m-1)/(m+1)), whose argument is at most 0.1716. */
double arith_log_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m = m * 0.5;
        e++;
    }
    double s = (m - 1.0) / (m + 1.0), z = s * s, p = 0.0;
    for (int k = 23; k >= 1; k -= 2)
        p = p * z + 1.0 / (double)k;
    return (double)e * LN2_HIGH + ((double)e * LN2_LOW + 2.0 * s * p);
}

double arith_exp_f64(double x)
{
    double shifted = x * 1.4426950408889634 + 6755399441055744.0;
    double n = shifted - 6755399441055744.0;
    double r = (x - n * LN2_HIGH) - n * LN2_LOW;
    double p = 1.0;
    for (int k = 14; k >= 1; k--)
        p = p * r / (double)k + 1.0;
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* pi/2 in three parts of at most 23 bits less than a double holds, so that k times the first two is exact. */
#define HALF_PI_1 0x1.921fb544p+0
#define HALF_PI_2 0x1.0b4611a6p-34
#define HALF_PI_3 0x1.3198a2e037073p-69

void arith_sin_cos_f64(double x, double *sine, double *cosine)
{
    double k = (x * 0.63661977236758134 + 6755399441055744.0) - 6755399441055744.0;
    double r = ((x - k * HALF_PI_1) - k * HALF_PI_2) - k * HALF_PI_3;
    double z = r * r, s = 1.0, c = 1.0;
    for (int i = 18; i >= 2; i -= 2) {
        s = 1.0 - s * z / (double)(i * (i + 1));
        c = 1.0 - c * z / (double)(i * (i - 1));
    }
    s = s * r;
    switch ((uint64_t)(int64_t)k & 3u) {
    case 0:
        *sine = s, *cosine = c;
        break;
    case 1:
        *sine = c, *cosine = -s;
        break;
    case 2:
        *sine = -s, *cosine = -c;
        break;
    default:
        *sine = -c, *cosine = s;
    }
}

float arith_softplus(float x)
{
    const double limit = 20.0; /* beyond it one of the two is all that a float holds */
    if (!arith_is_finite(x) || (double)x > limit)
        return x;
    if ((double)x < -limit)
        return (double)x < -200.0 ? 0.0f : (float)arith_exp_f64((double)x);
    return (float)arith_log_f64(1.0 + arith_exp_f64((double)x));
}
