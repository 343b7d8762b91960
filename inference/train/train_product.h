/* Products of binary32 matrices for training, each sum in one order: C[m, n] is +0 (or what C has), and to it are added
 * A[m, k] * B[k, n], product and sum each rounded, k rising. Vectors lie along n and blocks are cut along m, n and k,
 * so that neither the cut, nor the set of kernels, nor the number of threads changes a bit. docs/arithmetic.md,
 * Training. */
#ifndef KITH_INFERENCE_TRAIN_PRODUCT_H
#define KITH_INFERENCE_TRAIN_PRODUCT_H

#include "inference/engine/pool.h"
#include "inference/kernels/ops.h"

#include <stdbool.h>

struct train_product {
    size_t m, n, k;
    const float *a; /* A[m, k] at a + m am + k ak */
    size_t am, ak;
    const float *b; /* B[k, n] at b + k bk + n */
    size_t bk;
    float *c; /* C[m, n] at c + m cm + n */
    size_t cm;
    bool add; /* the sums go on from what C has */
};

/* A tile of C: `rows` x `columns` of a set. */
typedef void (*train_tile_fn)(size_t k, const float *a, size_t am, size_t ak, const float *b, float *c, size_t cm,
                              bool add);
struct train_set {
    const char *name;     /* as ops' sets are called */
    size_t rows, columns; /* 0: it has no tile, and is the reference */
    train_tile_fn tile;   /* b [k, columns], one behind the other */
};

#define TRAIN_TILE_ROWS    8 /* at most, of any set */
#define TRAIN_TILE_COLUMNS 32

/* "auto", or the name of a set of ops (ops_pick): the one that its processor's instructions allow. NULL, with a note,
 * for a name that there is not or that this processor lacks. */
const struct train_set *train_set_pick(const char *name, struct note *note);
/* The i-th that this processor runs, the reference first; NULL behind the last. */
const struct train_set *train_set_at(size_t i);

/* Here and now, by this thread alone. */
void train_multiply(const struct train_set *set, const struct train_product *p);
/* In parts, by all of the pool's. */
void train_multiply_all(const struct train_set *set, struct pool *pool, const struct train_product *p);

extern const struct train_set train_set_ref, train_set_plain;
#if defined(__x86_64__)
extern const struct train_set train_set_avx2, train_set_avx512;
#endif

#endif
