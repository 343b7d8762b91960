/* What a node makes of what it is only told of: one node that follows, and two peers that say what the test wants. */
#include "base/log.h"
#include "base/mem.h"
#include "node/consensus_in.h"
#include "tests/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARD_MAX 64

/* A peer without a node behind it: what it was sent of each kind. */
struct mute {
    struct scene *s;
    unsigned i;
    unsigned n[MSG_TYPE_END];
    struct buf last[MSG_TYPE_END];
};

struct scene {
    struct net net; /* 0: the node, 1: whose key is the only validator's, 2: somebody */
    struct mute mute[3];
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct seckey rich;
    struct kv *kv;
    struct ledger *ledger;
    struct consensus *consensus;
    char *dir;
    struct buf tx[HEARD_MAX]; /* of rich, by nonce */
    struct hash id[HEARD_MAX];
    unsigned misbehaved;
    /* for conditions */
    unsigned who, type, count;
};

struct heard_at {
    struct mute *m;
    enum msg_type type;
};
static struct heard_at heard_at[3][MSG_TYPE_END];

static void on_line(void *arg, enum log_level level, const char *line)
{
    struct scene *s = arg;
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

static void mute_open(struct scene *s, unsigned i)
{
    static const enum msg_type types[] = {MSG_TX,       MSG_TXS,          MSG_TX_IDS,       MSG_TX_GET,     MSG_TX_NONE,
                                          MSG_PROPOSAL, MSG_PROPOSAL_GET, MSG_PROPOSAL_TXS, MSG_BALLOT_GET, MSG_STATUS};
    s->mute[i] = (struct mute){.s = s, .i = i};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        heard_at[i][types[k]] = (struct heard_at){&s->mute[i], types[k]};
        peers_on(s->net.node[i].peers, types[k], on_message, &heard_at[i][types[k]]);
    }
}

static void make_genesis(struct scene *s)
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

static void make_txs(struct scene *s)
{
    for (unsigned i = 0; i < HEARD_MAX; i++) {
        struct buf body = {0};
        tx_transfer_put(&body, &(struct tx_transfer){.to = s->net.node[0].id, .amount = amount_of(i + 1)});
        tx_build(&s->tx[i], &s->chain, &s->rich, i, amount_of(MOTE_PER_KITH / 100), TX_TRANSFER, bytes_of_buf(&body));
        s->id[i] = tx_id_of(bytes_of_buf(&s->tx[i]));
        buf_clear(&body);
    }
}

/* `hurry`: it has something to do before its loop turns for the first time. */
static void scene_open(struct scene *s, bool hurry)
{
    char dir[256];
    s->dir = test_dir_new();
    log_open(LOG_DEBUG, on_line, NULL, s);
    net_open(&s->net);
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

static int setup(void **state)
{
    *state = mem_new(sizeof(struct scene));
    scene_open(*state, false);
    return 0;
}

static int setup_hurry(void **state)
{
    *state = mem_new(sizeof(struct scene));
    scene_open(*state, true);
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
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
    for (unsigned i = 0; i < HEARD_MAX; i++)
        buf_clear(&s->tx[i]);
    buf_clear(&s->room);
    test_dir_remove(s->dir);
    free(s);
    return 0;
}

/* -- saying and hearing -- */

static void say(struct scene *s, unsigned i, enum msg_type type, struct bytes body)
{
    assert_int_equal(peers_send(s->net.node[i].peers, &s->net.node[0].id, type, body), ERR_OK);
}

static void say_buf(struct scene *s, unsigned i, enum msg_type type, struct buf *body)
{
    say(s, i, type, bytes_of_buf(body));
    buf_clear(body);
}

static void say_ids(struct scene *s, unsigned i, enum msg_type type, unsigned from, unsigned n)
{
    say(s, i, type, bytes_of(s->id[from].b, (size_t)n * HASH_SIZE));
}

static void say_txs(struct scene *s, unsigned i, unsigned from, unsigned n)
{
    struct buf list = {0};
    for (unsigned k = from; k < from + n; k++) {
        struct bytes raw = bytes_of_buf(&s->tx[k]);
        codec_put_blob(&list, &raw);
    }
    say_buf(s, i, MSG_TXS, &list);
}

static bool was_heard(void *arg)
{
    const struct scene *s = arg;
    return s->mute[s->who].n[s->type] >= s->count;
}

/* Until peer `who` was sent so many messages of a kind. */
static void hear(struct scene *s, unsigned who, enum msg_type type, unsigned count)
{
    s->who = who;
    s->type = type;
    s->count = count;
    net_run(&s->net, was_heard, s, 5000);
}

static bool is_pooled(void *arg)
{
    const struct scene *s = arg;
    return consensus_status(s->consensus).pool >= s->count;
}

static void pooled(struct scene *s, unsigned count)
{
    s->count = count;
    net_run(&s->net, is_pooled, s, 5000);
    assert_int_equal(consensus_status(s->consensus).pool, count);
}

static struct bytes last(const struct scene *s, unsigned who, enum msg_type type)
{
    return bytes_of_buf(&s->mute[who].last[type]);
}

/* In any order: what is asked for again comes in another one. */
static bool are_ids(const struct scene *s, struct bytes body, unsigned from, unsigned n)
{
    unsigned found = 0;
    for (size_t at = 0; at + HASH_SIZE <= body.n; at += HASH_SIZE)
        for (unsigned k = from; k < from + n; k++)
            found += memcmp(body.p + at, s->id[k].b, HASH_SIZE) == 0;
    return body.n == (size_t)n * HASH_SIZE && found == n;
}

/* -- transactions -- */

static void who_tells_and_sends_nothing_is_passed_over(void **state)
{
    struct scene *s = *state;
    say_ids(s, 2, MSG_TX_IDS, 0, 3);
    hear(s, 2, MSG_TX_GET, 1);
    assert_true(are_ids(s, last(s, 2, MSG_TX_GET), 0, 3));
    say_ids(s, 1, MSG_TX_IDS, 0, 3);
    hear(s, 1, MSG_TX_GET, 1);
    assert_true(are_ids(s, last(s, 1, MSG_TX_GET), 0, 3));
    say_txs(s, 1, 0, 3);
    pooled(s, 3);
    /* The next ones are asked of who sent, whoever told first; those that came are not asked for again. */
    say_ids(s, 2, MSG_TX_IDS, 0, 6);
    say_ids(s, 1, MSG_TX_IDS, 0, 6);
    hear(s, 1, MSG_TX_GET, 2);
    assert_true(are_ids(s, last(s, 1, MSG_TX_GET), 3, 3));
    assert_int_equal(s->mute[2].n[MSG_TX_GET], 1);
    /* Who has them no more is not waited for. */
    say_ids(s, 1, MSG_TX_NONE, 3, 3);
    hear(s, 2, MSG_TX_GET, 2);
    say_txs(s, 2, 3, 3);
    pooled(s, 6);
    assert_int_equal(s->misbehaved, 0);
}

static void what_comes_before_what_it_follows_waits(void **state)
{
    struct scene *s = *state;
    say(s, 1, MSG_TX, bytes_of_buf(&s->tx[2]));
    say_txs(s, 2, 1, 1);
    say_txs(s, 1, 3, 1);
    net_wait(&s->net, 100);
    pooled(s, 0);
    say(s, 1, MSG_TX, bytes_of_buf(&s->tx[0]));
    pooled(s, 4);
    hear(s, 2, MSG_TXS, 1); /* and they go on together, in their order */
    struct cursor r = cursor_of(last(s, 2, MSG_TXS));
    for (unsigned i = 0; i < 4; i++) {
        struct bytes raw;
        codec_get_blob(&r, &raw);
        assert_true(bytes_equal(raw, bytes_of_buf(&s->tx[i])));
    }
    assert_true(cursor_end(&r));
}

static void a_pool_is_told_of_and_sent_when_asked(void **state)
{
    struct scene *s = *state;
    say_txs(s, 1, 0, 5);
    pooled(s, 5);
    peers_drop(s->net.node[2].peers, &s->net.node[0].id, ERR_CLOSED, "comes again");
    s->mute[2].n[MSG_TX_IDS] = 0;
    hear(s, 2, MSG_TX_IDS, 1);
    assert_true(are_ids(s, last(s, 2, MSG_TX_IDS), 0, 5));
    say_ids(s, 2, MSG_TX_GET, 3, 4); /* of which there are two */
    hear(s, 2, MSG_TX_NONE, 1);
    assert_true(are_ids(s, last(s, 2, MSG_TX_NONE), 5, 2));
    struct cursor r = cursor_of(last(s, 2, MSG_TXS));
    for (unsigned i = 3; i < 5; i++) {
        struct bytes raw;
        codec_get_blob(&r, &raw);
        assert_true(bytes_equal(raw, bytes_of_buf(&s->tx[i])));
    }
    assert_true(cursor_end(&r));
}

static void who_wants_to_be_told_is(void **state)
{
    struct scene *s = *state;
    say(s, 2, MSG_NEWS, bytes_of("\0", 1));
    net_wait(&s->net, 50);
    say_txs(s, 1, 0, 2);
    hear(s, 2, MSG_TX_IDS, 1);
    assert_true(are_ids(s, last(s, 2, MSG_TX_IDS), 0, 2));
    assert_int_equal(s->mute[2].n[MSG_TXS], 0);
    say(s, 2, MSG_NEWS, bytes_of("\1", 1));
    net_wait(&s->net, 50);
    say_txs(s, 1, 2, 2);
    hear(s, 2, MSG_TXS, 1);
    net_wait(&s->net, 100);
    assert_int_equal(s->mute[2].n[MSG_TX_IDS], 1);
    assert_int_equal(s->mute[1].n[MSG_TX_IDS] + s->mute[1].n[MSG_TXS], 0); /* it has them */
}

static bool is_cut_off(void *arg)
{
    const struct scene *s = arg;
    return s->misbehaved > 0;
}

static void nonsense_is_cut_off(void **state)
{
    static const enum msg_type types[] = {MSG_TX_IDS,      MSG_TX_GET,        MSG_TX_NONE,
                                          MSG_NEWS,        MSG_PROPOSAL_HAVE, MSG_PROPOSAL_GET,
                                          MSG_BALLOT_HAVE, MSG_BALLOT_GET,    MSG_PROPOSAL_TXS};
    struct scene *s = *state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        s->misbehaved = 0;
        say(s, 2, types[i], bytes_of("\7", 1));
        net_run(&s->net, is_cut_off, s, 5000);
        assert_int_equal(s->misbehaved, 1);
        if (i + 1 < sizeof types / sizeof *types) { /* it is kept out for a while: another one comes */
            net_stop(&s->net, 2);
            key_new(&s->net.node[2].key);
            key_derive(&s->net.node[2].key, &s->net.node[2].id);
            net_start(&s->net, 2, s->chain);
            net_join(&s->net, 2, 0);
        }
    }
}

/* -- a block -- */

/* Whose only validator is peer 1, with the first n transactions. */
struct made {
    struct buf block, list;
    struct block b;
    struct proposal p;
};

static void make_block(const struct scene *s, struct made *m, unsigned n)
{
    struct bytes txs[HEARD_MAX];
    struct ledger_info info = ledger_info(s->ledger);
    struct valset next = *consensus_validators(s->consensus);
    valset_step(&next);
    for (unsigned i = 0; i < n; i++)
        txs[i] = bytes_of_buf(&s->tx[i]);
    *m = (struct made){0};
    block_put_txs(&m->list, txs, n);
    m->b = (struct block){.header = {.version = BLOCK_VERSION,
                                     .chain = s->chain,
                                     .height = 1,
                                     .time_ms = host_wall_ms(s->net.host),
                                     .proposer = s->net.node[1].id,
                                     .prev = info.block,
                                     .txs = block_txs_root(txs, n),
                                     .txs_n = n,
                                     .state = info.state_root,
                                     .validators = valset_hash(consensus_validators(s->consensus)),
                                     .next_validators = valset_hash(&next),
                                     .rotation = valset_rotation_hash(consensus_validators(s->consensus)),
                                     .beacon = block_beacon_first(&s->chain)},
                          .txs = bytes_of_buf(&m->list)};
    block_put(&m->block, &m->b);
    m->p = (struct proposal){.height = 1, .valid_round = VOTE_NO_ROUND, .value = block_id(&m->b.header)};
    struct hash h = proposal_hash(&m->p, &s->chain);
    key_sign_hash(&s->net.node[1].key, &h, NULL, &m->p.sig);
}

static void made_clear(struct made *m)
{
    buf_clear(&m->block);
    buf_clear(&m->list);
}

static void tell_proposal(struct scene *s, unsigned i, const struct made *m)
{
    struct buf b = {0};
    proposal_told_put(&b, &(struct proposal_told){1, 0, m->p.value});
    say_buf(s, i, MSG_PROPOSAL_HAVE, &b);
}

static void say_short(struct scene *s, unsigned i, const struct made *m)
{
    struct buf b = {0};
    assert_true(short_put(&m->p, bytes_of_buf(&m->block), &b));
    say_buf(s, i, MSG_PROPOSAL_SHORT, &b);
}

static struct proposal_ask asked(const struct scene *s, unsigned who)
{
    struct proposal_ask ask;
    struct cursor r = cursor_of(last(s, who, MSG_PROPOSAL_GET));
    proposal_ask_get(&r, &ask);
    assert_true(cursor_end(&r));
    return ask;
}

static bool was_asked(void *arg)
{
    const struct scene *s = arg;
    return s->mute[s->who].n[MSG_PROPOSAL_GET] > 0 && asked(s, s->who).wanted.n == 2 * s->count;
}

/* Until peer `who` was asked for so many transactions of a proposal, or (0) for it. */
static void hear_ask(struct scene *s, unsigned who, unsigned positions)
{
    s->who = who;
    s->count = positions;
    net_run(&s->net, was_asked, s, 5000);
}

/* Transactions from..from+n-1. */
static void say_proposal_txs(struct scene *s, unsigned i, const struct made *m, unsigned from, unsigned n)
{
    struct buf list = {0}, b = {0};
    for (unsigned k = from; k < from + n; k++) {
        struct bytes raw = bytes_of_buf(&s->tx[k]);
        codec_put_blob(&list, &raw);
    }
    proposal_txs_put(&b, &(struct proposal_txs){1, 0, m->p.value, n, bytes_of_buf(&list)});
    say_buf(s, i, MSG_PROPOSAL_TXS, &b);
    buf_clear(&list);
}

static struct vote precommit(const struct scene *s, const struct made *m)
{
    struct vote v = {.kind = VOTE_PRECOMMIT, .height = 1, .value = m->p.value, .valid_round = VOTE_NO_ROUND};
    struct hash h = vote_hash(&v, &s->chain);
    key_sign_hash(&s->net.node[1].key, &h, NULL, &v.sig);
    return v;
}

static void tell_vote(struct scene *s, unsigned i, const struct vote *v)
{
    struct buf b = {0};
    ballot_put(&b, &(struct ballot){v->height, v->round, v->kind, v->value, v->valid_round, bytes_of("\1", 1)});
    say_buf(s, i, MSG_BALLOT_HAVE, &b);
}

static bool is_decided(void *arg)
{
    const struct scene *s = arg;
    return ledger_info(s->ledger).height == 1;
}

/* Peer 2 tells of everything before peer 1, and sends nothing. */
static void a_block_is_decided_that_it_was_only_told_of(void **state)
{
    struct scene *s = *state;
    struct made m;
    struct buf b = {0};
    make_block(s, &m, 30);
    say_txs(s, 1, 0, 10);
    pooled(s, 10);
    tell_proposal(s, 2, &m);
    hear_ask(s, 2, 0);
    tell_proposal(s, 1, &m);
    hear_ask(s, 1, 0);
    say_short(s, 2, &m); /* who names them need not have them */
    hear_ask(s, 2, 20);
    say_short(s, 1, &m);
    hear_ask(s, 1, 20);
    net_wait(&s->net, 3 * CONSENSUS_ASK_MS); /* it came: it is not asked for itself again, and an answer may be late */
    hear_ask(s, 1, 20);
    struct proposal_ask ask = asked(s, 1);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(load_le16(ask.wanted.p + (size_t)2 * i), 10 + i);
    say_proposal_txs(s, 1, &m, 10, 20);
    struct vote v = precommit(s, &m);
    tell_vote(s, 2, &v);
    hear(s, 2, MSG_BALLOT_GET, 1);
    tell_vote(s, 1, &v);
    hear(s, 1, MSG_BALLOT_GET, 1);
    vote_put(&b, &v);
    assert_false(is_decided(s));
    say_buf(s, 1, MSG_VOTE, &b);
    net_run(&s->net, is_decided, s, 5000);
    /* What is in a block is not asked for again, told by whomever. */
    unsigned before = s->mute[2].n[MSG_TX_GET];
    say_ids(s, 2, MSG_TX_IDS, 0, 30);
    net_wait(&s->net, CONSENSUS_PATIENCE_MS + 100);
    assert_int_equal(s->mute[2].n[MSG_TX_GET], before);
    assert_int_equal(s->misbehaved, 0);
    made_clear(&m);
}

/* It has them all, but one with another signature: the ids fit, the block does not. */
static void other_signatures_are_asked_for(void **state)
{
    struct scene *s = *state;
    struct made m;
    struct tx t;
    say_txs(s, 2, 0, 30);
    pooled(s, 30);
    struct sig other;
    key_sign_hash(&s->rich, &s->id[7], (const uint8_t[32]){9}, &other);
    uint8_t *end = s->tx[7].p + s->tx[7].n - sizeof other.b;
    assert_memory_not_equal(end, other.b, sizeof other.b);
    memcpy(end, other.b, sizeof other.b);
    assert_int_equal(tx_decode(bytes_of_buf(&s->tx[7]), &t, NULL), ERR_OK);
    assert_int_equal(tx_check(&t, &s->chain, NULL), ERR_OK);
    make_block(s, &m, 30);
    say_short(s, 1, &m);
    hear_ask(s, 1, 30);
    say_proposal_txs(s, 1, &m, 0, 30);
    tell_proposal(s, 2, &m); /* it has it now */
    net_wait(&s->net, CONSENSUS_PATIENCE_MS + 100);
    assert_int_equal(s->mute[2].n[MSG_PROPOSAL_GET], 0);
    /* And sends it to whoever lacks it: whole by ids, or some. */
    struct buf b = {0};
    proposal_ask_put(&b, &(struct proposal_ask){1, 0, m.p.value, bytes_of("\3\0\7\0", 4)});
    say_buf(s, 2, MSG_PROPOSAL_GET, &b);
    hear(s, 2, MSG_PROPOSAL_TXS, 1);
    struct proposal_txs got;
    struct cursor r = cursor_of(last(s, 2, MSG_PROPOSAL_TXS));
    struct bytes raw;
    proposal_txs_get(&r, &got);
    assert_true(cursor_end(&r) && got.positions == 2);
    r = cursor_of(got.txs);
    codec_get_blob(&r, &raw);
    assert_true(bytes_equal(raw, bytes_of_buf(&s->tx[3])));
    codec_get_blob(&r, &raw);
    assert_true(bytes_equal(raw, bytes_of_buf(&s->tx[7])));
    assert_true(cursor_end(&r));
    proposal_ask_put(&b, &(struct proposal_ask){1, 0, m.p.value, bytes_of("\7\0\3\0", 4)});
    say_buf(s, 2, MSG_PROPOSAL_GET, &b); /* not rising */
    net_run(&s->net, is_cut_off, s, 5000);
    made_clear(&m);
}

static void others_than_were_asked_for_cut_off(void **state)
{
    struct scene *s = *state;
    struct made m;
    make_block(s, &m, 30);
    say_short(s, 2, &m);
    hear_ask(s, 2, 30);
    say_proposal_txs(s, 2, &m, 1, 30);
    net_run(&s->net, is_cut_off, s, 5000);
    /* Nothing is spoiled by it. */
    net_wait(&s->net, CONSENSUS_ASK_MS + 100);
    say_short(s, 1, &m);
    hear_ask(s, 1, 30);
    say_proposal_txs(s, 1, &m, 0, 30);
    struct vote v = precommit(s, &m);
    struct buf b = {0};
    vote_put(&b, &v);
    say_buf(s, 1, MSG_VOTE, &b);
    net_run(&s->net, is_decided, s, 5000);
    made_clear(&m);
}

/* A validator whose turn comes later proposes for that turn what nobody has: what is being fetched of this round stays.
 */
static void a_later_round_takes_no_place(void **state)
{
    struct scene *s = *state;
    struct made m, later;
    struct buf b = {0};
    make_block(s, &m, 30);
    make_block(s, &later, 40);
    later.p.round = 1;
    struct hash h = proposal_hash(&later.p, &s->chain);
    key_sign_hash(&s->net.node[1].key, &h, NULL, &later.p.sig);
    say_short(s, 1, &m);
    hear_ask(s, 1, 30);
    for (unsigned i = 0; i < 3; i++) {
        say_short(s, 2, &later);
        net_wait(&s->net, 50);
    }
    say_proposal_txs(s, 1, &m, 0, 30);
    struct vote v = precommit(s, &m);
    vote_put(&b, &v);
    say_buf(s, 1, MSG_VOTE, &b);
    net_run(&s->net, is_decided, s, 2000);
    assert_true(is_decided(s));
    made_clear(&m);
    made_clear(&later);
}

/* A node that is told to begin before it has started starts all the same: it says again where it is. */
static void a_hurry_is_no_reason_to_be_mute(void **state)
{
    struct scene *s = *state;
    hear(s, 1, MSG_STATUS, 3);
    hear(s, 2, MSG_STATUS, 3);
}

/* -- the bytes -- */

static void is_hex(struct buf *b, const char *hex)
{
    struct buf want = {0};
    test_hex(&want, hex);
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
    buf_clear(&want);
    buf_reset(b);
}

#define VALUE "aa00000000000000000000000000000000000000000000000000000000000000"

static void messages_have_their_bytes(void **state)
{
    (void)state;
    struct buf b = {0};
    struct hash value = {{0xaa}};
    proposal_told_put(&b, &(struct proposal_told){0x0102, 3, value});
    is_hex(&b, "0201000000000000"
               "03000000" VALUE);
    proposal_ask_put(&b, &(struct proposal_ask){0x0102, 3, value, bytes_of("\4\0\5\1", 4)});
    is_hex(&b, "0201000000000000"
               "03000000" VALUE "0400000004000501");
    proposal_txs_put(&b, &(struct proposal_txs){0x0102, 3, value, 1, bytes_of("\1\0\0\0\7", 5)});
    is_hex(&b, "0201000000000000"
               "03000000" VALUE "01000000"
               "050000000100000007");
    ballot_put(&b, &(struct ballot){0x0102, 3, VOTE_PRECOMMIT, value, VOTE_NO_ROUND, bytes_of("\5\200", 2)});
    is_hex(&b, "0201000000000000"
               "03000000"
               "02" VALUE "ffffffff"
               "020000000580");
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_have_their_bytes),
        cmocka_unit_test_setup_teardown(who_tells_and_sends_nothing_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_before_what_it_follows_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pool_is_told_of_and_sent_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(who_wants_to_be_told_is, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_is_decided_that_it_was_only_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(other_signatures_are_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(others_than_were_asked_for_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_later_round_takes_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hurry_is_no_reason_to_be_mute, setup_hurry, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
