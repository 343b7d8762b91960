/* Authenticated encryption: ChaCha20-Poly1305 (RFC 8439) for the transport, XChaCha20-Poly1305 for
 * files and for messages sealed to a key, and Argon2id for passwords. */
#ifndef KITH_BASE_SEAL_H
#define KITH_BASE_SEAL_H

#include "base/key.h"

#define SEAL_TAG_SIZE   16 /* what encryption adds */
#define SEAL_NONCE_SIZE 24
/* seal_to_key adds an ephemeral point, a nonce-free header and the tag. */
#define SEAL_TO_KEY_EXTRA (33 + SEAL_TAG_SIZE)

/* `out` holds n + SEAL_TAG_SIZE; nonce is 12 bytes. */
void seal_transport_put(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const void *ad, size_t ad_n,
                        const void *p, size_t n);
/* `out` holds n - SEAL_TAG_SIZE; false if n is too short or anything was altered. */
bool seal_transport_get(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const void *ad, size_t ad_n,
                        const void *p, size_t n) MUST_USE;

/* XChaCha20-Poly1305, with a 24-byte nonce that may be random. */
void seal_put(uint8_t *out, const uint8_t key[32], const uint8_t nonce[SEAL_NONCE_SIZE], const void *ad, size_t ad_n,
              const void *p, size_t n);
bool seal_get(uint8_t *out, const uint8_t key[32], const uint8_t nonce[SEAL_NONCE_SIZE], const void *ad, size_t ad_n,
              const void *p, size_t n) MUST_USE;

/* To whoever holds the secret of `to`: a fresh key agrees with it by ECDH; the shared secret and both
 * points make the AEAD key; the ephemeral point goes in front. `ephemeral` is wiped by the caller.
 * `out` grows by n + SEAL_TO_KEY_EXTRA. False if `to` is not on the curve. */
bool seal_to_key(struct buf *out, const struct pubkey *to, const struct seckey *ephemeral, const void *p,
                 size_t n) MUST_USE;
/* `secret` as key_derive left it. `out` grows by n - SEAL_TO_KEY_EXTRA. */
bool seal_open(struct buf *out, const struct seckey *secret, const void *p, size_t n) MUST_USE;

/* XChaCha20 alone, for what a hash vouches for: XORs the stream of (key, number as a little-endian nonce). The
 * same call undoes it. */
void seal_stream(uint8_t *out, const uint8_t key[32], uint64_t number, const void *p, size_t n);

/* Argon2id (RFC 9106); memory in bytes. False when the memory cannot be had. */
bool seal_password_key(uint8_t key[32], const char *password, size_t n, const uint8_t salt[16], uint64_t passes,
                       size_t memory_bytes) MUST_USE;

#endif
