/* Both ends of a payment channel. */
#include "node/pay/channel.h"

#include "base/limits.h"
#include "base/mem.h"
#include "node/host/stored.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(channel_head, CHANNEL_HEAD_FIELDS)

void channel_init(struct channel *c, const struct channel_head *head)
{
    *c = (struct channel){.head = *head};
}

void channel_clear(struct channel *c)
{
    free(c->receipts);
    free(c->jobs.slot);
    receipt_tree_clear(&c->tree);
    *c = (struct channel){0};
}

/* -- where a job's receipt stands -- */

/* The job's slot, or the free one where it would be. */
static uint32_t slot_of(const struct channel *c, const struct hash *job)
{
    uint32_t at = load_le32(job->b);
    for (;; at++) {
        uint32_t found = c->jobs.slot[at &= c->jobs.room - 1];
        if (!found || hash_equal(&c->receipts[found - 1].receipt.job, job))
            return at;
    }
}

static void index_job(struct channel *c, uint32_t i)
{
    c->jobs.slot[slot_of(c, &c->receipts[i].receipt.job)] = i + 1;
}

/* Slots for as many receipts as there is room for, with those that are there. */
static void index_all(struct channel *c)
{
    free(c->jobs.slot);
    c->jobs.room = 1;
    while (c->jobs.room <= 2 * c->room)
        c->jobs.room *= 2;
    c->jobs.slot = mem_array(c->jobs.room, sizeof *c->jobs.slot);
    for (uint32_t i = 0; i < c->n; i++)
        index_job(c, i);
}

uint32_t channel_find_job(const struct channel *c, const struct hash *job)
{
    uint32_t found = c->n ? c->jobs.slot[slot_of(c, job)] : 0;
    return found ? found - 1 : CHANNEL_NO_JOB;
}

/* -- the receipts, and the tree over them -- */

static enum err check_growth(const struct receipt *was, const struct receipt *is)
{
    if (was->stop != RECEIPT_OPEN)
        return receipt_equal(was, is) ? ERR_OK : ERR_STATE;
    bool grows = is->tokens_in >= was->tokens_in && is->tokens_out >= was->tokens_out &&
                 amount_compare(is->price, was->price) >= 0;
    return grows ? ERR_OK : ERR_RANGE;
}

void channel_set_receipt(struct channel *c, uint32_t index, const struct signed_receipt *r)
{
    CHECK(index < c->n);
    const struct sum_node leaf = sum_leaf(&r->receipt);
    c->receipts[index] = *r;
    receipt_tree_put(&c->tree, index, &leaf);
}

/* Of a job that has none. */
static void append(struct channel *c, const struct signed_receipt *r)
{
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 8;
        c->receipts = mem_resize(c->receipts, c->room, sizeof *c->receipts);
        index_all(c);
    }
    c->n++;
    channel_set_receipt(c, c->n - 1, r);
    index_job(c, c->n - 1);
}

/* From the last on: nobody behind it looked past its slot. */
void channel_cut(struct channel *c, uint32_t n)
{
    CHECK(n <= c->n);
    while (c->n > n) {
        c->jobs.slot[slot_of(c, &c->receipts[c->n - 1].receipt.job)] = 0;
        c->n--;
    }
    receipt_tree_cut(&c->tree, n);
}

enum err channel_put_receipt(struct channel *c, const struct signed_receipt *r, uint32_t *index)
{
    if (c->pending.is_set)
        return ERR_BUSY;
    if (!hash_equal(&r->receipt.channel, &c->head.id))
        return ERR_MISMATCH;
    if (!receipt_verify(&r->receipt, &c->head.provider, &r->sig))
        return ERR_AUTH;
    uint32_t i = channel_find_job(c, &r->receipt.job);
    enum err e = i == CHANNEL_NO_JOB ? ERR_OK : check_growth(&c->receipts[i].receipt, &r->receipt);
    if (e != ERR_OK)
        return e;
    if (i == CHANNEL_NO_JOB && c->n == RECEIPTS_MAX)
        return ERR_LIMIT;
    c->pending.is_set = true;
    c->pending.is_new = i == CHANNEL_NO_JOB;
    c->pending.index = c->pending.is_new ? c->n : i;
    c->pending.voucher = c->head.voucher;
    c->pending.payer_sig = c->head.payer_sig;
    c->pending.promised = c->head.promised;
    if (c->pending.is_new) {
        append(c, r);
    } else {
        c->pending.was = c->receipts[i];
        channel_set_receipt(c, i, r);
    }
    *index = c->pending.index;
    return ERR_OK;
}

void channel_keep(struct channel *c)
{
    c->pending.is_set = false;
}

void channel_undo(struct channel *c)
{
    if (!c->pending.is_set)
        return;
    c->pending.is_set = false;
    c->head.voucher = c->pending.voucher;
    c->head.payer_sig = c->pending.payer_sig;
    c->head.promised = c->pending.promised;
    if (c->pending.is_new)
        channel_cut(c, c->n - 1);
    else
        channel_set_receipt(c, c->pending.index, &c->pending.was);
}

void channel_copy_kept(const struct channel *c, struct channel *out)
{
    *out = *c;
    out->room = c->n;
    out->receipts = mem_array(c->n ? c->n : 1, sizeof *out->receipts);
    if (c->n)
        memcpy(out->receipts, c->receipts, c->n * sizeof *out->receipts);
    receipt_tree_copy(&c->tree, &out->tree);
    out->jobs.slot = NULL;
    index_all(out);
    channel_undo(out);
}

enum err channel_sum(const struct channel *c, struct voucher *out)
{
    struct sum_node top;
    if (!receipt_tree_top(&c->tree, &top))
        return ERR_RANGE;
    *out = (struct voucher){.chain = c->head.chain,
                            .channel = c->head.id,
                            .cumulative = top.amount,
                            .tokens_in = top.tokens_in,
                            .tokens_out = top.tokens_out,
                            .receipts = c->n,
                            .receipts_root = sum_root(&top, c->n)};
    return amount_compare(top.amount, c->head.funded) > 0 ? ERR_FUNDS : ERR_OK;
}

enum err channel_pay(struct channel *c, const struct seckey *payer)
{
    struct voucher v;
    enum err e = channel_sum(c, &v);
    if (e != ERR_OK)
        return e;
    voucher_sign(&v, payer, &c->head.payer_sig);
    c->head.voucher = v;
    c->head.promised = true;
    return ERR_OK;
}

enum err channel_take(struct channel *c, const struct voucher *v, const struct sig *sig)
{
    struct voucher expected;
    enum err e = channel_sum(c, &expected);
    if (e != ERR_OK)
        return e;
    if (!voucher_equal(v, &expected))
        return ERR_MISMATCH;
    if (!voucher_verify(v, &c->head.payer, sig))
        return ERR_AUTH;
    c->head.voucher = *v;
    c->head.payer_sig = *sig;
    c->head.promised = true;
    return ERR_OK;
}

static struct amount difference(struct amount a, struct amount b)
{
    struct amount out = {0};
    return amount_sub(&out, a, b) ? out : amount_of(0);
}

/* -- a voucher was lost: what one side lacks -- */

#define BEHIND_ENTRY 8 /* u32 place, u32 tokens */

static uint32_t tokens_of(const struct receipt *r)
{
    return r->tokens_in + r->tokens_out;
}

void channel_put_behind(const struct channel *c, struct buf *out)
{
    uint32_t n = c->pending.is_set && c->pending.is_new ? c->n - 1 : c->n;
    codec_put_u32(out, &n);
    for (uint32_t i = 0; i < n; i++) {
        bool pending = c->pending.is_set && c->pending.index == i;
        const struct receipt *r = pending ? &c->pending.was.receipt : &c->receipts[i].receipt;
        uint32_t tokens = tokens_of(r);
        if (r->stop != RECEIPT_OPEN)
            continue;
        codec_put_u32(out, &i);
        codec_put_u32(out, &tokens);
    }
}

static void put_one(const struct channel *c, uint32_t i, struct buf *out)
{
    codec_put_u32(out, &i);
    signed_receipt_put(out, &c->receipts[i]);
}

enum err channel_put_missing(const struct channel *c, struct bytes behind, size_t room, struct buf *out)
{
    struct cursor k = cursor_of(behind);
    size_t start = out->n;
    uint32_t n, i, tokens;
    codec_get_u32(&k, &n);
    if (!cursor_ok(&k) || k.n % BEHIND_ENTRY || n > c->n)
        return ERR_FORMAT;
    while (k.n && out->n - start <= room) {
        codec_get_u32(&k, &i);
        codec_get_u32(&k, &tokens);
        if (i >= n)
            return ERR_FORMAT;
        const struct receipt *r = &c->receipts[i].receipt;
        if (r->stop != RECEIPT_OPEN || tokens_of(r) != tokens)
            put_one(c, i, out);
    }
    for (i = n; i < c->n && out->n - start <= room; i++)
        put_one(c, i, out);
    return out->n - start <= room ? ERR_OK : ERR_LIMIT;
}

/* One of the missing into a copy. */
static bool take_missing(struct channel *c, uint32_t i, const struct signed_receipt *r)
{
    if (i > c->n || i >= RECEIPTS_MAX || !hash_equal(&r->receipt.channel, &c->head.id) ||
        !receipt_verify(&r->receipt, &c->head.provider, &r->sig))
        return false;
    if (i < c->n && (!hash_equal(&c->receipts[i].receipt.job, &r->receipt.job) ||
                     check_growth(&c->receipts[i].receipt, &r->receipt) != ERR_OK))
        return false;
    if (i == c->n && channel_find_job(c, &r->receipt.job) != CHANNEL_NO_JOB)
        return false;
    if (i == c->n)
        append(c, r);
    else
        channel_set_receipt(c, i, r);
    return true;
}

/* What waits for its payment is what this payment must be over, as it stands. */
static bool has_pending(const struct channel *c, const struct channel *grown)
{
    if (!c->pending.is_set)
        return true;
    const struct receipt *pending = &c->receipts[c->pending.index].receipt;
    uint32_t at = channel_find_job(grown, &pending->job);
    return at != CHANNEL_NO_JOB && receipt_equal(&grown->receipts[at].receipt, pending);
}

enum err channel_catch_up(const struct channel *c, struct bytes missing, const struct voucher *v, const struct sig *sig,
                          channel_proves_fn proves, void *arg, struct channel *out)
{
    struct cursor k = cursor_of(missing);
    bool good = true;
    channel_copy_kept(c, out);
    while (good && k.n) {
        struct signed_receipt r;
        uint32_t i;
        codec_get_u32(&k, &i);
        signed_receipt_get(&k, &r);
        good = cursor_ok(&k) && take_missing(out, i, &r) && proves(arg, &r.receipt);
    }
    enum err e = good && has_pending(c, out) ? channel_take(out, v, sig) : ERR_MISMATCH;
    if (e == ERR_OK)
        return ERR_OK;
    channel_clear(out);
    return e == ERR_FUNDS ? e : ERR_MISMATCH;
}

void channel_replace(struct channel *c, struct channel *from)
{
    channel_clear(c);
    *c = *from;
    *from = (struct channel){0};
}

struct amount channel_unsettled(const struct channel *c)
{
    return c->head.promised ? difference(c->head.voucher.cumulative, c->head.settled) : amount_of(0);
}

struct amount channel_left(const struct channel *c)
{
    return c->head.promised ? difference(c->head.funded, c->head.voucher.cumulative) : c->head.funded;
}

struct hash channel_top(const struct channel *c)
{
    struct sum_node top = {0};
    CHECK(receipt_tree_top(&c->tree, &top));
    return top.hash;
}

enum err channel_prove(const struct channel *c, uint32_t index, struct buf *proof)
{
    return receipt_tree_prove(&c->tree, index, proof) ? ERR_OK : ERR_RANGE;
}

/* -- on disk: 'h' SIDE id -> head, 'r' SIDE id index (big-endian, so that a scan is in order) -> receipt -- */

#define HEAD_KEY_SIZE    34
#define RECEIPT_KEY_SIZE 38

static void head_key(uint8_t key[HEAD_KEY_SIZE], uint8_t kind, uint8_t side, const struct hash *id)
{
    key[0] = kind;
    key[1] = side;
    memcpy(key + 2, id->b, sizeof id->b);
}

static void receipt_key(uint8_t key[RECEIPT_KEY_SIZE], uint8_t side, const struct hash *id, uint32_t index)
{
    head_key(key, 'r', side, id);
    for (int i = 0; i < 4; i++)
        key[HEAD_KEY_SIZE + i] = (uint8_t)(index >> (24 - 8 * i));
}

void channel_store(const struct channel *c, uint8_t side, uint32_t index, struct kv_batch *batch)
{
    uint8_t key[RECEIPT_KEY_SIZE];
    struct buf value = {0};
    head_key(key, 'h', side, &c->head.id);
    channel_head_put(&value, &c->head);
    kv_batch_put(batch, bytes_of(key, HEAD_KEY_SIZE), bytes_of_buf(&value));
    uint32_t from = index == CHANNEL_ALL ? 0 : index, to = index == CHANNEL_ALL ? c->n : index + 1;
    for (uint32_t i = from; index != CHANNEL_NO_JOB && i < to; i++) {
        CHECK(i < c->n);
        buf_reset(&value);
        receipt_key(key, side, &c->head.id, i);
        signed_receipt_put(&value, &c->receipts[i]);
        kv_batch_put(batch, bytes_of(key, RECEIPT_KEY_SIZE), bytes_of_buf(&value));
    }
    buf_clear(&value);
}

void channel_forget(const struct channel *c, uint8_t side, struct kv_batch *batch)
{
    uint8_t key[RECEIPT_KEY_SIZE];
    head_key(key, 'h', side, &c->head.id);
    kv_batch_delete(batch, bytes_of(key, HEAD_KEY_SIZE));
    for (uint32_t i = 0; i < c->n; i++) {
        receipt_key(key, side, &c->head.id, i);
        kv_batch_delete(batch, bytes_of(key, RECEIPT_KEY_SIZE));
    }
}

struct load {
    struct kv *kv;
    uint8_t side;
    struct channel *channel;
    channel_loaded_fn fn;
    void *arg;
    struct note *note;
    enum err e;
};

static bool load_receipt(void *arg, struct bytes key, struct bytes value)
{
    struct load *l = arg;
    struct signed_receipt r;
    struct cursor c = cursor_of(value);
    uint32_t index;
    signed_receipt_get(&c, &r);
    if (!cursor_end(&c) || channel_put_receipt(l->channel, &r, &index) != ERR_OK)
        l->e = stored_broken(l->note, "receipt of channel", bytes_of(key.p + 2, key.n - 2));
    channel_keep(l->channel);
    return l->e == ERR_OK;
}

static bool load_channel(void *arg, struct bytes key, struct bytes value)
{
    struct load *l = arg;
    struct channel_head head;
    uint8_t prefix[HEAD_KEY_SIZE];
    struct cursor c = cursor_of(value);
    channel_head_get(&c, &head);
    if (!cursor_end(&c)) {
        l->e = stored_broken(l->note, "channel", bytes_of(key.p + 2, key.n - 2));
        return false;
    }
    l->channel = mem_new(sizeof *l->channel);
    channel_init(l->channel, &head);
    head_key(prefix, 'r', l->side, &head.id);
    enum err e = kv_scan(l->kv, bytes_of(prefix, sizeof prefix), load_receipt, l, l->note);
    if (l->e == ERR_OK)
        l->e = e;
    if (l->e != ERR_OK) {
        channel_clear(l->channel);
        free(l->channel);
        return false;
    }
    l->fn(l->arg, l->channel);
    return true;
}

enum err channel_load(struct kv *kv, uint8_t side, channel_loaded_fn fn, void *arg, struct note *note)
{
    struct load l = {.kv = kv, .side = side, .fn = fn, .arg = arg, .note = note};
    uint8_t prefix[2] = {'h', side};
    enum err e = kv_scan(kv, bytes_of(prefix, sizeof prefix), load_channel, &l, note);
    return l.e != ERR_OK ? l.e : e;
}
