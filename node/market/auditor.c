/* Replaying what others served, and what they said of it. */
#include "node/market/auditor.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"

#include <stdlib.h>
#include <string.h>

enum stage { DRAWN, FETCHING, REPLAYING, COMMITTED, REPORTED };

struct audit {
    struct auditor *auditor;
    struct audit *next;
    struct hash id; /* of the settlement; or of a doubt, in whose committee this node is */
    uint32_t index;
    bool is_doubt;
    struct pubkey provider, shower; /* who signed the receipt, and who shows it: a doubter is somebody else */
    struct hash receipts_root;
    uint32_t count;
    struct hash key, doubted; /* what the witness is drawn by; of a doubt: the one in question */
    struct hash model;
    uint64_t deadline_ms; /* wall clock, as block times are */
    enum stage stage;
    uint64_t stream; /* the provider's, while it waits for us */
    struct buf receipt, proof, request, tokens;
    uint32_t until;     /* of the prompt alone; 0: prompt and tokens */
    uint8_t stop;       /* why the answer ended there; RECEIPT_OPEN: it did not */
    struct hash digest; /* as the provider showed it */
    enum audit_verdict verdict;
    struct hash found, witness; /* by our own replay */
    struct worker *worker;
    worker_ask ask;
    bool was_shown; /* a transcript that fits: it was not withheld */
    struct timer late;
    uint64_t late_ms; /* when it should fire, by the wall clock */
};

struct auditor {
    struct market_services s;
    struct audit *audits;
    uint64_t counts[AUDIT_VERDICTS];
};

static const struct stream_calls calls;

static void audit_free(struct audit *x)
{
    for (struct audit **at = &x->auditor->audits; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    if (x->stream)
        streams_close(x->auditor->s.streams, x->stream, ERR_OK, "");
    if (x->worker && x->ask)
        worker_drop(x->worker, x->ask);
    host_timer_cancel(x->auditor->s.host, &x->late);
    buf_clear(&x->receipt);
    buf_clear(&x->proof);
    buf_clear(&x->request);
    buf_clear(&x->tokens);
    free(x);
}

static struct audit *find(struct auditor *a, const struct hash *id, uint32_t index)
{
    for (struct audit *x = a->audits; x; x = x->next)
        if (x->index == index && hash_equal(&x->id, id))
            return x;
    return NULL;
}

/* -- reporting: a commitment, then what it was to -- */

/* Where our draw in the present round stands. */
struct standing {
    bool is_drawn, reveals;
    struct hash commit;
};

static struct standing standing_of_audit(const struct audit *x)
{
    struct rec_settlement rec;
    struct standing st = {0};
    bool found = ledger_settlement(x->auditor->s.ledger, &x->id, &rec);
    for (uint32_t i = 0; found && !st.is_drawn && i < settlement_audits(&rec); i++) {
        struct audit_draw d = settlement_audit_at(&rec, i);
        if (d.round == rec.round && d.index == x->index && pubkey_equal(&d.auditor, &x->auditor->s.self))
            st = (struct standing){true, rec.state == SETTLEMENT_REVEALING, d.commit};
    }
    return st;
}

static struct standing standing_of_doubt(const struct audit *x)
{
    struct rec_doubt rec;
    struct standing st = {0};
    bool found = ledger_doubt(x->auditor->s.ledger, &x->id, &rec);
    for (uint32_t i = 0; found && !st.is_drawn && i < doubt_draws(&rec); i++) {
        struct doubt_draw m = doubt_draw_at(&rec, i);
        if (m.round == rec.round && pubkey_equal(&m.member, &x->auditor->s.self))
            st = (struct standing){true, rec.state == DOUBT_REVEALING, m.commit};
    }
    return st;
}

static struct standing standing_of(const struct audit *x)
{
    return x->is_doubt ? standing_of_doubt(x) : standing_of_audit(x);
}

/* From the node's key, so that one who restarts between the two can still reveal. That of an audit draws the places of
 * its witness, too. */
static struct hash salt_of(const struct auditor *a, const struct hash *id, uint32_t index)
{
    uint8_t what[HASH_SIZE + 4];
    memcpy(what, id->b, HASH_SIZE);
    store_le32(what + HASH_SIZE, index);
    return hash_keyed(HASH_AUDIT, a->s.key->b, what, sizeof what);
}

static struct tx_audit_reveal audit_reveal_of(const struct audit *x)
{
    struct tx_audit_reveal t = {.settlement = x->id, .index = x->index, .verdict = (uint8_t)x->verdict};
    t.salt = salt_of(x->auditor, &x->id, x->index);
    if (x->verdict != AUDIT_WITHHELD) {
        t.receipt = bytes_of_buf(&x->receipt);
        t.proof = bytes_of_buf(&x->proof);
        t.digest = x->found;
        t.witness = x->witness;
    }
    return t;
}

static struct tx_doubt_reveal doubt_reveal_of(const struct audit *x)
{
    return (struct tx_doubt_reveal){.doubt = x->id,
                                    .verdict = (uint8_t)x->verdict,
                                    .witness = x->witness,
                                    .salt = salt_of(x->auditor, &x->id, x->index)};
}

/* What we commit to; `reveal` (may be NULL): the body that shows it, appended. */
static struct hash commitment_of(const struct audit *x, struct buf *reveal)
{
    const struct pubkey *self = &x->auditor->s.self;
    if (x->is_doubt) {
        struct tx_doubt_reveal t = doubt_reveal_of(x);
        if (reveal)
            tx_doubt_reveal_put(reveal, &t);
        return tx_doubt_commitment(&t, self);
    }
    struct tx_audit_reveal t = audit_reveal_of(x);
    if (reveal)
        tx_audit_reveal_put(reveal, &t);
    return tx_audit_commitment(&t, self);
}

static void reveal(struct audit *x)
{
    struct standing st = standing_of(x);
    struct buf body = {0};
    struct hash commit = commitment_of(x, &body);
    if (x->stage == COMMITTED && st.reveals && hash_equal(&commit, &st.commit)) {
        x->stage = REPORTED;
        account_send(x->auditor->s.account, x->is_doubt ? TX_DOUBT_REVEAL : TX_AUDIT_REVEAL, bytes_of_buf(&body), NULL,
                     NULL);
    }
    buf_clear(&body);
}

static void commit(struct audit *x)
{
    struct buf body = {0};
    struct hash to = commitment_of(x, NULL);
    if (x->is_doubt)
        tx_doubt_commit_put(&body, &(struct tx_doubt_commit){x->id, to});
    else
        tx_audit_commit_put(&body, &(struct tx_audit_commit){x->id, x->index, to});
    account_send(x->auditor->s.account, x->is_doubt ? TX_DOUBT_COMMIT : TX_AUDIT_COMMIT, bytes_of_buf(&body), NULL,
                 NULL);
    buf_clear(&body);
}

static void report(struct audit *x, enum audit_verdict verdict, const struct worker_verdict *v)
{
    static const char *const names[] = {"match", "mismatch", "withheld"};
    struct auditor *a = x->auditor;
    struct standing st = standing_of(x);
    x->stage = COMMITTED;
    x->verdict = verdict;
    x->found = v->digest;
    x->witness = v->witness;
    a->counts[verdict] += !x->is_doubt;
    host_timer_cancel(a->s.host, &x->late);
    log_event(verdict == AUDIT_MATCH ? LOG_INFO : LOG_ODD, "auditor", x->is_doubt ? "found of a doubt" : "verdict",
              "verdict=%s index=%u", names[verdict], x->index);
    if (st.is_drawn && hash_is_zero(&st.commit))
        commit(x);
    else
        reveal(x); /* it was committed before a restart */
    if (x->stream)
        streams_close(a->s.streams, x->stream, ERR_OK, "reported");
    x->stream = 0;
}

static uint64_t window_ms(const struct auditor *a)
{
    return ledger_params(a->s.ledger).audit_window_ms;
}

/* Far too late it is a machine that stood still, and the provider may have knocked all the while. */
static void on_late(void *arg)
{
    struct audit *x = arg;
    static const struct worker_verdict none;
    if (host_wall_ms(x->auditor->s.host) > x->late_ms + window_ms(x->auditor) / 8)
        log_event(LOG_ODD, "auditor", "says nothing", "index=%u why=\"this machine stood still\"", x->index);
    else if (x->stage == DRAWN && !x->was_shown)
        report(x, AUDIT_WITHHELD, &none);
}

/* Our own trouble: the stream is closed, so that the provider shows it again. */
static void again(struct audit *x)
{
    uint64_t stream = x->stream;
    x->stage = DRAWN;
    x->stream = 0;
    if (stream)
        streams_close(x->auditor->s.streams, stream, ERR_BUSY, "the auditor cannot replay it now");
}

/* -- replaying -- */

/* Of a doubt only the witness counts: the answer may be right or wrong. */
static void conclude(struct audit *x, bool same, const struct worker_verdict *v)
{
    if (x->is_doubt)
        same = hash_equal(&v->witness, &x->doubted);
    report(x, same ? AUDIT_MATCH : AUDIT_MISMATCH, v);
}

static void on_verdict(void *arg, enum err e, const struct worker_verdict *v, const struct note *note)
{
    struct audit *x = arg;
    x->ask = 0;
    if (e != ERR_OK) {
        /* A request that the model itself refuses was never answered by it. */
        log_event(LOG_ODD, "auditor", "replay failed", "error=%s why=%s", err_name(e), note->text);
        if (e == ERR_FORMAT || e == ERR_LIMIT || e == ERR_RANGE || e == ERR_MISMATCH)
            conclude(x, false, &(struct worker_verdict){.digest = x->digest});
        else
            again(x);
        return;
    }
    conclude(x, v->same && (x->stop == RECEIPT_OPEN || v->stop == x->stop), v);
}

static void replay(struct audit *x)
{
    struct auditor *a = x->auditor;
    struct note note = {{0}};
    if (market_worker(&a->s, &x->model, &x->worker, &note) != ERR_OK) {
        log_event(LOG_ODD, "auditor", "no worker", "why=%s", note.text);
        again(x);
        return;
    }
    x->stage = REPLAYING;
    const struct worker_work work = {
        .request = bytes_of_buf(&x->request), .tokens = bytes_of_buf(&x->tokens), .until = x->until, .key = &x->key};
    x->ask = worker_verify(x->worker, &work, &x->digest, on_verdict, x);
}

static void on_model(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct auditor *a = arg;
    for (struct audit *x = a->audits, *next; x; x = next) {
        next = x->next;
        if (x->stage != FETCHING || !hash_equal(&x->model, root))
            continue;
        if (e == ERR_OK)
            replay(x);
        else {
            log_event(LOG_ODD, "auditor", "model not had", "why=%s", note->text);
            again(x);
        }
    }
}

/* -- being shown -- */

/* Does the transcript open the commitments of the provider's own receipt, at the drawn place? */
static bool fits(const struct audit *x, const struct audit_show *show)
{
    struct signed_receipt r;
    struct cursor c = cursor_of(show->receipt);
    signed_receipt_get(&c, &r);
    if (!cursor_end(&c) || !receipt_verify(&r.receipt, &x->provider, &r.sig))
        return false;
    struct sum_node leaf = sum_leaf(&r.receipt);
    if (!sum_tree_verify(&x->receipts_root, x->count, x->index, &leaf, show->proof))
        return false;
    if (show->tokens.n && receipt_reach(&r.receipt, show->request).until)
        return false;
    struct hash request = receipt_commit(show->request_salt.b, show->request);
    struct hash answer = receipt_commit(show->answer_salt.b, show->tokens);
    struct hash digest = receipt_commit(show->digest_salt.b, bytes_of(show->digest.b, sizeof show->digest.b));
    return hash_equal(&request, &r.receipt.request_commit) && hash_equal(&answer, &r.receipt.answer_commit) &&
           hash_equal(&digest, &r.receipt.digest_commit);
}

static void keep(struct buf *to, struct bytes from)
{
    buf_reset(to);
    buf_add(to, from.p, from.n);
}

/* What its receipt says of it. */
static void read_receipt(struct audit *x)
{
    struct signed_receipt r;
    struct cursor c = cursor_of(bytes_of_buf(&x->receipt));
    signed_receipt_get(&c, &r);
    x->until = receipt_reach(&r.receipt, bytes_of_buf(&x->request)).until;
    x->stop = r.receipt.stop;
}

static bool take_show(struct audit *x, struct cursor *sealed)
{
    struct auditor *a = x->auditor;
    struct buf plain = {0};
    struct audit_show show;
    bool good = seal_open(&plain, a->s.key, sealed->p, sealed->n);
    struct cursor c = cursor_of(bytes_of_buf(&plain));
    if (good) {
        audit_show_get(&c, &show);
        good = cursor_end(&c) && fits(x, &show);
    }
    if (good) {
        keep(&x->receipt, show.receipt);
        keep(&x->proof, show.proof);
        keep(&x->request, show.request);
        keep(&x->tokens, show.tokens);
        read_receipt(x);
        x->digest = show.digest;
        x->was_shown = true;
    }
    buf_clear(&plain);
    return good;
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct audit *x = arg;
    uint8_t type;
    struct cursor c = job_message_open(message, &type);
    if (x->stage != DRAWN)
        return;
    if (type != AUDIT_SHOW || !take_show(x, &c)) {
        x->stream = 0;
        streams_close(x->auditor->s.streams, stream, ERR_MISMATCH, "the transcript does not fit the receipt");
        return;
    }
    if (blobs_path(x->auditor->s.blobs, &x->model)) {
        replay(x);
        return;
    }
    x->stage = FETCHING;
    blobs_pull(x->auditor->s.blobs, BLOB_MODEL, &x->model, on_model, x->auditor);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct audit *x = arg;
    (void)stream;
    (void)reason;
    (void)text;
    x->stream = 0;
}

static const struct stream_calls calls = {.data = on_data, .closed = on_closed};

static enum err accept_audit(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                             const struct stream_calls **out, void **out_arg)
{
    struct auditor *a = arg;
    struct audit_open o;
    struct cursor c = cursor_of(body);
    audit_open_get(&c, &o);
    if (!cursor_end(&c))
        return ERR_FORMAT;
    struct audit *x = find(a, &o.settlement, o.index);
    if (!x || !pubkey_equal(&x->shower, from))
        return ERR_NOT_FOUND; /* perhaps our ledger is a block behind: the provider asks again */
    if (x->stage >= COMMITTED)
        return ERR_DUPLICATE;
    if (x->stream)
        streams_close(a->s.streams, x->stream, ERR_OK, "opened again");
    x->stream = stream;
    *out = &calls;
    *out_arg = x;
    return ERR_OK;
}

/* -- what the ledger says -- */

/* `known`: what is drawn, its deadline in the ledger's time. */
static void add(struct auditor *a, const struct audit *known, bool has_committed)
{
    if (find(a, &known->id, known->index))
        return;
    struct audit *x = mem_new(sizeof *x);
    *x = *known;
    x->auditor = a;
    x->next = a->audits;
    x->deadline_ms = ledger_date(a->s.ledger, known->deadline_ms);
    a->audits = x;
    /* The report must be in a block before the deadline: the last quarter of the window is for that. Who was not there
     * for half of it cannot say that nothing was shown: a committee would find the transcript, and he would pay for his
     * word. What was committed before a restart is revealed all the same. */
    uint64_t now_ms = host_wall_ms(a->s.host);
    uint64_t left_ms = x->deadline_ms > now_ms ? x->deadline_ms - now_ms : 0;
    uint64_t wait_ms = left_ms - left_ms / 4;
    x->late_ms = now_ms + wait_ms;
    if (left_ms >= window_ms(a) / 2 || has_committed)
        host_timer_set(a->s.host, &x->late, wait_ms, on_late, x);
}

static bool add_ours(void *arg, const struct rec_settlement *rec)
{
    struct auditor *a = arg;
    bool commits = rec->state == SETTLEMENT_DRAWN, reveals = rec->state == SETTLEMENT_REVEALING;
    for (uint32_t i = 0; (commits || reveals) && i < settlement_audits(rec); i++) {
        struct audit_draw d = settlement_audit_at(rec, i);
        const struct audit known = {.id = rec->id,
                                    .index = d.index,
                                    .provider = rec->provider,
                                    .shower = rec->provider,
                                    .receipts_root = rec->receipts_root,
                                    .count = rec->count,
                                    .key = salt_of(a, &rec->id, d.index),
                                    .model = rec->model,
                                    .deadline_ms = rec->deadline_ms};
        if (pubkey_equal(&d.auditor, &a->s.self) && d.round == rec->round && d.verdict == AUDIT_PENDING &&
            (commits || !hash_is_zero(&d.commit)))
            add(a, &known, !hash_is_zero(&d.commit));
    }
    return true;
}

/* The same of a doubt. */
static void add_doubt(struct auditor *a, const struct rec_doubt *rec)
{
    bool commits = rec->state == DOUBT_DRAWN, reveals = rec->state == DOUBT_REVEALING;
    for (uint32_t i = 0; (commits || reveals) && i < doubt_draws(rec); i++) {
        struct doubt_draw m = doubt_draw_at(rec, i);
        const struct audit known = {.id = rec->id,
                                    .index = rec->index,
                                    .is_doubt = true,
                                    .provider = rec->provider,
                                    .shower = rec->doubter,
                                    .receipts_root = rec->receipts_root,
                                    .count = rec->count,
                                    .key = rec->salt,
                                    .doubted = rec->witness,
                                    .model = rec->model,
                                    .deadline_ms = rec->deadline_ms};
        if (pubkey_equal(&m.member, &a->s.self) && m.round == rec->round && m.verdict == AUDIT_PENDING &&
            (commits || !hash_is_zero(&m.commit)))
            add(a, &known, !hash_is_zero(&m.commit));
    }
}

static void reveal_all_of(struct auditor *a, const struct hash *id)
{
    for (struct audit *x = a->audits; x; x = x->next)
        if (hash_equal(&x->id, id))
            reveal(x);
}

static void drop_all_of(struct auditor *a, const struct hash *id)
{
    for (struct audit *x = a->audits, *next; x; x = next) {
        next = x->next;
        if (hash_equal(&x->id, id))
            audit_free(x);
    }
}

void auditor_on_event(struct auditor *a, const struct ledger_event *e)
{
    struct rec_settlement rec;
    struct rec_doubt doubt;
    bool is_ours = pubkey_equal(&e->a, &a->s.self);
    if (e->kind == LEDGER_AUDIT_DRAWN && is_ours && ledger_settlement(a->s.ledger, &e->id, &rec))
        (void)add_ours(a, &rec);
    else if (e->kind == LEDGER_DOUBT_DRAWN && is_ours && ledger_doubt(a->s.ledger, &e->id, &doubt))
        add_doubt(a, &doubt);
    else if (e->kind == LEDGER_AUDIT_REVEALING || e->kind == LEDGER_DOUBT_REVEALING)
        reveal_all_of(a, &e->id);
    else if (e->kind == LEDGER_FORFEITED || e->kind == LEDGER_PAYOUT || e->kind == LEDGER_DOUBT_OVER ||
             ((e->kind == LEDGER_AUDIT_VERDICT || e->kind == LEDGER_DOUBT_VERDICT) && is_ours))
        drop_all_of(a, &e->id);
}

void auditor_counts(const struct auditor *a, uint64_t counts[AUDIT_VERDICTS])
{
    memcpy(counts, a->counts, sizeof a->counts);
}

struct auditor *auditor_new(const struct market_services *s)
{
    struct auditor *a = mem_new(sizeof *a);
    a->s = *s;
    ledger_escrow_each(s->ledger, add_ours, a);
    struct rec_doubt d;
    struct hash last;
    for (bool more = ledger_doubt_next(s->ledger, NULL, &d); more; more = ledger_doubt_next(s->ledger, &last, &d)) {
        last = d.id;
        add_doubt(a, &d);
    }
    streams_on(s->streams, STREAM_AUDIT, accept_audit, a);
    return a;
}

void auditor_free(struct auditor *a)
{
    if (!a)
        return;
    while (a->audits)
        audit_free(a->audits);
    free(a);
}
