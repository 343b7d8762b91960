/* The GPU's steps of layers that carry a state (inference/cuda/states.cu, delta.cu), on an emulated GPU, against a
 * plain walk over each chain by the reference kernels: random shapes and chains, guesses right and wrong, states that
 * are kept, values that are not finite, threads in several orders. */
#include "base/mem.h"
#include "inference/cuda/delta.h"
#include "inference/kernels/ops.h"
#include "tests/cuda/case.h"
#include "tests/cuda/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS    48
#define GUESSES   5 /* room for so many */
#define ROWS_MOST 60

static void draw_floats(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = ((float)draw(1u << 24) - 0x1p23f) * (draw(16) ? 0x1p-22f : 0x1p-60f);
}

static float *gpu_floats(size_t n)
{
    float *x = gpu_new(n * sizeof *x);
    draw_floats(x, n);
    return x;
}

/* A layer among `layers`, and a batch of chains; `cell` is a state of the layer, [history, heads]. */
struct world {
    uint32_t keys, values, depth, side; /* 0: a short convolution */
    uint32_t taps, channels, layers, layer, in_n;
    size_t history, cell, guess;
    uint32_t rows, chains;
    struct cuda_chain *chain;
    uint32_t *row, *whose, *place, *keep, kept;
    float *stage, *in, *tap, **before; /* [chains] a copy of what each began with */
    uint8_t *finite;
    struct cuda_states s;
};

static size_t slot_floats(const struct world *w)
{
    return w->layers * (w->cell + GUESSES * w->guess);
}

/* Rows of the chains between each other's. */
static void deal_rows(struct world *w)
{
    uint32_t dealt[ROWS_MOST] = {0};
    for (uint32_t r = 0; r < w->rows; r++) {
        uint32_t c = draw(w->chains);
        while (dealt[c] == w->chain[c].rows)
            c = (c + 1) % w->chains;
        w->row[w->chain[c].first + dealt[c]] = r;
        w->whose[r] = c;
        w->place[r] = dealt[c]++;
        w->keep[r] = w->place[r] < w->chain[c].rows - w->chain[c].guessed && draw(5) == 0 ? w->kept++ : CUDA_NOT_KEPT;
    }
}

static void draw_chains(struct world *w)
{
    w->chains = 1 + draw(4);
    w->chain = gpu_new(w->chains * sizeof *w->chain);
    w->before = mem_array(w->chains, sizeof *w->before);
    for (uint32_t c = 0; c < w->chains; c++) {
        const uint32_t n = 1 + draw(draw(3) ? 4 : 14), guessed = draw(2) ? draw(n + 1) : 0;
        w->chain[c] = (struct cuda_chain){.state = gpu_floats(slot_floats(w)),
                                          .first = w->rows,
                                          .rows = n,
                                          .guessed = guessed < GUESSES ? guessed : GUESSES,
                                          .right = draw(2) ? draw(GUESSES + 1) : 0};
        w->rows += n;
        w->before[c] = mem_array(slot_floats(w), sizeof **w->before);
        memcpy(w->before[c], w->chain[c].state, slot_floats(w) * sizeof **w->before);
    }
    w->row = gpu_new(w->rows * sizeof *w->row);
    w->whose = gpu_new(w->rows * sizeof *w->whose);
    w->place = gpu_new(w->rows * sizeof *w->place);
    w->keep = gpu_new(w->rows * sizeof *w->keep);
    deal_rows(w);
}

enum kind { CONVOLUTION, DELTA, SCAN };

static void draw_world(struct world *w, enum kind kind)
{
    static const uint32_t sides[] = {16, 32, 48, 64, 128, 128, 176}, depths[] = {4, 20, 64, 128, 128, 256};
    const bool has_heads = kind != CONVOLUTION;
    *w = (struct world){.taps = 2 + draw(4), .layers = 1 + draw(3)};
    w->layer = draw(w->layers);
    w->channels = 1 + draw(100);
    if (has_heads) {
        w->keys = 1 + draw(2);
        w->values = w->keys * (1 + draw(3));
        w->side = sides[draw(7)];
        w->depth = kind == SCAN ? depths[draw(6)] : w->side;
        w->channels = 2 * w->keys * w->depth + w->values * w->side;
    }
    w->in_n = has_heads ? w->channels : 3 * w->channels;
    w->history = (size_t)(w->taps - 1) * w->channels;
    w->cell = w->history + (size_t)w->values * w->depth * w->side;
    w->guess = (w->channels * (has_heads ? 2 : 1) + 2 * (size_t)w->values + 3) / 4 * 4;
    draw_chains(w);
    w->in = gpu_floats((size_t)w->rows * w->in_n);
    if (draw(4) == 0)
        w->in[draw(w->rows * w->in_n)] = draw(2) ? NAN : INFINITY;
    w->tap = gpu_floats((size_t)w->taps * w->channels);
    w->stage = gpu_floats((w->kept + 1) * w->layers * w->cell);
    w->finite = gpu_new(w->rows);
    memset(w->finite, 1, w->rows);
    w->s = (struct cuda_states){.chain = w->chain,
                                .chains = w->chains,
                                .row = w->row,
                                .whose = w->whose,
                                .place = w->place,
                                .keep = w->keep,
                                .stage = w->stage,
                                .stage_floats = w->layers * w->cell,
                                .state_at = w->layer * w->cell,
                                .guess_at = w->layers * w->cell + w->layer * GUESSES * w->guess,
                                .guess_floats = w->guess,
                                .taps = w->taps,
                                .channels = w->channels,
                                .tap = w->tap,
                                .in = w->in};
}

static void clear_world(struct world *w)
{
    for (uint32_t c = 0; c < w->chains; c++) {
        gpu_free(w->chain[c].state);
        free(w->before[c]);
    }
    void *all[] = {w->chain, w->row, w->whose, w->place, w->keep, w->in, w->tap, w->stage, w->finite};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gpu_free(all[i]);
    free(w->before);
}

/* -- the reference: entries of a chain from its history on, one behind the other -- */

static float entry_of(const struct world *w, uint32_t row, uint32_t i)
{
    const float *x = w->in + (size_t)row * w->in_n;
    return w->values ? x[i] : x[i] * x[2 * w->channels + i];
}

/* all[taps - 1 + right + rows, channels]; the convolution behind entry taps - 1 + k is y[k]. */
static float *entries_of(const struct world *w, uint32_t c)
{
    const struct cuda_chain *chain = &w->chain[c];
    const uint32_t n = w->channels;
    float *all = mem_array((w->taps - 1 + chain->right + chain->rows) * (size_t)n, sizeof *all), *at = all + w->history;
    memcpy(all, w->before[c] + w->s.state_at, w->history * sizeof *all);
    for (uint32_t g = 0; g < chain->right; g++, at += n)
        memcpy(at, w->before[c] + w->s.guess_at + g * w->guess, n * sizeof *all);
    for (uint32_t k = 0; k < chain->rows; k++, at += n)
        for (uint32_t i = 0; i < n; i++)
            at[i] = entry_of(w, w->row[chain->first + k], i);
    return all;
}

static void convolve(const struct world *w, const float *all, uint32_t k, float *y)
{
    const uint32_t n = w->channels;
    memset(y, 0, n * sizeof *y);
    for (uint32_t t = 0; t < w->taps; t++)
        for (uint32_t i = 0; i < n; i++)
            y[i] = y[i] + all[(size_t)(k + t) * n + i] * w->tap[(size_t)t * n + i];
}

/* What chain c left of its convolution, kept and aside. */
static void expect_histories(const struct world *w, uint32_t c, const float *all)
{
    const struct cuda_chain *chain = &w->chain[c];
    const uint32_t n = w->channels, certain = chain->rows - chain->guessed;
    assert_same_bits(chain->state + w->s.state_at, all + (size_t)(chain->right + certain) * n, w->history, "a history");
    for (uint32_t g = 0; g < chain->guessed; g++)
        assert_same_bits(chain->state + w->s.guess_at + g * w->guess,
                         all + w->history + (size_t)(chain->right + certain + g) * n, n, "a guess");
    for (uint32_t k = 0; k < chain->rows; k++) {
        const uint32_t kept = w->keep[w->row[chain->first + k]];
        if (kept != CUDA_NOT_KEPT)
            assert_same_bits(w->stage + kept * w->s.stage_floats + w->s.state_at,
                             all + (size_t)(chain->right + k + 1) * n, w->history, "a history that is kept");
    }
}

static void expect_finite(const struct world *w, const uint8_t *fine)
{
    gpu_wait();
    assert_memory_equal(w->finite, fine, w->rows);
}

/* What lies around the layer's part of a state stays as it was. */
static void expect_others(const struct world *w, uint32_t c)
{
    const float *now = w->chain[c].state, *was = w->before[c];
    const size_t end = w->s.state_at + w->cell, behind = w->s.guess_at + w->chain[c].guessed * w->guess;
    assert_same_bits(now, was, w->s.state_at, "another layer");
    assert_same_bits(now + end, was + end, w->s.guess_at - end, "another layer");
    assert_same_bits(now + behind, was + behind, slot_floats(w) - behind, "another layer");
}

/* -- short convolutions -- */

static void convolve_once(void)
{
    struct world w;
    draw_world(&w, CONVOLUTION);
    const uint32_t n = w.channels;
    float *out = gpu_floats((size_t)w.rows * n), *want = mem_array((size_t)w.rows * n, sizeof *want);
    uint8_t *fine = mem_new(w.rows);
    cuda_convolve(NULL, &w.s, w.rows, (struct cuda_marks){NULL, w.finite}, out);
    gpu_wait();
    for (uint32_t c = 0; c < w.chains; c++) {
        float *all = entries_of(&w, c);
        for (uint32_t k = 0; k < w.chain[c].rows; k++) {
            const uint32_t row = w.row[w.chain[c].first + k];
            float *y = want + (size_t)row * n;
            convolve(&w, all, w.chain[c].right + k, y);
            for (uint32_t i = 0; i < n; i++)
                y[i] = w.in[(size_t)row * w.in_n + n + i] * y[i];
            fine[row] = ops_ref.finite(all + w.history + (size_t)(w.chain[c].right + k) * n, n);
        }
        expect_histories(&w, c, all);
        expect_others(&w, c);
        free(all);
    }
    assert_same_bits(out, want, (size_t)w.rows * n, "a convolution");
    expect_finite(&w, fine);
    gpu_free(out);
    free(want);
    free(fine);
    clear_world(&w);
}

static void short_convolutions_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(ROUNDS); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        convolve_once();
    }
}

/* -- heads with states: what a row needs, a position, what is made of the result -- */

struct way {
    bool (*rates)(const void *of, uint32_t row, float *rates); /* false: of something that is not finite */
    void (*mix)(const void *of, float *x, uint32_t channels);
    void (*step)(const void *of, float *heads, const float *x, const float *rates, float *out);
    void (*finish)(const void *of, uint32_t row, const float *x, float *out);
    const void *of;
};

/* Chain c through its positions: what it makes, keeps and leaves. */
static void walk(const struct world *w, const struct way *way, uint32_t c, const float *all, float *want, uint8_t *fine)
{
    const struct cuda_chain *chain = &w->chain[c];
    const size_t n = w->channels, heads_n = w->cell - w->history, inner = (size_t)w->values * w->side;
    float *heads = mem_array(heads_n, sizeof *heads), *now = mem_array(n + 2 * w->values, sizeof *now);
    memcpy(heads, w->before[c] + w->s.state_at + w->history, heads_n * sizeof *heads);
    for (uint32_t g = 0; g < chain->right; g++) {
        const float *guess = w->before[c] + w->s.guess_at + g * w->guess;
        way->step(way->of, heads, guess + n, guess + 2 * n, NULL);
    }
    if (chain->rows == chain->guessed)
        assert_same_bits(chain->state + w->s.state_at + w->history, heads, heads_n, "heads");
    for (uint32_t k = 0; k < chain->rows; k++) {
        const uint32_t row = w->row[chain->first + k], certain = chain->rows - chain->guessed;
        convolve(w, all, chain->right + k, now);
        way->mix(way->of, now, w->channels);
        fine[row] =
            way->rates(way->of, row, now + n) && ops_ref.finite(all + w->history + (size_t)(chain->right + k) * n, n);
        way->step(way->of, heads, now, now + n, want + row * inner);
        way->finish(way->of, row, now, want + row * inner);
        if (k >= certain)
            assert_same_bits(chain->state + w->s.guess_at + (k - certain) * w->guess + n, now, n + 2 * w->values,
                             "what a guess brings");
        if (k + 1 == certain)
            assert_same_bits(chain->state + w->s.state_at + w->history, heads, heads_n, "heads");
        if (w->keep[row] != CUDA_NOT_KEPT)
            assert_same_bits(w->stage + w->keep[row] * w->s.stage_floats + w->s.state_at + w->history, heads, heads_n,
                             "heads that are kept");
    }
    free(heads);
    free(now);
}

static void expect_heads(const struct world *w, const struct way *way, const float *out)
{
    uint8_t *fine = mem_new(w->rows);
    float *want = mem_array((size_t)w->rows * w->values * w->side, sizeof *want);
    for (uint32_t c = 0; c < w->chains; c++) {
        float *all = entries_of(w, c);
        walk(w, way, c, all, want, fine);
        expect_histories(w, c, all);
        expect_others(w, c);
        free(all);
    }
    assert_same_bits(out, want, (size_t)w->rows * w->values * w->side, "what heads make");
    expect_finite(w, fine);
    free(want);
    free(fine);
}

/* -- delta nets -- */

struct delta {
    struct cuda_delta a;
    float *out;
};

static void draw_delta(const struct world *w, struct delta *d)
{
    const size_t n = w->values, all = (size_t)w->rows * n;
    *d = (struct delta){.a = {.keys_n = w->keys,
                              .values_n = w->values,
                              .side = w->side,
                              .is_tiled = draw(2),
                              .epsilon = 1e-5f,
                              .alpha = draw(2) ? gpu_floats(all) : NULL,
                              .beta = gpu_floats(2 * all),
                              .rate = gpu_floats(n),
                              .bias = gpu_floats(n),
                              .gate = gpu_floats(all * w->side),
                              .gain = gpu_floats(w->side),
                              .mixed = gpu_floats((size_t)w->rows * w->channels),
                              .rates = gpu_floats(2 * all)},
                        .out = gpu_floats(all * w->side)};
    float *alpha = (float *)(uintptr_t)(d->a.alpha ? d->a.alpha : d->a.beta);
    for (size_t i = 0; i < all; i++)
        alpha[i] = alpha[i] * (draw(4) ? 1.0f : 100.0f); /* all of softplus's ways */
    if (draw(4) == 0)
        alpha[draw((uint32_t)all)] = NAN;
}

static void clear_delta(struct delta *d)
{
    const void *all[] = {d->a.alpha, d->a.beta,  d->a.rate,  d->a.bias, d->a.gate,
                         d->a.gain,  d->a.mixed, d->a.rates, d->out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gpu_free((void *)(uintptr_t)all[i]);
}

/* Of a row: decay and beta; false where what they are of is not finite. */
static bool delta_rates(const void *of, uint32_t row, float *rates)
{
    const struct cuda_delta *a = of;
    const uint32_t n = a->values_n, each = n / a->keys_n;
    bool finite = true;
    for (uint32_t h = 0; h < n; h++) {
        const float *group = a->beta + (size_t)row * 2 * n + h / each * 2 * each;
        const float alpha = a->alpha ? a->alpha[(size_t)row * n + h] : group[each + h % each];
        const float beta = a->alpha ? a->beta[(size_t)row * n + h] : group[h % each];
        finite = finite && arith_is_finite(alpha) && arith_is_finite(beta);
        rates[h] = arith_exp(a->rate[h] * arith_softplus(alpha + a->bias[h]));
        rates[n + h] = 1.0f / (1.0f + arith_exp(-beta));
    }
    return finite;
}

/* What the convolution made becomes queries, keys and values. */
static void delta_mix(const void *of, float *x, uint32_t channels)
{
    const struct cuda_delta *a = of;
    for (uint32_t i = 0; i < channels; i++)
        x[i] = x[i] / (1.0f + arith_exp(-x[i]));
    for (uint32_t h = 0; h < 2 * a->keys_n; h++) {
        float *head = x + (size_t)h * a->side, lanes[ARITH_LANES] = {0};
        for (uint32_t i = 0; i < a->side; i++)
            lanes[i % ARITH_LANES] = lanes[i % ARITH_LANES] + head[i] * head[i];
        const float by = h < a->keys_n ? 1.0f / sqrtf((float)(int32_t)a->side) : 1.0f;
        const float scale = (1.0f / sqrtf(arith_fold(lanes) + a->epsilon)) * by;
        for (uint32_t i = 0; i < a->side; i++)
            head[i] = head[i] * scale;
    }
}

/* One position of all heads. out NULL: of a guess that was right. */
static void delta_step(const void *of, float *heads, const float *x, const float *rates, float *out)
{
    const struct cuda_delta *a = of;
    const uint32_t n = a->side;
    for (uint32_t h = 0; h < a->values_n; h++) {
        const uint32_t key = a->is_tiled ? h % a->keys_n : h / (a->values_n / a->keys_n);
        const float *q = x + (size_t)key * n, *k = q + (size_t)a->keys_n * n;
        const struct ops_delta row = {.q = q,
                                      .k = k,
                                      .v = x + (size_t)(2 * a->keys_n + h) * n,
                                      .decay = rates[h],
                                      .beta = rates[a->values_n + h],
                                      .out = out ? out + (size_t)h * n : NULL};
        ops_ref.delta(heads + (size_t)h * n * n, n, &row, 1);
    }
}

static void delta_finish(const void *of, uint32_t row, const float *x, float *out)
{
    const struct cuda_delta *a = of;
    (void)x;
    const size_t n = a->side, all = a->values_n * n;
    for (uint32_t h = 0; h < a->values_n; h++)
        ops_ref.norm(out + h * n, a->gain, a->epsilon, n, out + h * n);
    ops_ref.gated_silu(a->gate + row * all, out, all, out);
}

static void delta_once(void)
{
    struct world w;
    struct delta d;
    draw_world(&w, DELTA);
    draw_delta(&w, &d);
    const struct way way = {delta_rates, delta_mix, delta_step, delta_finish, &d.a};
    cuda_delta(NULL, &d.a, &w.s, w.rows, (struct cuda_marks){NULL, w.finite}, d.out);
    gpu_wait();
    expect_heads(&w, &way, d.out);
    clear_delta(&d);
    clear_world(&w);
}

static void delta_nets_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(ROUNDS); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        delta_once();
    }
}

/* -- state spaces -- */

struct scan {
    struct cuda_scan a;
    float *out;
};

static void draw_scan(const struct world *w, struct scan *d)
{
    const size_t n = w->values, all = (size_t)w->rows * n;
    *d = (struct scan){.a = {.keys_n = w->keys,
                             .values_n = w->values,
                             .depth = w->depth,
                             .side = w->side,
                             .epsilon = 1e-5f,
                             .step = gpu_floats(all),
                             .rate = gpu_floats(n),
                             .bias = gpu_floats(n),
                             .through = gpu_floats(n),
                             .taps_bias = draw(2) ? gpu_floats(w->channels) : NULL,
                             .gate = gpu_floats(all * w->side),
                             .gain = draw(2) ? gpu_floats(n * w->side) : NULL,
                             .mixed = gpu_floats((size_t)w->rows * w->channels),
                             .rates = gpu_floats(2 * all)},
                       .out = gpu_floats(all * w->side)};
    float *step = (float *)(uintptr_t)d->a.step;
    for (size_t i = 0; i < all; i++)
        step[i] = step[i] * (draw(4) ? 1.0f : 100.0f); /* all of softplus's ways */
    if (draw(4) == 0)
        step[draw((uint32_t)all)] = NAN;
}

static void clear_scan(struct scan *d)
{
    const void *all[] = {d->a.step, d->a.rate, d->a.bias,  d->a.through, d->a.taps_bias,
                         d->a.gate, d->a.gain, d->a.mixed, d->a.rates,   d->out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gpu_free((void *)(uintptr_t)all[i]);
}

static bool scan_rates(const void *of, uint32_t row, float *rates)
{
    const struct cuda_scan *a = of;
    const uint32_t n = a->values_n;
    bool finite = true;
    for (uint32_t h = 0; h < n; h++) {
        const float raw = a->step[(size_t)row * n + h];
        finite = finite && arith_is_finite(raw);
        rates[n + h] = arith_softplus(raw + a->bias[h]);
        rates[h] = arith_exp(rates[n + h] * a->rate[h]);
    }
    return finite;
}

/* What the convolution made becomes values, keys and queries. */
static void scan_mix(const void *of, float *x, uint32_t channels)
{
    const struct cuda_scan *a = of;
    for (uint32_t i = 0; i < channels; i++) {
        x[i] = a->taps_bias ? x[i] + a->taps_bias[i] : x[i];
        x[i] = x[i] / (1.0f + arith_exp(-x[i]));
    }
}

static void scan_step(const void *of, float *heads, const float *x, const float *rates, float *out)
{
    const struct cuda_scan *a = of;
    const float *keys = x + (size_t)a->values_n * a->side, *queries = keys + (size_t)a->keys_n * a->depth;
    for (uint32_t h = 0; h < a->values_n; h++) {
        const size_t key = (size_t)(h / (a->values_n / a->keys_n)) * a->depth;
        const struct ops_delta row = {.q = queries + key,
                                      .k = keys + key,
                                      .v = x + (size_t)h * a->side,
                                      .decay = rates[h],
                                      .beta = rates[a->values_n + h],
                                      .out = out ? out + (size_t)h * a->side : NULL};
        ops_ref.scan(heads + (size_t)h * a->depth * a->side, a->depth, a->side, &row, 1);
    }
}

static void scan_finish(const void *of, uint32_t row, const float *x, float *out)
{
    const struct cuda_scan *a = of;
    const size_t n = a->side, all = a->values_n * n, group = all / a->keys_n;
    for (uint32_t h = 0; h < a->values_n; h++)
        ops_ref.add_scaled(out + h * n, x + h * n, a->through[h], n);
    ops_ref.gated_silu(a->gate + row * all, out, all, out);
    for (size_t i = 0; a->gain && i < all; i += group)
        ops_ref.norm(out + i, a->gain + i, a->epsilon, group, out + i);
}

static void scan_once(void)
{
    struct world w;
    struct scan d;
    draw_world(&w, SCAN);
    draw_scan(&w, &d);
    const struct way way = {scan_rates, scan_mix, scan_step, scan_finish, &d.a};
    cuda_scan(NULL, &d.a, &w.s, w.rows, (struct cuda_marks){NULL, w.finite}, d.out);
    gpu_wait();
    expect_heads(&w, &way, d.out);
    clear_scan(&d);
    clear_world(&w);
}

static void state_spaces_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(ROUNDS); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        scan_once();
    }
}

/* -- the gates of attention -- */

static void gates_once(void)
{
    const uint32_t heads = 1 + draw(5), head = 1 + draw(90), rows = 1 + draw(6), cols = 1 + draw(rows),
                   n = heads * head;
    float *both = gpu_floats((size_t)rows * 2 * n), *q = gpu_floats((size_t)rows * n),
          *o = gpu_floats((size_t)cols * n);
    float *want_q = mem_array((size_t)rows * n, sizeof *q), *want_o = mem_array((size_t)cols * n, sizeof *o);
    uint32_t *slot = gpu_new(cols * sizeof *slot);
    for (uint32_t c = 0; c < cols; c++)
        slot[c] = rows - cols + c;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < n; i++)
            want_q[(size_t)r * n + i] = both[((size_t)r * heads + i / head) * 2 * head + i % head];
    for (uint32_t c = 0; c < cols; c++)
        for (uint32_t i = 0; i < n; i++) {
            const float gate = both[(((size_t)slot[c] * heads + i / head) * 2 + 1) * head + i % head];
            want_o[(size_t)c * n + i] = o[(size_t)c * n + i] * (1.0f / (1.0f + arith_exp(-gate)));
        }
    cuda_part_queries(NULL, both, heads, head, rows, q);
    cuda_gate_heads(NULL, both, slot, heads, head, cols, o);
    assert_same_bits(q, want_q, (size_t)rows * n, "queries");
    assert_same_bits(o, want_o, (size_t)cols * n, "gated heads");
    void *all[] = {both, q, o, slot};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gpu_free(all[i]);
    free(want_q);
    free(want_o);
}

static void attention_is_gated_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(ROUNDS); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        gates_once();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_convolutions_alike),
        cmocka_unit_test(delta_nets_alike),
        cmocka_unit_test(state_spaces_alike),
        cmocka_unit_test(attention_is_gated_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
