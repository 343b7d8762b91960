/* What must hold, whatever happens. Checkers see what the nodes do to the outside (blocks that they announce, messages
 * that leave and arrive, what their stores hold) and keep their own account of it; they use nothing of consensus.
 *
 *     agreement    no two honest nodes announce different blocks of a height, each what follows its own last
 *     durability   what a node announced is there after every kill
 *     double_sign  nothing that leaves honest nodes carries two contradicting signatures of one honest key
 *     supply       balances + locked + funds + burned = genesis + issued, and every root is that of its records
 *     state        a header names the state that the block before left, and all have the same
 *     validators   a height's validators are those that the ledger made two heights before
 *     clock        no block is far in the future
 *     payload      a block holds what its signers signed, nonces one after the other
 *     claims       what was published was claimed by its publisher, so many blocks before
 *     answers      a provider's bond is not back before its settlements are decided, and fraud costs it (--halt)
 *     plants       who audits without looking is caught by what was planted, and nobody else is (--plant)
 *     doubts       who makes up a witness is found and pays, and nobody who replays does (--doubt)
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
/* True once every honest node got on far enough, and nobody who showed himself keeps his stake. */
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

struct headers;
struct headers *headers_new(struct sim *s);
void headers_free(struct headers *h);
void headers_block(struct headers *h, const struct sim_node *n, const struct consensus_block *b);

struct accuse;
struct accuse *accuse_new(struct sim *s);
void accuse_free(struct accuse *a);
void accuse_started(struct accuse *a, const struct sim_node *n);
void accuse_block(struct accuse *a, const struct sim_node *n, const struct consensus_block *block);
void accuse_sent(struct accuse *a, const struct sim_node *n, struct bytes evidence);
void accuse_delivered(struct accuse *a, const struct sim_node *n, struct bytes vote);
/* Somebody who showed himself and keeps his stake; NULL if there is none. */
const struct sim_node *accuse_missing(const struct accuse *a);

struct claims;
struct claims *claims_new(struct sim *s);
void claims_free(struct claims *c);
void claims_block(struct claims *c, const struct sim_node *n, const struct consensus_block *block);

struct answers;
struct answers *answers_new(struct sim *s);
void answers_free(struct answers *a);
void answers_block(struct answers *a, const struct sim_node *n, const struct consensus_block *block);
bool answers_done(const struct answers *a);
void answers_end(struct answers *a);

struct plants;
struct plants *plants_new(struct sim *s);
void plants_free(struct plants *p);
void plants_block(struct plants *p, const struct sim_node *n, const struct consensus_block *block);
bool plants_done(const struct plants *p);
void plants_end(struct plants *p);

struct doubts;
struct doubts *doubts_new(struct sim *s);
void doubts_free(struct doubts *d);
void doubts_block(struct doubts *d, const struct sim_node *n, const struct consensus_block *block);
bool doubts_done(const struct doubts *d);
void doubts_end(struct doubts *d);

void supply_look(struct sim *s, struct sim_node *n);

#endif
