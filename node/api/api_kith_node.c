/* The node itself over HTTP: status, peers, tasks, health. */
#include "node/api/api.h"
#include "node/consensus/consensus.h"
#include "node/node.h"
#include "node/net/outside.h"
#include "wallet/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_roles(struct buf *b, uint32_t features)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } roles[] = {{FEATURE_VALIDATOR, "validator"},
                 {FEATURE_PROVIDER, "provider"},
                 {FEATURE_KEEPER, "keeper"},
                 {FEATURE_AUDITOR, "auditor"}};
    bool first = true;
    buf_add_text(b, "[");
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (features & roles[i].bit) {
            buf_add_format(b, "%s\"%s\"", first ? "" : ",", roles[i].name);
            first = false;
        }
    buf_add_text(b, "]");
}

static void put_reach(struct buf *b, bool *outer, const struct node *n)
{
    const struct reach_info r = outside_reach(n->outside);
    const struct circuits_info c = outside_circuits(n->outside);
    bool first = true;
    codec_json_key(b, outer, "reach");
    buf_add_text(b, "{");
    api_put_text(b, &first, "reachable", reach_state_name(r.state));
    api_put_text(b, &first, "seen_from", r.yes + r.no == 0 ? "" : r.outside ? "outside" : "own network");
    api_put_text(b, &first, "at", r.at);
    api_put_text(b, &first, "way", node_endpoint(n));
    api_put_u64(b, &first, "relays", c.relays);
    api_put_flag(b, &first, "relaying", c.relaying);
    api_put_u64(b, &first, "relaying_for", c.clients);
    api_put_u64(b, &first, "circuits", c.dialled + c.accepted);
    api_put_u64(b, &first, "circuits_passed", c.passing);
    buf_add_text(b, "}");
}

static void put_local_model(void *arg, const struct blobs_info *info)
{
    struct api_call *c = ((void **)arg)[0];
    struct buf *b = ((void **)arg)[1];
    bool first = true;
    if (info->kind != BLOB_MODEL || !info->whole)
        return;
    api_begin_entry(b);
    api_put_hash(b, &first, "root", &info->root);
    api_put_model_name(b, &first, c->node, &info->root);
    api_put_text(b, &first, "state", workers_find(c->node->workers, &info->root, WORKER_FULL) ? "ready" : "idle");
    buf_add_text(b, "}");
}

void api_status_get(struct api_call *c)
{
    struct node *n = c->node;
    struct ledger_info info = ledger_info(n->ledger);
    const struct genesis *g = ledger_genesis(n->ledger);
    const struct market_kept kept = market_kept(n->market);
    char peer[400], node_hex[65];
    struct buf b = {0}, why = {0}, http = {0};
    bool first = true, chain_first = true, jobs_first = true, share_first = true;
    hex_put(node_hex, n->id.b, sizeof n->id.b);
    snprintf(peer, sizeof peer, "%s@%.300s", node_hex, node_endpoint(n));
    const char *share = market_share_state(n->market, &why);
    node_add_http(n, &http);
    buf_add_text(&b, "{");
    api_put_text(&b, &first, "version", NODE_VERSION);
    api_put_key(&b, &first, "node", &n->id);
    api_put_address(&b, &first, "address", n, &n->id);
    api_put_text(&b, &first, "peer", peer);
    api_put_text(&b, &first, "http", buf_text(&http));
    codec_json_key(&b, &first, "chain");
    buf_add_text(&b, "{");
    api_put_hash(&b, &chain_first, "id", &info.chain);
    api_put_text(&b, &chain_first, "name", g->name.s);
    api_put_text(&b, &chain_first, "prefix", g->prefix.s);
    api_put_u64(&b, &chain_first, "height", info.height);
    api_put_u64(&b, &chain_first, "time_ms", info.time_ms);
    api_put_flag(&b, &chain_first, "syncing", consensus_status(n->consensus).is_syncing);
    buf_add_text(&b, "}");
    api_put_u64(&b, &first, "peers", peers_count(n->peers));
    put_reach(&b, &first, n);
    codec_json_key(&b, &first, "roles");
    put_roles(&b, node_features(n));
    api_put_amount(&b, &first, "balance", account_balance(n->account));
    codec_json_key(&b, &first, "share");
    buf_add_text(&b, "{");
    api_put_text(&b, &share_first, "state", share);
    api_put_text(&b, &share_first, "why", buf_text(&why));
    api_put_hops(&b, &share_first, n);
    buf_clear(&why);
    buf_clear(&http);
    buf_add_text(&b, "}");
    codec_json_key(&b, &first, "models");
    buf_add_text(&b, "[");
    void *args[2] = {c, &b};
    blobs_list(n->blobs, put_local_model, args);
    buf_add_text(&b, "]");
    codec_json_key(&b, &first, "jobs");
    buf_add_text(&b, "{");
    api_put_u64(&b, &jobs_first, "asked", jobs_made(market_jobs(n->market)));
    api_put_u64(&b, &jobs_first, "served", market_jobs_served(n->market));
    api_put_u64(&b, &jobs_first, "kept", kept.jobs);
    api_put_u64(&b, &jobs_first, "kept_bytes", kept.jobs_bytes);
    api_put_u64(&b, &jobs_first, "transcripts", kept.transcripts);
    api_put_u64(&b, &jobs_first, "transcripts_bytes", kept.transcripts_bytes);
    buf_add_text(&b, "}}");
    api_reply_json(c->request, 200, &b);
}

static void put_peer(void *arg, const struct peers_info *info)
{
    struct buf *b = arg;
    bool first = true;
    api_begin_entry(b);
    api_put_key(b, &first, "node", &info->key);
    api_put_text(b, &first, "endpoint", info->endpoint);
    api_put_text(b, &first, "direction", info->outgoing ? "out" : "in");
    api_put_flag(b, &first, "relayed", info->relayed);
    api_put_flag(b, &first, "up", info->up);
    api_put_u64(b, &first, "height", info->height);
    api_put_u64(b, &first, "connected_ms", info->up_ms);
    api_put_u64(b, &first, "rtt_ms", info->rtt_ms);
    codec_json_key(b, &first, "roles");
    put_roles(b, info->features);
    buf_add_text(b, "}");
}

struct worker_list {
    struct node *node;
    struct buf b;
};

static void put_worker(void *arg, const struct worker_info *info)
{
    static const char *const purposes[] = {
        [WORKER_FULL] = "answers", [WORKER_VOCAB] = "tokens", [WORKER_LAYERS] = "layers"};
    struct worker_list *l = arg;
    bool first = true;
    api_begin_entry(&l->b);
    api_put_hash(&l->b, &first, "root", &info->root);
    api_put_model_name(&l->b, &first, l->node, &info->root);
    api_put_text(&l->b, &first, "state", info->ready ? "ready" : info->is_held ? "waiting" : "loading");
    api_put_text(&l->b, &first, "purpose", purposes[info->mode]);
    api_put_text(&l->b, &first, "backend", info->backend);
    api_put_text(&l->b, &first, "device", info->device);
    api_put_u64(&l->b, &first, "jobs", info->jobs);
    api_put_u64(&l->b, &first, "memory_bytes", info->memory_bytes);
    api_put_u64(&l->b, &first, "deaths", info->deaths);
    api_put_u64(&l->b, &first, "elsewhere", info->elsewhere);
    if (info->mode == WORKER_LAYERS) {
        api_put_u64(&l->b, &first, "first", info->first);
        api_put_u64(&l->b, &first, "last", info->end - 1);
    }
    buf_add_text(&l->b, "}");
}

void api_workers_get(struct api_call *c)
{
    struct worker_list l = {.node = c->node};
    buf_add_text(&l.b, "{\"workers\":[");
    workers_each(c->node->workers, put_worker, &l);
    buf_add_text(&l.b, "]}");
    api_reply_json(c->request, 200, &l.b);
}

void api_peers_get(struct api_call *c)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"peers\":[");
    peers_list(c->node->peers, put_peer, &b);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

/* Of one whose address was taken: the key stands in front. */
static bool is_connected(struct node *n, const char *peer)
{
    struct pubkey key;
    char hex[65];
    snprintf(hex, sizeof hex, "%.64s", peer);
    return hex_get(hex, key.b, sizeof key.b) && peers_is_up(n->peers, &key);
}

void api_peers_post(struct api_call *c)
{
    struct note note = {{0}};
    json_t *body = api_body(c->request);
    if (!body)
        return;
    const char *peer = json_text(body, "peer");
    enum err e = peer ? peers_add(c->node->peers, peer, &note)
                      : note_set(&note, ERR_FORMAT, "peer is missing: PUBKEY@HOST:PORT");
    if (e != ERR_OK && e != ERR_DUPLICATE) {
        api_fail(c->request, e, &note);
    } else {
        struct buf b = {0};
        bool first = true;
        buf_add_text(&b, "{");
        api_put_text(&b, &first, "peer", peer);
        api_put_text(&b, &first, "state", is_connected(c->node, peer) ? "connected" : "connecting");
        buf_add_text(&b, "}");
        api_reply_json(c->request, 200, &b);
    }
    json_decref(body);
}

void api_task_get(struct api_call *c)
{
    struct task *t = task_find(c->node->tasks, strtoull(c->rest, NULL, 10));
    struct hash owner = t ? task_owner(t) : (struct hash){{0}};
    uint64_t wait_ms;
    if (!api_wait_ms(c, &wait_ms))
        return;
    if (t && api_may_see(c, &owner))
        task_answer(t, c->request, wait_ms);
    else
        http_reply_error(c->request, 404, "not_found", "no such task (any more)");
}

void api_task_cancel(struct api_call *c)
{
    struct task *t = task_find(c->node->tasks, strtoull(c->rest, NULL, 10));
    struct hash owner = t ? task_owner(t) : (struct hash){{0}};
    if (!t || !api_may_see(c, &owner))
        http_reply_error(c->request, 404, "not_found", "no such task (any more)");
    else if (task_cancel(t) != ERR_OK)
        http_reply_error(c->request, 409, "state", "the task is over, or of a kind that cannot be cancelled");
    else
        task_answer(t, c->request, 0);
}

void api_health(struct api_call *c)
{
    http_reply(c->request, 200, "application/json", bytes_of_text("{\"status\":\"ok\"}"));
}

void api_ready(struct api_call *c)
{
    if (consensus_status(c->node->consensus).is_syncing)
        http_reply_error(c->request, 503, "syncing", "the chain is being caught up");
    else
        http_reply(c->request, 200, "application/json", bytes_of_text("{\"status\":\"ready\"}"));
}
