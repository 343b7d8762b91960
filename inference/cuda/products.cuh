/* Products of matrices with few and with many columns: what their kernels share. */
#ifndef KITH_INFERENCE_CUDA_PRODUCTS_CUH
#define KITH_INFERENCE_CUDA_PRODUCTS_CUH

#include "inference/cuda/formats.cuh"
#include "inference/cuda/kernels.h"

#define PRODUCTS_MOST 3u /* matrices of one format that one launch multiplies with one input */

struct product_more {
    const uint8_t *w;
    const float *bias;
    float *out;
    uint32_t rows;
};

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
    /* Further matrices: their blocks of rows follow those of the first. */
    uint32_t more_n;
    struct product_more more[PRODUCTS_MOST - 1];
};

/* The matrix that this block works on, and which block of its rows, of `each`. A kernel asks when it begins and again
 * when it ends: what lies between needs its registers. */
LANE struct product_more product_matrix(const struct product *p, uint32_t each, uint32_t *block)
{
    struct product_more m = {p->w, p->bias, p->out, p->rows};
    *block = blockIdx.x;
    LANE_UNROLL
    for (uint32_t i = 0; i < PRODUCTS_MOST - 1; i++) {
        if (i >= p->more_n || *block < (m.rows + each - 1) / each)
            break;
        *block -= (m.rows + each - 1) / each;
        m = p->more[i];
    }
    return m;
}
static inline uint32_t product_blocks(const struct product *p, uint32_t each)
{
    uint32_t blocks = (p->rows + each - 1) / each;
    for (uint32_t i = 0; i < p->more_n; i++)
        blocks += (p->more[i].rows + each - 1) / each;
    return blocks;
}

/* The column of the input that this block's pick has; without picks the first of all. */
LANE uint32_t product_column(const struct product *p)
{
    return p->chosen ? blockIdx.y / p->share : 0;
}
/* Its matrix, behind that of expert 0. */
LANE uint64_t product_expert(const struct product *p)
{
    return p->chosen ? p->chosen[blockIdx.y] * p->stride : 0;
}

LANE void product_put_in(const struct product *p, const struct product_more *m, uint32_t col, uint32_t row, float sum)
{
    float *out = m->out + (size_t)(p->chosen ? blockIdx.y : col) * m->rows + row;
    if (m->bias)
        sum = sum + m->bias[row];
    *out = p->adds ? *out + sum : sum;
}
/* Where there is one matrix only. */
LANE void product_put(const struct product *p, uint32_t col, uint32_t row, float sum)
{
    const struct product_more m = {p->w, p->bias, p->out, p->rows};
    product_put_in(p, &m, col, row, sum);
}

/* -- matmul.cu: a blocked format, many columns -- */
void product_many(void *stream, uint32_t type, const struct product *p);

/* -- floats.cu: a matrix of floats, any number of columns -- */
void product_floats(void *stream, uint32_t type, const struct product *p, uint32_t picks);

#endif
