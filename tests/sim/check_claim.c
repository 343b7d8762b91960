/* What took effect as a publication was claimed before: by the same key, over the same words, as many blocks ahead as
 * the chain asks. From the blocks alone; whoever copies what another was about to publish would be found here. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

struct claimed {
    struct pubkey by;
    struct hash commit;
    uint64_t height;
};

struct claims {
    struct sim *sim;
    uint64_t height; /* all blocks up to it were looked at */
    struct claimed *at;
    size_t n, room;
    bool is_off; /* a block that nobody announced: what it held is not known here */
};

struct claims *claims_new(struct sim *s)
{
    struct claims *c = mem_new(sizeof *c);
    c->sim = s;
    return c;
}

void claims_free(struct claims *c)
{
    free(c->at);
    free(c);
}

static void keep(struct claims *c, const struct tx *t, uint64_t height)
{
    struct tx_claim body;
    struct cursor cursor = cursor_of(t->body);
    tx_claim_get(&cursor, &body);
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->at = mem_resize(c->at, c->room, sizeof *c->at);
    }
    c->at[c->n++] = (struct claimed){t->signer, body.commit, height};
}

static bool was_claimed(const struct claims *c, const struct tx *t, uint64_t height)
{
    struct hash commit = tx_claim_commitment(&c->sim->chain, &t->signer, t->kind, t->body);
    for (size_t i = 0; i < c->n; i++)
        if (pubkey_equal(&c->at[i].by, &t->signer) && hash_equal(&c->at[i].commit, &commit) &&
            c->at[i].height + c->sim->genesis.params.claim_blocks <= height)
            return true;
    return false;
}

void claims_block(struct claims *c, const struct sim_node *n, const struct consensus_block *b)
{
    uint64_t height = b->header->height;
    c->is_off = c->is_off || height > c->height + 1;
    if (c->is_off || height <= c->height)
        return;
    c->height = height;
    for (uint32_t i = 0; i < b->header->txs_n; i++) {
        struct tx t;
        if (b->result->codes[i] != ERR_OK || tx_decode(b->txs[i], &t, NULL) != ERR_OK)
            continue;
        if (t.kind == TX_CLAIM)
            keep(c, &t, height);
        if (tx_is_claimed(t.kind) && pubkey_equal(&t.signer, &c->sim->wallet_id[SIM_COPYCAT]))
            sim_violated(c->sim, "claims", "node %s, block %" PRIu64 ", transaction %u: a copy was published", n->name,
                         height, i);
        else if (tx_is_claimed(t.kind) && !was_claimed(c, &t, height))
            sim_violated(c->sim, "claims", "node %s, block %" PRIu64 ", transaction %u: published and not claimed",
                         n->name, height, i);
        else if (tx_is_claimed(t.kind))
            sim_note(c->sim, "published height=%" PRIu64, height);
    }
}
