/* Tokenizers: published vectors, round trips, special tokens, hostile vocabularies. */
#include "base/file.h"
#include "base/limits.h"
#include "tests/support.h"
#include "tests/tok_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- published vectors -- */

static const char *const vocabularies[] = {"llama-spm",      "phi-3",     "gpt-2",  "llama-bpe",
                                           "qwen2",          "starcoder", "refact", "deepseek-llm",
                                           "deepseek-coder", "falcon",    "mpt",    "bert-bge"};

/* Texts come back byte for byte; of a vocabulary that cleans them, what comes back has the same tokens
 * (words that it cannot write are lost). */
static bool comes_back(const struct tok *t, const char *name, const char *text, const struct tok_ids *ids)
{
    struct buf back = {0};
    tok_decode(t, ids->p, ids->n, false, &back);
    bool same = bytes_equal(bytes_of_buf(&back), bytes_of_text(text));
    if (strncmp(name, "bert", 4) == 0) {
        struct tok_ids again = tok_file_encode(t, buf_text(&back), plain), known = {0};
        for (size_t i = 0; i < ids->n; i++)
            if (ids->p[i] != tok_find(t, "[UNK]"))
                tok_ids_add(&known, ids->p[i]);
        same = bytes_equal(bytes_of(again.p, again.n * sizeof *again.p), bytes_of(known.p, known.n * sizeof *known.p));
        tok_ids_clear(&again);
        tok_ids_clear(&known);
    }
    if (!same)
        print_message("%s: does not come back: '%s' -> '%s'\n", name, text, buf_text(&back));
    buf_clear(&back);
    return same;
}

/* Texts stand between marker lines, the tokens of each in one line. Returns how many differ. */
static int compare_vectors(const struct tok *t, const char *name, char *inputs, char *outputs)
{
    static const char marker[] = "\n__ggml_vocab_test__\n";
    int count = 0, different = 0;
    for (char *text = inputs, *line = outputs; text && line; count++) {
        char *end = strstr(text, marker), *line_end = strchr(line, '\n');
        if (end)
            *end = 0;
        else if (*text && text[strlen(text) - 1] == '\n')
            text[strlen(text) - 1] = 0;
        if (line_end)
            *line_end = 0;
        struct tok_ids ids = tok_file_encode(t, text, plain);
        size_t i = 0;
        bool same = true;
        for (char *p = line; *p && same;) {
            char *next;
            long id = strtol(p, &next, 10);
            if (next == p)
                break;
            same = i < ids.n && ids.p[i++] == id;
            p = next;
        }
        if (!same || i != ids.n) {
            print_message("%s: text %d differs at token %zu: '%s'\n", name, count, i, text);
            different++;
        }
        different += !comes_back(t, name, text, &ids);
        tok_ids_clear(&ids);
        text = end ? end + sizeof marker - 1 : NULL;
        line = line_end && line_end[1] ? line_end + 1 : NULL;
    }
    print_message("%s: %d texts, %d differences\n", name, count, different);
    return count > 20 ? different : 1;
}

static void published_vectors(void **state)
{
    (void)state;
    int different = 0, tested = 0;
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++) {
        char name[64], path[512];
        snprintf(name, sizeof name, "vocabs/ggml-vocab-%s.gguf", vocabularies[i]);
        const char *file = test_data_path(name);
        if (!file) {
            print_message("skip: %s is not on this machine\n", name);
            continue;
        }
        struct note note = {{0}};
        struct buf in = {0}, out = {0};
        struct tok *t = tok_file_open_path(file, &note);
        if (!t)
            fail_msg("%s: %s", vocabularies[i], note.text);
        snprintf(path, sizeof path, "%s.inp", file);
        assert_int_equal(file_read(path, 1u << 20, &in, &note), ERR_OK);
        snprintf(path, sizeof path, "%s.out", test_data_path(name));
        assert_int_equal(file_read(path, 1u << 20, &out, &note), ERR_OK);
        buf_text(&in);
        buf_text(&out);
        different += compare_vectors(t, vocabularies[i], (char *)in.p, (char *)out.p);
        tested++;
        buf_clear(&in);
        buf_clear(&out);
        tok_free(t);
    }
    if (tested == 0)
        skip();
    assert_int_equal(different, 0);
}

static void stories_prompt(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct note note = {{0}};
    struct tok *t = tok_file_open_path(path, &note);
    assert_non_null(t);
    EXPECT(t, "Once upon a time", as_file, 1, 403, 407, 261, 378);
    EXPECT(t, "Once upon a time", plain, 403, 407, 261, 378);
    EXPECT(t, "", as_file, 1);
    assert_int_equal(tok_bos(t), 1);
    assert_int_equal(tok_eos(t), 2);
    assert_true(tok_is_eog(t, 2));
    assert_false(tok_is_eog(t, 403));
    tok_free(t);
}

/* Prompts as templates write them. */
static void published_special_tokens(void **state)
{
    (void)state;
    struct note note = {{0}};
    struct tok *t;
    TEST_NEEDS(phi3, "vocabs/ggml-vocab-phi-3.gguf");
    t = tok_file_open_path(phi3, &note);
    assert_non_null(t);
    EXPECT(t, "<|user|>\nHello<|end|>\n<|assistant|>\n", special, 32010, 15043, 32007, 32001);
    assert_true(tok_is_eog(t, 32007));
    assert_true(tok_is_eog(t, 32000));
    assert_false(tok_is_eog(t, 32010));
    tok_free(t);
    TEST_NEEDS(qwen2, "vocabs/ggml-vocab-qwen2.gguf");
    t = tok_file_open_path(qwen2, &note);
    assert_non_null(t);
    EXPECT(t, "<|im_start|>user\nHi<|im_end|>", special, 151644, 872, 198, 13048, 151645);
    tok_file_expect(t, "", as_file, 0, NULL);
    struct tok_ids ids = tok_file_encode(t, "<|im_end|>", plain);
    for (size_t i = 0; i < ids.n; i++)
        assert_false(tok_is_control(t, ids.p[i]));
    tok_ids_clear(&ids);
    tok_free(t);
    TEST_NEEDS(gpt2, "vocabs/ggml-vocab-gpt-2.gguf");
    t = tok_file_open_path(gpt2, &note);
    assert_non_null(t);
    EXPECT(t, "Hello world<|endoftext|>", special, 15496, 995, 50256);
    assert_true(tok_is_eog(t, 50256));
    tok_free(t);
}

static void many_languages_come_back(void **state)
{
    (void)state;
    const char *found = test_data_path("text/multi/udhr-utf8.txt");
    if (!found) {
        print_message("skip: text/multi/udhr-utf8.txt is not on this machine\n");
        skip();
    }
    struct note note = {{0}};
    struct buf text = {0};
    assert_int_equal(file_read(found, 4u << 20, &text, &note), ERR_OK);
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++) {
        char name[64];
        snprintf(name, sizeof name, "vocabs/ggml-vocab-%s.gguf", vocabularies[i]);
        const char *file = test_data_path(name);
        struct tok *t = file ? tok_file_open_path(file, &note) : NULL;
        if (!t)
            continue;
        struct tok_ids ids = {0};
        struct buf back = {0};
        assert_int_equal(tok_encode(t, bytes_of_buf(&text), plain, &ids, &note), ERR_OK);
        tok_decode(t, ids.p, ids.n, false, &back);
        if (strncmp(vocabularies[i], "bert", 4) != 0) /* which cleans and loses */
            assert_true(bytes_equal(bytes_of_buf(&back), bytes_of_buf(&text)));
        buf_clear(&back);
        tok_ids_clear(&ids);
        tok_free(t);
    }
    buf_clear(&text);
}

/* -- small vocabularies -- */

static const char *const spm_tokens[] = {"<unk>",
                                         "<s>",
                                         "</s>",
                                         "<|user|>",
                                         "<tool>",
                                         "\xe2\x96\x81",
                                         "a",
                                         "b",
                                         "ab",
                                         "\xe2\x96\x81"
                                         "a",
                                         "<0x0A>",
                                         "<0xC3>",
                                         "<0xA9>",
                                         "\xe2\x96\x81"
                                         "ab",
                                         "<",
                                         "s",
                                         ">",
                                         "<s"};
static const float spm_scores[] = {0, 0, 0, 0, 0, -9, -8, -7, -2, -3, 0, 0, 0, -1, -5, -5, -5, -4};
static const int32_t spm_types[] = {2, 3, 3, 3, 4, 1, 1, 1, 1, 1, 6, 6, 6, 1, 1, 1, 1, 1};
#define SPM_N (sizeof spm_tokens / sizeof *spm_tokens)

static void start_spm(struct gguf_file *f)
{
    *f = (struct gguf_file){0};
    gguf_file_text(f, KEY("model"), "llama");
    gguf_file_texts(f, KEY("tokens"), spm_tokens, SPM_N);
    gguf_file_floats(f, KEY("scores"), spm_scores, SPM_N);
    gguf_file_ints(f, KEY("token_type"), spm_types, SPM_N);
}

static void spm_merges_and_falls_back(void **state)
{
    (void)state;
    struct gguf_file f;
    struct note note = {{0}};
    start_spm(&f);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    EXPECT(t, "ab", plain, 13);
    EXPECT(t, "ab", as_file, 1, 13);
    EXPECT(t, "abab", plain, 13, 8);
    EXPECT(t, "\n\xc3\xa9", plain, 5, 10, 11, 12);
    EXPECT(t, "\xff", plain, 5, 0); /* no such byte: the unknown token */
    /* Control tokens only when asked for, and never by chance; user-defined ones always. */
    EXPECT(t, "<s>", plain, 5, 17, 16);
    EXPECT(t, "<s>", special, 1);
    EXPECT(t, "<|user|>ab<tool>b", special, 3, 13, 4, 5, 7);
    EXPECT(t, "b<tool>", plain, 5, 7, 4);
    struct buf out = {0};
    tok_decode(t, (int32_t[]){1, 13, 2}, 3, false, &out);
    assert_string_equal(buf_text(&out), "ab");
    buf_reset(&out);
    tok_decode(t, (int32_t[]){1, 13, 2}, 3, true, &out);
    assert_string_equal(buf_text(&out), "<s> ab</s>");
    buf_reset(&out);
    tok_piece(t, 13, false, &out);
    tok_piece(t, 11, false, &out);
    tok_piece(t, -1, true, &out);
    tok_piece(t, (int32_t)SPM_N, true, &out);
    assert_string_equal(buf_text(&out), " ab\xc3");
    buf_clear(&out);
    assert_int_equal(tok_count(t), SPM_N);
    assert_true(tok_is_control(t, 3));
    assert_false(tok_is_control(t, 4));
    assert_int_equal(tok_find(t, "<|user|>"), 3);
    assert_int_equal(tok_find(t, "none"), -1);
    tok_free(t);
}

static void ends_follow_the_file(void **state)
{
    (void)state;
    struct gguf_file f;
    struct note note = {{0}};
    start_spm(&f);
    gguf_file_flag(&f, KEY("add_bos_token"), false);
    gguf_file_flag(&f, KEY("add_eos_token"), true);
    gguf_file_flag(&f, KEY("add_space_prefix"), false);
    gguf_file_i32(&f, KEY("eot_token_id"), 3);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    EXPECT(t, "ab", as_file, 8, 2);
    EXPECT(t, "ab", forced, 1, 8);
    assert_true(tok_is_eog(t, 3));
    assert_false(tok_adds_bos(t));
    tok_free(t);
}

/* Where <|return|> and <|call|> end an answer, <|end|> ends a part of it, and the marks that begin parts are text. */
static void marks_of_parts_are_text(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a",         "<|start|>",     "<|channel|>", "<|message|>",
                                         "<|end|>",   "<|constrain|>", "<|return|>",  "<|call|>",
                                         "<|other|>", "<|endoftext|>"};
    enum { N = sizeof tokens / sizeof *tokens, CALL = 7 };
    static const int32_t ids[] = {2, 0, 3, 0, 4, 1, 5, 8};
    for (unsigned without = 0; without < 2; without++) {
        struct gguf_file f;
        struct note note = {{0}};
        const char *texts[N];
        int32_t types[N];
        for (size_t i = 0; i < N; i++) {
            texts[i] = without && i == CALL ? "<|cull|>" : tokens[i];
            types[i] = i ? 3 : 1;
        }
        f = (struct gguf_file){0};
        gguf_file_text(&f, KEY("model"), "gpt2");
        gguf_file_text(&f, KEY("pre"), "gpt-4o");
        gguf_file_texts(&f, KEY("tokens"), texts, N);
        gguf_file_ints(&f, KEY("token_type"), types, N);
        gguf_file_texts(&f, KEY("merges"), tokens, 0);
        struct tok *t = tok_file_open(&f, &note);
        if (!t)
            fail_msg("%s", note.text);
        struct buf out = {0};
        tok_decode(t, ids, sizeof ids / sizeof *ids, false, &out);
        assert_string_equal(buf_text(&out), without ? "aa" : "<|channel|>a<|message|>a<|start|><|constrain|>");
        buf_clear(&out);
        assert_true(tok_is_eog(t, 6) && tok_is_eog(t, CALL) == !without && tok_is_eog(t, 4) == (without != 0));
        assert_true(tok_is_control(t, 2)); /* and what is typed stays text */
        struct tok_ids typed = {0};
        enum err e = tok_encode(t, bytes_of_text("<|channel|>"), plain, &typed, &note);
        assert_true(e != ERR_OK || typed.n != 1 || typed.p[0] != 2);
        tok_ids_clear(&typed);
        tok_free(t);
    }
}

static const char *const bpe_tokens[] = {"a",
                                         "b",
                                         "c",
                                         "\xc4\xa0",
                                         "ab",
                                         "abc",
                                         "\xc4\xa0"
                                         "a",
                                         "<|end|>",
                                         "\xc4\x8a",
                                         "<x>",
                                         "<xy",
                                         "x",
                                         "<",
                                         ">"};
static const int32_t bpe_types[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 1, 1, 1};
#define BPE_N (sizeof bpe_tokens / sizeof *bpe_tokens)

static void start_bpe(struct gguf_file *f, const char *pre, const char *const *merges, size_t merges_n)
{
    *f = (struct gguf_file){0};
    gguf_file_text(f, KEY("model"), "gpt2");
    gguf_file_text(f, KEY("pre"), pre);
    gguf_file_texts(f, KEY("tokens"), bpe_tokens, BPE_N);
    gguf_file_ints(f, KEY("token_type"), bpe_types, BPE_N);
    gguf_file_texts(f, KEY("merges"), merges, merges_n);
}

static void bpe_merges_by_rank(void **state)
{
    (void)state;
    static const char *const merges[] = {"\xc4\xa0 a", "a b", "ab c", "a b"};
    struct gguf_file f;
    struct note note = {{0}};
    start_bpe(&f, "gpt-2", merges, 4);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    EXPECT(t, "abc", as_file, 5);
    EXPECT(t, " abc", plain, 6, 1, 2);
    EXPECT(t, "a\nb", plain, 0, 8, 1);
    EXPECT(t, "a<|end|>b", special, 0, 7, 1);
    EXPECT(t, "<xyx<x>", plain, 10, 11, 9);
    EXPECT(t, "<xy><x", plain, 10, 13, 12, 11);
    struct tok_ids ids = {0};
    assert_int_equal(tok_encode(t, bytes_of_text("a<|end|>"), plain, &ids, &note), ERR_UNSUPPORTED);
    assert_string_equal(note.text, "the vocabulary has neither byte 0x7C nor an unknown token");
    assert_int_equal(ids.n, 0);
    tok_ids_clear(&ids);
    tok_free(t);
}

/* Gemma 4's kind: merges over characters, spaces as U+2581, bytes for what no token has, lines for words. */
static void plain_vocabularies_merge_characters(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<bos>",
                                         "a",
                                         "b",
                                         "\xe2\x96\x81",
                                         "ab",
                                         "\xe2\x96\x81"
                                         "a",
                                         "\n",
                                         "\n\n",
                                         "<0x0A>",
                                         "<0xC3>",
                                         "<0xA9>",
                                         "<turn|>",
                                         "</s>",
                                         "<|tool_response>"};
    static const int32_t types[] = {3, 1, 1, 1, 1, 1, 1, 1, 6, 6, 6, 3, 1, 4};
    static const char *const merges[] = {"a b", "\xe2\x96\x81 a"};
    enum { N = sizeof tokens / sizeof *tokens };
    struct gguf_file f = {0};
    struct note note = {{0}};
    gguf_file_text(&f, KEY("model"), "gemma4");
    gguf_file_texts(&f, KEY("tokens"), tokens, N);
    gguf_file_ints(&f, KEY("token_type"), types, N);
    gguf_file_texts(&f, KEY("merges"), merges, 2);
    gguf_file_i32(&f, KEY("bos_token_id"), 0);
    struct tok *t = tok_file_open(&f, &note);
    if (!t)
        fail_msg("%s", note.text);
    EXPECT(t, "ab a", as_file, 0, 4, 5);
    EXPECT(t, " ab", plain, 3, 4); /* the first rule first */
    EXPECT(t, "a\n\nb", plain, 1, 7, 2);
    EXPECT(t, "a\n\n\nb", plain, 1, 6, 6, 6, 2); /* no token is three of them, and no rule joins two */
    EXPECT(t, "\xc3\xa9", plain, 9, 10);
    EXPECT(t, "a<turn|>", special, 1, 11);
    assert_true(tok_is_eog(t, 11) && tok_is_eog(t, 13) && !tok_is_eog(t, 12));
    struct buf out = {0};
    tok_decode(t, (int32_t[]){0, 4, 5, 7, 9, 10, 12}, 7, false, &out);
    assert_string_equal(buf_text(&out), "ab a\n\n\xc3\xa9</s>");
    buf_clear(&out);
    tok_free(t);
}

/* -- hostile vocabularies -- */

/* A small `llama` file with one thing wrong. */
static void spm_files_are_checked(void **state)
{
    (void)state;
    static const char *const twice[] = {"<unk>", "a", "b", "a"};
    static const float scores[] = {0, 0, 0, 0}, nan_scores[] = {0, 0, 0.0f / 0.0f, 0};
    static const int32_t types[] = {1, 1, 1, 1}, odd_types[] = {1, 1, 1, 7}, negative_types[] = {1, -1, 1, 1};
    static const char *const four[] = {"a", "b", "c", "d"};
    struct gguf_file f = {0};

    tok_file_refused(&f, ERR_FORMAT, "names no tokenizer");
    gguf_file_text(&f, KEY("model"), "unigram");
    tok_file_refused(&f, ERR_UNSUPPORTED, "tokenizer 'unigram' is not supported");
    gguf_file_text(&f, KEY("model"), "llama");
    tok_file_refused(&f, ERR_FORMAT, "no vocabulary");
    gguf_file_text(&f, KEY("model"), "llama");
    gguf_file_texts(&f, KEY("tokens"), four, 0);
    tok_file_refused(&f, ERR_FORMAT, "no vocabulary");
    gguf_file_text(&f, KEY("model"), "llama");
    gguf_file_ints(&f, KEY("tokens"), types, 4);
    tok_file_refused(&f, ERR_FORMAT, "no vocabulary");
    gguf_file_text(&f, KEY("model"), "llama");
    gguf_file_texts(&f, KEY("tokens"), four, 4);
    tok_file_refused(&f, ERR_FORMAT, "no scores");

    static const struct {
        const char *const *tokens;
        const float *scores;
        const int32_t *types;
        size_t scores_n, types_n;
        enum err err;
        const char *text;
    } cases[] = {
        {twice, scores, types, 4, 4, ERR_DUPLICATE, "tokens 1 and 3 of the vocabulary are both 'a'"},
        {four, nan_scores, types, 4, 4, ERR_NUMERIC, "token 2 of the vocabulary has a score"},
        {four, scores, types, 3, 4, ERR_FORMAT, "scores has 3 elements for 4 tokens"},
        {four, scores, types, 4, 2, ERR_FORMAT, "token_type has 2 elements for 4 tokens"},
        {four, scores, odd_types, 4, 4, ERR_FORMAT, "token 3 of the vocabulary is of type 7"},
        {four, scores, negative_types, 4, 4, ERR_FORMAT, "token 1 of the vocabulary is of type 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_file_text(&f, KEY("model"), "llama");
        gguf_file_texts(&f, KEY("tokens"), cases[i].tokens, 4);
        gguf_file_floats(&f, KEY("scores"), cases[i].scores, cases[i].scores_n);
        gguf_file_ints(&f, KEY("token_type"), cases[i].types, cases[i].types_n);
        tok_file_refused(&f, cases[i].err, cases[i].text);
    }
}

static void ids_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t value;
        enum err err;
        const char *text;
    } cases[] = {
        {KEY("bos_token_id"), -1, ERR_FORMAT, "bos_token_id is negative"},
        {KEY("bos_token_id"), 18, ERR_RANGE, "bos_token_id is 18, but the vocabulary has 18 tokens"},
        {KEY("eos_token_id"), INT32_MAX, ERR_RANGE, "eos_token_id is 2147483647"},
        {KEY("unknown_token_id"), INT32_MIN, ERR_FORMAT, "unknown_token_id is negative"},
        {KEY("eot_token_id"), 99, ERR_RANGE, "eot_token_id is 99"},
    };
    struct gguf_file f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start_spm(&f);
        gguf_file_i32(&f, cases[i].key, cases[i].value);
        tok_file_refused(&f, cases[i].err, cases[i].text);
    }
    start_spm(&f);
    gguf_file_text(&f, KEY("bos_token_id"), "one");
    tok_file_refused(&f, ERR_FORMAT, "bos_token_id");
    start_spm(&f);
    gguf_file_i32(&f, KEY("add_bos_token"), 1);
    tok_file_refused(&f, ERR_FORMAT, "add_bos_token is neither true nor false");
}

/* Tokens that the file forbids would be chosen. */
static void forbidden_tokens_are_refused(void **state)
{
    (void)state;
    static const int32_t ids[] = {3};
    struct gguf_file f;
    struct note note = {{0}};
    start_spm(&f);
    gguf_file_ints(&f, KEY("suppress_tokens"), ids, 1);
    tok_file_refused(&f, ERR_UNSUPPORTED, "suppress_tokens");
    start_spm(&f);
    gguf_file_ints(&f, KEY("suppress_tokens"), ids, 0);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    tok_free(t);
}

static void bpe_files_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *merge;
        enum err err;
        const char *text;
    } cases[] = {
        {"wordish", "a b", ERR_UNSUPPORTED, "pre-tokenizer 'wordish' is not supported: gpt-2, "},
        {"gpt-2", "ab", ERR_FORMAT, "merge 0 of the vocabulary is 'ab': it must be two tokens"},
        {"gpt-2", "a ", ERR_FORMAT, "it must be two tokens"},
        {"gpt-2", " a", ERR_FORMAT, "it must be two tokens"},
        {"gpt-2", "", ERR_FORMAT, "it must be two tokens"},
        {"gpt-2", "q b", ERR_FORMAT, "its left part is no token"},
        {"gpt-2", "a q", ERR_FORMAT, "its right part is no token"},
        {"gpt-2", "b a", ERR_FORMAT, "its result is no token"},
    };
    struct gguf_file f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start_bpe(&f, cases[i].pre, &cases[i].merge, 1);
        tok_file_refused(&f, cases[i].err, cases[i].text);
    }
    f = (struct gguf_file){0};
    gguf_file_text(&f, KEY("model"), "gpt2");
    gguf_file_text(&f, KEY("pre"), "gpt-2");
    gguf_file_texts(&f, KEY("tokens"), bpe_tokens, BPE_N);
    tok_file_refused(&f, ERR_FORMAT, "no merges");
}

static void long_tokens_are_refused(void **state)
{
    (void)state;
    char text[TOKEN_PIECE_MAX + 2];
    const char *tokens[] = {"<unk>", text};
    static const float scores[] = {0, 0};
    struct gguf_file f = {0};
    struct note note;
    memset(text, 'a', sizeof text);
    text[TOKEN_PIECE_MAX + 1] = 0;
    gguf_file_text(&f, KEY("model"), "llama");
    gguf_file_texts(&f, KEY("tokens"), tokens, 2);
    gguf_file_floats(&f, KEY("scores"), scores, 2);
    tok_file_refused(&f, ERR_LIMIT, "token 1 of the vocabulary has 1025 bytes");
    text[TOKEN_PIECE_MAX] = 0;
    gguf_file_text(&f, KEY("model"), "llama");
    gguf_file_texts(&f, KEY("tokens"), tokens, 2);
    gguf_file_floats(&f, KEY("scores"), scores, 2);
    struct tok *t = tok_file_open(&f, &note);
    assert_non_null(t);
    tok_free(t);
}

/* A text that is one run of what merges and what almost is a special token: no square of its length. */
static void long_texts_end(void **state)
{
    (void)state;
    struct gguf_file f;
    struct note note = {{0}};
    struct buf text = {0};
    struct tok_ids ids = {0};
    static const char *const merges[] = {"a b", "ab c"};
    while (text.n < 2u << 20)
        buf_add_text(&text, "ab<|us");
    start_spm(&f);
    struct tok *t = tok_file_open(&f, &note);
    assert_int_equal(tok_encode(t, bytes_of_buf(&text), special, &ids, &note), ERR_OK);
    tok_free(t);
    buf_reset(&text);
    while (text.n < 2u << 20)
        buf_add_text(&text, "abc");
    start_bpe(&f, "gpt-2", merges, 2);
    t = tok_file_open(&f, &note);
    ids.n = 0;
    assert_int_equal(tok_encode(t, bytes_of_buf(&text), special, &ids, &note), ERR_OK);
    assert_int_equal(ids.n, text.n / 3);
    while (text.n <= PROMPT_BYTES_MAX)
        buf_add_text(&text, "abcabcabcabcabcabcabcabc");
    assert_int_equal(tok_encode(t, bytes_of_buf(&text), special, &ids, &note), ERR_LIMIT);
    assert_int_equal(tok_encode(t, bytes_of_text("a"), forced, &ids, &note), ERR_NOT_FOUND);
    tok_free(t);
    tok_ids_clear(&ids);
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(stories_prompt),
        cmocka_unit_test(published_special_tokens),
        cmocka_unit_test(many_languages_come_back),
        cmocka_unit_test(spm_merges_and_falls_back),
        cmocka_unit_test(ends_follow_the_file),
        cmocka_unit_test(marks_of_parts_are_text),
        cmocka_unit_test(bpe_merges_by_rank),
        cmocka_unit_test(plain_vocabularies_merge_characters),
        cmocka_unit_test(spm_files_are_checked),
        cmocka_unit_test(ids_are_checked),
        cmocka_unit_test(forbidden_tokens_are_refused),
        cmocka_unit_test(bpe_files_are_checked),
        cmocka_unit_test(long_tokens_are_refused),
        cmocka_unit_test(long_texts_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
