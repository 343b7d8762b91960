/* Attention: which columns go which way. */
#include "inference/cuda/attend.cuh"

#define LONG_COLS 16u /* columns of a stretch that may walk */
/* Queries that walk, over all: fewer leave a GPU idle, and chunks apart from each other fill it. */
#ifdef CUDA_EMULATED
#define LONG_QUERIES 64u /* so that tests of small models walk */
#else
#define LONG_QUERIES 8192u
#endif

/* The columns that a plan is for. */
struct columns {
    const uint32_t *position, *table, *slot;
    uint32_t n;
};

/* Where the stretch that begins at column c ends. */
static uint32_t stretch_end(const struct columns *t, uint32_t c)
{
    uint32_t end = c + 1, row = t->slot ? t->slot[c] : c;
    for (; end < t->n; end++) {
        uint32_t next = t->slot ? t->slot[end] : end;
        if (t->table[next] != t->table[row] || t->position[next] != t->position[row] + 1)
            break;
        row = next;
    }
    return end;
}

/* Columns [first, end) in pieces of `most`, the last first: it sees most, and should not be begun last. */
static uint32_t cut(uint32_t first, uint32_t end, uint32_t most, struct cuda_stretch *out)
{
    uint32_t n = attend_over(end - first, most);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = first + (n - 1 - i) * most;
        out[i] = {at, end - at < most ? end - at : most, 0};
    }
    return n;
}

/* Heads on a head of keys, in even parts for tiles of `rows`. */
static uint32_t part_of(uint32_t shared_by, uint32_t rows)
{
    return attend_over(shared_by, attend_over(shared_by, rows));
}

struct cuda_plan cuda_attend_plan(const struct cuda_attention *a, uint32_t heads_kv, const uint32_t *position,
                                  const uint32_t *table, const uint32_t *slot, uint32_t cols, struct cuda_stretch *out)
{
    const struct columns t = {position, table, slot, cols};
    struct cuda_plan plan = {0, 0, 0, 1, out};
    uint32_t shared_by = a->heads / heads_kv, long_cols = 0, end;
    uint32_t long_most = ATTEND_MANY_ROWS / part_of(shared_by, ATTEND_MANY_ROWS);
    uint32_t short_most = TILE_ROWS / part_of(shared_by, TILE_ROWS);
    for (uint32_t c = 0; c < cols; c = end) {
        end = stretch_end(&t, c);
        long_cols += end - c >= LONG_COLS ? end - c : 0;
    }
    uint32_t least = a->walk_queries ? a->walk_queries : LONG_QUERIES;
    bool walks = (uint64_t)long_cols * a->heads >= least && attend_many_fits(a);
    for (uint32_t c = 0; c < cols && walks; c = end) {
        end = stretch_end(&t, c);
        if (end - c >= LONG_COLS)
            plan.long_n += cut(c, end, long_most, out + plan.long_n);
    }
    for (uint32_t c = 0; c < cols; c = end) {
        end = stretch_end(&t, c);
        if (walks && end - c >= LONG_COLS)
            continue;
        uint32_t most = end - c < short_most ? end - c : short_most;
        plan.short_n += cut(c, end, short_most, out + plan.long_n + plan.short_n);
        plan.short_most = plan.short_most > most ? plan.short_most : most;
    }
    for (uint32_t i = plan.long_n; i < plan.long_n + plan.short_n; i++) {
        out[i].before = plan.short_cols;
        plan.short_cols += out[i].cols;
    }
    return plan;
}

/* Whether each tile's heads are whole runs of a column. */
static bool has_whole_runs(const struct attend_call *call)
{
    return call->shared_by * call->value % ARITH_RUN == 0 && call->per_part * call->value % ARITH_RUN == 0;
}

bool cuda_attend_fits(uint32_t head, uint32_t value, size_t *needs, size_t *has)
{
    *needs = attend_few_shared(head, value) + LANE_SHARED_OWN;
    *has = lane_shared_most();
    return *needs <= *has;
}

uint64_t cuda_attend_scratch(const struct cuda_attention *a, uint32_t cols)
{
    return attend_few_scratch(a, cols);
}

void cuda_attend(void *stream, const float *q, const struct cuda_attention *a, const struct cuda_cache *cache,
                 uint32_t cols, struct cuda_marks marks, struct cuda_room room, float *out, const struct cuda_input *in)
{
    bool makes_blocks = false;
    struct attend_call call = {};
    call.q = q;
    call.a = *a;
    call.cache = *cache;
    call.marks = marks;
    call.value = attend_value(a);
    call.blocks = attend_blocks(a->head, call.value);
    call.shared_by = a->heads / cache->heads_kv;
    call.out = out;
    if (!a->plan.stretch)
        call.a.plan = {0, cols, cols, 1, nullptr};
    if (call.a.plan.long_n) {
        call.per_part = part_of(call.shared_by, ATTEND_MANY_ROWS);
        call.parts = attend_over(call.shared_by, call.per_part);
        call.stretch = a->plan.stretch;
        attend_many(stream, &call);
    }
    if (call.a.plan.short_n) {
        call.per_part = part_of(call.shared_by, TILE_ROWS);
        call.parts = attend_over(call.shared_by, call.per_part);
        call.stretch = a->plan.stretch ? a->plan.stretch + a->plan.long_n : nullptr;
        makes_blocks = in && !call.a.plan.long_n && has_whole_runs(&call);
        attend_few(stream, &call, room, makes_blocks ? in : nullptr);
    }
    if (in && !makes_blocks)
        cuda_quantise(stream, in, marks);
}
