/* What each role does to its node's messages. A vote or proposal of its own may be replaced by others that it signs as
 * well; what it relays goes on as it is. Whatever is chosen depends on height, round and peer alone, so that what is
 * said again is the same, as far as the role means it. */
#include "tests/sim/role.h"

#include "base/mem.h"
#include "chain/block.h"
#include "chain/signer.h"
#include "node/consensus/consensus_in.h"
#include "node/consensus/sync.h"
#include "tests/sim/disk.h"
#include "tests/sim/wire.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[SIM_ROLES] = {
    [SIM_HONEST] = "honest",     [SIM_EQUIVOCATING] = "equivocating", [SIM_SILENT] = "silent",
    [SIM_DELAYING] = "delaying", [SIM_FORGETFUL] = "forgetful",       [SIM_TWIN] = "twin",
    [SIM_INVALID] = "invalid",   [SIM_AMNESIAC] = "amnesiac",         [SIM_RUSHING] = "rushing",
    [SIM_FORGING] = "forging",   [SIM_GARBLING] = "garbling",
};

const char *role_name(enum sim_role r)
{
    return names[r];
}

enum sim_role role_parse(const char *name)
{
    unsigned r = 0;
    while (r < SIM_ROLES && strcmp(names[r], name) != 0)
        r++;
    return (enum sim_role)r;
}

/* -- what is ours, and what was seen -- */

#define PROPOSED_FIELDS(F) F(proposal, proposal) F(blob, block)
RECORD_DECLARE(role_proposed, PROPOSED_FIELDS)
RECORD_DEFINE(role_proposed, PROPOSED_FIELDS)

static bool proposed_decode(struct bytes body, struct role_proposed *m)
{
    struct cursor c = cursor_of(body);
    role_proposed_get(&c, m);
    return cursor_end(&c);
}

static bool is_own(const struct sim_node *n, uint64_t height, uint16_t index)
{
    const struct valset *set = n->consensus ? consensus_validators(n->consensus) : NULL;
    return set && height == sim_height(n) + 1 && valset_find(set, &n->id) == (int)index;
}

/* A number that is the same each time for these. */
static uint64_t choice(const struct sim_node *n, uint64_t height, uint32_t round, const struct pubkey *peer)
{
    struct random r = {load_le64(n->id.b) ^ height << 20 ^ round ^ (peer ? load_le64(peer->b) : 0)};
    return random_next(&r);
}

void role_delivered(struct sim_node *n, enum msg_type type, struct bytes body)
{
    struct cursor c = cursor_of(body);
    struct proposal p;
    proposal_get(&c, &p); /* the first field of both kinds */
    if ((type != MSG_PROPOSAL && type != MSG_PROPOSAL_SHORT) || !cursor_ok(&c))
        return;
    n->seen[(p.height * 7 + p.round) % SIM_SEEN] = (struct role_seen){p.height, p.round, p.valid_round, p.value};
}

static const struct role_seen *seen_at(const struct sim_node *n, uint64_t height, uint32_t round)
{
    const struct role_seen *seen = &n->seen[(height * 7 + round) % SIM_SEEN];
    return seen->height == height && seen->round == round ? seen : NULL;
}

/* -- saying something else -- */

static void send_vote(struct sim_node *n, struct peer *to, struct vote *v)
{
    struct buf body = {0};
    struct hash h = vote_hash(v, &n->sim->chain);
    key_sign_hash(&n->key, &h, NULL, &v->sig);
    vote_put(&body, v);
    enum err e = sim_wire_send(n, to, MSG_VOTE, bytes_of_buf(&body));
    (void)e; /* a full queue ends the connection, as for anybody */
    buf_clear(&body);
}

static void send_block(struct sim_node *n, struct peer *to, const struct role_proposed *m, const struct block *b)
{
    struct buf raw = {0}, body = {0};
    struct role_proposed other = *m;
    block_put(&raw, b);
    other.block = bytes_of_buf(&raw);
    other.proposal.value = block_id(&b->header);
    struct hash h = proposal_hash(&other.proposal, &n->sim->chain);
    key_sign_hash(&n->key, &h, NULL, &other.proposal.sig);
    role_proposed_put(&body, &other);
    enum err e = sim_wire_send(n, to, MSG_PROPOSAL, bytes_of_buf(&body));
    (void)e;
    buf_clear(&raw);
    buf_clear(&body);
}

/* A second block as good as ours: a millisecond later. */
static struct block second_block(const struct block *b)
{
    struct block other = *b;
    other.header.time_ms++;
    return other;
}

/* -- equivocating: two faces, and some see both; in votes, in proposals, or in both, so that each is found for itself
 * -- */

static bool is_two_faced(const struct sim_node *n, bool in_votes)
{
    uint64_t which = choice(n, 0, 0, NULL) >> 8 & 3;
    return which < 2 || (which == 2) == in_votes;
}

static bool equivocate_block(struct sim_node *n, struct peer *to, const struct role_proposed *m, struct bytes body)
{
    struct block b;
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    uint64_t c = choice(n, m->proposal.height, 0, peer_key(to));
    bool is_own_block = m->proposal.valid_round == VOTE_NO_ROUND && block_decode(m->block, &b, txs, NULL) == ERR_OK;
    if (is_own_block && c & 1) {
        struct block other = second_block(&b);
        send_block(n, to, m, &other);
    }
    free(txs);
    if (is_own_block && (c & 1) && c >> 1 & 3)
        return true;
    enum err e = sim_wire_send(n, to, MSG_PROPOSAL, body);
    (void)e;
    return true;
}

/* The other face votes for another block that was seen, or nil, or nothing that there is. */
static bool equivocate_vote(struct sim_node *n, struct peer *to, struct vote v, struct bytes body)
{
    uint64_t c = choice(n, v.height, 0, peer_key(to)), what = choice(n, v.height, v.round, NULL);
    const struct role_seen *seen = seen_at(n, v.height, v.round);
    if (!(c & 1)) {
        enum err e = sim_wire_send(n, to, MSG_VOTE, body);
        (void)e;
        if (c >> 1 & 3)
            return true;
    }
    bool is_nil = hash_is_zero(&v.value);
    v.valid_round = VOTE_NO_ROUND;
    if (seen && (is_nil || !hash_equal(&seen->value, &v.value)))
        v.value = seen->value;
    else if (what & 1 || is_nil)
        v.value = hash_once(HASH_HEADER, &what, sizeof what);
    else
        v.value = (struct hash){{0}};
    send_vote(n, to, &v);
    return true;
}

/* -- silent: about everything or some things, to everybody or some -- */

static bool is_silent(const struct sim_node *n, enum msg_type type, const struct pubkey *to)
{
    uint64_t c = choice(n, 0, 0, NULL);
    bool whom = c & 1 || choice(n, 0, 0, to) & 1;
    bool what = type == MSG_VOTE ? (c >> 1 & 3) != 1 : (c >> 1 & 3) != 2;
    return whom && what;
}

/* -- blocks that are none -- */

static void spoil(struct block *b, uint64_t how, struct buf *list)
{
    struct header *h = &b->header;
    switch (how % 10) {
    case 0:
        h->state.b[how >> 8 & 31] ^= 1;
        break;
    case 1:
        h->beacon.b[how >> 8 & 31] ^= 1;
        break;
    case 2:
        h->time_ms += 3600000;
        break;
    case 3:
        h->time_ms -= 3600000;
        break;
    case 4:
        h->height += 1;
        break;
    case 5:
        h->prev.b[0] ^= 1;
        break;
    case 6:
        h->next_validators.b[5] ^= 1;
        break;
    case 7:
        h->rotation.b[5] ^= 1;
        break;
    case 8:   /* a bit of the last transaction's signature */
    case 9: { /* the last transaction twice */
        struct bytes *txs = mem_array(BLOCK_TXS_MAX + 1, sizeof *txs);
        struct buf last = {0};
        uint32_t n = 0;
        for (struct cursor c = cursor_of(b->txs); c.n && n < BLOCK_TXS_MAX; n++)
            codec_get_blob(&c, &txs[n]);
        if (n > 0) {
            buf_add(&last, txs[n - 1].p, txs[n - 1].n);
            last.p[last.n - 1] ^= how % 10 == 8;
            txs[how % 10 == 8 ? n - 1 : n++] = bytes_of_buf(&last);
        } else {
            h->state.b[0] ^= 1;
        }
        block_put_txs(list, txs, n);
        h->txs_n = n;
        h->txs = block_txs_root(txs, n);
        b->txs = bytes_of_buf(list);
        buf_clear(&last);
        free(txs);
        break;
    }
    }
}

static bool propose_invalid(struct sim_node *n, struct peer *to, const struct role_proposed *m)
{
    struct block b;
    struct buf list = {0};
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    uint64_t how = choice(n, m->proposal.height, m->proposal.round, NULL);
    struct role_proposed claimed = *m;
    if (how >> 40 & 1 && m->proposal.round > 0) /* a quorum that never was */
        claimed.proposal.valid_round = m->proposal.round - 1;
    bool is_done = how >> 32 & 3 && block_decode(m->block, &b, txs, NULL) == ERR_OK;
    free(txs);
    if (is_done) {
        if (claimed.proposal.valid_round == VOTE_NO_ROUND)
            spoil(&b, how, &list);
        send_block(n, to, &claimed, &b);
    }
    buf_clear(&list);
    return is_done;
}

/* Another block, on the quorum that ours rests on: who is locked would leave its lock for it. */
static bool propose_rival(struct sim_node *n, struct peer *to, const struct role_proposed *m)
{
    struct block b;
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    bool is_done = choice(n, m->proposal.height, m->proposal.round, NULL) >> 33 & 1 &&
                   block_decode(m->block, &b, txs, NULL) == ERR_OK;
    if (is_done) {
        struct block other = second_block(&b);
        send_block(n, to, m, &other);
    }
    free(txs);
    return is_done;
}

/* -- amnesiac: for what is proposed, whatever was locked; for a block also where there was no quorum -- */

static bool vote_for_anything(struct sim_node *n, struct peer *to, struct vote v)
{
    const struct role_seen *seen = seen_at(n, v.height, v.round);
    if (!hash_is_zero(&v.value) || !seen)
        return false;
    v.value = seen->value;
    v.valid_round = v.kind == VOTE_PREVOTE ? seen->valid_round : VOTE_NO_ROUND;
    send_vote(n, to, &v);
    return true;
}

/* -- rushing: the rest of us is far behind -- */

static void rush(struct sim_node *n, struct peer *to, struct vote v)
{
    uint64_t c = choice(n, v.height, v.round, NULL);
    v.round += (uint32_t)(1 + c % (c & 256 ? 4 : 2000));
    v.value = (struct hash){{0}};
    v.valid_round = VOTE_NO_ROUND;
    send_vote(n, to, &v);
}

/* -- forging: votes in others' names, and blocks with the commits of others -- */

static void forge_votes(struct sim_node *n, struct peer *to, struct vote v)
{
    const struct valset *set = consensus_validators(n->consensus);
    struct buf body = {0};
    v.index = (uint16_t)random_below(&n->random, set->n);
    if (random_chance(&n->random, 50))
        v.value = hash_once(HASH_HEADER, &v.height, sizeof v.height);
    v.valid_round = VOTE_NO_ROUND;
    random_bytes(&n->random, v.sig.b, sizeof v.sig.b);
    vote_put(&body, &v);
    enum err e = sim_wire_send(n, to, MSG_VOTE, bytes_of_buf(&body));
    (void)e;
    buf_clear(&body);
}

/* Another block under the commit of the one that was decided. */
static bool forge_answer(struct sim_node *n, struct peer *to, struct bytes body)
{
    struct block_answer a;
    struct block b;
    struct commit commit;
    struct buf raw = {0}, sigs = {0}, out = {0};
    struct cursor c = cursor_of(body);
    block_answer_get(&c, &a);
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    bool is_block = cursor_end(&c) && a.block.n && block_decode(a.block, &b, txs, NULL) == ERR_OK &&
                    commit_decode(a.commit, &commit) == ERR_OK;
    if (is_block) {
        b.header.time_ms++;
        commit.value = block_id(&b.header);
        block_put(&raw, &b);
        commit_put(&sigs, &commit);
        a.block = bytes_of_buf(&raw);
        a.commit = bytes_of_buf(&sigs);
        block_answer_put(&out, &a);
        enum err e = sim_wire_send(n, to, MSG_BLOCK, bytes_of_buf(&out));
        (void)e;
    }
    free(txs);
    buf_clear(&raw);
    buf_clear(&sigs);
    buf_clear(&out);
    return is_block;
}

/* -- garbling: any message, with bytes changed, cut off, added, or under another's name -- */

static bool garble(struct sim_node *n, struct peer *to, enum msg_type type, struct bytes body)
{
    struct buf b = {0};
    buf_add(&b, body.p, body.n);
    uint64_t how = random_below(&n->random, 5);
    for (uint64_t i = 0; b.n && how < 2 && i <= random_below(&n->random, 4); i++)
        b.p[random_below(&n->random, b.n)] ^=
            (uint8_t)(how ? random_next(&n->random) : 1u << random_below(&n->random, 8));
    if (how == 2)
        b.n = random_below(&n->random, b.n + 1);
    if (how == 3)
        buf_add(&b, &how, 1 + random_below(&n->random, sizeof how));
    if (how == 4)
        type = (enum msg_type)random_between(&n->random, MSG_TX, MSG_PROPOSAL_GET);
    const struct msg_rule *rule = msg_rule((uint8_t)type);
    if (rule && b.n <= rule->size_max) {
        enum err e = sim_wire_send(n, to, type, bytes_of_buf(&b));
        (void)e;
    }
    buf_clear(&b);
    return false;
}

/* -- forgetful: what it signed and locked is gone whenever it comes back, and it comes back often -- */

void role_before_start(struct sim_node *n)
{
    struct signer none;
    uint8_t file[SIGNER_FILE_SIZE];
    memset(n->seen, 0, sizeof n->seen);
    if (n->role != SIM_FORGETFUL)
        return;
    disk_remove(n->disk, "home/consensus/wal");
    signer_init(&none, 0);
    signer_make_file(&none, file);
    enum err e = disk_write(n->disk, "home/consensus/signer", bytes_of(file, sizeof file));
    (void)e; /* a full disk: it keeps the old one */
}

static void forget_by_and_by(struct sim_node *n)
{
    if (!n->die_in && random_chance(&n->random, 4))
        node_kill(n, random_between(&n->random, 1, 40), false, random_between(&n->random, 1, 300));
}

/* -- all of them -- */

static bool send_own_vote(struct sim_node *n, struct peer *to, const struct vote *v, struct bytes body)
{
    switch (n->role) {
    case SIM_EQUIVOCATING:
        return is_two_faced(n, true) && equivocate_vote(n, to, *v, body);
    case SIM_AMNESIAC:
        return vote_for_anything(n, to, *v);
    case SIM_RUSHING:
        rush(n, to, *v);
        return false;
    case SIM_FORGING:
        forge_votes(n, to, *v);
        return false;
    case SIM_FORGETFUL:
        forget_by_and_by(n);
        return false;
    default:
        return false;
    }
}

static bool send_own_proposal(struct sim_node *n, struct peer *to, const struct role_proposed *m, struct bytes body)
{
    if (n->role == SIM_EQUIVOCATING && is_two_faced(n, false))
        return equivocate_block(n, to, m, body);
    if (n->role != SIM_INVALID)
        return false;
    return m->proposal.valid_round == VOTE_NO_ROUND ? propose_invalid(n, to, m) : propose_rival(n, to, m);
}

/* One that names its transactions by ids is made whole, so that there is something to be changed. */
static bool proposal_of(struct sim_node *n, enum msg_type type, struct bytes body, struct role_proposed *m)
{
    if (type == MSG_PROPOSAL)
        return proposed_decode(body, m);
    struct cursor c = cursor_of(body);
    proposal_get(&c, &m->proposal);
    const struct buf *raw = cursor_ok(&c) ? value_find(n->consensus, &m->proposal.value) : NULL;
    m->block = raw ? bytes_of_buf(raw) : (struct bytes){0};
    return raw != NULL;
}

bool role_send(struct sim_node *n, struct peer *to, enum msg_type type, struct bytes body)
{
    struct vote v;
    struct role_proposed m;
    struct buf whole = {0};
    if (type == MSG_BLOCK && n->role == SIM_FORGING && random_chance(&n->random, 50))
        return forge_answer(n, to, body);
    if (n->role == SIM_GARBLING)
        return random_chance(&n->random, 2) && garble(n, to, type, body);
    if (type != MSG_VOTE && type != MSG_PROPOSAL && type != MSG_PROPOSAL_SHORT)
        return false;
    if (n->role == SIM_DELAYING) {
        sim_wire_send_later(n, peer_key(to), type, body, random_below(&n->random, 3 * SIM_SECOND));
        return true;
    }
    if (type == MSG_VOTE) {
        if (!vote_decode(body, &v) || !is_own(n, v.height, v.index))
            return false;
        return n->role == SIM_SILENT ? is_silent(n, type, peer_key(to)) : send_own_vote(n, to, &v, body);
    }
    if (!proposal_of(n, type, body, &m) || !is_own(n, m.proposal.height, m.proposal.index))
        return false;
    if (n->role == SIM_SILENT)
        return is_silent(n, type, peer_key(to));
    role_proposed_put(&whole, &m);
    bool is_done = send_own_proposal(n, to, &m, bytes_of_buf(&whole));
    buf_clear(&whole);
    return is_done;
}
