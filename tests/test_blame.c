/* Forks and their authors. The real machine of honest validators in two groups that hear nothing of each other, and a
 * coalition of more than a third of the power that shows each group another face until both decide differently. From
 * what the honest kept, blame must name more than a third of the power, and none of the honest. All from one seed,
 * which is printed where it fails; KITH_SEEDS=N runs more than the default.
 *
 * Half of the coalitions are careful: they never sign two things of one kind and round, so they fork by
 * forgetting locks alone. */
#include "base/mem.h"
#include "chain/blame.h"
#include "chain/light.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 7
#define QUEUE     512
#define STEPS     3000
#define NONE      VOTE_NO_ROUND

static unsigned below(struct random *r, unsigned n)
{
    return (unsigned)(random_next(r) % n);
}

struct message {
    bool is_proposal;
    struct vote vote;
    struct proposal proposal;
};

struct node { /* by index in the set */
    struct seckey key;
    bool is_honest;
    unsigned group; /* of an honest one */
    struct bft *bft;
    struct message queue[QUEUE]; /* not heard yet */
    uint32_t queue_n;
    struct bft_event timers[64];
    uint32_t timers_n;
    bool decided;
    struct hash value;
    struct buf testimony;
    /* of a careful traitor: what it signed in each round */
    struct vote signed_votes[256];
    uint32_t signed_n;
};

struct fork {
    struct random random;
    struct hash chain;
    struct valset set;
    struct node node[NODES_MAX];
    unsigned n;
    bool is_careful;
};

static void give(struct fork *f, unsigned i, const struct bft_event *e);

static void hear(struct fork *f, unsigned to, const struct message *m)
{
    struct node *n = &f->node[to];
    if (n->queue_n < QUEUE)
        n->queue[n->queue_n++] = *m;
    (void)f;
}

static void say(struct fork *f, unsigned from, const struct message *m)
{
    for (unsigned to = 0; to < f->n; to++)
        if (to != from && f->node[to].is_honest && f->node[to].group == f->node[from].group)
            hear(f, to, m);
}

static void sign_vote(const struct fork *f, unsigned i, struct vote *v)
{
    struct hash h = vote_hash(v, &f->chain);
    key_sign_hash(&f->node[i].key, &h, NULL, &v->sig);
}

static void decide(struct fork *f, unsigned i, const struct bft_effect *e)
{
    struct node *n = &f->node[i];
    struct buf sigs = {0};
    bft_commit(n->bft, e->round, &e->value, &sigs);
    struct commit m = {.height = 1, .round = e->round, .value = e->value, .sigs = bytes_of_buf(&sigs)};
    blame_put_testimony(&n->testimony, &f->chain, &f->set, &m, n->bft);
    n->decided = true;
    n->value = e->value;
    buf_clear(&sigs);
}

static void do_effect(struct fork *f, unsigned i, const struct bft_effect *e)
{
    struct node *n = &f->node[i];
    struct message m = {0};
    if (e->kind == BFT_CAST) {
        m.vote = e->vote;
        sign_vote(f, i, &m.vote);
        say(f, i, &m);
        give(f, i, &(struct bft_event){.kind = BFT_VOTE, .height = 1, .vote = m.vote});
    } else if (e->kind == BFT_OFFER) {
        m.is_proposal = true;
        m.proposal = e->proposal;
        struct hash h = proposal_hash(&m.proposal, &f->chain);
        key_sign_hash(&n->key, &h, NULL, &m.proposal.sig);
        say(f, i, &m);
        give(f, i,
             &(struct bft_event){
                 .kind = BFT_PROPOSAL, .height = 1, .proposal = m.proposal, .verdict = BFT_VALID, .timely = true});
    } else if (e->kind == BFT_MAKE) {
        struct hash value = {{(uint8_t)(i + 1), (uint8_t)(e->round + 1)}};
        give(f, i, &(struct bft_event){.kind = BFT_VALUE, .height = 1, .round = e->round, .value = value});
    } else if (e->kind == BFT_TIMER && n->timers_n < 64)
        n->timers[n->timers_n++] =
            (struct bft_event){.kind = BFT_TIMEOUT, .height = 1, .round = e->round, .step = e->step};
    else if (e->kind == BFT_DECIDE)
        decide(f, i, e);
}

static void give(struct fork *f, unsigned i, const struct bft_event *e)
{
    struct bft_effect copy[32];
    struct bft_effects r = bft_step(f->node[i].bft, e);
    assert_true(r.n <= 32);
    memcpy(copy, r.at, r.n * sizeof *copy);
    for (uint32_t k = 0; k < r.n && !f->node[i].decided; k++)
        do_effect(f, i, &copy[k]);
}

/* -- the honest -- */

static void listen_or_wait(struct fork *f, unsigned i)
{
    struct node *n = &f->node[i];
    if (n->queue_n && below(&f->random, 8)) {
        uint32_t k = below(&f->random, n->queue_n);
        struct message m = n->queue[k];
        n->queue[k] = n->queue[--n->queue_n];
        struct bft_event e = {.kind = BFT_VOTE, .height = 1, .vote = m.vote};
        if (m.is_proposal)
            e = (struct bft_event){
                .kind = BFT_PROPOSAL, .height = 1, .proposal = m.proposal, .verdict = BFT_VALID, .timely = true};
        give(f, i, &e);
    } else if (n->timers_n && below(&f->random, 6) == 0) {
        uint32_t k = below(&f->random, n->timers_n);
        struct bft_event e = n->timers[k];
        n->timers[k] = n->timers[--n->timers_n];
        give(f, i, &e);
    }
}

/* -- the coalition -- */

/* A careful one keeps to what it signed first in a round. */
static bool may_say(struct fork *f, unsigned traitor, const struct vote *v)
{
    struct node *n = &f->node[traitor];
    for (uint32_t k = 0; k < n->signed_n && f->is_careful; k++) {
        const struct vote *old = &n->signed_votes[k];
        if (old->kind == v->kind && old->round == v->round)
            return hash_equal(&old->value, &v->value) && old->valid_round == v->valid_round;
    }
    if (n->signed_n < sizeof n->signed_votes / sizeof *n->signed_votes)
        n->signed_votes[n->signed_n++] = *v;
    return true;
}

static void lie(struct fork *f, unsigned traitor, unsigned to, struct vote v)
{
    struct message m = {.vote = v};
    m.vote.height = 1;
    m.vote.index = (uint16_t)traitor;
    if (!may_say(f, traitor, &m.vote))
        return;
    sign_vote(f, traitor, &m.vote);
    hear(f, to, &m);
}

/* A proposal for one group alone: new, or what that node holds valid. */
static void lie_about_a_block(struct fork *f, unsigned traitor, unsigned to, const struct bft_view *v)
{
    struct message m = {.is_proposal = true};
    bool again = v->valid_round != NONE && below(&f->random, 2);
    m.proposal = (struct proposal){.height = 1, .round = v->round, .valid_round = again ? v->valid_round : NONE};
    m.proposal.index = (uint16_t)traitor;
    m.proposal.value = again ? v->valid_value
                             : (struct hash){{(uint8_t)(traitor + 1), (uint8_t)(v->round + 1),
                                              (uint8_t)(f->is_careful ? 0 : f->node[to].group)}};
    struct hash h = proposal_hash(&m.proposal, &f->chain);
    key_sign_hash(&f->node[traitor].key, &h, NULL, &m.proposal.sig);
    hear(f, to, &m);
}

/* Whatever helps this node to decide: the votes that its round needs, or votes of a later round to pull it there. */
static void betray(struct fork *f, unsigned traitor, unsigned to)
{
    struct bft_view v = bft_view(f->node[to].bft);
    struct proposal p;
    bool has = bft_proposal(f->node[to].bft, v.round, &p);
    unsigned dice = below(&f->random, 16);
    if (v.proposer == traitor && !has)
        lie_about_a_block(f, traitor, to, &v);
    else if (dice == 0)
        lie(f, traitor, to,
            (struct vote){.kind = VOTE_PREVOTE, .round = v.round + 1 + below(&f->random, 2), .valid_round = NONE});
    else if (dice == 1)
        lie(f, traitor, to, (struct vote){.kind = VOTE_PREVOTE, .round = v.round, .valid_round = NONE});
    else if (has && dice < 9)
        lie(f, traitor, to,
            (struct vote){.kind = VOTE_PREVOTE, .round = v.round, .value = p.value, .valid_round = p.valid_round});
    else if (has)
        lie(f, traitor, to,
            (struct vote){.kind = VOTE_PRECOMMIT, .round = v.round, .value = p.value, .valid_round = NONE});
}

/* -- a run -- */

/* The first traitors are those whose power together is just over a third, but with fewer than two thirds. */
static void choose_sides(struct fork *f)
{
    unsigned order[NODES_MAX];
    uint64_t power = 0;
    unsigned honest = 0;
    for (unsigned i = 0; i < f->n; i++)
        order[i] = i;
    for (unsigned i = f->n - 1; i > 0; i--) {
        unsigned k = below(&f->random, i + 1), t = order[i];
        order[i] = order[k];
        order[k] = t;
    }
    for (unsigned i = 0; i < f->n; i++) {
        struct node *n = &f->node[order[i]];
        n->is_honest = valset_is_honest(&f->set, power);
        power += n->is_honest ? 0 : f->set.v[order[i]].power;
        n->group = n->is_honest ? honest++ % 2 : 0;
    }
}

static void begin(struct fork *f, uint64_t seed)
{
    struct valset_entry entries[NODES_MAX];
    struct seckey keys[NODES_MAX];
    *f = (struct fork){.random = {seed}, .chain = {{5}}};
    f->is_careful = seed % 2;
    f->n = seed % 3 ? 4 : 7;
    for (unsigned i = 0; i < f->n; i++) {
        memset(keys[i].b, (int)i + 1, sizeof keys[i].b);
        key_derive(&keys[i], &entries[i].key);
        entries[i].power = seed % 5 ? 10 : 5 + below(&f->random, 10);
    }
    assert_int_equal(valset_init(&f->set, entries, f->n, NULL), ERR_OK);
    for (unsigned i = 0; i < f->n; i++)
        f->node[valset_find(&f->set, &entries[i].key)].key = keys[i];
    choose_sides(f);
    for (unsigned i = 0; i < f->n; i++) {
        f->node[i].bft = bft_new(&f->chain, &f->set.v[i].key);
        bft_step(f->node[i].bft, &(struct bft_event){.kind = BFT_START, .height = 1, .validators = &f->set});
    }
    for (unsigned i = 0; i < f->n; i++)
        if (f->node[i].is_honest)
            give(f, i, &(struct bft_event){.kind = BFT_GO, .height = 1});
}

static bool is_forked(const struct fork *f)
{
    for (unsigned i = 0; i < f->n; i++)
        for (unsigned k = 0; k < i; k++)
            if (f->node[i].decided && f->node[k].decided && !hash_equal(&f->node[i].value, &f->node[k].value))
                return true;
    return false;
}

static bool run(struct fork *f)
{
    for (unsigned step = 0; step < STEPS && !is_forked(f); step++) {
        unsigned i = below(&f->random, f->n), to = below(&f->random, f->n);
        if (f->node[i].is_honest && !f->node[i].decided)
            listen_or_wait(f, i);
        else if (!f->node[i].is_honest && f->node[to].is_honest && !f->node[to].decided)
            betray(f, i, to);
    }
    return is_forked(f);
}

static void check_blame(struct fork *f, uint64_t seed, unsigned *amnesia)
{
    struct testimony at[NODES_MAX];
    const struct testimony *all[NODES_MAX];
    struct blame *b = mem_new(sizeof *b);
    struct note note = {{0}};
    uint32_t n = 0;
    for (unsigned i = 0; i < f->n; i++) {
        if (!f->node[i].decided)
            continue;
        struct buf again = {0};
        assert_int_equal(blame_get_testimony(bytes_of_buf(&f->node[i].testimony), &at[n], NULL), ERR_OK);
        testimony_put(&again, &at[n]);
        assert_true(bytes_equal(bytes_of_buf(&again), bytes_of_buf(&f->node[i].testimony)));
        buf_clear(&again);
        all[n] = &at[n];
        n++;
    }
    enum err e = blame_find(all, n, b, &note);
    if (e != ERR_OK)
        print_message("seed %" PRIu64 ": %s\n", seed, note.text);
    assert_int_equal(e, ERR_OK);
    assert_true(valset_is_honest(&f->set, b->power));
    for (uint32_t i = 0; i < b->n; i++) {
        const struct evidence *ev = &b->evidence[i];
        assert_true(evidence_verify(ev, &f->chain));
        if (f->node[valset_find(&f->set, &ev->validator)].is_honest)
            print_message("seed %" PRIu64 ": an honest one is named\n", seed);
        assert_false(f->node[valset_find(&f->set, &ev->validator)].is_honest);
        *amnesia += ev->a.kind != ev->b.kind;
    }
    free(b);
}

static void end(struct fork *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        bft_free(f->node[i].bft);
        buf_clear(&f->node[i].testimony);
    }
}

static uint64_t seeds(void)
{
    const char *text = getenv("KITH_SEEDS");
    return text ? strtoull(text, NULL, 10) : 60;
}

static void forks_have_authors(void **state)
{
    (void)state;
    struct fork *f = mem_new(sizeof *f);
    unsigned forks[2] = {0}, amnesia = 0;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        begin(f, seed);
        unsigned found = 0;
        if (run(f)) {
            check_blame(f, seed, &found);
            forks[f->is_careful]++;
        }
        amnesia += found;
        end(f);
    }
    print_message("%" PRIu64 " seeds: %u forks by equivocation, %u by forgetting; %u convicted of amnesia\n", seeds(),
                  forks[0], forks[1], amnesia);
    assert_true(forks[0] > seeds() / 5 && forks[1] > seeds() / 50 && amnesia > 0); /* the search finds what it is for */
    free(f);
}

/* -- what is no fork, and what is not enough -- */

/* forged: its prevotes are in the name of others too. */
static void testify(struct fork *f, unsigned who, uint8_t value, bool with_prevotes, bool forged, struct buf *out)
{
    struct buf sigs = {0}, prevotes = {0}, entries = {0}, m = {0}, quorums = {0};
    struct hash id = {{value}};
    for (unsigned i = 0; i < f->n; i++) {
        codec_put_pubkey(&entries, &f->set.v[i].key);
        codec_put_u64(&entries, &f->set.v[i].power);
        if (i == who)
            continue;
        struct vote c = {.kind = VOTE_PRECOMMIT, .height = 1, .value = id, .valid_round = NONE}, p = c;
        p.kind = VOTE_PREVOTE;
        sign_vote(f, i, &c);
        sign_vote(f, forged ? 3 : i, &p);
        commit_sig_put(&sigs, &(struct commit_sig){(uint16_t)i, c.sig});
        commit_sig_put(&prevotes, &(struct commit_sig){(uint16_t)i, p.sig});
    }
    commit_put(&m, &(struct commit){1, 0, id, bytes_of_buf(&sigs)});
    if (with_prevotes)
        kept_quorum_put(&quorums, &(struct kept_quorum){0, id, NONE, bytes_of_buf(&prevotes)});
    buf_reset(out);
    testimony_put(out, &(struct testimony){TESTIMONY_VERSION, f->chain, 1, bytes_of_buf(&entries), bytes_of_buf(&m),
                                           bytes_of_buf(&quorums)});
    buf_clear(&sigs);
    buf_clear(&prevotes);
    buf_clear(&entries);
    buf_clear(&m);
    buf_clear(&quorums);
}

static void testimonies_are_judged(void **state)
{
    (void)state;
    struct fork *f = mem_new(sizeof *f);
    struct buf raw[2] = {{0}, {0}};
    struct testimony t[2];
    const struct testimony *both[2] = {&t[0], &t[1]};
    struct blame *b = mem_new(sizeof *b);
    begin(f, 1); /* four of power 10 */
    for (int i = 0; i < 2; i++) {
        testify(f, (unsigned)i, 7, true, false, &raw[i]);
        assert_int_equal(blame_get_testimony(bytes_of_buf(&raw[i]), &t[i], NULL), ERR_OK);
    }
    assert_int_equal(blame_find(both, 2, b, NULL), ERR_STATE); /* the same block */
    assert_int_equal(blame_find(both, 1, b, NULL), ERR_FORMAT);
    testify(f, 1, 8, false, false, &raw[1]);
    assert_int_equal(blame_get_testimony(bytes_of_buf(&raw[1]), &t[1], NULL), ERR_OK);
    assert_int_equal(blame_find(both, 2, b, NULL), ERR_OK); /* 2 and 3 precommitted twice */
    assert_int_equal(b->n, 2);
    /* Prevotes of both values that 0 and 1 never signed: passed over, as are all of that sort. */
    struct buf lies[2] = {{0}, {0}};
    struct testimony false_t[2];
    const struct testimony *four[4] = {&t[0], &t[1], &false_t[0], &false_t[1]};
    for (int i = 0; i < 2; i++) {
        testify(f, 2, (uint8_t)(7 + i), true, true, &lies[i]);
        assert_int_equal(blame_get_testimony(bytes_of_buf(&lies[i]), &false_t[i], NULL), ERR_OK);
        false_t[i].commit = t[i].commit;
    }
    assert_int_equal(blame_find(four, 4, b, NULL), ERR_OK);
    assert_int_equal(b->n, 2);
    buf_clear(&lies[0]);
    buf_clear(&lies[1]);
    t[1].chain.b[0]++;
    assert_int_equal(blame_find(both, 2, b, NULL), ERR_CHAIN);
    t[1].chain.b[0]--;
    t[1].validators.n -= 40;
    assert_int_equal(blame_find(both, 2, b, NULL), ERR_RANGE);
    t[1].validators.n += 40;
    raw[1].p[raw[1].n - 5] ^= 1; /* in the last precommit, since no prevotes follow */
    assert_int_equal(blame_get_testimony(bytes_of_buf(&raw[1]), &t[1], NULL), ERR_OK);
    assert_int_equal(blame_find(both, 2, b, NULL), ERR_AUTH);
    testify(f, 0, 7, true, false, &raw[0]);
    for (size_t cut = 0; cut < raw[0].n; cut++)
        assert_int_equal(blame_get_testimony(bytes_of(raw[0].p, cut), &t[0], NULL), ERR_FORMAT);
    buf_clear(&raw[0]);
    buf_clear(&raw[1]);
    free(b);
    end(f);
    free(f);
}

/* -- what a light client kept -- */

/* The light block of a testimony's decision: a commit says nothing of the header but its id, which is not asked for. */
static void put_light(const struct fork *f, const struct testimony *t, struct buf *out)
{
    struct header h = {.version = BLOCK_VERSION, .chain = f->chain, .height = t->height};
    h.validators = valset_hash(&f->set);
    light_block_put(out, &(struct light_block){h, t->commit, t->validators});
}

static void put_conflict(const struct fork *f, const struct testimony *a, const struct testimony *b, struct buf *out)
{
    struct buf x = {0}, y = {0};
    put_light(f, a, &x);
    put_light(f, b, &y);
    light_conflict_put(out, &(struct light_conflict){bytes_of_buf(&x), bytes_of_buf(&y)});
    buf_clear(&x);
    buf_clear(&y);
}

/* Two sides of a fork, by the first nodes that decided each. */
static void two_sides(const struct fork *f, struct testimony t[2])
{
    unsigned first = 0, second;
    while (!f->node[first].decided)
        first++;
    for (second = first + 1; !f->node[second].decided || hash_equal(&f->node[second].value, &f->node[first].value);)
        second++;
    assert_int_equal(blame_get_testimony(bytes_of_buf(&f->node[first].testimony), &t[0], NULL), ERR_OK);
    assert_int_equal(blame_get_testimony(bytes_of_buf(&f->node[second].testimony), &t[1], NULL), ERR_OK);
}

/* Of decisions in one round the two blocks are enough; of others, with the testimonies. Nobody honest is ever named. */
static void check_conflict(struct fork *f, unsigned enough[2])
{
    struct testimony t[4];
    const struct testimony *all[4] = {&t[0], &t[1], &t[2], &t[3]};
    struct buf raw = {0}, two[2] = {{0}, {0}};
    struct blame *b = mem_new(sizeof *b);
    struct commit m[2];
    two_sides(f, &t[2]);
    put_conflict(f, &t[2], &t[3], &raw);
    assert_int_equal(blame_get_conflict(bytes_of_buf(&raw), two, NULL), ERR_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(blame_get_testimony(bytes_of_buf(&two[i]), &t[i], NULL), ERR_OK);
        assert_int_equal(commit_decode(t[i].commit, &m[i]), ERR_OK);
    }
    bool is_enough = blame_find(all, 2, b, NULL) == ERR_OK;
    assert_true(is_enough || m[0].round != m[1].round);
    enough[is_enough]++;
    for (uint32_t i = 0; i < b->n; i++)
        assert_false(f->node[valset_find(&f->set, &b->evidence[i].validator)].is_honest);
    assert_int_equal(blame_find(all, 4, b, NULL), ERR_OK);
    for (size_t cut = 0; cut < raw.n; cut += 7) {
        buf_reset(&two[0]);
        buf_reset(&two[1]);
        assert_int_not_equal(blame_get_conflict(bytes_of(raw.p, cut), two, NULL), ERR_OK);
    }
    buf_clear(&raw);
    buf_clear(&two[0]);
    buf_clear(&two[1]);
    free(b);
}

static void light_clients_blame(void **state)
{
    (void)state;
    struct fork *f = mem_new(sizeof *f);
    unsigned enough[2] = {0};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        begin(f, seed);
        if (run(f))
            check_conflict(f, enough);
        end(f);
    }
    print_message("of %u forks two blocks named the authors, of %u not\n", enough[1], enough[0]);
    assert_true(enough[0] > 0 && enough[1] > 0);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_have_authors),
        cmocka_unit_test(testimonies_are_judged),
        cmocka_unit_test(light_clients_blame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
