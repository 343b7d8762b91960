/* All heads of a batch behind their products: a warp for each. Where it goes is asked for before the products are
 * there, too. One column alone is turned by attention itself (attend_few.cu). */
#include "inference/cuda/turn.cuh"

#define UNITS 4u /* heads of a block of threads */

LANE void put_query(const struct heads_call *a, const struct unit *u, const float *x)
{
    float *to = a->q + ((size_t)u->row * a->heads + u->index) * a->head;
    for (uint32_t i = threadIdx.x % WARP; i < a->head; i += WARP)
        to[i] = x[i];
}

/* Block (heads of a row, row). */
__global__ static void __launch_bounds__(UNITS *WARP) turn_heads(const struct heads_call a)
{
    lane_next();
    LANE_SHARED(float, all);
    uint32_t padded = a.cache.blocks * ARITH_BLOCK, i = blockIdx.x * UNITS + threadIdx.x / WARP, position = 0;
    float *x = all + threadIdx.x / WARP * padded;
    struct unit u = unit_of(&a, blockIdx.y, i);
    struct chunk to = {nullptr, nullptr, nullptr, nullptr};
    bool is_there = i < a.heads + 2 * a.cache.heads_kv;
    struct angles early = early_angles(&a, u.row, u.turns);
    if (is_there && u.what != QUERY) {
        position = a.cache.position[u.row];
        to = chunk_at(&a.cache, a.cache.table[u.row], position / ARITH_CHUNK, u.index);
    }
    lane_wait();
    if (!is_there)
        return;
    turn_unit(&a, &u, &early, x);
    if (u.what == QUERY)
        put_query(&a, &u, x);
    else
        put_head(&a, &u, &to, position % ARITH_CHUNK, x);
}

void cuda_heads(void *stream, float *q, float *k, const float *v, uint32_t heads, uint32_t head, uint32_t rows,
                const struct cuda_turn *turn, const struct cuda_cache *cache, struct cuda_marks marks)
{
    struct heads_call a = {q, k, v, heads, head, rows, {}, *cache, marks};
    if (turn)
        a.turn = *turn;
    uint32_t all = heads + 2 * cache->heads_kv, row_bytes = cache->blocks * ARITH_BLOCK * (uint32_t)sizeof(float);
    launch(turn_heads, dim3((all + UNITS - 1) / UNITS, rows), UNITS * WARP, UNITS * row_bytes, stream, a);
}
