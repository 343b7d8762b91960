/* Logprobs as OpenAI's clients expect them: of chats and responses a list of tokens, of completions four lists side by
 * side. */
#include "node/api/api_openai.h"

#include "base/codec.h"
#include "inference/worker_proto.h"

#include <string.h>

static void put_text(struct buf *b, struct bytes text)
{
    codec_json_string(b, (const char *)text.p, text.n);
}

/* "token":..,"logprob":..,"bytes":[..] */
static void put_token(struct buf *b, const struct wire_logprob *p)
{
    buf_add_text(b, "{\"token\":");
    put_text(b, p->text);
    buf_add_format(b, ",\"logprob\":%.9g,\"bytes\":[", (double)p->value);
    for (size_t i = 0; i < p->text.n; i++)
        buf_add_format(b, "%s%u", i ? "," : "", p->text.p[i]);
    buf_add_text(b, "]");
}

static uint32_t count_characters(struct bytes text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += (text.p[i] & 0xC0) != 0x80;
    return n;
}

/* The four lists of a completion. */
struct lists {
    struct buf tokens, values, top, offsets;
};

static void add_token(struct buf *out, struct bytes *rest, unsigned each, bool first)
{
    struct wire_logprob p;
    for (unsigned i = 0; i < each && wire_next_logprob(rest, &p); i++) {
        buf_add_text(out, i == 1 || (i == 0 && first) ? "" : ",");
        put_token(out, &p);
        buf_add_text(out, i == 0 ? ",\"top_logprobs\":[" : "}");
    }
    buf_add_text(out, "]}");
}

/* `skip`: so many bytes more than the text has stand in front: a token that only begins it, a space of the encoding's.
 */
static void add_completion(struct lists *l, struct bytes *rest, unsigned each, size_t *skip, struct openai_place *place)
{
    struct wire_logprob p;
    const char *comma = l->tokens.n ? "," : "";
    buf_add_text(&l->top, comma);
    buf_add_text(&l->top, "{");
    for (unsigned i = 0; i < each && wire_next_logprob(rest, &p); i++) {
        if (i > 0) {
            buf_add_text(&l->top, i > 1 ? "," : "");
            put_text(&l->top, p.text);
            buf_add_format(&l->top, ":%.9g", (double)p.value);
            continue;
        }
        buf_add_text(&l->tokens, comma);
        put_text(&l->tokens, p.text);
        buf_add_format(&l->values, "%s%.9g", comma, (double)p.value);
        buf_add_format(&l->offsets, "%s%u", comma, place->chars);
        size_t passed = p.text.n < *skip ? p.text.n : *skip;
        *skip -= passed;
        place->chars += count_characters(bytes_of(p.text.p + passed, p.text.n - passed));
    }
    buf_add_text(&l->top, "}");
}

/* How much longer the texts of the tokens, joined, are than the text, where that is their end; else 0. */
static size_t find_skip(const struct openai_told *t, unsigned each)
{
    struct buf all = {0};
    struct wire_logprob p;
    unsigned i = each - 1; /* of a token's entries, of which the first token has one */
    for (struct bytes rest = bytes_of_buf(&t->logprobs); wire_next_logprob(&rest, &p); i = (i + 1) % each)
        if (i == 0 || all.n == 0)
            buf_add(&all, p.text.p, p.text.n);
    size_t skip = all.n > t->text.n ? all.n - t->text.n : 0;
    if (all.n < t->text.n || memcmp(all.p + skip, t->text.p, t->text.n) != 0)
        skip = 0;
    buf_clear(&all);
    return skip;
}

/* Nothing is said of how likely the first was: there is nothing before it. */
static void add_told(struct lists *l, const struct openai_told *t, unsigned each, struct openai_place *place)
{
    struct bytes rest = bytes_of_buf(&t->logprobs);
    size_t skip = find_skip(t, each);
    add_completion(l, &rest, 1, &skip, place);
    buf_reset(&l->values);
    buf_add_text(&l->values, "null");
    buf_reset(&l->top);
    buf_add_text(&l->top, "null");
    while (rest.n > 0)
        add_completion(l, &rest, each, &skip, place);
}

static void put_completion(struct buf *b, struct lists *l, unsigned each)
{
    buf_add_format(b, "{\"tokens\":[%s]", buf_text(&l->tokens));
    buf_add_format(b, ",\"token_logprobs\":[%s]", buf_text(&l->values));
    if (each > 1)
        buf_add_format(b, ",\"top_logprobs\":[%s]", buf_text(&l->top));
    else
        buf_add_text(b, ",\"top_logprobs\":null");
    buf_add_format(b, ",\"text_offset\":[%s]}", buf_text(&l->offsets));
}

void openai_put_logprobs(struct buf *b, unsigned form, struct bytes blob, unsigned each, uint32_t end,
                         struct openai_place *place, const struct openai_told *told)
{
    struct bytes rest = blob.n ? bytes_of(blob.p + place->at, blob.n - place->at) : blob;
    struct lists l = {0};
    struct buf content = {0};
    uint32_t first = place->tokens;
    size_t skip = 0;
    if (each == 0 || (first >= end && !told)) {
        buf_add_text(b, form == OPENAI_RESPONSE ? "[]" : "null");
        return;
    }
    if (told)
        add_told(&l, told, each, place);
    for (; place->tokens < end && rest.n > 0; place->tokens++)
        if (form == OPENAI_COMPLETION)
            add_completion(&l, &rest, each, &skip, place);
        else
            add_token(&content, &rest, each, place->tokens == first);
    place->at = blob.n - rest.n;
    if (form == OPENAI_COMPLETION)
        put_completion(b, &l, each);
    else
        buf_add_format(b, form == OPENAI_CHAT ? "{\"content\":[%s],\"refusal\":null}" : "[%s]", buf_text(&content));
    buf_clear(&content);
    buf_clear(&l.tokens);
    buf_clear(&l.values);
    buf_clear(&l.top);
    buf_clear(&l.offsets);
}
