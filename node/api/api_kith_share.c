/* Sharing this machine, over HTTP: what the owner is to sign, starting, settling. What the owner says of it afterwards
 * is in api_kith_terms.c. */
#include "base/mem.h"
#include "node/api/api.h"
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

/* What is not named stays as it was; who never named a price asks the usual one. */
void api_share_post(struct api_call *c)
{
    struct note note = {{0}};
    struct model_list *l = mem_new(sizeof *l);
    struct market_share s = market_share(c->node->market);
    json_t *body = api_body(c->request);
    if (!body) {
        free(l);
        return;
    }
    if (s.models_n == 0 && s.price_in.mote == 0 && s.price_out.mote == 0) {
        s.price_in = amount_of(SHARE_PRICE_IN);
        s.price_out = amount_of(SHARE_PRICE_OUT);
    }
    s.on = true;
    s.finishing = false;
    s.paused_until_ms = 0;
    enum err e = read_models(c, body, l, &note);
    if (e == ERR_OK)
        e = api_read_terms(body, &s, &note);
    s.models = l->roots;
    s.models_n = l->n;
    if (e == ERR_OK)
        e = market_set_share(c->node->market, &s, &note);
    if (e == ERR_OK)
        api_reply_share(c);
    else
        api_fail(c->request, e, &note);
    free(l);
    json_decref(body);
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
