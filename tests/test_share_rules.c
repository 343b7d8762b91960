/* The owner's rules for lending: each says no where it should, at its edges too, says so in words, and does not flap.
 */
#include "node/market/share_rules.h"
#include "tests/support.h"

#include <string.h>

/* A quiet machine on the mains, at noon. */
static const struct share_readings fine = {
    .now_ms = 1000000,
    .machine = {.local_min = 720,
                .power = MACHINE_MAINS,
                .has_temperature = true,
                .temperature = 50,
                .has_input = true,
                .input_ms = MACHINE_NOBODY},
    .has_others = true,
};

static enum share_reason decide(const struct share_rules *r, const struct share_readings *now)
{
    struct share_state s = {0};
    return share_decide(r, now, &s);
}

static void hours_are_of_the_local_day(void **state)
{
    (void)state;
    static const struct {
        const char *hours;
        uint32_t min;
        bool may;
    } cases[] = {
        {"any", 0, true},
        {"09:00-17:00", 539, false},
        {"09:00-17:00", 540, true},
        {"09:00-17:00", 1019, true},
        {"09:00-17:00", 1020, false},
        {"22:00-07:00", 1319, false},
        {"22:00-07:00", 1320, true},
        {"22:00-07:00", 1439, true},
        {"22:00-07:00", 0, true},
        {"22:00-07:00", 419, true},
        {"22:00-07:00", 420, false},
        {"22:00-24:00", 1439, true},
        {"22:00-24:00", 0, false},
        {"22:00-00:00", 1439, true},
        {"22:00-00:00", 0, false},
        {"00:00-00:01", 0, true},
        {"00:00-00:01", 1, false},
        {"23:59-00:00", 1439, true},
        {"00:00-24:00", 0, true},
        {"00:00-24:00", 1439, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct share_rules r = {0};
        struct share_readings now = fine;
        struct share_state s = {0};
        struct buf text = {0};
        assert_true(share_hours_parse(cases[i].hours, &r.from_min, &r.to_min));
        now.machine.local_min = cases[i].min;
        enum share_reason reason = share_decide(&r, &now, &s);
        if (reason != (cases[i].may ? SHARE_MAY : SHARE_HOURS))
            fail_msg("%s at minute %u: %d", cases[i].hours, cases[i].min, reason);
        share_reason_put(&text, &r, &now, &s);
        assert_int_equal(text.n == 0, cases[i].may);
        if (!cases[i].may)
            assert_non_null(strstr(buf_text(&text), cases[i].hours));
        buf_clear(&text);
    }
}

static void what_is_no_hours_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "22:00",
                                      "22-07",
                                      "7:00-22:00",
                                      "22:00-22:00",
                                      "24:00-07:00",
                                      "25:00-07:00",
                                      "22:60-07:00",
                                      "22:00-07:00 ",
                                      "22:00–07:00",
                                      "22.00-07.00",
                                      "ANY"};
    uint32_t from, to;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (share_hours_parse(bad[i], &from, &to))
            fail_msg("%s was taken", bad[i]);
}

static void an_hour_that_begins_needs_no_calm(void **state)
{
    (void)state;
    const struct share_rules r = {.from_min = 720, .to_min = 780};
    struct share_readings now = fine;
    struct share_state s = {0};
    now.machine.local_min = 719;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_HOURS);
    now.machine.local_min = 720;
    now.now_ms++;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
}

static void what_cannot_be_told_counts_against(void **state)
{
    (void)state;
    struct share_readings now = fine;
    struct share_rules r = {0};
    now.machine.power = MACHINE_POWER_UNKNOWN;
    now.machine.has_temperature = now.machine.has_input = now.has_others = false;
    assert_int_equal(decide(&r, &now), SHARE_POWER_UNKNOWN);
    r.on_battery = true;
    assert_int_equal(decide(&r, &now), SHARE_MAY); /* no rule asks for the rest */
    r.temperature_max = 80;
    assert_int_equal(decide(&r, &now), SHARE_TEMPERATURE_UNKNOWN);
    r.temperature_max = 0;
    r.idle_only = true;
    assert_int_equal(decide(&r, &now), SHARE_INPUT_UNKNOWN);
    now.machine.has_input = true;
    assert_int_equal(decide(&r, &now), SHARE_BUSY_UNKNOWN);
    now.has_others = true;
    assert_int_equal(decide(&r, &now), SHARE_MAY);
}

static void battery_ends_it_at_once_and_mains_after_a_while(void **state)
{
    (void)state;
    const struct share_rules r = {0};
    struct share_readings now = fine;
    struct share_state s = {0};
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
    now.machine.power = MACHINE_BATTERY;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_BATTERY);
    now.machine.power = MACHINE_MAINS;
    now.now_ms += SHARE_CALM_MS - 1;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_CALM);
    now.now_ms++;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
    const struct share_rules anyhow = {.on_battery = true};
    now.machine.power = MACHINE_BATTERY;
    assert_int_equal(decide(&anyhow, &now), SHARE_MAY);
}

static void warmth_has_two_thresholds(void **state)
{
    (void)state;
    const struct share_rules r = {.temperature_max = 80};
    static const struct {
        int32_t temperature;
        uint32_t after_ms;
        enum share_reason want;
    } steps[] = {
        {80, 0, SHARE_MAY},
        {81, 0, SHARE_WARM},
        {80, SHARE_CALM_MS, SHARE_WARM},
        {76, SHARE_CALM_MS, SHARE_WARM},
        {75, 1000, SHARE_CALM},
        {76, 1000, SHARE_WARM},
        {75, SHARE_CALM_MS - 1, SHARE_CALM},
        {75, 1, SHARE_MAY},
        {80, 1000, SHARE_MAY},
        {81, 1000, SHARE_WARM},
    };
    struct share_readings now = fine;
    struct share_state s = {0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        now.machine.temperature = steps[i].temperature;
        now.now_ms += steps[i].after_ms;
        enum share_reason reason = share_decide(&r, &now, &s);
        if (reason != steps[i].want)
            fail_msg("step %zu: %d, not %d", i, reason, steps[i].want);
    }
}

static void use_by_somebody_is_seen(void **state)
{
    (void)state;
    const struct share_rules r = {.idle_only = true};
    struct share_readings now = fine;
    struct share_state s = {0};
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
    now.machine.input_ms = SHARE_INPUT_MS - 1;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_INPUT);
    now.machine.input_ms = SHARE_INPUT_MS;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
    now.others = SHARE_BUSY_PERMILLE;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
    now.others++;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_BUSY);
    now.others = SHARE_BUSY_PERMILLE - SHARE_QUIET_DROP + 1;
    now.now_ms += SHARE_CALM_MS;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_BUSY);
    now.others--;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_CALM);
    now.now_ms += SHARE_CALM_MS;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
}

/* A load that goes up and down all the time around the threshold makes few decisions, not one a reading. */
static void it_does_not_flap(void **state)
{
    (void)state;
    const struct share_rules r = {.idle_only = true, .temperature_max = 80};
    struct share_readings now = fine;
    struct share_state s = {0};
    unsigned changes = 0;
    bool was = true;
    for (unsigned i = 0; i < 3600; i++) { /* ten hours, a reading each 10 s */
        now.now_ms += 10000;
        now.others = i % 7 == 3 ? SHARE_BUSY_PERMILLE + 50 : SHARE_BUSY_PERMILLE - SHARE_QUIET_DROP;
        now.machine.temperature = 76 + (int32_t)(i % 5);
        bool may = share_decide(&r, &now, &s) == SHARE_MAY;
        changes += may != was;
        was = may;
    }
    assert_true(changes <= 3600 / 7 * 2);
    now.machine.temperature = 50;
    now.others = 0;
    now.now_ms += SHARE_CALM_MS;
    assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
}

/* Some batteries and sensors say nothing now and then. */
static void what_is_told_now_and_then_does_not_flap(void **state)
{
    (void)state;
    const struct share_rules r = {.temperature_max = 80};
    for (int which = 0; which < 2; which++) {
        struct share_readings now = fine;
        struct share_state s = {0};
        unsigned may = 0;
        for (unsigned i = 0; i < 60; i++) {
            now.now_ms += 10000;
            now.machine.power = which == 0 && i % 2 == 0 ? MACHINE_POWER_UNKNOWN : MACHINE_MAINS;
            now.machine.has_temperature = which == 0 || i % 2 != 0;
            may += share_decide(&r, &now, &s) == SHARE_MAY;
        }
        assert_int_equal(may, 0);
        now.machine.has_temperature = true;
        now.now_ms += SHARE_CALM_MS;
        assert_int_equal(share_decide(&r, &now, &s), SHARE_MAY);
    }
}

static void memory_of_the_models_has_a_limit(void **state)
{
    (void)state;
    const struct share_rules r = {.memory_max_mb = 100};
    struct share_readings now = fine;
    now.memory_bytes = UINT64_C(100) << 20;
    assert_int_equal(decide(&r, &now), SHARE_MAY);
    now.memory_bytes++;
    assert_int_equal(decide(&r, &now), SHARE_MEMORY);
}

/* Every reason has words, and names the option that lifts it where there is one. */
static void every_reason_has_words(void **state)
{
    (void)state;
    const struct share_rules r = {.to_min = 60, .temperature_max = 80, .memory_max_mb = 1};
    for (int reason = SHARE_HOURS; reason <= SHARE_CALM; reason++) {
        const struct share_state s = {.reason = (enum share_reason)reason, .held = SHARE_WARM, .held_ms = 990000};
        struct buf text = {0};
        share_reason_put(&text, &r, &fine, &s);
        assert_true(text.n > 10 && !strchr(buf_text(&text), '\n'));
        buf_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_are_of_the_local_day),
        cmocka_unit_test(what_is_no_hours_is_refused),
        cmocka_unit_test(an_hour_that_begins_needs_no_calm),
        cmocka_unit_test(what_cannot_be_told_counts_against),
        cmocka_unit_test(battery_ends_it_at_once_and_mains_after_a_while),
        cmocka_unit_test(warmth_has_two_thresholds),
        cmocka_unit_test(use_by_somebody_is_seen),
        cmocka_unit_test(it_does_not_flap),
        cmocka_unit_test(what_is_told_now_and_then_does_not_flap),
        cmocka_unit_test(memory_of_the_models_has_a_limit),
        cmocka_unit_test(every_reason_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
