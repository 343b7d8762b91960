/* WordPiece (`bert`): a text is cleaned, cut into words at white space, punctuation and Chinese characters, and a
 * word is written with the longest token that it begins with, then the longest for what follows, and so
 * on. In a GGUF file a token that begins a word begins with U+2581; one that goes on has no mark.
 *
 * The steps and their order are those of the published models: control characters go, Chinese characters stand
 * alone, letters lose their accents (canonical decomposition without its nonspacing marks) and become small.
 * A word without such a writing, or of more than 100 characters, is the unknown token, so a text costs time in
 * its length. */
#include "inference/tok/tok_kinds.h"

#include "base/mem.h"
#include "inference/tok/unicode.h"

#define START          "\xe2\x96\x81"
#define START_N        3
#define WORD_CHARS_MAX 100 /* as the published vocabularies have it */

struct wpm_word {
    struct buf text; /* START and the word, cleaned */
    size_t chars;
};

static bool is_dropped(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    bool is_private = (c >= 0xe000 && c <= 0xf8ff) || c >= 0xf0000; /* and bytes that are no UTF-8 */
    return c == 0xfffd || is_private || unicode_class_of(c) == UNICODE_CONTROL;
}

/* One range begins at U+2B920 where the block begins at U+2B820: so have those who trained. */
static bool is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/* Punctuation, and of ASCII the symbols too. */
static bool is_sign(uint32_t c)
{
    enum unicode_class class = unicode_class_of(c);
    return class == UNICODE_PUNCTUATION || (c < 0x80 && class == UNICODE_SYMBOL);
}

/* Texts of control tokens are never found, and a word's beginning only at its beginning. */
static int32_t find_part(const struct tok *t, struct bytes part, bool begins)
{
    bool marked = part.n > START_N && bytes_equal(bytes_of(part.p, START_N), bytes_of_text(START));
    if (marked != begins)
        return -1;
    int32_t id = vocab_find(&t->vocab, part);
    return id < 0 || t->vocab.types[id] == VOCAB_CONTROL || t->vocab.types[id] == VOCAB_UNKNOWN ? -1 : id;
}

static int32_t find_longest(const struct tok *t, struct bytes rest, bool begins, size_t *n)
{
    for (*n = rest.n < t->vocab.text_max ? rest.n : t->vocab.text_max; *n; --*n) {
        bool within = *n < rest.n && (rest.p[*n] & 0xc0) == 0x80; /* of a character */
        int32_t id = within ? -1 : find_part(t, bytes_of(rest.p, *n), begins);
        if (id >= 0)
            return id;
    }
    return -1;
}

static void end_word(const struct tok *t, struct wpm_word *w, struct tok_ids *out)
{
    size_t before = out->n;
    bool good = w->chars <= WORD_CHARS_MAX;
    for (size_t at = 0, n = 0; good && w->chars && at < w->text.n; at += n) {
        int32_t id = find_longest(t, bytes_of(w->text.p + at, w->text.n - at), at == 0, &n);
        good = id >= 0;
        if (good)
            tok_ids_add(out, id);
    }
    if (!good) {
        out->n = before;
        tok_ids_add(out, t->unknown);
    }
    buf_reset(&w->text);
    w->chars = 0;
}

static void add_char(struct wpm_word *w, uint32_t c)
{
    if (w->chars == 0)
        buf_add_text(&w->text, START);
    if (++w->chars <= WORD_CHARS_MAX)
        unicode_put(&w->text, c);
}

static void add_alone(const struct tok *t, struct wpm_word *w, uint32_t c, struct tok_ids *out)
{
    end_word(t, w, out);
    add_char(w, c);
    end_word(t, w, out);
}

static void encode_char(const struct tok *t, struct wpm_word *w, uint32_t c, struct tok_ids *out)
{
    uint32_t parts[UNICODE_PARTS_MAX] = {c};
    size_t n = t->strips_accents ? unicode_decompose(c, parts) : 1;
    bool alone = is_chinese(c);
    for (size_t i = 0; i < n; i++) {
        if (t->strips_accents && unicode_class_of(parts[i]) == UNICODE_MN)
            continue;
        uint32_t small = t->lowers ? unicode_to_lower(parts[i]) : parts[i];
        if (alone || is_sign(small))
            add_alone(t, w, small, out);
        else
            add_char(w, small);
        if (t->lowers && parts[i] == 0x130) /* the one letter whose small form is two characters */
            add_char(w, 0x307);
    }
}

void tok_wpm_encode(const struct tok *t, struct bytes text, struct tok_ids *out)
{
    struct wpm_word w = {0};
    for (size_t at = 0; at < text.n;) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        if (is_dropped(c))
            continue;
        if (unicode_is_space(c))
            end_word(t, &w, out);
        else
            encode_char(t, &w, c, out);
    }
    end_word(t, &w, out);
    buf_clear(&w.text);
}
