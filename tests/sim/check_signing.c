/* Double signs: every vote and proposal that leaves an honest node was verified by it, so its signature is real; two
 * of one key for one step (height, round, kind) must be for the same. */
#include "base/mem.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PROPOSAL = 3 }; /* beside enum vote_kind */

struct signed_step {
    bool is_used;
    struct pubkey key;
    uint64_t height;
    uint32_t round;
    uint8_t kind;
    struct hash value;
    uint32_t valid_round;
};

struct signing {
    struct sim *sim;
    struct signed_step *slots; /* open addressing, at most half full */
    size_t n, room;
};

struct signing *signing_new(struct sim *s)
{
    struct signing *g = mem_new(sizeof *g);
    g->sim = s;
    g->room = 1024;
    g->slots = mem_array(g->room, sizeof *g->slots);
    return g;
}

void signing_free(struct signing *g)
{
    free(g->slots);
    free(g);
}

static bool is_same_step(const struct signed_step *a, const struct signed_step *b)
{
    return a->height == b->height && a->round == b->round && a->kind == b->kind && pubkey_equal(&a->key, &b->key);
}

static struct signed_step *slot_of(struct signing *g, const struct signed_step *s)
{
    uint64_t mix = load_le64(s->key.b) ^ s->height * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)s->round << 8 ^ s->kind;
    size_t i = (mix * UINT64_C(0xBF58476D1CE4E5B9) >> 20) % g->room;
    while (g->slots[i].is_used && !is_same_step(&g->slots[i], s))
        i = (i + 1) % g->room;
    return &g->slots[i];
}

static void grow(struct signing *g)
{
    struct signed_step *old = g->slots;
    size_t n = g->room;
    g->room *= 2;
    g->slots = mem_array(g->room, sizeof *g->slots);
    for (size_t i = 0; i < n; i++)
        if (old[i].is_used)
            *slot_of(g, &old[i]) = old[i];
    free(old);
}

static bool is_honest_key(const struct sim *s, const struct pubkey *key)
{
    for (unsigned i = 0; i < s->nodes; i++)
        if (pubkey_equal(&s->node[i].id, key))
            return sim_is_honest(&s->node[i]);
    return false;
}

static void note(struct signing *g, const struct signed_step *s)
{
    if (!is_honest_key(g->sim, &s->key))
        return;
    struct signed_step *known = slot_of(g, s);
    if (!known->is_used) {
        *known = *s;
        known->is_used = true;
        if (2 * ++g->n > g->room)
            grow(g);
        return;
    }
    if (hash_equal(&known->value, &s->value) && known->valid_round == s->valid_round)
        return;
    char hex[65];
    hex_put(hex, s->key.b, sizeof s->key.b);
    sim_violated(g->sim, "double_sign", "validator %.16s signed two of height %" PRIu64 " round %u kind %u", hex,
                 s->height, s->round, s->kind);
}

/* The sender's own validators say whose index it is; what is not of its height it did not verify. */
static const struct pubkey *signer_of(const struct sim_node *n, uint64_t height, uint16_t index)
{
    if (!sim_is_honest(n) || !n->consensus || height != sim_height(n) + 1)
        return NULL;
    const struct valset *set = consensus_validators(n->consensus);
    return index < set->n ? &set->v[index].key : NULL;
}

void signing_sent(struct signing *g, const struct sim_node *n, enum msg_type type, struct bytes body)
{
    struct signed_step s = {0};
    const struct pubkey *key = NULL;
    if (type == MSG_VOTE) {
        struct vote v;
        if (vote_decode(body, &v) && (key = signer_of(n, v.height, v.index)))
            s = (struct signed_step){
                .height = v.height, .round = v.round, .kind = v.kind, .value = v.value, .valid_round = v.valid_round};
    } else {
        struct proposal p;
        struct cursor c = cursor_of(body);
        proposal_get(&c, &p);
        if (cursor_ok(&c) && (key = signer_of(n, p.height, p.index)))
            s = (struct signed_step){
                .height = p.height, .round = p.round, .kind = PROPOSAL, .value = p.value, .valid_round = p.valid_round};
    }
    if (!key)
        return;
    s.key = *key;
    note(g, &s);
}
