/* Votes and proposals between peers: which are told of, and asked for. A ballot is all votes of one height, round and
 * kind for one thing; a peer says of whom it has them (BALLOT_HAVE), by a bit for each validator, and whoever lacks
 * some asks one of those who have them (BALLOT_GET).
 *
 * Peers that want only to be told (node/consensus/relay.h) hear of what came every BALLOTS_TELL_MS while votes come;
 * everybody hears of all ballots when a height makes no progress, and a peer when it comes. What was told of and did
 * not come by itself within CONSENSUS_PATIENCE_MS is asked for, of somebody else each CONSENSUS_ASK_MS. Of each peer
 * the latest few ballots are remembered; who tells of votes that it does not send is asked BALLOTS_TRIES times for
 * each. */
#include "node/consensus/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(ballot, BALLOT_FIELDS)
RECORD_DEFINE(proposal_told, PROPOSAL_TOLD_FIELDS)

struct heard_ballot {
    struct bft_ballot ballot;
    uint32_t tries; /* left */
};

/* Of one peer, of the height in the making. */
struct heard {
    struct heard_ballot ballot[BALLOTS_HEARD];
    uint32_t next;
    struct proposal_told proposal;
    uint32_t proposal_tries;
    uint32_t asked; /* in which turn it was asked last */
};

struct ballots {
    struct timer tell_timer, ask_timer;
    struct heard heard[RELAY_SLOTS];
    uint32_t turn; /* of asking */
};

static void send_to(struct consensus *c, const struct pubkey *to, enum msg_type type, const struct buf *body)
{
    enum err e = peers_send(c->o.peers, to, type, bytes_of_buf(body));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "unsent", "type=%d why=%s", (int)type, err_name(e));
}

/* -- telling -- */

struct saying {
    struct consensus *c;
    const struct pubkey *to;
    bool is_for_told;
};

static void put(const struct consensus *c, const struct bft_ballot *b, struct buf *out)
{
    ballot_put(out, &(struct ballot){.height = c->height,
                                     .round = b->round,
                                     .kind = (uint8_t)b->kind,
                                     .value = b->value,
                                     .valid_round = b->valid_round,
                                     .voted = bytes_of(b->voted, (c->validators->n + 7) / 8)});
}

static void say(void *arg, const struct bft_ballot *b)
{
    const struct saying *s = arg;
    struct buf body = {0};
    put(s->c, b, &body);
    if (s->is_for_told)
        relay_tell(s->c->relay, MSG_BALLOT_HAVE, bytes_of_buf(&body), NULL);
    else if (s->to)
        send_to(s->c, s->to, MSG_BALLOT_HAVE, &body);
    else
        peers_broadcast(s->c->o.peers, MSG_BALLOT_HAVE, bytes_of_buf(&body), NULL);
    buf_clear(&body);
}

static void tell(void *arg)
{
    struct consensus *c = arg;
    bft_ballots(c->bft, true, say, &(struct saying){c, NULL, true});
}

void ballots_news(struct consensus *c)
{
    if (relay_told(c->relay) && !timer_is_set(&c->ballots->tell_timer))
        host_timer_set(c->o.host, &c->ballots->tell_timer, BALLOTS_TELL_MS, tell, c);
}

void ballots_say(struct consensus *c, const struct pubkey *to)
{
    bft_ballots(c->bft, false, say, &(struct saying){c, to, false});
}

void ballots_tell_proposal(struct consensus *c, const struct proposal *p, const struct pubkey *from)
{
    struct buf body = {0};
    proposal_told_put(&body, &(struct proposal_told){p->height, p->round, p->value});
    relay_tell(c->relay, MSG_PROPOSAL_HAVE, bytes_of_buf(&body), from);
    buf_clear(&body);
}

/* -- asking -- */

/* What was asked for in one go, so that it is asked of one peer. */
struct asked {
    struct bft_ballot ballot[BALLOTS_HEARD * RELAY_SLOTS];
    uint32_t n;
    bool has_proposal;
};

static bool is_same(const struct bft_ballot *a, const struct bft_ballot *b)
{
    return a->kind == b->kind && a->round == b->round && a->valid_round == b->valid_round &&
           hash_equal(&a->value, &b->value);
}

/* Takes out what was asked for already, and notes the rest; false if nothing is left. */
static bool asked_add(struct asked *asked, struct bft_ballot *want)
{
    uint8_t any = 0;
    struct bft_ballot *known = NULL;
    for (uint32_t i = 0; i < asked->n && !known; i++)
        known = is_same(&asked->ballot[i], want) ? &asked->ballot[i] : NULL;
    if (!known) {
        asked->ballot[asked->n++] = *want;
        return true;
    }
    for (size_t i = 0; i < sizeof want->voted; i++) {
        want->voted[i] = (uint8_t)(want->voted[i] & ~known->voted[i]);
        known->voted[i] |= want->voted[i];
        any |= want->voted[i];
    }
    return any != 0;
}

static void ask_ballot(struct consensus *c, const struct pubkey *peer, const struct bft_ballot *want)
{
    struct buf body = {0};
    put(c, want, &body);
    send_to(c, peer, MSG_BALLOT_GET, &body);
    buf_clear(&body);
}

static bool is_proposal_wanted(const struct consensus *c, const struct proposal_told *p)
{
    struct proposal have;
    return p->height == c->height && !bft_proposal(c->bft, p->round, &have);
}

/* True if something of this peer's is still wanted. */
static bool ask_peer(struct consensus *c, const struct pubkey *peer, struct heard *h, struct asked *asked)
{
    bool is_wanted = false;
    for (uint32_t i = 0; i < BALLOTS_HEARD; i++) {
        struct bft_ballot want = h->ballot[i].ballot;
        if (!h->ballot[i].tries)
            continue;
        if (!bft_lacks(c->bft, &want)) {
            h->ballot[i].tries = 0;
            continue;
        }
        is_wanted = true;
        if (!asked_add(asked, &want))
            continue;
        h->ballot[i].tries--;
        h->asked = c->ballots->turn;
        ask_ballot(c, peer, &want);
    }
    if (!h->proposal_tries || !is_proposal_wanted(c, &h->proposal))
        return is_wanted;
    if (!asked->has_proposal && !short_is_partial(c, &h->proposal)) {
        asked->has_proposal = true;
        h->proposal_tries--;
        h->asked = c->ballots->turn;
        short_ask(c, peer, &h->proposal);
    }
    return true;
}

/* Those first that were not asked for the longest time. */
static void order(const struct ballots *b, int slots[RELAY_SLOTS])
{
    for (int n = 0; n < RELAY_SLOTS; n++) {
        int at = n;
        for (; at > 0 && b->heard[slots[at - 1]].asked > b->heard[n].asked; at--)
            slots[at] = slots[at - 1];
        slots[at] = n;
    }
}

static void ask(void *arg)
{
    struct consensus *c = arg;
    struct ballots *b = c->ballots;
    struct asked *asked = mem_new(sizeof *asked);
    bool is_wanted = false;
    int slots[RELAY_SLOTS];
    order(b, slots);
    b->turn++;
    for (int i = 0; i < RELAY_SLOTS; i++) {
        const struct pubkey *peer = relay_peer(c->relay, slots[i]);
        if (peer)
            is_wanted |= ask_peer(c, peer, &b->heard[slots[i]], asked);
    }
    free(asked);
    if (is_wanted)
        host_timer_set(c->o.host, &b->ask_timer, CONSENSUS_ASK_MS, ask, c);
}

static void ask_by_and_by(struct consensus *c)
{
    if (!timer_is_set(&c->ballots->ask_timer))
        host_timer_set(c->o.host, &c->ballots->ask_timer, CONSENSUS_PATIENCE_MS, ask, c);
}

/* -- in -- */

static bool ballot_read(struct bytes body, uint64_t *height, struct bft_ballot *out)
{
    struct ballot m;
    struct cursor r = cursor_of(body);
    ballot_get(&r, &m);
    struct vote v = {
        .kind = m.kind, .height = m.height, .round = m.round, .value = m.value, .valid_round = m.valid_round};
    if (!cursor_end(&r) || m.voted.n > sizeof out->voted || !vote_is_sane(&v))
        return false;
    *height = m.height;
    *out = (struct bft_ballot){
        .kind = (enum vote_kind)m.kind, .round = m.round, .valid_round = m.valid_round, .value = m.value};
    if (m.voted.n)
        memcpy(out->voted, m.voted.p, m.voted.n);
    return true;
}

static void hear(struct heard *h, const struct bft_ballot *ballot)
{
    struct heard_ballot *at = NULL;
    for (uint32_t i = 0; i < BALLOTS_HEARD && !at; i++)
        at = is_same(&h->ballot[i].ballot, ballot) ? &h->ballot[i] : NULL;
    if (!at)
        at = &h->ballot[h->next++ % BALLOTS_HEARD];
    *at = (struct heard_ballot){*ballot, BALLOTS_TRIES};
}

static enum err on_have(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct bft_ballot ballot, want;
    uint64_t height;
    int slot = relay_slot(c->relay, from);
    if (!ballot_read(body, &height, &ballot))
        return ERR_PROTOCOL;
    want = ballot;
    if (height != c->height || !bft_lacks(c->bft, &want))
        return ERR_OK;
    if (slot < 0) {
        ask_ballot(c, from, &want);
        return ERR_OK;
    }
    hear(&c->ballots->heard[slot], &ballot);
    ask_by_and_by(c);
    return ERR_OK;
}

struct answering {
    struct consensus *c;
    const struct pubkey *to;
};

static void answer(void *arg, const struct vote *v)
{
    const struct answering *a = arg;
    struct buf body = {0};
    vote_put(&body, v);
    send_to(a->c, a->to, MSG_VOTE, &body);
    buf_clear(&body);
}

static enum err on_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct bft_ballot ballot;
    uint64_t height;
    if (!ballot_read(body, &height, &ballot))
        return ERR_PROTOCOL;
    if (height == c->height)
        bft_ballot_votes(c->bft, &ballot, answer, &(struct answering){c, from});
    return ERR_OK;
}

static enum err on_proposal_have(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct proposal_told p;
    struct cursor r = cursor_of(body);
    int slot = relay_slot(c->relay, from);
    proposal_told_get(&r, &p);
    if (!cursor_end(&r))
        return ERR_PROTOCOL;
    if (slot < 0 || !is_proposal_wanted(c, &p))
        return ERR_OK;
    c->ballots->heard[slot].proposal = p;
    c->ballots->heard[slot].proposal_tries = BALLOTS_TRIES;
    ask_by_and_by(c);
    return ERR_OK;
}

/* -- life -- */

void ballots_new_height(struct consensus *c)
{
    if (c->ballots)
        memset(c->ballots->heard, 0, sizeof c->ballots->heard);
}

void ballots_peer_gone(struct consensus *c, const struct pubkey *peer)
{
    int slot = relay_slot(c->relay, peer);
    if (slot >= 0)
        c->ballots->heard[slot] = (struct heard){0};
}

void ballots_open(struct consensus *c)
{
    c->ballots = mem_new(sizeof *c->ballots);
    peers_on(c->o.peers, MSG_BALLOT_HAVE, on_have, c);
    peers_on(c->o.peers, MSG_BALLOT_GET, on_get, c);
    peers_on(c->o.peers, MSG_PROPOSAL_HAVE, on_proposal_have, c);
}

void ballots_close(struct consensus *c)
{
    if (!c->ballots)
        return;
    host_timer_cancel(c->o.host, &c->ballots->tell_timer);
    host_timer_cancel(c->o.host, &c->ballots->ask_timer);
    free(c->ballots);
    c->ballots = NULL;
}
