/* Layers of a model that another device of the same owner evaluates: what the two say on their stream
 * (node/net/streams.h). The head H has the request, the first and the last layers; the hop D lends it the layers
 * [first, end).
 *
 *     H  open     HOP_OPEN: which layers of which model
 *     D  ready    HOP_READY: they are loaded; what a call may ask of them
 *     H  call     HOP_CALL in parts, the last of them marked
 *     D  answer   HOP_ANSWER in parts, the last of them marked
 *     D  signed   HOP_SIGNED: the statement over it
 *
 * One call is on the way at a time; calls count from 1. What is in them is inference/engine/far.h's, and nobody's
 * business here but that it is FAR_CALL_MAX bytes at most. Layers are a pure function of all calls since the stream was
 * opened, since what they keep between calls was made by calls alone. So a statement names these by a running hash, and
 * with the calls in hand anybody who has the model can say whether the answer is right: whoever signed a wrong one is
 * to blame.
 *
 * Pure: bytes and messages.
 */
#ifndef KITH_NODE_HOP_WIRE_H
#define KITH_NODE_HOP_WIRE_H

#include "base/codec.h"

#define HOP_VERSION 2

enum hop_message {
    HOP_READY = 1,
    HOP_CALL = 2,
    HOP_ANSWER = 3,
    HOP_SIGNED = 4,
};

/* Body of the stream's opening. */
#define HOP_OPEN_FIELDS(F) F(u32, version) F(hash, model) F(u32, arith) F(u32, first) F(u32, end)
RECORD_DECLARE(hop_open, HOP_OPEN_FIELDS)

/* `batch`: rows of a call; `pages`: of the cache that there is room for; `backend`: the kernels, for people. */
#define HOP_READY_FIELDS(F) F(u32, batch) F(u32, pages) F(text64, backend)
RECORD_DECLARE(hop_ready, HOP_READY_FIELDS)

/* Of a call as of an answer. */
#define HOP_PART_FIELDS(F) F(u64, number) F(flag, last) F(blob, bytes)
RECORD_DECLARE(hop_part, HOP_PART_FIELDS)

/* After the calls whose running hash is `before` (none: zeros), `call` was answered with `answer`. `call`, `answer`:
 * H[kith.hopbytes] of their bytes. `sig`: by the node key, over H[kith.hop] of all in front of it. */
#define HOP_STATEMENT_FIELDS(F)                                                                                        \
    F(hash, chain)                                                                                                     \
    F(pubkey, node)                                                                                                    \
    F(hash, model)                                                                                                     \
    F(u32, arith)                                                                                                      \
    F(u32, first)                                                                                                      \
    F(u32, end)                                                                                                        \
    F(u64, number)                                                                                                     \
    F(hash, before)                                                                                                    \
    F(hash, call)                                                                                                      \
    F(hash, answer)                                                                                                    \
    F(sig, sig)
RECORD_DECLARE(hop_statement, HOP_STATEMENT_FIELDS)

/* What of it the head does not know already. */
#define HOP_SIGNED_FIELDS(F) F(u64, number) F(hash, answer) F(sig, sig)
RECORD_DECLARE(hop_signed, HOP_SIGNED_FIELDS)

/* A message is its type byte, then the record. */
struct cursor hop_message_open(struct bytes message, uint8_t *type);
void hop_message_start(struct buf *b, enum hop_message type);

void hop_statement_sign(struct hop_statement *s, const struct seckey *node);
bool hop_statement_verify(const struct hop_statement *s) MUST_USE;
struct hash hop_bytes_hash(struct bytes b);
/* The running hash with one more call: H[kith.hop](before | call). */
struct hash hop_calls_hash(const struct hash *before, const struct hash *call);

/* -- parts -- */

/* What is being sent: parts of one call or answer, as the other side takes them. */
struct hop_sending {
    struct buf bytes;
    size_t at;
    uint64_t number;
    bool active;
};
/* The next message, appended; false when the last was taken. hop_sending_step takes it off once it is sent. */
bool hop_sending_next(const struct hop_sending *s, enum hop_message type, struct buf *message);
void hop_sending_step(struct hop_sending *s);
void hop_sending_start(struct hop_sending *s, uint64_t number, struct bytes bytes);
void hop_sending_clear(struct hop_sending *s);

/* What comes in. ERR_OK and *whole: all of it is in `bytes`. ERR_PROTOCOL: another number, an empty part that is not
 * the last, a part that is too long; ERR_LIMIT: the sum is. */
struct hop_taking {
    struct buf bytes;
    uint64_t number; /* that is expected */
};
enum err hop_taking_add(struct hop_taking *t, const struct hop_part *part, bool *whole) MUST_USE;
void hop_taking_clear(struct hop_taking *t);

#endif
