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
    /* Experts: one launch for all picks, blockIdx.y each, with a column and a matrix of its own. */
    const uint32_t *chosen; /* [picks], or NULL */
    uint64_t stride;        /* bytes from one matrix to the next */
    uint32_t share;         /* picks of one column */
};

/* The product of this block's pick: one column. `scales`: of a run of the input. */
LANE void product_pick(struct product *p, uint32_t scales)
{
    if (!p->chosen)
        return;
    uint32_t pick = blockIdx.y, col = pick / p->share;
    size_t runs = (size_t)col * p->runs;
    p->w += p->chosen[pick] * p->stride;
    p->f += (size_t)col * p->n;
    p->in.q += runs * ARITH_RUN;
    p->in.s += runs * scales;
    p->in.sums += runs * 16;
    p->out += (size_t)pick * p->rows;
}

LANE void product_put(const struct product *p, uint32_t col, uint32_t row, float sum)
{
    float *out = p->out + (size_t)col * p->rows + row;
    if (p->bias)
        sum = sum + p->bias[row];
    *out = p->adds ? *out + sum : sum;
}

/* -- matmul.cu: a blocked format, many columns -- */
void product_many(void *stream, uint32_t type, const struct product *p);

/* -- floats.cu: a matrix of floats, any number of columns -- */
void product_floats(void *stream, uint32_t type, const struct product *p, uint32_t picks);

#endif
