/* Conversations. None is kept for itself: it is the jobs that were asked for with its id, oldest first, each with its
 * question and its answer, for as long as jobs are kept (job_store.c). A client that goes on with one sends what came
 * before as the messages of the next job. */
#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/api/api.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#define CHATS_DEFAULT 50

/* One in the list. */
struct chat {
    struct hash talk, owner, job;
    const char *title, *model; /* of its first job, and of its last */
    const char *state;         /* of that job */
    uint64_t made_ms, changed_ms;
    struct amount cost;
    uint32_t jobs;
};

struct chats {
    struct chat *list;
    uint32_t n, most;
};

static struct chat *chat_of(struct chats *l, const struct job_view *v)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (hash_equal(&l->list[i].talk, &v->talk) && hash_equal(&l->list[i].owner, &v->owner))
            return &l->list[i];
    if (l->n == l->most)
        return NULL;
    struct chat *c = &l->list[l->n++];
    *c = (struct chat){.talk = v->talk,
                       .owner = v->owner,
                       .job = v->id,
                       .model = v->model_name,
                       .state = api_job_state(v),
                       .changed_ms = v->made_ms};
    return c;
}

/* Jobs come newest first, so that chats do. */
static void gather(void *arg, const struct job_view *v)
{
    struct chat *c = hash_is_zero(&v->talk) ? NULL : chat_of(arg, v);
    if (!c)
        return;
    c->title = v->title;
    c->made_ms = v->made_ms;
    if (!amount_add(&c->cost, c->cost, v->cost))
        c->cost = amount_of(UINT64_MAX);
    c->jobs++;
}

static void put_chat(struct buf *b, const struct chat *c)
{
    bool first = true;
    api_begin_entry(b);
    api_put_hash(b, &first, "chat", &c->talk);
    api_put_text(b, &first, "title", c->title);
    api_put_text(b, &first, "model", c->model);
    api_put_hash(b, &first, "job", &c->job);
    api_put_text(b, &first, "state", c->state);
    api_put_u64(b, &first, "jobs", c->jobs);
    api_put_u64(b, &first, "created_ms", c->made_ms);
    api_put_u64(b, &first, "changed_ms", c->changed_ms);
    api_put_amount(b, &first, "cost", c->cost);
    buf_add_text(b, "}");
}

/* NULL: of all. */
static const struct hash *whose(const struct api_call *c, struct hash *owner)
{
    *owner = api_owner(c);
    return c->key ? owner : NULL;
}

void api_chats_get(struct api_call *c)
{
    uint64_t most = CHATS_DEFAULT;
    struct hash owner;
    struct buf b = {0};
    if (!api_query_number(c, "limit", CHATS_SHOWN_MAX, &most))
        return;
    struct chats l = {.list = mem_array(most ? most : 1, sizeof *l.list), .most = (uint32_t)most};
    jobs_each(market_jobs(c->node->market), whose(c, &owner), UINT32_MAX, gather, &l);
    buf_add_text(&b, "{\"chats\":[");
    for (uint32_t i = 0; i < l.n; i++)
        put_chat(&b, &l.list[i]);
    buf_add_text(&b, "]}");
    free(l.list);
    api_reply_json(c->request, 200, &b);
}

/* -- one of them -- */

struct turns {
    struct hash talk;
    struct job_view view[CHAT_TURNS_MAX]; /* newest first */
    uint32_t n;
    size_t bytes;
    bool is_cut;
};

static void gather_turn(void *arg, const struct job_view *v)
{
    struct turns *t = arg;
    if (!hash_equal(&v->talk, &t->talk) || t->is_cut)
        return;
    t->bytes += v->messages.n + v->text_n;
    t->is_cut = t->n == CHAT_TURNS_MAX || (t->n > 0 && t->bytes > CHAT_BYTES_MAX);
    if (!t->is_cut)
        t->view[t->n++] = *v;
}

static void put_turn(struct buf *b, struct node *n, const struct job_view *v)
{
    struct note note;
    json_t *messages = json_parse(v->messages, &note);
    const char *question = json_text(json_array_get(messages, json_array_size(messages) - 1), "content");
    bool first = true;
    api_begin_entry(b);
    api_put_text(b, &first, "question", question ? question : "");
    codec_json_key(b, &first, "job");
    api_put_job(b, n, v);
    buf_add_text(b, "}");
    json_decref(messages);
}

void api_chat_get(struct api_call *c)
{
    struct turns *t = mem_new(sizeof *t);
    struct hash owner;
    struct buf b = {0};
    bool first = true;
    if (!api_rest_hash(c, "the id of a conversation", &t->talk)) {
        free(t);
        return;
    }
    if (!hash_is_zero(&t->talk)) /* which jobs outside of conversations have */
        jobs_each(market_jobs(c->node->market), whose(c, &owner), UINT32_MAX, gather_turn, t);
    if (t->n == 0) {
        http_reply_error(c->request, 404, "not_found", "this node has no such conversation (any more)");
        free(t);
        return;
    }
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "chat", &t->talk);
    api_put_text(&b, &first, "title", t->view[t->n - 1].title);
    codec_json_key(&b, &first, "turns");
    buf_add_text(&b, "[");
    for (uint32_t i = t->n; i-- > 0;)
        put_turn(&b, c->node, &t->view[i]);
    buf_add_text(&b, "]");
    api_put_flag(&b, &first, "whole", !t->is_cut);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
    free(t);
}

void api_chat_remove(struct api_call *c)
{
    struct note note = {{0}};
    struct hash talk, owner;
    struct buf b = {0};
    if (!api_rest_hash(c, "the id of a conversation", &talk))
        return;
    enum err e = jobs_forget_talk(market_jobs(c->node->market), whose(c, &owner), &talk, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    buf_add_text(&b, "{}");
    api_reply_json(c->request, 200, &b);
}
