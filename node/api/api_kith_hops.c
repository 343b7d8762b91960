/* Layers of models on other devices of the same owner, over HTTP: which are where, who may borrow some of this
 * device's, and whether what they answer is right. */
#include "node/api/api.h"
#include "node/node.h"

#include <string.h>

/* -- the state -- */

struct list {
    struct node *node;
    struct buf *b;
    bool counted; /* with what moves at every call */
    size_t room;  /* that the object may take; what does not fit is counted */
    unsigned left_out;
};

static void end_entry(struct list *l, size_t from)
{
    buf_add_text(l->b, "}");
    if (l->b->n <= l->room)
        return;
    l->b->n = from;
    l->left_out++;
}

static void put_range(struct list *l, bool *first, const struct hash *model, const struct pubkey *node, uint32_t from,
                      uint32_t end)
{
    api_begin_entry(l->b);
    api_put_hash(l->b, first, "model", model);
    api_put_model_name(l->b, first, l->node, model);
    api_put_key(l->b, first, "node", node);
    api_put_u64(l->b, first, "first", from);
    api_put_u64(l->b, first, "last", end - 1);
}

static void put_hop(void *arg, const struct hops_info *h)
{
    struct list *l = arg;
    const size_t from = l->b->n;
    bool first = true;
    put_range(l, &first, &h->place->model, &h->place->node, h->place->first, h->place->end);
    api_put_text(l->b, &first, "endpoint", h->place->endpoint.s);
    api_put_text(l->b, &first, "state", h->state);
    api_put_text(l->b, &first, "why", h->link.why);
    api_put_flag(l->b, &first, "used", h->used);
    if (l->counted) {
        api_put_text(l->b, &first, "backend", h->link.ready.backend.s);
        api_put_u64(l->b, &first, "batch", h->link.ready.batch);
        api_put_u64(l->b, &first, "pages", h->link.ready.pages);
        api_put_u64(l->b, &first, "calls", h->link.calls);
        api_put_u64(l->b, &first, "bytes_out", h->link.bytes_out);
        api_put_u64(l->b, &first, "bytes_in", h->link.bytes_in);
    }
    end_entry(l, from);
}

static void put_lent(void *arg, const struct hop_lent *t)
{
    struct list *l = arg;
    const size_t from = l->b->n;
    bool first = true;
    put_range(l, &first, &t->model, &t->node, t->first, t->end);
    api_put_text(l->b, &first, "state", t->ready ? "ready" : "loading");
    if (l->counted) {
        api_put_u64(l->b, &first, "calls", t->calls);
        api_put_u64(l->b, &first, "memory_bytes", t->memory_bytes);
    }
    end_entry(l, from);
}

static void put_layers(struct buf *b, bool *first, struct node *n, bool counted, size_t room)
{
    struct list l = {.node = n, .b = b, .counted = counted, .room = room};
    codec_json_key(b, first, "hops");
    buf_add_text(b, "[");
    hops_each(market_hops(n->market), put_hop, &l);
    buf_add_text(b, "]");
    codec_json_key(b, first, "lent");
    buf_add_text(b, "[");
    hop_lender_each(market_lender(n->market), put_lent, &l);
    buf_add_text(b, "]");
    if (l.left_out)
        api_put_u64(b, first, "left_out", l.left_out);
}

void api_put_layers(struct buf *b, bool *first, struct node *n)
{
    put_layers(b, first, n, false, SIZE_MAX);
}

void api_put_layers_within(struct buf *b, bool *first, struct node *n, size_t room)
{
    put_layers(b, first, n, false, room);
}

void api_put_hops(struct buf *b, bool *first, struct node *n)
{
    const struct hops_settings *s = hops_settings(market_hops(n->market));
    put_layers(b, first, n, true, SIZE_MAX);
    codec_json_key(b, first, "allowed");
    buf_add_text(b, "[");
    for (unsigned i = 0; i < s->allowed_n; i++) {
        buf_add_text(b, i ? "," : "");
        codec_json_pubkey(b, &s->allowed[i]);
    }
    buf_add_text(b, "]");
}

void api_hops_get(struct api_call *c)
{
    struct buf b = {0};
    bool first = true;
    buf_add_text(&b, "{");
    api_put_hops(&b, &first, c->node);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

/* -- what the owner says -- */

static enum err read_model(struct api_call *c, const json_t *body, struct hash *root, struct note *note)
{
    const char *model = json_text(body, "model");
    return model ? market_find_model(c->node->market, model, root, note)
                 : note_set(note, ERR_FORMAT, "model is missing: a name or a root");
}

/* NODE or NODE@HOST:PORT. */
static enum err read_node(struct api_call *c, const json_t *body, struct pubkey *node, struct text255 *endpoint,
                          struct note *note)
{
    const char *text = json_text(body, "node"), *at = text ? strchr(text, '@') : NULL;
    char hex[2 * sizeof node->b + 1] = "";
    if (!text)
        return note_set(note, ERR_FORMAT, "node is missing: its key, as kith status shows it there");
    size_t n = at ? (size_t)(at - text) : strlen(text);
    if (n == sizeof hex - 1)
        memcpy(hex, text, n);
    if (!hex_get(hex, node->b, sizeof node->b) || !key_public_is_valid(node))
        return note_set(note, ERR_FORMAT,
                        "%.80s is no node: 64 hexadecimal digits are, as kith status shows them there", text);
    if (pubkey_equal(node, &c->node->id))
        return note_set(note, ERR_FORMAT, "that is this node itself: name another of your devices");
    *endpoint = (struct text255){0};
    if (at && (!strrchr(at + 1, ':') || !text255_set(endpoint, at + 1)))
        return note_set(note, ERR_FORMAT, "%.80s is no address: HOST:PORT is", at + 1);
    return ERR_OK;
}

static enum err read_place(struct api_call *c, const json_t *body, struct hop_place *p, struct note *note)
{
    uint32_t last = UINT32_MAX;
    p->first = UINT32_MAX;
    enum err e = read_model(c, body, &p->model, note);
    if (e == ERR_OK)
        e = read_node(c, body, &p->node, &p->endpoint, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "first", "first", 0, 65535, &p->first, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "last", "last", 0, 65535, &last, note);
    if (e == ERR_OK && (p->first == UINT32_MAX || last == UINT32_MAX))
        e = note_set(note, ERR_FORMAT, "first and last are missing: the layers that are to be there, counted from 0");
    if (e == ERR_OK)
        p->end = last + 1;
    return e;
}

static void answer(struct api_call *c, enum err e, const struct note *note)
{
    if (e == ERR_OK)
        api_hops_get(c);
    else
        api_fail(c->request, e, note);
}

void api_hops_set(struct api_call *c)
{
    struct note note = {{0}};
    struct hop_place place = {.first = 0};
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_place(c, body, &place, &note);
    if (e == ERR_OK)
        e = hops_set(market_hops(c->node->market), &place, &note);
    answer(c, e, &note);
    json_decref(body);
}

void api_hops_remove(struct api_call *c)
{
    struct note note = {{0}};
    struct hash model;
    struct pubkey node;
    struct text255 ignored;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_model(c, body, &model, &note);
    if (e == ERR_OK)
        e = read_node(c, body, &node, &ignored, &note);
    if (e == ERR_OK)
        e = hops_remove(market_hops(c->node->market), &model, &node, &note);
    answer(c, e, &note);
    json_decref(body);
}

static void change_allowed(struct api_call *c,
                           enum err (*change)(struct hops *h, const struct pubkey *node, struct note *note))
{
    struct note note = {{0}};
    struct pubkey node;
    struct text255 ignored;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_node(c, body, &node, &ignored, &note);
    if (e == ERR_OK)
        e = change(market_hops(c->node->market), &node, &note);
    answer(c, e, &note);
    json_decref(body);
}

void api_hops_allow(struct api_call *c)
{
    change_allowed(c, hops_allow);
}

void api_hops_deny(struct api_call *c)
{
    change_allowed(c, hops_deny);
}

/* -- checking -- */

static void on_checked(void *arg, enum err e, struct bytes result, const struct note *note)
{
    if (e == ERR_OK)
        task_finish(arg, result);
    else
        task_fail(arg, e, note);
}

void api_hops_check(struct api_call *c)
{
    struct note note = {{0}};
    struct hash model;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_model(c, body, &model, &note);
    json_decref(body);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    struct task *t = task_new(c->node->tasks, "check hops");
    e = hops_check(market_hops(c->node->market), &model, on_checked, t, &note);
    if (e != ERR_OK)
        task_fail(t, e, &note);
    task_accepted(t, c->request);
}
