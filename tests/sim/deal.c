/* A market among keys of its own: one publishes a model and pays, one provides it, and the others audit, each by what a
 * node's ledger says.
 *
 * With --halt the provider cheats, and withdraws its bond behind its second settlement. When its auditors are drawn, or
 * the committee over what they say is about to be, machines of more than a third of the power stop for longer than a
 * withdrawal takes.
 *
 * With --plant every other receipt is planted. The last auditor never looks, and says that all is in order. The payer
 * shows what was planted, and now and then what was not.
 *
 * With --doubt all is in order, and the last auditor makes up his witnesses. The payer doubts them, and now and then
 * those of others; the auditors are the committees, in which the last one makes up what he found. */
#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PAYER, PROVIDER, AUDITORS };

#define TICK_US (200 * 1000)
#define HALTING 2 /* settlements: the first mismatch is forgiven */
#define STAKE   (100 * MOTE_PER_KITH)

struct deal {
    struct sim *sim;
    struct random random;
    struct timer timer;
    struct hash model;
    struct buf publication;
    struct hash commit;
    struct receipt receipt[SIM_PLANTS];
    struct sum_node leaf[SIM_PLANTS];
    uint32_t receipts;
};

struct draft {
    enum tx_kind kind;
    struct buf body;
};

static unsigned settlements_wanted(const struct deal *d)
{
    return d->sim->o.is_halting ? HALTING : SIM_PLANTS;
}

static const struct pubkey *id_of(const struct deal *d, unsigned who)
{
    return &d->sim->dealer_id[who];
}

static void make_publication(struct deal *d)
{
    struct hash tensor = hash_once(HASH_LEAF, "dealt", 5);
    struct tx_model_publish p = {.root = hash_once(HASH_LEAF, "deal", 4), .size = 1, .tensors = {tensor.b, 1}};
    p.tensors_root = tx_tensors_root(&p.tensors);
    CHECK(text64_set(&p.name, "deal"));
    d->model = p.root;
    tx_model_publish_put(&d->publication, &p);
    d->commit = tx_claim_commitment(&d->sim->chain, id_of(d, PAYER), TX_MODEL_PUBLISH, bytes_of_buf(&d->publication));
}

/* -- what there is -- */

static bool find_channel(const struct deal *d, const struct ledger *l, struct rec_channel *out)
{
    struct hash last;
    bool more = ledger_channel_next(l, NULL, out);
    for (; more && !pubkey_equal(&out->payer, id_of(d, PAYER)); more = ledger_channel_next(l, &last, out))
        last = out->id;
    return more;
}

/* Their number; *newest is the one over the most receipts. */
static unsigned find_settlements(const struct ledger *l, struct rec_settlement *newest)
{
    struct rec_settlement s;
    struct hash last;
    unsigned n = 0;
    for (bool more = ledger_settlement_next(l, NULL, &s); more; more = ledger_settlement_next(l, &last, &s)) {
        last = s.id;
        if (n++ == 0 || s.count > newest->count)
            *newest = s;
    }
    return n;
}

/* -- what each does next; false: nothing -- */

static bool bond(struct deal *d, const struct ledger *l, unsigned who, enum bond_role role, struct draft *out)
{
    struct rec_provider p;
    if (!ledger_provider(l, id_of(d, who), &p) && ledger_bond(l, role, id_of(d, who)).mote == 0) {
        out->kind = TX_BOND;
        tx_bond_put(&out->body, &(struct tx_bond){(uint8_t)role, amount_of(STAKE)});
        return true;
    }
    return false;
}

static bool serve(struct deal *d, const struct ledger *l, unsigned who, struct draft *out)
{
    struct rec_provider p;
    struct rec_model m;
    if (ledger_provider(l, id_of(d, who), &p) || !ledger_model(l, &d->model, &m))
        return false;
    struct tx_provider body = {.node = *id_of(d, who), .models = {d->model.b, 1}, .audits = who >= AUDITORS};
    CHECK(text255_set(&body.endpoint, "127.0.0.1:7718"));
    out->kind = TX_PROVIDER;
    tx_provider_put(&out->body, &body);
    return true;
}

static bool show(struct deal *d, const struct ledger *l, struct draft *out);
static bool doubt(struct deal *d, const struct ledger *l, struct draft *out);

static bool pay(struct deal *d, const struct ledger *l, struct draft *out)
{
    struct rec_model m;
    struct rec_claim c;
    struct rec_provider p;
    struct rec_channel ch;
    if (ledger_model(l, &d->model, &m)) {
        if (find_channel(d, l, &ch))
            return (d->sim->o.is_planting && show(d, l, out)) || (d->sim->o.is_doubting && doubt(d, l, out));
        if (!ledger_provider(l, id_of(d, PROVIDER), &p))
            return false;
        out->kind = TX_CHANNEL_OPEN;
        tx_channel_open_put(&out->body, &(struct tx_channel_open){p.node, d->model, amount_of(STAKE)});
    } else if (!ledger_claim(l, id_of(d, PAYER), &d->commit, &c)) {
        out->kind = TX_CLAIM;
        tx_claim_put(&out->body, &(struct tx_claim){d->commit});
    } else {
        out->kind = TX_MODEL_PUBLISH;
        buf_add(&out->body, d->publication.p, d->publication.n);
        return ledger_info(l).height + 1 >= c.height + d->sim->genesis.params.claim_blocks;
    }
    return true;
}

static void settle(struct deal *d, const struct rec_channel *ch, uint32_t receipts, struct draft *out)
{
    struct tx_channel_settle body = {0};
    struct sum_node top;
    for (; d->receipts < receipts; d->receipts++) {
        struct receipt *r = &d->receipt[d->receipts];
        *r = (struct receipt){.channel = ch->id, .tokens_in = 1, .tokens_out = 1, .price = amount_of(MOTE_PER_KITH)};
        random_bytes(&d->random, r->job.b, sizeof r->job.b);
        random_bytes(&d->random, r->digest_commit.b, sizeof r->digest_commit.b);
        struct hash digest = plant_digest(&r->job);
        if (sim_is_planted(d->sim, d->receipts))
            r->digest_commit = receipt_commit(r->job.b, bytes_of(digest.b, sizeof digest.b));
        d->leaf[d->receipts] = sum_leaf(r);
    }
    CHECK(sum_tree_top(d->leaf, receipts, &top));
    body.voucher = (struct voucher){
        d->sim->chain, ch->id, top.amount, top.tokens_in, top.tokens_out, receipts, sum_root(&top, receipts)};
    body.sum_top = top.hash;
    voucher_sign(&body.voucher, &d->sim->dealer[PAYER], &body.payer_sig);
    out->kind = TX_CHANNEL_SETTLE;
    tx_channel_settle_put(&out->body, &body);
}

static bool provide(struct deal *d, const struct ledger *l, struct draft *out)
{
    struct rec_channel ch;
    struct rec_settlement newest;
    struct amount stake = ledger_bond(l, BOND_PROVIDER, id_of(d, PROVIDER));
    if (!find_channel(d, l, &ch))
        return bond(d, l, PROVIDER, BOND_PROVIDER, out) || serve(d, l, PROVIDER, out);
    unsigned n = find_settlements(l, &newest);
    if (n < settlements_wanted(d) && (n == 0 || newest.state >= SETTLEMENT_PAID)) {
        settle(d, &ch, n + 1, out);
        return true;
    }
    out->kind = TX_UNBOND;
    tx_unbond_put(&out->body, &(struct tx_unbond){BOND_PROVIDER, stake});
    return d->sim->o.is_halting && n == HALTING && stake.mote > 0;
}

/* What is wrong is found by who looks. */
static enum audit_verdict verdict_of(const struct deal *d, unsigned who, uint32_t index)
{
    bool looks = who != SIM_DEALER_LAZY || d->sim->o.is_halting;
    return looks && (d->sim->o.is_halting || sim_is_planted(d->sim, index)) ? AUDIT_MISMATCH : AUDIT_MATCH;
}

static void put_receipt(struct deal *d, const struct rec_settlement *s, uint32_t index, struct buf *receipt,
                        struct buf *proof)
{
    struct signed_receipt shown = {.receipt = d->receipt[index]};
    receipt_sign(&shown.receipt, &d->sim->dealer[PROVIDER], &shown.sig);
    signed_receipt_put(receipt, &shown);
    CHECK(sum_tree_prove(d->leaf, s->count, index, proof));
}

/* What a replay gives, and nobody else knows. */
static struct hash witness_of(uint32_t index, const struct hash *salt)
{
    struct hasher h;
    hash_start(&h, HASH_BEACON);
    hash_add_u32(&h, index);
    hash_add(&h, salt->b, sizeof salt->b);
    return hash_end(&h);
}

/* Of a settlement, or of a doubt. */
static struct hash salt_of(const struct deal *d, unsigned who, const struct hash *id)
{
    struct hash both[2] = {*id, d->sim->chain};
    both[1].b[0] ^= (uint8_t)who;
    return hash_once(HASH_STATE_KEY, both, sizeof both);
}

static void say(struct deal *d, unsigned who, const struct rec_settlement *s, const struct audit_draw *draw,
                struct draft *out)
{
    struct tx_audit_reveal r = {
        .settlement = s->id, .index = draw->index, .verdict = (uint8_t)verdict_of(d, who, draw->index)};
    struct buf receipt = {0}, proof = {0};
    r.salt = salt_of(d, who, &s->id);
    r.witness = who == SIM_DEALER_LAZY ? plant_digest(&r.salt) : witness_of(draw->index, &r.salt);
    struct hash commit = tx_audit_commitment(&r, &draw->auditor);
    if (s->state == SETTLEMENT_DRAWN) {
        out->kind = TX_AUDIT_COMMIT;
        tx_audit_commit_put(&out->body, &(struct tx_audit_commit){s->id, draw->index, commit});
        return;
    }
    put_receipt(d, s, draw->index, &receipt, &proof);
    r.receipt = bytes_of_buf(&receipt);
    r.proof = bytes_of_buf(&proof);
    out->kind = TX_AUDIT_REVEAL;
    tx_audit_reveal_put(&out->body, &r);
    buf_clear(&receipt);
    buf_clear(&proof);
}

static void find(struct deal *d, unsigned who, const struct rec_doubt *rec, struct draft *out)
{
    struct tx_doubt_reveal r = {.doubt = rec->id, .salt = salt_of(d, who, &rec->id)};
    r.witness = who == SIM_DEALER_LAZY ? plant_digest(&r.salt) : witness_of(rec->index, &rec->salt);
    r.verdict = hash_equal(&r.witness, &rec->witness) ? AUDIT_MATCH : AUDIT_MISMATCH;
    if (rec->state == DOUBT_DRAWN) {
        out->kind = TX_DOUBT_COMMIT;
        tx_doubt_commit_put(&out->body, &(struct tx_doubt_commit){rec->id, tx_doubt_commitment(&r, id_of(d, who))});
    } else {
        out->kind = TX_DOUBT_REVEAL;
        tx_doubt_reveal_put(&out->body, &r);
    }
}

/* Of the doubts that are open, one whose committee this auditor is in and has not spoken. */
static bool sit(struct deal *d, const struct ledger *l, unsigned who, struct draft *out)
{
    struct rec_doubt rec;
    struct hash last;
    for (bool more = ledger_doubt_next(l, NULL, &rec); more; more = ledger_doubt_next(l, &last, &rec)) {
        bool commits = rec.state == DOUBT_DRAWN;
        last = rec.id;
        for (uint32_t i = 0; (commits || rec.state == DOUBT_REVEALING) && i < doubt_draws(&rec); i++) {
            struct doubt_draw m = doubt_draw_at(&rec, i);
            if (m.round != rec.round || !pubkey_equal(&m.member, id_of(d, who)) || m.verdict != AUDIT_PENDING ||
                commits != hash_is_zero(&m.commit))
                continue;
            find(d, who, &rec, out);
            return true;
        }
    }
    return false;
}

static bool audit(struct deal *d, const struct ledger *l, unsigned who, struct draft *out)
{
    struct rec_settlement s;
    if (bond(d, l, who, BOND_AUDITOR, out) || serve(d, l, who, out) || sit(d, l, who, out))
        return true;
    if (!find_settlements(l, &s) || (s.state != SETTLEMENT_DRAWN && s.state != SETTLEMENT_REVEALING))
        return false;
    for (uint32_t i = 0; i < settlement_audits(&s); i++) {
        struct audit_draw draw = settlement_audit_at(&s, i);
        bool is_open = s.state == SETTLEMENT_DRAWN ? hash_is_zero(&draw.commit)
                                                   : !hash_is_zero(&draw.commit) && draw.verdict == AUDIT_PENDING;
        if (draw.round != s.round || !pubkey_equal(&draw.auditor, id_of(d, who)) || !is_open)
            continue;
        say(d, who, &s, &draw, out);
        return true;
    }
    return false;
}

/* The first receipt of a settlement whose auditors were heard: planted, or a lie. */
static bool show(struct deal *d, const struct ledger *l, struct draft *out)
{
    struct rec_settlement s;
    struct hash last;
    bool lies = random_chance(&d->random, 5), found = false;
    for (bool more = ledger_settlement_next(l, NULL, &s); more; more = ledger_settlement_next(l, &last, &s)) {
        struct audit_draw draw = settlement_audits(&s) ? settlement_audit_at(&s, 0) : (struct audit_draw){0};
        bool is_open = s.state < SETTLEMENT_PAID ? s.round > 0 : s.state == SETTLEMENT_PAID && s.round == 0;
        last = s.id;
        found = is_open && settlement_audits(&s) && (s.state < SETTLEMENT_PAID || draw.verdict == AUDIT_MATCH) &&
                sim_is_planted(d->sim, draw.index) != lies;
        if (!found)
            continue;
        struct buf receipt = {0}, proof = {0};
        const struct hash *secret = &d->receipt[draw.index].job;
        put_receipt(d, &s, draw.index, &receipt, &proof);
        out->kind = TX_PLANT;
        tx_plant_put(&out->body, &(struct tx_plant){s.id, draw.index, bytes_of_buf(&receipt), bytes_of_buf(&proof),
                                                    *secret, *secret});
        buf_clear(&receipt);
        buf_clear(&proof);
        break;
    }
    return found;
}

/* The first settlement that is over, and whose auditor's witness no replay gives; or one of those that do. */
static bool doubt(struct deal *d, const struct ledger *l, struct draft *out)
{
    struct rec_settlement s;
    struct rec_doubt rec;
    struct hash last;
    bool lies = random_chance(&d->random, 5);
    for (bool more = ledger_settlement_next(l, NULL, &s); more; more = ledger_settlement_next(l, &last, &s)) {
        last = s.id;
        if (s.state < SETTLEMENT_PAID || settlement_audits(&s) == 0)
            continue;
        struct audit_draw draw = settlement_audit_at(&s, 0);
        struct hash id = rec_doubt_id(&s.id, draw.index, &draw.auditor), gives = witness_of(draw.index, &draw.salt);
        if (draw.verdict != AUDIT_MATCH || ledger_doubt(l, &id, &rec) || hash_equal(&draw.witness, &gives) != lies)
            continue;
        out->kind = TX_DOUBT;
        tx_doubt_put(&out->body, &(struct tx_doubt){s.id, draw.index, draw.auditor});
        return true;
    }
    return false;
}

/* -- through a node -- */

/* Nothing of the dealer's waits there, or what is said now would be said twice. */
static void act(struct deal *d, struct sim_node *n, unsigned who)
{
    struct draft out = {0};
    struct rec_account account;
    struct buf tx = {0};
    struct note note;
    bool acts = who == PAYER      ? pay(d, n->ledger, &out)
                : who == PROVIDER ? provide(d, n->ledger, &out)
                                  : audit(d, n->ledger, who, &out);
    (void)ledger_account(n->ledger, id_of(d, who), &account);
    if (acts && consensus_nonce(n->consensus, id_of(d, who)) == account.nonce) {
        tx_build(&tx, &d->sim->chain, &d->sim->dealer[who], account.nonce, amount_of(MOTE_PER_KITH / 10), out.kind,
                 bytes_of_buf(&out.body));
        sim_enter(n);
        enum err e = consensus_submit(n->consensus, bytes_of_buf(&tx), NULL, &note);
        (void)e; /* it is tried again */
        sim_leave(n);
        if (n->is_dead)
            node_bury(n);
    }
    buf_clear(&tx);
    buf_clear(&out.body);
}

static void tick(void *arg)
{
    struct deal *d = arg;
    for (unsigned who = 0; who < SIM_DEALERS; who++) {
        struct sim_node *n = &d->sim->node[random_below(&d->random, d->sim->nodes)];
        if (n->is_up)
            act(d, n, who);
    }
    sim_at(d->sim, &d->timer, d->sim->now_us + TICK_US, tick, d);
}

/* Of the settlement behind which the bond was withdrawn: its auditors are drawn and have not spoken (every other seed),
 * or the committee over what they said is about to be drawn. */
bool deal_before_word(struct sim *s)
{
    bool first = s->o.seed % 2;
    struct rec_settlement newest;
    for (unsigned i = 0; i < s->nodes; i++) {
        const struct sim_node *n = &s->node[i];
        if (n->is_up && find_settlements(n->ledger, &newest) == HALTING && (newest.round == 0) == first &&
            newest.state == (first ? SETTLEMENT_DRAWN : SETTLEMENT_WAITING) &&
            ledger_bond(n->ledger, BOND_PROVIDER, &s->dealer_id[PROVIDER]).mote == 0)
            return true;
    }
    return false;
}

/* Of honest ones: they are all up, and no other machine has their keys. */
void deal_halt(struct sim *s)
{
    uint64_t halt_ms = s->genesis.params.unbonding_ms + random_between(&s->deal->random, 5, 60) * 1000;
    unsigned first = (unsigned)random_below(&s->deal->random, s->o.nodes), left = s->o.nodes / 3 + 1;
    sim_note(s, "halt of %u nodes for %" PRIu64 " ms", left, halt_ms);
    for (unsigned k = 0; k < s->o.nodes && left > 0; k++) {
        struct sim_node *n = &s->node[(first + k) % s->o.nodes];
        if (!sim_is_honest(n))
            continue;
        node_kill(n, 0, random_chance(&s->deal->random, 50), halt_ms);
        left--;
    }
    sim_run(s, s->now_us + halt_ms * 1000, NULL);
}

void deal_open(struct sim *s)
{
    struct deal *d = s->deal = mem_new(sizeof *d);
    d->sim = s;
    d->random = (struct random){s->o.seed ^ UINT64_C(0xDEA1)};
    make_publication(d);
    sim_at(s, &d->timer, s->now_us + TICK_US, tick, d);
}

void deal_close(struct sim *s)
{
    if (!s->deal)
        return;
    timer_remove(&s->events, &s->deal->timer);
    buf_clear(&s->deal->publication);
    free(s->deal);
}
