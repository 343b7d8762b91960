/* Evidence: which pairs convict, in their one order, and that nothing else does. */
#include "chain/evidence.h"

#include "chain/signer.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <string.h>

static const struct hash chain = {{1}};

static struct seckey key_of(uint8_t b)
{
    struct seckey k;
    memset(k.b, b, sizeof k.b);
    return k;
}

static struct vote vote(enum vote_kind kind, uint32_t round, uint8_t value, uint32_t valid_round)
{
    struct seckey k = key_of(7);
    struct vote v = {
        .kind = (uint8_t)kind, .height = 5, .round = round, .value = {{value}}, .valid_round = valid_round};
    struct hash h = vote_hash(&v, &chain);
    key_sign_hash(&k, &h, NULL, &v.sig);
    return v;
}

static bool convicts(struct vote a, struct vote b)
{
    struct seckey k = key_of(7);
    struct pubkey who = key_public(&k);
    struct evidence e, swapped, back;
    bool is = evidence_of_votes(&who, &a, &b, &e);
    assert_int_equal(is, evidence_of_votes(&who, &b, &a, &swapped));
    if (!is)
        return false;
    assert_true(evidence_equal(&e, &swapped)); /* one encoding */
    struct buf raw = {0};
    evidence_put(&raw, &e);
    assert_true(evidence_decode(bytes_of_buf(&raw), &back));
    assert_true(evidence_verify(&back, &chain));
    struct evidence_part first = e.a; /* and no other order decodes */
    e.a = e.b;
    e.b = first;
    buf_reset(&raw);
    evidence_put(&raw, &e);
    assert_false(evidence_decode(bytes_of_buf(&raw), &back));
    buf_clear(&raw);
    return true;
}

#define NONE VOTE_NO_ROUND

static void what_contradicts(void **state)
{
    (void)state;
    assert_true(convicts(vote(VOTE_PREVOTE, 1, 1, NONE), vote(VOTE_PREVOTE, 1, 2, NONE)));
    assert_true(convicts(vote(VOTE_PREVOTE, 1, 1, NONE), vote(VOTE_PREVOTE, 1, 0, NONE)));
    assert_true(convicts(vote(VOTE_PREVOTE, 1, 1, NONE), vote(VOTE_PREVOTE, 1, 1, 0))); /* only the valid round */
    assert_true(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PRECOMMIT, 1, 2, NONE)));
    assert_true(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PREVOTE, 2, 2, 0)));
    assert_true(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PREVOTE, 2, 2, NONE)));
    assert_true(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PREVOTE, 2, 1, NONE))); /* its own value too */
}

static void what_does_not(void **state)
{
    (void)state;
    assert_false(convicts(vote(VOTE_PREVOTE, 1, 1, NONE), vote(VOTE_PREVOTE, 1, 1, NONE)));
    assert_false(convicts(vote(VOTE_PREVOTE, 1, 1, NONE), vote(VOTE_PREVOTE, 2, 2, NONE)));
    assert_false(convicts(vote(VOTE_PREVOTE, 1, 1, NONE), vote(VOTE_PRECOMMIT, 1, 2, NONE)));
    assert_false(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PRECOMMIT, 2, 2, NONE)));
    assert_false(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PREVOTE, 2, 2, 1))); /* a quorum since the lock */
    assert_false(convicts(vote(VOTE_PRECOMMIT, 1, 1, NONE), vote(VOTE_PREVOTE, 2, 0, NONE)));
    assert_false(convicts(vote(VOTE_PRECOMMIT, 1, 0, NONE), vote(VOTE_PREVOTE, 2, 2, NONE))); /* nil locks nothing */
    assert_false(convicts(vote(VOTE_PRECOMMIT, 2, 1, NONE), vote(VOTE_PREVOTE, 1, 2, NONE))); /* before the lock */
    struct vote a = vote(VOTE_PREVOTE, 1, 1, NONE), b = vote(VOTE_PREVOTE, 1, 2, NONE);
    b.height++;
    assert_false(convicts(a, b));
}

static void nobody_is_framed(void **state)
{
    (void)state;
    struct seckey k = key_of(7), other = key_of(8);
    struct pubkey who = key_public(&k), stranger = key_public(&other);
    struct vote a = vote(VOTE_PREVOTE, 1, 1, NONE), b = vote(VOTE_PREVOTE, 1, 2, NONE);
    struct evidence good, bad;
    struct hash foreign = {{9}};
    assert_true(evidence_of_votes(&who, &a, &b, &good));
    assert_true(evidence_verify(&good, &chain));
    assert_false(evidence_verify(&good, &foreign));
#define WRONG(change)                                                                                                  \
    bad = good;                                                                                                        \
    change;                                                                                                            \
    assert_false(evidence_verify(&bad, &chain))
    WRONG(bad.validator = stranger);
    WRONG(bad.height++);
    WRONG((bad.a.round++, bad.b.round++));
    WRONG(bad.a.value.b[3] ^= 1); /* never signed */
    WRONG(bad.b.sig = bad.a.sig);
    WRONG(bad.a.sig.b[9] ^= 1);
    WRONG((bad.a.kind = VOTE_PRECOMMIT, bad.b.kind = VOTE_PRECOMMIT)); /* a prevote is no precommit */
    WRONG((bad.a.kind = EVIDENCE_PROPOSAL, bad.b.kind = EVIDENCE_PROPOSAL));
    WRONG(bad.b = bad.a);
    WRONG(bad.a.kind = 4);
    WRONG((bad.a.value = bad.b.value, bad.a.valid_round = 0));
#undef WRONG
}

static void proposals(void **state)
{
    (void)state;
    struct seckey k = key_of(7);
    struct pubkey who = key_public(&k);
    struct proposal p[3] = {{.height = 5, .round = 2, .valid_round = NONE, .value = {{1}}},
                            {.height = 5, .round = 2, .valid_round = NONE, .value = {{2}}},
                            {.height = 5, .round = 2, .valid_round = 1, .value = {{1}}}};
    struct evidence e;
    for (int i = 0; i < 3; i++) {
        struct hash h = proposal_hash(&p[i], &chain);
        key_sign_hash(&k, &h, NULL, &p[i].sig);
    }
    assert_true(evidence_of_proposals(&who, &p[0], &p[1], &e) && evidence_verify(&e, &chain));
    assert_true(evidence_of_proposals(&who, &p[0], &p[2], &e) && evidence_verify(&e, &chain));
    assert_false(evidence_of_proposals(&who, &p[0], &p[0], &e));
    p[1].round++; /* another round */
    assert_false(evidence_of_proposals(&who, &p[0], &p[1], &e));
}

/* A signer that is asked for anything at all, in any order, never makes a pair that convicts it. */
static void a_signer_never_convicts_itself(void **state)
{
    (void)state;
    struct seckey k = key_of(7);
    struct pubkey who = key_public(&k);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct signer s;
        struct vote made[64];
        unsigned n = 0, refused = 0;
        struct random r = {seed};
        signer_init(&s, 0);
        for (int i = 0; i < 64; i++) {
            uint32_t round = (uint32_t)(i / 8 + (int)(random_next(&r) % 3));
            struct vote v = {.kind = (uint8_t)(1 + random_next(&r) % 2), .height = 5, .round = round};
            v.value.b[0] = (uint8_t)(random_next(&r) % 3);
            bool rests = v.kind == VOTE_PREVOTE && v.value.b[0] && round > 0 && random_next(&r) % 2;
            v.valid_round = rests ? (uint32_t)(random_next(&r) % round) : NONE;
            bool fresh;
            if (signer_sign_vote(&s, &k, &chain, &v, &fresh) == ERR_OK)
                made[n++] = v;
            else
                refused++;
        }
        assert_true(n > 4 && refused > 0);
        struct evidence e;
        for (unsigned x = 0; x < n; x++)
            for (unsigned y = 0; y < x; y++)
                assert_false(evidence_of_votes(&who, &made[x], &made[y], &e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_contradicts),
        cmocka_unit_test(what_does_not),
        cmocka_unit_test(nobody_is_framed),
        cmocka_unit_test(proposals),
        cmocka_unit_test(a_signer_never_convicts_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
