/* One production node in the simulator: the parts that node/node.c starts, in its order, without market and API. */
#include "base/log.h"
#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/role.h"
#include "tests/sim/sim.h"
#include "tests/sim/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PORT      7718
#define RETRY_MS  1000 /* a node that could not start, as a supervisor starts it again */
#define HEARTBEAT 5000

static struct sim_node *node_add(struct sim *s, enum sim_role role)
{
    CHECK(s->nodes < SIM_NODES_MAX);
    struct sim_node *n = &s->node[s->nodes];
    n->sim = s;
    n->index = s->nodes++;
    n->role = role;
    n->random = random_fork(&s->random);
    n->disk = disk_new();
    n->store = store_new(n);
    snprintf(n->name, sizeof n->name, "n%u", n->index);
    return n;
}

void node_create(struct sim *s, enum sim_role role)
{
    struct sim_node *n = node_add(s, role);
    sim_key(&s->random, &n->key, &n->id);
}

void node_create_twin(struct sim *s, const struct sim_node *other)
{
    struct sim_node *n = node_add(s, SIM_TWIN);
    n->key = other->key;
    n->id = other->id;
}

/* -- start -- */

static enum err start_peers(struct sim_node *n, struct note *note)
{
    char listen[32];
    snprintf(listen, sizeof listen, "%s:%d", n->name, PORT);
    struct peers_options o = {.host = &n->host.base,
                              .transport = sim_net_transport(n),
                              .key = &n->key,
                              .chain = n->sim->chain,
                              .features = FEATURE_VALIDATOR,
                              .listen = listen,
                              .book_path = "home/peers.book"};
    return peers_open(&o, &n->peers, note);
}

static enum err start_consensus(struct sim_node *n, struct note *note)
{
    struct consensus_options o = {.host = &n->host.base,
                                  .kv = store_kv(n->store),
                                  .ledger = n->ledger,
                                  .peers = n->peers,
                                  .key = &n->key,
                                  .dir = "home/consensus",
                                  .heartbeat_ms = HEARTBEAT};
    enum err e = consensus_open(&o, &n->consensus, note);
    if (e == ERR_OK)
        consensus_on_block(n->consensus, check_block, n);
    return e;
}

static void dial(struct sim_node *n, const struct sim_node *to)
{
    char hex[65], address[160];
    if (pubkey_equal(&to->id, &n->id))
        return;
    hex_put(hex, to->id.b, sizeof to->id.b);
    snprintf(address, sizeof address, "%s@%s:%d", hex, to->name, PORT);
    CHECK(peers_add(n->peers, address, NULL) == ERR_OK);
}

/* Everybody is configured to dial everybody, or the next one and some that are drawn. */
static void dial_others(struct sim_node *n)
{
    const struct sim *s = n->sim;
    if (!s->o.links)
        for (unsigned i = 0; i < s->nodes; i++)
            dial(n, &s->node[i]);
    else
        dial(n, &s->node[(n->index + 1) % s->nodes]);
    for (unsigned i = 1; i < s->o.links; i++)
        dial(n, &s->node[random_below(&n->random, s->nodes)]);
}

static enum err start(struct sim_node *n, struct note *note)
{
    enum err e = ledger_open(store_kv(n->store), &n->sim->genesis, &n->ledger, note);
    if (e == ERR_OK)
        e = start_peers(n, note);
    if (e == ERR_OK)
        e = start_consensus(n, note);
    if (e == ERR_OK)
        dial_others(n);
    return e;
}

static void come_back(void *arg)
{
    node_start(arg);
}

bool node_start(struct sim_node *n)
{
    struct note note = {{0}};
    n->boot++;
    n->die_in = 0;
    n->is_dead = false;
    n->born_us = n->sim->now_us - random_below(&n->random, n->sim->now_us + 1);
    n->busy_us = 0;
    role_before_start(n);
    host_init(n);
    n->is_up = true;
    sim_net_node_back(n);
    sim_enter(n);
    enum err e = start(n, &note);
    sim_leave(n);
    if (e == ERR_OK)
        check_started(n);
    else
        check_unstarted(n, e, note.text);
    if (e != ERR_OK && !n->is_dead) {
        n->is_dead = true;
        n->dies_of_power = false;
        n->return_ms = RETRY_MS;
    }
    if (n->is_dead)
        node_bury(n);
    return e == ERR_OK;
}

/* -- death -- */

void node_bury(struct sim_node *n)
{
    CHECK(n->is_up && n->is_dead);
    sim_note(n->sim, "%s is gone power=%d", n->name, n->dies_of_power);
    sim_net_node_gone(n, n->dies_of_power);
    sim_enter(n);
    consensus_close(n->consensus);
    peers_close(n->peers);
    if (n->transport)
        transport_free((struct transport *)n->transport);
    host_drain(n);
    ledger_close(n->ledger);
    sim_leave(n);
    n->consensus = NULL;
    n->peers = NULL;
    n->ledger = NULL;
    n->is_up = false;
    sim_turn_moved(n);
    if (n->dies_of_power) {
        disk_crash(n->disk, &n->random);
        store_crash(n->store);
    }
    if (n->return_ms)
        sim_at(n->sim, &n->return_timer, n->sim->now_us + n->return_ms * 1000, come_back, n);
}

void node_kill(struct sim_node *n, uint64_t die_in, bool power, uint64_t return_ms)
{
    if (!n->is_up || n->is_dead)
        return;
    n->dies_of_power = power;
    n->return_ms = return_ms;
    n->die_in = die_in;
    if (die_in == 0) {
        n->is_dead = true;
        node_bury(n);
    }
}

void node_destroy(struct sim_node *n)
{
    if (n->is_up) {
        n->is_dead = true;
        n->dies_of_power = false;
        n->return_ms = 0;
        node_bury(n);
    }
    timer_remove(&n->sim->events, &n->return_timer);
    store_free(n->store);
    disk_free(n->disk);
}
