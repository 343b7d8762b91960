/* Pre-tokenizer splitting.
 *
 * A pre-tokenizer is a list of passes. A pass is a list of alternatives, tried in order at each
 * character of a word of the pass before; the first that matches makes a word, and characters that
 * none matches make words between. */
#include "inference/tok/pretok.h"

#include "base/mem.h"
#include "inference/tok/pretok_match.h"
#include "inference/tok/unicode.h"

#include <stdlib.h>
#include <string.h>

#define PASS_MAX        8
#define ALTERNATIVE_MAX 8

struct pretok {
    const char *names; /* separated by spaces */
    bool prefers_words;
    bool adds_bos;
    bool is_plain;
    matcher passes[PASS_MAX][ALTERNATIVE_MAX];
};

/* -- the families -- */

#define WORDS_GPT2                                                                                                     \
    match_contraction, match_letters, match_numbers, match_others, match_spaces_before_space, match_spaces
#define SPACES                match_spaces_newlines, match_spaces_before_space, match_spaces
#define WORDS_LLAMA3(numbers) match_any_contraction, match_led_letters, numbers, match_others_newlines, SPACES
#define WORDS_GPT4O           match_cased_contraction, match_three_numbers, match_others_slashes, SPACES

static const struct pretok families[] = {
    {.names = "gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum exaone4 modern-bert "
              "roberta-bpe jina-v1-en jina-v2-code jina-v2-es jina-v2-de jina-es jina-de",
     .passes = {{WORDS_GPT2}}},
    {.names = "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
     .passes = {{match_number}, {WORDS_GPT2}}},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     .prefers_words = true,
     .adds_bos = true,
     .passes = {{WORDS_LLAMA3(match_three_numbers)}}},
    {.names = "dbrx smaug-bpe glm4 chatglm-bpe", .passes = {{WORDS_LLAMA3(match_three_numbers)}}},
    {.names = "minicpm5", .prefers_words = true, .passes = {{match_three_numbers}, {WORDS_LLAMA3(match_all_numbers)}}},
    {.names = "jais-2",
     .passes = {{match_any_contraction, match_led_letters, match_three_numbers, match_others_newlines,
                 match_spaces_newlines, match_spaces_by_halves}}},
    {.names = "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan kormo f2llmv2 solar-open grok-2 bailingmoe bailingmoe2 "
              "llada-moe",
     .passes = {{WORDS_LLAMA3(match_number)}}},
    {.names = "qwen35",
     .passes = {{match_any_contraction, match_led_letters_marks, match_number, match_unmarked_newlines, SPACES}}},
    {.names = "laguna", .passes = {{match_line, match_line_ends}, {WORDS_LLAMA3(match_number)}}},
    {.names = "gemma4", .adds_bos = true, .is_plain = true, .passes = {{match_line, match_line_ends}}},
    {.names = "seed-coder", .passes = {{match_any_contraction, match_led_letters, match_number, match_others, SPACES}}},
    {.names = "exaone-moe",
     .passes = {{match_any_contraction, match_phrase, match_number, match_others_slash, SPACES}}},
    {.names = "tekken",
     .prefers_words = true,
     .adds_bos = true,
     .passes = {{match_cased, match_number, match_others_slashes, SPACES}}},
    {.names = "gpt-4o llama4 kanana2 talkie minimax-m2", .passes = {{WORDS_GPT4O}}},
    {.names = "granite-embed-multi-97m", .prefers_words = true, .passes = {{WORDS_GPT4O}}},
    {.names = "kimi-k2",
     .passes = {{match_han, match_cased_not_han, match_three_numbers, match_others_newlines, SPACES}}},
    {.names = "deepseek-llm",
     .passes = {{match_newline},
                {match_deepseek_letters},
                {match_deepseek_signs},
                {match_spaces_at_end},
                {match_cjk_or_above},
                {match_all_numbers}}},
    {.names = "deepseek-coder",
     .passes =
         {{match_newline}, {match_spaced_letters}, {match_spaced_punctuation}, {match_cjk_or_above}, {match_number}}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm",
     .passes = {{match_three_numbers},
                {match_cjk_or_kana},
                {match_sign_ascii_letters, match_led_marked_letters, match_symbols_newlines, SPACES}}},
    {.names = "falcon", .passes = {{match_signs_ticks}, {WORDS_GPT2}, {match_three_digits}}},
    {.names = "bloom poro-chat gpt3-finnish", .passes = {{match_bloom_letters}}},
    {.names = "viking", .passes = {{match_bloom_letters}, {match_number}}},
    {.names = "default", .passes = {{match_signs}, {WORDS_GPT2}, {match_all_numbers}, {match_three_digits}}},
};

const struct pretok *pretok_find(struct bytes name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const char *p = families[i].names; *p;) {
            size_t n = strcspn(p, " ");
            if (bytes_equal(name, bytes_of(p, n)))
                return &families[i];
            p += n;
            p += *p == ' ';
        }
    return NULL;
}

void pretok_names(struct buf *out)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        buf_add_text(out, i ? ", " : "");
        buf_add(out, families[i].names, strcspn(families[i].names, " "));
    }
}

bool pretok_prefers_words(const struct pretok *p)
{
    return p->prefers_words;
}

bool pretok_adds_bos(const struct pretok *p)
{
    return p->adds_bos;
}

bool pretok_is_plain(const struct pretok *p)
{
    return p->is_plain;
}

/* -- splitting -- */

void pretok_words_clear(struct pretok_words *w)
{
    free(w->lengths);
    *w = (struct pretok_words){0};
}

static size_t read_glyphs(struct bytes text, struct glyph *out)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n; n++) {
        uint32_t code;
        size_t width = unicode_get(text.p + at, text.n - at, &code);
        out[n] = (struct glyph){code & 0x1fffff, width & 7, unicode_class_of(code) & 15, unicode_is_space(code)};
        at += width;
    }
    return n;
}

static size_t match_at(const matcher *pass, const struct span *s)
{
    for (size_t i = 0; i < ALTERNATIVE_MAX && pass[i]; i++) {
        size_t n = pass[i](s);
        if (n)
            return n;
    }
    return 0;
}

/* Splits words of `in` further; lengths in characters. `out` has room for one word a character. */
static size_t run_pass(const matcher *pass, const struct glyph *g, const uint32_t *in, size_t in_n, uint32_t *out)
{
    size_t n = 0, start = 0;
    for (size_t i = 0; i < in_n; i++) {
        struct span s = {g, start, start, start + in[i]};
        size_t gap = start;
        while (s.at < s.end) {
            size_t matched = match_at(pass, &s);
            if (matched) {
                if (gap < s.at)
                    out[n++] = (uint32_t)(s.at - gap);
                out[n++] = (uint32_t)matched;
                gap = s.at + matched;
            }
            s.at += matched ? matched : 1;
        }
        if (gap < s.end)
            out[n++] = (uint32_t)(s.end - gap);
        start = s.end;
    }
    return n;
}

void pretok_split(const struct pretok *p, struct bytes text, struct pretok_words *out)
{
    CHECK(text.n <= UINT32_MAX);
    pretok_words_clear(out);
    if (text.n == 0)
        return;
    struct glyph *g = mem_array(text.n, sizeof *g);
    size_t count = read_glyphs(text, g);
    uint32_t *words = mem_array(count, sizeof *words), *next = mem_array(count, sizeof *next);
    size_t n = 1;
    words[0] = (uint32_t)count;
    for (size_t i = 0; i < PASS_MAX && p->passes[i][0]; i++) {
        n = run_pass(p->passes[i], g, words, n, next);
        uint32_t *swap = words;
        words = next;
        next = swap;
    }
    const struct glyph *at = g;
    for (size_t i = 0; i < n; i++) {
        uint32_t bytes = 0;
        for (uint32_t k = 0; k < words[i]; k++)
            bytes += (at++)->width;
        words[i] = bytes;
    }
    free(next);
    free(g);
    *out = (struct pretok_words){words, n};
}
