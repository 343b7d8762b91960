/* Evidence: which pairs contradict, and their one encoding. */
#include "chain/evidence.h"

RECORD_DEFINE(evidence_part, EVIDENCE_PART_FIELDS)
RECORD_DEFINE(evidence, EVIDENCE_FIELDS)

static struct evidence_part part_of_vote(const struct vote *v)
{
    return (struct evidence_part){v->kind, v->round, v->value, v->valid_round, v->sig};
}

static struct evidence_part part_of_proposal(const struct proposal *p)
{
    return (struct evidence_part){EVIDENCE_PROPOSAL, p->round, p->value, p->valid_round, p->sig};
}

static struct vote vote_of(const struct evidence_part *p, uint64_t height)
{
    return (struct vote){p->kind, height, p->round, p->value, p->valid_round, 0, p->sig};
}

static struct proposal proposal_of(const struct evidence_part *p, uint64_t height)
{
    return (struct proposal){height, p->round, p->valid_round, p->value, 0, p->sig};
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/* By what was signed; 0 for the same. */
static int compare(const struct evidence_part *a, const struct evidence_part *b)
{
    int order = compare_u32(a->round, b->round);
    order = order ? order : compare_u32(a->kind, b->kind);
    order = order ? order : hash_compare(&a->value, &b->value);
    return order ? order : compare_u32(a->valid_round, b->valid_round);
}

static bool part_is_sane(const struct evidence_part *p, uint64_t height)
{
    struct vote v = vote_of(p, height);
    struct proposal o = proposal_of(p, height);
    return p->kind == EVIDENCE_PROPOSAL ? proposal_is_sane(&o) : vote_is_sane(&v);
}

/* `a` is the lesser. */
static bool contradicts(const struct evidence_part *a, const struct evidence_part *b)
{
    if (a->kind == b->kind && a->round == b->round)
        return compare(a, b) != 0;
    bool forgot = b->valid_round == VOTE_NO_ROUND || b->valid_round < a->round;
    return a->kind == VOTE_PRECOMMIT && !hash_is_zero(&a->value) && b->kind == VOTE_PREVOTE &&
           !hash_is_zero(&b->value) && a->round < b->round && forgot;
}

const char *evidence_text(const struct evidence *e)
{
    if (e->a.kind == EVIDENCE_PROPOSAL)
        return "two proposals of one round";
    if (e->a.round != e->b.round)
        return "forgot its lock";
    return e->a.kind == VOTE_PREVOTE ? "two prevotes of one round" : "two precommits of one round";
}

bool evidence_is_sane(const struct evidence *e)
{
    return part_is_sane(&e->a, e->height) && part_is_sane(&e->b, e->height) && compare(&e->a, &e->b) < 0 &&
           contradicts(&e->a, &e->b);
}

static bool of_parts(const struct pubkey *validator, uint64_t height, const struct evidence_part *x,
                     const struct evidence_part *y, struct evidence *out)
{
    bool in_order = compare(x, y) < 0;
    *out = (struct evidence){*validator, height, in_order ? *x : *y, in_order ? *y : *x};
    return evidence_is_sane(out);
}

bool evidence_of_votes(const struct pubkey *validator, const struct vote *x, const struct vote *y, struct evidence *out)
{
    struct evidence_part a = part_of_vote(x), b = part_of_vote(y);
    return of_parts(validator, x->height, &a, &b, out) && x->height == y->height;
}

bool evidence_of_proposals(const struct pubkey *validator, const struct proposal *x, const struct proposal *y,
                           struct evidence *out)
{
    struct evidence_part a = part_of_proposal(x), b = part_of_proposal(y);
    return of_parts(validator, x->height, &a, &b, out) && x->height == y->height;
}

bool evidence_decode(struct bytes raw, struct evidence *e)
{
    struct cursor c = cursor_of(raw);
    evidence_get(&c, e);
    return cursor_end(&c) && evidence_is_sane(e);
}

static bool part_verify(const struct evidence_part *p, const struct evidence *e, const struct hash *chain)
{
    struct vote v = vote_of(p, e->height);
    struct proposal o = proposal_of(p, e->height);
    return p->kind == EVIDENCE_PROPOSAL ? proposal_verify(&o, chain, &e->validator)
                                        : vote_verify(&v, chain, &e->validator);
}

bool evidence_verify(const struct evidence *e, const struct hash *chain)
{
    return evidence_is_sane(e) && part_verify(&e->a, e, chain) && part_verify(&e->b, e, chain);
}
