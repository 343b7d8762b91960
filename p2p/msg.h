/* What peers say to each other: one table of message types, and the bodies that p2p itself reads.
 *
 * On the wire a message is one or more transport frames. Each frame's plaintext is
 *
 *     u8   type, with FRAME_MORE set if the message goes on in the next frame
 *     ...  the next part of the body
 *
 * Frames of one message follow each other directly. Bodies of the ledger and of the market are bytes
 * to this folder; whoever owns them decodes them.
 */
#ifndef KITH_P2P_MSG_H
#define KITH_P2P_MSG_H

#include "base/codec.h"

#define FRAME_MORE       0x80
#define PROTOCOL_VERSION 2 /* version in hello; another one is refused */
#define MSG_STREAM_ROOM  (STREAM_DATA_MAX + 64)
#define MSG_LEAF_ROOM    (LEAF_SIZE + 32 * LEAF_PROOF_MAX + 64)

/* When a type may come: as the first message, or only after both said hello. */
enum msg_phase { MSG_PHASE_HELLO, MSG_PHASE_READY };

/* name, number on the wire, largest body, cost (units of the sender's allowance, PEER_RATE_*), phase.
 * Answers cost nothing: what was not asked for is refused by whoever tracks the question. */
#define MSG_TABLE(M)                                                                                                   \
    M(HELLO, 1, 1024, 0, HELLO)                                                                                        \
    M(PING, 2, 16, 4, READY)                                                                                           \
    M(PONG, 3, 16, 0, READY)                                                                                           \
    M(BYE, 4, 512, 0, READY)      /* why the sender hangs up */                                                        \
    M(ADDRS_GET, 5, 0, 20, READY) /* whom do you know? */                                                              \
    M(ADDRS, 6, 24576, 4, READY)  /* at most ADDRS_MAX of them */                                                      \
    M(TX, 16, TX_SIZE_MAX, 4, READY)                                                                                   \
    M(TXS, 23, 262144, 4, READY) /* several, each with its length in front; costs that for each KiB */                 \
    M(STATUS, 17, 256, 1, READY) /* own height, after each block */                                                    \
    M(PROPOSAL, 18, BLOCK_SIZE_MAX + 65536, 8, READY)                                                                  \
    M(VOTE, 19, 1024, 1, READY)                                                                                        \
    M(BLOCK_GET, 20, 64, 4, READY)                  /* and 1 for each PEER_ANSWER_UNIT of the answer */                \
    M(BLOCK, 21, BLOCK_SIZE_MAX + 262144, 0, READY) /* with its commit */                                              \
    M(EVIDENCE, 22, 8192, 8, READY)                                                                                    \
    M(PROPOSAL_SHORT, 25, BLOCK_TXS_MAX * 32 + 4096, 4, READY) /* transactions by their ids */                         \
    M(PROPOSAL_GET, 26, BLOCK_TXS_MAX * 2 + 64, 64, READY)     /* one that was told of, or some of its transactions */ \
    M(NEWS, 27, 1, 20, READY)                                  /* send me news whole, or only tell me of it */         \
    M(TX_IDS, 28, MSG_IDS_MAX * 32, 4, READY)                  /* which I have; costs that for each KiB */             \
    M(TX_GET, 29, MSG_IDS_MAX * 32, 64, READY)                 /* send me these; costs that for each KiB */            \
    M(TX_NONE, 30, MSG_IDS_MAX * 32, 4, READY)                 /* which I was asked for, and do not have */            \
    M(PROPOSAL_TXS, 31, BLOCK_SIZE_MAX + 65536, 4, READY)      /* asked for; costs that for each KiB */                \
    M(PROPOSAL_HAVE, 44, 64, 1, READY)                         /* there is one */                                      \
    M(BALLOT_HAVE, 45, 128, 1, READY)                          /* whose votes for one thing I have */                  \
    M(BALLOT_GET, 46, 128, 16, READY)                          /* send me these */                                     \
    M(OFFER, 24, 4096, 2, READY)                                                                                       \
    M(BLOB_HAVE_GET, 32, 32, 4, READY)                                                                                 \
    M(BLOB_HAVE, 33, 64, 0, READY)                                                                                     \
    M(LEAF_GET, 34, 64, 1, READY)                                                                                      \
    M(LEAF, 35, MSG_LEAF_ROOM, 0, READY)                                                                               \
    M(LIGHT_GET, 36, 16, 4, READY) /* header, commit and validators of a height */                                     \
    M(LIGHT, 37, LIGHT_BLOCK_MAX + 64, 0, READY)                                                                       \
    M(SNAPSHOT_LIST_GET, 38, 0, 4, READY) /* which states of past heights do you have? */                              \
    M(SNAPSHOT_LIST, 39, 1024, 0, READY)                                                                               \
    M(SNAPSHOT_TABLE_GET, 40, 16, 20, READY)                                                                           \
    M(SNAPSHOT_TABLE, 41, SNAPSHOT_LEAVES_MAX + 65536, 0, READY)                                                       \
    M(SNAPSHOT_LEAF_GET, 42, 16, 4, READY)                                                                             \
    M(SNAPSHOT_LEAF, 43, SNAPSHOT_LEAF_MAX + 4096, 0, READY)                                                           \
    M(STREAM_OPEN, 48, MSG_STREAM_ROOM, 8, READY)                                                                      \
    M(STREAM_DATA, 49, MSG_STREAM_ROOM, 0, READY) /* bounded by the stream's credit */                                 \
    M(STREAM_CREDIT, 50, 16, 0, READY)                                                                                 \
    M(STREAM_CLOSE, 51, 512, 0, READY)

enum msg_type {
#define M(name, number, max, cost, phase) MSG_##name = number,
    MSG_TABLE(M)
#undef M
        MSG_TYPE_END = 64
};

struct msg_rule {
    const char *name;
    uint8_t type;
    uint32_t size_max;
    uint32_t cost;
    enum msg_phase phase;
};

/* NULL for a number that no message has. */
const struct msg_rule *msg_rule(uint8_t type);

/* What a node offers to others, as bits of hello. */
enum msg_feature {
    FEATURE_VALIDATOR = 1,
    FEATURE_PROVIDER = 2,
    FEATURE_KEEPER = 4, /* serves leaves to anybody */
    FEATURE_AUDITOR = 8
};

/* `listen` is "host:port" or ":port" (the host then is where the connection came from) or "". */
#define HELLO_FIELDS(F)                                                                                                \
    F(u16, version) F(hash, chain) F(u32, features) F(u64, height) F(text255, listen) F(text64, agent)
RECORD_DECLARE(hello, HELLO_FIELDS)

#define PING_FIELDS(F) F(u64, cookie)
RECORD_DECLARE(ping, PING_FIELDS) /* pong repeats the cookie */

#define BYE_FIELDS(F) F(u8, reason) F(text255, text) /* an enum err */
RECORD_DECLARE(bye, BYE_FIELDS)

/* One after the other to the end of ADDRS. */
#define ADDR_FIELDS(F) F(pubkey, key) F(text255, endpoint)
RECORD_DECLARE(addr, ADDR_FIELDS)

#define BLOB_HAVE_GET_FIELDS(F) F(hash, root)
RECORD_DECLARE(blob_have_get, BLOB_HAVE_GET_FIELDS)

/* `have` with the whole blob's size, or not and size 0. The size is a claim until a leaf proves it. */
#define BLOB_HAVE_FIELDS(F) F(hash, root) F(flag, have) F(u64, size)
RECORD_DECLARE(blob_have, BLOB_HAVE_FIELDS)

#define LEAF_GET_FIELDS(F) F(hash, root) F(u64, index)
RECORD_DECLARE(leaf_get, LEAF_GET_FIELDS)

/* `bytes` empty: the sender does not have it. */
#define LEAF_FIELDS(F) F(hash, root) F(u64, index) F(u64, size) F(hashes, proof) F(blob, bytes)
RECORD_DECLARE(leaf, LEAF_FIELDS)

/* Streams: p2p/stream.h. */
#define STREAM_OPEN_FIELDS(F) F(u32, id) F(u8, kind) F(blob, body)
RECORD_DECLARE(stream_open, STREAM_OPEN_FIELDS)
#define STREAM_DATA_FIELDS(F) F(u32, id) F(blob, body)
RECORD_DECLARE(stream_data, STREAM_DATA_FIELDS)
#define STREAM_CREDIT_FIELDS(F) F(u32, id) F(u32, bytes)
RECORD_DECLARE(stream_credit, STREAM_CREDIT_FIELDS)
#define STREAM_CLOSE_FIELDS(F) F(u32, id) F(u8, reason) F(text255, text) /* an enum err */
RECORD_DECLARE(stream_close, STREAM_CLOSE_FIELDS)

/* Dialling back (node/net/dialback.h): at this port of where the connection comes from; and what came of it. */
#define DIALBACK_ASK_FIELDS(F) F(u16, port)
RECORD_DECLARE(dialback_ask, DIALBACK_ASK_FIELDS)
#define DIALBACK_SAID_FIELDS(F) F(flag, reached) F(u8, reason) F(text255, at) /* an enum err; "HOST:PORT" */
RECORD_DECLARE(dialback_said, DIALBACK_SAID_FIELDS)

/* Circuits through relays (node/net/circuits.h): RELAY asks for a connection to `peer`, of whom it keeps one; STOP
 * tells that one that `peer` asked for it. */
enum circuit_what { CIRCUIT_RELAY = 1, CIRCUIT_STOP };
#define CIRCUIT_ASK_FIELDS(F) F(u8, what) F(pubkey, peer)
RECORD_DECLARE(circuit_ask, CIRCUIT_ASK_FIELDS)
/* What a relay promises: circuits at once, KiB a second and bytes of each. */
#define RELAY_TERMS_FIELDS(F) F(u32, circuits) F(u32, rate_kib) F(u64, bytes_max)
RECORD_DECLARE(relay_terms, RELAY_TERMS_FIELDS)

/* Decodes a whole body, every byte used: `if (!MSG_GET(leaf_get, body, &ask)) return ERR_PROTOCOL;` */
#define MSG_GET(record, body, out) msg_decode_##record(body, out)
#define MSG_DECODER(record)                                                                                            \
    static inline bool msg_decode_##record(struct bytes body, struct record *out)                                      \
    {                                                                                                                  \
        struct cursor c = cursor_of(body);                                                                             \
        record##_get(&c, out);                                                                                         \
        return cursor_end(&c);                                                                                         \
    }
#define MSG_RECORDS(R)                                                                                                 \
    R(hello)                                                                                                           \
    R(ping)                                                                                                            \
    R(bye)                                                                                                             \
    R(addr)                                                                                                            \
    R(blob_have_get)                                                                                                   \
    R(blob_have)                                                                                                       \
    R(leaf_get)                                                                                                        \
    R(leaf)                                                                                                            \
    R(stream_open)                                                                                                     \
    R(stream_data) R(stream_credit) R(stream_close) R(dialback_ask) R(dialback_said) R(circuit_ask) R(relay_terms)
MSG_RECORDS(MSG_DECODER)

#endif
