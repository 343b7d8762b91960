/* What users do: transfers, stakes that come and go, models and data claimed and published, channels opened, and
 * nonsense; each through a node that is drawn. One of them makes nothing: he copies at once what the others claim and
 * publish, and pays more. */
#include "base/mem.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_ROOM 4096
#define MAKING    2 /* publications on their way at once */

/* What somebody is about to publish: claimed, and published until it is there. */
struct making {
    bool is_on;
    unsigned who;
    enum tx_kind kind;
    struct hash root, commit;
    struct buf body;
};

struct load {
    struct sim *sim;
    struct random random;
    struct random later; /* of publications and copies */
    struct timer timer;
    struct making making[MAKING];
    uint64_t pause_ms; /* mean between two transactions */
    uint64_t serial;   /* of what must be new: roots, names */
};

struct draft {
    const struct seckey *secret;
    struct pubkey signer;
    enum tx_kind kind;
    struct buf body;
};

static struct hash new_root(struct load *l)
{
    uint64_t n = ++l->serial;
    return hash_once(HASH_LEAF, &n, sizeof n);
}

static struct sim_node *any_node(struct load *l, struct random *r)
{
    struct sim *s = l->sim;
    return &s->node[random_below(r, s->o.nodes + s->o.followers)];
}

/* Of the first node that is up; NULL: none is. */
static struct ledger *any_ledger(struct load *l)
{
    for (unsigned i = 0; i < l->sim->nodes; i++)
        if (l->sim->node[i].is_up)
            return l->sim->node[i].ledger;
    return NULL;
}

static void draft_transfer(struct load *l, struct draft *d)
{
    struct tx_transfer t = {.to = l->sim->wallet_id[random_below(&l->random, SIM_WALLETS)],
                            .amount = amount_of(random_between(&l->random, 1, MOTE_PER_KITH))};
    d->kind = TX_TRANSFER;
    tx_transfer_put(&d->body, &t);
}

/* Stakes move within bounds that leave the Byzantine under a third: theirs never grow, an honest one stays over 80. */
static void draft_stake(struct load *l, struct draft *d)
{
    struct sim_node *owner = any_node(l, &l->random);
    if (!sim_is_honest(owner)) {
        draft_transfer(l, d);
        return;
    }
    d->secret = &owner->key;
    d->signer = owner->id;
    const struct ledger *ledger = any_ledger(l);
    uint64_t stake = ledger ? ledger_bond(ledger, BOND_VALIDATOR, &owner->id).mote : 0;
    bool is_follower = owner->index >= l->sim->o.nodes;
    uint64_t least = is_follower ? 0 : 80 * MOTE_PER_KITH;
    uint64_t step = random_between(&l->random, 1, 10) * MOTE_PER_KITH;
    if (stake >= least + step && random_chance(&l->random, 50)) {
        d->kind = TX_UNBOND;
        tx_unbond_put(&d->body, &(struct tx_unbond){.role = BOND_VALIDATOR, .amount = amount_of(step)});
    } else {
        d->kind = TX_BOND;
        tx_bond_put(&d->body, &(struct tx_bond){.role = BOND_VALIDATOR, .amount = amount_of(step)});
    }
}

static void make_model(struct load *l, struct making *m)
{
    struct hash tensor = new_root(l);
    char name[32];
    struct tx_model_publish p = {.root = new_root(l),
                                 .size = random_between(&l->later, 1, 1u << 30),
                                 .royalty_bps = 100,
                                 .derive_bps = 10,
                                 .tensors = {tensor.b, 1}};
    p.tensors_root = tx_tensors_root(&p.tensors);
    snprintf(name, sizeof name, "model-%u", (unsigned)l->serial);
    CHECK(text64_set(&p.name, name));
    m->root = p.root;
    tx_model_publish_put(&m->body, &p);
}

static void make_data(struct load *l, struct making *m)
{
    struct tx_data_contribute c = {
        .cipher_root = new_root(l), .plain_root = new_root(l), .size = 10, .train = true, .share_bps = 100};
    CHECK(text64_set(&c.name, "data"));
    m->root = c.plain_root;
    tx_data_contribute_put(&m->body, &c);
}

static void make_one(struct load *l, struct making *m)
{
    m->is_on = true;
    m->who = (unsigned)random_below(&l->later, SIM_COPYCAT);
    m->kind = random_chance(&l->later, 50) ? TX_MODEL_PUBLISH : TX_DATA_CONTRIBUTE;
    buf_reset(&m->body);
    if (m->kind == TX_MODEL_PUBLISH)
        make_model(l, m);
    else
        make_data(l, m);
    m->commit =
        tx_claim_commitment(&l->sim->chain, &l->sim->wallet_id[m->who], (uint8_t)m->kind, bytes_of_buf(&m->body));
}

static bool is_there(const struct ledger *ledger, const struct making *m)
{
    struct rec_model model;
    struct rec_data data;
    return m->kind == TX_MODEL_PUBLISH ? ledger_model(ledger, &m->root, &model) : ledger_data(ledger, &m->root, &data);
}

/* May the next block hold it? */
static bool is_old_enough(const struct load *l, const struct ledger *ledger, const struct making *m)
{
    struct rec_claim c;
    return ledger_claim(ledger, &l->sim->wallet_id[m->who], &m->commit, &c) &&
           ledger_info(ledger).height + 1 >= c.height + l->sim->genesis.params.claim_blocks;
}

/* One that may be published now, else any. */
static struct making *draw_one(struct load *l, const struct ledger *ledger)
{
    for (unsigned i = 0; i < MAKING && ledger; i++)
        if (l->making[i].is_on && is_old_enough(l, ledger, &l->making[i]))
            return &l->making[i];
    return &l->making[random_below(&l->later, MAKING)];
}

/* The next step of a publication. Now and then it is tried whatever the claim. */
static void draft_publication(struct load *l, struct draft *d)
{
    const struct ledger *ledger = any_ledger(l);
    struct making *m = draw_one(l, ledger);
    if (ledger && m->is_on && is_there(ledger, m))
        m->is_on = false;
    if (!m->is_on)
        make_one(l, m);
    d->secret = &l->sim->wallet[m->who];
    d->signer = l->sim->wallet_id[m->who];
    if (random_chance(&l->later, 10) || (ledger && is_old_enough(l, ledger, m))) {
        d->kind = m->kind;
        buf_add(&d->body, m->body.p, m->body.n);
    } else {
        d->kind = TX_CLAIM;
        tx_claim_put(&d->body, &(struct tx_claim){m->commit});
    }
}

static void draft_channel(struct load *l, struct draft *d)
{
    d->kind = TX_CHANNEL_OPEN;
    tx_channel_open_put(&d->body, &(struct tx_channel_open){.provider = any_node(l, &l->random)->id,
                                                            .model = new_root(l),
                                                            .amount = amount_of(MOTE_PER_KITH)});
}

static void draft_any(struct load *l, struct draft *d)
{
    unsigned who = (unsigned)random_below(&l->random, SIM_WALLETS), what = (unsigned)random_below(&l->random, 100);
    d->secret = &l->sim->wallet[who];
    d->signer = l->sim->wallet_id[who];
    if (what < 60)
        draft_transfer(l, d);
    else if (what < 75)
        draft_stake(l, d);
    else if (what < 95)
        draft_publication(l, d);
    else
        draft_channel(l, d);
}

static void give(struct sim_node *n, struct bytes tx)
{
    struct note note;
    sim_enter(n);
    enum err e = consensus_submit(n->consensus, tx, NULL, &note);
    (void)e; /* refusing is its right */
    sim_leave(n);
    if (n->is_dead)
        node_bury(n);
}

/* One in twenty is wrong: a spent or a future nonce, a bit turned. */
static void submit(struct load *l, struct sim_node *n, const struct draft *d)
{
    struct buf tx = {0};
    uint64_t nonce = consensus_nonce(n->consensus, &d->signer);
    unsigned wrong = (unsigned)random_below(&l->random, 60);
    if (wrong == 0)
        nonce += random_between(&l->random, 1, 3);
    if (wrong == 1 && nonce > 0)
        nonce--;
    tx_build(&tx, &l->sim->chain, d->secret, nonce, amount_of(MOTE_PER_KITH / 10), d->kind, bytes_of_buf(&d->body));
    if (wrong == 2)
        tx.p[random_below(&l->random, tx.n)] ^= (uint8_t)(1u << random_below(&l->random, 8));
    give(n, bytes_of_buf(&tx));
    buf_clear(&tx);
}

/* The same as somebody else's, and dearer. */
static void copy(struct load *l, const struct draft *d)
{
    struct sim_node *n = any_node(l, &l->later);
    struct buf tx = {0};
    if (!n->is_up || (d->kind != TX_CLAIM && !tx_is_claimed((uint8_t)d->kind)))
        return;
    tx_build(&tx, &l->sim->chain, &l->sim->wallet[SIM_COPYCAT],
             consensus_nonce(n->consensus, &l->sim->wallet_id[SIM_COPYCAT]), amount_of(MOTE_PER_KITH / 2), d->kind,
             bytes_of_buf(&d->body));
    give(n, bytes_of_buf(&tx));
    buf_clear(&tx);
}

/* Sometimes many at once: then proposals name their transactions by ids. */
static void next(void *arg)
{
    struct load *l = arg;
    struct sim_node *n = any_node(l, &l->random);
    unsigned times = random_chance(&l->random, 3) ? 25 : 1;
    for (unsigned i = 0; i < times && n->is_up; i++) {
        struct draft d = {0};
        draft_any(l, &d);
        submit(l, n, &d);
        copy(l, &d);
        buf_clear(&d.body);
    }
    sim_at(l->sim, &l->timer, l->sim->now_us + random_between(&l->random, 1, 2 * l->pause_ms) * 1000, next, l);
}

void load_open(struct sim *s)
{
    struct load *l = mem_new(sizeof *l);
    s->load = l;
    l->sim = s;
    l->random = random_fork(&s->random);
    l->later = random_fork(&l->random);
    l->pause_ms = random_between(&l->random, 100, 1500);
    sim_at(s, &l->timer, s->now_us + 1, next, l);
}

void load_close(struct sim *s)
{
    if (!s->load)
        return;
    timer_remove(&s->events, &s->load->timer);
    for (unsigned i = 0; i < MAKING; i++)
        buf_clear(&s->load->making[i].body);
    free(s->load);
}
