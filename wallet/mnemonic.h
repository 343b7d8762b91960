/* BIP39: entropy as words that a person can write down, and the seed that follows from them. English.
 * Wallets are made with 24 words; restoring also takes the shorter lengths of the standard. */
#ifndef KITH_WALLET_MNEMONIC_H
#define KITH_WALLET_MNEMONIC_H

#include "base/bytes.h"

#define MNEMONIC_WORDS       24
#define MNEMONIC_ENTROPY_MAX 32
#define MNEMONIC_SEED_SIZE   64
/* 24 words of at most 8 letters, spaces between, a NUL. */
#define MNEMONIC_TEXT_ROOM (MNEMONIC_WORDS * 9)

/* n is 16, 20, 24, 28 or 32. All of these hold secrets: the caller keeps them in locked memory and wipes them. */
void mnemonic_put(const uint8_t *entropy, size_t n, char text[MNEMONIC_TEXT_ROOM]);
/* Words of either case with any white space between. *n bytes of entropy; the note names a wrong word by its position
 * and what it may have been, and says when only the checksum is wrong. */
enum err mnemonic_get(const char *text, uint8_t entropy[MNEMONIC_ENTROPY_MAX], size_t *n, struct note *note) MUST_USE;
/* PBKDF2 as BIP39 has it. `text` as mnemonic_put writes it; `passphrase` is ASCII, usually "". */
void mnemonic_seed(const char *text, const char *passphrase, uint8_t seed[MNEMONIC_SEED_SIZE]);

#endif
