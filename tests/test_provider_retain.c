/* What a provider keeps: nothing that the ledger may still ask for goes, all else does, whatever ends in between. */
#include "base/limits.h"
#include "base/mem.h"
#include "node/market/provider_in.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define JOBS 200u /* more than a step looks at; the world's own receipts are the first of them */
#define KITH MOTE_PER_KITH
enum { OWNER = 2, NODE = 3, PAYER = 4 };

struct keep {
    struct world *w;
    struct provider p;
    struct world_channel c;
    struct channel *mine;
};

static void put(struct keep *k, uint8_t kind, const struct hash *a, const struct hash *b, struct bytes value)
{
    struct kv_batch batch = {0};
    uint8_t key[65] = {kind};
    memcpy(key + 1, a->b, 32);
    if (b)
        memcpy(key + 33, b->b, 32);
    kv_batch_put(&batch, bytes_of(key, b ? 65 : 33), value);
    assert_int_equal(kv_write(k->p.s.kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
}

static bool has(struct keep *k, const struct hash *channel, const struct hash *job)
{
    struct buf raw = {0};
    uint8_t key[65] = {'t'};
    memcpy(key + 1, channel->b, 32);
    memcpy(key + 33, job->b, 32);
    bool there = kv_get(k->p.s.kv, bytes_of(key, sizeof key), &raw, NULL) == ERR_OK;
    buf_clear(&raw);
    return there;
}

static bool has_job(struct keep *k, uint32_t i)
{
    return has(k, &k->c.id, &k->c.receipts[i].job);
}

static bool count(void *arg, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return true;
}

static unsigned stored(struct keep *k, const char *prefix)
{
    unsigned n = 0;
    assert_int_equal(kv_scan(k->p.s.kv, bytes_of_text(prefix), count, &n, NULL), ERR_OK);
    return n;
}

/* A whole pass. */
static void pass(struct keep *k)
{
    while (provider_retain_step(&k->p))
        ;
}

/* One more finished job of the channel, with its receipt and transcript. */
static void serve(struct keep *k, uint8_t stop)
{
    uint32_t at;
    world_job(&k->c, KITH / 100);
    struct receipt *r = &k->c.receipts[k->c.n - 1];
    r->stop = stop;
    k->c.leaves[k->c.n - 1] = sum_leaf(r);
    struct signed_receipt s = {.receipt = *r};
    receipt_sign(r, &k->w->secret[NODE], &s.sig);
    assert_int_equal(channel_put_receipt(k->mine, &s, &at), ERR_OK);
    channel_keep(k->mine);
    put(k, 't', &k->c.id, &r->job, bytes_of("a transcript", 12));
}

/* The receipts as they are settled, as node/market/settle.c keeps them. */
static struct hash settle(struct keep *k, bool in_block)
{
    struct buf all = {0};
    for (uint32_t i = 0; i < k->mine->n; i++)
        signed_receipt_put(&all, &k->mine->receipts[i]);
    const struct hash root = world_voucher(k->w, &k->c).voucher.receipts_root;
    put(k, 'v', &root, NULL, bytes_of_buf(&all));
    buf_clear(&all);
    if (in_block)
        assert_int_equal(world_settle(k->w, &k->c), ERR_OK);
    return k->w->last_id;
}

static void end_channel(struct keep *k)
{
    struct rec_channel rec;
    assert_int_equal(WORLD_DO(k->w, PAYER, TX_CHANNEL_CLOSE, tx_channel_close, k->c.id), ERR_OK);
    assert_true(ledger_channel(k->w->ledger, &k->c.id, &rec));
    k->w->time_ms = rec.closes_ms;
    assert_int_equal(world_block(k->w), ERR_OK);
    assert_false(ledger_channel(k->w->ledger, &k->c.id, &rec));
}

static int begin(void **state)
{
    struct keep *k = mem_new(sizeof *k);
    struct rec_channel rec;
    k->w = world_new(NULL);
    assert_int_equal(world_publish(k->w, 8, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(k->w, OWNER, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * KITH)), ERR_OK);
    assert_int_equal(world_provide(k->w, OWNER, NODE, 7, false), ERR_OK);
    assert_int_equal(world_open(k->w, &k->c, PAYER, NODE, 7, KITH), ERR_OK);
    assert_true(ledger_channel(k->w->ledger, &k->c.id, &rec));
    k->p.s = (struct market_services){.ledger = k->w->ledger, .kv = kv_mem_open(), .self = k->w->key[NODE]};
    k->mine = channel_list_refresh(&k->p.channels, &k->w->chain, &rec);
    *state = k;
    return 0;
}

static int end(void **state)
{
    struct keep *k = *state;
    channel_list_clear(&k->p.channels);
    escrow_clear(&k->p.retain.escrow);
    buf_clear(&k->p.retain.from);
    kv_close(k->p.s.kv);
    world_free(k->w);
    free(k);
    return 0;
}

static void what_may_be_asked_for_stays(void **state)
{
    struct keep *k = *state;
    const struct hash lost = {{0xaa}}, gone = {{0xbb}};
    serve(k, 0);
    serve(k, 0);
    serve(k, 0);
    put(k, 't', &k->c.id, &lost, bytes_of("x", 1)); /* its receipt is the payer's alone, so far */
    put(k, 't', &gone, &lost, bytes_of("x", 1));    /* a channel that was forgotten before its transcripts were */
    pass(k);
    assert_int_equal(stored(k, "t"), 4);
    assert_false(has(k, &gone, &lost));

    const struct hash id = settle(k, true); /* three are in escrow */
    serve(k, 0);
    pass(k);
    assert_int_equal(stored(k, "t"), 5);
    assert_int_equal(stored(k, "v"), 1);
    assert_int_equal(world_settled(k->w, &id), SETTLEMENT_PAID);
    pass(k);
    assert_false(has_job(k, 0) || has_job(k, 1));
    assert_true(has_job(k, 2)); /* the next settlement begins with it */
    assert_true(has_job(k, 3) && has(k, &k->c.id, &lost));
    assert_int_equal(stored(k, "v"), 0);
    assert_int_equal(provider_kept(&k->p).transcripts, 3);
    assert_int_equal(provider_kept(&k->p).dropped, 3);

    (void)settle(k, false); /* sent: it may come into a block at any time */
    pass(k);
    assert_int_equal(stored(k, "v"), 1);
    end_channel(k); /* with nothing of it in escrow */
    pass(k);
    assert_int_equal(stored(k, "t"), 0);
    assert_int_equal(stored(k, "v"), 0);
}

/* The channel ends while its last settlement is in escrow. */
static void escrow_outlasts_the_channel(void **state)
{
    struct keep *k = *state;
    serve(k, 0);
    serve(k, 0);
    const struct hash id = settle(k, true);
    struct rec_settlement s;
    if (ledger_settlement(k->w->ledger, &id, &s) && s.state == SETTLEMENT_WAITING) {
        assert_int_equal(WORLD_DO(k->w, PAYER, TX_CHANNEL_CLOSE, tx_channel_close, k->c.id), ERR_OK);
        pass(k);
        assert_int_equal(stored(k, "t"), 2);
        assert_int_equal(stored(k, "v"), 1);
    }
    assert_int_equal(world_settled(k->w, &id), SETTLEMENT_PAID);
    pass(k);
    assert_true(has_job(k, 1) && !has_job(k, 0)); /* the channel is closing, and a last settlement may come */
    assert_int_equal(stored(k, "v"), 0);
}

/* A job that goes on after it was settled open, and one that is served. */
static void what_grows_stays(void **state)
{
    struct keep *k = *state;
    const struct hash other = {{0xcc}};
    struct channel over = {.head.id = {{0xdd}}};
    struct serving v = {.provider = &k->p, .channel = &over, .job = other};
    serve(k, RECEIPT_OPEN);
    serve(k, 0);
    serve(k, 0);
    const struct hash id = settle(k, true);
    assert_int_equal(world_settled(k->w, &id), SETTLEMENT_PAID);
    put(k, 't', &over.head.id, &other, bytes_of("x", 1));
    k->p.serving = &v;
    pass(k);
    assert_true(has_job(k, 0) && !has_job(k, 1) && has_job(k, 2));
    assert_true(has(k, &over.head.id, &other));
    k->p.serving = NULL;
    pass(k);
    assert_false(has(k, &over.head.id, &other));
}

/* A ledger that is filled anew knows of nothing yet. */
static void an_empty_ledger_takes_nothing(void **state)
{
    struct keep *k = *state;
    const struct hash none = {{0xee}};
    struct world *w = world_new(NULL);
    serve(k, 0);
    pass(k);
    const uint64_t height = ledger_info(k->w->ledger).height;
    k->p.s.ledger = w->ledger;
    put(k, 't', &none, &none, bytes_of("x", 1));
    while (ledger_info(w->ledger).height < height - 1) {
        assert_int_equal(world_block(w), ERR_OK);
        pass(k);
        assert_int_equal(stored(k, "t"), 2);
    }
    k->p.s.ledger = k->w->ledger;
    pass(k);
    assert_true(has_job(k, 0) && !has(k, &none, &none));
    world_free(w);
}

/* The process ends behind any step, and what it wrote is there or is not. */
static void steps_may_end_anywhere(void **state)
{
    struct keep *k = *state;
    serve(k, 0);
    for (uint32_t i = 0; i < JOBS; i++) {
        const struct hash h = hash_once(HASH_FILE, &i, sizeof i);
        put(k, 't', &h, &h, bytes_of("x", 1));
    }
    for (unsigned ends = 0; ends < 4; ends++) {
        for (unsigned i = 0; i < ends; i++)
            (void)provider_retain_step(&k->p);
        kv_mem_crash(k->p.s.kv);
        buf_clear(&k->p.retain.from); /* nobody knows how far it was */
        assert_int_equal(stored(k, "t"), JOBS + 1);
    }
    kv_mem_fail(k->p.s.kv, 1, ERR_FULL);
    pass(k);
    assert_int_equal(stored(k, "t"), JOBS + 1);
    kv_mem_fail(k->p.s.kv, 0, ERR_OK);
    assert_true(provider_retain_step(&k->p));
    assert_true(stored(k, "t") > JOBS / 2); /* a step is a step */
    pass(k);
    assert_int_equal(stored(k, "t"), 1);
    assert_true(has_job(k, 0));
}

static void channels_that_are_over_are_added_up(void **state)
{
    struct keep *k = *state;
    const uint32_t most = CHANNELS_OVER_KEPT;
    for (uint32_t i = 0; i < most + 3; i++) {
        const struct channel_head head = {.id = hash_once(HASH_FILE, &i, sizeof i), .settled = amount_of(10)};
        struct kv_batch batch = {0};
        struct channel *c = mem_new(sizeof *c);
        channel_init(c, &head);
        channel_store(c, MARKET_SIDE_PROVIDER, CHANNEL_NO_JOB, &batch);
        assert_int_equal(kv_write(k->p.s.kv, &batch, true, NULL), ERR_OK);
        kv_batch_clear(&batch);
        channel_list_add(&k->p.channels, c);
    }
    pass(k);
    assert_int_equal(k->p.channels.n, most + 1);
    assert_ptr_equal(channel_list_find(&k->p.channels, &k->c.id), k->mine);
    assert_int_equal(stored(k, "hP"), most);
    assert_int_equal(provider_earned_before(&k->p).mote, 30);
    struct host *host = host_uv_open(NULL);
    struct provider again = {.s = k->p.s};
    again.s.host = host;
    provider_retain_start(&again);
    assert_int_equal(provider_earned_before(&again).mote, 30);
    provider_retain_stop(&again);
    host_uv_close(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_may_be_asked_for_stays, begin, end),
        cmocka_unit_test_setup_teardown(escrow_outlasts_the_channel, begin, end),
        cmocka_unit_test_setup_teardown(what_grows_stays, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_ledger_takes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(steps_may_end_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(channels_that_are_over_are_added_up, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
