/* Transactions between peers: which are told of by their ids (node/consensus/relay.h), asked for, and sent.
 *
 *     TX, TXS ----> pool ----> whole to near peers, ids to the others, gathered for CONSENSUS_TELL_MS
 *     TX_IDS -----> wanted, unless it is or was here ----> TX_GET to one who told of it, then another ----> TXS, or
 * TX_NONE
 *
 * What follows another one that is not here yet waits for it (node/consensus/early.h): near peers send in order, but
 * what is asked for comes from several. */
#include "node/consensus/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"
#include "chain/tx.h"
#include "node/consensus/early.h"
#include "node/consensus/wanted.h"
#include "p2p/gossip.h"

#include <stdlib.h>

struct told_txs {
    struct wanted *wanted;
    struct gossip *had; /* ids of what was in the pool or in a block lately */
    struct early *early;
    struct timer ask_timer, tell_timer;
    struct news {
        struct hash id;
        uint64_t know; /* the bits of those who have it */
    } * news;
    uint32_t news_n;
};

static struct bytes id_bytes(const struct hash *id)
{
    return bytes_of(id->b, sizeof id->b);
}

static void send_to(struct consensus *c, const struct pubkey *to, enum msg_type type, struct bytes body)
{
    enum err e = peers_send(c->o.peers, to, type, body);
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "unsent", "type=%d why=%s", (int)type, err_name(e));
}

/* -- telling -- */

static void tell(void *arg)
{
    struct consensus *c = arg;
    struct told_txs *t = c->told;
    uint64_t told = relay_told(c->relay);
    struct buf ids = {0};
    for (int slot = 0; slot < RELAY_SLOTS; slot++) {
        buf_reset(&ids);
        for (uint32_t i = 0; told >> slot & 1 && i < t->news_n; i++)
            if (!(t->news[i].know >> slot & 1))
                buf_add(&ids, t->news[i].id.b, HASH_SIZE);
        if (ids.n)
            send_to(c, relay_peer(c->relay, slot), MSG_TX_IDS, bytes_of_buf(&ids));
    }
    t->news_n = 0;
    buf_clear(&ids);
}

static void news_add(struct consensus *c, const struct hash *id, uint64_t know)
{
    struct told_txs *t = c->told;
    if (!(relay_told(c->relay) & ~know))
        return;
    t->news[t->news_n++] = (struct news){*id, know};
    if (t->news_n == MSG_IDS_MAX) {
        host_timer_cancel(c->o.host, &t->tell_timer);
        tell(c);
    } else if (!timer_is_set(&t->tell_timer)) {
        host_timer_set(c->o.host, &t->tell_timer, CONSENSUS_TELL_MS, tell, c);
    }
}

struct pool_ids {
    struct buf ids;
};

static void pool_id_add(void *arg, struct bytes tx)
{
    struct pool_ids *p = arg;
    struct hash id;
    if (p->ids.n >= MSG_IDS_MAX * HASH_SIZE)
        return;
    id = tx_id_of(tx);
    buf_add(&p->ids, id.b, sizeof id.b);
}

void told_say_pool(struct consensus *c, const struct pubkey *to)
{
    struct pool_ids p = {0};
    mempool_each(c->pool, pool_id_add, &p);
    if (p.ids.n && to)
        send_to(c, to, MSG_TX_IDS, bytes_of_buf(&p.ids));
    else if (p.ids.n)
        peers_broadcast(c->o.peers, MSG_TX_IDS, bytes_of_buf(&p.ids), NULL);
    buf_clear(&p.ids);
}

/* -- taking -- */

void told_had(struct consensus *c, const struct hash *id)
{
    if (!c->told)
        return;
    (void)gossip_add(c->told->had, MSG_TX, id_bytes(id), host_now_ms(c->o.host));
    (void)wanted_remove(c->told->wanted, id);
}

static void taken(struct consensus *c, const struct hash *id, const struct pubkey *from, struct bytes raw,
                  struct buf *list)
{
    uint64_t know = wanted_remove(c->told->wanted, id) | relay_bit(c->relay, from);
    told_had(c, id);
    relay_credit(c->relay, from);
    news_add(c, id, know);
    codec_put_blob(list, &raw);
}

static void take_followers(struct consensus *c, struct bytes raw, const struct pubkey *from, struct buf *list)
{
    struct tx t;
    struct hash id;
    struct buf next = {0};
    bool goes_on = early_count(c->told->early) > 0 && tx_decode(raw, &t, NULL) == ERR_OK;
    struct pubkey signer = goes_on ? t.signer : (struct pubkey){{0}};
    for (uint64_t nonce = goes_on ? t.nonce : 0; goes_on;) {
        buf_reset(&next);
        goes_on = early_take(c->told->early, &signer, ++nonce, host_now_ms(c->o.host), &next) &&
                  mempool_add(c->pool, bytes_of_buf(&next), &id, NULL) == ERR_OK;
        if (goes_on)
            taken(c, &id, from, bytes_of_buf(&next), list);
    }
    buf_clear(&next);
}

static void keep_early(struct consensus *c, struct bytes raw)
{
    struct tx t;
    if (tx_decode(raw, &t, NULL) == ERR_OK)
        early_add(c->told->early, &t.signer, t.nonce, mempool_nonce(c->pool, &t.signer), raw, host_now_ms(c->o.host));
}

enum err told_take(struct consensus *c, struct bytes raw, const struct pubkey *from, struct buf *list)
{
    struct hash id;
    enum err e = mempool_add(c->pool, raw, &id, NULL);
    if (e == ERR_OK) {
        taken(c, &id, from, raw, list);
        take_followers(c, raw, from, list);
    } else if (e == ERR_NONCE) {
        keep_early(c, raw);
    }
    if (e != ERR_OK && e != ERR_FORMAT && e != ERR_AUTH)
        (void)wanted_remove(c->told->wanted, &id); /* it came, and is of no use now */
    return e;
}

void told_came(struct consensus *c, const struct pubkey *from)
{
    int slot = relay_slot(c->relay, from);
    if (slot >= 0)
        wanted_came(c->told->wanted, slot);
}

/* -- asking -- */

static void ask(void *arg);

static void ask_soon(struct consensus *c)
{
    uint64_t due = wanted_due_ms(c->told->wanted), now = host_now_ms(c->o.host);
    if (due == UINT64_MAX)
        host_timer_cancel(c->o.host, &c->told->ask_timer);
    else
        host_timer_set(c->o.host, &c->told->ask_timer, due > now ? due - now : 0, ask, c);
}

static void ask(void *arg)
{
    struct consensus *c = arg;
    struct buf ids[RELAY_SLOTS] = {{0}};
    struct hash id;
    int slot;
    while (wanted_next(c->told->wanted, host_now_ms(c->o.host), &id, &slot)) {
        buf_add(&ids[slot], id.b, sizeof id.b);
        if (ids[slot].n < MSG_IDS_MAX * HASH_SIZE)
            continue;
        send_to(c, relay_peer(c->relay, slot), MSG_TX_GET, bytes_of_buf(&ids[slot]));
        buf_reset(&ids[slot]);
    }
    for (slot = 0; slot < RELAY_SLOTS; slot++) {
        if (ids[slot].n)
            send_to(c, relay_peer(c->relay, slot), MSG_TX_GET, bytes_of_buf(&ids[slot]));
        buf_clear(&ids[slot]);
    }
    ask_soon(c);
}

/* -- in -- */

/* Calls for each id of a message; false if it is none. */
static bool ids_of(struct bytes body, struct hashes *ids)
{
    *ids = (struct hashes){body.p, (uint32_t)(body.n / HASH_SIZE)};
    return body.n > 0 && body.n % HASH_SIZE == 0;
}

static enum err on_ids(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct hashes ids;
    int slot = relay_slot(c->relay, from);
    if (!ids_of(body, &ids))
        return ERR_PROTOCOL;
    for (uint32_t i = 0; slot >= 0 && i < ids.n; i++) {
        struct hash id = hashes_at(&ids, i);
        if (!mempool_has(c->pool, &id) && !gossip_has(c->told->had, MSG_TX, id_bytes(&id)))
            (void)wanted_add(c->told->wanted, &id, slot, host_now_ms(c->o.host)); /* one too many is told of again */
    }
    ask_soon(c);
    return ERR_OK;
}

static void send_list(struct consensus *c, const struct pubkey *to, struct buf *list)
{
    if (list->n)
        send_to(c, to, MSG_TXS, bytes_of_buf(list));
    buf_reset(list);
}

/* In the order in which they were asked for. One who does not read gets no more. */
static enum err on_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct hashes ids;
    struct buf list = {0}, none = {0};
    if (!ids_of(body, &ids))
        return ERR_PROTOCOL;
    for (uint32_t i = 0; i < ids.n && peers_queued(c->o.peers, from) < PEER_SEND_QUEUE_MAX / 4; i++) {
        struct hash id = hashes_at(&ids, i);
        struct bytes tx;
        if (!mempool_find(c->pool, &id, &tx)) {
            buf_add(&none, id.b, sizeof id.b);
            continue;
        }
        codec_put_blob(&list, &tx);
        if (list.n >= INTAKE_SEND_BYTES)
            send_list(c, from, &list);
    }
    send_list(c, from, &list);
    if (none.n)
        send_to(c, from, MSG_TX_NONE, bytes_of_buf(&none));
    buf_clear(&list);
    buf_clear(&none);
    return ERR_OK;
}

static enum err on_none(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    struct hashes ids;
    int slot = relay_slot(c->relay, from);
    if (!ids_of(body, &ids))
        return ERR_PROTOCOL;
    for (uint32_t i = 0; slot >= 0 && i < ids.n; i++) {
        struct hash id = hashes_at(&ids, i);
        wanted_denied(c->told->wanted, &id, slot, host_now_ms(c->o.host));
    }
    ask_soon(c);
    return ERR_OK;
}

/* -- life -- */

void told_change(struct consensus *c, const struct pubkey *peer, bool up)
{
    int slot = relay_slot(c->relay, peer);
    if (slot >= 0)
        wanted_gone(c->told->wanted, slot, host_now_ms(c->o.host));
    relay_change(c->relay, peer, up);
    if (up)
        told_say_pool(c, peer);
    ask_soon(c);
}

static enum err on_news(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    return relay_take(c->relay, from, body);
}

void told_open(struct consensus *c)
{
    uint8_t key[32];
    struct told_txs *t = c->told = mem_new(sizeof *t);
    host_random(c->o.host, key, sizeof key);
    c->relay = relay_new(c->o.host, c->o.peers);
    t->had = gossip_new(key);
    host_random(c->o.host, key, sizeof key);
    t->wanted = wanted_new(key);
    t->early = early_new();
    t->news = mem_array(MSG_IDS_MAX, sizeof *t->news);
    peers_on(c->o.peers, MSG_NEWS, on_news, c);
    peers_on(c->o.peers, MSG_TX_IDS, on_ids, c);
    peers_on(c->o.peers, MSG_TX_GET, on_get, c);
    peers_on(c->o.peers, MSG_TX_NONE, on_none, c);
}

void told_close(struct consensus *c)
{
    struct told_txs *t = c->told;
    c->told = NULL;
    if (!t)
        return;
    host_timer_cancel(c->o.host, &t->ask_timer);
    host_timer_cancel(c->o.host, &t->tell_timer);
    wanted_free(t->wanted);
    gossip_free(t->had);
    early_free(t->early);
    free(t->news);
    free(t);
    relay_free(c->relay);
    c->relay = NULL;
}
