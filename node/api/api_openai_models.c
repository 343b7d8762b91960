/* /v1/models: what this node answers by, here or at a provider, each once, and how much fits into its context. */
#include "node/api/api_openai.h"

#include "base/mem.h"
#include "node/api/model_heads.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One line of the list. */
struct entry {
    struct hash root;
    bool is_here;
    uint32_t context;
    uint64_t made_s;
};

struct listing {
    struct node *node;
    struct http_request *request;
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

static void add_local(void *arg, const struct blobs_info *info)
{
    struct listing *l = arg;
    struct entry e = {.root = info->root, .is_here = true};
    const struct model_brief *brief = model_heads_find(l->node, &info->root);
    struct stat st;
    const char *path = info->whole ? blobs_path(l->node->blobs, &info->root) : NULL;
    if (info->kind != BLOB_MODEL || !path)
        return;
    e.made_s = stat(path, &st) == 0 && st.st_mtime > 0 ? (uint64_t)st.st_mtime : 0;
    e.context = brief ? brief->context : 0;
    add_entry(l, &e);
}

/* Several providers may offer one model: the list has it once, with the most that one of them has room for. */
static void add_offer(void *arg, const struct offer *o)
{
    struct listing *l = arg;
    struct entry *there = find_entry(l, &o->model);
    if (!there)
        add_entry(l, &(struct entry){.root = o->model, .context = o->context});
    else if (!there->is_here && o->context > there->context)
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
    api_put_text(b, &first, "owned_by", e->is_here ? "local" : "network");
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

static void reply_one(struct listing *l, const char *wanted)
{
    struct note note = {{0}};
    struct hash root;
    struct buf b = {0};
    enum err e = market_find_model(l->node->market, wanted, &root, &note);
    const struct entry *found = e == ERR_OK ? find_entry(l, &root) : NULL;
    if (e == ERR_OK && !found)
        e = note_set(&note, ERR_NOT_FOUND, "nobody offers \"%.64s\" now, and it is not on this machine", wanted);
    if (e != ERR_OK) {
        openai_fail(l->request, e, "model", note.text);
        return;
    }
    put_entry(&b, false, wanted, found);
    api_reply_json(l->request, 200, &b);
}

static void list_open(struct listing *l, struct node *n, struct http_request *r)
{
    *l = (struct listing){.node = n, .request = r};
    blobs_list(n->blobs, add_local, l);
    offers_each(market_offers(n->market), host_wall_ms(n->host), add_offer, l);
}

static void answer_all(struct node *n, struct http_request *r, const char *rest)
{
    struct listing l;
    (void)rest;
    list_open(&l, n, r);
    reply_all(&l);
    free(l.entry);
}

static void answer_one(struct node *n, struct http_request *r, const char *wanted)
{
    struct listing l;
    list_open(&l, n, r);
    reply_one(&l, wanted);
    free(l.entry);
}

void api_openai_models(struct api_call *c)
{
    model_heads_answer(c, answer_all);
}

void api_openai_model(struct api_call *c)
{
    model_heads_answer(c, answer_one);
}
