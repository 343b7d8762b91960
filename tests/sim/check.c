/* Passes on what is seen to those who check it. */
#include "tests/sim/check.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define SUPPLY_EVERY    8 /* heights between two full scans of one node's store */
#define PROGRESS_BLOCKS 5 /* that the healed network must decide */

struct checks {
    struct agreement *agreement;
    struct signing *signing;
    struct headers *headers;
    struct accuse *accuse;
    struct claims *claims;
    struct answers *answers; /* NULL: nobody halts the chain */
    struct plants *plants;   /* NULL: nothing is planted */
    struct doubts *doubts;   /* NULL: nobody makes up witnesses */
    uint64_t healed_height;
    uint64_t blocks;
};

void checks_open(struct sim *s)
{
    s->checks = mem_new(sizeof *s->checks);
    s->checks->agreement = agreement_new(s);
    s->checks->signing = signing_new(s);
    s->checks->headers = headers_new(s);
    s->checks->accuse = accuse_new(s);
    s->checks->claims = claims_new(s);
    s->checks->answers = s->o.is_halting ? answers_new(s) : NULL;
    s->checks->plants = s->o.is_planting ? plants_new(s) : NULL;
    s->checks->doubts = s->o.is_doubting ? doubts_new(s) : NULL;
}

void checks_close(struct sim *s)
{
    agreement_free(s->checks->agreement);
    signing_free(s->checks->signing);
    headers_free(s->checks->headers);
    accuse_free(s->checks->accuse);
    claims_free(s->checks->claims);
    answers_free(s->checks->answers);
    plants_free(s->checks->plants);
    doubts_free(s->checks->doubts);
    free(s->checks);
}

void check_block(void *arg, const struct consensus_block *block)
{
    struct sim_node *n = arg;
    struct checks *c = n->sim->checks;
    if (n->is_dead || !sim_is_honest(n))
        return;
    char hex[65];
    hex_put(hex, block->id.b, sizeof block->id.b);
    sim_note(n->sim, "block height=%" PRIu64 " txs=%u id=%.16s", block->header->height, block->header->txs_n, hex);
    agreement_block(c->agreement, n, block);
    if (n->sim->is_violated)
        return;
    headers_block(c->headers, n, block);
    accuse_block(c->accuse, n, block);
    claims_block(c->claims, n, block);
    if (c->answers)
        answers_block(c->answers, n, block);
    if (c->plants)
        plants_block(c->plants, n, block);
    if (c->doubts)
        doubts_block(c->doubts, n, block);
    if (c->blocks++ % SUPPLY_EVERY == 0)
        supply_look(n->sim, n);
}

void check_started(struct sim_node *n)
{
    if (n->is_dead || !sim_is_honest(n))
        return;
    sim_note(n->sim, "%s is up height=%" PRIu64, n->name, sim_height(n));
    agreement_started(n->sim->checks->agreement, n);
    accuse_started(n->sim->checks->accuse, n);
}

void check_unstarted(struct sim_node *n, enum err e, const char *why)
{
    sim_note(n->sim, "%s cannot start: %s", n->name, why);
    if (sim_is_honest(n) && !n->is_dead && !n->is_troubled)
        sim_violated(n->sim, "start", "node %s: %s (%s)", n->name, why, err_name(e));
}

void check_sent(struct sim_node *n, enum msg_type type, struct bytes body)
{
    if (type == MSG_VOTE || type == MSG_PROPOSAL || type == MSG_PROPOSAL_SHORT)
        signing_sent(n->sim->checks->signing, n, type, body);
    if (type == MSG_EVIDENCE)
        accuse_sent(n->sim->checks->accuse, n, body);
}

void check_delivered(struct sim_node *n, enum msg_type type, struct bytes body)
{
    if (type == MSG_VOTE)
        accuse_delivered(n->sim->checks->accuse, n, body);
}

void check_healed(struct sim *s)
{
    s->checks->healed_height = agreement_height(s->checks->agreement);
    sim_note(s, "healed height=%" PRIu64, s->checks->healed_height);
}

uint64_t check_height(const struct sim *s)
{
    return agreement_height(s->checks->agreement);
}

/* -- progress -- */

static uint64_t least_height(const struct sim *s)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < s->nodes; i++) {
        const struct sim_node *n = &s->node[i];
        if (!sim_is_honest(n))
            continue;
        uint64_t height = n->is_up ? sim_height(n) : 0;
        least = height < least ? height : least;
    }
    return least;
}

bool check_progress_done(struct sim *s)
{
    return least_height(s) >= s->checks->healed_height + PROGRESS_BLOCKS && !accuse_missing(s->checks->accuse) &&
           (!s->checks->answers || answers_done(s->checks->answers)) &&
           (!s->checks->plants || plants_done(s->checks->plants)) &&
           (!s->checks->doubts || doubts_done(s->checks->doubts));
}

/* Where everybody stands, for whoever reads the log of a run that got stuck. */
static void note_standings(struct sim *s)
{
    for (unsigned i = 0; i < s->nodes; i++) {
        const struct sim_node *n = &s->node[i];
        if (!n->is_up) {
            sim_note(s, "standing %s down", n->name);
            continue;
        }
        struct consensus_status c = consensus_status(n->consensus);
        sim_note(s, "standing %s height=%" PRIu64 " round=%u pool=%u peers=%u validator=%d stuck=%d", n->name, c.height,
                 c.round, c.pool, peers_count(n->peers), c.is_validator, c.is_stuck);
    }
}

void check_end(struct sim *s)
{
    note_standings(s);
    if (s->is_violated)
        return;
    for (unsigned i = 0; i < s->nodes; i++) {
        struct sim_node *n = &s->node[i];
        if (!sim_is_honest(n))
            continue;
        uint64_t height = n->is_up ? sim_height(n) : 0;
        if (height < s->checks->healed_height + PROGRESS_BLOCKS)
            sim_violated(s, "progress", "node %s is at %" PRIu64 ", %" PRIu64 " s after healing at %" PRIu64, n->name,
                         height, s->o.heal_ms / 1000, s->checks->healed_height);
        if (n->is_up)
            supply_look(s, n);
    }
    if (s->checks->answers)
        answers_end(s->checks->answers);
    if (s->checks->plants)
        plants_end(s->checks->plants);
    if (s->checks->doubts)
        doubts_end(s->checks->doubts);
    const struct sim_node *free_rider = accuse_missing(s->checks->accuse);
    if (free_rider)
        sim_violated(s, "impunity", "node %s showed honest nodes contradicting votes and keeps its stake",
                     free_rider->name);
}
