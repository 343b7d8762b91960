/* /metrics: what a monitor of Prometheus' kind counts and plots, in its text format 0.0.4: base units, counters that
 * end in _total, and of the process what every exporter calls alike. Labels are roots and words of ours, never a
 * stranger's text. */
#include "node/api/api.h"
#include "node/consensus/consensus.h"
#include "node/node.h"
#include "node/net/outside.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_add_format(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metric(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    head(b, name, type, help);
    buf_add_format(b, "%s %.17g\n", name, v);
}

static double in_kith(struct amount a)
{
    return (double)a.mote / (double)MOTE_PER_KITH;
}

static void put_chain(struct buf *b, struct node *n)
{
    struct ledger_info info = ledger_info(n->ledger);
    struct rec_totals t = ledger_totals(n->ledger);
    struct consensus_status s = consensus_status(n->consensus);
    metric(b, "kith_chain_height", "gauge", "Height of the last committed block.", (double)info.height);
    metric(b, "kith_chain_time_seconds", "gauge", "Time of the last committed block.", (double)info.time_ms / 1000);
    metric(b, "kith_chain_syncing", "gauge", "1 while the chain is caught up.", s.is_syncing);
    metric(b, "kith_chain_round", "gauge", "Round of the height in the making: over 0, the first did not decide.",
           s.round);
    metric(b, "kith_chain_validators", "gauge", "Validators of the height in the making.", s.validators);
    metric(b, "kith_chain_evidence_total", "counter", "Equivocations that this node saw since its start.", s.evidence);
    metric(b, "kith_peers", "gauge", "Connected peers.", peers_count(n->peers));
    metric(b, "kith_mempool_transactions", "gauge", "Transactions that wait for a block.", s.pool);
    metric(b, "kith_mempool_bytes", "gauge", "Those together.", (double)s.pool_bytes);
    metric(b, "kith_account_balance_kith", "gauge", "Balance of the node's own account.",
           in_kith(account_balance(n->account)));
    metric(b, "kith_supply_burned_kith", "gauge", "KITH burned so far.", in_kith(t.burned));
    metric(b, "kith_supply_locked_kith", "gauge", "KITH in bonds, channels and escrow.", in_kith(t.locked));
}

static void metric_reach(struct buf *b, const struct node *n)
{
    const struct reach_info r = outside_reach(n->outside);
    const struct circuits_info c = outside_circuits(n->outside);
    metric(b, "kith_reachable", "gauge", "Others can dial this node: 1; they cannot: 0; not known: -1.",
           r.state == REACH_YES  ? 1
           : r.state == REACH_NO ? 0
                                 : -1);
    metric(b, "kith_relays", "gauge", "Relays through which others reach this node.", c.relays);
    metric(b, "kith_relay_clients", "gauge", "Nodes that this one promised to relay for.", c.clients);
    metric(b, "kith_relay_circuits", "gauge", "Connections of others that this node passes on.", c.passing);
    metric(b, "kith_relay_bytes_total", "counter", "Bytes passed on for others since the start.",
           (double)c.passed_bytes);
    metric(b, "kith_relay_refused_total", "counter", "Circuits refused to others since the start.", (double)c.refused);
}

static void put_jobs(struct buf *b, struct node *n)
{
    const struct market_kept kept = market_kept(n->market);
    const struct feed_counts c = feed_counts(n->feed);
    metric(b, "kith_jobs_asked_total", "counter", "Jobs that this node asked for since its start.",
           (double)jobs_made(market_jobs(n->market)));
    head(b, "kith_jobs_ended_total", "counter", "Those that are over, by how they ended.");
    buf_add_format(b, "kith_jobs_ended_total{state=\"done\"} %" PRIu64 "\n", c.done);
    buf_add_format(b, "kith_jobs_ended_total{state=\"failed\"} %" PRIu64 "\n", c.failed);
    buf_add_format(b, "kith_jobs_ended_total{state=\"cancelled\"} %" PRIu64 "\n", c.cancelled);
    metric(b, "kith_tokens_read_total", "counter", "Tokens of their prompts.", (double)c.tokens_in);
    metric(b, "kith_tokens_written_total", "counter", "Tokens of their answers.", (double)c.tokens_out);
    metric(b, "kith_jobs_served_total", "counter", "Jobs that this node served since its start.",
           (double)market_jobs_served(n->market));
    metric(b, "kith_jobs_serving", "gauge", "Jobs that this node serves now.", market_jobs_running(n->market));
    metric(b, "kith_jobs_kept", "gauge", "Jobs that this node asked for and can look at.", (double)kept.jobs);
    metric(b, "kith_jobs_kept_bytes", "gauge", "Those together.", (double)kept.jobs_bytes);
    metric(b, "kith_transcripts", "gauge", "Transcripts of served jobs that auditors may ask for.",
           (double)kept.transcripts);
    metric(b, "kith_transcripts_bytes", "gauge", "Those together.", (double)kept.transcripts_bytes);
    metric(b, "kith_transcripts_dropped_total", "counter",
           "Transcripts dropped since the start: nobody may ask for them.", (double)kept.transcripts_dropped);
    metric(b, "kith_earned_kith", "gauge", "Settled over all channels that pay this node.",
           in_kith(market_earned(n->market)));
    metric(b, "kith_unsettled_kith", "gauge", "Promised over them, and not settled yet.",
           in_kith(market_unsettled(n->market)));
}

/* -- workers: a line each under one head -- */

struct column {
    struct buf *b;
    const char *name;
    double (*of)(const struct worker_info *info);
};

static double memory_of(const struct worker_info *info)
{
    return (double)info->memory_bytes;
}

static double jobs_of(const struct worker_info *info)
{
    return info->jobs;
}

static double deaths_of(const struct worker_info *info)
{
    return info->deaths;
}

static double guessed_of(const struct worker_info *info)
{
    return (double)info->guessed;
}

static double guessed_right_of(const struct worker_info *info)
{
    return (double)info->guessed_right;
}

static void put_worker(void *arg, const struct worker_info *info)
{
    const struct column *c = arg;
    char root[65];
    hex_put(root, info->root.b, sizeof info->root.b);
    buf_add_format(c->b, "%s{model=\"%s\",purpose=\"%s\"} %.17g\n", c->name, root,
                   info->mode == WORKER_FULL ? "answers" : "tokens", c->of(info));
}

static void put_workers(struct buf *b, struct node *n)
{
    struct column c = {b, "kith_worker_memory_bytes", memory_of};
    head(b, c.name, "gauge", "What a loaded model and its caches take at most.");
    workers_each(n->workers, put_worker, &c);
    c = (struct column){b, "kith_worker_jobs", jobs_of};
    head(b, c.name, "gauge", "Questions that a model has.");
    workers_each(n->workers, put_worker, &c);
    c = (struct column){b, "kith_worker_deaths", deaths_of};
    head(b, c.name, "gauge", "How often its process died since it last got somewhere.");
    workers_each(n->workers, put_worker, &c);
    c = (struct column){b, "kith_worker_guessed_tokens_total", guessed_of};
    head(b, c.name, "counter", "Tokens of answers that were guessed ahead, and evaluated with those before them.");
    workers_each(n->workers, put_worker, &c);
    c = (struct column){b, "kith_worker_guessed_right_total", guessed_right_of};
    head(b, c.name, "counter", "Those that came; the others were taken back.");
    workers_each(n->workers, put_worker, &c);
}

/* -- layers on other devices, and of others here: a line each -- */

struct hop_column {
    struct buf *b;
    const char *name;
    double (*of)(const struct hops_info *info);
};

static double used_of(const struct hops_info *info)
{
    return info->used;
}

static double calls_of(const struct hops_info *info)
{
    return (double)info->link.calls;
}

static double sent_of(const struct hops_info *info)
{
    return (double)info->link.bytes_out;
}

static double received_of(const struct hops_info *info)
{
    return (double)info->link.bytes_in;
}

static void put_hop(void *arg, const struct hops_info *info)
{
    const struct hop_column *c = arg;
    char root[65], node[65];
    hex_put(root, info->place->model.b, sizeof info->place->model.b);
    hex_put(node, info->place->node.b, sizeof info->place->node.b);
    buf_add_format(c->b, "%s{model=\"%s\",node=\"%s\"} %.17g\n", c->name, root, node, c->of(info));
}

static void put_hops(struct buf *b, struct node *n)
{
    static const struct {
        const char *name, *type, *help;
        double (*of)(const struct hops_info *info);
    } columns[] = {
        {"kith_hop_used", "gauge", "1 while a model's worker evaluates layers at that device.", used_of},
        {"kith_hop_calls_total", "counter", "Batches that the device answered.", calls_of},
        {"kith_hop_sent_bytes_total", "counter", "Sent to the device.", sent_of},
        {"kith_hop_received_bytes_total", "counter", "Received from it.", received_of},
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        struct hop_column c = {b, columns[i].name, columns[i].of};
        head(b, c.name, columns[i].type, columns[i].help);
        hops_each(market_hops(n->market), put_hop, &c);
    }
    metric(b, "kith_layers_lent", "gauge", "Heads that have layers of this device's.",
           hop_lender_count(market_lender(n->market)));
    metric(b, "kith_layers_lent_bytes", "gauge", "Memory of those layers.",
           (double)hop_lender_bytes(market_lender(n->market)));
}

/* -- the process -- */

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one that reads */
}

static void put_process(struct buf *b, struct node *n)
{
    struct rusage use;
    struct rlimit files;
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        (void)fclose(f);
    head(b, "kith_build_info", "gauge", "1, with the version of kithd.");
    buf_add_text(b, "kith_build_info{version=\"" NODE_VERSION "\"} 1\n");
    metric(b, "process_start_time_seconds", "gauge", "When the process started.", (double)n->started_ms / 1000);
    if (getrusage(RUSAGE_SELF, &use) == 0)
        metric(b, "process_cpu_seconds_total", "counter", "Time of processors that it used, its workers not counted.",
               (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                   (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
    if (pages)
        metric(b, "process_resident_memory_bytes", "gauge", "Its memory that is in use.",
               (double)pages * (double)sysconf(_SC_PAGESIZE));
    metric(b, "process_open_fds", "gauge", "Its open descriptors.", count_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        metric(b, "process_max_fds", "gauge", "As many as it may have.", (double)files.rlim_cur);
}

void api_metrics(struct api_call *c)
{
    struct node *n = c->node;
    struct buf b = {0};
    put_chain(&b, n);
    metric_reach(&b, n);
    put_jobs(&b, n);
    put_workers(&b, n);
    put_hops(&b, n);
    metric(&b, "kith_http_connections", "gauge", "Open HTTP connections.", http_connections(n->http_tcp));
    put_process(&b, n);
    http_reply(c->request, 200, "text/plain; version=0.0.4; charset=utf-8", bytes_of_buf(&b));
    buf_clear(&b);
}
