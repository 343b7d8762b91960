/* What a decided block must say and hold, from an account kept beside the nodes: the state that the block before left,
 * the validators that the block two before made, a time that no honest majority's clock had not reached, transactions
 * that their signers signed, one nonce after the other. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

#define SIGNERS_MAX (SIM_NODES_MAX + SIM_WALLETS + SIM_DEALERS)
#define FUTURE_MS   120000 /* a quorum's clocks are right, and a block may wait; an hour is what fate turns clocks by */

struct after { /* what a block left */
    struct hash state;
    struct ledger_validator *validators; /* NULL: as before */
    uint32_t validators_n;
};

struct nonce {
    struct pubkey signer;
    uint64_t next;
};

struct headers {
    struct sim *sim;
    struct after *at; /* of height i + 1 */
    uint64_t n, room;
    struct nonce nonce[SIGNERS_MAX];
    unsigned nonces;
    bool is_off; /* a block that nobody announced: whoever stored it died, so what it held is not known here */
};

struct headers *headers_new(struct sim *s)
{
    struct headers *h = mem_new(sizeof *h);
    h->sim = s;
    return h;
}

void headers_free(struct headers *h)
{
    for (uint64_t i = 0; i < h->n; i++)
        free(h->at[i].validators);
    free(h->at);
    free(h);
}

static uint64_t *nonce_of(struct headers *h, const struct pubkey *signer)
{
    unsigned i = 0;
    while (i < h->nonces && !pubkey_equal(&h->nonce[i].signer, signer))
        i++;
    CHECK(i < SIGNERS_MAX);
    if (i == h->nonces)
        h->nonce[h->nonces++] = (struct nonce){.signer = *signer};
    return &h->nonce[i].next;
}

static void look_at_txs(struct headers *h, const struct sim_node *n, const struct consensus_block *b)
{
    for (uint32_t i = 0; i < b->header->txs_n; i++) {
        struct tx t;
        struct note note = {{0}};
        if (tx_decode(b->txs[i], &t, &note) != ERR_OK || tx_check(&t, &h->sim->chain, &note) != ERR_OK) {
            sim_violated(h->sim, "payload", "node %s, block %" PRIu64 ", transaction %u: %s", n->name,
                         b->header->height, i, note.text);
            return;
        }
        uint64_t *next = nonce_of(h, &t.signer);
        if (t.nonce != *next)
            sim_violated(h->sim, "payload",
                         "node %s, block %" PRIu64 ", transaction %u: nonce %" PRIu64 ", next is %" PRIu64, n->name,
                         b->header->height, i, t.nonce, *next);
        *next = t.nonce + 1;
    }
}

/* The validators of a height: those of the block two before, or the last that changed. */
static const struct after *made_validators(const struct headers *h, uint64_t height)
{
    for (uint64_t by = height - 2; by > 0 && height > 2; by--)
        if (h->at[by - 1].validators)
            return &h->at[by - 1];
    return NULL;
}

static void look_at_validators(struct headers *h, const struct sim_node *n, uint64_t height)
{
    const struct after *a = made_validators(h, height);
    const struct valset *set = consensus_validators(n->consensus);
    bool is_same = !a || a->validators_n == set->n;
    for (uint32_t i = 0; a && i < a->validators_n && is_same; i++) {
        int at = valset_find(set, &a->validators[i].key);
        is_same = at >= 0 && set->v[at].power == a->validators[i].power;
    }
    if (!is_same)
        sim_violated(h->sim, "validators",
                     "node %s: those of height %" PRIu64 " are not what the ledger made two before", n->name, height);
}

static void look_at_header(struct headers *h, const struct sim_node *n, const struct header *b)
{
    uint64_t true_ms = SIM_EPOCH_MS + h->sim->now_us / 1000;
    if (b->height > 1 && !hash_equal(&b->state, &h->at[b->height - 2].state))
        sim_violated(h->sim, "state", "node %s: block %" PRIu64 " names another state than the one before it left",
                     n->name, b->height);
    if (b->time_ms > true_ms + FUTURE_MS)
        sim_violated(h->sim, "clock", "node %s: block %" PRIu64 " is %" PRIu64 " s in the future", n->name, b->height,
                     (b->time_ms - true_ms) / 1000);
}

static void keep(struct headers *h, const struct ledger_result *r)
{
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 64;
        h->at = mem_resize(h->at, h->room, sizeof *h->at);
    }
    struct after *a = &h->at[h->n++];
    *a = (struct after){.state = r->state_root};
    if (r->validators_changed && r->validators_n > 0) {
        a->validators = mem_array(r->validators_n, sizeof *a->validators);
        memcpy(a->validators, r->validators, r->validators_n * sizeof *a->validators);
        a->validators_n = r->validators_n;
    }
}

void headers_block(struct headers *h, const struct sim_node *n, const struct consensus_block *b)
{
    uint64_t height = b->header->height;
    h->is_off = h->is_off || height > h->n + 1;
    if (h->is_off)
        return;
    if (height == h->n + 1) {
        look_at_header(h, n, b->header);
        look_at_txs(h, n, b);
        keep(h, b->result);
    } else if (!hash_equal(&h->at[height - 1].state, &b->result->state_root)) {
        sim_violated(h->sim, "state", "node %s has another state after block %" PRIu64, n->name, height);
    }
    look_at_validators(h, n, height + 1);
}
