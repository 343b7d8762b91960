/* Models, data, providers: registration, terms of parents, flattening, overlap, royalties along the lineage. */
#include "tests/support.h"
#include "tests/world.h"

#include <stdio.h>
#include <string.h>

#define KITH MOTE_PER_KITH

static struct flat_entry flat(const struct rec_model *m, uint32_t i)
{
    struct flat_entry e;
    struct cursor c = cursor_of(bytes_of(m->lineage.p + (size_t)i * FLAT_ENTRY_SIZE, FLAT_ENTRY_SIZE));
    flat_entry_get(&c, &e);
    assert_true(cursor_ok(&c));
    return e;
}

static void publishes_once(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct rec_model m;
    uint64_t balance = world_balance(w, 1);
    assert_int_equal(world_publish(w, 1, 7, 1000, 100, NULL, 0), ERR_OK);
    assert_true(ledger_model_by_name(w->ledger, "model-7", &m));
    assert_true(m.royalty_bps == 1000 && m.tensors == 1 && m.bond.mote == KITH &&
                m.height == 1 + ledger_params(w->ledger).claim_blocks);
    assert_true(world_balance(w, 1) < balance - KITH);
    assert_int_equal(world_publish(w, 1, 7, 1000, 100, NULL, 0), ERR_EXISTS);
    assert_int_equal(world_publish(w, 2, 7, 1000, 100, NULL, 0), ERR_EXISTS);
    assert_int_equal(world_publish(w, 2, 0, 1000, 100, NULL, 0), ERR_RANGE); /* a root of zeros */
    assert_int_equal(world_publish(w, 2, 8, 5001, 100, NULL, 0), ERR_RANGE);
    assert_int_equal(world_publish(w, 2, 8, 5000, 10001, NULL, 0), ERR_RANGE);
    assert_int_equal(world_publish(w, 2, 8, 5000, 10000, NULL, 0), ERR_OK);
    assert_false(ledger_model_by_name(w->ledger, "model-9", &m));
    /* The bond comes back. */
    balance = world_balance(w, 1);
    w->step_ms = ledger_params(w->ledger).model_bond_ms;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 1) == balance + KITH);
    world_free(w);
}

static void a_name_belongs_to_its_publisher(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct hash tensor = world_root(1);
    struct tx_model_publish body = {.size = 1, .tensors = {tensor.b, 1}};
    struct rec_model m;
    assert_true(text64_set(&body.name, "alpha"));
    body.tensors_root = tx_tensors_root(&body.tensors);
    const struct {
        unsigned who;
        uint8_t root;
        enum err want;
    } cases[] = {{1, 1, ERR_OK}, {2, 2, ERR_OK}, {1, 3, ERR_REFUSED}};
    for (size_t i = 0; i < 3; i++) {
        body.root = world_root(cases[i].root);
        tensor = world_root((uint8_t)cases[i].who); /* the third's is the first one's */
        body.tensors_root = tx_tensors_root(&body.tensors);
        tx_model_publish_put(world_body(w), &body);
        assert_int_equal(world_do(w, cases[i].who, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)), cases[i].want);
    }
    struct hash second = world_root(2);
    assert_true(ledger_model_by_name(w->ledger, "alpha", &m) && pubkey_equal(&m.publisher, &w->key[1]));
    assert_true(ledger_model(w->ledger, &second, &m) && pubkey_equal(&m.publisher, &w->key[2]));
    assert_int_equal(m.name.n, 2 * HASH_SIZE); /* the digits of its root stand for the name that was taken */
    tensor = world_root(4);                    /* another tensor: no overlap any more */
    body.tensors_root = tx_tensors_root(&body.tensors);
    tx_model_publish_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)), ERR_OK);
    assert_true(ledger_model_by_name(w->ledger, "alpha", &m));
    assert_true(hash_equal(&m.root, &body.root));
    body.root = world_root(5);
    body.tensors_root.b[0] ^= 1;
    tx_model_publish_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)), ERR_FORMAT);
    body.name = (struct text64){0};
    tx_model_publish_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)), ERR_FORMAT);
    world_free(w);
}

static void parents_terms_are_met(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    assert_int_equal(world_publish(w, 1, 7, 1000, 2000, NULL, 0), ERR_OK);
    assert_int_equal(world_contribute(w, 2, 20, true, 3000), ERR_OK);
    assert_int_equal(world_contribute(w, 2, 21, false, 0), ERR_OK);
    assert_int_equal(world_contribute(w, 3, 20, true, 3000), ERR_EXISTS);
    assert_int_equal(world_contribute(w, 3, 22, true, 10001), ERR_RANGE);
    struct lineage_entry model = {LINEAGE_MODEL, world_root(7), 2000}, data = {LINEAGE_DATA, world_root(20), 3000};
    const struct {
        struct lineage_entry e[2];
        unsigned n;
        uint16_t royalty;
        enum err want;
    } cases[] = {
        {{{LINEAGE_MODEL, world_root(7), 1999}}, 1, 1000, ERR_REFUSED},
        {{model}, 1, 999, ERR_REFUSED}, /* a royalty below the parent's */
        {{{LINEAGE_MODEL, world_root(6), 2000}}, 1, 1000, ERR_NOT_FOUND},
        {{{LINEAGE_DATA, world_root(20), 2999}}, 1, 1000, ERR_REFUSED},
        {{{LINEAGE_DATA, world_root(21), 5000}}, 1, 1000, ERR_REFUSED}, /* not for training */
        {{{LINEAGE_DATA, world_root(7), 5000}}, 1, 1000, ERR_NOT_FOUND},
        {{{2, world_root(7), 5000}}, 1, 1000, ERR_FORMAT},
        {{data}, 1, 99, ERR_REFUSED}, /* below the floor */
        {{data, data}, 2, 1000, ERR_DUPLICATE},
        {{{LINEAGE_MODEL, world_root(7), 7001}, data}, 2, 1000, ERR_RANGE}, /* 10,001 bps in all */
        {{{LINEAGE_MODEL, world_root(7), 7000}, data}, 2, 1000, ERR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(world_publish(w, 4, (uint8_t)(100 + i), cases[i].royalty, 0, cases[i].e, cases[i].n),
                         cases[i].want);
    world_free(w);
}

static void lineage_is_flattened_and_paid(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct world_channel c;
    struct rec_model m;
    /* Data 20 (of 2) has 30 % of model 7 (of 1), which has 50 % of model 8 (of 3), which names data 20 with 10 % too.
     */
    struct lineage_entry first = {LINEAGE_DATA, world_root(20), 3000};
    struct lineage_entry second[] = {{LINEAGE_MODEL, world_root(7), 5000}, {LINEAGE_DATA, world_root(20), 3333}};
    assert_int_equal(world_contribute(w, 2, 20, true, 3000), ERR_OK);
    assert_int_equal(world_publish(w, 1, 7, 1000, 5000, &first, 1), ERR_OK);
    assert_int_equal(world_publish(w, 3, 8, 1000, 0, second, 2), ERR_OK);
    assert_true(ledger_model(w->ledger, &(struct hash){{0}}, &m) == false);
    struct hash root = world_root(8);
    assert_true(ledger_model(w->ledger, &root, &m));
    assert_int_equal(m.lineage.n / FLAT_ENTRY_SIZE, 2);
    assert_true(flat(&m, 0).type == LINEAGE_MODEL && flat(&m, 0).share == 35000000);
    assert_true(flat(&m, 1).type == LINEAGE_DATA && flat(&m, 1).share == 15000000 + 33330000);
    struct flat_entry data = flat(&m, 1);
    assert_true(pubkey_equal(&data.to, &w->key[2]));

    assert_int_equal(WORLD_DO(w, 4, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 4, 4, 8, false), ERR_OK);
    assert_int_equal(world_open(w, &c, 5, 4, 8, KITH), ERR_OK);
    world_job(&c, 99999);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    uint64_t before[5];
    for (unsigned i = 1; i < 5; i++)
        before[i] = world_balance(w, i);
    world_draw(w);
    /* Royalty 9999: 35 % to 1, 48.33 % to 2, 16.67 % to 3, each rounded down; what is left goes to the provider. */
    assert_true(world_balance(w, 1) - before[1] == 3499);
    assert_true(world_balance(w, 2) - before[2] == 4832);
    assert_true(world_balance(w, 3) - before[3] == 1666);
    assert_true(world_balance(w, 4) - before[4] == 99999 - 999 - 999 - 3499 - 4832 - 1666);
    assert_int_equal(world_event(w, LEDGER_PAYOUT, 1)->code, PAYOUT_DATA);
    world_free(w);
}

/* Model b with the tensors of model 7 and one of its own. */
static enum err publish_copy(struct world *w, uint8_t b, uint16_t royalty_bps, const struct lineage_entry *parents,
                             unsigned n)
{
    struct hash tensors[3] = {world_root(7), world_root(b), world_root(70)};
    struct buf lineage = {0};
    struct tx_model_publish body = {
        .root = world_root(b), .size = 1000, .royalty_bps = royalty_bps, .tensors = {tensors[0].b, 3}};
    char name[16];
    for (unsigned i = 0; i < n; i++)
        lineage_entry_put(&lineage, &parents[i]);
    body.lineage = bytes_of_buf(&lineage);
    body.tensors_root = tx_tensors_root(&body.tensors);
    snprintf(name, sizeof name, "model-%u", b);
    assert_true(text64_set(&body.name, name));
    tx_model_publish_put(world_body(w), &body);
    buf_clear(&lineage);
    return world_do(w, 2, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
}

/* A copy owes what it would as a child, whatever stands between: model 8 asks its children for nothing. */
static void a_child_of_ones_own_shields_no_copy(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct hash tensors[2] = {world_root(7), world_root(70)};
    struct tx_model_publish first = {
        .root = world_root(7), .size = 1, .royalty_bps = 1000, .derive_bps = 5000, .tensors = {tensors[0].b, 2}};
    struct lineage_entry data = {LINEAGE_DATA, world_root(20), 4000};
    struct buf lineage = {0};
    lineage_entry_put(&lineage, &data);
    first.lineage = bytes_of_buf(&lineage);
    first.tensors_root = tx_tensors_root(&first.tensors);
    assert_true(text64_set(&first.name, "first"));
    assert_int_equal(world_contribute(w, 3, 20, true, 4000), ERR_OK);
    tx_model_publish_put(world_body(w), &first);
    assert_int_equal(world_do(w, 1, TX_MODEL_PUBLISH, bytes_of_buf(&w->body)), ERR_OK);
    buf_clear(&lineage);
    struct lineage_entry parent = {LINEAGE_MODEL, world_root(7), 5000}, child = {LINEAGE_MODEL, world_root(8), 1};
    assert_int_equal(publish_copy(w, 8, 1000, NULL, 0), ERR_REFUSED);
    assert_int_equal(publish_copy(w, 8, 1000, &parent, 1), ERR_OK);
    assert_int_equal(publish_copy(w, 9, 100, &child, 1), ERR_REFUSED);  /* its parent's parent has next to nothing */
    assert_int_equal(publish_copy(w, 9, 1000, &child, 1), ERR_REFUSED); /* of a larger royalty too */
    child.bps = 9999;
    assert_int_equal(publish_copy(w, 9, 1000, &child, 1), ERR_REFUSED);
    child.bps = 10000;
    assert_int_equal(publish_copy(w, 9, 999, &child, 1), ERR_REFUSED); /* of a smaller royalty */
    assert_int_equal(publish_copy(w, 9, 1000, &child, 1), ERR_OK);
    struct lineage_entry both[] = {{LINEAGE_MODEL, world_root(8), 100}, parent};
    assert_int_equal(publish_copy(w, 10, 1000, both, 2), ERR_OK);
    world_free(w);
}

/* Model b of `same` tensors of model 40, of `others` of its own. */
static enum err publish_adapted(struct world *w, uint8_t b, uint32_t same, uint32_t others,
                                const struct lineage_entry *parent)
{
    struct buf tensors = {0}, lineage = {0};
    char name[16];
    for (uint32_t i = 0; i < same + others; i++) {
        struct hash h = {{i < same ? 40 : b, (uint8_t)i, 1}};
        buf_add(&tensors, h.b, sizeof h.b);
    }
    struct tx_model_publish body = {.root = world_root(b), .size = 1000, .royalty_bps = 1000, .derive_bps = 1000};
    body.tensors = (struct hashes){tensors.p, same + others};
    body.tensors_root = tx_tensors_root(&body.tensors);
    if (parent)
        lineage_entry_put(&lineage, parent);
    body.lineage = bytes_of_buf(&lineage);
    snprintf(name, sizeof name, "model-%u", b);
    assert_true(text64_set(&body.name, name));
    tx_model_publish_put(world_body(w), &body);
    buf_clear(&tensors);
    buf_clear(&lineage);
    return world_do(w, b == 40 ? 1 : 2, TX_MODEL_PUBLISH, bytes_of_buf(&w->body));
}

/* With two tensors more for most of its matrices a model is still its base's child; one that shares a few with a small
 * one is not. */
static void what_adapters_add_makes_no_other_model(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    const struct lineage_entry parent = {LINEAGE_MODEL, world_root(40), 1000};
    assert_int_equal(publish_adapted(w, 40, 9, 0, NULL), ERR_OK);
    assert_int_equal(publish_adapted(w, 41, 9, 14, NULL), ERR_REFUSED); /* 39 % */
    assert_int_equal(publish_adapted(w, 41, 9, 14, &parent), ERR_OK);
    assert_int_equal(publish_adapted(w, 42, 9, 26, NULL), ERR_REFUSED);
    assert_int_equal(publish_adapted(w, 42, 9, 27, NULL), ERR_OK);     /* a quarter, and not more */
    assert_int_equal(publish_adapted(w, 43, 4, 5, NULL), ERR_OK);      /* 44 % of it, and less than half of that one */
    assert_int_equal(publish_adapted(w, 44, 5, 5, NULL), ERR_REFUSED); /* over half of that one */
    world_free(w);
}

static void too_many_ancestors_are_refused(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct lineage_entry data[LINEAGE_MAX + 1];
    for (unsigned i = 0; i <= LINEAGE_MAX; i++) {
        assert_int_equal(world_contribute(w, 2, (uint8_t)(1 + i), true, 0), ERR_OK);
        data[i] = (struct lineage_entry){LINEAGE_DATA, world_root((uint8_t)(1 + i)), 10};
    }
    assert_int_equal(world_publish(w, 1, 100, 1000, 0, data, LINEAGE_MAX + 1), ERR_LIMIT);
    assert_int_equal(world_publish(w, 1, 100, 1000, 0, data, LINEAGE_MAX), ERR_OK);
    /* Its child would have 65. */
    struct lineage_entry child = {LINEAGE_MODEL, world_root(100), 10000};
    assert_int_equal(world_publish(w, 1, 101, 1000, 0, &child, 1), ERR_LIMIT);
    world_free(w);
}

static enum err provide(struct world *w, unsigned owner, const struct tx_provider *body)
{
    tx_provider_put(world_body(w), body);
    return world_do(w, owner, TX_PROVIDER, bytes_of_buf(&w->body));
}

static void providers_agree_with_their_owners(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct hash roots[2] = {world_root(7), world_root(7)};
    struct rec_provider rec;
    assert_int_equal(world_publish(w, 1, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, false), ERR_STATE); /* no bond */
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 4, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
    struct tx_provider body = {.node = w->key[3], .models = {roots[0].b, 1}};
    assert_int_equal(provide(w, 2, &body), ERR_AUTH); /* the node has not agreed */
    tx_consent_sign(&w->chain, &w->key[4], &w->secret[3], &body.node_sig);
    assert_int_equal(provide(w, 2, &body), ERR_AUTH);  /* it agreed to another */
    assert_int_equal(provide(w, 4, &body), ERR_STATE); /* who only audits, and does not say so */
    body.audits = true;
    assert_int_equal(provide(w, 4, &body), ERR_OK);
    assert_true(ledger_provider(w->ledger, &w->key[3], &rec) && pubkey_equal(&rec.owner, &w->key[4]));
    assert_int_equal(world_provide(w, 2, 3, 7, false), ERR_EXISTS); /* not another's node */
    body = (struct tx_provider){.node = w->key[2], .models = {roots[0].b, 2}};
    assert_int_equal(provide(w, 2, &body), ERR_DUPLICATE);
    roots[1] = world_root(8);
    assert_int_equal(provide(w, 2, &body), ERR_NOT_FOUND);
    body.models.n = 1;
    body.node_sig.b[0] = 1;
    assert_int_equal(provide(w, 2, &body), ERR_FORMAT);
    body.node_sig.b[0] = 0;
    assert_int_equal(provide(w, 2, &body), ERR_OK);
    body.models.n = 0;
    assert_int_equal(provide(w, 2, &body), ERR_OK);
    assert_true(ledger_provider(w->ledger, &w->key[2], &rec) && rec.models.n == 0);
    unsigned count = 0;
    for (bool more = ledger_provider_next(w->ledger, NULL, &rec); more;
         more = ledger_provider_next(w->ledger, &rec.node, &rec))
        count++;
    assert_int_equal(count, 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_once),
        cmocka_unit_test(a_name_belongs_to_its_publisher),
        cmocka_unit_test(parents_terms_are_met),
        cmocka_unit_test(lineage_is_flattened_and_paid),
        cmocka_unit_test(a_child_of_ones_own_shields_no_copy),
        cmocka_unit_test(what_adapters_add_makes_no_other_model),
        cmocka_unit_test(too_many_ancestors_are_refused),
        cmocka_unit_test(providers_agree_with_their_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
