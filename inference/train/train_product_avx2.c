/* Registers of 32 bytes; AVX2 is asked for by the other kernels of that set, these need AVX alone. */
#if defined(__x86_64__)
#define TRAIN_LANES   8
#define TRAIN_ROWS    6
#define TRAIN_VECTORS 2
#define SET           train_set_avx2
#define SET_NAME      "avx2"
#include "inference/train/train_product_body.h"
#else
typedef int train_product_avx2_has_nothing;
#endif
