/* SentencePiece-style tokens: a text's characters merge, the pair whose text has the best score in the
 * vocabulary first; a character that no token has becomes byte tokens. Spaces are written U+2581. */
#include "inference/tok/tok_kinds.h"

#include "inference/tok/tok_merge.h"
#include "inference/tok/unicode.h"

#include <stdio.h>
#include <string.h>

#define SPACE      "\xe2\x96\x81"
#define SPACE_N    3
#define SPACE_CODE 0x2581

/* Most vocabularies have no token with a space behind something else. Then no merge crosses that place,
 * and a text may be merged word by word, with the same result and a small heap. */
static bool words_are_apart(const struct vocab *v)
{
    for (uint32_t id = 0; id < v->count; id++) {
        struct bytes text = vocab_text(v, id);
        bool seen = false;
        for (size_t at = 0; at < text.n;) {
            uint32_t c;
            at += unicode_get(text.p + at, text.n - at, &c);
            if (seen && c == SPACE_CODE)
                return false;
            seen |= c != SPACE_CODE;
        }
    }
    return true;
}

void tok_spm_find_bytes(struct tok *t)
{
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        uint8_t raw = (uint8_t)b;
        snprintf(name, sizeof name, "<0x%02X>", b);
        t->byte_ids[b] = tok_find(t, name);
        if (t->byte_ids[b] < 0)
            t->byte_ids[b] = vocab_find(&t->vocab, bytes_of(&raw, 1));
    }
}

void tok_spm_open(struct tok *t)
{
    t->words_apart = words_are_apart(&t->vocab);
    tok_spm_find_bytes(t);
}

struct spm_word {
    const struct vocab *vocab;
    const uint8_t *text;
};

/* Floats as integers that sort the other way round: the best score is the smallest order. */
static uint32_t order_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 and +0 are one score */
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : 0x7fffffff - bits;
}

int32_t tok_spm_find_plain(const struct vocab *v, const uint8_t *text, size_t n)
{
    int32_t id = vocab_find(v, bytes_of(text, n));
    if (id < 0 || v->types[id] == VOCAB_NORMAL || v->types[id] == VOCAB_USER || v->types[id] == VOCAB_UNUSED)
        return id;
    return -1;
}

static bool find_pair(const void *context, const struct merge_symbol *left, const struct merge_symbol *right,
                      uint32_t *order, int32_t *id)
{
    const struct spm_word *w = context;
    *id = tok_spm_find_plain(w->vocab, w->text + left->start, left->n + right->n);
    if (*id < 0)
        return false;
    *order = order_of(w->vocab->scores[*id]);
    return true;
}

enum err tok_spm_add_bytes(const struct tok *t, struct bytes text, struct tok_ids *out, struct note *note)
{
    for (size_t i = 0; i < text.n; i++) {
        int32_t id = t->byte_ids[text.p[i]];
        if (id < 0)
            id = t->unknown;
        if (id < 0)
            return note_set(note, ERR_UNSUPPORTED, "the vocabulary has neither byte 0x%02X nor an unknown token",
                            text.p[i]);
        tok_ids_add(out, id);
    }
    return ERR_OK;
}

void tok_spm_escape(struct bytes text, bool space_first, struct buf *out)
{
    buf_reserve(out, text.n + SPACE_N);
    if (space_first)
        buf_add(out, SPACE, SPACE_N);
    size_t start = 0;
    for (size_t i = 0; i <= text.n; i++)
        if (i == text.n || text.p[i] == ' ') {
            buf_add(out, text.p + start, i - start);
            if (i < text.n)
                buf_add(out, SPACE, SPACE_N);
            start = i + 1;
        }
}

/* Bytes of the next word: up to where spaces begin behind something else, if no token spans that. */
static size_t word_length(const struct tok *t, struct bytes text)
{
    bool seen = false; /* something but a space */
    for (size_t at = 0; t->words_apart && at < text.n;) {
        uint32_t c;
        size_t n = unicode_get(text.p + at, text.n - at, &c);
        if (seen && c == SPACE_CODE)
            return at;
        seen |= c != SPACE_CODE;
        at += n;
    }
    return text.n;
}

static enum err encode_word(const struct tok *t, struct bytes text, struct merge *m, struct tok_ids *out,
                            struct note *note)
{
    struct spm_word word = {&t->vocab, text.p};
    enum err err = ERR_OK;
    merge_reset(m);
    for (size_t at = 0; at < text.n;) {
        uint32_t c;
        size_t n = unicode_get(text.p + at, text.n - at, &c);
        merge_add(m, (uint32_t)n, tok_spm_find_plain(&t->vocab, text.p + at, n));
        at += n;
    }
    merge_run(m, find_pair, &word);
    for (int32_t i = 0; i >= 0 && err == ERR_OK; i = m->symbols[i].next) {
        const struct merge_symbol *s = &m->symbols[i];
        if (s->id >= 0)
            tok_ids_add(out, s->id);
        else
            err = tok_spm_add_bytes(t, bytes_of(text.p + s->start, s->n), out, note);
    }
    return err;
}

enum err tok_spm_encode(const struct tok *t, struct bytes text, bool first, struct tok_ids *out, struct note *note)
{
    struct buf escaped = {0};
    struct merge m = {0};
    enum err err = ERR_OK;
    tok_spm_escape(text, first && t->add_space, &escaped);
    for (size_t at = 0; at < escaped.n && err == ERR_OK;) {
        struct bytes rest = bytes_of(escaped.p + at, escaped.n - at);
        size_t n = word_length(t, rest);
        err = encode_word(t, bytes_of(rest.p, n), &m, out, note);
        at += n;
    }
    merge_clear(&m);
    buf_clear(&escaped);
    return err;
}

/* "<0x0A>" is the byte 10. */
static bool byte_of(struct bytes text, uint8_t *out)
{
    char digits[3] = {0};
    if (text.n != 6 || memcmp(text.p, "<0x", 3) != 0 || text.p[5] != '>')
        return false;
    memcpy(digits, text.p + 3, 2);
    return hex_get(digits, out, 1);
}

void tok_spm_piece(const struct tok *t, uint32_t id, struct buf *out)
{
    struct bytes text = vocab_text(&t->vocab, id);
    uint8_t byte;
    if (t->vocab.types[id] == VOCAB_BYTE && byte_of(text, &byte)) {
        buf_add(out, &byte, 1);
        return;
    }
    for (size_t at = 0; at < text.n;) {
        bool space = text.n - at >= SPACE_N && memcmp(text.p + at, SPACE, SPACE_N) == 0;
        buf_add(out, space ? (const uint8_t *)" " : text.p + at, 1);
        at += space ? SPACE_N : 1;
    }
}
