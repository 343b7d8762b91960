/* A layer: the steps that architectures share, and their order in a model that writes. Each step has its arguments in
 * a struct, and a function over a stretch of its rows. */
#include "inference/engine/attention.h"
#include "inference/engine/engine_in.h"

#include <string.h>

/* -- products -- */

struct input_step {
    struct engine *e;
    const struct ops_input *in;
    const uint32_t *slot;
};

static void input_part(void *arg, size_t first, size_t end)
{
    struct input_step *t = arg;
    for (size_t c = first; c < end; c++)
        if (!ops_put_column(t->e->ops, t->in, c, t->in->f + c * t->in->n))
            t->e->finite[t->slot[c]] = false;
}

/* What a product with a matrix reads of its input: bit 1 << enum quant_input. */
static unsigned input_of(const struct ops_weight *w)
{
    return w ? 1u << quant_format(w->type)->input : 0;
}

struct ops_input engine_input(struct engine *e, const float *x, size_t n, size_t cols, const uint32_t *slot,
                              const struct ops_weight *a, const struct ops_weight *b, const struct ops_weight *c)
{
    unsigned mask = input_of(a) | input_of(b) | input_of(c);
    struct ops_input in = {.n = n, .cols = cols, .f = x};
    if (mask & 1u << QUANT_NARROW)
        in.narrow = ops_blocks_at(e->narrow, n, cols);
    if (mask & 1u << QUANT_WIDE)
        in.wide = ops_blocks_at(e->wide, n, cols);
    struct input_step t = {e, &in, slot};
    if (in.narrow.q || in.wide.q)
        pool_run(e->pool, cols, 1, input_part, &t);
    return in;
}

struct multiply_step {
    const struct ops *ops;
    const struct ops_weight *w;
    const struct ops_input *x;
    float *out;
};

static void multiply_part(void *arg, size_t first, size_t end)
{
    struct multiply_step *t = arg;
    t->ops->multiply(t->w, first, end - first, t->x, t->out, t->w->rows);
}

void engine_multiply(struct engine *e, const struct ops_weight *w, const struct ops_input *x, float *out)
{
    struct multiply_step t = {e->ops, w, x, out};
    pool_run(e->pool, w->rows, OPS_GRAIN, multiply_part, &t);
}

/* A product with what adapters add, in two pieces of work: the matrix itself beside `down`, which goes first since a
 * few rows of binary32 take as long as many of int8; then `up`. */
struct low_step {
    const struct ops *ops;
    const struct model_product *p;
    const struct ops_input *x;
    float *low, *out;
    size_t down_end; /* pieces before it are rows of `down`, in whole grains */
};

static void down_part(void *arg, size_t first, size_t end)
{
    struct low_step *t = arg;
    const struct ops_weight *w = &t->p->w, *down = &t->p->low.down;
    if (first < down->rows) {
        size_t stop = end < down->rows ? end : down->rows;
        t->ops->multiply(down, first, stop - first, t->x, t->low, down->rows);
    }
    if (end <= t->down_end)
        return;
    size_t from = first > t->down_end ? first - t->down_end : 0;
    t->ops->multiply(w, from, end - t->down_end - from, t->x, t->out, w->rows);
}

#define LOW_COLS 64 /* of OPS_GRAIN rows: 8 KiB of sums between their product and their addition */

static void up_part(void *arg, size_t first, size_t end)
{
    struct low_step *t = arg;
    const struct ops_weight *up = &t->p->low.up;
    float sum[LOW_COLS * OPS_GRAIN];
    for (size_t r = first; r < end; r += OPS_GRAIN) {
        struct ops_weight part = *up;
        part.rows = end - r < OPS_GRAIN ? end - r : OPS_GRAIN;
        part.data += r * up->row_bytes;
        for (size_t c = 0; c < t->x->cols; c += LOW_COLS) {
            struct ops_input in = {.n = up->n, .f = t->low + c * up->n};
            in.cols = t->x->cols - c < LOW_COLS ? t->x->cols - c : LOW_COLS;
            t->ops->multiply(&part, 0, part.rows, &in, sum, part.rows);
            for (size_t i = 0; i < in.cols; i++)
                t->ops->add(t->out + (c + i) * up->rows + r, sum + i * part.rows, part.rows);
        }
    }
}

static void multiply_adapted(struct engine *e, const struct model_product *p, const struct ops_input *x, float *out)
{
    struct low_step t = {.ops = e->ops, .p = p, .x = x, .low = e->low, .out = out};
    t.down_end = (p->low.down.rows + OPS_GRAIN - 1) / OPS_GRAIN * OPS_GRAIN;
    pool_run(e->pool, t.down_end + p->w.rows, OPS_GRAIN, down_part, &t);
    pool_run(e->pool, p->w.rows, OPS_GRAIN, up_part, &t);
}

void engine_product(struct engine *e, const struct model_product *p, const struct ops_input *x, float *out)
{
    if (p->low.down.data)
        multiply_adapted(e, p, x, out);
    else
        engine_multiply(e, &p->w, x, out);
    for (size_t c = 0; p->bias && c < x->cols; c++)
        e->ops->add(out + c * p->w.rows, p->bias, p->w.rows);
}

/* -- rows -- */

struct row_step {
    struct engine *e;
    const struct model_norm *norm;
    const float *x;
    float *to;
    size_t n;
    float by;
};

static void norm_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    float epsilon = t->e->m->epsilon;
    for (size_t c = first; c < end; c++) {
        const float *x = t->x + c * t->n;
        if (t->norm->bias)
            t->e->ops->layer_norm(x, t->norm->gain, t->norm->bias, epsilon, t->n, t->to + c * t->n);
        else
            t->e->ops->norm(x, t->norm->gain, epsilon, t->n, t->to + c * t->n);
    }
}

void engine_norm(struct engine *e, const struct model_norm *norm, const float *x, size_t n, float *out, size_t cols)
{
    struct row_step t = {.e = e, .norm = norm, .x = x, .to = out, .n = n};
    pool_run(e->pool, cols, 1, norm_part, &t);
}

static void add_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    float by = t->e->m->branch_scale;
    if (by == 1.0f)
        t->e->ops->add(t->to + first * t->n, t->x + first * t->n, (end - first) * t->n);
    else
        t->e->ops->add_scaled(t->to + first * t->n, t->x + first * t->n, by, (end - first) * t->n);
}

void engine_add(struct engine *e, float *x, const float *y, size_t cols)
{
    struct row_step t = {.e = e, .x = y, .to = x, .n = e->m->embed};
    pool_run(e->pool, cols, 1, add_part, &t);
}

static void activate_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    const struct ops *ops = t->e->ops;
    unsigned has = t->e->m->kind->has;
    float *to = t->to + first * t->n;
    const float *up = t->x + first * t->n;
    size_t n = (end - first) * t->n;
    if (has & HAS_ENCODER)
        ops->gelu(to, n);
    else if (has & HAS_SQUARES)
        ops->squares(to, n);
    else if (has & HAS_NO_GATE)
        ops->gelu_tanh(to, n);
    else if (has & HAS_GELU)
        ops->gated_gelu(to, up, n, to);
    else if (has & HAS_CLAMPED_GATE)
        ops->gated_clamped(to, up, n, to);
    else
        ops->gated_silu(to, up, n, to);
}

void engine_activate(struct engine *e, float *gate, const float *up, size_t n, size_t cols)
{
    struct row_step t = {.e = e, .x = up, .to = gate, .n = n};
    pool_run(e->pool, cols, 1, activate_part, &t);
}

/* -- attention -- */

struct heads_step {
    struct engine *e;
    const struct model_layer *l;
    uint32_t layer;
    unsigned what;
};

/* n heads of a row: normed, each by itself, perhaps by gains of its own, or all together, and rotated. */
static void turn_heads(const struct heads_step *t, const struct model_norm *norm, float *x, size_t n,
                       const float *cosine, const float *sine)
{
    const struct engine *e = t->e;
    const struct model *m = e->m;
    const size_t head = t->l->keys.key_n, pairs = t->l->pairs;
    const bool together = m->kind->has & HAS_ROW_NORMS, late = m->kind->has & HAS_LATE_NORMS;
    if (together)
        e->ops->norm(x, norm->gain, m->epsilon, n * head, x);
    for (size_t i = 0; i < n; i++, x += head) {
        if (norm->bias)
            e->ops->layer_norm(x, norm->gain + i * head, norm->bias, m->epsilon, head, x);
        else if (norm->gain && !together && !late)
            e->ops->norm(x, norm->gain, m->epsilon, head, x);
        if (cosine && m->kind->has & HAS_HALVES)
            e->ops->rotate_halves(x, cosine, sine, pairs);
        else if (cosine)
            e->ops->rotate(x, cosine, sine, pairs);
        if (late && norm->gain)
            e->ops->norm(x, norm->gain, m->epsilon, head, x);
    }
}

const struct rope *engine_rope(const struct engine *e, size_t row, bool is_local)
{
    if (is_local && e->rope[MODEL_ROPE_LOCAL])
        return e->rope[MODEL_ROPE_LOCAL];
    return e->rope[e->rows[row].seq->is_long ? MODEL_ROPE_LONG : MODEL_ROPE];
}

const float *engine_angles(const struct engine *e, const struct model_layer *l, size_t row, const float **sine)
{
    const size_t pairs = e->m->rope_pairs;
    *sine = NULL;
    if (l->is_still || pairs == 0)
        return NULL;
    if (e->angles[0]) {
        const float *given = e->angles[l->window && e->angles[1]] + 2 * row * pairs;
        *sine = given + pairs;
        return given;
    }
    return rope_at(engine_rope(e, row, l->window != 0), e->position[row], sine);
}

static void heads_part(void *arg, size_t first, size_t end)
{
    struct heads_step *t = arg;
    struct engine *e = t->e;
    const struct model_keys *keys = &t->l->keys;
    const size_t heads = e->m->heads;
    for (size_t c = first; c < end; c++) {
        const float *sine, *cosine = engine_angles(e, t->l, c, &sine);
        struct cache *cache = &e->rows[c].seq->cache;
        float *key = e->k + c * keys->heads * keys->key_n, *value = e->v + c * keys->heads * keys->value_n;
        if (t->what & ENGINE_QUERIES)
            turn_heads(t, &t->l->query_norm, e->q + c * heads * keys->key_n, heads, cosine, sine);
        if (!(t->what & ENGINE_KEYS))
            continue;
        turn_heads(t, &t->l->key_norm, key, keys->heads, cosine, sine);
        for (uint32_t i = 0; i < keys->heads; i++, key += keys->key_n, value += keys->value_n) {
            if (t->l->value_norm.gain)
                e->ops->norm(value, t->l->value_norm.gain, e->m->epsilon, keys->value_n, value);
            if (!cache_put(cache, e->ops, e->position[c], t->layer, i, key, value))
                e->finite[c] = false;
        }
    }
}

static void project_queries(struct engine *e, const struct model_layer *l, const struct ops_input *in)
{
    const bool has_gates = e->m->kind->more & HAS_DELTA_NET;
    engine_product(e, &l->query, in, has_gates ? recur_queries(e) : e->q);
    if (has_gates)
        recur_part_queries(e, in->cols);
}

void engine_project(struct engine *e, uint32_t layer, const float *x, size_t cols, unsigned what)
{
    const struct model_layer *l = &e->m->layer[layer];
    if (l->keys.of != layer)
        what &= ~(unsigned)ENGINE_KEYS;
    struct heads_step t = {e, l, layer, what};
    if (l->latent) {
        latent_project(e, layer, x, cols);
        return;
    }
    const struct model_product *value = l->value.w.data ? &l->value : &l->key;
    struct ops_input in = engine_input(e, x, e->m->embed, cols, e->slot, what & ENGINE_QUERIES ? &l->query.w : NULL,
                                       what & ENGINE_KEYS ? &l->key.w : NULL, what & ENGINE_KEYS ? &value->w : NULL);
    if (what & ENGINE_QUERIES)
        project_queries(e, l, &in);
    if (what & ENGINE_KEYS) {
        engine_product(e, &l->key, &in, e->k);
        if (value == &l->key)
            memcpy(e->v, e->k, cols * l->keys.heads * l->keys.key_n * sizeof *e->v);
        else
            engine_product(e, value, &in, e->v);
    }
    pool_run(e->pool, cols, 1, heads_part, &t);
}

/* Queries that share keys go together: the heads of a row that have one head of keys, in even parts of at most
 * OPS_QUERIES; and where those are few, of rows that follow each other in one sequence. */
struct attend_step {
    struct engine *e;
    const struct model_layer *l;
    uint32_t layer;
    size_t cols, parts, per_part, rows; /* parts of a group of heads; queries of a part; rows that go together */
};

static struct attend_step attend_step_of(const struct model *m, const struct model_layer *l, size_t cols)
{
    size_t shared = m->heads / l->keys.heads, parts = (shared + OPS_QUERIES - 1) / OPS_QUERIES;
    struct attend_step t = {.cols = cols, .parts = parts, .per_part = (shared + parts - 1) / parts};
    t.rows = OPS_QUERIES / t.per_part;
    return t;
}

static size_t attend_groups(const struct attend_step *t)
{
    return (t->cols + t->rows - 1) / t->rows;
}

/* Of a query, whole cache lines. */
static size_t scratch_each(const struct model_layer *l)
{
    return (attention_scratch(l->keys.key_n, l->keys.value_n) + 63) / 64 * 64;
}

size_t engine_attend_scratch(const struct model *m, size_t cols)
{
    size_t most = 0;
    for (uint32_t i = 0; i < m->layers; i++) {
        const struct model_layer *l = &m->layer[i];
        if (l->keys.heads == 0)
            continue;
        struct attend_step t = attend_step_of(m, l, cols);
        size_t bytes = attend_groups(&t) * t.parts * l->keys.heads * t.per_part * t.rows * scratch_each(l);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Query of head `head` of column c. */
static struct attention_query query_of(const struct attend_step *t, size_t c, size_t head)
{
    struct engine *e = t->e;
    const struct model *m = e->m;
    uint32_t row = e->slot[c];
    struct attention_query q = {.x = e->q + ((size_t)row * m->heads + head) * t->l->keys.key_n,
                                .out = e->o + (c * m->heads + head) * t->l->keys.value_n,
                                .sink = t->l->sinks ? t->l->sinks + head : NULL,
                                .end = model_writes(m) ? e->position[row] + 1 : e->rows[row].seq->length};
    if (t->l->window && q.end > t->l->window)
        q.first = q.end - t->l->window;
    return q;
}

/* Columns [c, end) that belong to one sequence, for one head of keys and one part of the heads that share it. */
static void attend_rows(const struct attend_step *t, struct attention *a, size_t part, size_t c, size_t end,
                        void *scratch)
{
    struct engine *e = t->e;
    size_t shared = e->m->heads / t->l->keys.heads, from = part * t->per_part, n = 0;
    size_t to = from + t->per_part < shared ? from + t->per_part : shared;
    struct attention_query q[OPS_QUERIES];
    for (size_t i = c; i < end; i++)
        for (size_t head = from; head < to; head++)
            q[n++] = query_of(t, i, a->head_kv * shared + head);
    attention_run(a, q, n, scratch);
    for (size_t i = 0; i < n; i++)
        if (!q[i].finite)
            e->finite[e->slot[c + i / (to - from)]] = false;
}

/* One (head of keys, part, rows) each, rows of a head one behind the other, so that its keys stay near. A stretch of
 * the work uses the scratch of its first queries. */
static void attention_part(void *arg, size_t first, size_t end)
{
    struct attend_step *t = arg;
    struct engine *e = t->e;
    size_t groups = attend_groups(t), queries = t->per_part * t->rows;
    uint8_t *scratch = e->scratch + first * queries * scratch_each(t->l);
    for (size_t at = first; at < end; at++) {
        size_t c = at % groups * t->rows, stop = c + t->rows < t->cols ? c + t->rows : t->cols;
        struct attention a = {.ops = e->ops,
                              .layer = t->layer,
                              .head_kv = (uint32_t)(at / groups / t->parts),
                              .scale = e->m->score_scale,
                              .cap = e->m->cap_scores};
        for (size_t next; c < stop; c = next) {
            const struct engine_seq *s = e->rows[e->slot[c]].seq;
            for (next = c + 1; next < stop && e->rows[e->slot[next]].seq == s;)
                next++;
            a.cache = &s->cache;
            attend_rows(t, &a, at / groups % t->parts, c, next, scratch);
        }
    }
}

void engine_attend(struct engine *e, uint32_t layer, size_t cols)
{
    const struct model_layer *l = &e->m->layer[layer];
    struct attend_step t = attend_step_of(e->m, l, cols);
    t.e = e;
    t.l = l;
    t.layer = layer;
    pool_run(e->pool, attend_groups(&t) * t.parts * l->keys.heads, 1, attention_part, &t);
}

/* -- the whole -- */

void engine_mix(struct engine *e, const struct model_layer *l, const float *x, float *out, size_t cols)
{
    const struct model *m = e->m;
    const size_t mix = l->down.w.n;
    const struct model_product *first = l->gate.w.data ? &l->gate : &l->up;
    struct ops_input in = engine_input(e, x, m->embed, cols, e->slot, &first->w, &l->up.w, NULL);
    engine_product(e, first, &in, e->gate);
    if (first != &l->up)
        engine_product(e, &l->up, &in, e->up);
    engine_activate(e, e->gate, e->up, mix, cols);
    in = engine_input(e, e->gate, mix, cols, e->slot, &l->down.w, NULL, NULL);
    engine_product(e, &l->down, &in, out);
}

/* e->back[cols, embed] = the last product of a first branch. */
static void leave_branch(struct engine *e, const struct model_product *p, const float *o, size_t cols)
{
    struct ops_input in = engine_input(e, o, p->w.n, cols, e->slot, &p->w, NULL, NULL);
    engine_product(e, p, &in, e->back);
}

void engine_attention_output(struct engine *e, const struct model_layer *l, size_t cols)
{
    leave_branch(e, &l->output, l->latent ? latent_values(e, l, cols) : e->o, cols);
}

/* In the last layer only the rows that somebody wants go on behind the keys and values: x is packed to them. */
static size_t pack_wanted(struct engine *e)
{
    size_t kept = 0, n = e->m->embed;
    for (uint32_t c = 0; c < e->n; c++)
        if (e->rows[c].wants) {
            if (kept != c)
                memmove(e->x + kept * n, e->x + c * n, n * sizeof *e->x);
            e->slot[kept++] = c;
        }
    return kept;
}

/* The stream as it enters a branch. */
static const float *enter_branch(struct engine *e, const struct model_norm *norm, size_t cols)
{
    if (!norm->gain)
        return e->x;
    engine_norm(e, norm, e->x, e->m->embed, e->h, cols);
    return e->h;
}

/* The stream plus what a branch left in e->back, normed first where the architecture has it so. */
static void add_branch(struct engine *e, const struct model_norm *post, size_t cols)
{
    if (post->gain)
        engine_norm(e, post, e->back, e->m->embed, e->back, cols);
    engine_add(e, e->x, e->back, cols);
}

/* Attention, a state or both up to e->back. Returns how many rows go on. */
static size_t run_first_branch(struct engine *e, uint32_t index)
{
    const struct model_layer *l = &e->m->layer[index];
    const float *x = enter_branch(e, &l->attention_norm, e->n);
    size_t cols = e->n;
    if (l->recurrent)
        recur_run(e, l, x, cols);
    if (l->keys.heads)
        engine_project(e, index, x, cols, ENGINE_QUERIES | ENGINE_KEYS);
    if (index + 1 == e->m->layers)
        cols = l->recurrent ? recur_pack(e, pack_wanted(e)) : pack_wanted(e);
    if (cols == 0)
        return 0;
    if (l->recurrent)
        leave_branch(e, &l->recurrent->out, e->o, cols);
    if (!l->keys.heads)
        return cols;
    if (l->recurrent)
        recur_set_aside(e, cols);
    engine_attend(e, index, cols);
    if (e->m->kind->more & HAS_DELTA_NET)
        recur_gate(e, cols);
    engine_attention_output(e, l, cols);
    if (l->recurrent)
        recur_add_aside(e, cols);
    return cols;
}

/* A layer that is a mix alone. */
static size_t run_no_first_branch(struct engine *e, uint32_t index)
{
    return index + 1 == e->m->layers ? pack_wanted(e) : e->n;
}

static void scale_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    t->e->ops->scale(t->to + first * t->n, t->by, (end - first) * t->n);
}

/* What enters the second branch goes through experts, and beside them through gate, up and down; each side's result is
 * normed before they are added. */
static void run_two_mixes(struct engine *e, const struct model_layer *l, size_t cols)
{
    const size_t n = e->m->embed;
    const struct model_two_mixes *t = &l->two_mixes;
    engine_norm(e, &t->norm, e->x, n, e->h, cols);
    engine_norm(e, &t->router_norm, e->x, n, e->back, cols);
    moe_run(e, l, e->h, e->back, cols);
    engine_norm(e, &t->post, e->back, n, e->hidden, cols);
    engine_norm(e, &l->mix_norm, e->x, n, e->h, cols);
    engine_mix(e, l, e->h, e->back, cols);
    engine_norm(e, &t->dense_post, e->back, n, e->back, cols);
    e->ops->add(e->back, e->hidden, cols * n);
}

/* Behind both branches: the layer's part of the second embedding, and its scale. */
static void end_layer(struct engine *e, uint32_t index, size_t cols)
{
    const struct model_layer *l = &e->m->layer[index];
    struct row_step t = {.e = e, .to = e->x, .n = e->m->embed, .by = l->scale};
    if (e->inputs) {
        inputs_run(e, index, cols);
        add_branch(e, &l->input.post, cols);
    }
    if (l->scale != 1.0f)
        pool_run(e->pool, cols, 1, scale_part, &t);
}

size_t engine_layer(struct engine *e, uint32_t index)
{
    const struct model *m = e->m;
    const struct model_layer *l = &m->layer[index];
    const bool is_entered = m->kind->has & HAS_ONE_NORM, is_mix = !l->keys.heads && !l->recurrent;
    size_t cols = is_mix ? run_no_first_branch(e, index) : run_first_branch(e, index);
    if (cols == 0)
        return 0;
    if (is_entered)
        (void)enter_branch(e, &l->mix_norm, cols);
    if (!is_mix)
        add_branch(e, &l->attention_post, cols);
    if (l->two_mixes.norm.gain) {
        run_two_mixes(e, l, cols);
    } else if (l->mixes) {
        const float *h = is_entered ? e->h : enter_branch(e, &l->mix_norm, cols);
        if (l->expert)
            moe_run(e, l, h, h, cols);
        else
            engine_mix(e, l, h, e->back, cols);
    }
    if (l->mixes)
        add_branch(e, &l->mix_post, cols);
    end_layer(e, index, cols);
    if (e->taps)
        engine_take_taps(e, index);
    return cols;
}
