/* The curve, over libsecp256k1. One context for the process: made once, blinded with fresh random
 * bytes, and never written again, so it may be used from any thread. */
#include "base/key.h"

#include "base/secret.h"

#include <pthread.h>
#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>
#include <string.h>

static secp256k1_context *context;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;

static void context_make(void)
{
    uint8_t seed[32];
    context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    CHECK(context);
    secret_random(seed, sizeof seed);
    CHECK(secp256k1_context_randomize(context, seed));
    secret_wipe(seed, sizeof seed);
}

static const secp256k1_context *ctx(void)
{
    CHECK(pthread_once(&context_once, context_make) == 0);
    return context;
}

bool key_is_valid(const struct seckey *secret)
{
    return secp256k1_ec_seckey_verify(ctx(), secret->b);
}

void key_new(struct seckey *secret)
{
    do
        secret_random(secret->b, sizeof secret->b);
    while (!key_is_valid(secret));
}

static void keypair_make(const struct seckey *secret, secp256k1_keypair *pair, struct pubkey *public, int *odd)
{
    secp256k1_xonly_pubkey x;
    CHECK(secp256k1_keypair_create(ctx(), pair, secret->b));
    CHECK(secp256k1_keypair_xonly_pub(ctx(), &x, odd, pair));
    CHECK(secp256k1_xonly_pubkey_serialize(ctx(), public->b, &x));
}

void key_derive(struct seckey *secret, struct pubkey *public)
{
    secp256k1_keypair pair;
    struct seckey negated = *secret;
    int odd;
    keypair_make(secret, &pair, public, &odd);
    CHECK(secp256k1_ec_seckey_negate(ctx(), negated.b));
    uint8_t take = (uint8_t)-odd; /* no branch: which of the two it is says a bit of the secret */
    for (size_t i = 0; i < sizeof secret->b; i++)
        secret->b[i] = (uint8_t)((secret->b[i] & ~take) | (negated.b[i] & take));
    secret_wipe(&negated, sizeof negated);
    secret_wipe(&pair, sizeof pair);
}

struct pubkey key_public(const struct seckey *secret)
{
    secp256k1_keypair pair;
    struct pubkey public;
    int odd;
    keypair_make(secret, &pair, &public, &odd);
    secret_wipe(&pair, sizeof pair);
    return public;
}

static struct point point_of(const secp256k1_pubkey *k)
{
    struct point p;
    size_t n = sizeof p.b;
    CHECK(secp256k1_ec_pubkey_serialize(ctx(), p.b, &n, k, SECP256K1_EC_COMPRESSED) && n == sizeof p.b);
    return p;
}

struct point key_point(const struct seckey *secret)
{
    secp256k1_pubkey k;
    CHECK(secp256k1_ec_pubkey_create(ctx(), &k, secret->b));
    return point_of(&k);
}

struct point key_point_even(const struct pubkey *public)
{
    struct point p;
    p.b[0] = SECP256K1_TAG_PUBKEY_EVEN;
    memcpy(p.b + 1, public->b, sizeof public->b);
    return p;
}

bool key_public_is_valid(const struct pubkey *public)
{
    secp256k1_xonly_pubkey x;
    return secp256k1_xonly_pubkey_parse(ctx(), &x, public->b);
}

bool key_point_is_valid(const struct point *p)
{
    secp256k1_pubkey k;
    return secp256k1_ec_pubkey_parse(ctx(), &k, p->b, sizeof p->b);
}

void key_sign(const struct seckey *secret, enum hash_tag tag, const void *message, size_t n, const uint8_t *aux32,
              struct sig *out)
{
    struct hash h = hash_once(tag, message, n);
    key_sign_hash(secret, &h, aux32, out);
}

bool key_verify(const struct pubkey *public, enum hash_tag tag, const void *message, size_t n, const struct sig *sig)
{
    struct hash h = hash_once(tag, message, n);
    return key_verify_hash(public, &h, sig);
}

void key_sign_hash(const struct seckey *secret, const struct hash *hash, const uint8_t *aux32, struct sig *out)
{
    secp256k1_keypair pair;
    CHECK(secp256k1_keypair_create(ctx(), &pair, secret->b));
    CHECK(secp256k1_schnorrsig_sign32(ctx(), out->b, hash->b, &pair, aux32));
    secret_wipe(&pair, sizeof pair);
}

bool key_verify_hash(const struct pubkey *public, const struct hash *hash, const struct sig *sig)
{
    return key_verify_message(public, hash->b, sizeof hash->b, sig);
}

bool key_verify_message(const struct pubkey *public, const void *message, size_t n, const struct sig *sig)
{
    secp256k1_xonly_pubkey x;
    return secp256k1_xonly_pubkey_parse(ctx(), &x, public->b) &&
           secp256k1_schnorrsig_verify(ctx(), sig->b, message, n, &x);
}

bool key_ecdh(const struct seckey *secret, const struct point *other, uint8_t shared[32])
{
    secp256k1_pubkey k;
    return secp256k1_ec_pubkey_parse(ctx(), &k, other->b, sizeof other->b) &&
           secp256k1_ecdh(ctx(), shared, &k, secret->b, secp256k1_ecdh_hash_function_sha256, NULL);
}

bool key_tweak_secret(struct seckey *secret, const uint8_t tweak[32])
{
    return secp256k1_ec_seckey_tweak_add(ctx(), secret->b, tweak);
}

bool key_tweak_point(struct point *p, const uint8_t tweak[32])
{
    secp256k1_pubkey k;
    if (!secp256k1_ec_pubkey_parse(ctx(), &k, p->b, sizeof p->b) || !secp256k1_ec_pubkey_tweak_add(ctx(), &k, tweak))
        return false;
    *p = point_of(&k);
    return true;
}

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

int pubkey_compare(const struct pubkey *a, const struct pubkey *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}
