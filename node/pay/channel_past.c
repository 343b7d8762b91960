/* A paying channel's earlier receipts, and the trees that were settled. */
#include "node/pay/channel_past.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(past_receipt, PAST_RECEIPT_FIELDS)

#define PREFIX_SIZE 33
#define KEY_SIZE    (PREFIX_SIZE + 8)

static void key_of(uint8_t key[KEY_SIZE], const struct hash *channel, uint64_t number)
{
    key[0] = 'p';
    memcpy(key + 1, channel->b, sizeof channel->b);
    for (int i = 0; i < 8; i++) /* big-endian: a scan is in order */
        key[PREFIX_SIZE + i] = (uint8_t)(number >> (56 - 8 * i));
}

void channel_past_add(struct channel *c, struct kv_batch *batch)
{
    uint8_t key[KEY_SIZE];
    struct buf value = {0};
    if (!c->pending.is_set || c->pending.is_new ||
        receipt_equal(&c->pending.was.receipt, &c->receipts[c->pending.index].receipt))
        return;
    const struct past_receipt p = {.index = c->pending.index,
                                   .receipts = c->n,
                                   .tokens = c->head.voucher.tokens_in + c->head.voucher.tokens_out,
                                   .was = c->pending.was};
    past_receipt_put(&value, &p);
    key_of(key, &c->head.id, c->past_next);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    if (c->past_next >= CHANNEL_PAST_MAX) {
        key_of(key, &c->head.id, c->past_next - CHANNEL_PAST_MAX);
        kv_batch_delete(batch, bytes_of(key, sizeof key));
    }
    c->past_next++;
    buf_clear(&value);
}

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    const struct channel_list *l = arg;
    struct hash id;
    uint64_t number = 0;
    (void)value;
    if (key.n != KEY_SIZE)
        return true;
    memcpy(id.b, key.p + 1, sizeof id.b);
    for (int i = 0; i < 8; i++)
        number = number << 8 | key.p[PREFIX_SIZE + i];
    struct channel *c = channel_list_find(l, &id);
    if (c)
        c->past_next = number + 1;
    return true;
}

enum err channel_past_load(struct kv *kv, const struct channel_list *l, struct note *note)
{
    return kv_scan(kv, bytes_of("p", 1), load_one, (void *)(uintptr_t)l, note);
}

/* -- going back -- */

struct past {
    struct past_receipt *at;
    size_t n, room;
    bool is_broken;
};

static bool read_one(void *arg, struct bytes key, struct bytes value)
{
    struct past *p = arg;
    struct past_receipt r;
    struct cursor c = cursor_of(value);
    (void)key;
    past_receipt_get(&c, &r);
    p->is_broken = !cursor_end(&c);
    if (p->is_broken)
        return false;
    if (p->n == p->room) {
        p->room = p->room ? 2 * p->room : 64;
        p->at = mem_resize(p->at, p->room, sizeof *p->at);
    }
    p->at[p->n++] = r;
    return true;
}

/* Is that what this state of the channel comes to? */
static bool is_settled(const struct channel *c, uint32_t index, const struct rec_settlement *s, struct buf *proof)
{
    const size_t start = proof->n;
    const struct sum_node leaf = sum_leaf(&c->receipts[index].receipt);
    if (channel_prove(c, index, proof) == ERR_OK &&
        sum_tree_verify(&s->receipts_root, s->count, index, &leaf, bytes_of(proof->p + start, proof->n - start)))
        return true;
    proof->n = start;
    return false;
}

/* Back from what is now, receipt by receipt; only states of as many receipts as were settled can be it. */
static bool go_back(struct channel *c, const struct past *p, uint32_t index, const struct rec_settlement *s,
                    struct buf *proof)
{
    bool found = is_settled(c, index, s, proof);
    for (size_t i = p->n; !found && i-- > 0 && p->at[i].receipts >= s->count;) {
        const struct past_receipt *was = &p->at[i];
        if (was->index < s->count)
            channel_set_receipt(c, was->index, &was->was);
        bool is_later = i > 0 && p->at[i - 1].receipts > s->count;
        found = !is_later && is_settled(c, index, s, proof);
    }
    return found;
}

enum err channel_past_find(struct kv *kv, const struct channel *c, const struct rec_settlement *s, uint32_t index,
                           struct signed_receipt *out, struct buf *proof)
{
    uint8_t prefix[KEY_SIZE];
    struct past past = {0};
    struct channel then;
    channel_copy_kept(c, &then);
    key_of(prefix, &c->head.id, 0);
    enum err e = kv_scan(kv, bytes_of(prefix, PREFIX_SIZE), read_one, &past, NULL);
    if (e == ERR_OK && past.is_broken)
        e = ERR_CORRUPT;
    if (e == ERR_OK && (index >= s->count || s->count > then.n))
        e = ERR_MISMATCH;
    if (e == ERR_OK) {
        channel_cut(&then, s->count);
        e = go_back(&then, &past, index, s, proof) ? ERR_OK : ERR_MISMATCH;
    }
    if (e == ERR_OK)
        *out = then.receipts[index];
    channel_clear(&then);
    free(past.at);
    return e;
}

/* -- forgetting -- */

struct drop {
    uint64_t tokens;
    struct kv_batch batch;
};

static bool drop_one(void *arg, struct bytes key, struct bytes value)
{
    struct drop *d = arg;
    struct past_receipt r;
    struct cursor c = cursor_of(value);
    past_receipt_get(&c, &r);
    if (cursor_end(&c) && r.tokens > d->tokens)
        return false; /* and so are all behind it */
    kv_batch_delete(&d->batch, key);
    return true;
}

void channel_past_drop(struct kv *kv, const struct hash *channel, uint64_t tokens)
{
    uint8_t prefix[KEY_SIZE];
    struct drop d = {.tokens = tokens};
    key_of(prefix, channel, 0);
    if (kv_scan(kv, bytes_of(prefix, PREFIX_SIZE), drop_one, &d, NULL) != ERR_OK ||
        (d.batch.count && kv_write(kv, &d.batch, false, NULL) != ERR_OK))
        log_event(LOG_ODD, "jobs", "earlier receipts stay", "the store refused to drop them");
    kv_batch_clear(&d.batch);
}
