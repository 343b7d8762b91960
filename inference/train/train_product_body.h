/* A tile for registers of TRAIN_LANES floats: TRAIN_ROWS x TRAIN_VECTORS of them hold sums while k runs. Included by a
 * file for each set of instructions, which names these three and SET, the set's name. Each lane is its own sum, so any
 * cut has the reference's bits. */
#include "inference/train/train_product.h"

#include <string.h>

typedef float train_lanes __attribute__((vector_size(TRAIN_LANES * sizeof(float))));

static void tile(size_t k, const float *a, size_t am, size_t ak, const float *b, float *c, size_t cm, bool add)
{
    train_lanes sum[TRAIN_ROWS][TRAIN_VECTORS] = {0}, x;
    for (size_t i = 0; add && i < TRAIN_ROWS; i++)
        for (size_t v = 0; v < TRAIN_VECTORS; v++)
            memcpy(&sum[i][v], c + i * cm + v * TRAIN_LANES, sizeof x);
    for (size_t at = 0; at < k; at++, a += ak, b += TRAIN_LANES * TRAIN_VECTORS)
        for (size_t v = 0; v < TRAIN_VECTORS; v++) {
            memcpy(&x, b + v * TRAIN_LANES, sizeof x);
            for (size_t i = 0; i < TRAIN_ROWS; i++)
                sum[i][v] = sum[i][v] + x * a[i * am];
        }
    for (size_t i = 0; i < TRAIN_ROWS; i++)
        for (size_t v = 0; v < TRAIN_VECTORS; v++)
            memcpy(c + i * cm + v * TRAIN_LANES, &sum[i][v], sizeof x);
}

const struct train_set SET = {
    .name = SET_NAME, .rows = TRAIN_ROWS, .columns = (size_t)TRAIN_LANES * TRAIN_VECTORS, .tile = tile};
