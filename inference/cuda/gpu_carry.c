/* Of a pass (gpu_pass.c): layers that carry a state. The steps are those of recur.c, delta.c and scan.c. */
#include "inference/cuda/gpu.h"

#include "base/limits.h"

static struct cuda_states states_of(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct device *d = t->d;
    const struct model *m = t->m;
    struct cuda_states s = t->f.states;
    s.state_at = l->place * gpu_state_floats(m);
    s.guess_floats = gpu_guess_floats(m);
    s.guess_at = d->state_layers * gpu_state_floats(m) + (uint64_t)l->place * GUESSES_MAX * s.guess_floats;
    s.tap = l->recurrent.taps;
    s.in = d->b.enters;
    return s;
}

static bool asks_alike(const struct cuda_matrix *a, const struct cuda_matrix *b)
{
    return quant_format((enum gguf_tensor_type)a->type)->input == quant_format((enum gguf_tensor_type)b->type)->input;
}

/* What enters a delta net or a state space: b.enters, the gate of its result, the numbers of its rates. */
static void enter_heads(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct gpu_buffers *b = &t->d->b;
    const struct gpu_recurrent *r = &l->recurrent;
    struct cuda_input in = gpu_normed_input(t, &l->attention_norm, &r->in.w, &r->gate.w, &r->beta.w);
    const struct gpu_task large[] = {{&r->in, b->enters}, {&r->gate, b->between}};
    const struct gpu_task small[] = {{&r->beta, b->beta}, {&r->alpha, b->alpha}};
    gpu_multiply_together(t, large, 2, &in);
    if (r->alpha.w.data && !asks_alike(&r->alpha.w, &r->beta.w))
        in = gpu_normed_input(t, &l->attention_norm, &r->alpha.w, &r->beta.w, NULL);
    gpu_multiply_together(t, small, r->alpha.w.data ? 2 : 1, &in);
}

static void carry_delta(const struct gpu_pass *t, const struct gpu_layer *l, const struct cuda_states *s)
{
    const struct gpu_buffers *b = &t->d->b;
    const struct gpu_recurrent *r = &l->recurrent;
    const struct model *m = t->m;
    const struct cuda_delta a = {.keys_n = m->keys_n,
                                 .values_n = m->values_n,
                                 .side = m->side,
                                 .is_tiled = (m->kind->more & HAS_TILED_HEADS) != 0,
                                 .epsilon = m->epsilon,
                                 .alpha = r->alpha.w.data ? b->alpha : NULL,
                                 .beta = b->beta,
                                 .rate = r->rate,
                                 .bias = r->bias,
                                 .gate = b->between,
                                 .gain = r->norm.gain,
                                 .mixed = b->mixed,
                                 .rates = b->rates};
    cuda_delta(t->d->stream, &a, s, t->rows, gpu_marks(t), b->carried);
}

static void carry_scan(const struct gpu_pass *t, const struct gpu_layer *l, const struct cuda_states *s)
{
    const struct gpu_buffers *b = &t->d->b;
    const struct gpu_recurrent *r = &l->recurrent;
    const struct model *m = t->m;
    const struct cuda_scan a = {.keys_n = m->keys_n,
                                .values_n = m->values_n,
                                .depth = m->depth,
                                .side = m->side,
                                .epsilon = m->epsilon,
                                .step = b->beta,
                                .rate = r->rate,
                                .bias = r->bias,
                                .through = r->through,
                                .taps_bias = r->taps_bias,
                                .gate = b->between,
                                .gain = r->norm.gain,
                                .mixed = b->mixed,
                                .rates = b->rates};
    cuda_scan(t->d->stream, &a, s, t->rows, gpu_marks(t), b->carried);
}

void gpu_carry(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct gpu_buffers *b = &t->d->b;
    const struct cuda_states s = states_of(t, l);
    if (t->m->values_n) {
        enter_heads(t, l);
        if (t->m->kind->more & HAS_SCAN)
            carry_scan(t, l, &s);
        else
            carry_delta(t, l, &s);
        return;
    }
    const struct cuda_input in = gpu_normed_input(t, &l->attention_norm, &l->recurrent.in.w, NULL, NULL);
    gpu_multiply(t, &l->recurrent.in, &in, b->enters);
    cuda_convolve(t->d->stream, &s, t->rows, gpu_marks(t), b->carried);
}

struct cuda_input gpu_carried_input(const struct gpu_pass *t, const struct gpu_layer *l)
{
    const struct gpu_buffers *b = &t->d->b;
    const uint32_t n = (uint32_t)gpu_carried(t->m);
    const float *x = b->carried;
    if (t->slot != t->f.all) {
        cuda_gather(t->d->stream, x, t->slot, n, t->cols, b->o);
        x = b->o;
    }
    return t->cols == 1 ? gpu_raw_input(t, x, n, NULL) : gpu_input(t, x, n, t->cols, &l->recurrent.out.w);
}
