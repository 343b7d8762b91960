/* The simulator: whole production nodes (chain, p2p above the sockets, node) in one process on virtual time, everything
 * drawn from one seed.
 *
 *     sim.c     time, events, the log and its digest        disk.c, store.c   what a node has written
 *     host.c    node/host/host.h for one node                    net.c             p2p/transport.h for all
 *     wire.c    messages lost, repeated, looked at          role_*.c          Byzantine wrappers
 *     node.c    a node's start, kill and return             fault.c, load.c   what happens to the network
 *     deal.c    a market that cheats, and a halt
 *     check_*.c what must hold: each knows nothing of how the nodes do it
 *
 * A node runs only inside sim_enter .. sim_leave, so that whatever calls out (log, disk, network, signatures) knows
 * whose it is. A node can die between any two things that it does to the outside: from then on nothing that it does has
 * an effect, and when its event is over it is taken down.
 *
 * Times are microseconds of virtual time unless they say otherwise.
 */
#ifndef KITH_TESTS_SIM_SIM_H
#define KITH_TESTS_SIM_SIM_H

#include "chain/genesis.h"
#include "chain/ledger.h"
#include "node/consensus/consensus.h"
#include "node/host/host.h"
#include "node/net/peers.h"
#include "p2p/transport.h"
#include "tests/sim/random.h"

#define SIM_NODES_MAX 256
#define SIM_WALLETS   8
#define SIM_COPYCAT                                                                                                    \
    (SIM_WALLETS - 1)         /* the wallet of one who makes nothing, and publishes what others are about to           \
                               */
#define SIM_DEALERS         6 /* keys of deal.c: a payer, a provider, auditors */
#define SIM_DEALER_PROVIDER 1
#define SIM_DEALER_LAZY     (SIM_DEALERS - 1) /* audits without looking */
#define SIM_PLANTS          6                 /* settlements of one receipt each, of a run with --plant or --doubt */
#define SIM_SECOND          UINT64_C(1000000)
#define SIM_EPOCH_MS        UINT64_C(1800000000000) /* 2027: where the clocks begin */
/* Stakes are equal in the beginning, so `byzantine` of `nodes` hold under a third. */
#define SIM_STAKE       (100 * MOTE_PER_KITH)
#define SIM_NODE_FUND   (1000 * MOTE_PER_KITH)
#define SIM_WALLET_FUND (UINT64_C(1000000) * MOTE_PER_KITH)

enum sim_role {
    SIM_HONEST,
    SIM_EQUIVOCATING, /* two votes and two proposals where one is due, each to some */
    SIM_SILENT,       /* says nothing of its own, to nobody or to some */
    SIM_DELAYING,     /* says everything late */
    SIM_FORGETFUL,    /* forgets at each return what it signed and what it locked */
    SIM_TWIN,         /* one of two nodes with one key */
    SIM_INVALID,      /* proposes blocks that are none */
    SIM_RUSHING,      /* votes for rounds that nobody has reached */
    SIM_FORGING,      /* says what others would have said, and blocks that nobody decided */
    SIM_AMNESIAC,     /* votes for whatever is proposed, whatever it locked before */
    SIM_GARBLING,     /* sends bytes that are no messages, and messages that are nobody's */
    SIM_ROLES
};

struct sim;
struct sim_disk;
struct sim_store;

/* Something for a node to do in its next free moment: a post, bytes that came, a connection's end. */
struct sim_task {
    struct sim_task *next;
    void (*fn)(void *arg);
    void (*drop)(void *arg); /* instead of fn when the node died; NULL: fn all the same */
    void *arg;
};

/* A proposal that a Byzantine node saw, by height and round. */
#define SIM_SEEN 64
struct role_seen {
    uint64_t height;
    uint32_t round, valid_round;
    struct hash value;
};

struct sim_host {
    struct host base;
    struct sim_node *node;
    struct timer_heap timers;
    struct sim_task *tasks, **tasks_end;
};

struct sim_node {
    struct sim *sim;
    unsigned index;
    enum sim_role role;
    struct seckey key;
    struct pubkey id;
    char name[16]; /* its host name on the network */

    /* survives a crash */
    struct sim_disk *disk;
    struct sim_store *store;
    int64_t clock_off_ms; /* its wall clock against the true one */
    bool is_troubled;     /* its disk refuses things: it may fail to start */

    /* while it runs */
    bool is_up;
    bool is_dead;     /* nothing that it does has an effect any more */
    uint64_t die_in;  /* things done to the outside until it dies; 0: it does not */
    uint64_t boot;    /* number of its starts */
    uint64_t born_us; /* its monotonic clock begins here */
    uint64_t busy_us; /* it can do nothing before: charged processor time */
    struct sim_host host;
    struct sim_transport *transport;
    struct ledger *ledger;
    struct peers *peers;
    struct consensus *consensus;

    uint64_t charge_ns; /* processor time of the turn so far */
    /* of its death, be it now or in die_in */
    bool dies_of_power;
    uint64_t return_ms; /* until it comes back; 0: it does not */
    struct timer return_timer;
    struct role_seen seen[SIM_SEEN];
    struct random random;
};

struct sim_options {
    uint64_t seed;
    unsigned nodes;     /* validators */
    unsigned byzantine; /* of them */
    unsigned followers; /* nodes that begin without stake */
    enum sim_role role; /* SIM_HONEST: drawn */
    uint64_t fault_ms;  /* how long there are faults */
    uint64_t heal_ms;   /* how long the healed network has to show progress */
    bool is_logged;     /* every line to standard output */
    bool has_faults;
    bool is_unclaimed; /* publications need no claim: for what measures how much passes */
    bool is_halting;   /* there is a market, and the chain halts in it for longer than bonds take to return */
    bool is_planting;  /* there is a market in which jobs are planted for who audits without looking */
    bool is_doubting;  /* there is a market in which he makes up witnesses, and is doubted */
    unsigned links;    /* others that each node is configured to dial; 0: all */
};

struct sim {
    struct sim_options o;
    uint64_t now_us;
    struct random random;
    struct timer_heap events; /* of the network and of fate; their fn runs outside of all nodes */
    uint64_t turns;           /* events so far */
    uint64_t digest;
    struct sim_node *current; /* whose code runs */
    struct sim_node *node;    /* sim_nodes of them */
    unsigned nodes;
    uint64_t turn_us[2 * SIM_NODES_MAX]; /* sim_turn_moved: when each can do something, from SIM_NODES_MAX on */
    struct genesis genesis;
    struct buf genesis_room;
    struct hash chain;
    struct seckey wallet[SIM_WALLETS];
    struct pubkey wallet_id[SIM_WALLETS];
    struct seckey dealer[SIM_DEALERS];
    struct pubkey dealer_id[SIM_DEALERS];
    struct net *net;
    struct wire *wire;
    struct fault *fault;
    struct load *load;
    struct deal *deal;
    struct checks *checks;
    struct measure *measure;
    bool is_charged; /* processor time counts */
    bool is_open;    /* frames are not sealed */
    bool is_healed;
    bool is_violated;
    char violation[512];
};

struct sim *sim_new(const struct sim_options *o);
void sim_free(struct sim *s);
/* Runs until the time, a violation, or until() says true. */
void sim_run(struct sim *s, uint64_t until_us, bool (*until)(struct sim *s));
/* The one that runs (production code has no way to say whose it is). */
extern struct sim *sim_now;

/* Every event of note enters the digest, and the log where it is on. */
void sim_note(struct sim *s, const char *format, ...) PRINTF_LIKE(2, 3);
/* When the process is ended by a failed CHECK, what was being looked at is written there. */
void sim_crash_line(int fd);
/* A checker found that `check` does not hold: the run ends. The first counts. */
void sim_violated(struct sim *s, const char *check, const char *format, ...) PRINTF_LIKE(3, 4);

/* fn(arg) at a time, outside of all nodes; `t` is zeroed memory of the caller's. */
void sim_at(struct sim *s, struct timer *t, uint64_t at_us, timer_fn fn, void *arg);

void sim_key(struct random *r, struct seckey *secret, struct pubkey *public);

/* -- nodes -- */
void sim_enter(struct sim_node *n);
void sim_leave(struct sim_node *n);
/* One thing done to the outside: false if the node is dead, or dies of it. */
bool sim_acts(struct sim_node *n);
void sim_task_add(struct sim_node *n, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);
/* To be told whenever a node's tasks, timers or state may have changed from outside of its turn. */
void sim_turn_moved(struct sim_node *n);
bool sim_is_honest(const struct sim_node *n);
uint64_t sim_height(const struct sim_node *n); /* last committed; needs is_up */

/* node.c */
void node_create(struct sim *s, enum sim_role role);
void node_create_twin(struct sim *s, const struct sim_node *other);
void node_destroy(struct sim_node *n);
/* False if it could not start, which only a fault may cause; it tries again by itself. */
bool node_start(struct sim_node *n);
/* Dies after so many more things done to the outside (0: at once, from outside of all nodes): the process alone, or the
 * machine with all that was not synced. Comes back after return_ms (0: never). */
void node_kill(struct sim_node *n, uint64_t die_in, bool power, uint64_t return_ms);
/* Takes down one that is dead. */
void node_bury(struct sim_node *n);

/* host.c */
void host_init(struct sim_node *n);
/* What is still posted is run, as the real host does before it goes; tasks of the network are dropped. */
void host_drain(struct sim_node *n);

/* fault.c, load.c */
void fault_open(struct sim *s);
void fault_heal(struct sim *s);
void fault_close(struct sim *s);
void load_open(struct sim *s);
void load_close(struct sim *s);

/* deal.c */
static inline bool sim_is_planted(const struct sim *s, uint32_t receipt)
{
    return s->o.is_planting && receipt % 2 == 0;
}
static inline bool sim_is_dealing(const struct sim *s)
{
    return s->o.is_halting || s->o.is_planting || s->o.is_doubting;
}
void deal_open(struct sim *s);
/* The provider withdrew its bond, and waits for what others say of its second fraud. */
bool deal_before_word(struct sim *s);
/* More than a third of the power stops, until a withdrawal would have returned. */
void deal_halt(struct sim *s);
void deal_close(struct sim *s);

#endif
