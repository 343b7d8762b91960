/* The hashes, over libsodium. */
#include "base/hash.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_generichash_blake2b_state) <= sizeof(struct hasher), "the opaque state fits");

static const char tags[HASH_TAG_COUNT][crypto_generichash_blake2b_PERSONALBYTES] = {
#define T(name, text) text,
    HASH_TAG_LIST(T)
#undef T
};

static void start_keyed(struct hasher *h, enum hash_tag tag, const uint8_t *key, size_t key_n)
{
    CHECK((unsigned)tag < HASH_TAG_COUNT);
    int bad = crypto_generichash_blake2b_init_salt_personal((void *)h->opaque, key, key_n, HASH_SIZE, NULL,
                                                            (const uint8_t *)tags[tag]);
    CHECK(bad == 0);
}

void hash_tag_text(enum hash_tag tag, uint8_t out[16])
{
    CHECK((unsigned)tag < HASH_TAG_COUNT);
    memcpy(out, tags[tag], sizeof tags[tag]);
}

void hash_start(struct hasher *h, enum hash_tag tag)
{
    start_keyed(h, tag, NULL, 0);
}

void hash_add(struct hasher *h, const void *p, size_t n)
{
    if (n)
        crypto_generichash_blake2b_update((void *)h->opaque, p, n);
}

void hash_add_u32(struct hasher *h, uint32_t v)
{
    uint8_t b[4];
    store_le32(b, v);
    hash_add(h, b, sizeof b);
}

void hash_add_u64(struct hasher *h, uint64_t v)
{
    uint8_t b[8];
    store_le64(b, v);
    hash_add(h, b, sizeof b);
}

struct hash hash_end(struct hasher *h)
{
    struct hash out;
    crypto_generichash_blake2b_final((void *)h->opaque, out.b, sizeof out.b);
    return out;
}

struct hash hash_once(enum hash_tag tag, const void *p, size_t n)
{
    struct hasher h;
    hash_start(&h, tag);
    hash_add(&h, p, n);
    return hash_end(&h);
}

struct hash hash_keyed(enum hash_tag tag, const uint8_t key[32], const void *p, size_t n)
{
    struct hasher h;
    start_keyed(&h, tag, key, 32);
    hash_add(&h, p, n);
    struct hash out = hash_end(&h);
    sodium_memzero(&h, sizeof h);
    return out;
}

uint64_t hash_place(const uint8_t key[16], const void *p, size_t n)
{
    uint8_t out[crypto_shorthash_BYTES];
    _Static_assert(crypto_shorthash_KEYBYTES == 16 && sizeof out == 8, "SipHash-2-4");
    crypto_shorthash(out, p, n, key);
    return load_le64(out);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_SIZE) == 0;
}

int hash_compare(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_SIZE);
}

bool hash_is_zero(const struct hash *h)
{
    static const struct hash zero;
    return hash_equal(h, &zero);
}

struct hash hash_sha256(const void *p, size_t n)
{
    return hash_sha256_two(p, n, NULL, 0);
}

struct hash hash_sha256_two(const void *p, size_t n, const void *q, size_t m)
{
    crypto_hash_sha256_state s;
    struct hash out;
    crypto_hash_sha256_init(&s);
    if (n)
        crypto_hash_sha256_update(&s, p, n);
    if (m)
        crypto_hash_sha256_update(&s, q, m);
    crypto_hash_sha256_final(&s, out.b);
    return out;
}

void hash_hmac_sha256(uint8_t out[32], const void *key, size_t key_n, const void *p, size_t n)
{
    crypto_auth_hmacsha256_state s;
    crypto_auth_hmacsha256_init(&s, key, key_n);
    if (n)
        crypto_auth_hmacsha256_update(&s, p, n);
    crypto_auth_hmacsha256_final(&s, out);
    sodium_memzero(&s, sizeof s);
}

void hash_hmac_sha512(uint8_t out[64], const void *key, size_t key_n, const void *p, size_t n)
{
    crypto_auth_hmacsha512_state s;
    crypto_auth_hmacsha512_init(&s, key, key_n);
    if (n)
        crypto_auth_hmacsha512_update(&s, p, n);
    crypto_auth_hmacsha512_final(&s, out);
    sodium_memzero(&s, sizeof s);
}

void hash_hkdf2(uint8_t out1[32], uint8_t out2[32], const uint8_t salt[32], const void *input, size_t input_n)
{
    uint8_t prk[32], t[33];
    hash_hmac_sha256(prk, salt, 32, input, input_n);
    t[0] = 1;
    hash_hmac_sha256(out1, prk, 32, t, 1);
    memcpy(t, out1, 32);
    t[32] = 2;
    hash_hmac_sha256(out2, prk, 32, t, 33);
    sodium_memzero(prk, sizeof prk);
    sodium_memzero(t, sizeof t);
}

void hash_pbkdf2_sha512(uint8_t out[64], const void *password, size_t password_n, const void *salt, size_t salt_n,
                        uint32_t rounds)
{
    crypto_auth_hmacsha512_state keyed, s;
    uint8_t u[64];
    const uint8_t first[4] = {0, 0, 0, 1};
    crypto_auth_hmacsha512_init(&keyed, password, password_n);
    s = keyed;
    crypto_auth_hmacsha512_update(&s, salt, salt_n);
    crypto_auth_hmacsha512_update(&s, first, sizeof first);
    crypto_auth_hmacsha512_final(&s, u);
    memcpy(out, u, 64);
    for (uint32_t i = 1; i < rounds; i++) {
        s = keyed;
        crypto_auth_hmacsha512_update(&s, u, sizeof u);
        crypto_auth_hmacsha512_final(&s, u);
        for (int k = 0; k < 64; k++)
            out[k] ^= u[k];
    }
    sodium_memzero(&keyed, sizeof keyed);
    sodium_memzero(&s, sizeof s);
    sodium_memzero(u, sizeof u);
}
