/* Two open-addressed tables, at most half full. */
#include "p2p/gossip.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS SEEN_MAX /* of a generation, which holds SEEN_MAX / 2 */

struct generation {
    uint64_t slot[SLOTS]; /* 0: free */
    unsigned n;
    uint64_t since_ms;
};

struct gossip {
    uint8_t key[32];
    struct generation *young, *old;
};

struct gossip *gossip_new(const uint8_t key[32])
{
    struct gossip *g = mem_new(sizeof *g);
    memcpy(g->key, key, sizeof g->key);
    g->young = mem_new(sizeof *g->young);
    g->old = mem_new(sizeof *g->old);
    return g;
}

void gossip_free(struct gossip *g)
{
    if (!g)
        return;
    free(g->young);
    free(g->old);
    free(g);
}

/* The slot that holds the id, or the free one where it belongs. */
static uint64_t *slot_of(struct generation *gen, uint64_t id)
{
    size_t i = id % SLOTS;
    while (gen->slot[i] != 0 && gen->slot[i] != id)
        i = (i + 1) % SLOTS;
    return &gen->slot[i];
}

static void turn(struct gossip *g, uint64_t now_ms)
{
    struct generation *empty = g->old;
    memset(empty, 0, sizeof *empty);
    empty->since_ms = now_ms;
    g->old = g->young;
    g->young = empty;
}

static uint64_t id_of(const struct gossip *g, uint8_t type, struct bytes body)
{
    struct hash h = hash_keyed(HASH_GOSSIP, g->key, body.p, body.n);
    uint64_t id = load_le64(h.b) ^ type;
    return id ? id : 1;
}

bool gossip_has(const struct gossip *g, uint8_t type, struct bytes body)
{
    uint64_t id = id_of(g, type, body);
    return *slot_of(g->old, id) == id || *slot_of(g->young, id) == id;
}

bool gossip_add(struct gossip *g, uint8_t type, struct bytes body, uint64_t now_ms)
{
    uint64_t id = id_of(g, type, body);
    if (now_ms - g->young->since_ms >= SEEN_MS / 2) {
        bool both = now_ms - g->young->since_ms >= SEEN_MS;
        turn(g, now_ms);
        if (both)
            turn(g, now_ms);
    } else if (g->young->n == SLOTS / 2) {
        turn(g, now_ms);
    }
    if (*slot_of(g->old, id) == id)
        return false;
    uint64_t *slot = slot_of(g->young, id);
    if (*slot == id)
        return false;
    *slot = id;
    g->young->n++;
    return true;
}
