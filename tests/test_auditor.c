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
    unsigned commits;
};

static enum err submit(void *arg, struct bytes raw, struct note *note)
{
    struct stage *t = arg;
    struct tx tx;
    (void)note;
    assert_int_equal(tx_decode(raw, &tx, NULL), ERR_OK);
    t->commits += tx.kind == TX_AUDIT_COMMIT;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_waited_says_so, begin, end),
        cmocka_unit_test_setup_teardown(who_comes_late_says_nothing, begin, end),
        cmocka_unit_test_setup_teardown(who_slept_says_nothing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
