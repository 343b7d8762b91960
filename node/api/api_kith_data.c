/* Data over HTTP: registering, and the exchange of money for a key (node/data/access.h). */
#include "base/mem.h"
#include "base/secret.h"
#include "node/api/api.h"
#include "node/data/data.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#define GRANTS_PAGE 500 /* of one answer */

/* -- adding -- */

struct data_task {
    struct node *node;
    struct task *task;
};

static void on_data_added(void *arg, enum err e, const struct data_facts *f, const struct note *note)
{
    struct data_task *x = arg;
    if (e == ERR_OK) {
        struct buf b = {0};
        bool first = true;
        buf_add_text(&b, "{");
        api_put_hash(&b, &first, "cipher_root", &f->cipher_root);
        api_put_hash(&b, &first, "plain_root", &f->plain_root);
        api_put_u64(&b, &first, "size", f->size);
        buf_add_text(&b, "}");
        task_finish(x->task, bytes_of_buf(&b));
        buf_clear(&b);
    } else
        task_fail(x->task, e, note);
    free(x);
}

/* What an earlier call gave, if it is still all here: whoever was stopped between this and the ledger goes on with the
 * same roots. */
static bool is_here(struct node *n, const json_t *earlier, struct data_facts *f)
{
    struct blobs_info info;
    const char *cipher = json_text(earlier, "cipher_root"), *plain = json_text(earlier, "plain_root");
    if (!cipher || !plain || !hex_get(cipher, f->cipher_root.b, HASH_SIZE) ||
        !hex_get(plain, f->plain_root.b, HASH_SIZE) || !data_has_key(n->config->home, &f->plain_root) ||
        !blobs_find(n->blobs, &f->cipher_root, &info) || !info.whole)
        return false;
    f->size = info.size;
    return true;
}

void api_data_post(struct api_call *c)
{
    json_t *body = api_body(c->request);
    if (!body)
        return;
    const char *path = api_path(c->request, body, "a file");
    if (path) {
        struct data_task *x = mem_new(sizeof *x);
        *x = (struct data_task){c->node, task_new(c->node->tasks, "data")};
        struct data_facts earlier;
        task_accepted(x->task, c->request);
        if (is_here(c->node, json_object_get(body, "earlier"), &earlier))
            on_data_added(x, ERR_OK, &earlier, NULL);
        else
            data_add(c->node->host, c->node->blobs, c->node->config->home, path, on_data_added, x);
    }
    json_decref(body);
}

/* -- what there is -- */

/* What stands at the star is the plain root of a set on the ledger; else it has been answered. */
static bool data_of(struct api_call *c, struct rec_data *d)
{
    struct hash root;
    struct note note;
    if (!api_rest_hash(c, "the root of a data set", &root))
        return false;
    if (ledger_data(c->node->ledger, &root, d))
        return true;
    api_fail(c->request, note_set(&note, ERR_NOT_FOUND, "no data set %.16s... is on the ledger", c->rest), &note);
    return false;
}

static void put_data(struct buf *b, struct node *n, const struct rec_data *d)
{
    struct blobs_info info;
    bool first = true;
    buf_add_text(b, "{");
    api_put_hash(b, &first, "plain_root", &d->plain_root);
    api_put_hash(b, &first, "cipher_root", &d->cipher_root);
    api_put_text(b, &first, "name", d->name.s);
    api_put_address(b, &first, "owner", n, &d->owner);
    api_put_u64(b, &first, "size", d->size);
    api_put_text(b, &first, "format", d->format.s);
    api_put_text(b, &first, "licence", d->licence.s);
    api_put_flag(b, &first, "train", d->train);
    api_put_u64(b, &first, "share_bps", d->share_bps);
    api_put_amount(b, &first, "price", d->price);
    api_put_u64(b, &first, "disputes", d->disputes);
    api_put_u64(b, &first, "height", d->height);
    api_put_flag(b, &first, "local", blobs_find(n->blobs, &d->cipher_root, &info) && info.whole);
    api_put_flag(b, &first, "key", data_has_key(n->config->home, &d->plain_root));
    buf_add_text(b, "}");
}

void api_data_get(struct api_call *c)
{
    struct rec_data d;
    struct hash last;
    struct buf b = {0};
    buf_add_text(&b, "{\"data\":[");
    for (const struct hash *after = NULL; ledger_data_next(c->node->ledger, after, &d); after = &last) {
        last = d.plain_root;
        if (after)
            buf_add_text(&b, ",");
        put_data(&b, c->node, &d);
    }
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

/* -- buying -- */

struct fetch_task {
    struct api_pull pull;
    struct rec_data data;
};

static void on_fetched(void *arg, enum err e, const struct note *note)
{
    struct fetch_task *x = arg;
    struct buf b = {0};
    api_pull_end(&x->pull);
    if (e == ERR_OK) {
        put_data(&b, x->pull.node, &x->data);
        task_finish(x->pull.task, bytes_of_buf(&b));
    } else
        task_fail(x->pull.task, e, note);
    buf_clear(&b);
    free(x);
}

static void cancel_fetch(void *arg)
{
    struct fetch_task *x = arg;
    blobs_pull_cancel(x->pull.node->blobs, &x->data.cipher_root); /* on_fetched hears of it */
}

void api_data_fetch(struct api_call *c)
{
    struct rec_data d;
    if (!data_of(c, &d))
        return;
    struct fetch_task *x = mem_new(sizeof *x);
    const struct data_facts f = data_facts_of(&d);
    x->data = d;
    api_pull_begin(c, &x->pull, "fetch", &d.cipher_root);
    task_on_cancel(x->pull.task, cancel_fetch, x);
    access_fetch(c->node->access, &f, on_fetched, x);
}

void api_data_key(struct api_call *c)
{
    struct rec_data d;
    struct pubkey key;
    struct note note = {{0}};
    struct buf b = {0};
    bool first = true;
    if (!data_of(c, &d))
        return;
    enum err e = access_key_new(c->node->access, &key, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    buf_add_text(&b, "{");
    api_put_key(&b, &first, "key", &key);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

/* -- opening -- */

struct open_task {
    struct task *task;
    struct rec_data data;
};

static void on_opened(void *arg, enum err e, const struct data_opened *o, const struct note *note)
{
    struct open_task *x = arg;
    struct buf b = {0};
    bool first = true;
    (void)o;
    if (e == ERR_OK) {
        buf_add_text(&b, "{");
        api_put_hash(&b, &first, "plain_root", &x->data.plain_root);
        api_put_text(&b, &first, "name", x->data.name.s);
        api_put_u64(&b, &first, "size", x->data.size);
        buf_add_text(&b, "}");
        task_finish(x->task, bytes_of_buf(&b));
    } else
        task_fail(x->task, e, note);
    buf_clear(&b);
    free(x);
}

void api_data_open(struct api_call *c)
{
    struct rec_data d;
    struct note note = {{0}};
    json_t *body = api_body(c->request);
    if (!body)
        return;
    const char *path = api_path(c->request, body, "a file");
    struct data_opening o = {.to = path};
    if (path && data_of(c, &d)) {
        enum err e = data_key_read(c->node->config->home, &d.plain_root, o.key, &note);
        if (e == ERR_NOT_FOUND)
            (void)note_set(&note, e, "the key of %s is not here: `kith data buy` buys access to it", d.name.s);
        if (e != ERR_OK)
            api_fail(c->request, e, &note);
        else {
            struct open_task *x = mem_new(sizeof *x);
            *x = (struct open_task){.task = task_new(c->node->tasks, "open"), .data = d};
            o.facts = data_facts_of(&d);
            task_accepted(x->task, c->request);
            data_open(c->node->host, c->node->blobs, c->node->config->home, &o, on_opened, x);
        }
    }
    secret_wipe(&o, sizeof o);
    json_decref(body);
}

/* -- grants -- */

static void put_grant(struct buf *b, struct node *n, const struct rec_grant *g)
{
    static const char *const states[] = {"open", "released", "paid"};
    struct rec_data d;
    bool first = true;
    buf_add_text(b, "{");
    api_put_hash(b, &first, "id", &g->id);
    api_put_hash(b, &first, "data", &g->data);
    api_put_text(b, &first, "name", ledger_data(n->ledger, &g->data, &d) ? d.name.s : "");
    api_put_address(b, &first, "buyer", n, &g->buyer);
    api_put_address(b, &first, "seller", n, &g->seller);
    api_put_amount(b, &first, "price", g->price);
    api_put_text(b, &first, "state", g->state <= GRANT_PAID ? states[g->state] : "");
    api_put_u64(b, &first, "deadline_ms", ledger_date(n->ledger, g->deadline_ms));
    api_put_u64(b, &first, "height", g->height);
    api_put_flag(b, &first, "secret", access_has_secret(n->access, &g->key));
    buf_add_text(b, "}");
}

/* Which ones are asked for: of an account, as either side, and of a data set. */
static bool read_filter(struct api_call *c, struct pubkey *account, struct hash *data, struct hash *after)
{
    const char *who = http_query(c->request, "account"), *what = http_query(c->request, "data"),
               *from = http_query(c->request, "after");
    struct note note;
    if (who && !api_account_parse(c->node, who, account, &note)) {
        api_fail(c->request, ERR_FORMAT, &note);
        return false;
    }
    if ((what && (strlen(what) != 64 || !hex_get(what, data->b, sizeof data->b))) ||
        (from && (strlen(from) != 64 || !hex_get(from, after->b, sizeof after->b)))) {
        http_reply_error(c->request, 400, "bad_request", "data and after are 64 hexadecimal digits each");
        return false;
    }
    return true;
}

void api_grants_get(struct api_call *c)
{
    struct pubkey account;
    struct hash data, last;
    struct rec_grant g;
    struct buf b = {0};
    const bool has_account = http_query(c->request, "account"), has_data = http_query(c->request, "data"),
               has_after = http_query(c->request, "after");
    unsigned n = 0;
    bool more = false;
    if (!read_filter(c, &account, &data, &last))
        return;
    buf_add_text(&b, "{\"grants\":[");
    for (const struct hash *after = has_after ? &last : NULL; ledger_grant_next(c->node->ledger, after, &g);
         after = &last) {
        if ((has_account && !pubkey_equal(&g.buyer, &account) && !pubkey_equal(&g.seller, &account)) ||
            (has_data && !hash_equal(&g.data, &data))) {
            last = g.id;
            continue;
        }
        more = n == GRANTS_PAGE;
        if (more)
            break;
        last = g.id;
        if (n++)
            buf_add_text(&b, ",");
        put_grant(&b, c->node, &g);
    }
    buf_add_text(&b, "]");
    api_put_next(&b, more ? &last : NULL);
    api_reply_json(c->request, 200, &b);
}

static bool grant_of(struct api_call *c, struct rec_grant *g)
{
    struct hash id;
    struct note note;
    if (!api_rest_hash(c, "the id of a grant", &id))
        return false;
    if (ledger_grant(c->node->ledger, &id, g))
        return true;
    api_fail(c->request,
             note_set(&note, ERR_NOT_FOUND,
                      "no grant %.16s... is on the ledger: there was none, or its price went back", c->rest),
             &note);
    return false;
}

void api_grant_get(struct api_call *c)
{
    struct rec_grant g;
    struct buf b = {0};
    if (!grant_of(c, &g))
        return;
    put_grant(&b, c->node, &g);
    api_reply_json(c->request, 200, &b);
}

void api_grant_seal(struct api_call *c)
{
    struct rec_grant g;
    struct note note = {{0}};
    struct buf b = {0}, sealed = {0};
    bool first = true;
    if (!grant_of(c, &g))
        return;
    enum err e = access_seal(c->node->access, &g, &sealed, &note);
    if (e != ERR_OK)
        api_fail(c->request, e, &note);
    else {
        buf_add_text(&b, "{");
        api_put_hex(&b, &first, "sealed", bytes_of_buf(&sealed));
        buf_add_text(&b, "}");
        api_reply_json(c->request, 200, &b);
    }
    buf_clear(&sealed);
}

static void on_checked(void *arg, enum err e, bool has_fit, struct bytes dispute, const struct note *note)
{
    struct task *task = arg;
    struct buf b = {0};
    bool first = true;
    if (e == ERR_OK) {
        buf_add_text(&b, "{");
        api_put_flag(&b, &first, "fits", has_fit);
        api_put_hex(&b, &first, "dispute", dispute);
        buf_add_text(&b, "}");
        task_finish(task, bytes_of_buf(&b));
    } else
        task_fail(task, e, note);
    buf_clear(&b);
}

void api_grant_check(struct api_call *c)
{
    struct rec_grant g;
    if (!grant_of(c, &g))
        return;
    struct task *task = task_new(c->node->tasks, "verify");
    task_accepted(task, c->request);
    access_check(c->node->access, &g, on_checked, task);
}
