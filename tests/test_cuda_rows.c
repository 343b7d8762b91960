/* The GPU's steps over rows and its routing of experts (inference/cuda/rows.cu, moe.cu), on an emulated GPU, against
 * the reference kernels by equality: random shapes, values that are not finite, threads in several orders. */
#include "tests/support.h"

#include "base/mem.h"
#include "inference/cuda/kernels.h"
#include "inference/kernels/ops.h"
#include "tests/cuda/case.h"
#include "tests/cuda/order.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS 60

static float *gpu_floats(size_t n, bool wild)
{
    float *x = gpu_new(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = ((float)draw(1u << 24) - 0x1p23f) * (draw(16) ? 0x1p-22f : 0x1p-60f);
    if (wild)
        x[draw((uint32_t)n)] = (float[]){INFINITY, -INFINITY, NAN}[draw(3)];
    return x;
}

static void in_every_order(void (*once)(void))
{
    for (unsigned round = 0; round < case_rounds(ROUNDS); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        once();
    }
}

/* Mostly short, sometimes longer than what is in shared memory at a time; any length or one for four at a time. */
static uint32_t draw_length(void)
{
    uint32_t n = 1 + (draw(8) ? draw(700) : draw(20000));
    return draw(2) ? (n + 3) / 4 * 4 : n;
}

/* -- rows -- */

static void norm_once(void)
{
    uint32_t n = draw_length(), cols = 1 + draw(4);
    float *x = gpu_floats((size_t)n * cols, draw(8) == 0), *gain = gpu_floats(n, false), *bias = gpu_floats(n, false);
    float *out = gpu_new((size_t)n * cols * sizeof *out), *expected = mem_array((size_t)n * cols, sizeof *expected);
    for (unsigned kind = 0; kind < 2; kind++) {
        for (uint32_t c = 0; c < cols; c++)
            if (kind)
                ops_ref.layer_norm(x + (size_t)c * n, gain, bias, 1e-5f, n, expected + (size_t)c * n);
            else
                ops_ref.norm(x + (size_t)c * n, gain, 1e-5f, n, expected + (size_t)c * n);
        cuda_norm(NULL, x, gain, kind ? bias : NULL, 1e-5f, n, cols, out);
        assert_same_bits(out, expected, (size_t)n * cols, "rows");
    }
    cuda_norm(NULL, x, gain, bias, 1e-5f, n, cols, x); /* in place */
    assert_same_bits(x, expected, (size_t)n * cols, "rows");
    gpu_free(x);
    gpu_free(gain);
    gpu_free(bias);
    gpu_free(out);
    free(expected);
}

static void elements_once(void)
{
    uint32_t n = draw_length();
    float *x = gpu_floats(n, draw(8) == 0), *y = gpu_floats(n, false), *expected = mem_array(n, sizeof *expected);
    memcpy(expected, x, n * sizeof *x);
    const float by = draw(2) ? 1.0f : 0.22f;
    ops_ref.add_scaled(expected, y, by, n);
    cuda_add(NULL, x, y, by, n);
    assert_same_bits(x, expected, n, "rows");
    ops_ref.gated_silu(x, y, n, expected);
    cuda_activate(NULL, CUDA_SILU, x, y, n);
    assert_same_bits(x, expected, n, "rows");
    ops_ref.gated_gelu(x, y, n, expected);
    cuda_activate(NULL, CUDA_GELU, x, y, n);
    assert_same_bits(x, expected, n, "rows");
    for (uint32_t i = 0; i < n; i++) /* some beyond the limits */
        x[i] = x[i] * 6.0f, expected[i] = x[i], y[i] = y[i] * 6.0f;
    ops_ref.gated_clamped(expected, y, n, expected);
    cuda_activate(NULL, CUDA_CLAMPED, x, y, n);
    gpu_wait();
    assert_same_bits(x, expected, n, "rows");
    ops_ref.gelu_tanh(expected, n);
    cuda_activate(NULL, CUDA_GELU_ALONE, x, NULL, n);
    assert_same_bits(x, expected, n, "rows");
    gpu_wait();
    for (uint32_t i = 0; i < n; i++) /* some below 0 */
        expected[i] = x[i] = x[i] - 0.5f;
    ops_ref.squares(expected, n);
    cuda_activate(NULL, CUDA_SQUARES_ALONE, x, NULL, n);
    assert_same_bits(x, expected, n, "rows");
    ops_ref.gelu(expected, n);
    cuda_activate(NULL, CUDA_GELU_ERF_ALONE, x, NULL, n);
    assert_same_bits(x, expected, n, "rows");
    gpu_free(x);
    gpu_free(y);
    free(expected);
}

static void finish_once(void)
{
    uint32_t n = draw_length(), cols = 1 + draw(5), rows = cols + draw(4);
    float *x = gpu_floats((size_t)n * rows, false), cap = draw(2) ? 0.5f + (float)draw(30) : 0.0f;
    float *picked = gpu_new((size_t)n * cols * sizeof *x), *expected = mem_array((size_t)n * cols, sizeof *expected);
    uint32_t *slot = gpu_new(cols * sizeof *slot);
    uint8_t *finite = gpu_new(rows), *fine = mem_new(rows);
    memset(finite, 1, rows);
    memset(fine, 1, rows);
    for (uint32_t c = 0; c < cols; c++) {
        slot[c] = rows - cols + c;
        memcpy(expected + (size_t)c * n, x + (size_t)slot[c] * n, n * sizeof *x);
    }
    cuda_gather(NULL, x, slot, n, cols, picked);
    assert_same_bits(picked, expected, (size_t)n * cols, "rows");
    for (uint32_t c = 0; c < cols; c++) {
        float *row = expected + (size_t)c * n;
        if (draw(4) == 0)
            picked[(size_t)c * n + draw(n)] = draw(2) ? NAN : INFINITY;
        memcpy(row, picked + (size_t)c * n, n * sizeof *row);
        if (cap != 0.0f)
            ops_ref.soft_cap(row, cap, n);
        fine[slot[c]] = ops_ref.finite(row, n);
    }
    cuda_finish(NULL, picked, cap, n, cols, (struct cuda_marks){slot, finite});
    gpu_wait();
    assert_same_bits(picked, expected, (size_t)n * cols, "rows");
    assert_memory_equal(finite, fine, rows);
    gpu_free(x);
    gpu_free(picked);
    free(expected);
    gpu_free(slot);
    gpu_free(finite);
    free(fine);
}

/* Few different values, so that the largest has equals in other threads, warps and blocks; zeros of both signs. */
static void tell_once(void)
{
    uint32_t n = draw_length(), cols = 1 + draw(5);
    float *x = gpu_floats((size_t)n * cols, false), *expected = mem_array((size_t)n * cols, sizeof *expected);
    float cap = draw(2) ? 0.5f + (float)draw(30) : 0.0f, by = draw(2) ? 1.0f : 0.125f;
    uint64_t *best = gpu_new(cols * sizeof *best);
    uint8_t *finite = gpu_new(cols), *fine = mem_new(cols);
    uint32_t *at = mem_array(cols, sizeof *at);
    memset(finite, 1, cols);
    for (uint32_t c = 0; c < cols; c++) {
        float *row = x + (size_t)c * n, *want = expected + (size_t)c * n;
        for (uint32_t i = 0, kind = draw(3); i < n && kind; i++)
            row[i] = (float)(int32_t)draw(kind == 1 ? 3 : n) * (draw(2) ? -1.0f : kind == 1 ? -0.0f : 1.0f);
        if (draw(5) == 0)
            row[draw(n)] = draw(2) ? NAN : -INFINITY;
        best[c] = 0;
        memcpy(want, row, n * sizeof *row);
        if (by != 1.0f)
            ops_ref.scale(want, by, n);
        if (cap != 0.0f)
            ops_ref.soft_cap(want, cap, n);
        fine[c] = ops_largest(&ops_ref, want, n, &at[c]);
    }
    cuda_tell(NULL, x, by, cap, n, cols, (struct cuda_marks){NULL, finite}, best);
    gpu_wait();
    assert_same_bits(x, expected, (size_t)n * cols, "logits");
    assert_memory_equal(finite, fine, cols);
    for (uint32_t c = 0; c < cols; c++)
        if (fine[c])
            assert_int_equal(CUDA_BEST_LAST - (uint32_t)best[c], at[c]);
    gpu_free(x);
    gpu_free(best);
    gpu_free(finite);
    free(expected);
    free(fine);
    free(at);
}
/* -- experts -- */

/* Of a group's likings, sorted, the best two; what is not in the best groups is liked least. */
static int falling(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}
static void close_groups(const struct cuda_routes *how, float *liking)
{
    const uint32_t each = how->experts / how->groups;
    float value[512], sorted[1024];
    bool is_open[512] = {false};
    memcpy(sorted, liking, how->experts * sizeof *sorted);
    for (uint32_t g = 0; g < how->groups; g++) {
        qsort(sorted + g * each, each, sizeof *sorted, falling);
        value[g] = how->by_sigmoid ? sorted[g * each] + sorted[g * each + 1] : sorted[g * each];
    }
    for (uint32_t r = 0; r < how->groups_used; r++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t g = 0; g < how->groups; g++)
            if (!is_open[g] && (best == UINT32_MAX || value[g] > value[best]))
                best = g;
        is_open[best] = true;
    }
    for (uint32_t i = 0; i < how->experts; i++)
        liking[i] = is_open[i / each] ? liking[i] : -INFINITY;
}

/* moe.c's routing of a row, in the plainest words; score is scratch. False if a score is not finite. */
static bool route(float *score, const struct cuda_routes *how, uint32_t *chosen, float *weight)
{
    float liking[1024], all = 1.0f, sum = 0.0f, peak;
    const bool finite = ops_ref.peak(score, how->experts, &peak);
    for (uint32_t i = 0; !finite && i < how->experts; i++)
        score[i] = peak = 0.0f;
    memcpy(liking, score, how->experts * sizeof *score);
    if (!how->by_sigmoid)
        all = ops_ref.exponentials(score, how->experts, peak);
    for (uint32_t i = 0; i < how->experts; i++) {
        if (how->by_sigmoid)
            liking[i] = score[i] = 1.0f / (1.0f + arith_exp(-score[i]));
        if (how->preference)
            liking[i] = score[i] / all + how->preference[i];
    }
    if (how->groups > 1)
        close_groups(how, liking);
    for (uint32_t r = 0; r < how->used; r++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < how->experts; i++) {
            bool taken = false;
            for (uint32_t k = 0; k < r; k++)
                taken = taken || chosen[k] == i;
            if (!taken && (best == UINT32_MAX || liking[i] > liking[best]))
                best = i;
        }
        chosen[r] = best;
        sum = sum + score[best];
    }
    for (uint32_t r = 0; r < how->used; r++)
        weight[r] = score[chosen[r]] / (how->of_all ? all : sum) * how->scale;
    return finite;
}

static void route_once(void)
{
    const uint32_t groups = draw(2) ? 2 + draw(draw(4) ? 9 : 60) : 1, each = groups > 1 ? 2 + draw(15) : 0;
    uint32_t experts = groups > 1 ? groups * each : 1 + draw(draw(4) ? 130 : 1024);
    const uint32_t groups_used = 1 + draw(groups), open = groups > 1 ? groups_used * each : experts;
    uint32_t used = 1 + draw(open < 12 ? open : 12);
    uint32_t cols = 1 + draw(40), picks = cols * used;
    float *preference = gpu_floats(experts, false);
    const struct cuda_routes how = {
        experts, used, draw(2), draw(2), draw(2) ? 1.0f : 2.5f, draw(2) ? preference : NULL, groups, groups_used};
    float *score = gpu_floats((size_t)cols * experts, draw(3) == 0), *expected = mem_array(picks, sizeof *expected);
    uint32_t *chosen = mem_array(picks, sizeof *chosen);
    struct cuda_picks p = {gpu_new(picks * 4), gpu_new(picks * 4), gpu_new((experts + 1) * 4), gpu_new(picks * 4),
                           cols};
    uint8_t *finite = gpu_new(cols), *fine = mem_new(cols);
    memset(finite, 1, cols);
    for (uint32_t i = 0; i < cols * experts && draw(2); i++) /* ties */
        score[i] = isfinite(score[i]) ? (float)(int)score[i] : score[i];
    float *copy = mem_array((size_t)cols * experts, sizeof *copy);
    memcpy(copy, score, (size_t)cols * experts * sizeof *copy);
    for (uint32_t c = 0; c < cols; c++)
        fine[c] = route(copy + (size_t)c * experts, &how, chosen + c * used, expected + c * used);
    cuda_route(NULL, score, &how, cols, (struct cuda_marks){NULL, finite}, p);
    gpu_wait();
    assert_memory_equal(p.chosen, chosen, picks * sizeof *chosen);
    assert_same_bits(p.weight, expected, picks, "rows");
    assert_memory_equal(finite, fine, cols);
    uint32_t at = 0;
    for (uint32_t e = 0; e < experts; e++) {
        assert_int_equal(p.begin[e], at);
        for (uint32_t i = 0; i < picks; i++)
            if (chosen[i] == e)
                assert_int_equal(p.pick[at++], i);
    }
    assert_int_equal(p.begin[experts], picks);
    gpu_free(score);
    gpu_free(preference);
    free(copy);
    free(expected);
    free(chosen);
    gpu_free(p.chosen);
    gpu_free(p.weight);
    gpu_free(p.begin);
    gpu_free(p.pick);
    gpu_free(finite);
    free(fine);
}

static void sum_once(void)
{
    uint32_t n = 1 + draw(700), cols = 1 + draw(6), used = 1 + draw(8), picks = cols * used;
    float *y = gpu_floats((size_t)picks * n, false), *out = gpu_new((size_t)cols * n * sizeof *out);
    struct cuda_picks p = {.weight = gpu_floats(picks, false)};
    float *expected = mem_array((size_t)cols * n, sizeof *expected);
    uint32_t *slot = gpu_new(cols * 4), *marks = gpu_new(picks * 4);
    for (uint32_t i = 0; i < picks; i++)
        ops_ref.add_scaled(expected + (size_t)(i / used) * n, y + (size_t)i * n, p.weight[i], n);
    cuda_sum_picked(NULL, y, p, used, n, cols, out);
    assert_same_bits(out, expected, (size_t)cols * n, "rows");
    for (uint32_t c = 0; c < cols; c++)
        ops_ref.add_scaled(expected + (size_t)c * n, y + (size_t)c * n, 1.0f / (1.0f + arith_exp(-p.weight[c])), n);
    cuda_add_gated(NULL, out, y, p.weight, n, cols);
    assert_same_bits(out, expected, (size_t)cols * n, "rows");
    for (uint32_t c = 0; c < cols; c++)
        slot[c] = 100 - c;
    cuda_spread_slots(NULL, draw(2) ? slot : NULL, used, cols, marks);
    gpu_wait();
    for (uint32_t i = 0; i < picks; i++)
        assert_true(marks[i] == i / used || marks[i] == 100 - i / used);
    cuda_spread_slots(NULL, slot, used, cols, marks);
    gpu_wait();
    for (uint32_t i = 0; i < picks; i++)
        assert_int_equal(marks[i], 100 - i / used);
    gpu_free(y);
    gpu_free(out);
    gpu_free(p.weight);
    free(expected);
    gpu_free(slot);
    gpu_free(marks);
}

static void bias_once(void)
{
    const uint32_t n = draw_length(), cols = 1 + draw(5);
    float *x = gpu_floats((size_t)cols * n, false), *bias = gpu_floats(n, false);
    float *expected = mem_array((size_t)cols * n, sizeof *expected);
    memcpy(expected, x, (size_t)cols * n * sizeof *x);
    for (uint32_t c = 0; c < cols; c++)
        ops_ref.add(expected + (size_t)c * n, bias, n);
    cuda_add_bias(NULL, x, bias, n, cols);
    gpu_wait();
    assert_same_bits(x, expected, (size_t)cols * n, "rows");
    gpu_free(x);
    gpu_free(bias);
    free(expected);
}

static void rows_are_normed_alike(void **state)
{
    (void)state;
    in_every_order(norm_once);
}

static void elements_are_added_and_gated_alike(void **state)
{
    (void)state;
    in_every_order(elements_once);
}

static void a_bias_is_added_alike(void **state)
{
    (void)state;
    in_every_order(bias_once);
}

static void what_is_not_finite_is_marked(void **state)
{
    (void)state;
    in_every_order(finish_once);
}

static void the_first_of_the_largest_is_found(void **state)
{
    (void)state;
    in_every_order(tell_once);
}

static void experts_are_chosen_and_listed_alike(void **state)
{
    (void)state;
    in_every_order(route_once);
}

static void what_experts_made_is_summed_alike(void **state)
{
    (void)state;
    in_every_order(sum_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_normed_alike),
        cmocka_unit_test(elements_are_added_and_gated_alike),
        cmocka_unit_test(a_bias_is_added_alike),
        cmocka_unit_test(what_is_not_finite_is_marked),
        cmocka_unit_test(the_first_of_the_largest_is_found),
        cmocka_unit_test(experts_are_chosen_and_listed_alike),
        cmocka_unit_test(what_experts_made_is_summed_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
