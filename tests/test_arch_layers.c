/* Models whose layers differ: in the number and the length of their heads, in whose keys they read, in what they take
 * of a second embedding; and experts beside a dense mix. */
#include "inference/engine/cache.h"
#include "inference/engine/devices.h"
#include "inference/engine/layers.h"
#include "tests/arch.h"

#include <stdio.h>

static const char *const all[] = {"gemma4", "gemma4, heads longer with a window", "gemma4, no second embedding",
                                  "gemma4, experts", "gemma4, experts, floats"};
#define ALL (sizeof all / sizeof *all)

static float *run(const struct loaded *l, uint32_t batch, size_t *n)
{
    float *out = mem_array((size_t)TOKENS * (VOCAB + l->model->embed), sizeof *out);
    struct engine *e = engine_for(l, &ops_ref, 1, batch);
    *n = everything(e, TOKENS, batch, out);
    engine_free(e);
    return out;
}

/* Whether a model says the same after `change`. */
static bool is_the_same(const char *label, void (*change)(struct model *m))
{
    struct loaded l;
    size_t n;
    load(&l, shape_of(label));
    float *before = run(&l, 40, &n);
    change(l.model);
    float *after = run(&l, 40, &n);
    bool same = memcmp(before, after, n * sizeof *before) == 0;
    free(before);
    free(after);
    unload(&l);
    return same;
}

/* -- the cache -- */

static void a_page_holds_what_each_layer_makes(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("gemma4")); /* 6 layers, the last two read the keys of the third and the fourth */
    const struct model *m = l.model;
    const size_t block = ARITH_CHUNK * (ARITH_BLOCK + sizeof(float));
    /* with a window two heads of 16, a block each for keys and values; without one head of 32 */
    const size_t at[] = {0, 4 * block, 6 * block, 10 * block, 6 * block, 10 * block};
    for (uint32_t i = 0; i < m->layers; i++) {
        const struct model_keys *keys = &m->layer[i].keys;
        assert_int_equal(keys->heads, i % 2 ? 1 : 2);
        assert_int_equal(keys->key_n, i % 2 ? 32 : 16);
        assert_int_equal(keys->value_n, keys->key_n);
        assert_int_equal(keys->of, i < 4 ? i : i - 2);
        assert_int_equal(keys->at, at[i]);
        assert_int_equal(m->layer[i].pairs, i % 2 ? 16 : 4);
        assert_int_equal(m->layer[i].window, i % 2 ? 0 : 70);
        assert_int_equal(m->layer[i].down.w.n, i < 4 ? 96 : 192);
    }
    assert_int_equal(cache_page_bytes(m), 12 * block);
    assert_int_equal(cache_layers_bytes(m, 1, 3), 6 * block);
    struct engine *e = engine_for(&l, &ops_ref, 1, 8);
    assert_int_equal(engine_seq_bytes(e, 65), 2 * (sizeof(struct page) + 12 * block));
    engine_free(e);
    unload(&l);
}

static void the_longest_heads_count(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("gemma4, heads longer with a window"));
    assert_int_equal(l.model->head, 48);
    assert_int_equal(l.model->layer[0].keys.key_n, 48);
    assert_int_equal(l.model->layer[1].keys.key_n, 24);
    assert_int_equal(l.model->rope_pairs, 12); /* the same here and there */
    assert_true(l.model->rope[MODEL_ROPE].factors[11] == 1e30f);
    assert_null(l.model->rope[MODEL_ROPE_LOCAL].factors);
    unload(&l);
}

static void spoil_shared_keys(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        if (m->layer[i].keys.of != i)
            m->layer[i].key = m->layer[0].key;
}

static void read_the_first(struct model *m)
{
    m->layer[4].keys.of = 0; /* as many, as long, and of the same window */
    cache_place(m);
}

static void last_layers_read_earlier_ones(void **state)
{
    (void)state;
    assert_true(is_the_same("gemma4", spoil_shared_keys));
    assert_false(is_the_same("gemma4", read_the_first));
}

static void say_values(struct model *m)
{
    for (uint32_t i = 1; i < m->layers; i += 2) {
        assert_null(m->layer[i].value.w.data);
        m->layer[i].value = m->layer[i].key;
    }
}

static void leave_values_as_they_are(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        m->layer[i].value_norm.gain = NULL;
}

static void values_may_be_keys_and_are_normed(void **state)
{
    (void)state;
    assert_true(is_the_same("gemma4, experts", say_values));
    assert_false(is_the_same("gemma4, experts", leave_values_as_they_are));
}

/* -- the second embedding, scales, two mixes -- */

static uint8_t *data_of(struct buf *file, const struct gguf *g, const char *name, const struct gguf_tensor **t)
{
    *t = gguf_find_tensor(g, name);
    assert_non_null(*t);
    return file->p + ((*t)->data.p - file->p);
}

/* What a model says whose second embedding has nothing for layer `empty`, and whose layer `other` gates as another
 * layer does. */
static float *run_without_part(uint32_t empty, uint32_t other, size_t *n)
{
    struct buf file = {0};
    struct gguf *g;
    struct loaded l = {0};
    struct note note;
    const struct model_make *s = shape_of("gemma4");
    const struct gguf_tensor *t;
    char name[64];
    model_make(&file, s);
    assert_int_equal(gguf_open(bytes_of_buf(&file), &g, &note), ERR_OK);
    uint8_t *p = data_of(&file, g, "per_layer_token_embd.weight", &t);
    const size_t row = t->size / t->dims[1];
    for (size_t i = 0; i < t->dims[1]; i++)
        memset(p + i * row + empty * row / s->layers, 0, row / s->layers);
    p = data_of(&file, g, "per_layer_model_proj.weight", &t);
    memset(p + empty * t->size / s->layers, 0, t->size / s->layers);
    snprintf(name, sizeof name, "blk.%u.inp_gate.weight", (other + 1) % s->layers);
    const uint8_t *from = data_of(&file, g, name, &t);
    snprintf(name, sizeof name, "blk.%u.inp_gate.weight", other);
    if (other < s->layers)
        memcpy(data_of(&file, g, name, &t), from, t->size);
    if (model_open(g, NULL, &l.model, &note) != ERR_OK)
        fail_msg("%s", note.text);
    float *out = run(&l, 40, n);
    model_free(l.model);
    gguf_free(g);
    buf_clear(&file);
    return out;
}

/* Where its part is zeros, a layer adds nothing, however it gates; the others do. */
static void a_layer_takes_its_own_part(void **state)
{
    (void)state;
    const uint32_t layers = shape_of("gemma4")->layers;
    size_t n;
    for (uint32_t empty = 0; empty < layers; empty += 2) {
        float *as_it_is = run_without_part(empty, layers, &n);
        for (uint32_t other = 0; other < layers; other++) {
            float *out = run_without_part(empty, other, &n);
            assert_int_equal(memcmp(as_it_is, out, n * sizeof *out) == 0, other == empty);
            free(out);
        }
        free(as_it_is);
    }
}

static const float zeros[256];

static void add_nothing(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        m->layer[i].input.post.gain = zeros;
}

static void without_inputs(struct model *m)
{
    m->input_n = 0;
}

static void inputs_of_another_token(struct model *m)
{
    m->inputs.data += m->inputs.row_bytes;
    m->inputs.rows--;
}

static void every_layer_takes_its_part(void **state)
{
    (void)state;
    struct loaded l;
    size_t n;
    for (size_t i = 0; i < 2; i++) {
        load(&l, shape_of(all[i]));
        add_nothing(l.model);
        float *nothing = run(&l, 33, &n);
        without_inputs(l.model);
        float *without = run(&l, 33, &n);
        assert_memory_equal(nothing, without, n * sizeof *without);
        free(nothing);
        free(without);
        unload(&l);
        assert_false(is_the_same(all[i], add_nothing));
    }
    load(&l, shape_of("gemma4"));
    l.model->vocab--; /* so that each token has one behind it */
    struct engine *e = engine_for(&l, &ops_ref, 1, 8);
    float before[VOCAB], after[VOCAB];
    uint32_t id = 5;
    struct engine_row row = {.seq = engine_seq_new(e, 2), .token = id, .wants = true};
    engine_eval(e, &row, 1);
    memcpy(before, row.logits, l.model->vocab * sizeof *before);
    engine_seq_cut(row.seq, 0);
    inputs_of_another_token(l.model);
    engine_eval(e, &row, 1);
    memcpy(after, row.logits, l.model->vocab * sizeof *after);
    assert_memory_not_equal(before, after, l.model->vocab * sizeof *after);
    engine_seq_free(row.seq);
    engine_free(e);
    unload(&l);
}

static void no_scales(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++) {
        assert_true(m->layer[i].scale != 1.0f);
        m->layer[i].scale = 1.0f;
    }
}

static const float ones[64] = {1, 1, 1, 1, 1, 1, 1, 1};
static const float twice[64] = {2, 2, 2, 2, 2, 2, 2, 2};

static void as_important(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        m->layer[i].importance = ones;
}

static void not_important(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        m->layer[i].importance = NULL;
}

static void more_important(struct model *m)
{
    not_important(m);
    m->expert_scale = 2.0f;
}

static void experts_add_nothing(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        m->layer[i].two_mixes.post.gain = zeros;
}

static void numbers_of_layers_and_experts_count(void **state)
{
    (void)state;
    struct loaded l;
    size_t n;
    for (size_t i = 0; i < ALL; i++)
        assert_false(is_the_same(all[i], no_scales));
    for (size_t i = 3; i < ALL; i++) {
        assert_false(is_the_same(all[i], as_important));
        assert_false(is_the_same(all[i], experts_add_nothing));
        load(&l, shape_of(all[i]));
        as_important(l.model);
        float *same = run(&l, 21, &n);
        not_important(l.model);
        float *none = run(&l, 21, &n);
        assert_memory_equal(same, none, n * sizeof *none);
        for (uint32_t j = 0; j < l.model->layers; j++)
            l.model->layer[j].importance = twice;
        float *two = run(&l, 21, &n);
        more_important(l.model);
        float *scaled = run(&l, 21, &n);
        assert_memory_equal(two, scaled, n * sizeof *two);
        free(same);
        free(none);
        free(two);
        free(scaled);
        unload(&l);
    }
}

/* Gates and ups in one tensor, as in two. */
static void gates_and_ups_are_halves_of_one_tensor(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("gemma4, experts"));
    const struct model_expert *x = l.model->layer[1].expert;
    for (uint32_t i = 0; i < l.model->experts; i++) {
        assert_int_equal(x[i].gate.w.rows, 32);
        assert_ptr_equal(x[i].up.w.data, x[i].gate.w.data + 32 * x[i].gate.w.row_bytes);
        assert_ptr_equal(x[i].gate.w.data, x[0].gate.w.data + i * 64 * x[0].gate.w.row_bytes);
    }
    unload(&l);
}

/* -- refusals -- */

/* Where a key's value stands in a file, behind its type. */
static uint8_t *value_of(struct buf *file, const char *key)
{
    uint8_t name[96];
    size_t n = strlen("gemma4.") + strlen(key);
    store_le64(name, n);
    snprintf((char *)name + 8, sizeof name - 8, "gemma4.%s", key);
    uint8_t *at = memmem(file->p, file->n, name, 8 + n);
    assert_non_null(at);
    return at + 8 + n + 4;
}

struct wrong {
    const char *label, *key;
    uint32_t element; /* of a list from 1 on; 0: it is a number */
    uint32_t value;
    const char *word;
};

static void expect_wrong(const struct wrong *w)
{
    struct buf file = {0};
    struct gguf *g;
    struct model *m;
    struct note note = {{0}};
    model_make(&file, shape_of(w->label));
    store_le32(value_of(&file, w->key) + (w->element ? 12 + 4 * (w->element - 1) : 0), w->value);
    assert_int_equal(gguf_open(bytes_of_buf(&file), &g, &note), ERR_OK);
    if (model_open(g, NULL, &m, &note) == ERR_OK)
        fail_msg("%s with %s = %u was taken", w->label, w->key, w->value);
    if (!strstr(note.text, w->word))
        fail_msg("%s, %s = %u: \"%s\" does not name %s", w->label, w->key, w->value, note.text, w->word);
    gguf_free(g);
    buf_clear(&file);
}

static void numbers_out_of_bounds_are_named(void **state)
{
    (void)state;
    static const struct wrong wrong[] = {
        {"gemma4", "attention.shared_kv_layers", 0, 5, "shared_kv_layers"},
        {"gemma4", "attention.shared_kv_layers", 0, 6, "shared_kv_layers"},
        {"gemma4", "attention.shared_kv_layers", 0, UINT32_MAX, "shared_kv_layers"},
        {"gemma4", "attention.shared_kv_layers", 0, 3, "of another kind"},
        {"gemma4", "attention.head_count_kv", 5, 4, "of another kind"},
        {"gemma4", "attention.head_count_kv", 1, 0, "head_count_kv"},
        {"gemma4", "attention.head_count_kv", 2, 3, "head_count_kv"},
        {"gemma4", "attention.head_count_kv", 2, 8, "head_count_kv"},
        {"gemma4", "attention.head_count_kv", 2, UINT32_MAX, "head_count_kv"},
        {"gemma4", "attention.key_length_swa", 0, 0, "key_length_swa"},
        {"gemma4", "attention.key_length_swa", 0, 24, "value_length_swa"},
        {"gemma4", "attention.key_length_swa", 0, 1u << 30, "key_length_swa"},
        {"gemma4", "attention.value_length_swa", 0, 8, "value_length_swa"},
        {"gemma4", "rope.dimension_count_swa", 0, 18, "rope.dimension_count_swa"},
        {"gemma4", "rope.dimension_count_swa", 0, 7, "rope.dimension_count_swa"},
        {"gemma4", "rope.dimension_count_swa", 0, 0, "rope.dimension_count_swa"},
        {"gemma4", "feed_forward_length", 3, 0, "feed_forward_length"},
        {"gemma4", "feed_forward_length", 3, UINT32_MAX, "feed_forward_length"},
        {"gemma4", "feed_forward_length", 3, 64, "blk.2.ffn_gate"},
        {"gemma4", "embedding_length_per_layer_input", 0, 16, "per_layer_token_embd"},
        {"gemma4", "embedding_length_per_layer_input", 0, 0, "per_layer_"},
        {"gemma4", "embedding_length_per_layer_input", 0, 65536 * 2, "embedding_length_per_layer_input"},
        {"gemma4, no second embedding", "embedding_length_per_layer_input", 0, 32, "per_layer_token_embd"},
        {"gemma4, experts", "embedding_length_per_layer_input", 0, UINT32_MAX, "embedding_length_per_layer_input"},
        {"gemma4", "attention.sliding_window", 0, 0, "sliding_window"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_wrong(&wrong[i]);
}

static void two_scales(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    model_make_vector(m, "blk.0.layer_output_scale.weight.x", 1, 1);
}

static void a_scale_of_an_expert(struct gguf_make *m, const struct model_make *s)
{
    model_make_vector(m, "blk.0.ffn_gate_exps.scale", s->experts, 1);
}

static void strangers_are_named(void **state)
{
    (void)state;
    struct model_make s = *shape_of("gemma4");
    s.more = two_scales;
    expect_refusal(&s, "layer_output_scale.weight.x");
    s = *shape_of("gemma4, experts");
    s.more = a_scale_of_an_expert;
    expect_refusal(&s, "ffn_gate_exps.scale");
    s = *shape_of("gemma4, heads longer with a window");
    s.layers = 5; /* then the two layers that read others' are of the wrong kinds */
    expect_refusal(&s, "of another kind");
}

/* -- where they run -- */

static void no_gpu_takes_them(void **state)
{
    (void)state;
    struct loaded l;
    struct devices d = {.n = 1}; /* not asked */
    struct devices_plan plan;
    char line[256];
    load(&l, shape_of("gemma4"));
    devices_plan(&d, l.model, 8, 4, 1, &plan);
    assert_int_equal(plan.n, 0);
    devices_say(&plan, line, sizeof line);
    assert_string_equal(line, "no GPU: a gemma4 has values that are normed, which runs on processors only");
    unload(&l);
}

static void some_are_not_cut_over_machines(void **state)
{
    (void)state;
    static const char *const why[] = {"more of a token than the stream", "more of a token than the stream",
                                      "read the keys of others"};
    struct loaded l;
    struct note note;
    for (size_t i = 0; i < ALL; i++) {
        load(&l, shape_of(all[i]));
        assert_int_equal(layers_check(l.model, &note), i < 3 ? ERR_UNSUPPORTED : ERR_OK);
        if (i < 3)
            assert_non_null(strstr(note.text, why[i]));
        unload(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_holds_what_each_layer_makes),
        cmocka_unit_test(the_longest_heads_count),
        cmocka_unit_test(last_layers_read_earlier_ones),
        cmocka_unit_test(values_may_be_keys_and_are_normed),
        cmocka_unit_test(every_layer_takes_its_part),
        cmocka_unit_test(a_layer_takes_its_own_part),
        cmocka_unit_test(numbers_of_layers_and_experts_count),
        cmocka_unit_test(gates_and_ups_are_halves_of_one_tensor),
        cmocka_unit_test(numbers_out_of_bounds_are_named),
        cmocka_unit_test(strangers_are_named),
        cmocka_unit_test(no_gpu_takes_them),
        cmocka_unit_test(some_are_not_cut_over_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
