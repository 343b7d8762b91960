/* Adapted models: what joins the base, in which numbers; what is refused, by its name; and that it computes what the
 * base and its adapters say. */
#include "base/mem.h"
#include "inference/adapt.h"
#include "inference/gguf_put.h"
#include "tests/arch.h"

#include <stdio.h>

#define EMBED 64u

static float draw(uint32_t i)
{
    return (float)((i * 2654435761u >> 8) % 2001) / 1000.0f - 1.0f;
}

static void add_matrix(struct gguf_make *m, const char *name, uint64_t n, uint64_t rows, uint32_t seed)
{
    struct buf data = {0};
    for (uint32_t i = 0; i < n * rows; i++) {
        float v = draw(seed * 7919 + i);
        buf_add(&data, &v, sizeof v);
    }
    gguf_make_tensor(m, name, n, rows, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
}

static void add_pair(struct gguf_make *m, const char *matrix, uint64_t n, uint64_t rows, uint64_t rank, uint32_t seed)
{
    char name[96];
    snprintf(name, sizeof name, "%s.lora_a", matrix);
    add_matrix(m, name, n, rank, seed);
    snprintf(name, sizeof name, "%s.lora_b", matrix);
    add_matrix(m, name, rank, rows, seed + 1);
}

static void begin_adapter(struct gguf_make *m, float alpha)
{
    gguf_make_init(m);
    gguf_make_text(m, "general.type", "adapter");
    gguf_make_text(m, "general.architecture", "llama");
    gguf_make_text(m, "adapter.type", "lora");
    gguf_make_f32(m, "adapter.lora.alpha", alpha);
}

static struct adapt_file end_adapter(struct gguf_make *m, struct buf *room, float weight)
{
    gguf_make_end(m, room);
    gguf_make_clear(m);
    return (struct adapt_file){"adapter.gguf", bytes_of_buf(room), {{7}}, weight, false};
}

static struct adapt_file base_of(const char *label, struct buf *room)
{
    model_make(room, shape_of(label));
    return (struct adapt_file){"base.gguf", bytes_of_buf(room), {{5}}, 0, false};
}

static enum err make(const struct adapt_file *base, const struct adapt_file *adapters, size_t n, struct buf *out,
                     struct note *note)
{
    struct adapt *a = NULL;
    struct bytes piece;
    enum err e = adapt_new(base, adapters, n, &a, note);
    if (e != ERR_OK)
        return e;
    while (adapt_next(a, &piece))
        buf_add(out, piece.p, piece.n);
    assert_int_equal(out->n, adapt_facts(a).bytes);
    adapt_free(a);
    return ERR_OK;
}

static float value_at(const struct gguf *g, const char *name, uint64_t i)
{
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    float v;
    assert_non_null(t);
    memcpy(&v, t->data.p + 4 * i, sizeof v);
    return v;
}

/* Keys and tensors of the base are in the made file as they were. */
static void holds_base(const struct gguf *base, const struct gguf *made)
{
    struct bytes key;
    for (size_t i = 0; (key = gguf_key(base, i)).p; i++) {
        bool found = false;
        struct bytes other;
        for (size_t j = 0; (other = gguf_key(made, j)).p; j++)
            found = found || bytes_equal(gguf_key_raw(base, i), gguf_key_raw(made, j));
        assert_true(found);
    }
    for (size_t i = 0; i < gguf_tensor_count(base); i++) {
        const struct gguf_tensor *a = gguf_tensor(base, i), *b = gguf_find_tensor(made, a->name);
        assert_non_null(b);
        assert_true(a->type == b->type && a->n_dims == b->n_dims && bytes_equal(a->data, b->data));
        assert_memory_equal(a->dims, b->dims, sizeof a->dims);
    }
}

static void adapters_are_joined_by_rank(void **state)
{
    (void)state;
    struct buf files[3] = {{0}}, made = {0}, again = {0};
    struct gguf_make m;
    struct note note = {{0}};
    struct gguf *base, *g, *first, *second;
    struct adapt_file b = base_of("llama", &files[0]), a[2];
    begin_adapter(&m, 6);
    add_pair(&m, "blk.0.attn_q.weight", EMBED, 64, 3, 1);
    add_pair(&m, "blk.1.ffn_down.weight", 96, EMBED, 3, 3);
    a[0] = end_adapter(&m, &files[1], 0.25f);
    begin_adapter(&m, 0);
    add_pair(&m, "blk.0.attn_q.weight", EMBED, 64, 2, 5);
    a[1] = end_adapter(&m, &files[2], -3);
    a[1].root = (struct hash){{8}};
    if (make(&b, a, 2, &made, &note) != ERR_OK)
        fail_msg("%s", note.text);
    assert_int_equal(make(&b, a, 2, &again, &note), ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&made), bytes_of_buf(&again)));
    assert_int_equal(gguf_open(bytes_of_buf(&made), &g, &note), ERR_OK);
    assert_int_equal(gguf_open(b.bytes, &base, &note), ERR_OK);
    assert_int_equal(gguf_open(a[0].bytes, &first, &note), ERR_OK);
    assert_int_equal(gguf_open(a[1].bytes, &second, &note), ERR_OK);
    holds_base(base, g);
    assert_int_equal(gguf_tensor_count(g), gguf_tensor_count(base) + 4);
    const char *down = "blk.0.attn_q.weight.lora_a", *up = "blk.0.attn_q.weight.lora_b";
    assert_int_equal(gguf_find_tensor(g, down)->dims[1], 5);
    for (uint64_t i = 0; i < 5 * EMBED; i++)
        assert_true(value_at(g, down, i) ==
                    (i < 3 * EMBED ? value_at(first, down, i) : value_at(second, down, i - 3 * EMBED)));
    for (uint64_t i = 0; i < 64 * 5; i++) {
        uint64_t r = i / 5, j = i % 5;
        float want = j < 3 ? value_at(first, up, 3 * r + j) * 0.5f : value_at(second, up, 2 * r + j - 3) * -3.0f;
        assert_true(value_at(g, up, i) == want); /* 6 / 3 * 0.25, and -3 without an alpha */
    }
    struct bytes text;
    char hex[65];
    hex_put(hex, b.root.b, HASH_SIZE);
    assert_true(gguf_find_text(g, "kith.adapted.base", &text) && bytes_equal(text, bytes_of_text(hex)));
    struct gguf_array list;
    assert_true(gguf_find_array(g, "kith.adapted.weights", &list) && list.count == 2 &&
                gguf_array_f32(&list, 1) == -3.0f);
    assert_true(gguf_find_array(g, "kith.adapted.adapters", &list) && list.count == 2);
    for (uint64_t i = 0; i < 2; i++) {
        hex_put(hex, a[i].root.b, HASH_SIZE);
        assert_true(bytes_equal(gguf_array_text(&list, i), bytes_of_text(hex)));
    }
    gguf_free(g);
    gguf_free(base);
    gguf_free(first);
    gguf_free(second);
    for (unsigned i = 0; i < 3; i++)
        buf_clear(&files[i]);
    buf_clear(&made);
    buf_clear(&again);
}

static void eval(struct bytes file, float *out)
{
    struct gguf *g;
    struct model *m;
    struct note note = {{0}};
    assert_int_equal(gguf_open(file, &g, &note), ERR_OK);
    if (model_open(g, NULL, &m, &note) != ERR_OK)
        fail_msg("%s", note.text);
    struct engine_options o = {.model = m, .ops = &ops_ref, .threads = 1, .batch_max = 32};
    struct engine *e = engine_new(&o);
    (void)everything(e, 20, 32, out);
    engine_free(e);
    model_free(m);
    gguf_free(g);
}

/* What is added to what was added: an adapted model is a base again, and the two steps together are the one. Zeros add
 * nothing, an adapter does. */
static void an_adapted_model_is_a_base(void **state)
{
    (void)state;
    static float plain[TOKENS * 512], once[TOKENS * 512], twice[TOKENS * 512];
    const size_t n = 20 * (VOCAB + EMBED) * sizeof(float);
    struct buf files[3] = {{0}}, made[3] = {{0}};
    struct gguf_make m;
    struct note note = {{0}};
    struct adapt_file b = base_of("llama", &files[0]), a[2];
    begin_adapter(&m, 1);
    add_pair(&m, "blk.0.attn_v.weight", EMBED, 32, 2, 11);
    a[0] = end_adapter(&m, &files[1], 1);
    begin_adapter(&m, 1);
    add_pair(&m, "blk.0.attn_v.weight", EMBED, 32, 3, 13);
    add_pair(&m, "blk.1.attn_output.weight", 64, EMBED, 3, 15);
    a[1] = end_adapter(&m, &files[2], 1);
    assert_int_equal(make(&b, a, 2, &made[0], &note), ERR_OK);
    assert_int_equal(make(&b, a, 1, &made[1], &note), ERR_OK);
    struct adapt_file step = {"step.gguf", bytes_of_buf(&made[1]), {{9}}, 0, false};
    assert_int_equal(make(&step, a + 1, 1, &made[2], &note), ERR_OK);
    eval(b.bytes, plain);
    eval(bytes_of_buf(&made[0]), once);
    eval(bytes_of_buf(&made[2]), twice);
    assert_memory_equal(once, twice, n);
    assert_memory_not_equal(plain, once, n);
    for (unsigned i = 0; i < 3; i++) {
        buf_clear(&files[i]);
        buf_clear(&made[i]);
    }
}

static void names_first(struct bytes file, const char *wanted)
{
    struct gguf *g;
    struct note note;
    struct bytes text = {0};
    assert_int_equal(gguf_open(file, &g, &note), ERR_OK);
    assert_int_equal(gguf_find_text(g, "kith.adapted.first", &text), wanted != NULL);
    assert_true(!wanted || bytes_equal(text, bytes_of_text(wanted)));
    gguf_free(g);
}

/* An update that says beside which file it was trained joins that one, or what was made of it, and no other unless its
 * owner says so. */
static void an_update_joins_its_own_base(void **state)
{
    (void)state;
    struct buf files[3] = {{0}}, made[3] = {{0}};
    struct gguf_make m;
    struct note note = {{0}};
    char hex[2 * HASH_SIZE + 1];
    struct adapt_file b = base_of("llama", &files[0]), a;
    hex_put(hex, b.root.b, HASH_SIZE);
    begin_adapter(&m, 1);
    gguf_make_text(&m, "kith.train.base", hex);
    add_pair(&m, "blk.0.attn_v.weight", EMBED, 32, 2, 11);
    a = end_adapter(&m, &files[1], 1);
    assert_int_equal(make(&b, &a, 1, &made[0], &note), ERR_OK);
    struct adapt_file step = {"step.gguf", bytes_of_buf(&made[0]), {{9}}, 0, false};
    assert_int_equal(make(&step, &a, 1, &made[1], &note), ERR_OK);
    struct adapt_file third = {"third.gguf", bytes_of_buf(&made[1]), {{11}}, 0, false};
    assert_int_equal(make(&third, &a, 1, &made[2], &note), ERR_OK);
    names_first(bytes_of_buf(&made[0]), NULL);
    names_first(bytes_of_buf(&made[1]), hex);
    names_first(bytes_of_buf(&made[2]), hex);
    b.root.b[0]++;
    buf_reset(&made[1]);
    assert_int_equal(make(&b, &a, 1, &made[1], &note), ERR_MISMATCH);
    assert_non_null(strstr(note.text, hex));
    hex_put(hex, b.root.b, HASH_SIZE);
    assert_non_null(strstr(note.text, hex));
    assert_non_null(strstr(note.text, "--any-base"));
    assert_non_null(strstr(note.text, "base.gguf"));
    assert_non_null(strstr(note.text, "adapter.gguf"));
    a.is_of_any = true;
    buf_reset(&made[1]);
    assert_int_equal(make(&b, &a, 1, &made[1], &note), ERR_OK);
    begin_adapter(&m, 1);
    gguf_make_u32(&m, "kith.train.base", 5);
    add_pair(&m, "blk.0.attn_v.weight", EMBED, 32, 2, 11);
    a = end_adapter(&m, &files[2], 1);
    assert_int_equal(make(&b, &a, 1, &made[1], &note), ERR_FORMAT);
    for (unsigned i = 0; i < 3; i++) {
        buf_clear(&files[i]);
        buf_clear(&made[i]);
    }
}

static void refuses(void (*fill)(struct gguf_make *m), float weight, const char *word)
{
    struct buf files[2] = {{0}}, made = {0};
    struct gguf_make m;
    struct note note = {{0}};
    struct adapt_file b = base_of("qwen2moe", &files[0]), a;
    begin_adapter(&m, 1);
    gguf_make_clear(&m);
    gguf_make_init(&m);
    fill(&m);
    a = end_adapter(&m, &files[1], weight);
    if (make(&b, &a, 1, &made, &note) == ERR_OK)
        fail_msg("\"%s\" was taken", word);
    if (!strstr(note.text, word) || !strstr(note.text, ".gguf"))
        fail_msg("\"%s\" does not say %s", note.text, word);
    buf_clear(&files[0]);
    buf_clear(&files[1]);
    buf_clear(&made);
}

static void says(struct gguf_make *m, const char *type, const char *architecture, const char *adapter)
{
    if (type)
        gguf_make_text(m, "general.type", type);
    gguf_make_text(m, "general.architecture", architecture);
    gguf_make_text(m, "adapter.type", adapter);
}

static void no_type(struct gguf_make *m)
{
    says(m, NULL, "qwen2moe", "lora");
}
static void another_type(struct gguf_make *m)
{
    says(m, "model", "qwen2moe", "lora");
}
static void another_architecture(struct gguf_make *m)
{
    says(m, "adapter", "llama", "lora");
}
static void another_adapter(struct gguf_make *m)
{
    says(m, "adapter", "qwen2moe", "control");
}
static void nothing(struct gguf_make *m)
{
    says(m, "adapter", "qwen2moe", "lora");
}
static void from_tokens_on(struct gguf_make *m)
{
    nothing(m);
    gguf_make_u32(m, "adapter.alora.invocation_tokens", 5);
}
static void alpha_as_text(struct gguf_make *m)
{
    nothing(m);
    gguf_make_text(m, "adapter.lora.alpha", "16");
}
static void half(struct gguf_make *m)
{
    nothing(m);
    add_matrix(m, "blk.0.attn_q.weight.lora_b", 2, 64, 1);
}
static void norm(struct gguf_make *m)
{
    nothing(m);
    add_matrix(m, "blk.0.attn_norm.weight", EMBED, 1, 1);
}
static void unknown_matrix(struct gguf_make *m)
{
    nothing(m);
    add_pair(m, "blk.7.attn_q.weight", EMBED, 64, 2, 1);
}
static void experts(struct gguf_make *m)
{
    nothing(m);
    add_pair(m, "blk.0.ffn_up_exps.weight", EMBED, 32, 2, 1);
}
static void shape(struct gguf_make *m)
{
    nothing(m);
    add_pair(m, "blk.0.attn_q.weight", EMBED, 65, 2, 1);
}
static void ranks(struct gguf_make *m)
{
    nothing(m);
    add_matrix(m, "blk.0.attn_q.weight.lora_a", EMBED, 2, 1);
    add_matrix(m, "blk.0.attn_q.weight.lora_b", 3, 64, 1);
}
static void rank(struct gguf_make *m)
{
    nothing(m);
    add_pair(m, "blk.0.attn_q.weight", EMBED, 64, LOW_RANK_MAX + 1, 1);
}
static void format(struct gguf_make *m)
{
    struct buf data = {0};
    uint8_t zeros[34] = {0};
    nothing(m);
    for (unsigned i = 0; i < 4; i++)
        buf_add(&data, zeros, sizeof zeros);
    gguf_make_tensor(m, "blk.0.attn_q.weight.lora_a", EMBED, 2, GGUF_TENSOR_Q8_0, bytes_of_buf(&data));
    add_matrix(m, "blk.0.attn_q.weight.lora_b", 2, 64, 1);
    buf_clear(&data);
}
static void not_finite(struct gguf_make *m)
{
    float v[2 * EMBED] = {[5] = INFINITY};
    nothing(m);
    gguf_make_tensor(m, "blk.0.attn_q.weight.lora_a", EMBED, 2, GGUF_TENSOR_F32, bytes_of(v, sizeof v));
    add_matrix(m, "blk.0.attn_q.weight.lora_b", 2, 64, 1);
}
static void alpha_over_all(struct gguf_make *m)
{
    nothing(m);
    gguf_make_f32(m, "adapter.lora.alpha", 3e38f);
    add_pair(m, "blk.0.attn_q.weight", EMBED, 64, 1, 1);
}
static void right(struct gguf_make *m)
{
    nothing(m);
    add_pair(m, "blk.0.attn_q.weight", EMBED, 64, 2, 1);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    refuses(no_type, 1, "general.type");
    refuses(another_type, 1, "general.type is \"model\"");
    refuses(another_architecture, 1, "general.architecture is \"llama\"");
    refuses(another_adapter, 1, "adapter.type is \"control\"");
    refuses(nothing, 1, "adds nothing");
    refuses(from_tokens_on, 1, "certain tokens");
    refuses(alpha_as_text, 1, "adapter.lora.alpha");
    refuses(alpha_over_all, 2, "its alpha times its weight");
    refuses(half, 1, "blk.0.attn_q.weight.lora_b has no .lora_a");
    refuses(norm, 1, "blk.0.attn_norm.weight is no half");
    refuses(unknown_matrix, 1, "blk.7.attn_q.weight");
    refuses(experts, 1, "blk.0.ffn_up_exps.weight");
    refuses(shape, 1, "another model");
    refuses(ranks, 1, "another model");
    refuses(rank, 1, "rank of 4097");
    refuses(format, 1, "Q8_0");
    refuses(not_finite, 1, "not finite");
    refuses(right, 0, "weight");
    refuses(right, INFINITY, "weight");
}

/* The engine's own look at a file that somebody else made. */
static void a_model_with_odd_additions_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *matrix;
        uint64_t n, rows, rank;
        const char *word;
    } odd[] = {
        {"token_embd.weight", EMBED, VOCAB, 2, "token_embd.weight.lora_a"},
        {"blk.0.attn_norm.weight", EMBED, 1, 2, "blk.0.attn_norm.weight.lora_a"},
        {"blk.0.attn_q.weight", EMBED, 63, 2, "blk.0.attn_q.weight.lora_b"},
        {"blk.0.attn_q.weight", 63, 64, 2, "blk.0.attn_q.weight.lora_a"},
        {"blk.0.attn_q.weight", EMBED, 64, LOW_RANK_MAX + 1, "rank over the limit"},
        {"blk.0.attn_q.weight.lora_a", EMBED, 2, 2, "blk.0.attn_q.weight"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct model_make s = *shape_of("llama");
        struct buf plain = {0}, file = {0};
        struct gguf *g, *made;
        struct gguf_make m;
        struct model *model;
        struct note note = {{0}};
        struct bytes key;
        model_make(&plain, &s);
        assert_int_equal(gguf_open(bytes_of_buf(&plain), &g, &note), ERR_OK);
        gguf_make_init(&m);
        for (size_t k = 0; (key = gguf_key_raw(g, k)).p; k++, m.keys_n++)
            buf_add(&m.keys, key.p, key.n);
        for (size_t k = 0; k < gguf_tensor_count(g); k++) {
            const struct gguf_tensor *t = gguf_tensor(g, k);
            gguf_make_tensor(&m, t->name, t->dims[0], t->dims[1], t->type, t->data);
        }
        add_pair(&m, odd[i].matrix, odd[i].n, odd[i].rows, odd[i].rank, 1);
        gguf_make_end(&m, &file);
        assert_int_equal(gguf_open(bytes_of_buf(&file), &made, &note), ERR_OK);
        if (model_open(made, NULL, &model, &note) == ERR_OK)
            fail_msg("%s was taken", odd[i].matrix);
        if (!strstr(note.text, odd[i].word))
            fail_msg("\"%s\" does not name %s", note.text, odd[i].word);
        gguf_make_clear(&m);
        gguf_free(made);
        gguf_free(g);
        buf_clear(&plain);
        buf_clear(&file);
    }
}

/* What several add together is bounded, too: up to the bound they are joined. */
static void ranks_add_up(void **state)
{
    (void)state;
    for (uint32_t more = 0; more < 2; more++) {
        struct buf files[3] = {{0}}, made = {0};
        struct gguf_make m;
        struct note note = {{0}};
        struct adapt_file b = base_of("llama", &files[0]), a[2];
        for (uint32_t i = 0; i < 2; i++) {
            begin_adapter(&m, 1);
            add_pair(&m, "blk.0.attn_q.weight", EMBED, 64, i ? 5 + more : LOW_RANK_MAX - 5, 1);
            a[i] = end_adapter(&m, &files[i + 1], 1);
        }
        assert_int_equal(make(&b, a, 2, &made, &note), more ? ERR_LIMIT : ERR_OK);
        for (size_t i = 0; i < 3; i++)
            buf_clear(&files[i]);
        buf_clear(&made);
    }
}

/* A base of two odd tensors, behind five bytes that are not its own. */
static void make_aligned(uint32_t alignment, struct buf *out)
{
    struct gguf_writer w = {.keys_n = 0};
    const uint64_t dims[2] = {8, 3}, next = (96 + alignment - 1) / alignment * alignment;
    gguf_writer_text(&w, "general.architecture", "llama");
    gguf_writer_u32(&w, "general.alignment", alignment);
    gguf_writer_tensor(&w, "x.weight", dims, 2, GGUF_TENSOR_F32, 0);
    gguf_writer_tensor(&w, "y.weight", dims, 2, GGUF_TENSOR_F32, next);
    buf_add_text(out, "12345");
    gguf_writer_head(&w, alignment, out);
    gguf_writer_clear(&w);
    for (uint64_t at = 0; at < next + 96; at++)
        buf_add(out, at / 4 % 2 ? "\x3f" : "\x3e", 1);
}

/* What is made is aligned as the base is, to its end. */
static void alignment_is_the_bases(void **state)
{
    (void)state;
    for (uint32_t alignment = 8; alignment <= 4096; alignment *= 2) {
        struct buf room = {0}, file = {0}, made = {0};
        struct gguf_make m;
        struct gguf *g, *was;
        struct note note = {{0}};
        make_aligned(alignment, &room);
        const struct adapt_file base = {"base.gguf", bytes_of(room.p + 5, room.n - 5), {{5}}, 0, false};
        begin_adapter(&m, 0);
        add_pair(&m, "y.weight", 8, 3, 1, 1);
        add_pair(&m, "x.weight", 8, 3, 3, 3);
        const struct adapt_file a = end_adapter(&m, &file, 1);
        if (make(&base, &a, 1, &made, &note) != ERR_OK || gguf_open(bytes_of_buf(&made), &g, &note) != ERR_OK)
            fail_msg("%u: %s", alignment, note.text);
        assert_int_equal(gguf_open(base.bytes, &was, &note), ERR_OK);
        holds_base(was, g);
        for (size_t i = 0; i < gguf_tensor_count(g); i++)
            assert_int_equal((size_t)(gguf_tensor(g, i)->data.p - made.p) % alignment, 0);
        for (uint64_t i = 0; i < 9; i++)
            assert_true(value_at(g, "x.weight.lora_b", i) == draw(4 * 7919 + (uint32_t)i));
        assert_int_equal(made.n % alignment, 0);
        gguf_free(g);
        gguf_free(was);
        buf_clear(&room);
        buf_clear(&file);
        buf_clear(&made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_are_joined_by_rank),
        cmocka_unit_test(an_adapted_model_is_a_base),
        cmocka_unit_test(an_update_joins_its_own_base),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(a_model_with_odd_additions_is_refused),
        cmocka_unit_test(ranks_add_up),
        cmocka_unit_test(alignment_is_the_bases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
