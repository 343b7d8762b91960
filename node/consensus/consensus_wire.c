/* What consensus and its peers say to each other: transactions, proposals, votes, evidence, heights.
 *
 * A message is sent on when it was news to us: whole to near peers (node/consensus/relay.h), the others are told of it.
 * Messages for the next height are kept, once their signature was verified, until we are there. Whoever gets no block
 * for a while says again what it knows of the height, so a lost message or a torn connection costs a second, not the
 * height.
 */
#include "node/consensus/consensus_in.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

RECORD_DEFINE(status, STATUS_FIELDS)
RECORD_DEFINE(proposed, PROPOSED_FIELDS)

/* -- out -- */

static void send(struct consensus *c, enum msg_type type, const struct buf *body, const struct pubkey *to,
                 const struct pubkey *except)
{
    if (!c->o.peers)
        return;
    enum err e = ERR_OK;
    if (to)
        e = peers_send(c->o.peers, to, type, bytes_of_buf(body));
    else
        peers_broadcast(c->o.peers, type, bytes_of_buf(body), except);
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "unsent", "type=%d why=%s", (int)type, err_name(e));
}

void wire_send_vote(struct consensus *c, const struct vote *v)
{
    struct buf b = {0};
    vote_put(&b, v);
    send(c, MSG_VOTE, &b, NULL, NULL);
    buf_clear(&b);
}

/* As it is sent: by the ids of its transactions where that is shorter. */
static enum msg_type proposal_message(const struct proposal *p, struct bytes block, struct buf *out)
{
    if (short_put(p, block, out))
        return MSG_PROPOSAL_SHORT;
    proposed_put(out, &(struct proposed){*p, block});
    return MSG_PROPOSAL;
}

/* To one, or (NULL) to all. */
static void send_proposal(struct consensus *c, const struct proposal *p, const struct pubkey *to)
{
    const struct buf *raw = value_find(c, &p->value);
    struct buf b = {0};
    if (!raw || !c->o.peers)
        return;
    send(c, proposal_message(p, bytes_of_buf(raw), &b), &b, to, NULL);
    buf_clear(&b);
}

void wire_send_proposal(struct consensus *c, const struct proposal *p)
{
    send_proposal(c, p, NULL);
}

void wire_send_known(struct consensus *c, const struct proposal *p, const struct pubkey *to)
{
    send_proposal(c, p, to);
}

static void send_status(struct consensus *c, const struct pubkey *to)
{
    struct buf b = {0};
    status_put(&b, &(struct status){c->height - 1});
    send(c, MSG_STATUS, &b, to, NULL);
    buf_clear(&b);
}

void wire_send_status(struct consensus *c)
{
    send_status(c, NULL);
}

void wire_send_evidence(struct consensus *c, const struct evidence *e)
{
    struct buf raw = {0};
    evidence_put(&raw, e);
    send(c, MSG_EVIDENCE, &raw, NULL, NULL);
    buf_clear(&raw);
}

void wire_resend_pool(struct consensus *c)
{
    if (c->o.peers)
        told_say_pool(c, NULL);
}

/* The proposal of this round, and who voted in it and in what it rests on, to one peer or to all. */
static void resend_height(struct consensus *c, const struct pubkey *to)
{
    struct proposal p;
    struct bft_view view = bft_view(c->bft);
    if (bft_proposal(c->bft, view.round, &p))
        send_proposal(c, &p, to);
    ballots_say(c, to);
}

void wire_resend(struct consensus *c)
{
    if (!c->o.peers)
        return;
    send_status(c, NULL);
    resend_height(c, NULL);
}

/* -- in -- */

/* Sent on only where it was accepted: what is refused today (we are behind) may be accepted when it is said again. */
static enum err on_tx(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct buf list = {0};
    told_came(c, from);
    enum err e = told_take(c, body, from, &list);
    if (list.n > body.n + 4)
        relay_pass(c->relay, MSG_TXS, bytes_of_buf(&list), from);
    else if (list.n)
        relay_pass(c->relay, MSG_TX, body, from);
    if (list.n)
        consensus_wake_soon(c);
    buf_clear(&list);
    return e == ERR_FORMAT ? ERR_PROTOCOL : ERR_OK;
}

static bool is_next_height(const struct consensus *c, uint64_t height, uint16_t index)
{
    return height == c->height + 1 && index < c->next_validators->n;
}

/* ERR_OK if it was news. */
static enum err keep_vote(struct consensus *c, const struct vote *v, struct bytes body)
{
    for (size_t at = 0; at + body.n <= c->ahead_votes.n; at += body.n)
        if (bytes_equal(bytes_of(c->ahead_votes.p + at, body.n), body))
            return ERR_DUPLICATE;
    if (c->ahead_votes_n >= CONSENSUS_AHEAD_VOTES)
        return ERR_FULL;
    if (!vote_verify(v, &c->chain, &c->next_validators->v[v->index].key))
        return ERR_AUTH;
    buf_add(&c->ahead_votes, body.p, body.n);
    c->ahead_votes_n++;
    return ERR_OK;
}

static enum err take_vote(struct consensus *c, const struct vote *v, struct bytes body)
{
    if (is_next_height(c, v->height, v->index))
        return keep_vote(c, v, body);
    if (v->height != c->height)
        return ERR_STATE;
    struct bft_effects e = consensus_feed(c, &(struct bft_event){.kind = BFT_VOTE, .height = v->height, .vote = *v});
    return e.forged ? ERR_AUTH : e.news ? ERR_OK : ERR_DUPLICATE;
}

static enum err on_vote(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct vote v;
    if (!vote_decode(body, &v))
        return ERR_PROTOCOL;
    enum err e = take_vote(c, &v, body);
    if (e != ERR_OK)
        return e == ERR_AUTH ? ERR_PROTOCOL : ERR_OK; /* votes are passed on by those who verified them */
    relay_credit(c->relay, from);
    relay_pass(c->relay, MSG_VOTE, body, from);
    ballots_news(c);
    return ERR_OK;
}

static void keep_proposal(struct consensus *c, const struct proposal *p, struct bytes body)
{
    for (uint32_t i = 0; i < c->ahead_proposals_n; i++)
        if (bytes_equal(bytes_of_buf(&c->ahead_proposals[i]), body))
            return;
    if (c->ahead_proposals_n == AHEAD_PROPOSALS ||
        valset_proposer(c->next_validators, p->round < AHEAD_PROPOSALS ? p->round : 0) != p->index ||
        !proposal_verify(p, &c->chain, &c->next_validators->v[p->index].key))
        return;
    buf_add(&c->ahead_proposals[c->ahead_proposals_n++], body.p, body.n);
}

static enum err take_proposal(struct consensus *c, const struct pubkey *from, const struct proposed *m)
{
    const struct proposal *p = &m->proposal;
    if (p->height != c->height || c->is_committing)
        return ERR_OK;
    if (bft_contradicts(c->bft, p)) /* its block is of no interest, unless a quorum voted for it */
        consensus_feed(c, &(struct bft_event){.kind = BFT_PROPOSAL, .height = p->height, .proposal = *p});
    if (!bft_wants(c->bft, p))
        return ERR_OK;
    struct judged j = block_judge(c, m->block, p->round);
    if (j.verdict == BFT_UNKNOWN || !hash_equal(&j.id, &p->value))
        return ERR_PROTOCOL;
    value_add(c, &j.id, m->block);
    struct bft_event e = {.kind = BFT_PROPOSAL,
                          .height = p->height,
                          .proposal = *p,
                          .verdict = j.verdict,
                          .timely = j.round == p->round && block_is_timely(c, j.time_ms, p->round)};
    struct buf block = {0}, body = {0};
    buf_add(&block, m->block.p, m->block.n); /* feeding it may decide the height, and forget its blocks */
    if (consensus_feed(c, &e).news) {
        enum msg_type type = proposal_message(p, bytes_of_buf(&block), &body);
        relay_credit(c->relay, from);
        relay_pass(c->relay, type, bytes_of_buf(&body), from);
        ballots_tell_proposal(c, p, from);
    }
    buf_clear(&block);
    buf_clear(&body);
    return ERR_OK;
}

bool wire_is_wanted(struct consensus *c, const struct proposal *p)
{
    if (is_next_height(c, p->height, p->index))
        return c->ahead_proposals_n < AHEAD_PROPOSALS &&
               proposal_verify(p, &c->chain, &c->next_validators->v[p->index].key);
    return p->height == c->height && !c->is_committing && bft_wants(c->bft, p);
}

enum err wire_take_block(struct consensus *c, const struct pubkey *from, const struct proposal *p, struct bytes block)
{
    struct proposed m = {*p, block};
    struct buf body = {0};
    if (is_next_height(c, p->height, p->index)) {
        proposed_put(&body, &m);
        keep_proposal(c, p, bytes_of_buf(&body));
        buf_clear(&body);
    }
    return take_proposal(c, from, &m);
}

static enum err on_proposal(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct proposed m;
    struct cursor r = cursor_of(body);
    proposed_get(&r, &m);
    if (!cursor_end(&r) || !proposal_is_sane(&m.proposal))
        return ERR_PROTOCOL;
    if (is_next_height(c, m.proposal.height, m.proposal.index))
        keep_proposal(c, &m.proposal, body);
    return take_proposal(c, from, &m);
}

static enum err on_status(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct status s;
    struct cursor r = cursor_of(body);
    status_get(&r, &s);
    if (!cursor_end(&r))
        return ERR_PROTOCOL;
    peers_note_height(c->o.peers, from, s.height);
    sync_peer(c->sync, from, s.height);
    return ERR_OK;
}

static enum err on_evidence(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct evidence e;
    (void)from;
    if (!evidence_decode(body, &e))
        return ERR_PROTOCOL;
    if (!peers_seen_first(c->o.peers, MSG_EVIDENCE, body))
        return ERR_OK;
    enum err bad = ledger_evidence_check(c->o.ledger, &e, NULL);
    if (bad == ERR_OK)
        evidence_found(c, &e);
    return bad == ERR_AUTH ? ERR_PROTOCOL : ERR_OK;
}

static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    struct consensus *c = arg;
    if (!up) {
        sync_peer_gone(c->sync, peer);
        ballots_peer_gone(c, peer);
    }
    told_change(c, peer, up);
    if (!up)
        return;
    send_status(c, peer);
    resend_height(c, peer);
}

void wire_open(struct consensus *c)
{
    struct peers *p = c->o.peers;
    peers_on(p, MSG_TX, on_tx, c);
    peers_on(p, MSG_VOTE, on_vote, c);
    peers_on(p, MSG_PROPOSAL, on_proposal, c);
    told_open(c);
    ballots_open(c);
    short_open(c);
    peers_on(p, MSG_STATUS, on_status, c);
    peers_on(p, MSG_EVIDENCE, on_evidence, c);
    peers_on_change(p, on_change, c);
    peers_set_height(p, c->height - 1);
}

/* The height that they were kept for has come. Queued behind what runs now. */
void wire_take_ahead(struct consensus *c)
{
    struct buf votes = c->ahead_votes, proposals[AHEAD_PROPOSALS];
    uint32_t n = c->ahead_proposals_n;
    c->ahead_votes = (struct buf){0};
    c->ahead_votes_n = c->ahead_proposals_n = 0;
    for (uint32_t i = 0; i < AHEAD_PROPOSALS; i++) {
        proposals[i] = c->ahead_proposals[i];
        c->ahead_proposals[i] = (struct buf){0};
    }
    for (uint32_t i = 0; i < n; i++) {
        struct proposed m;
        struct cursor r = cursor_of(bytes_of_buf(&proposals[i]));
        proposed_get(&r, &m);
        if (cursor_end(&r) && take_proposal(c, NULL, &m) != ERR_OK)
            log_event(LOG_ODD, "consensus", "bad_proposal", "height=%" PRIu64, m.proposal.height);
    }
    for (struct cursor r = cursor_of(bytes_of_buf(&votes)); r.n && cursor_ok(&r);) {
        struct vote v;
        vote_get(&r, &v);
        if (cursor_ok(&r))
            consensus_feed(c, &(struct bft_event){.kind = BFT_VOTE, .height = v.height, .vote = v});
    }
    buf_clear(&votes);
    for (uint32_t i = 0; i < AHEAD_PROPOSALS; i++)
        buf_clear(&proposals[i]);
}
