/* What a node makes of a block that it is only told of; the bytes of what is said. */
#include "tests/mutes.h"

#include <string.h>

/* -- a block -- */

/* Whose only validator is peer 1, with the first n transactions. */
struct made {
    struct buf block, list;
    struct block b;
    struct proposal p;
};

static void make_block(const struct mutes *s, struct made *m, unsigned n)
{
    struct bytes txs[MUTES_TXS];
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

static void tell_proposal(struct mutes *s, unsigned i, const struct made *m)
{
    struct buf b = {0};
    proposal_told_put(&b, &(struct proposal_told){1, 0, m->p.value});
    mutes_say_buf(s, i, MSG_PROPOSAL_HAVE, &b);
}

static void say_short(struct mutes *s, unsigned i, const struct made *m)
{
    struct buf b = {0};
    assert_true(short_put(&m->p, bytes_of_buf(&m->block), &b));
    mutes_say_buf(s, i, MSG_PROPOSAL_SHORT, &b);
}

static struct proposal_ask asked(const struct mutes *s, unsigned who)
{
    struct proposal_ask ask;
    struct cursor r = cursor_of(mutes_last(s, who, MSG_PROPOSAL_GET));
    proposal_ask_get(&r, &ask);
    assert_true(cursor_end(&r));
    return ask;
}

static bool was_asked(void *arg)
{
    const struct mutes *s = arg;
    return s->mute[s->who].n[MSG_PROPOSAL_GET] > 0 && asked(s, s->who).wanted.n == 2 * s->count;
}

/* Until peer `who` was asked for so many transactions of a proposal, or (0) for it. */
static void hear_ask(struct mutes *s, unsigned who, unsigned positions)
{
    s->who = who;
    s->count = positions;
    net_run(&s->net, was_asked, s, 5000);
}

/* Transactions from..from+n-1. */
static void say_proposal_txs(struct mutes *s, unsigned i, const struct made *m, unsigned from, unsigned n)
{
    struct buf list = {0}, b = {0};
    for (unsigned k = from; k < from + n; k++) {
        struct bytes raw = bytes_of_buf(&s->tx[k]);
        codec_put_blob(&list, &raw);
    }
    proposal_txs_put(&b, &(struct proposal_txs){1, 0, m->p.value, n, bytes_of_buf(&list)});
    mutes_say_buf(s, i, MSG_PROPOSAL_TXS, &b);
    buf_clear(&list);
}

static struct vote precommit(const struct mutes *s, const struct made *m)
{
    struct vote v = {.kind = VOTE_PRECOMMIT, .height = 1, .value = m->p.value, .valid_round = VOTE_NO_ROUND};
    struct hash h = vote_hash(&v, &s->chain);
    key_sign_hash(&s->net.node[1].key, &h, NULL, &v.sig);
    return v;
}

static void tell_vote(struct mutes *s, unsigned i, const struct vote *v)
{
    struct buf b = {0};
    ballot_put(&b, &(struct ballot){v->height, v->round, v->kind, v->value, v->valid_round, bytes_of("\1", 1)});
    mutes_say_buf(s, i, MSG_BALLOT_HAVE, &b);
}

static bool is_decided(void *arg)
{
    const struct mutes *s = arg;
    return ledger_info(s->ledger).height == 1;
}

/* Peer 2 tells of everything before peer 1, and sends nothing. */
static void a_block_is_decided_that_it_was_only_told_of(void **state)
{
    struct mutes *s = *state;
    struct made m;
    struct buf b = {0};
    make_block(s, &m, 30);
    mutes_say_txs(s, 1, 0, 10);
    mutes_pooled(s, 10);
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
    mutes_hear(s, 2, MSG_BALLOT_GET, 1);
    tell_vote(s, 1, &v);
    mutes_hear(s, 1, MSG_BALLOT_GET, 1);
    vote_put(&b, &v);
    assert_false(is_decided(s));
    mutes_say_buf(s, 1, MSG_VOTE, &b);
    net_run(&s->net, is_decided, s, 5000);
    /* What is in a block is not asked for again, told by whomever. */
    unsigned before = s->mute[2].n[MSG_TX_GET];
    mutes_say_ids(s, 2, MSG_TX_IDS, 0, 30);
    net_wait(&s->net, CONSENSUS_PATIENCE_MS + 100);
    assert_int_equal(s->mute[2].n[MSG_TX_GET], before);
    assert_int_equal(s->misbehaved, 0);
    made_clear(&m);
}

/* It has them all, but one with another signature: the ids fit, the block does not. */
static void other_signatures_are_asked_for(void **state)
{
    struct mutes *s = *state;
    struct made m;
    struct tx t;
    mutes_say_txs(s, 2, 0, 30);
    mutes_pooled(s, 30);
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
    mutes_say_buf(s, 2, MSG_PROPOSAL_GET, &b);
    mutes_hear(s, 2, MSG_PROPOSAL_TXS, 1);
    struct proposal_txs got;
    struct cursor r = cursor_of(mutes_last(s, 2, MSG_PROPOSAL_TXS));
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
    mutes_say_buf(s, 2, MSG_PROPOSAL_GET, &b); /* not rising */
    net_run(&s->net, mutes_is_cut_off, s, 5000);
    made_clear(&m);
}

static void others_than_were_asked_for_cut_off(void **state)
{
    struct mutes *s = *state;
    struct made m;
    make_block(s, &m, 30);
    say_short(s, 2, &m);
    hear_ask(s, 2, 30);
    say_proposal_txs(s, 2, &m, 1, 30);
    net_run(&s->net, mutes_is_cut_off, s, 5000);
    /* Nothing is spoiled by it. */
    net_wait(&s->net, CONSENSUS_ASK_MS + 100);
    say_short(s, 1, &m);
    hear_ask(s, 1, 30);
    say_proposal_txs(s, 1, &m, 0, 30);
    struct vote v = precommit(s, &m);
    struct buf b = {0};
    vote_put(&b, &v);
    mutes_say_buf(s, 1, MSG_VOTE, &b);
    net_run(&s->net, is_decided, s, 5000);
    made_clear(&m);
}

/* A validator whose turn comes later proposes for that turn what nobody has: what is being fetched of this round stays.
 */
static void a_later_round_takes_no_place(void **state)
{
    struct mutes *s = *state;
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
    mutes_say_buf(s, 1, MSG_VOTE, &b);
    net_run(&s->net, is_decided, s, 2000);
    assert_true(is_decided(s));
    made_clear(&m);
    made_clear(&later);
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
        cmocka_unit_test_setup_teardown(a_block_is_decided_that_it_was_only_told_of, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(other_signatures_are_asked_for, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(others_than_were_asked_for_cut_off, mutes_begin, mutes_end),
        cmocka_unit_test_setup_teardown(a_later_round_takes_no_place, mutes_begin, mutes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
