/* The parts of the node and their order. */
#include "node/node_in.h"

#include "base/locate.h"
#include "base/mem.h"
#include "base/secret.h"
#include "node/api/api.h"
#include "node/consensus/consensus.h"
#include "node/data/data.h"
#include "node/home.h"
#include "node/net/outside.h"
#include "p2p/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_MS 300000 /* a provider settles every five minutes, and when asked */

typedef enum err (*start_fn)(struct node *n, struct note *note);
typedef void (*stop_fn)(struct node *n);

/* -- the world: loop, directory, log, key, signals -- */

static enum err start_host(struct node *n, struct note *note)
{
    n->host = host_uv_open(note);
    return n->host ? ERR_OK : ERR_IO;
}

static void stop_host(struct node *n)
{
    host_uv_close(n->host);
}

static enum err start_home(struct node *n, struct note *note)
{
    return home_open(n->config, &n->lock_fd, note);
}

static void stop_home(struct node *n)
{
    home_close(n->lock_fd);
}

static uint64_t log_clock(void *arg)
{
    struct node *n = arg;
    return host_wall_ms(n->host);
}

/* One write a line: several processes may share the file, and a line is never mixed with another. */
static void log_line(void *arg, enum log_level level, const char *line)
{
    struct node *n = arg;
    char text[1100];
    (void)level;
    size_t size = strnlen(line, sizeof text - 1);
    memcpy(text, line, size);
    text[size] = '\n';
    ssize_t written = write(n->log_fd, text, size + 1);
    (void)written; /* a full disk must not end the node for its log */
}

static enum err start_log(struct node *n, struct note *note)
{
    n->log_fd = STDERR_FILENO;
    if (n->config->log_file) {
        n->log_fd = open(n->config->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (n->log_fd < 0)
            return note_set(note, ERR_IO, "cannot open the log %s: %s (choose another with --log-file)",
                            n->config->log_file, strerror(errno));
    }
    log_open(n->config->log_level, log_line, log_clock, n);
    return ERR_OK;
}

static void stop_log(struct node *n)
{
    log_open(n->config->log_level, NULL, NULL, NULL);
    if (n->log_fd != STDERR_FILENO)
        close(n->log_fd);
}

static enum err start_key(struct node *n, struct note *note)
{
    secret_lock(&n->key, sizeof n->key);
    return home_key(n->config, &n->key, &n->id, note);
}

static void stop_key(struct node *n)
{
    secret_wipe(&n->key, sizeof n->key);
}

static void was_signalled(void *arg)
{
    struct node *n = arg;
    log_event(LOG_INFO, "node", "stopping", "why=signal");
    node_stop(n);
}

static enum err start_signals(struct node *n, struct note *note)
{
    return host_uv_on_signal(n->host, was_signalled, n, note);
}

/* -- the network -- */

static uint32_t features(const struct config *c)
{
    return (c->validator ? FEATURE_VALIDATOR : 0u) | (c->provide ? FEATURE_PROVIDER : 0u) |
           (c->audit ? FEATURE_AUDITOR : 0u) | FEATURE_KEEPER;
}

static void on_peer(void *arg, const struct pubkey *peer, bool is_up)
{
    struct node *n = arg;
    if (n->feed)
        feed_on_peer(n->feed, peer, is_up);
}

static enum err start_peers(struct node *n, struct note *note)
{
    char *book = config_path(n->config, "peers.book"), *bans = config_path(n->config, "peers.bans"),
         *anchors = config_path(n->config, "peers.anchors");
    n->transport = transport_uv_open(host_uv_loop(n->host));
    struct peers_options o = {
        .host = n->host,
        .transport = n->transport,
        .key = &n->key,
        .chain = n->chain,
        .features = features(n->config),
        .listen = n->config->listen,
        .announce = n->config->announce,
        .book_path = book,
        .anchors_path = anchors,
        .bans_path = bans,
    };
    enum err e = peers_open(&o, &n->peers, note);
    free(book);
    free(anchors);
    free(bans);
    if (e == ERR_OK)
        peers_on_change(n->peers, on_peer, n);
    else
        transport_free(n->transport);
    return e;
}

static void stop_peers(struct node *n)
{
    peers_close(n->peers);
    transport_free(n->transport);
}

static enum err start_streams(struct node *n, struct note *note)
{
    (void)note;
    n->streams = streams_new(n->host, n->peers);
    return ERR_OK;
}

static void stop_streams(struct node *n)
{
    streams_free(n->streams);
}

static void way_changed(void *arg)
{
    struct node *n = arg;
    if (n->market)
        market_set_endpoint(n->market, node_endpoint(n));
}

static enum err start_outside(struct node *n, struct note *note)
{
    struct outside_options o = {.host = n->host,
                                .peers = n->peers,
                                .streams = n->streams,
                                .transport = n->transport,
                                .listen = n->config->listen,
                                .announce = n->config->announce,
                                .relay = n->config->relay,
                                .portmap = n->config->portmap && !n->config->dev};
    (void)note;
    n->outside = outside_new(&o);
    outside_on_change(n->outside, way_changed, n);
    return ERR_OK;
}

static void stop_outside(struct node *n)
{
    outside_free(n->outside);
}

static enum err start_blobs(struct node *n, struct note *note)
{
    data_clean(n->config->home);
    return blobs_open(n->host, n->peers, n->config->home, &n->blobs, note);
}

static void stop_blobs(struct node *n)
{
    blobs_close(n->blobs);
}

/* -- blocks -- */

static void on_block(void *arg, const struct consensus_block *block)
{
    struct node *n = arg;
    for (uint32_t i = 0; i < block->result->events_n; i++) {
        if (n->access)
            access_on_event(n->access, &block->result->events[i]);
        if (n->market)
            market_on_event(n->market, &block->result->events[i]);
    }
    if (n->market)
        market_on_block(n->market);
    if (n->feed)
        feed_on_block(n->feed, block);
    api_on_block(n);
}

static enum err start_access(struct node *n, struct note *note)
{
    const struct access_options o = {.host = n->host,
                                     .ledger = n->ledger,
                                     .peers = n->peers,
                                     .streams = n->streams,
                                     .blobs = n->blobs,
                                     .home = n->config->home};
    (void)note;
    n->access = access_new(&o);
    return ERR_OK;
}

static void stop_access(struct node *n)
{
    access_free(n->access);
    n->access = NULL;
}

static enum err submit(void *arg, struct bytes tx, struct note *note)
{
    struct node *n = arg;
    return consensus_submit(n->consensus, tx, NULL, note);
}

/* -- work and money -- */

static void send_own(void *arg, enum tx_kind kind, struct bytes body)
{
    struct node *n = arg;
    account_send(n->account, kind, body, NULL, NULL);
}

static void on_damage(void *arg, const struct hash *root)
{
    struct node *n = arg;
    workers_drop_model(n->workers, root);
}

static enum err start_workers(struct node *n, struct note *note)
{
    (void)note;
    char *packs = config_path(n->config, "packs");
    struct workers_options o = {.host = n->host,
                                .backend = n->config->backend ? n->config->backend : "auto",
                                .threads = (uint32_t)n->config->threads,
                                .memory_bytes = n->config->memory_mb << 20,
                                .packs = packs,
                                .packs_bytes = n->config->packs_mb << 20};
    n->workers = workers_new(&o);
    free(packs);
    blobs_on_damage(n->blobs, on_damage, n);
    n->account = account_new(n->host, n->ledger, &n->key, submit, n);
    consensus_on_send(n->consensus, send_own, n);
    return ERR_OK;
}

static void stop_workers(struct node *n)
{
    consensus_on_send(n->consensus, NULL, NULL);
    blobs_on_damage(n->blobs, NULL, NULL);
    account_free(n->account);
    workers_free(n->workers);
}

/* A limit that is too large for its unit is none. */
static uint64_t times(uint64_t n, uint64_t unit)
{
    return n > UINT64_MAX / unit ? UINT64_MAX : n * unit;
}

static enum err start_market(struct node *n, struct note *note)
{
    struct buf model = {0};
    bool has_model = !n->config->no_default_model && locate_model("kith-guide.gguf", &model, NULL) == ERR_OK;
    struct market_options o = {.services = {.host = n->host,
                                            .ledger = n->ledger,
                                            .account = n->account,
                                            .peers = n->peers,
                                            .streams = n->streams,
                                            .blobs = n->blobs,
                                            .workers = n->workers,
                                            .key = &n->key,
                                            .self = n->id,
                                            .chain = n->chain},
                               .home = n->config->home,
                               .endpoint = node_endpoint(n),
                               .default_model = has_model ? buf_text(&model) : NULL,
                               .plant = n->config->plant,
                               .audits = n->config->audit,
                               .settle_ms = SETTLE_MS,
                               .keep = {.jobs = n->config->keep_jobs,
                                        .bytes = times(n->config->keep_jobs_mb, 1 << 20),
                                        .age_ms = times(n->config->keep_jobs_days, 86400000)}};
    enum err e = market_open(&o, &n->market, note);
    if (e == ERR_OK)
        consensus_on_block(n->consensus, on_block, n);
    buf_clear(&model);
    return e;
}

static void stop_market(struct node *n)
{
    market_close(n->market);
    n->market = NULL;
}

/* -- the API -- */

static enum err start_apikeys(struct node *n, struct note *note)
{
    char *path = config_path(n->config, "keys");
    enum err e = apikeys_open(n->host, path, &n->apikeys, note);
    free(path);
    return e;
}

static void stop_apikeys(struct node *n)
{
    apikeys_close(n->apikeys);
}

static enum err start_http(struct node *n, struct note *note)
{
    char *path = config_path(n->config, "kithd.sock");
    n->tasks = tasks_new(n->host);
    api_events_open(n);
    enum err e = http_open_unix(n->host, path, api_handle, n, &n->http_unix, note);
    if (e == ERR_OK && n->config->http[0]) {
        e = http_open_tcp(n->host, n->config->http, api_handle, n, &n->http_tcp, note);
        for (unsigned i = 0; e == ERR_OK && i < n->config->http_names.n; i++)
            http_add_name(n->http_tcp, n->config->http_names.text[i]);
        if (e != ERR_OK)
            http_close(n->http_unix);
    }
    free(path);
    if (e != ERR_OK) {
        api_events_close(n);
        tasks_free(n->tasks);
    }
    return e;
}

void node_add_http(const struct node *n, struct buf *out)
{
    const char *http = n->config->http;
    if (n->http_tcp)
        buf_add_format(out, "%.*s:%u", (int)(strrchr(http, ':') - http), http, http_port(n->http_tcp));
}

static void stop_http(struct node *n)
{
    http_close(n->http_tcp);
    http_close(n->http_unix);
    api_drop_waits(n);
    host_uv_settle(n->host); /* what threads do for tasks ends while the parts that it is for are there */
    api_events_close(n);
    tasks_free(n->tasks);
}

/* Last of the network: from here on messages come, and every part has registered for its own. */
static enum err start_dialling(struct node *n, struct note *note)
{
    for (unsigned i = 0; i < n->config->peers.n; i++) {
        enum err e = peers_add(n->peers, n->config->peers.text[i], note);
        if (e != ERR_OK && e != ERR_DUPLICATE)
            return e;
    }
    return ERR_OK;
}

/* What a thread then tells the router is waited for with the tasks' threads. */
static void stop_dialling(struct node *n)
{
    outside_give_back(n->outside);
}

/* -- the order -- */

static const struct part {
    const char *name;
    start_fn start;
    stop_fn stop; /* NULL: nothing to undo */
} parts[] = {
    {"host", start_host, stop_host},
    {"home", start_home, stop_home},
    {"log", start_log, stop_log},
    {"key", start_key, stop_key},
    {"ledger", node_start_ledger, node_stop_ledger},
    {"peers", start_peers, stop_peers},
    {"streams", start_streams, stop_streams},
    {"outside", start_outside, stop_outside},
    {"blobs", start_blobs, stop_blobs},
    {"consensus", node_start_consensus, node_stop_consensus},
    {"snapshots", node_start_snapshots, node_stop_snapshots},
    {"access", start_access, stop_access},
    {"workers", start_workers, stop_workers},
    {"market", start_market, stop_market},
    {"apikeys", start_apikeys, stop_apikeys},
    {"http", start_http, stop_http},
    {"dialling", start_dialling, stop_dialling},
    {"signals", start_signals, NULL},
};
#define PARTS_N (sizeof parts / sizeof *parts)

static void stop_parts(struct node *n, size_t started)
{
    while (started-- > 0)
        if (parts[started].stop)
            parts[started].stop(n);
    free(n->model_heads);
    free(n);
}

enum err node_open(const struct config *config, struct node **out, struct note *note)
{
    char hex[65], chain[65];
    struct node *n = mem_new(sizeof *n);
    n->config = config;
    *out = NULL;
    for (size_t i = 0; i < PARTS_N; i++) {
        enum err e = parts[i].start(n, note);
        if (e != ERR_OK) {
            stop_parts(n, i);
            return e;
        }
    }
    hex_put(hex, n->id.b, sizeof n->id.b);
    hex_put(chain, n->chain.b, sizeof n->chain.b);
    log_event(LOG_INFO, "node", "started", "id=%s chain=%s port=%u home=%s", hex, chain, peers_port(n->peers),
              config->home);
    n->started_ms = host_wall_ms(n->host);
    *out = n;
    return ERR_OK;
}

void node_run(struct node *n)
{
    host_uv_run(n->host);
}

void node_stop(struct node *n)
{
    host_uv_stop(n->host);
}

void node_close(struct node *n)
{
    if (n)
        stop_parts(n, PARTS_N);
}

const char *node_endpoint(const struct node *n)
{
    return outside_endpoint(n->outside);
}

const char *node_prefix(const struct node *n)
{
    return ledger_genesis(n->ledger)->prefix.s;
}

uint32_t node_features(const struct node *n)
{
    return features(n->config);
}

struct jobs *node_jobs(const struct node *n)
{
    return market_jobs(n->market);
}
