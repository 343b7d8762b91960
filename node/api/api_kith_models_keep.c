/* Models on this machine, over HTTP: reading one again, and taking one off the disk. */
#include "base/limits.h"
#include "base/mem.h"
#include "node/api/api.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

/* The body's "model"; false after answering. */
static bool read_model(struct api_call *c, struct hash *root)
{
    struct note note = {{0}};
    json_t *body = api_body(c->request);
    if (!body)
        return false;
    const char *model = json_text(body, "model");
    enum err e = model ? market_find_model(c->node->market, model, root, &note)
                       : note_set(&note, ERR_FORMAT, "model is missing: a name or a root");
    if (e != ERR_OK)
        api_fail(c->request, e, &note);
    json_decref(body);
    return e == ERR_OK;
}

/* -- verifying -- */

static void on_verified(void *arg, bool is_end, enum err e, uint64_t done, uint64_t total, const struct note *note)
{
    struct task *t = arg;
    struct buf b = {0};
    task_progress(t, done, total);
    if (is_end && e != ERR_OK)
        task_fail(t, e, note);
    if (!is_end || e != ERR_OK)
        return;
    bool first = true;
    buf_add_text(&b, "{");
    api_put_u64(&b, &first, "size", total);
    api_put_u64(&b, &first, "leaves", (total + LEAF_SIZE - 1) / LEAF_SIZE);
    buf_add_text(&b, "}");
    task_finish(t, bytes_of_buf(&b));
    buf_clear(&b);
}

void api_model_verify(struct api_call *c)
{
    struct note note = {{0}};
    struct hash root;
    struct blobs_info info;
    if (!read_model(c, &root))
        return;
    if (!blobs_find(c->node->blobs, &root, &info) || !info.whole) {
        enum err e = note_set(&note, ERR_STATE,
                              "it is not whole on this machine: kith model pull fetches what is "
                              "missing, and checks each leaf");
        api_fail(c->request, e, &note);
        return;
    }
    struct task *t = task_new(c->node->tasks, "verify");
    enum err e = blobs_verify(c->node->blobs, &root, on_verified, t, &note);
    if (e != ERR_OK)
        task_fail(t, e, &note);
    task_accepted(t, c->request);
}

/* -- removing -- */

/* Also while jobs that were taken before it was turned off still run. */
static bool is_lent(const struct market *m, const struct hash *root)
{
    const struct market_share s = market_share(m);
    for (unsigned i = 0; (s.on || market_jobs_running(m)) && i < s.models_n; i++)
        if (hash_equal(&s.models[i], root))
            return true;
    return false;
}

struct asked {
    const struct hash *root;
    unsigned n;
};

/* A job of this node's own needs the model even while its worker has nothing to do for it: to know the words of tokens
 * that a provider sends. */
static void count_asked(void *arg, const struct job_view *v)
{
    struct asked *a = arg;
    a->n += v->state < JOB_DONE && hash_equal(&v->model, a->root);
}

struct drawing {
    const struct pubkey *self;
    const struct hash *root;
    bool is_drawn;
};

static bool is_not_drawn(void *arg, const struct rec_settlement *s)
{
    struct drawing *x = arg;
    for (uint32_t i = 0; hash_equal(&s->model, x->root) && i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        x->is_drawn |= pubkey_equal(&d.auditor, x->self) && d.round == s->round;
    }
    return !x->is_drawn;
}

/* Who is drawn and has not got the model loses a part of his bond. */
static bool is_audited(const struct node *n, const struct hash *root)
{
    struct rec_provider rec;
    struct drawing x = {.self = &n->id, .root = root};
    if (ledger_provider(n->ledger, &n->id, &rec) && rec.audits)
        for (uint32_t i = 0; i < rec.models.n; i++) {
            struct hash h = hashes_at(&rec.models, i);
            if (hash_equal(&h, root))
                return true;
        }
    ledger_escrow_each(n->ledger, is_not_drawn, &x);
    return x.is_drawn;
}

static enum err may_remove(struct node *n, const struct hash *root, struct note *note)
{
    struct hash standard;
    struct worker_info info = {0};
    struct asked asked = {.root = root};
    struct worker *w = workers_find(n->workers, root, WORKER_FULL);
    jobs_each(market_jobs(n->market), NULL, UINT32_MAX, count_asked, &asked);
    if (w)
        worker_get_info(w, &info);
    if (is_lent(n->market, root))
        return note_set(note, ERR_STATE, "it is lent: kith share finish, or kith share start --model with the others");
    if (is_audited(n, root))
        return note_set(
            note, ERR_STATE,
            "this node may be drawn to audit it, and would lose a part of its bond: kith share start without "
            "--audit, then kith share finish, and wait until the audits that were drawn are over");
    if (info.jobs || asked.n)
        return note_set(note, ERR_STATE,
                        "%u questions are being answered with it: try again when they are over "
                        "(kith ps)",
                        info.jobs > asked.n ? info.jobs : asked.n);
    if (market_find_model(n->market, "default", &standard, NULL) == ERR_OK && hash_equal(&standard, root))
        return note_set(note, ERR_STATE,
                        "it is the default model, which a start would bring back: start kithd with "
                        "--no-default-model");
    return ERR_OK;
}

void api_model_remove(struct api_call *c)
{
    struct note note = {{0}};
    struct hash root;
    struct blobs_info info;
    struct rec_model rec;
    struct buf b = {0};
    bool first = true;
    if (!read_model(c, &root))
        return;
    enum err e = blobs_find(c->node->blobs, &root, &info) && info.kind == BLOB_MODEL
                     ? may_remove(c->node, &root, &note)
                     : note_set(&note, ERR_NOT_FOUND, "it is not on this machine, so nothing of it can be removed");
    if (e == ERR_OK) {
        workers_drop_model(c->node->workers, &root);
        e = blobs_remove(c->node->blobs, &root, &note);
        if (e == ERR_OK)
            e = market_forget_name(c->node->market, &root, &note);
    }
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    uint64_t part = info.leaves_have * LEAF_SIZE;
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "root", &root);
    api_put_u64(&b, &first, "bytes", info.whole || part > info.size ? info.size : part);
    api_put_flag(&b, &first, "published", ledger_model(c->node->ledger, &root, &rec));
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}
