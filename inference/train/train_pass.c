/* Forth and back through the layers; see the header. What is called d... is the gradient of what is called so without.
 */
#include "inference/train/train_pass.h"

#include "base/mem.h"
#include "inference/engine/rope.h"
#include "inference/kernels/arith_fn.h"
#include "inference/train/train_attend.h"
#include "inference/train/train_rows.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (4u << 20) /* of weights that are read out at once */

/* What is kept of a layer; [.., t] each. */
struct kept {
    float *in, *mid;             /* [embed]: the stream before each branch */
    float *plain;                /* [heads + heads_kv, head]: queries and keys before their norms; or NULL */
    float *qkv, *o;              /* normed and turned; what attention makes */
    float *mix;                  /* [2 mix]: gate and up */
    float *branch[2];            /* [embed]: what the branches made, where that is normed; or NULL */
    float *low[TRAIN_SITES_MAX]; /* [rank]: (A x) scaled */
};

struct train_pass {
    struct train_pass_options o;
    const struct model *m;
    size_t t;
    float *memory;
    struct kept *kept;                                        /* [layers] */
    float *x;                                                 /* [embed, t]: the stream; going back its gradient */
    float *h, *dh, *branch;                                   /* [embed, t] */
    float *wide, *dwide;                                      /* [the widest place, t] */
    float *act;                                               /* [mix, t] */
    float *low, *turned;                                      /* [rank, t], [t, rank] */
    float *logits;                                            /* [vocab, t] */
    float *weights;                                           /* rows that were read out */
    float *scratch;                                           /* attention's */
    float *cosine[MODEL_ROPE_COUNT], *sine[MODEL_ROPE_COUNT]; /* [rope_pairs, t], or NULL */
    double *nll;                                              /* [t] */
    float *largest, *sum;                                     /* [t]: of logits, of their exponentials */
    const uint32_t *tokens;                                   /* of train_pass_loss */
    const uint8_t *counts;
};

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
    k->mix = take(at, all, 2 * m->mix * t);
    k->plain = norms_heads(&m->layer[i]) ? take(at, all, (q + kv) * t) : NULL;
    k->branch[0] = m->layer[i].attention_post.gain ? take(at, all, m->embed * t) : NULL;
    k->branch[1] = m->layer[i].mix_post.gain ? take(at, all, m->embed * t) : NULL;
    for (size_t s = l->first[i]; s < l->first[i + 1]; s++)
        k->low[s - l->first[i]] = take(at, all, l->rank * t);
}

/* Rows of a matrix of n columns that are read out at once. */
static size_t chunk_rows(size_t n)
{
    size_t rows = CHUNK_BYTES / sizeof(float) / n / 16 * 16;
    return rows < 16 ? 16 : rows;
}

static size_t longest_row(const struct model *m)
{
    return most(most(m->embed, m->mix), (size_t)m->heads * m->head);
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
    p->turned = take(&at, &all, o->lora->rank * t);
    p->logits = take(&at, &all, m->vocab * t);
    p->weights = take(&at, &all, most(CHUNK_BYTES / sizeof(float), 16 * longest_row(m)));
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
    return place(&p, o) * sizeof(float);
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
    free(p);
}

/* -- products -- */

struct read_step {
    const struct ops_weight *w;
    size_t from;
    float *out;
};

static void read_part(void *arg, size_t first, size_t end)
{
    const struct read_step *r = arg;
    for (size_t i = first; i < end; i++)
        quant_read_row(r->w->type, r->w->data + (r->from + i) * r->w->row_bytes, r->w->n, r->out + i * r->w->n);
}

/* Rows [from, from + rows) of a matrix into p->weights. */
static void read_rows(struct train_pass *p, const struct ops_weight *w, size_t from, size_t rows)
{
    struct read_step r = {w, from, p->weights};
    pool_run(p->o.pool, rows, 16, read_part, &r);
}

static void multiply(struct train_pass *p, const struct train_product *product)
{
    train_multiply_all(p->o.set, p->o.pool, product);
}

/* y[rows, t] = W x */
static void weigh(struct train_pass *p, const struct ops_weight *w, const float *x, float *y)
{
    const size_t chunk = chunk_rows(w->n), t = p->t;
    for (size_t r = 0, rows; r < w->rows; r += rows) {
        rows = w->rows - r < chunk ? w->rows - r : chunk;
        read_rows(p, w, r, rows);
        multiply(p, &(struct train_product){.m = rows,
                                            .n = t,
                                            .k = w->n,
                                            .a = p->weights,
                                            .am = w->n,
                                            .ak = 1,
                                            .b = x,
                                            .bk = t,
                                            .c = y + r * t,
                                            .cm = t});
    }
}

/* dx[n, t] = W' dy, or goes on from what is there. */
static void weigh_back(struct train_pass *p, const struct ops_weight *w, const float *dy, float *dx, bool add)
{
    const size_t chunk = chunk_rows(w->n), t = p->t;
    for (size_t r = 0, rows; r < w->rows; r += rows) {
        rows = w->rows - r < chunk ? w->rows - r : chunk;
        read_rows(p, w, r, rows);
        multiply(p, &(struct train_product){.m = w->n,
                                            .n = t,
                                            .k = rows,
                                            .a = p->weights,
                                            .am = 1,
                                            .ak = w->n,
                                            .b = dy + r * t,
                                            .bk = t,
                                            .c = dx,
                                            .cm = t,
                                            .add = add || r > 0});
    }
}

static void scale_low(const struct train_pass *p, float *low)
{
    for (size_t i = 0; i < p->o.lora->rank * p->t; i++)
        low[i] = low[i] * p->o.lora->scale;
}

/* y = W x + B low, low[rank, t] = (A x) scale. */
static void run_site(struct train_pass *p, const struct train_site *s, const float *x, float *low, float *y)
{
    const size_t t = p->t, rank = p->o.lora->rank, n = s->w.n, rows = s->w.rows;
    weigh(p, &s->w, x, y);
    multiply(p, &(struct train_product){
                    .m = rank, .n = t, .k = n, .a = s->a, .am = 1, .ak = rank, .b = x, .bk = t, .c = low, .cm = t});
    scale_low(p, low);
    multiply(p, &(struct train_product){.m = rows,
                                        .n = t,
                                        .k = rank,
                                        .a = s->b,
                                        .am = rank,
                                        .ak = 1,
                                        .b = low,
                                        .bk = t,
                                        .c = y,
                                        .cm = t,
                                        .add = true});
}

/* p->turned[t, rank] = low[rank, t] the other way round. */
static void turn_low(struct train_pass *p, const float *low)
{
    const size_t t = p->t, rank = p->o.lora->rank;
    for (size_t q = 0; q < rank; q++)
        for (size_t i = 0; i < t; i++)
            p->turned[i * rank + q] = low[q * t + i];
}

/* gradient[rows, rank] += x[rows, t] turned. */
static void add_gradient(struct train_pass *p, const float *x, size_t rows, float *gradient)
{
    const size_t t = p->t, rank = p->o.lora->rank;
    multiply(p, &(struct train_product){.m = rows,
                                        .n = rank,
                                        .k = t,
                                        .a = x,
                                        .am = t,
                                        .ak = 1,
                                        .b = p->turned,
                                        .bk = rank,
                                        .c = gradient,
                                        .cm = rank,
                                        .add = true});
}

/* Gradients of a pair, and of the site's input: dx set, gone on with (`add`), or not wanted (NULL). */
static void run_site_back(struct train_pass *p, const struct train_site *s, const float *x, const float *low,
                          const float *dy, float *dx, bool add)
{
    const size_t t = p->t, rank = p->o.lora->rank, n = s->w.n, rows = s->w.rows;
    turn_low(p, low);
    add_gradient(p, dy, rows, s->db);
    multiply(p,
             &(struct train_product){
                 .m = rank, .n = t, .k = rows, .a = s->b, .am = 1, .ak = rank, .b = dy, .bk = t, .c = p->low, .cm = t});
    scale_low(p, p->low);
    turn_low(p, p->low);
    add_gradient(p, x, n, s->da);
    if (!dx)
        return;
    weigh_back(p, &s->w, dy, dx, add);
    multiply(p, &(struct train_product){.m = n,
                                        .n = t,
                                        .k = rank,
                                        .a = s->a,
                                        .am = rank,
                                        .ak = 1,
                                        .b = p->low,
                                        .bk = t,
                                        .c = dx,
                                        .cm = t,
                                        .add = true});
}

static void run_place(struct train_pass *p, uint32_t layer, enum train_place place, const float *x, float *y)
{
    const struct train_lora *l = p->o.lora;
    for (size_t i = l->first[layer]; i < l->first[layer + 1]; i++)
        if (l->site[i].place == place)
            run_site(p, &l->site[i], x, p->kept[layer].low[i - l->first[layer]], y + l->site[i].to * p->t);
}

static void run_place_back(struct train_pass *p, uint32_t layer, enum train_place place, const float *x,
                           const float *dy, float *dx)
{
    const struct train_lora *l = p->o.lora;
    for (size_t i = l->first[layer]; i < l->first[layer + 1]; i++) {
        const struct train_site *s = &l->site[i];
        if (s->place == place)
            run_site_back(p, s, x, p->kept[layer].low[i - l->first[layer]], dy + s->to * p->t, dx, s->to > 0);
    }
}

/* -- rows -- */

#define CUT 16 /* positions of a part, so that lengths are multiples of it */

struct row_step {
    const struct train_pass *p;
    const struct model_layer *l;
    const float *x, *gain, *d;
    float *out;
    size_t n;
    bool back, add;
};

static void norm_part(void *arg, size_t first, size_t end)
{
    const struct row_step *s = arg;
    const struct train_cut c = {s->p->t, first * CUT, end * CUT};
    if (s->back)
        train_norm_back(&c, s->x, s->gain, s->p->m->epsilon, s->n, s->d, s->out, s->add);
    else
        train_norm(&c, s->x, s->gain, s->p->m->epsilon, s->n, s->out);
}

static void run_norm(struct train_pass *p, const float *x, const float *gain, float *out)
{
    struct row_step s = {.p = p, .x = x, .gain = gain, .out = out, .n = p->m->embed};
    pool_run(p->o.pool, p->t / CUT, 1, norm_part, &s);
}

static void run_norm_back(struct train_pass *p, const float *x, const float *gain, const float *d, float *out, bool add)
{
    struct row_step s = {.p = p, .x = x, .gain = gain, .out = out, .n = p->m->embed, .d = d, .back = true, .add = add};
    pool_run(p->o.pool, p->t / CUT, 1, norm_part, &s);
}

/* The stream as it enters a branch. */
static const float *enter(struct train_pass *p, const struct model_norm *norm, const float *x)
{
    if (!norm->gain)
        return x;
    run_norm(p, x, norm->gain, p->h);
    return p->h;
}

static void add_rows(float *x, const float *y, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = by == 1.0f ? x[i] + y[i] : x[i] + y[i] * by;
}

/* What a branch made is normed, where the model has it so, and added to the stream. */
static void leave(struct train_pass *p, const struct model_norm *post, const float *made)
{
    if (post->gain)
        run_norm(p, made, post->gain, p->branch);
    add_rows(p->x, p->branch, p->m->branch_scale, p->m->embed * p->t);
}

/* p->branch: the gradient of what the branch made, from that of the stream behind it. */
static void leave_back(struct train_pass *p, const struct model_norm *post, const float *made)
{
    const size_t n = p->m->embed * p->t;
    for (size_t i = 0; i < n; i++)
        p->branch[i] = p->x[i] * p->m->branch_scale;
    if (post->gain)
        run_norm_back(p, made, post->gain, p->branch, p->branch, false);
}

/* p->x goes on to the stream before the branch, from p->dh, the gradient of what entered it. */
static void enter_back(struct train_pass *p, const struct model_norm *norm, const float *x)
{
    if (norm->gain)
        run_norm_back(p, x, norm->gain, p->dh, p->x, true);
    else
        add_rows(p->x, p->dh, 1.0f, p->m->embed * p->t);
}

static void add_bias(const struct train_pass *p, const float *bias, size_t rows, float *y)
{
    for (size_t r = 0; bias && r < rows; r++)
        for (size_t i = 0; i < p->t; i++)
            y[r * p->t + i] = y[r * p->t + i] + bias[r];
}

/* -- heads -- */

static size_t way_of(const struct train_pass *p, const struct model_layer *l)
{
    const struct model *m = p->m;
    if (l->window && m->kind->has & HAS_LOCAL_TURNS)
        return MODEL_ROPE_LOCAL;
    return m->rope_long_from && p->t > m->rope_long_from ? MODEL_ROPE_LONG : MODEL_ROPE;
}

/* Heads [first, end) of queries and keys, which follow each other: normed, then turned; or both undone for gradients.
 */
static void heads_part(void *arg, size_t first, size_t end)
{
    const struct row_step *s = arg;
    const struct model *m = s->p->m;
    const struct train_cut c = {s->p->t, 0, s->p->t};
    const size_t way = way_of(s->p, s->l), each = m->head * s->p->t;
    for (size_t i = first; i < end; i++) {
        const float *gain = i < m->heads ? s->l->query_norm.gain : s->l->key_norm.gain, *x = s->x + i * each;
        float *y = s->out + i * each;
        if (!s->back && gain)
            train_norm(&c, x, gain, m->epsilon, m->head, y);
        if (!s->l->is_still && m->rope_pairs)
            train_turn(&c, y, s->p->cosine[way], s->p->sine[way], m->rope_pairs, m->kind->has & HAS_HALVES, s->back);
        if (s->back && gain)
            train_norm_back(&c, x, gain, m->epsilon, m->head, y, y, false);
    }
}

static void run_heads(struct train_pass *p, uint32_t layer, float *y, bool back)
{
    struct row_step s = {.p = p, .l = &p->m->layer[layer], .x = p->kept[layer].plain, .out = y, .back = back};
    if (!s.x)
        s.x = y; /* nothing is normed */
    pool_run(p->o.pool, p->m->heads + p->m->heads_kv, 1, heads_part, &s);
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

/* -- gates -- */

static void gate_part(void *arg, size_t first, size_t end)
{
    const struct row_step *s = arg;
    const size_t t = s->p->t, from = first * t, n = (end - first) * t, all = s->n * t;
    const bool gelu = s->p->m->kind->has & HAS_GELU;
    if (s->back)
        train_gate_back(s->x + from, s->x + all + from, s->d + from, n, gelu, s->out + from, s->out + all + from);
    else
        train_gate(s->x + from, s->x + all + from, n, gelu, s->out + from);
}

static void run_gate(struct train_pass *p, const float *mix, float *out)
{
    struct row_step s = {.p = p, .x = mix, .out = out, .n = p->m->mix};
    pool_run(p->o.pool, p->m->mix, 16, gate_part, &s);
}

static void run_gate_back(struct train_pass *p, const float *mix, const float *d, float *out)
{
    struct row_step s = {.p = p, .x = mix, .out = out, .n = p->m->mix, .d = d, .back = true};
    pool_run(p->o.pool, p->m->mix, 16, gate_part, &s);
}

/* -- layers -- */

static void run_layer(struct train_pass *p, uint32_t i)
{
    const struct model *m = p->m;
    const struct model_layer *l = &m->layer[i];
    const struct kept *k = &p->kept[i];
    const size_t t = p->t, q = (size_t)m->heads * m->head, kv = (size_t)m->heads_kv * m->head, stream = m->embed * t;
    float *made = k->branch[0] ? k->branch[0] : p->branch;
    memcpy(k->in, p->x, stream * sizeof *p->x);
    run_place(p, i, TRAIN_QKV, enter(p, &l->attention_norm, k->in), k->qkv);
    add_bias(p, l->query.bias, q, k->qkv);
    add_bias(p, l->key.bias, kv, k->qkv + q * t);
    add_bias(p, l->value.bias, kv, k->qkv + (q + kv) * t);
    if (k->plain)
        memcpy(k->plain, k->qkv, (q + kv) * t * sizeof *p->x);
    run_heads(p, i, k->qkv, false);
    const struct train_attend a = attend_of(p, i, k->o);
    train_attend(&a, p->o.pool);
    run_place(p, i, TRAIN_OUTPUT, k->o, made);
    add_bias(p, l->output.bias, m->embed, made);
    leave(p, &l->attention_post, made);
    memcpy(k->mid, p->x, stream * sizeof *p->x);
    run_place(p, i, TRAIN_MIX, enter(p, &l->mix_norm, k->mid), k->mix);
    add_bias(p, l->gate.bias, m->mix, k->mix);
    add_bias(p, l->up.bias, m->mix, k->mix + m->mix * t);
    run_gate(p, k->mix, p->act);
    made = k->branch[1] ? k->branch[1] : p->branch;
    run_place(p, i, TRAIN_DOWN, p->act, made);
    add_bias(p, l->down.bias, m->embed, made);
    leave(p, &l->mix_post, made);
}

static void run_layer_back(struct train_pass *p, uint32_t i)
{
    const struct model_layer *l = &p->m->layer[i];
    const struct kept *k = &p->kept[i];
    leave_back(p, &l->mix_post, k->branch[1]);
    run_gate(p, k->mix, p->act);
    run_place_back(p, i, TRAIN_DOWN, p->act, p->branch, p->wide);
    run_gate_back(p, k->mix, p->wide, p->dwide);
    run_place_back(p, i, TRAIN_MIX, enter(p, &l->mix_norm, k->mid), p->dwide, p->dh);
    enter_back(p, &l->mix_norm, k->mid);
    leave_back(p, &l->attention_post, k->branch[0]);
    run_place_back(p, i, TRAIN_OUTPUT, k->o, p->branch, p->wide);
    const struct train_attend a = attend_of(p, i, p->wide);
    train_attend_back(&a, p->o.pool);
    run_heads(p, i, p->dwide, true);
    run_place_back(p, i, TRAIN_QKV, enter(p, &l->attention_norm, k->in), p->dwide, i ? p->dh : NULL);
    if (i) /* what comes before the first is the embedding, which is not trained */
        enter_back(p, &l->attention_norm, k->in);
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
    first *= CUT;
    end *= CUT;
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
    run_norm(p, p->x, m->output_norm.gain, p->h);
    weigh(p, &m->output.w, p->h, p->logits);
    add_bias(p, m->output.bias, m->vocab, p->logits);
    if (m->logit_scale != 1.0f)
        pool_run(p->o.pool, m->vocab, 16, scale_part, p);
    pool_run(p->o.pool, p->t / CUT, 1, loss_part, p);
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
    weigh_back(p, &m->output.w, p->logits, p->dh, false);
    run_norm_back(p, p->x, m->output_norm.gain, p->dh, p->x, false);
    for (uint32_t i = m->layers; i-- > 0;)
        run_layer_back(p, i);
}
