/* Figures of a network that is well: how long a transaction takes from the node that it is given to until that node has
 * it in a block. Processor time is charged: what each signature made or checked and each byte hashed or encrypted
 * costs, as measured on a machine (MEASURE_*_NS), so that a run is the same on any. */
#ifndef KITH_TESTS_SIM_MEASURE_H
#define KITH_TESTS_SIM_MEASURE_H

#include "p2p/msg.h"
#include "tests/sim/sim.h"

struct measure_options {
    unsigned nodes, links;    /* validators; how many others each is configured to dial (0: all) */
    uint64_t round_trip_us;   /* between any two */
    uint64_t bits_per_second; /* of each, up and down; 0: no bound */
    uint64_t per_second;      /* transactions */
    unsigned tx_bytes;        /* each about so large; 0: transfers */
    uint64_t warm_ms, run_ms; /* before what counts, and what counts */
    uint64_t seed;
};

/* Prints one line; false if something did not hold. */
bool measure_run(const struct measure_options *o, bool is_logged);
/* Charges the running node. */
void measure_charge(uint64_t ns);
/* A node sent a message with a body of n bytes. */
void measure_sent(struct sim *s, enum msg_type type, size_t n);

#endif
