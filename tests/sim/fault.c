/* What fate does to nodes and network until it heals. Each seed draws which kinds of faults it has and how often they
 * come: a run with every kind at once would hardly get anywhere, and what needs two kinds meets others that do. */
#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"
#include "tests/sim/store.h"
#include "tests/sim/wire.h"

#include <inttypes.h>
#include <stdlib.h>

#define HOUR_MS     3600000
#define DIE_IN_MOST 300 /* writes, syncs and sends until a node dies: some dozens of a round's */

enum kind { CRASH, CRASH_ALL, PARTITION, ONE_WAY, RESET, FULL, BAD_SYNC, BAD_STORE, CLOCK, SELECT, LOG_GONE, KINDS };

struct fault {
    struct sim *sim;
    struct random random;
    struct random later; /* of faults that came later, so that the seeds before mean what they meant */
    struct timer timer, mend;
    unsigned weight[KINDS], weights;
    uint64_t pause_ms;  /* mean between two faults */
    unsigned forgetter; /* the one whose log may vanish: it counts as faulty while its height lasts; SIM_NODES_MAX:
                           nobody's */
    unsigned off_clock; /* whose clock is far off; SIM_NODES_MAX: nobody's */
};

static struct sim_node *any_node(struct fault *f)
{
    return &f->sim->node[random_below(&f->random, f->sim->nodes)];
}

/* -- nodes -- */

static void crash(struct fault *f, struct sim_node *n)
{
    uint64_t die_in = random_chance(&f->random, 30) ? 0 : random_between(&f->random, 1, DIE_IN_MOST);
    uint64_t return_ms =
        random_chance(&f->random, 60) ? random_between(&f->random, 1, 500) : random_between(&f->random, 500, 8000);
    bool power = random_chance(&f->random, 60);
    sim_note(f->sim, "fault crash %s in=%" PRIu64 " power=%d back=%" PRIu64, n->name, die_in, power, return_ms);
    node_kill(n, die_in, power, return_ms);
}

/* Its log is gone when it comes back: the signer's file must keep it from saying anything else than before. */
static void lose_log(struct fault *f)
{
    struct sim_node *n = &f->sim->node[f->forgetter];
    if (!n->is_up || n->is_dead)
        return;
    sim_note(f->sim, "fault log of %s gone", n->name);
    node_kill(n, 0, false, random_between(&f->random, 1, 200));
    disk_remove(n->disk, "home/consensus/wal");
}

static void crash_all(struct fault *f)
{
    for (unsigned i = 0; i < f->sim->nodes; i++)
        crash(f, &f->sim->node[i]);
}

static void trouble_end(struct sim_node *n)
{
    disk_fill(n->disk, false);
    disk_fail_syncs(n->disk, 0);
    store_fail(n->store, 0);
    n->is_troubled = false;
}

static void disk_trouble(struct fault *f, enum kind kind)
{
    struct sim_node *n = any_node(f);
    unsigned times = (unsigned)random_between(&f->random, 1, 4);
    sim_note(f->sim, "fault disk %s kind=%d times=%u", n->name, (int)kind, times);
    n->is_troubled = true;
    if (kind == FULL)
        disk_fill(n->disk, true);
    else if (kind == BAD_SYNC)
        disk_fail_syncs(n->disk, times);
    else
        store_fail(n->store, times);
}

static void clock_jump(struct fault *f)
{
    struct sim_node *n = any_node(f);
    int64_t off = (int64_t)random_below(&f->random, 2 * HOUR_MS) - HOUR_MS;
    if (f->off_clock < SIM_NODES_MAX)
        f->sim->node[f->off_clock].clock_off_ms = 0;
    f->off_clock = n->index;
    n->clock_off_ms = off;
    sim_note(f->sim, "fault clock %s off=%" PRId64, n->name, off);
}

/* -- network -- */

static void cuts_end(struct fault *f)
{
    for (unsigned i = 0; i < f->sim->nodes; i++)
        for (unsigned k = 0; k < f->sim->nodes; k++)
            sim_net_cut(f->sim, i, k, false);
}

static void partition(struct fault *f, bool is_one_way)
{
    uint64_t side = random_next(&f->random), other_side = is_one_way ? random_next(&f->random) : 0;
    sim_note(f->sim, "fault partition side=%" PRIx64 " one_way=%d", side & ((1u << f->sim->nodes) - 1), is_one_way);
    for (unsigned i = 0; i < f->sim->nodes; i++)
        for (unsigned k = 0; k < f->sim->nodes; k++) {
            bool from = side >> i & 1, to = side >> k & 1;
            sim_net_cut(f->sim, i, k, is_one_way ? from && (other_side >> k & 1) && i != k : from != to);
        }
}

static void reset(struct fault *f)
{
    unsigned a = any_node(f)->index, b = any_node(f)->index;
    bool is_all = random_chance(&f->later, 40); /* of a machine that goes to another network */
    sim_note(f->sim, "fault reset n%u n%u all=%d", a, b, is_all);
    for (unsigned k = 0; k < f->sim->nodes; k++)
        if (k == b || is_all)
            sim_net_reset(f->sim, a, k);
}

static void block_end(struct fault *f)
{
    for (unsigned k = 0; k < SIM_KINDS; k++)
        sim_wire_block(f->sim, (enum sim_kind)k, 0);
}

#define ALL_WAYS     UINT64_MAX
#define WAYS_FROM(i) (UINT64_C(0xFF) << 8 * (i))
#define WAYS_TO(i)   (UINT64_C(0x0101010101010101) << (i))

/* One decides and nobody hears of it; one hears no votes at all, so it knows of no lock; the others are locked. */
static void hide_decision(struct fault *f)
{
    unsigned decider = (unsigned)random_below(&f->random, f->sim->o.nodes);
    unsigned ignorant = (unsigned)random_below(&f->random, f->sim->o.nodes);
    sim_wire_block(f->sim, SIM_PREVOTES, WAYS_TO(ignorant));
    sim_wire_block(f->sim, SIM_PRECOMMITS, ALL_WAYS & ~WAYS_TO(decider));
    sim_wire_block(f->sim, SIM_BLOCKS, WAYS_FROM(decider));
    sim_note(f->sim, "fault hidden decision of n%u, n%u hears nothing", decider, ignorant);
}

/* Some hear some kinds of messages and some do not: who locks and who does not is what the rules of rounds are about.
 */
static void select_kinds(struct fault *f)
{
    block_end(f);
    if (random_chance(&f->random, 50)) {
        hide_decision(f);
        return;
    }
    for (unsigned k = 0; k < SIM_KINDS; k++)
        if (random_chance(&f->random, 60))
            sim_wire_block(f->sim, (enum sim_kind)k, random_next(&f->random) | random_next(&f->random));
    sim_note(f->sim, "fault selective");
}

/* -- one after the other -- */

static enum kind draw_kind(struct fault *f)
{
    unsigned at = (unsigned)random_below(&f->random, f->weights);
    for (unsigned k = 0; k < KINDS; k++) {
        if (at < f->weight[k])
            return (enum kind)k;
        at -= f->weight[k];
    }
    return RESET;
}

/* Whatever was cut or refused is mended after a while, whichever came last. */
static void mend(void *arg)
{
    struct fault *f = arg;
    sim_note(f->sim, "fault mended");
    cuts_end(f);
    block_end(f);
    for (unsigned i = 0; i < f->sim->nodes; i++)
        trouble_end(&f->sim->node[i]);
    sim_at(f->sim, &f->mend, f->sim->now_us + random_between(&f->random, 500, 8000) * 1000, mend, f);
}

static void strike(void *arg)
{
    struct fault *f = arg;
    enum kind kind = draw_kind(f);
    if (kind == CRASH)
        crash(f, any_node(f));
    else if (kind == CRASH_ALL)
        crash_all(f);
    else if (kind == PARTITION || kind == ONE_WAY)
        partition(f, kind == ONE_WAY);
    else if (kind == RESET)
        reset(f);
    else if (kind == CLOCK)
        clock_jump(f);
    else if (kind == SELECT)
        select_kinds(f);
    else if (kind == LOG_GONE)
        lose_log(f);
    else
        disk_trouble(f, kind);
    sim_at(f->sim, &f->timer, f->sim->now_us + random_between(&f->random, 1, 2 * f->pause_ms) * 1000, strike, f);
}

static void draw_network(struct fault *f)
{
    struct sim *s = f->sim;
    uint64_t base_us = random_between(&f->random, 200, random_chance(&f->random, 30) ? 150000 : 30000);
    bool is_slow = random_chance(&f->later, 8); /* slower than the first rounds wait */
    base_us = is_slow ? random_between(&f->later, 250000, 600000) : base_us;
    uint64_t jitter_us = random_below(&f->random, random_chance(&f->random, 30) ? 300000 : 20000);
    unsigned loss = random_chance(&f->random, 60) ? (unsigned)random_below(&f->random, 31) : 0;
    unsigned repeat = random_chance(&f->random, 60) ? (unsigned)random_below(&f->random, 51) : 0;
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->nodes; k++)
            sim_net_delay(s, i, k, random_between(&f->random, base_us / 2, base_us * 2), jitter_us);
    sim_wire_faults(s, loss, repeat, random_between(&f->random, 10, 6000));
    sim_note(s, "faults loss=%u repeat=%u delay_us=%" PRIu64 " jitter_us=%" PRIu64, loss, repeat, base_us, jitter_us);
}

void fault_open(struct sim *s)
{
    static const unsigned usual[KINDS] = {
        [CRASH] = 8,    [CRASH_ALL] = 1, [PARTITION] = 4, [ONE_WAY] = 4, [RESET] = 2,   [FULL] = 2,
        [BAD_SYNC] = 2, [BAD_STORE] = 2, [CLOCK] = 2,     [SELECT] = 8,  [LOG_GONE] = 6};
    struct fault *f = s->fault = mem_new(sizeof *f);
    f->sim = s;
    f->random = random_fork(&s->random);
    f->later = (struct random){f->random.s ^ UINT64_MAX};
    f->off_clock = SIM_NODES_MAX;
    f->pause_ms = random_between(&f->random, 150, 2500);
    for (unsigned k = 0; k < KINDS; k++) {
        f->weight[k] = random_chance(&f->random, 50) ? usual[k] : 0;
        f->weights += f->weight[k];
    }
    f->forgetter = 0;
    while (f->forgetter < s->o.nodes && !sim_is_honest(&s->node[f->forgetter]))
        f->forgetter++;
    if (s->o.byzantine >= (s->o.nodes - 1) / 3) { /* one more would be too many */
        f->weights -= f->weight[LOG_GONE];
        f->weight[LOG_GONE] = 0;
    }
    for (unsigned i = 0; i < s->nodes; i++)
        s->node[i].clock_off_ms = (int64_t)random_below(&f->random, 2000) - 1000;
    draw_network(f);
    sim_at(s, &f->mend, s->now_us + 4 * SIM_SECOND, mend, f);
    if (f->weights)
        sim_at(s, &f->timer, s->now_us + SIM_SECOND, strike, f);
}

void fault_heal(struct sim *s)
{
    struct fault *f = s->fault;
    s->is_healed = true;
    if (f) {
        timer_remove(&s->events, &f->timer);
        timer_remove(&s->events, &f->mend);
        cuts_end(f);
        sim_wire_faults(s, 0, 0, 0);
        block_end(f);
        for (unsigned i = 0; i < s->nodes; i++) {
            struct sim_node *n = &s->node[i];
            trouble_end(n);
            n->clock_off_ms = 0;
            n->die_in = 0;
        }
    }
    check_healed(s);
}

void fault_close(struct sim *s)
{
    if (!s->fault)
        return;
    timer_remove(&s->events, &s->fault->timer);
    timer_remove(&s->events, &s->fault->mend);
    free(s->fault);
}
