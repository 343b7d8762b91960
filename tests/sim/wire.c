/* What stands between a node and its connections' messages. */
#include "tests/sim/wire.h"

#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/measure.h"
#include "tests/sim/role.h"

#include <stdlib.h>

struct later {
    struct later *next, **link;
    struct timer timer;
    struct sim_node *node;
    uint64_t boot;
    struct pubkey to;
    enum msg_type type;
    struct buf body;
};

struct wire {
    struct sim *sim;
    struct random random;
    unsigned loss, repeat;
    uint64_t repeat_ms;
    uint64_t ways[SIM_KINDS]; /* see sim_wire_block */
    struct later *laters;
    bool is_late; /* what is being sent comes from here: it goes out as it is */
};

enum err __real_peer_send(struct peer *p, enum msg_type type, struct bytes body) MUST_USE;
bool __real_peer_next(struct peer *p, struct peer_message *out, uint64_t now_ms);
enum err __wrap_peer_send(struct peer *p, enum msg_type type, struct bytes body) MUST_USE;
bool __wrap_peer_next(struct peer *p, struct peer_message *out, uint64_t now_ms);

void sim_wire_open(struct sim *s)
{
    s->wire = mem_new(sizeof *s->wire);
    s->wire->sim = s;
    s->wire->random = random_fork(&s->random);
}

static void later_free(struct later *l)
{
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    buf_clear(&l->body);
    free(l);
}

void sim_wire_close(struct sim *s)
{
    while (s->wire->laters) {
        timer_remove(&s->events, &s->wire->laters->timer);
        later_free(s->wire->laters);
    }
    free(s->wire);
}

void sim_wire_faults(struct sim *s, unsigned loss, unsigned repeat, uint64_t repeat_ms)
{
    s->wire->loss = loss;
    s->wire->repeat = repeat;
    s->wire->repeat_ms = repeat_ms;
}

void sim_wire_block(struct sim *s, enum sim_kind kind, uint64_t ways)
{
    s->wire->ways[kind] = ways;
}

static enum sim_kind kind_of(enum msg_type type, struct bytes body)
{
    switch (type) {
    case MSG_VOTE:
        return body.n > 0 && body.p[0] == VOTE_PREVOTE ? SIM_PREVOTES : SIM_PRECOMMITS;
    case MSG_PROPOSAL:
    case MSG_PROPOSAL_SHORT:
        return SIM_PROPOSALS;
    case MSG_STATUS:
    case MSG_BLOCK:
        return SIM_BLOCKS;
    default:
        return SIM_KINDS;
    }
}

static bool is_blocked(const struct wire *w, const struct sim_node *from, const struct pubkey *to, enum msg_type type,
                       struct bytes body)
{
    enum sim_kind kind = kind_of(type, body);
    if (kind == SIM_KINDS || !w->ways[kind] || from->index >= 8)
        return false;
    for (unsigned i = 0; i < w->sim->nodes && i < 8; i++)
        if (pubkey_equal(&w->sim->node[i].id, to) && (w->ways[kind] >> (from->index * 8 + i) & 1))
            return true;
    return false;
}

static void send_late(void *arg)
{
    struct later *l = arg;
    struct sim_node *n = l->node;
    struct wire *w = n->sim->wire;
    if (n->is_up && !n->is_dead && n->boot == l->boot) {
        sim_enter(n);
        w->is_late = true;
        enum err e = peers_send(n->peers, &l->to, l->type, bytes_of_buf(&l->body));
        (void)e; /* the peer may have gone */
        w->is_late = false;
        sim_leave(n);
        if (n->is_dead)
            node_bury(n);
    }
    later_free(l);
}

void sim_wire_send_later(struct sim_node *n, const struct pubkey *to, enum msg_type type, struct bytes body,
                         uint64_t delay_us)
{
    struct wire *w = n->sim->wire;
    struct later *l = mem_new(sizeof *l);
    *l = (struct later){.next = w->laters, .link = &w->laters, .node = n, .boot = n->boot, .to = *to, .type = type};
    if (l->next)
        l->next->link = &l->next;
    w->laters = l;
    buf_add(&l->body, body.p, body.n);
    sim_at(n->sim, &l->timer, n->sim->now_us + delay_us, send_late, l);
}

/* What consensus says; the rest (addresses, streams) has its own tests. */
static bool is_consensus(enum msg_type type)
{
    return (type >= MSG_TX && type <= MSG_PROPOSAL_TXS && type != MSG_OFFER) ||
           (type >= MSG_PROPOSAL_HAVE && type <= MSG_BALLOT_GET);
}

enum err sim_wire_send(struct sim_node *n, struct peer *to, enum msg_type type, struct bytes body)
{
    struct wire *w = n->sim->wire;
    measure_sent(n->sim, type, body.n);
    if (!n->is_dead)
        check_sent(n, type, body);
    if (peer_state(to) == PEER_READY && is_blocked(w, n, peer_key(to), type, body))
        return ERR_OK;
    if (w->is_late || !is_consensus(type) || peer_state(to) != PEER_READY)
        return __real_peer_send(to, type, body);
    if (w->repeat && random_chance(&w->random, w->repeat))
        sim_wire_send_later(n, peer_key(to), type, body, random_below(&w->random, w->repeat_ms * 1000 + 1));
    if (w->loss && random_chance(&w->random, w->loss))
        return ERR_OK;
    return __real_peer_send(to, type, body);
}

enum err __wrap_peer_send(struct peer *p, enum msg_type type, struct bytes body)
{
    struct sim_node *n = sim_now->current;
    if (!n->sim->wire->is_late && !sim_is_honest(n) && peer_state(p) == PEER_READY && role_send(n, p, type, body))
        return ERR_OK;
    return sim_wire_send(n, p, type, body);
}

bool __wrap_peer_next(struct peer *p, struct peer_message *out, uint64_t now_ms)
{
    struct sim_node *n = sim_now->current;
    bool is_there = __real_peer_next(p, out, now_ms);
    if (is_there && !n->is_dead) {
        check_delivered(n, out->type, out->body);
        if (!sim_is_honest(n))
            role_delivered(n, out->type, out->body);
    }
    return is_there;
}
