/* Agreement and durability: one id a height over all honest nodes, each node's heights one after the other, and what it
 * announced still there when it comes back. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

struct decided {
    struct hash id;
    unsigned by; /* who announced it first */
};

struct agreement {
    struct sim *sim;
    struct decided *at; /* of height i + 1 */
    uint64_t n, room;
    uint64_t announced[SIM_NODES_MAX]; /* each node's last height */
};

struct agreement *agreement_new(struct sim *s)
{
    struct agreement *a = mem_new(sizeof *a);
    a->sim = s;
    return a;
}

void agreement_free(struct agreement *a)
{
    free(a->at);
    free(a);
}

static void decided_note(struct agreement *a, const struct sim_node *n, uint64_t h, const struct hash *id)
{
    if (h <= a->n) {
        const struct decided *d = &a->at[h - 1];
        if (!hash_equal(&d->id, id))
            sim_violated(a->sim, "agreement", "node %s and node %s decided differently at %" PRIu64, n->name,
                         a->sim->node[d->by].name, h);
        return;
    }
    if (a->n == a->room) {
        a->room = a->room ? 2 * a->room : 64;
        a->at = mem_resize(a->at, a->room, sizeof *a->at);
    }
    a->at[a->n++] = (struct decided){*id, n->index};
}

void agreement_block(struct agreement *a, const struct sim_node *n, const struct consensus_block *block)
{
    uint64_t h = block->header->height;
    if (h != a->announced[n->index] + 1)
        sim_violated(a->sim, "durability", "node %s announces %" PRIu64 " behind %" PRIu64, n->name, h,
                     a->announced[n->index]);
    a->announced[n->index] = h;
    if (h > a->n + 1) {
        sim_violated(a->sim, "agreement", "node %s announces %" PRIu64 ", nobody decided the one before", n->name, h);
        return;
    }
    decided_note(a, n, h, &block->id);
}

void agreement_started(struct agreement *a, const struct sim_node *n)
{
    struct ledger_info info = ledger_info(n->ledger);
    if (info.height < a->announced[n->index])
        sim_violated(a->sim, "durability", "node %s announced %" PRIu64 " and came back at %" PRIu64, n->name,
                     a->announced[n->index], info.height);
    /* It may have stored a block and died before it said so. */
    if (info.height > 0 && info.height <= a->n + 1)
        decided_note(a, n, info.height, &info.block);
    a->announced[n->index] = info.height;
}

uint64_t agreement_height(const struct agreement *a)
{
    return a->n;
}

const struct hash *agreement_id(const struct agreement *a, uint64_t height)
{
    return &a->at[height - 1].id;
}
