/* Bounties over HTTP: money for a model or a data set that its poster accepts. */
#include "node/api/api.h"
#include "node/node.h"

#include <string.h>

#define BOUNTIES_PAGE 500 /* of one answer */

static const char *name_of(struct node *n, uint8_t wants, const struct hash *root, struct rec_model *model,
                           struct rec_data *data)
{
    if (wants == LINEAGE_MODEL)
        return ledger_model(n->ledger, root, model) ? model->name.s : "";
    return ledger_data(n->ledger, root, data) ? data->name.s : "";
}

static void put_offers(struct buf *b, struct node *n, const struct rec_bounty *bounty)
{
    struct rec_offer o;
    struct rec_model model;
    struct rec_data data;
    struct hash last;
    bool is_first = true;
    buf_add_text(b, "[");
    for (const struct hash *after = NULL; ledger_offer_next(n->ledger, after, &o); after = &last) {
        bool first = true;
        last = o.id;
        if (!hash_equal(&o.bounty, &bounty->id))
            continue;
        buf_add_text(b, is_first ? "{" : ",{");
        is_first = false;
        api_put_hash(b, &first, "root", &o.root);
        api_put_text(b, &first, "name", name_of(n, bounty->wants, &o.root, &model, &data));
        api_put_address(b, &first, "by", n, &o.by);
        api_put_u64(b, &first, "height", o.height);
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

static void put_bounty(struct buf *b, struct node *n, const struct rec_bounty *r, bool has_offers)
{
    bool first = true;
    buf_add_text(b, "{");
    api_put_hash(b, &first, "id", &r->id);
    api_put_text(b, &first, "title", r->title.s);
    api_put_text(b, &first, "wants", r->wants == LINEAGE_MODEL ? "model" : "data");
    api_put_address(b, &first, "poster", n, &r->poster);
    api_put_amount(b, &first, "amount", r->amount);
    api_put_hash(b, &first, "terms", &r->terms);
    api_put_u64(b, &first, "deadline_ms", ledger_date(n->ledger, r->deadline_ms));
    api_put_text(b, &first, "state", r->state == BOUNTY_PAID ? "paid" : "open");
    api_put_u64(b, &first, "height", r->height);
    codec_json_key(b, &first, "paid");
    if (r->state == BOUNTY_PAID) {
        bool inner = true;
        buf_add_text(b, "{");
        api_put_hash(b, &inner, "root", &r->root);
        api_put_address(b, &inner, "to", n, &r->to);
        buf_add_text(b, "}");
    } else
        buf_add_text(b, "null");
    if (has_offers) {
        codec_json_key(b, &first, "offers");
        put_offers(b, n, r);
    }
    buf_add_text(b, "}");
}

void api_bounties_get(struct api_call *c)
{
    const char *from = http_query(c->request, "after");
    struct rec_bounty r;
    struct hash last;
    struct buf b = {0};
    unsigned n = 0;
    bool more = false;
    if (from && (strlen(from) != 64 || !hex_get(from, last.b, sizeof last.b))) {
        http_reply_error(c->request, 400, "bad_request", "after is 64 hexadecimal digits");
        return;
    }
    buf_add_text(&b, "{\"bounties\":[");
    for (const struct hash *after = from ? &last : NULL; ledger_bounty_next(c->node->ledger, after, &r);
         after = &last) {
        more = n == BOUNTIES_PAGE;
        if (more)
            break;
        last = r.id;
        if (n++)
            buf_add_text(&b, ",");
        put_bounty(&b, c->node, &r, false);
    }
    buf_add_text(&b, "]");
    api_put_next(&b, more ? &last : NULL);
    api_reply_json(c->request, 200, &b);
}

void api_bounty_get(struct api_call *c)
{
    struct hash id;
    struct rec_bounty r;
    struct note note;
    struct buf b = {0};
    if (!api_rest_hash(c, "the id of a bounty", &id))
        return;
    if (!ledger_bounty(c->node->ledger, &id, &r)) {
        api_fail(c->request,
                 note_set(&note, ERR_NOT_FOUND,
                          "no bounty %.16s... is on the ledger: there was none, or its deadline has passed", c->rest),
                 &note);
        return;
    }
    put_bounty(&b, c->node, &r, true);
    api_reply_json(c->request, 200, &b);
}
