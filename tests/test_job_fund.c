/* What pays for jobs: however a job ends, what it held of a channel is free for the next; one transaction at a time
 * funds a channel; and nobody is ever promised more than there is. */
#include "tests/asker.h"
#include "tests/sim/random.h"

#define ROOM_JOBS   16u /* a new channel has room for so many of the job that it was opened for */
#define STEP        8u  /* tokens from receipt to receipt */
#define STORM_SEEDS 3u
#define STORM_STEPS 120u

/* A channel with room for exactly ROOM_JOBS jobs of that many tokens, all of it free. */
static struct channel *open_channel(struct asker *s, uint32_t tokens_max)
{
    struct job *j = asker_ask(s, tokens_max);
    assert_int_equal(j->r.state, JOB_FUNDING);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(j));
    struct channel *c = j->remote->channel;
    const struct amount room = amount_of((uint64_t)ROOM_JOBS * (PROMPT + tokens_max) * TOKEN_MOTE);
    assert_int_equal(amount_compare(channel_left(c), room), 0);
    jobs_cancel(s->jobs, &j->r.id);
    return c;
}

/* Nothing is held of it any more: a job that takes all that is left runs at once. */
static void assert_free(struct asker *s, const struct channel *c)
{
    const unsigned sent = s->opens + s->topups;
    const uint64_t tokens = channel_left(c).mote / TOKEN_MOTE;
    struct job *j = asker_ask(s, (uint32_t)(tokens - PROMPT));
    assert_true(asker_runs(j));
    assert_ptr_equal(j->remote->channel, c);
    assert_int_equal(s->opens + s->topups, sent);
    jobs_cancel(s->jobs, &j->r.id);
}

/* -- what is held -- */

static void a_channel_holds_enough_for_all_that_run(void **state)
{
    struct asker *s = *state;
    struct job *j[ROOM_JOBS + 1];
    struct channel *c = open_channel(s, 90);
    for (unsigned i = 0; i < ROOM_JOBS; i++) {
        j[i] = asker_ask(s, 90);
        assert_true(asker_runs(j[i]));
    }
    j[ROOM_JOBS] = asker_ask(s, 90);
    assert_int_equal(j[ROOM_JOBS]->r.state, JOB_FUNDING);
    asker_wait_sent(s, 1);
    assert_int_equal(s->topups, 1);
    asker_block(s);
    assert_true(asker_runs(j[ROOM_JOBS]));
    for (unsigned i = 0; i <= ROOM_JOBS; i++) {
        asker_pay(s, j[i], STEP, RECEIPT_OPEN);
        jobs_cancel(s->jobs, &j[i]->r.id);
    }
    assert_int_equal(c->n, ROOM_JOBS + 1);
    assert_free(s, c);
}

/* A job that waits for more holds nothing of what there is. */
static void what_is_left_is_for_whoever_needs_no_more(void **state)
{
    struct asker *s = *state;
    struct channel *c = open_channel(s, 90);
    for (unsigned i = 1; i < ROOM_JOBS; i++)
        (void)asker_ask(s, 90);
    struct job *large = asker_ask(s, 200), *small = asker_ask(s, 20);
    assert_int_equal(large->r.state, JOB_FUNDING);
    assert_true(asker_runs(small) && small->remote->channel == c);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(large) && large->remote->channel == c);
}

/* However it ends. */
enum way { CANCELLED, REFUSED, BROKEN, FINISHED, TOO_DEAR, TEXTLESS, TAKEN_OVER, WAYS };

static void end_it(struct asker *s, struct job *j, enum way way)
{
    struct served *v = asker_serve(s, j);
    switch (way) {
    case CANCELLED:
        jobs_cancel(s->jobs, &j->r.id);
        break;
    case REFUSED:
        streams_close(s->streams[CHEAP], v->stream, ERR_LIMIT, "no");
        asker_wait_alone(s, j);
        break;
    case BROKEN:
        asker_stop_provider(s, CHEAP);
        asker_wait_alone(s, j);
        asker_start_provider(s, CHEAP);
        break;
    case FINISHED:
        asker_pay(s, j, STEP, REQUEST_EOS);
        asker_wait_over(s, j);
        break;
    case TOO_DEAR:
        j->r.cost_max = amount_of(1);
        asker_deliver(v, STEP, RECEIPT_OPEN);
        asker_wait_over(s, j);
        break;
    case TEXTLESS: /* all is paid, and its text is still to be made */
        j->r.text_tokens = 0;
        asker_pay(s, j, STEP, REQUEST_EOS);
        assert_int_equal(j->r.state, JOB_RUNNING);
        break;
    default:
        asker_pay(s, j, STEP, RECEIPT_OPEN);
        asker_offer(s, DEAR);
        streams_close(s->streams[CHEAP], v->stream, ERR_BUSY, "no");
        asker_wait_alone(s, j);
        asker_try_again(j);
        asker_wait_sent(s, 1);
        asker_block(s);
        assert_true(asker_runs(j) && pubkey_equal(&j->r.provider, &s->w->key[KEY(DEAR)]));
    }
}

static void what_a_job_held_is_free_when_it_ends(void **state)
{
    struct asker *s = *state;
    struct channel *c = open_channel(s, 90);
    for (enum way way = 0; way < WAYS; way++) {
        struct job *j = asker_ask(s, 200);
        assert_true(asker_runs(j));
        end_it(s, j, way);
        assert_free(s, c);
        jobs_cancel(s->jobs, &j->r.id);
    }
}

/* -- one transaction at a time -- */

static void who_comes_meanwhile_waits(void **state)
{
    struct asker *s = *state;
    struct job *first = asker_ask(s, 90), *second = asker_ask(s, 90);
    assert_int_equal(second->r.state, JOB_FUNDING);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(first) && asker_runs(second));
    assert_ptr_equal(first->remote->channel, second->remote->channel);
    assert_int_equal(s->opens, 1);
}

/* The job that sent it is over; its channel is not, and need not be opened twice. */
static void a_transaction_outlives_its_job(void **state)
{
    struct asker *s = *state;
    struct job *first = asker_ask(s, 90), *waits = asker_ask(s, 90);
    asker_wait_sent(s, 1);
    jobs_cancel(s->jobs, &first->r.id);
    struct job *late = asker_ask(s, 90);
    net_wait(&s->net, 20);
    assert_int_equal(late->r.state, JOB_FUNDING);
    asker_block(s);
    net_wait(&s->net, 20);
    assert_true(asker_runs(waits) && asker_runs(late));
    assert_int_equal(s->w->n, 0);
    assert_int_equal(s->opens, 1);
    assert_int_equal(s->jobs->channels.n, 1);
}

static unsigned channels_on_ledger(struct asker *s)
{
    struct rec_channel rec;
    struct hash last;
    unsigned n = 0;
    for (const struct hash *after = NULL; ledger_channel_next(s->w->ledger, after, &rec); after = &last) {
        last = rec.id;
        n++;
    }
    return n;
}

static void restart(struct asker *s)
{
    asker_stop(s);
    kv_mem_crash(s->s.kv);
    asker_start(s);
    net_wait(&s->net, 20);
    if (s->jobs->first->r.state < JOB_DONE && !asker_runs(s->jobs->first) && !s->jobs->first->remote)
        asker_try_again(s->jobs->first);
    net_wait(&s->net, 20);
}

/* The process is killed, and its transaction lives on in others' pools. Whoever asks next needs another sum, so other
 * bytes would go out for it: nowhere may a second channel come of it. */
static void a_channel_is_opened_once(void **state)
{
    struct asker *s = *state;
    (void)asker_ask(s, 90);
    asker_wait_sent(s, 1);
    for (unsigned i = 0; i < 2; i++) {
        asker_stop(s);
        kv_mem_crash(s->s.kv);
        asker_start(s);
        jobs_cancel(s->jobs, &s->jobs->first->r.id);
        (void)asker_ask(s, 200 + i);
        net_wait(&s->net, 50);
    }
    assert_int_equal(s->w->n, 1);
    for (unsigned i = 0; i < 3; i++) {
        asker_block(s);
        net_wait(&s->net, 50);
    }
    assert_int_equal(channels_on_ledger(s), 1);
    assert_true(asker_runs(s->jobs->first));
    asker_stop(s); /* and it is forgotten: another start looks for nothing */
    asker_start(s);
    assert_null(s->jobs->fundings);
    assert_int_equal(s->opens, 1);
}

/* Killed once it is in a block and before anybody noted it; and while it lay nowhere but here. */
static void a_channel_that_is_there_is_found(void **state)
{
    struct asker *s = *state;
    (void)asker_ask(s, 90);
    asker_wait_sent(s, 1);
    asker_block_alone(s);
    restart(s);
    assert_int_equal(channels_on_ledger(s), 1);
    assert_true(asker_runs(s->jobs->first));
    assert_int_equal(s->w->n, 0);
    assert_null(s->jobs->fundings);
}

/* While it waits, the ledger goes on with a snapshot, which says nothing of what was in the blocks before it. */
static void a_channel_of_a_snapshot_is_opened_once(void **state)
{
    struct asker *s = *state;
    struct kv_batch batch = {0};
    (void)asker_ask(s, 90);
    asker_wait_sent(s, 1);
    struct hash id = tx_id_of(bytes_of_buf(&s->w->txs[0]));
    asker_block_alone(s);
    ledger_drop_result(&batch, &id);
    assert_int_equal(kv_write(s->w->kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    account_step(s->s.account);
    net_wait(&s->net, 50);
    assert_int_equal(s->w->n, 0); /* no other one was sent */
    assert_int_equal(channels_on_ledger(s), 1);
    assert_true(asker_runs(s->jobs->first));
    assert_null(s->jobs->fundings);
}

/* The same of a top-up: what it brought stands in the channel, and is not put in once more. */
static void a_topup_of_a_snapshot_is_made_once(void **state)
{
    struct asker *s = *state;
    struct kv_batch batch = {0};
    struct rec_channel before, after;
    struct channel *c = open_channel(s, 90);
    for (unsigned i = 1; i < ROOM_JOBS; i++)
        (void)asker_ask(s, 90);
    assert_true(ledger_channel(s->w->ledger, &c->head.id, &before));
    struct job *large = asker_ask(s, 200);
    asker_wait_sent(s, 1);
    assert_int_equal(s->topups, 1);
    struct hash id = tx_id_of(bytes_of_buf(&s->w->txs[0]));
    asker_block_alone(s);
    ledger_drop_result(&batch, &id);
    assert_int_equal(kv_write(s->w->kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    account_step(s->s.account);
    net_wait(&s->net, 50);
    if (!asker_runs(large))
        asker_try_again(large);
    net_wait(&s->net, 50);
    assert_int_equal(s->w->n, 0); /* no other one was sent */
    assert_true(ledger_channel(s->w->ledger, &c->head.id, &after));
    assert_true(amount_compare(after.deposit, before.deposit) > 0);
    assert_true(asker_runs(large) && large->remote->channel == c);
    assert_null(s->jobs->fundings);
}

static bool is_kept(void *arg, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return true;
}

/* The home goes on with another chain, whose account is at the same nonce. */
static void what_was_for_another_chain_is_forgotten(void **state)
{
    struct asker *s = *state;
    unsigned kept = 0;
    (void)asker_ask(s, 90);
    asker_wait_sent(s, 1);
    asker_stop(s);
    struct params params = params_private();
    params.claim_ms++;
    struct world *first = s->w;
    s->w = world_new(&params);
    s->s.ledger = s->w->ledger;
    asker_start(s);
    assert_null(s->jobs->fundings);
    assert_int_equal(kv_scan(s->s.kv, bytes_of("f", 1), is_kept, &kept, NULL), ERR_OK);
    assert_int_equal(kept, 0);
    world_free(first);
}

static void what_nobody_heard_of_is_sent_again(void **state)
{
    struct asker *s = *state;
    (void)asker_ask(s, 90);
    asker_wait_sent(s, 1);
    s->w->n = 0; /* the pools were lost with their nodes */
    restart(s);
    asker_wait_sent(s, 1);
    asker_block(s);
    net_wait(&s->net, 50);
    assert_int_equal(channels_on_ledger(s), 1);
    assert_true(asker_runs(s->jobs->first));
}

/* A disk that takes nothing: no transaction leaves that would be forgotten. */
static void what_cannot_be_kept_does_not_leave(void **state)
{
    struct asker *s = *state;
    struct job *j = asker_ask(s, 90);
    kv_mem_fail(s->s.kv, 1, ERR_FULL);
    net_wait(&s->net, 50);
    assert_int_equal(s->w->n, 0);
    assert_int_equal(j->r.state, JOB_FAILED);
    kv_mem_fail(s->s.kv, 0, ERR_OK);
}

/* One is on its way as the node ends. */
static void what_is_under_way_ends_with_the_node(void **state)
{
    struct asker *s = *state;
    (void)asker_ask(s, 90);
    asker_wait_sent(s, 1);
    asker_stop(s);
    asker_block_alone(s);
    asker_start(s);
    assert_int_equal(s->jobs->channels.n, 1);
    struct job *j = s->jobs->first;
    asker_try_again(j);
    assert_true(asker_runs(j));
    assert_int_equal(s->opens, 1);
}

/* The provider ends the channel in the block that was to top it up: there is another way to pay him. */
static void a_channel_that_ended_is_opened_anew(void **state)
{
    struct asker *s = *state;
    struct channel *c = open_channel(s, 90);
    struct job *j = asker_ask(s, 90);
    asker_pay(s, j, STEP, REQUEST_EOS);
    asker_wait_over(s, j);
    const struct tx_channel_settle settle = {
        .voucher = c->head.voucher, .payer_sig = c->head.payer_sig, .sum_top = channel_top(c), .close = true};
    tx_channel_settle_put(world_body(s->w), &settle);
    world_add(s->w, KEY(CHEAP), TX_CHANNEL_SETTLE, bytes_of_buf(&s->w->body));
    j = asker_ask(s, 3000);
    asker_wait_sent(s, 2);
    assert_int_equal(s->topups, 1);
    asker_block(s);
    assert_true(c->head.closed);
    assert_int_equal(j->r.state, JOB_ROUTING);
    asker_try_again(j);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(j) && j->remote->channel != c);
    assert_int_equal(s->opens, 2);
}

/* A provider that the ledger does not have is of no use to this job: another is. */
static void a_provider_that_cannot_be_paid_is_left(void **state)
{
    struct asker *s = *state;
    asker_offer(s, DEAR);
    const struct tx_provider none = {.node = s->w->key[KEY(CHEAP)]};
    tx_provider_put(world_body(s->w), &none);
    assert_int_equal(world_do(s->w, KEY(CHEAP), TX_PROVIDER, bytes_of_buf(&s->w->body)), ERR_OK);
    struct job *j = asker_ask(s, 90);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_int_equal(j->r.state, JOB_ROUTING);
    asker_try_again(j);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(j) && pubkey_equal(&j->r.provider, &s->w->key[KEY(DEAR)]));
}

/* Two channels are opened with half of what there is each, and the second one's turn comes when the first is paid. */
static void an_account_that_was_emptied_does_with_less(void **state)
{
    struct asker *s = *state;
    const uint64_t keep = MOTE_PER_KITH, all = world_balance(s->w, KEY(PAYER));
    assert_int_equal(WORLD_DO(s->w, KEY(PAYER), TX_TRANSFER, tx_transfer, s->w->key[9], amount_of(all - keep), {0}),
                     ERR_OK);
    struct job *first = asker_ask(s, 90), *second = asker_ask(s, 90);
    asker_offer(s, DEAR);
    second->failed[second->failed_n++] = s->w->key[KEY(CHEAP)];
    job_remote_stop(second);
    job_route(second);
    asker_wait_sent(s, 1);
    asker_block(s);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(first));
    assert_int_equal(second->r.state, JOB_ROUTING);
    asker_try_again(second);
    asker_wait_sent(s, 1);
    asker_block(s);
    assert_true(asker_runs(second) && second->remote->channel != first->remote->channel);
}

/* Two jobs see that their provider cannot follow the channel: it is closed once. */
static void a_channel_is_given_up_once(void **state)
{
    struct asker *s = *state;
    struct channel *c = open_channel(s, 90);
    struct job *a = asker_ask(s, 90), *b = asker_ask(s, 90);
    job_give_up_channel(a);
    job_give_up_channel(b);
    asker_wait_sent(s, 1);
    asker_block(s);
    net_wait(&s->net, 20);
    assert_int_equal(s->w->n, 0);
    assert_int_equal(s->closes, 1);
    assert_true(c->head.closed);
}

/* -- anything, in any order -- */

/* What is promised, and what those that run may still take, is there. */
static void assert_covered(const struct asker *s)
{
    for (size_t i = 0; i < s->jobs->channels.n; i++) {
        const struct channel *c = s->jobs->channels.at[i];
        const unsigned node = pubkey_equal(&c->head.provider, &s->w->key[KEY(CHEAP)]) ? CHEAP : DEAR;
        uint64_t held = 0;
        for (const struct job *j = s->jobs->first; j; j = j->next) {
            if (!asker_runs(j) || j->remote->channel != c || j->r.stop != JOB_STOP_NONE)
                continue;
            uint32_t at = channel_find_job(c, &j->r.paid_id);
            held += (uint64_t)(PROMPT + job_tokens_max(j)) * TOKEN_MOTE * node;
            held -= at == CHANNEL_NO_JOB ? 0 : c->receipts[at].receipt.price.mote;
        }
        assert_true(held <= channel_left(c).mote);
    }
}

static void go_on(struct asker *s, struct served *v)
{
    uint32_t have = (uint32_t)(v->tokens.n / 4), left = job_tokens_max(job_find(s->jobs, &v->job)) - have;
    if (left)
        asker_deliver(v, left < STEP ? left : STEP, left <= STEP ? REQUEST_LENGTH : RECEIPT_OPEN);
    net_wait(&s->net, 2);
}

static struct job *any_active(struct asker *s, struct random *chance)
{
    struct job *active[SERVED_MAX];
    unsigned n = 0;
    for (struct job *j = s->jobs->first; j; j = j->next)
        if (j->r.state < JOB_DONE)
            active[n++] = j;
    return n ? active[random_below(chance, n)] : NULL;
}

static void happen(struct asker *s, struct random *chance)
{
    static const enum err reasons[] = {ERR_BUSY, ERR_CLOSED, ERR_LIMIT, ERR_STATE};
    struct job *j = any_active(s, chance);
    struct served *v = j ? asker_find_served(s, j) : NULL;
    const uint64_t what = random_below(chance, 100);
    if (!j || what < 20) {
        (void)asker_ask(s, (uint32_t)random_between(chance, 1, 40));
    } else if (what < 22) {
        asker_stop(s);
        asker_start(s);
    } else if (what < 26) {
        jobs_cancel(s->jobs, &j->r.id);
    } else if (what < 36) {
        asker_block(s);
    } else if (what < 42 && v) {
        streams_close(s->streams[v->node], v->stream, reasons[random_below(chance, 4)], "no");
        v->stream = 0;
    } else if (v) {
        go_on(s, v);
    } else if (j->r.state == JOB_ROUTING && !j->remote) {
        asker_try_again(j);
    }
}

/* Until every job is over. */
static void calm(struct asker *s)
{
    for (unsigned left = 1, rounds = 0; left; rounds++) {
        assert_true(rounds < 1000);
        asker_block(s);
        net_wait(&s->net, 2);
        left = 0;
        for (struct job *j = s->jobs->first; j; j = j->next) {
            left += j->r.state < JOB_DONE;
            struct served *v = j->r.state < JOB_DONE ? asker_find_served(s, j) : NULL;
            if (v)
                go_on(s, v);
            else if (j->r.state == JOB_ROUTING && !j->remote)
                asker_try_again(j);
        }
    }
}

static void whatever_happens_jobs_are_covered(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= STORM_SEEDS; seed++) {
        struct random chance = {seed};
        struct amount cost = {0}, promised = {0};
        unsigned done = 0;
        void *fresh;
        asker_begin(&fresh);
        struct asker *s = fresh;
        asker_offer(s, DEAR);
        for (unsigned i = 0; i < STORM_STEPS; i++) {
            happen(s, &chance);
            net_wait(&s->net, 1);
            assert_covered(s);
        }
        calm(s);
        for (struct job *j = s->jobs->first; j; j = j->next) {
            assert_true(amount_add(&cost, cost, j->r.cost));
            done += j->r.state == JOB_DONE;
            assert_true(j->r.state == JOB_DONE || j->r.code == ERR_CANCELLED);
        }
        for (size_t i = 0; i < s->jobs->channels.n; i++)
            if (s->jobs->channels.at[i]->head.promised)
                assert_true(amount_add(&promised, promised, s->jobs->channels.at[i]->head.voucher.cumulative));
        assert_int_equal(amount_compare(cost, promised), 0);
        assert_null(s->jobs->fundings);
        assert_true(done > 10); /* it was about something */
        asker_end(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_channel_holds_enough_for_all_that_run, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_is_left_is_for_whoever_needs_no_more, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_a_job_held_is_free_when_it_ends, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(who_comes_meanwhile_waits, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_transaction_outlives_its_job, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_channel_is_opened_once, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_channel_that_is_there_is_found, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_channel_of_a_snapshot_is_opened_once, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_topup_of_a_snapshot_is_made_once, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_was_for_another_chain_is_forgotten, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_nobody_heard_of_is_sent_again, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_cannot_be_kept_does_not_leave, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(what_is_under_way_ends_with_the_node, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_channel_that_ended_is_opened_anew, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_provider_that_cannot_be_paid_is_left, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(an_account_that_was_emptied_does_with_less, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(a_channel_is_given_up_once, asker_begin, asker_end),
        cmocka_unit_test(whatever_happens_jobs_are_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
