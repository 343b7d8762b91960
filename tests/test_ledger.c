/* The ledger: blocks, fees, transfers, bonds, what process and check refuse, crashes and full disks. */
#include "chain/ledger_core.h"
#include "node/host/helpers.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

static struct tx_transfer transfer(const struct world *w, unsigned to, uint64_t mote)
{
    return (struct tx_transfer){.to = w->key[to], .amount = amount_of(mote)};
}

static void moves_money_and_splits_the_fee(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct tx_transfer body = transfer(w, 2, 5);
    struct rec_totals before = ledger_totals(w->ledger);
    struct rec_result result;
    tx_transfer_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_OK);
    struct rec_totals after = ledger_totals(w->ledger);
    assert_true(world_balance(w, 2) == WORLD_FUND + 5);
    uint64_t fee = WORLD_FUND - 5 - world_balance(w, 1);
    assert_true(fee > 0);
    assert_true(after.burned.mote - before.burned.mote == fee / 2);
    assert_true(world_balance(w, 0) == fee - fee / 2 + ledger_params(w->ledger).issue_block.mote);
    assert_int_equal(ledger_tx_result(w->ledger, &w->last_id, &result, NULL), ERR_OK);
    assert_true(result.height == 1 && result.index == 0 && result.code == ERR_OK && result.fee.mote == fee);
    assert_non_null(world_event(w, LEDGER_TRANSFER, 0));
    world_free(w);
}

static void failing_ones_pay_their_fee_alone(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct tx_transfer over = transfer(w, 2, WORLD_FUND);
    tx_transfer_put(world_body(w), &over);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_FUNDS);
    assert_non_null(strstr(w->result->notes[0].text, "1000000 KITH"));
    assert_true(world_balance(w, 2) == WORLD_FUND);
    assert_true(world_balance(w, 1) < WORLD_FUND);
    assert_int_equal(w->result->events_n, 0);
    /* The nonce was used up; the next one works. */
    struct tx_transfer fine = transfer(w, 2, 1);
    tx_transfer_put(world_body(w), &fine);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_OK);
    world_free(w);
}

static void money_is_not_sent_where_nobody_can_be(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct tx_transfer body = {.amount = amount_of(1)};
    memset(body.to.b, 0xff, sizeof body.to.b);
    tx_transfer_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_FORMAT);
    body = transfer(w, 2, 0);
    tx_transfer_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_RANGE);
    world_free(w);
}

/* What may spend the money takes it from the fees behind it: else one fee would fill a block. */
static void a_fee_is_not_spent_before_it_is_paid(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct tx_transfer most = transfer(w, 2, WORLD_FUND - 300000), one = transfer(w, 2, 1);
    const struct amount all = amount_of(WORLD_FUND - 300000), some = amount_of(MOTE_PER_KITH);
    struct bytes txs[2];
    for (unsigned k = 0; k < 6; k++) {
        struct buf *body = world_body(w);
        enum tx_kind kind = TX_TRANSFER;
        if (k == 0)
            tx_transfer_put(body, &most);
        else if (k == 1)
            kind = TX_BOND, tx_bond_put(body, &(struct tx_bond){BOND_AUDITOR, all});
        else if (k == 2)
            kind = TX_BOUNTY_POST, tx_bounty_post_put(body, &(struct tx_bounty_post){.amount = all});
        else if (k == 3)
            kind = TX_DATA_GRANT, tx_data_grant_put(body, &(struct tx_data_grant){.data = world_root(3)}); /* unknown */
        else if (k == 4)
            kind = TX_CHANNEL_TOPUP, tx_channel_topup_put(body, &(struct tx_channel_topup){.amount = all});
        else
            kind = TX_BOND, tx_bond_put(body, &(struct tx_bond){BOND_AUDITOR, some}); /* leaves enough */
        world_add(w, 1, kind, bytes_of_buf(body));
        tx_transfer_put(world_body(w), &one);
        world_add(w, 1, TX_TRANSFER, bytes_of_buf(&w->body));
        for (unsigned i = 0; i < 2; i++)
            txs[i] = bytes_of_buf(&w->txs[i]);
        assert_int_equal(ledger_process(w->ledger, txs, 1, NULL), ERR_OK);
        assert_int_equal(ledger_process(w->ledger, txs, 2, NULL), k < 5 ? ERR_FUNDS : ERR_OK);
        w->n = 0;
        w->nonce[1] -= 2;
    }
    world_free(w);
}

static struct bytes made(struct world *w, struct buf *out, const struct hash *chain, uint64_t nonce, uint64_t fee)
{
    struct tx_transfer body = transfer(w, 2, 1);
    struct buf raw = {0};
    tx_transfer_put(&raw, &body);
    buf_reset(out);
    tx_build(out, chain, &w->secret[1], nonce, amount_of(fee), TX_TRANSFER, bytes_of_buf(&raw));
    buf_clear(&raw);
    return bytes_of_buf(out);
}

#define FEE 1000000 /* enough for a transfer */

static void check_and_process_refuse(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct ledger_pending none = {0}, one = {1, amount_of(FEE)};
    struct ledger_checked checked;
    struct buf raw = {0};
    struct note note;
    struct hash other = {{1}};
    const struct {
        const struct hash *chain;
        uint64_t nonce, fee;
        const struct ledger_pending *pending;
        enum err want;
    } cases[] = {
        {&w->chain, 0, FEE, &none, ERR_OK},
        {&w->chain, 1, FEE, &one, ERR_OK},
        {&other, 0, FEE, &none, ERR_CHAIN},
        {&w->chain, 1, FEE, &none, ERR_NONCE},
        {&w->chain, 0, FEE, &one, ERR_NONCE},
        {&w->chain, 0, 1, &none, ERR_RANGE},
        {&w->chain, 0, 2 * WORLD_FUND, &none, ERR_FUNDS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes tx = made(w, &raw, cases[i].chain, cases[i].nonce, cases[i].fee);
        assert_int_equal(ledger_check(w->ledger, tx, cases[i].pending, &checked, &note), cases[i].want);
        if (cases[i].want)
            assert_true(note.text[0]);
        if (cases[i].pending->count == 0)
            assert_int_equal(ledger_process(w->ledger, &tx, 1, NULL), cases[i].want);
    }
    /* A flipped bit anywhere is refused, also after the original was verified. */
    struct bytes tx = made(w, &raw, &w->chain, 0, FEE);
    assert_int_equal(ledger_process(w->ledger, &tx, 1, NULL), ERR_OK);
    for (size_t i = 0; i < raw.n; i++) {
        raw.p[i] ^= 4;
        assert_int_not_equal(ledger_process(w->ledger, &tx, 1, NULL), ERR_OK);
        assert_int_not_equal(ledger_check(w->ledger, tx, &none, &checked, NULL), ERR_OK);
        raw.p[i] ^= 4;
    }
    for (size_t n = 0; n < raw.n; n++)
        assert_int_not_equal(ledger_check(w->ledger, bytes_of(raw.p, n), &none, &checked, NULL), ERR_OK);
    struct bytes twice[] = {tx, tx};
    assert_int_equal(ledger_process(w->ledger, twice, 2, NULL), ERR_NONCE);
    buf_clear(&raw);
    world_free(w);
}

struct pool {
    struct bytes tx[3];
    unsigned at;
};

static bool pool_next(void *arg, struct bytes *tx)
{
    struct pool *p = arg;
    if (p->at == 3)
        return false;
    *tx = p->tx[p->at++];
    return true;
}

static void prepares_what_process_accepts(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct buf raw[3] = {{0}};
    struct bytes *txs = calloc(BLOCK_TXS_MAX, sizeof *txs);
    struct pool p = {.at = 0};
    const uint64_t nonces[] = {0, 5, 1};
    for (unsigned i = 0; i < 3; i++)
        p.tx[i] = made(w, &raw[i], &w->chain, nonces[i], FEE);
    assert_int_equal(ledger_prepare(w->ledger, pool_next, &p, BLOCK_SIZE_MAX, txs), 2);
    assert_ptr_equal(txs[1].p, raw[2].p);
    assert_int_equal(ledger_process(w->ledger, txs, 2, NULL), ERR_OK);
    p.at = 0;
    assert_int_equal(ledger_prepare(w->ledger, pool_next, &p, raw[0].n, txs), 1);
    p.at = 0;
    assert_int_equal(ledger_prepare(w->ledger, pool_next, &p, raw[0].n - 1, txs), 0);
    for (unsigned i = 0; i < 3; i++)
        buf_clear(&raw[i]);
    free(txs);
    world_free(w);
}

static void a_trial_leaves_no_trace(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct ledger_pending none = {0};
    struct ledger_checked checked;
    struct ledger_proof proof = {0};
    struct buf raw = {0};
    struct hash before = ledger_info(w->ledger).state_root;
    assert_int_equal(ledger_check(w->ledger, made(w, &raw, &w->chain, 0, FEE), &none, &checked, NULL), ERR_OK);
    ledger_query(w->ledger, STATE_ACCOUNT, bytes_of(w->key[1].b, 32), &proof);
    assert_true(hash_equal(&proof.root, &before));
    assert_true(world_balance(w, 1) == WORLD_FUND);
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(hash_equal(&w->result->state_root, &before));
    assert_false(ledger_info(w->ledger).wants_block);
    buf_clear(&raw);
    ledger_proof_clear(&proof);
    world_free(w);
}

static void bonds_and_unbonds(void **state)
{
    (void)state;
    struct params params = params_private();
    struct world *w = world_new(&params);
    uint64_t kith = MOTE_PER_KITH;
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(kith - 1)), ERR_RANGE);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, 3, amount_of(kith)), ERR_FORMAT);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(0)), ERR_RANGE);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(2 * WORLD_FUND)), ERR_FUNDS);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(3 * kith)), ERR_OK);
    assert_true(ledger_bond(w->ledger, BOND_PROVIDER, &w->key[1]).mote == 3 * kith);
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(4 * kith)), ERR_FUNDS);
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(3 * kith - 1)), ERR_RANGE);
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(3 * kith)), ERR_OK);
    uint64_t balance = world_balance(w, 1);
    assert_true(ledger_info(w->ledger).next_due_ms == w->time_ms + params.unbonding_ms);
    w->step_ms = params.unbonding_ms - 1;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == balance);
    w->step_ms = 1;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == balance + 3 * kith);
    assert_non_null(world_event(w, LEDGER_UNBONDED, 0));
    assert_true(ledger_info(w->ledger).next_due_ms == 0);
    world_free(w);
}

/* What answers for a fault is walked through with each: dust would make that long. */
static void few_withdrawals_at_a_time(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct amount one = amount_of(1);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(9 * MOTE_PER_KITH)), ERR_OK);
    for (unsigned i = 0; i < UNBONDINGS_MAX; i++)
        WORLD_ADD(w, 1, TX_UNBOND, tx_unbond, BOND_AUDITOR, one);
    assert_int_equal(world_block(w), ERR_OK);
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_AUDITOR, one), ERR_LIMIT);
    w->step_ms = ledger_params(w->ledger).unbonding_ms;
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_AUDITOR, one), ERR_OK);
    world_free(w);
}

/* A chain that settles as much as half-full blocks hold draws as much in each, and money comes back all the same. */
static void draws_hold_nothing_else_up(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct state *s = &w->ledger->state;
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(2 * MOTE_PER_KITH)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_AUDITOR, amount_of(2 * MOTE_PER_KITH)), ERR_OK);
    world_wait(w, ledger_params(w->ledger).unbonding_ms - w->step_ms);
    for (uint32_t i = 0; i < 3000; i++) {
        struct hash id = hash_once(HASH_TX, &i, sizeof i);
        state_put_draw(s, ledger_info(w->ledger).height + 1, &id);
    }
    uint64_t before = world_balance(w, 1);
    w->step_ms = BLOCK_LATE_MS; /* they came for this block's height, so the clock goes on once more */
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == before + 2 * MOTE_PER_KITH);
    uint64_t stood_ms = ledger_info(w->ledger).stood_ms;
    for (unsigned i = 0; i < 3; i++) /* the other two thousand, one block without, and then it is as it was */
        assert_int_equal(world_block(w), ERR_OK);
    assert_true(ledger_info(w->ledger).stood_ms == stood_ms + 2 * w->step_ms);
    world_free(w);
}

static void validators_come_and_go(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct ledger_validator v[VALIDATORS_MAX];
    uint64_t kith = MOTE_PER_KITH;
    assert_int_equal(ledger_validators(w->ledger, v), 1);
    assert_true(v[0].power == 1000 * kith / LEDGER_POWER_UNIT);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_VALIDATOR, amount_of(2000 * kith)), ERR_OK);
    assert_true(w->result->validators_changed);
    assert_int_equal(w->result->validators_n, 2); /* it comes by and by: less than a third of the power a block */
    assert_true(w->result->validators[1].power == (1000 * kith / LEDGER_POWER_UNIT - 1) / 3);
    unsigned blocks = 0;
    for (; w->result->validators_changed; blocks++) {
        assert_true(blocks < 10 && ledger_info(w->ledger).wants_block);
        world_reopen(w); /* the store knows how far it got */
        world_block(w);
    }
    assert_int_equal(blocks, 4); /* 333, 777, 1369, 2000; then nothing is left to do */
    assert_int_equal(ledger_validators(w->ledger, v), 2);
    assert_true(pubkey_equal(&v[0].key, &w->key[1]) && v[0].power == 2000 * kith / LEDGER_POWER_UNIT);
    assert_int_equal(WORLD_DO(w, 1, TX_UNBOND, tx_unbond, BOND_VALIDATOR, amount_of(2000 * kith)), ERR_OK);
    assert_int_equal(w->result->validators_n, 2);
    while (w->result->validators_changed)
        world_block(w);
    assert_int_equal(ledger_validators(w->ledger, v), 1);
    struct rec_office office;
    assert_true(ledger_office(w->ledger, &w->key[1], &office));
    assert_true(office.from_height == 3 && office.until_height > 6 && !office.banned);
    assert_int_equal(WORLD_DO(w, 0, TX_UNBOND, tx_unbond, BOND_VALIDATOR, amount_of(1000 * kith)), ERR_STATE);
    assert_false(w->result->validators_changed);
    world_free(w);
}

static void reopens_at_the_committed_height(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct tx_transfer body = transfer(w, 2, 7);
    tx_transfer_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_OK);
    struct ledger_info before = ledger_info(w->ledger);
    world_reopen(w);
    struct ledger_info after = ledger_info(w->ledger);
    assert_true(after.height == 1 && after.wants_block && hash_equal(&after.state_root, &before.state_root));
    assert_true(hash_equal(&after.chain, &w->chain));
    assert_true(world_balance(w, 2) == WORLD_FUND + 7);
    /* A genesis of another chain is refused. */
    struct ledger *other = NULL;
    struct note note;
    struct genesis g = w->genesis;
    g.time_ms++;
    assert_int_equal(ledger_open(w->kv, &g, &other, &note), ERR_CHAIN);
    /* A flipped bit in the store is found. */
    struct kv_batch batch = {0};
    uint8_t key[34] = {KV_STATE, STATE_ACCOUNT};
    memcpy(key + 2, w->key[2].b, 32);
    struct buf value = {0};
    assert_int_equal(kv_get(w->kv, bytes_of(key, sizeof key), &value, NULL), ERR_OK);
    value.p[0] ^= 1;
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    assert_int_equal(kv_write(w->kv, &batch, true, NULL), ERR_OK);
    assert_int_equal(ledger_open(w->kv, NULL, &other, &note), ERR_CORRUPT);
    kv_batch_clear(&batch);
    buf_clear(&value);
    world_free(w);
}

/* A record of another version may have other fields; what stands behind its first two bytes is not looked at. */
static void a_chain_of_other_rules_is_named(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct ledger *other = NULL;
    struct note note;
    static const char key[] = {KV_META, 'g', 'e', 'n', 'e', 's', 'i', 's'};
    struct kv_batch batch = {0};
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of("\x01\x00old", 5));
    assert_int_equal(kv_write(w->kv, &batch, true, NULL), ERR_OK);
    assert_int_equal(ledger_open(w->kv, NULL, &other, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "version 1,"));
    kv_batch_clear(&batch);
    world_free(w);
}

/* The same record, and a value that was allowed when the chain was begun. */
static void a_chain_of_refused_rules_is_named(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct ledger *other = NULL;
    struct note note;
    static const char key[] = {KV_META, 'g', 'e', 'n', 'e', 's', 'i', 's'};
    struct kv_batch batch = {0};
    struct buf raw = {0};
    struct genesis g = w->genesis;
    g.params.unbonding_ms = 60000;
    genesis_put(&raw, &g);
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&raw));
    assert_int_equal(kv_write(w->kv, &batch, true, NULL), ERR_OK);
    assert_int_equal(ledger_open(w->kv, NULL, &other, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "unbonding_ms is 60000"));
    buf_clear(&raw);
    kv_batch_clear(&batch);
    world_free(w);
}

static void a_commit_that_fails_can_be_tried_again(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct buf raw = {0};
    struct bytes tx = made(w, &raw, &w->chain, 0, FEE);
    const struct ledger_result *result;
    struct kv_batch extra = {0};
    struct note note;
    struct ledger_block b = {.height = 1, .time_ms = w->time_ms + 1, .proposer = w->key[0], .txs = &tx, .n = 1};
    kv_batch_put(&extra, bytes_of("b1", 2), bytes_of("block", 5));
    assert_int_equal(ledger_finalize(w->ledger, &b, &result, NULL), ERR_OK);
    kv_mem_fail(w->kv, 1, ERR_FULL);
    assert_int_equal(ledger_commit(w->ledger, &extra, &note), ERR_FULL);
    assert_int_equal(ledger_commit(w->ledger, &extra, &note), ERR_FULL);
    assert_true(ledger_info(w->ledger).height == 0);
    assert_int_equal(ledger_finalize(w->ledger, &b, &result, NULL), ERR_STATE);
    supply_check(w->kv);
    kv_mem_fail(w->kv, 0, ERR_OK);
    assert_int_equal(ledger_commit(w->ledger, &extra, &note), ERR_OK);
    assert_true(ledger_info(w->ledger).height == 1);
    kv_mem_crash(w->kv);
    buf_reset(&raw);
    assert_int_equal(kv_get(w->kv, bytes_of("b1", 2), &raw, NULL), ERR_OK);
    supply_check(w->kv);
    world_reopen(w);
    assert_true(world_balance(w, 2) == WORLD_FUND + 1);
    kv_batch_clear(&extra);
    buf_clear(&raw);
    world_free(w);
}

static void a_block_must_follow(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    const struct ledger_result *result;
    struct ledger_block b = {.height = 2, .time_ms = w->time_ms, .proposer = w->key[0]};
    assert_int_equal(ledger_finalize(w->ledger, &b, &result, NULL), ERR_STATE);
    b.height = 1;
    b.time_ms = w->time_ms - 1;
    assert_int_equal(ledger_finalize(w->ledger, &b, &result, NULL), ERR_STATE);
    assert_int_equal(ledger_commit(w->ledger, NULL, NULL), ERR_STATE);
    world_free(w);
}

/* The last part first, so what may run beside the work is done before it. */
static void run_backwards(void *self, parallel_part_fn fn, void *arg, uint32_t n)
{
    uint32_t *parts = self;
    *parts += n;
    while (n > 0)
        fn(arg, --n);
}

static void apply_one(struct world *w, struct bytes tx, struct bytes next)
{
    struct ledger_info info = ledger_info(w->ledger);
    struct ledger_block block = {
        .height = info.height + 1, .time_ms = info.time_ms, .proposer = w->key[0], .txs = &tx, .n = 1};
    const struct ledger_result *result;
    assert_int_equal(ledger_process(w->ledger, &tx, 1, NULL), ERR_OK);
    ledger_expect(w->ledger, &next, 1);
    assert_int_equal(ledger_finalize(w->ledger, &block, &result, NULL), ERR_OK);
    assert_int_equal(result->codes[0], ERR_OK);
    assert_int_equal(ledger_commit(w->ledger, NULL, NULL), ERR_OK);
}

static void what_is_expected_is_judged_by_its_own_bytes(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct buf raw[3] = {{0}}, broken = {0};
    uint32_t parts = 0;
    struct parallel backwards = {.run = run_backwards, .self = &parts};
    ledger_set_parallel(w->ledger, &backwards);
    struct bytes tx[3], bad;
    for (uint64_t i = 0; i < 3; i++)
        tx[i] = made(w, &raw[i], &w->chain, i, FEE);
    buf_add(&broken, raw[1].p, raw[1].n);
    broken.p[broken.n - 1] ^= 1;
    bad = bytes_of_buf(&broken);
    apply_one(w, tx[0], bad);
    assert_int_equal(parts, 1 + 2 + 2); /* process, and the work with what is expected beside it, twice */
    assert_int_equal(ledger_process(w->ledger, &tx[1], 1, NULL), ERR_OK);
    assert_int_equal(ledger_process(w->ledger, &bad, 1, NULL), ERR_AUTH);
    apply_one(w, tx[1], tx[2]);
    broken.p[8] ^= 1; /* in the chain's id */
    assert_int_equal(ledger_process(w->ledger, &bad, 1, NULL), ERR_CHAIN);
    apply_one(w, tx[2], bad);
    for (int i = 0; i < 3; i++)
        buf_clear(&raw[i]);
    buf_clear(&broken);
    world_free(w);
}

#define JUDGED 100u /* transactions: several parts */

/* What process says of them: "error: note". */
static struct buf judged(struct world *w, const struct buf *raw)
{
    struct bytes txs[JUDGED], none = {0};
    struct note note = {{0}};
    struct buf out = {0};
    for (uint32_t i = 0; i < JUDGED; i++)
        txs[i] = bytes_of_buf(&raw[i]);
    assert_int_equal(ledger_process(w->ledger, &none, 0, NULL),
                     ERR_OK); /* another block: nothing is known of this one */
    enum err e = ledger_process(w->ledger, txs, JUDGED, &note);
    buf_add_format(&out, "%s: %s", err_name(e), note.text);
    return out;
}

static void assert_judged_alike(struct world *w, const struct buf *raw, const char *begin)
{
    static const struct parallel alone = {0};
    uint32_t parts = 0;
    struct helpers *helpers = helpers_new(2);
    const struct parallel ways[] = {alone, {.run = run_backwards, .self = &parts}, helpers_parallel(helpers)};
    struct buf first = judged(w, raw);
    assert_memory_equal(buf_text(&first), begin, strlen(begin));
    for (unsigned i = 0; i < 3; i++) {
        ledger_set_parallel(w->ledger, &ways[i]);
        struct buf said = judged(w, raw);
        assert_string_equal(buf_text(&said), buf_text(&first));
        buf_clear(&said);
    }
    ledger_set_parallel(w->ledger, &alone);
    helpers_free(helpers);
    buf_clear(&first);
}

static void swap(struct buf *raw, unsigned i, unsigned k)
{
    struct buf x = raw[i];
    raw[i] = raw[k];
    raw[k] = x;
}

static void parts_in_any_order_are_judged_in_sequence(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct buf raw[JUDGED] = {{0}}, body = {0};
    tx_transfer_put(&body, &(struct tx_transfer){.to = w->key[9], .amount = amount_of(1)});
    for (unsigned i = 0; i < JUDGED; i++)
        tx_build(&raw[i], &w->chain, &w->secret[1 + i % 5], i / 5, amount_of(FEE), TX_TRANSFER, bytes_of_buf(&body));
    assert_judged_alike(w, raw, "OK: ");
    swap(raw, 40, 45);
    assert_judged_alike(w, raw, "NONCE: ");
    raw[90].p[raw[90].n - 1] ^= 1; /* behind the first fault */
    assert_judged_alike(w, raw, "NONCE: ");
    raw[3].p[raw[3].n - 1] ^= 1;
    assert_judged_alike(w, raw, "AUTH: ");
    buf_reset(&raw[2]);
    assert_judged_alike(w, raw, "FORMAT: ");
    for (unsigned i = 0; i < JUDGED; i++)
        buf_clear(&raw[i]);
    buf_clear(&body);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_money_and_splits_the_fee),
        cmocka_unit_test(failing_ones_pay_their_fee_alone),
        cmocka_unit_test(money_is_not_sent_where_nobody_can_be),
        cmocka_unit_test(a_fee_is_not_spent_before_it_is_paid),
        cmocka_unit_test(check_and_process_refuse),
        cmocka_unit_test(prepares_what_process_accepts),
        cmocka_unit_test(a_trial_leaves_no_trace),
        cmocka_unit_test(bonds_and_unbonds),
        cmocka_unit_test(few_withdrawals_at_a_time),
        cmocka_unit_test(draws_hold_nothing_else_up),
        cmocka_unit_test(validators_come_and_go),
        cmocka_unit_test(reopens_at_the_committed_height),
        cmocka_unit_test(a_chain_of_other_rules_is_named),
        cmocka_unit_test(a_chain_of_refused_rules_is_named),
        cmocka_unit_test(a_commit_that_fails_can_be_tried_again),
        cmocka_unit_test(a_block_must_follow),
        cmocka_unit_test(what_is_expected_is_judged_by_its_own_bytes),
        cmocka_unit_test(parts_in_any_order_are_judged_in_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
