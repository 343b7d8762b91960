/* Claims: who publishes shows one of his own that is old enough, so nobody publishes what he saw in a pool. */
#include "tests/support.h"
#include "tests/world.h"

#include <stdio.h>
#include <string.h>

enum { MAKER = 1, COPYCAT = 2 };
static const struct text64 the_name = {5, "whale"};

static uint64_t age_asked(const struct world *w)
{
    return ledger_params(w->ledger).claim_blocks;
}

/* Model b, with that one's root as its only tensor. */
static void put_model(struct world *w, uint8_t b, uint8_t tensor, struct text64 name, uint8_t salt)
{
    struct hash t = world_root(tensor);
    struct tx_model_publish m = {
        .root = world_root(b), .size = 9, .name = name, .royalty_bps = 100, .tensors = {t.b, 1}};
    m.tensors_root = tx_tensors_root(&m.tensors);
    m.salt = world_root(salt);
    tx_model_publish_put(world_body(w), &m);
}

static void put_data(struct world *w, uint8_t cipher, uint8_t plain, uint8_t salt)
{
    struct tx_data_contribute d = {.cipher_root = world_root(cipher), .plain_root = world_root(plain), .size = 9};
    d.name = (struct text64){4, "data"};
    d.salt = world_root(salt);
    tx_data_contribute_put(world_body(w), &d);
}

static struct hash commitment(const struct world *w, unsigned who, enum tx_kind kind)
{
    return tx_claim_commitment(&w->chain, &w->key[who], (uint8_t)kind, bytes_of_buf(&w->body));
}

/* Of what stands in the body, in a block of its own. */
static enum err claim(struct world *w, unsigned who, enum tx_kind kind)
{
    struct tx_claim c = {commitment(w, who, kind)};
    struct buf b = {0};
    tx_claim_put(&b, &c);
    world_add(w, who, TX_CLAIM, bytes_of_buf(&b));
    buf_clear(&b);
    return world_block(w);
}

/* What stands in the body, in the next block, claimed or not. */
static enum err publish(struct world *w, unsigned who, enum tx_kind kind)
{
    world_add(w, who, kind, bytes_of_buf(&w->body));
    return world_block(w);
}

/* So, too young for its claim: nobody votes for a block with it. What does it in one? */
static enum err publish_early(struct world *w, unsigned who, enum tx_kind kind)
{
    world_add(w, who, kind, bytes_of_buf(&w->body));
    struct bytes tx = bytes_of_buf(&w->txs[0]);
    assert_int_equal(ledger_process(w->ledger, &tx, 1, NULL), ERR_STATE);
    w->unjudged = true;
    enum err e = world_block(w);
    w->unjudged = false;
    return e;
}

static void blocks(struct world *w, uint64_t n)
{
    for (; n > 0; n--)
        assert_int_equal(world_block(w), ERR_OK);
}

static void a_publication_waits_for_its_claim(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct rec_claim rec;
    struct rec_model m;
    const uint64_t n = age_asked(w);
    struct hash root = world_root(7);
    put_model(w, 7, 7, the_name, 1);
    struct hash commit = commitment(w, MAKER, TX_MODEL_PUBLISH);
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_NOT_FOUND);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    assert_true(ledger_claim(w->ledger, &w->key[MAKER], &commit, &rec));
    assert_true(rec.height == ledger_info(w->ledger).height &&
                rec.until_ms == w->time_ms + ledger_params(w->ledger).claim_ms);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_DUPLICATE);
    for (uint64_t age = 2; age < n; age++) {
        assert_int_equal(publish_early(w, MAKER, TX_MODEL_PUBLISH), ERR_STATE);
        char from[32];
        snprintf(from, sizeof from, "from block %u on", (unsigned)(rec.height + n));
        assert_non_null(strstr(w->result->notes[0].text, from));
    }
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    assert_true(ledger_model(w->ledger, &root, &m) && m.height == rec.height + n);
    assert_false(ledger_claim(w->ledger, &w->key[MAKER], &commit, &rec)); /* used */
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_NOT_FOUND);

    put_data(w, 20, 21, 1);
    assert_int_equal(publish(w, MAKER, TX_DATA_CONTRIBUTE), ERR_NOT_FOUND);
    assert_int_equal(claim(w, MAKER, TX_DATA_CONTRIBUTE), ERR_OK);
    blocks(w, n - 2);
    assert_int_equal(publish_early(w, MAKER, TX_DATA_CONTRIBUTE), ERR_STATE);
    assert_int_equal(publish(w, MAKER, TX_DATA_CONTRIBUTE), ERR_OK);
    world_free(w);
}

static void a_claim_is_for_one_publication_of_its_signer(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct hash other_chain = world_root(3);
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    /* The copycat copies the commitment itself, and claims for another chain. */
    struct tx_claim copied = {commitment(w, MAKER, TX_MODEL_PUBLISH)};
    assert_int_equal(WORLD_DO(w, COPYCAT, TX_CLAIM, tx_claim, copied.commit), ERR_OK);
    put_model(w, 7, 7, the_name, 1);
    struct hash elsewhere =
        tx_claim_commitment(&other_chain, &w->key[COPYCAT], TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    assert_int_equal(WORLD_DO(w, COPYCAT, TX_CLAIM, tx_claim, elsewhere), ERR_OK);
    blocks(w, age_asked(w));
    const struct {
        uint8_t root, tensor;
        const char *name;
        uint8_t salt;
        unsigned who;
    } cases[] = {{7, 7, "whale", 1, COPYCAT},
                 {8, 7, "whale", 1, MAKER},
                 {7, 8, "whale", 1, MAKER},
                 {7, 7, "shark", 1, MAKER},
                 {7, 7, "whale", 2, MAKER}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text64 name;
        assert_true(text64_set(&name, cases[i].name));
        put_model(w, cases[i].root, cases[i].tensor, name, cases[i].salt);
        assert_int_equal(publish(w, cases[i].who, TX_MODEL_PUBLISH), ERR_NOT_FOUND);
    }
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    world_free(w);
}

static void an_old_claim_is_forgotten(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct rec_claim rec;
    put_data(w, 20, 21, 1);
    struct hash commit = commitment(w, MAKER, TX_DATA_CONTRIBUTE);
    assert_int_equal(claim(w, MAKER, TX_DATA_CONTRIBUTE), ERR_OK);
    uint64_t due = ledger_info(w->ledger).next_due_ms;
    assert_true(due == w->time_ms + ledger_params(w->ledger).claim_ms);
    blocks(w, age_asked(w));
    w->step_ms = due - w->time_ms - 1;
    blocks(w, 1);
    assert_true(ledger_claim(w->ledger, &w->key[MAKER], &commit, &rec));
    w->step_ms = 1;
    blocks(w, 1 + CLAIM_LAST_BLOCKS);
    assert_true(ledger_claim(w->ledger, &w->key[MAKER], &commit, &rec));
    assert_int_equal(publish(w, MAKER, TX_DATA_CONTRIBUTE), ERR_EXPIRED); /* its end waits for its turn */
    w->step_ms = 1000 * (2 + CLAIM_LAST_BLOCKS);
    assert_int_equal(publish(w, MAKER, TX_DATA_CONTRIBUTE), ERR_NOT_FOUND);
    assert_false(ledger_claim(w->ledger, &w->key[MAKER], &commit, &rec));
    assert_int_equal(ledger_info(w->ledger).next_due_ms, 0);
    put_data(w, 20, 21, 1);
    assert_int_equal(claim(w, MAKER, TX_DATA_CONTRIBUTE), ERR_OK); /* again, from the beginning */
    blocks(w, age_asked(w) - 1);
    assert_int_equal(publish(w, MAKER, TX_DATA_CONTRIBUTE), ERR_OK);
    world_free(w);
}

/* A chain stands still until the claims of what was to be in its next block are over by the clock. Then whoever copied
 * one has no older claim than its publisher. Of both kinds: one could have been in a block for long, one was too young.
 */
static void a_chain_that_stood_still_takes_what_was_seen(void **state)
{
    (void)state;
    for (unsigned is_young = 0; is_young < 2; is_young++) {
        struct world *w = world_new(NULL);
        put_model(w, 7, 7, the_name, 1);
        assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
        blocks(w, is_young ? 1 : 4 * age_asked(w));
        w->step_ms = 10 * ledger_params(w->ledger).claim_ms;
        if (is_young)
            blocks(w, 1);
        else
            assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
        w->step_ms = 1000;
        if (is_young) {
            blocks(w, age_asked(w) + CLAIM_LAST_BLOCKS - 3);
            assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
        }
        world_free(w);
    }
}

/* The maker's publication waits in the pool. The copycat, who pays more, makes the same one his own, and has it before
 * the maker's in the same block. Whose is the model then? */
static unsigned publisher_of_copied(struct world *w)
{
    struct hash root = world_root(7);
    struct rec_model m;
    put_model(w, 7, 7, the_name, 1);
    if (age_asked(w)) {
        assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
        blocks(w, age_asked(w) - 1);
        assert_int_equal(claim(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK); /* as soon as he sees it */
    }
    world_add(w, COPYCAT, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    world_add(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    w->unjudged = true; /* the copy is too young to be voted for */
    (void)world_block(w);
    w->unjudged = false;
    assert_true(ledger_model(w->ledger, &root, &m));
    return pubkey_equal(&m.publisher, &w->key[MAKER]) ? MAKER : COPYCAT;
}

static void a_copy_that_pays_more_comes_too_late(void **state)
{
    (void)state;
    struct params without = params_private();
    without.claim_blocks = 0; /* as it was before there were claims */
    struct world *w = world_new(&without);
    assert_int_equal(publisher_of_copied(w), COPYCAT);
    assert_int_equal(WORLD_DO(w, MAKER, TX_CLAIM, tx_claim, world_root(1)), ERR_STATE);
    world_free(w);
    w = world_new(NULL);
    assert_int_equal(publisher_of_copied(w), MAKER);
    world_free(w);
}

/* Held back for so long as the copycat's claim is too young, the maker's must be in one of those blocks. */
static void a_copys_claim_is_too_young_for_as_long_as_is_asked(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    const uint64_t n = age_asked(w);
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    blocks(w, n - 1);
    assert_int_equal(claim(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK); /* in the first block that could have held it */
    for (uint64_t i = 1; i < n; i++)
        assert_int_equal(publish_early(w, COPYCAT, TX_MODEL_PUBLISH), ERR_STATE);
    world_add(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    world_add(w, COPYCAT, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    (void)world_block(w);
    assert_int_equal(w->result->codes[0], ERR_OK);
    assert_int_equal(w->result->codes[1], ERR_EXISTS);
    world_free(w);
}

/* Both knew the model before either published: the first in a block has it. */
static void of_two_old_claims_the_first_publication_wins(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    assert_int_equal(claim(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK);
    blocks(w, age_asked(w) - 2);
    world_add(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));   /* who does so at once is before */
    world_add(w, COPYCAT, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)); /* all who claimed later */
    w->unjudged = true;
    (void)world_block(w);
    w->unjudged = false;
    assert_true(w->result->codes[0] == ERR_OK && w->result->codes[1] == ERR_STATE);
    put_model(w, 8, 8, the_name, 2);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    assert_int_equal(claim(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK);
    blocks(w, age_asked(w)); /* he waits, and it is no longer his alone */
    assert_int_equal(publish(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK);
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_EXISTS);
    world_free(w);
}

/* A claim of something worthless, made in time, is of no use for what others' publications show. */
static void what_was_claimed_is_published_as_it_was(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct hash root = world_root(7), junk = world_root(66);
    struct rec_model m;
    put_model(w, 66, 66, (struct text64){4, "junk"}, 9);
    assert_int_equal(claim(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK);
    put_model(w, 67, 67, the_name, 9); /* that name the copycat had foreseen */
    assert_int_equal(claim(w, COPYCAT, TX_MODEL_PUBLISH), ERR_OK);
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    blocks(w, age_asked(w) - 1);
    put_model(w, 66, 7, (struct text64){4, "junk"}, 9); /* under his root, the tensors that he saw */
    assert_int_equal(publish(w, COPYCAT, TX_MODEL_PUBLISH), ERR_NOT_FOUND);
    assert_false(ledger_model(w->ledger, &junk, &m));
    put_model(w, 67, 67, the_name, 9);
    world_add(w, COPYCAT, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    put_model(w, 7, 7, the_name, 1);
    world_add(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    assert_int_equal(world_block(w), ERR_OK); /* the name is gone, and nothing else */
    assert_true(ledger_model(w->ledger, &root, &m) && pubkey_equal(&m.publisher, &w->key[MAKER]));
    assert_string_equal(m.name.s, "0707070707070707070707070707070707070707070707070707070707070707");
    assert_true(ledger_model_by_name(w->ledger, "whale", &m) && pubkey_equal(&m.publisher, &w->key[COPYCAT]));
    assert_true(
        ledger_model_by_name(w->ledger, "0707070707070707070707070707070707070707070707070707070707070707", &m));
    struct text64 digits;
    assert_true(text64_set(&digits, "09ab0707070707070707070707070707070707070707070707070707070707ff"));
    put_model(w, 9, 9, digits, 1);
    assert_int_equal(world_do(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)), ERR_FORMAT);
    world_free(w);
}

static void a_publication_that_fails_keeps_its_claim(void **state)
{
    (void)state;
    struct world *w = world_new_rich(NULL, MOTE_PER_KITH / 2); /* the bond is a whole one */
    struct rec_claim rec;
    put_model(w, 7, 7, the_name, 1);
    struct hash commit = commitment(w, MAKER, TX_MODEL_PUBLISH);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    uint64_t due = ledger_info(w->ledger).next_due_ms;
    blocks(w, age_asked(w));
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_FUNDS);
    assert_true(ledger_claim(w->ledger, &w->key[MAKER], &commit, &rec));
    assert_true(ledger_info(w->ledger).next_due_ms == due);
    for (unsigned i = 3; i < 6; i++)
        assert_int_equal(
            WORLD_DO(w, i, TX_TRANSFER, tx_transfer, .to = w->key[MAKER], .amount = amount_of(MOTE_PER_KITH / 4)),
            ERR_OK);
    world_reopen(w); /* and from the store */
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(publish(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    world_free(w);
}

/* A chain with nothing else to do brings the blocks that a claim waits for. */
static void a_claim_wants_its_blocks(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    put_model(w, 7, 7, the_name, 1);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    for (uint64_t i = 1; i < age_asked(w); i++) {
        assert_true(ledger_info(w->ledger).wants_block);
        blocks(w, 1);
    }
    assert_false(ledger_info(w->ledger).wants_block);
    world_reopen(w);
    assert_false(ledger_info(w->ledger).wants_block);
    world_free(w);
}

/* -- before blocks -- */

struct list {
    const struct world *w;
    uint32_t at, n;
};

static bool next_of(void *arg, struct bytes *tx)
{
    struct list *l = arg;
    if (l->at == l->n)
        return false;
    *tx = bytes_of_buf(&l->w->txs[l->at++]);
    return true;
}

/* How many of those added would be in the next block. */
static uint32_t prepared(const struct world *w)
{
    static struct bytes txs[BLOCK_TXS_MAX];
    struct list l = {w, 0, w->n};
    return ledger_prepare(w->ledger, next_of, &l, BLOCK_SIZE_MAX, txs);
}

/* For the pool, behind `pending` others; taken back. */
static enum err check(struct world *w, unsigned who, uint32_t pending, struct note *note)
{
    struct ledger_pending before = {pending, amount_of(0)};
    struct ledger_checked out;
    uint64_t nonce = w->nonce[who];
    w->nonce[who] += pending;
    world_add(w, who, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    enum err e = ledger_check(w->ledger, bytes_of_buf(&w->txs[--w->n]), &before, &out, note);
    w->nonce[who] = nonce;
    return e;
}

static void the_pool_takes_no_publication_that_would_fail(void **state)
{
    (void)state;
    struct params params = params_private();
    params.claim_blocks = 3 * CLAIM_POOL_BLOCKS;
    struct world *w = world_new(&params);
    struct note note = {{0}};
    put_model(w, 7, 7, the_name, 1);
    for (uint32_t pending = 0; pending < 2; pending++)
        assert_int_equal(check(w, MAKER, pending, &note), ERR_NOT_FOUND);
    assert_int_equal(claim(w, MAKER, TX_MODEL_PUBLISH), ERR_OK);
    uint64_t from = ledger_info(w->ledger).height + params.claim_blocks;
    for (;;) {
        uint64_t next = ledger_info(w->ledger).height + 1;
        bool is_near = next + CLAIM_POOL_BLOCKS >= from;
        for (uint32_t pending = 0; pending < 2; pending++)
            assert_int_equal(check(w, MAKER, pending, &note), is_near ? ERR_OK : ERR_STATE);
        world_add(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
        assert_int_equal(prepared(w), next >= from); /* there it waits for its block... */
        struct bytes early = bytes_of_buf(&w->txs[0]);
        if (next < from) /* ...and who proposes it before makes its signer pay for nothing */
            assert_int_equal(ledger_process(w->ledger, &early, 1, NULL), ERR_STATE);
        if (next >= from)
            break;
        w->n = 0;
        w->nonce[MAKER]--;
        blocks(w, 1);
    }
    assert_int_equal(world_block(w), ERR_OK);
    /* One whose claim is gone does not stay in the way of what its signer sends behind it. */
    put_model(w, 8, 8, the_name, 1);
    world_add(w, MAKER, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
    assert_int_equal(prepared(w), 1);
    world_free(w);
}

/* So many in one block as its work allows, and as many forgotten at one time. */
static void a_block_holds_so_many_claims(void **state)
{
    (void)state;
    const uint32_t most = BLOCK_WORK_MAX / 100;
    struct world *w = world_new(NULL);
    for (uint32_t i = 0; i <= most; i++) {
        struct tx_claim c = {world_root(1)};
        memcpy(c.commit.b, &i, sizeof i);
        tx_claim_put(world_body(w), &c);
        world_add(w, MAKER, TX_CLAIM, bytes_of_buf(&w->body));
    }
    assert_int_equal(prepared(w), most);
    w->n--;
    w->nonce[MAKER]--;
    assert_int_equal(world_block(w), ERR_OK);
    blocks(w, age_asked(w));
    w->step_ms = ledger_params(w->ledger).claim_ms;
    blocks(w, 1);
    w->step_ms = 1000;
    blocks(w, CLAIM_LAST_BLOCKS);
    assert_int_equal(ledger_info(w->ledger).next_due_ms, w->time_ms + 1000);
    blocks(w, 1);
    assert_int_equal(ledger_info(w->ledger).next_due_ms, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publication_waits_for_its_claim),
        cmocka_unit_test(a_claim_is_for_one_publication_of_its_signer),
        cmocka_unit_test(an_old_claim_is_forgotten),
        cmocka_unit_test(a_chain_that_stood_still_takes_what_was_seen),
        cmocka_unit_test(a_copy_that_pays_more_comes_too_late),
        cmocka_unit_test(a_copys_claim_is_too_young_for_as_long_as_is_asked),
        cmocka_unit_test(of_two_old_claims_the_first_publication_wins),
        cmocka_unit_test(what_was_claimed_is_published_as_it_was),
        cmocka_unit_test(a_publication_that_fails_keeps_its_claim),
        cmocka_unit_test(a_claim_wants_its_blocks),
        cmocka_unit_test(the_pool_takes_no_publication_that_would_fail),
        cmocka_unit_test(a_block_holds_so_many_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
