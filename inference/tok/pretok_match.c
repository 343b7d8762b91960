/* The matchers of the pre-tokenizers, each under its regular expression. */
#include "inference/tok/pretok_match.h"

#include "inference/tok/unicode.h"

#include <string.h>

/* -- classes -- */

typedef bool (*class_test)(struct glyph g);

static bool is_letter(struct glyph g)
{
    return g.class >= UNICODE_LU && g.class <= UNICODE_LO;
}

static bool is_number(struct glyph g)
{
    return g.class == UNICODE_NUMBER;
}

static bool is_punctuation(struct glyph g)
{
    return g.class == UNICODE_PUNCTUATION;
}

static bool is_mark(struct glyph g)
{
    return g.class == UNICODE_MN || g.class == UNICODE_MARK;
}

static bool is_space(struct glyph g)
{
    return g.space;
}

static bool is_newline(struct glyph g)
{
    return g.code == '\r' || g.code == '\n';
}

static bool is_newline_or_slash(struct glyph g)
{
    return is_newline(g) || g.code == '/';
}

/* [^\s\p{L}\p{N}] */
static bool is_other(struct glyph g)
{
    return !g.space && !is_letter(g) && !is_number(g);
}

static bool is_letter_or_mark(struct glyph g)
{
    return is_letter(g) || is_mark(g);
}

/* [^\s\p{L}\p{M}\p{N}] */
static bool is_other_unmarked(struct glyph g)
{
    return is_other(g) && !is_mark(g);
}

static bool is_line(struct glyph g)
{
    return g.code != '\n';
}

static bool is_line_end(struct glyph g)
{
    return g.code == '\n';
}

/* [^(\s|.,!?…。，、।۔،)], as bloom has it */
static bool is_bloom_letter(struct glyph g)
{
    static const uint32_t others[] = {'(',    '|',    '.',    ',',    '!',   '?',   ')',
                                      0x2026, 0x3002, 0xff0c, 0x3001, 0x964, 0x6d4, 0x60c};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (g.code == others[i])
            return false;
    return !g.space;
}

static bool is_punctuation_or_symbol(struct glyph g)
{
    return is_punctuation(g) || g.class == UNICODE_SYMBOL;
}

/* [\p{P}$+<=>^~|] and, for falcon, ` */
static bool is_sign(struct glyph g)
{
    return is_punctuation(g) || (g.code < 128 && g.code && strchr("$+<=>^~|", (int)g.code));
}

static bool is_sign_or_tick(struct glyph g)
{
    return is_sign(g) || g.code == '`';
}

/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
static bool is_upper(struct glyph g)
{
    return is_letter_or_mark(g) && g.class != UNICODE_LL;
}

/* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
static bool is_lower(struct glyph g)
{
    return is_letter_or_mark(g) && g.class != UNICODE_LU && g.class != UNICODE_LT;
}

static bool is_ascii_letter(struct glyph g)
{
    return (g.code >= 'A' && g.code <= 'Z') || (g.code >= 'a' && g.code <= 'z');
}

static bool in_ranges(uint32_t c, const uint32_t (*ranges)[2], size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c > ranges[middle][1])
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && c >= ranges[low][0];
}

/* [一-龥ࠀ-一가-퟿], as deepseek's older families have it */
static bool is_cjk_or_above(struct glyph g)
{
    return (g.code >= 0x800 && g.code <= 0x9fa5) || (g.code >= 0xac00 && g.code <= 0xd7ff);
}

/* [一-龥぀-ゟ゠-ヿ] */
static bool is_cjk_or_kana(struct glyph g)
{
    return (g.code >= 0x4e00 && g.code <= 0x9fa5) || (g.code >= 0x3040 && g.code <= 0x30ff);
}

/* [!-/:-~！-／：-～‘-‟　-。], as deepseek-llm has it */
static bool is_deepseek_sign(struct glyph g)
{
    static const uint32_t ranges[][2] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201f},
                                         {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
    return in_ranges(g.code, ranges, sizeof ranges / sizeof *ranges);
}

/* \p{Han}: the script, of Unicode 16 */
static bool is_han(struct glyph g)
{
    static const uint32_t ranges[][2] = {{0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},
                                         {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303b},   {0x3400, 0x4dbf},
                                         {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
                                         {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d},
                                         {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0}, {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d},
                                         {0x30000, 0x3134a}, {0x31350, 0x323af}};
    return in_ranges(g.code, ranges, sizeof ranges / sizeof *ranges);
}

/* The two above, && [^\p{Han}] */
static bool is_upper_not_han(struct glyph g)
{
    return is_upper(g) && !is_han(g);
}

static bool is_lower_not_han(struct glyph g)
{
    return is_lower(g) && !is_han(g);
}

/* The cased letters of the Unicode version that deepseek-llm wrote into its expression. */
static bool is_deepseek_letter(struct glyph g)
{
    static const uint32_t ranges[][2] = {
        {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},
        {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},
        {0x376, 0x377},     {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},
        {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},     {0x48a, 0x52f},
        {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},   {0x1c90, 0x1cba},
        {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},
        {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},
        {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},
        {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},
        {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},   {0x2102, 0x2102},   {0x2107, 0x2107},
        {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},
        {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
        {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},
        {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},
        {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},
        {0xff21, 0xff3a},   {0xff41, 0xff5a},   {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb},
        {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};
    return in_ranges(g.code, ranges, sizeof ranges / sizeof *ranges);
}

/* -- matchers -- */

static size_t run(const struct span *s, size_t from, class_test test)
{
    size_t at = from;
    while (at < s->end && test(s->g[at]))
        at++;
    return at - from;
}

/* PREFIX?CLASS+ where only `prefix` may stand before the run, and need not. */
static size_t run_after(const struct span *s, bool prefix, class_test test)
{
    if (prefix) {
        size_t n = run(s, s->at + 1, test);
        if (n)
            return n + 1;
    }
    return run(s, s->at, test);
}

static bool at_blank(const struct span *s)
{
    return s->g[s->at].code == ' ';
}

/* With `any_case` capitals count too, and so does the long s, which Unicode folds to s. */
static bool is_ending(struct glyph g, char letter, bool any_case)
{
    uint32_t want = (uint32_t)letter;
    if (g.code == want)
        return true;
    return any_case && (g.code == want - 32 || (g.code == 0x17f && letter == 's'));
}

static size_t contraction(const struct span *s, size_t from, bool any_case)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (from >= s->end || s->g[from].code != '\'')
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]), k = 0;
        while (k < n && from + 1 + k < s->end && is_ending(s->g[from + 1 + k], endings[i][k], any_case))
            k++;
        if (k == n)
            return n + 1;
    }
    return 0;
}

/* 's|'t|'re|'ve|'m|'ll|'d */
size_t match_contraction(const struct span *s)
{
    return contraction(s, s->at, false);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d) */
size_t match_any_contraction(const struct span *s)
{
    return contraction(s, s->at, true);
}

/*  ?\p{L}+ */
size_t match_letters(const struct span *s)
{
    return run_after(s, at_blank(s), is_letter);
}

/*  ?\p{N}+ */
size_t match_numbers(const struct span *s)
{
    return run_after(s, at_blank(s), is_number);
}

/*  ?[^\s\p{L}\p{N}]+ */
size_t match_others(const struct span *s)
{
    return run_after(s, at_blank(s), is_other);
}

/*  ?[^\s\p{L}\p{N}]+[\r\n]* */
size_t match_others_newlines(const struct span *s)
{
    size_t n = match_others(s);
    return n ? n + run(s, s->at + n, is_newline) : 0;
}

/*  ?[^\s\p{L}\p{N}]+[\r\n/]* */
size_t match_others_slashes(const struct span *s)
{
    size_t n = match_others(s);
    return n ? n + run(s, s->at + n, is_newline_or_slash) : 0;
}

/* [^\r\n\p{L}\p{N}]?\p{L}+ */
size_t match_led_letters(const struct span *s)
{
    struct glyph g = s->g[s->at];
    return run_after(s, !is_newline(g) && !is_letter(g) && !is_number(g), is_letter);
}

/* \p{N} */
size_t match_number(const struct span *s)
{
    return is_number(s->g[s->at]);
}

/* \p{N}{1,3} */
size_t match_three_numbers(const struct span *s)
{
    size_t n = 0;
    while (n < 3 && s->at + n < s->end && is_number(s->g[s->at + n]))
        n++;
    return n;
}

/* \p{N}+ */
size_t match_all_numbers(const struct span *s)
{
    return run(s, s->at, is_number);
}

/* [0-9][0-9][0-9] */
size_t match_three_digits(const struct span *s)
{
    for (size_t i = 0; i < 3; i++)
        if (s->at + i >= s->end || s->g[s->at + i].code < '0' || s->g[s->at + i].code > '9')
            return 0;
    return 3;
}

/* \s+(?!\S) */
size_t match_spaces_before_space(const struct span *s)
{
    size_t n = run(s, s->at, is_space);
    return n && s->at + n < s->end ? n - 1 : n;
}

/* \s+ */
size_t match_spaces(const struct span *s)
{
    return run(s, s->at, is_space);
}

/* \s+$ ; a run that began further left was tried there */
size_t match_spaces_at_end(const struct span *s)
{
    if (s->at > s->start && s->g[s->at - 1].space)
        return 0;
    size_t n = run(s, s->at, is_space);
    return s->at + n == s->end ? n : 0;
}

/* \s*[\r\n]+ */
size_t match_spaces_newlines(const struct span *s)
{
    size_t n = run(s, s->at, is_space);
    while (n && !is_newline(s->g[s->at + n - 1]))
        n--;
    return n;
}

/* [\r\n] */
size_t match_newline(const struct span *s)
{
    return is_newline(s->g[s->at]);
}

/* [\p{P}$+<=>^~|]+ */
size_t match_signs(const struct span *s)
{
    return run(s, s->at, is_sign);
}

/* [\p{P}$+<=>^~|`]+ */
size_t match_signs_ticks(const struct span *s)
{
    return run(s, s->at, is_sign_or_tick);
}

/* \s?[A-Za-z...]+ */
size_t match_deepseek_letters(const struct span *s)
{
    return run_after(s, s->g[s->at].space, is_deepseek_letter);
}

/* \s?[!-/:-~！-／：-～‘-‟　-。]+ */
size_t match_deepseek_signs(const struct span *s)
{
    return run_after(s, s->g[s->at].space, is_deepseek_sign);
}

/* \s?\p{L}+ */
size_t match_spaced_letters(const struct span *s)
{
    return run_after(s, s->g[s->at].space, is_letter);
}

/* \s?\p{P}+ */
size_t match_spaced_punctuation(const struct span *s)
{
    return run_after(s, s->g[s->at].space, is_punctuation);
}

/* [一-龥ࠀ-一가-퟿]+ */
size_t match_cjk_or_above(const struct span *s)
{
    return run(s, s->at, is_cjk_or_above);
}

/* [一-龥぀-ゟ゠-ヿ]+ */
size_t match_cjk_or_kana(const struct span *s)
{
    return run(s, s->at, is_cjk_or_kana);
}

/* [!-/:-@[-`{-~][A-Za-z]+ */
size_t match_sign_ascii_letters(const struct span *s)
{
    struct glyph g = s->g[s->at];
    if (g.code <= ' ' || g.code > '~' || is_ascii_letter(g) || is_number(g))
        return 0;
    size_t n = run(s, s->at + 1, is_ascii_letter);
    return n ? n + 1 : 0;
}

/* [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ */
size_t match_led_marked_letters(const struct span *s)
{
    struct glyph g = s->g[s->at];
    return run_after(s, !is_newline(g) && !is_letter(g) && !is_punctuation_or_symbol(g), is_letter_or_mark);
}

/*  ?[\p{P}\p{S}]+[\r\n]* */
size_t match_symbols_newlines(const struct span *s)
{
    size_t n = run_after(s, at_blank(s), is_punctuation_or_symbol);
    return n ? n + run(s, s->at + n, is_newline) : 0;
}

/* UPPER*LOWER+ from `from`, where a letter may be both: the longest run of upper that leaves a lower. */
static size_t capitalised(const struct span *s, size_t from, class_test is_first, class_test is_last)
{
    size_t upper = run(s, from, is_first);
    size_t lower = run(s, from + upper, is_last);
    if (lower)
        return upper + lower;
    while (upper && !is_last(s->g[from + upper - 1]))
        upper--;
    return upper;
}

/* UPPER+LOWER* */
static size_t uppercase(const struct span *s, size_t from, class_test is_first, class_test is_last)
{
    size_t upper = run(s, from, is_first);
    return upper ? upper + run(s, from + upper, is_last) : 0;
}

static size_t cased(const struct span *s, class_test is_first, class_test is_last)
{
    struct glyph g = s->g[s->at];
    size_t n, lead = !is_newline(g) && !is_letter(g) && !is_number(g);
    if (lead && (n = capitalised(s, s->at + 1, is_first, is_last)))
        return n + 1;
    if ((n = capitalised(s, s->at, is_first, is_last)))
        return n;
    if (lead && (n = uppercase(s, s->at + 1, is_first, is_last)))
        return n + 1;
    return uppercase(s, s->at, is_first, is_last);
}

/* [^\r\n\p{L}\p{N}]?UPPER*LOWER+ | [^\r\n\p{L}\p{N}]?UPPER+LOWER* */
size_t match_cased(const struct span *s)
{
    return cased(s, is_upper, is_lower);
}

/* [\p{Han}]+ */
size_t match_han(const struct span *s)
{
    return run(s, s->at, is_han);
}

/* match_cased_contraction with UPPER and LOWER && [^\p{Han}] */
size_t match_cased_not_han(const struct span *s)
{
    size_t n = cased(s, is_upper_not_han, is_lower_not_han);
    return n ? n + contraction(s, s->at + n, true) : 0;
}

/* The same, each with (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind it */
size_t match_cased_contraction(const struct span *s)
{
    size_t n = match_cased(s);
    return n ? n + contraction(s, s->at + n, true) : 0;
}

/* [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+ */
size_t match_led_letters_marks(const struct span *s)
{
    struct glyph g = s->g[s->at];
    return run_after(s, !is_newline(g) && !is_letter(g) && !is_number(g), is_letter_or_mark);
}

/*  ?[^\s\p{L}\p{M}\p{N}]+[\r\n]* */
size_t match_unmarked_newlines(const struct span *s)
{
    size_t n = run_after(s, at_blank(s), is_other_unmarked);
    return n ? n + run(s, s->at + n, is_newline) : 0;
}

/*  ?[^\s\p{L}\p{N}]+[\r\n/]? */
size_t match_others_slash(const struct span *s)
{
    size_t n = match_others(s);
    return n && s->at + n < s->end && is_newline_or_slash(s->g[s->at + n]) ? n + 1 : n;
}

/* [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ : letters with their marks, single blanks between */
size_t match_phrase(const struct span *s)
{
    struct glyph first = s->g[s->at];
    size_t lead = !is_newline(first) && !is_letter(first) && !is_number(first), at = s->at + lead;
    for (bool begun = false; at < s->end; begun = true) {
        size_t blank = begun && s->g[at].code == ' ';
        if (at + blank >= s->end || !is_letter(s->g[at + blank]))
            break;
        at += blank + 1;
        at += run(s, at, is_mark);
    }
    return at > s->at + lead ? at - s->at : 0;
}

/* [^\n]+ */
size_t match_line(const struct span *s)
{
    return run(s, s->at, is_line);
}

/* \n+ */
size_t match_line_ends(const struct span *s)
{
    return run(s, s->at, is_line_end);
}

/*  ?[^(\s|.,!?…。，、।۔،)]+ */
size_t match_bloom_letters(const struct span *s)
{
    return run_after(s, at_blank(s), is_bloom_letter);
}

/* \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s */
size_t match_spaces_by_halves(const struct span *s)
{
    size_t n = 0;
    while (n <= 512 && s->at + n < s->end && s->g[s->at + n].space)
        n++;
    size_t before = s->at + n < s->end ? n - (n > 0) : n; /* of them have a space or the end behind them */
    for (size_t size = 512; size >= 4; size /= 2)
        if (before >= size)
            return size;
    return before >= 2 ? 2 : n > 0;
}
