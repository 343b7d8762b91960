/* HOME/share: what was stored is loaded, and nothing else is: a changed bit is another price. */
#include "node/market/share_file.h"
#include "tests/support.h"

#include <stdlib.h>

static const struct hash models[2] = {{{1}}, {{2}}};
static const struct market_share terms = {.on = true,
                                          .finishing = true,
                                          .price_in = {700},
                                          .price_out = {900},
                                          .slots = 4,
                                          .paused_until_ms = 12345,
                                          .rules = {1320, 420, true, true, 80, 4096},
                                          .models = models,
                                          .models_n = 2};

static void stored_and_loaded(void **state)
{
    (void)state;
    struct buf file = {0};
    struct market_share got;
    share_file_store(&file, &terms);
    assert_true(file.n < SHARE_FILE_MAX);
    assert_true(share_file_load(bytes_of_buf(&file), &got));
    assert_true(got.on && got.finishing && got.price_in.mote == 700 && got.price_out.mote == 900 && got.slots == 4);
    assert_int_equal(got.paused_until_ms, 12345);
    assert_int_equal(got.rules.from_min, 1320);
    assert_int_equal(got.rules.to_min, 420);
    assert_int_equal(got.rules.temperature_max, 80);
    assert_int_equal(got.rules.memory_max_mb, 4096);
    assert_true(got.rules.idle_only && got.rules.on_battery);
    assert_int_equal(got.models_n, 2);
    assert_memory_equal(got.models, models, sizeof models);
    free((void *)(uintptr_t)got.models);
    buf_clear(&file);
}

/* What a node of before the rules wrote: its prices hold, and it is lent as by one who names no rules. */
static void that_of_before_the_rules_is_read(void **state)
{
    (void)state;
    struct buf bare = {0}, file = {0};
    struct market_share got;
    struct share_file_old old = {
        .on = true, .price_in = {700}, .price_out = {900}, .slots = 3, .models = {(const uint8_t *)models, 2}};
    share_file_old_put(&bare, &old);
    old.check = hash_once(HASH_FILE, bare.p, bare.n);
    share_file_old_put(&file, &old);
    assert_true(share_file_load(bytes_of_buf(&file), &got));
    assert_true(got.on && !got.finishing && got.price_in.mote == 700 && got.price_out.mote == 900 && got.slots == 3);
    assert_true(got.paused_until_ms == 0 && got.rules.from_min == got.rules.to_min && !got.rules.on_battery);
    assert_int_equal(got.models_n, 2);
    assert_memory_equal(got.models, models, sizeof models);
    free((void *)(uintptr_t)got.models);
    for (size_t i = 0; i < 8 * file.n; i++) {
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(share_file_load(bytes_of_buf(&file), &got));
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    buf_clear(&bare);
    buf_clear(&file);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct buf file = {0};
    struct market_share got;
    share_file_store(&file, &terms);
    for (size_t i = 0; i < 8 * file.n; i++) {
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(share_file_load(bytes_of_buf(&file), &got));
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t cut = 0; cut < file.n; cut++)
        assert_false(share_file_load(bytes_of(file.p, cut), &got));
    buf_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_and_loaded),
        cmocka_unit_test(that_of_before_the_rules_is_read),
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
