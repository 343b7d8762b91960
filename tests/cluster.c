#include "tests/cluster.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_line(void *arg, enum log_level level, const char *line)
{
    struct cluster *c = arg;
    if (level == LOG_BROKEN)
        c->broken++;
    for (unsigned i = 0; i < sizeof c->watch / sizeof *c->watch; i++)
        c->watch[i].n += c->watch[i].text && strstr(line, c->watch[i].text);
    if (level >= LOG_BROKEN || getenv("KITH_TEST_LOG"))
        print_message("%s\n", line);
}

/* -- the genesis -- */

static struct pubkey account_key(unsigned i)
{
    struct seckey secret = {{1, (uint8_t)(i >> 8), (uint8_t)i}};
    return key_public(&secret);
}

static void make_keys(struct cluster *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        key_new(&c->net.node[i].key);
        key_derive(&c->net.node[i].key, &c->net.node[i].id);
    }
    key_new(&c->rich);
    key_derive(&c->rich, &c->rich_id);
}

static void make_genesis(struct cluster *c)
{
    struct genesis_holder v[NET_MAX], *holders = mem_array(c->o.accounts + 1, sizeof *holders);
    struct genesis *g = &c->genesis;
    make_keys(c);
    for (unsigned i = 0; i < c->o.validators; i++)
        v[i] = (struct genesis_holder){c->net.node[i].id, amount_of(100 * MOTE_PER_KITH)};
    for (unsigned i = 0; i < c->o.accounts; i++)
        holders[i] = (struct genesis_holder){account_key(i), amount_of(CLUSTER_FUND + i)};
    holders[c->o.accounts] = (struct genesis_holder){c->rich_id, amount_of(CLUSTER_FUND)};
    *g = (struct genesis){.version = GENESIS_VERSION, .params = params_private()};
    g->time_ms = host_wall_ms(c->net.host);
    if (c->o.unbonding_ms) { /* shorter than any audit: nothing is audited there */
        g->params.unbonding_ms = c->o.unbonding_ms;
        g->params.audits_per_settlement = 0;
    }
    assert_true(text64_set(&g->name, "test"));
    assert_true(text64_set(&g->prefix, ADDRESS_PREFIX_PRIVATE));
    assert_int_equal(genesis_list(holders, c->o.accounts + 1, &c->room, NULL), ERR_OK);
    size_t middle = c->room.n;
    assert_int_equal(genesis_list(v, c->o.validators, &c->room, NULL), ERR_OK);
    g->accounts = bytes_of(c->room.p, middle);
    g->validators = bytes_of(c->room.p + middle, c->room.n - middle);
    assert_int_equal(genesis_check(g, NULL), ERR_OK);
    c->chain = genesis_chain_id(g);
    free(holders);
}

/* -- nodes -- */

static void start_snapshots(struct cluster *c, unsigned i)
{
    struct member *m = &c->m[i];
    char dir[300];
    bool validates = i < c->o.validators;
    snprintf(dir, sizeof dir, "%s/snapshots", m->dir);
    struct snapshots_options o = {.host = c->net.host,
                                  .peers = c->net.node[i].peers,
                                  .ledger = m->ledger,
                                  .consensus = m->consensus,
                                  .dir = dir,
                                  .interval = validates ? c->o.snapshot_interval : 0,
                                  .sync = validates ? SNAPSHOT_SYNC_BLOCKS : c->o.sync};
    assert_int_equal(snapshots_open(&o, &m->snapshots, NULL), ERR_OK);
}

void cluster_start(struct cluster *c, unsigned i)
{
    struct member *m = &c->m[i];
    struct note note = {{0}};
    if (!m->kv)
        m->kv = kv_mem_open();
    snprintf(m->dir, sizeof m->dir, "%s/%u", c->dir, i);
    assert_int_equal(ledger_open(m->kv, &c->genesis, &m->ledger, &note), ERR_OK);
    net_start(&c->net, i, c->chain);
    struct consensus_options o = {.host = c->net.host,
                                  .kv = m->kv,
                                  .ledger = m->ledger,
                                  .peers = c->net.node[i].peers,
                                  .key = i < c->o.validators ? &c->net.node[i].key : NULL,
                                  .dir = m->dir,
                                  .block_interval_ms = c->o.block_interval_ms ? c->o.block_interval_ms : 10,
                                  .heartbeat_ms = c->o.heartbeat_ms ? c->o.heartbeat_ms : 60000,
                                  .keep_blocks = c->o.keep_blocks};
    enum err e = consensus_open(&o, &m->consensus, &note);
    if (e != ERR_OK)
        print_message("%s\n", note.text);
    assert_int_equal(e, ERR_OK);
    if (c->o.snapshot_interval)
        start_snapshots(c, i);
}

void cluster_stop(struct cluster *c, unsigned i)
{
    struct member *m = &c->m[i];
    if (m->snapshots)
        snapshots_close(m->snapshots);
    m->snapshots = NULL;
    consensus_close(m->consensus);
    m->consensus = NULL;
    net_stop(&c->net, i);
    ledger_close(m->ledger);
    kv_mem_crash(m->kv);
}

struct cluster *cluster_new(const struct cluster_options *o)
{
    struct cluster *c = mem_new(sizeof *c);
    c->o = *o;
    c->dir = test_dir_new();
    c->n = o->validators + o->others;
    log_open(LOG_DEBUG, on_line, NULL, c);
    net_open(&c->net);
    make_genesis(c);
    for (unsigned i = 0; i < o->validators; i++)
        cluster_start(c, i);
    for (unsigned i = 0; i < o->validators; i++)
        for (unsigned k = 0; k < i; k++)
            net_join(&c->net, i, k);
    return c;
}

void cluster_free(struct cluster *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (c->m[i].consensus)
            cluster_stop(c, i);
        if (c->m[i].kv)
            kv_close(c->m[i].kv);
    }
    net_close(&c->net);
    log_open(LOG_INFO, NULL, NULL, NULL);
    assert_int_equal(c->broken, 0);
    buf_clear(&c->room);
    test_dir_remove(c->dir);
    free(c);
}

/* -- what they come to -- */

uint64_t cluster_height(const struct cluster *c, unsigned i)
{
    return ledger_info(c->m[i].ledger).height;
}

static bool is_one_high(void *arg)
{
    struct cluster *c = arg;
    return cluster_height(c, c->who) >= c->target;
}

void cluster_reach(struct cluster *c, unsigned who, uint64_t target, uint64_t limit_ms)
{
    c->who = who;
    c->target = target;
    net_run(&c->net, is_one_high, c, limit_ms);
}

bool cluster_is_high(void *arg)
{
    struct cluster *c = arg;
    for (unsigned i = 0; i < c->n; i++)
        if (c->m[i].consensus && (cluster_height(c, i) < c->target || ledger_info(c->m[i].ledger).wants_block))
            return false;
    return true;
}

/* Of every running node. */
static void expect_one_block(const struct cluster *c, uint64_t height)
{
    struct buf first = {0};
    for (unsigned i = 0; i < c->n; i++) {
        struct buf block = {0}, commit = {0};
        if (!c->m[i].consensus)
            continue;
        assert_int_equal(consensus_block_get(c->m[i].consensus, height, &block, &commit, NULL), ERR_OK);
        if (!first.n)
            buf_add(&first, block.p, block.n);
        assert_true(bytes_equal(bytes_of_buf(&first), bytes_of_buf(&block)));
        assert_true(commit.n > 0);
        buf_clear(&block);
        buf_clear(&commit);
    }
    buf_clear(&first);
}

void cluster_all_reach(struct cluster *c, uint64_t target, uint64_t limit_ms)
{
    c->target = target;
    net_run(&c->net, cluster_is_high, c, limit_ms);
    for (uint64_t h = 1; h <= target; h++)
        expect_one_block(c, h);
}

struct hash cluster_pay(struct cluster *c, unsigned through, uint64_t mote)
{
    struct buf body = {0}, tx = {0};
    struct note note = {{0}};
    struct hash id;
    struct tx_transfer t = {.to = c->net.node[0].id, .amount = amount_of(mote)};
    tx_transfer_put(&body, &t);
    tx_build(&tx, &c->chain, &c->rich, c->nonce++, amount_of(MOTE_PER_KITH / 100), TX_TRANSFER, bytes_of_buf(&body));
    enum err e = consensus_submit(c->m[through].consensus, bytes_of_buf(&tx), &id, &note);
    if (e != ERR_OK)
        print_message("%s\n", note.text);
    assert_int_equal(e, ERR_OK);
    assert_int_equal(consensus_submit(c->m[through].consensus, bytes_of_buf(&tx), &id, &note), ERR_DUPLICATE);
    assert_true(consensus_has_tx(c->m[through].consensus, &id));
    buf_clear(&body);
    buf_clear(&tx);
    return id;
}

bool cluster_has_account(const struct cluster *c, unsigned who, unsigned i)
{
    struct rec_account a;
    struct pubkey key = account_key(i);
    return ledger_account(c->m[who].ledger, &key, &a) && a.balance.mote == CLUSTER_FUND + i;
}
