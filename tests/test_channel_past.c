/* Whatever voucher a provider settles of all that it was ever sent: the payer can show each receipt as it was then, and
 * its place in that tree; and what can be asked for no more is forgotten. */
#include "base/limits.h"
#include "base/mem.h"
#include "node/pay/channel_past.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define JOBS  5u
#define STEPS 60u
#define SEEDS 12u

static const struct hash chain = {{1}}, id = {{2}}, model = {{3}};

/* A voucher that went out, and the receipts that it was over. */
struct sent {
    struct voucher voucher;
    struct signed_receipt receipts[JOBS];
};

struct payer {
    struct seckey secret, provider;
    struct channel_list list;
    struct channel *c;
    struct kv *kv;
    struct sent sent[STEPS];
    unsigned n;
};

static void begin(struct payer *p)
{
    memset(p, 0, sizeof *p);
    memset(p->secret.b, 5, sizeof p->secret.b);
    memset(p->provider.b, 6, sizeof p->provider.b);
    struct channel_head head = {.id = id, .chain = chain, .model = model, .funded = amount_of(UINT64_C(1) << 40)};
    key_derive(&p->secret, &head.payer);
    key_derive(&p->provider, &head.provider);
    p->c = mem_new(sizeof *p->c);
    channel_init(p->c, &head);
    channel_list_add(&p->list, p->c);
    p->kv = kv_mem_open();
}

static void finish(struct payer *p)
{
    channel_list_clear(&p->list);
    kv_close(p->kv);
}

/* A receipt comes, is paid, and is kept: all or (bad disk) nothing. */
static void pay(struct payer *p, const struct receipt *r)
{
    struct signed_receipt s = {.receipt = *r};
    struct kv_batch batch = {0};
    uint32_t at;
    receipt_sign(r, &p->provider, &s.sig);
    assert_int_equal(channel_put_receipt(p->c, &s, &at), ERR_OK);
    assert_int_equal(channel_pay(p->c, &p->secret), ERR_OK);
    channel_past_add(p->c, &batch);
    channel_store(p->c, 'R', at, &batch);
    assert_int_equal(kv_write(p->kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    channel_keep(p->c);
    struct sent *t = &p->sent[p->n++];
    t->voucher = p->c->head.voucher;
    memcpy(t->receipts, p->c->receipts, p->c->n * sizeof *t->receipts);
}

static void restart(struct payer *p)
{
    const uint64_t next = p->c->past_next;
    channel_list_clear(&p->list);
    assert_int_equal(channel_list_load(&p->list, p->kv, 'R', NULL), ERR_OK);
    assert_int_equal(channel_past_load(p->kv, &p->list, NULL), ERR_OK);
    p->c = channel_list_find(&p->list, &id);
    assert_int_equal(p->c->past_next, next);
}

static struct rec_settlement settled(const struct sent *t)
{
    return (struct rec_settlement){
        .channel = id, .count = t->voucher.receipts, .receipts_root = t->voucher.receipts_root};
}

static void expect_all(const struct payer *p, const struct sent *t)
{
    const struct rec_settlement s = settled(t);
    for (uint32_t i = 0; i < s.count; i++) {
        struct signed_receipt r;
        struct buf proof = {0};
        assert_int_equal(channel_past_find(p->kv, p->c, &s, i, &r, &proof), ERR_OK);
        assert_true(signed_receipt_equal(&r, &t->receipts[i]));
        const struct sum_node leaf = sum_leaf(&r.receipt);
        assert_true(sum_tree_verify(&s.receipts_root, s.count, i, &leaf, bytes_of_buf(&proof)));
        buf_clear(&proof);
    }
}

/* Jobs beside each other; some end with a receipt over nothing new, so that two vouchers have the same sums. */
static void live(struct payer *p, struct random *chance, unsigned steps)
{
    struct receipt job[JOBS] = {{.stop = 0}};
    for (unsigned i = 0; i < steps; i++) {
        struct receipt *r = &job[random_below(chance, JOBS)];
        if (r->tokens_in && r->stop != RECEIPT_OPEN)
            continue;
        const bool is_over = r->tokens_in && random_chance(chance, 20);
        if (!is_over || random_chance(chance, 50))
            r->tokens_out += (uint32_t)random_between(chance, 1, 9);
        r->channel = id;
        r->job = (struct hash){{(uint8_t)(10 + (r - job))}};
        r->tokens_in = 7;
        r->price = amount_of(3u * r->tokens_out);
        r->stop = is_over ? 0 : RECEIPT_OPEN;
        pay(p, r);
        if (random_chance(chance, 5))
            restart(p);
    }
}

static void every_voucher_can_be_shown(void **state)
{
    (void)state;
    unsigned shown = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct payer p;
        struct random chance = {seed};
        begin(&p);
        live(&p, &chance, STEPS);
        for (unsigned i = 0; i < p.n; i++)
            expect_all(&p, &p.sent[i]);
        shown += p.n;
        finish(&p);
    }
    assert_true(shown > 150);
}

static void nothing_else_is_shown(void **state)
{
    (void)state;
    static struct payer p;
    struct random chance = {1};
    struct signed_receipt r;
    struct buf proof = {0};
    begin(&p);
    live(&p, &chance, STEPS);
    struct rec_settlement s = settled(&p.sent[p.n / 2]);
    s.receipts_root.b[31] ^= 1;
    assert_int_equal(channel_past_find(p.kv, p.c, &s, 0, &r, &proof), ERR_MISMATCH);
    s = settled(&p.sent[p.n / 2]);
    assert_int_equal(channel_past_find(p.kv, p.c, &s, s.count, &r, &proof), ERR_MISMATCH);
    s.count = p.c->n + 1;
    assert_int_equal(channel_past_find(p.kv, p.c, &s, 0, &r, &proof), ERR_MISMATCH);
    assert_int_equal(proof.n, 0);
    buf_clear(&proof);
    finish(&p);
}

static bool count_one(void *arg, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return true;
}

static unsigned stored(const struct payer *p)
{
    unsigned n = 0;
    assert_int_equal(kv_scan(p->kv, bytes_of("p", 1), count_one, &n, NULL), ERR_OK);
    return n;
}

/* What was settled stays, and all since; what is older goes. */
static void what_is_over_is_forgotten(void **state)
{
    (void)state;
    static struct payer p;
    struct random chance = {3};
    struct signed_receipt r;
    struct buf proof = {0};
    begin(&p);
    live(&p, &chance, STEPS);
    const unsigned before = stored(&p), middle = p.n / 2;
    const struct voucher *v = &p.sent[middle].voucher;
    channel_past_drop(p.kv, &id, v->tokens_in + v->tokens_out);
    assert_true(stored(&p) < before && stored(&p) > 0);
    for (unsigned i = middle; i < p.n; i++)
        expect_all(&p, &p.sent[i]);
    const struct rec_settlement old = settled(&p.sent[1]);
    assert_int_equal(channel_past_find(p.kv, p.c, &old, 0, &r, &proof), ERR_MISMATCH);
    channel_past_drop(p.kv, &(struct hash){{9}}, UINT64_MAX);
    assert_true(stored(&p) > 0);
    channel_past_drop(p.kv, &id, UINT64_MAX);
    assert_int_equal(stored(&p), 0);
    buf_clear(&proof);
    finish(&p);
}

/* One job without end: the newest are kept. */
static void there_is_an_end_to_it(void **state)
{
    (void)state;
    static struct payer p;
    struct receipt job = {.channel = id, .job = {{10}}, .tokens_in = 7, .stop = RECEIPT_OPEN};
    begin(&p);
    p.c->past_next = CHANNEL_PAST_MAX - 3;
    for (unsigned i = 0; i < STEPS; i++) {
        job.tokens_out++;
        pay(&p, &job);
    }
    assert_int_equal(p.c->past_next, CHANNEL_PAST_MAX - 3 + STEPS - 1);
    assert_int_equal(stored(&p), STEPS - 1);
    struct kv_batch batch = {0};
    p.c->past_next = 2 * CHANNEL_PAST_MAX - 3; /* as if many had come since: each one more takes the oldest away */
    for (unsigned i = 0; i < 10; i++) {
        uint32_t at;
        struct signed_receipt s = {.receipt = job};
        s.receipt.tokens_out = ++job.tokens_out;
        receipt_sign(&s.receipt, &p.provider, &s.sig);
        assert_int_equal(channel_put_receipt(p.c, &s, &at), ERR_OK);
        channel_past_add(p.c, &batch);
        channel_keep(p.c);
    }
    assert_int_equal(kv_write(p.kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    assert_int_equal(stored(&p), STEPS - 1);
    finish(&p);
}

static void golden_bytes(void **state)
{
    (void)state;
    struct past_receipt p = {.index = 0x01020304, .receipts = 0x05060708, .tokens = 0x1112131415161718}, back;
    struct buf b = {0}, receipt = {0};
    p.was.receipt.stop = RECEIPT_OPEN;
    p.was.sig.b[0] = 0xEE;
    past_receipt_put(&b, &p);
    signed_receipt_put(&receipt, &p.was);
    static const uint8_t front[16] = {4, 3, 2, 1, 8, 7, 6, 5, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11};
    assert_int_equal(b.n, sizeof front + receipt.n);
    assert_memory_equal(b.p, front, sizeof front);
    assert_memory_equal(b.p + sizeof front, receipt.p, receipt.n);
    struct cursor c = cursor_of(bytes_of_buf(&b));
    past_receipt_get(&c, &back);
    assert_true(cursor_end(&c) && past_receipt_equal(&p, &back));
    buf_clear(&b);
    buf_clear(&receipt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_voucher_can_be_shown),
        cmocka_unit_test(nothing_else_is_shown),
        cmocka_unit_test(what_is_over_is_forgotten),
        cmocka_unit_test(there_is_an_end_to_it),
        cmocka_unit_test(golden_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
