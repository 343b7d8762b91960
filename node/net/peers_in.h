/* Inside of peers: peers.c (connections), peers_pump.c (their messages), peers_use.c (what the rest of the node asks of
 * them), peers_log.c, peers_ban.c and peers_dial.c (whom to dial, when). Nobody else includes this.
 *
 * A link is one connection. It is freed only by the sweep, which runs by itself in a turn of the
 * loop: whatever a handler does (send, drop, reach), no link goes away under it.
 *
 *     DIALLING --(conn up)--> TALKING --(peer READY, kept)--> UP
 *         \______________________/___________________________/
 *                               v
 *                        GONE (swept: `down` told if it was UP, memory freed)
 */
#ifndef KITH_NODE_PEERS_IN_H
#define KITH_NODE_PEERS_IN_H

#include "base/log.h"
#include "node/net/peers.h"
#include "p2p/book.h"
#include "p2p/gossip.h"
#include "p2p/peer.h"
#include "p2p/transport.h"
#include "p2p/way.h"

#define PEERS_CHANGES_MAX 12

struct link {
    struct peers *owner;
    struct link *next;
    struct conn *conn; /* NULL once closed */
    struct peer *peer; /* NULL while dialling */
    struct timer timer;
    struct pubkey expected; /* dialled: whom */
    char endpoint[ENDPOINT_TEXT_ROOM];
    bool dialled, relayed, up, told_up, gone, addrs_asked;
    bool waits;              /* more of its messages are here */
    bool had_turn;           /* in this turn of the loop, and may be read again in it */
    uint64_t turn;           /* number of its latest turn */
    uint64_t network, order; /* see node/host/room.h */
    enum err gone_reason;
    char gone_text[256];
    uint64_t up_at_ms, height;
    uint64_t bytes_in, bytes_out;
};

/* Somebody to be dialled: configured (kept for ever) or wanted (until reached or given up). */
struct target {
    struct target *next;
    struct pubkey key;
    char endpoint[ENDPOINT_TEXT_ROOM];
    char once[ENDPOINT_TEXT_ROOM]; /* of a configured one: another way, that somebody named: for the next try; or "" */
    bool keep;
    uint32_t failures;
    uint64_t retry_at_ms;
};

struct ban {
    struct pubkey key;
    uint64_t until_ms;
};

struct peers {
    struct host *host;
    struct transport *transport;
    struct seckey key;
    struct pubkey self;
    struct hello hello;
    uint16_t port;
    char listen[ENDPOINT_TEXT_ROOM]; /* told at the start */
    bool closing, sweep_is_posted, pump_is_posted, book_changed;
    uint64_t turns, orders;
    uint8_t place[16]; /* secret of numbers for networks */

    struct link *links;
    struct target *targets;
    unsigned targets_n;
    struct book *book;
    struct gossip *gossip;
    char *book_path, *anchors_path;
    struct timer dial_timer, book_timer;
    struct log_rate lines;    /* about peers that came and went */
    uint64_t stranger_odd_ms; /* when a stranger last had an `odd` line: one a second, so that none fills the disk */
    struct ban bans[PEER_BANS_MAX];
    unsigned bans_next;
    char *bans_path;
    struct peer_kept_out *kept_out; /* by the owner */
    unsigned kept_out_n;

    struct {
        peers_message_fn fn;
        void *arg;
    } handler[MSG_TYPE_END];
    struct {
        peers_change_fn fn;
        void *arg;
    } change[PEERS_CHANGES_MAX];
    unsigned changes_n;
    peers_circuit_fn circuit;
    void *circuit_arg;
};

/* peers.c */
struct link *peers_link_new(struct peers *p, const char *endpoint);
void peers_link_dialled(struct link *l, struct conn *c);
struct link *peers_link_up(const struct peers *p, const struct pubkey *key);
/* Any that is not gone: up, talking or dialling to this key. */
struct link *peers_link_any(const struct peers *p, const struct pubkey *key);
/* Its hello came: keeps it or not. */
void peers_link_ready(struct link *l);
/* Writes what the transport takes, notices the end, sets the timer, reads on or not. */
void peers_link_flush(struct link *l);
/* Looks in the next turn at what was written to whom, and buries who is gone. */
void peers_sweep_soon(struct peers *p);
extern const struct conn_calls peers_conn_calls;

/* peers_ban.c */
bool peers_is_banned(const struct peers *p, const struct pubkey *key);   /* for a while, or by the owner */
bool peers_is_kept_out(const struct peers *p, const struct pubkey *key); /* by the owner */
void peers_ban_for_a_while(struct peers *p, const struct pubkey *key);
enum err peers_bans_load(struct peers *p, struct note *note) MUST_USE;
void peers_bans_clear(struct peers *p);

/* peers_log.c */
void peers_log_up(const struct link *l);
void peers_log_down(const struct link *l);

/* peers_pump.c: what came, now or by and by. */
void peers_pump_bytes(struct link *l, struct bytes in);
void peers_pump(struct link *l);

/* peers_dial.c */
bool peers_is_configured(const struct peers *p, const struct pubkey *key);
void peers_dial_start(struct peers *p);
void peers_dial_stop(struct peers *p);
/* A dialled link came up, or went (was_up: it had been up). */
void peers_dial_up(struct peers *p, struct link *l);
void peers_dial_down(struct peers *p, struct link *l, bool was_up);
/* Looks again whom to dial, in the next turn. */
void peers_dial_soon(struct peers *p);

#endif
