/* Random sequences of every record, valid and not, over many blocks: supply and root are checked by a full scan after
 * each (tests/world.c), and a second ledger that gets the same blocks, crashes, fails to write and is opened again in
 * between must always have the same root. A failing seed is printed; KITH_SEED=N runs that one alone, KITH_SEEDS=N the
 * first N. */
#include "base/mem.h"
#include "chain/ledger_core.h"
#include "tests/deals.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS  20 /* of a few none lets slashing pause */
#define BLOCKS 240

/* How often each was seen: codes, events, kinds that had an effect and that had none. */
struct seen {
    uint32_t codes[ERR_COUNT];
    uint32_t events[LEDGER_EVENT_KINDS];
    uint32_t good[256], bad[256];
};

struct run {
    struct deals d;
    struct seen *seen;
    struct kv *kv; /* of the second ledger */
    struct ledger *second;
    bool runs; /* the chain is late with nothing, so that what is withdrawn returns; else it mostly stands still */
};

/* The same block on the second ledger, with trouble. */
static void mirror(struct run *r, const struct ledger_block *block)
{
    const struct ledger_result *result;
    struct note note = {{0}};
    if (deals_below(&r->d, 6) == 0) { /* finalized, then power is cut */
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
    if (deals_below(&r->d, 4) == 0) {
        kv_mem_fail(r->kv, 1, ERR_IO);
        assert_int_equal(ledger_commit(r->second, NULL, &note), ERR_IO);
        kv_mem_fail(r->kv, 0, ERR_OK);
    }
    assert_int_equal(ledger_commit(r->second, NULL, &note), ERR_OK);
    assert_true(hash_equal(&result->state_root, &r->d.w->result->state_root));
    assert_int_equal(result->events_n, r->d.w->result->events_n);
}

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
    struct ledger *l = r->d.w->ledger;
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

/* A publication among those added comes before its claim lets it: nobody votes for that block. */
static bool has_early(const struct world *w)
{
    const uint64_t height = ledger_info(w->ledger).height + 1, blocks = ledger_params(w->ledger).claim_blocks;
    bool found = false;
    for (uint32_t i = 0; i < w->n; i++) {
        struct tx t;
        struct rec_claim c;
        assert_int_equal(tx_decode(bytes_of_buf(&w->txs[i]), &t, NULL), ERR_OK);
        struct hash commit = tx_claim_commitment(&w->chain, &t.signer, t.kind, t.body);
        found = found || (tx_is_claimed(t.kind) && ledger_claim(w->ledger, &t.signer, &commit, &c) &&
                          height < c.height + blocks);
    }
    return found;
}

/* What was added, on both. */
static void one_block(struct run *r)
{
    struct world *w = r->d.w;
    struct bytes txs[WORLD_TXS];
    memset(r->d.closed, 0, sizeof r->d.closed);
    struct ledger_info before = ledger_info(w->ledger);
    uint32_t count = w->n;
    for (uint32_t i = 0; i < count; i++)
        undo_is_exact(r, txs[i] = bytes_of_buf(&w->txs[i]));
    uint32_t longest = deals_below(&r->d, 8) ? 200000 : (uint32_t)ledger_params(w->ledger).unbonding_ms;
    w->step_ms = deals_below(&r->d, deals_below(&r->d, 12) ? 3000 : longest);
    uint64_t wanted_ms = before.wants_block ? BLOCK_LATE_MS : before.next_due_ms - w->time_ms;
    if (r->runs && (before.wants_block || before.next_due_ms) && w->step_ms > wanted_ms)
        w->step_ms = wanted_ms;
    w->unjudged = has_early(w);
    enum err judged = ledger_process(w->ledger, txs, count, NULL);
    assert_int_equal(judged, w->unjudged ? ERR_STATE : ERR_OK);
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

/* What is in escrow by the queues, and by a look at all settlements: the same, each once. */
struct escrows {
    uint32_t n;
    struct hash sum; /* of their ids */
};

static bool add_escrow(void *arg, const struct rec_settlement *s)
{
    struct escrows *e = arg;
    assert_true(s->state < SETTLEMENT_PAID);
    e->n++;
    for (size_t i = 0; i < sizeof s->id.b; i++)
        e->sum.b[i] = (uint8_t)(e->sum.b[i] + s->id.b[i]);
    return true;
}

static void check_escrow(const struct ledger *l)
{
    struct escrows queued = {0}, all = {0};
    struct rec_settlement s;
    struct hash last;
    ledger_escrow_each(l, add_escrow, &queued);
    for (const struct hash *after = NULL; ledger_settlement_next(l, after, &s); after = &last) {
        last = s.id;
        if (s.state < SETTLEMENT_PAID)
            (void)add_escrow(&all, &s);
    }
    assert_true(queued.n == all.n && hash_equal(&queued.sum, &all.sum));
}

static void random_block(struct run *r)
{
    for (unsigned n = deals_below(&r->d, 8); n > 0; n--)
        deals_add(&r->d);
    uint64_t seed = r->d.seed; /* beside the others, whose sequence is as if there were none */
    if (deals_below(&r->d, 4) == 0)
        deals_add_evidence(&r->d);
    r->d.seed = seed;
    one_block(r);
    check_escrow(r->d.w->ledger);
}

/* What key 1 + i publishes at the start: i under 3 a model, then a data set. */
static enum tx_kind put_first(struct run *r, unsigned i)
{
    struct buf *out = world_body(r->d.w);
    if (i >= 3) {
        struct tx_data_contribute body = world_data_body(&r->d.data[i - 3], (i - 3) * MOTE_PER_KITH);
        tx_data_contribute_put(out, &body);
        return TX_DATA_CONTRIBUTE;
    }
    struct hash root = world_root((uint8_t)(1 + i));
    struct tx_model_publish body = {.root = root, .size = 1, .tensors = {root.b, 1}};
    body.tensors_root = tx_tensors_root(&body.tensors);
    body.royalty_bps = 777;
    body.name = (struct text64){1, {(char)('B' + i)}};
    tx_model_publish_put(out, &body);
    return TX_MODEL_PUBLISH;
}

static void publish_first(struct run *r)
{
    struct world *w = r->d.w;
    _Static_assert(DEALS_SETS == 3, "as many as models");
    for (unsigned i = 0; i < 2 * DEALS_SETS; i++) {
        uint8_t kind = (uint8_t)put_first(r, i);
        struct hash commit = tx_claim_commitment(&w->chain, &w->key[1 + i % 3], kind, bytes_of_buf(&w->body));
        WORLD_ADD(w, 1 + i % 3, TX_CLAIM, tx_claim, commit);
    }
    for (uint64_t i = ledger_params(w->ledger).claim_blocks; i > 0; i--)
        one_block(r);
    for (unsigned i = 0; i < 2 * DEALS_SETS; i++) {
        enum tx_kind kind = put_first(r, i);
        world_add(w, 1 + i % 3, kind, bytes_of_buf(&w->body));
    }
}

static void run_seed(uint64_t seed, struct seen *seen)
{
    struct run *r = mem_new(sizeof *r);
    struct note note;
    print_message("seed %llu\n", (unsigned long long)seed);
    r->d.seed = seed;
    r->seen = seen;
    struct params params = params_private();
    params.pause_bps = seed % 2 ? params.pause_bps : BPS_ALL; /* in every other run slashing never pauses... */
    params.audit_epoch_ms = 100000000;                        /* ...in the rest it soon does, for good */
    params.audit_window_ms = params.audit_reveal_ms = 20000;  /* time enough for most */
    params.audits_per_settlement = (uint8_t)(1 + seed % 3);
    r->runs = seed % 4 < 2;
    if (r->runs)
        params.audit_window_ms = params.audit_reveal_ms = 8000;
    params.unbonding_ms = params_answer_ms(&params);
    r->d.w = world_new(&params);
    r->kv = kv_mem_open();
    assert_int_equal(ledger_open(r->kv, &r->d.w->genesis, &r->second, &note), ERR_OK);
    for (unsigned i = 0; i < DEALS_SETS; i++)
        world_data_new(&r->d.data[i], (uint8_t)(50 + i));
    publish_first(r);
    /* A start that gives the market someone to deal with: five owners that serve and audit models 1 to 3. */
    for (unsigned i = 1; i <= 5; i++) {
        struct hash models[3] = {world_root(1), world_root(2), world_root(3)};
        WORLD_ADD(r->d.w, i, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(50 * MOTE_PER_KITH));
        WORLD_ADD(r->d.w, i, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(i * MOTE_PER_KITH));
        WORLD_ADD(r->d.w, i, TX_PROVIDER, tx_provider, .node = r->d.w->key[i], .models = {models[0].b, 3},
                  .audits = true);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        random_block(r);
    for (unsigned i = 0; r->runs && i < BLOCKS; i++) /* until what was withdrawn is back */
        one_block(r);
    for (unsigned i = 0; i < DEALS_SETS; i++)
        world_data_clear(&r->d.data[i]);
    deals_clear(&r->d);
    ledger_close(r->second);
    kv_close(r->kv);
    world_free(r->d.w);
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
