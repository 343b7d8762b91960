/* Proposals without their transactions: nearly everybody has them in its pool already, so a proposal names them by
 * their ids and each puts the block together itself. Whoever lacks some asks a peer that named them for those.
 *
 * An id does not fix the signature, so what was put together may be another block: then its id is not the proposal's
 * value, and all of its transactions are asked for. Nothing is believed that the whole would not be asked for:
 * signature first, and one question at a time, so that a stranger's proposals cost a look-up each.
 */
#include "node/consensus/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define LATE_MAX 5 /* doublings of CONSENSUS_ASK_MS */

RECORD_DEFINE(short_proposal, SHORT_FIELDS)
RECORD_DEFINE(proposal_ask, PROPOSAL_ASK_FIELDS)
RECORD_DEFINE(proposal_txs, PROPOSAL_TXS_FIELDS)

bool short_put(const struct proposal *p, struct bytes block, struct buf *out)
{
    struct block b;
    struct buf head = {0};
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    bool is_short = block.n > CONSENSUS_SHORT_LEAST && block_decode(block, &b, txs, NULL) == ERR_OK;
    if (is_short) {
        struct hash *ids = mem_array(b.header.txs_n + 1, sizeof *ids);
        for (uint32_t i = 0; i < b.header.txs_n; i++)
            ids[i] = tx_id_of(txs[i]);
        b.txs = (struct bytes){0};
        block_put(&head, &b);
        short_proposal_put(out, &(struct short_proposal){*p, bytes_of_buf(&head), {ids[0].b, b.header.txs_n}});
        free(ids);
    }
    buf_clear(&head);
    free(txs);
    return is_short;
}

/* -- putting together -- */

/* A proposal whose block could not be put together yet: what was asked for, and of whom. One at a time, the latest. */
struct partial {
    struct buf message;   /* PROPOSAL_SHORT; empty: none */
    struct proposal p;    /* of it */
    struct buf wanted;    /* positions (u16) of the transactions that were asked for */
    uint64_t have, asked; /* bits of the peers that named them, and of those that were asked */
    struct pubkey first;  /* who sent it */
    struct timer timer;
    uint32_t late; /* how often nobody was left to ask: then all are asked again, and given twice the time */
};

static void partial_clear(struct consensus *c)
{
    host_timer_cancel(c->o.host, &c->partial->timer);
    buf_reset(&c->partial->message);
    buf_reset(&c->partial->wanted);
    c->partial->have = c->partial->asked = 0;
    c->partial->late = 0;
}

static bool partial_is(const struct consensus *c, uint64_t height, uint32_t round, const struct hash *value)
{
    const struct partial *t = c->partial;
    return t->message.n && t->p.height == height && t->p.round == round && hash_equal(&t->p.value, value);
}

bool short_is_partial(const struct consensus *c, const struct proposal_told *p)
{
    return partial_is(c, p->height, p->round, &p->value);
}

static bool short_read(struct bytes body, struct short_proposal *m)
{
    struct cursor r = cursor_of(body);
    short_proposal_get(&r, m);
    return cursor_end(&r) && proposal_is_sane(&m->proposal) && m->txs.n <= BLOCK_TXS_MAX;
}

/* The transactions from `extra` where it has some, at the positions `at`, else from the pool. Appends the block; false
 * if one is missing, or it is not the block that is meant. */
static bool put_together(struct consensus *c, const struct short_proposal *m, struct bytes at,
                         const struct bytes *extra, struct buf *raw)
{
    struct block b;
    struct buf list = {0};
    struct cursor r = cursor_of(m->head);
    block_get(&r, &b);
    if (!cursor_end(&r))
        return false;
    struct hash id = block_id(&b.header);
    struct bytes *txs = mem_array(m->txs.n + 1, sizeof *txs);
    bool is_whole = hash_equal(&id, &m->proposal.value);
    for (uint32_t i = 0, k = 0; i < m->txs.n && is_whole; i++) {
        struct hash tx = hashes_at(&m->txs, i);
        if (2 * k < at.n && load_le16(at.p + (size_t)2 * k) == i)
            txs[i] = extra[k++];
        else
            is_whole = mempool_find(c->pool, &tx, &txs[i]);
    }
    if (is_whole) {
        struct hash root = block_txs_root(txs, m->txs.n);
        is_whole = hash_equal(&root, &b.header.txs);
    }
    if (is_whole) {
        block_put_txs(&list, txs, m->txs.n);
        b.txs = bytes_of_buf(&list);
        block_put(raw, &b);
    }
    buf_clear(&list);
    free(txs);
    return is_whole;
}

/* -- asking for what is missing -- */

/* Positions of what the pool does not have; of all, if it has them, and they are not the ones that are meant. */
static void missing_put(const struct consensus *c, const struct short_proposal *m, struct buf *wanted)
{
    buf_reset(wanted);
    for (int all = 0; all < 2 && wanted->n == 0; all++)
        for (uint32_t i = 0; i < m->txs.n; i++) {
            struct hash id = hashes_at(&m->txs, i);
            uint16_t at = (uint16_t)i;
            if (all || !mempool_has(c->pool, &id))
                codec_put_u16(wanted, &at);
        }
}

static void send_get(struct consensus *c, const struct pubkey *to, const struct proposal_told *p, struct bytes wanted)
{
    struct buf b = {0};
    proposal_ask_put(&b, &(struct proposal_ask){p->height, p->round, p->value, wanted});
    enum err e = peers_send(c->o.peers, to, MSG_PROPOSAL_GET, bytes_of_buf(&b));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "unsent", "type=proposal_get why=%s", err_name(e));
    buf_clear(&b);
}

void short_ask(struct consensus *c, const struct pubkey *to, const struct proposal_told *p)
{
    send_get(c, to, p, (struct bytes){0});
}

static void on_late(void *arg);

static void ask_for_missing(struct consensus *c, const struct pubkey *to)
{
    struct partial *t = c->partial;
    t->asked |= relay_bit(c->relay, to);
    send_get(c, to, &(struct proposal_told){t->p.height, t->p.round, t->p.value}, bytes_of_buf(&t->wanted));
    host_timer_set(c->o.host, &t->timer, (uint64_t)CONSENSUS_ASK_MS << t->late, on_late, c);
}

static enum err take(struct consensus *c, const struct pubkey *from, struct bytes block)
{
    struct proposal p = c->partial->p;
    partial_clear(c);
    return wire_take_block(c, from, &p, block);
}

static const struct pubkey *next_to_ask(const struct consensus *c)
{
    const struct pubkey *next = NULL;
    for (int slot = 0; slot < RELAY_SLOTS && !next; slot++)
        next = (c->partial->have & ~c->partial->asked) >> slot & 1 ? relay_peer(c->relay, slot) : NULL;
    return next;
}

/* The pool may have the rest by now; else the next of those who named it is asked. */
static void on_late(void *arg)
{
    struct consensus *c = arg;
    struct partial *t = c->partial;
    struct short_proposal m;
    struct buf block = {0};
    const struct pubkey *next = next_to_ask(c);
    if (!next) {
        t->asked = 0;
        t->late += t->late < LATE_MAX;
        next = next_to_ask(c);
    }
    bool is_wanted = short_read(bytes_of_buf(&t->message), &m) && wire_is_wanted(c, &t->p);
    if (is_wanted && put_together(c, &m, (struct bytes){0}, NULL, &block)) {
        struct pubkey first = t->first;
        if (take(c, &first, bytes_of_buf(&block)) != ERR_OK)
            log_event(LOG_ODD, "consensus", "bad_proposal", "height=%" PRIu64, t->p.height);
    } else if (is_wanted && next) {
        ask_for_missing(c, next);
    } else {
        partial_clear(c);
    }
    buf_clear(&block);
}

/* What is being fetched is of the round that we are in: another one has to wait, or whoever has a later turn would take
 * its place again and again, with a block that nobody has. */
static bool is_displaced(struct consensus *c, const struct proposal *p)
{
    const struct partial *t = c->partial;
    bool is_present =
        t->message.n && t->p.height == c->height && t->p.round == bft_view(c->bft).round && wire_is_wanted(c, &t->p);
    return !is_present || (p->height == t->p.height && p->round == t->p.round);
}

static void partial_start(struct consensus *c, const struct pubkey *from, const struct short_proposal *m,
                          struct bytes body)
{
    struct partial *t = c->partial;
    partial_clear(c);
    missing_put(c, m, &t->wanted);
    if (!t->wanted.n)
        return; /* a long block without transactions */
    buf_add(&t->message, body.p, body.n);
    t->p = m->proposal;
    t->first = *from;
    t->have = relay_bit(c->relay, from);
    ask_for_missing(c, from);
}

/* -- in -- */

static enum err on_short(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct short_proposal m;
    if (!short_read(body, &m))
        return ERR_PROTOCOL;
    const struct proposal *p = &m.proposal;
    if (partial_is(c, p->height, p->round, &p->value)) {
        c->partial->have |= relay_bit(c->relay, from);
        return ERR_OK;
    }
    if (!wire_is_wanted(c, p))
        return ERR_OK;
    struct buf block = {0};
    enum err e = ERR_OK;
    if (put_together(c, &m, (struct bytes){0}, NULL, &block))
        e = wire_take_block(c, from, p, bytes_of_buf(&block));
    else if (is_displaced(c, p))
        partial_start(c, from, &m, body);
    buf_clear(&block);
    return e;
}

/* The transactions of the list as they were asked for: false if it holds others. */
static bool list_read(const struct partial *t, const struct short_proposal *m, struct bytes list, struct bytes *txs)
{
    struct cursor r = cursor_of(list);
    uint32_t n = (uint32_t)(t->wanted.n / 2);
    for (uint32_t i = 0; i < n; i++) {
        codec_get_blob(&r, &txs[i]);
        if (!cursor_ok(&r))
            return false;
        struct hash id = tx_id_of(txs[i]), named = hashes_at(&m->txs, load_le16(t->wanted.p + (size_t)2 * i));
        if (!hash_equal(&id, &named))
            return false;
    }
    return cursor_end(&r);
}

/* What does not fit though the ids do has other signatures than ours: then all is asked for, once. */
static enum err complete(struct consensus *c, const struct pubkey *from, struct bytes list)
{
    struct partial *t = c->partial;
    struct short_proposal m;
    struct buf block = {0};
    enum err e = ERR_OK;
    struct bytes *txs = mem_array(t->wanted.n / 2 + 1, sizeof *txs);
    if (!short_read(bytes_of_buf(&t->message), &m) || !list_read(t, &m, list, txs)) {
        e = ERR_PROTOCOL;
    } else if (put_together(c, &m, bytes_of_buf(&t->wanted), txs, &block)) {
        e = take(c, from, bytes_of_buf(&block));
    } else if (t->wanted.n / 2 < m.txs.n) {
        buf_reset(&t->wanted);
        for (uint32_t i = 0; i < m.txs.n; i++)
            codec_put_u16(&t->wanted, &(uint16_t){(uint16_t)i});
        ask_for_missing(c, from);
    } else {
        partial_clear(c);
    }
    buf_clear(&block);
    free(txs);
    return e;
}

static enum err on_proposal_txs(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct proposal_txs m;
    struct cursor r = cursor_of(body);
    proposal_txs_get(&r, &m);
    if (!cursor_end(&r))
        return ERR_PROTOCOL;
    if (!partial_is(c, m.height, m.round, &m.value) || m.positions != c->partial->wanted.n / 2)
        return ERR_OK; /* somebody else was quicker */
    return complete(c, from, m.txs);
}

/* -- answering -- */

/* Appends the list of those at the positions; false if there are no such ones. */
static bool chosen_put(struct bytes block, struct bytes wanted, struct buf *out)
{
    struct block b;
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    bool good = wanted.n % 2 == 0 && block_decode(block, &b, txs, NULL) == ERR_OK;
    for (size_t i = 0; i < wanted.n && good; i += 2) {
        uint16_t at = load_le16(wanted.p + i);
        good = at < b.header.txs_n && (i == 0 || at > load_le16(wanted.p + i - 2));
        if (good)
            codec_put_blob(out, &txs[at]);
    }
    free(txs);
    return good;
}

static enum err send_chosen(struct consensus *c, const struct pubkey *to, const struct proposal_ask *m,
                            struct bytes block)
{
    struct buf list = {0}, out = {0};
    bool good = chosen_put(block, m->wanted, &list);
    if (good) {
        proposal_txs_put(&out, &(struct proposal_txs){m->height, m->round, m->value, (uint32_t)(m->wanted.n / 2),
                                                      bytes_of_buf(&list)});
        enum err e = peers_send(c->o.peers, to, MSG_PROPOSAL_TXS, bytes_of_buf(&out));
        if (e != ERR_OK)
            log_event(LOG_DEBUG, "consensus", "unsent", "type=proposal_txs why=%s", err_name(e));
    }
    buf_clear(&list);
    buf_clear(&out);
    return good ? ERR_OK : ERR_PROTOCOL;
}

static enum err on_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct proposal_ask m;
    struct proposal p;
    struct cursor r = cursor_of(body);
    proposal_ask_get(&r, &m);
    if (!cursor_end(&r))
        return ERR_PROTOCOL;
    if (m.height != c->height || !bft_proposal(c->bft, m.round, &p) || !hash_equal(&p.value, &m.value))
        return ERR_OK;
    const struct buf *raw = value_find(c, &p.value);
    if (raw && m.wanted.n)
        return send_chosen(c, from, &m, bytes_of_buf(raw));
    wire_send_known(c, &p, from);
    return ERR_OK;
}

/* -- life -- */

void short_open(struct consensus *c)
{
    c->partial = mem_new(sizeof *c->partial);
    peers_on(c->o.peers, MSG_PROPOSAL_SHORT, on_short, c);
    peers_on(c->o.peers, MSG_PROPOSAL_GET, on_get, c);
    peers_on(c->o.peers, MSG_PROPOSAL_TXS, on_proposal_txs, c);
}

void short_close(struct consensus *c)
{
    if (!c->partial)
        return;
    partial_clear(c);
    buf_clear(&c->partial->message);
    buf_clear(&c->partial->wanted);
    free(c->partial);
    c->partial = NULL;
}
