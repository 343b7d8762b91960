/* A grammar, a vocabulary, and how far the answer is. */
#include "inference/schema/constraint.h"

#include "base/mem.h"
#include "inference/schema/schema.h"

#include <stdlib.h>
#include <string.h>

struct constraint {
    struct grammar *grammar;
    struct matcher *matcher;
    const struct tok *tok;
    uint32_t vocab;
    uint32_t *mask;
    struct buf piece;
};

static void add_ends(struct constraint *c)
{
    uint32_t n = tok_count(c->tok);
    for (uint32_t i = 0; i < n && i < c->vocab; i++)
        if (tok_is_eog(c->tok, (int32_t)i))
            c->mask[i / 32] |= 1u << i % 32;
}

static enum constraint_state look(struct constraint *c)
{
    const struct trie *t = tok_trie(c->tok);
    bool is_whole = matcher_is_complete(c->matcher);
    if (!matcher_mask(c->matcher, t, c->mask))
        return CONSTRAINT_DEAD;
    for (uint32_t i = c->vocab; i < t->tokens; i++) /* of which the model has no logits */
        c->mask[i / 32] &= ~(1u << i % 32);
    if (is_whole)
        add_ends(c);
    for (uint32_t i = 0; i < (c->vocab + 31) / 32; i++)
        if (c->mask[i])
            return CONSTRAINT_OPEN;
    return is_whole ? CONSTRAINT_WHOLE : CONSTRAINT_DEAD;
}

enum err constraint_new(struct bytes schema, const struct tok *tok, uint32_t vocab, struct constraint **out,
                        struct note *note)
{
    struct constraint *c = mem_new(sizeof *c);
    enum err e = schema_compile(schema, &c->grammar, note);
    if (e != ERR_OK) {
        free(c);
        return e;
    }
    uint32_t most = vocab > tok_count(tok) ? vocab : tok_count(tok);
    c->tok = tok;
    c->vocab = vocab;
    c->matcher = matcher_new(c->grammar);
    c->mask = mem_array(most / 32 + 1u, sizeof *c->mask);
    if (look(c) != CONSTRAINT_OPEN) {
        constraint_free(c);
        return note_set(note, ERR_UNSUPPORTED,
                        "the schema: no token of this model begins an answer to it: ask another model, or without it");
    }
    *out = c;
    return ERR_OK;
}

void constraint_free(struct constraint *c)
{
    if (!c)
        return;
    matcher_free(c->matcher);
    grammar_free(c->grammar);
    buf_clear(&c->piece);
    free(c->mask);
    free(c);
}

const uint32_t *constraint_mask(const struct constraint *c)
{
    return c->mask;
}

enum constraint_state constraint_take(struct constraint *c, uint32_t token)
{
    buf_reset(&c->piece);
    tok_piece(c->tok, (int32_t)token, false, &c->piece);
    CHECK(matcher_take(c->matcher, bytes_of_buf(&c->piece)));
    return look(c);
}
