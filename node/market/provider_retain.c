/* What a provider keeps, and until when. Nothing goes that a dispute may still need:
 *
 * - A transcript stays while its job is served; while its channel is on the ledger, but for a finished receipt that was
 * settled and lies before the last of those; and while a settlement in escrow is over it.
 * - Receipts as settled stay while that settlement is in escrow, or may still get into a block.
 * - Of channels that are over CHANNELS_OVER_KEPT stay, for their owner to look at; what the others earned is added up.
 *
 * All else of a transcript is of no use but to a thief. A pass through all of them is made in steps, in the loop's
 * turns between others' work. A step decides by the ledger as it is then, whose blocks are final, and what it takes out
 * it takes out in one batch: a process that ends in between has forgotten nothing but where it was.
 *
 * A ledger that begins anew (its folder was lost) lacks what it will have again. So the height that it had is kept, and
 * nothing goes until it has that once more. */
#include "node/market/provider_in.h"

#include "base/limits.h"
#include "base/log.h"

#include <string.h>

#define RETAIN_EVERY_MS   30000
#define RETAIN_AGAIN_MS   100 /* between two steps of a pass */
#define RETAIN_STEP       64
#define RETAIN_STEP_BYTES (1u << 20)

static const struct bytes mark_key = {(const uint8_t *)"k", 1}, earned_key = {(const uint8_t *)"e", 1};

/* One step over the store's keys. */
struct look {
    struct provider *p;
    struct kv_batch drop;
    unsigned n;
    size_t bytes;
    bool more;
};

/* -- what is needed -- */

static bool is_served(const struct provider *p, const struct hash *channel, const struct hash *job)
{
    const struct serving *v = p->serving;
    while (v && !(hash_equal(&v->job, job) && hash_equal(&v->channel->head.id, channel)))
        v = v->next;
    return v != NULL;
}

static bool needs_transcript(const struct provider *p, const struct hash *channel, const struct hash *job)
{
    struct rec_channel rec;
    const struct escrow *e = &p->retain.escrow;
    const struct channel *c = channel_list_find(&p->channels, channel);
    uint32_t i = c ? channel_find_job(c, job) : CHANNEL_NO_JOB;
    if (is_served(p, channel, job))
        return true;
    if (i == CHANNEL_NO_JOB) /* one that the payer may have, or that went with its channel */
        return ledger_channel(p->s.ledger, channel, &rec) || escrow_has_channel(e, channel);
    bool may_grow = c->receipts[i].receipt.stop == RECEIPT_OPEN && ledger_channel(p->s.ledger, channel, &rec);
    return may_grow || escrow_may_ask(e, p->s.ledger, channel, i);
}

/* Receipts as they were settled, or were about to be: of a settlement that is sent and in no block, the sum says
 * whether one may still take it. A broken record is nobody's. */
static bool needs_receipts(const struct provider *p, const struct hash *root, struct bytes value)
{
    struct rec_channel rec;
    struct signed_receipt r = {0};
    struct amount sum = {0};
    struct cursor c = cursor_of(value);
    if (escrow_has_root(&p->retain.escrow, root))
        return true;
    while (c.n) {
        signed_receipt_get(&c, &r);
        if (!cursor_ok(&c) || !amount_add(&sum, sum, r.receipt.price))
            return false;
    }
    return ledger_channel(p->s.ledger, &r.receipt.channel, &rec) && amount_compare(sum, rec.settled) > 0;
}

/* -- a step -- */

static bool look_at(void *arg, struct bytes key, struct bytes value)
{
    struct look *l = arg;
    struct provider_retain *t = &l->p->retain;
    struct hash first, second = {{0}};
    if (l->n == RETAIN_STEP || l->bytes > RETAIN_STEP_BYTES) {
        buf_reset(&t->from);
        buf_add(&t->from, key.p, key.n);
        l->more = true;
        return false;
    }
    l->n++;
    l->bytes += value.n;
    bool is_transcript = key.p[0] == 't';
    if (key.n != (is_transcript ? 65u : 33u))
        return true;
    memcpy(first.b, key.p + 1, sizeof first.b);
    if (is_transcript)
        memcpy(second.b, key.p + 33, sizeof second.b);
    if (is_transcript ? needs_transcript(l->p, &first, &second) : needs_receipts(l->p, &first, value)) {
        t->pass.transcripts += is_transcript;
        t->pass.bytes += value.n;
    } else {
        kv_batch_delete(&l->drop, key);
        t->dropped += is_transcript;
    }
    return true;
}

/* True: there is more under this prefix. */
static bool look_on(struct provider *p)
{
    struct look l = {.p = p};
    const uint8_t prefix = p->retain.from.p[0];
    enum err e = kv_scan_from(p->s.kv, bytes_of(&prefix, 1), bytes_of_buf(&p->retain.from), look_at, &l, NULL);
    if (e == ERR_OK && l.drop.count)
        e = kv_write(p->s.kv, &l.drop, false, NULL);
    if (e != ERR_OK)
        log_event(LOG_ODD, "provider", "old transcripts stay", "error=%s", err_name(e));
    kv_batch_clear(&l.drop);
    return l.more && e == ERR_OK;
}

/* One channel that is over, if there are more than are kept. */
static bool forget_one(struct provider *p)
{
    struct rec_channel rec;
    struct channel *found = NULL;
    size_t over = 0;
    for (size_t i = 0; i < p->channels.n; i++) {
        struct channel *c = p->channels.at[i];
        if (ledger_channel(p->s.ledger, &c->head.id, &rec) || escrow_has_channel(&p->retain.escrow, &c->head.id) ||
            provider_serves(p, c))
            continue;
        over++;
        found = c;
    }
    return over > CHANNELS_OVER_KEPT && provider_forget(p, found);
}

/* False: the pass is over. */
static bool pass_on(struct provider *p)
{
    struct provider_retain *t = &p->retain;
    if (t->from.n == 0)
        buf_add(&t->from, "t", 1);
    if (look_on(p))
        return true;
    bool was_last = t->from.p[0] == 'v';
    buf_reset(&t->from);
    if (!was_last) {
        buf_add(&t->from, "v", 1);
        return true;
    }
    if (forget_one(p)) {
        buf_add(&t->from, "v", 1);
        return true;
    }
    t->kept = t->pass;
    t->pass = (struct provider_kept){0};
    return false;
}

static void store_mark(struct provider *p, uint64_t height)
{
    struct kv_batch batch = {0};
    uint8_t raw[8];
    store_le64(raw, height);
    kv_batch_put(&batch, mark_key, bytes_of(raw, sizeof raw));
    if (kv_write(p->s.kv, &batch, false, NULL) == ERR_OK)
        p->retain.mark = height;
    kv_batch_clear(&batch);
}

static void on_timer(void *arg)
{
    struct provider *p = arg;
    bool more = provider_retain_step(p);
    host_timer_set(p->s.host, &p->retain.timer, more ? RETAIN_AGAIN_MS : RETAIN_EVERY_MS, on_timer, p);
}

bool provider_retain_step(struct provider *p)
{
    struct provider_retain *t = &p->retain;
    uint64_t height = ledger_info(p->s.ledger).height;
    if (height < t->mark)
        return false;
    if (height > t->mark)
        store_mark(p, height);
    if (height != t->escrow_height || !t->has_escrow)
        escrow_read(&t->escrow, p->s.ledger, &p->s.self);
    t->escrow_height = height;
    t->has_escrow = true;
    return pass_on(p);
}

/* -- what was earned over channels that are forgotten -- */

void provider_put_earned(struct provider *p, const struct channel *c, struct kv_batch *batch)
{
    uint8_t raw[8];
    (void)!amount_add(&p->retain.earned, p->retain.earned, c->head.settled);
    store_le64(raw, p->retain.earned.mote);
    kv_batch_put(batch, earned_key, bytes_of(raw, sizeof raw));
}

static uint64_t read_number(struct provider *p, struct bytes key)
{
    struct buf value = {0};
    uint64_t n = kv_get(p->s.kv, key, &value, NULL) == ERR_OK && value.n == 8 ? load_le64(value.p) : 0;
    buf_clear(&value);
    return n;
}

void provider_retain_start(struct provider *p)
{
    p->retain.mark = read_number(p, mark_key);
    p->retain.earned = amount_of(read_number(p, earned_key));
    host_timer_set(p->s.host, &p->retain.timer, RETAIN_AGAIN_MS, on_timer, p);
}

void provider_retain_stop(struct provider *p)
{
    host_timer_cancel(p->s.host, &p->retain.timer);
    escrow_clear(&p->retain.escrow);
    buf_clear(&p->retain.from);
}

struct provider_kept provider_kept(const struct provider *p)
{
    struct provider_kept k = p->retain.kept;
    k.dropped = p->retain.dropped;
    return k;
}

struct amount provider_earned_before(const struct provider *p)
{
    return p->retain.earned;
}
