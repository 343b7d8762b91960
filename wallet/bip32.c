/* BIP32, private parent to private child. */
#include "wallet/bip32.h"

#include "base/secret.h"

#include <string.h>

bool bip32_master(struct bip32_key *key, const void *seed, size_t n)
{
    static const char label[] = "Bitcoin seed";
    uint8_t out[64];
    hash_hmac_sha512(out, label, sizeof label - 1, seed, n);
    memcpy(key->secret.b, out, 32);
    memcpy(key->chain, out + 32, 32);
    secret_wipe(out, sizeof out);
    return key_is_valid(&key->secret);
}

bool bip32_child(struct bip32_key *key, uint32_t index)
{
    uint8_t data[37] = {0}, out[64];
    if (index & BIP32_HARD)
        memcpy(data + 1, key->secret.b, 32);
    else {
        struct point p = key_point(&key->secret);
        memcpy(data, p.b, sizeof p.b);
    }
    store_be32(data + 33, index);
    hash_hmac_sha512(out, key->chain, sizeof key->chain, data, sizeof data);
    bool good = key_tweak_secret(&key->secret, out);
    memcpy(key->chain, out + 32, 32);
    secret_wipe(data, sizeof data);
    secret_wipe(out, sizeof out);
    return good;
}

enum err bip32_path_get(const char *path, uint32_t steps[BIP32_DEPTH_MAX], unsigned *n, struct note *note)
{
    const char *p = path;
    *n = 0;
    if (*p++ != 'm')
        return note_set(note, ERR_FORMAT, "path \"%.60s\" does not begin with m", path);
    while (*p) {
        uint64_t v = 0;
        size_t digits = p[0] == '/' ? strspn(p + 1, "0123456789") : 0;
        if (digits == 0 || digits > 10 || *n == BIP32_DEPTH_MAX)
            return note_set(note, ERR_FORMAT, "path \"%.60s\" is not of the form m/44'/0/1", path);
        for (size_t i = 1; i <= digits; i++)
            v = v * 10 + (uint64_t)(p[i] - '0');
        p += 1 + digits;
        if (v >= BIP32_HARD)
            return note_set(note, ERR_RANGE, "path \"%.60s\" has a step of 2^31 or more", path);
        if (*p == '\'' || *p == 'H' || *p == 'h') {
            v |= BIP32_HARD;
            p++;
        }
        steps[(*n)++] = (uint32_t)v;
    }
    return ERR_OK;
}

bool bip32_account(struct seckey *out, const void *seed, size_t n, uint32_t account)
{
    struct bip32_key key;
    CHECK(account < BIP32_HARD);
    bool good = bip32_master(&key, seed, n) && bip32_child(&key, 44 | BIP32_HARD) &&
                bip32_child(&key, BIP32_COIN | BIP32_HARD) && bip32_child(&key, account | BIP32_HARD) &&
                bip32_child(&key, 0) && bip32_child(&key, 0);
    if (good)
        *out = key.secret;
    secret_wipe(&key, sizeof key);
    return good;
}
