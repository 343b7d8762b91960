/* A warp's work on a chunk of the cache: up to 16 queries that share a head of keys, scored, made probabilities and
 * weighed (docs/arithmetic.md, Attention). How chunks follow each other is its callers' matter.
 *
 * With g = lane / 4 and t = lane % 4, a lane has the queries g and, where ROWS is 2, g + 8, and of each the positions
 * 16 i + 4 t + j, i < 4, j < 4: all of the stripes 4 t + j, and also what it gives as its part of the weights to the
 * product with the values, so probabilities never change lanes. Of 32 elements of a value it gets 8 t to 8 t + 7.
 * What the units of matrices call columns is assigned accordingly, four of 16 bytes at a time:
 *     keys:   column g of product j of half h is position 32 h + 16 (g % 2) + 4 (g / 2) + j
 *     values: column g of product j is element 4 g + j */
#ifndef KITH_INFERENCE_CUDA_TILE_CUH
#define KITH_INFERENCE_CUDA_TILE_CUH

#include "inference/cuda/blocks.cuh"
#include "inference/cuda/chunk_at.cuh"

#define TILE_ROWS 16u

/* -- where queries are -- */

/* Queries as int8 in shared memory: q[TILE_ROWS, stride] words, rows apart so that lanes meet no bank twice. */
struct tile_queries {
    uint32_t *q;
    float *s;       /* [TILE_ROWS, blocks] */
    uint32_t *fine; /* [TILE_ROWS] 0: not finite */
};

LANE uint32_t tile_stride(uint32_t blocks)
{
    return 8 * blocks + 4;
}

static __host__ __device__ inline uint32_t tile_queries_bytes(uint32_t blocks)
{
    return TILE_ROWS * (8 * blocks + 4 + blocks + 1) * (uint32_t)sizeof(uint32_t);
}

LANE struct tile_queries tile_queries_at(void *shared, uint32_t blocks)
{
    struct tile_queries q;
    q.q = (uint32_t *)shared;
    q.s = (float *)(q.q + TILE_ROWS * tile_stride(blocks));
    q.fine = (uint32_t *)(q.s + TILE_ROWS * blocks);
    return q;
}

/* A warp quantises x[head] as row r; x NULL: a row of zeros. A lane has four neighbours, so that 8 lanes are a block.
 */
LANE void tile_put_query(const struct tile_queries *q, uint32_t r, const float *x, uint32_t head, uint32_t blocks)
{
    uint32_t lane = threadIdx.x % WARP;
    bool fine = true;
    for (uint32_t first = 0; first < blocks; first += 4) {
        uint32_t i = first * ARITH_BLOCK + 4 * lane, b = first + lane / 8, word;
        float v[4], scale;
        bool finite;
        LANE_UNROLL
        for (uint32_t j = 0; j < 4; j++)
            v[j] = x && i + j < head ? x[i + j] : 0.0f;
        quantise_block<4>(v, 8, &word, &scale, &finite);
        if (b < blocks) {
            q->q[r * tile_stride(blocks) + i / 4] = word;
            if (lane % 8 == 0)
                q->s[r * blocks + b] = scale;
        }
        fine = fine && finite;
    }
    fine = __all_sync(ALL, fine);
    if (lane == 0)
        q->fine[r] = fine;
}

/* -- where a chunk is -- */

/* In shared memory four of 16 bytes change places by the row that they are in (swizzled), so that lanes meet no bank
 * twice; in the cache they stand as they are. */
template <bool swizzled> LANE uint4 tile_keys(const int8_t *k, uint32_t b, uint32_t quad, uint32_t four)
{
    return ((const uint4 *)k)[(b * 8 + quad) * 16 + (swizzled ? four ^ quad % 4 : four)];
}
template <bool swizzled> LANE uint4 tile_values(const int8_t *v, uint32_t b, uint32_t quad, uint32_t four)
{
    return ((const uint4 *)v)[(b * 16 + quad) * 8 + (swizzled ? four ^ quad % 4 * 2 : four)];
}

LANE uint32_t tile_word(uint4 v, int j)
{
    return j == 0 ? v.x : j == 1 ? v.y : j == 2 ? v.z : v.w;
}
LANE float tile_float(float4 v, int j)
{
    return j == 0 ? v.x : j == 1 ? v.y : j == 2 ? v.z : v.w;
}

/* -- scores -- */

/* s[r][i][j] = q[row] . k[position] of half h of the chunk, position 32 h + 16 i + 4 t + j, unscaled. A sum of 32
 * products is under 2^19. EXACT: so many blocks; 0: `most`. */
template <int ROWS, bool swizzled, int EXACT>
LANE void tile_scores(const struct tile_queries *q, const struct chunk *c, uint32_t most, uint32_t h,
                      float s[ROWS][2][4])
{
    const uint32_t blocks = EXACT ? EXACT : most;
    uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4, stride = tile_stride(blocks);
    uint32_t four = 8 * h + 4 * (g % 2) + g / 2;
    const uint32_t *row = q->q + g * stride + t;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++)
        LANE_UNROLL
    for (int i = 0; i < 8; i++)
        s[r][i / 4][i % 4] = 0.0f;
    LANE_UNROLL_BY(2)
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t a[4] = {row[8 * b], 0, row[8 * b + 4], 0};
        float scale[ROWS];
        if (ROWS == 2) {
            a[1] = row[8 * stride + 8 * b];
            a[3] = row[8 * stride + 8 * b + 4];
        }
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++)
            scale[r] = q->s[(g + 8 * r) * blocks + b];
        uint4 low = tile_keys<swizzled>(c->k, b, t, four), high = tile_keys<swizzled>(c->k, b, t + 4, four);
        const float4 *ks = (const float4 *)(c->ks + b * ARITH_CHUNK + 32 * h) + t;
        float4 even = ks[0], odd = ks[4];
        LANE_UNROLL
        for (int j = 0; j < 4; j++) {
            int32_t d[4] = {LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO};
            uint32_t k[2] = {tile_word(low, j), tile_word(high, j)};
            lane_mma(d, a, k);
            LANE_UNROLL
            for (int r = 0; r < ROWS; r++) {
                s[r][0][j] = s[r][0][j] + (scale[r] * tile_float(even, j)) * lane_float(d[2 * r]);
                s[r][1][j] = s[r][1][j] + (scale[r] * tile_float(odd, j)) * lane_float(d[2 * r + 1]);
            }
        }
    }
}

/* -- probabilities -- */

/* arith_fn_exp for x <= 0. n times the first part of ln 2 is exact, so a fused operation rounds the same once; and the
 * result is a normal number, so that its exponent can be added to: where n is -126, x >= -87 leaves r > 0.33. */
template <bool may_vanish> LANE float tile_exp_of(float x)
{
    float shifted = x * 1.44269504f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = __fmaf_rn(n, -0.693359375f, x) - n * -2.12194440e-4f;
    float y = arith_of_bits(arith_bits(arith_fn_exp_near(r)) + (arith_bits(shifted) << 23));
    return may_vanish && x < ARITH_EXP_MIN ? 0.0f : y;
}
LANE float tile_exp(float x)
{
    return tile_exp_of<true>(x);
}

/* Whether one of 16 numbers, none above 0, is so low that its e^x is +0: the lowest has the largest bits. */
LANE bool tile_vanish(const float x[2][2][4])
{
    uint32_t lowest = arith_bits(ARITH_EXP_MIN);
    LANE_UNROLL
    for (int i = 0; i < 16; i += 2)
        lowest = lane_largest_bits(lowest, arith_bits(x[i / 8][i / 4 % 2][i % 4]), arith_bits(x[i / 8][i / 4 % 2][i % 4 + 1]));
    return lowest != arith_bits(ARITH_EXP_MIN);
}

/* What a query sees of a chunk: positions [from, to); nothing: to is 0. */
struct tile_view {
    int from, to;
};
/* A query's chunk: peak -infinity where it sees nothing, NaN where a score is not finite. */
struct tile_sum {
    float peak, sum;
};

LANE void tile_cap(float *s, int n, float cap)
{
    for (int i = 0; i < n; i++)
        s[i] = cap * arith_fn_tanh(s[i] / cap);
}

/* Unscaled scores of half h become scores, what a query does not see -infinity. The largest, in all four lanes of the
 * query: -infinity where it sees nothing; infinity where one that is seen is not finite, since that times 0 is not 0. */
template <bool sees_all, bool may_cap>
LANE float tile_peak(const struct cuda_attention *a, struct tile_view v, uint32_t h, float s[2][4])
{
    int from = 32 * (int)h + 4 * (int)(threadIdx.x % 4);
    float peak[4], probe[2] = {0.0f, 0.0f};
    LANE_UNROLL
    for (int i = 0; i < 8; i++)
        s[i / 4][i % 4] = s[i / 4][i % 4] * a->scale;
    if (may_cap && a->cap != 0.0f)
        tile_cap(s[0], 8, a->cap);
    LANE_UNROLL
    for (int i = 0; i < 8; i++) {
        float *x = &s[i / 4][i % 4];
        int at = from + 16 * (i / 4) + i % 4;
        bool seen = sees_all || (at >= v.from && at < v.to);
        probe[i / 4] = __fmaf_rn(seen ? *x : 0.0f, 0.0f, probe[i / 4]);
        *x = seen ? *x : -INFINITY;
        peak[i % 4] = i < 4 ? *x : fmaxf(peak[i % 4], *x);
    }
    float largest = fmaxf(fmaxf(peak[0], peak[1]), fmaxf(peak[2], peak[3])), nothing = probe[0] + probe[1];
    largest = nothing != nothing ? INFINITY : largest;
    largest = fmaxf(largest, __shfl_xor_sync(ALL, largest, 1));
    return fmaxf(largest, __shfl_xor_sync(ALL, largest, 2));
}

/* The striped sum of p[i][j], for all four lanes of a query. */
LANE float tile_fold(const float p[4][4])
{
    float lane[4];
    LANE_UNROLL
    for (int j = 0; j < 4; j++)
        lane[j] = ((p[0][j] + p[1][j]) + p[2][j]) + p[3][j];
    LANE_UNROLL
    for (int by = 2; by; by--)
        LANE_UNROLL
    for (int j = 0; j < 4; j++)
        lane[j] = lane[j] + __shfl_xor_sync(ALL, lane[j], by);
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

/* -- values -- */

/* A lane's part of block b of a chunk's values. */
struct tile_piece {
    float4 scale[4];
    uint4 near[2], far[2];
};

template <bool swizzled> LANE struct tile_piece tile_fetch(const struct chunk *c, uint32_t b)
{
    uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    struct tile_piece v;
    LANE_UNROLL
    for (uint32_t i = 0; i < 4; i++)
        v.scale[i] = ((const float4 *)(c->vs + b * ARITH_CHUNK))[4 * i + t];
    LANE_UNROLL
    for (uint32_t h = 0; h < 2; h++) {
        v.near[h] = tile_values<swizzled>(c->v, b, 8 * h + t, g);
        v.far[h] = tile_values<swizzled>(c->v, b, 8 * h + 4 + t, g);
    }
    return v;
}

/* The low bytes of four words, and those above them. */
LANE void tile_planes(const uint32_t w[4], uint32_t *low, uint32_t *high)
{
    uint32_t a = __byte_perm(w[0], w[1], 0x5410), b = __byte_perm(w[2], w[3], 0x5410);
    *low = __byte_perm(a, b, 0x6420);
    *high = __byte_perm(a, b, 0x7531);
}

/* ARITH_WEIGHT_MAX / peak and peak / ARITH_WEIGHT_MAX, rounded as a division is, for peaks from 2^-64 to 2^122: there
 * is no case apart that a division would have to look for, and no branch. Tried for all 2^23 fractions, and for
 * reciprocals 2 units in the last place off on either side. */
LANE float tile_inverse(float peak)
{
    float y = lane_near_reciprocal(peak);
    y = __fmaf_rn(y, __fmaf_rn(-peak, y, 1.0f), y);
    float q = ARITH_WEIGHT_MAX * y;
    return __fmaf_rn(__fmaf_rn(-peak, q, ARITH_WEIGHT_MAX), y, q);
}
LANE float tile_unit(float peak)
{
    const float y = 1.0f / ARITH_WEIGHT_MAX;
    float q = peak * y;
    return __fmaf_rn(__fmaf_rn(-ARITH_WEIGHT_MAX, q, peak), y, q);
}

/* Weights of a block of the values, of 15 bits, as two planes of bytes for the product; returns W'. Adding 1.5 x 2^23
 * leaves a weight in the low bits of a float, so its bytes are there already. Where a query does not see, nobody may
 * have written yet: +0 times whatever stands there, made +0 by the larger of it and 0, which no NaN is. */
template <bool sees_all>
LANE float tile_weights(const float p[4][4], const float4 scale[4], uint32_t low[4], uint32_t high[4])
{
    float w[4][4], of[4];
    LANE_UNROLL
    for (int i = 0; i < 4; i++) {
        LANE_UNROLL
        for (int j = 0; j < 4; j++) {
            w[i][j] = p[i][j] * tile_float(scale[i], j);
            if (!sees_all)
                w[i][j] = fmaxf(w[i][j], 0.0f);
        }
        of[i] = lane_largest(w[i][0], w[i][1], w[i][2]);
    }
    float peak = lane_largest(lane_largest(of[0], of[1], w[0][3]), lane_largest(of[2], of[3], w[1][3]),
                              lane_largest(w[2][3], w[3][3], 0.0f));
    peak = fmaxf(peak, __shfl_xor_sync(ALL, peak, 1));
    peak = fmaxf(peak, __shfl_xor_sync(ALL, peak, 2));
    float inverse = peak >= ARITH_TINY ? tile_inverse(peak) : 0.0f;
    LANE_UNROLL
    for (int i = 0; i < 4; i++) {
        uint32_t bits[4];
        LANE_UNROLL
        for (int j = 0; j < 4; j++)
            bits[j] = arith_bits(w[i][j] * inverse + 12582912.0f);
        tile_planes(bits, &low[i], &high[i]);
    }
    return peak >= ARITH_TINY ? tile_unit(peak) : 0.0f;
}

/* Weights of a lane's rows, as planes. */
template <int ROWS> struct tile_weighed {
    uint32_t low[2][4], high[2][4];
    float scale[ROWS];
};

/* out[r][i] = element 8 t + i of a block of the chunk's weighted values. The planes' sums are under 2^21 and become
 * floats exactly; so does 256 times the high one, and the fused operation rounds the sum once, as a conversion of the
 * whole integer would. */
template <int ROWS>
LANE void tile_sum_values(const struct tile_weighed<ROWS> *w, const struct tile_piece *v, float out[ROWS][8])
{
    LANE_UNROLL
    for (int j = 0; j < 4; j++) {
        int32_t sum_low[4] = {LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO};
        int32_t sum_high[4] = {LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO};
        LANE_UNROLL
        for (int h = 0; h < 2; h++) {
            uint32_t a_low[4] = {w->low[0][2 * h], w->low[1][2 * h], w->low[0][2 * h + 1], w->low[1][2 * h + 1]};
            uint32_t a_high[4] = {w->high[0][2 * h], w->high[1][2 * h], w->high[0][2 * h + 1], w->high[1][2 * h + 1]};
            uint32_t b[2] = {tile_word(v->near[h], j), tile_word(v->far[h], j)};
            lane_mma_bytes(sum_low, a_low, b);
            lane_mma_bytes(sum_high, a_high, b);
        }
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++) {
            float scale = w->scale[r];
            out[r][j] = scale * __fmaf_rn(256.0f, lane_float(sum_high[2 * r]), lane_float(sum_low[2 * r]));
            out[r][4 + j] = scale * __fmaf_rn(256.0f, lane_float(sum_high[2 * r + 1]), lane_float(sum_low[2 * r + 1]));
        }
    }
}

/* Both for rows that are in registers. */
template <int ROWS, bool sees_all>
LANE void tile_weigh(const float p[ROWS][4][4], const struct tile_piece *v, float out[ROWS][8])
{
    struct tile_weighed<ROWS> w = {
    };
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++)
        w.scale[r] = tile_weights<sees_all>(p[r], v->scale, w.low[r], w.high[r]);
    tile_sum_values<ROWS>(&w, v, out);
}

#endif
