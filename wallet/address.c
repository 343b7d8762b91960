/* Bech32m (BIP173 with the constant of BIP350) around an x-only public key. */
#include "wallet/address.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define BECH32M_CONSTANT UINT32_C(0x2bc830a3)

enum { CHECKSUM_LENGTH = 6, KEY_GROUPS = 52 };

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* One step of the BCH code's remainder (BIP173, "Checksum"). */
static uint32_t checksum_step(uint32_t c, uint8_t value)
{
    static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
    uint32_t top = c >> 25;
    c = (c & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < 5; i++)
        c ^= top >> i & 1 ? generator[i] : 0;
    return c;
}

static uint32_t checksum_of_prefix(const char *hrp)
{
    uint32_t c = 1;
    for (const char *p = hrp; *p; p++)
        c = checksum_step(c, (uint8_t)(*p >> 5));
    c = checksum_step(c, 0);
    for (const char *p = hrp; *p; p++)
        c = checksum_step(c, (uint8_t)(*p & 31));
    return c;
}

void address_put(const char *prefix, const struct pubkey *key, char text[ADDRESS_TEXT_ROOM])
{
    size_t at = strlen(prefix);
    CHECK(at > 0 && at <= ADDRESS_PREFIX_MAX);
    uint32_t c = checksum_of_prefix(prefix);
    memcpy(text, prefix, at);
    text[at++] = '1';
    for (size_t group = 0; group < KEY_GROUPS; group++) {
        unsigned v = 0;
        for (size_t i = group * 5; i < group * 5 + 5; i++)
            v = v << 1 | (i < 256 ? (unsigned)key->b[i / 8] >> (7 - i % 8) & 1u : 0u);
        c = checksum_step(c, (uint8_t)v);
        text[at++] = alphabet[v];
    }
    for (int i = 0; i < CHECKSUM_LENGTH; i++)
        c = checksum_step(c, 0);
    c ^= BECH32M_CONSTANT;
    for (int i = 0; i < CHECKSUM_LENGTH; i++)
        text[at++] = alphabet[c >> (5 * (5 - i)) & 31];
    text[at] = 0;
}

/* One case throughout, and printable. */
static enum err check_characters(const char *text, size_t n, struct note *note)
{
    bool lower = false, upper = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 33 || c > 126)
            return note_set(note, ERR_FORMAT, "character %zu of the address is not printable ASCII", i + 1);
        lower = lower || islower(c);
        upper = upper || isupper(c);
    }
    return lower && upper ? note_set(note, ERR_FORMAT, "the address \"%.20s...\" mixes upper and lower case", text)
                          : ERR_OK;
}

enum err address_bech32m_get(const char *text, char hrp[BECH32M_MAX], uint8_t *data, size_t *n, struct note *note)
{
    size_t length = strnlen(text, BECH32M_MAX + 1);
    if (length > BECH32M_MAX)
        return note_set(note, ERR_FORMAT, "\"%.20s...\" is longer than any address", text);
    enum err e = check_characters(text, length, note);
    if (e != ERR_OK)
        return e;
    const char *one = strrchr(text, '1');
    if (!one || one == text)
        return note_set(note, ERR_FORMAT, "\"%s\" is not an address: it has no prefix such as kith1", text);
    size_t prefix = (size_t)(one - text), groups = length - prefix - 1;
    if (groups < CHECKSUM_LENGTH)
        return note_set(note, ERR_FORMAT, "\"%s\" is too short for an address", text);
    for (size_t i = 0; i < prefix; i++)
        hrp[i] = (char)tolower((unsigned char)text[i]);
    hrp[prefix] = 0;
    uint32_t c = checksum_of_prefix(hrp);
    for (size_t i = 0; i < groups; i++) {
        const char *at = strchr(alphabet, tolower((unsigned char)one[1 + i]));
        if (!at)
            return note_set(note, ERR_FORMAT, "character %zu, '%c', of the address \"%s\" is never used in one",
                            prefix + 2 + i, one[1 + i], text);
        uint8_t value = (uint8_t)(at - alphabet);
        c = checksum_step(c, value);
        if (i + CHECKSUM_LENGTH < groups)
            data[i] = value;
    }
    if (c != BECH32M_CONSTANT)
        return note_set(note, ERR_FORMAT,
                        "the address \"%s\" has a wrong checksum: a character is mistaken: copy it again", text);
    *n = groups - CHECKSUM_LENGTH;
    return ERR_OK;
}

enum err address_get(const char *text, const char *prefix, struct pubkey *key, struct note *note)
{
    char hrp[BECH32M_MAX];
    uint8_t data[BECH32M_MAX];
    size_t n;
    struct pubkey out = {{0}};
    enum err e = address_bech32m_get(text, hrp, data, &n, note);
    if (e != ERR_OK)
        return e;
    bool ours = strcmp(hrp, ADDRESS_PREFIX_MAIN) == 0 || strcmp(hrp, ADDRESS_PREFIX_DEV) == 0;
    if (prefix ? strcmp(hrp, prefix) != 0 : !ours) {
        if (prefix && ours)
            return note_set(note, ERR_CHAIN, "%s is an address of another network: here they begin with %s1", text,
                            prefix);
        return note_set(note, ERR_FORMAT, "%s is not an address of Kith: they begin with %s1", text,
                        prefix ? prefix : ADDRESS_PREFIX_MAIN);
    }
    /* 260 bits for 256: the last four must be zero, so that a key has one address. */
    if (n != KEY_GROUPS || data[n - 1] & 15)
        return note_set(note, ERR_FORMAT, "%s does not hold a public key of 32 bytes", text);
    for (size_t i = 0; i < 256; i++)
        out.b[i / 8] |= (uint8_t)(((unsigned)data[i / 5] >> (4 - i % 5) & 1u) << (7 - i % 8));
    if (!key_public_is_valid(&out))
        return note_set(note, ERR_FORMAT, "%s does not hold a public key: its number is not on the curve", text);
    *key = out;
    return ERR_OK;
}
