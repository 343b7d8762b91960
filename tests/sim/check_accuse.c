/* Framing and impunity. What an equivocator showed is counted from the messages that were handed to honest nodes: two
 * votes of one key, height, round and kind for different things, both while that height was in the making there. A node
 * that is killed may forget; one that lives must have seen to it that the ledger takes the stake. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

#define EXPOSED_LEAST 2  /* heights: at the edges of one the node may have been about to leave it */
#define ROUNDS_NEAR   3  /* from the node's own round: what lies further off it need not keep */
#define SHOWN_MAX     96 /* votes of a height remembered for one node */

struct shown {
    uint32_t round;
    uint8_t kind;
    uint16_t index;
    struct hash value;
    uint32_t valid_round;
};

/* What one honest node was shown in the height that it is in. */
struct view {
    uint64_t height;
    struct shown at[SHOWN_MAX];
    unsigned n;
};

struct accuse {
    struct sim *sim;
    struct view view[SIM_NODES_MAX];
    uint64_t last_exposed[SIM_NODES_MAX][SIM_NODES_MAX]; /* height of: by whom, to whom */
    unsigned exposed[SIM_NODES_MAX][SIM_NODES_MAX];
    bool is_slashed[SIM_NODES_MAX]; /* by node; twins are one */
};

struct accuse *accuse_new(struct sim *s)
{
    struct accuse *a = mem_new(sizeof *a);
    a->sim = s;
    return a;
}

void accuse_free(struct accuse *a)
{
    free(a);
}

/* The first node with this key. */
static int node_of(const struct accuse *a, const struct pubkey *key)
{
    for (unsigned i = 0; i < a->sim->nodes; i++)
        if (pubkey_equal(&a->sim->node[i].id, key))
            return (int)i;
    return -1;
}

void accuse_started(struct accuse *a, const struct sim_node *n)
{
    a->view[n->index] = (struct view){0};
    for (unsigned i = 0; i < SIM_NODES_MAX; i++)
        a->exposed[i][n->index] = 0;
}

/* An honest node passes evidence on only when it has verified it. */
void accuse_sent(struct accuse *a, const struct sim_node *n, struct bytes evidence)
{
    struct pubkey key;
    if (!sim_is_honest(n) || evidence.n < sizeof key)
        return;
    memcpy(key.b, evidence.p, sizeof key.b); /* its first field */
    int who = node_of(a, &key);
    if (who >= 0 && sim_is_honest(&a->sim->node[who]))
        sim_violated(a->sim, "framing", "node %s holds evidence against node %s", n->name, a->sim->node[who].name);
}

void accuse_block(struct accuse *a, const struct sim_node *n, const struct consensus_block *block)
{
    for (uint32_t i = 0; i < block->result->events_n; i++) {
        const struct ledger_event *e = &block->result->events[i];
        int who = e->kind == LEDGER_SLASHED && e->code == BOND_VALIDATOR ? node_of(a, &e->a) : -1;
        if (who < 0)
            continue;
        if (sim_is_honest(&a->sim->node[who]))
            sim_violated(a->sim, "framing", "block %" PRIu64 " of node %s slashes node %s", block->header->height,
                         n->name, a->sim->node[who].name);
        if (!a->is_slashed[who])
            sim_note(a->sim, "slashed %s height=%" PRIu64, a->sim->node[who].name, block->header->height);
        a->is_slashed[who] = true;
    }
}

static void shown_add(struct accuse *a, const struct sim_node *n, const struct vote *v, int who)
{
    struct view *view = &a->view[n->index];
    if (view->height != v->height)
        *view = (struct view){.height = v->height};
    for (unsigned i = 0; i < view->n; i++) {
        const struct shown *s = &view->at[i];
        if (s->round != v->round || s->kind != v->kind || s->index != v->index)
            continue;
        if (hash_equal(&s->value, &v->value) && s->valid_round == v->valid_round)
            return;
        if (a->last_exposed[who][n->index] != v->height)
            a->exposed[who][n->index]++;
        a->last_exposed[who][n->index] = v->height;
        return;
    }
    if (view->n < SHOWN_MAX)
        view->at[view->n++] = (struct shown){v->round, v->kind, v->index, v->value, v->valid_round};
}

void accuse_delivered(struct accuse *a, const struct sim_node *n, struct bytes body)
{
    struct vote v;
    if (!sim_is_honest(n) || !n->consensus || !vote_decode(body, &v) || v.height != sim_height(n) + 1)
        return;
    const struct valset *set = consensus_validators(n->consensus);
    uint32_t round = consensus_status(n->consensus).round;
    if (v.index >= set->n || v.round > round + ROUNDS_NEAR || v.round + ROUNDS_NEAR < round)
        return;
    int who = node_of(a, &set->v[v.index].key);
    if (who >= 0 && !sim_is_honest(&a->sim->node[who]) && vote_verify(&v, &a->sim->chain, &set->v[v.index].key))
        shown_add(a, n, &v, who);
}

/* Somebody who showed himself and keeps his stake; NULL if there is none. */
const struct sim_node *accuse_missing(const struct accuse *a)
{
    for (unsigned i = 0; i < a->sim->nodes; i++)
        for (unsigned k = 0; k < a->sim->nodes && !a->is_slashed[i]; k++)
            if (a->exposed[i][k] >= EXPOSED_LEAST && a->sim->node[k].is_up)
                return &a->sim->node[i];
    return NULL;
}
