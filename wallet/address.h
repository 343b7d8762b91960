/* Addresses: an account's public key for people, as bech32m (BIP350) with the network's prefix. Five bits a
 * character, a checksum of six: up to four wrong characters are always noticed. */
#ifndef KITH_WALLET_ADDRESS_H
#define KITH_WALLET_ADDRESS_H

#include "base/key.h"

#define ADDRESS_PREFIX_MAIN "kith"
#define ADDRESS_PREFIX_DEV  "kithdev"
#define ADDRESS_PREFIX_MAX  15
/* Prefix, "1", 52 characters of key, 6 of checksum, a NUL. */
#define ADDRESS_TEXT_ROOM (ADDRESS_PREFIX_MAX + 1 + 52 + 6 + 1)
#define BECH32M_MAX       90 /* characters of any bech32m text (BIP173) */

/* `prefix` is lower-case letters, at most ADDRESS_PREFIX_MAX. */
void address_put(const char *prefix, const struct pubkey *key, char text[ADDRESS_TEXT_ROOM]);
/* `prefix` NULL takes either of ours. The note says what is wrong with which part: prefix of another network, a
 * character and its position, length, checksum. The key is a point of the curve. */
enum err address_get(const char *text, const char *prefix, struct pubkey *key, struct note *note) MUST_USE;

/* The encoding below: hrp and five-bit groups. `data` holds BECH32M_MAX; hrp is written in lower case. */
enum err address_bech32m_get(const char *text, char hrp[BECH32M_MAX], uint8_t *data, size_t *n,
                             struct note *note) MUST_USE;

#endif
