/* Time goes from event to event. Equal times: fate and network first, then the nodes in their order; within a node its
 * timers first, then its tasks in the order in which they came. */
#include "tests/sim/sim.h"

#include "base/log.h"
#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/net.h"
#include "tests/sim/wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sim *sim_now;

/* -- the log and its digest -- */

static void digest_add(struct sim *s, uint64_t v)
{
    s->digest = (s->digest ^ v) * UINT64_C(0x100000001B3);
    s->digest ^= s->digest >> 29;
}

static void digest_text(struct sim *s, const char *text)
{
    for (const char *c = text; *c; c++)
        digest_add(s, (uint8_t)*c);
}

static void print_line(const struct sim *s, const char *who, const char *line)
{
    if (s->o.is_logged)
        printf("%8" PRIu64 ".%06" PRIu64 " %-4s %s\n", s->now_us / SIM_SECOND, s->now_us % SIM_SECOND, who, line);
}

void sim_note(struct sim *s, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    digest_add(s, s->now_us);
    digest_text(s, line);
    print_line(s, s->current ? s->current->name : "-", line);
}

void sim_violated(struct sim *s, const char *check, const char *format, ...)
{
    char text[400];
    if (s->is_violated)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->is_violated = true;
    snprintf(s->violation, sizeof s->violation, "%s: %s", check, text);
    sim_note(s, "VIOLATED %s", s->violation);
}

static int crash_fd = -1;

static void on_abort(int number)
{
    char line[600];
    const struct sim *s = sim_now;
    int n = snprintf(line, sizeof line, "seed=%" PRIu64 " VIOLATED %s", s ? s->o.seed : 0,
                     s && s->violation[0] ? s->violation : "crash: a CHECK failed");
    ssize_t written = write(crash_fd, line, (size_t)n);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

void sim_crash_line(int fd)
{
    crash_fd = fd;
    signal(SIGABRT, on_abort);
}

static void on_line(void *arg, enum log_level level, const char *line)
{
    struct sim *s = arg;
    struct sim_node *n = s->current;
    if (n && n->is_dead)
        return; /* nobody hears it any more */
    digest_text(s, line);
    print_line(s, n ? n->name : "-", line);
    if (level == LOG_BROKEN && n && sim_is_honest(n))
        sim_violated(s, "log", "node %s says: %s", n->name, line);
}

/* -- whose turn comes first: a tournament of the nodes, the winner of each pair one level up -- */

static uint64_t node_next_us(const struct sim_node *n)
{
    if (!n->is_up)
        return UINT64_MAX;
    uint64_t at = n->host.tasks ? 0 : timer_next_ms(&n->host.timers);
    return at > n->busy_us ? at : n->busy_us;
}

/* Of equal times the lower index wins. */
void sim_turn_moved(struct sim_node *n)
{
    struct sim *s = n->sim;
    if (s->current == n)
        return; /* when it leaves */
    unsigned at = SIM_NODES_MAX + n->index;
    s->turn_us[at] = node_next_us(n);
    for (at /= 2; at > 0; at /= 2) {
        uint64_t left = s->turn_us[2 * at], right = s->turn_us[2 * at + 1];
        s->turn_us[at] = left < right ? left : right;
    }
}

static struct sim_node *turn_first(struct sim *s)
{
    unsigned at = 1;
    while (at < SIM_NODES_MAX)
        at = 2 * at + (s->turn_us[2 * at] > s->turn_us[at]);
    return &s->node[at - SIM_NODES_MAX];
}

/* -- nodes at work -- */

void sim_enter(struct sim_node *n)
{
    CHECK(!n->sim->current);
    n->sim->current = n;
    n->charge_ns = 0;
}

void sim_leave(struct sim_node *n)
{
    CHECK(n->sim->current == n);
    uint64_t busy_us = n->sim->now_us + n->charge_ns / 1000;
    n->busy_us = busy_us > n->busy_us ? busy_us : n->busy_us;
    n->sim->current = NULL;
    sim_turn_moved(n);
}

bool sim_acts(struct sim_node *n)
{
    if (n->die_in && --n->die_in == 0)
        n->is_dead = true;
    return !n->is_dead;
}

bool sim_is_honest(const struct sim_node *n)
{
    return n->role == SIM_HONEST;
}

uint64_t sim_height(const struct sim_node *n)
{
    return ledger_info(n->ledger).height;
}

void sim_task_add(struct sim_node *n, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
    struct sim_task *t = mem_new(sizeof *t);
    *t = (struct sim_task){.fn = fn, .drop = drop, .arg = arg};
    *n->host.tasks_end = t;
    n->host.tasks_end = &t->next;
    sim_turn_moved(n);
}

static void run_task(struct sim_node *n)
{
    struct sim_task *t = n->host.tasks;
    n->host.tasks = t->next;
    if (!n->host.tasks)
        n->host.tasks_end = &n->host.tasks;
    t->fn(t->arg);
    free(t);
}

static void node_turn(struct sim_node *n)
{
    sim_enter(n);
    struct timer *t = timer_step(&n->host.timers, n->sim->now_us);
    if (t)
        t->fn(t->arg);
    else
        run_task(n);
    sim_leave(n);
    if (n->is_dead)
        node_bury(n);
}

/* -- the loop -- */

void sim_at(struct sim *s, struct timer *t, uint64_t at_us, timer_fn fn, void *arg)
{
    timer_add(&s->events, t, at_us, fn, arg);
}

static bool turn(struct sim *s, uint64_t until_us)
{
    uint64_t at = timer_next_ms(&s->events);
    uint64_t ready = s->turn_us[1] > s->now_us ? s->turn_us[1] : s->now_us;
    struct sim_node *first = NULL;
    if (ready < at) {
        at = ready;
        first = turn_first(s);
    }
    if (at > until_us) {
        s->now_us = until_us;
        return false;
    }
    s->now_us = at;
    s->turns++;
    digest_add(s, at);
    digest_add(s, first ? first->index : UINT64_MAX);
    if (first) {
        node_turn(first);
        return true;
    }
    struct timer *t = timer_step(&s->events, at);
    t->fn(t->arg);
    return true;
}

void sim_run(struct sim *s, uint64_t until_us, bool (*until)(struct sim *s))
{
    while (!s->is_violated && turn(s, until_us))
        if (until && s->turns % 64 == 0 && until(s))
            return;
}

/* -- life -- */

static void make_genesis(struct sim *s)
{
    struct genesis_holder holders[SIM_NODES_MAX + SIM_WALLETS + SIM_DEALERS], validators[SIM_NODES_MAX];
    struct genesis *g = &s->genesis;
    unsigned n = 0;
    for (unsigned i = 0; i < s->o.nodes + s->o.followers; i++)
        holders[n++] = (struct genesis_holder){s->node[i].id, amount_of(SIM_NODE_FUND)};
    for (unsigned i = 0; i < SIM_WALLETS; i++)
        holders[n++] = (struct genesis_holder){s->wallet_id[i], amount_of(SIM_WALLET_FUND)};
    for (unsigned i = 0; i < SIM_DEALERS && sim_is_dealing(s); i++)
        holders[n++] = (struct genesis_holder){s->dealer_id[i], amount_of(SIM_WALLET_FUND)};
    for (unsigned i = 0; i < s->o.nodes; i++)
        validators[i] = (struct genesis_holder){s->node[i].id, amount_of(SIM_STAKE)};
    *g = (struct genesis){.version = GENESIS_VERSION, .params = params_private(), .time_ms = SIM_EPOCH_MS};
    g->params.claim_blocks = s->o.is_unclaimed ? 0 : 2; /* a run has some ten heights */
    if (sim_is_dealing(s)) { /* windows of seconds, and a bond that returns as soon as it may */
        g->params.audits_per_settlement = g->params.audits_full = 1;
        g->params.audit_window_ms = g->params.audit_reveal_ms = 5000;
        g->params.unbonding_ms = params_answer_ms(&g->params);
    }
    CHECK(text64_set(&g->name, "sim") && text64_set(&g->prefix, ADDRESS_PREFIX_PRIVATE));
    CHECK(genesis_list(holders, n, &s->genesis_room, NULL) == ERR_OK);
    size_t middle = s->genesis_room.n;
    CHECK(genesis_list(validators, s->o.nodes, &s->genesis_room, NULL) == ERR_OK);
    g->accounts = bytes_of(s->genesis_room.p, middle);
    g->validators = bytes_of(s->genesis_room.p + middle, s->genesis_room.n - middle);
    CHECK(genesis_check(g, NULL) == ERR_OK);
    s->chain = genesis_chain_id(g);
}

void sim_key(struct random *r, struct seckey *secret, struct pubkey *public)
{
    do
        random_bytes(r, secret->b, sizeof secret->b);
    while (!key_is_valid(secret));
    key_derive(secret, public);
}

/* `byzantine` of the validators get the role. */
static void draw_roles(struct sim *s, enum sim_role role[SIM_NODES_MAX])
{
    struct random later = {~s->o.seed}; /* of roles that came later, so that the seeds before mean what they meant */
    for (unsigned left = s->o.byzantine; left > 0;) {
        unsigned i = (unsigned)random_below(&s->random, s->o.nodes);
        if (role[i] != SIM_HONEST)
            continue;
        role[i] = s->o.role != SIM_HONEST ? s->o.role
                                          : (enum sim_role)random_between(&s->random, SIM_HONEST + 1, SIM_AMNESIAC);
        if (s->o.role == SIM_HONEST && random_chance(&later, 10))
            role[i] = SIM_GARBLING;
        left--;
    }
}

struct sim *sim_new(const struct sim_options *o)
{
    struct sim *s = mem_new(sizeof *s);
    enum sim_role role[SIM_NODES_MAX] = {SIM_HONEST};
    s->o = *o;
    s->random = (struct random){o->seed};
    s->is_open = o->seed % 4 != 0;
    s->digest = UINT64_C(0xCBF29CE484222325);
    sim_now = s;
    log_open(LOG_DEBUG, on_line, NULL, s);
    draw_roles(s, role);
    s->node = mem_array(SIM_NODES_MAX, sizeof *s->node);
    for (unsigned i = 0; i < 2 * SIM_NODES_MAX; i++)
        s->turn_us[i] = UINT64_MAX;
    for (unsigned i = 0; i < o->nodes + o->followers; i++)
        node_create(s, role[i]);
    for (unsigned i = 0; i < o->nodes; i++)
        if (role[i] == SIM_TWIN)
            node_create_twin(s, &s->node[i]);
    for (unsigned i = 0; i < SIM_WALLETS; i++)
        sim_key(&s->random, &s->wallet[i], &s->wallet_id[i]);
    struct random dealers = {s->o.seed ^ UINT64_C(0xDEA15)};
    for (unsigned i = 0; i < SIM_DEALERS; i++)
        sim_key(&dealers, &s->dealer[i], &s->dealer_id[i]);
    make_genesis(s);
    sim_net_open(s);
    sim_wire_open(s);
    checks_open(s);
    for (unsigned i = 0; i < s->nodes; i++)
        CHECK(node_start(&s->node[i]));
    return s;
}

void sim_free(struct sim *s)
{
    for (unsigned i = 0; i < s->nodes; i++)
        node_destroy(&s->node[i]);
    fault_close(s);
    load_close(s);
    deal_close(s);
    checks_close(s);
    sim_wire_close(s);
    sim_net_close(s);
    timer_heap_clear(&s->events);
    buf_clear(&s->genesis_room);
    free(s->node);
    log_open(LOG_INFO, NULL, NULL, NULL);
    sim_now = NULL;
    free(s);
}
