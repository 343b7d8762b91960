/* A payment channel's two ends over a wire that loses what it likes and processes that end at any time: whatever was
 * kept on the provider's side was once the payer's, what is taken back leaves nothing behind, and who lacks a voucher
 * gets to where the other is. */
#include "base/mem.h"
#include "chain/kv.h"
#include "node/pay/channel.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define JOBS  6u
#define SEEDS 24u
#define STEPS 60u
#define ROOM  (1u << 16) /* bytes of missing receipts in one message */

static const struct hash chain = {{1}}, id = {{2}}, model = {{3}};

struct end {
    struct channel c;
    struct kv *kv;
    uint8_t side;
};

/* What the provider has done of a job, beyond what it told. */
struct work {
    struct receipt r;
    bool is_over; /* told so in a receipt */
};

struct world {
    struct random chance;
    struct seckey payer_secret, provider_secret;
    struct end payer, provider;
    struct work job[JOBS];
    uint32_t lost, caught_up, undone; /* how often */
};

/* The tree and the places of jobs, which are kept, are those of the receipts as they are. */
static void assert_whole(const struct channel *c)
{
    struct sum_node *leaves = mem_array(c->n, sizeof *leaves), top;
    struct voucher v;
    struct buf kept = {0}, made = {0};
    for (uint32_t i = 0; i < c->n; i++) {
        leaves[i] = sum_leaf(&c->receipts[i].receipt);
        assert_int_equal(channel_find_job(c, &c->receipts[i].receipt.job), i);
    }
    assert_int_equal(channel_find_job(c, &(struct hash){{0xee}}), CHANNEL_NO_JOB);
    assert_true(sum_tree_top(leaves, c->n, &top));
    const struct hash root = sum_root(&top, c->n);
    (void)!channel_sum(c, &v);
    assert_true(hash_equal(&v.receipts_root, &root));
    for (uint32_t i = 0; i < c->n; i++) {
        assert_int_equal(channel_prove(c, i, &kept), ERR_OK);
        assert_true(sum_tree_prove(leaves, c->n, i, &made));
    }
    assert_int_equal(channel_prove(c, c->n, &kept), ERR_RANGE);
    assert_true(kept.n == made.n && (!kept.n || memcmp(kept.p, made.p, kept.n) == 0));
    buf_clear(&kept);
    buf_clear(&made);
    free(leaves);
}

static void state_of(const struct channel *c, struct buf *out)
{
    assert_whole(c);
    struct channel kept;
    channel_copy_kept(c, &kept);
    assert_whole(&kept);
    channel_head_put(out, &kept.head);
    for (uint32_t i = 0; i < kept.n; i++)
        signed_receipt_put(out, &kept.receipts[i]);
    channel_clear(&kept);
}

static void assert_same_state(const struct channel *a, const struct channel *b)
{
    struct buf x = {0}, y = {0};
    state_of(a, &x);
    state_of(b, &y);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    buf_clear(&x);
    buf_clear(&y);
}

static void put_hash(uint8_t first, struct hash *out)
{
    *out = (struct hash){{first}};
}

static void begin(struct world *w, uint64_t seed, uint64_t funded)
{
    *w = (struct world){.chance = {seed}, .payer.side = 'R', .provider.side = 'P'};
    memset(w->payer_secret.b, 5, sizeof w->payer_secret.b);
    memset(w->provider_secret.b, 6, sizeof w->provider_secret.b);
    struct channel_head head = {.id = id, .chain = chain, .model = model, .funded = amount_of(funded)};
    key_derive(&w->payer_secret, &head.payer);
    key_derive(&w->provider_secret, &head.provider);
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = i ? &w->provider : &w->payer;
        channel_init(&e->c, &head);
        e->kv = kv_mem_open();
    }
    for (unsigned i = 0; i < JOBS; i++) {
        w->job[i].r = (struct receipt){.channel = id, .stop = RECEIPT_OPEN};
        put_hash((uint8_t)(10 + i), &w->job[i].r.job);
    }
}

static void finish(struct world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = i ? &w->provider : &w->payer;
        channel_clear(&e->c);
        kv_close(e->kv);
    }
}

/* -- on disk -- */

/* All of it: what is written is what is kept. */
static void store(struct end *e)
{
    struct kv_batch batch = {0};
    channel_store(&e->c, e->side, CHANNEL_ALL, &batch);
    assert_int_equal(kv_write(e->kv, &batch, true, &(struct note){{0}}), ERR_OK);
    kv_batch_clear(&batch);
}

static void take_loaded(void *arg, struct channel *loaded)
{
    struct end *e = arg;
    channel_clear(&e->c);
    e->c = *loaded;
    free(loaded);
}

/* The process ends and begins again. */
static void restart(struct end *e)
{
    struct channel before;
    channel_copy_kept(&e->c, &before);
    store(&(struct end){before, e->kv, e->side});
    assert_int_equal(channel_load(e->kv, e->side, take_loaded, e, &(struct note){{0}}), ERR_OK);
    assert_same_state(&before, &e->c);
    assert_false(e->c.pending.is_set);
    channel_clear(&before);
}

/* -- the protocol -- */

/* What the provider has of a job goes on, and comes to a receipt. */
static struct signed_receipt further(struct world *w, struct work *job)
{
    struct signed_receipt s;
    struct receipt *r = &job->r;
    job->is_over = random_chance(&w->chance, 25);
    r->stop = job->is_over ? 0 : RECEIPT_OPEN;
    r->tokens_in = r->tokens_in ? r->tokens_in : (uint32_t)random_between(&w->chance, 1, 50);
    if (!job->is_over || random_chance(&w->chance, 50)) /* it may end where it was */
        r->tokens_out += (uint32_t)random_between(&w->chance, 1, 20);
    r->price = amount_of(3u * r->tokens_in + 7u * r->tokens_out);
    put_hash((uint8_t)random_next(&w->chance), &r->answer_commit);
    s.receipt = *r;
    receipt_sign(r, &w->provider_secret, &s.sig);
    return s;
}

static void undo(struct world *w, struct end *e)
{
    struct channel kept;
    channel_copy_kept(&e->c, &kept);
    channel_undo(&e->c);
    assert_same_state(&kept, &e->c);
    channel_undo(&e->c); /* of nothing */
    assert_same_state(&kept, &e->c);
    channel_clear(&kept);
    w->undone++;
}

static bool proves_all(void *arg, const struct receipt *r)
{
    (void)arg, (void)r;
    return true;
}
static bool proves_none(void *arg, const struct receipt *r)
{
    (void)arg, (void)r;
    return false;
}

/* Nothing but what the payer sent is taken, and what is refused changes nothing. */
static void refuse_changed(struct world *w, const struct buf *missing)
{
    struct end *e = &w->provider;
    struct channel before, grown;
    struct buf bad = {0};
    channel_copy_kept(&e->c, &before);
    const struct channel_head *from = &w->payer.c.head;
    for (unsigned i = 0; i < 4; i++) {
        struct voucher v = from->voucher;
        struct sig sig = from->payer_sig;
        buf_reset(&bad);
        buf_add(&bad, missing->p, missing->n);
        switch (i) {
        case 0:
            if (bad.n)
                bad.p[random_below(&w->chance, bad.n)] ^= (uint8_t)(1u << random_below(&w->chance, 8));
            else
                v.receipts++;
            break;
        case 1:
            sig.b[random_below(&w->chance, sizeof sig.b)] ^= 1;
            break;
        case 2:
            v.tokens_out++;
            break;
        default:
            bad.n -= bad.n ? 1 : 0;
            v.tokens_in += bad.n == 0;
        }
        assert_int_equal(channel_catch_up(&e->c, bytes_of_buf(&bad), &v, &sig, proves_all, NULL, &grown), ERR_MISMATCH);
        assert_same_state(&before, &e->c);
    }
    if (missing->n) {
        assert_int_equal(
            channel_catch_up(&e->c, bytes_of_buf(missing), &from->voucher, &from->payer_sig, proves_none, NULL, &grown),
            ERR_MISMATCH);
        assert_same_state(&before, &e->c);
    }
    channel_clear(&before);
    buf_clear(&bad);
}

/* The provider could not follow a voucher: it says what it has, the payer sends the rest. */
static void catch_up(struct world *w)
{
    struct buf behind = {0}, missing = {0};
    const struct channel_head *from = &w->payer.c.head;
    struct channel before, grown;
    channel_put_behind(&w->provider.c, &behind);
    assert_int_equal(channel_put_missing(&w->payer.c, bytes_of_buf(&behind), ROOM, &missing), ERR_OK);
    refuse_changed(w, &missing);
    channel_copy_kept(&w->provider.c, &before);
    assert_int_equal(channel_catch_up(&w->provider.c, bytes_of_buf(&missing), &from->voucher, &from->payer_sig,
                                      proves_all, NULL, &grown),
                     ERR_OK);
    assert_same_state(&before, &w->provider.c); /* until it is written */
    channel_clear(&before);
    channel_replace(&w->provider.c, &grown);
    assert_same_state(&w->payer.c, &w->provider.c);
    if (missing.n > 1)
        assert_int_equal(channel_put_missing(&w->payer.c, bytes_of_buf(&behind), 1, &missing), ERR_LIMIT);
    store(&w->provider);
    w->caught_up++;
    buf_clear(&behind);
    buf_clear(&missing);
}

/* A receipt goes to the payer, which keeps it and promises to pay; the voucher may be lost. */
static void settle(struct world *w, const struct signed_receipt *s)
{
    uint32_t at, there;
    assert_int_equal(channel_put_receipt(&w->provider.c, s, &at), ERR_OK);
    assert_int_equal(channel_put_receipt(&w->provider.c, s, &there), ERR_BUSY);
    if (random_chance(&w->chance, 15)) { /* the receipt is lost */
        undo(w, &w->provider);
        return;
    }
    assert_int_equal(channel_put_receipt(&w->payer.c, s, &there), ERR_OK);
    if (random_chance(&w->chance, 10)) { /* the payer ends before anything is written, or could not write */
        struct channel before;
        channel_copy_kept(&w->payer.c, &before);
        if (random_chance(&w->chance, 50))
            assert_int_equal(channel_pay(&w->payer.c, &w->payer_secret), ERR_OK);
        channel_undo(&w->payer.c);
        assert_same_state(&before, &w->payer.c);
        channel_clear(&before);
        restart(&w->payer);
        undo(w, &w->provider);
        return;
    }
    assert_int_equal(channel_pay(&w->payer.c, &w->payer_secret), ERR_OK);
    channel_keep(&w->payer.c);
    store(&w->payer);
    const struct channel_head *h = &w->payer.c.head;
    if (random_chance(&w->chance, 25)) { /* the voucher is lost, or whoever got it ended before it was written */
        undo(w, &w->provider);
        if (random_chance(&w->chance, 50))
            restart(&w->provider);
        w->lost++;
        return;
    }
    enum err e = channel_take(&w->provider.c, &h->voucher, &h->payer_sig);
    if (e == ERR_OK) {
        channel_keep(&w->provider.c);
        store(&w->provider);
    } else {
        assert_int_equal(e, ERR_MISMATCH);
        if (random_chance(&w->chance, 50)) /* what is pending is among the missing */
            undo(w, &w->provider);
        catch_up(w);
    }
    assert_same_state(&w->payer.c, &w->provider.c);
    const struct hash top = channel_top(&w->payer.c), other = channel_top(&w->provider.c);
    assert_true(hash_equal(&top, &other));
}

/* Jobs that were told something that was lost go on from what they have done: receipts only grow. */
static void ends_meet_again(void **state)
{
    (void)state;
    uint32_t lost = 0, caught_up = 0, undone = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w;
        struct amount promised = amount_of(0);
        begin(&w, seed, UINT64_C(1) << 40);
        for (unsigned i = 0; i < STEPS; i++) {
            struct work *job = &w.job[random_below(&w.chance, JOBS)];
            if (job->is_over) {
                if (random_chance(&w.chance, 50))
                    restart(random_chance(&w.chance, 50) ? &w.payer : &w.provider);
                continue;
            }
            struct signed_receipt s = further(&w, job);
            settle(&w, &s);
            assert_true(amount_compare(w.payer.c.head.voucher.cumulative, promised) >= 0);
            promised = w.payer.c.head.voucher.cumulative;
            assert_true(amount_compare(w.provider.c.head.voucher.cumulative, promised) <= 0);
        }
        lost += w.lost;
        caught_up += w.caught_up;
        undone += w.undone;
        finish(&w);
    }
    assert_true(lost > 20 && caught_up > 20 && undone > 40); /* it was about something */
}

/* One receipt, unsigned: a job's, so far. */
static struct signed_receipt receipt_of(const struct world *w, uint8_t job, uint32_t out, uint64_t price, uint8_t stop)
{
    struct signed_receipt s = {
        .receipt = {.channel = id, .tokens_in = 4, .tokens_out = out, .price = amount_of(price), .stop = stop}};
    put_hash(job, &s.receipt.job);
    receipt_sign(&s.receipt, &w->provider_secret, &s.sig);
    return s;
}

static enum err put(struct channel *c, const struct signed_receipt *s)
{
    uint32_t at;
    enum err e = channel_put_receipt(c, s, &at);
    channel_keep(c);
    return e;
}

static void receipts_only_grow(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1, 1000);
    struct channel *c = &w.payer.c;
    struct signed_receipt s = receipt_of(&w, 40, 10, 100, RECEIPT_OPEN);
    assert_int_equal(put(c, &s), ERR_OK);
    s = receipt_of(&w, 40, 9, 100, RECEIPT_OPEN);
    assert_int_equal(put(c, &s), ERR_RANGE);
    s = receipt_of(&w, 40, 11, 99, RECEIPT_OPEN);
    assert_int_equal(put(c, &s), ERR_RANGE);
    s = receipt_of(&w, 40, 11, 110, RECEIPT_OPEN);
    s.receipt.tokens_in = 5; /* what was not signed */
    assert_int_equal(put(c, &s), ERR_AUTH);
    s = receipt_of(&w, 40, 11, 110, RECEIPT_OPEN);
    s.receipt.channel.b[31] ^= 1;
    receipt_sign(&s.receipt, &w.provider_secret, &s.sig);
    assert_int_equal(put(c, &s), ERR_MISMATCH);
    s = receipt_of(&w, 40, 12, 120, 0);
    assert_int_equal(put(c, &s), ERR_OK);
    assert_int_equal(put(c, &s), ERR_OK); /* the same again */
    s = receipt_of(&w, 40, 13, 130, 0);
    assert_int_equal(put(c, &s), ERR_STATE);
    assert_int_equal(c->n, 1);
    finish(&w);
}

static void nobody_promises_more_than_there_is(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1, 1000);
    struct channel *c = &w.payer.c;
    struct signed_receipt s = receipt_of(&w, 40, 10, 600, 0), more = receipt_of(&w, 41, 10, 401, 0);
    uint32_t at;
    assert_int_equal(put(c, &s), ERR_OK);
    assert_int_equal(channel_pay(c, &w.payer_secret), ERR_OK);
    assert_int_equal(amount_compare(channel_left(c), amount_of(400)), 0);
    assert_int_equal(amount_compare(channel_unsettled(c), amount_of(600)), 0);
    assert_int_equal(channel_put_receipt(c, &more, &at), ERR_OK);
    assert_int_equal(channel_pay(c, &w.payer_secret), ERR_FUNDS);
    channel_undo(c);
    assert_int_equal(c->n, 1);
    assert_int_equal(amount_compare(channel_left(c), amount_of(400)), 0);
    more = receipt_of(&w, 41, 10, 400, 0);
    assert_int_equal(put(c, &more), ERR_OK);
    assert_int_equal(channel_pay(c, &w.payer_secret), ERR_OK);
    assert_int_equal(amount_compare(channel_left(c), amount_of(0)), 0);
    finish(&w);
}

/* A payer who would rather owe less: receipts that were once true, and a voucher over them. */
static void nobody_goes_back(void **state)
{
    (void)state;
    struct world w;
    struct channel old, grown;
    struct buf missing = {0};
    begin(&w, 1, 1000);
    struct signed_receipt less = receipt_of(&w, 40, 10, 100, RECEIPT_OPEN),
                          more = receipt_of(&w, 40, 20, 200, RECEIPT_OPEN);
    const uint32_t at = 0;
    assert_int_equal(put(&w.payer.c, &less), ERR_OK);
    assert_int_equal(channel_pay(&w.payer.c, &w.payer_secret), ERR_OK);
    channel_copy_kept(&w.payer.c, &old);
    assert_int_equal(put(&w.provider.c, &more), ERR_OK);
    assert_int_equal(put(&w.payer.c, &more), ERR_OK);
    assert_int_equal(channel_pay(&w.payer.c, &w.payer_secret), ERR_OK);
    assert_int_equal(channel_take(&w.provider.c, &w.payer.c.head.voucher, &w.payer.c.head.payer_sig), ERR_OK);
    codec_put_u32(&missing, &at);
    signed_receipt_put(&missing, &less);
    assert_int_equal(channel_catch_up(&w.provider.c, bytes_of_buf(&missing), &old.head.voucher, &old.head.payer_sig,
                                      proves_all, NULL, &grown),
                     ERR_MISMATCH);
    assert_int_equal(channel_take(&w.provider.c, &old.head.voucher, &old.head.payer_sig), ERR_MISMATCH);
    assert_same_state(&w.payer.c, &w.provider.c);
    channel_clear(&old);
    buf_clear(&missing);
    finish(&w);
}

/* A payer who would rather not pay for what was delivered last: the voucher before it again, with a receipt that the
 * provider has already, as if it lacked that one. */
static void what_is_pending_is_paid(void **state)
{
    (void)state;
    struct world w;
    struct channel before, grown;
    struct buf missing = {0};
    begin(&w, 1, 1000);
    struct channel *c = &w.provider.c;
    struct signed_receipt first = receipt_of(&w, 40, 10, 100, 0), second = receipt_of(&w, 41, 10, 100, RECEIPT_OPEN);
    uint32_t at = 0;
    assert_int_equal(put(&w.payer.c, &first), ERR_OK);
    assert_int_equal(channel_pay(&w.payer.c, &w.payer_secret), ERR_OK);
    assert_int_equal(put(c, &first), ERR_OK);
    assert_int_equal(channel_take(c, &w.payer.c.head.voucher, &w.payer.c.head.payer_sig), ERR_OK);
    codec_put_u32(&missing, &at);
    signed_receipt_put(&missing, &first);
    for (unsigned i = 0; i < 2; i++) { /* a job that is new to the channel, and one that goes on */
        assert_int_equal(channel_put_receipt(c, &second, &at), ERR_OK);
        channel_copy_kept(c, &before);
        assert_int_equal(channel_catch_up(c, bytes_of_buf(&missing), &w.payer.c.head.voucher, &w.payer.c.head.payer_sig,
                                          proves_all, NULL, &grown),
                         ERR_MISMATCH);
        assert_true(c->pending.is_set);
        assert_true(signed_receipt_equal(&c->receipts[at], &second));
        assert_same_state(&before, c);
        channel_clear(&before);
        channel_undo(c);
        assert_int_equal(put(&w.payer.c, &second), ERR_OK);
        assert_int_equal(channel_pay(&w.payer.c, &w.payer_secret), ERR_OK);
        assert_int_equal(put(c, &second), ERR_OK);
        assert_int_equal(channel_take(c, &w.payer.c.head.voucher, &w.payer.c.head.payer_sig), ERR_OK);
        second = receipt_of(&w, 41, 20, 200, RECEIPT_OPEN);
    }
    buf_clear(&missing);
    finish(&w);
}

/* One job under two numbers. */
static void a_job_has_one_receipt(void **state)
{
    (void)state;
    struct world w;
    struct signed_receipt two[2];
    struct buf missing = {0};
    begin(&w, 1, 1000);
    two[0] = receipt_of(&w, 40, 10, 100, RECEIPT_OPEN);
    two[1] = receipt_of(&w, 40, 20, 200, RECEIPT_OPEN);
    struct channel *c = &w.provider.c, grown;
    struct sum_node leaves[2] = {sum_leaf(&two[0].receipt), sum_leaf(&two[1].receipt)}, top;
    struct sig sig;
    assert_int_equal(put(c, &two[0]), ERR_OK);
    assert_true(sum_tree_top(leaves, 2, &top));
    const struct voucher twice = {.chain = chain,
                                  .channel = id,
                                  .cumulative = top.amount,
                                  .tokens_in = top.tokens_in,
                                  .tokens_out = top.tokens_out,
                                  .receipts = 2,
                                  .receipts_root = sum_root(&top, 2)};
    voucher_sign(&twice, &w.payer_secret, &sig);
    const uint32_t at = 1;
    codec_put_u32(&missing, &at);
    signed_receipt_put(&missing, &two[1]);
    assert_int_equal(channel_catch_up(c, bytes_of_buf(&missing), &twice, &sig, proves_all, NULL, &grown), ERR_MISMATCH);
    assert_int_equal(c->n, 1);
    buf_clear(&missing);
    finish(&w);
}

/* What somebody says that they have is looked at: places that are not there, half an entry, more receipts than exist.
 */
static void what_is_behind_is_checked(void **state)
{
    (void)state;
    struct world w;
    struct buf out = {0}, said = {0};
    begin(&w, 1, 1000);
    struct signed_receipt s = receipt_of(&w, 40, 10, 100, RECEIPT_OPEN);
    assert_int_equal(put(&w.payer.c, &s), ERR_OK);
    const struct {
        uint32_t word[5], words;
        size_t bytes;
        enum err e;
    } cases[] = {
        {{0}, 1, 4, ERR_OK},             /* has nothing, gets all */
        {{1}, 1, 4, ERR_OK},             /* has it, finished */
        {{1, 0, 14}, 3, 12, ERR_OK},     /* has it as it is */
        {{2}, 1, 4, ERR_FORMAT},         /* has more than there are */
        {{1, 1, 14}, 3, 12, ERR_FORMAT}, /* one that is not there */
        {{1, 0, 14}, 3, 11, ERR_FORMAT}, /* half an entry */
        {{0}, 1, 3, ERR_FORMAT},         /* half a number */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&said);
        buf_reset(&out);
        for (uint32_t k = 0; k < cases[i].words; k++)
            codec_put_u32(&said, &cases[i].word[k]);
        said.n = cases[i].bytes;
        assert_int_equal(channel_put_missing(&w.payer.c, bytes_of_buf(&said), ROOM, &out), cases[i].e);
        assert_true(cases[i].e != ERR_OK || (out.n != 0) == (i == 0));
    }
    buf_clear(&said);
    buf_clear(&out);
    finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_meet_again),
        cmocka_unit_test(receipts_only_grow),
        cmocka_unit_test(nobody_promises_more_than_there_is),
        cmocka_unit_test(nobody_goes_back),
        cmocka_unit_test(what_is_pending_is_paid),
        cmocka_unit_test(a_job_has_one_receipt),
        cmocka_unit_test(what_is_behind_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
