/* The wallet's file: one set of recovery words, sealed by a password, and the accounts derived from it by name.
 *
 * Names and public keys are readable without the password (so that a balance can be asked for), the entropy
 * behind the words is not:
 *
 *     magic "kithkeys" | keystore_file record | H[kith.keystore](all before)
 *     sealed = XChaCha20-Poly1305(key = Argon2id(password, salt, passes, memory), entropy), with the encoding of
 *              everything but the nonce and `sealed` as associated data
 *
 * so a changed name or key is noticed at the next unlocking, damage at once, and a wrong password is told
 * from damage. The file is replaced as a whole (written beside, synced, renamed), mode 0600.
 */
#ifndef KITH_WALLET_KEYSTORE_H
#define KITH_WALLET_KEYSTORE_H

#include "base/codec.h"
#include "wallet/address.h"
#include "wallet/mnemonic.h"

#define KEYSTORE_FILE_FIELDS(F)                                                                                        \
    F(u32, version)                                                                                                    \
    F(u32, passes)                                                                                                     \
    F(u32, memory_kib)                                                                                                 \
    F(blob, salt)                                                                                                      \
    F(text64, prefix)                                                                                                  \
    F(blob, accounts)                                                                                                  \
    F(blob, nonce)                                                                                                     \
    F(blob, sealed)
RECORD_DECLARE(keystore_file, KEYSTORE_FILE_FIELDS)

/* `accounts` is these one behind the other, by ascending number. */
#define KEYSTORE_ACCOUNT_FIELDS(F) F(u32, number) F(pubkey, key) F(text64, name)
RECORD_DECLARE(keystore_account, KEYSTORE_ACCOUNT_FIELDS)

/* What a guess of the password costs. */
struct keystore_cost {
    uint32_t passes;
    uint32_t memory_kib;
};
/* RFC 9106's second choice for memory and passes: about a fifth of a second here. */
extern const struct keystore_cost keystore_cost_usual;

struct keystore {
    struct keystore_cost cost;
    uint8_t salt[16];
    struct text64 prefix; /* of addresses, as the wallet shows them */
    struct keystore_account accounts[WALLET_ACCOUNTS_MAX];
    unsigned accounts_n; /* at least one */
    uint8_t nonce[24];
    uint8_t sealed[1 + MNEMONIC_ENTROPY_MAX + 16]; /* length byte, entropy padded to 32, tag */
};

/* What the password opens. Only in memory from secret_new. */
struct keystore_secret {
    uint8_t key[32]; /* Argon2id's result, so that adding an account need not ask again */
    uint8_t entropy[MNEMONIC_ENTROPY_MAX];
    uint8_t entropy_n;
};

/* A wallet of these words with a first account; salt and nonce are drawn. `secret` holds the entropy, its key is filled
 * in. ERR_FULL when the memory for Argon2id cannot be had. */
enum err keystore_init(struct keystore *ks, struct keystore_secret *secret, const char *prefix, const char *name,
                       const char *password, struct keystore_cost cost, struct note *note) MUST_USE;
/* ERR_AUTH for a wrong password. */
enum err keystore_unlock(const struct keystore *ks, const char *password, struct keystore_secret *secret,
                         struct note *note) MUST_USE;
/* The next account, sealed anew. ERR_EXISTS when the name is taken, ERR_LIMIT, ERR_FORMAT for a bad name. */
enum err keystore_add(struct keystore *ks, const struct keystore_secret *secret, const char *name,
                      struct note *note) MUST_USE;
/* Forgets all accounts but the first n >= 1, and seals anew. */
void keystore_keep(struct keystore *ks, const struct keystore_secret *secret, unsigned n);
/* By name, or the first when name is NULL. NULL with the names that exist in the note. Borrowed. */
const struct keystore_account *keystore_find(const struct keystore *ks, const char *name, struct note *note);
/* The secret key of an account of this wallet; checked against its public key. */
enum err keystore_key(const struct keystore_account *account, const struct keystore_secret *secret, struct seckey *key,
                      struct note *note) MUST_USE;
/* 24 words (or as many as the wallet was restored from); locked memory and wiped by the caller. */
void keystore_words(const struct keystore_secret *secret, char text[MNEMONIC_TEXT_ROOM]);

/* The file's bytes; keystore_get is total over hostile input. */
void keystore_put(struct buf *out, const struct keystore *ks);
enum err keystore_get(struct bytes file, struct keystore *ks, struct note *note) MUST_USE;
/* ERR_NOT_FOUND when there is none. */
enum err keystore_read(const char *path, struct keystore *ks, struct note *note) MUST_USE;
/* `fresh`: refuses to replace an existing file (ERR_EXISTS). */
enum err keystore_write(const char *path, const struct keystore *ks, bool fresh, struct note *note) MUST_USE;

#endif
