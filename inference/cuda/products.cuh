/* Products of matrices with few and with many columns: what their kernels share. */
#ifndef KITH_INFERENCE_CUDA_PRODUCTS_CUH
#define KITH_INFERENCE_CUDA_PRODUCTS_CUH

#include "inference/cuda/formats.cuh"
#include "inference/cuda/kernels.h"

#define PRODUCTS_MOST 3u /* matrices of one format that one launch multiplies with one input */

struct product_matrix {
    const uint8_t *w;
    const float *bias;
    float *out;
    uint32_t rows;
};

struct product {
    const uint8_t *w;
    uint32_t n, rows, runs, cols; /* at most, of a block's matrix */
    const float *f;               /* formats of floats: [cols, n] */
    struct cuda_blocks in;        /* the others: of the format's width, or from f itself */
    struct cuda_raw raw;
    const float *bias; /* [rows]; of experts [experts, rows] */
    bool adds;
    float *out; /* [cols or picks, rows] */
    /* Experts, else NULL: blockIdx.z is a pick, or where `begin` is given an expert with all its picks. */
    const uint32_t *chosen, *begin, *pick;
    uint64_t stride;       /* bytes from one matrix to the next */
    uint32_t picks, share; /* all; of one column of the input */
    uint32_t z;            /* the grid's third side */
    /* Further matrices of the same input, of which blockIdx.z is one then, 0 the first. */
    uint32_t more_n;
    struct product_matrix more[PRODUCTS_MOST - 1];
    bool is_beside; /* the kernel ahead multiplies the same input, and has a wide format as well */
    /* One column: a block has its rows of the first and the second, which gates[kind]. */
    bool is_gated;
    enum cuda_gate kind;
    uint32_t firsts; /* one column: matrices from this one on are of another format */
    uint32_t processors;
};

/* Matrix z of those that go together. */
LANE struct product_matrix product_matrix_at(const struct product *p, uint32_t z)
{
    if (p->bias && p->chosen)
        return product_matrix{p->w, p->bias + (size_t)(p->begin ? z : p->chosen[z]) * p->rows, p->out, p->rows};
    if (p->more_n == 0 || z == 0)
        return product_matrix{p->w, p->bias, p->out, p->rows};
    return z == 1 ? p->more[0] : p->more[1];
}
/* A kernel asks when it begins and again when it ends: what lies between needs its registers. */
LANE struct product_matrix product_matrix_of(const struct product *p)
{
    return product_matrix_at(p, blockIdx.z);
}

/* What a block multiplies: a matrix and so many columns of the result, those of picks [first, first + cols) or, where
 * there is no list, from `first` on. */
struct product_part {
    const uint8_t *w;
    uint32_t first, cols;
};
LANE struct product_part product_part_at(const struct product *p, uint32_t z)
{
    if (!p->chosen)
        return product_part{product_matrix_at(p, z).w, 0, p->cols};
    if (!p->begin)
        return product_part{p->w + p->chosen[z] * p->stride, z, 1};
    return product_part{p->w + z * p->stride, p->begin[z], p->begin[z + 1] - p->begin[z]};
}
LANE struct product_part product_part_of(const struct product *p)
{
    return product_part_at(p, blockIdx.z);
}

/* Column c of a part in the result, and what of the input belongs to a column of the result. */
LANE uint32_t product_to(const struct product *p, const struct product_part *part, uint32_t c)
{
    return p->begin ? p->pick[part->first + c] : part->first + c;
}
LANE uint32_t product_from(const struct product *p, uint32_t to)
{
    return p->chosen ? to / p->share : to;
}

LANE void product_put(const struct product *p, uint32_t col, uint32_t row, float sum)
{
    const struct product_matrix m = product_matrix_of(p);
    float *out = m.out + (size_t)col * m.rows + row;
    if (m.bias)
        sum = sum + m.bias[row];
    *out = p->adds ? *out + sum : sum;
}

/* Sums of the input's 16 neighbours as the unit for matrices takes them: of wide formats binary16. */
template <class F> LANE const void *product_sums(const struct product *p, size_t run)
{
    return F::is_narrow ? (const void *)(p->in.sums + run * 16) : p->in.halves + run * 16;
}

/* Rows of the matrix with the most. */
static inline uint32_t product_rows(const struct product *p)
{
    uint32_t rows = p->rows;
    for (uint32_t i = 0; i < p->more_n; i++)
        rows = p->more[i].rows > rows ? p->more[i].rows : rows;
    return rows;
}

/* Blocks of so many rows that all matrices take together. */
static inline uint64_t product_row_blocks(const struct product *p, uint32_t rows)
{
    uint64_t blocks = (uint64_t)(p->rows + rows - 1) / rows * (p->more_n ? 1 : p->z);
    for (uint32_t i = 0; i < p->more_n && !p->is_gated; i++)
        blocks += (p->more[i].rows + rows - 1) / rows;
    return blocks;
}

/* What a cut of a product costs, by three counts of cycles: the second cache for all, which gives each processor
 * CACHE_BYTES a cycle, one processor's way to it at OWN_BYTES, and issue slots. The slowest decides; of two that are as
 * slow there, the rest. Counts are in docs/cuda.md. */
#define CACHE_BYTES 24u
#define OWN_BYTES   36u
static inline uint64_t product_cost(uint64_t cache, uint64_t own, uint64_t issue)
{
    const uint64_t slowest = cache > own ? (cache > issue ? cache : issue) : own > issue ? own : issue;
    return 4 * slowest + cache + own + issue;
}

/* -- matmul_some.cu: a blocked format, 2 to 64 columns; of experts any number, of which most have about `cols` -- */
void product_some(void *stream, uint32_t type, const struct product *p, uint32_t cols);

/* -- matmul_strip.cu: a blocked format, 17 to 64 columns, where the GPU has it; false: it has not, or of experts -- */
bool product_by_strips(void *stream, uint32_t type, const struct product *p);

/* -- matmul.cu: a blocked format, many columns -- */
void product_many(void *stream, uint32_t type, const struct product *p);

/* -- matmul_group.cu: the same where GPU and format have it; false: they have not -- */
bool product_by_groups(void *stream, uint32_t type, const struct product *p);

/* -- floats.cu: a matrix of floats, any number of columns -- */
void product_floats(void *stream, uint32_t type, const struct product *p);

#endif
