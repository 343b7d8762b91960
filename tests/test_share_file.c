/* HOME/share: what was stored is loaded, and nothing else is: a changed bit is another price. */
#include "node/share_file.h"
#include "tests/support.h"

#include <stdlib.h>

static const struct hash models[2] = {{{1}}, {{2}}};

static void stored_and_loaded(void **state)
{
    (void)state;
    struct buf file = {0};
    struct market_share s = {true, {700}, {900}, 4, models, 2}, got;
    share_file_store(&file, &s);
    assert_true(file.n < SHARE_FILE_MAX);
    assert_true(share_file_load(bytes_of_buf(&file), &got));
    assert_true(got.on && got.price_in.mote == 700 && got.price_out.mote == 900 && got.slots == 4);
    assert_int_equal(got.models_n, 2);
    assert_memory_equal(got.models, models, sizeof models);
    free((void *)(uintptr_t)got.models);
    buf_clear(&file);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct buf file = {0};
    struct market_share s = {true, {700}, {900}, 4, models, 2}, got;
    share_file_store(&file, &s);
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
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
