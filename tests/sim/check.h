/* What must hold, whatever happens. Checkers see what the nodes do to the outside (blocks that they announce, messages
 * that leave and arrive, what their stores hold) and keep their own account of it; they use nothing of consensus.
 *
 *     agreement    no two honest nodes announce different blocks of a height, each what follows its own last
 *     durability   what a node announced is there after every kill
 *     double_sign  nothing that leaves honest nodes carries two contradicting signatures of one honest key
 *     supply       balances + locked + funds + burned = genesis + issued, and every root is that of its records
 *     framing      no evidence, and no slash, against an honest key
 *     impunity     whoever showed one honest node two contradicting signatures is found and slashed
 *     progress     after healing all honest nodes get on, and to the same height
 *     log          no honest node says `broken`
 *     start        an honest node starts again after anything
 */
#ifndef KITH_TESTS_SIM_CHECK_H
#define KITH_TESTS_SIM_CHECK_H

#include "chain/vote.h"
#include "tests/sim/sim.h"

void checks_open(struct sim *s);
void checks_close(struct sim *s);

/* -- what is seen -- */

/* A consensus_block_fn; arg is the node. */
void check_block(void *arg, const struct consensus_block *block);
void check_started(struct sim_node *n);
void check_unstarted(struct sim_node *n, enum err e, const char *why);
/* A message leaves, or was handed to, a node that is alive. */
void check_sent(struct sim_node *n, enum msg_type type, struct bytes body);
void check_delivered(struct sim_node *n, enum msg_type type, struct bytes body);
/* The network is healed: what came before is remembered. */
void check_healed(struct sim *s);
/* True once every honest node got on far enough. */
bool check_progress_done(struct sim *s);
uint64_t check_height(const struct sim *s); /* the greatest that was announced */
/* At the end. */
void check_end(struct sim *s);

/* -- the checkers, one file each; called by check.c alone -- */

struct agreement;
struct agreement *agreement_new(struct sim *s);
void agreement_free(struct agreement *a);
void agreement_block(struct agreement *a, const struct sim_node *n, const struct consensus_block *block);
void agreement_started(struct agreement *a, const struct sim_node *n);
uint64_t agreement_height(const struct agreement *a); /* the greatest announced */
const struct hash *agreement_id(const struct agreement *a, uint64_t height);

struct signing;
struct signing *signing_new(struct sim *s);
void signing_free(struct signing *g);
void signing_sent(struct signing *g, const struct sim_node *n, enum msg_type type, struct bytes body);

void supply_look(struct sim *s, struct sim_node *n);

#endif
