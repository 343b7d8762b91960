/* Bounties: post, offer, accept, return. */
#include "tests/support.h"
#include "tests/world.h"

#define KITH MOTE_PER_KITH

static enum err post(struct world *w, unsigned who, uint8_t wants, uint64_t mote, uint64_t ms)
{
    struct tx_bounty_post body = {.wants = wants, .terms = world_root(8), .amount = amount_of(mote)};
    body.deadline_ms = w->time_ms + w->step_ms + ms; /* counted from its own block */
    CHECK(text64_set(&body.title, "wanted"));
    tx_bounty_post_put(world_body(w), &body);
    return world_do(w, who, TX_BOUNTY_POST, bytes_of_buf(&w->body));
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    assert_int_equal(post(w, 1, 2, KITH, 1000), ERR_FORMAT);
    assert_int_equal(post(w, 1, LINEAGE_MODEL, 0, 1000), ERR_RANGE);
    assert_int_equal(post(w, 1, LINEAGE_MODEL, KITH, 0), ERR_RANGE);
    assert_int_equal(post(w, 1, LINEAGE_MODEL, KITH, BOUNTY_MS_MAX + 1), ERR_RANGE);
    assert_int_equal(post(w, 1, LINEAGE_MODEL, 2 * WORLD_FUND, 1000), ERR_FUNDS);
    assert_int_equal(post(w, 1, LINEAGE_MODEL, KITH, BOUNTY_MS_MAX), ERR_OK);
    struct tx_bounty_post body = {.amount = amount_of(1), .deadline_ms = w->time_ms + 9999};
    tx_bounty_post_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_BOUNTY_POST, bytes_of_buf(&w->body)), ERR_FORMAT); /* no title */
    world_free(w);
}

static void offered_and_accepted(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct rec_bounty b;
    struct rec_offer o;
    struct hash root = world_root(3), none = world_root(4);
    assert_int_equal(post(w, 1, LINEAGE_MODEL, 5 * KITH, 100000), ERR_OK);
    struct hash id = w->last_id;
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_NOT_FOUND);
    assert_int_equal(world_contribute(w, 2, 3, true, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_NOT_FOUND); /* a model is wanted */
    assert_int_equal(world_publish(w, 2, 3, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 3, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_AUTH);
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, none, root), ERR_NOT_FOUND);
    assert_int_equal(WORLD_DO(w, 1, TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root), ERR_NOT_FOUND);
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_OK);
    const struct ledger_event *e = world_event(w, LEDGER_BOUNTY_OFFERED, 0);
    assert_true(e && pubkey_equal(&e->a, &w->key[1]) && pubkey_equal(&e->b, &w->key[2]));
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_DUPLICATE);
    assert_true(ledger_offer(w->ledger, &id, &root, &o) && pubkey_equal(&o.by, &w->key[2]));
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root), ERR_AUTH);
    assert_int_equal(WORLD_DO(w, 1, TX_BOUNTY_ACCEPT, tx_bounty_accept, id, none), ERR_NOT_FOUND);
    uint64_t before = world_balance(w, 2);
    assert_int_equal(WORLD_DO(w, 1, TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root), ERR_OK);
    assert_true(world_balance(w, 2) == before + 5 * KITH);
    assert_int_equal(WORLD_DO(w, 1, TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root), ERR_STATE);
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_STATE);
    assert_true(ledger_bounty(w->ledger, &id, &b) && b.state == BOUNTY_PAID && pubkey_equal(&b.to, &w->key[2]));
    /* Its offers go at the deadline, itself after keep_ms; the money went once. */
    before = world_balance(w, 1);
    world_wait(w, 100000);
    assert_false(ledger_offer(w->ledger, &id, &root, &o));
    assert_true(ledger_bounty(w->ledger, &id, &b));
    world_wait(w, ledger_params(w->ledger).keep_ms);
    assert_false(ledger_bounty(w->ledger, &id, &b));
    assert_true(world_balance(w, 1) == before);
    world_free(w);
}

static void it_returns_by_itself(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct rec_bounty b;
    struct rec_offer o;
    struct hash root = world_root(3);
    assert_int_equal(world_contribute(w, 2, 3, true, 0), ERR_OK);
    assert_int_equal(post(w, 1, LINEAGE_DATA, 5 * KITH, 10000), ERR_OK);
    struct hash id = w->last_id;
    assert_int_equal(WORLD_DO(w, 2, TX_BOUNTY_OFFER, tx_bounty_offer, id, root), ERR_OK);
    uint64_t before = world_balance(w, 1);
    w->step_ms = 8999;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == before);
    w->step_ms = 1;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == before + 5 * KITH);
    assert_non_null(world_event(w, LEDGER_BOUNTY_RETURNED, 0));
    assert_false(ledger_bounty(w->ledger, &id, &b) || ledger_offer(w->ledger, &id, &root, &o));
    assert_int_equal(WORLD_DO(w, 1, TX_BOUNTY_ACCEPT, tx_bounty_accept, id, root), ERR_NOT_FOUND);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(offered_and_accepted),
        cmocka_unit_test(it_returns_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
