/* What whoever asks pays of a long prompt: steps that were told, in order, for their price, and nothing twice, whoever
 * reads it. */
#include "base/limits.h"
#include "tests/asker.h"

enum { FIRST = PROMPT_STEP_TOKENS, SECOND = 2 * FIRST, THIRD = 3 * FIRST };

struct reading {
    const struct job *j;
    uint32_t at;
};

static bool is_read(void *arg)
{
    const struct reading *x = arg;
    return x->j->r.read >= x->at && (!x->j->remote || !x->j->remote->owes);
}

static void pay_step(struct asker *s, const struct job *j, uint32_t at)
{
    struct reading x = {j, at};
    asker_deliver_step(asker_serve(s, j), at, NULL);
    net_run(&s->net, is_read, &x, 10000);
    assert_int_equal(j->r.read, at);
}

static struct job *ask(struct asker *s)
{
    s->prompt_n = PROMPT_MAX;
    struct job *j = asker_ask(s, 40);
    if (!j->remote || !j->remote->stream) {
        asker_wait_sent(s, 1);
        asker_block(s);
    }
    assert_true(asker_runs(j));
    return j;
}

static struct amount tokens_cost(uint64_t tokens)
{
    return amount_of(tokens * TOKEN_MOTE);
}

static void steps_are_paid_one_by_one(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    for (uint32_t at = FIRST; at <= THIRD; at += FIRST) {
        pay_step(s, j, at);
        assert_int_equal(amount_compare(j->r.cost, tokens_cost(at)), 0);
    }
    asker_pay(s, j, 8, RECEIPT_OPEN);
    asker_deliver(asker_serve(s, j), 4, REQUEST_EOS);
    asker_wait_over(s, j);
    assert_int_equal(j->r.state, JOB_DONE);
    assert_int_equal(amount_compare(j->r.cost, tokens_cost(PROMPT_MAX + 12)), 0);
    assert_int_equal(j->r.read, THIRD);
}

/* Some of it was known to the provider: steps may be left out, and all of them. */
static void steps_may_be_left_out(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    pay_step(s, j, THIRD);
    asker_deliver(asker_serve(s, j), 3, REQUEST_EOS);
    asker_wait_over(s, j);
    assert_int_equal(amount_compare(j->r.cost, tokens_cost(PROMPT_MAX + 3)), 0);
    j = ask(s);
    asker_deliver(asker_serve(s, j), 3, REQUEST_EOS);
    asker_wait_over(s, j);
    assert_int_equal(j->r.read, 0);
    assert_int_equal(amount_compare(j->r.cost, tokens_cost(PROMPT_MAX + 3)), 0);
}

static void what_is_no_step_is_not_paid(void **state)
{
    static const struct {
        uint32_t at;
        struct asker_step wrong;
    } cases[] = {
        {FIRST - 1, {0}},
        {FIRST + 1, {0}},
        {PROMPT_MAX - 1, {0}},
        {SECOND, {.told = FIRST}},
        {FIRST, {.told = SECOND}},
        {FIRST, {.told = UINT32_MAX}},
        {FIRST, {.is_untold = true}},
        {FIRST, {.tokens_out = 1}},
        {FIRST, {.stop = REQUEST_EOS}},
        {FIRST, {.dearer = 1}},
        {FIRST, {.has_answer = true}},
        {FIRST, {.has_other_digest = true}},
    };
    struct asker *s = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job *j = ask(s);
        asker_deliver_step(asker_serve(s, j), cases[i].at, &cases[i].wrong);
        asker_wait_alone(s, j);
        assert_int_equal(j->r.read, 0);
        assert_int_equal(j->r.cost.mote, 0);
        assert_int_equal(job_receipt_index(j), CHANNEL_NO_JOB);
        jobs_cancel(s->jobs, &j->r.id);
    }
}

/* One that was paid is not told again, nor one before it. */
static void no_step_goes_back(void **state)
{
    struct asker *s = *state;
    for (uint32_t at = FIRST; at <= SECOND; at += FIRST) {
        struct job *j = ask(s);
        pay_step(s, j, SECOND);
        asker_deliver_step(asker_serve(s, j), at, NULL);
        asker_wait_alone(s, j);
        assert_int_equal(amount_compare(j->r.cost, tokens_cost(SECOND)), 0);
        jobs_cancel(s->jobs, &j->r.id);
    }
}

/* The stream breaks: the provider is shown its receipt, and nothing is paid twice. */
static void the_same_provider_goes_on(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    pay_step(s, j, FIRST);
    struct served *v = asker_find_served(s, j);
    streams_close(s->streams[CHEAP], v->stream, ERR_CLOSED, "");
    v->stream = 0;
    asker_wait_alone(s, j);
    asker_try_again(j);
    pay_step(s, j, SECOND);
    asker_deliver(asker_serve(s, j), 2, REQUEST_EOS);
    asker_wait_over(s, j);
    assert_int_equal(amount_compare(j->r.cost, tokens_cost(PROMPT_MAX + 2)), 0);
}

/* It is gone, and another one, twice as dear, reads all of it. */
static void another_provider_begins(void **state)
{
    struct asker *s = *state;
    struct job *j = ask(s);
    pay_step(s, j, SECOND);
    asker_offer(s, DEAR);
    asker_stop_provider(s, CHEAP);
    asker_wait_alone(s, j);
    for (unsigned tries = 0; tries < 4 && !(j->remote && j->remote->offer.provider.b[0] == s->w->key[KEY(DEAR)].b[0]);
         tries++) {
        if (j->remote)
            asker_wait_alone(s, j);
        asker_try_again(j);
    }
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(j));
    asker_deliver_step(asker_serve(s, j), FIRST, NULL);
    struct reading x = {j, FIRST};
    net_wait(&s->net, 200);
    assert_true(is_read(&x));
    assert_int_equal(amount_compare(j->r.cost, tokens_cost(SECOND + 2 * FIRST)), 0);
    asker_deliver(asker_serve(s, j), 2, REQUEST_EOS);
    asker_wait_over(s, j);
    assert_int_equal(amount_compare(j->r.cost, tokens_cost(SECOND + 2 * (PROMPT_MAX + 2))), 0);
    asker_start_provider(s, CHEAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_are_paid_one_by_one, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(steps_may_be_left_out, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_is_no_step_is_not_paid, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(no_step_goes_back, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(the_same_provider_goes_on, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(another_provider_begins, asker_begin, asker_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
