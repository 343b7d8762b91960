/* The node's own transactions, one after the other. */
#include "node/pay/account.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

#define OFFER_AGAIN_MS 3000

struct waiting {
    struct waiting *next;
    enum tx_kind kind;
    struct buf body;
    account_keep_fn keep; /* NULL: nobody does */
    account_done_fn done;
    void *arg;
    struct buf tx; /* encoded; empty before it was offered */
    struct hash id;
};

struct account {
    struct host *host;
    struct ledger *ledger;
    struct seckey secret;
    struct pubkey key;
    account_submit_fn submit;
    void *arg;
    struct waiting *first, **last;
    unsigned n;
    struct timer timer;
};

static void on_timer(void *arg);

struct account *account_new(struct host *host, struct ledger *ledger, const struct seckey *key,
                            account_submit_fn submit, void *arg)
{
    struct account *a = secret_new(sizeof *a);
    a->host = host;
    a->ledger = ledger;
    a->secret = *key;
    key_derive(&a->secret, &a->key);
    a->submit = submit;
    a->arg = arg;
    a->last = &a->first;
    return a;
}

static void waiting_free(struct waiting *w)
{
    buf_clear(&w->body);
    buf_clear(&w->tx);
    free(w);
}

void account_free(struct account *a)
{
    if (!a)
        return;
    host_timer_cancel(a->host, &a->timer);
    while (a->first) {
        struct waiting *w = a->first;
        a->first = w->next;
        waiting_free(w);
    }
    secret_free(a);
}

struct pubkey account_key(const struct account *a)
{
    return a->key;
}

struct amount account_balance(const struct account *a)
{
    struct rec_account rec;
    (void)!ledger_account(a->ledger, &a->key, &rec);
    return rec.balance;
}

static void finish(struct account *a, enum err e, const struct note *note)
{
    struct waiting *w = a->first;
    a->first = w->next;
    if (!a->first)
        a->last = &a->first;
    a->n--;
    if (e != ERR_OK)
        log_event(LOG_ODD, "account", "failed", "kind=%s error=%s", tx_kind_name((uint8_t)w->kind), err_name(e));
    if (w->done)
        w->done(w->arg, e, &w->id, note);
    waiting_free(w);
}

static void build(struct account *a, struct waiting *w)
{
    struct hash chain = ledger_info(a->ledger).chain;
    uint64_t nonce = ledger_nonce(a->ledger, &a->key);
    struct tx t;
    /* Once to learn the size, which does not depend on the fee; then with it. */
    tx_build(&w->tx, &chain, &a->secret, nonce, amount_of(0), w->kind, bytes_of_buf(&w->body));
    CHECK(tx_decode(bytes_of_buf(&w->tx), &t, NULL) == ERR_OK);
    struct amount fee = tx_fee_offer(ledger_fee(a->ledger, w->tx.n, tx_work(&t)));
    buf_reset(&w->tx);
    tx_build(&w->tx, &chain, &a->secret, nonce, fee, w->kind, bytes_of_buf(&w->body));
    CHECK(tx_decode(bytes_of_buf(&w->tx), &t, NULL) == ERR_OK);
    w->id = tx_id(&t);
}

/* Offers the first that waits, until one is under way or none is left. */
static void offer_first(struct account *a)
{
    while (a->first) {
        struct note note = {{0}};
        struct waiting *w = a->first;
        enum err e = ERR_OK;
        if (w->tx.n == 0) {
            build(a, w);
            e = w->keep ? w->keep(w->arg, bytes_of_buf(&w->tx)) : ERR_OK;
        }
        if (e != ERR_OK) {
            (void)note_set(&note, e, "the transaction cannot be kept: %s", err_text(e));
            finish(a, e, &note);
            continue;
        }
        e = a->submit(a->arg, bytes_of_buf(&w->tx), &note);
        /* ERR_NONCE: the pool still holds one of ours from before a restart; a block takes it. */
        if (e == ERR_OK || e == ERR_DUPLICATE || e == ERR_BUSY || e == ERR_LIMIT || e == ERR_FULL || e == ERR_NONCE) {
            host_timer_set(a->host, &a->timer, OFFER_AGAIN_MS, on_timer, a);
            return;
        }
        finish(a, e, &note);
    }
}

/* A ledger that came as a snapshot has no results of the blocks before it; but a channel says itself that it is there.
 */
static bool find_result(const struct account *a, const struct waiting *w, struct rec_result *result)
{
    struct rec_channel rec;
    struct hash channel = tx_channel_id(&w->id);
    if (ledger_tx_result(a->ledger, &w->id, result, NULL) == ERR_OK)
        return true;
    *result = (struct rec_result){.code = ERR_OK};
    return w->kind == TX_CHANNEL_OPEN && ledger_channel(a->ledger, &channel, &rec);
}

/* In a block already? Then its asker is told. */
static bool settle_first(struct account *a)
{
    struct rec_result result;
    struct waiting *w = a->first;
    if (!w || w->tx.n == 0 || !find_result(a, w, &result))
        return false;
    struct note note;
    note_set(&note, (enum err)result.code, "the transaction was refused in its block: %s",
             err_text((enum err)result.code));
    finish(a, (enum err)result.code, &note);
    return true;
}

/* Its nonce went by and its result is nowhere: another process with this key took the nonce, or the result was in
 * blocks that a snapshot passed over. So the bytes are worthless, and it is made anew; but not a top-up, whose money
 * may be in the channel: whoever sent it looks at what is there. False: it may still come into a block. */
static bool pass_by_first(struct account *a)
{
    struct waiting *w = a->first;
    struct note note;
    struct tx t;
    if (!w || w->tx.n == 0)
        return false;
    CHECK(tx_decode(bytes_of_buf(&w->tx), &t, NULL) == ERR_OK);
    if (t.nonce >= ledger_nonce(a->ledger, &a->key))
        return false;
    buf_reset(&w->tx);
    if (w->kind != TX_CHANNEL_TOPUP)
        return false;
    note_set(&note, ERR_STATE, "whether the channel was topped up went with a snapshot: look at the channel");
    finish(a, ERR_STATE, &note);
    return true;
}

static void step(void *arg)
{
    struct account *a = arg;
    while (settle_first(a) || pass_by_first(a))
        ;
    offer_first(a);
}

static void on_timer(void *arg)
{
    step(arg);
}

void account_step(struct account *a)
{
    if (a->first)
        step(a);
}

static struct waiting *add(struct account *a, enum tx_kind kind, struct bytes body)
{
    struct waiting *w = mem_new(sizeof *w);
    w->kind = kind;
    buf_add(&w->body, body.p, body.n);
    *a->last = w;
    a->last = &w->next;
    if (a->n++ == 0)
        host_timer_set(a->host, &a->timer, 0, on_timer, a);
    return w;
}

void account_send(struct account *a, enum tx_kind kind, struct bytes body, account_done_fn done, void *arg)
{
    account_send_kept(a, kind, body, NULL, done, arg);
}

void account_send_kept(struct account *a, enum tx_kind kind, struct bytes body, account_keep_fn keep,
                       account_done_fn done, void *arg)
{
    struct waiting *w = add(a, kind, body);
    w->keep = keep;
    w->done = done;
    w->arg = arg;
}

enum err account_resume(struct account *a, struct bytes tx, account_keep_fn keep, account_done_fn done, void *arg)
{
    struct rec_result result;
    struct tx t;
    const struct hash chain = ledger_info(a->ledger).chain;
    if (tx_decode(tx, &t, NULL) != ERR_OK || !pubkey_equal(&t.signer, &a->key) || !hash_equal(&t.chain, &chain))
        return ERR_FORMAT;
    struct hash id = tx_id(&t);
    if (t.nonce < ledger_nonce(a->ledger, &a->key) && ledger_tx_result(a->ledger, &id, &result, NULL) != ERR_OK)
        return ERR_STATE;
    struct waiting *w = add(a, (enum tx_kind)t.kind, t.body);
    buf_add(&w->tx, tx.p, tx.n);
    w->id = id;
    w->keep = keep;
    w->done = done;
    w->arg = arg;
    return ERR_OK;
}
