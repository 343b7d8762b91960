/* An answer that is not the model's own goes to the ledger with the receipt as it was settled: also where it was open
 * then and has grown since, and only if what differs is in it. */
#include "node/pay/channel_past.h"
#include "tests/asker.h"

#include <string.h>

#define STEP 8u

/* What its provider may settle now, and later. */
static struct tx_channel_settle keep(const struct job *j)
{
    const struct channel *c = channel_list_find(&j->jobs->channels, &j->r.channel);
    return (struct tx_channel_settle){
        .voucher = c->head.voucher, .payer_sig = c->head.payer_sig, .sum_top = channel_top(c)};
}

static void settle(struct asker *s, struct tx_channel_settle t)
{
    tx_channel_settle_put(world_body(s->w), &t);
    world_add(s->w, KEY(CHEAP), TX_CHANNEL_SETTLE, bytes_of_buf(&s->w->body));
}

/* Until nothing is in escrow. */
static void pay_out(struct asker *s)
{
    struct rec_settlement rec;
    struct hash last;
    bool waits = true;
    for (unsigned i = 0; waits; i++) {
        assert_true(i < 50);
        asker_block(s);
        waits = false;
        for (const struct hash *after = NULL; ledger_settlement_next(s->w->ledger, after, &rec); after = &last) {
            last = rec.id;
            waits |= rec.state < SETTLEMENT_PAID;
        }
    }
}

static struct job *ask(struct asker *s)
{
    struct job *j = asker_ask(s, 3 * STEP);
    if (j->r.state == JOB_FUNDING) {
        asker_wait_sent(s, 1);
        asker_block(s);
    }
    return j;
}

/* It has been replayed, and differs from that token on; the node was started again since. */
static struct job *resent(struct asker *s, const struct job *j, uint32_t position)
{
    const struct hash id = j->r.id;
    uint8_t key[33] = {'g'}, value[4];
    struct kv_batch batch = {0};
    memcpy(key + 1, id.b, sizeof id.b);
    store_le32(value, position);
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of(value, sizeof value));
    assert_int_equal(kv_write(s->s.kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    asker_stop(s);
    asker_start(s);
    net_wait(&s->net, 10);
    return job_find(s->jobs, &id);
}

static bool is_kept(struct asker *s, const struct job *j)
{
    uint8_t key[33] = {'g'};
    struct buf value = {0};
    memcpy(key + 1, j->r.id.b, sizeof j->r.id.b);
    bool kept = kv_get(s->s.kv, bytes_of(key, sizeof key), &value, NULL) == ERR_OK;
    buf_clear(&value);
    return kept;
}

static unsigned challenged(struct asker *s)
{
    const struct ledger_event *e;
    unsigned n = 0;
    asker_wait_sent(s, 1);
    asker_block(s);
    while ((e = world_event(s->w, LEDGER_CHALLENGED, n)))
        n++;
    return n;
}

/* Two jobs beside each other, the first one open when it was settled. */
static void as_it_was_settled(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s), *other = ask(s);
    asker_pay(s, other, STEP, RECEIPT_OPEN);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    const struct tx_channel_settle early = keep(j);
    asker_pay(s, other, STEP, RECEIPT_OPEN);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    asker_pay(s, j, STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    j = resent(s, j, STEP - 1);
    assert_int_equal(s->challenges, 0);
    settle(s, early);
    asker_block(s);
    assert_int_equal(challenged(s), 1);
    assert_int_equal(s->challenges, 1);
    net_wait(&s->net, 5);
    assert_false(is_kept(s, j));
}

/* The part that was settled is the model's own: its bond would be lost. */
static void not_before_what_differs_is_settled(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    const struct tx_channel_settle early = keep(j);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    const struct tx_channel_settle later = keep(j);
    asker_pay(s, j, STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    j = resent(s, j, STEP);
    settle(s, early);
    asker_block(s);
    net_wait(&s->net, 10);
    assert_int_equal(s->w->n, 0);
    assert_true(is_kept(s, j));
    settle(s, later);
    asker_block(s);
    assert_int_equal(challenged(s), 1);
}

/* Nobody was awake as the settlement came. */
static void after_a_restart(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    const struct tx_channel_settle early = keep(j);
    asker_pay(s, j, 2 * STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    settle(s, early);
    asker_block_alone(s);
    (void)resent(s, j, 0);
    assert_int_equal(challenged(s), 1);
}

/* What differs was settled as the growth of a receipt that is not the last one: no settlement is over that, and nothing
 * is waited for in vain. */
static void what_cannot_come_is_not_waited_for(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s), *other = ask(s);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    asker_pay(s, other, STEP, RECEIPT_OPEN);
    const struct tx_channel_settle early = keep(j);
    asker_pay(s, j, 2 * STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    j = resent(s, j, STEP);
    settle(s, early);
    asker_block(s);
    net_wait(&s->net, 10);
    assert_int_equal(s->w->n, 0);
    assert_false(is_kept(s, j));
}

/* The whole answer was settled and is paid: nothing comes behind it. */
static void too_late_is_said(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    asker_pay(s, j, STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    settle(s, keep(j));
    pay_out(s);
    j = resent(s, j, 0);
    assert_int_equal(s->w->n, 0);
    assert_false(is_kept(s, j));
}

/* Paid out: what the receipts were is forgotten with it. */
static void what_is_paid_is_forgotten(void **state)
{
    struct asker *s = *state;
    struct signed_receipt r;
    struct rec_settlement rec;
    struct buf proof = {0};
    struct job *j = ask(s);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    const struct tx_channel_settle early = keep(j);
    asker_pay(s, j, STEP, RECEIPT_OPEN);
    asker_pay(s, j, STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    const struct channel *c = s->jobs->channels.at[0];
    settle(s, early);
    asker_block(s);
    assert_true(ledger_settlement_next(s->w->ledger, NULL, &rec));
    assert_int_equal(channel_past_find(s->s.kv, c, &rec, 0, &r, &proof), ERR_OK);
    settle(s, keep(j));
    pay_out(s);
    buf_reset(&proof);
    assert_int_equal(channel_past_find(s->s.kv, c, &rec, 0, &r, &proof), ERR_MISMATCH);
    buf_clear(&proof);
}

/* By a look at all of them. */
static bool walked(const struct asker *s, const struct hash *channel, uint32_t index, struct rec_settlement *out)
{
    struct rec_settlement rec;
    struct hash last;
    bool found = false;
    for (const struct hash *after = NULL; ledger_settlement_next(s->w->ledger, after, &rec); after = &last) {
        last = rec.id;
        bool is_over = hash_equal(&rec.channel, channel) && rec.from <= index && index < rec.count;
        bool is_before = found && (rec.count < out->count || (rec.count == out->count && rec.height < out->height));
        if (is_over && (!found || is_before)) {
            *out = rec;
            found = true;
        }
    }
    return found;
}

static unsigned check_found(struct asker *s, const struct hash *channel, uint32_t most)
{
    struct rec_settlement a, b;
    unsigned n = 0;
    for (uint32_t i = 0; i < most; i++) {
        bool found = jobs_settlement(s->jobs, channel, i, &a);
        assert_int_equal(found, walked(s, channel, i, &b));
        n += found;
        if (found)
            assert_true(hash_equal(&a.id, &b.id));
    }
    assert_false(jobs_settlement(s->jobs, channel, CHANNEL_NO_JOB, &a));
    assert_false(jobs_settlement(s->jobs, &(struct hash){{7}}, 0, &a));
    return n;
}

/* Receipts that grew between two settlements, some that grew in none, blocks of which nobody told, a restart: what is
 * found is what a look at all of them finds. */
static void settlements_are_found_by_receipt(void **state)
{
    struct asker *s = *state;
    struct hash channel = {{0}};
    for (unsigned i = 0; i < 20; i++) {
        struct job *j = ask(s);
        asker_pay(s, j, STEP, RECEIPT_OPEN);
        if (i % 3 == 0) {
            settle(s, keep(j));
            asker_block(s);
        }
        asker_pay(s, j, STEP, REQUEST_LENGTH);
        asker_wait_over(s, j);
        channel = j->r.channel;
        if (i % 2)
            settle(s, keep(j));
        if (i % 2 && i < 10)
            asker_block(s);
        else
            asker_block_alone(s);
        if (i < 10)
            assert_int_equal(check_found(s, &channel, 30), i + (i % 2 || i % 3 == 0));
    }
    asker_block(s); /* there were blocks before it, as behind a snapshot */
    assert_int_equal(check_found(s, &channel, 30), 20);
    asker_stop(s);
    asker_start(s);
    assert_int_equal(check_found(s, &channel, 30), 20);
}

/* A settlement that the ledger has forgotten is none, and holds no room. */
static void what_the_ledger_forgot_is_not_found(void **state)
{
    struct asker *s = *state;
    struct rec_settlement rec;
    struct job *j = ask(s);
    asker_pay(s, j, STEP, REQUEST_LENGTH);
    asker_wait_over(s, j);
    const struct hash channel = j->r.channel;
    settle(s, keep(j));
    asker_block(s);
    assert_int_equal(check_found(s, &channel, 1), 1);
    pay_out(s);
    world_wait(s->w, ledger_params(s->w->ledger).keep_ms);
    for (unsigned i = 0; i < 3; i++)
        asker_block(s);
    assert_false(ledger_settlement_next(s->w->ledger, NULL, &rec));
    assert_int_equal(check_found(s, &channel, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_it_was_settled, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(not_before_what_differs_is_settled, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(after_a_restart, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_cannot_come_is_not_waited_for, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(too_late_is_said, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(settlements_are_found_by_receipt, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_the_ledger_forgot_is_not_found, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_is_paid_is_forgotten, asker_begin, asker_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
