/* Blocks: encodings, roots, and each field of a header that must agree with what came before. */
#include "base/mem.h"
#include "chain/block.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static struct bytes txs[BLOCK_TXS_MAX + 1];

static void encode(struct buf *out, struct header *h, uint32_t n)
{
    struct buf list = {0};
    block_put_txs(&list, txs, n);
    h->txs_n = n;
    h->txs = block_txs_root(txs, n);
    block_put(out, &(struct block){*h, bytes_of_buf(&list)});
    buf_clear(&list);
}

static void a_block_comes_back(void **state)
{
    (void)state;
    static struct bytes back[BLOCK_TXS_MAX];
    for (uint32_t n = 0; n < 20; n++) {
        struct header h = {.version = BLOCK_VERSION, .height = 3};
        struct buf raw = {0}, again = {0};
        struct block b;
        for (uint32_t i = 0; i < n; i++)
            txs[i] = bytes_of("0123456789abcdefghij", i + 1);
        encode(&raw, &h, n);
        assert_int_equal(block_decode(bytes_of_buf(&raw), &b, back, NULL), ERR_OK);
        for (uint32_t i = 0; i < n; i++)
            assert_true(bytes_equal(back[i], txs[i]));
        block_put(&again, &b);
        assert_true(bytes_equal(bytes_of_buf(&raw), bytes_of_buf(&again)));
        for (size_t cut = 0; cut < raw.n; cut++)
            assert_int_not_equal(block_decode(bytes_of(raw.p, cut), &b, back, NULL), ERR_OK);
        if (n) {
            raw.p[raw.n - 1] ^= 1; /* the last byte of the last transaction */
            assert_int_equal(block_decode(bytes_of_buf(&raw), &b, back, NULL), ERR_CORRUPT);
        }
        buf_clear(&raw);
        buf_clear(&again);
    }
}

static void bounds_hold(void **state)
{
    (void)state;
    static struct bytes back[BLOCK_TXS_MAX];
    static uint8_t big[BLOCK_SIZE_MAX + 1];
    struct header h = {.version = BLOCK_VERSION};
    struct buf raw = {0};
    struct block b;
    txs[0] = bytes_of(big, sizeof big);
    encode(&raw, &h, 1);
    assert_int_equal(block_decode(bytes_of_buf(&raw), &b, back, NULL), ERR_LIMIT);
    buf_reset(&raw);
    for (uint32_t i = 0; i <= BLOCK_TXS_MAX; i++)
        txs[i] = bytes_of(big, 1);
    encode(&raw, &h, BLOCK_TXS_MAX + 1);
    assert_int_equal(block_decode(bytes_of_buf(&raw), &b, back, NULL), ERR_LIMIT);
    buf_reset(&raw);
    encode(&raw, &h, BLOCK_TXS_MAX);
    assert_int_equal(block_decode(bytes_of_buf(&raw), &b, back, NULL), ERR_OK);
    buf_reset(&raw);
    h.version = 9;
    encode(&raw, &h, 0);
    assert_int_equal(block_decode(bytes_of_buf(&raw), &b, back, NULL), ERR_UNSUPPORTED);
    buf_clear(&raw);
}

static void the_root_tells_lists_apart(void **state)
{
    (void)state;
    struct bytes list[4] = {bytes_of("a", 1), bytes_of("b", 1), bytes_of("c", 1), bytes_of("c", 1)};
    struct hash three = block_txs_root(list, 3), four = block_txs_root(list, 4), none = block_txs_root(list, 0);
    assert_false(hash_equal(&three, &four)); /* a node without a partner is not paired with itself */
    assert_true(hash_is_zero(&none));
}

static void a_header_must_follow(void **state)
{
    (void)state;
    struct valset *now = mem_new(sizeof *now), *next = mem_new(sizeof *next);
    struct valset_entry e = {.key = {{5}}, .power = 1}, f = {.key = {{6}}, .power = 2};
    assert_int_equal(valset_init(now, &e, 1, NULL), ERR_OK);
    assert_int_equal(valset_init(next, &f, 1, NULL), ERR_OK);
    struct block_context x = {.chain = {{1}},
                              .height = 9,
                              .prev_time_ms = 100,
                              .prev = {{2}},
                              .state = {{3}},
                              .beacon = {{4}},
                              .validators = now,
                              .next_validators = next};
    struct header good = {.version = BLOCK_VERSION,
                          .chain = {{1}},
                          .height = 9,
                          .time_ms = 101,
                          .round = 3,
                          .proposer = {{5}},
                          .prev = {{2}},
                          .state = {{3}},
                          .validators = valset_hash(now),
                          .next_validators = valset_hash(next),
                          .rotation = valset_rotation_hash(now),
                          .beacon = {{4}}};
    assert_int_equal(block_check(&good, &x, NULL), ERR_OK);
    struct header h;
#define WRONG(change, e)                                                                                               \
    h = good;                                                                                                          \
    change;                                                                                                            \
    assert_int_equal(block_check(&h, &x, NULL), e)
    WRONG(h.chain.b[0]++, ERR_CHAIN);
    WRONG(h.height++, ERR_PROTOCOL);
    WRONG(h.time_ms--, ERR_PROTOCOL); /* as late as the one before is too early */
    WRONG(h.proposer.b[0]++, ERR_PROTOCOL);
    WRONG(h.prev.b[0]++, ERR_PROTOCOL);
    WRONG(h.state.b[0]++, ERR_PROTOCOL);
    WRONG(h.validators.b[0]++, ERR_PROTOCOL);
    WRONG(h.next_validators.b[0]++, ERR_PROTOCOL);
    WRONG(h.rotation.b[0]++, ERR_PROTOCOL);
    WRONG(h.beacon.b[0]++, ERR_PROTOCOL);
    WRONG(h.round = BFT_ROUND_MAX + 1, ERR_PROTOCOL);
    free(now);
    free(next);
}

/* With two validators each round has its maker: nobody else's name, and no other round of the same name. */
static void a_block_is_its_makers(void **state)
{
    (void)state;
    struct valset *now = mem_new(sizeof *now);
    struct valset_entry e[2] = {{.key = {{5}}, .power = 3}, {.key = {{6}}, .power = 1}};
    assert_int_equal(valset_init(now, e, 2, NULL), ERR_OK);
    struct block_context x = {.height = 9, .validators = now, .next_validators = now};
    struct header h = {.version = BLOCK_VERSION,
                       .height = 9,
                       .time_ms = 1,
                       .validators = valset_hash(now),
                       .next_validators = valset_hash(now),
                       .rotation = valset_rotation_hash(now)};
    for (h.round = 0; h.round < 9; h.round++)
        for (uint32_t i = 0; i < 2; i++) {
            h.proposer = now->v[i].key;
            bool is_maker = valset_proposer(now, h.round) == i;
            assert_int_equal(block_check(&h, &x, NULL), is_maker ? ERR_OK : ERR_PROTOCOL);
        }
    free(now);
}

static void the_beacon_is_the_makers(void **state)
{
    (void)state;
    struct seckey keys[2] = {{{1}}, {{2}}};
    struct vrf_secret secret = vrf_secret_of(&keys[0]), other = vrf_secret_of(&keys[1]);
    struct vrf_public key = vrf_public_of(&secret), stranger = vrf_public_of(&other);
    struct header h = {.height = 4, .beacon = {{7}}}, again;
    uint8_t input[BLOCK_BEACON_INPUT_SIZE];
    assert_int_equal(block_check_proof(&h, NULL, NULL), ERR_OK);
    assert_int_equal(block_check_proof(&h, &key, NULL), ERR_AUTH); /* withheld */
    struct hash alone = block_beacon_next(&h);
    block_beacon_input(&h, input);
    vrf_prove(&secret, input, sizeof input, &h.proof);
    assert_int_equal(block_check_proof(&h, &key, NULL), ERR_OK);
    assert_int_equal(block_check_proof(&h, &stranger, NULL), ERR_AUTH);
    assert_int_equal(block_check_proof(&h, NULL, NULL), ERR_AUTH);
    struct hash next = block_beacon_next(&h);
    assert_false(hash_equal(&alone, &next));
    /* Neither transactions nor time nor round move it; height, chain and beacon do. */
    again = h;
    again.txs.b[0]++;
    again.time_ms++;
    again.round++;
    struct hash same = block_beacon_next(&again);
    assert_int_equal(block_check_proof(&again, &key, NULL), ERR_OK);
    assert_true(hash_equal(&next, &same));
    again.height++;
    assert_int_equal(block_check_proof(&again, &key, NULL), ERR_AUTH);
    again = h;
    again.beacon.b[0]++;
    assert_int_equal(block_check_proof(&again, &key, NULL), ERR_AUTH);
    again = h;
    again.chain.b[0]++;
    assert_int_equal(block_check_proof(&again, &key, NULL), ERR_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_comes_back),         cmocka_unit_test(bounds_hold),
        cmocka_unit_test(the_root_tells_lists_apart), cmocka_unit_test(a_header_must_follow),
        cmocka_unit_test(a_block_is_its_makers),      cmocka_unit_test(the_beacon_is_the_makers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
