/* A ledger to test with, and the check of its supply. */
#include "tests/world.h"

#include "base/mem.h"
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

static void make_genesis(struct world *w, const struct params *params)
{
    struct genesis_holder holders[WORLD_KEYS], validator = {w->key[0], amount_of(1000 * MOTE_PER_KITH)};
    struct genesis *g = &w->genesis;
    struct note note = {{0}};
    for (unsigned i = 1; i < WORLD_KEYS; i++)
        holders[i - 1] = (struct genesis_holder){w->key[i], amount_of(WORLD_FUND)};
    CHECK(genesis_list(holders, WORLD_KEYS - 1, &w->genesis_room, &note) == ERR_OK);
    size_t middle = w->genesis_room.n;
    CHECK(genesis_list(&validator, 1, &w->genesis_room, &note) == ERR_OK);
    g->version = GENESIS_VERSION;
    CHECK(text64_set(&g->name, "test") && text64_set(&g->prefix, ADDRESS_PREFIX_PRIVATE));
    g->params = params ? *params : params_private();
    g->time_ms = w->time_ms;
    g->accounts = bytes_of(w->genesis_room.p, middle);
    g->validators = bytes_of(w->genesis_room.p + middle, w->genesis_room.n - middle);
    w->chain = genesis_chain_id(g);
}

struct world *world_new(const struct params *params)
{
    struct world *w = mem_new(sizeof *w);
    struct note note = {{0}};
    w->kv = kv_mem_open();
    w->time_ms = 1000000;
    w->step_ms = 1000;
    make_keys(w);
    make_genesis(w, params);
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

void world_add(struct world *w, unsigned who, enum tx_kind kind, struct bytes body)
{
    struct tx t = {.kind = (uint8_t)kind, .body = body};
    struct buf draft = {0}, *out = &w->txs[w->n++];
    CHECK(w->n <= WORLD_TXS);
    tx_put(&draft, &t);
    tx_sign(&t, &w->chain, &w->secret[who], w->nonce[who]++, ledger_fee(w->ledger, draft.n, tx_work(&t)));
    buf_reset(out);
    tx_put(out, &t);
    w->last_id = tx_id(&t);
    buf_clear(&draft);
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
    if (ledger_process(w->ledger, txs, w->n, &note) != ERR_OK ||
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

enum err world_do(struct world *w, unsigned who, enum tx_kind kind, struct bytes body)
{
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

static bool add_one(void *arg, struct bytes key, struct bytes value)
{
    struct sums *s = arg;
    struct cursor c = cursor_of(value);
    tree_put(s->tree, bytes_of(key.p + 1, key.n - 1), value);
    switch (key.p[1]) {
    case STATE_ACCOUNT: {
        READ(rec_account)
        s->balances += r.balance.mote;
        break;
    }
    case STATE_BOND: {
        READ(rec_bond)
        s->locked += r.amount.mote;
        break;
    }
    case STATE_UNBONDING: {
        READ(rec_unbonding)
        s->locked += r.amount.mote;
        break;
    }
    case STATE_MODEL: {
        READ(rec_model)
        s->locked += r.bond.mote;
        break;
    }
    case STATE_CHANNEL: {
        READ(rec_channel)
        s->locked += r.deposit.mote - r.settled.mote;
        break;
    }
    case STATE_SETTLEMENT: {
        READ(rec_settlement)
        s->locked += r.state == SETTLEMENT_WAITING || r.state == SETTLEMENT_DRAWN ? r.amount.mote : 0;
        break;
    }
    case STATE_TOTALS: {
        READ(rec_totals)
        s->totals = r;
        break;
    }
    default:
        break;
    }
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
