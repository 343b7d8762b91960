#include "tests/deals.h"

#include "base/mem.h"
#include "base/seal.h"
#include "chain/ledger_core.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t deals_below(struct deals *r, uint32_t n)
{
    r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((r->seed >> 33) % n);
}

static unsigned someone(struct deals *r)
{
    return deals_below(r, WORLD_KEYS);
}

static void try_add(struct deals *r, unsigned who, enum tx_kind kind, struct bytes body);

/* Most publications are claimed, and one that is made up again at random would never fit its claim: so what was claimed
 * is kept for as long. */
static void claim_first(struct deals *r, unsigned who, enum tx_kind kind, struct bytes body)
{
    struct world *w = r->w;
    struct deals_claim *c = &r->claim[r->claims++ % DEALS_CLAIMS];
    struct tx_claim t = {tx_claim_commitment(&w->chain, &w->key[who], (uint8_t)kind, body)};
    struct buf b = {0};
    c->who = who;
    c->kind = kind;
    buf_reset(&c->body);
    buf_add(&c->body, body.p, body.n);
    tx_claim_put(&b, &t);
    try_add(r, who, TX_CLAIM, bytes_of_buf(&b));
    buf_clear(&b);
}

/* A transaction whose fee its signer cannot pay would not be in a block, nor would one behind a spend of all he has. */
static void try_add(struct deals *r, unsigned who, enum tx_kind kind, struct bytes body)
{
    struct world *w = r->w;
    struct bytes txs[WORLD_TXS];
    if (world_balance(w, who) <= MOTE_PER_KITH || r->closed[who])
        return;
    world_add(w, who, kind, body);
    for (uint32_t i = 0; i < w->n; i++)
        txs[i] = bytes_of_buf(&w->txs[i]);
    if (ledger_process(w->ledger, txs, w->n, NULL) == ERR_FUNDS) {
        w->n--;
        w->nonce[who]--;
        r->closed[who] = true;
    }
}

static void add(struct deals *r, unsigned who, enum tx_kind kind, struct bytes body)
{
    if (tx_is_claimed((uint8_t)kind) && deals_below(r, 16))
        claim_first(r, who, kind, body);
    else
        try_add(r, who, kind, body);
}

#define ADD(r, who, KIND, record, ...)                                                                                 \
    (record##_put(world_body((r)->w), &(struct record){__VA_ARGS__}), add(r, who, KIND, bytes_of_buf(&(r)->w->body)))

/* One of those that were claimed, by now and then somebody else. */
static void add_claimed(struct deals *r)
{
    unsigned n = r->claims < DEALS_CLAIMS ? r->claims : DEALS_CLAIMS;
    if (n == 0)
        return;
    const struct deals_claim *c = &r->claim[deals_below(r, n)];
    if (deals_below(r, 8) == 0) { /* once more */
        struct hash commit =
            tx_claim_commitment(&r->w->chain, &r->w->key[c->who], (uint8_t)c->kind, bytes_of_buf(&c->body));
        ADD(r, c->who, TX_CLAIM, tx_claim, commit);
        return;
    }
    try_add(r, deals_below(r, 16) ? c->who : someone(r), c->kind, bytes_of_buf(&c->body));
}

static struct amount some_money(struct deals *r)
{
    switch (deals_below(r, 4)) {
    case 0:
        return amount_of(deals_below(r, 3));
    case 1:
        return amount_of(deals_below(r, 1000000));
    case 2:
        return amount_of((uint64_t)deals_below(r, 5000) * (MOTE_PER_KITH / 100));
    default:
        return amount_of((uint64_t)deals_below(r, 2000000) * MOTE_PER_KITH);
    }
}

static void add_money(struct deals *r)
{
    struct world *w = r->w;
    unsigned who = someone(r);
    switch (deals_below(r, 3)) {
    case 0:
        ADD(r, who, TX_TRANSFER, tx_transfer, .to = w->key[someone(r)], .amount = some_money(r));
        break;
    case 1:
        ADD(r, who, TX_BOND, tx_bond, (uint8_t)deals_below(r, 4), some_money(r));
        break;
    default:
        ADD(r, who, TX_UNBOND, tx_unbond, (uint8_t)deals_below(r, 3), some_money(r));
        break;
    }
}

static struct hash some_model(struct deals *r)
{
    return world_root((uint8_t)(1 + deals_below(r, 12)));
}

static void add_registration(struct deals *r)
{
    struct world *w = r->w;
    struct hash roots[2] = {some_model(r), some_model(r)};
    struct buf lineage = {0};
    unsigned who = 1 + deals_below(r, WORLD_KEYS - 1);
    if (deals_below(r, 3) == 0) {
        struct tx_data_contribute body = {.cipher_root = world_root((uint8_t)(100 + deals_below(r, 9))), .size = 5};
        body.plain_root = roots[0];
        body.train = deals_below(r, 4) != 0;
        body.share_bps = (uint16_t)deals_below(r, 4000);
        body.name = (struct text64){1, "d"};
        tx_data_contribute_put(world_body(w), &body);
        add(r, who, TX_DATA_CONTRIBUTE, bytes_of_buf(&w->body));
        return;
    }
    if (deals_below(r, 2)) {
        struct tx_provider body = {.node = w->key[someone(r)], .models = {roots[0].b, deals_below(r, 3)}};
        body.audits = deals_below(r, 2);
        if (!pubkey_equal(&body.node, &w->key[who]))
            for (unsigned i = 0; i < WORLD_KEYS; i++)
                if (pubkey_equal(&body.node, &w->key[i]))
                    tx_consent_sign(&w->chain, &w->key[who], &w->secret[i], &body.node_sig);
        tx_provider_put(world_body(w), &body);
        add(r, who, TX_PROVIDER, bytes_of_buf(&w->body));
        return;
    }
    for (unsigned n = deals_below(r, 4); n > 0; n--) {
        struct lineage_entry e = {(uint8_t)deals_below(r, 2), some_model(r), (uint16_t)deals_below(r, 5000)};
        lineage_entry_put(&lineage, &e);
    }
    struct hash tensors[2] = {world_root((uint8_t)deals_below(r, 40)), world_root((uint8_t)deals_below(r, 40))};
    struct tx_model_publish body = {.root = roots[0], .size = 9, .tensors = {tensors[0].b, 1 + deals_below(r, 2)}};
    body.tensors_root = tx_tensors_root(&body.tensors);
    body.royalty_bps = (uint16_t)deals_below(r, 5100);
    body.derive_bps = (uint16_t)deals_below(r, 5000);
    body.lineage = bytes_of_buf(&lineage);
    body.name = (struct text64){1, {(char)('a' + deals_below(r, 9))}};
    tx_model_publish_put(world_body(w), &body);
    add(r, who, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    buf_clear(&lineage);
}

static void add_open(struct deals *r)
{
    struct world *w = r->w;
    unsigned i = r->channels < DEALS_CHANNELS ? r->channels++ : deals_below(r, DEALS_CHANNELS);
    struct world_channel *c = &r->channel[i];
    *c = (struct world_channel){.payer = 1 + deals_below(r, WORLD_KEYS - 1)};
    /* Mostly to someone who serves: the first of the registered ones behind a random model. */
    struct rec_provider p;
    unsigned skip = deals_below(r, 4);
    struct pubkey node = w->key[someone(r)];
    struct hash model = some_model(r);
    for (bool more = ledger_provider_next(w->ledger, NULL, &p); more;
         more = ledger_provider_next(w->ledger, &p.node, &p)) {
        if (!p.models.n)
            continue;
        node = p.node;
        model = hashes_at(&p.models, 0);
        if (skip-- == 0)
            break;
    }
    for (unsigned k = 0; k < WORLD_KEYS; k++)
        if (pubkey_equal(&node, &w->key[k]))
            c->node = k;
    ADD(r, c->payer, TX_CHANNEL_OPEN, tx_channel_open, node, model, amount_of(deals_below(r, 100000)));
    c->id = tx_channel_id(&w->last_id);
}

static void add_settle(struct deals *r, struct world_channel *c, unsigned number)
{
    struct world *w = r->w;
    for (unsigned n = deals_below(r, 3); n > 0 && c->n < 31; n--)
        world_job(c, deals_below(r, 20000));
    struct tx_channel_settle body = world_voucher(w, c);
    body.close = deals_below(r, 5) == 0;
    if (deals_below(r, 8) == 0)
        body.voucher.tokens_out++;
    tx_channel_settle_put(world_body(w), &body);
    add(r, c->node, TX_CHANNEL_SETTLE, bytes_of_buf(&w->body));
    unsigned i = r->settlements < DEALS_CHANNELS ? r->settlements++ : deals_below(r, DEALS_CHANNELS);
    r->settlement[i] = w->last_id;
    r->settled_by[i] = number;
}

static void add_channel(struct deals *r)
{
    if (r->channels == 0 || deals_below(r, 3) == 0) {
        add_open(r);
        return;
    }
    unsigned number = deals_below(r, r->channels);
    struct world_channel *c = &r->channel[number];
    switch (deals_below(r, 6)) {
    case 0:
        ADD(r, c->payer, TX_CHANNEL_TOPUP, tx_channel_topup, c->id, amount_of(deals_below(r, 9999)));
        break;
    case 1:
        ADD(r, c->payer, TX_CHANNEL_CLOSE, tx_channel_close, c->id);
        break;
    default:
        add_settle(r, c, number);
        break;
    }
}

static unsigned number_of(const struct world *w, const struct pubkey *key)
{
    unsigned k = 0;
    while (k + 1 < WORLD_KEYS && !pubkey_equal(key, &w->key[k]))
        k++;
    return k;
}

static void reveal_or_commit(struct deals *r, const struct rec_settlement *s, const struct audit_draw *d,
                             const struct tx_audit_reveal *body)
{
    struct world *w = r->w;
    unsigned who = deals_below(r, 16) ? number_of(w, &d->auditor) : someone(r);
    if (s->state == SETTLEMENT_REVEALING || deals_below(r, 16) == 0) {
        tx_audit_reveal_put(world_body(w), body);
        add(r, who, TX_AUDIT_REVEAL, bytes_of_buf(&w->body));
    } else {
        ADD(r, who, TX_AUDIT_COMMIT, tx_audit_commit, s->id, d->index, tx_audit_commitment(body, &w->key[who]));
    }
}

/* A step of whoever was drawn, or a challenge. What an auditor says is fixed by draw and seed, so that most reveals
 * fit. */
static void add_audit(struct deals *r)
{
    struct world *w = r->w;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    unsigned i = 0, tries = 0;
    do {
        if (r->settlements == 0 || tries++ == 8 * DEALS_CHANNELS)
            return;
        i = deals_below(r, r->settlements);
    } while (!ledger_settlement(w->ledger, &r->settlement[i], &s) || s.state >= SETTLEMENT_PAID);
    const struct world_channel *c = &r->channel[r->settled_by[i]];
    uint32_t n = settlement_audits(&s);
    struct audit_draw d = {.index = s.count - 1};
    if (n)
        for (unsigned k = 0; k < 4 && (k == 0 || d.round != s.round || d.verdict != AUDIT_PENDING); k++)
            d = settlement_audit_at(&s, deals_below(r, n));
    if (d.index >= c->n)
        return;
    /* Most agree on what they see, and half of the receipts are bad; one of seven says the first thing that he can. */
    unsigned mood = (number_of(w, &d.auditor) + s.id.b[1]) % 7 ? (d.index + s.id.b[0]) % 6 : 0;
    enum audit_verdict verdict = mood < 3 ? AUDIT_MATCH : mood < 5 ? AUDIT_MISMATCH : AUDIT_WITHHELD;
    bool challenges = deals_below(r, s.state == SETTLEMENT_WAITING ? 4 : 12) == 0;
    struct tx_audit_reveal body = world_audit(w, c, &s.id, d.index, challenges ? AUDIT_MATCH : verdict, room);
    if (challenges)
        ADD(r, someone(r), TX_CHALLENGE, tx_challenge, s.id, d.index, body.receipt, body.proof);
    else
        reveal_or_commit(r, &s, &d, &body);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
}

/* Any settlement, over or not: a job of it was planted. */
static void add_plant(struct deals *r)
{
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    if (r->settlements == 0)
        return;
    unsigned i = deals_below(r, r->settlements);
    if (!ledger_settlement(r->w->ledger, &r->settlement[i], &s))
        return;
    const struct world_channel *c = &r->channel[r->settled_by[i]];
    uint32_t n = settlement_audits(&s), index = n ? settlement_audit_at(&s, deals_below(r, n)).index : s.from;
    if (index >= c->n)
        return;
    struct tx_plant body = world_plant(r->w, c, &s.id, index, room);
    if (deals_below(r, 6) == 0)
        body.secret = world_root(1);
    unsigned who = deals_below(r, 6) ? c->payer : someone(r);
    ADD(r, who, TX_PLANT, tx_plant, body.settlement, body.index, body.receipt, body.proof, body.salt, body.secret);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
}

/* A step of a member of an open doubt's committee; most agree on what they found, and half of the witnesses were made
 * up. */
static void add_member(struct deals *r, const struct rec_doubt *d)
{
    struct world *w = r->w;
    struct doubt_draw m = doubt_draw_at(d, deals_below(r, doubt_draws(d)));
    unsigned who = deals_below(r, 16) ? number_of(w, &m.member) : someone(r),
             mood = (unsigned)(d->id.b[0] + d->round) % 6;
    if ((number_of(w, &m.member) + d->id.b[1]) % 5 == 0)
        mood = 5 - mood;
    struct tx_doubt_reveal body = {.doubt = d->id, .verdict = mood < 2 ? AUDIT_MATCH : AUDIT_MISMATCH};
    body.witness = mood < 2 ? d->witness : world_root(mood == 4 ? 91 : 90);
    if (mood == 5)
        body = (struct tx_doubt_reveal){.doubt = d->id, .verdict = AUDIT_WITHHELD};
    body.salt = world_root(7);
    if (d->state == DOUBT_REVEALING || deals_below(r, 16) == 0) {
        tx_doubt_reveal_put(world_body(w), &body);
        add(r, who, TX_DOUBT_REVEAL, bytes_of_buf(&w->body));
    } else {
        ADD(r, who, TX_DOUBT_COMMIT, tx_doubt_commit, d->id, tx_doubt_commitment(&body, &w->key[who]));
    }
}

/* Of any settlement, over or not, somebody doubts who was drawn; or a doubt that is open goes on. */
static void add_doubt(struct deals *r)
{
    struct rec_settlement s;
    struct rec_doubt d;
    struct hash last;
    for (bool more = ledger_doubt_next(r->w->ledger, NULL, &d); more;
         more = ledger_doubt_next(r->w->ledger, &last, &d)) {
        last = d.id;
        if ((d.state == DOUBT_DRAWN || d.state == DOUBT_REVEALING) && deals_below(r, 3)) {
            add_member(r, &d);
            return;
        }
    }
    if (r->settlements == 0 || !ledger_settlement(r->w->ledger, &r->settlement[deals_below(r, r->settlements)], &s) ||
        settlement_audits(&s) == 0)
        return;
    struct audit_draw draw = settlement_audit_at(&s, deals_below(r, settlement_audits(&s)));
    draw.index += deals_below(r, 16) == 0;
    ADD(r, someone(r), TX_DOUBT, tx_doubt, s.id, draw.index, draw.auditor);
}

/* The next place of a ring. */
static struct hash *place(struct hash ids[DEALS_IDS], unsigned *n)
{
    return &ids[(*n)++ % DEALS_IDS];
}

static struct hash some_id(struct deals *r, const struct hash ids[DEALS_IDS], unsigned n)
{
    return n ? ids[deals_below(r, n < DEALS_IDS ? n : DEALS_IDS)] : world_root(0);
}

/* The right key, a wrong one, or what does not open. */
static void add_release(struct deals *r, const struct rec_grant *g, const struct world_data *d)
{
    struct buf sealed = {0};
    uint8_t key[32];
    unsigned how = deals_below(r, 4);
    memcpy(key, d->key, sizeof key);
    key[7] ^= how == 0;
    CHECK(seal_to_key(&sealed, &g->key, &r->w->secret[someone(r)], key, sizeof key));
    sealed.p[40] ^= how == 1;
    ADD(r, deals_below(r, 8) ? number_of(r->w, &g->seller) : someone(r), TX_KEY_RELEASE, tx_key_release, g->id,
        bytes_of(sealed.p, sealed.n - (deals_below(r, 16) == 0)));
    buf_clear(&sealed);
}

static void add_dispute(struct deals *r, const struct rec_grant *g, const struct world_data *d)
{
    struct hash room[2][LEAF_PROOF_MAX];
    struct tx_data_dispute body = {0};
    if (deals_below(r, 3))
        body = world_dispute(d, deals_below(r, WORLD_DATA_LEAVES), room);
    body.grant = g->id;
    memcpy(body.secret.b, r->w->secret[number_of(r->w, &g->key)].b, sizeof body.secret.b);
    tx_data_dispute_put(world_body(r->w), &body);
    add(r, deals_below(r, 8) ? number_of(r->w, &g->buyer) : someone(r), TX_DATA_DISPUTE, bytes_of_buf(&r->w->body));
}

static void add_grant(struct deals *r)
{
    struct world *w = r->w;
    struct rec_grant g;
    struct hash id;
    unsigned set = deals_below(r, DEALS_SETS), tries = 0;
    bool found;
    do {
        id = some_id(r, r->grant, r->grants);
        found = ledger_grant(w->ledger, &id, &g) && g.state != GRANT_PAID;
    } while (!found && ++tries < DEALS_IDS);
    if (!found || deals_below(r, 4) == 0) {
        id = merkle_tree_root(r->data[set].plain_tree);
        ADD(r, 4 + deals_below(r, 8), TX_DATA_GRANT, tx_data_grant, id, w->key[someone(r)]);
        *place(r->grant, &r->grants) = w->last_id;
        return;
    }
    for (set = 0; set + 1 < DEALS_SETS; set++) {
        id = merkle_tree_root(r->data[set].plain_tree);
        if (hash_equal(&id, &g.data))
            break;
    }
    if (g.state == GRANT_OPEN && deals_below(r, 8))
        add_release(r, &g, &r->data[set]);
    else
        add_dispute(r, &g, &r->data[set]);
}

static void add_bounty(struct deals *r)
{
    struct world *w = r->w;
    struct rec_bounty b;
    struct rec_model model;
    struct rec_data data;
    struct rec_offer offer;
    struct hash id = some_id(r, r->bounty, r->bounties), root = world_root((uint8_t)(1 + deals_below(r, 4)));
    bool offered = ledger_offer_next(w->ledger, deals_below(r, 2) ? &id : NULL, &offer) && deals_below(r, 2);
    if (offered) {
        id = offer.bounty;
        root = offer.root;
    }
    if (!ledger_bounty(w->ledger, &id, &b) || deals_below(r, 4) == 0) {
        ADD(r, someone(r), TX_BOUNTY_POST, tx_bounty_post, .wants = (uint8_t)(deals_below(r, 9) % 3), .title = {1, "b"},
            .amount = some_money(r), .deadline_ms = w->time_ms + deals_below(r, 300000));
        *place(r->bounty, &r->bounties) = w->last_id;
        return;
    }
    if (offered || deals_below(r, 4) == 0) {
        ADD(r, deals_below(r, 8) ? number_of(w, &b.poster) : someone(r), TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root);
        return;
    }
    unsigned who = someone(r);
    if (b.wants == LINEAGE_MODEL && ledger_model(w->ledger, &root, &model))
        who = number_of(w, &model.publisher);
    if (b.wants == LINEAGE_DATA && ledger_data(w->ledger, &root, &data))
        who = number_of(w, &data.owner);
    ADD(r, who, TX_BOUNTY_OFFER, tx_bounty_offer, id, root);
}

static void add_beacon_key(struct deals *r)
{
    struct tx_beacon_key body;
    memset(body.key.b, (int)deals_below(r, 4), sizeof body.key.b);
    if (deals_below(r, 2))
        body.key = vrf_public_of(&(struct vrf_secret){{(uint8_t)deals_below(r, 200)}});
    tx_beacon_key_put(world_body(r->w), &body);
    add(r, someone(r), TX_BEACON_KEY, bytes_of_buf(&r->w->body));
}

/* Two votes of anybody, at a height around now, signed but for now and then. */
void deals_add_evidence(struct deals *r)
{
    struct world *w = r->w;
    struct vote v[2];
    struct tx_evidence body;
    unsigned who = someone(r);
    uint64_t now = ledger_info(w->ledger).height + 1, back = deals_below(r, 30);
    for (int i = 0; i < 2; i++) {
        v[i] = (struct vote){.kind = VOTE_PREVOTE, .height = now > back ? now - back : 1, .valid_round = VOTE_NO_ROUND};
        v[i].value.b[0] = (uint8_t)(i + 1);
        struct hash h = vote_hash(&v[i], &w->chain);
        key_sign_hash(&w->secret[deals_below(r, 8) ? who : 0], &h, NULL, &v[i].sig);
    }
    assert_true(evidence_of_votes(&w->key[who], &v[0], &v[1], &body.evidence));
    tx_evidence_put(world_body(w), &body);
    add(r, someone(r), TX_EVIDENCE, bytes_of_buf(&w->body));
}

static int compare_keys(const void *x, const void *y)
{
    return pubkey_compare(x, y);
}

/* Mostly rules that are some; now and then a key twice, or more signatures than keys. */
static void add_rule(struct deals *r)
{
    struct world *w = r->w;
    struct pubkey keys[4];
    unsigned who = 8 + deals_below(r, WORLD_KEYS - 8), n = deals_below(r, 5);
    for (unsigned i = 0; i < n; i++)
        keys[i] = w->key[someone(r)];
    qsort(keys, n, sizeof *keys, compare_keys);
    ADD(r, who, TX_ACCOUNT_RULE, tx_account_rule, (uint8_t)deals_below(r, n + 2), {keys[0].b, n});
    r->closed[who] = true;
}

static void (*const add_kind[])(struct deals *r) = {
    add_audit,        add_audit,   add_audit,      add_audit,   add_money,   add_money, add_registration,
    add_registration, add_channel, add_channel,    add_channel, add_channel, add_audit, add_audit,
    add_grant,        add_grant,   add_beacon_key, add_bounty,  add_bounty,  add_rule,  add_claimed,
    add_claimed,      add_plant,   add_doubt,      add_doubt,   add_doubt,
};

void deals_clear(struct deals *r)
{
    for (unsigned i = 0; i < DEALS_CLAIMS; i++)
        buf_clear(&r->claim[i].body);
}

void deals_add(struct deals *r)
{
    add_kind[deals_below(r, sizeof add_kind / sizeof *add_kind)](r);
}
