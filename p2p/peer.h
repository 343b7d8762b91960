/* One connection as a state machine without I/O: bytes in, messages out; messages in, bytes out; and the
 * time at which it wants to be woken.
 *
 *     HANDSHAKE --(noise done, key as expected)--> HELLO --(their hello)--> READY
 *         \_______________________________________/____________________________/
 *                                    v   (misbehaviour, silence, full queue, bye, closed)
 *                                  ENDED   with an enum err and one line of why
 *
 * peer_receive and peer_next make the first two transitions, any function the last. From READY on,
 * peer_next gives every message but ping, pong and hello, which are answered here, and bye, which ends.
 *
 * Invariants: output never exceeds PEER_SEND_QUEUE_MAX; input held never exceeds one frame and what one read
 * brought, because peer_is_throttled asks the caller to stop reading; a stranger in HANDSHAKE holds less
 * than 4 KiB.
 */
#ifndef KITH_P2P_PEER_H
#define KITH_P2P_PEER_H

#include "p2p/msg.h"
#include "p2p/noise.h"

struct peer;

enum peer_state { PEER_HANDSHAKE, PEER_HELLO, PEER_READY, PEER_ENDED };

/* What this node says and demands; borrowed for the call. */
struct peer_setup {
    const struct seckey *key; /* as key_derive left it */
    struct pubkey self;       /* its public key */
    struct seckey ephemeral;  /* fresh */
    struct hello hello;       /* ours */
    uint64_t now_ms;
};

/* The side that dialled knows whom it wants. NULL if that key is not on the curve. */
struct peer *peer_new_dialled(const struct peer_setup *s, const struct pubkey *expected);
struct peer *peer_new_accepted(const struct peer_setup *s);
void peer_free(struct peer *p);

/* -- bytes -- */
void peer_receive(struct peer *p, struct bytes in, uint64_t now_ms);
/* Bytes to write, borrowed until the next call; then say how many were written. */
struct bytes peer_output(const struct peer *p);
void peer_output_drop(struct peer *p, size_t n);
/* The other side may cause no more work now: stop reading until peer_timeout. */
bool peer_is_throttled(const struct peer *p);

/* -- messages -- */
struct peer_message {
    enum msg_type type;
    struct bytes body; /* borrowed until the next peer_next or peer_free */
};
/* The next whole message; false when there is none (yet). Call after every peer_receive and peer_step
 * until it is false. */
bool peer_next(struct peer *p, struct peer_message *out, uint64_t now_ms);
/* In READY only (ERR_STATE). ERR_LIMIT: over the type's size. A full queue ends the connection (ERR_FULL). */
enum err peer_send(struct peer *p, enum msg_type type, struct bytes body) MUST_USE;
/* Takes this off its allowance besides what its messages cost. */
void peer_charge(struct peer *p, uint32_t cost);
/* Bytes that came and were not looked at yet. */
size_t peer_held(const struct peer *p);
/* Bytes waiting in the queue. */
size_t peer_queued(const struct peer *p);
/* Ends; in READY a bye with the reason is queued first. */
void peer_end(struct peer *p, enum err reason, const char *text);

/* -- time -- */
/* When peer_step must be called at the latest; UINT64_MAX once ended. */
uint64_t peer_timeout_ms(const struct peer *p);
/* Pings, gives up on the silent, ends throttling. */
void peer_step(struct peer *p, uint64_t now_ms);

/* -- what is known -- */
enum peer_state peer_state(const struct peer *p);
/* Why it ended. */
enum err peer_reason(const struct peer *p);
const char *peer_reason_text(const struct peer *p);
/* True if the other side broke the protocol (and may be kept out for a while). */
bool peer_is_faulty(const struct peer *p);
/* Valid from HELLO on (dialled: from the start). */
const struct pubkey *peer_key(const struct peer *p);
/* Valid in READY. */
const struct hello *peer_hello(const struct peer *p);
bool peer_is_dialled(const struct peer *p);
uint32_t peer_rtt_ms(const struct peer *p);

#endif
