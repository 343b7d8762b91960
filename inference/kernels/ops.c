/* Which sets of kernels there are, which this processor can run, and what all of them share. */
#include "inference/kernels/ops.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#define RUN_BLOCKS (ARITH_RUN / ARITH_BLOCK)

size_t ops_blocks_bytes(size_t n, size_t cols)
{
    return quant_runs(n) * cols * (ARITH_RUN + RUN_BLOCKS * sizeof(float) + 16 * sizeof(int16_t));
}

struct ops_blocks ops_blocks_at(void *memory, size_t n, size_t cols)
{
    size_t all = quant_runs(n) * cols;
    struct ops_blocks b = {.q = memory};
    b.s = (float *)(void *)(b.q + all * ARITH_RUN);
    b.sums = (int16_t *)(void *)(b.s + all * RUN_BLOCKS);
    return b;
}

bool ops_put_column(const struct ops *o, const struct ops_input *in, size_t col, const float *x)
{
    bool finite = true;
    for (size_t r = 0, left = in->n; r < quant_runs(in->n); r++, x += ARITH_RUN, left -= ARITH_RUN) {
        size_t n = left < ARITH_RUN ? left : ARITH_RUN, at = r * in->cols + col;
        if (in->narrow.q) {
            int8_t *q = in->narrow.q + at * ARITH_RUN;
            float *s = in->narrow.s + at * RUN_BLOCKS;
            finite = o->quantise(x, n, q, s) && finite;
            memset(q + quant_padded(n), 0, ARITH_RUN - quant_padded(n));
            for (size_t b = quant_padded(n) / ARITH_BLOCK; b < RUN_BLOCKS; b++)
                s[b] = 0.0f;
            o->sum_run(q, in->narrow.sums + at * 16);
        }
        if (in->wide.q) {
            int8_t *q = in->wide.q + at * ARITH_RUN;
            finite = o->quantise_wide(x, n, q, in->wide.s + at) && finite;
            o->sum_run(q, in->wide.sums + at * 16);
        }
    }
    return finite;
}

#define PIECE 1024u /* elements whose largest is found before anybody asks where it is */

bool ops_largest(const struct ops *o, const float *x, size_t n, uint32_t *index)
{
    float most = 0, peak;
    size_t at = 0;
    *index = 0;
    for (size_t i = 0; i < n; i += PIECE) {
        if (!o->peak(x + i, n - i < PIECE ? n - i : PIECE, &peak))
            return false;
        if (i == 0 || peak > most) {
            most = peak;
            at = i;
        }
    }
    while (x[at] != most)
        at++;
    *index = (uint32_t)at;
    return true;
}

#if defined(__x86_64__)
/* CPUID leaf 1, ECX bit 29; not every compiler's __builtin_cpu_supports knows the name. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1u);
}

/* CPUID leaf 7.1, EAX bit 4: products of four bytes in registers of 32 bytes, in the encoding of AVX2. */
static bool has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1u);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#elif defined(__aarch64__)
static bool has_dot_products(void)
{
#if defined(__linux__)
    return getauxval(AT_HWCAP) >> 20 & 1u; /* HWCAP_ASIMDDP */
#else
    return false;
#endif
}
#endif

const struct ops *ops_at(size_t i)
{
    const struct ops *found[6] = {&ops_ref};
    size_t n = 1;
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && has_f16c(), avx512 = avx2 && has_avx512();
    if (avx2)
        found[n++] = &ops_avx2;
    if (avx2 && has_avx_vnni())
        found[n++] = &ops_avxvnni;
    if (avx512)
        found[n++] = &ops_avx512;
    if (avx512 && __builtin_cpu_supports("avx512vnni"))
        found[n++] = &ops_avx512_vnni;
#elif defined(__aarch64__)
    found[n++] = &ops_neon;
    if (has_dot_products())
        found[n++] = &ops_neon_dot;
#elif defined(__wasm_simd128__)
    found[n++] = &ops_wasm;
#endif
    return i < n ? found[i] : NULL;
}

const struct ops *ops_pick(const char *name, struct note *note)
{
    const struct ops *best = NULL, *o;
    for (size_t i = 0; (o = ops_at(i)); i++) {
        if (strcmp(o->name, name) == 0)
            return o;
        best = o;
    }
    if (strcmp(name, "auto") == 0)
        return best;
    note_set(note, ERR_UNSUPPORTED, "the backend %.32s is not known or this processor cannot run it; use auto or ref",
             name);
    return NULL;
}
