#include "tests/bft_four.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct hash four_value(uint8_t b)
{
    struct hash h = {{b, 1}};
    return h;
}

void four_feed(struct four *f, struct bft_event e)
{
    e.height = e.height ? e.height : 1;
    struct bft_effects r = bft_step(f->bft, &e);
    f->news = r.news;
    for (uint32_t i = 0; i < r.n; i++) {
        f->effects[f->n++] = r.at[i];
        assert_true(f->n < 64);
    }
}

const struct bft_effect *four_effect(const struct four *f, enum bft_effect_kind kind, unsigned nth)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->effects[i].kind == kind && nth-- == 0)
            return &f->effects[i];
    return NULL;
}

void four_forget(struct four *f)
{
    f->n = 0;
}

struct vote four_signed_vote(const struct four *f, unsigned who, enum vote_kind kind, uint32_t round, struct hash v,
                             uint32_t valid_round)
{
    struct vote vote = {.kind = (uint8_t)kind,
                        .height = 1,
                        .round = round,
                        .value = v,
                        .valid_round = valid_round,
                        .index = (uint16_t)who};
    struct hash h = vote_hash(&vote, &f->chain);
    key_sign_hash(&f->key[who], &h, NULL, &vote.sig);
    return vote;
}

void four_prevote(struct four *f, unsigned who, uint32_t round, struct hash v, uint32_t valid_round)
{
    four_feed(
        f, (struct bft_event){.kind = BFT_VOTE, .vote = four_signed_vote(f, who, VOTE_PREVOTE, round, v, valid_round)});
}

void four_precommit(struct four *f, unsigned who, uint32_t round, struct hash v)
{
    four_feed(f, (struct bft_event){.kind = BFT_VOTE,
                                    .vote = four_signed_vote(f, who, VOTE_PRECOMMIT, round, v, VOTE_NO_ROUND)});
}

struct proposal four_signed_proposal(const struct four *f, uint32_t round, struct hash v, uint32_t valid_round)
{
    unsigned who = valset_proposer(&f->set, round);
    struct proposal p = {.height = 1, .round = round, .valid_round = valid_round, .value = v, .index = (uint16_t)who};
    struct hash h = proposal_hash(&p, &f->chain);
    key_sign_hash(&f->key[who], &h, NULL, &p.sig);
    return p;
}

void four_propose(struct four *f, uint32_t round, struct hash v, uint32_t valid_round)
{
    four_feed(f, (struct bft_event){.kind = BFT_PROPOSAL,
                                    .proposal = four_signed_proposal(f, round, v, valid_round),
                                    .verdict = BFT_VALID,
                                    .timely = true});
}

void four_timeout(struct four *f, uint32_t round, enum bft_step step)
{
    four_feed(f, (struct bft_event){.kind = BFT_TIMEOUT, .round = round, .step = step});
}

void four_echo(struct four *f)
{
    struct vote cast[16];
    unsigned n = 0;
    for (const struct bft_effect *e; (e = four_effect(f, BFT_CAST, n)) != NULL;)
        cast[n++] = e->vote;
    four_forget(f);
    for (unsigned i = 0; i < n; i++)
        four_feed(f, (struct bft_event){.kind = BFT_VOTE,
                                        .vote = four_signed_vote(f, f->self, cast[i].kind, cast[i].round, cast[i].value,
                                                                 cast[i].valid_round)});
}

void four_expect_cast(const struct four *f, enum vote_kind kind, uint32_t round, struct hash v, uint32_t valid_round)
{
    const struct bft_effect *e = four_effect(f, BFT_CAST, 0);
    assert_non_null(e);
    assert_int_equal(e->vote.kind, kind);
    assert_int_equal(e->vote.round, round);
    assert_true(hash_equal(&e->vote.value, &v));
    assert_int_equal(e->vote.valid_round, valid_round);
}

int four_setup(void **state)
{
    struct four *f = mem_new(sizeof *f);
    struct valset_entry entries[4];
    struct seckey keys[4];
    f->chain = (struct hash){{3}};
    for (unsigned i = 0; i < 4; i++) {
        memset(keys[i].b, (int)(i + 1), sizeof keys[i].b);
        entries[i].power = 10;
        key_derive(&keys[i], &entries[i].key);
    }
    assert_int_equal(valset_init(&f->set, entries, 4, NULL), ERR_OK);
    for (unsigned i = 0; i < 4; i++)
        f->key[valset_find(&f->set, &entries[i].key)] = keys[i];
    f->self = valset_proposer(&f->set, 3); /* rounds 0 to 2 are the others' */
    f->bft = bft_new(&f->chain, &f->set.v[f->self].key);
    four_feed(f, (struct bft_event){.kind = BFT_START, .validators = &f->set});
    *state = f;
    return 0;
}

int four_teardown(void **state)
{
    struct four *f = *state;
    bft_free(f->bft);
    free(f);
    return 0;
}

unsigned four_other(const struct four *f, unsigned n)
{
    for (unsigned i = 0; i < 4; i++)
        if (i != f->self && n-- == 0)
            return i;
    return 0;
}
