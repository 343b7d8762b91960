/* What an account earned, over HTTP: what was paid, by reason, day and model, and what is still on its way. */
#include "base/mem.h"
#include "node/api/api.h"
#include "node/consensus/consensus.h"
#include "node/api/earnings.h"
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put_sums(struct buf *b, bool *outer, const struct amount sums[EARNINGS])
{
    bool first = true;
    api_put_amount(b, outer, "total", earnings_total(sums));
    codec_json_key(b, outer, "reasons");
    buf_add_text(b, "{");
    for (int i = 0; i < EARNINGS; i++)
        api_put_amount(b, &first, earning_name((enum earning)i), sums[i]);
    buf_add_text(b, "}");
}

static void put_days(struct buf *b, bool *outer, const struct earnings *e)
{
    codec_json_key(b, outer, "days");
    buf_add_text(b, "[");
    for (unsigned i = 0; i < e->days_n; i++) {
        char text[32] = "";
        struct tm utc;
        time_t seconds = (time_t)(e->days[i].day * DAY_MS / 1000);
        bool first = true;
        if (gmtime_r(&seconds, &utc))
            (void)strftime(text, sizeof text, "%Y-%m-%d", &utc);
        api_begin_entry(b);
        api_put_text(b, &first, "day", text);
        api_put_u64(b, &first, "start_ms", e->days[i].day * DAY_MS);
        put_sums(b, &first, e->days[i].sums);
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

static void put_sources(struct buf *b, bool *outer, struct node *n, const struct earnings *e)
{
    codec_json_key(b, outer, "models");
    buf_add_text(b, "[");
    for (unsigned i = 0; i < e->sources_n; i++) {
        const struct earnings_source *s = &e->sources[i];
        struct rec_model model;
        struct rec_data data;
        bool first = true;
        api_begin_entry(b);
        api_put_hash(b, &first, "root", &s->root);
        api_put_text(b, &first, "name",
                     ledger_model(n->ledger, &s->root, &model) ? model.name.s
                     : ledger_data(n->ledger, &s->root, &data) ? data.name.s
                                                               : "");
        api_put_amount(b, &first, "amount", s->sum);
        api_put_u64(b, &first, "payouts", s->payouts);
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

struct audited {
    const struct pubkey *owner;
    struct amount sum;
};

static bool add_audited(void *arg, const struct rec_settlement *s)
{
    struct audited *a = arg;
    if (pubkey_equal(&s->owner, a->owner))
        earnings_add(&a->sum, s->amount);
    return true;
}

/* On its way: what payers promised this node, if it is his, and settlements whose audits are not over. Royalties are
 * not taken off either yet. */
static void put_pending(struct buf *b, bool *first, struct node *n, const struct pubkey *account)
{
    struct rec_provider provider;
    struct amount unsettled = {0};
    struct audited audited = {.owner = account};
    if (ledger_provider(n->ledger, &n->id, &provider) && pubkey_equal(&provider.owner, account))
        unsettled = market_unsettled(n->market);
    ledger_escrow_each(n->ledger, add_audited, &audited);
    api_put_amount(b, first, "unsettled", unsettled);
    api_put_amount(b, first, "in_audit", audited.sum);
}

/* The history may begin later than the chain and still hold all that was asked for. */
static bool begins_before(struct node *n, uint64_t height, uint64_t since_ms)
{
    struct buf raw = {0}, commit = {0};
    struct header h;
    bool good = consensus_block_get(n->consensus, height, &raw, &commit, NULL) == ERR_OK;
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    if (good)
        header_get(&c, &h);
    good = good && cursor_ok(&c) && h.time_ms <= since_ms;
    buf_clear(&raw);
    buf_clear(&commit);
    return good;
}

struct pubkey api_earner(struct node *n)
{
    struct rec_provider provider;
    return ledger_provider(n->ledger, &n->id, &provider) ? provider.owner : n->id;
}

static enum err read_account(struct api_call *c, struct pubkey *account, struct note *note)
{
    const char *text = http_query(c->request, "account");
    if (text && *text)
        return api_account_parse(c->node, text, account, note) ? ERR_OK : ERR_FORMAT;
    *account = api_earner(c->node);
    return ERR_OK;
}

/* A question whose answer is summed in the loop's turns between others' work. */
struct asking {
    struct node *node;
    struct http_request *request;
    struct timer timer;
    struct ledger_info info; /* as it was when the sum was begun */
    struct earnings_reading reading;
};

static void asking_free(struct asking *a)
{
    host_timer_cancel(a->node->host, &a->timer);
    earnings_clear(&a->reading.sum);
    free(a);
}

static void on_client_gone(void *arg, struct http_request *r)
{
    (void)r;
    asking_free(arg);
}

static void reply(struct asking *a)
{
    struct buf b = {0};
    bool first = true;
    const struct earnings *e = &a->reading.sum;
    const uint64_t since_ms = a->reading.since_ms;
    buf_add_text(&b, "{");
    api_put_address(&b, &first, "address", a->node, &a->reading.account);
    api_put_u64(&b, &first, "since_ms", since_ms);
    api_put_u64(&b, &first, "from", e->from);
    api_put_u64(&b, &first, "height", a->info.height);
    api_put_u64(&b, &first, "time_ms", a->info.time_ms);
    api_put_flag(&b, &first, "complete", e->is_whole || begins_before(a->node, e->from, since_ms));
    api_put_u64(&b, &first, "payouts", e->payouts);
    put_sums(&b, &first, e->sums);
    put_days(&b, &first, e);
    put_sources(&b, &first, a->node, e);
    put_pending(&b, &first, a->node, &a->reading.account);
    buf_add_text(&b, "}");
    api_reply_json(a->request, 200, &b);
}

static void go_on(void *arg)
{
    struct asking *a = arg;
    struct note note = {{0}};
    enum err e = earnings_step(&a->reading, &note);
    if (e == ERR_OK && !a->reading.is_done) {
        host_timer_set(a->node->host, &a->timer, 0, go_on, a);
        return;
    }
    http_on_gone(a->request, NULL, NULL);
    if (e == ERR_OK)
        reply(a);
    else
        api_fail(a->request, e, &note);
    asking_free(a);
}

void api_earnings_get(struct api_call *c)
{
    struct note note = {{0}};
    struct pubkey account;
    uint64_t since_ms = 0;
    if (!api_query_number(c, "since", UINT64_C(1) << 53, &since_ms))
        return;
    enum err e = read_account(c, &account, &note);
    if (e == ERR_OK && !c->node->history)
        e = note_set(&note, ERR_STATE, "this node keeps no history of accounts: start kithd without history = no");
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    struct asking *a = mem_new(sizeof *a);
    *a = (struct asking){.node = c->node, .request = c->request, .info = ledger_info(c->node->ledger)};
    earnings_begin(&a->reading, c->node->history, &account, since_ms);
    http_on_gone(a->request, on_client_gone, a);
    go_on(a);
}
