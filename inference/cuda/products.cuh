/* Products of matrices with few and with many columns: what their kernels share. */
#ifndef KITH_INFERENCE_CUDA_PRODUCTS_CUH
#define KITH_INFERENCE_CUDA_PRODUCTS_CUH

#include "inference/cuda/formats.cuh"
#include "inference/cuda/kernels.h"

struct product {
    const uint8_t *w;
    uint32_t n, rows, runs, cols;
    const float *f;        /* formats of floats: [cols, n] */
    struct cuda_blocks in; /* the others: of the format's width */
    const float *bias;
    bool adds;
    float *out; /* [cols, rows] */
};

LANE void product_put(const struct product *p, uint32_t col, uint32_t row, float sum)
{
    float *out = p->out + (size_t)col * p->rows + row;
    if (p->bias)
        sum = sum + p->bias[row];
    *out = p->adds ? *out + sum : sum;
}

/* -- floats.cu: a matrix of floats, any number of columns -- */
void product_floats(void *stream, uint32_t type, const struct product *p);

#endif
