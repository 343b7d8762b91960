/* The GGUF view over a real file, and what it and the model say to files that are wrong in one place. */
#include "tests/support.h"

#include "base/file_map.h"
#include "inference/engine/model.h"
#include "tests/gguf_make.h"

#include <math.h>
#include <string.h>

static void finds_what_a_real_file_holds(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct note note = {""};
    struct bytes file;
    struct gguf *g;
    assert_int_equal(file_map(path, &file, &note), ERR_OK);
    assert_int_equal(gguf_open(file, &g, &note), ERR_OK);
    struct bytes text;
    assert_true(gguf_find_text(g, "general.architecture", &text));
    assert_true(bytes_equal(text, bytes_of_text("llama")));
    uint32_t u;
    uint64_t w;
    float f;
    bool flag;
    assert_true(gguf_find_u32(g, "llama.context_length", &u) && u == 512);
    assert_true(gguf_find_u64(g, "llama.context_length", &w) && w == 512);
    assert_true(gguf_find_f32(g, "llama.rope.freq_base", &f) && f == 10000.0f);
    assert_true(gguf_find_flag(g, "tokenizer.ggml.add_bos_token", &flag) && flag);
    assert_false(gguf_find_flag(g, "llama.context_length", &flag));
    assert_false(gguf_find_u32(g, "llama.rope.freq_base", &u));
    assert_false(gguf_find_u32(g, "absent", &u));
    struct gguf_array a;
    assert_true(gguf_find_array(g, "tokenizer.ggml.tokens", &a));
    assert_int_equal(a.count, 512);
    assert_true(bytes_equal(gguf_array_text(&a, 1), bytes_of_text("<s>")));
    int64_t v;
    assert_true(gguf_find_array(g, "tokenizer.ggml.token_type", &a));
    assert_true(gguf_array_i64(&a, 1, &v) && v == 3);
    assert_int_equal(gguf_tensor_count(g), 47);
    const struct gguf_tensor *t = gguf_find_tensor(g, "blk.0.ffn_down.weight");
    assert_non_null(t);
    assert_int_equal(t->dims[0], 172);
    assert_int_equal(t->type, GGUF_TENSOR_F16);
    assert_int_equal(t->size, 172 * 64 * 2);
    assert_ptr_equal(t->data.p, file.p + gguf_data_start(g) + t->offset);
    assert_null(gguf_find_tensor(g, "absent"));
    gguf_free(g);
    /* Cut anywhere, it is refused with a word; for a vocabulary the data may be missing. */
    for (size_t n = 0; n < file.n; n += n < 12000 ? 7 : 9973) {
        note.text[0] = 0;
        assert_int_equal(gguf_open(bytes_of(file.p, n), &g, &note), ERR_FORMAT);
        assert_int_not_equal(note.text[0], 0);
    }
    assert_int_equal(gguf_open_head(bytes_of(file.p, 15000), &g, &note), ERR_OK);
    assert_null(gguf_tensor(g, 0)->data.p);
    gguf_free(g);
    file_unmap(file);
}

/* -- wrong in one place -- */

/* Adds what is wrong to a whole model, or changes what will be said of it. */
typedef void (*spoil_fn)(struct gguf_make *m);
/* Changes the finished file. */
typedef void (*patch_fn)(struct buf *file);

static const uint64_t square[] = {8, 8, 1, 1, 1};

static void wrong_magic(struct gguf_make *m)
{
    m->magic = 0x46474747u;
}
static void old_version(struct gguf_make *m)
{
    m->version = 1;
}
static void big_endian(struct gguf_make *m)
{
    m->version = 0x03000000u;
}
static void many_tensors(struct gguf_make *m)
{
    m->tensors_n = UINT64_MAX;
}
static void many_keys(struct gguf_make *m)
{
    m->keys_n = UINT64_C(1) << 40;
}
static void one_key_more(struct gguf_make *m)
{
    m->keys_n++;
}
static void same_key(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.context_length", 64);
}
static void empty_key(struct gguf_make *m)
{
    gguf_make_u32(m, "", 1);
}
static void dirty_key(struct gguf_make *m)
{
    gguf_make_u32(m, "bell\a", 1);
}
static void unknown_key_type(struct gguf_make *m)
{
    gguf_make_raw(m, "x", 77, "", 0);
}
static void flag_of_2(struct gguf_make *m)
{
    gguf_make_raw(m, "x", GGUF_FLAG, "\2", 1);
}
static void infinite_number(struct gguf_make *m)
{
    gguf_make_f32(m, "x", INFINITY);
}
static void huge_text(struct gguf_make *m)
{
    gguf_make_raw(m, "x", GGUF_TEXT, "\377\377\377\377\377\377\377\177", 8);
}
static void array_in_array(struct gguf_make *m)
{
    gguf_make_raw(m, "x", GGUF_ARRAY, "\11\0\0\0\1\0\0\0\0\0\0\0", 12);
}
static void array_of_unknown(struct gguf_make *m)
{
    gguf_make_raw(m, "x", GGUF_ARRAY, "\115\0\0\0\1\0\0\0\0\0\0\0", 12);
}
static void array_over_the_limit(struct gguf_make *m)
{
    gguf_make_raw(m, "x", GGUF_ARRAY, "\0\0\0\0\0\0\0\0\1\0\0\0", 12);
}
static void array_longer_than_the_file(struct gguf_make *m)
{
    gguf_make_raw(m, "y", GGUF_ARRAY, "\10\0\0\0\0\0\100\0\0\0\0\0", 12);
}
static void alignment_of_24(struct gguf_make *m)
{
    gguf_make_u32(m, "general.alignment", 24);
}
static void alignment_in_words(struct gguf_make *m)
{
    gguf_make_text(m, "general.alignment", "32");
}
static void same_tensor(struct gguf_make *m)
{
    gguf_make_info(m, "output_norm.weight", 1, square, GGUF_TENSOR_F32, 1u << 20);
}
static void no_tensor_name(struct gguf_make *m)
{
    gguf_make_info(m, "", 1, square, GGUF_TENSOR_F32, 1u << 20);
}
static void no_dimensions(struct gguf_make *m)
{
    gguf_make_info(m, "x", 0, square, GGUF_TENSOR_F32, 1u << 20);
}
static void five_dimensions(struct gguf_make *m)
{
    gguf_make_info(m, "x", 5, square, GGUF_TENSOR_F32, 1u << 20);
}
static void dimension_of_0(struct gguf_make *m)
{
    gguf_make_info(m, "x", 2, (const uint64_t[]){8, 0}, GGUF_TENSOR_F32, 1u << 20);
}
static void dimensions_that_overflow(struct gguf_make *m)
{
    gguf_make_info(m, "x", 2, (const uint64_t[]){UINT64_C(1) << 40, UINT64_C(1) << 40}, GGUF_TENSOR_F32, 1u << 20);
}
static void size_that_overflows(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, (const uint64_t[]){INT64_MAX}, GGUF_TENSOR_F32, 1u << 20);
}
static void unknown_tensor_type(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, square, 99, 1u << 20);
}
static void broken_blocks(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, square, GGUF_TENSOR_Q8_0, 1u << 20);
}
static void crooked_offset(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, square, GGUF_TENSOR_F32, (1u << 20) + 4);
}
static void overlap(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, square, GGUF_TENSOR_F32, 32);
}
static void offset_beyond_any_file(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, square, GGUF_TENSOR_F32, UINT64_MAX - 31);
}
static void offset_beyond_this_file(struct gguf_make *m)
{
    gguf_make_info(m, "x", 1, square, GGUF_TENSOR_F32, 1u << 20);
}

/* The model's own: */
static void key_as_text(struct gguf_make *m)
{
    gguf_make_text(m, "llama.attention.head_count_kv", "two");
}
static void groups_that_do_not_divide(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.attention.head_count_kv", 3);
}
static void odd_rotation(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.rope.dimension_count", 3);
}
static void rotation_longer_than_a_head(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.rope.dimension_count", 6);
}
static void other_scaling(struct gguf_make *m)
{
    gguf_make_text(m, "llama.rope.scaling.type", "dynamic");
}
static void values_of_other_length(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.attention.value_length", 2);
}
static void experts(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.expert_count", 8);
}
static void another_vocabulary(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.vocab_size", 9);
}
static const float zeros[64];
static void more_experts_than_there_are(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.expert_count", 4);
    gguf_make_u32(m, "llama.expert_used_count", 5);
}
static void too_many_experts(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.expert_count", EXPERTS_MAX + 1);
}
static void experts_that_are_not_there(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.expert_count", 4);
    gguf_make_u32(m, "llama.expert_used_count", 2);
}
static void experts_of_another_number(struct gguf_make *m)
{
    experts_that_are_not_there(m);
    gguf_make_tensor(m, "blk.0.ffn_gate_inp.weight", 8, 4, GGUF_TENSOR_F32, bytes_of(zeros, 32 * 4));
    gguf_make_tensor(m, "blk.0.ffn_gate_exps.weight", 8, 8, GGUF_TENSOR_F32, bytes_of(zeros, 64 * 4));
}
static void a_short_bias(struct gguf_make *m)
{
    gguf_make_tensor(m, "blk.0.attn_q.bias", 4, 1, GGUF_TENSOR_F32, bytes_of(zeros, 4 * 4));
}
static void a_norm_of_another_family(struct gguf_make *m)
{
    gguf_make_tensor(m, "blk.0.attn_q_norm.weight", 4, 1, GGUF_TENSOR_F32, bytes_of(zeros, 4 * 4));
}
static void a_key_that_is_not_known(struct gguf_make *m)
{
    gguf_make_f32(m, "llama.attention.clamp_kqv", 8.0f);
}
static void sees_all_positions(struct gguf_make *m)
{
    gguf_make_raw(m, "llama.attention.causal", GGUF_FLAG, zeros, 1);
}
static void factors_for_long_requests_only(struct gguf_make *m)
{
    gguf_make_tensor(m, "rope_factors_long.weight", 2, 1, GGUF_TENSOR_F32, bytes_of(zeros, 2 * 4));
}
static void a_factor_of_0(struct gguf_make *m)
{
    gguf_make_tensor(m, "rope_freqs.weight", 2, 1, GGUF_TENSOR_F32, bytes_of(zeros, 2 * 4));
}
static void a_pooling_of_its_own(struct gguf_make *m)
{
    gguf_make_u32(m, "llama.pooling_type", 4);
}

static void half_the_file(struct buf *file)
{
    file->n /= 2;
}
static void header_only(struct buf *file)
{
    file->n = 24;
}
static void nothing(struct buf *file)
{
    file->n = 0;
}
/* Replaces the first occurrence; same length. */
static void replace(struct buf *file, const char *from, const char *to)
{
    uint8_t *at = memmem(file->p, file->n, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
}
static void other_family(struct buf *file)
{
    replace(file, "llama", "mamba");
}
static void no_architecture(struct buf *file)
{
    replace(file, "general.arch", "general.arkh");
}
static void no_length(struct buf *file)
{
    replace(file, "llama.context_l", "llama.kontext_l");
}
static void shape_of_7(struct buf *file)
{
    uint8_t *at = memmem(file->p, file->n, "blk.0.ffn_up.weight", 19);
    at[19 + 4 + 8] = 7; /* rows */
}
static void formula_not_a_number(struct buf *file)
{
    const float nan = NAN;
    memcpy(file->p + file->n - sizeof nan, &nan, sizeof nan);
}

static const struct {
    const char *name;
    spoil_fn spoil;
    patch_fn patch;
    const char *skip; /* a tensor to leave out */
} kinds[] = {
    {"magic", wrong_magic, NULL, NULL},
    {"old version", old_version, NULL, NULL},
    {"big-endian", big_endian, NULL, NULL},
    {"too many tensors", many_tensors, NULL, NULL},
    {"too many keys", many_keys, NULL, NULL},
    {"one key more than there are", one_key_more, NULL, NULL},
    {"key twice", same_key, NULL, NULL},
    {"key without a name", empty_key, NULL, NULL},
    {"control character in a key", dirty_key, NULL, NULL},
    {"unknown type of a key", unknown_key_type, NULL, NULL},
    {"flag of 2", flag_of_2, NULL, NULL},
    {"infinite number", infinite_number, NULL, NULL},
    {"text of 2^63 bytes", huge_text, NULL, NULL},
    {"array of arrays", array_in_array, NULL, NULL},
    {"array of an unknown type", array_of_unknown, NULL, NULL},
    {"array over the limit", array_over_the_limit, NULL, NULL},
    {"array longer than the file", array_longer_than_the_file, NULL, NULL},
    {"alignment of 24", alignment_of_24, NULL, NULL},
    {"alignment in words", alignment_in_words, NULL, NULL},
    {"tensor twice", same_tensor, NULL, NULL},
    {"tensor without a name", no_tensor_name, NULL, NULL},
    {"no dimensions", no_dimensions, NULL, NULL},
    {"five dimensions", five_dimensions, NULL, NULL},
    {"dimension of 0", dimension_of_0, NULL, NULL},
    {"dimensions that overflow", dimensions_that_overflow, NULL, NULL},
    {"size that overflows", size_that_overflows, NULL, NULL},
    {"unknown type of a tensor", unknown_tensor_type, NULL, NULL},
    {"row that is no multiple of a block", broken_blocks, NULL, NULL},
    {"crooked offset", crooked_offset, NULL, NULL},
    {"overlap", overlap, NULL, NULL},
    {"offset beyond any file", offset_beyond_any_file, NULL, NULL},
    {"offset beyond this file", offset_beyond_this_file, NULL, NULL},
    {"half a file", NULL, half_the_file, NULL},
    {"header only", NULL, header_only, NULL},
    {"empty file", NULL, nothing, NULL},
    {"number as text", key_as_text, NULL, NULL},
    {"groups that do not divide", groups_that_do_not_divide, NULL, NULL},
    {"odd rotation", odd_rotation, NULL, NULL},
    {"rotation longer than a head", rotation_longer_than_a_head, NULL, NULL},
    {"other scaling", other_scaling, NULL, NULL},
    {"values of another length", values_of_other_length, NULL, NULL},
    {"experts", experts, NULL, NULL},
    {"another vocabulary", another_vocabulary, NULL, NULL},
    {"more experts than there are", more_experts_than_there_are, NULL, NULL},
    {"too many experts", too_many_experts, NULL, NULL},
    {"experts that are not there", experts_that_are_not_there, NULL, NULL},
    {"experts of another number", experts_of_another_number, NULL, NULL},
    {"a short bias", a_short_bias, NULL, NULL},
    {"a norm of another family", a_norm_of_another_family, NULL, NULL},
    {"a key that is not known", a_key_that_is_not_known, NULL, NULL},
    {"sees all positions", sees_all_positions, NULL, NULL},
    {"factors for long requests only", factors_for_long_requests_only, NULL, NULL},
    {"a factor of 0", a_factor_of_0, NULL, NULL},
    {"a pooling of its own", a_pooling_of_its_own, NULL, NULL},
    {"another family", NULL, other_family, NULL},
    {"no architecture", NULL, no_architecture, NULL},
    {"no context length", NULL, no_length, NULL},
    {"a shape that disagrees", NULL, shape_of_7, NULL},
    {"a weight that is not a number", NULL, formula_not_a_number, NULL},
    {"no embedding", NULL, NULL, "token_embd.weight"},
    {"no gate", NULL, NULL, "blk.0.ffn_gate.weight"},
};

static enum err open_all(struct bytes file, struct note *note)
{
    struct gguf *g;
    struct model *m = NULL;
    enum err e = gguf_open(file, &g, note);
    if (e == ERR_OK)
        e = model_open(g, NULL, &m, note);
    model_free(m);
    gguf_free(g);
    return e;
}

static void every_kind_of_wrong_file_is_named(void **state)
{
    (void)state;
    enum { KINDS = sizeof kinds / sizeof *kinds };
    static struct note notes[KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        struct gguf_make m;
        struct buf file = {0};
        gguf_make_counter(&m, kinds[i].skip);
        if (kinds[i].spoil)
            kinds[i].spoil(&m);
        gguf_make_end(&m, &file);
        if (kinds[i].patch)
            kinds[i].patch(&file);
        enum err e = open_all(bytes_of_buf(&file), &notes[i]);
        if (e == ERR_OK)
            fail_msg("%s was taken", kinds[i].name);
        if (notes[i].text[0] == 0)
            fail_msg("%s got no word", kinds[i].name);
        gguf_make_clear(&m);
        buf_clear(&file);
    }
    /* Each gets its own word, but for those that are the same case. */
    size_t same = 0;
    for (size_t i = 0; i < KINDS; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(notes[i].text, notes[j].text) == 0) {
                print_message("%s = %s: %s\n", kinds[j].name, kinds[i].name, notes[i].text);
                same++;
            }
    print_message("%zu kinds of wrong files\n", (size_t)KINDS);
    assert_true(same <= 1); /* an empty file and one with another magic: neither begins like GGUF */
}

static void the_whole_one_is_taken(void **state)
{
    (void)state;
    struct gguf_make m;
    struct buf file = {0};
    struct note note = {""};
    gguf_make_counter(&m, NULL);
    gguf_make_end(&m, &file);
    enum err e = open_all(bytes_of_buf(&file), &note);
    if (e != ERR_OK)
        fail_msg("%s", note.text);
    gguf_make_clear(&m);
    buf_clear(&file);
}

/* Any single byte changed: taken or refused, never a crash (run with sanitizers). */
static void no_byte_breaks_it(void **state)
{
    (void)state;
    struct gguf_make m;
    struct buf file = {0};
    struct note note;
    gguf_make_counter(&m, NULL);
    gguf_make_end(&m, &file);
    size_t head = file.n < 1200 ? file.n : 1200;
    for (size_t i = 0; i < head; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            file.p[i] ^= (uint8_t)(1u << bit);
            (void)!open_all(bytes_of_buf(&file), &note);
            file.p[i] ^= (uint8_t)(1u << bit);
        }
    gguf_make_clear(&m);
    buf_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_real_file_holds),
        cmocka_unit_test(the_whole_one_is_taken),
        cmocka_unit_test(every_kind_of_wrong_file_is_named),
        cmocka_unit_test(no_byte_breaks_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
