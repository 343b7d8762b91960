#include "tests/mutes.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct heard_at {
    struct mute *m;
    enum msg_type type;
};
static struct heard_at heard_at[3][MSG_TYPE_END];

/* -- the clock -- */

#define TICK_MS 5

static struct mutes *timed; /* one at a time */

static uint64_t our_now_ms(struct host *host)
{
    (void)host;
    return timed->now_ms;
}

static void on_tick(void *arg)
{
    struct mutes *s = arg;
    const uint64_t seen = s->real.now_ms(s->net.host), by = seen - s->seen_ms;
    s->now_ms += by < 2 * TICK_MS ? by : 2 * TICK_MS;
    s->seen_ms = seen;
    host_timer_set(s->net.host, &s->tick, TICK_MS, on_tick, s);
}

static void clock_start(struct mutes *s)
{
    timed = s;
    s->real = s->ops = *s->net.host->ops;
    s->ops.now_ms = our_now_ms;
    s->now_ms = s->seen_ms = host_now_ms(s->net.host);
    s->net.host->ops = &s->ops;
    host_timer_set(s->net.host, &s->tick, TICK_MS, on_tick, s);
}

/* -- the scene -- */

static void on_line(void *arg, enum log_level level, const char *line)
{
    struct mutes *s = arg;
    assert_true(level != LOG_BROKEN);
    s->misbehaved += strstr(line, "misbehaved") != NULL;
    if (getenv("KITH_TEST_LOG"))
        print_message("%s\n", line);
}

static enum err on_message(void *arg, const struct pubkey *from, struct bytes body)
{
    const struct heard_at *h = arg;
    (void)from;
    h->m->n[h->type]++;
    buf_reset(&h->m->last[h->type]);
    buf_add(&h->m->last[h->type], body.p, body.n);
    return ERR_OK;
}

static void mute_open(struct mutes *s, unsigned i)
{
    static const enum msg_type types[] = {MSG_TX,       MSG_TXS,          MSG_TX_IDS,       MSG_TX_GET,     MSG_TX_NONE,
                                          MSG_PROPOSAL, MSG_PROPOSAL_GET, MSG_PROPOSAL_TXS, MSG_BALLOT_GET, MSG_STATUS};
    s->mute[i] = (struct mute){.s = s, .i = i};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        heard_at[i][types[k]] = (struct heard_at){&s->mute[i], types[k]};
        peers_on(s->net.node[i].peers, types[k], on_message, &heard_at[i][types[k]]);
    }
}

static void make_genesis(struct mutes *s)
{
    struct pubkey rich;
    struct genesis *g = &s->genesis;
    for (unsigned i = 0; i < 3; i++) {
        key_new(&s->net.node[i].key);
        key_derive(&s->net.node[i].key, &s->net.node[i].id);
    }
    key_new(&s->rich);
    key_derive(&s->rich, &rich);
    struct genesis_holder money = {rich, amount_of(1000 * MOTE_PER_KITH)};
    struct genesis_holder validator = {s->net.node[1].id, amount_of(100 * MOTE_PER_KITH)};
    *g = (struct genesis){.version = GENESIS_VERSION, .params = params_private()};
    assert_true(text64_set(&g->name, "test") && text64_set(&g->prefix, ADDRESS_PREFIX_PRIVATE));
    assert_int_equal(genesis_list(&money, 1, &s->room, NULL), ERR_OK);
    size_t middle = s->room.n;
    assert_int_equal(genesis_list(&validator, 1, &s->room, NULL), ERR_OK);
    g->accounts = bytes_of(s->room.p, middle);
    g->validators = bytes_of(s->room.p + middle, s->room.n - middle);
    s->chain = genesis_chain_id(g);
}

static void make_txs(struct mutes *s)
{
    for (unsigned i = 0; i < MUTES_TXS; i++) {
        struct buf body = {0};
        tx_transfer_put(&body, &(struct tx_transfer){.to = s->net.node[0].id, .amount = amount_of(i + 1)});
        tx_build(&s->tx[i], &s->chain, &s->rich, i, amount_of(MOTE_PER_KITH / 100), TX_TRANSFER, bytes_of_buf(&body));
        s->id[i] = tx_id_of(bytes_of_buf(&s->tx[i]));
        buf_clear(&body);
    }
}

static void scene_open(struct mutes *s, bool hurry)
{
    char dir[256];
    s->dir = test_dir_new();
    log_open(LOG_DEBUG, on_line, NULL, s);
    net_open(&s->net);
    clock_start(s);
    make_genesis(s);
    make_txs(s);
    s->kv = kv_mem_open();
    assert_int_equal(ledger_open(s->kv, &s->genesis, &s->ledger, NULL), ERR_OK);
    for (unsigned i = 0; i < 3; i++)
        net_start(&s->net, i, s->chain);
    snprintf(dir, sizeof dir, "%s/0", s->dir);
    struct consensus_options o = {
        .host = s->net.host, .kv = s->kv, .ledger = s->ledger, .peers = s->net.node[0].peers, .dir = dir};
    assert_int_equal(consensus_open(&o, &s->consensus, NULL), ERR_OK);
    if (hurry)
        assert_int_equal(consensus_submit(s->consensus, bytes_of_buf(&s->tx[0]), &s->id[0], NULL), ERR_OK);
    mute_open(s, 1);
    mute_open(s, 2);
    net_join(&s->net, 1, 0);
    net_join(&s->net, 2, 0);
}

int mutes_begin(void **state)
{
    *state = mem_new(sizeof(struct mutes));
    scene_open(*state, false);
    return 0;
}

int mutes_begin_in_a_hurry(void **state)
{
    *state = mem_new(sizeof(struct mutes));
    scene_open(*state, true);
    return 0;
}

int mutes_end(void **state)
{
    struct mutes *s = *state;
    host_timer_cancel(s->net.host, &s->tick);
    consensus_close(s->consensus);
    for (unsigned i = 0; i < 3; i++)
        net_stop(&s->net, i);
    ledger_close(s->ledger);
    kv_close(s->kv);
    net_close(&s->net);
    log_open(LOG_INFO, NULL, NULL, NULL);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < MSG_TYPE_END; k++)
            buf_clear(&s->mute[i].last[k]);
    for (unsigned i = 0; i < MUTES_TXS; i++)
        buf_clear(&s->tx[i]);
    buf_clear(&s->room);
    test_dir_remove(s->dir);
    free(s);
    return 0;
}

/* -- saying and hearing -- */

void mutes_say(struct mutes *s, unsigned i, enum msg_type type, struct bytes body)
{
    assert_int_equal(peers_send(s->net.node[i].peers, &s->net.node[0].id, type, body), ERR_OK);
}

void mutes_say_buf(struct mutes *s, unsigned i, enum msg_type type, struct buf *body)
{
    mutes_say(s, i, type, bytes_of_buf(body));
    buf_clear(body);
}

void mutes_say_ids(struct mutes *s, unsigned i, enum msg_type type, unsigned from, unsigned n)
{
    mutes_say(s, i, type, bytes_of(s->id[from].b, (size_t)n * HASH_SIZE));
}

void mutes_say_txs(struct mutes *s, unsigned i, unsigned from, unsigned n)
{
    struct buf list = {0};
    for (unsigned k = from; k < from + n; k++) {
        struct bytes raw = bytes_of_buf(&s->tx[k]);
        codec_put_blob(&list, &raw);
    }
    mutes_say_buf(s, i, MSG_TXS, &list);
}

static bool was_heard(void *arg)
{
    const struct mutes *s = arg;
    return s->mute[s->who].n[s->type] >= s->count;
}

void mutes_hear(struct mutes *s, unsigned who, enum msg_type type, unsigned count)
{
    s->who = who;
    s->type = type;
    s->count = count;
    net_run(&s->net, was_heard, s, 5000);
}

static bool is_pooled(void *arg)
{
    const struct mutes *s = arg;
    return consensus_status(s->consensus).pool >= s->count;
}

void mutes_pooled(struct mutes *s, unsigned count)
{
    s->count = count;
    net_run(&s->net, is_pooled, s, 5000);
    assert_int_equal(consensus_status(s->consensus).pool, count);
}

struct bytes mutes_last(const struct mutes *s, unsigned who, enum msg_type type)
{
    return bytes_of_buf(&s->mute[who].last[type]);
}

bool mutes_are_ids(const struct mutes *s, struct bytes body, unsigned from, unsigned n)
{
    unsigned found = 0;
    for (size_t at = 0; at + HASH_SIZE <= body.n; at += HASH_SIZE)
        for (unsigned k = from; k < from + n; k++)
            found += memcmp(body.p + at, s->id[k].b, HASH_SIZE) == 0;
    return body.n == (size_t)n * HASH_SIZE && found == n;
}

bool mutes_is_cut_off(void *arg)
{
    const struct mutes *s = arg;
    return s->misbehaved > 0;
}
