/* BOLT 8, "Authenticated Key Exchange Handshake Specification" and "Lightning Message Specification". */
#include "p2p/noise.h"

#include "base/limits.h"
#include "base/seal.h"
#include "base/secret.h"

#include <string.h>

#define ROTATE_AFTER 1000

static const char protocol_name[] = "Noise_XK_secp256k1_ChaChaPoly_SHA256";
static const char prologue[] = "lightning";

static const char *const fail_names[] = {
#define F(name) #name,
    NOISE_FAIL_LIST(F)
#undef F
};

const char *noise_fail_name(enum noise_fail f)
{
    return (size_t)f < sizeof fail_names / sizeof *fail_names ? fail_names[f] : "UNKNOWN";
}

/* A nonce is 32 zero bits and the counter, little-endian. */
static void nonce_of(uint8_t nonce[12], uint64_t counter)
{
    memset(nonce, 0, 4);
    store_le64(nonce + 4, counter);
}

static void mix_hash(struct noise *n, const void *p, size_t size)
{
    struct hash h = hash_sha256_two(n->h, sizeof n->h, p, size);
    memcpy(n->h, h.b, sizeof n->h);
}

/* ck, temp = HKDF(ck, ECDH(secret, point)). */
static bool mix_key(struct noise *n, const struct seckey *secret, const struct point *point)
{
    uint8_t shared[32];
    if (!key_ecdh(secret, point, shared))
        return false;
    uint8_t ck[32];
    hash_hkdf2(ck, n->temp, n->ck, shared, sizeof shared);
    memcpy(n->ck, ck, sizeof ck);
    secret_wipe(shared, sizeof shared);
    secret_wipe(ck, sizeof ck);
    return true;
}

/* Encrypts with h as associated data, mixes the ciphertext in, appends it. */
static void put_sealed(struct noise *n, uint64_t counter, const void *p, size_t size, struct buf *out)
{
    uint8_t nonce[12], sealed[33 + SEAL_TAG_SIZE];
    CHECK(size <= 33);
    nonce_of(nonce, counter);
    seal_transport_put(sealed, n->temp, nonce, n->h, sizeof n->h, p, size);
    mix_hash(n, sealed, size + SEAL_TAG_SIZE);
    buf_add(out, sealed, size + SEAL_TAG_SIZE);
}

/* `size` counts the tag. */
static bool get_sealed(struct noise *n, uint64_t counter, const uint8_t *p, size_t size, uint8_t *out)
{
    uint8_t nonce[12];
    nonce_of(nonce, counter);
    if (!seal_transport_get(out, n->temp, nonce, n->h, sizeof n->h, p, size))
        return false;
    mix_hash(n, p, size);
    return true;
}

static void start(struct noise *n, const struct seckey *self, const struct seckey *ephemeral, const struct point *to)
{
    *n = (struct noise){.self = *self, .ephemeral = *ephemeral};
    struct hash h = hash_sha256(protocol_name, sizeof protocol_name - 1);
    memcpy(n->ck, h.b, sizeof n->ck);
    memcpy(n->h, h.b, sizeof n->h);
    mix_hash(n, prologue, sizeof prologue - 1);
    mix_hash(n, to->b, sizeof to->b);
}

/* Acts 1 and 2 have one shape: version 0, an ephemeral key, the tag of nothing. */
static void put_ephemeral(struct noise *n, const struct point *other, struct buf *out)
{
    struct point mine = key_point(&n->ephemeral);
    uint8_t version = 0;
    buf_add(out, &version, 1);
    buf_add(out, mine.b, sizeof mine.b);
    mix_hash(n, mine.b, sizeof mine.b);
    CHECK(mix_key(n, &n->ephemeral, other)); /* `other` was checked when it came */
    put_sealed(n, 0, "", 0, out);
}

bool noise_init_initiator(struct noise *n, const struct seckey *self, const struct point *remote,
                          const struct seckey *ephemeral, struct buf *out)
{
    if (!key_point_is_valid(remote))
        return false;
    start(n, self, ephemeral, remote);
    n->remote = *remote;
    put_ephemeral(n, remote, out);
    n->state = NOISE_WAIT_ACT2;
    return true;
}

void noise_init_responder(struct noise *n, const struct seckey *self, const struct seckey *ephemeral)
{
    struct point mine = key_point(self);
    start(n, self, ephemeral, &mine);
    n->state = NOISE_WAIT_ACT1;
}

void noise_clear(struct noise *n)
{
    secret_wipe(n, sizeof *n);
    n->state = NOISE_FAILED;
}

size_t noise_wants(const struct noise *n)
{
    switch (n->state) {
    case NOISE_WAIT_ACT1:
        return NOISE_ACT1_SIZE;
    case NOISE_WAIT_ACT2:
        return NOISE_ACT2_SIZE;
    case NOISE_WAIT_ACT3:
        return NOISE_ACT3_SIZE;
    case NOISE_DONE:
    case NOISE_FAILED:
        break;
    }
    return 0;
}

/* The handshake's secrets go; the transport keys start from the last chaining key. */
static void split(struct noise *n, bool initiator)
{
    uint8_t first[32], second[32];
    hash_hkdf2(first, second, n->ck, "", 0);
    memcpy(n->send.key, initiator ? first : second, 32);
    memcpy(n->receive.key, initiator ? second : first, 32);
    memcpy(n->send.chain, n->ck, 32);
    memcpy(n->receive.chain, n->ck, 32);
    secret_wipe(first, sizeof first);
    secret_wipe(second, sizeof second);
    secret_wipe(n->ck, sizeof n->ck);
    secret_wipe(n->temp, sizeof n->temp);
    secret_wipe(&n->self, sizeof n->self);
    secret_wipe(&n->ephemeral, sizeof n->ephemeral);
    n->state = NOISE_DONE;
}

static void put_act3(struct noise *n, struct buf *out)
{
    struct point mine = key_point(&n->self);
    uint8_t version = 0;
    buf_add(out, &version, 1);
    put_sealed(n, 1, mine.b, sizeof mine.b, out);
    CHECK(mix_key(n, &n->self, &n->remote_ephemeral));
    put_sealed(n, 0, "", 0, out);
}

static enum noise_fail get_act1(struct noise *n, const uint8_t *act, struct buf *out)
{
    uint8_t nothing[1];
    memcpy(n->remote_ephemeral.b, act + 1, sizeof n->remote_ephemeral.b);
    if (act[0] != 0)
        return NOISE_ACT1_BAD_VERSION;
    if (!key_point_is_valid(&n->remote_ephemeral))
        return NOISE_ACT1_BAD_PUBKEY;
    mix_hash(n, n->remote_ephemeral.b, sizeof n->remote_ephemeral.b);
    if (!mix_key(n, &n->self, &n->remote_ephemeral))
        return NOISE_ACT1_BAD_PUBKEY;
    if (!get_sealed(n, 0, act + 34, SEAL_TAG_SIZE, nothing))
        return NOISE_ACT1_BAD_TAG;
    put_ephemeral(n, &n->remote_ephemeral, out);
    n->state = NOISE_WAIT_ACT3;
    return NOISE_OK;
}

static enum noise_fail get_act2(struct noise *n, const uint8_t *act, struct buf *out)
{
    uint8_t nothing[1];
    memcpy(n->remote_ephemeral.b, act + 1, sizeof n->remote_ephemeral.b);
    if (act[0] != 0)
        return NOISE_ACT2_BAD_VERSION;
    if (!key_point_is_valid(&n->remote_ephemeral))
        return NOISE_ACT2_BAD_PUBKEY;
    mix_hash(n, n->remote_ephemeral.b, sizeof n->remote_ephemeral.b);
    if (!mix_key(n, &n->ephemeral, &n->remote_ephemeral))
        return NOISE_ACT2_BAD_PUBKEY;
    if (!get_sealed(n, 0, act + 34, SEAL_TAG_SIZE, nothing))
        return NOISE_ACT2_BAD_TAG;
    put_act3(n, out);
    split(n, true);
    return NOISE_OK;
}

static enum noise_fail get_act3(struct noise *n, const uint8_t *act)
{
    uint8_t nothing[1];
    if (act[0] != 0)
        return NOISE_ACT3_BAD_VERSION;
    if (!get_sealed(n, 1, act + 1, sizeof n->remote.b + SEAL_TAG_SIZE, n->remote.b))
        return NOISE_ACT3_BAD_CIPHERTEXT;
    if (!key_point_is_valid(&n->remote) || !mix_key(n, &n->ephemeral, &n->remote))
        return NOISE_ACT3_BAD_PUBKEY;
    if (!get_sealed(n, 0, act + 50, SEAL_TAG_SIZE, nothing))
        return NOISE_ACT3_BAD_TAG;
    split(n, false);
    return NOISE_OK;
}

enum noise_fail noise_step(struct noise *n, struct bytes act, struct buf *out)
{
    enum noise_fail fail = NOISE_ACT1_READ_FAILED;
    bool whole = act.n == noise_wants(n);
    switch (n->state) {
    case NOISE_WAIT_ACT1:
        fail = whole ? get_act1(n, act.p, out) : NOISE_ACT1_READ_FAILED;
        break;
    case NOISE_WAIT_ACT2:
        fail = whole ? get_act2(n, act.p, out) : NOISE_ACT2_READ_FAILED;
        break;
    case NOISE_WAIT_ACT3:
        fail = whole ? get_act3(n, act.p) : NOISE_ACT3_READ_FAILED;
        break;
    case NOISE_DONE:
    case NOISE_FAILED:
        break;
    }
    if (fail != NOISE_OK)
        noise_clear(n);
    return fail;
}

/* BOLT 8, "Lightning Message Key Rotation". */
static void used(struct noise_direction *d)
{
    if (++d->nonce < ROTATE_AFTER)
        return;
    uint8_t chain[32], key[32];
    hash_hkdf2(chain, key, d->chain, d->key, sizeof d->key);
    memcpy(d->chain, chain, sizeof chain);
    memcpy(d->key, key, sizeof key);
    secret_wipe(chain, sizeof chain);
    secret_wipe(key, sizeof key);
    d->nonce = 0;
}

static void seal_next(struct noise_direction *d, struct buf *out, const void *p, size_t n)
{
    uint8_t nonce[12];
    nonce_of(nonce, d->nonce);
    buf_reserve(out, n + SEAL_TAG_SIZE);
    seal_transport_put(out->p + out->n, d->key, nonce, NULL, 0, p, n);
    out->n += n + SEAL_TAG_SIZE;
    used(d);
}

void noise_put(struct noise *n, struct buf *out, struct bytes body)
{
    CHECK(n->state == NOISE_DONE && body.n <= FRAME_BODY_MAX);
    uint8_t length[2] = {(uint8_t)(body.n >> 8), (uint8_t)body.n};
    seal_next(&n->send, out, length, sizeof length);
    seal_next(&n->send, out, body.p, body.n);
}

static bool open_next(struct noise *n, const uint8_t *p, size_t size, uint8_t *out)
{
    uint8_t nonce[12];
    if (n->state != NOISE_DONE)
        return false;
    nonce_of(nonce, n->receive.nonce);
    if (!seal_transport_get(out, n->receive.key, nonce, NULL, 0, p, size)) {
        noise_clear(n);
        return false;
    }
    used(&n->receive);
    return true;
}

bool noise_get_length(struct noise *n, const uint8_t header[NOISE_HEADER_SIZE], uint16_t *length)
{
    uint8_t clear[2];
    if (!open_next(n, header, NOISE_HEADER_SIZE, clear))
        return false;
    *length = (uint16_t)(clear[0] << 8 | clear[1]);
    return true;
}

bool noise_get_body(struct noise *n, const uint8_t *p, uint16_t length, uint8_t *out)
{
    return open_next(n, p, (size_t)length + NOISE_TAG_SIZE, out);
}
