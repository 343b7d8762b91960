/* Jobs that are kept: the newest, as many as there may be and as long as they may be together, on disk as in memory. */
#include "node/market/job.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define SOME 40

struct kept {
    struct jobs jobs;
    struct host *host;
};

static int kept_begin(void **state)
{
    struct kept *k = mem_new(sizeof *k);
    struct note note;
    k->host = host_uv_open(&note);
    k->jobs.s = (struct market_services){.host = k->host, .kv = kv_mem_open()};
    *state = k;
    return 0;
}

static int kept_end(void **state)
{
    struct kept *k = *state;
    while (k->jobs.first)
        job_free(k->jobs.first);
    kv_close(k->jobs.s.kv);
    host_uv_close(k->host);
    free(k);
    return 0;
}

/* One of that age, whose text has so many bytes. */
static struct job *make(struct kept *k, uint8_t age, enum job_state state, size_t bytes)
{
    static const char zeros[1000];
    struct job *j = job_new(&k->jobs);
    j->r.id.b[0] = age;
    j->r.made_ms = age;
    j->r.state = (uint8_t)state;
    request_put(&j->request, &(struct request){.arith = REQUEST_ARITH, .top_p = 1, .repeat_penalty = 1});
    buf_add(&j->text, zeros, bytes);
    assert_int_equal(job_save(j), ERR_OK);
    return j;
}

static bool count(void *arg, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return true;
}

static void expect(struct kept *k, unsigned n)
{
    unsigned stored = 0;
    assert_int_equal(kv_scan(k->jobs.s.kv, bytes_of("j", 1), count, &stored, NULL), ERR_OK);
    assert_int_equal(k->jobs.n, n);
    assert_int_equal(stored, n);
}

static void drop(struct kept *k, uint64_t jobs, uint64_t bytes, uint64_t age_ms)
{
    job_drop_old(&k->jobs, &(struct job_limits){jobs, bytes, age_ms});
}

static bool is_there(struct kept *k, uint8_t age)
{
    return job_find(&k->jobs, &(struct hash){{age}}) != NULL;
}

static void the_oldest_go(void **state)
{
    struct kept *k = *state;
    for (uint8_t i = 1; i <= SOME; i++)
        make(k, i, i % 2 ? JOB_DONE : JOB_FAILED, 0);
    drop(k, SOME, SIZE_MAX, 0);
    expect(k, SOME);
    drop(k, 10, SIZE_MAX, 0);
    expect(k, 10);
    assert_true(is_there(k, SOME - 9));
    assert_false(is_there(k, SOME - 10));
}

/* Who runs or is looked at stays, however old. */
static void those_in_use_stay(void **state)
{
    struct kept *k = *state;
    make(k, 1, JOB_RUNNING, 0);
    make(k, 2, JOB_DONE, 0)->text_ask = 1;
    make(k, 3, JOB_DONE, 0);
    make(k, 4, JOB_DONE, 0);
    drop(k, 1, SIZE_MAX, 0);
    expect(k, 3);
    assert_true(is_there(k, 1) && is_there(k, 2) && is_there(k, 4));
}

/* Each is somewhat more than its text. */
static void long_ones_are_fewer(void **state)
{
    struct kept *k = *state;
    for (uint8_t i = 1; i <= 10; i++)
        make(k, i, JOB_DONE, 1000);
    size_t each = sizeof(struct job) + k->jobs.first->request.n + 1000;
    drop(k, SOME, 3 * each, 0);
    expect(k, 3);
    drop(k, SOME, 3 * each - 1, 0);
    expect(k, 2);
    assert_true(is_there(k, 10) && is_there(k, 9));
}

static void and_so_do_old_ones(void **state)
{
    struct kept *k = *state;
    const uint64_t now = host_wall_ms(k->host);
    for (uint8_t i = 1; i <= 4; i++)
        make(k, i, i == 2 ? JOB_RUNNING : JOB_DONE, 0)->r.made_ms = now - 60000u * (5u - i) - 1;
    drop(k, SOME, SIZE_MAX, 0);
    expect(k, 4);
    drop(k, SOME, SIZE_MAX, 120000);
    expect(k, 2);
    assert_true(is_there(k, 2) && is_there(k, 4)); /* one of them runs */
}

/* A payer's channel with one receipt of each of these jobs, as the ledger of `w` has it. */
static struct channel *paid_over(struct kept *k, struct world *w, struct world_channel *c, unsigned n)
{
    struct rec_channel rec;
    assert_int_equal(world_publish(w, 8, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * MOTE_PER_KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, false), ERR_OK);
    assert_int_equal(world_open(w, c, 4, 3, 7, MOTE_PER_KITH), ERR_OK);
    assert_true(ledger_channel(w->ledger, &c->id, &rec));
    k->jobs.s.ledger = w->ledger;
    k->jobs.s.self = w->key[4];
    struct channel *mine = channel_list_refresh(&k->jobs.channels, &w->chain, &rec);
    for (uint8_t i = 1; i <= n; i++) {
        uint32_t at;
        world_job(c, 1000);
        struct signed_receipt r = {.receipt = c->receipts[i - 1]};
        receipt_sign(&r.receipt, &w->secret[3], &r.sig);
        assert_int_equal(channel_put_receipt(mine, &r, &at), ERR_OK);
        channel_keep(mine);
        struct job *j = make(k, i, JOB_DONE, 0);
        j->r.channel = c->id;
        j->r.paid_id = r.receipt.job;
    }
    return mine;
}

/* Paid over a channel, and not settled, or in escrow: they stay, until they are twice as many as may be. */
static void what_may_be_challenged_stays(void **state)
{
    struct kept *k = *state;
    struct world *w = world_new(NULL);
    struct world_channel c;
    paid_over(k, w, &c, 8);
    make(k, 9, JOB_DONE, 0); /* of nobody but this machine */
    drop(k, 4, SIZE_MAX, 0);
    expect(k, 8);
    assert_false(is_there(k, 1)); /* all after it are within twice the limit */
    c.n = 6;                      /* the first six are settled */
    assert_int_equal(world_settle(w, &c), ERR_OK);
    const struct hash id = w->last_id;
    drop(k, 4, SIZE_MAX, 0);
    expect(k, 8);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_PAID);
    drop(k, 4, SIZE_MAX, 0);
    expect(k, 4);
    assert_true(is_there(k, 6) && is_there(k, 7) && is_there(k, 8) && is_there(k, 9));
    drop(k, 1, SIZE_MAX, 0);
    expect(k, 2);
    channel_list_clear(&k->jobs.channels);
    world_free(w);
}

/* One more job of the channel, with the commitments of its receipt as they are made. */
static struct job *pay_for(struct kept *k, struct world *w, struct world_channel *c, struct channel *mine)
{
    uint32_t at = c->n;
    world_job(c, 1000);
    struct job *j = make(k, (uint8_t)c->n, JOB_DONE, 0);
    struct receipt *r = &c->receipts[at];
    buf_add(&j->tokens, "tokens..", 8);
    j->r.digest = world_root(3);
    j->r.channel = c->id;
    j->r.paid_id = r->job;
    j->salts = (struct job_accept){world_root(4), world_root(5), world_root(6)};
    j->is_salted = true;
    r->request_commit = receipt_commit(j->salts.request_salt.b, bytes_of_buf(&j->request));
    r->answer_commit = receipt_commit(j->salts.answer_salt.b, bytes_of_buf(&j->tokens));
    r->digest_commit = receipt_commit(j->salts.digest_salt.b, bytes_of(j->r.digest.b, sizeof j->r.digest.b));
    c->leaves[at] = sum_leaf(r);
    struct signed_receipt signed_one = {.receipt = *r};
    receipt_sign(r, &w->secret[3], &signed_one.sig);
    assert_int_equal(channel_put_receipt(mine, &signed_one, &at), ERR_OK);
    channel_keep(mine);
    assert_int_equal(job_save(j), ERR_OK);
    return j;
}

static void reload(struct kept *k)
{
    struct note note;
    while (k->jobs.first)
        job_free(k->jobs.first);
    assert_int_equal(job_load_all(&k->jobs, &note), ERR_OK);
}

/* What a committee is shown of a paid job opens the settled receipt, after a restart too; and of others nothing is. */
static void what_was_paid_can_be_shown(void **state)
{
    struct kept *k = *state;
    struct world *w = world_new(NULL);
    struct world_channel c;
    struct rec_settlement s;
    struct channel *mine = paid_over(k, w, &c, 0);
    unsigned salts = 0;
    for (unsigned i = 0; i < 3; i++)
        (void)pay_for(k, w, &c, mine);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    assert_true(ledger_settlement(w->ledger, &w->last_id, &s));
    for (unsigned again = 0; again < 2; again++) {
        struct buf plain = {0};
        struct audit_show show;
        struct signed_receipt r;
        assert_int_equal(jobs_show(&k->jobs, &s, 1, &plain), ERR_OK);
        struct cursor cursor = cursor_of(bytes_of_buf(&plain));
        audit_show_get(&cursor, &show);
        assert_true(cursor_end(&cursor));
        cursor = cursor_of(show.receipt);
        signed_receipt_get(&cursor, &r);
        assert_true(cursor_end(&cursor) && receipt_verify(&r.receipt, &w->key[3], &r.sig));
        struct sum_node leaf = sum_leaf(&r.receipt);
        assert_true(sum_tree_verify(&s.receipts_root, s.count, 1, &leaf, show.proof));
        assert_memory_equal(show.tokens.p, "tokens..", show.tokens.n);
        struct hash digest = world_root(3);
        assert_true(show.tokens.n == 8 && hash_equal(&show.digest, &digest));
        buf_clear(&plain);
        if (!again)
            reload(k);
    }
    struct buf none = {0};
    struct job *j = job_find(&k->jobs, &(struct hash){{3}});
    j->salts.answer_salt = world_root(9); /* of an answer that went on at another provider */
    assert_int_equal(jobs_show(&k->jobs, &s, 2, &none), ERR_NOT_FOUND);
    s.channel = world_root(1);
    assert_int_equal(jobs_show(&k->jobs, &s, 1, &none), ERR_NOT_FOUND);
    assert_int_equal(none.n, 0);
    assert_int_equal(world_settled(w, &s.id), SETTLEMENT_PAID);
    drop(k, 1, SIZE_MAX, 0);
    expect(k, 1);
    assert_int_equal(kv_scan(k->jobs.s.kv, bytes_of("s", 1), count, &salts, NULL), ERR_OK);
    assert_int_equal(salts, 1);
    channel_list_clear(&k->jobs.channels);
    world_free(w);
}

/* Channels that came to their end, with nothing left of them but what was. */
static void old_channels_go(void **state)
{
    struct kept *k = *state;
    struct world *w = world_new(NULL);
    struct world_channel c;
    struct channel *used = paid_over(k, w, &c, 1);
    const uint32_t most = CHANNELS_OVER_KEPT;
    for (uint32_t i = 0; i < most + 3; i++) {
        struct channel_head head = {.id = hash_once(HASH_FILE, &i, sizeof i), .closed = true};
        struct kv_batch batch = {0};
        struct channel *over = mem_new(sizeof *over);
        channel_init(over, &head);
        channel_store(over, MARKET_SIDE_REQUESTER, CHANNEL_NO_JOB, &batch);
        assert_int_equal(kv_write(k->jobs.s.kv, &batch, true, NULL), ERR_OK);
        kv_batch_clear(&batch);
        channel_list_add(&k->jobs.channels, over);
    }
    k->jobs.most = (struct job_limits){SOME, SIZE_MAX, 0};
    for (unsigned i = 0; i < 9; i++)
        job_keep_step(&k->jobs);
    assert_int_equal(k->jobs.channels.n, most + 1);
    assert_ptr_equal(channel_list_find(&k->jobs.channels, &c.id), used);
    unsigned stored = 0;
    assert_int_equal(kv_scan(k->jobs.s.kv, bytes_of("hR", 2), count, &stored, NULL), ERR_OK);
    assert_int_equal(stored, most);
    channel_list_clear(&k->jobs.channels);
    world_free(w);
}

static void a_start_has_them_by_age(void **state)
{
    struct kept *k = *state;
    struct note note;
    static const uint8_t ages[] = {3, 1, 4, 2};
    for (size_t i = 0; i < sizeof ages; i++)
        make(k, ages[i], JOB_DONE, 10);
    while (k->jobs.first)
        job_free(k->jobs.first);
    assert_int_equal(job_load_all(&k->jobs, &note), ERR_OK);
    expect(k, 4);
    uint8_t age = 4;
    for (struct job *j = k->jobs.first; j; j = j->next)
        assert_int_equal(j->r.id.b[0], age--);
}

/* Of the owner and of nobody else, unless one of them is in use; from the disk, too. */
static void a_talk_is_forgotten(void **state)
{
    struct kept *k = *state;
    struct note note = {{0}};
    const struct hash talk = {{7}}, other = {{8}}, anna = {{1}}, ben = {{2}};
    for (uint8_t i = 1; i <= 6; i++) {
        struct job *j = make(k, i, JOB_DONE, 10);
        j->r.owner = i == 5 ? ben : anna;
        j->talk = i == 6 ? other : talk;
        j->text_ask = i == 4;
    }
    assert_int_equal(jobs_forget_talk(&k->jobs, &anna, &talk, &note), ERR_STATE);
    expect(k, 6);
    job_find(&k->jobs, &(struct hash){{4}})->text_ask = 0;
    assert_int_equal(jobs_forget_talk(&k->jobs, &anna, &talk, &note), ERR_OK);
    expect(k, 2);
    assert_true(is_there(k, 5) && is_there(k, 6));
    assert_int_equal(jobs_forget_talk(&k->jobs, &anna, &talk, &note), ERR_NOT_FOUND);
    assert_int_equal(jobs_forget_talk(&k->jobs, NULL, &talk, &note), ERR_OK);
    expect(k, 1);
}

/* What lies beside the jobs comes back with them, and goes with them. */
static void a_start_has_talks(void **state)
{
    struct kept *k = *state;
    struct note note;
    unsigned talks = 0;
    make(k, 1, JOB_DONE, 10);
    struct job *j = make(k, 2, JOB_DONE, 10);
    j->talk = (struct hash){{7}};
    assert_true(text255_set(&j->title, "What?"));
    assert_int_equal(job_save(j), ERR_OK);
    while (k->jobs.first)
        job_free(k->jobs.first);
    assert_int_equal(job_load_all(&k->jobs, &note), ERR_OK);
    j = job_find(&k->jobs, &(struct hash){{2}});
    assert_true(hash_equal(&j->talk, &(struct hash){{7}}));
    assert_string_equal(j->title.s, "What?");
    assert_true(hash_is_zero(&job_find(&k->jobs, &(struct hash){{1}})->talk));
    job_drop_old(&k->jobs, &(struct job_limits){.jobs = 0, .bytes = 0});
    expect(k, 0);
    assert_int_equal(kv_scan(k->jobs.s.kv, bytes_of("c", 1), count, &talks, NULL), ERR_OK);
    assert_int_equal(talks, 0);
}

/* No conversation is what jobs outside of them are in. */
static void no_talk_is_not_forgotten(void **state)
{
    struct kept *k = *state;
    struct note note = {{0}};
    make(k, 1, JOB_DONE, 10);
    assert_int_equal(jobs_forget_talk(&k->jobs, NULL, &(struct hash){{0}}, &note), ERR_NOT_FOUND);
    expect(k, 1);
}

/* It says which, where, what that costs and what helps. */
static void what_does_not_decode_is_named(void **state)
{
    struct kept *k = *state;
    struct kv_batch batch = {0};
    struct note note = {{0}};
    const uint8_t key[33] = {'j', 0xab, 0xcd};
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of("?", 1));
    assert_int_equal(kv_write(k->jobs.s.kv, &batch, true, NULL), ERR_OK);
    assert_int_equal(job_load_all(&k->jobs, &note), ERR_CORRUPT);
    static const char *const says[] = {"the job abcd00", "folder market", "from a copy", "kith settle",
                                       "on the ledger"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        assert_non_null(strstr(note.text, says[i]));
    kv_batch_clear(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_does_not_decode_is_named, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(the_oldest_go, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(those_in_use_stay, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(long_ones_are_fewer, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(and_so_do_old_ones, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(what_may_be_challenged_stays, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(what_was_paid_can_be_shown, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(old_channels_go, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(a_start_has_them_by_age, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(a_start_has_talks, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(a_talk_is_forgotten, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(no_talk_is_not_forgotten, kept_begin, kept_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
