/* Keys of the beacon on the ledger: who may register one, and from which height it holds. */
#include "tests/support.h"
#include "tests/world.h"

#include <string.h>

static struct vrf_public key_of(const struct world *w, unsigned who, uint8_t variant)
{
    struct seckey key = w->secret[who];
    key.b[31] = (uint8_t)(key.b[31] ^ variant);
    struct vrf_secret secret = vrf_secret_of(&key);
    return vrf_public_of(&secret);
}

static bool holds(const struct world *w, uint64_t height, struct vrf_public key)
{
    struct vrf_public now;
    return ledger_beacon_key(w->ledger, &w->key[0], height, &now) && codec_equal_vrf_public(&now, &key);
}

static void fund(struct world *w)
{
    assert_int_equal(WORLD_DO(w, 1, TX_TRANSFER, tx_transfer, w->key[0], amount_of(MOTE_PER_KITH), {0}), ERR_OK);
}

static void a_key_holds_two_epochs_later(void **state)
{
    (void)state;
    struct params p = params_private();
    p.beacon_epoch = 10;
    struct world *w = world_new(&p);
    struct vrf_public first = key_of(w, 0, 0), second = key_of(w, 0, 1), third = key_of(w, 0, 2), got;
    fund(w); /* height 1 */
    assert_int_equal(WORLD_DO(w, 0, TX_BEACON_KEY, tx_beacon_key, first), ERR_OK);
    assert_false(ledger_beacon_key(w->ledger, &w->key[0], 19, &got));
    assert_true(holds(w, 20, first));
    assert_true(ledger_beacon_key_last(w->ledger, &w->key[0], &got) && codec_equal_vrf_public(&got, &first));
    while (ledger_info(w->ledger).height < 29)
        world_block(w);
    assert_int_equal(WORLD_DO(w, 0, TX_BEACON_KEY, tx_beacon_key, second), ERR_OK); /* in block 30 */
    assert_true(holds(w, 49, first));                                               /* until the new one does */
    assert_true(holds(w, 50, second));
    assert_int_equal(WORLD_DO(w, 0, TX_BEACON_KEY, tx_beacon_key, third), ERR_OK); /* another before it ever held */
    assert_true(holds(w, 49, first));
    assert_true(holds(w, 50, third));
    world_reopen(w);
    assert_true(holds(w, 49, first));
    world_free(w);
}

static void only_a_validator_and_only_a_key(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct vrf_public good = key_of(w, 1, 0), bad = {{1}};
    fund(w);
    assert_int_equal(WORLD_DO(w, 1, TX_BEACON_KEY, tx_beacon_key, good), ERR_STATE);
    assert_int_equal(WORLD_DO(w, 0, TX_BEACON_KEY, tx_beacon_key, bad), ERR_FORMAT);
    assert_int_equal(WORLD_DO(w, 0, TX_BEACON_KEY, tx_beacon_key, good), ERR_OK);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_holds_two_epochs_later),
        cmocka_unit_test(only_a_validator_and_only_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
