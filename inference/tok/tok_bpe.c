/* Byte-level BPE: every byte of a text is a symbol, written in the vocabulary as one printable
 * character; the pre-tokenizer cuts the text into words; within a word the pair that stands first in
 * the file's list of merges becomes one token. In plain vocabularies (Gemma 4) symbols are characters,
 * written as they are, and what no token has becomes bytes, as in tok_spm.c. */
#include "inference/tok/tok_kinds.h"

#include "base/limits.h"
#include "base/mem.h"
#include "inference/tok/tok_merge.h"
#include "inference/tok/unicode.h"

#include <string.h>

/* How a byte is written (GPT-2's table): printable Latin-1 stands for itself, the rest for U+0100 and up. */
static uint32_t char_of_byte(uint8_t b)
{
    if ((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae)
        return b;
    if (b <= ' ')
        return 0x100u + b;
    return b == 0xad ? 0x143 : 0x121u + (b - 0x7fu);
}

/* The other way round; -1 for a character that stands for no byte. */
static int byte_of_char(uint32_t c)
{
    if (c < 0x100)
        return char_of_byte((uint8_t)c) == c ? (int)c : -1;
    if (c <= 0x120)
        return (int)(c - 0x100);
    if (c <= 0x142)
        return (int)(c - 0x121 + 0x7f);
    return c == 0x143 ? 0xad : -1;
}

static uint32_t rule_slot(const struct tok *t, int32_t left, int32_t right)
{
    int32_t pair[2] = {left, right};
    uint32_t slot = (uint32_t)vocab_hash(t->vocab.seed, pair, sizeof pair) & t->rule_slots_mask;
    for (; t->rule_slots[slot]; slot = (slot + 1) & t->rule_slots_mask) {
        const struct tok_rule *r = &t->rules[t->rule_slots[slot] - 1];
        if (r->left == left && r->right == right)
            break;
    }
    return slot;
}

enum err tok_bpe_reserve(struct tok *t, uint64_t count, struct note *note)
{
    CHECK(!t->rules);
    if (count > MERGES_MAX)
        return note_set(note, ERR_LIMIT, "the vocabulary has %llu merges: at most %u are read",
                        (unsigned long long)count, MERGES_MAX);
    t->rules = mem_array((size_t)count, sizeof *t->rules);
    t->rule_slots_mask = 1;
    while (t->rule_slots_mask < 2 * count)
        t->rule_slots_mask *= 2;
    t->rule_slots = mem_array(t->rule_slots_mask, sizeof *t->rule_slots);
    t->rule_slots_mask--;
    return ERR_OK;
}

/* A merge's result is longer than either part, so merges cannot go round in circles. */
enum err tok_bpe_add(struct tok *t, struct bytes merge, struct note *note)
{
    CHECK(t->rules_n <= t->rule_slots_mask / 2);
    const uint8_t *space = merge.n > 1 ? memchr(merge.p + 1, ' ', merge.n - 1) : NULL;
    size_t left_n = space ? (size_t)(space - merge.p) : 0;
    size_t right_n = space ? merge.n - left_n - 1 : 0;
    int shown = (int)(merge.n < 64 ? merge.n : 64);
    const char *text = merge.n ? (const char *)merge.p : "";
    if (right_n == 0)
        return note_set(note, ERR_FORMAT,
                        "merge %u of the vocabulary is '%.*s': it must be two tokens with a space "
                        "between",
                        t->rules_n, shown, text);
    struct tok_rule rule = {vocab_find(&t->vocab, bytes_of(merge.p, left_n)),
                            vocab_find(&t->vocab, bytes_of(space + 1, right_n)), -1};
    if (rule.left >= 0 && rule.right >= 0 && left_n + right_n <= TOKEN_PIECE_MAX) {
        uint8_t both[TOKEN_PIECE_MAX];
        memcpy(both, merge.p, left_n);
        memcpy(both + left_n, space + 1, right_n);
        rule.result = vocab_find(&t->vocab, bytes_of(both, left_n + right_n));
    }
    if (rule.result < 0)
        return note_set(note, ERR_FORMAT, "merge %u of the vocabulary is '%.*s': %s is no token", t->rules_n, shown,
                        text,
                        rule.left < 0    ? "its left part"
                        : rule.right < 0 ? "its right part"
                                         : "its result");
    t->rules[t->rules_n] = rule;
    uint32_t slot = rule_slot(t, rule.left, rule.right);
    if (!t->rule_slots[slot]) /* listed twice: the first rank counts */
        t->rule_slots[slot] = t->rules_n + 1;
    t->rules_n++;
    return ERR_OK;
}

void tok_bpe_open(struct tok *t)
{
    if (pretok_is_plain(t->pretok)) {
        tok_spm_find_bytes(t);
        return;
    }
    for (unsigned b = 0; b < 256; b++) {
        struct buf text = {0};
        unicode_put(&text, char_of_byte((uint8_t)b));
        t->byte_ids[b] = vocab_find(&t->vocab, bytes_of_buf(&text));
        buf_clear(&text);
    }
}

static bool find_pair(const void *context, const struct merge_symbol *left, const struct merge_symbol *right,
                      uint32_t *order, int32_t *id)
{
    const struct tok *t = context;
    if (left->id < 0 || right->id < 0)
        return false;
    uint32_t rule = t->rule_slots[rule_slot(t, left->id, right->id)];
    if (rule == 0)
        return false;
    *order = rule - 1;
    *id = t->rules[rule - 1].result;
    return true;
}

/* A whole word that is a token; only asked where the pre-tokenizer's family puts this before merges. */
static int32_t find_word(const struct tok *t, struct bytes word, struct buf *scratch)
{
    if (word.n > t->vocab.text_max)
        return -1;
    buf_reset(scratch);
    for (size_t i = 0; i < word.n; i++)
        unicode_put(scratch, char_of_byte(word.p[i]));
    int32_t id = vocab_find(&t->vocab, bytes_of_buf(scratch));
    return id >= 0 && t->vocab.types[id] == VOCAB_NORMAL ? id : -1;
}

static enum err encode_word(const struct tok *t, struct bytes word, struct merge *m, struct tok_ids *out,
                            struct note *note)
{
    merge_reset(m);
    for (size_t i = 0; i < word.n; i++) {
        int32_t id = t->byte_ids[word.p[i]] >= 0 ? t->byte_ids[word.p[i]] : t->unknown;
        if (id < 0)
            return note_set(note, ERR_UNSUPPORTED, "the vocabulary has neither byte 0x%02X nor an unknown token",
                            word.p[i]);
        merge_add(m, 1, id);
    }
    merge_run(m, find_pair, t);
    for (int32_t i = 0; i >= 0; i = m->symbols[i].next)
        tok_ids_add(out, m->symbols[i].id);
    return ERR_OK;
}

/* The same of a plain vocabulary: by characters. */
static enum err encode_plain_word(const struct tok *t, struct bytes word, struct merge *m, struct tok_ids *out,
                                  struct note *note)
{
    enum err err = ERR_OK;
    merge_reset(m);
    for (size_t at = 0, n; at < word.n; at += n) {
        uint32_t c;
        n = unicode_get(word.p + at, word.n - at, &c);
        merge_add(m, (uint32_t)n, tok_spm_find_plain(&t->vocab, word.p + at, n));
    }
    merge_run(m, find_pair, t);
    for (int32_t i = 0; i >= 0 && err == ERR_OK; i = m->symbols[i].next) {
        const struct merge_symbol *s = &m->symbols[i];
        if (s->id >= 0)
            tok_ids_add(out, s->id);
        else
            err = tok_spm_add_bytes(t, bytes_of(word.p + s->start, s->n), out, note);
    }
    return err;
}

static enum err encode_plain(const struct tok *t, struct bytes text, struct tok_ids *out, struct note *note)
{
    struct pretok_words words = {0};
    struct buf escaped = {0};
    struct merge m = {0};
    enum err err = ERR_OK;
    tok_spm_escape(text, false, &escaped);
    pretok_split(t->pretok, bytes_of_buf(&escaped), &words);
    size_t at = 0;
    for (size_t i = 0; i < words.n && err == ERR_OK; i++) {
        struct bytes word = bytes_of(escaped.p + at, words.lengths[i]);
        int32_t id = word.p[0] == '\n' ? tok_spm_find_plain(&t->vocab, word.p, word.n) : -1;
        if (id >= 0)
            tok_ids_add(out, id);
        else
            err = encode_plain_word(t, word, &m, out, note);
        at += word.n;
    }
    merge_clear(&m);
    buf_clear(&escaped);
    pretok_words_clear(&words);
    return err;
}

enum err tok_bpe_encode(const struct tok *t, struct bytes text, struct tok_ids *out, struct note *note)
{
    if (pretok_is_plain(t->pretok))
        return encode_plain(t, text, out, note);
    struct pretok_words words = {0};
    struct merge m = {0};
    struct buf scratch = {0};
    enum err err = ERR_OK;
    pretok_split(t->pretok, text, &words);
    size_t at = 0;
    for (size_t i = 0; i < words.n && err == ERR_OK; i++) {
        struct bytes word = bytes_of(text.p + at, words.lengths[i]);
        int32_t id = pretok_prefers_words(t->pretok) ? find_word(t, word, &scratch) : -1;
        if (id >= 0)
            tok_ids_add(out, id);
        else
            err = encode_word(t, word, &m, out, note);
        at += word.n;
    }
    buf_clear(&scratch);
    merge_clear(&m);
    pretok_words_clear(&words);
    return err;
}

void tok_bpe_piece(const struct tok *t, uint32_t id, struct buf *out)
{
    if (pretok_is_plain(t->pretok)) {
        tok_spm_piece(t, id, out);
        return;
    }
    struct bytes text = vocab_text(&t->vocab, id);
    for (size_t at = 0; at < text.n;) {
        uint32_t c;
        size_t n = unicode_get(text.p + at, text.n - at, &c);
        int byte = byte_of_char(c);
        uint8_t raw = (uint8_t)byte;
        if (byte >= 0)
            buf_add(out, &raw, 1);
        else
            buf_add(out, text.p + at, n);
        at += n;
    }
}
