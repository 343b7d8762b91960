/* Of a pass (gpu_pass.c): what products take, and products with what stands around them. */
#include "inference/cuda/gpu.h"

struct cuda_marks gpu_marks(const struct gpu_pass *t)
{
    return (struct cuda_marks){t->slot, t->f.finite};
}

static bool asks(const struct cuda_matrix *w, enum quant_input input)
{
    return w && w->data && quant_format((enum gguf_tensor_type)w->type)->input == input;
}

struct cuda_input gpu_blocks(const struct gpu_pass *t, const float *x, uint32_t n, uint32_t cols,
                             const struct cuda_matrix *a, const struct cuda_matrix *b, const struct cuda_matrix *c)
{
    struct cuda_input in = {.n = n, .cols = cols, .f = x};
    if (asks(a, QUANT_NARROW) || asks(b, QUANT_NARROW) || asks(c, QUANT_NARROW))
        in.narrow = cuda_blocks_at(t->d->b.narrow, n, cols, false);
    if (asks(a, QUANT_WIDE) || asks(b, QUANT_WIDE) || asks(c, QUANT_WIDE))
        in.wide = cuda_blocks_at(t->d->b.wide, n, cols, true);
    return in;
}

bool gpu_has_blocks(const struct cuda_input *in)
{
    return in->narrow.q || in->wide.q;
}

struct cuda_input gpu_input(const struct gpu_pass *t, const float *x, uint32_t n, uint32_t cols,
                            const struct cuda_matrix *w)
{
    struct cuda_input in = gpu_blocks(t, x, n, cols, w, NULL, NULL);
    if (gpu_has_blocks(&in))
        cuda_quantise(t->d->stream, &in, gpu_marks(t));
    return in;
}

struct cuda_input gpu_raw_input(const struct gpu_pass *t, const float *x, uint32_t n, const float *gain)
{
    return (struct cuda_input){
        .n = n, .cols = 1, .f = x, .raw = {.is = true, .gain = gain, .epsilon = t->m->epsilon, .marks = gpu_marks(t)}};
}

struct cuda_input gpu_stream_input(const struct gpu_pass *t, const struct cuda_matrix *a, const struct cuda_matrix *b,
                                   const struct cuda_matrix *c)
{
    struct cuda_input in = gpu_blocks(t, t->x, t->m->embed, t->cols, a, b, c);
    if (gpu_has_blocks(&in))
        cuda_quantise(t->d->stream, &in, gpu_marks(t));
    return in;
}

static bool takes_normed(const struct cuda_matrix *w)
{
    return !w || !w->data || cuda_takes_normed(w);
}

struct cuda_input gpu_normed_input(const struct gpu_pass *t, const struct gpu_norm *n, const struct cuda_matrix *a,
                                   const struct cuda_matrix *b, const struct cuda_matrix *c)
{
    const struct model *m = t->m;
    float *h = t->d->b.h;
    if (!n->gain)
        return t->cols == 1 ? gpu_raw_input(t, t->x, m->embed, NULL) : gpu_stream_input(t, a, b, c);
    if (t->cols == 1 && !n->bias && !m->low_rank && takes_normed(a) && takes_normed(b) && takes_normed(c))
        return gpu_raw_input(t, t->x, m->embed, n->gain);
    struct cuda_input in = gpu_blocks(t, h, m->embed, t->cols, a, b, c);
    const bool wants_floats = m->low_rank || asks(a, QUANT_FLOATS) || asks(b, QUANT_FLOATS) || asks(c, QUANT_FLOATS);
    if (gpu_has_blocks(&in))
        cuda_norm_quantise(t->d->stream, t->x, n->gain, n->bias, m->epsilon, &in, wants_floats ? h : NULL,
                           gpu_marks(t));
    else
        cuda_norm(t->d->stream, t->x, n->gain, n->bias, m->epsilon, m->embed, t->cols, h);
    return in;
}

enum cuda_gate gpu_gate(const struct gpu_pass *t)
{
    const unsigned has = t->m->kind->has;
    if (has & HAS_ENCODER)
        return CUDA_GELU_ERF_ALONE;
    if (has & HAS_SQUARES)
        return CUDA_SQUARES_ALONE;
    if (has & HAS_NO_GATE)
        return CUDA_GELU_ALONE;
    if (has & HAS_CLAMPED_GATE)
        return CUDA_CLAMPED;
    return has & HAS_GELU ? CUDA_GELU : CUDA_SILU;
}

struct cuda_input gpu_gated_input(const struct gpu_pass *t, uint32_t n, uint32_t cols, struct cuda_marks marks,
                                  const struct cuda_matrix *w)
{
    const enum cuda_gate kind = gpu_gate(t);
    const struct gpu_buffers *b = &t->d->b;
    struct cuda_input in = gpu_blocks(t, b->gate, n, cols, w, NULL, NULL);
    if (gpu_has_blocks(&in))
        cuda_activate_quantise(t->d->stream, kind, b->gate, b->up, &in, t->m->low_rank ? b->gate : NULL, marks);
    else
        cuda_activate(t->d->stream, kind, b->gate, b->up, (uint64_t)cols * n);
    return in;
}

static bool is_adapted(const struct gpu_product *p)
{
    return p->low_down.data != NULL;
}

/* The rest of a product whose matrix has been multiplied into out[cols, rows]: what adapters add, then the bias. */
static void adapt(const struct gpu_pass *t, const struct gpu_product *p, const struct cuda_input *in, float *out)
{
    const struct cuda_input x = {.n = in->n, .cols = in->cols, .f = in->f};
    const struct cuda_input low = {.n = p->low_up.n, .cols = in->cols, .f = t->d->b.pair};
    if (!is_adapted(p))
        return;
    CHECK(!in->raw.gain);
    cuda_multiply(t->d->stream, &p->low_down, &x, NULL, false, t->d->b.pair);
    cuda_multiply(t->d->stream, &p->low_up, &low, NULL, true, out);
    if (p->bias)
        cuda_add_bias(t->d->stream, out, p->bias, p->w.rows, in->cols);
}

void gpu_multiply(const struct gpu_pass *t, const struct gpu_product *p, const struct cuda_input *in, float *out)
{
    cuda_multiply(t->d->stream, &p->w, in, is_adapted(p) ? NULL : p->bias, false, out);
    adapt(t, p, in, out);
}

#define TOGETHER_MOST 3u

void gpu_multiply_together(const struct gpu_pass *t, const struct gpu_task *task, uint32_t n,
                           const struct cuda_input *in)
{
    struct cuda_task all[TOGETHER_MOST] = {{NULL, NULL, NULL}};
    CHECK(n <= TOGETHER_MOST);
    for (uint32_t i = 0; i < n; i++) {
        const struct gpu_product *p = task[i].p;
        all[i] = (struct cuda_task){&p->w, is_adapted(p) ? NULL : p->bias, task[i].out};
    }
    cuda_multiply_together(t->d->stream, all, n, in);
    for (uint32_t i = 0; i < n; i++)
        adapt(t, task[i].p, in, task[i].out);
}

void gpu_norm_cols(const struct gpu_pass *t, const struct gpu_norm *n, const float *x, float *out)
{
    cuda_norm(t->d->stream, x, n->gain, n->bias, t->m->epsilon, t->m->embed, t->cols, out);
}

void gpu_add_back(const struct gpu_pass *t, const struct gpu_norm *post)
{
    float *back = t->d->b.back;
    if (post->gain)
        gpu_norm_cols(t, post, back, back);
    cuda_add(t->d->stream, t->x, back, t->m->branch_scale, (uint64_t)t->cols * t->m->embed);
}

void gpu_add_branch(const struct gpu_pass *t, const struct gpu_product *p, const struct cuda_input *in,
                    const struct gpu_norm *post)
{
    if (!post->gain && t->m->branch_scale == 1.0f && !is_adapted(p)) {
        cuda_multiply(t->d->stream, &p->w, in, p->bias, true, t->x);
        return;
    }
    gpu_multiply(t, p, in, t->d->b.back);
    gpu_add_back(t, post);
}
