/* Offers: only signed, fresh ones of this chain decode; the table keeps the newest; the cheapest that fits wins. */
#include "node/market/offer.h"
#include "tests/support.h"

#include <string.h>

#define NOW UINT64_C(1700000000000)

static const struct hash chain = {{1}}, model = {{2}};

static struct offer make(uint8_t who, uint64_t price_out, struct seckey *secret)
{
    struct offer o = {.chain = chain, .model = model, .context = 1024, .slots = 2, .slots_free = 1, .tokens_per_s = 10};
    memset(secret->b, who, sizeof secret->b);
    key_derive(secret, &o.provider);
    o.price_in = amount_of(1000000);
    o.price_out = amount_of(price_out);
    o.issued_ms = NOW;
    o.expiry_ms = NOW + 60000;
    assert_true(text255_set(&o.endpoint, "127.0.0.1:7718"));
    offer_sign(&o, secret);
    return o;
}

static enum err decode(const struct offer *o, const struct hash *of, uint64_t now)
{
    struct buf b = {0};
    struct offer back;
    offer_put(&b, o);
    assert_true(b.n <= OFFER_BYTES_MAX);
    enum err e = offer_decode(bytes_of_buf(&b), of, now, &back);
    if (e == ERR_OK)
        assert_true(offer_equal(&back, o));
    buf_clear(&b);
    return e;
}

static void only_good_ones_decode(void **state)
{
    (void)state;
    struct seckey secret;
    struct offer o = make(7, 5000000, &secret);
    static const struct hash other = {{9}};
    assert_int_equal(decode(&o, &chain, NOW), ERR_OK);
    assert_int_equal(decode(&o, &other, NOW), ERR_CHAIN);
    assert_int_equal(decode(&o, &chain, NOW + 60000 + OFFER_SKEW_MS), ERR_EXPIRED);
    assert_int_equal(decode(&o, &chain, NOW - OFFER_SKEW_MS - 1), ERR_RANGE);
    o.price_out.mote--;
    assert_int_equal(decode(&o, &chain, NOW), ERR_AUTH);
    o.expiry_ms = NOW + OFFER_LIFE_MS + 1;
    offer_sign(&o, &secret);
    assert_int_equal(decode(&o, &chain, NOW), ERR_RANGE);
}

static void costs_round_up(void **state)
{
    (void)state;
    struct amount cost;
    assert_true(offer_cost(amount_of(1), amount_of(0), 1, 0, &cost));
    assert_true(cost.mote == 1);
    assert_true(offer_cost(amount_of(1000000), amount_of(3000000), 10, 4, &cost));
    assert_true(cost.mote == 22);
    assert_true(offer_cost(amount_of(5), amount_of(5), 0, 0, &cost));
    assert_true(cost.mote == 0);
    assert_false(offer_cost(amount_of(UINT64_MAX), amount_of(UINT64_MAX), UINT64_MAX, UINT64_MAX, &cost));
}

static void newest_is_kept_and_cheapest_that_fits_is_picked(void **state)
{
    (void)state;
    struct seckey secret;
    struct offers *t = offers_new();
    struct offer dear = make(1, 9000000, &secret), cheap = make(2, 4000000, &secret);
    assert_true(offers_add(t, &dear, NOW));
    assert_false(offers_add(t, &dear, NOW));
    assert_true(offers_add(t, &cheap, NOW));
    struct offer_need need = {.model = model, .prompt_tokens = 10, .tokens_max = 100, .budget = amount_of(1000000)};
    assert_true(pubkey_equal(&offers_pick(t, &need, NOW)->provider, &cheap.provider));
    need.exclude = &cheap.provider;
    need.exclude_n = 1;
    assert_true(pubkey_equal(&offers_pick(t, &need, NOW)->provider, &dear.provider));
    need.budget = amount_of(10 + 899);
    assert_null(offers_pick(t, &need, NOW));
    need.exclude_n = 0;
    cheap.slots_free = 0;
    cheap.issued_ms++;
    assert_true(offers_add(t, &cheap, NOW));
    assert_null(offers_pick(t, &need, NOW));
    need.budget = amount_of(1000000);
    assert_true(pubkey_equal(&offers_pick(t, &need, NOW)->provider, &dear.provider));
    need.tokens_max = 1015;
    assert_null(offers_pick(t, &need, NOW)); /* over the context */
    need.tokens_max = 100;
    assert_null(offers_pick(t, &need, NOW + 60000 + OFFER_SKEW_MS));
    offers_free(t);
}

/* Why there is none: the nearest to a fit counts. */
static void what_they_lack_is_told(void **state)
{
    (void)state;
    struct seckey secret;
    struct amount least;
    struct offers *t = offers_new();
    struct offer dear = make(1, 9000000, &secret), cheap = make(2, 4000000, &secret);
    struct offer_need need = {.model = model, .prompt_tokens = 10, .tokens_max = 100, .budget = amount_of(1000000)};
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_NONE);
    assert_true(offers_add(t, &dear, NOW) && offers_add(t, &cheap, NOW));
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_FIT);
    uint64_t cost = least.mote;
    need.budget = amount_of(cost - 1);
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_DEAR);
    assert_int_equal(least.mote, cost);
    need.budget = amount_of(cost);
    need.exclude = &cheap.provider;
    need.exclude_n = 1;
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_BUSY);
    need.exclude_n = 0;
    cheap.slots_free = 0;
    cheap.issued_ms++;
    assert_true(offers_add(t, &cheap, NOW));
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_BUSY);
    need.tokens_max = 1015;
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_SMALL);
    assert_int_equal(offers_lack(t, &need, NOW + 60000 + OFFER_SKEW_MS, &least), OFFERS_NONE);
    need.arith++;
    assert_int_equal(offers_lack(t, &need, NOW, &least), OFFERS_NONE);
    offers_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_good_ones_decode),
        cmocka_unit_test(costs_round_up),
        cmocka_unit_test(newest_is_kept_and_cheapest_that_fits_is_picked),
        cmocka_unit_test(what_they_lack_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
