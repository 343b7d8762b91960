/* /v1/models: what this node answers by, here or at a provider, each once, and how much fits into its context. What a
 * file says of that is read on a thread the first time that somebody asks, and kept. */
#include "node/api/api_openai.h"

#include "base/mem.h"
#include "node/blobs/model_facts.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One line of the list. */
struct entry {
    struct hash root;
    char *path; /* of a model that is here, else NULL */
    uint32_t context;
    uint64_t made_s;
    bool is_known; /* the context */
};

struct listing {
    struct node *node;
    struct http_request *request; /* NULL: the client is gone */
    char *wanted;                 /* one only, by name or root; NULL: all */
    struct entry *entry;
    size_t n;
};

/* -- what is known -- */

static void add_entry(struct listing *l, const struct entry *e)
{
    l->entry = mem_resize(l->entry, l->n + 1, sizeof *l->entry);
    l->entry[l->n++] = *e;
}

static struct entry *find_entry(const struct listing *l, const struct hash *root)
{
    for (size_t i = 0; i < l->n; i++)
        if (hash_equal(&l->entry[i].root, root))
            return &l->entry[i];
    return NULL;
}

static bool find_context(const struct node *n, const struct hash *root, uint32_t *out)
{
    const struct buf *known = &n->model_contexts;
    for (size_t at = 0; at < known->n; at += HASH_SIZE + 4)
        if (memcmp(known->p + at, root->b, HASH_SIZE) == 0) {
            *out = load_le32(known->p + at + HASH_SIZE);
            return true;
        }
    return false;
}

static void keep_context(struct node *n, const struct entry *e)
{
    uint8_t raw[4];
    uint32_t before;
    if (find_context(n, &e->root, &before))
        return;
    store_le32(raw, e->context);
    buf_add(&n->model_contexts, e->root.b, HASH_SIZE);
    buf_add(&n->model_contexts, raw, sizeof raw);
}

static void add_local(void *arg, const struct blobs_info *info)
{
    struct listing *l = arg;
    struct entry e = {.root = info->root};
    struct stat st;
    const char *path = info->whole ? blobs_path(l->node->blobs, &info->root) : NULL;
    if (info->kind != BLOB_MODEL || !path)
        return;
    e.path = mem_string(path);
    e.made_s = stat(path, &st) == 0 && st.st_mtime > 0 ? (uint64_t)st.st_mtime : 0;
    e.is_known = find_context(l->node, &e.root, &e.context);
    add_entry(l, &e);
}

/* Several providers may offer one model: the list has it once, with the most that one of them has room for. */
static void add_offer(void *arg, const struct offer *o)
{
    struct listing *l = arg;
    struct entry *there = find_entry(l, &o->model);
    if (!there)
        add_entry(l, &(struct entry){.root = o->model, .context = o->context, .is_known = true});
    else if (!there->path && o->context > there->context)
        there->context = o->context;
}

/* -- the answer -- */

static void put_entry(struct buf *b, bool comma, const char *id, const struct entry *e)
{
    bool first = true;
    buf_add_text(b, comma ? ",{" : "{");
    api_put_text(b, &first, "id", id);
    api_put_text(b, &first, "object", "model");
    api_put_u64(b, &first, "created", e->made_s);
    api_put_text(b, &first, "owned_by", e->path ? "local" : "network");
    if (e->context) {
        api_put_u64(b, &first, "context_length", e->context);
        api_put_u64(b, &first, "max_model_len", e->context);
    }
    buf_add_text(b, "}");
}

static void reply_all(struct listing *l)
{
    struct buf b = {0};
    struct hash root;
    const struct entry *e;
    bool comma = false;
    buf_add_text(&b, "{\"object\":\"list\",\"data\":[");
    if (market_find_model(l->node->market, "default", &root, NULL) == ERR_OK && (e = find_entry(l, &root)) != NULL) {
        put_entry(&b, comma, "default", e);
        comma = true;
    }
    for (size_t i = 0; i < l->n; i++) {
        char hex[65];
        const char *name = market_model_name(l->node->market, &l->entry[i].root);
        hex_put(hex, l->entry[i].root.b, HASH_SIZE);
        put_entry(&b, comma, *name ? name : hex, &l->entry[i]);
        comma = true;
    }
    buf_add_text(&b, "]}");
    api_reply_json(l->request, 200, &b);
}

static void reply_one(struct listing *l)
{
    struct note note = {{0}};
    struct hash root;
    struct buf b = {0};
    enum err e = market_find_model(l->node->market, l->wanted, &root, &note);
    const struct entry *found = e == ERR_OK ? find_entry(l, &root) : NULL;
    if (e == ERR_OK && !found)
        e = note_set(&note, ERR_NOT_FOUND, "nobody offers \"%.64s\" now, and it is not on this machine", l->wanted);
    if (e != ERR_OK) {
        openai_fail(l->request, e, "model", note.text);
        return;
    }
    put_entry(&b, false, l->wanted, found);
    api_reply_json(l->request, 200, &b);
}

static void listing_end(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->entry[i].path);
    free(l->entry);
    free(l->wanted);
    free(l);
}

static void reply(struct listing *l)
{
    if (l->wanted)
        reply_one(l);
    else
        reply_all(l);
}

/* -- reading files -- */

static void read_work(void *arg)
{
    struct listing *l = arg;
    for (size_t i = 0; i < l->n; i++)
        if (!l->entry[i].is_known)
            l->entry[i].context = model_context_read(l->entry[i].path);
}

static void on_read(void *arg)
{
    struct listing *l = arg;
    for (size_t i = 0; i < l->n; i++)
        if (l->entry[i].path)
            keep_context(l->node, &l->entry[i]);
    if (l->request)
        reply(l);
    listing_end(l);
}

static void on_client_gone(void *arg, struct http_request *r)
{
    struct listing *l = arg;
    (void)r;
    l->request = NULL;
}

static void list(struct api_call *c, const char *wanted)
{
    struct listing *l = mem_new(sizeof *l);
    bool all_known = true;
    *l = (struct listing){.node = c->node, .request = c->request, .wanted = wanted ? mem_string(wanted) : NULL};
    blobs_list(c->node->blobs, add_local, l);
    offers_each(market_offers(c->node->market), host_wall_ms(c->node->host), add_offer, l);
    for (size_t i = 0; i < l->n; i++)
        all_known = all_known && l->entry[i].is_known;
    if (all_known) {
        reply(l);
        listing_end(l);
        return;
    }
    http_on_gone(c->request, on_client_gone, l);
    host_submit(c->node->host, read_work, on_read, l);
}

void api_openai_models(struct api_call *c)
{
    list(c, NULL);
}

void api_openai_model(struct api_call *c)
{
    list(c, c->rest);
}
