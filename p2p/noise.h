/* The Lightning transport, BOLT 8: Noise_XK_secp256k1_ChaChaPoly_SHA256 as a pure state machine.
 *
 *     initiator                      responder
 *     act 1 put   -- 50 bytes -->    act 1 get      e, es
 *     act 2 get   <-- 50 bytes --    act 2 put      e, ee
 *     act 3 put   -- 66 bytes -->    act 3 get      s, se
 *            frames both ways: 18 bytes (encrypted length), length + 16 bytes (body)
 *
 * noise_step is the only transition of the handshake: it takes exactly noise_wants() bytes and puts
 * what is to be sent. Each direction has its key, nonce and chaining key; after 1000 uses (500 frames)
 * a key is rotated. Any failure is final.
 */
#ifndef KITH_P2P_NOISE_H
#define KITH_P2P_NOISE_H

#include "base/key.h"

#define NOISE_ACT1_SIZE   50
#define NOISE_ACT2_SIZE   50
#define NOISE_ACT3_SIZE   66
#define NOISE_HEADER_SIZE 18 /* encrypted length of a frame */
#define NOISE_TAG_SIZE    16 /* what a frame's body grows by */
#define NOISE_FRAME_EXTRA (NOISE_HEADER_SIZE + NOISE_TAG_SIZE)

/* The failures of BOLT 8, under its names. */
#define NOISE_FAIL_LIST(F)                                                                                             \
    F(OK)                                                                                                              \
    F(ACT1_READ_FAILED)                                                                                                \
    F(ACT1_BAD_VERSION)                                                                                                \
    F(ACT1_BAD_PUBKEY)                                                                                                 \
    F(ACT1_BAD_TAG)                                                                                                    \
    F(ACT2_READ_FAILED)                                                                                                \
    F(ACT2_BAD_VERSION)                                                                                                \
    F(ACT2_BAD_PUBKEY)                                                                                                 \
    F(ACT2_BAD_TAG)                                                                                                    \
    F(ACT3_READ_FAILED)                                                                                                \
    F(ACT3_BAD_VERSION)                                                                                                \
    F(ACT3_BAD_CIPHERTEXT)                                                                                             \
    F(ACT3_BAD_PUBKEY)                                                                                                 \
    F(ACT3_BAD_TAG)

enum noise_fail {
#define F(name) NOISE_##name,
    NOISE_FAIL_LIST(F)
#undef F
};
const char *noise_fail_name(enum noise_fail f);

enum noise_state { NOISE_WAIT_ACT1, NOISE_WAIT_ACT2, NOISE_WAIT_ACT3, NOISE_DONE, NOISE_FAILED };

struct noise_direction {
    uint8_t key[32], chain[32];
    uint64_t nonce;
};

/* Secret throughout: wipe with noise_clear. */
struct noise {
    enum noise_state state;
    struct seckey self, ephemeral;
    struct point remote;           /* static key of the other side: given, or learned in act 3 */
    struct point remote_ephemeral; /* responder: from act 1 */
    uint8_t h[32], ck[32], temp[32];
    struct noise_direction send, receive;
};

/* Both keys valid secrets; `ephemeral` fresh for each connection. The initiator appends act 1. False
 * if `remote` is no point. */
bool noise_init_initiator(struct noise *n, const struct seckey *self, const struct point *remote,
                          const struct seckey *ephemeral, struct buf *out) MUST_USE;
void noise_init_responder(struct noise *n, const struct seckey *self, const struct seckey *ephemeral);
void noise_clear(struct noise *n);

/* Bytes of the act that is waited for; 0 once done or failed. */
size_t noise_wants(const struct noise *n);
/* One act in (a length other than noise_wants() is a failed read), the answer, if any, appended. */
enum noise_fail noise_step(struct noise *n, struct bytes act, struct buf *out) MUST_USE;

/* -- once NOISE_DONE -- */
/* Appends one frame: n <= FRAME_BODY_MAX bytes grow by NOISE_FRAME_EXTRA. */
void noise_put(struct noise *n, struct buf *out, struct bytes body);
/* The body's length from a frame's header. False, finally, if it was altered. */
bool noise_get_length(struct noise *n, const uint8_t header[NOISE_HEADER_SIZE], uint16_t *length) MUST_USE;
/* `length` + NOISE_TAG_SIZE bytes; writes `length` bytes. */
bool noise_get_body(struct noise *n, const uint8_t *p, uint16_t length, uint8_t *out) MUST_USE;

#endif
