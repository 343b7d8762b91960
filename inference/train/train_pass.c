/* Forth and back through the layers; see the header. */
#include "inference/train/train_pass.h"

#include "base/mem.h"
#include "inference/engine/rope.h"
#include "inference/kernels/arith_fn.h"
#include "inference/train/train_attend.h"
#include "inference/train/train_pass_in.h"

#include <stdlib.h>
#include <string.h>

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool norms_heads(const struct model_layer *l)
{
    return l->query_norm.gain != NULL;
}

/* -- memory -- */

/* Takes n floats off the front, or only counts them. */
static float *take(float **memory, uint64_t *all, size_t n)
{
    float *here = *memory;
    *all += n;
    if (here)
        *memory += n;
    return here;
}

static void place_layer(const struct train_pass_options *o, uint32_t i, struct kept *k, float **at, uint64_t *all)
{
    const struct train_lora *l = o->lora;
    const struct model *m = l->m;
    const size_t t = o->length, q = (size_t)m->heads * m->head, kv = (size_t)m->heads_kv * m->head;
    k->in = take(at, all, m->embed * t);
    k->mid = take(at, all, m->embed * t);
    k->qkv = take(at, all, (q + 2 * kv) * t);
    k->o = take(at, all, q * t);
    k->mix = m->layer[i].expert ? NULL : take(at, all, 2 * m->mix * t);
    k->plain = norms_heads(&m->layer[i]) ? take(at, all, (q + kv) * t) : NULL;
    k->branch[0] = m->layer[i].attention_post.gain ? take(at, all, m->embed * t) : NULL;
    k->branch[1] = m->layer[i].mix_post.gain ? take(at, all, m->embed * t) : NULL;
    for (size_t s = l->first[i]; s < l->first[i + 1]; s++)
        k->low[s - l->first[i]] = take(at, all, l->rank * t);
}

/* Everything in one piece; `p->memory` NULL only counts. */
static uint64_t place(struct train_pass *p, const struct train_pass_options *o)
{
    const struct model *m = o->lora->m;
    const size_t t = o->length, widest = most(train_place_rows(m, TRAIN_QKV), train_place_rows(m, TRAIN_MIX));
    float *at = p->memory;
    uint64_t all = 0;
    struct kept none;
    for (uint32_t i = 0; i < m->layers; i++)
        place_layer(o, i, p->kept ? &p->kept[i] : &none, &at, &all);
    p->x = take(&at, &all, m->embed * t);
    p->h = take(&at, &all, m->embed * t);
    p->dh = take(&at, &all, m->embed * t);
    p->branch = take(&at, &all, m->embed * t);
    p->wide = take(&at, &all, most(widest, (size_t)m->heads * m->head) * t);
    p->dwide = take(&at, &all, widest * t);
    p->act = take(&at, &all, m->mix * t);
    p->low = take(&at, &all, o->lora->rank * t);
    p->frozen = take(&at, &all, (size_t)m->low_rank * t);
    p->turned = take(&at, &all, o->lora->rank * t);
    p->logits = take(&at, &all, m->vocab * t);
    p->weights = take(&at, &all, train_pass_weights(m));
    p->scratch = take(&at, &all, m->heads * TRAIN_SCRATCH(t));
    p->largest = take(&at, &all, t);
    p->sum = take(&at, &all, t);
    for (size_t i = 0; i < MODEL_ROPE_COUNT; i++) {
        p->cosine[i] = take(&at, &all, m->rope_pairs * t);
        p->sine[i] = take(&at, &all, m->rope_pairs * t);
    }
    return all;
}

uint64_t train_pass_bytes(const struct train_pass_options *o)
{
    struct train_pass p = {.memory = NULL};
    return place(&p, o) * sizeof(float) + train_moe_bytes(o->lora->m, o->length);
}

static void make_angles(struct train_pass *p, size_t way)
{
    struct rope *r = rope_new(&p->m->rope[way], p->m->rope_pairs, (uint32_t)p->t);
    rope_prepare(r, (uint32_t)p->t);
    for (uint32_t i = 0; i < p->t; i++) {
        const float *sine, *cosine = rope_at(r, i, &sine);
        for (size_t j = 0; j < p->m->rope_pairs; j++) {
            p->cosine[way][j * p->t + i] = cosine[j];
            p->sine[way][j * p->t + i] = sine[j];
        }
    }
    rope_free(r);
}

struct train_pass *train_pass_new(const struct train_pass_options *o)
{
    struct train_pass *p = mem_new(sizeof *p);
    p->o = *o;
    p->m = o->lora->m;
    p->t = o->length;
    p->kept = mem_array(p->m->layers, sizeof *p->kept);
    p->memory = mem_array((size_t)place(p, o), sizeof *p->memory);
    place(p, o);
    p->nll = mem_array(p->t, sizeof *p->nll);
    p->moe = train_moe_new(p->m, p->t);
    for (size_t way = 0; p->m->rope_pairs && way < MODEL_ROPE_COUNT; way++)
        make_angles(p, way);
    return p;
}

void train_pass_free(struct train_pass *p)
{
    if (!p)
        return;
    free(p->memory);
    free(p->kept);
    free(p->nll);
    train_moe_free(p->moe);
    free(p);
}

static struct train_attend attend_of(const struct train_pass *p, uint32_t layer, float *o)
{
    return (struct train_attend){.set = p->o.set,
                                 .m = p->m,
                                 .window = p->m->layer[layer].window,
                                 .t = p->t,
                                 .qkv = p->kept[layer].qkv,
                                 .o = o,
                                 .dqkv = p->dwide,
                                 .scratch = p->scratch};
}

/* -- layers -- */

static void run_mix(struct train_pass *p, uint32_t i, const float *x, float *made)
{
    const struct model *m = p->m;
    const struct model_layer *l = &m->layer[i];
    float *mix = p->kept[i].mix;
    if (l->expert) {
        train_pass_experts(p, i, x, made);
        return;
    }
    train_pass_place(p, i, TRAIN_MIX, x, mix);
    train_pass_bias(p, l->gate.bias, m->mix, mix);
    train_pass_bias(p, l->up.bias, m->mix, mix + m->mix * p->t);
    train_pass_gate(p, mix, p->act);
    train_pass_place(p, i, TRAIN_DOWN, p->act, made);
    train_pass_bias(p, l->down.bias, m->embed, made);
}

/* From p->branch to p->dh. */
static void run_mix_back(struct train_pass *p, uint32_t i)
{
    const struct model_layer *l = &p->m->layer[i];
    const struct kept *k = &p->kept[i];
    if (l->expert) {
        train_pass_experts_back(p, i, train_pass_enter(p, &l->mix_norm, k->mid), p->branch, p->dh);
        return;
    }
    train_pass_gate(p, k->mix, p->act);
    train_pass_place_back(p, i, TRAIN_DOWN, p->act, p->branch, p->wide);
    train_pass_gate_back(p, k->mix, p->wide, p->dwide);
    train_pass_place_back(p, i, TRAIN_MIX, train_pass_enter(p, &l->mix_norm, k->mid), p->dwide, p->dh);
}

static void run_layer(struct train_pass *p, uint32_t i)
{
    const struct model *m = p->m;
    const struct model_layer *l = &m->layer[i];
    const struct kept *k = &p->kept[i];
    const size_t t = p->t, q = (size_t)m->heads * m->head, kv = (size_t)m->heads_kv * m->head, stream = m->embed * t;
    float *made = k->branch[0] ? k->branch[0] : p->branch;
    memcpy(k->in, p->x, stream * sizeof *p->x);
    train_pass_place(p, i, TRAIN_QKV, train_pass_enter(p, &l->attention_norm, k->in), k->qkv);
    train_pass_bias(p, l->query.bias, q, k->qkv);
    train_pass_bias(p, l->key.bias, kv, k->qkv + q * t);
    train_pass_bias(p, l->value.bias, kv, k->qkv + (q + kv) * t);
    if (k->plain)
        memcpy(k->plain, k->qkv, (q + kv) * t * sizeof *p->x);
    train_pass_heads(p, i, k->qkv, false);
    const struct train_attend a = attend_of(p, i, k->o);
    train_attend(&a, p->o.pool);
    train_pass_place(p, i, TRAIN_OUTPUT, k->o, made);
    train_pass_bias(p, l->output.bias, m->embed, made);
    train_pass_leave(p, &l->attention_post, made);
    memcpy(k->mid, p->x, stream * sizeof *p->x);
    made = k->branch[1] ? k->branch[1] : p->branch;
    run_mix(p, i, train_pass_enter(p, &l->mix_norm, k->mid), made);
    train_pass_leave(p, &l->mix_post, made);
}

static void run_layer_back(struct train_pass *p, uint32_t i)
{
    const struct model_layer *l = &p->m->layer[i];
    const struct kept *k = &p->kept[i];
    train_pass_leave_back(p, &l->mix_post, k->branch[1]);
    run_mix_back(p, i);
    train_pass_enter_back(p, &l->mix_norm, k->mid);
    train_pass_leave_back(p, &l->attention_post, k->branch[0]);
    train_pass_place_back(p, i, TRAIN_OUTPUT, k->o, p->branch, p->wide);
    const struct train_attend a = attend_of(p, i, p->wide);
    train_attend_back(&a, p->o.pool);
    train_pass_heads(p, i, p->dwide, true);
    train_pass_place_back(p, i, TRAIN_QKV, train_pass_enter(p, &l->attention_norm, k->in), p->dwide, i ? p->dh : NULL);
    if (i) /* what comes before the first is the embedding, which is not trained */
        train_pass_enter_back(p, &l->attention_norm, k->in);
}

/* -- ends -- */

static void embed(struct train_pass *p, const uint32_t *tokens)
{
    const struct ops_weight *w = &p->m->embedding;
    for (size_t i = 0; i < p->t; i++) {
        quant_read_row(w->type, w->data + tokens[i] * w->row_bytes, w->n, p->weights);
        for (size_t f = 0; f < w->n; f++)
            p->x[f * p->t + i] = p->m->embed_scale == 1.0f ? p->weights[f] : p->weights[f] * p->m->embed_scale;
    }
}

/* Logits become their exponentials, less the largest; at the end of each position its loss is known. */
static void loss_part(void *arg, size_t first, size_t end)
{
    struct train_pass *p = arg;
    const size_t t = p->t, vocab = p->m->vocab;
    first *= TRAIN_PASS_CUT;
    end *= TRAIN_PASS_CUT;
    for (size_t i = first; i < end; i++) {
        p->largest[i] = p->logits[i];
        p->sum[i] = 0.0f;
    }
    for (size_t v = 0; v < vocab; v++)
        for (size_t i = first; i < end; i++)
            p->largest[i] = p->logits[v * t + i] > p->largest[i] ? p->logits[v * t + i] : p->largest[i];
    for (size_t i = first; i < end; i++)
        p->nll[i] = -(double)(p->logits[p->tokens[i + 1] * t + i] - p->largest[i]);
    for (size_t v = 0; v < vocab; v++)
        for (size_t i = first; i < end; i++) {
            float e = arith_fn_exp(p->logits[v * t + i] - p->largest[i]);
            p->logits[v * t + i] = e;
            p->sum[i] = p->sum[i] + e;
        }
    for (size_t i = first; i < end; i++)
        p->nll[i] = arith_log_f64((double)p->sum[i]) + p->nll[i];
}

static void scale_part(void *arg, size_t first, size_t end)
{
    struct train_pass *p = arg;
    for (size_t i = first * p->t; i < end * p->t; i++)
        p->logits[i] = p->logits[i] * p->m->logit_scale;
}

double train_pass_loss(struct train_pass *p, const uint32_t *tokens, const uint8_t *counts)
{
    const struct model *m = p->m;
    double sum = 0;
    p->tokens = tokens;
    p->counts = counts;
    embed(p, tokens);
    for (uint32_t i = 0; i < m->layers; i++)
        run_layer(p, i);
    train_pass_norm(p, p->x, m->output_norm.gain, p->h);
    train_pass_weigh(p, &m->output.w, p->t, p->h, p->logits, false);
    train_pass_bias(p, m->output.bias, m->vocab, p->logits);
    if (m->logit_scale != 1.0f)
        pool_run(p->o.pool, m->vocab, 16, scale_part, p);
    pool_run(p->o.pool, p->t / TRAIN_PASS_CUT, 1, loss_part, p);
    for (size_t i = 0; i < p->t; i++)
        if (counts[i])
            sum = sum + p->nll[i];
    return sum;
}

struct loss_step {
    struct train_pass *p;
    float each; /* 1 / n */
};

static void loss_back_part(void *arg, size_t first, size_t end)
{
    const struct loss_step *s = arg;
    const struct train_pass *p = s->p;
    for (size_t v = first; v < end; v++)
        for (size_t i = 0; i < p->t; i++) {
            float part = p->logits[v * p->t + i] / p->sum[i], target = v == p->tokens[i + 1] ? 1.0f : 0.0f;
            p->logits[v * p->t + i] = p->counts[i] ? (part - target) * s->each : 0.0f;
        }
}

void train_pass_back(struct train_pass *p, uint64_t n)
{
    const struct model *m = p->m;
    struct loss_step s = {p, 1.0f / (float)n};
    pool_run(p->o.pool, m->vocab, 16, loss_back_part, &s);
    if (m->logit_scale != 1.0f)
        pool_run(p->o.pool, m->vocab, 16, scale_part, p);
    train_pass_weigh_back(p, &m->output.w, p->t, p->logits, p->dh, false);
    train_pass_norm_back(p, p->x, m->output_norm.gain, p->dh, p->x, false);
    for (uint32_t i = m->layers; i-- > 0;)
        run_layer_back(p, i);
}
