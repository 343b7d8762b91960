/* The light client: skipping, halving, and servers that lie about headers, sets, commits, times, proofs, receipts. */
#include "base/mem.h"
#include "chain/ledger.h"
#include "chain/state.h"
#include "tests/headers.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define LONG_MS UINT64_C(100000000)

static struct note note;

static struct light *client(const struct headers *h, uint64_t unbonding_ms)
{
    struct light *l = light_new(&h->chain, unbonding_ms);
    struct hash id = block_id(&h->at[1]);
    light_trust_checkpoint(l, 1, &id);
    return l;
}

static uint64_t now_of(const struct headers *h)
{
    return h->at[h->height].time_ms;
}

/* Goes to the height with answers of an honest server; how many it took. */
static uint32_t follow(struct light *l, const struct headers *h, uint32_t height)
{
    uint64_t wanted;
    uint32_t n = 0;
    assert_int_equal(light_seek(l, height, &note), ERR_OK);
    while (light_wants(l, &wanted)) {
        struct buf raw = {0};
        headers_put(h, (uint32_t)wanted, h->n, &raw);
        enum err e = light_take(l, bytes_of_buf(&raw), now_of(h), &note);
        if (e != ERR_OK)
            print_message("%s\n", note.text);
        assert_int_equal(e, ERR_OK);
        buf_clear(&raw);
        n++;
    }
    struct hash id = light_id(l), want = block_id(&h->at[height]);
    assert_true(hash_equal(&id, &want));
    return n;
}

static void one_step_where_validators_stay(void **state)
{
    (void)state;
    struct headers *h = headers_new(7, 0);
    headers_grow(h, 1000, 0);
    struct light *l = client(h, LONG_MS);
    assert_int_equal(follow(l, h, 1000), 2); /* the checkpoint, and the last */
    assert_int_equal(follow(l, h, 1000), 0);
    light_free(l);
    free(h);
}

static void halves_where_they_change(void **state)
{
    (void)state;
    struct headers *h = headers_new(7, 10);
    headers_grow(h, 1000, 0);
    struct light *l = client(h, LONG_MS);
    uint32_t n = follow(l, h, 1000);
    assert_in_range(n, 25, 120); /* 100 changes, of which four in a row can be skipped */
    light_free(l);
    h->every = 1; /* whole sets go within seven heights */
    h->height = 0;
    headers_grow(h, 300, 1);
    l = client(h, LONG_MS);
    n = follow(l, h, 300);
    assert_in_range(n, 75, 600);
    light_free(l);
    free(h);
}

static void begins_from_a_genesis(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct light *l = light_new(&w->chain, LONG_MS);
    struct valset *s = mem_new(sizeof *s);
    struct valset_entry e = {w->key[0], 1000 * MOTE_PER_KITH / GENESIS_STAKE_LEAST};
    assert_int_equal(valset_init(s, &e, 1, NULL), ERR_OK);
    struct headers *h = headers_new(1, 0);
    h->chain = w->chain;
    h->key[0] = w->key[0];
    h->secret[0] = w->secret[0];
    assert_int_equal(light_trust_genesis(l, &w->genesis, &note), ERR_OK);
    struct header header = {.version = BLOCK_VERSION,
                            .chain = w->chain,
                            .height = 1,
                            .time_ms = w->genesis.time_ms + 5,
                            .validators = valset_hash(s),
                            .next_validators = valset_hash(s)};
    struct buf raw = {0};
    headers_put_as(h, &header, s, 1, &raw);
    assert_int_equal(light_seek(l, 1, &note), ERR_OK);
    /* An old genesis is no beginning. */
    assert_int_equal(light_take(l, bytes_of_buf(&raw), w->genesis.time_ms + LONG_MS, &note), ERR_EXPIRED);
    assert_non_null(strstr(note.text, "--checkpoint"));
    assert_int_equal(light_take(l, bytes_of_buf(&raw), w->genesis.time_ms + 10, &note), ERR_OK);
    assert_int_equal(light_header(l)->height, 1);
    w->genesis.time_ms++;
    assert_int_equal(light_trust_genesis(l, &w->genesis, &note), ERR_CHAIN);
    buf_clear(&raw);
    light_free(l);
    free(s);
    free(h);
    world_free(w);
}

/* One answer for the wanted height; the client must stand where it stood. */
static void refused(const struct headers *h, struct buf *raw, uint64_t now_ms, enum err want)
{
    struct light *l = client(h, LONG_MS);
    struct buf first = {0};
    headers_put(h, 1, h->n, &first);
    assert_int_equal(light_seek(l, 100, &note), ERR_OK);
    assert_int_equal(light_take(l, bytes_of_buf(&first), now_ms, &note), ERR_OK);
    note.text[0] = 0;
    enum err e = light_take(l, bytes_of_buf(raw), now_ms, &note);
    if (e != want)
        print_message("%s\n", note.text);
    assert_int_equal(e, want);
    assert_int_not_equal(note.text[0], 0);
    assert_int_equal(light_header(l)->height, 1);
    buf_clear(&first);
    buf_reset(raw);
    light_free(l);
}

static void lies_about_headers_are_refused(void **state)
{
    (void)state;
    struct headers *h = headers_new(7, 0);
    headers_grow(h, 200, 0);
    struct buf raw = {0};
    struct valset *set = headers_set(h, 100), *other = mem_new(sizeof *other);
    struct header x;
    uint64_t now = now_of(h);
    headers_put(h, 100, 4, &raw); /* four of seven are no quorum */
    refused(h, &raw, now, ERR_AUTH);
    headers_put(h, 99, h->n, &raw); /* of another height */
    refused(h, &raw, now, ERR_PROTOCOL);
    headers_put(h, 100, h->n, &raw);
    for (size_t cut = 0; cut < raw.n; cut += 61) {
        struct buf part = {0};
        buf_add(&part, raw.p, cut);
        refused(h, &part, now, ERR_FORMAT);
        buf_clear(&part);
    }
    for (size_t i = 0; i < 9000; i++)
        buf_add(&raw, "12345678", 8);
    refused(h, &raw, now, ERR_LIMIT);
    x = h->at[100];
    x.time_ms = now + LIGHT_CLOCK_DRIFT_MS + 1;
    headers_put_as(h, &x, set, h->n, &raw);
    refused(h, &raw, now, ERR_PROTOCOL);
    x.time_ms = h->at[1].time_ms; /* not later than what is trusted */
    headers_put_as(h, &x, set, h->n, &raw);
    refused(h, &raw, now, ERR_PROTOCOL);
    x = h->at[100];
    x.chain.b[3] ^= 1;
    headers_put_as(h, &x, set, h->n, &raw);
    refused(h, &raw, now, ERR_CHAIN);
    x = h->at[100];
    struct valset_entry mine = {h->key[40], 1};
    assert_int_equal(valset_init(other, &mine, 1, NULL), ERR_OK); /* a set that the header does not name */
    headers_put_as(h, &x, other, 1, &raw);
    refused(h, &raw, now, ERR_CORRUPT);
    headers_put(h, 100, h->n, &raw);
    for (size_t i = 0; i < raw.n; i++) { /* no byte of it can change */
        struct buf bent = {0};
        buf_add(&bent, raw.p, raw.n);
        bent.p[i] ^= 0x10;
        struct light *l = client(h, LONG_MS);
        struct buf first = {0};
        headers_put(h, 1, h->n, &first);
        assert_int_equal(light_seek(l, 100, &note), ERR_OK);
        assert_int_equal(light_take(l, bytes_of_buf(&first), now, &note), ERR_OK);
        assert_int_not_equal(light_take(l, bytes_of_buf(&bent), now, &note), ERR_OK);
        buf_clear(&first);
        buf_clear(&bent);
        light_free(l);
        i += i > 300 ? 37 : 0;
    }
    buf_clear(&raw);
    free(set);
    free(other);
    free(h);
}

/* A history by strangers, signed by their own: halved down to the first height, and refused there. */
static void a_forged_history_is_followed_to_its_root(void **state)
{
    (void)state;
    struct headers *h = headers_new(7, 0), *forged = headers_new(7, 0);
    headers_grow(h, 1, 0);
    for (uint32_t i = 0; i < 7; i++) {
        forged->key[i] = forged->key[i + 20];
        forged->secret[i] = forged->secret[i + 20];
    }
    forged->height = 1;
    forged->at[1] = h->at[1];
    headers_grow(forged, 1000, 0);
    struct light *l = client(h, LONG_MS);
    struct buf raw = {0};
    uint64_t wanted;
    uint32_t n = 0;
    enum err e = ERR_OK;
    headers_put(h, 1, h->n, &raw);
    assert_int_equal(light_seek(l, 1000, &note), ERR_OK);
    assert_int_equal(light_take(l, bytes_of_buf(&raw), now_of(forged), &note), ERR_OK);
    while (e == ERR_OK) {
        assert_true(light_wants(l, &wanted));
        buf_reset(&raw);
        headers_put(forged, (uint32_t)wanted, forged->n, &raw);
        e = light_take(l, bytes_of_buf(&raw), now_of(forged), &note);
        n++;
    }
    assert_int_equal(e, ERR_PROTOCOL);
    assert_non_null(strstr(note.text, "other validators"));
    assert_in_range(n, 9, 11); /* 1000, 500, ... 2 */
    assert_int_equal(light_header(l)->height, 1);
    light_forget(l);
    assert_false(light_wants(l, &wanted));
    buf_clear(&raw);
    light_free(l);
    free(h);
    free(forged);
}

/* A third of the trusted power and not more is not enough to skip. */
static void a_third_is_not_more_than_a_third(void **state)
{
    (void)state;
    struct headers *h = headers_new(1, 0);
    struct valset *old = mem_new(sizeof *old), *new = mem_new(sizeof *new);
    uint64_t wanted;
    struct buf raw = {0};
    for (uint64_t power = 1; power <= 2; power++) { /* of 3, or of 5 */
        struct valset_entry a[] = {{h->key[0], power}, {h->key[1], 2}, {h->key[2], power - 1}};
        struct valset_entry b[] = {{h->key[0], 1}, {h->key[30], 1}};
        assert_int_equal(valset_init(old, a, power > 1 ? 3 : 2, NULL), ERR_OK);
        assert_int_equal(valset_init(new, b, 2, NULL), ERR_OK);
        struct header x = {.version = BLOCK_VERSION,
                           .chain = h->chain,
                           .height = 1,
                           .time_ms = 5,
                           .validators = valset_hash(old),
                           .next_validators = valset_hash(old)};
        struct hash id = block_id(&x);
        struct light *l = light_new(&h->chain, LONG_MS);
        light_trust_checkpoint(l, 1, &id);
        assert_int_equal(light_seek(l, 9, &note), ERR_OK);
        headers_put_as(h, &x, old, 3, &raw);
        assert_int_equal(light_take(l, bytes_of_buf(&raw), 100, &note), ERR_OK);
        x.height = 9;
        x.time_ms = 50;
        x.validators = valset_hash(new);
        buf_reset(&raw);
        headers_put_as(h, &x, new, 2, &raw);
        assert_int_equal(light_take(l, bytes_of_buf(&raw), 100, &note), ERR_OK);
        assert_int_equal(light_header(l)->height, power == 1 ? 1 : 9);
        assert_int_equal(light_wants(l, &wanted), power == 1);
        if (power == 1)
            assert_int_equal(wanted, 5);
        buf_reset(&raw);
        light_free(l);
    }
    buf_clear(&raw);
    free(old);
    free(new);
    free(h);
}

/* The next height must have the validators that were named, whoever else signed. */
static void the_next_height_has_the_named_validators(void **state)
{
    (void)state;
    struct headers *h = headers_new(7, 0);
    headers_grow(h, 2, 0);
    struct valset *set = headers_set(h, 1), *more = mem_new(sizeof *more);
    struct valset_entry e[8];
    for (uint32_t i = 0; i < 7; i++)
        e[i] = (struct valset_entry){set->v[i].key, set->v[i].power};
    e[7] = (struct valset_entry){h->key[50], 1};
    assert_int_equal(valset_init(more, e, 8, NULL), ERR_OK);
    struct buf raw = {0};
    uint64_t wanted;
    for (int what = 0; what < 3; what++) {
        struct light *l = client(h, LONG_MS);
        assert_int_equal(light_seek(l, 2, &note), ERR_OK);
        headers_put(h, 1, h->n, &raw);
        assert_int_equal(light_take(l, bytes_of_buf(&raw), now_of(h), &note), ERR_OK);
        struct header x = h->at[2];
        if (what == 1)
            x.validators = valset_hash(more);
        if (what == 2)
            x.prev.b[0] ^= 1;
        buf_reset(&raw);
        headers_put_as(h, &x, what == 1 ? more : set, 8, &raw);
        assert_int_equal(light_take(l, bytes_of_buf(&raw), now_of(h), &note), what ? ERR_PROTOCOL : ERR_OK);
        assert_int_equal(light_wants(l, &wanted), what != 0);
        buf_reset(&raw);
        light_free(l);
    }
    buf_clear(&raw);
    free(set);
    free(more);
    free(h);
}

static void old_trust_is_no_trust(void **state)
{
    (void)state;
    struct headers *h = headers_new(4, 0);
    headers_grow(h, 100, 0);
    struct light *l = client(h, 50000);
    struct buf raw = {0};
    headers_put(h, 1, h->n, &raw);
    assert_int_equal(light_seek(l, 100, &note), ERR_OK);
    assert_int_equal(light_take(l, bytes_of_buf(&raw), h->at[1].time_ms + 50000, &note), ERR_EXPIRED);
    assert_int_equal(light_take(l, bytes_of_buf(&raw), h->at[1].time_ms + 49999, &note), ERR_OK);
    buf_reset(&raw);
    headers_put(h, 100, h->n, &raw);
    assert_int_equal(light_take(l, bytes_of_buf(&raw), h->at[1].time_ms + 50000, &note), ERR_EXPIRED);
    assert_non_null(strstr(note.text, "--checkpoint"));
    assert_int_equal(light_seek(l, 0, &note), ERR_RANGE);
    buf_clear(&raw);
    light_free(l);
    l = client(h, 50000);
    headers_put(h, 2, h->n, &raw);
    assert_int_equal(light_seek(l, 100, &note), ERR_OK);
    assert_int_equal(light_take(l, bytes_of_buf(&raw), now_of(h), &note), ERR_PROTOCOL);
    buf_reset(&raw);
    struct header x = h->at[1];
    struct valset *set = headers_set(h, 1);
    x.state.b[5] ^= 1;
    headers_put_as(h, &x, set, h->n, &raw); /* signed, but not the checkpoint's */
    assert_int_equal(light_take(l, bytes_of_buf(&raw), h->at[1].time_ms, &note), ERR_MISMATCH);
    buf_clear(&raw);
    free(set);
    light_free(l);
    free(h);
}

static void the_steps_are_counted(void **state)
{
    (void)state;
    struct headers *h = headers_new(1, 1); /* nobody stays: every height is needed */
    headers_grow(h, HEADERS_MAX, 0);
    struct light *l = client(h, LONG_MS);
    struct buf raw = {0};
    uint64_t wanted;
    uint32_t n = 0;
    enum err e = ERR_OK;
    assert_int_equal(light_seek(l, HEADERS_MAX, &note), ERR_OK);
    while (e == ERR_OK && light_wants(l, &wanted)) {
        buf_reset(&raw);
        headers_put(h, (uint32_t)wanted, 1, &raw);
        e = light_take(l, bytes_of_buf(&raw), now_of(h), &note);
        n++;
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_int_equal(n, LIGHT_STEPS_MAX + 1);
    buf_clear(&raw);
    light_free(l);
    free(h);
}

static void what_was_learned_is_kept(void **state)
{
    (void)state;
    struct headers *h = headers_new(5, 20);
    headers_grow(h, 400, 0);
    struct light *l = client(h, LONG_MS), *again = light_new(&h->chain, LONG_MS), *copy;
    struct buf kept = {0};
    follow(l, h, 300);
    light_store(l, &kept);
    assert_int_equal(light_load(again, bytes_of_buf(&kept), &note), ERR_OK);
    follow(again, h, 400);
    copy = light_copy(again);
    assert_int_equal(light_header(copy)->height, 400);
    for (size_t i = 0; i < kept.n; i += 7) {
        kept.p[i] ^= 1;
        struct light *bad = light_new(&h->chain, LONG_MS);
        assert_int_equal(light_load(bad, bytes_of_buf(&kept), &note), ERR_CORRUPT);
        light_free(bad);
        kept.p[i] ^= 1;
    }
    struct hash other = {{1}};
    struct light *foreign = light_new(&other, LONG_MS);
    assert_int_equal(light_load(foreign, bytes_of_buf(&kept), &note), ERR_CHAIN);
    light_free(foreign);
    buf_clear(&kept);
    light_free(l);
    light_free(again);
    light_free(copy);
    free(h);
}

/* -- the state -- */

/* A client that trusts a header with the ledger's present root. */
static struct light *client_of(const struct world *w)
{
    struct headers *h = headers_new(4, 0);
    h->state = ledger_info(w->ledger).state_root;
    headers_grow(h, 1, 0);
    struct light *l = client(h, LONG_MS);
    follow(l, h, 1);
    free(h);
    return l;
}

static enum err check(const struct light *l, enum state_class cls, const void *key, size_t n,
                      const struct ledger_proof *p)
{
    return light_check_record(l, cls, bytes_of(key, n), ledger_proof_value(p), bytes_of_buf(&p->proof), &note);
}

static void records_are_proven(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    assert_int_equal(world_publish(w, 1, 1, 1000, 0, NULL, 0), ERR_OK);
    struct hash root = world_root(1), none = world_root(99);
    struct light *l = client_of(w);
    struct ledger_proof p = {0};
    struct rec_account account;
    ledger_query(w->ledger, STATE_ACCOUNT, bytes_of(w->key[2].b, 32), &p);
    assert_true(p.found);
    assert_int_equal(check(l, STATE_ACCOUNT, w->key[2].b, 32, &p), ERR_OK);
    struct cursor c = cursor_of(bytes_of_buf(&p.value));
    rec_account_get(&c, &account);
    assert_true(cursor_end(&c) && account.balance.mote == WORLD_FUND);
    assert_int_equal(check(l, STATE_ACCOUNT, w->key[3].b, 32, &p), ERR_MISMATCH); /* of somebody else */
    p.value.p[0] ^= 1;
    assert_int_equal(check(l, STATE_ACCOUNT, w->key[2].b, 32, &p), ERR_MISMATCH); /* of another balance */
    p.found = false;
    assert_int_equal(check(l, STATE_ACCOUNT, w->key[2].b, 32, &p), ERR_MISMATCH); /* denied */
    ledger_query(w->ledger, STATE_MODEL, bytes_of(root.b, 32), &p);
    assert_true(p.found);
    assert_int_equal(check(l, STATE_MODEL, root.b, 32, &p), ERR_OK);
    ledger_query(w->ledger, STATE_MODEL, bytes_of(none.b, 32), &p);
    assert_false(p.found);
    assert_int_equal(check(l, STATE_MODEL, none.b, 32, &p), ERR_OK);
    p.found = true; /* invented */
    assert_int_equal(check(l, STATE_MODEL, none.b, 32, &p), ERR_MISMATCH);
    assert_int_equal(WORLD_DO(w, 2, TX_TRANSFER, tx_transfer, w->key[3], amount_of(5), {0}), ERR_OK);
    ledger_query(w->ledger, STATE_ACCOUNT, bytes_of(w->key[2].b, 32), &p);
    assert_int_equal(check(l, STATE_ACCOUNT, w->key[2].b, 32, &p), ERR_MISMATCH); /* of another height */
    ledger_proof_clear(&p);
    light_free(l);
    world_free(w);
}

struct scan {
    struct world *w;
    struct light *l;
    unsigned n[256];
};

static bool prove_one(void *arg, struct bytes key, struct bytes value)
{
    struct scan *s = arg;
    struct ledger_proof p = {0};
    enum state_class cls = (enum state_class)key.p[1];
    ledger_query(s->w->ledger, cls, bytes_of(key.p + 2, key.n - 2), &p);
    assert_true(p.found && bytes_equal(bytes_of_buf(&p.value), value));
    assert_int_equal(check(s->l, cls, key.p + 2, key.n - 2, &p), ERR_OK);
    uint8_t other[128]; /* its neighbour is not there */
    memcpy(other, key.p + 2, key.n - 2);
    other[key.n - 2] = 1;
    ledger_query(s->w->ledger, cls, bytes_of(other, key.n - 1), &p);
    assert_false(p.found);
    assert_int_equal(check(s->l, cls, other, key.n - 1, &p), ERR_OK);
    s->n[cls]++;
    ledger_proof_clear(&p);
    return true;
}

static void every_class_of_record_and_a_receipt(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct world_channel ch;
    const char prefix[] = {KV_STATE};
    assert_int_equal(world_contribute(w, 4, 7, true, 10), ERR_OK);
    assert_int_equal(world_publish(w, 1, 1, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(9 * MOTE_PER_KITH)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(MOTE_PER_KITH)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 3, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(9 * MOTE_PER_KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 2, 12, 1, false), ERR_OK);
    assert_int_equal(world_provide(w, 3, 13, 1, true), ERR_OK);
    assert_int_equal(world_open(w, &ch, 5, 12, 1, 1000000), ERR_OK);
    for (int i = 0; i < 5; i++)
        world_job(&ch, 1000);
    assert_int_equal(world_settle(w, &ch), ERR_OK);
    struct scan s = {.w = w, .l = client_of(w)};
    assert_int_equal(kv_scan(w->kv, bytes_of(prefix, 1), prove_one, &s, NULL), ERR_OK);
    static const enum state_class seen[] = {STATE_ACCOUNT, STATE_BOND,       STATE_DATA,     STATE_CHANNEL,
                                            STATE_AUDITOR, STATE_MODEL,      STATE_NAME,     STATE_PROVIDER,
                                            STATE_PARAMS,  STATE_SETTLEMENT, STATE_TENSOR,   STATE_TOTALS,
                                            STATE_DRAW,    STATE_DUE,        STATE_UNBONDING};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        assert_true(s.n[seen[i]] > 0);

    struct rec_settlement rec;
    assert_true(ledger_settlement_next(w->ledger, NULL, &rec));
    struct signed_receipt r = {.receipt = ch.receipts[3]};
    struct buf proof = {0};
    receipt_sign(&r.receipt, &w->secret[12], &r.sig);
    assert_true(sum_tree_prove(ch.leaves, ch.n, 3, &proof));
    assert_int_equal(light_check_receipt(&rec, 3, &r, bytes_of_buf(&proof), &note), ERR_OK);
    assert_int_equal(light_check_receipt(&rec, 2, &r, bytes_of_buf(&proof), &note), ERR_MISMATCH);
    r.receipt.price.mote++;
    assert_int_equal(light_check_receipt(&rec, 3, &r, bytes_of_buf(&proof), &note), ERR_AUTH);
    receipt_sign(&r.receipt, &w->secret[12], &r.sig); /* signed, but not settled */
    assert_int_equal(light_check_receipt(&rec, 3, &r, bytes_of_buf(&proof), &note), ERR_MISMATCH);
    r.receipt.channel.b[0] ^= 1;
    assert_int_equal(light_check_receipt(&rec, 3, &r, bytes_of_buf(&proof), &note), ERR_MISMATCH);
    buf_clear(&proof);
    light_free(s.l);
    world_free(w);
}

/* Which header carries the root that a proof is for. */
static void a_proof_names_its_header(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct ledger_proof p = {0};
    ledger_query(w->ledger, STATE_TOTALS, bytes_of("", 0), &p);
    assert_int_equal(p.header, 1); /* of the genesis */
    assert_int_equal(WORLD_DO(w, 2, TX_TRANSFER, tx_transfer, w->key[3], amount_of(5), {0}), ERR_OK);
    ledger_query(w->ledger, STATE_TOTALS, bytes_of("", 0), &p);
    assert_int_equal(p.height, 1);
    assert_int_equal(p.header, 2);
    assert_int_equal(world_block(w), ERR_OK); /* nothing happened in block 2: its own header has the root */
    ledger_query(w->ledger, STATE_TOTALS, bytes_of("", 0), &p);
    assert_int_equal(p.height, 2);
    assert_int_equal(p.header, 2);
    ledger_proof_clear(&p);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_where_validators_stay),
        cmocka_unit_test(halves_where_they_change),
        cmocka_unit_test(begins_from_a_genesis),
        cmocka_unit_test(lies_about_headers_are_refused),
        cmocka_unit_test(a_forged_history_is_followed_to_its_root),
        cmocka_unit_test(a_third_is_not_more_than_a_third),
        cmocka_unit_test(the_next_height_has_the_named_validators),
        cmocka_unit_test(old_trust_is_no_trust),
        cmocka_unit_test(the_steps_are_counted),
        cmocka_unit_test(what_was_learned_is_kept),
        cmocka_unit_test(records_are_proven),
        cmocka_unit_test(every_class_of_record_and_a_receipt),
        cmocka_unit_test(a_proof_names_its_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
