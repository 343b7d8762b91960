/* Nodes that decide blocks together, over real sockets, with stores in memory and signer files on disk. */
#include "chain/blame.h"
#include "tests/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a waiting client was told. */
struct told {
    unsigned n;
    enum err code;
};

static struct cluster *begin(unsigned validators, unsigned others)
{
    return cluster_new(&(struct cluster_options){.validators = validators, .others = others});
}

static void on_tx(void *arg, enum err e, const struct hash *id, uint64_t at, const struct note *note)
{
    struct told *t = arg;
    (void)id;
    (void)at;
    (void)note;
    t->n++;
    t->code = e;
}

static bool was_told(void *arg)
{
    return ((struct told *)arg)->n > 0;
}

static void one_validator_decides_alone(void **state)
{
    (void)state;
    struct cluster *c = begin(1, 0);
    struct told told = {.n = 0};
    net_wait(&c->net, 50);
    assert_int_equal(cluster_height(c, 0), 0); /* nothing waits: no block */
    struct hash id = cluster_pay(c, 0, 5);
    assert_int_equal(consensus_wait_tx(c->m[0].consensus, &id, 5000, on_tx, &told), ERR_OK);
    net_run(&c->net, was_told, &told, 5000);
    assert_int_equal(told.code, ERR_OK);
    /* A second one proves the first one's state; from its first fees the validator registers its key for the beacon in
     * it, and a third proves that. */
    cluster_all_reach(c, 3, 5000);
    net_wait(&c->net, 100);
    assert_int_equal(cluster_height(c, 0), 3);
    struct rec_account a;
    assert_true(ledger_account(c->m[0].ledger, &c->net.node[0].id, &a));
    assert_true(a.balance.mote >= 5); /* and fees */
    cluster_stop(c, 0);
    cluster_start(c, 0);
    assert_int_equal(cluster_height(c, 0), 3);
    cluster_pay(c, 0, 6);
    cluster_all_reach(c, 5, 5000);
    told.n = 0;
    struct hash never = {{1}};
    assert_int_equal(consensus_wait_tx(c->m[0].consensus, &never, 20, on_tx, &told), ERR_OK);
    net_run(&c->net, was_told, &told, 5000);
    assert_int_equal(told.code, ERR_TIMEOUT);
    cluster_free(c);
}

/* Of the blocks from a height on: how many carry a proof. Everybody has judged them. */
static unsigned proofs_from(struct cluster *c, uint64_t from)
{
    static struct bytes txs[BLOCK_TXS_MAX];
    unsigned n = 0;
    for (uint64_t h = from; h <= cluster_height(c, 0); h++) {
        struct buf raw = {0};
        struct block b;
        assert_int_equal(consensus_block_get(c->m[0].consensus, h, &raw, NULL, NULL), ERR_OK);
        assert_int_equal(block_decode(bytes_of_buf(&raw), &b, txs, NULL), ERR_OK);
        n += !vrf_proof_is_zero(&b.header.proof);
        buf_clear(&raw);
    }
    return n;
}

static void validators_register_and_prove(void **state)
{
    (void)state;
    struct cluster *c = begin(4, 1);
    struct vrf_public key;
    for (int i = 0; i < 40; i++) {
        cluster_pay(c, (unsigned)i % 4, 1);
        cluster_all_reach(c, cluster_height(c, 0) + 1, 10000);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(ledger_beacon_key(c->m[0].ledger, &c->net.node[i].id, cluster_height(c, 0), &key));
    uint64_t from = cluster_height(c, 0) - 4; /* everybody's turn */
    assert_int_equal(proofs_from(c, from), cluster_height(c, 0) + 1 - from);
    cluster_start(c, 4); /* and one who only reads the blocks follows all of it */
    net_join(&c->net, 4, 3);
    cluster_all_reach(c, cluster_height(c, 0), 10000);
    cluster_free(c);
}

static bool is_banned(void *arg)
{
    struct cluster *c = arg;
    struct rec_office rec;
    for (unsigned i = 0; i < c->n; i++)
        if (!ledger_office(c->m[i].ledger, &c->net.node[3].id, &rec) || !rec.banned)
            return false;
    return true;
}

/* Evidence that one node hears of is with all, and one of them sends it to the ledger: once. */
static void evidence_reaches_the_ledger_once(void **state)
{
    (void)state;
    static struct bytes txs[BLOCK_TXS_MAX];
    struct cluster *c = begin(4, 0);
    for (int i = 0; i < 16; i++) { /* so that all have fees to pay with */
        cluster_pay(c, (unsigned)i % 4, 1);
        cluster_all_reach(c, cluster_height(c, 0) + 1, 10000);
    }
    struct vote v[2];
    struct evidence e;
    struct buf raw = {0};
    for (int i = 0; i < 2; i++) {
        v[i] = (struct vote){
            .kind = VOTE_PREVOTE, .height = cluster_height(c, 0), .round = 9, .valid_round = VOTE_NO_ROUND};
        v[i].value.b[0] = (uint8_t)(i + 1);
        struct hash h = vote_hash(&v[i], &c->chain);
        key_sign_hash(&c->net.node[3].key, &h, NULL, &v[i].sig);
    }
    assert_true(evidence_of_votes(&c->net.node[3].id, &v[0], &v[1], &e));
    evidence_put(&raw, &e);
    assert_int_equal(peers_send(c->net.node[3].peers, &c->net.node[0].id, MSG_EVIDENCE, bytes_of_buf(&raw)), ERR_OK);
    uint64_t from = cluster_height(c, 0);
    net_run(&c->net, is_banned, c, 30000);
    net_wait(&c->net, 5000); /* those further down the line would have sent theirs by now */
    unsigned sent = 0;
    for (uint64_t h = from; h <= cluster_height(c, 0); h++) {
        struct buf block = {0};
        struct block b;
        assert_int_equal(consensus_block_get(c->m[0].consensus, h, &block, NULL, NULL), ERR_OK);
        assert_int_equal(block_decode(bytes_of_buf(&block), &b, txs, NULL), ERR_OK);
        for (uint32_t i = 0; i < b.header.txs_n; i++) {
            struct tx t;
            assert_int_equal(tx_decode(txs[i], &t, NULL), ERR_OK);
            sent += t.kind == TX_EVIDENCE;
        }
        buf_clear(&block);
    }
    assert_int_equal(sent, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(consensus_status(c->m[i].consensus).evidence, 1);
    cluster_pay(c, 1, 1); /* three go on without the fourth */
    cluster_all_reach(c, cluster_height(c, 0) + 1, 10000);
    assert_int_equal(consensus_validators(c->m[0].consensus)->n, 3);
    buf_clear(&raw);
    cluster_free(c);
}

/* Who decided can testify, with the prevotes that it saw; who only followed cannot; and once the unbonding period has
 * passed there is nothing to testify. */
static void nodes_testify_while_stake_answers(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(&(struct cluster_options){.validators = 4, .others = 1, .unbonding_ms = 1500});
    struct buf raw = {0};
    struct testimony t;
    for (int i = 0; i < 3; i++) {
        cluster_pay(c, (unsigned)i, 1);
        cluster_all_reach(c, cluster_height(c, 0) + 1, 10000);
    }
    unsigned with_prevotes = 0;
    for (unsigned i = 0; i < 4; i++) {
        buf_reset(&raw);
        if (consensus_testimony(c->m[i].consensus, 1, &raw, NULL) != ERR_OK)
            continue; /* it saw the precommits first */
        assert_int_equal(blame_get_testimony(bytes_of_buf(&raw), &t, NULL), ERR_OK);
        assert_true(t.height == 1 && t.quorums.n > 3 * COMMIT_SIG_SIZE && hash_equal(&t.chain, &c->chain));
        with_prevotes++;
    }
    assert_true(with_prevotes >= 3); /* those who precommitted it */
    cluster_start(c, 4);
    net_join(&c->net, 4, 3);
    cluster_all_reach(c, cluster_height(c, 0), 10000);
    assert_int_equal(consensus_testimony(c->m[4].consensus, 1, &raw, NULL), ERR_NOT_FOUND);
    net_wait(&c->net, 1600);
    for (int i = 0; i < 3; i++) {
        cluster_pay(c, (unsigned)i, 1);
        cluster_all_reach(c, cluster_height(c, 0) + 1, 10000);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(consensus_testimony(c->m[i].consensus, 1, &raw, NULL), ERR_NOT_FOUND);
    assert_int_equal(consensus_testimony(c->m[0].consensus, cluster_height(c, 0), &raw, NULL), ERR_OK);
    buf_clear(&raw);
    cluster_free(c);
}

static void four_validators_agree(void **state)
{
    (void)state;
    struct cluster *c = begin(4, 0);
    cluster_pay(c, 1, 7);
    cluster_all_reach(c, 2, 10000);
    for (int i = 0; i < 20; i++) {
        cluster_pay(c, (unsigned)i % 4, 1);
        uint64_t now = cluster_height(c, 0);
        cluster_all_reach(c, now + 1, 10000);
    }
    struct consensus_status s = consensus_status(c->m[2].consensus);
    assert_int_equal(s.validators, 4);
    assert_true(s.is_validator);
    assert_int_equal(s.pool, 0);
    assert_int_equal(s.evidence, 0);
    cluster_free(c);
}

static void three_go_on_and_the_fourth_catches_up(void **state)
{
    (void)state;
    struct cluster *c = begin(4, 1);
    cluster_pay(c, 0, 7);
    cluster_all_reach(c, 2, 10000);
    cluster_stop(c, 3);
    for (int i = 0; i < 10; i++) {
        cluster_pay(c, (unsigned)i % 3, 1);
        cluster_all_reach(c, cluster_height(c, 0) + 1, 20000);
    }
    cluster_start(c, 3);
    net_join(&c->net, 3, 0);
    net_join(&c->net, 3, 1);
    cluster_all_reach(c, cluster_height(c, 0), 10000);
    cluster_stop(c, 2); /* now the one that came back is needed */
    cluster_pay(c, 1, 1);
    cluster_all_reach(c, cluster_height(c, 0) + 1, 20000);
    cluster_start(c, 4); /* a stranger who only follows, and knows one node */
    net_join(&c->net, 4, 3);
    cluster_all_reach(c, cluster_height(c, 0), 10000);
    assert_false(consensus_status(c->m[4].consensus).is_validator);
    cluster_pay(c, 4, 2); /* and whose transaction gets into a block */
    cluster_all_reach(c, cluster_height(c, 0) + 1, 20000);
    cluster_free(c);
}

/* All at once, several times, in the middle of whatever they do. */
static void all_killed_at_any_moment(void **state)
{
    (void)state;
    struct cluster *c = begin(4, 0);
    for (unsigned k = 0; k < 6; k++) {
        cluster_pay(c, k % 4, 3);
        net_wait(&c->net, 3 + 9 * k);
        for (unsigned i = 0; i < 4; i++)
            cluster_stop(c, i);
        for (unsigned i = 0; i < 4; i++)
            cluster_start(c, i);
        for (unsigned i = 0; i < 4; i++)
            for (unsigned j = 0; j < i; j++)
                net_join(&c->net, i, j);
        uint64_t most = 0;
        for (unsigned i = 0; i < 4; i++)
            most = cluster_height(c, i) > most ? cluster_height(c, i) : most;
        c->nonce = ledger_nonce(c->m[0].ledger, &c->rich_id);
        for (unsigned i = 1; i < 4; i++) {
            uint64_t n = ledger_nonce(c->m[i].ledger, &c->rich_id);
            c->nonce = n > c->nonce ? n : c->nonce;
        }
        cluster_all_reach(c, most, 20000);
        net_wait(&c->net, 300);
        c->nonce = consensus_nonce(c->m[0].consensus, &c->rich_id);
        cluster_pay(c, 0, 1);
        cluster_all_reach(c, cluster_height(c, 0) + 1, 20000);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(consensus_status(c->m[i].consensus).evidence, 0);
    cluster_free(c);
}

static bool is_stuck(void *arg)
{
    struct cluster *c = arg;
    return consensus_status(c->m[0].consensus).is_stuck;
}

/* The store takes nothing: no block is announced, and when there is room the same one is. */
static void a_full_disk_stops_and_loses_nothing(void **state)
{
    (void)state;
    struct cluster *c = begin(1, 0);
    struct told told = {.n = 0};
    cluster_pay(c, 0, 1);
    cluster_all_reach(c, 3, 5000); /* with its key for the beacon */
    kv_mem_fail(c->m[0].kv, 1, ERR_FULL);
    struct hash id = cluster_pay(c, 0, 2);
    assert_int_equal(consensus_wait_tx(c->m[0].consensus, &id, 20000, on_tx, &told), ERR_OK);
    net_run(&c->net, is_stuck, c, 5000);
    assert_int_equal(cluster_height(c, 0), 3);
    assert_int_equal(told.n, 0);
    kv_mem_fail(c->m[0].kv, 0, ERR_OK);
    net_run(&c->net, was_told, &told, 5000);
    assert_int_equal(told.code, ERR_OK);
    cluster_all_reach(c, 5, 5000);
    assert_false(consensus_status(c->m[0].consensus).is_stuck);
    cluster_free(c);
}

/* Killed while the decided block is not stored: the log decides it again. */
static void a_decision_that_was_not_stored_is_found_again(void **state)
{
    (void)state;
    struct cluster *c = begin(1, 0);
    kv_mem_fail(c->m[0].kv, 1, ERR_FULL);
    struct hash id = cluster_pay(c, 0, 2);
    net_run(&c->net, is_stuck, c, 5000);
    cluster_stop(c, 0);
    kv_mem_fail(c->m[0].kv, 0, ERR_OK);
    cluster_start(c, 0);
    c->target = 1;
    net_run(&c->net, cluster_is_high, c, 5000); /* though the pool is empty now */
    struct rec_result r;
    assert_int_equal(ledger_tx_result(c->m[0].ledger, &id, &r, NULL), ERR_OK);
    cluster_free(c);
}

/* A log that is gone: the signer's file knows of the lock, and the validator stays silent in that height. */
static void a_lost_log_makes_mute(void **state)
{
    (void)state;
    char path[300];
    struct cluster *c = begin(4, 0);
    for (unsigned i = 0; i < 4; i++)
        kv_mem_fail(c->m[i].kv, 1, ERR_FULL);
    cluster_pay(c, 0, 2);
    net_run(&c->net, is_stuck, c, 20000);
    cluster_stop(c, 0);
    for (unsigned i = 0; i < 4; i++)
        kv_mem_fail(c->m[i].kv, 0, ERR_OK);
    snprintf(path, sizeof path, "%s/wal", c->m[0].dir);
    assert_int_equal(remove(path), 0);
    cluster_start(c, 0);
    for (unsigned i = 1; i < 4; i++)
        net_join(&c->net, 0, i);
    cluster_all_reach(c, 2, 20000); /* the block comes from the others; in the next height it votes again */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(consensus_status(c->m[i].consensus).evidence, 0);
    cluster_free(c);
}

static void a_lost_signer_file_stops_the_only_validator(void **state)
{
    (void)state;
    char path[300];
    struct note note = {{0}};
    struct cluster *c = begin(1, 0);
    struct member *m = &c->m[0];
    cluster_pay(c, 0, 2);
    cluster_all_reach(c, 2, 5000);
    cluster_stop(c, 0);
    snprintf(path, sizeof path, "%s/signer", m->dir);
    assert_int_equal(remove(path), 0);
    assert_int_equal(ledger_open(m->kv, &c->genesis, &m->ledger, &note), ERR_OK);
    struct consensus_options o = {
        .host = c->net.host, .kv = m->kv, .ledger = m->ledger, .key = &c->net.node[0].key, .dir = m->dir};
    assert_int_equal(consensus_open(&o, &m->consensus, &note), ERR_CORRUPT);
    assert_non_null(strstr(note.text, "signer"));
    ledger_close(m->ledger);
    cluster_free(c);
}

/* -- lists of transactions -- */

static void list_add(struct cluster *c, struct buf *list, uint64_t nonce, bool spoil)
{
    struct buf body = {0}, tx = {0};
    tx_transfer_put(&body, &(struct tx_transfer){.to = c->net.node[0].id, .amount = amount_of(1)});
    tx_build(&tx, &c->chain, &c->rich, nonce, amount_of(MOTE_PER_KITH / 100), TX_TRANSFER, bytes_of_buf(&body));
    tx.p[tx.n - 1] ^= (uint8_t)spoil; /* of the signature */
    struct bytes raw = bytes_of_buf(&tx);
    codec_put_blob(list, &raw);
    buf_clear(&body);
    buf_clear(&tx);
}

struct taken {
    struct consensus_taken t;
    unsigned calls;
};

static void on_taken(void *arg, const struct consensus_taken *taken)
{
    struct taken *t = arg;
    t->t = *taken;
    t->calls++;
}

static bool is_taken(void *arg)
{
    return ((struct taken *)arg)->calls > 0;
}

static struct consensus_taken submit(struct cluster *c, unsigned through, const struct buf *list)
{
    struct taken t = {.calls = 0};
    assert_int_equal(consensus_submit_list(c->m[through].consensus, bytes_of_buf(list), on_taken, &t, NULL), ERR_OK);
    assert_int_equal(t.calls, 0);
    net_run(&c->net, is_taken, &t, 10000);
    assert_int_equal(t.calls, 1);
    return t.t;
}

static bool pools_are_empty(void *arg)
{
    struct cluster *c = arg;
    for (unsigned i = 0; i < c->n; i++)
        if (consensus_status(c->m[i].consensus).pool || ledger_nonce(c->m[i].ledger, &c->rich_id) < c->target)
            return false;
    return true;
}

static void lists_are_judged_one_by_one_and_reach_all(void **state)
{
    (void)state;
    struct cluster *c = begin(4, 0);
    struct buf list = {0};
    for (uint64_t i = 0; i < 40; i++)
        list_add(c, &list, i, false);
    list_add(c, &list, 3, false); /* twice in one list */
    list_add(c, &list, 40, true);
    list_add(c, &list, 40, false);
    struct consensus_taken t = submit(c, 1, &list);
    assert_int_equal(t.n, 43);
    assert_int_equal(t.accepted, 42);
    assert_int_equal(t.first_error, ERR_AUTH);
    assert_int_equal(t.first_refused, 41);
    c->target = 41;
    net_run(&c->net, pools_are_empty, c, 20000);
    /* What is in blocks already is refused, and forgotten again: it is not taken for something under way. */
    for (int again = 0; again < 2; again++) {
        buf_reset(&list);
        list_add(c, &list, 5, false);
        t = submit(c, 2, &list);
        assert_int_equal(t.accepted, 0);
        assert_int_equal(t.first_error, ERR_NONCE);
    }
    /* What is no list, and nothing. */
    assert_int_equal(consensus_submit_list(c->m[0].consensus, bytes_of(list.p, list.n - 1), NULL, NULL, NULL),
                     ERR_FORMAT);
    assert_int_equal(consensus_submit_list(c->m[0].consensus, bytes_of("", 0), NULL, NULL, NULL), ERR_FORMAT);
    /* Cancelled: no call comes, the transaction does. */
    struct taken none = {.calls = 0};
    buf_reset(&list);
    list_add(c, &list, 41, false);
    assert_int_equal(consensus_submit_list(c->m[0].consensus, bytes_of_buf(&list), on_taken, &none, NULL), ERR_OK);
    consensus_submit_cancel(c->m[0].consensus, on_taken, &none);
    c->target = 42;
    net_run(&c->net, pools_are_empty, c, 20000);
    assert_int_equal(none.calls, 0);
    buf_clear(&list);
    cluster_free(c);
}

static bool is_cut_off(void *arg)
{
    struct cluster *c = arg;
    return !peers_is_up(c->net.node[0].peers, &c->net.node[1].id);
}

static void who_sends_a_bad_signature_on_is_cut_off(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 0);
    struct buf list = {0};
    cluster_pay(c, 0, 1);
    cluster_all_reach(c, 2, 10000);
    list_add(c, &list, c->nonce, true);
    assert_int_equal(peers_send(c->net.node[1].peers, &c->net.node[0].id, MSG_TXS, bytes_of_buf(&list)), ERR_OK);
    net_run(&c->net, is_cut_off, c, 10000);
    assert_true(is_cut_off(c));
    buf_clear(&list);
    cluster_free(c);
}

static void who_forges_a_vote_is_cut_off(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 0);
    cluster_pay(c, 0, 1);
    cluster_all_reach(c, 2, 10000);
    uint64_t height = ledger_info(c->m[0].ledger).height;
    for (uint64_t h = height + 1; h <= height + 3; h++) {
        struct buf raw = {0};
        vote_put(&raw,
                 &(struct vote){
                     .height = h, .kind = VOTE_PREVOTE, .value = {{1}}, .valid_round = VOTE_NO_ROUND, .sig = {{2}}});
        assert_int_equal(peers_send(c->net.node[1].peers, &c->net.node[0].id, MSG_VOTE, bytes_of_buf(&raw)), ERR_OK);
        buf_clear(&raw);
    }
    net_run(&c->net, is_cut_off, c, 10000);
    assert_true(is_cut_off(c));
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_validator_decides_alone),
        cmocka_unit_test(four_validators_agree),
        cmocka_unit_test(nodes_testify_while_stake_answers),
        cmocka_unit_test(evidence_reaches_the_ledger_once),
        cmocka_unit_test(lists_are_judged_one_by_one_and_reach_all),
        cmocka_unit_test(who_sends_a_bad_signature_on_is_cut_off),
        cmocka_unit_test(who_forges_a_vote_is_cut_off),
        cmocka_unit_test(validators_register_and_prove),
        cmocka_unit_test(three_go_on_and_the_fourth_catches_up),
        cmocka_unit_test(all_killed_at_any_moment),
        cmocka_unit_test(a_full_disk_stops_and_loses_nothing),
        cmocka_unit_test(a_decision_that_was_not_stored_is_found_again),
        cmocka_unit_test(a_lost_log_makes_mute),
        cmocka_unit_test(a_lost_signer_file_stops_the_only_validator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
