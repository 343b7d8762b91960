/* Access to data: the exchange is fair whoever cheats. */
#include "base/seal.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define KITH  MOTE_PER_KITH
#define PRICE (3 * KITH)

/* Keys: 1 sells, 2 buys; the grant's own key is 14. */
struct sale {
    struct world *w;
    struct world_data data;
    struct hash root, grant;
    uint64_t seller, buyer; /* balances before the grant, without what it costs in fees */
};

static struct sale *sale_new(void)
{
    struct sale *s = calloc(1, sizeof *s);
    s->w = world_new(NULL);
    world_data_new(&s->data, 5);
    struct tx_data_contribute body = world_data_body(&s->data, PRICE);
    s->root = body.plain_root;
    tx_data_contribute_put(world_body(s->w), &body);
    assert_int_equal(world_do(s->w, 1, TX_DATA_CONTRIBUTE, bytes_of_buf(&s->w->body)), ERR_OK);
    return s;
}

static void sale_free(struct sale *s)
{
    world_data_clear(&s->data);
    world_free(s->w);
    free(s);
}

static void grant(struct sale *s)
{
    assert_int_equal(WORLD_DO(s->w, 2, TX_DATA_GRANT, tx_data_grant, s->root, s->w->key[14]), ERR_OK);
    s->grant = s->w->last_id;
}

static void seal(const struct sale *s, const uint8_t key[32], struct buf *out)
{
    struct seckey once;
    memset(once.b, 0x77, sizeof once.b);
    buf_reset(out);
    assert_true(seal_to_key(out, &s->w->key[14], &once, key, 32));
}

static enum err release(struct sale *s, unsigned who, struct bytes sealed)
{
    return WORLD_DO(s->w, who, TX_KEY_RELEASE, tx_key_release, s->grant, sealed);
}

static void release_key(struct sale *s, const uint8_t key[32])
{
    struct buf sealed = {0};
    seal(s, key, &sealed);
    assert_int_equal(release(s, 1, bytes_of_buf(&sealed)), ERR_OK);
    buf_clear(&sealed);
}

static enum err dispute(struct sale *s, unsigned who, struct tx_data_dispute body)
{
    body.grant = s->grant;
    if (hash_is_zero(&body.secret))
        memcpy(body.secret.b, s->w->secret[14].b, sizeof body.secret.b);
    tx_data_dispute_put(world_body(s->w), &body);
    return world_do(s->w, who, TX_DATA_DISPUTE, bytes_of_buf(&s->w->body));
}

static void refused_grants(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct world *w = s->w;
    struct pubkey off = {{0}};
    memset(off.b, 0xff, sizeof off.b);
    assert_int_equal(WORLD_DO(w, 2, TX_DATA_GRANT, tx_data_grant, world_root(9), w->key[14]), ERR_NOT_FOUND);
    assert_int_equal(WORLD_DO(w, 1, TX_DATA_GRANT, tx_data_grant, s->root, w->key[14]), ERR_STATE);
    assert_int_equal(WORLD_DO(w, 2, TX_DATA_GRANT, tx_data_grant, s->root, off), ERR_FORMAT);
    assert_int_equal(WORLD_DO(w, 2, TX_DATA_GRANT, tx_data_grant, s->root, w->key[2]), ERR_FORMAT);
    struct tx_data_contribute dear = {.cipher_root = world_root(1), .plain_root = world_root(2), .size = 1};
    dear.price = amount_of(2 * WORLD_FUND);
    assert_true(text64_set(&dear.name, "dear"));
    tx_data_contribute_put(world_body(w), &dear);
    assert_int_equal(world_do(w, 1, TX_DATA_CONTRIBUTE, bytes_of_buf(&w->body)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_DATA_GRANT, tx_data_grant, world_root(2), w->key[14]), ERR_FUNDS);
    sale_free(s);
}

static void an_honest_sale_is_paid(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct world *w = s->w;
    struct params p = ledger_params(w->ledger);
    struct rec_grant g;
    struct buf sealed = {0};
    grant(s);
    const struct ledger_event *e = world_event(w, LEDGER_GRANT_OPENED, 0);
    assert_true(e && hash_equal(&e->id, &s->grant) && e->amount.mote == PRICE && pubkey_equal(&e->b, &w->key[1]));
    seal(s, s->data.key, &sealed);
    assert_int_equal(release(s, 2, bytes_of_buf(&sealed)), ERR_AUTH);
    assert_int_equal(release(s, 1, bytes_of(sealed.p, sealed.n - 1)), ERR_FORMAT);
    uint64_t seller = world_balance(w, 1);
    assert_int_equal(release(s, 1, bytes_of_buf(&sealed)), ERR_OK);
    assert_true(world_balance(w, 1) < seller - p.grant_bond.mote);
    assert_int_equal(release(s, 1, bytes_of_buf(&sealed)), ERR_STATE);
    /* The buyer opens it and finds what was promised. */
    assert_true(ledger_grant(w->ledger, &s->grant, &g) && g.state == GRANT_RELEASED);
    struct seckey secret = w->secret[14];
    struct pubkey own;
    key_derive(&secret, &own);
    struct buf key = {0};
    assert_true(seal_open(&key, &secret, g.sealed.p, g.sealed.n));
    assert_memory_equal(key.p, s->data.key, 32);
    /* No leaf disputes it, with either of the two secrets that the one-time key has. */
    struct hash room[2][LEAF_PROOF_MAX];
    for (uint64_t i = 0; i < WORLD_DATA_LEAVES; i++)
        assert_int_equal(dispute(s, 2, world_dispute(&s->data, i, room)), ERR_REFUSED);
    seller = world_balance(w, 1);
    w->step_ms = p.grant_dispute_ms;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == seller + PRICE + p.grant_bond.mote);
    assert_true(ledger_grant(w->ledger, &s->grant, &g) && g.state == GRANT_PAID && g.sealed.n == 0);
    assert_int_equal(dispute(s, 2, world_dispute(&s->data, 0, room)), ERR_STATE);
    buf_clear(&sealed);
    buf_clear(&key);
    sale_free(s);
}

/* n - secret has the same x coordinate: with it, a key that was sealed well must open too. */
static void the_other_secret_is_no_dispute(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct seckey even = s->w->secret[14];
    struct pubkey own;
    struct tx_data_dispute body = {0};
    key_derive(&even, &own);
    static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                      0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
    int borrow = 0;
    for (int i = 31; i >= 0; i--) {
        int v = order[i] - even.b[i] - borrow;
        borrow = v < 0;
        body.secret.b[i] = (uint8_t)(v + (borrow ? 256 : 0));
    }
    struct seckey odd;
    memcpy(odd.b, body.secret.b, sizeof odd.b);
    struct pubkey same = key_public(&odd);
    assert_true(pubkey_equal(&same, &own));
    grant(s);
    release_key(s, s->data.key);
    assert_int_equal(dispute(s, 2, body), ERR_RANGE); /* it opens, and no leaf is shown */
    struct hash room[2][LEAF_PROOF_MAX], secret = body.secret;
    body = world_dispute(&s->data, 1, room);
    body.secret = secret;
    assert_int_equal(dispute(s, 2, body), ERR_REFUSED);
    sale_free(s);
}

static void no_key_no_money(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct world *w = s->w;
    struct rec_grant g;
    struct buf sealed = {0};
    grant(s);
    uint64_t buyer = world_balance(w, 2);
    w->step_ms = ledger_params(w->ledger).grant_release_ms;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 2) == buyer + PRICE);
    assert_non_null(world_event(w, LEDGER_GRANT_REFUNDED, 0));
    assert_false(ledger_grant(w->ledger, &s->grant, &g));
    seal(s, s->data.key, &sealed);
    assert_int_equal(release(s, 1, bytes_of_buf(&sealed)), ERR_NOT_FOUND);
    buf_clear(&sealed);
    sale_free(s);
}

static void a_wrong_key_costs_the_bond(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct world *w = s->w;
    struct params p = ledger_params(w->ledger);
    struct hash room[2][LEAF_PROOF_MAX];
    struct rec_data data;
    struct rec_grant g;
    uint8_t wrong[32] = {1};
    grant(s);
    release_key(s, wrong);
    struct tx_data_dispute good = world_dispute(&s->data, 2, room), bad = good;
    assert_int_equal(dispute(s, 3, good), ERR_AUTH);
    bad.secret = world_root(3);
    assert_int_equal(dispute(s, 2, bad), ERR_AUTH);
    memset(bad.secret.b, 0xff, sizeof bad.secret.b);
    assert_int_equal(dispute(s, 2, bad), ERR_AUTH);
    bad = good;
    bad.index = 1;
    assert_int_equal(dispute(s, 2, bad), ERR_RANGE); /* that one is longer */
    bad.index = UINT64_MAX;
    assert_int_equal(dispute(s, 2, bad), ERR_RANGE);
    bad = good;
    bad.plain_leaf = world_root(4);
    assert_int_equal(dispute(s, 2, bad), ERR_MISMATCH);
    bad = good;
    bad.plain_proof.n = 0;
    assert_int_equal(dispute(s, 2, bad), ERR_MISMATCH);
    bad = good;
    bad.leaf_proof = bad.plain_proof;
    assert_int_equal(dispute(s, 2, bad), ERR_MISMATCH);
    s->data.cipher[2 * LEAF_SIZE] ^= 1;
    assert_int_equal(dispute(s, 2, good), ERR_MISMATCH);
    s->data.cipher[2 * LEAF_SIZE] ^= 1;
    uint64_t buyer = world_balance(w, 2), burned = ledger_totals(w->ledger).burned.mote;
    uint64_t part = p.grant_bond.mote * p.slash_auditor_bps / BPS_ALL;
    assert_int_equal(dispute(s, 2, good), ERR_OK);
    const struct ledger_event *e = world_event(w, LEDGER_GRANT_DISPUTED, 0);
    assert_true(e && e->amount.mote == PRICE + part);
    assert_true(world_balance(w, 2) > buyer + PRICE && world_balance(w, 2) < buyer + PRICE + part);
    assert_true(ledger_totals(w->ledger).burned.mote >= burned + p.grant_bond.mote - part);
    assert_true(ledger_data(w->ledger, &s->root, &data) && data.disputes == 1);
    assert_false(ledger_grant(w->ledger, &s->grant, &g));
    assert_int_equal(dispute(s, 2, good), ERR_NOT_FOUND);
    w->step_ms = 2 * p.grant_dispute_ms; /* nothing is left to happen */
    uint64_t seller = world_balance(w, 1);
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == seller);
    sale_free(s);
}

/* The right key, but one leaf was encrypted to something else than its hash promises. */
static void one_bad_leaf_is_enough(void **state)
{
    (void)state;
    struct sale *s = calloc(1, sizeof *s);
    struct hash room[2][LEAF_PROOF_MAX];
    s->w = world_new(NULL);
    world_data_new(&s->data, 6);
    s->data.cipher[LEAF_SIZE + 5] ^= 0x40;
    merkle_tree_free(s->data.cipher_tree);
    s->data.cipher_tree = merkle_tree_of(s->data.cipher, sizeof s->data.cipher);
    struct tx_data_contribute body = world_data_body(&s->data, 0); /* for nothing: the bond still answers */
    s->root = body.plain_root;
    tx_data_contribute_put(world_body(s->w), &body);
    assert_int_equal(world_do(s->w, 1, TX_DATA_CONTRIBUTE, bytes_of_buf(&s->w->body)), ERR_OK);
    grant(s);
    release_key(s, s->data.key);
    assert_int_equal(dispute(s, 2, world_dispute(&s->data, 0, room)), ERR_REFUSED);
    assert_int_equal(dispute(s, 2, world_dispute(&s->data, 2, room)), ERR_REFUSED);
    assert_int_equal(dispute(s, 2, world_dispute(&s->data, 1, room)), ERR_OK);
    sale_free(s);
}

static void what_does_not_open_at_all(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct hash room[2][LEAF_PROOF_MAX];
    uint8_t junk[KEY_SEALED_SIZE] = {2, 1};
    grant(s);
    assert_int_equal(release(s, 1, bytes_of(junk, sizeof junk)), ERR_OK);
    assert_int_equal(dispute(s, 2, world_dispute(&s->data, 0, room)), ERR_FORMAT); /* nothing to show: show nothing */
    assert_int_equal(dispute(s, 2, (struct tx_data_dispute){.index = 1}), ERR_FORMAT);
    assert_int_equal(dispute(s, 2, (struct tx_data_dispute){0}), ERR_OK);
    sale_free(s);
}

static void a_late_dispute(void **state)
{
    (void)state;
    struct sale *s = sale_new();
    struct world *w = s->w;
    struct hash room[2][LEAF_PROOF_MAX];
    uint8_t wrong[32] = {1};
    grant(s);
    release_key(s, wrong);
    w->step_ms = ledger_params(w->ledger).grant_dispute_ms + 1;
    assert_int_equal(dispute(s, 2, world_dispute(&s->data, 0, room)), ERR_STATE); /* paid at the start of this block */
    sale_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_grants),
        cmocka_unit_test(an_honest_sale_is_paid),
        cmocka_unit_test(the_other_secret_is_no_dispute),
        cmocka_unit_test(no_key_no_money),
        cmocka_unit_test(a_wrong_key_costs_the_bond),
        cmocka_unit_test(one_bad_leaf_is_enough),
        cmocka_unit_test(what_does_not_open_at_all),
        cmocka_unit_test(a_late_dispute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
