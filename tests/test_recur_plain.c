/* Layers that carry a state against a second, plain implementation of docs/arithmetic.md in binary64: what a layer adds
 * to the stream. Ways of computing that all make the same mistake are seen here only. */
#include "inference/engine/recur.h"
#include "tests/arch.h"

#define WIDE   512
#define MANY   12  /* positions */
#define LONG   256 /* an input, or a result, of a product at most */
#define INSIDE 512 /* what is convolved */

struct plain {
    const struct model *m;
    const struct model_recurrent *l;
    double u[MANY][INSIDE];         /* what enters the convolution */
    double y[INSIDE];               /* what leaves it, of one position */
    double state[16][32][32];       /* of each head */
    double z[LONG], o[LONG];        /* the gate, and what heads make */
    double first[LONG], second[16]; /* a row's rates */
};

static const float *floats_of(const struct ops_weight *w)
{
    assert_int_equal(w->type, GGUF_TENSOR_F32);
    return (const float *)(const void *)w->data;
}

static void times(const struct ops_weight *w, const double *x, double *out)
{
    const float *a = floats_of(w);
    for (size_t r = 0; r < w->rows; r++) {
        out[r] = 0;
        for (size_t i = 0; i < w->n; i++)
            out[r] += (double)a[r * w->n + i] * x[i];
    }
}

static void norm(const double *x, const float *gain, double epsilon, size_t n, double *out)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    const double by = 1 / sqrt(sum / (double)n + epsilon);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * by * (double)gain[i];
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void convolve(struct plain *p, size_t t)
{
    const struct model *m = p->m;
    for (size_t c = 0; c < m->channels; c++) {
        double y = p->l->taps_bias ? (double)p->l->taps_bias[c] : 0;
        for (size_t i = 0; i < m->taps && i <= t; i++)
            y += p->u[t - i][c] * (double)p->l->taps[(m->taps - 1 - i) * m->channels + c];
        p->y[c] = y * sigmoid(y);
    }
}

/* -- a state space -- */

static void scan_head(struct plain *p, size_t head)
{
    const struct model *m = p->m;
    const size_t n = m->side, depth = m->depth, inner = m->values_n * n;
    const double *keys = p->y + inner + head / (m->values_n / m->keys_n) * depth, *queries = keys + m->keys_n * depth;
    const double step = log1p(exp(p->second[head] + (double)p->l->bias[head]));
    const double decay = exp(step * (double)p->l->rate[head]);
    for (size_t j = 0; j < n; j++) {
        const double value = p->y[head * n + j];
        double o = value * (double)p->l->through[head];
        for (size_t i = 0; i < depth; i++) {
            double *s = &p->state[head][i][j];
            *s = *s * decay + keys[i] * value * step;
            o += *s * queries[i];
        }
        p->o[head * n + j] = o;
    }
}

static void scan(struct plain *p, const double *h)
{
    const struct model *m = p->m;
    const size_t inner = m->values_n * m->side, part = inner / m->keys_n;
    times(&p->l->beta.w, h, p->second);
    for (size_t head = 0; head < m->values_n; head++)
        scan_head(p, head);
    for (size_t i = 0; i < inner; i++)
        p->o[i] *= p->z[i] * sigmoid(p->z[i]);
    for (size_t g = 0; p->l->norm.gain && g < m->keys_n; g++)
        norm(p->o + g * part, p->l->norm.gain + g * part, (double)m->epsilon, part, p->o + g * part);
}

/* -- a delta net -- */

/* Heads of queries and keys are as long as one, queries less by the root of their length. */
static void make_units(struct plain *p)
{
    const struct model *m = p->m;
    const size_t n = m->side;
    for (size_t head = 0; head < 2 * m->keys_n; head++) {
        double sum = 0, by = head < m->keys_n ? 1 / sqrt((double)n) : 1;
        for (size_t i = 0; i < n; i++)
            sum += p->y[head * n + i] * p->y[head * n + i];
        for (size_t i = 0; i < n; i++)
            p->y[head * n + i] *= by / sqrt(sum + (double)m->epsilon);
    }
}

static void delta_head(struct plain *p, size_t head, size_t key, double a, double b)
{
    const struct model *m = p->m;
    const size_t n = m->side;
    const double *q = p->y + key * n, *k = q + m->keys_n * n, *v = p->y + (2 * m->keys_n + head) * n;
    const double decay = exp((double)p->l->rate[head] * log1p(exp(a + (double)p->l->bias[head]))), beta = sigmoid(b);
    for (size_t j = 0; j < n; j++) {
        double known = 0, o = 0;
        for (size_t i = 0; i < n; i++)
            known += p->state[head][i][j] * k[i];
        const double d = (v[j] - known * decay) * beta;
        for (size_t i = 0; i < n; i++) {
            p->state[head][i][j] = p->state[head][i][j] * decay + k[i] * d;
            o += p->state[head][i][j] * q[i];
        }
        p->o[head * n + j] = o;
    }
}

static void delta(struct plain *p, const double *h)
{
    const struct model *m = p->m;
    const size_t n = m->side, each = m->values_n / m->keys_n;
    const bool apart = p->l->alpha.w.data; /* else for each head of keys its b, then its a */
    times(&p->l->beta.w, h, p->second);
    if (apart)
        times(&p->l->alpha.w, h, p->first);
    make_units(p);
    for (size_t head = 0; head < m->values_n; head++) {
        const double *both = p->second + head / each * 2 * each + head % each;
        if (apart)
            delta_head(p, head, head % m->keys_n, p->first[head], p->second[head]);
        else
            delta_head(p, head, head / each, both[each], both[0]);
    }
    for (size_t head = 0; head < m->values_n; head++)
        norm(p->o + head * n, p->l->norm.gain, (double)m->epsilon, n, p->o + head * n);
    for (size_t i = 0; i < m->values_n * n; i++)
        p->o[i] *= p->z[i] * sigmoid(p->z[i]);
}

/* -- the engine -- */

static void set_to_zeros(struct model_product *w)
{
    memset((void *)(uintptr_t)w->w.data, 0, w->w.rows * w->w.row_bytes);
    w->bias = NULL;
}

/* Nothing but the first layer's state adds anything. */
static void leave_the_first(struct model *m)
{
    assert_non_null(m->layer[0].recurrent);
    for (uint32_t i = 0; i < m->layers; i++) {
        m->layer[i].mixes = false;
        if (i && m->layer[i].recurrent)
            set_to_zeros(&m->layer[i].recurrent->out);
        if (!m->layer[i].recurrent)
            set_to_zeros(&m->layer[i].output);
    }
}

static void plain_run(struct plain *p, const uint32_t *ids, bool is_scan, double *hidden)
{
    const struct model *m = p->m;
    for (size_t t = 0; t < MANY; t++) {
        double x[LONG], h[LONG], added[LONG];
        for (size_t i = 0; i < m->embed; i++)
            x[i] = (double)floats_of(&m->embedding)[ids[t] * m->embed + i] * (double)m->embed_scale;
        norm(x, m->layer[0].attention_norm.gain, (double)m->epsilon, m->embed, h);
        times(&p->l->in.w, h, p->u[t]);
        times(&p->l->gate.w, h, p->z);
        convolve(p, t);
        if (is_scan)
            scan(p, h);
        else
            delta(p, h);
        times(&p->l->out.w, p->o, added);
        for (size_t i = 0; i < m->embed; i++)
            x[i] += added[i] * (double)m->branch_scale;
        norm(x, m->output_norm.gain, (double)m->epsilon, m->embed, hidden + t * m->embed);
    }
}

static void expect_plain(const char *label, bool is_scan)
{
    static struct plain p;
    static double want[MANY * LONG];
    static float out[MANY * WIDE];
    struct model_make s = *shape_of(label);
    struct loaded l;
    uint32_t ids[MANY];
    double most = 0;
    s.type = GGUF_TENSOR_F32;
    load(&l, &s);
    const struct model *m = l.model;
    leave_the_first(l.model);
    p = (struct plain){.m = m, .l = m->layer[0].recurrent};
    assert_true(m->channels <= INSIDE && m->embed <= LONG && m->values_n > m->keys_n && m->keys_n > 1);
    for (uint32_t t = 0; t < MANY; t++)
        ids[t] = token_at(t);
    plain_run(&p, ids, is_scan, want);
    struct engine *e = engine_for(&l, &ops_ref, 1, 5);
    eval_all(e, ids, MANY, MANY, 5, out);
    engine_free(e);
    for (size_t t = 0; t < MANY; t++)
        for (size_t i = 0; i < m->embed; i++)
            most = fmax(most, fabs(want[t * m->embed + i] - (double)out[t * (m->vocab + m->embed) + m->vocab + i]));
    print_message("[ plain    ] %s: differs by %g at most\n", label, most);
    assert_true(most < 1e-5);
    unload(&l);
}

static void state_spaces_are_what_is_written(void **state)
{
    (void)state;
    expect_plain("granitehybrid, floats", true);
    expect_plain("nemotron_h", true);
}

static void delta_nets_are_what_is_written(void **state)
{
    (void)state;
    expect_plain("qwen35", false);
    expect_plain("qwen3next", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_spaces_are_what_is_written),
        cmocka_unit_test(delta_nets_are_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
