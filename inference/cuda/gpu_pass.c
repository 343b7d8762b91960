/* What a pass of a batch through a device's layers is: which kernels, in which order. The steps are layer.c's. Nothing
 * waits here: kernels are queued, or recorded as a graph. */
#include "inference/cuda/gpu.h"

/* -- attention -- */

/* `position`: where rows are, or what they see. */
static struct cuda_cache cache_of(const struct gpu_pass *t, uint32_t index, const uint32_t *position)
{
    const struct device *d = t->d;
    return (struct cuda_cache){.slab = d->slab_list,
                               .page_bytes = d->page_bytes,
                               .layer_at = d->layer[index - d->o.first].keys_place * d->layer_bytes,
                               .heads_kv = t->m->heads_kv,
                               .blocks = (uint32_t)(quant_padded(t->m->head) / ARITH_BLOCK),
                               .blocks_v = (uint32_t)(quant_padded(model_value_length(t->m)) / ARITH_BLOCK),
                               .position = position,
                               .table = t->f.table,
                               .page = t->f.page};
}

static struct cuda_turn turn_of(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const bool together = t->m->kind->has & HAS_ROW_NORMS; /* then they are normed already */
    return (struct cuda_turn){.query_gain = together ? NULL : l->query_norm.gain,
                              .key_gain = together ? NULL : l->key_norm.gain,
                              .epsilon = t->m->epsilon,
                              .angles = l->window && t->f.angles[1] ? t->f.angles[1] : t->f.angles[0],
                              .pairs = l->is_still ? 0 : t->m->rope_pairs,
                              .is_halves = (t->m->kind->has & HAS_HALVES) != 0,
                              .is_late = (t->m->kind->has & HAS_LATE_NORMS) != 0};
}

/* Whether attention turns the batch's heads itself; `cols` of it go on. Each of its blocks does, so that over long
 * contexts it would be work for more than it saves. */
#define FRESH_PAGES 1024u
static bool is_fresh(const struct gpu_pass *t, uint32_t cols)
{
    return t->rows == 1 && cols == 1 && model_writes(t->m) && !t->m->latent && t->pages_most <= FRESH_PAGES;
}

static void norm_rows(const struct gpu_pass *t, const struct gpu_norm *n, float *x, uint32_t length)
{
    cuda_norm(t->d->stream, x, n->gain, n->bias, t->m->epsilon, length, t->rows, x);
}

/* -- heads that share one row of the cache; the steps are latent.c's -- */

/* out[cols x heads, rows]: each head's own matrix times what stands in x[cols x heads, n] for it. */
static void multiply_own(const struct gpu_pass *t, const struct gpu_experts *own, const float *x, float *out)
{
    const struct gpu_buffers *b = &t->d->b;
    const uint32_t heads = t->m->heads;
    const struct cuda_picks picks = {b->chosen, b->weight, b->begin, b->pick, t->cols};
    struct cuda_input in = gpu_blocks(t, x, own->w.n, t->cols * heads, &own->w, NULL, NULL);
    cuda_pick_heads(t->d->stream, heads, picks);
    cuda_spread_slots(t->d->stream, t->slot, heads, t->cols, b->pick_slot);
    if (gpu_has_blocks(&in))
        cuda_quantise(t->d->stream, &in, (struct cuda_marks){b->pick_slot, t->f.finite});
    cuda_multiply_picked(t->d->stream, &own->w, own->stride, heads, 1, &in, picks, NULL, out);
}

/* What the projections of a layer with a latent take of the stream. */
static const struct gpu_product *first_query(const struct gpu_latent *a)
{
    return a->query_low.w.data ? &a->query_low : &a->query;
}

static void project_latent(const struct gpu_pass *t, uint32_t index, const struct cuda_input *in)
{
    const struct gpu_layer *l = &t->d->layer[index - t->d->o.first];
    const struct gpu_latent *a = &l->latent;
    const struct gpu_product *first = first_query(a);
    const struct cuda_cache cache = cache_of(t, index, t->f.position);
    const struct gpu_buffers *b = &t->d->b;
    const struct model *m = t->m;
    const struct gpu_task tasks[] = {{&a->row, b->k}, {first, first == &a->query ? b->o : b->low}};
    gpu_multiply_together(t, tasks, 2, in);
    if (first != &a->query) {
        struct cuda_input low = gpu_blocks(t, b->low, m->query_low, t->cols, &a->query.w, NULL, NULL);
        const float *gain = a->query_norm.gain;
        const bool wants_floats = m->low_rank || !gpu_has_blocks(&low);
        if (wants_floats)
            cuda_norm(t->d->stream, b->low, gain, NULL, m->epsilon, m->query_low, t->cols, b->low);
        if (wants_floats && gpu_has_blocks(&low))
            cuda_quantise(t->d->stream, &low, gpu_marks(t));
        else if (gpu_has_blocks(&low))
            cuda_norm_quantise(t->d->stream, b->low, gain, NULL, m->epsilon, &low, NULL, gpu_marks(t));
        gpu_multiply(t, &a->query, &low, b->o);
    }
    struct cuda_latent how = {m->heads, m->plain, m->latent, turn_of(t, l)};
    how.turn.key_gain = a->row_norm.gain;
    cuda_split_heads(t->d->stream, &how, b->o, t->cols, b->apart);
    multiply_own(t, &a->key_up, b->apart, b->made);
    cuda_join_heads(t->d->stream, &how, b->o, b->made, b->k, t->cols, &cache, gpu_marks(t), b->q);
}

/* Queries, keys and values, of which `cols` meet the cache. */
static void project(const struct gpu_pass *t, uint32_t index, const struct cuda_input *in, uint32_t cols)
{
    const struct gpu_layer *l = &t->d->layer[index - t->d->o.first];
    const struct cuda_cache cache = cache_of(t, index, t->f.position);
    const struct gpu_buffers *b = &t->d->b;
    const struct model *m = t->m;
    if (l->has_latent) {
        project_latent(t, index, in);
        return;
    }
    const bool has_gates = m->kind->more & HAS_DELTA_NET;
    const struct gpu_task tasks[] = {{&l->query, has_gates ? b->enters : b->q}, {&l->key, b->k}, {&l->value, b->v}};
    gpu_multiply_together(t, tasks, 3, in);
    if (has_gates)
        cuda_part_queries(t->d->stream, b->enters, m->heads, m->head, t->rows, b->q);
    if (m->kind->has & HAS_ROW_NORMS) {
        norm_rows(t, &l->query_norm, b->q, m->heads * m->head);
        norm_rows(t, &l->key_norm, b->k, m->heads_kv * m->head);
    }
    const struct cuda_turn turn = turn_of(t, l);
    if (!is_fresh(t, cols))
        cuda_heads(t->d->stream, b->q, b->k, b->v, m->heads, m->head, t->rows, &turn, &cache, gpu_marks(t));
}

/* What attention needs of the stream, of which `cols` rows meet the cache. */
static void meet(const struct gpu_pass *t, uint32_t index, uint32_t cols)
{
    const struct gpu_layer *l = &t->d->layer[index - t->d->o.first];
    const struct cuda_input in =
        l->has_latent ? gpu_normed_input(t, &l->attention_norm, &l->latent.row.w, &first_query(&l->latent)->w, NULL)
                      : gpu_normed_input(t, &l->attention_norm, &l->query.w, &l->key.w, &l->value.w);
    project(t, index, &in, cols);
}

struct cuda_attention gpu_pass_attention(const struct model *m, const struct gpu_layer *l, uint32_t pages_most)
{
    return (struct cuda_attention){.heads = m->heads,
                                   .head = m->head,
                                   .value = model_value_length(m),
                                   .window = l->window,
                                   .scale = m->score_scale,
                                   .cap = m->cap_scores,
                                   .sinks = l->sinks,
                                   .pages_most = pages_most};
}

/* b.o, and as input of the output's product. */
static struct cuda_input attend(const struct gpu_pass *t, uint32_t index)
{
    const struct gpu_layer *l = &t->d->layer[index - t->d->o.first];
    const struct cuda_cache cache = cache_of(t, index, t->f.sees);
    struct cuda_attention a = gpu_pass_attention(t->m, l, t->pages_most);
    const struct gpu_buffers *b = &t->d->b;
    const struct cuda_turn turn = turn_of(t, l);
    const struct cuda_fresh fresh = {b->k, b->v, &turn};
    a.plan = t->plan;
    a.fresh = is_fresh(t, t->cols) ? &fresh : NULL;
    const struct cuda_room room = {t->d->scratch, b->arrived};
    const struct model *m = t->m;
    const uint32_t n = m->heads * m->head;
    if (l->has_latent) {
        cuda_attend(t->d->stream, b->q, &a, &cache, t->cols, gpu_marks(t), room, b->o, NULL);
        multiply_own(t, &l->latent.value_up, b->o, b->q);
        return gpu_input(t, b->q, m->heads * m->value, t->cols, &l->output.w);
    }
    if (m->kind->more & HAS_DELTA_NET || m->low_rank) { /* its floats are wanted */
        cuda_attend(t->d->stream, b->q, &a, &cache, t->cols, gpu_marks(t), room, b->o, NULL);
        if (m->kind->more & HAS_DELTA_NET)
            cuda_gate_heads(t->d->stream, b->enters, t->slot, m->heads, m->head, t->cols, b->o);
        return t->cols == 1 ? gpu_raw_input(t, b->o, n, NULL) : gpu_input(t, b->o, n, t->cols, &l->output.w);
    }
    const struct cuda_input in = gpu_blocks(t, b->o, n, t->cols, &l->output.w, NULL, NULL);
    cuda_attend(t->d->stream, b->q, &a, &cache, t->cols, gpu_marks(t), room, b->o, gpu_has_blocks(&in) ? &in : NULL);
    return in;
}

/* -- the branch behind it -- */

/* What gate and up make of the stream, as input of down. */
static struct cuda_input mixed(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct gpu_buffers *b = &t->d->b;
    struct cuda_input in = gpu_normed_input(t, &l->mix_norm, &l->gate.w, &l->up.w, NULL);
    if (!l->gate.w.data) {
        gpu_multiply(t, &l->up, &in, b->gate);
        return gpu_gated_input(t, l->down.w.n, t->cols, gpu_marks(t), &l->down.w);
    }
    if (t->cols == 1 && !t->m->low_rank && cuda_takes_gate(&l->gate.w, &l->up.w)) {
        const struct cuda_task gate = {&l->gate.w, l->gate.bias, b->gate}, up = {&l->up.w, l->up.bias, b->up};
        cuda_multiply_gated(t->d->stream, gpu_gate(t), &gate, &up, &in);
        return gpu_raw_input(t, b->gate, l->down.w.n, NULL);
    }
    const struct gpu_task tasks[] = {{&l->gate, b->gate}, {&l->up, b->up}};
    gpu_multiply_together(t, tasks, 2, &in);
    return gpu_gated_input(t, l->down.w.n, t->cols, gpu_marks(t), &l->down.w);
}

static void mix(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct cuda_input in = mixed(t, l);
    gpu_add_branch(t, &l->down, &in, &l->mix_post);
}

/* Both branches by one norm: `heads` is the input of attention's product, and the stream is read before that is added.
 */
static void mix_beside(const struct gpu_pass *t, const struct gpu_layer *l, const struct cuda_input *heads)
{
    gpu_multiply(t, &l->output, heads, t->d->b.back);
    const struct cuda_input in = mixed(t, l);
    gpu_add_back(t, &l->attention_post);
    gpu_add_branch(t, &l->down, &in, &l->mix_post);
}

/* What the expert that all rows share makes of them joins what is in b.back; b.aside and b.score are free again. */
static void mix_shared(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct gpu_buffers *b = &t->d->b;
    const uint32_t embed = t->m->embed;
    struct cuda_input in;
    if (l->shared_gate.data) {
        in = gpu_normed_input(t, &l->mix_norm, &l->shared_gate, NULL, NULL);
        cuda_multiply(t->d->stream, &l->shared_gate, &in, NULL, false, b->score);
    }
    in = mixed(t, l);
    gpu_multiply(t, &l->down, &in, b->aside);
    if (l->shared_gate.data)
        cuda_add_gated(t->d->stream, b->back, b->aside, b->score, embed, t->cols);
    else
        cuda_add(t->d->stream, b->back, b->aside, 1.0f, (uint64_t)t->cols * embed);
}

static void picked(const struct gpu_pass *t, const struct gpu_experts *x, uint32_t share, const struct cuda_input *in,
                   struct cuda_picks picks, float *out)
{
    cuda_multiply_picked(t->d->stream, &x->w, x->stride, t->m->experts, share, in, picks, x->bias, out);
}

static void mix_experts(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct gpu_buffers *b = &t->d->b;
    const struct model *m = t->m;
    void *stream = t->d->stream;
    uint32_t picks_n = t->cols * m->experts_used;
    const struct cuda_picks picks = {b->chosen, b->weight, b->begin, b->pick, t->cols};
    struct cuda_input in = gpu_normed_input(t, &l->mix_norm, &l->router.w, &l->expert_gate.w, &l->expert_up.w);
    gpu_multiply(t, &l->router, &in, b->score);
    const struct cuda_routes how = {m->experts,      m->experts_used, m->parts_of_all, m->by_sigmoid,
                                    m->expert_scale, l->preference,   m->groups,       m->groups_used};
    cuda_route(stream, b->score, &how, t->cols, gpu_marks(t), picks);
    if (l->expert_gate.w.data)
        picked(t, &l->expert_gate, m->experts_used, &in, picks, b->gate);
    picked(t, &l->expert_up, m->experts_used, &in, picks, l->expert_gate.w.data ? b->up : b->gate);
    cuda_spread_slots(stream, t->slot, m->experts_used, t->cols, b->pick_slot);
    in = gpu_gated_input(t, m->expert_mix, picks_n, (struct cuda_marks){b->pick_slot, t->f.finite}, &l->expert_down.w);
    picked(t, &l->expert_down, 1, &in, picks, b->aside);
    cuda_sum_picked(stream, b->aside, picks, m->experts_used, m->embed, t->cols, b->back);
    if (l->down.w.data)
        mix_shared(t, l);
    gpu_add_back(t, &l->mix_post);
}

/* -- the whole -- */

/* A state and attention beside each other, their sum as one branch. */
static void add_both(const struct gpu_pass *t, uint32_t index)
{
    const struct gpu_layer *l = &t->d->layer[index - t->d->o.first];
    const struct gpu_buffers *b = &t->d->b;
    struct cuda_input in = gpu_carried_input(t, l);
    gpu_multiply(t, &l->recurrent.out, &in, b->back);
    in = attend(t, index);
    gpu_multiply(t, &l->output, &in, b->h);
    cuda_add(t->d->stream, b->back, b->h, 1.0f, (uint64_t)t->cols * t->m->embed);
    gpu_add_back(t, &l->attention_post);
}

static void layer(struct gpu_pass *t, uint32_t index, uint32_t wanted)
{
    struct device *d = t->d;
    const struct gpu_layer *l = &d->layer[index - d->o.first];
    if (l->recurrent.is)
        gpu_carry(t, l);
    if (l->attends)
        meet(t, index, index + 1 == t->m->layers ? wanted : t->cols);
    if (index + 1 == t->m->layers) {
        t->slot = t->f.slot;
        t->plan = t->f.slot_plan;
        t->cols = wanted;
        if (wanted)
            cuda_gather(d->stream, t->x, t->slot, t->m->embed, wanted, d->b.packed);
        t->x = d->b.packed;
    }
    if (t->cols == 0)
        return;
    struct cuda_input in;
    if (l->recurrent.is && l->attends) {
        add_both(t, index);
    } else if (l->recurrent.is) {
        in = gpu_carried_input(t, l);
        gpu_add_branch(t, &l->recurrent.out, &in, &l->attention_post);
    } else if (l->attends) {
        in = attend(t, index);
        if (t->m->kind->has & HAS_ONE_NORM) {
            mix_beside(t, l, &in);
            return;
        }
        gpu_add_branch(t, &l->output, &in, &l->attention_post);
    }
    if (l->has_experts)
        mix_experts(t, l);
    else if (l->mixes)
        mix(t, l);
}

/* x plus what a product makes of `in`, normed. */
static void add_and_norm(const struct gpu_pass *t, const struct gpu_product *p, const struct cuda_input *in,
                         const struct gpu_norm *n)
{
    gpu_add_branch(t, p, in, &(struct gpu_norm){NULL, NULL});
    gpu_norm_cols(t, n, t->x, t->x);
}

static void encoder_layer(const struct gpu_pass *t, uint32_t index)
{
    const struct device *d = t->d;
    const struct gpu_layer *l = &d->layer[index - d->o.first];
    struct cuda_input in = gpu_stream_input(t, &l->query.w, &l->key.w, &l->value.w);
    project(t, index, &in, t->cols);
    in = attend(t, index);
    add_and_norm(t, &l->output, &in, &l->attention_post);
    in = gpu_input(t, t->x, t->m->embed, t->cols, &l->up.w);
    gpu_multiply(t, &l->up, &in, d->b.gate);
    in = gpu_gated_input(t, t->m->mix, t->cols, gpu_marks(t), &l->down.w);
    add_and_norm(t, &l->down, &in, &l->mix_post);
}

_Static_assert(GPU_GRAPH_ROWS <= GPU_TOLD_ROWS, "what is recorded tells all rows at once");

void gpu_pass_tell(const struct gpu_pass *t, uint32_t first, uint32_t end)
{
    const struct device *d = t->d;
    const struct model *m = t->m;
    struct gpu_pass part = *t;
    part.slot += first;
    struct cuda_input in =
        gpu_input(&part, d->hidden + (uint64_t)first * m->embed, m->embed, end - first, &d->output.w);
    gpu_multiply(&part, &d->output, &in, d->logits);
    cuda_tell(d->stream, d->logits, m->logit_scale, m->cap_logits, m->vocab, end - first, gpu_marks(&part),
              t->f.best + first);
}

static void output(struct gpu_pass *t, uint32_t told)
{
    struct device *d = t->d;
    const struct model *m = t->m;
    gpu_norm_cols(t, &d->output_norm, t->x, d->hidden);
    cuda_finish(d->stream, d->hidden, 0.0f, m->embed, t->cols, gpu_marks(t));
    if (told)
        gpu_pass_tell(t, 0, told < GPU_TOLD_ROWS ? told : GPU_TOLD_ROWS);
}

/* Rows that are wanted as they leave a layer. */
static void get_taps(const struct gpu_pass *t, uint32_t index)
{
    const struct device_batch *b = t->tapped;
    const uint64_t n = t->m->embed;
    for (uint32_t i = 0; i < b->taps; i++)
        if (b->tap[i].layer == index)
            cuda_get(t->d->queue, b->tap[i].to, t->x + (b->tap[i].row - b->tap_from) * n, n * sizeof(float));
}

void gpu_pass_queue(struct gpu_pass *t, const struct gpu_shape *shape)
{
    const struct device *d = t->d;
    for (uint32_t i = d->o.first; i < d->o.end; i++) {
        if (model_writes(t->m))
            layer(t, i, shape->wanted);
        else
            encoder_layer(t, i);
        if (t->tapped)
            get_taps(t, i);
    }
    if (d->o.has_output && t->cols)
        output(t, shape->told);
}
