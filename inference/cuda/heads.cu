/* Heads of queries, keys and values behind their products (inference/layer.c, heads_part): normed, rotated, and keys
 * and values into the cache as int8. Half a warp for each head, since a norm has 16 stripes. */
#include "inference/cuda/chunk_at.cuh"

#define UNITS       8u /* heads of a block of threads */
#define SHARED_MOST (48u << 10)

struct heads_call {
    float *q, *k;
    const float *v;
    uint32_t heads, head, rows;
    struct cuda_turn turn;
    struct cuda_cache cache;
    struct cuda_marks marks;
};

enum what { QUERY, KEY, VALUE, NOTHING };

/* One head of one row. */
struct unit {
    enum what what;
    uint32_t row, index; /* of the head among its kind */
    const float *from;   /* [head] */
    const float *gain;   /* NULL: not normed */
};

/* Heads of a row one behind the other: queries, keys, values. */
LANE struct unit unit_of(const struct heads_call *a, uint32_t at)
{
    uint32_t kv = a->cache.heads_kv, all = a->heads + 2 * kv, i = at % all;
    struct unit u = {NOTHING, at / all, 0, a->v, nullptr};
    if (u.row >= a->rows)
        return u;
    u.what = i < a->heads ? QUERY : i < a->heads + kv ? KEY : VALUE;
    u.index = i < a->heads ? i : (i - a->heads) % kv;
    u.from = (u.what == QUERY ? a->q
              : u.what == KEY ? a->k
                              : a->v) +
             ((size_t)u.row * (u.what == QUERY ? a->heads : kv) + u.index) * a->head;
    u.gain = u.what == QUERY ? a->turn.query_gain : u.what == KEY ? a->turn.key_gain : nullptr;
    return u;
}

/* x[head] is normed by half a warp; a lane reads and writes its own elements only. */
LANE void norm_head(const struct heads_call *a, const float *gain, float *x)
{
    float stripe = 0.0f;
    uint32_t lane = threadIdx.x % ARITH_LANES;
    for (uint32_t i = lane; i < a->head; i += ARITH_LANES)
        stripe = stripe + x[i] * x[i];
    float scale = 1.0f / sqrtf(lane_fold(stripe) / (float)(int32_t)a->head + a->turn.epsilon);
    for (uint32_t i = lane; gain && i < a->head; i += ARITH_LANES)
        x[i] = (x[i] * scale) * gain[i];
}

LANE void rotate_head(const struct heads_call *a, uint32_t row, float *x)
{
    uint32_t pairs = a->turn.pairs;
    const float *cosine = a->turn.angles + (size_t)row * 2 * pairs, *sine = cosine + pairs;
    for (uint32_t i = threadIdx.x % ARITH_LANES; i < pairs; i += ARITH_LANES) {
        float *at_u = a->turn.is_halves ? x + i : x + 2 * i, *at_v = a->turn.is_halves ? x + i + pairs : x + 2 * i + 1;
        float u = *at_u, v = *at_v;
        *at_u = u * cosine[i] - v * sine[i];
        *at_v = u * sine[i] + v * cosine[i];
    }
}

/* Block b of x becomes int8 in the cache; false if a value is not finite: zeros with scale 0. A lane has two elements;
 * what is behind the head is zero. */
LANE bool put_block(const struct unit *u, const struct chunk *to, uint32_t b, uint32_t t, const float *x)
{
    uint32_t lane = threadIdx.x % ARITH_LANES;
    float v[2] = {x[lane], x[lane + 16]};
    uint32_t peak_bits = max(arith_bits(v[0]) & 0x7FFFFFFFu, arith_bits(v[1]) & 0x7FFFFFFFu);
    for (int by = 8; by; by /= 2)
        peak_bits = max(peak_bits, __shfl_xor_sync(ALL, peak_bits, by));
    float peak = arith_of_bits(peak_bits), inverse = 127.0f / peak;
    bool finite = arith_is_finite(peak), is_zero = !finite || peak < ARITH_TINY;
    if (u->what != KEY && u->what != VALUE)
        return true;
    if (lane == 0)
        (u->what == KEY ? to->ks : to->vs)[b * ARITH_CHUNK + t] = is_zero ? 0.0f : peak / 127.0f;
    for (uint32_t h = 0; h < 2; h++) {
        uint32_t i = lane + 16 * h;
        int8_t q = is_zero ? (int8_t)0 : (int8_t)arith_round(v[h] * inverse);
        if (u->what == KEY)
            to->k[ops_key_at(b, t, i)] = q;
        else
            to->v[ops_value_at(b, t, i)] = q;
    }
    return finite;
}

LANE void put_head(const struct heads_call *a, const struct unit *u, const float *x)
{
    struct chunk to = {nullptr, nullptr, nullptr, nullptr};
    uint32_t t = 0;
    bool finite = true;
    if (u->what == KEY || u->what == VALUE) {
        uint32_t position = a->cache.position[u->row];
        to = chunk_at(&a->cache, a->cache.table[u->row], position / ARITH_CHUNK, u->index);
        t = position % ARITH_CHUNK;
    }
    for (uint32_t b = 0; b < a->cache.blocks; b++)
        finite = put_block(u, &to, b, t, x + b * ARITH_BLOCK) && finite;
    if (!finite && threadIdx.x % ARITH_LANES == 0)
        lane_mark(a->marks.finite, a->marks.slot, u->row);
}

/* Both halves of a warp go through all shuffles together, whatever their heads are. */
__global__ static void turn_heads(const struct heads_call a)
{
    lane_begin();
    LANE_SHARED(float, rows);
    uint32_t lane = threadIdx.x % ARITH_LANES, padded = a.cache.blocks * ARITH_BLOCK;
    float *x = rows + threadIdx.x / ARITH_LANES * padded;
    struct unit u = unit_of(&a, (blockIdx.x * blockDim.x + threadIdx.x) / ARITH_LANES);
    for (uint32_t i = lane; i < padded; i += ARITH_LANES)
        x[i] = u.what != NOTHING && i < a.head ? u.from[i] : 0.0f;
    if (__any_sync(ALL, u.gain != nullptr))
        norm_head(&a, u.gain, x);
    __syncwarp();
    if (a.turn.pairs && (u.what == QUERY || u.what == KEY))
        rotate_head(&a, u.row, x);
    __syncwarp();
    if (u.what == QUERY)
        for (uint32_t i = lane; i < a.head; i += ARITH_LANES)
            a.q[((size_t)u.row * a.heads + u.index) * a.head + i] = x[i];
    if (__any_sync(ALL, u.what == KEY || u.what == VALUE))
        put_head(&a, &u, x);
}

void cuda_heads(void *stream, float *q, float *k, const float *v, uint32_t heads, uint32_t head, uint32_t rows,
                const struct cuda_turn *turn, const struct cuda_cache *cache, struct cuda_marks marks)
{
    struct heads_call a = {q, k, v, heads, head, rows, {}, *cache, marks};
    if (turn)
        a.turn = *turn;
    uint32_t row_bytes = cache->blocks * ARITH_BLOCK * (uint32_t)sizeof(float), units = UNITS;
    while (units > 2 && units * row_bytes > SHARED_MOST)
        units /= 2;
    uint64_t all = (uint64_t)rows * (heads + 2 * cache->heads_kv);
    launch(turn_heads, (unsigned)((all + units - 1) / units), units * ARITH_LANES, units * row_bytes, stream, a);
}
