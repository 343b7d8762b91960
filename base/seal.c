/* Authenticated encryption, over libsodium. */
#include "base/seal.h"

#include "base/secret.h"

#include <sodium.h>
#include <string.h>

void seal_transport_put(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const void *ad, size_t ad_n,
                        const void *p, size_t n)
{
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, p, n, ad, ad_n, NULL, nonce, key);
}

bool seal_transport_get(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const void *ad, size_t ad_n,
                        const void *p, size_t n)
{
    return n >= SEAL_TAG_SIZE &&
           crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, p, n, ad, ad_n, nonce, key) == 0;
}

void seal_put(uint8_t *out, const uint8_t key[32], const uint8_t nonce[SEAL_NONCE_SIZE], const void *ad, size_t ad_n,
              const void *p, size_t n)
{
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, p, n, ad, ad_n, NULL, nonce, key);
}

bool seal_get(uint8_t *out, const uint8_t key[32], const uint8_t nonce[SEAL_NONCE_SIZE], const void *ad, size_t ad_n,
              const void *p, size_t n)
{
    return n >= SEAL_TAG_SIZE &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, p, n, ad, ad_n, nonce, key) == 0;
}

/* The key is used for one message only (the ephemeral key is fresh), so the nonce may be constant. */
static const uint8_t one_use_nonce[SEAL_NONCE_SIZE];

static struct hash seal_key(const uint8_t shared[32], const struct point *ephemeral, const struct pubkey *to)
{
    struct hasher h;
    hash_start(&h, HASH_SEAL);
    hash_add(&h, shared, 32);
    hash_add(&h, ephemeral->b, sizeof ephemeral->b);
    hash_add(&h, to->b, sizeof to->b);
    struct hash key = hash_end(&h);
    secret_wipe(&h, sizeof h);
    return key;
}

bool seal_to_key(struct buf *out, const struct pubkey *to, const struct seckey *ephemeral, const void *p, size_t n)
{
    uint8_t shared[32];
    struct point there = key_point_even(to);
    if (!key_ecdh(ephemeral, &there, shared))
        return false;
    struct point here = key_point(ephemeral);
    struct hash key = seal_key(shared, &here, to);
    buf_reserve(out, n + SEAL_TO_KEY_EXTRA);
    buf_add(out, here.b, sizeof here.b);
    seal_put(out->p + out->n, key.b, one_use_nonce, here.b, sizeof here.b, p, n);
    out->n += n + SEAL_TAG_SIZE;
    secret_wipe(shared, sizeof shared);
    secret_wipe(&key, sizeof key);
    return true;
}

bool seal_open(struct buf *out, const struct seckey *secret, const void *p, size_t n)
{
    struct point there;
    uint8_t shared[32];
    if (n < SEAL_TO_KEY_EXTRA)
        return false;
    memcpy(there.b, p, sizeof there.b);
    if (!key_ecdh(secret, &there, shared))
        return false;
    struct pubkey to = key_public(secret);
    struct hash key = seal_key(shared, &there, &to);
    size_t body = n - sizeof there.b;
    buf_reserve(out, body);
    bool good = seal_get(out->p + out->n, key.b, one_use_nonce, there.b, sizeof there.b,
                         (const uint8_t *)p + sizeof there.b, body);
    if (good)
        out->n += body - SEAL_TAG_SIZE;
    secret_wipe(shared, sizeof shared);
    secret_wipe(&key, sizeof key);
    return good;
}

void seal_stream(uint8_t *out, const uint8_t key[32], uint64_t number, const void *p, size_t n)
{
    uint8_t nonce[crypto_stream_xchacha20_NONCEBYTES] = {0};
    store_le64(nonce, number);
    crypto_stream_xchacha20_xor(out, p, n, nonce, key);
}

bool seal_password_key(uint8_t key[32], const char *password, size_t n, const uint8_t salt[16], uint64_t passes,
                       size_t memory_bytes)
{
    _Static_assert(crypto_pwhash_SALTBYTES == 16, "Argon2id salt");
    CHECK(sodium_init() >= 0);
    return crypto_pwhash(key, 32, password, n, salt, passes, memory_bytes, crypto_pwhash_ALG_ARGON2ID13) == 0;
}
