/* A ledger to test with, and the check of its supply. */
#include "tests/world.h"

#include "base/mem.h"
#include "base/seal.h"
#include "chain/state.h"
#include "chain/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_keys(struct world *w)
{
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        memset(w->secret[i].b, (int)(i + 1), sizeof w->secret[i].b);
        key_derive(&w->secret[i], &w->key[i]);
    }
}

static void make_genesis(struct world *w, const struct params *params, uint64_t fund)
{
    struct genesis_holder holders[WORLD_KEYS], validator = {w->key[0], amount_of(1000 * MOTE_PER_KITH)};
    struct genesis *g = &w->genesis;
    struct note note = {{0}};
    for (unsigned i = 1; i < WORLD_KEYS; i++)
        holders[i - 1] = (struct genesis_holder){w->key[i], amount_of(fund)};
    CHECK(genesis_list(holders, WORLD_KEYS - 1, &w->genesis_room, &note) == ERR_OK);
    size_t middle = w->genesis_room.n;
    CHECK(genesis_list(&validator, 1, &w->genesis_room, &note) == ERR_OK);
    g->version = GENESIS_VERSION;
    CHECK(text64_set(&g->name, "test") && text64_set(&g->prefix, ADDRESS_PREFIX_PRIVATE));
    g->params = params ? *params : params_private();
    if (g->params.gap_ms ==
        params_private().gap_ms) /* who tests nothing of halts has blocks as far apart as he likes */
        g->params.gap_ms = UINT64_C(3650) * 86400000;
    g->time_ms = w->time_ms;
    g->accounts = bytes_of(w->genesis_room.p, middle);
    g->validators = bytes_of(w->genesis_room.p + middle, w->genesis_room.n - middle);
    w->chain = genesis_chain_id(g);
}

struct world *world_new(const struct params *params)
{
    return world_new_rich(params, WORLD_FUND);
}

struct world *world_new_rich(const struct params *params, uint64_t fund)
{
    struct world *w = mem_new(sizeof *w);
    struct note note = {{0}};
    w->kv = kv_mem_open();
    w->time_ms = 1000000;
    w->step_ms = 1000;
    make_keys(w);
    make_genesis(w, params, fund);
    CHECK(ledger_open(w->kv, &w->genesis, &w->ledger, &note) == ERR_OK);
    supply_check(w->kv);
    return w;
}

void world_free(struct world *w)
{
    ledger_close(w->ledger);
    kv_close(w->kv);
    buf_clear(&w->genesis_room);
    buf_clear(&w->body);
    for (unsigned i = 0; i < WORLD_TXS; i++)
        buf_clear(&w->txs[i]);
    free(w);
}

void world_reopen(struct world *w)
{
    struct note note = {{0}};
    ledger_close(w->ledger);
    if (ledger_open(w->kv, NULL, &w->ledger, &note) != ERR_OK) {
        fprintf(stderr, "reopen: %s\n", note.text);
        abort();
    }
}

struct buf *world_body(struct world *w)
{
    buf_reset(&w->body);
    return &w->body;
}

/* The signatures that the account's rule asks for, by the first of its keys that are ours. */
static void cosign(struct world *w, struct tx *t, const struct rec_rule *rule, struct buf *cosigs)
{
    for (uint32_t i = 0, left = rule->k; i < rule->keys.n && left; i++)
        for (unsigned k = 0; k < WORLD_KEYS; k++) {
            struct hash key = hashes_at(&rule->keys, i), id = tx_id(t);
            struct cosig one = {.key = w->key[k]};
            if (memcmp(key.b, one.key.b, sizeof key.b) != 0)
                continue;
            key_sign_hash(&w->secret[k], &id, NULL, &one.sig);
            cosig_put(cosigs, &one);
            left--;
        }
    CHECK(cosigs->n == (size_t)rule->k * COSIG_SIZE);
    t->sigs = (struct sigs){.n = rule->k, .cosigs = cosigs->p};
}

void world_add(struct world *w, unsigned who, enum tx_kind kind, struct bytes body)
{
    struct tx t = {.kind = (uint8_t)kind, .body = body};
    struct rec_rule rule;
    struct buf draft = {0}, cosigs = {0}, *out = &w->txs[w->n++];
    CHECK(w->n <= WORLD_TXS);
    bool ruled = ledger_rule(w->ledger, &w->key[who], &rule);
    if (ruled)
        cosign(w, &t, &rule, &cosigs);
    tx_put(&draft, &t);
    tx_sign(&t, &w->chain, &w->secret[who], w->nonce[who]++,
            ledger_fee(w->ledger, draft.n, tx_work(&t) + (ruled ? rule.k : 0u)));
    buf_reset(&cosigs);
    if (ruled)
        cosign(w, &t, &rule, &cosigs);
    buf_reset(out);
    tx_put(out, &t);
    w->last_id = tx_id(&t);
    buf_clear(&draft);
    buf_clear(&cosigs);
}

void world_add_raw(struct world *w, struct bytes raw)
{
    struct buf *out = &w->txs[w->n++];
    CHECK(w->n <= WORLD_TXS);
    buf_reset(out);
    buf_add(out, raw.p, raw.n);
    w->last_id = tx_id_of(raw);
}

enum err world_block(struct world *w)
{
    struct bytes txs[WORLD_TXS];
    struct note note = {{0}};
    struct ledger_info before = ledger_info(w->ledger);
    struct ledger_block block = {.height = before.height + 1, .proposer = w->key[0], .txs = txs, .n = w->n};
    for (uint32_t i = 0; i < w->n; i++)
        txs[i] = bytes_of_buf(&w->txs[i]);
    block.time_ms = w->time_ms += w->step_ms;
    block.beacon = before.block;
    block.id = hash_once(HASH_HEADER, &block.time_ms, sizeof block.time_ms);
    if ((!w->unjudged && ledger_process(w->ledger, txs, w->n, &note) != ERR_OK) ||
        ledger_finalize(w->ledger, &block, &w->result, &note) != ERR_OK ||
        ledger_commit(w->ledger, NULL, &note) != ERR_OK) {
        fprintf(stderr, "block: %s\n", note.text);
        abort();
    }
    w->n = 0;
    supply_check(w->kv);
    for (uint32_t i = 0; i < block.n; i++)
        if (w->result->codes[i])
            return w->result->codes[i];
    return ERR_OK;
}

void world_claim(struct world *w, unsigned who, enum tx_kind kind, struct bytes body)
{
    struct tx_claim claim = {tx_claim_commitment(&w->chain, &w->key[who], (uint8_t)kind, body)};
    struct buf b = {0};
    struct rec_claim known;
    if (!ledger_claim(w->ledger, &w->key[who], &claim.commit, &known)) {
        tx_claim_put(&b, &claim);
        world_add(w, who, TX_CLAIM, bytes_of_buf(&b));
        CHECK(world_block(w) == ERR_OK && ledger_claim(w->ledger, &w->key[who], &claim.commit, &known));
        buf_clear(&b);
    }
    while (ledger_info(w->ledger).height + 1 < known.height + w->genesis.params.claim_blocks)
        CHECK(world_block(w) == ERR_OK);
}

enum err world_do(struct world *w, unsigned who, enum tx_kind kind, struct bytes body)
{
    if (tx_is_claimed((uint8_t)kind) && w->genesis.params.claim_blocks)
        world_claim(w, who, kind, body);
    world_add(w, who, kind, body);
    return world_block(w);
}

uint64_t world_balance(const struct world *w, unsigned who)
{
    struct rec_account account;
    ledger_account(w->ledger, &w->key[who], &account);
    return account.balance.mote;
}

const struct ledger_event *world_event(const struct world *w, enum ledger_event_kind kind, unsigned n)
{
    for (uint32_t i = 0; i < w->result->events_n; i++)
        if (w->result->events[i].kind == kind && n-- == 0)
            return &w->result->events[i];
    return NULL;
}

/* -- the market -- */

struct hash world_root(uint8_t b)
{
    struct hash h;
    memset(h.b, b, sizeof h.b);
    return h;
}

enum err world_publish(struct world *w, unsigned who, uint8_t b, uint16_t royalty_bps, uint16_t derive_bps,
                       const struct lineage_entry *lineage, unsigned lineage_n)
{
    struct hash root = world_root(b);
    struct buf parents = {0};
    char name[16];
    for (unsigned i = 0; i < lineage_n; i++)
        lineage_entry_put(&parents, &lineage[i]);
    struct tx_model_publish body = {.root = root,
                                    .size = 1000,
                                    .royalty_bps = royalty_bps,
                                    .derive_bps = derive_bps,
                                    .tensors = {root.b, 1},
                                    .lineage = bytes_of_buf(&parents)};
    body.tensors_root = tx_tensors_root(&body.tensors);
    snprintf(name, sizeof name, "model-%u", b);
    CHECK(text64_set(&body.name, name));
    tx_model_publish_put(world_body(w), &body);
    buf_clear(&parents);
    return world_do(w, who, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
}

enum err world_contribute(struct world *w, unsigned who, uint8_t b, bool train, uint16_t share_bps)
{
    struct tx_data_contribute body = {.cipher_root = world_root((uint8_t)(b ^ 0x80)),
                                      .plain_root = world_root(b),
                                      .size = 10,
                                      .train = train,
                                      .share_bps = share_bps};
    CHECK(text64_set(&body.name, "data"));
    tx_data_contribute_put(world_body(w), &body);
    return world_do(w, who, TX_DATA_CONTRIBUTE, bytes_of_buf(&w->body));
}

enum err world_provide(struct world *w, unsigned owner, unsigned node, uint8_t b, bool audits)
{
    struct hash root = world_root(b);
    struct tx_provider body = {.node = w->key[node], .models = {root.b, 1}, .audits = audits};
    CHECK(text255_set(&body.endpoint, "127.0.0.1:7718"));
    if (node != owner)
        tx_consent_sign(&w->chain, &w->key[owner], &w->secret[node], &body.node_sig);
    tx_provider_put(world_body(w), &body);
    return world_do(w, owner, TX_PROVIDER, bytes_of_buf(&w->body));
}

enum err world_open(struct world *w, struct world_channel *c, unsigned payer, unsigned node, uint8_t b, uint64_t mote)
{
    *c = (struct world_channel){.payer = payer, .node = node};
    enum err e = WORLD_DO(w, payer, TX_CHANNEL_OPEN, tx_channel_open, w->key[node], world_root(b), amount_of(mote));
    c->id = tx_channel_id(&w->last_id);
    return e;
}

void world_job(struct world_channel *c, uint64_t price)
{
    struct receipt *r = &c->receipts[c->n];
    *r = (struct receipt){.job = world_root((uint8_t)(c->n + 1)),
                          .channel = c->id,
                          .tokens_in = 10,
                          .tokens_out = 20,
                          .price = amount_of(price)};
    struct hash salt = world_root(55), secret = world_root(66), digest = plant_digest(&secret);
    r->digest_commit = receipt_commit(salt.b, bytes_of(digest.b, sizeof digest.b));
    c->leaves[c->n++] = sum_leaf(r);
}

struct tx_channel_settle world_voucher(const struct world *w, const struct world_channel *c)
{
    struct tx_channel_settle body = {0};
    struct sum_node top;
    CHECK(sum_tree_top(c->leaves, c->n, &top));
    body.voucher = (struct voucher){.chain = w->chain,
                                    .channel = c->id,
                                    .cumulative = top.amount,
                                    .tokens_in = top.tokens_in,
                                    .tokens_out = top.tokens_out,
                                    .receipts = c->n,
                                    .receipts_root = sum_root(&top, c->n)};
    body.sum_top = top.hash;
    voucher_sign(&body.voucher, &w->secret[c->payer], &body.payer_sig);
    return body;
}

enum err world_settle(struct world *w, const struct world_channel *c)
{
    struct tx_channel_settle body = world_voucher(w, c);
    tx_channel_settle_put(world_body(w), &body);
    return world_do(w, c->node, TX_CHANNEL_SETTLE, bytes_of_buf(&w->body));
}

struct tx_audit_reveal world_audit(const struct world *w, const struct world_channel *c, const struct hash *settlement,
                                   uint32_t index, enum audit_verdict verdict, struct buf room[2])
{
    struct tx_audit_reveal body = {.settlement = *settlement, .index = index, .verdict = (uint8_t)verdict};
    body.salt = world_root(77);
    struct signed_receipt r = {.receipt = c->receipts[index]};
    buf_reset(&room[0]);
    buf_reset(&room[1]);
    if (verdict == AUDIT_WITHHELD)
        return body;
    receipt_sign(&r.receipt, &w->secret[c->node], &r.sig);
    signed_receipt_put(&room[0], &r);
    CHECK(sum_tree_prove(c->leaves, c->n, index, &room[1]));
    body.receipt = bytes_of_buf(&room[0]);
    body.proof = bytes_of_buf(&room[1]);
    body.digest = world_root(9);
    body.witness = world_root(88);
    return body;
}

struct tx_plant world_plant(const struct world *w, const struct world_channel *c, const struct hash *settlement,
                            uint32_t index, struct buf room[2])
{
    struct tx_audit_reveal shown = world_audit(w, c, settlement, index, AUDIT_MISMATCH, room);
    return (struct tx_plant){*settlement, index, shown.receipt, shown.proof, world_root(55), world_root(66)};
}

enum err world_commit(struct world *w, unsigned who, const struct tx_audit_reveal *r)
{
    struct hash commit = tx_audit_commitment(r, &w->key[who]);
    return WORLD_DO(w, who, TX_AUDIT_COMMIT, tx_audit_commit, r->settlement, r->index, commit);
}

enum err world_reveal(struct world *w, unsigned who, const struct tx_audit_reveal *r)
{
    tx_audit_reveal_put(world_body(w), r);
    return world_do(w, who, TX_AUDIT_REVEAL, bytes_of_buf(&w->body));
}

enum err world_verdict(struct world *w, unsigned who, const struct tx_audit_reveal *r)
{
    enum err e = world_commit(w, who, r);
    return e ? e : world_reveal(w, who, r);
}

void world_draw(struct world *w)
{
    for (unsigned i = 0; i < AUDIT_DRAW_BLOCKS; i++)
        CHECK(world_block(w) == ERR_OK);
}

void world_wait(struct world *w, uint64_t ms)
{
    uint64_t step_ms = w->step_ms, until_ms = w->time_ms - ledger_info(w->ledger).stood_ms + ms;
    for (struct ledger_info i = ledger_info(w->ledger); i.time_ms - i.stood_ms < until_ms; i = ledger_info(w->ledger)) {
        uint64_t end_ms = until_ms + i.stood_ms;
        uint64_t next_ms = i.wants_block ? i.time_ms + 1000 : i.next_due_ms ? i.next_due_ms : end_ms;
        w->step_ms = (next_ms < end_ms ? next_ms : end_ms) - i.time_ms;
        CHECK(world_block(w) == ERR_OK);
    }
    w->step_ms = step_ms;
}

enum settlement_state world_settled(struct world *w, const struct hash *settlement)
{
    struct rec_settlement s;
    for (unsigned i = 0; i < AUDIT_DRAW_BLOCKS + 2; i++) {
        CHECK(ledger_settlement(w->ledger, settlement, &s));
        if (s.state != SETTLEMENT_WAITING)
            break;
        CHECK(world_block(w) == ERR_OK);
    }
    return (enum settlement_state)s.state;
}

/* -- data for sale -- */

void world_data_new(struct world_data *d, uint8_t seed)
{
    memset(d->key, seed, sizeof d->key);
    for (size_t i = 0; i < sizeof d->plain; i++)
        d->plain[i] = (uint8_t)(i * 31 + seed);
    struct hash leaves[WORLD_DATA_LEAVES];
    for (unsigned i = 0; i < WORLD_DATA_LEAVES; i++) {
        uint32_t n = merkle_leaf_size(sizeof d->plain, i);
        const uint8_t *p = d->plain + (size_t)i * LEAF_SIZE;
        leaves[i] = data_leaf_hash(d->key, i, p, n);
        seal_stream(d->cipher + (size_t)i * LEAF_SIZE, d->key, i, p, n);
    }
    d->plain_tree = merkle_tree_new(leaves, WORLD_DATA_LEAVES, sizeof d->plain);
    d->cipher_tree = merkle_tree_of(d->cipher, sizeof d->cipher);
}

void world_data_clear(struct world_data *d)
{
    merkle_tree_free(d->plain_tree);
    merkle_tree_free(d->cipher_tree);
}

struct tx_data_contribute world_data_body(const struct world_data *d, uint64_t price)
{
    struct tx_data_contribute body = {.cipher_root = merkle_tree_root(d->cipher_tree),
                                      .plain_root = merkle_tree_root(d->plain_tree),
                                      .size = sizeof d->plain,
                                      .train = true,
                                      .price = amount_of(price)};
    CHECK(text64_set(&body.name, "data"));
    return body;
}

struct tx_data_dispute world_dispute(const struct world_data *d, uint64_t i, struct hash room[2][LEAF_PROOF_MAX])
{
    struct tx_data_dispute body = {.index = i,
                                   .leaf = bytes_of(d->cipher + i * LEAF_SIZE, merkle_leaf_size(sizeof d->plain, i)),
                                   .plain_leaf = *merkle_tree_leaf(d->plain_tree, i)};
    body.leaf_proof = (struct hashes){room[0][0].b, merkle_tree_proof(d->cipher_tree, i, room[0])};
    body.plain_proof = (struct hashes){room[1][0].b, merkle_tree_proof(d->plain_tree, i, room[1])};
    return body;
}

/* -- supply -- */

struct sums {
    uint64_t balances, locked;
    struct rec_totals totals;
    struct tree *tree; /* built again, in the order of the scan */
};

#define READ(record)                                                                                                   \
    struct record r;                                                                                                   \
    struct buf again = {0};                                                                                            \
    record##_get(&c, &r);                                                                                              \
    CHECK(cursor_end(&c));                                                                                             \
    record##_put(&again, &r);                                                                                          \
    CHECK(bytes_equal(bytes_of_buf(&again), value));                                                                   \
    buf_clear(&again);

/* Of records that hold money, what is balance and what is locked. False: none of these. */
static bool add_money(struct sums *s, uint8_t cls, struct cursor c, struct bytes value)
{
    switch (cls) {
    case STATE_ACCOUNT: {
        READ(rec_account)
        s->balances += r.balance.mote;
        return true;
    }
    case STATE_BOND: {
        READ(rec_bond)
        s->locked += r.amount.mote;
        return true;
    }
    case STATE_UNBONDING: {
        READ(rec_unbonding)
        s->locked += r.amount.mote;
        return true;
    }
    case STATE_MODEL: {
        READ(rec_model)
        s->locked += r.bond.mote;
        return true;
    }
    case STATE_CHANNEL: {
        READ(rec_channel)
        s->locked += r.deposit.mote - r.settled.mote;
        return true;
    }
    case STATE_GRANT: {
        READ(rec_grant)
        s->locked += (r.state == GRANT_PAID ? 0 : r.price.mote) + r.bond.mote;
        return true;
    }
    case STATE_BOUNTY: {
        READ(rec_bounty)
        s->locked += r.state == BOUNTY_OPEN ? r.amount.mote : 0;
        return true;
    }
    case STATE_SETTLEMENT: {
        READ(rec_settlement)
        s->locked += (r.state < SETTLEMENT_PAID ? r.amount.mote : 0) + r.challenge_bond.mote;
        return true;
    }
    case STATE_DOUBT: {
        READ(rec_doubt)
        CHECK((r.state < DOUBT_RIGHT) == (r.bond.mote > 0));
        s->locked += r.bond.mote;
        return true;
    }
    case STATE_TOTALS: {
        READ(rec_totals)
        s->totals = r;
        return true;
    }
    default:
        return false;
    }
}

/* Of the others, that they are what they encode to. */
static void check_one(uint8_t cls, struct cursor c, struct bytes value)
{
    switch (cls) {
    case STATE_CLAIM: {
        READ(rec_claim)
        break;
    }
    case STATE_YOUNG: {
        READ(rec_young)
        break;
    }
    case STATE_STOOD: {
        READ(rec_stood)
        break;
    }
    case STATE_OFFER: {
        READ(rec_offer)
        break;
    }
    case STATE_RULE: {
        READ(rec_rule)
        break;
    }
    case STATE_OFFICE: {
        READ(rec_office)
        CHECK(!r.banned || r.punished.n);
        break;
    }
    case STATE_EPOCH: {
        READ(rec_epoch)
        break;
    }
    case STATE_FEES: {
        READ(rec_fees)
        break;
    }
    default:
        break;
    }
}

static bool add_one(void *arg, struct bytes key, struct bytes value)
{
    struct sums *s = arg;
    tree_put(s->tree, bytes_of(key.p + 1, key.n - 1), value);
    if (!add_money(s, key.p[1], cursor_of(value), value))
        check_one(key.p[1], cursor_of(value), value);
    return true;
}

void supply_check(struct kv *kv)
{
    const char prefix = KV_STATE, head_key[] = {KV_META, 'h', 'e', 'a', 'd'};
    struct sums s = {.tree = tree_new("")};
    struct buf head = {0};
    CHECK(kv_scan(kv, bytes_of(&prefix, 1), add_one, &s, NULL) == ERR_OK);
    CHECK(s.balances == s.totals.balances.mote);
    CHECK(s.locked == s.totals.locked.mote);
    CHECK(s.balances + s.locked + s.totals.funds.mote + s.totals.burned.mote ==
          s.totals.genesis.mote + s.totals.issued.mote);
    /* The stored root is that of the stored records. */
    struct hash root = tree_root(s.tree);
    CHECK(kv_get(kv, bytes_of(head_key, sizeof head_key), &head, NULL) == ERR_OK);
    CHECK(memcmp(head.p + 8 + 8 + HASH_SIZE, root.b, HASH_SIZE) == 0);
    buf_clear(&head);
    tree_free(s.tree);
}
