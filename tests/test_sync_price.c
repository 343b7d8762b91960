/* A question of a few bytes has a block sent: it costs who asks what the answer weighs. */
#include "base/limits.h"
#include "base/mem.h"
#include "node/consensus/sync.h"
#include "tests/net.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS 60u

struct asking {
    struct net net;
    struct sync *sync;
    uint8_t *block;
    unsigned came;
};

static enum err load(void *arg, uint64_t height, struct buf *block, struct buf *commit)
{
    const struct asking *a = arg;
    (void)height;
    buf_add(block, a->block, BLOCK_SIZE_MAX);
    buf_add(commit, "c", 1);
    return ERR_OK;
}

static uint64_t first(void *arg)
{
    (void)arg;
    return 1;
}

static enum err apply(void *arg, struct bytes block, struct bytes commit, struct note *note)
{
    (void)arg, (void)block, (void)commit, (void)note;
    return ERR_OK;
}

static void ask(struct asking *a)
{
    const uint8_t height[8] = {1};
    assert_int_equal(
        peers_send(a->net.node[1].peers, &a->net.node[0].id, MSG_BLOCK_GET, bytes_of(height, sizeof height)), ERR_OK);
}

static enum err on_block(void *arg, const struct pubkey *from, struct bytes body)
{
    struct asking *a = arg;
    (void)from;
    assert_true(body.n > BLOCK_SIZE_MAX);
    if (++a->came < BLOCKS)
        ask(a);
    return ERR_OK;
}

static bool all_came(void *arg)
{
    return ((struct asking *)arg)->came == BLOCKS;
}

/* What may be had at once is spent: the rest comes at its price. */
static void blocks_cost_their_bytes(void **state)
{
    (void)state;
    struct asking a = {.block = mem_new(BLOCK_SIZE_MAX)};
    net_open(&a.net);
    for (unsigned i = 0; i < 2; i++)
        net_start(&a.net, i, (struct hash){{1}});
    const struct sync_options o = {a.net.host, a.net.node[0].peers, apply, load, first, &a};
    a.sync = sync_new(&o, 1);
    peers_on(a.net.node[1].peers, MSG_BLOCK, on_block, &a);
    net_join(&a.net, 1, 0);
    peers_charge(a.net.node[0].peers, &a.net.node[1].id, PEER_RATE_BURST);
    const uint64_t start_ms = host_now_ms(a.net.host);
    ask(&a);
    net_run(&a.net, all_came, &a, 60000);
    const uint64_t price = BLOCKS * (uint64_t)(BLOCK_SIZE_MAX / PEER_ANSWER_UNIT);
    assert_true(host_now_ms(a.net.host) - start_ms >= price * 1000 / PEER_RATE_SECOND * 3 / 4);
    sync_free(a.sync);
    for (unsigned i = 0; i < 2; i++)
        net_stop(&a.net, i);
    net_close(&a.net);
    free(a.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_cost_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
