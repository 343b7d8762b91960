/* Products with weights that are floats: striped sums of rounded products, which no unit for matrices gives. A warp has
 * 4 rows of a group of them and 8 lanes a row, each with two of the 16 stripes of each column. */
#include "inference/cuda/products.cuh"

#define ROWS_OF_WARP 4u
#define LANES_OF_ROW 8u
#define WARPS        4u
#define COLS_AT_ONCE 4u

/* A lane's piece: pairs of neighbouring elements, one pair of each 16. */
template <uint32_t type> struct floats_of {
    static constexpr uint32_t pairs = type == GGUF_TENSOR_F32 ? 2 : 4, group = pairs * ARITH_LANES;
};

/* Pair j of a piece. */
template <uint32_t type> LANE float2 pair_of(const uint32_t word[4], uint32_t j)
{
    if constexpr (type == GGUF_TENSOR_F32)
        return make_float2(__uint_as_float(word[2 * j]), __uint_as_float(word[2 * j + 1]));
    if constexpr (type == GGUF_TENSOR_BF16)
        return make_float2(__uint_as_float(word[j] << 16), __uint_as_float(word[j] & 0xFFFF0000u));
    return make_float2(half_of(word[j], 0), half_of(word[j], 1));
}

/* Elements i and i + 1 of x[n]; zeros behind the end. */
LANE float2 x_pair(const float *x, uint32_t n, uint32_t i)
{
    return make_float2(i < n ? x[i] : 0.0f, i + 1 < n ? x[i + 1] : 0.0f);
}

/* The stripes of 8 lanes, folded: 8, 4 and 2 lie in other lanes, 1 in this one. All lanes have the sum then. */
LANE float fold_lanes(float even, float odd)
{
    LANE_UNROLL
    for (int by = 4; by; by /= 2) {
        even = even + __shfl_down_sync(ALL, even, (unsigned)by, LANES_OF_ROW);
        odd = odd + __shfl_down_sync(ALL, odd, (unsigned)by, LANES_OF_ROW);
    }
    return even + odd;
}

template <uint32_t type, uint32_t cols>
static __global__ void __launch_bounds__(WARPS *WARP) multiply_floats(struct product p)
{
    lane_wait();
    const struct product_part part = product_part_of(&p);
    const uint32_t lane = threadIdx.x % WARP, pack = blockIdx.x * WARPS + threadIdx.x / WARP,
                   row = pack * ROWS_OF_WARP + lane / LANES_OF_ROW, group = floats_of<type>::group,
                   groups = (p.n + group - 1) / group, first = blockIdx.y * cols;
    if (pack * ROWS_OF_WARP >= product_matrix_of(&p).rows || first >= part.cols)
        return;
    uint32_t to[cols];
    const float *x[cols];
    LANE_UNROLL
    for (uint32_t c = 0; c < cols; c++) {
        to[c] = product_to(&p, &part, min(first + c, part.cols - 1));
        x[c] = p.f + (size_t)product_from(&p, to[c]) * p.n;
    }
    const uint8_t *w = part.w + ((size_t)pack * groups * WARP + lane) * 16;
    float even[cols] = {0.0f}, odd[cols] = {0.0f};
    for (uint32_t g = 0; g < groups; g++, w += WARP * 16) {
        uint4 piece = lane_load_once(w);
        uint32_t word[4] = {piece.x, piece.y, piece.z, piece.w};
        LANE_UNROLL
        for (uint32_t j = 0; j < floats_of<type>::pairs; j++) {
            float2 weight = pair_of<type>(word, j);
            uint32_t i = g * group + j * ARITH_LANES + lane % LANES_OF_ROW * 2;
            LANE_UNROLL
            for (uint32_t c = 0; c < cols; c++) {
                float2 v = x_pair(x[c], p.n, i);
                even[c] = even[c] + weight.x * v.x;
                odd[c] = odd[c] + weight.y * v.y;
            }
        }
    }
    LANE_UNROLL
    for (uint32_t c = 0; c < cols; c++) {
        float sum = fold_lanes(even[c], odd[c]);
        if (lane % LANES_OF_ROW == 0 && row < product_matrix_of(&p).rows && first + c < part.cols)
            product_put(&p, to[c], row, sum);
    }
}

template <uint32_t type> static void launch_floats(void *stream, const struct product *p)
{
    const uint32_t cols = p->cols == 1 ? 1 : COLS_AT_ONCE, rows = WARPS * ROWS_OF_WARP;
    dim3 grid((product_rows(p) + rows - 1) / rows, (p->cols + cols - 1) / cols, p->z);
    if (cols == 1)
        launch(multiply_floats<type, 1>, grid, dim3(WARPS * WARP), 0, stream, *p);
    else
        launch(multiply_floats<type, COLS_AT_ONCE>, grid, dim3(WARPS * WARP), 0, stream, *p);
}

void product_floats(void *stream, uint32_t type, const struct product *p)
{
    if (type == GGUF_TENSOR_F32)
        launch_floats<GGUF_TENSOR_F32>(stream, p);
    else if (type == GGUF_TENSOR_F16)
        launch_floats<GGUF_TENSOR_F16>(stream, p);
    else
        launch_floats<GGUF_TENSOR_BF16>(stream, p);
}
