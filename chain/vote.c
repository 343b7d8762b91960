/* Encodings, signed hashes and checks of votes and proposals. */
#include "chain/vote.h"

RECORD_DEFINE(vote, VOTE_FIELDS)
RECORD_DEFINE(proposal, PROPOSAL_FIELDS)

struct hash vote_hash(const struct vote *v, const struct hash *chain)
{
    struct hasher h;
    hash_start(&h, HASH_VOTE);
    hash_add(&h, chain->b, sizeof chain->b);
    hash_add(&h, &v->kind, 1);
    hash_add_u64(&h, v->height);
    hash_add_u32(&h, v->round);
    hash_add(&h, v->value.b, sizeof v->value.b);
    hash_add_u32(&h, v->valid_round);
    return hash_end(&h);
}

struct hash proposal_hash(const struct proposal *p, const struct hash *chain)
{
    struct hasher h;
    hash_start(&h, HASH_PROPOSAL);
    hash_add(&h, chain->b, sizeof chain->b);
    hash_add_u64(&h, p->height);
    hash_add_u32(&h, p->round);
    hash_add_u32(&h, p->valid_round);
    hash_add(&h, p->value.b, sizeof p->value.b);
    return hash_end(&h);
}

/* A valid round lies before the round that names it. */
static bool rounds_are_sane(uint32_t round, uint32_t valid_round)
{
    return round <= BFT_ROUND_MAX && (valid_round == VOTE_NO_ROUND || valid_round < round);
}

bool vote_is_sane(const struct vote *v)
{
    if ((v->kind != VOTE_PREVOTE && v->kind != VOTE_PRECOMMIT) || v->height == 0 ||
        !rounds_are_sane(v->round, v->valid_round) || v->index >= VALIDATORS_MAX)
        return false;
    return v->valid_round == VOTE_NO_ROUND || (v->kind == VOTE_PREVOTE && !hash_is_zero(&v->value));
}

bool proposal_is_sane(const struct proposal *p)
{
    return p->height > 0 && rounds_are_sane(p->round, p->valid_round) && !hash_is_zero(&p->value) &&
           p->index < VALIDATORS_MAX;
}

bool vote_verify(const struct vote *v, const struct hash *chain, const struct pubkey *key)
{
    struct hash h = vote_hash(v, chain);
    return key_verify_hash(key, &h, &v->sig);
}

bool proposal_verify(const struct proposal *p, const struct hash *chain, const struct pubkey *key)
{
    struct hash h = proposal_hash(p, chain);
    return key_verify_hash(key, &h, &p->sig);
}

bool vote_decode(struct bytes raw, struct vote *v)
{
    struct cursor c = cursor_of(raw);
    vote_get(&c, v);
    return cursor_end(&c) && vote_is_sane(v);
}
