/* WordPiece: longest parts, cleaning, flags, files that lack what it needs. The published vectors are in test_tok.c. */
#include "tests/support.h"
#include "tests/tok_file.h"

static const char *const wpm_tokens[] = {"[PAD]",
                                         "[UNK]",
                                         "[CLS]",
                                         "[SEP]",
                                         "\xe2\x96\x81un",
                                         "aff",
                                         "able",
                                         "\xe2\x96\x81"
                                         "able",
                                         "\xe2\x96\x81!",
                                         "a",
                                         "\xe2\x96\x81\xe4\xbd\xa0",
                                         "\xe2\x96\x81\xe1\x84\x92",
                                         "\xe1\x85\xa1",
                                         "\xe1\x86\xab",
                                         "\xe2\x96\x81i",
                                         "\xcc\x87",
                                         "\xe2\x96\x81\xc3\xbcn",
                                         "\xe2\x96\x81Un",
                                         "\xe2\x96\x81[",
                                         "\xe2\x96\x81]",
                                         "\xe2\x96\x81\xef\xbc\x81"};
static const int32_t wpm_types[] = {3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
#define WPM_N (sizeof wpm_tokens / sizeof *wpm_tokens)

static void start_wpm(struct gguf_file *f)
{
    *f = (struct gguf_file){0};
    gguf_file_text(f, KEY("model"), "bert");
    gguf_file_texts(f, KEY("tokens"), wpm_tokens, WPM_N);
    gguf_file_ints(f, KEY("token_type"), wpm_types, WPM_N);
}

static void wpm_takes_longest_parts(void **state)
{
    (void)state;
    struct gguf_file f;
    struct note note = {{0}};
    start_wpm(&f);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    EXPECT(t, "unaffable", plain, 4, 5, 6);
    EXPECT(t, "unaffable Able", as_file, 2, 4, 5, 6, 7, 3);
    EXPECT(t, "able", forced, 2, 7);
    EXPECT(t, "", as_file, 2, 3);
    EXPECT(t, "unable!unx able", plain, 4, 6, 8, 1, 7); /* a word that has no writing is unknown as a whole */
    EXPECT(t, "\xc3\x9cn un\xcc\x88", plain, 4, 4);     /* accents go, whichever way they are written */
    EXPECT(t, "un\xe4\xbd\xa0un\xef\xbc\x81", plain, 4, 10, 4, 20);
    EXPECT(t, "u\xe2\x80\x8bn\x07\x7f\xff\xee\x80\x80\n\tun\xe3\x80\x80un", plain, 4, 4, 4); /* controls go */
    EXPECT(t, "\xed\x95\x9c", plain, 11, 12, 13);                                            /* syllables come apart */
    EXPECT(t, "\xc4\xb0", plain, 14);
    EXPECT(t, "[CLS]", plain, 18, 1, 19);
    EXPECT(t, "[CLS]un[SEP]", special, 2, 4, 3);
    EXPECT(t,
           "un\xe2\x96\x81"
           "able",
           plain, 1); /* a word's beginning is none within a word */
    struct buf text = {0}, out = {0};
    buf_add_text(&text, "un");
    while (text.n < 100)
        buf_add_text(&text, "a");
    EXPECT(t, "un", plain, 4);
    struct tok_ids ids = tok_file_encode(t, buf_text(&text), plain);
    assert_int_equal(ids.n, 99);
    tok_ids_clear(&ids);
    buf_add_text(&text, "a");
    EXPECT(t, buf_text(&text), plain, 1);
    tok_decode(t, (int32_t[]){2, 4, 5, 6, 8, 1, 7, 3}, 8, false, &out);
    assert_string_equal(buf_text(&out), "unaffable ! able");
    buf_clear(&text);
    buf_clear(&out);
    assert_int_equal(tok_bos(t), 2);
    assert_int_equal(tok_eos(t), 3);
    tok_free(t);
}

static void wpm_follows_its_flags(void **state)
{
    (void)state;
    struct gguf_file f;
    struct note note = {{0}};
    start_wpm(&f);
    gguf_file_flag(&f, KEY("normalizer.lowercase"), false);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    EXPECT(t, "Un un \xc3\x9cn \xc3\xbcn", plain, 17, 4, 1, 16);
    tok_free(t);
    start_wpm(&f);
    gguf_file_flag(&f, KEY("normalizer.strip_accents"), false);
    gguf_file_i32(&f, KEY("cls_token_id"), 0);
    t = tok_file_open(&f, &note);
    assert_non_null(t);
    EXPECT(t, "Un \xc3\x9cn \xc4\xb0", as_file, 0, 4, 16, 14, 15, 3);
    tok_free(t);
}

static void wpm_files_are_checked(void **state)
{
    (void)state;
    struct gguf_file f = {0};
    gguf_file_text(&f, KEY("model"), "bert");
    gguf_file_texts(&f, KEY("tokens"), wpm_tokens + 3, WPM_N - 3);
    tok_file_refused(&f, ERR_FORMAT, "the vocabulary has no [CLS] (tokenizer.ggml.cls_token_id)");
    start_wpm(&f);
    gguf_file_i32(&f, KEY("seperator_token_id"), 21);
    tok_file_refused(&f, ERR_RANGE, "seperator_token_id is 21, but the vocabulary has 21 tokens");
    start_wpm(&f);
    gguf_file_i32(&f, KEY("normalizer.lowercase"), 1);
    tok_file_refused(&f, ERR_FORMAT, "normalizer.lowercase is neither true nor false");
    gguf_file_text(&f, KEY("model"), "t5");
    tok_file_refused(&f, ERR_UNSUPPORTED, "tokenizer 't5' is not supported: llama, gpt2, gemma4 and bert are");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wpm_takes_longest_parts),
        cmocka_unit_test(wpm_follows_its_flags),
        cmocka_unit_test(wpm_files_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
