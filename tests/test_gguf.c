/* The GGUF view over a real file. */
#include "tests/support.h"

#include "base/file.h"
#include "inference/gguf.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_real_file_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
