/* Keys on secp256k1: BIP340 Schnorr signatures for everything that is signed, ECDH for handshakes
 * and seals, tweaks for BIP32.
 *
 * A public key is the 32-byte x coordinate (BIP340); the point meant is the one with even y, so the
 * 33-byte form that BOLT 8 uses is 0x02 followed by it. key_derive makes secret keys fit that.
 */
#ifndef KITH_BASE_KEY_H
#define KITH_BASE_KEY_H

#include "base/hash.h"

struct pubkey {
    uint8_t b[32];
};
struct point { /* compressed, as BOLT 8 sends it */
    uint8_t b[33];
};
struct seckey {
    uint8_t b[32];
};
struct sig {
    uint8_t b[64];
};

/* False if `secret` is not in 1..n-1. */
bool key_is_valid(const struct seckey *secret) MUST_USE;
/* A fresh key from the system's random source. */
void key_new(struct seckey *secret);
/* The public key; if its point has an odd y, *secret is negated, so that ECDH with it agrees with
 * the even point. Secret must be valid. */
void key_derive(struct seckey *secret, struct pubkey *public);
/* BIP340 public key without touching the secret. */
struct pubkey key_public(const struct seckey *secret);
struct point key_point(const struct seckey *secret);
struct point key_point_even(const struct pubkey *public);
/* True if the x coordinate is on the curve. */
bool key_public_is_valid(const struct pubkey *public) MUST_USE;
bool key_point_is_valid(const struct point *p) MUST_USE;

/* Signs BLAKE2b-256(tag, message). aux32 may be NULL: then the nonce depends on key and message alone
 * and the same bytes come out each time. */
void key_sign(const struct seckey *secret, enum hash_tag tag, const void *message, size_t n, const uint8_t *aux32,
              struct sig *out);
bool key_verify(const struct pubkey *public, enum hash_tag tag, const void *message, size_t n,
                const struct sig *sig) MUST_USE;
/* The same over a hash that is already made. */
void key_sign_hash(const struct seckey *secret, const struct hash *hash, const uint8_t *aux32, struct sig *out);
bool key_verify_hash(const struct pubkey *public, const struct hash *hash, const struct sig *sig) MUST_USE;
/* BIP340 over a message of any length, as the public vectors have it. */
bool key_verify_message(const struct pubkey *public, const void *message, size_t n, const struct sig *sig) MUST_USE;

/* SHA256 of the compressed shared point (BOLT 8's and libsecp256k1's ECDH). False if the point is bad. */
bool key_ecdh(const struct seckey *secret, const struct point *other, uint8_t shared[32]) MUST_USE;

/* BIP32: secret + tweak mod n, point + tweak G. False if the result or the tweak is out of range. */
bool key_tweak_secret(struct seckey *secret, const uint8_t tweak[32]) MUST_USE;
bool key_tweak_point(struct point *p, const uint8_t tweak[32]) MUST_USE;

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b);
int pubkey_compare(const struct pubkey *a, const struct pubkey *b);

#endif
