/* BIP32 derivation of secret keys, and the path of Kith's accounts:
 *
 *     m / 44' / 7717' / ACCOUNT' / 0 / 0
 *
 * as BIP44 lays it out; 7717 is the port that Kith listens on, and is not registered with SLIP-44. The
 * account's public key is the x coordinate alone (BIP340), so the key is used whichever sign its point has. */
#ifndef KITH_WALLET_BIP32_H
#define KITH_WALLET_BIP32_H

#include "base/key.h"

#define BIP32_HARD      UINT32_C(0x80000000)
#define BIP32_COIN      7717
#define BIP32_DEPTH_MAX 16

struct bip32_key {
    struct seckey secret;
    uint8_t chain[32]; /* the chain code, as secret as the key */
};

/* False for the one seed in 2^127 that gives no key. Seeds of 16 to 64 bytes. */
bool bip32_master(struct bip32_key *key, const void *seed, size_t n) MUST_USE;
/* Replaces *key by its child; false if that index gives no key (as rare). */
bool bip32_child(struct bip32_key *key, uint32_t index) MUST_USE;
/* "m/44'/7717'/0'/0/0", with ' or H or h for hardened; at most BIP32_DEPTH_MAX steps. */
enum err bip32_path_get(const char *path, uint32_t steps[BIP32_DEPTH_MAX], unsigned *n, struct note *note) MUST_USE;
/* The key of account number `account` (< BIP32_HARD) of the wallet with this seed. */
bool bip32_account(struct seckey *out, const void *seed, size_t n, uint32_t account) MUST_USE;

#endif
