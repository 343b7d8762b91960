/* Training's products, and its passes forth and back: sets of kernels against the reference by equality, gradients
 * against differences of a second, plain implementation in binary64. */
#include "base/mem.h"
#include "inference/engine/rope.h"
#include "inference/train/train_pass.h"
#include "tests/model_eval.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define T_MOST   80 /* beyond the windows of the models here */
#define RANK     3
#define ALPHA    5.0f
#define READ_MAX 1024 /* matrices of a model here */

static uint64_t state = 1;
static double draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(uint32_t)(state >> 32) * 0x1p-31;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)draw();
}

/* -- products -- */

struct shape {
    size_t m, n, k;
    bool turned, add;
};

static void compare_product(const struct train_set *set, struct pool *pool, const struct shape *s)
{
    float *a = mem_array(s->m * s->k, sizeof *a), *b = mem_array(s->k * s->n, sizeof *b);
    float *want = mem_array(s->m * s->n, sizeof *want), *got = mem_array(s->m * s->n, sizeof *got);
    fill(a, s->m * s->k);
    fill(b, s->k * s->n);
    fill(want, s->m * s->n);
    memcpy(got, want, s->m * s->n * sizeof *got);
    struct train_product p = {.m = s->m,
                              .n = s->n,
                              .k = s->k,
                              .a = a,
                              .am = s->turned ? 1 : s->k,
                              .ak = s->turned ? s->m : 1,
                              .b = b,
                              .bk = s->n,
                              .c = want,
                              .cm = s->n,
                              .add = s->add};
    train_multiply(&train_set_ref, &p);
    p.c = got;
    if (pool)
        train_multiply_all(set, pool, &p);
    else
        train_multiply(set, &p);
    assert_memory_equal(want, got, s->m * s->n * sizeof *got);
    free(a);
    free(b);
    free(want);
    free(got);
}

static void test_products(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {1, 3, 8, 16, 31, 97, 130, 257, 300};
    struct pool *pools[] = {NULL, pool_new(1), pool_new(2), pool_new(5)};
    for (size_t i = 0; train_set_at(i); i++)
        for (size_t at = 0; at < 60; at++) {
            const struct shape s = {sizes[at * 7 % 9], sizes[(at * 5 + 2) % 9], sizes[(at * 11 + at / 9) % 9], at % 2,
                                    at % 3 == 0};
            compare_product(train_set_at(i), pools[at % 4], &s);
        }
    for (size_t i = 1; i < 4; i++)
        pool_free(pools[i]);
}

/* -- the second implementation -- */

struct plain {
    const struct train_lora *l;
    size_t t;
    const double *value;                 /* in the place of l->value */
    struct rope *rope[MODEL_ROPE_COUNT]; /* of t positions */
    struct {
        const uint8_t *data;
        float *rows;
    } read[READ_MAX]; /* matrices that were read out */
    bool *taken;      /* [layers, t, experts]: as chosen the first time, since a choice has no gradient */
    bool has_taken;
};

static const float *rows_of(struct plain *p, const struct ops_weight *w)
{
    size_t i = 0;
    while (p->read[i].data && p->read[i].data != w->data)
        assert_true(++i < READ_MAX);
    if (!p->read[i].data) {
        p->read[i].data = w->data;
        p->read[i].rows = mem_array(w->rows * w->n, sizeof(float));
        for (size_t r = 0; r < w->rows; r++)
            quant_read_row(w->type, w->data + r * w->row_bytes, w->n, p->read[i].rows + r * w->n);
    }
    return p->read[i].rows;
}

static void plain_init(struct plain *p, const struct train_lora *l, size_t t, const double *value)
{
    *p = (struct plain){.l = l, .t = t, .value = value};
    p->taken = mem_array((l->m->layers * t + 1) * (l->m->experts + 1), sizeof *p->taken);
    for (size_t i = 0; i < MODEL_ROPE_COUNT; i++) {
        p->rope[i] = rope_new(&l->m->rope[i], l->m->rope_pairs, (uint32_t)t);
        rope_prepare(p->rope[i], (uint32_t)t);
    }
}

static void plain_clear(struct plain *p)
{
    for (size_t i = 0; i < MODEL_ROPE_COUNT; i++)
        rope_free(p->rope[i]);
    free(p->taken);
    for (size_t i = 0; i < READ_MAX; i++)
        free(p->read[i].rows);
}

static void plain_norm(struct plain *p, const float *gain, size_t n, const double *x, double *out)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    const double c = 1 / sqrt(sum / (double)n + (double)p->l->m->epsilon);
    for (size_t i = 0; i < n; i++)
        out[i] = gain ? x[i] * c * (double)gain[i] : x[i];
}

static void plain_weigh(struct plain *p, const struct ops_weight *w, const double *x, double *y)
{
    const float *row = rows_of(p, w);
    for (size_t r = 0; r < w->rows; r++, row += w->n) {
        y[r] = 0;
        for (size_t i = 0; i < w->n; i++)
            y[r] += (double)row[i] * x[i];
    }
}

/* What the base's own adapters add. */
static void plain_low(struct plain *p, const struct train_site *s, const double *x, double *y)
{
    const size_t rank = s->low.down.rows;
    if (!s->low.down.data)
        return;
    double *low = mem_array(rank, sizeof *low), *up = mem_array(s->w.rows, sizeof *up);
    plain_weigh(p, &s->low.down, x, low);
    plain_weigh(p, &s->low.up, low, up);
    for (size_t r = 0; r < s->w.rows; r++)
        y[r] += up[r];
    free(low);
    free(up);
}

static void plain_place(struct plain *p, uint32_t layer, enum train_place place, const double *x, double *y)
{
    const struct train_lora *l = p->l;
    for (size_t i = l->first[layer]; i < l->first[layer + 1]; i++) {
        const struct train_site *s = &l->site[i];
        const double *a = p->value + (s->a - l->value), *b = p->value + (s->b - l->value);
        if (s->place != place)
            continue;
        plain_weigh(p, &s->w, x, y + s->to);
        plain_low(p, s, x, y + s->to);
        for (size_t q = 0; q < l->rank; q++) {
            double low = 0;
            for (size_t j = 0; j < s->w.n; j++)
                low += a[j * l->rank + q] * x[j];
            for (size_t r = 0; r < s->w.rows; r++)
                y[s->to + r] += b[r * l->rank + q] * low * (double)l->scale;
        }
    }
}

static void plain_bias(const float *bias, size_t n, double *y)
{
    for (size_t i = 0; bias && i < n; i++)
        y[i] += (double)bias[i];
}

static void plain_turn(struct plain *p, const struct model_layer *l, size_t at, double *x)
{
    const struct model *m = p->l->m;
    const size_t way = l->window && m->kind->has & HAS_LOCAL_TURNS     ? MODEL_ROPE_LOCAL
                       : m->rope_long_from && p->t > m->rope_long_from ? MODEL_ROPE_LONG
                                                                       : MODEL_ROPE;
    const float *sine, *cosine = rope_at(p->rope[way], (uint32_t)at, &sine);
    for (size_t i = 0; i < m->rope_pairs; i++) {
        double *a = m->kind->has & HAS_HALVES ? x + i : x + 2 * i;
        double *b = m->kind->has & HAS_HALVES ? a + m->rope_pairs : a + 1, u = *a, v = *b;
        *a = u * (double)cosine[i] - v * (double)sine[i];
        *b = u * (double)sine[i] + v * (double)cosine[i];
    }
}

/* One query's head over all positions that it sees; qkv of T positions. */
static void plain_attend(struct plain *p, const struct model_layer *l, const double *qkv, size_t at, size_t head,
                         double *out)
{
    const struct model *m = p->l->m;
    const size_t row = train_place_rows(m, TRAIN_QKV), kv = head / (m->heads / m->heads_kv);
    const size_t first = l->window && at + 1 > l->window ? at + 1 - l->window : 0;
    double weight[T_MOST], sum = 0;
    for (size_t j = first; j <= at; j++) {
        const double *q = qkv + at * row + head * m->head, *k = qkv + j * row + (m->heads + kv) * m->head;
        double score = 0;
        for (size_t d = 0; d < m->head; d++)
            score += q[d] * k[d];
        sum += weight[j] = exp(score * (double)m->score_scale);
    }
    for (size_t d = 0; d < m->head; d++) {
        out[d] = 0;
        for (size_t j = first; j <= at; j++)
            out[d] += weight[j] / sum * qkv[j * row + (m->heads + m->heads_kv + kv) * m->head + d];
    }
}

static void plain_qkv(struct plain *p, uint32_t i, size_t at, const double *x, double *row)
{
    const struct model *m = p->l->m;
    const struct model_layer *l = &m->layer[i];
    const size_t q = (size_t)m->heads * m->head, kv = (size_t)m->heads_kv * m->head;
    double *h = mem_array(m->embed, sizeof *h);
    plain_norm(p, l->attention_norm.gain, m->embed, x, h);
    plain_place(p, i, TRAIN_QKV, h, row);
    plain_bias(l->query.bias, q, row);
    plain_bias(l->key.bias, kv, row + q);
    plain_bias(l->value.bias, kv, row + q + kv);
    for (size_t head = 0; head < m->heads + m->heads_kv; head++) {
        double *y = row + head * m->head;
        plain_norm(p, head < m->heads ? l->query_norm.gain : l->key_norm.gain, m->head, y, y);
        if (!l->is_still)
            plain_turn(p, l, at, y);
    }
    free(h);
}

static void plain_add(struct plain *p, const struct model_norm *post, double *made, double *x)
{
    plain_norm(p, post->gain, p->l->m->embed, made, made);
    for (size_t f = 0; f < p->l->m->embed; f++)
        x[f] += made[f] * (double)p->l->m->branch_scale;
}

/* Gated products of one expert, or of the one that all share: made[embed] += weight * what it makes. */
static void plain_expert(struct plain *p, const struct model_expert *e, size_t mix, double weight, const double *h,
                         double *made)
{
    const struct model *m = p->l->m;
    const struct model_product *all[] = {&e->gate, &e->up, &e->down};
    const size_t rows[] = {mix, mix, m->embed};
    double *y[3];
    for (size_t k = 0; k < 3; k++) {
        const struct train_site s = {.w = all[k]->w, .low = all[k]->low};
        y[k] = mem_array(rows[k], sizeof **y);
        for (size_t f = 0; k == 2 && f < mix; f++)
            y[0][f] = y[0][f] / (1 + exp(-y[0][f])) * y[1][f];
        plain_weigh(p, &s.w, k == 2 ? y[0] : h, y[k]);
        plain_low(p, &s, k == 2 ? y[0] : h, y[k]);
        plain_bias(all[k]->bias, rows[k], y[k]);
    }
    for (size_t f = 0; f < m->embed; f++)
        made[f] += weight * y[2][f];
    for (size_t k = 0; k < 3; k++)
        free(y[k]);
}

static size_t plain_each(const struct model *m)
{
    return m->groups > 1 ? m->experts / m->groups : m->experts;
}

/* The largest of by[experts] that is not taken yet, in a group that is open. */
static size_t plain_best(const struct model *m, const double *by, const bool *taken, const bool *open)
{
    size_t best = m->experts;
    for (size_t e = 0; e < m->experts; e++)
        if (!taken[e] && open[e / plain_each(m)] && (best == m->experts || by[e] > by[best]))
            best = e;
    return best;
}

/* The groups that are open: of sigmoids by their two best, else by their best. */
static void plain_groups(const struct model *m, const double *by, bool *open)
{
    const size_t each = plain_each(m), groups = m->experts / each;
    double value[EXPERTS_MAX];
    for (size_t g = 0; g < groups; g++) {
        double first = -INFINITY, second = -INFINITY;
        for (size_t e = g * each; e < (g + 1) * each; e++) {
            second = by[e] > first ? first : fmax(second, by[e]);
            first = fmax(first, by[e]);
        }
        value[g] = m->by_sigmoid ? first + second : first;
        open[g] = groups == 1;
    }
    for (size_t k = 0; groups > 1 && k < m->groups_used; k++) {
        size_t best = groups;
        for (size_t g = 0; g < groups; g++)
            if (!open[g] && (best == groups || value[g] > value[best]))
                best = g;
        open[best] = true;
    }
}

static void plain_choose(const struct model *m, const double *by, bool *taken)
{
    bool open[EXPERTS_MAX];
    plain_groups(m, by, open);
    for (size_t k = 0; k < m->experts_used; k++)
        taken[plain_best(m, by, taken, open)] = true;
}

static void plain_experts(struct plain *p, const struct model_layer *l, const double *h, bool *taken, double *made)
{
    const struct model *m = p->l->m;
    double score[EXPERTS_MAX], by[EXPERTS_MAX], all = 0, sum = 0;
    plain_weigh(p, &l->router.w, h, score);
    plain_bias(l->router.bias, m->experts, score);
    for (size_t e = 0; e < m->experts; e++)
        all += score[e] = m->by_sigmoid ? 1 / (1 + exp(-score[e])) : exp(score[e]);
    for (size_t e = 0; e < m->experts; e++)
        by[e] = (m->by_sigmoid ? score[e] : score[e] / all) + (l->preference ? (double)l->preference[e] : 0);
    if (!p->has_taken)
        plain_choose(m, by, taken);
    for (size_t e = 0; e < m->experts; e++)
        sum += taken[e] ? score[e] : 0;
    if (m->parts_of_all)
        sum = m->by_sigmoid ? 1 : all;
    for (size_t e = 0; e < m->experts; e++)
        if (taken[e])
            plain_expert(p, &l->expert[e], m->expert_mix,
                         score[e] / sum * (double)(l->importance ? l->importance[e] : m->expert_scale), h, made);
    if (!m->shared_mix)
        return;
    double gate = 1;
    const struct model_expert shared = {l->gate, l->up, l->down};
    if (l->shared_gate.data) {
        plain_weigh(p, &l->shared_gate, h, &gate);
        gate = 1 / (1 + exp(-gate));
    }
    plain_expert(p, &shared, m->shared_mix, gate, h, made);
}

static void plain_mix(struct plain *p, uint32_t i, size_t at, double *x)
{
    const struct model *m = p->l->m;
    const struct model_layer *l = &m->layer[i];
    double *h = mem_array(m->embed, sizeof *h), *mix = mem_array(2 * (size_t)m->mix, sizeof *mix);
    plain_norm(p, l->mix_norm.gain, m->embed, x, h);
    if (l->expert) {
        double *made = mem_array(m->embed, sizeof *made);
        plain_experts(p, l, h, p->taken + (i * p->t + at) * m->experts, made);
        plain_add(p, &l->mix_post, made, x);
        free(made);
        free(h);
        free(mix);
        return;
    }
    plain_place(p, i, TRAIN_MIX, h, mix);
    plain_bias(l->gate.bias, m->mix, mix);
    plain_bias(l->up.bias, m->mix, mix + m->mix);
    for (size_t f = 0; f < m->mix; f++) {
        const double g = mix[f], inner = m->kind->has & HAS_GELU ? 1.5957691216 * (g + 0.044715 * g * g * g) : g;
        mix[f] = g / (1 + exp(-inner)) * mix[m->mix + f];
    }
    plain_place(p, i, TRAIN_DOWN, mix, h);
    plain_bias(l->down.bias, m->embed, h);
    plain_add(p, &l->mix_post, h, x);
    free(h);
    free(mix);
}

static void plain_layer(struct plain *p, uint32_t i, double *x)
{
    const struct model *m = p->l->m;
    const size_t row = train_place_rows(m, TRAIN_QKV);
    double *qkv = mem_array(p->t * row, sizeof *qkv), *o = mem_array((size_t)m->heads * m->head, sizeof *o);
    double *made = mem_array(m->embed, sizeof *made);
    for (size_t at = 0; at < p->t; at++)
        plain_qkv(p, i, at, x + at * m->embed, qkv + at * row);
    for (size_t at = 0; at < p->t; at++) {
        for (size_t head = 0; head < m->heads; head++)
            plain_attend(p, &m->layer[i], qkv, at, head, o + head * m->head);
        plain_place(p, i, TRAIN_OUTPUT, o, made);
        plain_bias(m->layer[i].output.bias, m->embed, made);
        plain_add(p, &m->layer[i].attention_post, made, x + at * m->embed);
        plain_mix(p, i, at, x + at * m->embed);
    }
    free(qkv);
    free(o);
    free(made);
}

static double plain_nll(struct plain *p, double *x, uint32_t target)
{
    const struct model *m = p->l->m;
    double *logits = mem_array(m->vocab, sizeof *logits), sum = 0;
    plain_norm(p, m->output_norm.gain, m->embed, x, x);
    plain_weigh(p, &m->output.w, x, logits);
    plain_bias(m->output.bias, m->vocab, logits);
    for (size_t v = 0; v < m->vocab; v++)
        sum += exp(logits[v] * (double)m->logit_scale);
    const double nll = log(sum) - logits[target] * (double)m->logit_scale;
    free(logits);
    return nll;
}

static double plain_loss(struct plain *p, const uint32_t *tokens, const uint8_t *counts)
{
    const struct model *m = p->l->m;
    double *x = mem_array(p->t * m->embed, sizeof *x), sum = 0;
    float *row = mem_array(m->embed, sizeof *row);
    for (size_t at = 0; at < p->t; at++) {
        quant_read_row(m->embedding.type, m->embedding.data + tokens[at] * m->embedding.row_bytes, m->embed, row);
        for (size_t f = 0; f < m->embed; f++)
            x[at * m->embed + f] = (double)row[f] * (double)m->embed_scale;
    }
    for (uint32_t i = 0; i < m->layers; i++)
        plain_layer(p, i, x);
    p->has_taken = true;
    for (size_t at = 0; at < p->t; at++)
        if (counts[at])
            sum += plain_nll(p, x + at * m->embed, tokens[at + 1]);
    free(x);
    free(row);
    return sum;
}

/* -- gradients -- */

struct text {
    uint32_t tokens[T_MOST + 1];
    uint8_t counts[T_MOST];
};

static struct text text_of(const struct model *m)
{
    struct text t;
    for (uint32_t i = 0; i <= T_MOST; i++)
        t.tokens[i] = model_eval_token(i) % m->vocab;
    for (uint32_t i = 0; i < T_MOST; i++)
        t.counts[i] = i % 5 != 1;
    return t;
}

/* Of each pair an element of A and one of B, by what the loss makes of a small change. */
static void check_gradients(struct plain *p, double *value, const struct text *t, uint64_t n, const char *label)
{
    const struct train_lora *l = p->l;
    double worst = 0, largest = 0;
    for (size_t i = 0; i < l->values_n; i++)
        largest = fmax(largest, fabs((double)l->gradient[i]));
    for (size_t i = 0; i < 2 * l->sites_n; i += 3) {
        const struct train_site *s = &l->site[i / 2];
        const size_t rows = i % 2 ? s->w.rows : s->w.n;
        const size_t at = (size_t)((i % 2 ? s->b : s->a) - l->value) + (i * 7919 + 13) % (rows * l->rank);
        const double h = 1e-4, was = value[at];
        value[at] = was + h;
        const double more = plain_loss(p, t->tokens, t->counts);
        value[at] = was - h;
        const double less = plain_loss(p, t->tokens, t->counts);
        value[at] = was;
        worst = fmax(worst, fabs((more - less) / (2 * h) / (double)n - (double)l->gradient[at]));
    }
    if (!(worst < 2e-4 * largest))
        fail_msg("%s: a gradient is %g off, of %g at most", label, worst, largest);
    print_message("[ trained  ] %s: gradients of up to %.3g, at most %.1e off\n", label, largest, worst);
}

/* The same gradients, bit for bit, by every set of kernels and by other numbers of threads. */
static void check_sets(const struct train_lora *l, const struct text *text, size_t t, uint64_t n, const char *label)
{
    float *want = mem_array(l->values_n, sizeof *want);
    memcpy(want, l->gradient, l->values_n * sizeof *want);
    for (size_t i = 0; train_set_at(i); i++) {
        struct pool *pool = pool_new(1 + 2 * (unsigned)(i % 2));
        const struct train_pass_options o = {l, train_set_at(i), pool, (uint32_t)t};
        struct train_pass *p = train_pass_new(&o);
        memset(l->gradient, 0, l->values_n * sizeof *want);
        train_pass_loss(p, text->tokens, text->counts);
        train_pass_back(p, n);
        if (memcmp(want, l->gradient, l->values_n * sizeof *want) != 0)
            fail_msg("%s: other gradients by %s", label, train_set_at(i)->name);
        train_pass_free(p);
        pool_free(pool);
    }
    free(want);
}

static void check_pass(const struct gguf *file, const struct model *m, size_t t, const char *label)
{
    struct pool *pool = pool_new(2);
    struct note note;
    struct plain plain;
    struct train_lora *l = train_lora_new(file, m, RANK, ALPHA, 7);
    const struct train_pass_options o = {l, train_set_pick("auto", &note), pool, (uint32_t)t};
    struct train_pass *p = train_pass_new(&o);
    const struct text text = text_of(m);
    double *value = mem_array(l->values_n, sizeof *value);
    uint64_t n = 0;
    for (size_t i = 0; i < l->sites_n; i++)
        fill(l->site[i].b, l->site[i].w.rows * l->rank);
    for (size_t i = 0; i < l->values_n; i++) {
        l->value[i] = l->value[i] * 0.1f;
        value[i] = (double)l->value[i];
    }
    for (size_t i = 0; i < t; i++)
        n += text.counts[i];
    plain_init(&plain, l, t, value);
    const double loss = train_pass_loss(p, text.tokens, text.counts),
                 want = plain_loss(&plain, text.tokens, text.counts);
    train_pass_back(p, n);
    if (!(fabs(loss - want) < 1e-4 * want))
        fail_msg("%s: a loss of %g, not %g", label, loss, want);
    check_gradients(&plain, value, &text, n, label);
    check_sets(l, &text, t, n, label);
    plain_clear(&plain);
    free(value);
    train_pass_free(p);
    train_lora_free(l);
    pool_free(pool);
}

static void check_model(const struct model_make *s)
{
    struct model_eval e;
    struct note note;
    size_t t = 32;
    model_eval_open(&e, s);
    for (uint32_t i = 0; i < e.model->layers; i++)
        t = e.model->layer[i].window && !e.model->experts ? T_MOST : t;
    if (train_lora_check(e.model, &note) == ERR_OK)
        check_pass(e.gguf, e.model, t, s->label);
    else
        print_message("[ refused  ] %s: %s\n", s->label, note.text);
    model_eval_close(&e);
}

static void test_gradients(void **unused)
{
    (void)unused;
    for (size_t i = 0; model_make_at(i); i++)
        check_model(model_make_at(i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
