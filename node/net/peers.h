/* The node's connections: dials the configured peers and keeps dialling, accepts others, dispatches their
 * messages to whoever registered for the type, sends and broadcasts.
 *
 * One connection per peer key: when two are made at once, both sides keep the one that the smaller key
 * dialled. A peer that breaks the protocol is cut off with one `odd` line and not dialled again for
 * a while.
 */
#ifndef KITH_NODE_PEERS_H
#define KITH_NODE_PEERS_H

#include "node/host/host.h"
#include "p2p/msg.h"

struct conn;
struct conn_calls;
struct peers;
struct transport;

struct peers_options {
    struct host *host;
    struct transport *transport;
    const struct seckey *key; /* copied; as key_derive left it */
    struct hash chain;        /* peers of another chain are refused */
    uint32_t features;        /* enum msg_feature */
    const char *listen;       /* "HOST:PORT"; "" does not listen; port 0 takes a free one */
    const char *announce;     /* endpoint told to others; "" means ":PORT" of listen */
    const char *book_path;    /* where the address book is kept; NULL does not keep it */
    const char *anchors_path; /* where the peers are kept that are dialled first at the next start; NULL: none are */
    const char *bans_path;    /* the same for whom the owner keeps out */
};

/* Listens. A taken port or a bad address is one clear line in the note. */
enum err peers_open(const struct peers_options *o, struct peers **out, struct note *note) MUST_USE;
/* Says bye to all and frees; the transport's own close callbacks come later, none reaches a handler. */
void peers_close(struct peers *p);
uint16_t peers_port(const struct peers *p);
struct pubkey peers_self(const struct peers *p);

/* One handler per type, registered before messages can come (at start). `body` is borrowed for the call.
 * Anything but ERR_OK from it means that the sender broke the protocol: it is cut off. Refuse politely (a full pool, a
 * stale vote) with ERR_OK. ERR_DUPLICATE is for what nobody waits for (any more): it costs the sender, no more. */
typedef enum err (*peers_message_fn)(void *arg, const struct pubkey *from, struct bytes body);
void peers_on(struct peers *p, enum msg_type type, peers_message_fn fn, void *arg);
/* Every handler hears of every peer that came (after its hello) or went. */
typedef void (*peers_change_fn)(void *arg, const struct pubkey *peer, bool up);
void peers_on_change(struct peers *p, peers_change_fn fn, void *arg);

/* ERR_NOT_FOUND when there is no such peer, ERR_LIMIT for a body over the type's bound; a peer whose
 * queue is full is dropped (ERR_FULL). */
enum err peers_send(struct peers *p, const struct pubkey *to, enum msg_type type, struct bytes body) MUST_USE;
/* Takes this off the peer's allowance, beside what its messages cost: for answers whose size only their sender knows.
 */
void peers_charge(struct peers *p, const struct pubkey *peer, uint32_t cost);
/* To all but `except` (may be NULL); returns how many. */
unsigned peers_broadcast(struct peers *p, enum msg_type type, struct bytes body, const struct pubkey *except);
/* To those that pick() names. */
typedef bool (*peers_pick_fn)(void *arg, const struct pubkey *peer);
unsigned peers_send_some(struct peers *p, enum msg_type type, struct bytes body, peers_pick_fn pick, void *arg);
/* Bytes that wait for one peer: whoever sends in bulk keeps this low. 0 if it is not up. */
size_t peers_queued(const struct peers *p, const struct pubkey *to);
/* True the first time that this body of this type is shown within SEEN_MS: relay it then. */
bool peers_seen_first(struct peers *p, enum msg_type type, struct bytes body) MUST_USE;

/* "PUBKEY@WAY" (p2p/way.h): dialled now and again whenever it is gone (`kith peer add`, --peer). */
enum err peers_add(struct peers *p, const char *address, struct note *note) MUST_USE;
/* Makes sure that there is, or soon is, a connection to this key; its way (p2p/way.h) may be NULL when the
 * address book knows it. ERR_NOT_FOUND when nobody knows where it is. Its coming is told by on_change. */
enum err peers_reach(struct peers *p, const struct pubkey *key, const char *endpoint) MUST_USE;
bool peers_is_up(const struct peers *p, const struct pubkey *key);
/* Of one that is up: did we dial it? Both sides answer the opposite. */
bool peers_is_dialled(const struct peers *p, const struct pubkey *key);
/* Of one that is up: where the bytes go (of a relayed one: RELAY@HOST:PORT), and does it go through a relay? */
bool peers_endpoint(const struct peers *p, const struct pubkey *key, const char **endpoint, bool *relayed) MUST_USE;
/* Hangs up with a reason; a configured peer is dialled again after a pause. */
void peers_drop(struct peers *p, const struct pubkey *key, enum err reason, const char *text);
/* What hello says of us to peers that come from now on. */
void peers_set_height(struct peers *p, uint64_t height);
void peers_set_features(struct peers *p, uint32_t features);
/* The way that is told to others; NULL: as at the start. */
void peers_set_listen(struct peers *p, const char *way);

/* Connections through relays (node/net/circuits.h): `fn` makes one to `to`, its calls come as a transport's do. Without
 * it nobody is dialled through relays. */
typedef struct conn *(*peers_circuit_fn)(void *arg, const struct pubkey *relay, const char *relay_at,
                                         const struct pubkey *to, const struct conn_calls *calls, void *calls_arg);
void peers_on_circuit(struct peers *p, peers_circuit_fn fn, void *arg);
/* One came: it is as one that the transport accepted. `from` is "RELAY@HOST:PORT". */
void peers_accept(struct peers *p, struct conn *c, const char *from);

/* Whom the owner of this node keeps out: never dialled, and hung up on once it says who it is. Kept over restarts, and
 * on the disk when the call returns ERR_OK. Banning again gives another reason. */
#define PEER_KEPT_OUT_FIELDS(F) F(pubkey, key) F(u64, since_ms) F(text64, reason)
RECORD_DECLARE(peer_kept_out, PEER_KEPT_OUT_FIELDS)
enum err peers_ban(struct peers *p, const struct pubkey *key, const char *reason, struct note *note) MUST_USE;
enum err peers_unban(struct peers *p, const struct pubkey *key, struct note *note) MUST_USE;
typedef void (*peers_ban_fn)(void *arg, const struct peer_kept_out *out);
void peers_bans(const struct peers *p, peers_ban_fn fn, void *arg);

struct peers_info {
    struct pubkey key;
    char endpoint[256]; /* where the bytes go */
    bool up;            /* false: configured, being dialled */
    bool outgoing, relayed;
    uint32_t features;
    uint64_t height; /* as hello or its last STATUS handler said, see peers_note_height */
    uint64_t up_ms;  /* how long */
    uint64_t bytes_in, bytes_out;
    uint32_t rtt_ms; /* of the last ping; 0 before */
};
typedef void (*peers_info_fn)(void *arg, const struct peers_info *info);
/* Connected ones and configured ones that are not. */
void peers_list(const struct peers *p, peers_info_fn fn, void *arg);
unsigned peers_count(const struct peers *p); /* connected */
/* The ledger's sync learned a peer's height. */
void peers_note_height(struct peers *p, const struct pubkey *key, uint64_t height);

#endif
