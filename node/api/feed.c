/* Events, as they are told. */
#include "node/api/feed.h"

#include "base/codec.h"
#include "base/mem.h"
#include "node/api/api.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#define CATCHING_UP_MS                                                                                                 \
    1000 /* between blocks that are told while the chain is caught up: they would be all there is                      \
          */

#define ENDS_MAX 64   /* bytes behind an event's lists: how many were left out, the time */
#define WHY_MAX  1024 /* bytes of why lending is as it is, each of which may be escaped */

/* A pull as it was told last. */
struct told_pull {
    struct hash root;
    uint64_t have, size;
    unsigned sources;
    bool waits, is_seen;
};

struct feed {
    struct node *node;
    struct events *events;
    uint32_t start;
    feed_fn on_event;
    void *arg;
    uint64_t block_ms; /* when one was told */
    struct feed_counts counts;
    struct buf share; /* what was told of lending */
    struct buf hops;  /* ... of layers that are elsewhere, or lent */
    struct told_pull pull[BLOB_WANTED_MAX];
    unsigned pulls_n;
};

/* -- what all have in common -- */

static void begin(struct buf *b)
{
    buf_add_text(b, "{");
}

static void end(struct feed *f, enum event_kind kind, const struct hash *owner, struct buf *b_take)
{
    bool first = b_take->n == 1;
    api_put_u64(b_take, &first, "time_ms", host_wall_ms(f->node->host));
    buf_add_text(b_take, "}");
    events_add(f->events, kind, owner, bytes_of_buf(b_take));
    buf_clear(b_take);
    f->on_event(f->arg);
}

/* "name":{"code","message"}, or null */
static void put_failure(struct buf *b, bool *first, enum err e, const char *text)
{
    struct note note;
    codec_json_key(b, first, "error");
    if (e == ERR_OK) {
        buf_add_text(b, "null");
        return;
    }
    note_set(&note, e, "%s", text);
    api_put_error(b, e, &note);
}

/* -- blocks and money -- */

static void tell_block(struct feed *f, const struct consensus_block *block)
{
    struct buf b = {0};
    bool first = true;
    uint64_t now_ms = host_now_ms(f->node->host);
    if (consensus_status(f->node->consensus).is_syncing && now_ms - f->block_ms < CATCHING_UP_MS)
        return;
    f->block_ms = now_ms;
    begin(&b);
    api_put_u64(&b, &first, "height", block->header->height);
    api_put_hash(&b, &first, "block", &block->id);
    api_put_u64(&b, &first, "block_ms", block->header->time_ms);
    api_put_key(&b, &first, "proposer", &block->header->proposer);
    api_put_u64(&b, &first, "txs", block->header->txs_n);
    end(f, EVENT_BLOCK, NULL, &b);
}

static const char *name_of(struct node *n, const struct hash *root, struct rec_model *m, struct rec_data *d)
{
    return ledger_model(n->ledger, root, m) ? m->name.s : ledger_data(n->ledger, root, d) ? d->name.s : "";
}

static void tell_earned(struct feed *f, const struct consensus_block *block, const struct ledger_event *e)
{
    struct node *n = f->node;
    struct rec_model model;
    struct rec_data data;
    struct pubkey account = api_earner(n);
    bool is_payout = e->kind == LEDGER_PAYOUT, first = true;
    struct buf b = {0};
    if (!is_payout && e->kind != LEDGER_GRANT_PAID && e->kind != LEDGER_BOUNTY_PAID)
        return;
    if (!pubkey_equal(is_payout ? &e->a : &e->b, &account))
        return;
    begin(&b);
    api_put_address(&b, &first, "account", n, &account);
    api_put_text(&b, &first, "reason",
                 is_payout                      ? ledger_payout_name((enum payout_reason)e->code)
                 : e->kind == LEDGER_GRANT_PAID ? "grant"
                                                : "bounty");
    api_put_amount(&b, &first, "amount", e->amount);
    api_put_hash(&b, &first, "root", &e->other);
    api_put_text(&b, &first, "name", name_of(n, &e->other, &model, &data));
    api_put_u64(&b, &first, "height", block->header->height);
    end(f, EVENT_EARNED, NULL, &b);
}

void feed_on_block(struct feed *f, const struct consensus_block *block)
{
    tell_block(f, block);
    for (uint32_t i = 0; i < block->result->events_n; i++)
        tell_earned(f, block, &block->result->events[i]);
}

/* -- jobs and tasks -- */

static void count_job(struct feed_counts *c, const struct job_view *v)
{
    if (v->state < JOB_DONE)
        return;
    c->done += v->state == JOB_DONE;
    c->cancelled += v->state == JOB_FAILED && v->code == ERR_CANCELLED;
    c->failed += v->state == JOB_FAILED && v->code != ERR_CANCELLED;
    c->tokens_in += v->prompt_tokens;
    c->tokens_out += v->tokens;
}

struct feed_counts feed_counts(const struct feed *f)
{
    return f->counts;
}

static void on_job(void *arg, const struct job_view *v)
{
    struct feed *f = arg;
    struct buf b = {0};
    bool first = true;
    count_job(&f->counts, v);
    begin(&b);
    api_put_hash(&b, &first, "job", &v->id);
    api_put_text(&b, &first, "state", api_job_state(v));
    api_put_hash(&b, &first, "model", &v->model);
    api_put_text(&b, &first, "name", v->model_name);
    api_put_text(&b, &first, "route", v->is_local ? "local" : "network");
    api_put_key(&b, &first, "provider", &v->provider);
    api_put_u64(&b, &first, "tokens_in", v->prompt_tokens);
    api_put_u64(&b, &first, "tokens_out", v->tokens);
    api_put_amount(&b, &first, "cost", v->cost);
    codec_json_key(&b, &first, "stop");
    buf_add_format(&b, v->stop ? "\"%s\"" : "null", v->stop);
    put_failure(&b, &first, v->state == JOB_FAILED ? v->code : ERR_OK, v->error);
    end(f, EVENT_JOB, &v->owner, &b);
}

static void on_task(void *arg, const struct task *t)
{
    struct feed *f = arg;
    struct hash owner = task_owner(t);
    struct buf b = {0};
    begin(&b);
    task_put_state(t, &b);
    end(f, EVENT_TASK, &owner, &b);
}

/* -- peers -- */

struct found {
    const struct pubkey *key;
    struct buf *b;
    bool *first;
};

static void put_peer(void *arg, const struct peers_info *info)
{
    struct found *x = arg;
    if (!pubkey_equal(&info->key, x->key))
        return;
    api_put_text(x->b, x->first, "endpoint", info->endpoint);
    api_put_text(x->b, x->first, "direction", info->outgoing ? "out" : "in");
    api_put_u64(x->b, x->first, "height", info->height);
}

void feed_on_peer(struct feed *f, const struct pubkey *key, bool is_up)
{
    struct buf b = {0};
    bool first = true;
    struct found x = {key, &b, &first};
    begin(&b);
    api_put_key(&b, &first, "node", key);
    api_put_text(&b, &first, "state", is_up ? "up" : "down");
    if (is_up)
        peers_list(f->node->peers, put_peer, &x);
    end(f, EVENT_PEER, NULL, &b);
}

/* -- what is looked at -- */

/* It names each range of layers that is elsewhere: what is over the bound is left out, and told as that. */
static void put_why(struct buf *b, bool *first, struct bytes why)
{
    struct buf cut = {0};
    const struct bytes front = bytes_of(why.p, why.n < WHY_MAX ? why.n : WHY_MAX);
    buf_add(&cut, front.p, front.n - text_half_character(front));
    if (front.n < why.n)
        buf_add_text(&cut, "...");
    api_put_text(b, first, "why", buf_text(&cut));
    buf_clear(&cut);
}

/* Why it waits, or how long the pause lasts, is said with a number that moves: that alone is no news. */
static void look_at_share(struct feed *f)
{
    struct buf why = {0}, b = {0}, now = {0};
    bool first = true;
    const char *state = market_share_state(f->node->market, &why);
    unsigned running = market_jobs_running(f->node->market);
    bool moves = strcmp(state, "waiting") == 0 || strcmp(state, "paused") == 0;
    buf_add_format(&now, "%s %u %s", state, running, moves ? "" : buf_text(&why));
    if (bytes_equal(bytes_of_buf(&now), bytes_of_buf(&f->share))) {
        buf_clear(&now);
    } else {
        buf_clear(&f->share);
        f->share = now;
        begin(&b);
        api_put_text(&b, &first, "state", state);
        put_why(&b, &first, bytes_of_buf(&why));
        api_put_u64(&b, &first, "running", running);
        end(f, EVENT_SHARE, NULL, &b);
    }
    buf_clear(&why);
}

/* Where layers are. How many calls went there is no news. */
static void look_at_hops(struct feed *f)
{
    struct buf now = {0}, b = {0};
    bool first = true;
    api_put_layers(&now, &first, f->node);
    if (bytes_equal(bytes_of_buf(&now), bytes_of_buf(&f->hops))) {
        buf_clear(&now);
        return;
    }
    first = true;
    begin(&b);
    api_put_layers_within(&b, &first, f->node, EVENT_BYTES_MAX - ENDS_MAX);
    buf_clear(&f->hops);
    f->hops = now;
    end(f, EVENT_HOPS, NULL, &b);
}

static struct told_pull *find_pull(struct feed *f, const struct hash *root)
{
    for (unsigned i = 0; i < f->pulls_n; i++)
        if (hash_equal(&f->pull[i].root, root))
            return &f->pull[i];
    return NULL;
}

static void tell_pull(struct feed *f, const struct hash *root, const char *state, const struct told_pull *p)
{
    struct buf b = {0};
    bool first = true;
    begin(&b);
    api_put_hash(&b, &first, "root", root);
    api_put_model_name(&b, &first, f->node, root);
    api_put_text(&b, &first, "state", state);
    api_put_u64(&b, &first, "done", p->have);
    api_put_u64(&b, &first, "total", p->size);
    api_put_u64(&b, &first, "sources", p->sources);
    end(f, EVENT_PULL, NULL, &b);
}

static void look_at_pull(void *arg, const struct blobs_info *info)
{
    struct feed *f = arg;
    struct told_pull *told = find_pull(f, &info->root);
    uint64_t have = info->leaves_have * LEAF_SIZE;
    const struct told_pull now = {.root = info->root,
                                  .have = have < info->size ? have : info->size,
                                  .size = info->size,
                                  .sources = info->sources,
                                  .waits = info->waits,
                                  .is_seen = true};
    if (!info->pulling || (!told && f->pulls_n == BLOB_WANTED_MAX))
        return;
    bool is_news = !told || told->have != now.have || told->size != now.size || told->sources != now.sources ||
                   told->waits != now.waits;
    if (!told)
        told = &f->pull[f->pulls_n++];
    *told = now;
    if (is_news)
        tell_pull(f, &info->root, info->waits || !info->sources ? "waiting" : "running", &now);
}

/* Those that were pulled and are not any more. */
static void look_at_pulls(struct feed *f)
{
    for (unsigned i = 0; i < f->pulls_n; i++)
        f->pull[i].is_seen = false;
    blobs_list(f->node->blobs, look_at_pull, f);
    for (unsigned i = 0; i < f->pulls_n;) {
        struct told_pull p = f->pull[i];
        struct blobs_info info;
        if (p.is_seen) {
            i++;
            continue;
        }
        f->pull[i] = f->pull[--f->pulls_n];
        bool is_whole = blobs_find(f->node->blobs, &p.root, &info) && info.whole;
        if (is_whole)
            p.have = p.size = info.size;
        tell_pull(f, &p.root, is_whole ? "done" : "stopped", &p);
    }
}

void feed_look(struct feed *f)
{
    look_at_share(f);
    look_at_hops(f);
    look_at_pulls(f);
}

/* -- life -- */

struct feed *feed_open(struct node *n, feed_fn on_event, void *arg)
{
    struct feed *f = mem_new(sizeof *f);
    *f = (struct feed){.node = n, .events = events_new(), .on_event = on_event, .arg = arg};
    host_random(n->host, &f->start, sizeof f->start);
    jobs_on_state(market_jobs(n->market), on_job, f);
    tasks_on_change(n->tasks, on_task, f);
    feed_look(f);
    return f;
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    jobs_on_state(market_jobs(f->node->market), NULL, NULL);
    tasks_on_change(f->node->tasks, NULL, NULL);
    events_free(f->events);
    buf_clear(&f->share);
    buf_clear(&f->hops);
    free(f);
}

const struct events *feed_events(const struct feed *f)
{
    return f->events;
}

uint32_t feed_start(const struct feed *f)
{
    return f->start;
}
