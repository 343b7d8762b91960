/* Elementary functions from primitives: most stand in arith_fn.h; sines are for tables. */
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

double arith_log_f64(double x)
{
    return arith_fn_log_f64(x);
}

double arith_exp_f64(double x)
{
    return arith_fn_exp_f64(x);
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
    return arith_fn_softplus(x);
}
