/* BLAKE2b-256 with a personalisation per use, and the SHA-2 family where a public protocol (BOLT 8,
 * BIP32, BIP39) prescribes it. */
#ifndef KITH_BASE_HASH_H
#define KITH_BASE_HASH_H

#include "base/bytes.h"

#define HASH_SIZE 32

struct hash {
    uint8_t b[HASH_SIZE];
};

/* A use of the hash: at most 16 characters, padded with NULs, given to BLAKE2b as its
 * personalisation (RFC 7693, section 2.5; BLAKE2 paper, section 2.8), so that no two uses can
 * collide. All of them stand here, so that nobody takes one twice. */
#define HASH_TAG_LIST(T)                                                                                               \
    T(LEAF, "kith.leaf")         /* one leaf of a blob */                                                              \
    T(NODE, "kith.node")         /* an inner node of a blob's tree */                                                  \
    T(BLOB, "kith.blob")         /* root of a blob: size and tree */                                                   \
    T(TX, "kith.tx")             /* transaction id and what its signer signs */                                        \
    T(HEADER, "kith.header")     /* block id */                                                                        \
    T(TXS, "kith.txs")           /* the transactions of a block */                                                     \
    T(VOTE, "kith.vote")         /* prevote and precommit */                                                           \
    T(PROPOSAL, "kith.proposal") /* a proposal */                                                                      \
    T(VALSET, "kith.valset")     /* a set of validators */                                                             \
    T(STATE, "kith.state")       /* nodes of the state tree */                                                         \
    T(STATE_LEAF, "kith.stateleaf")                                                                                    \
    T(STATE_KEY, "kith.statekey")                                                                                      \
    T(GENESIS, "kith.genesis")    /* chain id */                                                                       \
    T(CHANNEL, "kith.channel")    /* channel id */                                                                     \
    T(VOUCHER, "kith.voucher")    /* a payer's promise */                                                              \
    T(STEP, "kith.step")          /* a provider's signed progress */                                                   \
    T(RECEIPT, "kith.receipt")    /* a finished job */                                                                 \
    T(SUM, "kith.sum")            /* nodes of the receipts' Merkle-sum tree */                                         \
    T(JOB, "kith.job")            /* job id */                                                                         \
    T(REQUEST, "kith.request")    /* a request without its seed */                                                     \
    T(SEED, "kith.seed")          /* a job's drawn seed */                                                             \
    T(COMMIT, "kith.commit")      /* salted commitments in receipts */                                                 \
    T(OFFER, "kith.offer")        /* a provider's offer */                                                             \
    T(AUDIT, "kith.audit")        /* an auditor's report */                                                            \
    T(BEACON, "kith.beacon")      /* draws */                                                                          \
    T(DIGEST, "kith.digest")      /* the running digest of an answer */                                                \
    T(SAMPLE, "kith.sample")      /* the sampler's random numbers */                                                   \
    T(TOKENS, "kith.tokens")      /* a prompt's token ids */                                                           \
    T(HIDDEN, "kith.hidden")      /* a position's final hidden state, for the digest */                                \
    T(TENSOR, "kith.tensor")      /* one tensor's bytes */                                                             \
    T(SEAL, "kith.seal")          /* key derivation of sealed messages */                                              \
    T(DATA, "kith.data")          /* salted data leaves */                                                             \
    T(KEYSTORE, "kith.keystore")  /* wallet files */                                                                   \
    T(FILE, "kith.file")          /* checksums of our own files */                                                     \
    T(GOSSIP, "kith.gossip")      /* ids of gossiped messages */                                                       \
    T(MULTI, "kith.multi")        /* k-of-n accounts */                                                                \
    T(CONSENT, "kith.consent")    /* a node agrees to its owner */                                                     \
    T(SNAPSHOT, "kith.snapshot")  /* the table of a snapshot's leaves */                                               \
    T(APIKEY, "kith.apikey")      /* keys of the HTTP API */                                                           \
    T(VRF, "kith.vrf")            /* the secret of a validator's random function */                                    \
    T(PLANT, "kith.plant")        /* a digest that no replay gives, from a secret */                                   \
    T(CLAIM, "kith.claim")        /* what a claim promises to publish */                                               \
    T(PAGE, "kith.page")          /* what a page of a cache was made from */                                           \
    T(HOP, "kith.hop")            /* what a device says its layers made of a call, and the calls before */             \
    T(HOP_BYTES, "kith.hopbytes") /* a call of layers, or its answer */                                                \
    T(TRAIN, "kith.train")        /* a training's draws and its running digest */                                      \
    T(WITNESS, "kith.witness")    /* rows that only a replay has */                                                    \
    T(PLACES, "kith.places")      /* ... and where a key draws them */

enum hash_tag {
#define T(name, text) HASH_##name,
    HASH_TAG_LIST(T)
#undef T
        HASH_TAG_COUNT
};

/* Running hash; plain memory, may be copied to fork it. */
struct hasher {
    _Alignas(64) uint8_t opaque[384];
};

void hash_start(struct hasher *h, enum hash_tag tag);
void hash_add(struct hasher *h, const void *p, size_t n);
void hash_add_u32(struct hasher *h, uint32_t v); /* little-endian */
void hash_add_u64(struct hasher *h, uint64_t v);
struct hash hash_end(struct hasher *h);
struct hash hash_once(enum hash_tag tag, const void *p, size_t n);
/* Several at once: out = hash_once of the 32 bytes at `a`, then `b`, together at most 128. As if one after the other
 * where an output is no other's input. */
#define HASH_JOB_MAX 96u
struct hash_job {
    const void *a, *b;
    uint32_t b_n; /* at most HASH_JOB_MAX */
    struct hash *out;
};
void hash_many(enum hash_tag tag, const struct hash_job *jobs, size_t n);
/* The 16 bytes that tell this use from others. */
void hash_tag_text(enum hash_tag tag, uint8_t out[16]);
/* Keyed: the key enters as BLAKE2b's key parameter. */
struct hash hash_keyed(enum hash_tag tag, const uint8_t key[32], const void *p, size_t n);
/* SipHash-2-4: places in tables whose keys strangers choose. Who does not know the (random) key cannot make two keys
 * meet in one place more often than chance does. Nothing that is signed, sent or stored. */
uint64_t hash_place(const uint8_t key[16], const void *p, size_t n);

bool hash_equal(const struct hash *a, const struct hash *b);
int hash_compare(const struct hash *a, const struct hash *b);
bool hash_is_zero(const struct hash *h);

struct hash hash_sha256(const void *p, size_t n);
struct hash hash_sha256_two(const void *p, size_t n, const void *q, size_t m); /* of p then q */
void hash_hmac_sha256(uint8_t out[32], const void *key, size_t key_n, const void *p, size_t n);
void hash_hmac_sha512(uint8_t out[64], const void *key, size_t key_n, const void *p, size_t n);
/* HKDF-SHA256 (RFC 5869) with empty info, 64 bytes out, as BOLT 8 uses it. */
void hash_hkdf2(uint8_t out1[32], uint8_t out2[32], const uint8_t salt[32], const void *input, size_t input_n);
/* PBKDF2-HMAC-SHA512 (RFC 8018), 64 bytes out, as BIP39 uses it. */
void hash_pbkdf2_sha512(uint8_t out[64], const void *password, size_t password_n, const void *salt, size_t salt_n,
                        uint32_t rounds);

#endif
