/* Settlements and transcripts. What is owed to an auditor is read from the ledger at the start, so a
 * restart forgets nothing. */
#include "node/market/settle.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SHOW_AGAIN_MS 2000

/* A channel whose settlement is on its way to a block. */
struct going {
    struct settle *settle;
    struct going *next;
    struct hash channel;
};

/* A transcript that an auditor is owed. */
struct show {
    struct settle *settle;
    struct show *next;
    struct hash settlement, channel;
    struct pubkey auditor;
    uint32_t index;
    uint64_t stream; /* 0: not open */
    struct timer timer;
};

struct settle {
    struct market_services s;
    struct provider *provider;
    uint64_t every_ms;
    struct timer timer;
    struct going *going;
    struct show *shows;
    market_settling_fn on_settling;
    void *on_settling_arg;
};

static const struct stream_calls show_calls;

/* -- the receipts as they were settled: the channel goes on, the drawn tree does not -- */

#define SNAPSHOT_KEY_SIZE 33

static void snapshot_key(uint8_t key[SNAPSHOT_KEY_SIZE], const struct hash *receipts_root)
{
    key[0] = 'v';
    memcpy(key + 1, receipts_root->b, sizeof receipts_root->b);
}

static enum err snapshot_write(struct settle *t, const struct channel *c)
{
    uint8_t key[SNAPSHOT_KEY_SIZE];
    struct buf value = {0};
    struct kv_batch batch = {0};
    for (uint32_t i = 0; i < c->n; i++)
        signed_receipt_put(&value, &c->receipts[i]);
    snapshot_key(key, &c->head.voucher.receipts_root);
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    enum err e = kv_write(t->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    buf_clear(&value);
    return e;
}

/* As a channel that nobody pays through; cleared by the caller. */
static enum err snapshot_read(struct settle *t, const struct channel_head *head, const struct hash *receipts_root,
                              struct channel *out)
{
    uint8_t key[SNAPSHOT_KEY_SIZE];
    struct buf value = {0};
    channel_init(out, head);
    snapshot_key(key, receipts_root);
    enum err e = kv_get(t->s.kv, bytes_of(key, sizeof key), &value, NULL);
    struct cursor c = cursor_of(bytes_of_buf(&value));
    while (e == ERR_OK && c.n) {
        struct signed_receipt r;
        uint32_t index;
        signed_receipt_get(&c, &r);
        e = cursor_ok(&c) ? channel_put_receipt(out, &r, &index) : ERR_CORRUPT;
        channel_keep(out);
    }
    buf_clear(&value);
    return e;
}

static void snapshot_drop(struct settle *t, const struct hash *receipts_root)
{
    uint8_t key[SNAPSHOT_KEY_SIZE];
    struct kv_batch batch = {0};
    snapshot_key(key, receipts_root);
    kv_batch_delete(&batch, bytes_of(key, sizeof key));
    if (kv_write(t->s.kv, &batch, false, NULL) != ERR_OK)
        log_event(LOG_ODD, "settle", "snapshot stays", "the store refused to drop it");
    kv_batch_clear(&batch);
}

/* -- settling -- */

static void settle_one(void *arg, struct channel *c);

/* Takes over what the ledger says is settled. Of a channel that is about to end the voucher may have grown while this
 * settlement was on its way, and later is too late. */
static void take_settled(struct settle *t, const struct hash *channel, bool good)
{
    struct rec_channel rec;
    struct channel *c = provider_channel(t->provider, channel);
    if (good && c && ledger_channel(t->s.ledger, channel, &rec) && rec.closes_ms)
        settle_one(t, c);
}

static void on_settled(void *arg, enum err e, const struct hash *id, const struct note *note)
{
    struct going *g = arg;
    (void)id;
    if (e != ERR_OK)
        log_event(LOG_ODD, "settle", "refused", "error=%s why=%s", err_name(e), note ? note->text : "");
    for (struct going **at = &g->settle->going; *at; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            break;
        }
    take_settled(g->settle, &g->channel, e == ERR_OK);
    free(g);
}

static bool is_going(const struct settle *t, const struct hash *channel)
{
    for (const struct going *g = t->going; g; g = g->next)
        if (hash_equal(&g->channel, channel))
            return true;
    return false;
}

static void settle_channel(struct settle *t, const struct channel *c)
{
    struct buf body = {0};
    struct tx_channel_settle tx = {.voucher = c->head.voucher, .payer_sig = c->head.payer_sig};
    if (snapshot_write(t, c) != ERR_OK)
        return;
    tx.sum_top = channel_top(c);
    tx_channel_settle_put(&body, &tx);
    struct going *g = mem_new(sizeof *g);
    *g = (struct going){.settle = t, .next = t->going, .channel = c->head.id};
    t->going = g;
    if (t->on_settling)
        t->on_settling(t->on_settling_arg, &c->head.id, channel_unsettled(c));
    account_send(t->s.account, TX_CHANNEL_SETTLE, bytes_of_buf(&body), on_settled, g);
    buf_clear(&body);
}

static void settle_one(void *arg, struct channel *c)
{
    struct settle *t = arg;
    struct rec_channel rec;
    if (is_going(t, &c->head.id) || !ledger_channel(t->s.ledger, &c->head.id, &rec))
        return;
    (void)provider_channel(t->provider, &c->head.id);
    if (channel_unsettled(c).mote == 0)
        return;
    /* Without a receipt that waits for its payment: the voucher is not over that one. */
    struct channel kept;
    channel_copy_kept(c, &kept);
    settle_channel(t, &kept);
    channel_clear(&kept);
}

void settle_now(struct settle *t, market_settling_fn fn, void *arg)
{
    t->on_settling = fn;
    t->on_settling_arg = arg;
    provider_each_channel(t->provider, settle_one, t);
    t->on_settling = NULL;
}

static void on_timer(void *arg)
{
    struct settle *t = arg;
    settle_now(t, NULL, NULL);
    host_timer_set(t->s.host, &t->timer, t->every_ms, on_timer, t);
}

/* -- showing transcripts -- */

static void show_free(struct show *x)
{
    for (struct show **at = &x->settle->shows; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    if (x->stream)
        streams_close(x->settle->s.streams, x->stream, ERR_OK, "");
    host_timer_cancel(x->settle->s.host, &x->timer);
    free(x);
}

/* Still drawn, and without that auditor's verdict? */
static bool is_owed(const struct show *x)
{
    struct rec_settlement rec;
    if (!ledger_settlement(x->settle->s.ledger, &x->settlement, &rec) ||
        (rec.state != SETTLEMENT_DRAWN && rec.state != SETTLEMENT_REVEALING))
        return false;
    for (uint32_t i = 0; i < settlement_audits(&rec); i++) {
        struct audit_draw d = settlement_audit_at(&rec, i);
        if (pubkey_equal(&d.auditor, &x->auditor) && d.index == x->index && d.round == rec.round)
            return d.verdict == AUDIT_PENDING;
    }
    return false;
}

static bool put_show(const struct show *x, const struct channel *c, struct buf *plain)
{
    struct buf raw = {0}, receipt = {0}, proof = {0};
    struct transcript t;
    const struct signed_receipt *r = &c->receipts[x->index];
    bool good = provider_transcript(x->settle->provider, &x->channel, &r->receipt.job, &raw, &t) == ERR_OK &&
                channel_prove(c, x->index, &proof) == ERR_OK;
    if (good) {
        signed_receipt_put(&receipt, r);
        struct audit_show show = {.receipt = bytes_of_buf(&receipt),
                                  .proof = bytes_of_buf(&proof),
                                  .request_salt = t.request_salt,
                                  .answer_salt = t.answer_salt,
                                  .digest_salt = t.digest_salt,
                                  .request = t.request};
        good = transcript_of_receipt(&r->receipt, &t, &show.tokens, &show.digest);
        if (good)
            audit_show_put(plain, &show);
    }
    buf_clear(&raw);
    buf_clear(&receipt);
    buf_clear(&proof);
    return good;
}

static enum err seal_show(const struct show *x, const struct channel *settled, struct buf *message)
{
    struct buf plain = {0};
    job_message_start(message, AUDIT_SHOW);
    bool good = x->index < settled->n && put_show(x, settled, &plain) &&
                market_seal(&x->settle->s, &x->auditor, bytes_of_buf(&plain), message);
    buf_clear(&plain);
    return good ? ERR_OK : ERR_NOT_FOUND;
}

static enum err send_show(struct show *x)
{
    struct settle *t = x->settle;
    struct rec_settlement rec;
    struct channel settled, *c = provider_channel(t->provider, &x->channel);
    struct buf message = {0};
    if (!c || !ledger_settlement(t->s.ledger, &x->settlement, &rec))
        return ERR_NOT_FOUND;
    enum err e = snapshot_read(t, &c->head, &rec.receipts_root, &settled);
    if (e == ERR_OK)
        e = seal_show(x, &settled, &message);
    if (e == ERR_OK)
        e = streams_send(t->s.streams, x->stream, bytes_of_buf(&message));
    channel_clear(&settled);
    buf_clear(&message);
    return e;
}

/* ERR_BUSY: the connection is being made, on_opened comes back here. */
static void try_show(struct show *x)
{
    enum err e = send_show(x);
    if (e != ERR_OK && e != ERR_BUSY)
        log_event(LOG_ODD, "settle", "transcript not shown", "error=%s index=%u", err_name(e), x->index);
}

static void show_step(void *arg)
{
    struct show *x = arg;
    struct market_services *s = &x->settle->s;
    struct rec_provider rec;
    if (!is_owed(x)) {
        show_free(x);
        return;
    }
    host_timer_set(s->host, &x->timer, SHOW_AGAIN_MS, show_step, x);
    if (x->stream)
        return;
    struct buf body = {0};
    struct audit_open open = {.settlement = x->settlement, .index = x->index};
    audit_open_put(&body, &open);
    bool known = ledger_provider(s->ledger, &x->auditor, &rec) && rec.endpoint.n;
    enum err e = streams_open(s->streams, &x->auditor, known ? rec.endpoint.s : NULL, STREAM_AUDIT, bytes_of_buf(&body),
                              &show_calls, x, &x->stream);
    buf_clear(&body);
    if (e == ERR_OK) {
        try_show(x);
    } else {
        x->stream = 0;
        log_event(LOG_ODD, "settle", "auditor out of reach", "error=%s", err_name(e));
    }
}

static void on_opened(void *arg, uint64_t stream)
{
    (void)stream;
    try_show(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct show *x = arg;
    (void)stream;
    x->stream = 0;
    log_event(reason == ERR_OK ? LOG_DEBUG : LOG_ODD, "settle", "auditor closed", "reason=%s text=%s", err_name(reason),
              text);
}

static const struct stream_calls show_calls = {.opened = on_opened, .closed = on_closed};

static void add_show(struct settle *t, const struct hash *settlement, const struct hash *channel,
                     const struct pubkey *auditor, uint32_t index)
{
    struct show *x = mem_new(sizeof *x);
    *x = (struct show){.settle = t,
                       .next = t->shows,
                       .settlement = *settlement,
                       .channel = *channel,
                       .auditor = *auditor,
                       .index = index};
    t->shows = x;
    host_timer_set(t->s.host, &x->timer, 0, show_step, x);
}

enum err settle_receipt(struct settle *t, const struct hash *settlement, uint32_t index, struct signed_receipt *out,
                        struct buf *proof, struct note *note)
{
    struct rec_settlement rec;
    struct channel settled, *c = NULL;
    if (ledger_settlement(t->s.ledger, settlement, &rec))
        c = provider_channel(t->provider, &rec.channel);
    if (!c)
        return note_set(note, ERR_NOT_FOUND, "this node has no receipts of that settlement: ask its provider's node");
    enum err e = snapshot_read(t, &c->head, &rec.receipts_root, &settled);
    if (e != ERR_OK && hash_equal(&c->head.voucher.receipts_root, &rec.receipts_root)) {
        channel_clear(&settled);
        channel_copy_kept(c, &settled);
        e = ERR_OK;
    }
    const struct channel *from = &settled;
    if (e != ERR_OK)
        e = note_set(note, ERR_NOT_FOUND, "the receipts of that settlement are no longer kept here");
    else if (index >= from->n)
        e = note_set(note, ERR_NOT_FOUND, "the settlement has %u receipts", from->n);
    else if ((e = channel_prove(from, index, proof)) == ERR_OK)
        *out = from->receipts[index];
    channel_clear(&settled);
    return e;
}

void settle_on_event(struct settle *t, const struct ledger_event *e)
{
    if (e->kind == LEDGER_AUDIT_DRAWN && pubkey_equal(&e->b, &t->s.self))
        add_show(t, &e->id, &e->other, &e->a, e->index);
    struct rec_settlement rec;
    bool over = e->kind == LEDGER_FORFEITED || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER);
    if (over && ledger_settlement(t->s.ledger, &e->id, &rec) && pubkey_equal(&rec.provider, &t->s.self))
        snapshot_drop(t, &rec.receipts_root);
    if (e->kind == LEDGER_CHANNEL_CLOSING && pubkey_equal(&e->b, &t->s.self))
        settle_now(t, NULL, NULL); /* the payer leaves: take what is ours before the window ends */
}

static bool add_owed(void *arg, const struct rec_settlement *rec)
{
    struct settle *t = arg;
    for (uint32_t i = 0; pubkey_equal(&rec->provider, &t->s.self) && i < settlement_audits(rec); i++) {
        struct audit_draw d = settlement_audit_at(rec, i);
        if (d.verdict == AUDIT_PENDING && d.round == rec->round)
            add_show(t, &rec->id, &rec->channel, &d.auditor, d.index);
    }
    return true;
}

struct settle *settle_new(const struct market_services *s, struct provider *provider, uint64_t every_ms)
{
    struct settle *t = mem_new(sizeof *t);
    *t = (struct settle){.s = *s, .provider = provider, .every_ms = every_ms};
    if (every_ms)
        host_timer_set(s->host, &t->timer, every_ms, on_timer, t);
    ledger_escrow_each(s->ledger, add_owed, t);
    return t;
}

void settle_free(struct settle *t)
{
    if (!t)
        return;
    host_timer_cancel(t->s.host, &t->timer);
    while (t->shows)
        show_free(t->shows);
    while (t->going) {
        struct going *g = t->going;
        t->going = g->next;
        free(g);
    }
    free(t);
}
