/* Sharing this machine, over HTTP: what the owner is to sign, starting, stopping, settling. */
#include "base/mem.h"
#include "node/api.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#define SHARE_MODELS_MAX 64

struct model_list {
    struct node *node;
    struct hash roots[SHARE_MODELS_MAX];
    unsigned n;
};

static void add_root(struct model_list *l, const struct hash *root)
{
    for (unsigned i = 0; i < l->n; i++)
        if (hash_equal(&l->roots[i], root))
            return;
    if (l->n < SHARE_MODELS_MAX)
        l->roots[l->n++] = *root;
}

static void add_published(void *arg, const struct blobs_info *info)
{
    struct model_list *l = arg;
    struct rec_model rec;
    if (info->kind == BLOB_MODEL && info->whole && ledger_model(l->node->ledger, &info->root, &rec))
        add_root(l, &info->root);
}

/* The models that are named, or every published one of this node. */
static enum err read_models(struct api_call *c, json_t *body, struct model_list *l, struct note *note)
{
    json_t *names = json_object_get(body, "models");
    l->node = c->node;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct hash root;
        struct rec_model rec;
        enum err e = name ? market_find_model(c->node->market, name, &root, note)
                          : note_set(note, ERR_FORMAT, "models must be a list of names or roots");
        if (e != ERR_OK)
            return e;
        if (!ledger_model(c->node->ledger, &root, &rec))
            return note_set(note, ERR_NOT_FOUND, "the model %.64s is not on the ledger: kith model publish", name);
        if (!blobs_path(c->node->blobs, &root))
            return note_set(note, ERR_NOT_FOUND, "the model %.64s is not on this machine: kith model pull %.64s", name,
                            name);
        add_root(l, &root);
    }
    if (json_array_size(names) == 0)
        blobs_list(c->node->blobs, add_published, l);
    return l->n ? ERR_OK
                : note_set(note, ERR_NOT_FOUND, "no published model is on this machine: kith model pull gets one");
}

static enum err read_owner(struct api_call *c, json_t *body, struct pubkey *owner, struct note *note)
{
    const char *text = json_text(body, "owner");
    if (!text)
        return note_set(note, ERR_FORMAT, "owner is missing: the address that earns");
    return api_account_parse(c->node, text, owner, note) ? ERR_OK : ERR_FORMAT;
}

static bool is_registered(const struct api_call *c, const struct pubkey *owner, const struct model_list *l, bool audits)
{
    struct rec_provider rec;
    if (!ledger_provider(c->node->ledger, &c->node->id, &rec) || !pubkey_equal(&rec.owner, owner) ||
        rec.audits != audits || rec.models.n != l->n || strcmp(rec.endpoint.s, node_endpoint(c->node)) != 0)
        return false;
    for (unsigned i = 0; i < l->n; i++) {
        struct hash h = hashes_at(&rec.models, i);
        if (!hash_equal(&h, &l->roots[i]))
            return false;
    }
    return true;
}

static void put_roots(struct buf *b, bool *first, const struct model_list *l)
{
    struct hashes roots = {(const uint8_t *)l->roots, l->n};
    codec_json_key(b, first, "models");
    codec_json_hashes(b, &roots);
}

static void put_bond(struct buf *b, bool *outer, const char *name, struct amount have, struct amount least)
{
    bool first = true;
    codec_json_key(b, outer, name);
    buf_add_text(b, "{");
    api_put_amount(b, &first, "have", have);
    api_put_amount(b, &first, "least", least);
    buf_add_text(b, "}");
}

static int by_root(const void *a, const void *b)
{
    return hash_compare(a, b);
}

void api_share_prepare(struct api_call *c)
{
    struct note note = {{0}};
    struct model_list *l = mem_new(sizeof *l);
    struct pubkey owner;
    struct buf b = {0};
    json_t *body = api_body(c->request);
    if (!body) {
        free(l);
        return;
    }
    json_t *audits_value = json_object_get(body, "audits");
    bool audits = audits_value ? json_is_true(audits_value) : c->node->config->audit;
    enum err e = read_owner(c, body, &owner, &note);
    if (e == ERR_OK)
        e = read_models(c, body, l, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
    } else {
        struct params params = ledger_params(c->node->ledger);
        struct sig consent;
        bool first = true, bonds_first = true;
        qsort(l->roots, l->n, sizeof *l->roots, by_root);
        tx_consent_sign(&c->node->chain, &owner, &c->node->key, &consent);
        buf_add_text(&b, "{");
        api_put_key(&b, &first, "node", &c->node->id);
        api_put_text(&b, &first, "endpoint", node_endpoint(c->node));
        put_roots(&b, &first, l);
        api_put_flag(&b, &first, "audits", audits);
        codec_json_key(&b, &first, "consent");
        codec_json_sig(&b, &consent);
        api_put_flag(&b, &first, "registered", is_registered(c, &owner, l, audits));
        codec_json_key(&b, &first, "bonds");
        buf_add_text(&b, "{");
        put_bond(&b, &bonds_first, "provider", ledger_bond(c->node->ledger, BOND_PROVIDER, &owner),
                 params.provider_bond_min);
        put_bond(&b, &bonds_first, "auditor", ledger_bond(c->node->ledger, BOND_AUDITOR, &owner),
                 params.auditor_bond_min);
        buf_add_text(&b, "}}");
        api_reply_json(c->request, 200, &b);
    }
    free(l);
    json_decref(body);
}

static void reply_state(struct api_call *c)
{
    struct market_share s;
    struct rec_provider provider;
    char why[200];
    struct buf b = {0};
    bool first = true;
    market_share_state(c->node->market, &s, why, sizeof why);
    buf_add_text(&b, "{");
    api_put_text(&b, &first, "state", s.on ? "on" : "off");
    api_put_text(&b, &first, "why", why);
    if (ledger_provider(c->node->ledger, &c->node->id, &provider))
        api_put_address(&b, &first, "owner", c->node, &provider.owner);
    api_put_amount(&b, &first, "price_in", s.price_in);
    api_put_amount(&b, &first, "price_out", s.price_out);
    codec_json_key(&b, &first, "models");
    buf_add_text(&b, "[");
    for (unsigned i = 0; i < s.models_n; i++) {
        struct rec_model rec;
        bool inner = true;
        buf_add_text(&b, i ? ",{" : "{");
        api_put_hash(&b, &inner, "root", &s.models[i]);
        api_put_text(&b, &inner, "name", ledger_model(c->node->ledger, &s.models[i], &rec) ? rec.name.s : "");
        buf_add_text(&b, "}");
    }
    buf_add_text(&b, "]");
    api_put_u64(&b, &first, "jobs", market_jobs_served(c->node->market));
    api_put_amount(&b, &first, "earned", market_earned(c->node->market));
    api_put_amount(&b, &first, "unsettled", market_unsettled(c->node->market));
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

static enum err read_price(json_t *body, const char *name, struct amount *out, struct note *note)
{
    const char *text = json_text(body, name);
    if (!text || !*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 19)
        return note_set(note, ERR_FORMAT, "%s must be mote per million tokens, in decimal digits", name);
    *out = amount_of(strtoull(text, NULL, 10));
    return ERR_OK;
}

void api_share_post(struct api_call *c)
{
    struct note note = {{0}};
    struct model_list *l = mem_new(sizeof *l);
    struct market_share s = {.on = true};
    json_t *body = api_body(c->request);
    if (!body) {
        free(l);
        return;
    }
    enum err e = read_models(c, body, l, &note);
    if (e == ERR_OK)
        e = read_price(body, "price_in", &s.price_in, &note);
    if (e == ERR_OK)
        e = read_price(body, "price_out", &s.price_out, &note);
    s.models = l->roots;
    s.models_n = l->n;
    s.slots = (uint32_t)json_integer_value(json_object_get(body, "slots"));
    if (e == ERR_OK)
        e = market_set_share(c->node->market, &s, &note);
    if (e == ERR_OK)
        reply_state(c);
    else
        api_fail(c->request, e, &note);
    free(l);
    json_decref(body);
}

void api_share_get(struct api_call *c)
{
    reply_state(c);
}

void api_share_stop(struct api_call *c)
{
    struct note note = {{0}};
    struct market_share s;
    char why[200];
    market_share_state(c->node->market, &s, why, sizeof why);
    s.on = false;
    enum err e = market_set_share(c->node->market, &s, &note);
    market_settle(c->node->market, NULL, NULL);
    if (e == ERR_OK)
        reply_state(c);
    else
        api_fail(c->request, e, &note);
}

static void put_settling(void *arg, const struct hash *channel, struct amount amount)
{
    struct buf *b = arg;
    bool first = true;
    api_begin_entry(b);
    api_put_hash(b, &first, "channel", channel);
    api_put_amount(b, &first, "amount", amount);
    buf_add_text(b, "}");
}

void api_settle_post(struct api_call *c)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"settlements\":[");
    market_settle(c->node->market, put_settling, &b);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}
