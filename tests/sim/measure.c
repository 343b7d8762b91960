/* Measuring in virtual time. */
#include "tests/sim/measure.h"

#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_US (5 * SIM_SECOND) /* connections first, */
#define LOAD_US  (8 * SIM_SECOND) /* then the models that others are derived from */
#define PARENTS  LINEAGE_MAX
#define BARE     240 /* bytes of a published model without parents */

struct asked {
    struct measure *m;
    uint64_t at_us;
};

struct measure {
    struct sim *sim;
    const struct measure_options *o;
    struct random random;
    struct timer timer;
    uint64_t from_us, to_us; /* what is given in between counts */
    uint64_t *latency_us;
    size_t n, room;
    uint64_t given, given_bytes, waited, refused, late, failed, serial;
    struct {
        uint64_t n, bytes;
    } sent[MSG_TYPE_END]; /* in the time that counts */
    uint64_t first_height, last_height;
    uint64_t nonce[SIM_WALLETS];
};

static void in_block(void *arg, enum err e, const struct hash *id, uint64_t height, const struct note *note)
{
    struct asked *a = arg;
    struct measure *m = a->m;
    (void)id, (void)height, (void)note;
    if (e == ERR_TIMEOUT) {
        m->late++;
    } else {
        if (m->n == m->room) {
            m->room = m->room ? 2 * m->room : 1024;
            m->latency_us = mem_resize(m->latency_us, m->room, sizeof *m->latency_us);
        }
        m->failed += e != ERR_OK;
        m->latency_us[m->n++] = m->sim->now_us - a->at_us;
    }
    free(a);
}

static struct hash model_root(uint64_t serial)
{
    return hash_once(HASH_LEAF, &serial, sizeof serial);
}

/* A published model; all but the first ones have parents, as many as fill it up. */
static void draft_model(struct measure *m, struct buf *body)
{
    struct buf lineage = {0};
    struct hash root = model_root(m->serial);
    char name[32];
    struct tx_model_publish p = {.root = root, .size = 1000, .tensors = {root.b, 1}};
    p.tensors_root = tx_tensors_root(&p.tensors);
    unsigned parents = m->o->tx_bytes > BARE ? (m->o->tx_bytes - BARE) / LINEAGE_ENTRY_SIZE : 0;
    for (uint64_t i = 0; m->serial >= PARENTS && i < parents && i < PARENTS; i++)
        lineage_entry_put(&lineage, &(struct lineage_entry){LINEAGE_MODEL, model_root(i), 0});
    p.lineage = bytes_of_buf(&lineage);
    snprintf(name, sizeof name, "m-%" PRIu64, m->serial++);
    CHECK(text64_set(&p.name, name));
    tx_model_publish_put(body, &p);
    buf_clear(&lineage);
}

static enum tx_kind draft(struct measure *m, struct buf *body)
{
    if (m->o->tx_bytes) {
        draft_model(m, body);
        return TX_MODEL_PUBLISH;
    }
    tx_transfer_put(body, &(struct tx_transfer){.to = m->sim->wallet_id[random_below(&m->random, SIM_WALLETS)],
                                                .amount = amount_of(1 + random_below(&m->random, 1000))});
    return TX_TRANSFER;
}

/* Each wallet uses a node of its own, so that its transactions come in their order. */
static void give(void *arg)
{
    struct measure *m = arg;
    struct sim *s = m->sim;
    unsigned w = (unsigned)random_below(&m->random, SIM_WALLETS);
    struct sim_node *n = &s->node[w * s->nodes / SIM_WALLETS];
    struct buf body = {0}, tx = {0};
    struct hash id;
    struct note note = {{0}};
    enum tx_kind kind = draft(m, &body);
    tx_build(&tx, &s->chain, &s->wallet[w], m->nonce[w], amount_of(MOTE_PER_KITH), kind, bytes_of_buf(&body));
    sim_enter(n);
    if (consensus_submit(n->consensus, bytes_of_buf(&tx), &id, &note) == ERR_OK) {
        m->given_bytes += tx.n;
        m->nonce[w]++;
        m->given++;
        if (s->now_us >= m->from_us && s->now_us < m->to_us) {
            struct asked *a = mem_new(sizeof *a);
            m->waited++;
            *a = (struct asked){m, s->now_us};
            CHECK(consensus_wait_tx(n->consensus, &id, 600000, in_block, a) == ERR_OK);
        }
    } else {
        sim_note(s, "refused: %s", note.text);
        m->refused++;
    }
    sim_leave(n);
    buf_clear(&body);
    buf_clear(&tx);
    if (s->now_us < m->from_us)
        m->first_height = check_height(s);
    if (s->now_us < m->to_us)
        m->last_height = check_height(s);
    uint64_t mean_us = SIM_SECOND / m->o->per_second;
    uint64_t next_us = s->now_us + random_between(&m->random, 1, 2 * mean_us);
    if (m->o->tx_bytes && m->serial == PARENTS)
        next_us = LOAD_US;
    if (s->now_us < m->to_us)
        sim_at(s, &m->timer, next_us, give, m);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* What a node sends in a second, by kind of message. */
static void report_traffic(const struct measure *m)
{
    double node_s = (double)m->o->nodes * (double)(m->to_us - m->from_us) / SIM_SECOND, bytes = 0, n = 0;
    for (unsigned type = 0; type < MSG_TYPE_END; type++) {
        bytes += (double)m->sent[type].bytes;
        n += (double)m->sent[type].n;
        if (m->sent[type].n)
            printf("  %-18s %8.1f messages %8.1f KiB a second and node\n", msg_rule((uint8_t)type)->name,
                   (double)m->sent[type].n / node_s, (double)m->sent[type].bytes / 1024 / node_s);
    }
    printf("  %-18s %8.1f messages %8.1f KiB a second and node\n", "all", n / node_s, bytes / 1024 / node_s);
    double blocks = (double)(m->last_height - m->first_height), votes = 2.0 * m->o->nodes * blocks * m->o->nodes;
    if (blocks > 0)
        printf("  %.0f blocks meanwhile, each vote sent %.2f times to each node\n", blocks,
               (double)m->sent[MSG_VOTE].n / votes);
}

static void report(struct measure *m)
{
    qsort(m->latency_us, m->n, sizeof *m->latency_us, compare);
    uint64_t heights = check_height(m->sim);
    uint64_t median = m->n ? m->latency_us[m->n / 2] : 0, high = m->n ? m->latency_us[m->n * 99 / 100] : 0;
    printf("validators=%u round_trip_ms=%" PRIu64 " mbit=%" PRIu64 " tx_per_s=%" PRIu64 " tx_bytes=%" PRIu64
           " given=%" PRIu64 " refused=%" PRIu64 " failed=%" PRIu64 " counted=%zu median_ms=%" PRIu64 " p99_ms=%" PRIu64
           " most_ms=%" PRIu64 " blocks=%" PRIu64 " seconds=%" PRIu64 " digest=%016" PRIx64 " %s\n",
           m->o->nodes, m->o->round_trip_us / 1000, m->o->bits_per_second / 1000000, m->o->per_second,
           m->given ? m->given_bytes / m->given : 0, m->given, m->refused, m->failed, m->n, median / 1000, high / 1000,
           m->n ? m->latency_us[m->n - 1] / 1000 : 0, heights, m->sim->now_us / SIM_SECOND, m->sim->digest,
           m->sim->is_violated ? m->sim->violation : "ok");
    report_traffic(m);
}

void measure_sent(struct sim *s, enum msg_type type, size_t n)
{
    struct measure *m = s->measure;
    if (!m || s->now_us < m->from_us || s->now_us >= m->to_us)
        return;
    m->sent[type].n++;
    m->sent[type].bytes += n;
}

void measure_charge(uint64_t ns)
{
    if (sim_now && sim_now->is_charged && sim_now->current)
        sim_now->current->charge_ns += ns;
}

static bool all_in(struct sim *s)
{
    const struct measure *m = s->measure;
    return s->now_us >= m->to_us && m->n + m->late == m->waited;
}

bool measure_run(const struct measure_options *o, bool is_logged)
{
    struct measure m = {.o = o};
    struct sim_options so = {
        .seed = o->seed, .nodes = o->nodes, .is_logged = is_logged, .links = o->links, .is_unclaimed = true};
    struct sim *s = m.sim = sim_new(&so);
    s->measure = &m;
    s->is_charged = s->is_open = true;
    m.random = random_fork(&s->random);
    sim_net_bandwidth(s, o->bits_per_second);
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->nodes; k++)
            sim_net_delay(s, i, k, o->round_trip_us / 2, 0);
    m.from_us = LOAD_US + o->warm_ms * 1000;
    m.to_us = m.from_us + o->run_ms * 1000;
    sim_at(s, &m.timer, FIRST_US, give, &m);
    sim_run(s, m.to_us + 60 * SIM_SECOND, all_in);
    report(&m);
    bool is_good = !s->is_violated && m.n == m.waited;
    timer_remove(&s->events, &m.timer);
    sim_free(s);
    free(m.latency_us);
    return is_good;
}
