/* Genesis: JSON and back, what is refused and how it is said, the chain's id. */
#include "chain/genesis.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#define KEY_A "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define KEY_B "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"

static const char good[] = "{\"version\":5,\"name\":\"kith-test\",\"prefix\":\"kithdev\",\"time_ms\":1700000000000,"
                           "\"params\":{\"fee_byte\":\"7\",\"audits_full\":3},"
                           "\"accounts\":[{\"key\":\"" KEY_B "\",\"amount\":\"5\"},{\"key\":\"" KEY_A
                           "\",\"amount\":\"18446744072709551610\"}],"
                           "\"validators\":[{\"key\":\"" KEY_A "\",\"amount\":\"1000000000\"}]}";

static void reads_and_prints(void **state)
{
    (void)state;
    struct genesis g, again;
    struct buf room = {0}, room2 = {0}, text = {0};
    struct note note = {{0}};
    assert_int_equal(genesis_parse(bytes_of_text(good), &g, &room, &note), ERR_OK);
    assert_true(g.params.fee_byte.mote == 7 && g.params.audits_full == 3);
    assert_true(g.params.dispute_ms == params_private().dispute_ms);
    assert_int_equal(genesis_holders(g.accounts), 2);
    struct genesis_holder first = genesis_holder_at(g.accounts, 0); /* ordered by key */
    assert_int_equal(first.key.b[0], 0x79);
    genesis_print(&g, &text);
    assert_int_equal(genesis_parse(bytes_of_buf(&text), &again, &room2, &note), ERR_OK);
    assert_true(genesis_equal(&g, &again));
    struct hash id = genesis_chain_id(&g), same = genesis_chain_id(&again);
    assert_true(hash_equal(&id, &same));
    again.time_ms++;
    same = genesis_chain_id(&again);
    assert_false(hash_equal(&id, &same));
    buf_clear(&room);
    buf_clear(&room2);
    buf_clear(&text);
}

static void writes_a_file(void **state)
{
    (void)state;
    struct genesis g, again;
    struct buf room = {0}, room2 = {0};
    char *dir = test_dir_new(), path[1100];
    snprintf(path, sizeof path, "%s/genesis.json", dir);
    assert_int_equal(genesis_parse(bytes_of_text(good), &g, &room, NULL), ERR_OK);
    assert_int_equal(genesis_write(path, &g, NULL), ERR_OK);
    assert_int_equal(genesis_read(path, &again, &room2, NULL), ERR_OK);
    assert_true(genesis_equal(&g, &again));
    snprintf(path, sizeof path, "%s/none.json", dir);
    assert_int_not_equal(genesis_read(path, &again, &room2, NULL), ERR_OK);
    buf_clear(&room);
    buf_clear(&room2);
    test_dir_remove(dir);
}

/* `good` with one piece replaced. */
static enum err parse_changed(const char *piece, const char *by, struct note *note)
{
    struct genesis g;
    struct buf room = {0}, text = {0};
    const char *at = strstr(good, piece);
    assert_non_null(at);
    buf_add(&text, good, (size_t)(at - good));
    buf_add_text(&text, by);
    buf_add_text(&text, at + strlen(piece));
    enum err e = genesis_parse(bytes_of_buf(&text), &g, &room, note);
    buf_clear(&room);
    buf_clear(&text);
    return e;
}

static void refuses_and_names_the_fault(void **state)
{
    (void)state;
    static const struct {
        const char *piece, *by;
        enum err want;
        const char *said;
    } cases[] = {
        {"\"version\":5", "\"version\":3", ERR_UNSUPPORTED, "version 3"},
        {"\"version\":5,", "", ERR_FORMAT, "version"},
        {"kith-test", "", ERR_FORMAT, "name"},
        {"kithdev", "btc", ERR_FORMAT, "btc"},
        {"\"fee_byte\":\"7\"", "\"fee_byte\":7", ERR_FORMAT, "fee_byte"},
        {"\"fee_byte\"", "\"fee_bite\"", ERR_FORMAT, "fee_bite"},
        {"\"audits_full\":3", "\"audits_full\":9", ERR_LIMIT, "audits"},
        {"\"audits_full\":3", "\"audits_full\":300", ERR_FORMAT, "audits_full"},
        {"\"audits_full\":3", "\"slash_bps\":10001", ERR_RANGE, "slash_bps"},
        {"\"audits_full\":3", "\"royalty_max_bps\":9900", ERR_RANGE, "nothing"},
        {"\"audits_full\":3", "\"issue_halving\":0", ERR_RANGE, "issue_halving"},
        {"\"audits_full\":3", "\"dispute_ms\":999999999999999", ERR_RANGE, "ten years"},
        {"\"audits_full\":3", "\"validator_bond_min\":\"999999\"", ERR_RANGE, "validator_bond_min"},
        {KEY_B, KEY_A, ERR_DUPLICATE, "twice"},
        {KEY_B, "79be", ERR_FORMAT, "64"},
        {KEY_B, "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", ERR_FORMAT, "not a public key"},
        {"\"amount\":\"5\"", "\"amount\":\"0\"", ERR_RANGE, "less than"},
        {"\"amount\":\"5\"", "\"amount\":\"6\"", ERR_RANGE, "counted"}, /* one mote over all that fits */
        {"\"amount\":\"5\"", "\"amount\":\"99999999999999999999\"", ERR_FORMAT, "amount"},
        {"\"amount\":\"5\"", "\"amount\":\"-5\"", ERR_FORMAT, "amount"},
        {"\"amount\":\"1000000000\"", "\"amount\":\"999999999\"", ERR_RANGE, "validators"},
        {"\"validators\":[{\"key\":\"" KEY_A "\",\"amount\":\"1000000000\"}]", "\"validators\":[]", ERR_RANGE,
         "nobody"},
        {"\"validators\":[", "\"validators\":7,\"x\":[", ERR_FORMAT, "validators"},
        {"}]}", "}]", ERR_FORMAT, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct note note = {{0}};
        assert_int_equal(parse_changed(cases[i].piece, cases[i].by, &note), cases[i].want);
        if (!strstr(note.text, cases[i].said))
            fail_msg("case %zu says: %s", i, note.text);
    }
}

/* The longest way of a settlement, by hand: of 4 drawn receipts and one challenged beside them, committees of 2, 4, 8
 * and 16 over each as long as no more than 127 are asked, and for each one that is not whole. */
static void a_bond_outlasts_the_verdict(void **state)
{
    (void)state;
    struct params p = params_private();
    struct note note = {{0}};
    assert_true(params_verdict_ms(&p) == (1 + 5 + 5 + 5 + 3 + 5) * (35 + 30 + 15) * UINT64_C(1000));
    /* And then a doubt, begun within a window: committees of 2, 4, 8, 16, 32 and 64, and one that is not whole. */
    assert_true(params_answer_ms(&p) == params_verdict_ms(&p) + (30 + 7 * (35 + 30 + 15)) * UINT64_C(1000));
    p.unbonding_ms = params_answer_ms(&p);
    assert_int_equal(params_check(&p, &note), ERR_OK);
    p.unbonding_ms--;
    assert_int_equal(params_check(&p, &note), ERR_RANGE);
    assert_non_null(strstr(note.text, "unbonding_ms is 2509999"));
    p.audits_per_settlement = 0; /* nobody gives a verdict */
    assert_int_equal(params_check(&p, &note), ERR_OK);
    p = params_default();
    p.audits_full = SETTLEMENT_AUDITS_MAX;
    assert_int_equal(params_check(&p, &note), ERR_OK);
    p.audit_window_ms = p.unbonding_ms / 20;
    assert_int_equal(params_check(&p, &note), ERR_RANGE);
}

static void records_out_of_order_are_refused(void **state)
{
    (void)state;
    struct genesis g;
    struct buf room = {0}, swapped = {0};
    assert_int_equal(genesis_parse(bytes_of_text(good), &g, &room, NULL), ERR_OK);
    buf_add(&swapped, g.accounts.p + GENESIS_HOLDER_SIZE, GENESIS_HOLDER_SIZE);
    buf_add(&swapped, g.accounts.p, GENESIS_HOLDER_SIZE);
    g.accounts = bytes_of_buf(&swapped);
    assert_int_equal(genesis_check(&g, NULL), ERR_FORMAT);
    g.accounts.n--;
    assert_int_equal(genesis_check(&g, NULL), ERR_FORMAT);
    buf_clear(&room);
    buf_clear(&swapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_prints),
        cmocka_unit_test(writes_a_file),
        cmocka_unit_test(refuses_and_names_the_fault),
        cmocka_unit_test(a_bond_outlasts_the_verdict),
        cmocka_unit_test(records_out_of_order_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
