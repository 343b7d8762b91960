/* What users do: transfers, stakes that come and go, models and data published, channels opened, and nonsense; each
 * through a node that is drawn. */
#include "base/mem.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_ROOM 4096

struct load {
    struct sim *sim;
    struct random random;
    struct timer timer;
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

static struct sim_node *any_node(struct load *l)
{
    struct sim *s = l->sim;
    return &s->node[random_below(&l->random, s->o.nodes + s->o.followers)];
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
    struct sim_node *owner = any_node(l);
    if (!sim_is_honest(owner)) {
        draft_transfer(l, d);
        return;
    }
    d->secret = &owner->key;
    d->signer = owner->id;
    uint64_t stake = 0;
    for (unsigned i = 0; i < l->sim->nodes; i++)
        if (l->sim->node[i].is_up) {
            stake = ledger_bond(l->sim->node[i].ledger, BOND_VALIDATOR, &owner->id).mote;
            break;
        }
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

static void draft_model(struct load *l, struct draft *d)
{
    struct hash tensor = new_root(l);
    char name[32];
    struct tx_model_publish m = {.root = new_root(l),
                                 .size = random_between(&l->random, 1, 1u << 30),
                                 .royalty_bps = 100,
                                 .derive_bps = 10,
                                 .tensors = {tensor.b, 1}};
    m.tensors_root = tx_tensors_root(&m.tensors);
    snprintf(name, sizeof name, "model-%u", (unsigned)l->serial);
    CHECK(text64_set(&m.name, name));
    d->kind = TX_MODEL_PUBLISH;
    tx_model_publish_put(&d->body, &m);
}

static void draft_data(struct load *l, struct draft *d)
{
    struct tx_data_contribute c = {
        .cipher_root = new_root(l), .plain_root = new_root(l), .size = 10, .train = true, .share_bps = 100};
    CHECK(text64_set(&c.name, "data"));
    d->kind = TX_DATA_CONTRIBUTE;
    tx_data_contribute_put(&d->body, &c);
}

static void draft_channel(struct load *l, struct draft *d)
{
    d->kind = TX_CHANNEL_OPEN;
    tx_channel_open_put(&d->body, &(struct tx_channel_open){.provider = any_node(l)->id,
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
    else if (what < 85)
        draft_model(l, d);
    else if (what < 95)
        draft_data(l, d);
    else
        draft_channel(l, d);
}

/* One in twenty is wrong: a spent or a future nonce, a bit turned. */
static void submit(struct load *l, struct sim_node *n, const struct draft *d)
{
    struct buf tx = {0};
    struct note note;
    uint64_t nonce = consensus_nonce(n->consensus, &d->signer);
    unsigned wrong = (unsigned)random_below(&l->random, 60);
    if (wrong == 0)
        nonce += random_between(&l->random, 1, 3);
    if (wrong == 1 && nonce > 0)
        nonce--;
    tx_build(&tx, &l->sim->chain, d->secret, nonce, amount_of(MOTE_PER_KITH / 10), d->kind, bytes_of_buf(&d->body));
    if (wrong == 2)
        tx.p[random_below(&l->random, tx.n)] ^= (uint8_t)(1u << random_below(&l->random, 8));
    sim_enter(n);
    enum err e = consensus_submit(n->consensus, bytes_of_buf(&tx), NULL, &note);
    (void)e; /* refusing is its right */
    sim_leave(n);
    if (n->is_dead)
        node_bury(n);
    buf_clear(&tx);
}

/* Sometimes many at once: then proposals name their transactions by ids. */
static void next(void *arg)
{
    struct load *l = arg;
    struct sim_node *n = any_node(l);
    unsigned times = random_chance(&l->random, 3) ? 25 : 1;
    for (unsigned i = 0; i < times && n->is_up; i++) {
        struct draft d = {0};
        draft_any(l, &d);
        submit(l, n, &d);
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
    l->pause_ms = random_between(&l->random, 100, 1500);
    sim_at(s, &l->timer, s->now_us + 1, next, l);
}

void load_close(struct sim *s)
{
    if (!s->load)
        return;
    timer_remove(&s->events, &s->load->timer);
    free(s->load);
}
