/* Weights times their integer scales as planes of 8 bits (planes.cuh), as a of registers (lane_group.h): a warp takes its
 * own rows apart. */
#ifndef KITH_INFERENCE_CUDA_STRIP_CUH
#define KITH_INFERENCE_CUDA_STRIP_CUH

#include "inference/cuda/planes.cuh"

/* Where a warp is: 16 rows of 32, and g = lane / 4, t = lane % 4. */
struct place {
    const uint8_t *run; /* of these 32 rows, in shared memory */
    uint32_t row, g, t;
};

/* Scales for 32 of rows g and g + 8, a byte each. */
struct plane_scales {
    uint32_t low[2][2], high[2][2];
};
template <class F> LANE void plane_load_scales(const struct place *at, struct plane_scales *s)
{
    if constexpr (F::sub == 32)
        LANE_UNROLL
    for (uint32_t i = 0; i < 4; i++) { /* row, half of the run */
        uint32_t all = (uint32_t)(scales_of_run<F>(at->run, at->row + i / 2 * 8 + at->g) >> i % 2 * 32);
        s->low[i / 2][i % 2] = planes<F>::is_split ? all & 0x07070707u : all;
        s->high[i / 2][i % 2] = all >> 3 & 0x07070707u;
    }
}
/* That of block b. */
LANE uint32_t plane_scale(const uint32_t scales[2], uint32_t b)
{
    return __byte_perm(scales[b / 4], 0, 0x4440u + b % 4);
}

/* a of block b, in two planes. */
template <class F>
LANE void plane_load(const struct place *at, const struct plane_scales *s, uint32_t b, uint32_t low[4],
                     uint32_t high[4])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t row = at->row + half * 8 + at->g;
        const uint2 q = code_quads<F>(at->run, row, at->t, b);
        if constexpr (planes<F>::is_split) {
            uint32_t l = plane_scale(s->low[half], b), h = plane_scale(s->high[half], b);
            low[half] = q.x * l, low[2 + half] = q.y * l;
            high[half] = q.x * h, high[2 + half] = q.y * h;
        } else {
            uint32_t scale;
            if constexpr (F::sub == 32)
                scale = plane_scale(s->low[half], b);
            else
                scale = scales_of_sixteens<F>(at->run, row, b / 2) >> b % 2 * 16;
            quad_planes<F>(q.x, sub_scale<F>(&scale, 0), &low[half], &high[half]);
            quad_planes<F>(q.y, sub_scale<F>(&scale, F::sub == 32 ? 0 : 1), &low[2 + half], &high[2 + half]);
        }
    }
}

/* Minimums of 16 as a of lane_mma_halves; with minimums for 32 those of 2 t and 2 t + 1 are the one of block t. */
template <class F> LANE void plane_load_mins(const struct place *at, uint32_t a[4])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        const uint2 min = mins_of_sixteens<F>(at->run, at->row + half * 8 + at->g, at->t);
        a[half] = min.x;
        a[2 + half] = min.y;
    }
}

#endif
