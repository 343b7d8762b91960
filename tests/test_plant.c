/* Planted jobs on a node: the file, what follows from it, and the payer that shows them when the auditors have spoken,
 * whether it was there to hear them or not. */
#include "node/market/plant.h"
#include "base/file.h"
#include "tests/asker.h"

#include <stdlib.h>
#include <string.h>

#define KEY_HEX   "aa000000000000000000000000000000000000000000000000000000000000bb"
#define PAYER_HEX "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define OTHER_HEX "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
#define STEP      8u

enum { AUDITOR = 9 };

static enum err read_text(const char *text, struct planting *out, struct note *note)
{
    char *dir = test_dir_new();
    char path[4200];
    snprintf(path, sizeof path, "%s/plant", dir);
    assert_int_equal(file_write(path, 0600, bytes_of_text(text), note), ERR_OK);
    enum err e = planting_read(path, out, note);
    test_dir_remove(dir);
    return e;
}

static void reads_the_file(void **state)
{
    (void)state;
    struct planting p;
    struct note note = {{0}};
    struct pubkey other;
    assert_int_equal(read_text("# of both\n\n  key " KEY_HEX " \r\npayer\t" PAYER_HEX "\npayer " OTHER_HEX, &p, &note),
                     ERR_OK);
    assert_true(p.key[0] == 0xaa && p.key[31] == 0xbb && p.payers == 2);
    assert_true(planting_for(&p, &p.payer[0]) && planting_for(&p, &p.payer[1]));
    assert_true(hex_get(KEY_HEX, other.b, sizeof other.b));
    assert_false(planting_for(&p, &other) || planting_for(NULL, &p.payer[0]));
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"payer " PAYER_HEX, "no line"},
        {"key " KEY_HEX "\nkey " KEY_HEX, "\"key\""},
        {"key 12", "\"key\""},
        {"key " KEY_HEX "00", "\"key\""},
        {"key", "\"key\""},
        {"key " KEY_HEX "\npayer ", "\"payer\""},
        {"key " KEY_HEX "\npayer 0000000000000000000000000000000000000000000000000000000000000000", "\"payer\""},
        {"key " KEY_HEX "\nseed 1", "\"seed\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_text(bad[i].text, &p, &note), ERR_FORMAT);
        assert_non_null(strstr(note.text, bad[i].says));
    }
    assert_int_not_equal(planting_read("/nowhere/plant", &p, &note), ERR_OK);
}

static void what_is_planted_follows_from_key_and_job(void **state)
{
    (void)state;
    struct planting p = {.key = {1}}, q = {.key = {2}};
    struct receipt r = {.job = world_root(3)};
    struct hash secret = planting_secret(&p, &r.job), salt = planting_salt(&p, &r.job), digest = plant_digest(&secret);
    assert_false(hash_equal(&secret, &salt) || planting_made(&p, &r));
    r.digest_commit = receipt_commit(salt.b, bytes_of(digest.b, sizeof digest.b));
    assert_true(planting_made(&p, &r));
    assert_false(planting_made(&q, &r));
    r.job = world_root(4);
    assert_false(planting_made(&p, &r));
}

/* -- the payer -- */

static const struct planting ours = {.key = {7}};

/* A job that its provider settles, and one auditor; when he was drawn. */
static struct hash settled(struct asker *s, struct job **j)
{
    const struct channel *c;
    assert_int_equal(WORLD_DO(s->w, AUDITOR, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(10 * MOTE_PER_KITH)), ERR_OK);
    assert_int_equal(world_provide(s->w, AUDITOR, AUDITOR, MODEL, true), ERR_OK);
    *j = asker_ask(s, STEP);
    if ((*j)->r.state == JOB_FUNDING) {
        asker_wait_sent(s, 1);
        asker_block(s);
    }
    asker_pay(s, *j, STEP, REQUEST_LENGTH);
    asker_wait_over(s, *j);
    c = channel_list_find(&s->jobs->channels, &(*j)->r.channel);
    struct tx_channel_settle t = {
        .voucher = c->head.voucher, .payer_sig = c->head.payer_sig, .sum_top = channel_top(c)};
    tx_channel_settle_put(world_body(s->w), &t);
    world_add(s->w, KEY(CHEAP), TX_CHANNEL_SETTLE, bytes_of_buf(&s->w->body));
    struct hash id = s->w->last_id;
    asker_block(s);
    for (unsigned i = 0; i < AUDIT_DRAW_BLOCKS; i++)
        asker_block(s);
    return id;
}

/* His commitment, in a block; the reveal is left in the next one. */
static void audit(struct asker *s, const struct hash *id, const struct job *j, enum audit_verdict verdict)
{
    const struct channel *c = channel_list_find(&s->jobs->channels, &j->r.channel);
    struct buf receipt = {0}, proof = {0};
    signed_receipt_put(&receipt, &c->receipts[0]);
    assert_int_equal(channel_prove(c, 0, &proof), ERR_OK);
    struct tx_audit_reveal r = {.settlement = *id, .verdict = (uint8_t)verdict, .witness = world_root(1)};
    r.receipt = bytes_of_buf(&receipt);
    r.proof = bytes_of_buf(&proof);
    struct hash commit = tx_audit_commitment(&r, &s->w->key[AUDITOR]);
    WORLD_ADD(s->w, AUDITOR, TX_AUDIT_COMMIT, tx_audit_commit, *id, 0, commit);
    asker_block(s);
    tx_audit_reveal_put(world_body(s->w), &r);
    world_add(s->w, AUDITOR, TX_AUDIT_REVEAL, bytes_of_buf(&s->w->body));
    buf_clear(&receipt);
    buf_clear(&proof);
}

static void plant(struct asker *s, const struct planting *payers, const struct planting *providers)
{
    s->sown = providers;
    s->s.planting = payers;
    asker_stop(s);
    asker_start(s);
    net_wait(&s->net, 10);
}

static void look_for(struct asker *s, unsigned planted, unsigned slashed)
{
    assert_int_equal(!!world_event(s->w, LEDGER_PLANTED, 0), planted);
    assert_int_equal(!!world_event(s->w, LEDGER_SLASHED, 0), slashed);
}

static void shows_who_did_not_look(void **state)
{
    struct asker *s = *state;
    struct job *j;
    plant(s, &ours, &ours);
    struct hash id = settled(s, &j);
    audit(s, &id, j, AUDIT_MATCH);
    asker_block(s);
    asker_wait_sent(s, 1);
    asker_block(s);
    look_for(s, 1, 1);
    net_wait(&s->net, 10);
    assert_int_equal(s->w->n, 0); /* once */
    assert_true(ledger_bond(s->w->ledger, BOND_AUDITOR, &s->w->key[AUDITOR]).mote == 9 * MOTE_PER_KITH);
}

static void calls_off_where_somebody_looked(void **state)
{
    struct asker *s = *state;
    struct job *j;
    plant(s, &ours, &ours);
    struct hash id = settled(s, &j);
    audit(s, &id, j, AUDIT_MISMATCH);
    asker_block(s);
    asker_wait_sent(s, 1);
    asker_block(s);
    look_for(s, 1, 0);
    assert_non_null(world_event(s->w, LEDGER_FORFEITED, 0));
}

/* It was away as the auditors spoke. */
static void shows_after_a_restart(void **state)
{
    struct asker *s = *state;
    struct job *j;
    plant(s, &ours, &ours);
    struct hash id = settled(s, &j);
    audit(s, &id, j, AUDIT_MATCH);
    asker_block_alone(s);
    plant(s, &ours, &ours);
    asker_wait_sent(s, 1);
    asker_block(s);
    look_for(s, 1, 1);
}

/* Another's plants, or none. */
static void shows_nothing_else(void **state)
{
    struct asker *s = *state;
    struct job *j;
    static const struct planting others = {.key = {8}};
    plant(s, &ours, &others);
    struct hash id = settled(s, &j);
    audit(s, &id, j, AUDIT_MATCH);
    asker_block(s);
    plant(s, &ours, NULL);
    assert_int_equal(s->w->n, 0);
    plant(s, NULL, NULL);
    assert_int_equal(s->w->n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_file),
        cmocka_unit_test(what_is_planted_follows_from_key_and_job),
        cmocka_unit_test_setup_teardown(shows_who_did_not_look, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(calls_off_where_somebody_looked, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(shows_after_a_restart, asker_begin, asker_end),
        cmocka_unit_test_setup_teardown(shows_nothing_else, asker_begin, asker_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
