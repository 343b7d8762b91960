/* Inside the pre-tokenizers: a text as characters with their classes, and the small matchers that the published
 * regular expressions are put together from. Only pretok.c includes it. Each matcher's expression stands above it in
 * pretok_match.c; \s, \p{L} (letters), \p{N} (numbers), \p{P}, \p{S}, \p{M} are those of Unicode as fixed
 * in inference/tok/unicode.h.
 *
 * No matcher looks behind its word's end, and each costs time in what it matches or in a run of
 * one class that no later position scans again. */
#ifndef KITH_INFERENCE_PRETOK_MATCH_H
#define KITH_INFERENCE_PRETOK_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One character: code point, class and length in bytes, packed so that a long text stays small. */
struct glyph {
    uint32_t code : 21;
    uint32_t width : 3;
    uint32_t class : 4;
    uint32_t space : 1;
};

/* The word being split: a match begins at `at` and ends at `end` or before. */
struct span {
    const struct glyph *g;
    size_t start, at, end;
};

/* Characters matched, 0 for none. */
typedef size_t (*matcher)(const struct span *s);

size_t match_contraction(const struct span *s);
size_t match_any_contraction(const struct span *s);
size_t match_letters(const struct span *s);
size_t match_numbers(const struct span *s);
size_t match_others(const struct span *s);
size_t match_others_newlines(const struct span *s);
size_t match_others_slashes(const struct span *s);
size_t match_led_letters(const struct span *s);
size_t match_number(const struct span *s);
size_t match_three_numbers(const struct span *s);
size_t match_all_numbers(const struct span *s);
size_t match_three_digits(const struct span *s);
size_t match_spaces_before_space(const struct span *s);
size_t match_spaces(const struct span *s);
size_t match_spaces_at_end(const struct span *s);
size_t match_spaces_newlines(const struct span *s);
size_t match_newline(const struct span *s);
size_t match_signs(const struct span *s);
size_t match_signs_ticks(const struct span *s);
size_t match_deepseek_letters(const struct span *s);
size_t match_deepseek_signs(const struct span *s);
size_t match_spaced_letters(const struct span *s);
size_t match_spaced_punctuation(const struct span *s);
size_t match_cjk_or_above(const struct span *s);
size_t match_cjk_or_kana(const struct span *s);
size_t match_sign_ascii_letters(const struct span *s);
size_t match_led_marked_letters(const struct span *s);
size_t match_symbols_newlines(const struct span *s);
size_t match_cased(const struct span *s);
size_t match_cased_contraction(const struct span *s);
size_t match_han(const struct span *s);
size_t match_cased_not_han(const struct span *s);
size_t match_led_letters_marks(const struct span *s);
size_t match_unmarked_newlines(const struct span *s);
size_t match_others_slash(const struct span *s);
size_t match_phrase(const struct span *s);
size_t match_line(const struct span *s);
size_t match_line_ends(const struct span *s);
size_t match_bloom_letters(const struct span *s);
size_t match_spaces_by_halves(const struct span *s);

#endif
