#include "node/consensus/history.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(history_entry, HISTORY_ENTRY_FIELDS)
RECORD_DEFINE(history_span, HISTORY_SPAN_FIELDS)

struct history {
    struct kv *kv;
    struct history_span span;
};

#define KEY_ACCOUNT (1 + sizeof(struct pubkey))
#define KEY_SIZE    (KEY_ACCOUNT + 8 + 4)

const char *history_text(uint8_t what)
{
    switch (what) {
#define H(number, name, sign, text)                                                                                    \
    case number:                                                                                                       \
        return text;
        HISTORY_LIST(H)
#undef H
    }
    return "?";
}

static struct bytes key_of(uint8_t key[KEY_SIZE], const struct pubkey *account, uint64_t height, uint32_t place)
{
    key[0] = KV_HISTORY;
    memcpy(key + 1, account->b, sizeof account->b);
    store_be64(key + KEY_ACCOUNT, UINT64_MAX - height);
    store_be32(key + KEY_ACCOUNT + 8, UINT32_MAX - place);
    return bytes_of(key, KEY_SIZE);
}

static const uint8_t span_key[1] = {KV_HISTORY};

enum err history_open(struct kv *kv, uint64_t height, struct history **out, struct note *note)
{
    struct buf raw = {0};
    struct history_span kept = {0};
    enum err e = kv_get(kv, bytes_of(span_key, sizeof span_key), &raw, note);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    if (e == ERR_OK)
        history_span_get(&c, &kept);
    bool goes_on = e == ERR_OK && cursor_end(&c) && kept.to == height;
    buf_clear(&raw);
    struct history *h = mem_new(sizeof *h);
    h->kv = kv;
    h->span = goes_on ? kept : (struct history_span){height + 1, height};
    *out = h;
    return ERR_OK;
}

void history_close(struct history *h)
{
    free(h);
}

uint64_t history_from(const struct history *h)
{
    return h->span.from;
}

/* -- writing -- */

/* What a transaction's events say of it. */
struct about {
    struct hash tx; /* zero where the bytes are none */
    struct text64 memo;
};

struct writer {
    struct kv_batch *batch;
    const struct consensus_block *block;
    uint32_t place;
    struct about *about; /* by transaction */
    struct buf raw;      /* the entry that is being encoded */
};

static void add(struct writer *w, const struct pubkey *account, struct history_entry *e)
{
    uint8_t key[KEY_SIZE];
    buf_reset(&w->raw);
    e->time_ms = w->block->header->time_ms;
    e->height = w->block->header->height;
    e->place = w->place++;
    history_entry_put(&w->raw, e);
    kv_batch_put(w->batch, key_of(key, account, e->height, e->place), bytes_of_buf(&w->raw));
}

/* The bodies that say how much and with whom. */
static void fill_from_body(struct history_entry *e, const struct tx *t)
{
    struct cursor c = cursor_of(t->body);
    struct tx_transfer transfer;
    struct tx_bond bond;
    struct tx_channel_open open;
    struct tx_channel_topup topup;
    struct tx_model_publish publish;
    switch (t->kind) {
    case TX_TRANSFER:
        tx_transfer_get(&c, &transfer);
        e->amount = transfer.amount;
        e->other = transfer.to;
        e->memo = transfer.memo;
        break;
    case TX_BOND:
    case TX_UNBOND: /* the same fields */
        tx_bond_get(&c, &bond);
        e->amount = bond.amount;
        break;
    case TX_CHANNEL_OPEN:
        tx_channel_open_get(&c, &open);
        e->amount = open.amount;
        e->subject = open.model;
        e->other = open.provider;
        break;
    case TX_CHANNEL_TOPUP:
        tx_channel_topup_get(&c, &topup);
        e->amount = topup.amount;
        e->subject = topup.channel;
        break;
    case TX_MODEL_PUBLISH:
        tx_model_publish_get(&c, &publish);
        e->subject = publish.root;
        e->memo = publish.name;
        break;
    }
}

static void add_tx(struct writer *w, uint32_t i)
{
    struct tx t;
    struct history_entry e = {.what = HISTORY_TX};
    if (tx_decode(w->block->txs[i], &t, NULL) != ERR_OK)
        return;
    e.tx = tx_id_of(w->block->txs[i]);
    e.code = t.kind;
    e.fee = t.fee;
    e.result = (uint32_t)w->block->result->codes[i];
    fill_from_body(&e, &t);
    w->about[i] = (struct about){e.tx, e.memo};
    add(w, &t.signer, &e);
}

/* What an event is to the account that it concerns; false if it moves nobody's money. */
static bool entry_of_event(const struct ledger_event *ev, struct history_entry *e, const struct pubkey **account)
{
    e->amount = ev->amount;
    e->code = ev->code;
    *account = &ev->a;
    switch (ev->kind) {
    case LEDGER_TRANSFER:
        e->what = HISTORY_RECEIVED;
        e->other = ev->a;
        *account = &ev->b;
        return true;
    case LEDGER_PAYOUT:
        e->what = HISTORY_PAYOUT;
        e->subject = ev->other;
        return true;
    case LEDGER_CHANNEL_CLOSED:
        e->what = HISTORY_CHANNEL_REST;
        e->subject = ev->other;
        e->other = ev->b;
        return ev->amount.mote > 0;
    case LEDGER_FORFEITED:
        e->what = HISTORY_FORFEITED;
        e->other = ev->b;
        return true;
    case LEDGER_SLASHED:
        e->what = HISTORY_SLASHED;
        return true;
    case LEDGER_UNBONDED:
        e->what = HISTORY_BOND_RETURNED;
        return true;
    case LEDGER_GRANT_PAID:
    case LEDGER_BOUNTY_PAID:
        e->what = ev->kind == LEDGER_GRANT_PAID ? HISTORY_GRANT_PAID : HISTORY_BOUNTY_PAID;
        e->subject = ev->other;
        e->other = ev->a;
        *account = &ev->b;
        return true;
    case LEDGER_GRANT_REFUNDED:
    case LEDGER_GRANT_DISPUTED:
        e->what = HISTORY_GRANT_BACK;
        e->subject = ev->other;
        e->other = ev->b;
        return true;
    case LEDGER_BOUNTY_RETURNED:
        e->what = HISTORY_BOUNTY_BACK;
        return true;
    default:
        return false;
    }
}

void history_store(void *history, const struct consensus_block *block, struct kv_batch *batch)
{
    struct history *h = history;
    const struct ledger_result *r = block->result;
    struct writer w = {.batch = batch, .block = block, .about = mem_array(r->n + 1, sizeof *w.about)};
    for (uint32_t i = 0; i < r->n; i++)
        add_tx(&w, i);
    for (uint32_t i = 0; i < r->events_n; i++) {
        const struct ledger_event *ev = &r->events[i];
        const struct pubkey *account;
        struct history_entry e = {0};
        if (!entry_of_event(ev, &e, &account))
            continue;
        if (ev->tx != LEDGER_NO_TX)
            e.tx = w.about[ev->tx].tx;
        if (ev->kind == LEDGER_TRANSFER && ev->tx != LEDGER_NO_TX) /* the memo is in the body alone */
            e.memo = w.about[ev->tx].memo;
        add(&w, account, &e);
    }
    if (block->header->height != h->span.to + 1) /* the state before it came as a snapshot */
        h->span.from = block->header->height;
    h->span.to = block->header->height;
    buf_reset(&w.raw);
    history_span_put(&w.raw, &h->span);
    kv_batch_put(batch, bytes_of(span_key, sizeof span_key), bytes_of_buf(&w.raw));
    buf_clear(&w.raw);
    free(w.about);
}

/* -- reading -- */

struct reader {
    struct history_entry *out;
    uint32_t n, count;
    struct history_place before;
    bool is_bad;
};

static bool read_entry(void *arg, struct bytes key, struct bytes value)
{
    struct reader *r = arg;
    struct history_entry e;
    struct cursor c = cursor_of(value);
    (void)key;
    history_entry_get(&c, &e);
    if (!cursor_end(&c)) {
        r->is_bad = true;
        return false;
    }
    if (e.height == r->before.height && e.place == r->before.place)
        return true;
    r->out[r->count++] = e;
    return r->count < r->n;
}

enum err history_read(const struct history *h, const struct pubkey *account, struct history_place before,
                      struct history_entry *out, uint32_t n, uint32_t *count, struct note *note)
{
    uint8_t key[KEY_SIZE];
    struct reader r = {.out = out, .n = n, .before = before};
    struct bytes from = key_of(key, account, before.height, before.place);
    enum err e = n ? kv_scan_from(h->kv, bytes_of(key, KEY_ACCOUNT), from, read_entry, &r, note) : ERR_OK;
    *count = r.count;
    if (e == ERR_OK && r.is_bad)
        return note_set(note, ERR_CORRUPT, "an entry of the history does not decode");
    return e;
}
