/* Included behind a static multiply_packed(format, ...): makes it a function for each blocked format, in which the
 * format is a constant, and multiply_blocked, which picks the one of a matrix. Contract: ops.multiply. */
#include "inference/kernels/pack.h"

#define E(name, ...)                                                                                                   \
    static void multiply_##name(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x,      \
                                float *out, size_t stride)                                                             \
    {                                                                                                                  \
        static const struct quant_format f = QUANT_FORMAT(name, __VA_ARGS__);                                          \
        multiply_packed(&f, w, first, rows, x, out, stride);                                                           \
    }
QUANT_BLOCKED_LIST(E)
#undef E

static void multiply_blocked(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x,
                             float *out, size_t stride)
{
    switch (w->type) {
#define E(name, ...)                                                                                                   \
    case GGUF_TENSOR_##name:                                                                                           \
        multiply_##name(w, first, rows, x, out, stride);                                                               \
        return;
        QUANT_BLOCKED_LIST(E)
#undef E
    default:
        CHECK(quant_is_blocked(w->type)); /* each of those stands above */
    }
}
