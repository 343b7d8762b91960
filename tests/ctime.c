/* Does anything that a secret decides decide where the processor goes, or what it reads? Run under valgrind's memcheck
 * (make ctime): secrets are marked as uninitialised, and memcheck then reports each branch and each address that
 * depends on them. Results that are made to be seen are marked as known again.
 *
 * What libraries do knowingly is suppressed by name, with the reason, in tests/ctime.supp. With KITH_CTIME_BAD set, a
 * comparison that stops at the first difference is run as well: then memcheck must report it. */
#include "base/seal.h"
#include "base/secret.h"
#include "base/vrf.h"
#include "p2p/noise.h"
#include "wallet/bip32.h"
#include "wallet/keystore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

static void hide(void *p, size_t n)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n);
}

static void show(const void *p, size_t n)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

static struct seckey hidden_key(uint8_t b)
{
    struct seckey k;
    memset(k.b, b, sizeof k.b);
    hide(&k, sizeof k);
    return k;
}

static void keys(void)
{
    struct seckey k = hidden_key(7), even = k;
    struct pubkey public, derived;
    struct hash h = {{1}};
    struct sig sig;
    public = key_public(&k);
    key_derive(&even, &derived);
    show(&public, sizeof public);
    show(&derived, sizeof derived);
    CHECK(pubkey_equal(&public, &derived));
    key_sign_hash(&k, &h, NULL, &sig);
    show(&sig, sizeof sig);
    CHECK(key_verify_hash(&public, &h, &sig));
    uint8_t shared[32];
    struct seckey other = {{9}};
    struct point there = key_point(&other);
    bool ok = key_ecdh(&k, &there, shared);
    show(&ok, sizeof ok);
    CHECK(ok);
    uint8_t tweak[32] = {3};
    hide(tweak, sizeof tweak);
    ok = key_tweak_secret(&k, tweak);
    show(&ok, sizeof ok);
    CHECK(ok);
    secret_wipe(&k, sizeof k);
}

static void seals(void)
{
    uint8_t key[32] = {1}, nonce[SEAL_NONCE_SIZE] = {0}, text[100] = {2}, sealed[100 + SEAL_TAG_SIZE], back[100];
    hide(key, sizeof key);
    hide(text, sizeof text);
    seal_put(sealed, key, nonce, "ad", 2, text, sizeof text);
    show(sealed, sizeof sealed);
    bool ok = seal_get(back, key, nonce, "ad", 2, sealed, sizeof sealed);
    show(&ok, sizeof ok);
    CHECK(ok);
    seal_transport_put(sealed, key, nonce, "ad", 2, text, sizeof text);
    show(sealed, sizeof sealed);
    ok = seal_transport_get(back, key, nonce, "ad", 2, sealed, sizeof sealed);
    show(&ok, sizeof ok);
    CHECK(ok);
    seal_stream(back, key, 1, text, sizeof text);

    struct seckey to = hidden_key(5), ephemeral = hidden_key(6);
    struct pubkey public;
    struct buf out = {0}, opened = {0};
    key_derive(&to, &public);
    show(&public, sizeof public);
    ok = seal_to_key(&out, &public, &ephemeral, text, sizeof text);
    show(&ok, sizeof ok);
    show(out.p, out.n);
    CHECK(ok);
    ok = seal_open(&opened, &to, out.p, out.n);
    show(&ok, sizeof ok);
    CHECK(ok);
    buf_clear(&out);
    buf_clear(&opened);
}

static void comparing(void)
{
    uint8_t a[32] = {1}, b[32] = {1};
    hide(a, sizeof a);
    bool same = secret_equal(a, b, sizeof a);
    show(&same, sizeof same);
    CHECK(same);
    if (getenv("KITH_CTIME_BAD"))
        for (size_t i = 0; i < sizeof a; i++)
            if (a[i] != b[i])
                exit(1);
}

static void texts(void)
{
    uint8_t key[32] = {0xab, 1};
    char hex[65];
    hide(key, sizeof key);
    hex_put(hex, key, sizeof key);
}

static void handshake(void)
{
    struct seckey a = hidden_key(11), b = hidden_key(12), ea = hidden_key(13), eb = hidden_key(14);
    struct noise one, two;
    struct buf act = {0}, answer = {0};
    struct point there = key_point(&b);
    show(&there, sizeof there);
    bool ok = noise_init_initiator(&one, &a, &there, &ea, &act);
    show(&ok, sizeof ok);
    CHECK(ok);
    noise_init_responder(&two, &b, &eb);
    for (int i = 0; i < 3; i++) {
        show(act.p, act.n); /* it goes over the wire */
        enum noise_fail result = noise_step(i % 2 ? &one : &two, bytes_of_buf(&act), &answer);
        show(&result, sizeof result);
        CHECK(result == NOISE_OK);
        buf_reset(&act);
        buf_add(&act, answer.p, answer.n);
        buf_reset(&answer);
    }
    CHECK(one.state == NOISE_DONE && two.state == NOISE_DONE);
    uint8_t secret[40] = {7}, got[40];
    uint16_t length;
    hide(secret, sizeof secret);
    noise_put(&one, &answer, bytes_of(secret, sizeof secret));
    show(answer.p, answer.n);
    ok = noise_get_length(&two, answer.p, &length);
    show(&ok, sizeof ok);
    show(&length, sizeof length);
    CHECK(ok && length == sizeof secret);
    ok = noise_get_body(&two, answer.p + NOISE_HEADER_SIZE, length, got);
    show(&ok, sizeof ok);
    CHECK(ok);
    noise_clear(&one);
    noise_clear(&two);
    buf_clear(&act);
    buf_clear(&answer);
}

static void randomness(void)
{
    struct seckey k = hidden_key(21);
    struct vrf_secret secret = vrf_secret_of(&k);
    struct vrf_public public = vrf_public_of(&secret);
    struct vrf_proof proof;
    uint8_t output[VRF_OUTPUT_SIZE];
    show(&public, sizeof public);
    vrf_prove(&secret, "input", 5, &proof);
    show(&proof, sizeof proof);
    CHECK(vrf_verify(&public, "input", 5, &proof, output));
}

static void wallets(void)
{
    uint8_t seed[64] = {1};
    struct bip32_key key;
    hide(seed, sizeof seed);
    bool ok = bip32_master(&key, seed, sizeof seed);
    show(&ok, sizeof ok);
    CHECK(ok);
    ok = bip32_child(&key, BIP32_HARD | 3);
    show(&ok, sizeof ok);
    CHECK(ok);
    ok = bip32_child(&key, 4);
    show(&ok, sizeof ok);
    CHECK(ok);
}

int main(void)
{
    if (!RUNNING_ON_VALGRIND) {
        printf("run it under valgrind: make ctime\n");
        return 2;
    }
    keys();
    seals();
    comparing();
    texts();
    handshake();
    randomness();
    wallets();
    printf("ctime: keys, seals, comparing, texts, handshake, random function, derivation\n");
    return 0;
}
