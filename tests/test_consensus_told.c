/* What a node makes of transactions that it is only told of. */
#include "tests/mutes.h"

/* -- transactions -- */

static void who_tells_and_sends_nothing_is_passed_over(void **state)
{
    struct mutes *s = *state;
    mutes_say_ids(s, 2, MSG_TX_IDS, 0, 3);
    mutes_hear(s, 2, MSG_TX_GET, 1);
    assert_true(mutes_are_ids(s, mutes_last(s, 2, MSG_TX_GET), 0, 3));
    mutes_say_ids(s, 1, MSG_TX_IDS, 0, 3);
    mutes_hear(s, 1, MSG_TX_GET, 1);
    assert_true(mutes_are_ids(s, mutes_last(s, 1, MSG_TX_GET), 0, 3));
    mutes_say_txs(s, 1, 0, 3);
    mutes_pooled(s, 3);
    /* The next ones are asked of who sent, whoever told first; those that came are not asked for again. */
    mutes_say_ids(s, 2, MSG_TX_IDS, 0, 6);
    mutes_say_ids(s, 1, MSG_TX_IDS, 0, 6);
    mutes_hear(s, 1, MSG_TX_GET, 2);
    assert_true(mutes_are_ids(s, mutes_last(s, 1, MSG_TX_GET), 3, 3));
    assert_int_equal(s->mute[2].n[MSG_TX_GET], 1);
    /* Who has them no more is not waited for. */
    mutes_say_ids(s, 1, MSG_TX_NONE, 3, 3);
    mutes_hear(s, 2, MSG_TX_GET, 2);
    mutes_say_txs(s, 2, 3, 3);
    mutes_pooled(s, 6);
    assert_int_equal(s->misbehaved, 0);
}

static void what_comes_before_what_it_follows_waits(void **state)
{
    struct mutes *s = *state;
    mutes_say(s, 1, MSG_TX, bytes_of_buf(&s->tx[2]));
    mutes_say_txs(s, 2, 1, 1);
    mutes_say_txs(s, 1, 3, 1);
    net_wait(&s->net, 100);
    mutes_pooled(s, 0);
    mutes_say(s, 1, MSG_TX, bytes_of_buf(&s->tx[0]));
    mutes_pooled(s, 4);
    mutes_hear(s, 2, MSG_TXS, 1); /* and they go on together, in their order */
    struct cursor r = cursor_of(mutes_last(s, 2, MSG_TXS));
    for (unsigned i = 0; i < 4; i++) {
        struct bytes raw;
        codec_get_blob(&r, &raw);
        assert_true(bytes_equal(raw, bytes_of_buf(&s->tx[i])));
    }
    assert_true(cursor_end(&r));
}

static void a_pool_is_told_of_and_sent_when_asked(void **state)
{
    struct mutes *s = *state;
    mutes_say_txs(s, 1, 0, 5);
    mutes_pooled(s, 5);
    peers_drop(s->net.node[2].peers, &s->net.node[0].id, ERR_CLOSED, "comes again");
    s->mute[2].n[MSG_TX_IDS] = 0;
    mutes_hear(s, 2, MSG_TX_IDS, 1);
    assert_true(mutes_are_ids(s, mutes_last(s, 2, MSG_TX_IDS), 0, 5));
    mutes_say_ids(s, 2, MSG_TX_GET, 3, 4); /* of which there are two */
    mutes_hear(s, 2, MSG_TX_NONE, 1);
    assert_true(mutes_are_ids(s, mutes_last(s, 2, MSG_TX_NONE), 5, 2));
    struct cursor r = cursor_of(mutes_last(s, 2, MSG_TXS));
    for (unsigned i = 3; i < 5; i++) {
        struct bytes raw;
        codec_get_blob(&r, &raw);
        assert_true(bytes_equal(raw, bytes_of_buf(&s->tx[i])));
    }
    assert_true(cursor_end(&r));
}

static void who_wants_to_be_told_is(void **state)
{
    struct mutes *s = *state;
    mutes_say(s, 2, MSG_NEWS, bytes_of("\0", 1));
    net_wait(&s->net, 50);
    mutes_say_txs(s, 1, 0, 2);
    mutes_hear(s, 2, MSG_TX_IDS, 1);
    assert_true(mutes_are_ids(s, mutes_last(s, 2, MSG_TX_IDS), 0, 2));
    assert_int_equal(s->mute[2].n[MSG_TXS], 0);
    mutes_say(s, 2, MSG_NEWS, bytes_of("\1", 1));
    net_wait(&s->net, 50);
    mutes_say_txs(s, 1, 2, 2);
    mutes_hear(s, 2, MSG_TXS, 1);
    net_wait(&s->net, 100);
    assert_int_equal(s->mute[2].n[MSG_TX_IDS], 1);
    assert_int_equal(s->mute[1].n[MSG_TX_IDS] + s->mute[1].n[MSG_TXS], 0); /* it has them */
}

static void nonsense_is_cut_off(void **state)
{
    static const enum msg_type types[] = {MSG_TX_IDS,      MSG_TX_GET,        MSG_TX_NONE,
                                          MSG_NEWS,        MSG_PROPOSAL_HAVE, MSG_PROPOSAL_GET,
                                          MSG_BALLOT_HAVE, MSG_BALLOT_GET,    MSG_PROPOSAL_TXS};
    struct mutes *s = *state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        s->misbehaved = 0;
        mutes_say(s, 2, types[i], bytes_of("\7", 1));
        net_run(&s->net, mutes_is_cut_off, s, 5000);
        assert_int_equal(s->misbehaved, 1);
        if (i + 1 < sizeof types / sizeof *types) { /* it is kept out for a while: another one comes */
            net_stop(&s->net, 2);
            key_new(&s->net.node[2].key);
            key_derive(&s->net.node[2].key, &s->net.node[2].id);
            net_start(&s->net, 2, s->chain);
            net_join(&s->net, 2, 0);
        }
    }
}

/* A node that is told to begin before it has started starts all the same: it says again where it is. */
static void a_hurry_is_no_reason_to_be_mute(void **state)
{
    struct mutes *s = *state;
    mutes_hear(s, 1, MSG_STATUS, 3);
    mutes_hear(s, 2, MSG_STATUS, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_tells_and_sends_nothing_is_passed_over, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(what_comes_before_what_it_follows_waits, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(a_pool_is_told_of_and_sent_when_asked, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(who_wants_to_be_told_is, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(nonsense_is_cut_off, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(a_hurry_is_no_reason_to_be_mute, mutes_begin_in_a_hurry, mutes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
