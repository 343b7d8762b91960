/* A second embedding that is gated into every layer (Gemma 3n and 4: per-layer embeddings). Of each token it has a part
 * for each layer; what the first embedding says of the token is added to it once, before the first layer:
 *
 *     part[l] = (norm(inputs_stream . x * (1 / sqrt(embed))) + inputs[token] * sqrt(n)) * (1 / sqrt(2))     [n]
 *
 * and behind its branches layer l adds  norm(back . (gelu(gate . x) * part[l]))  to the stream. Of the table a token
 * reads one row, so it is neither packed nor need it be in memory. */
#include "inference/engine/engine_in.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define COLS 32 /* of a batch whose parts are made together: that bounds what is put aside */

struct inputs {
    float *part; /* [batch, layers, n] */
    float *made; /* [COLS, layers, n] of the stream */
    float *gate; /* [batch, n] */
};

static size_t cols_of(uint32_t batch)
{
    return batch < COLS ? batch : COLS;
}

struct inputs *inputs_new(const struct model *m, uint32_t batch)
{
    if (!m->input_n)
        return NULL;
    struct inputs *t = mem_new(sizeof *t);
    const size_t all = (size_t)m->layers * m->input_n;
    t->part = mem_array(batch * all, sizeof *t->part);
    t->made = mem_array(cols_of(batch) * all, sizeof *t->made);
    t->gate = mem_array((size_t)batch * m->input_n, sizeof *t->gate);
    return t;
}

void inputs_free(struct inputs *t)
{
    if (!t)
        return;
    free(t->part);
    free(t->made);
    free(t->gate);
    free(t);
}

uint64_t inputs_bytes(const struct model *m, uint32_t batch)
{
    const uint64_t all = (uint64_t)m->layers * m->input_n;
    return ((batch + cols_of(batch)) * all + (uint64_t)batch * m->input_n) * sizeof(float);
}

struct make_step {
    struct engine *e;
    size_t from; /* row of the batch that the first of `made` is of */
};

static void make_part(void *arg, size_t first, size_t end)
{
    const struct make_step *t = arg;
    struct engine *e = t->e;
    const struct model *m = e->m;
    const size_t n = m->input_n, all = m->layers * n;
    const float root = 1.0f / sqrtf((float)(int32_t)m->embed), half = 1.0f / sqrtf(2.0f);
    for (size_t c = first; c < end; c++) {
        float *made = e->inputs->made + c * all, *part = e->inputs->part + (t->from + c) * all;
        engine_read_row(e, &m->inputs, e->rows[t->from + c].token, part);
        e->ops->scale(part, sqrtf((float)(int32_t)n), all);
        e->ops->scale(made, root, all);
        for (size_t l = 0; l < m->layers; l++)
            e->ops->norm(made + l * n, m->inputs_norm.gain, m->epsilon, n, made + l * n);
        e->ops->add(part, made, all);
        e->ops->scale(part, half, all);
    }
}

void inputs_make(struct engine *e)
{
    const struct model *m = e->m;
    for (size_t from = 0, cols; from < e->n; from += cols) {
        cols = e->n - from < COLS ? e->n - from : COLS;
        struct make_step t = {e, from};
        struct ops_input in =
            engine_input(e, e->x + from * m->embed, m->embed, cols, e->slot + from, &m->inputs_stream.w, NULL, NULL);
        engine_product(e, &m->inputs_stream, &in, e->inputs->made);
        pool_run(e->pool, cols, 1, make_part, &t);
    }
}

struct gate_step {
    struct engine *e;
    uint32_t layer;
};

static void gate_part(void *arg, size_t first, size_t end)
{
    const struct gate_step *t = arg;
    const struct engine *e = t->e;
    const size_t n = e->m->input_n;
    for (size_t c = first; c < end; c++) {
        float *gate = e->inputs->gate + c * n;
        e->ops->gated_gelu(gate, e->inputs->part + ((size_t)e->slot[c] * e->m->layers + t->layer) * n, n, gate);
    }
}

void inputs_run(struct engine *e, uint32_t layer, size_t cols)
{
    const struct model_input *l = &e->m->layer[layer].input;
    const size_t n = e->m->input_n;
    struct gate_step t = {e, layer};
    struct ops_input in = engine_input(e, e->x, e->m->embed, cols, e->slot, &l->gate.w, NULL, NULL);
    engine_product(e, &l->gate, &in, e->inputs->gate);
    pool_run(e->pool, cols, 1, gate_part, &t);
    in = engine_input(e, e->inputs->gate, n, cols, e->slot, &l->back.w, NULL, NULL);
    engine_product(e, &l->back, &in, e->back);
}
