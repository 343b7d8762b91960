/* Registers of 64 bytes. */
#if defined(__x86_64__)
#define TRAIN_LANES   16
#define TRAIN_ROWS    8
#define TRAIN_VECTORS 2
#define SET           train_set_avx512
#define SET_NAME      "avx512"
#include "inference/train/train_product_body.h"
#else
typedef int train_product_avx512_has_nothing;
#endif
