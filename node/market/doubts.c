/* Checking auditors, and doubting them. */
#include "node/market/doubts.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/market/job_wire.h"
#include "node/market/show.h"

#include <stdlib.h>
#include <string.h>

/* What is kept of a doubt: `shown` is the audit_show that its committee is owed. */
#define DOUBT_KEPT_FIELDS(F) F(hash, settlement) F(u32, index) F(pubkey, auditor) F(blob, shown)
RECORD_DECLARE(doubt_kept, DOUBT_KEPT_FIELDS)
RECORD_DEFINE(doubt_kept, DOUBT_KEPT_FIELDS)

#define REPLAYS                                                                                                        \
    2 /* that must give the same, other than the auditor's: a bond is not put up for a flipped bit of ours */

struct check {
    struct doubts *doubts;
    struct check *next;
    struct hash id; /* of the doubt */
    struct hash settlement, model, salt, witness;
    uint32_t index;
    struct pubkey auditor;
    struct buf shown;
    struct hash found;
    unsigned replays;
    bool differs; /* it is kept, and doubted as soon as it can be */
    bool is_sent;
    struct worker *worker;
    worker_ask ask;
};

struct doubts {
    struct market_services s;
    struct settle *settle;
    struct jobs *jobs;
    uint64_t one_of;
    struct check *checks;
    struct shows shows;
    struct timer timer;
};

static void replay_next(void *arg);

static void replay_soon(struct doubts *d)
{
    host_timer_set(d->s.host, &d->timer, 0, replay_next, d);
}

static void check_free(struct check *x)
{
    for (struct check **at = &x->doubts->checks; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    if (x->worker && x->ask)
        worker_drop(x->worker, x->ask);
    buf_clear(&x->shown);
    free(x);
}

static struct check *find(struct doubts *d, const struct hash *id)
{
    struct check *x = d->checks;
    while (x && !hash_equal(&x->id, id))
        x = x->next;
    return x;
}

/* -- what is kept -- */

#define KEY_SIZE 33
static enum err keep(struct check *x, bool is_kept)
{
    uint8_t key[KEY_SIZE] = {'d'};
    struct kv_batch batch = {0};
    struct buf value = {0};
    memcpy(key + 1, x->id.b, sizeof x->id.b);
    doubt_kept_put(&value, &(struct doubt_kept){x->settlement, x->index, x->auditor, bytes_of_buf(&x->shown)});
    if (is_kept)
        kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    else
        kv_batch_delete(&batch, bytes_of(key, sizeof key));
    enum err e = kv_write(x->doubts->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    buf_clear(&value);
    return e;
}

static void forget(struct check *x)
{
    if (x->differs && keep(x, false) != ERR_OK)
        log_event(LOG_ODD, "doubts", "doubt not forgotten", "the store refused it");
    check_free(x);
}

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    struct doubts *d = arg;
    struct doubt_kept k;
    struct cursor c = cursor_of(value);
    doubt_kept_get(&c, &k);
    if (key.n != KEY_SIZE || !cursor_end(&c))
        return true;
    struct check *x = mem_new(sizeof *x);
    *x = (struct check){.doubts = d, .next = d->checks, .settlement = k.settlement, .index = k.index};
    x->auditor = k.auditor;
    x->id = rec_doubt_id(&k.settlement, k.index, &k.auditor);
    x->differs = true;
    buf_add(&x->shown, k.shown.p, k.shown.n);
    d->checks = x;
    return true;
}

/* -- doubting -- */

struct sending {
    struct doubts *doubts;
    struct hash id;
};

static bool is_ours(const struct doubts *d, const struct hash *id)
{
    struct rec_doubt rec;
    return ledger_doubt(d->s.ledger, id, &rec) && rec.state < DOUBT_RIGHT && pubkey_equal(&rec.doubter, &d->s.self);
}

/* What was sent before a restart may be in a block by now, or on its way: then the committee is owed the transcript. */
static void on_sent(void *arg, enum err e, const struct hash *tx, const struct note *note)
{
    struct sending *x = arg;
    struct check *c = find(x->doubts, &x->id);
    bool is_final = e == ERR_DUPLICATE || e == ERR_STATE || e == ERR_EXPIRED || e == ERR_NOT_FOUND || e == ERR_FUNDS;
    (void)tx;
    if (e != ERR_OK)
        log_event(LOG_ODD, "doubts", "not doubted", "error=%s why=%s", err_name(e), note ? note->text : "");
    if (c && is_final && !is_ours(x->doubts, &x->id))
        forget(c);
    free(x);
}

static void send_doubt(struct check *c)
{
    struct doubts *d = c->doubts;
    struct buf body = {0};
    struct sending *x = mem_new(sizeof *x);
    *x = (struct sending){d, c->id};
    tx_doubt_put(&body, &(struct tx_doubt){c->settlement, c->index, c->auditor});
    c->is_sent = true;
    log_event(LOG_ODD, "doubts", "auditor doubted", "index=%u", c->index);
    account_send(d->s.account, TX_DOUBT, bytes_of_buf(&body), on_sent, x);
    buf_clear(&body);
}

/* As far as one that differs can go now. */
static void go_on(struct check *c)
{
    struct rec_doubt rec;
    struct rec_settlement s;
    const struct ledger *l = c->doubts->s.ledger;
    if (!c->differs || c->is_sent)
        return;
    if (ledger_doubt(l, &c->id, &rec)) {
        if (!is_ours(c->doubts, &c->id))
            forget(c); /* it is over, or another's */
    } else if (!ledger_settlement(l, &c->settlement, &s)) {
        forget(c);
    } else if (s.state >= SETTLEMENT_PAID) {
        send_doubt(c);
    }
}

/* -- replaying, one at a time -- */

static void take_witness(struct check *c, const struct hash *found)
{
    bool again = c->replays > 0, same = hash_equal(found, &c->witness);
    if (same || (again && !hash_equal(found, &c->found))) {
        log_event(same && !again ? LOG_DEBUG : LOG_ODD, "doubts", "auditor checked", "index=%u same=%d again=%d",
                  c->index, same, again);
        check_free(c);
        return;
    }
    c->found = *found;
    if (++c->replays < REPLAYS)
        return;
    c->differs = true;
    if (keep(c, true) != ERR_OK) {
        log_event(LOG_ODD, "doubts", "not doubted", "the store refused it");
        check_free(c);
        return;
    }
    go_on(c);
}

static void on_verdict(void *arg, enum err e, const struct worker_verdict *v, const struct note *note)
{
    struct check *c = arg;
    struct doubts *d = c->doubts;
    static const struct hash none;
    c->ask = 0;
    if (e == ERR_OK)
        take_witness(c, &v->witness);
    else if (e == ERR_FORMAT || e == ERR_LIMIT || e == ERR_RANGE || e == ERR_MISMATCH)
        take_witness(c, &none); /* the model refuses the request: there is nothing to replay */
    else {
        log_event(LOG_ODD, "doubts", "auditor not checked", "error=%s why=%s", err_name(e), note->text);
        check_free(c);
    }
    replay_soon(d);
}

static bool start(struct check *c)
{
    struct doubts *d = c->doubts;
    struct audit_show show;
    struct note note = {{0}};
    struct cursor cursor = cursor_of(bytes_of_buf(&c->shown));
    audit_show_get(&cursor, &show);
    CHECK(cursor_end(&cursor));
    if (market_worker(&d->s, &c->model, &c->worker, &note) != ERR_OK) {
        log_event(LOG_ODD, "doubts", "auditor not checked", "why=%s", note.text);
        return false;
    }
    const struct worker_work work = {.request = show.request, .tokens = show.tokens, .key = &c->salt};
    c->ask = worker_verify(c->worker, &work, &show.digest, on_verdict, c);
    return true;
}

static void replay_next(void *arg)
{
    struct doubts *d = arg;
    for (struct check *c = d->checks; c; c = c->next)
        if (c->ask)
            return;
    for (struct check *c = d->checks, *next; c; c = next) {
        next = c->next;
        if (c->differs)
            continue;
        if (start(c))
            return;
        check_free(c);
    }
}

/* -- what the ledger says -- */

/* One of so many, and nobody else knows which. */
static bool is_picked(const struct doubts *d, const struct hash *id)
{
    struct hash h = hash_keyed(HASH_AUDIT, d->s.key->b, id->b, sizeof id->b);
    return d->one_of && load_le64(h.b) % d->one_of == 0;
}

static unsigned count(const struct doubts *d)
{
    unsigned n = 0;
    for (const struct check *c = d->checks; c; c = c->next)
        n++;
    return n;
}

static enum err show_of(struct doubts *d, const struct rec_settlement *s, uint32_t index, struct buf *shown)
{
    return pubkey_equal(&s->provider, &d->s.self) ? settle_show(d->settle, &s->id, index, shown)
                                                  : jobs_show(d->jobs, s, index, shown);
}

static void look(struct doubts *d, const struct ledger_event *e)
{
    struct rec_settlement s;
    struct hash id = rec_doubt_id(&e->id, e->index, &e->a);
    if (!is_picked(d, &id) || find(d, &id) || count(d) >= AUDITOR_CHECKS_MAX ||
        !ledger_settlement(d->s.ledger, &e->id, &s) || !blobs_path(d->s.blobs, &s.model) ||
        !(pubkey_equal(&s.provider, &d->s.self) || pubkey_equal(&s.payer, &d->s.self)))
        return;
    struct check *c = mem_new(sizeof *c);
    *c = (struct check){.doubts = d, .next = d->checks, .id = id, .settlement = s.id, .model = s.model};
    c->index = e->index;
    c->auditor = e->a;
    d->checks = c;
    for (uint32_t i = 0; i < settlement_audits(&s); i++) {
        struct audit_draw draw = settlement_audit_at(&s, i);
        if (draw.index == e->index && pubkey_equal(&draw.auditor, &e->a)) {
            c->salt = draw.salt;
            c->witness = draw.witness;
        }
    }
    if (show_of(d, &s, c->index, &c->shown) == ERR_OK)
        replay_soon(d);
    else
        check_free(c);
}

static void show_members(struct doubts *d, const struct rec_doubt *rec)
{
    for (uint32_t i = 0; i < doubt_draws(rec); i++) {
        struct doubt_draw m = doubt_draw_at(rec, i);
        if (m.round == rec->round && m.verdict == AUDIT_PENDING)
            shows_add(&d->shows, &rec->id, &m.member, rec->index);
    }
}

void doubts_on_event(struct doubts *d, const struct ledger_event *e)
{
    const struct pubkey *self = &d->s.self;
    bool over = e->kind == LEDGER_FORFEITED || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER);
    if (e->kind == LEDGER_AUDIT_VERDICT && e->code != AUDIT_WITHHELD && !pubkey_equal(&e->a, self))
        look(d, e);
    else if (e->kind == LEDGER_DOUBT_DRAWN && pubkey_equal(&e->b, self) && find(d, &e->id))
        shows_add(&d->shows, &e->id, &e->a, e->index);
    for (struct check *c = d->checks, *next; c && (over || e->kind == LEDGER_DOUBT_OVER); c = next) {
        next = c->next;
        if (over && hash_equal(&c->settlement, &e->id))
            go_on(c);
        else if (!over && hash_equal(&c->id, &e->id)) {
            log_event(LOG_INFO, "doubts", "doubt over", "index=%u code=%u", e->index, e->code);
            forget(c);
        }
    }
}

/* -- the whole -- */

static bool is_owed(void *arg, const struct show *x)
{
    struct doubts *d = arg;
    struct rec_doubt rec;
    if (!ledger_doubt(d->s.ledger, &x->id, &rec) || (rec.state != DOUBT_DRAWN && rec.state != DOUBT_REVEALING))
        return false;
    for (uint32_t i = 0; i < doubt_draws(&rec); i++) {
        struct doubt_draw m = doubt_draw_at(&rec, i);
        if (m.round == rec.round && pubkey_equal(&m.member, &x->to))
            return m.verdict == AUDIT_PENDING;
    }
    return false;
}

static enum err put_shown(void *arg, const struct show *x, struct buf *plain)
{
    const struct check *c = find(arg, &x->id);
    if (!c)
        return ERR_NOT_FOUND;
    buf_add(plain, c->shown.p, c->shown.n);
    return ERR_OK;
}

/* What a restart left: a doubt that is open is shown to whoever waits for it, others go on. */
static void on_start(void *arg)
{
    struct doubts *d = arg;
    struct rec_doubt rec;
    for (struct check *c = d->checks, *next; c; c = next) {
        next = c->next;
        if (is_ours(d, &c->id) && ledger_doubt(d->s.ledger, &c->id, &rec))
            show_members(d, &rec);
        go_on(c);
    }
}

struct doubts *doubts_new(const struct market_services *s, struct settle *settle, struct jobs *jobs,
                          uint64_t check_auditors)
{
    struct doubts *d = mem_new(sizeof *d);
    *d = (struct doubts){.s = *s, .settle = settle, .jobs = jobs, .one_of = check_auditors};
    d->shows = (struct shows){.s = &d->s, .is_owed = is_owed, .put = put_shown, .arg = d};
    if (kv_scan(s->kv, bytes_of("d", 1), load_one, d, NULL) != ERR_OK)
        log_event(LOG_ODD, "doubts", "doubts not read", "the store refused it");
    if (d->checks)
        host_timer_set(s->host, &d->timer, 0, on_start, d);
    return d;
}

void doubts_free(struct doubts *d)
{
    if (!d)
        return;
    host_timer_cancel(d->s.host, &d->timer);
    shows_clear(&d->shows);
    while (d->checks)
        check_free(d->checks);
    free(d);
}
