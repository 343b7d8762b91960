/* Proposals without their transactions: nearly everybody has them in its pool already, so a proposal names them by
 * their ids and each puts the block together itself. Whoever lacks one asks a peer that named them for the whole.
 *
 * An id does not fix the signature, so what was put together may be another block: then its id is not the proposal's
 * value, and it counts as lacking. Nothing is believed that the whole would not be asked for: signature first, and one
 * question at a time, so that a stranger's proposals cost a look-up each.
 */
#include "node/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

RECORD_DEFINE(short_proposal, SHORT_FIELDS)
RECORD_DEFINE(whole_get, WHOLE_GET_FIELDS)

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

/* Appends the block; false if a transaction is missing, or it is not the block that is meant. */
static bool put_together(struct consensus *c, const struct short_proposal *m, struct buf *raw)
{
    struct block b;
    struct buf list = {0};
    struct cursor r = cursor_of(m->head);
    block_get(&r, &b);
    if (!cursor_end(&r) || m->txs.n > BLOCK_TXS_MAX)
        return false;
    struct hash id = block_id(&b.header);
    struct bytes *txs = mem_array(m->txs.n + 1, sizeof *txs);
    bool is_whole = hash_equal(&id, &m->proposal.value);
    for (uint32_t i = 0; i < m->txs.n && is_whole; i++) {
        struct hash tx = hashes_at(&m->txs, i);
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

static void ask_for_whole(struct consensus *c, const struct pubkey *from, const struct proposal *p)
{
    struct buf b = {0};
    uint64_t now = host_now_ms(c->o.host);
    if (hash_equal(&c->asked, &p->value) && now < c->asked_ms + CONSENSUS_WHOLE_MS)
        return;
    c->asked = p->value;
    c->asked_ms = now;
    whole_get_put(&b, &(struct whole_get){p->height, p->round, p->value});
    enum err e = peers_send(c->o.peers, from, MSG_PROPOSAL_GET, bytes_of_buf(&b));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "unsent", "type=proposal_get why=%s", err_name(e));
    buf_clear(&b);
}

static enum err on_short(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct short_proposal m;
    struct cursor r = cursor_of(body);
    short_proposal_get(&r, &m);
    if (!cursor_end(&r) || !proposal_is_sane(&m.proposal))
        return ERR_PROTOCOL;
    const struct proposal *p = &m.proposal;
    if (!wire_is_wanted(c, p))
        return ERR_OK;
    struct buf block = {0};
    enum err e = ERR_OK;
    if (put_together(c, &m, &block))
        e = wire_take_block(c, from, p, bytes_of_buf(&block));
    else
        ask_for_whole(c, from, p);
    buf_clear(&block);
    return e;
}

static enum err on_whole_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct whole_get get;
    struct proposal p;
    struct cursor r = cursor_of(body);
    whole_get_get(&r, &get);
    if (!cursor_end(&r))
        return ERR_PROTOCOL;
    if (get.height == c->height && bft_proposal(c->bft, get.round, &p) && hash_equal(&p.value, &get.value))
        wire_send_whole(c, &p, from);
    return ERR_OK;
}

void short_open(struct consensus *c)
{
    peers_on(c->o.peers, MSG_PROPOSAL_SHORT, on_short, c);
    peers_on(c->o.peers, MSG_PROPOSAL_GET, on_whole_get, c);
}
