/* ECVRF-EDWARDS25519-SHA512-TAI. Section numbers are those of RFC 9381. */
#include "base/vrf.h"

#include "base/secret.h"

#include <sodium.h>
#include <string.h>

#define SUITE           0x03
#define CHALLENGE_SIZE  16
#define POINT_SIZE      32
#define COFACTOR_SHIFTS 3 /* the cofactor is 8 */

struct scalar {
    uint8_t b[32];
};
struct ed_point { /* encoded */
    uint8_t b[POINT_SIZE];
};

struct vrf_secret vrf_secret_of(const struct seckey *key)
{
    struct hash h = hash_once(HASH_VRF, key->b, sizeof key->b);
    struct vrf_secret secret;
    memcpy(secret.b, h.b, sizeof secret.b);
    secret_wipe(&h, sizeof h);
    return secret;
}

/* RFC 8032, section 5.1.5: the scalar is the clamped first half; the second keys the nonce. */
static void secret_expand(const struct vrf_secret *secret, struct scalar *x, uint8_t nonce_key[32])
{
    uint8_t h[64];
    crypto_hash_sha512(h, secret->b, sizeof secret->b);
    memcpy(x->b, h, 32);
    memcpy(nonce_key, h + 32, 32);
    x->b[0] &= 248;
    x->b[31] &= 127;
    x->b[31] |= 64;
    secret_wipe(h, sizeof h);
}

struct vrf_public vrf_public_of(const struct vrf_secret *secret)
{
    struct scalar x;
    uint8_t nonce_key[32];
    struct vrf_public public;
    secret_expand(secret, &x, nonce_key);
    CHECK(crypto_scalarmult_ed25519_base_noclamp(public.b, x.b) == 0);
    secret_wipe(&x, sizeof x);
    secret_wipe(nonce_key, sizeof nonce_key);
    return public;
}

bool vrf_public_is_valid(const struct vrf_public *public)
{
    return crypto_core_ed25519_is_valid_point(public->b) == 1;
}

/* False where the bytes are not a point. */
static bool clear_cofactor(struct ed_point *p)
{
    for (int i = 0; i < COFACTOR_SHIFTS; i++)
        if (crypto_core_ed25519_add(p->b, p->b, p->b) != 0)
            return false;
    return true;
}

static void sha512_start(crypto_hash_sha512_state *s, uint8_t domain)
{
    const uint8_t front[2] = {SUITE, domain};
    crypto_hash_sha512_init(s);
    crypto_hash_sha512_update(s, front, sizeof front);
}

static void sha512_end(crypto_hash_sha512_state *s, uint8_t out[64])
{
    const uint8_t back = 0;
    crypto_hash_sha512_update(s, &back, 1);
    crypto_hash_sha512_final(s, out);
}

/* Section 5.4.1.1. The salt is the public key. Each try finds a point with probability 1/2; 256 that all fail have
 * never been seen. */
static bool encode_to_curve(const struct vrf_public *public, const void *input, size_t n, struct ed_point *h)
{
    for (unsigned counter = 0; counter < 256; counter++) {
        crypto_hash_sha512_state s;
        uint8_t digest[64], count = (uint8_t)counter;
        sha512_start(&s, 0x01);
        crypto_hash_sha512_update(&s, public->b, sizeof public->b);
        if (n)
            crypto_hash_sha512_update(&s, input, n);
        crypto_hash_sha512_update(&s, &count, 1);
        sha512_end(&s, digest);
        memcpy(h->b, digest, sizeof h->b);
        if (clear_cofactor(h) && crypto_core_ed25519_is_valid_point(h->b) == 1)
            return true;
    }
    return false;
}

/* Section 5.4.3. */
static void challenge(const struct vrf_public *public, const struct ed_point *h, const uint8_t *gamma,
                      const struct ed_point *u, const struct ed_point *v, uint8_t out[CHALLENGE_SIZE])
{
    crypto_hash_sha512_state s;
    uint8_t digest[64];
    sha512_start(&s, 0x02);
    crypto_hash_sha512_update(&s, public->b, sizeof public->b);
    crypto_hash_sha512_update(&s, h->b, sizeof h->b);
    crypto_hash_sha512_update(&s, gamma, POINT_SIZE);
    crypto_hash_sha512_update(&s, u->b, sizeof u->b);
    crypto_hash_sha512_update(&s, v->b, sizeof v->b);
    sha512_end(&s, digest);
    memcpy(out, digest, CHALLENGE_SIZE);
}

/* Section 5.4.2.2: the nonce depends on secret and input alone, as in Ed25519. */
static void nonce_make(const uint8_t nonce_key[32], const struct ed_point *h, struct scalar *k)
{
    crypto_hash_sha512_state s;
    uint8_t digest[64];
    crypto_hash_sha512_init(&s);
    crypto_hash_sha512_update(&s, nonce_key, 32);
    crypto_hash_sha512_update(&s, h->b, sizeof h->b);
    crypto_hash_sha512_final(&s, digest);
    crypto_core_ed25519_scalar_reduce(k->b, digest);
    secret_wipe(digest, sizeof digest);
    secret_wipe(&s, sizeof s);
}

/* Section 5.1. */
void vrf_prove(const struct vrf_secret *secret, const void *input, size_t n, struct vrf_proof *proof)
{
    struct scalar x, k, c = {{0}}, cx;
    struct ed_point h, u, v;
    uint8_t nonce_key[32];
    struct vrf_public public;
    secret_expand(secret, &x, nonce_key);
    CHECK(crypto_scalarmult_ed25519_base_noclamp(public.b, x.b) == 0);
    CHECK(encode_to_curve(&public, input, n, &h));
    nonce_make(nonce_key, &h, &k);
    CHECK(crypto_scalarmult_ed25519_noclamp(proof->b, x.b, h.b) == 0);
    CHECK(crypto_scalarmult_ed25519_base_noclamp(u.b, k.b) == 0);
    CHECK(crypto_scalarmult_ed25519_noclamp(v.b, k.b, h.b) == 0);
    challenge(&public, &h, proof->b, &u, &v, proof->b + POINT_SIZE);
    memcpy(c.b, proof->b + POINT_SIZE, CHALLENGE_SIZE);
    crypto_core_ed25519_scalar_mul(cx.b, c.b, x.b);
    crypto_core_ed25519_scalar_add(proof->b + POINT_SIZE + CHALLENGE_SIZE, k.b, cx.b);
    secret_wipe(&x, sizeof x);
    secret_wipe(&k, sizeof k);
    secret_wipe(&cx, sizeof cx);
    secret_wipe(nonce_key, sizeof nonce_key);
}

/* *out = s * a - c * b; `a` NULL is the base point. A product that is the neutral element is refused: no honest
 * proof has one, and to make one means to find a preimage. */
static bool combine(const struct scalar *s, const uint8_t *a, const struct scalar *c, const uint8_t *b,
                    struct ed_point *out)
{
    struct ed_point left, right;
    int bad =
        a ? crypto_scalarmult_ed25519_noclamp(left.b, s->b, a) : crypto_scalarmult_ed25519_base_noclamp(left.b, s->b);
    return bad == 0 && crypto_scalarmult_ed25519_noclamp(right.b, c->b, b) == 0 &&
           crypto_core_ed25519_sub(out->b, left.b, right.b) == 0;
}

/* Section 5.4.4: the response is below the order of the group, so a proof has one encoding. */
static bool response_is_reduced(const struct scalar *s)
{
    uint8_t wide[64] = {0}, reduced[32];
    memcpy(wide, s->b, sizeof s->b);
    crypto_core_ed25519_scalar_reduce(reduced, wide);
    return memcmp(reduced, s->b, sizeof reduced) == 0;
}

/* Section 5.2. */
bool vrf_output(const struct vrf_proof *proof, uint8_t output[VRF_OUTPUT_SIZE])
{
    crypto_hash_sha512_state s;
    struct ed_point p;
    memcpy(p.b, proof->b, sizeof p.b);
    if (!clear_cofactor(&p))
        return false;
    sha512_start(&s, 0x03);
    crypto_hash_sha512_update(&s, p.b, sizeof p.b);
    sha512_end(&s, output);
    return true;
}

/* Section 5.3. */
bool vrf_verify(const struct vrf_public *public, const void *input, size_t n, const struct vrf_proof *proof,
                uint8_t output[VRF_OUTPUT_SIZE])
{
    const uint8_t *gamma = proof->b;
    struct scalar c = {{0}}, s;
    struct ed_point h, u, v;
    uint8_t again[CHALLENGE_SIZE];
    memcpy(c.b, proof->b + POINT_SIZE, CHALLENGE_SIZE);
    memcpy(s.b, proof->b + POINT_SIZE + CHALLENGE_SIZE, sizeof s.b);
    if (!vrf_public_is_valid(public) || crypto_core_ed25519_is_valid_point(gamma) != 1 || !response_is_reduced(&s) ||
        !encode_to_curve(public, input, n, &h))
        return false;
    if (!combine(&s, NULL, &c, public->b, &u) || !combine(&s, h.b, &c, gamma, &v))
        return false;
    challenge(public, &h, gamma, &u, &v, again);
    return memcmp(again, c.b, sizeof again) == 0 && vrf_output(proof, output);
}

bool vrf_proof_is_zero(const struct vrf_proof *proof)
{
    static const struct vrf_proof zero;
    return memcmp(proof->b, zero.b, sizeof zero.b) == 0;
}

/* -- as fields of records -- */

CODEC_DEFINE_FIXED(vrf_public)
CODEC_DEFINE_FIXED(vrf_proof)
