/* When an auditor says that it was shown nothing: only if it could have been shown something. */
#include "node/pay/account.h"
#include "node/market/auditor.h"
#include "node/net/streams.h"
#include "tests/net.h"
#include "tests/world.h"

#include <stdlib.h>
#include <unistd.h>

#define KITH      MOTE_PER_KITH
#define AUDITOR   5
#define WINDOW_MS 2000u

struct stage {
    struct net net;
    struct world *w;
    struct market_services s;
    struct auditor *auditor;
    unsigned commits, found; /* of audits, and of doubts */
};

static enum err submit(void *arg, struct bytes raw, struct note *note)
{
    struct stage *t = arg;
    struct tx tx;
    (void)note;
    assert_int_equal(tx_decode(raw, &tx, NULL), ERR_OK);
    t->commits += tx.kind == TX_AUDIT_COMMIT;
    t->found += tx.kind == TX_DOUBT_COMMIT;
    world_add_raw(t->w, raw);
    return ERR_OK;
}

static int begin(void **state)
{
    struct stage *t = calloc(1, sizeof *t);
    struct params p = params_private();
    p.audit_window_ms = p.audit_reveal_ms = WINDOW_MS;
    struct world *w = t->w = world_new(&p);
    net_open(&t->net);
    net_start(&t->net, 0, w->chain);
    t->s = (struct market_services){.host = t->net.host,
                                    .ledger = w->ledger,
                                    .peers = t->net.node[0].peers,
                                    .key = &w->secret[AUDITOR],
                                    .self = w->key[AUDITOR],
                                    .chain = w->chain};
    t->s.streams = streams_new(t->net.host, t->s.peers);
    t->s.account = account_new(t->net.host, w->ledger, &w->secret[AUDITOR], submit, t);
    assert_int_equal(world_publish(w, 1, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 2, 2, 7, false), ERR_OK);
    assert_int_equal(WORLD_DO(w, AUDITOR, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(10 * KITH)), ERR_OK);
    assert_int_equal(world_provide(w, AUDITOR, AUDITOR, 7, true), ERR_OK);
    *state = t;
    return 0;
}

static int end(void **state)
{
    struct stage *t = *state;
    auditor_free(t->auditor);
    account_free(t->s.account);
    streams_free(t->s.streams);
    net_stop(&t->net, 0);
    net_close(&t->net);
    world_free(t->w);
    free(t);
    return 0;
}

/* Drawn, as blocks say, so long ago. */
static void drawn(struct stage *t, uint64_t ago_ms)
{
    struct world_channel c;
    assert_int_equal(world_open(t->w, &c, 4, 2, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    assert_int_equal(world_settle(t->w, &c), ERR_OK);
    struct hash id = t->w->last_id;
    t->w->step_ms = 1;
    t->w->time_ms = host_wall_ms(t->net.host) - ago_ms - AUDIT_DRAW_BLOCKS;
    assert_int_equal(world_settled(t->w, &id), SETTLEMENT_DRAWN);
}

/* Of a settlement that auditor 6 spoke of somebody doubts him, and the auditor is the whole committee. */
static struct hash doubted(struct stage *t)
{
    struct world *w = t->w;
    struct world_channel c;
    struct buf room[2] = {{0}};
    struct rec_doubt d;
    struct amount bond = ledger_bond(w->ledger, BOND_AUDITOR, &w->key[AUDITOR]);
    assert_int_equal(WORLD_DO(w, AUDITOR, TX_UNBOND, tx_unbond, BOND_AUDITOR, bond), ERR_OK);
    assert_int_equal(WORLD_DO(w, 6, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(10 * KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 6, 6, 7, true), ERR_OK);
    assert_int_equal(world_open(w, &c, 4, 2, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id, doubt = rec_doubt_id(&id, 0, &w->key[6]);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    struct tx_audit_reveal r = world_audit(w, &c, &id, 0, AUDIT_MATCH, room);
    t->w->step_ms = 1;
    assert_int_equal(world_verdict(w, 6, &r), ERR_OK);
    assert_int_equal(WORLD_DO(w, AUDITOR, TX_BOND, tx_bond, BOND_AUDITOR, bond), ERR_OK);
    assert_int_equal(WORLD_DO(w, 3, TX_DOUBT, tx_doubt, id, 0, w->key[6]), ERR_OK);
    t->w->time_ms = host_wall_ms(t->net.host) - AUDIT_DRAW_BLOCKS;
    while (ledger_doubt(w->ledger, &doubt, &d) && d.state == DOUBT_WAITING)
        assert_int_equal(world_block(w), ERR_OK);
    assert_int_equal(d.state, DOUBT_DRAWN);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    return doubt;
}

static uint64_t withheld(const struct stage *t)
{
    uint64_t counts[AUDIT_VERDICTS];
    auditor_counts(t->auditor, counts);
    return counts[AUDIT_WITHHELD];
}

static void who_waited_says_so(void **state)
{
    struct stage *t = *state;
    drawn(t, 0);
    t->auditor = auditor_new(&t->s);
    net_wait(&t->net, WINDOW_MS / 2);
    assert_int_equal(withheld(t), 0);
    net_wait(&t->net, WINDOW_MS / 2 - 100);
    assert_int_equal(withheld(t), 1);
    assert_int_equal(t->commits, 1);
}

/* It was not there for most of the time: a committee would find the transcript, and it would pay for its word. */
static void who_comes_late_says_nothing(void **state)
{
    struct stage *t = *state;
    drawn(t, WINDOW_MS * 3 / 4);
    t->auditor = auditor_new(&t->s);
    net_wait(&t->net, WINDOW_MS / 4 + 100);
    assert_int_equal(withheld(t), 0);
    assert_int_equal(t->commits, 0);
}

/* Nor was it there while its machine stood still. */
static void who_slept_says_nothing(void **state)
{
    struct stage *t = *state;
    drawn(t, 0);
    t->auditor = auditor_new(&t->s);
    usleep((WINDOW_MS - 50) * 1000);
    net_wait(&t->net, 100);
    assert_int_equal(withheld(t), 0);
    assert_int_equal(t->commits, 0);
}

/* In the committee of a doubt, too: and what it committed to it reveals. */
static void who_is_shown_nothing_of_a_doubt_says_so(void **state)
{
    struct stage *t = *state;
    struct world *w = t->w;
    struct rec_doubt d;
    struct hash id = doubted(t);
    t->auditor = auditor_new(&t->s);
    net_wait(&t->net, WINDOW_MS / 2);
    assert_int_equal(t->found, 0);
    net_wait(&t->net, WINDOW_MS / 2 - 100);
    assert_int_equal(t->found, 1);
    assert_int_equal(withheld(t), 0); /* which is of no settlement */
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(ledger_doubt(w->ledger, &id, &d) && d.state == DOUBT_REVEALING);
    account_step(t->s.account);
    for (uint32_t i = 0; i < w->result->events_n; i++)
        auditor_on_event(t->auditor, &w->result->events[i]);
    net_wait(&t->net, 100);
    assert_int_equal(world_block(w), ERR_OK);
    const struct ledger_event *e = world_event(w, LEDGER_DOUBT_OVER, 0);
    assert_true(e && e->code == DOUBT_WITHHELD && hash_equal(&e->id, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_waited_says_so, begin, end),
        cmocka_unit_test_setup_teardown(who_comes_late_says_nothing, begin, end),
        cmocka_unit_test_setup_teardown(who_slept_says_nothing, begin, end),
        cmocka_unit_test_setup_teardown(who_is_shown_nothing_of_a_doubt_says_so, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
