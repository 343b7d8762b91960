/* The definition, in scalar C: no tile, so that train_multiply goes through its sums one by one. */
#include "inference/train/train_product.h"

const struct train_set train_set_ref = {.name = "ref"};
