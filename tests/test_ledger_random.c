/* Random sequences of every record, valid and not, over many blocks: supply and root are checked by a full scan after
 * each (tests/world.c), and a second ledger that gets the same blocks, crashes, fails to write and is opened again in
 * between must always have the same root. A failing seed is printed; KITH_SEED=N runs that one alone, KITH_SEEDS=N the
 * first N. */
#include "base/mem.h"
#include "base/seal.h"
#include "chain/ledger_core.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS    20
#define BLOCKS   120
#define CHANNELS 48
#define SETS     3  /* data sets for sale, by keys 1 to 3 */
#define IDS      16 /* grants, and bounties, that are looked at again */

/* How often each was seen: codes, events, kinds that had an effect and that had none. */
struct seen {
    uint32_t codes[ERR_COUNT];
    uint32_t events[LEDGER_EVENT_KINDS];
    uint32_t good[256], bad[256];
};

struct run {
    struct world *w;
    struct seen *seen;
    uint64_t seed;
    struct kv *kv; /* of the second ledger */
    struct ledger *second;
    struct world_channel channel[CHANNELS];
    unsigned channels;
    struct hash settlement[CHANNELS];
    unsigned settled_by[CHANNELS]; /* which channel */
    unsigned settlements;
    struct world_data data[SETS];
    struct hash grant[IDS], bounty[IDS];
    unsigned grants, bounties;
    bool closed[WORLD_KEYS]; /* changed who signs for it in this block: no more of it */
};

static uint32_t below(struct run *r, uint32_t n)
{
    r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((r->seed >> 33) % n);
}

static unsigned someone(struct run *r)
{
    return below(r, WORLD_KEYS);
}

/* A transaction whose fee its signer cannot pay would not be in a block. */
static void add(struct run *r, unsigned who, enum tx_kind kind, struct bytes body)
{
    if (world_balance(r->w, who) > MOTE_PER_KITH && !r->closed[who])
        world_add(r->w, who, kind, body);
}

#define ADD(r, who, KIND, record, ...)                                                                                 \
    (record##_put(world_body((r)->w), &(struct record){__VA_ARGS__}), add(r, who, KIND, bytes_of_buf(&(r)->w->body)))

static struct amount some_money(struct run *r)
{
    switch (below(r, 4)) {
    case 0:
        return amount_of(below(r, 3));
    case 1:
        return amount_of(below(r, 1000000));
    case 2:
        return amount_of((uint64_t)below(r, 5000) * (MOTE_PER_KITH / 100));
    default:
        return amount_of((uint64_t)below(r, 2000000) * MOTE_PER_KITH);
    }
}

static void add_money(struct run *r)
{
    struct world *w = r->w;
    unsigned who = someone(r);
    switch (below(r, 3)) {
    case 0:
        ADD(r, who, TX_TRANSFER, tx_transfer, .to = w->key[someone(r)], .amount = some_money(r));
        break;
    case 1:
        ADD(r, who, TX_BOND, tx_bond, (uint8_t)below(r, 4), some_money(r));
        break;
    default:
        ADD(r, who, TX_UNBOND, tx_unbond, (uint8_t)below(r, 3), some_money(r));
        break;
    }
}

static struct hash some_model(struct run *r)
{
    return world_root((uint8_t)(1 + below(r, 12)));
}

static void add_registration(struct run *r)
{
    struct world *w = r->w;
    struct hash roots[2] = {some_model(r), some_model(r)};
    struct buf lineage = {0};
    unsigned who = 1 + below(r, WORLD_KEYS - 1);
    if (below(r, 3) == 0) {
        struct tx_data_contribute body = {.cipher_root = world_root((uint8_t)(100 + below(r, 9))), .size = 5};
        body.plain_root = roots[0];
        body.train = below(r, 4) != 0;
        body.share_bps = (uint16_t)below(r, 4000);
        body.name = (struct text64){1, "d"};
        tx_data_contribute_put(world_body(w), &body);
        add(r, who, TX_DATA_CONTRIBUTE, bytes_of_buf(&w->body));
        return;
    }
    if (below(r, 2)) {
        struct tx_provider body = {.node = w->key[someone(r)], .models = {roots[0].b, below(r, 3)}};
        body.audits = below(r, 2);
        if (!pubkey_equal(&body.node, &w->key[who]))
            for (unsigned i = 0; i < WORLD_KEYS; i++)
                if (pubkey_equal(&body.node, &w->key[i]))
                    tx_consent_sign(&w->chain, &w->key[who], &w->secret[i], &body.node_sig);
        tx_provider_put(world_body(w), &body);
        add(r, who, TX_PROVIDER, bytes_of_buf(&w->body));
        return;
    }
    for (unsigned n = below(r, 4); n > 0; n--) {
        struct lineage_entry e = {(uint8_t)below(r, 2), some_model(r), (uint16_t)below(r, 5000)};
        lineage_entry_put(&lineage, &e);
    }
    struct hash tensors[2] = {world_root((uint8_t)below(r, 40)), world_root((uint8_t)below(r, 40))};
    struct tx_model_publish body = {.root = roots[0], .size = 9, .tensors = {tensors[0].b, 1 + below(r, 2)}};
    body.tensors_root = tx_tensors_root(&body.tensors);
    body.royalty_bps = (uint16_t)below(r, 5100);
    body.derive_bps = (uint16_t)below(r, 5000);
    body.lineage = bytes_of_buf(&lineage);
    body.name = (struct text64){1, {(char)('a' + below(r, 9))}};
    tx_model_publish_put(world_body(w), &body);
    add(r, who, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    buf_clear(&lineage);
}

static void add_open(struct run *r)
{
    struct world *w = r->w;
    unsigned i = r->channels < CHANNELS ? r->channels++ : below(r, CHANNELS);
    struct world_channel *c = &r->channel[i];
    *c = (struct world_channel){.payer = 1 + below(r, WORLD_KEYS - 1)};
    /* Mostly to someone who serves: the first of the registered ones behind a random model. */
    struct rec_provider p;
    unsigned skip = below(r, 4);
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
    ADD(r, c->payer, TX_CHANNEL_OPEN, tx_channel_open, node, model, amount_of(below(r, 100000)));
    c->id = tx_channel_id(&w->last_id);
}

static void add_settle(struct run *r, struct world_channel *c, unsigned number)
{
    struct world *w = r->w;
    for (unsigned n = below(r, 3); n > 0 && c->n < 31; n--)
        world_job(c, below(r, 20000));
    struct tx_channel_settle body = world_voucher(w, c);
    body.close = below(r, 5) == 0;
    if (below(r, 8) == 0)
        body.voucher.tokens_out++;
    tx_channel_settle_put(world_body(w), &body);
    add(r, c->node, TX_CHANNEL_SETTLE, bytes_of_buf(&w->body));
    unsigned i = r->settlements < CHANNELS ? r->settlements++ : below(r, CHANNELS);
    r->settlement[i] = w->last_id;
    r->settled_by[i] = number;
}

static void add_channel(struct run *r)
{
    if (r->channels == 0 || below(r, 3) == 0) {
        add_open(r);
        return;
    }
    unsigned number = below(r, r->channels);
    struct world_channel *c = &r->channel[number];
    switch (below(r, 6)) {
    case 0:
        ADD(r, c->payer, TX_CHANNEL_TOPUP, tx_channel_topup, c->id, amount_of(below(r, 9999)));
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

static void reveal_or_commit(struct run *r, const struct rec_settlement *s, const struct audit_draw *d,
                             const struct tx_audit_reveal *body)
{
    struct world *w = r->w;
    unsigned who = below(r, 16) ? number_of(w, &d->auditor) : someone(r);
    if (s->state == SETTLEMENT_REVEALING || below(r, 16) == 0) {
        tx_audit_reveal_put(world_body(w), body);
        add(r, who, TX_AUDIT_REVEAL, bytes_of_buf(&w->body));
    } else {
        ADD(r, who, TX_AUDIT_COMMIT, tx_audit_commit, s->id, d->index, tx_audit_commitment(body, &w->key[who]));
    }
}

/* A step of whoever was drawn, or a challenge. What an auditor says is fixed by draw and seed, so that most reveals
 * fit. */
static void add_audit(struct run *r)
{
    struct world *w = r->w;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    unsigned i = 0, tries = 0;
    do {
        if (r->settlements == 0 || tries++ == 8 * CHANNELS)
            return;
        i = below(r, r->settlements);
    } while (!ledger_settlement(w->ledger, &r->settlement[i], &s) || s.state >= SETTLEMENT_PAID);
    const struct world_channel *c = &r->channel[r->settled_by[i]];
    uint32_t n = settlement_audits(&s);
    struct audit_draw d = {.index = s.count - 1};
    if (n)
        for (unsigned k = 0; k < 4 && (k == 0 || d.round != s.round || d.verdict != AUDIT_PENDING); k++)
            d = settlement_audit_at(&s, below(r, n));
    if (d.index >= c->n)
        return;
    /* Most agree on what they see, and half of the receipts are bad; one of seven says the first thing that he can. */
    unsigned mood = (number_of(w, &d.auditor) + s.id.b[1]) % 7 ? (d.index + s.id.b[0]) % 6 : 0;
    enum audit_verdict verdict = mood < 3 ? AUDIT_MATCH : mood < 5 ? AUDIT_MISMATCH : AUDIT_WITHHELD;
    bool challenges = below(r, s.state == SETTLEMENT_WAITING ? 4 : 12) == 0;
    struct tx_audit_reveal body = world_audit(w, c, &s.id, d.index, challenges ? AUDIT_MATCH : verdict, room);
    if (challenges)
        ADD(r, someone(r), TX_CHALLENGE, tx_challenge, s.id, d.index, body.receipt, body.proof);
    else
        reveal_or_commit(r, &s, &d, &body);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
}

/* The next place of a ring. */
static struct hash *place(struct hash ids[IDS], unsigned *n)
{
    return &ids[(*n)++ % IDS];
}

static struct hash some_id(struct run *r, const struct hash ids[IDS], unsigned n)
{
    return n ? ids[below(r, n < IDS ? n : IDS)] : world_root(0);
}

/* The right key, a wrong one, or what does not open. */
static void add_release(struct run *r, const struct rec_grant *g, const struct world_data *d)
{
    struct buf sealed = {0};
    uint8_t key[32];
    unsigned how = below(r, 4);
    memcpy(key, d->key, sizeof key);
    key[7] ^= how == 0;
    CHECK(seal_to_key(&sealed, &g->key, &r->w->secret[someone(r)], key, sizeof key));
    sealed.p[40] ^= how == 1;
    ADD(r, below(r, 8) ? number_of(r->w, &g->seller) : someone(r), TX_KEY_RELEASE, tx_key_release, g->id,
        bytes_of(sealed.p, sealed.n - (below(r, 16) == 0)));
    buf_clear(&sealed);
}

static void add_dispute(struct run *r, const struct rec_grant *g, const struct world_data *d)
{
    struct hash room[2][LEAF_PROOF_MAX];
    struct tx_data_dispute body = {0};
    if (below(r, 3))
        body = world_dispute(d, below(r, WORLD_DATA_LEAVES), room);
    body.grant = g->id;
    memcpy(body.secret.b, r->w->secret[number_of(r->w, &g->key)].b, sizeof body.secret.b);
    tx_data_dispute_put(world_body(r->w), &body);
    add(r, below(r, 8) ? number_of(r->w, &g->buyer) : someone(r), TX_DATA_DISPUTE, bytes_of_buf(&r->w->body));
}

static void add_grant(struct run *r)
{
    struct world *w = r->w;
    struct rec_grant g;
    struct hash id;
    unsigned set = below(r, SETS), tries = 0;
    bool found;
    do {
        id = some_id(r, r->grant, r->grants);
        found = ledger_grant(w->ledger, &id, &g) && g.state != GRANT_PAID;
    } while (!found && ++tries < IDS);
    if (!found || below(r, 4) == 0) {
        id = merkle_tree_root(r->data[set].plain_tree);
        ADD(r, 4 + below(r, 8), TX_DATA_GRANT, tx_data_grant, id, w->key[someone(r)]);
        *place(r->grant, &r->grants) = w->last_id;
        return;
    }
    for (set = 0; set + 1 < SETS; set++) {
        id = merkle_tree_root(r->data[set].plain_tree);
        if (hash_equal(&id, &g.data))
            break;
    }
    if (g.state == GRANT_OPEN && below(r, 8))
        add_release(r, &g, &r->data[set]);
    else
        add_dispute(r, &g, &r->data[set]);
}

static void add_bounty(struct run *r)
{
    struct world *w = r->w;
    struct rec_bounty b;
    struct rec_model model;
    struct rec_data data;
    struct rec_offer offer;
    struct hash id = some_id(r, r->bounty, r->bounties), root = world_root((uint8_t)(1 + below(r, 4)));
    bool offered = ledger_offer_next(w->ledger, below(r, 2) ? &id : NULL, &offer) && below(r, 2);
    if (offered) {
        id = offer.bounty;
        root = offer.root;
    }
    if (!ledger_bounty(w->ledger, &id, &b) || below(r, 4) == 0) {
        ADD(r, someone(r), TX_BOUNTY_POST, tx_bounty_post, .wants = (uint8_t)(below(r, 9) % 3), .title = {1, "b"},
            .amount = some_money(r), .deadline_ms = w->time_ms + below(r, 300000));
        *place(r->bounty, &r->bounties) = w->last_id;
        return;
    }
    if (offered || below(r, 4) == 0) {
        ADD(r, below(r, 8) ? number_of(w, &b.poster) : someone(r), TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root);
        return;
    }
    unsigned who = someone(r);
    if (b.wants == LINEAGE_MODEL && ledger_model(w->ledger, &root, &model))
        who = number_of(w, &model.publisher);
    if (b.wants == LINEAGE_DATA && ledger_data(w->ledger, &root, &data))
        who = number_of(w, &data.owner);
    ADD(r, who, TX_BOUNTY_OFFER, tx_bounty_offer, id, root);
}

static void add_beacon_key(struct run *r)
{
    struct tx_beacon_key body;
    memset(body.key.b, (int)below(r, 4), sizeof body.key.b);
    if (below(r, 2))
        body.key = vrf_public_of(&(struct vrf_secret){{(uint8_t)below(r, 200)}});
    tx_beacon_key_put(world_body(r->w), &body);
    add(r, someone(r), TX_BEACON_KEY, bytes_of_buf(&r->w->body));
}

/* Two votes of anybody, at a height around now, signed but for now and then. */
static void add_evidence(struct run *r)
{
    struct world *w = r->w;
    struct vote v[2];
    struct tx_evidence body;
    unsigned who = someone(r);
    uint64_t now = ledger_info(w->ledger).height + 1, back = below(r, 30);
    for (int i = 0; i < 2; i++) {
        v[i] = (struct vote){.kind = VOTE_PREVOTE, .height = now > back ? now - back : 1, .valid_round = VOTE_NO_ROUND};
        v[i].value.b[0] = (uint8_t)(i + 1);
        struct hash h = vote_hash(&v[i], &w->chain);
        key_sign_hash(&w->secret[below(r, 8) ? who : 0], &h, NULL, &v[i].sig);
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
static void add_rule(struct run *r)
{
    struct world *w = r->w;
    struct pubkey keys[4];
    unsigned who = 8 + below(r, WORLD_KEYS - 8), n = below(r, 5);
    for (unsigned i = 0; i < n; i++)
        keys[i] = w->key[someone(r)];
    qsort(keys, n, sizeof *keys, compare_keys);
    ADD(r, who, TX_ACCOUNT_RULE, tx_account_rule, (uint8_t)below(r, n + 2), {keys[0].b, n});
    r->closed[who] = true;
}

/* The same block on the second ledger, with trouble. */
static void mirror(struct run *r, const struct ledger_block *block)
{
    const struct ledger_result *result;
    struct note note = {{0}};
    if (below(r, 6) == 0) { /* finalized, then power is cut */
        assert_int_equal(ledger_finalize(r->second, block, &result, &note), ERR_OK);
        kv_mem_fail(r->kv, 1, ERR_FULL);
        assert_int_equal(ledger_commit(r->second, NULL, &note), ERR_FULL);
        kv_mem_fail(r->kv, 0, ERR_OK);
        ledger_close(r->second);
        kv_mem_crash(r->kv);
        assert_int_equal(ledger_open(r->kv, NULL, &r->second, &note), ERR_OK);
        assert_true(ledger_info(r->second).height == block->height - 1);
    }
    assert_int_equal(ledger_finalize(r->second, block, &result, &note), ERR_OK);
    if (below(r, 4) == 0) {
        kv_mem_fail(r->kv, 1, ERR_IO);
        assert_int_equal(ledger_commit(r->second, NULL, &note), ERR_IO);
        kv_mem_fail(r->kv, 0, ERR_OK);
    }
    assert_int_equal(ledger_commit(r->second, NULL, &note), ERR_OK);
    assert_true(hash_equal(&result->state_root, &r->w->result->state_root));
    assert_int_equal(result->events_n, r->w->result->events_n);
}

static void (*const add_kind[])(struct run *r) = {
    add_audit,        add_audit,   add_audit,      add_audit,   add_money,   add_money, add_registration,
    add_registration, add_channel, add_channel,    add_channel, add_channel, add_audit, add_audit,
    add_grant,        add_grant,   add_beacon_key, add_bounty,  add_bounty,  add_rule,
};

struct changed {
    unsigned n;
    struct buf key, value;
};

static void note_change(void *arg, struct bytes key, struct bytes value)
{
    struct changed *c = arg;
    c->n++;
    buf_reset(&c->key);
    buf_reset(&c->value);
    buf_add(&c->key, key.p, key.n);
    buf_add(&c->value, value.p, value.n);
}

/* On its own behind the last block, a transaction that fails changes its signer's account by fee and nonce and
 * nothing else, and taking any back gives the same root. */
static void undo_is_exact(struct run *r, struct bytes raw)
{
    struct ledger *l = r->w->ledger;
    struct ledger_info info = ledger_info(l);
    struct apply_events events = {0};
    struct note note;
    struct tx t;
    struct hash id;
    struct rec_account before, after;
    struct changed c = {0};
    bool charged;
    assert_int_equal(ledger_verify(l, raw, &t, &id, &note), ERR_OK);
    if (!ledger_account(l, &t.signer, &before) || before.nonce != t.nonce)
        return;
    struct apply a = ledger_apply(l, info.height + 1, info.time_ms, &events);
    struct state_mark mark = state_mark(&l->state);
    a.note = &note;
    enum err e = apply_tx(&a, &t, &id, &charged);
    assert_true(charged);
    tree_changes(l->state.tree, note_change, &c);
    if (e != ERR_OK) {
        struct cursor at = cursor_of(bytes_of_buf(&c.value));
        rec_account_get(&at, &after);
        assert_true(c.n == 1 && c.key.p[0] == STATE_ACCOUNT && cursor_end(&at));
        assert_true(after.nonce == t.nonce + 1 && before.balance.mote - after.balance.mote == t.fee.mote);
        assert_int_equal(events.n, 0);
    }
    state_undo(&l->state, &mark);
    struct hash root = tree_root(l->state.tree);
    assert_true(hash_equal(&root, &info.state_root));
    buf_clear(&c.key);
    buf_clear(&c.value);
    free(events.at);
}

static void one_block(struct run *r)
{
    struct world *w = r->w;
    struct bytes txs[WORLD_TXS];
    for (unsigned n = below(r, 8); n > 0; n--)
        add_kind[below(r, sizeof add_kind / sizeof *add_kind)](r);
    uint64_t seed = r->seed; /* beside the others, whose sequence is as if there were none */
    if (below(r, 4) == 0)
        add_evidence(r);
    r->seed = seed;
    memset(r->closed, 0, sizeof r->closed);
    struct ledger_info before = ledger_info(w->ledger);
    uint32_t count = w->n;
    for (uint32_t i = 0; i < count; i++)
        undo_is_exact(r, txs[i] = bytes_of_buf(&w->txs[i]));
    w->step_ms = below(r, 12) ? below(r, 3000) : below(r, 200000);
    (void)world_block(w);
    for (uint32_t i = 0; i < count; i++) {
        struct tx t;
        assert_int_equal(tx_decode(txs[i], &t, NULL), ERR_OK);
        (*(w->result->codes[i] ? &r->seen->bad : &r->seen->good))[t.kind]++;
        r->seen->codes[w->result->codes[i]]++;
    }
    for (uint32_t i = 0; i < w->result->events_n; i++)
        r->seen->events[w->result->events[i].kind]++;
    struct ledger_block block = {.height = before.height + 1, .time_ms = w->time_ms, .beacon = before.block};
    block.id = ledger_info(w->ledger).block;
    block.proposer = w->key[0];
    block.txs = txs;
    block.n = count;
    mirror(r, &block);
}

static void run_seed(uint64_t seed, struct seen *seen)
{
    struct run *r = mem_new(sizeof *r);
    struct note note;
    print_message("seed %llu\n", (unsigned long long)seed);
    r->seed = seed;
    r->seen = seen;
    struct params params = params_private();
    params.pause_bps = seed % 2 ? params.pause_bps : BPS_ALL; /* in every other run slashing never pauses... */
    params.audit_epoch_ms = 100000000;                        /* ...in the rest it soon does, for good */
    params.audit_window_ms = params.audit_reveal_ms = 100000; /* time enough for most */
    r->w = world_new(&params);
    r->kv = kv_mem_open();
    assert_int_equal(ledger_open(r->kv, &r->w->genesis, &r->second, &note), ERR_OK);
    /* A start that gives the market someone to deal with: five owners that serve and audit models 1 to 3. */
    for (unsigned i = 1; i <= 5; i++) {
        struct hash models[3] = {world_root(1), world_root(2), world_root(3)};
        WORLD_ADD(r->w, i, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(50 * MOTE_PER_KITH));
        WORLD_ADD(r->w, i, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(i * MOTE_PER_KITH));
        if (i <= 3) {
            struct tx_model_publish body = {.root = models[i - 1], .size = 1, .tensors = {models[i - 1].b, 1}};
            body.tensors_root = tx_tensors_root(&body.tensors);
            body.royalty_bps = 777;
            body.name = (struct text64){1, {(char)('A' + i)}};
            tx_model_publish_put(world_body(r->w), &body);
            world_add(r->w, i, TX_MODEL_PUBLISH, bytes_of_buf(&r->w->body));
        }
    }
    for (unsigned i = 1; i <= 5; i++) {
        struct hash models[3] = {world_root(1), world_root(2), world_root(3)};
        WORLD_ADD(r->w, i, TX_PROVIDER, tx_provider, .node = r->w->key[i], .models = {models[0].b, 3}, .audits = true);
    }
    for (unsigned i = 0; i < SETS; i++) {
        world_data_new(&r->data[i], (uint8_t)(50 + i));
        struct tx_data_contribute body = world_data_body(&r->data[i], i * MOTE_PER_KITH);
        tx_data_contribute_put(world_body(r->w), &body);
        world_add(r->w, 1 + i, TX_DATA_CONTRIBUTE, bytes_of_buf(&r->w->body));
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        one_block(r);
    for (unsigned i = 0; i < SETS; i++)
        world_data_clear(&r->data[i]);
    ledger_close(r->second);
    kv_close(r->kv);
    world_free(r->w);
    free(r);
}

static void print_seen(const struct seen *seen)
{
    for (unsigned i = 0; i < ERR_COUNT; i++)
        if (seen->codes[i])
            print_message("%6u %s\n", seen->codes[i], err_name((enum err)i));
    for (unsigned i = 0; i < LEDGER_EVENT_KINDS; i++)
        print_message("%6u %s\n", seen->events[i], ledger_event_name((enum ledger_event_kind)i));
    for (unsigned i = 0; i < 256; i++)
        if (tx_kind_name((uint8_t)i))
            print_message("%6u with effect, %6u without: %s\n", seen->good[i], seen->bad[i], tx_kind_name((uint8_t)i));
}

/* The sequences reach what they are for: every kind with effect and without, every event. */
static void check_seen(const struct seen *seen)
{
    static const enum err reached[] = {ERR_FUNDS, ERR_RANGE,    ERR_EXISTS, ERR_NOT_FOUND, ERR_REFUSED,
                                       ERR_STATE, ERR_MISMATCH, ERR_AUTH,   ERR_FORMAT,    ERR_DUPLICATE};
    print_seen(seen);
    for (size_t i = 0; i < sizeof reached / sizeof *reached; i++)
        assert_true(seen->codes[reached[i]] > 0);
    for (unsigned i = 0; i < LEDGER_EVENT_KINDS; i++)
        assert_true(seen->events[i] > 0);
#define K(number, name, record, work) assert_true(seen->good[number] > 0 && seen->bad[number] > 0);
    TX_KIND_LIST(K)
#undef K
}

static void supply_holds_and_roots_agree(void **state)
{
    (void)state;
    static struct seen seen;
    const char *one = getenv("KITH_SEED"), *many = getenv("KITH_SEEDS");
    if (one) {
        run_seed(strtoull(one, NULL, 10), &seen);
        return;
    }
    uint64_t seeds = many ? strtoull(many, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run_seed(seed, &seen);
    check_seen(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supply_holds_and_roots_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
