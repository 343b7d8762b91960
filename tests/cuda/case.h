/* What the tests of kernels draw and compare. Each test is a program with numbers of its own. */
#ifndef KITH_TESTS_CUDA_CASE_H
#define KITH_TESTS_CUDA_CASE_H

#include "inference/kernels/arith.h"
#include "tests/cuda/memory.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>

static uint64_t case_seed = 0x9E3779B97F4A7C15u;

static inline uint32_t draw(uint32_t below)
{
    case_seed = case_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((case_seed >> 33) % below);
}

/* How many of n rounds under a tool that makes everything slow (KITH_TEST_SHORT). */
static inline unsigned case_rounds(unsigned n)
{
    return getenv("KITH_TEST_SHORT") ? (n + 9) / 10 : n;
}

/* Bit by bit, when the kernels are done; any NaN is like any other. */
static inline void assert_same_bits(const float *a, const float *b, size_t n, const char *what)
{
    gpu_wait();
    for (size_t i = 0; i < n; i++)
        if (arith_bits(a[i]) != arith_bits(b[i]) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s: element %zu of %zu: %a and %a", what, i, n, (double)a[i], (double)b[i]);
}

#endif
