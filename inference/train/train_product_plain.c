/* Registers of 16 bytes: what every processor that Kith runs on has (SSE2, NEON, WebAssembly). */
#define TRAIN_LANES   4
#define TRAIN_ROWS    4
#define TRAIN_VECTORS 2
#define SET           train_set_plain
#define SET_NAME      "plain"
#include "inference/train/train_product_body.h"
