/* A network of consensus cores in memory on virtual time: loss, delay, reordering, repetition, partitions, crashes with
 * a log replayed, an equivocating validator. Everything comes from one seed, which is printed. Checked: no two
 * honest nodes decide differently at a height (agreement), no honest node is ever accused, an equivocator
 * that showed both faces is, and after the network heals all decide again (progress). */
#include "base/mem.h"
#include "chain/bft.h"
#include "chain/block.h"
#include "chain/signer.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NODES    4
#define MESSAGES 65536
#define HEIGHTS  128 /* of which half while there are faults */

enum kind { VOTE, PROPOSAL, TIMER, GO, RESEND, KINDS };
struct message {
    uint64_t at_ms, order;
    enum kind kind;
    unsigned to;
    struct vote vote;
    struct proposal proposal;
    struct bft_event timeout;
};

struct node {
    struct bft *bft;
    struct seckey key;
    struct pubkey id;
    struct signer signer;
    struct valset set;
    uint64_t height;
    struct hash decided[HEIGHTS];
    uint32_t log_n; /* events of this height, replayed after a crash */
    struct bft_event log[4096];
};

struct net {
    struct random random;
    uint64_t now_ms, order;
    struct message *queue; /* a heap by (at_ms, order) */
    uint32_t queue_n;
    struct node node[NODES];
    bool is_byzantine[NODES];
    unsigned loss, repeat, delay_ms;
    uint32_t cut; /* bit set of one side of a partition */
    struct hash chain;
    bool accused[NODES];
    unsigned equivocations;
};

static bool before(const struct message *a, const struct message *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void push(struct net *n, struct message m, uint64_t delay_ms)
{
    if (n->queue_n == MESSAGES)
        return; /* as lost as any */
    m.at_ms = n->now_ms + delay_ms;
    m.order = n->order++;
    uint32_t i = n->queue_n++;
    for (; i > 0 && before(&m, &n->queue[(i - 1) / 2]); i = (i - 1) / 2)
        n->queue[i] = n->queue[(i - 1) / 2];
    n->queue[i] = m;
}

static struct message pop(struct net *n)
{
    struct message top = n->queue[0], last = n->queue[--n->queue_n];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n->queue_n)
            break;
        if (child + 1 < n->queue_n && before(&n->queue[child + 1], &n->queue[child]))
            child++;
        if (!before(&n->queue[child], &last))
            break;
        n->queue[i] = n->queue[child];
        i = child;
    }
    n->queue[i] = last;
    return top;
}

static void transmit(struct net *n, unsigned from, unsigned to, struct message m)
{
    bool is_cut = (n->cut >> from & 1) != (n->cut >> to & 1);
    m.to = to;
    if (is_cut || random_chance(&n->random, n->loss))
        return;
    push(n, m, 1 + random_next(&n->random) % n->delay_ms);
    if (random_chance(&n->random, n->repeat))
        push(n, m, 1 + random_next(&n->random) % (4 * n->delay_ms));
}

static void broadcast(struct net *n, unsigned from, struct message m)
{
    for (unsigned to = 0; to < NODES; to++)
        if (to != from)
            transmit(n, from, to, m);
}

static struct hash value_of(uint64_t height, uint32_t round, unsigned maker, unsigned face)
{
    uint64_t words[4] = {height, round, maker, face};
    return hash_once(HASH_HEADER, words, sizeof words);
}

static void give(struct net *n, unsigned i, const struct bft_event *e);

/* The other face of an equivocator: half of the others see this vote, half the real one. */
static void cast_two(struct net *n, unsigned i, const struct vote *v)
{
    struct vote other = *v;
    if (hash_is_zero(&v->value)) {
        other.value = value_of(v->height, v->round, i, 9);
        other.valid_round = VOTE_NO_ROUND;
    } else {
        other.value = (struct hash){{0}};
        other.valid_round = VOTE_NO_ROUND;
    }
    struct hash h = vote_hash(&other, &n->chain);
    key_sign_hash(&n->node[i].key, &h, NULL, &other.sig);
    for (unsigned to = 0; to < NODES; to++)
        if (to != i) {
            transmit(n, i, to, (struct message){.kind = VOTE, .vote = to % 2 ? *v : other});
            if (random_chance(&n->random, 50))
                transmit(n, i, to, (struct message){.kind = VOTE, .vote = to % 2 ? other : *v});
        }
    n->equivocations++;
}

static void do_cast(struct net *n, unsigned i, struct vote v)
{
    struct node *m = &n->node[i];
    bool fresh;
    if (signer_sign_vote(&m->signer, &m->key, &n->chain, &v, &fresh) != ERR_OK)
        return;
    if (n->is_byzantine[i])
        cast_two(n, i, &v);
    else
        broadcast(n, i, (struct message){.kind = VOTE, .vote = v});
    give(n, i, &(struct bft_event){.kind = BFT_VOTE, .height = v.height, .vote = v});
}

static void do_offer(struct net *n, unsigned i, struct proposal p)
{
    struct node *m = &n->node[i];
    bool fresh;
    if (signer_sign_proposal(&m->signer, &m->key, &n->chain, &p, &fresh) != ERR_OK)
        return;
    if (n->is_byzantine[i] && p.valid_round == VOTE_NO_ROUND) {
        struct proposal other = p;
        other.value = value_of(p.height, p.round, i, 7);
        struct hash h = proposal_hash(&other, &n->chain);
        key_sign_hash(&m->key, &h, NULL, &other.sig);
        for (unsigned to = 0; to < NODES; to++)
            if (to != i)
                transmit(n, i, to, (struct message){.kind = PROPOSAL, .proposal = to % 2 ? p : other});
    } else
        broadcast(n, i, (struct message){.kind = PROPOSAL, .proposal = p});
    give(n, i,
         &(struct bft_event){
             .kind = BFT_PROPOSAL, .height = p.height, .proposal = p, .verdict = BFT_VALID, .timely = true});
}

static void start_height(struct net *n, unsigned i)
{
    struct node *m = &n->node[i];
    m->log_n = 0;
    bft_step(m->bft, &(struct bft_event){.kind = BFT_START, .height = m->height, .validators = &m->set});
    push(n, (struct message){.kind = GO, .to = i, .timeout = {.kind = BFT_GO, .height = m->height}}, 10);
}

/* What a commit of a block is to the real node, or a block fetched with its commit. */
static void decide(struct net *n, unsigned i, const struct hash *value)
{
    struct node *m = &n->node[i];
    for (unsigned k = 0; k < NODES; k++)
        if (!n->is_byzantine[k] && !n->is_byzantine[i] && n->node[k].height > m->height)
            assert_true(hash_equal(&n->node[k].decided[m->height], value)); /* agreement */
    m->decided[m->height++] = *value;
    valset_step(&m->set);
    start_height(n, i);
}

static void do_effect(struct net *n, unsigned i, const struct bft_effect *f)
{
    struct node *m = &n->node[i];
    if (f->kind == BFT_CAST)
        do_cast(n, i, f->vote);
    else if (f->kind == BFT_OFFER)
        do_offer(n, i, f->proposal);
    else if (f->kind == BFT_MAKE)
        give(n, i,
             &(struct bft_event){.kind = BFT_VALUE,
                                 .height = m->height,
                                 .round = f->round,
                                 .value = value_of(m->height, f->round, i, 0)});
    else if (f->kind == BFT_TIMER)
        push(
            n,
            (struct message){.kind = TIMER,
                             .to = i,
                             .timeout = {.kind = BFT_TIMEOUT, .height = m->height, .round = f->round, .step = f->step}},
            f->delay_ms);
    else if (f->kind == BFT_EVIDENCE) {
        assert_true(evidence_verify(&f->evidence, &n->chain));
        for (unsigned k = 0; k < NODES; k++)
            if (pubkey_equal(&n->node[k].id, &f->evidence.validator))
                n->accused[k] = true;
    } else if (f->kind == BFT_DECIDE)
        decide(n, i, &f->value);
}

static void give(struct net *n, unsigned i, const struct bft_event *e)
{
    struct node *m = &n->node[i];
    struct bft_effects r = bft_step(m->bft, e);
    bool is_message = e->kind == BFT_VOTE || e->kind == BFT_PROPOSAL;
    if ((!is_message || r.news) && m->log_n < sizeof m->log / sizeof *m->log)
        m->log[m->log_n++] = *e;
    struct bft_effect copy[32];
    assert_true(r.n <= 32);
    memcpy(copy, r.at, r.n * sizeof *copy);
    for (uint32_t k = 0; k < r.n; k++)
        do_effect(n, i, &copy[k]);
}

/* Killed and back: the log gives the state, the signer what was signed. */
static void crash(struct net *n, unsigned i)
{
    struct node *m = &n->node[i];
    struct bft_view then = bft_view(m->bft);
    struct bft_event *log = mem_array(m->log_n + 1, sizeof *log);
    uint32_t log_n = m->log_n;
    memcpy(log, m->log, log_n * sizeof *log);
    bft_free(m->bft);
    m->bft = bft_new(&n->chain, &m->id);
    bft_step(m->bft, &(struct bft_event){.kind = BFT_START, .height = m->height, .validators = &m->set});
    for (uint32_t k = 0; k < log_n; k++)
        bft_step(m->bft, &log[k]);
    free(log);
    struct bft_view now = bft_view(m->bft);
    assert_int_equal(now.round, then.round);
    assert_int_equal(now.step, then.step);
    assert_int_equal(now.locked_round, then.locked_round);
    assert_int_equal(now.valid_round, then.valid_round);
    for (int s = BFT_PROPOSE; s <= BFT_PRECOMMIT; s++)
        push(n,
             (struct message){
                 .kind = TIMER,
                 .to = i,
                 .timeout = {.kind = BFT_TIMEOUT, .height = m->height, .round = now.round, .step = (enum bft_step)s}},
             bft_timeout_ms((enum bft_step)s, now.round));
    if (now.step == BFT_WAIT)
        push(n, (struct message){.kind = GO, .to = i, .timeout = {.kind = BFT_GO, .height = m->height}}, 10);
}

struct resend {
    struct net *n;
    unsigned from, to;
};

static void resend_vote(void *arg, const struct vote *v)
{
    struct resend *r = arg;
    transmit(r->n, r->from, r->to, (struct message){.kind = VOTE, .vote = *v});
}

/* What a node says again to one that is at its height, or the decided values to one that is behind. */
static void resend(struct net *n, unsigned from)
{
    struct proposal p;
    for (unsigned to = 0; to < NODES; to++) {
        if (to == from || (n->cut >> from & 1) != (n->cut >> to & 1))
            continue;
        if (!n->is_byzantine[from])
            while (n->node[to].height < n->node[from].height)
                decide(n, to, &n->node[from].decided[n->node[to].height]);
        struct resend r = {n, from, to};
        bft_votes(n->node[from].bft, resend_vote, &r);
        if (bft_proposal(n->node[from].bft, bft_view(n->node[from].bft).round, &p))
            transmit(n, from, to, (struct message){.kind = PROPOSAL, .proposal = p});
    }
    push(n, (struct message){.kind = RESEND, .to = from}, 1000);
}

static void deliver(struct net *n, const struct message *m)
{
    struct bft_event e = m->timeout;
    if (m->kind == RESEND) {
        resend(n, m->to);
        return;
    }
    if (m->kind == VOTE)
        e = (struct bft_event){.kind = BFT_VOTE, .height = m->vote.height, .vote = m->vote};
    if (m->kind == PROPOSAL)
        e = (struct bft_event){.kind = BFT_PROPOSAL,
                               .height = m->proposal.height,
                               .proposal = m->proposal,
                               .verdict = BFT_VALID,
                               .timely = true};
    give(n, m->to, &e);
}

static void run(struct net *n, uint64_t ms, bool with_faults)
{
    uint64_t end = n->now_ms + ms;
    while (n->queue_n && n->queue[0].at_ms <= end) {
        struct message m = pop(n);
        n->now_ms = m.at_ms;
        if (with_faults && random_next(&n->random) % 400 == 0)
            n->cut = (uint32_t)random_next(&n->random) % (1u << NODES);
        if (with_faults && random_next(&n->random) % 300 == 0)
            crash(n, (unsigned)(random_next(&n->random) % NODES));
        deliver(n, &m);
        for (unsigned i = 0; i < NODES; i++)
            if (n->node[i].height >= (with_faults ? HEIGHTS / 2 : HEIGHTS - 1))
                return;
    }
    n->now_ms = end;
}

static void net_begin(struct net *n, uint64_t seed, bool byzantine)
{
    struct valset_entry entries[NODES];
    struct valset set;
    *n = (struct net){.random = {seed}, .loss = 10, .repeat = 20, .delay_ms = 200, .chain = {{7}}};
    n->queue = mem_array(MESSAGES, sizeof *n->queue);
    for (unsigned i = 0; i < NODES; i++) {
        struct node *m = &n->node[i];
        memset(m->key.b, (int)i + 1, sizeof m->key.b);
        key_derive(&m->key, &m->id);
        entries[i] = (struct valset_entry){m->id, 10 + i};
        m->bft = bft_new(&n->chain, &m->id);
        signer_init(&m->signer, 0);
        m->height = 1;
    }
    assert_int_equal(valset_init(&set, entries, NODES, NULL), ERR_OK);
    n->is_byzantine[0] = byzantine;
    for (unsigned i = 0; i < NODES; i++) {
        n->node[i].set = set;
        start_height(n, i);
        push(n, (struct message){.kind = RESEND, .to = i}, 1000 + i);
    }
}

static void run_seed(uint64_t seed, bool byzantine)
{
    struct net *n = mem_new(sizeof *n);
    print_message("seed %" PRIu64 "%s: ", seed, byzantine ? ", one equivocates" : "");
    net_begin(n, seed, byzantine);
    n->loss = (unsigned)(seed % 4) * 10;
    run(n, 60000, true);
    uint64_t before_heal[NODES];
    for (unsigned i = 0; i < NODES; i++)
        before_heal[i] = n->node[i].height;
    n->cut = 0;
    n->loss = 0;
    n->repeat = 0;
    run(n, 100000, false);
    for (unsigned i = 0; i < NODES; i++) {
        if (n->is_byzantine[i])
            continue;
        print_message("%" PRIu64 "+%" PRIu64 " ", before_heal[i] - 1, n->node[i].height - before_heal[i]);
        assert_true(n->node[i].height > before_heal[i]);
        assert_false(n->accused[i]);
    }
    print_message("\n");
    assert_true(!byzantine || n->equivocations == 0 || n->accused[0]);
    for (unsigned i = 0; i < NODES; i++)
        bft_free(n->node[i].bft);
    free(n->queue);
    free(n);
}

static uint64_t seeds(void)
{
    const char *text = getenv("KITH_SEEDS");
    return text ? strtoull(text, NULL, 10) : 6;
}

static void honest_nodes_agree_and_go_on(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(); seed++)
        run_seed(seed, false);
}

static void an_equivocator_changes_nothing_and_is_found(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(); seed++)
        run_seed(1000 + seed, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_nodes_agree_and_go_on),
        cmocka_unit_test(an_equivocator_changes_nothing_and_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
