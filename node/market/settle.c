/* Settlements and transcripts. What is owed to an auditor is read from the ledger at the start, so a
 * restart forgets nothing. */
#include "node/market/settle.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/market/show.h"

#include <stdlib.h>
#include <string.h>

/* A channel whose settlement is on its way to a block. */
struct going {
    struct settle *settle;
    struct going *next;
    struct hash channel;
};

struct settle {
    struct market_services s;
    struct provider *provider;
    uint64_t every_ms;
    struct timer timer;
    struct going *going;
    struct shows shows;
    market_settling_fn on_settling;
    void *on_settling_arg;
};

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

/* Still drawn, and without that auditor's verdict? */
static bool is_owed(void *arg, const struct show *x)
{
    struct settle *t = arg;
    struct rec_settlement rec;
    if (!ledger_settlement(t->s.ledger, &x->id, &rec) ||
        (rec.state != SETTLEMENT_DRAWN && rec.state != SETTLEMENT_REVEALING))
        return false;
    for (uint32_t i = 0; i < settlement_audits(&rec); i++) {
        struct audit_draw d = settlement_audit_at(&rec, i);
        if (pubkey_equal(&d.auditor, &x->to) && d.index == x->index && d.round == rec.round)
            return d.verdict == AUDIT_PENDING;
    }
    return false;
}

static bool put_show(struct settle *s, const struct channel *c, uint32_t index, struct buf *plain)
{
    struct buf raw = {0}, receipt = {0}, proof = {0};
    struct transcript t;
    const struct signed_receipt *r = &c->receipts[index];
    bool good = provider_transcript(s->provider, &c->head.id, &r->receipt.job, &raw, &t) == ERR_OK &&
                channel_prove(c, index, &proof) == ERR_OK;
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

enum err settle_show(struct settle *t, const struct hash *settlement, uint32_t index, struct buf *plain)
{
    struct rec_settlement rec;
    struct channel settled, *c = NULL;
    if (ledger_settlement(t->s.ledger, settlement, &rec))
        c = provider_channel(t->provider, &rec.channel);
    if (!c)
        return ERR_NOT_FOUND;
    enum err e = snapshot_read(t, &c->head, &rec.receipts_root, &settled);
    if (e == ERR_OK && (index >= settled.n || !put_show(t, &settled, index, plain)))
        e = ERR_NOT_FOUND;
    channel_clear(&settled);
    return e;
}

static enum err put_owed(void *arg, const struct show *x, struct buf *plain)
{
    return settle_show(arg, &x->id, x->index, plain);
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
        shows_add(&t->shows, &e->id, &e->a, e->index);
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
            shows_add(&t->shows, &rec->id, &d.auditor, d.index);
    }
    return true;
}

struct settle *settle_new(const struct market_services *s, struct provider *provider, uint64_t every_ms)
{
    struct settle *t = mem_new(sizeof *t);
    *t = (struct settle){.s = *s, .provider = provider, .every_ms = every_ms};
    t->shows = (struct shows){.s = &t->s, .is_owed = is_owed, .put = put_owed, .arg = t};
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
    shows_clear(&t->shows);
    while (t->going) {
        struct going *g = t->going;
        t->going = g->next;
        free(g);
    }
    free(t);
}
