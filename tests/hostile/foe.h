/* One connection that speaks the real handshake, and after it whatever its owner makes up: frames and messages with
 * nothing checked. Without waiting: foe_poll says what it waits for, foe_step does what can be done. */
#ifndef KITH_TESTS_HOSTILE_FOE_H
#define KITH_TESTS_HOSTILE_FOE_H

#include "p2p/msg.h"
#include "p2p/noise.h"
#include "tests/sim/random.h"

#include <netinet/in.h>

enum foe_state { FOE_CLOSED, FOE_CONNECTING, FOE_HANDSHAKE, FOE_HELLO, FOE_READY };

/* Whom to reach, and what is learned of it. */
struct field {
    struct pubkey node;
    struct sockaddr_in at;
    struct hash chain;  /* as its hello said */
    uint64_t height;    /* as its hello or the latest status said */
    uint16_t listen_at; /* where we are dialled; 0: nowhere */
};

struct foe;
typedef void (*foe_message_fn)(struct foe *f, uint8_t type, struct bytes body);

struct foe {
    struct field *field;
    enum foe_state state;
    int fd;
    bool dialled;
    bool is_raw;                  /* connects, and makes no handshake of its own */
    bool is_deaf;                 /* reads no more */
    bool has_hello;               /* says its own hello, instead of one that the node takes */
    void (*first)(struct foe *f); /* said instead of any hello; or NULL */
    struct seckey secret;
    struct pubkey key;
    struct noise noise;
    struct hello hello; /* what is said */
    struct buf in, out, message;
    uint8_t message_type;
    foe_message_fn on_message;
    struct random random;
    uint32_t from;  /* address that it dials from, as a number; 0: whichever */
    uint64_t at_ms; /* when the connection was begun */
    /* the attack's own */
    unsigned kind, turns, streams;
    uint64_t next_ms;
};

uint64_t foe_now_ms(void);
/* A new key each time. */
void foe_dial(struct foe *f, uint64_t now_ms);
/* Of a connection that came in; `secret` is whom the other side dialled. */
void foe_accept(struct foe *f, int fd, const struct seckey *secret, uint64_t now_ms);
void foe_close(struct foe *f);
void foe_clear(struct foe *f);

/* poll's events. */
short foe_events(const struct foe *f);
void foe_step(struct foe *f, short events);

/* Bytes as they are; one sealed frame; a message in as many as it needs. They wait in f->out. */
void foe_raw(struct foe *f, const void *p, size_t n);
void foe_frame(struct foe *f, struct bytes plain);
void foe_message(struct foe *f, uint8_t type, struct bytes body);

#endif
