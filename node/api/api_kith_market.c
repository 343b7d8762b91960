/* What this node and the ledger hold of the market, over HTTP: its jobs, its payment channels, settlements. */
#include "node/api/api.h"
#include "node/node.h"

#define JOBS_SHOWN 50

static void put_channel(struct buf *b, const char *side, const struct channel *c, const struct pubkey *peer)
{
    bool first = true;
    api_begin_entry(b);
    api_put_hash(b, &first, "channel", &c->head.id);
    api_put_text(b, &first, "side", side);
    api_put_key(b, &first, "peer", peer);
    api_put_hash(b, &first, "model", &c->head.model);
    api_put_amount(b, &first, "funded", c->head.funded);
    api_put_amount(b, &first, "promised", c->head.promised ? c->head.voucher.cumulative : amount_of(0));
    api_put_amount(b, &first, "settled", c->head.settled);
    api_put_u64(b, &first, "receipts", c->head.promised ? c->head.voucher.receipts : 0);
    api_put_flag(b, &first, "closed", c->head.closed);
    buf_add_text(b, "}");
}

static void put_paying(void *arg, struct channel *c)
{
    put_channel(arg, "payer", c, &c->head.provider);
}

static void put_earning(void *arg, struct channel *c)
{
    put_channel(arg, "provider", c, &c->head.payer);
}

void api_channels_get(struct api_call *c)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"channels\":[");
    market_each_channel(c->node->market, MARKET_SIDE_REQUESTER, put_paying, &b);
    market_each_channel(c->node->market, MARKET_SIDE_PROVIDER, put_earning, &b);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

/* Zero: null. */
static void put_hash_or_null(struct buf *b, bool *first, const char *name, const struct hash *h)
{
    codec_json_key(b, first, name);
    if (hash_is_zero(h))
        buf_add_text(b, "null");
    else
        codec_json_hash(b, h);
}

static void put_audits(struct buf *b, const struct rec_settlement *rec)
{
    buf_add_text(b, "[");
    for (uint32_t i = 0; i < settlement_audits(rec); i++) {
        struct audit_draw d = settlement_audit_at(rec, i);
        bool first = true;
        api_begin_entry(b);
        api_put_key(b, &first, "auditor", &d.auditor);
        api_put_u64(b, &first, "index", d.index);
        api_put_verdict(b, &first, d.verdict);
        put_hash_or_null(b, &first, "witness", &d.witness);
        put_hash_or_null(b, &first, "salt", &d.salt);
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

void api_settlements_get(struct api_call *c)
{
    static const char *const states[] = {"waiting", "drawn", "revealing", "paid", "forfeited"};
    struct rec_settlement rec;
    struct hash last;
    struct buf b = {0};
    buf_add_text(&b, "{\"settlements\":[");
    for (const struct hash *after = NULL; ledger_settlement_next(c->node->ledger, after, &rec); after = &last) {
        bool first = true;
        last = rec.id;
        api_begin_entry(&b);
        api_put_hash(&b, &first, "tx", &rec.id);
        api_put_hash(&b, &first, "channel", &rec.channel);
        api_put_key(&b, &first, "provider", &rec.provider);
        api_put_u64(&b, &first, "height", rec.height);
        api_put_text(&b, &first, "state", states[rec.state]);
        api_put_amount(&b, &first, "amount", rec.amount);
        codec_json_key(&b, &first, "audits");
        put_audits(&b, &rec);
        buf_add_text(&b, "}");
    }
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

static void put_members(struct buf *b, const struct rec_doubt *d)
{
    buf_add_text(b, "[");
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        bool first = true;
        api_begin_entry(b);
        api_put_key(b, &first, "member", &m.member);
        api_put_u64(b, &first, "round", m.round);
        api_put_verdict(b, &first, m.verdict);
        put_hash_or_null(b, &first, "witness", &m.witness);
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

void api_doubts_get(struct api_call *c)
{
    static const char *const states[] = {"waiting", "drawn", "revealing", "right", "wrong", "undecided"};
    struct rec_doubt d;
    struct hash last;
    struct buf b = {0};
    buf_add_text(&b, "{\"doubts\":[");
    for (const struct hash *after = NULL; ledger_doubt_next(c->node->ledger, after, &d); after = &last) {
        bool first = true;
        last = d.id;
        api_begin_entry(&b);
        api_put_hash(&b, &first, "doubt", &d.id);
        api_put_hash(&b, &first, "settlement", &d.settlement);
        api_put_u64(&b, &first, "index", d.index);
        api_put_key(&b, &first, "auditor", &d.auditor);
        api_put_hash(&b, &first, "witness", &d.witness);
        api_put_hash(&b, &first, "salt", &d.salt);
        api_put_key(&b, &first, "doubter", &d.doubter);
        api_put_amount(&b, &first, "bond", d.bond);
        api_put_u64(&b, &first, "height", d.height);
        api_put_text(&b, &first, "state", states[d.state]);
        codec_json_key(&b, &first, "members");
        put_members(&b, &d);
        buf_add_text(&b, "}");
    }
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

static void put_job(void *arg, const struct job_view *v)
{
    struct buf *b = arg;
    bool first = true;
    api_begin_entry(b);
    api_put_hash(b, &first, "job", &v->id);
    api_put_text(b, &first, "state", api_job_state(v));
    api_put_text(b, &first, "model", v->model_name);
    api_put_text(b, &first, "route", v->is_local ? "local" : "network");
    api_put_u64(b, &first, "created_ms", v->made_ms);
    api_put_u64(b, &first, "tokens_in", v->prompt_tokens);
    api_put_u64(b, &first, "tokens_out", v->tokens);
    api_put_amount(b, &first, "cost", v->cost);
    buf_add_text(b, "}");
}

void api_jobs_get(struct api_call *c)
{
    uint64_t limit = JOBS_SHOWN;
    struct buf b = {0};
    struct hash owner = api_owner(c);
    if (!api_query_number(c, "limit", UINT32_MAX, &limit))
        return;
    buf_add_text(&b, "{\"jobs\":[");
    jobs_each(market_jobs(c->node->market), c->key ? &owner : NULL, (unsigned)limit, put_job, &b);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}
