/* Models over HTTP. */
#include "base/log.h"
#include "base/mem.h"
#include "node/api/api.h"
#include "node/api/model_heads.h"
#include "node/blobs/model_facts.h"
#include "node/blobs/model_names.h"
#include "node/node.h"
#include "wallet/address.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- lists -- */

struct listing {
    struct node *node;
    struct buf *b;
    const struct hash *only; /* offers of this model; NULL: all */
    bool first;
};

static void next_item(struct listing *l)
{
    buf_add_text(l->b, l->first ? "{" : ",{");
    l->first = false;
}

/* What the worker says of a model that is loaded; else what its file does. */
static void put_worker_facts(struct buf *b, bool *first, struct node *n, const struct hash *root)
{
    struct worker_info info = {0};
    struct worker *w = workers_find(n->workers, root, WORKER_FULL);
    if (w)
        worker_get_info(w, &info);
    api_put_text(b, first, "state", !w ? "idle" : info.ready ? "ready" : "loading");
    const struct model_brief *brief = model_heads_find(n, root);
    if (info.ready || (brief && *brief->architecture)) {
        api_put_text(b, first, "architecture", info.ready ? info.architecture : brief->architecture);
        api_put_text(b, first, "format", info.ready ? info.format : brief->format);
        api_put_u64(b, first, "context", info.ready ? info.context : brief->context);
    }
}

void api_put_model_name(struct buf *b, bool *first, struct node *n, const struct hash *root)
{
    struct hash usual;
    const char *name = market_model_name(n->market, root);
    bool is_usual = market_find_model(n->market, "default", &usual, NULL) == ERR_OK && hash_equal(&usual, root);
    api_put_text(b, first, "name", *name ? name : is_usual ? "default" : "");
}

static void put_local(void *arg, const struct blobs_info *info)
{
    struct listing *l = arg;
    struct rec_model rec;
    bool first = true;
    if (info->kind != BLOB_MODEL || !info->whole)
        return;
    bool published = ledger_model(l->node->ledger, &info->root, &rec);
    next_item(l);
    api_put_hash(l->b, &first, "root", &info->root);
    api_put_model_name(l->b, &first, l->node, &info->root);
    api_put_u64(l->b, &first, "size", info->size);
    put_worker_facts(l->b, &first, l->node, &info->root);
    api_put_flag(l->b, &first, "published", published);
    buf_add_text(l->b, "}");
}

static void put_offer(void *arg, const struct offer *o)
{
    struct listing *l = arg;
    struct rec_model model;
    struct rec_provider provider;
    bool first = true;
    if (l->only && !hash_equal(l->only, &o->model))
        return;
    next_item(l);
    api_put_hash(l->b, &first, "model", &o->model);
    api_put_text(l->b, &first, "name", ledger_model(l->node->ledger, &o->model, &model) ? model.name.s : "");
    api_put_key(l->b, &first, "provider", &o->provider);
    if (ledger_provider(l->node->ledger, &o->provider, &provider))
        api_put_address(l->b, &first, "owner", l->node, &provider.owner);
    api_put_amount(l->b, &first, "price_in", o->price_in);
    api_put_amount(l->b, &first, "price_out", o->price_out);
    api_put_u64(l->b, &first, "context", o->context);
    api_put_u64(l->b, &first, "slots", o->slots);
    api_put_u64(l->b, &first, "slots_free", o->slots_free);
    api_put_u64(l->b, &first, "speed", o->tokens_per_s);
    api_put_u64(l->b, &first, "expires_ms", o->expiry_ms);
    buf_add_text(l->b, "}");
}

static void put_offers(struct buf *b, struct node *n, const struct hash *only)
{
    struct listing l = {n, b, only, true};
    buf_add_text(b, "[");
    offers_each(market_offers(n->market), host_wall_ms(n->host), put_offer, &l);
    buf_add_text(b, "]");
}

static void answer_list(struct node *n, struct http_request *r, const char *rest)
{
    struct buf b = {0};
    struct listing l = {n, &b, NULL, true};
    (void)rest;
    buf_add_text(&b, "{\"local\":[");
    blobs_list(n->blobs, put_local, &l);
    buf_add_text(&b, "],\"offers\":");
    put_offers(&b, n, NULL);
    buf_add_text(&b, "}");
    api_reply_json(r, 200, &b);
}

void api_models_get(struct api_call *c)
{
    model_heads_answer(c, answer_list);
}

/* -- one model -- */

static void put_lineage(struct buf *b, const struct rec_model *m)
{
    struct cursor at = cursor_of(m->lineage);
    bool first_entry = true;
    buf_add_text(b, "[");
    while (at.n >= FLAT_ENTRY_SIZE) {
        struct flat_entry entry;
        bool first = true;
        flat_entry_get(&at, &entry);
        if (!cursor_ok(&at))
            break;
        buf_add_text(b, first_entry ? "{" : ",{");
        first_entry = false;
        api_put_text(b, &first, "type", entry.type == LINEAGE_DATA ? "data" : "model");
        api_put_hash(b, &first, "id", &entry.id);
        api_put_key(b, &first, "to", &entry.to);
        api_put_u64(b, &first, "bps", entry.share / (LINEAGE_WHOLE / BPS_ALL));
        buf_add_text(b, "}");
    }
    buf_add_text(b, "]");
}

static void put_published(struct buf *b, bool *outer, struct node *n, const struct rec_model *m)
{
    bool first = true;
    codec_json_key(b, outer, "published");
    buf_add_text(b, "{");
    api_put_address(b, &first, "publisher", n, &m->publisher);
    api_put_text(b, &first, "licence", m->licence.s);
    api_put_u64(b, &first, "arith", m->arith);
    api_put_u64(b, &first, "royalty_bps", m->royalty_bps);
    api_put_u64(b, &first, "derive_bps", m->derive_bps);
    api_put_hash(b, &first, "tensors_root", &m->tensors_root);
    codec_json_key(b, &first, "lineage");
    put_lineage(b, m);
    api_put_u64(b, &first, "height", m->height);
    buf_add_text(b, "}");
}

static void answer_model(struct node *n, struct http_request *r, const char *wanted)
{
    struct note note = {{0}};
    struct hash root;
    struct rec_model m;
    struct blobs_info info;
    struct buf b = {0};
    bool first = true;
    enum err e = market_find_model(n->market, wanted, &root, &note);
    bool published = e == ERR_OK && ledger_model(n->ledger, &root, &m);
    bool local = e == ERR_OK && blobs_find(n->blobs, &root, &info) && info.whole;
    if (e == ERR_OK && !published && !local)
        e = note_set(&note, ERR_NOT_FOUND, "nobody published the model %.64s, and it is not on this machine", wanted);
    if (e != ERR_OK) {
        api_fail(r, e, &note);
        return;
    }
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "root", &root);
    api_put_model_name(&b, &first, n, &root);
    api_put_u64(&b, &first, "size", published ? m.size : info.size);
    if (published) {
        api_put_text(&b, &first, "architecture", m.architecture.s);
        api_put_text(&b, &first, "format", m.format.s);
    }
    api_put_flag(&b, &first, "local", local);
    if (local && !published)
        put_worker_facts(&b, &first, n, &root);
    if (published)
        put_published(&b, &first, n, &m);
    else {
        codec_json_key(&b, &first, "published");
        buf_add_text(&b, "null");
    }
    codec_json_key(&b, &first, "offers");
    put_offers(&b, n, &root);
    buf_add_text(&b, "}");
    api_reply_json(r, 200, &b);
}

void api_model_get(struct api_call *c)
{
    model_heads_answer(c, answer_model);
}

/* -- importing: into the store, its facts read on a thread, and a worker that says whether it runs -- */

struct import_task {
    struct node *node;
    struct task *task;
    char *given; /* the path in the request */
    char *name;  /* what it is to be called here; NULL: as the file says, if that is free */
    struct model_facts facts;
    struct worker *worker;
    struct buf before; /* roots that were in the store already */
    struct hash root;  /* that the import put there, once is_stored */
    bool is_stored;
    bool is_check;      /* of the file where it lies */
    bool is_own_worker; /* none ran for that root before */
};

static void remember_root(void *arg, const struct blobs_info *info)
{
    if (info->whole)
        buf_add(arg, info->root.b, sizeof info->root.b);
}

/* The file itself is at fault, and will be the next time. */
static bool is_bad_model(enum err e)
{
    return e == ERR_FORMAT || e == ERR_UNSUPPORTED || e == ERR_LIMIT || e == ERR_RANGE || e == ERR_NUMERIC ||
           e == ERR_DUPLICATE || e == ERR_CORRUPT;
}

/* A bad model does not stay, unless it was there before. */
static void forget_import(struct import_task *x)
{
    struct note note = {{0}};
    bool was_there = false;
    for (size_t at = 0; at < x->before.n; at += HASH_SIZE)
        was_there = was_there || memcmp(x->before.p + at, x->root.b, HASH_SIZE) == 0;
    if (x->is_stored && !was_there && blobs_remove(x->node->blobs, &x->root, &note) != ERR_OK)
        log_event(LOG_ODD, "models", "left behind", "why=%s", note.text);
}

static void import_end(struct import_task *x, enum err e, const struct note *note)
{
    struct buf b = {0};
    if (e == ERR_OK) {
        model_facts_json(&b, &x->facts);
        task_finish(x->task, bytes_of_buf(&b));
    } else if (is_bad_model(e)) {
        struct note why = {{0}};
        forget_import(x);
        e = note_set(&why, ERR_UNSUPPORTED, "%s: %s", x->given, note->text[0] ? note->text : err_text(e));
        task_fail(x->task, e, &why);
    } else
        task_fail(x->task, e, note);
    buf_clear(&b);
    buf_clear(&x->before);
    model_facts_clear(&x->facts);
    free(x->given);
    free(x->name);
    free(x);
}

/* A name that was asked for has to be given; one that only the file says is given where nobody has it. Without its name
 * the model stays all the same. */
static enum err name_import(struct import_task *x, struct note *note)
{
    struct market *m = x->node->market;
    struct note why = {{0}};
    struct hash taken;
    if (x->name && market_name_model(m, &x->facts.root, x->name, &why) != ERR_OK)
        return note_set(note, ERR_STATE, "the model is here now, but not under that name: %s", why.text);
    if (x->name)
        snprintf(x->facts.name, sizeof x->facts.name, "%s", x->name);
    else if (!*market_model_name(m, &x->facts.root) && market_find_model(m, x->facts.name, &taken, &why) != ERR_OK)
        (void)!market_name_model(m, &x->facts.root, x->facts.name, &why);
    return ERR_OK;
}

static void on_import_ready(void *arg, enum err e, const struct worker_info *info, const struct note *note)
{
    struct import_task *x = arg;
    if (e == ERR_OK)
        x->facts.context = info->context;
    if (x->is_check && x->is_own_worker) /* others may change that file: no job may come to it */
        workers_stop(x->node->workers, x->worker);
    struct note why = {{0}};
    if (e == ERR_OK && !x->is_check && (e = name_import(x, &why)) != ERR_OK)
        note = &why;
    import_end(x, e, note);
}

static void on_facts(void *arg)
{
    struct import_task *x = arg;
    struct note note = x->facts.note;
    int fd;
    enum err e = x->facts.e;
    if (e == ERR_OK)
        e = model_facts_open(&x->facts, &fd, &note);
    x->is_own_worker = !workers_find(x->node->workers, &x->facts.root, WORKER_FULL);
    if (e == ERR_OK)
        e = workers_get(x->node->workers, &x->facts.root, WORKER_FULL, fd, &x->worker, &note);
    if (e == ERR_OK)
        worker_when_ready(x->worker, on_import_ready, x);
    else
        import_end(x, e, &note);
}

static void facts_work(void *arg)
{
    struct import_task *x = arg;
    model_facts_read(&x->facts);
}

static void on_imported(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct import_task *x = arg;
    if (e != ERR_OK) {
        import_end(x, e, note);
        return;
    }
    x->root = *root;
    x->is_stored = true;
    free(x->facts.path);
    x->facts.path = mem_string(blobs_path(x->node->blobs, root));
    host_submit(x->node->host, facts_work, on_facts, x);
}

/* Copying a large file takes a while, and room: what is no model for sure is refused before that. */
static void peek_work(void *arg)
{
    struct import_task *x = arg;
    x->facts.e = model_facts_peek(x->given, &x->facts.note);
}

static void on_peeked(void *arg)
{
    struct import_task *x = arg;
    if (x->facts.e == ERR_OK)
        blobs_import(x->node->blobs, BLOB_MODEL, x->given, on_imported, x);
    else
        import_end(x, x->facts.e, &x->facts.note);
}

void api_model_import(struct api_call *c)
{
    json_t *body = api_body(c->request);
    if (!body)
        return;
    const char *path = api_path(c->request, body, "a GGUF file"), *name = json_text(body, "name");
    struct note note = {{0}};
    enum err e = path && name ? model_names_check(name, &note) : ERR_OK;
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
    } else if (path) {
        struct import_task *x = mem_new(sizeof *x);
        bool check = json_is_true(json_object_get(body, "check"));
        *x = (struct import_task){
            .node = c->node, .task = task_new(c->node->tasks, check ? "check" : "import"), .is_check = check};
        x->facts.path = mem_string(path);
        x->given = mem_string(path);
        x->name = name ? mem_string(name) : NULL;
        blobs_list(c->node->blobs, remember_root, &x->before);
        if (check)
            host_submit(c->node->host, facts_work, on_facts, x);
        else
            host_submit(c->node->host, peek_work, on_peeked, x);
        task_accepted(x->task, c->request);
    }
    json_decref(body);
}

/* -- pulling -- */

static void on_pulled(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct api_pull *x = arg;
    struct blobs_info info;
    api_pull_end(x);
    if (e == ERR_OK && blobs_find(x->node->blobs, root, &info)) {
        struct buf b = {0};
        bool first = true;
        buf_add_text(&b, "{");
        api_put_hash(&b, &first, "root", root);
        api_put_u64(&b, &first, "size", info.size);
        buf_add_text(&b, "}");
        task_progress(x->task, info.size, info.size);
        task_finish(x->task, bytes_of_buf(&b));
        buf_clear(&b);
    } else
        task_fail(x->task, e, note);
    free(x);
}

/* Others may wait for the same bytes: they go on. */
static void cancel_pull(void *arg)
{
    struct api_pull *x = arg;
    struct note note;
    (void)note_set(&note, ERR_CANCELLED, "cancelled: what came so far is kept for the next pull");
    blobs_pull_leave(x->node->blobs, &x->root, on_pulled, x);
    api_pull_end(x);
    task_fail(x->task, ERR_CANCELLED, &note);
    free(x);
}

static void reply_cancelled(struct api_call *c, const struct hash *root)
{
    struct blobs_info info;
    struct buf b = {0};
    bool first = true, was_pulled = blobs_find(c->node->blobs, root, &info) && info.pulling;
    blobs_pull_cancel(c->node->blobs, root);
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "root", root);
    api_put_flag(&b, &first, "cancelled", was_pulled);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

void api_model_pull(struct api_call *c)
{
    struct note note = {{0}};
    struct hash root;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    const char *model = json_text(body, "model");
    enum err e = model ? market_find_model(c->node->market, model, &root, &note)
                       : note_set(&note, ERR_FORMAT, "model is missing: a name or a root");
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
    } else if (json_is_true(json_object_get(body, "cancel"))) {
        reply_cancelled(c, &root);
    } else {
        struct api_pull *x = mem_new(sizeof *x);
        api_pull_begin(c, x, "pull", &root);
        task_on_cancel(x->task, cancel_pull, x);
        blobs_pull(c->node->blobs, BLOB_MODEL, &root, on_pulled, x);
    }
    json_decref(body);
}
