/* The wallet's file. See the header for its layout. */
#include "wallet/keystore.h"

#include "base/file.h"
#include "base/seal.h"
#include "base/secret.h"
#include "wallet/bip32.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEYSTORE_VERSION 1

RECORD_DEFINE(keystore_file, KEYSTORE_FILE_FIELDS)
RECORD_DEFINE(keystore_account, KEYSTORE_ACCOUNT_FIELDS)

const struct keystore_cost keystore_cost_usual = {3, 65536};

static const char magic[8] = {'k', 'i', 't', 'h', 'k', 'e', 'y', 's'};

static bool cost_is_sane(struct keystore_cost c)
{
    return c.passes >= 1 && c.passes <= WALLET_PASSES_MAX && c.memory_kib >= WALLET_MEMORY_KIB_MIN &&
           c.memory_kib <= WALLET_MEMORY_KIB_MAX;
}

/* The file's record without nonce and sealed part (for associated data), or with them. */
static void put_record(struct buf *out, const struct keystore *ks, bool whole)
{
    struct buf accounts = {0};
    for (unsigned i = 0; i < ks->accounts_n; i++)
        keystore_account_put(&accounts, &ks->accounts[i]);
    struct keystore_file f = {
        .version = KEYSTORE_VERSION,
        .passes = ks->cost.passes,
        .memory_kib = ks->cost.memory_kib,
        .salt = bytes_of(ks->salt, sizeof ks->salt),
        .prefix = ks->prefix,
        .accounts = bytes_of_buf(&accounts),
        .nonce = bytes_of(ks->nonce, whole ? sizeof ks->nonce : 0),
        .sealed = bytes_of(ks->sealed, whole ? sizeof ks->sealed : 0),
    };
    buf_add(out, magic, sizeof magic);
    keystore_file_put(out, &f);
    buf_clear(&accounts);
}

static enum err derive(const struct keystore *ks, const char *password, struct keystore_secret *secret,
                       struct note *note)
{
    if (seal_password_key(secret->key, password, strlen(password), ks->salt, ks->cost.passes,
                          (size_t)ks->cost.memory_kib * 1024))
        return ERR_OK;
    return note_set(note, ERR_FULL, "not enough memory to check the password: it takes %u MiB",
                    ks->cost.memory_kib / 1024);
}

static void seal(struct keystore *ks, const struct keystore_secret *secret)
{
    struct buf ad = {0};
    uint8_t *plain = secret_new(1 + MNEMONIC_ENTROPY_MAX);
    plain[0] = secret->entropy_n;
    memcpy(plain + 1, secret->entropy, secret->entropy_n);
    secret_random(ks->nonce, sizeof ks->nonce);
    put_record(&ad, ks, false);
    seal_put(ks->sealed, secret->key, ks->nonce, ad.p, ad.n, plain, 1 + MNEMONIC_ENTROPY_MAX);
    secret_free(plain);
    buf_clear(&ad);
}

enum err keystore_unlock(const struct keystore *ks, const char *password, struct keystore_secret *secret,
                         struct note *note)
{
    enum err e = derive(ks, password, secret, note);
    if (e != ERR_OK)
        return e;
    struct buf ad = {0};
    uint8_t *plain = secret_new(1 + MNEMONIC_ENTROPY_MAX);
    put_record(&ad, ks, false);
    if (seal_get(plain, secret->key, ks->nonce, ad.p, ad.n, ks->sealed, sizeof ks->sealed) && plain[0] >= 16 &&
        plain[0] <= MNEMONIC_ENTROPY_MAX && plain[0] % 4 == 0) {
        secret->entropy_n = plain[0];
        memcpy(secret->entropy, plain + 1, sizeof secret->entropy);
    } else
        e = note_set(note, ERR_AUTH,
                     "wrong password: try again, or restore the wallet from its words in another --home");
    secret_free(plain);
    buf_clear(&ad);
    return e;
}

void keystore_words(const struct keystore_secret *secret, char text[MNEMONIC_TEXT_ROOM])
{
    mnemonic_put(secret->entropy, secret->entropy_n, text);
}

static void derive_account(const struct keystore_secret *secret, uint32_t number, struct seckey *key)
{
    struct work {
        char words[MNEMONIC_TEXT_ROOM];
        uint8_t seed[MNEMONIC_SEED_SIZE];
    } *w = secret_new(sizeof *w);
    keystore_words(secret, w->words);
    mnemonic_seed(w->words, "", w->seed);
    /* No seed is known, or will be, for which this fails: the chance is 2^-127 a step. */
    CHECK(bip32_account(key, w->seed, sizeof w->seed, number));
    secret_free(w);
}

enum err keystore_key(const struct keystore_account *account, const struct keystore_secret *secret, struct seckey *key,
                      struct note *note)
{
    derive_account(secret, account->number, key);
    struct pubkey public = key_public(key);
    if (pubkey_equal(&public, &account->key))
        return ERR_OK;
    secret_wipe(key, sizeof *key);
    return note_set(note, ERR_CORRUPT, "account \"%s\" does not belong to the words of this wallet", account->name.s);
}

/* A name is a word for the command line: letters, digits, - _ and . */
static enum err check_name(const char *name, struct note *note)
{
    size_t n = strlen(name);
    if (n == 0 || n > WALLET_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != n)
        return note_set(note, ERR_FORMAT, "\"%.40s\" is no name for an account: 1 to %d letters, digits, - _ or .",
                        name, WALLET_NAME_MAX);
    return ERR_OK;
}

static const struct keystore_account *find(const struct keystore *ks, const char *name)
{
    for (unsigned i = 0; i < ks->accounts_n; i++)
        if (strcmp(ks->accounts[i].name.s, name) == 0)
            return &ks->accounts[i];
    return NULL;
}

enum err keystore_add(struct keystore *ks, const struct keystore_secret *secret, const char *name, struct note *note)
{
    enum err e = check_name(name, note);
    if (e != ERR_OK)
        return e;
    if (find(ks, name))
        return note_set(note, ERR_EXISTS, "this wallet has an account \"%s\" already: take another --name", name);
    if (ks->accounts_n == WALLET_ACCOUNTS_MAX)
        return note_set(note, ERR_LIMIT, "this wallet has %d accounts, the most it can hold", WALLET_ACCOUNTS_MAX);
    struct keystore_account *a = &ks->accounts[ks->accounts_n];
    *a = (struct keystore_account){.number = ks->accounts_n ? ks->accounts[ks->accounts_n - 1].number + 1 : 0};
    CHECK(text64_set(&a->name, name));
    struct seckey *key = secret_new(sizeof *key);
    derive_account(secret, a->number, key);
    a->key = key_public(key);
    secret_free(key);
    ks->accounts_n++;
    seal(ks, secret);
    return ERR_OK;
}

void keystore_keep(struct keystore *ks, const struct keystore_secret *secret, unsigned n)
{
    CHECK(n >= 1 && n <= ks->accounts_n);
    ks->accounts_n = n;
    seal(ks, secret);
}

enum err keystore_init(struct keystore *ks, struct keystore_secret *secret, const char *prefix, const char *name,
                       const char *password, struct keystore_cost cost, struct note *note)
{
    *ks = (struct keystore){.cost = cost};
    CHECK(cost_is_sane(cost) && text64_set(&ks->prefix, prefix));
    if (!*password)
        return note_set(note, ERR_FORMAT, "the password is empty: choose one that is hard to guess");
    secret_random(ks->salt, sizeof ks->salt);
    enum err e = derive(ks, password, secret, note);
    return e == ERR_OK ? keystore_add(ks, secret, name, note) : e;
}

const struct keystore_account *keystore_find(const struct keystore *ks, const char *name, struct note *note)
{
    const struct keystore_account *a = name ? find(ks, name) : &ks->accounts[0];
    if (a)
        return a;
    char names[200];
    size_t at = 0;
    names[0] = 0;
    for (unsigned i = 0; i < ks->accounts_n && at < sizeof names - WALLET_NAME_MAX - 8; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", ks->accounts[i].name.s);
    note_set(note, ERR_NOT_FOUND, "this wallet has no account \"%.40s\": it has %s", name, names);
    return NULL;
}

void keystore_put(struct buf *out, const struct keystore *ks)
{
    size_t start = out->n;
    put_record(out, ks, true);
    struct hash sum = hash_once(HASH_KEYSTORE, out->p + start, out->n - start);
    buf_add(out, sum.b, sizeof sum.b);
}

static bool prefix_is_good(const struct text64 *prefix)
{
    return strcmp(prefix->s, ADDRESS_PREFIX_MAIN) == 0 || strcmp(prefix->s, ADDRESS_PREFIX_DEV) == 0;
}

static bool get_accounts(struct cursor c, struct keystore *ks)
{
    while (cursor_ok(&c) && c.n) {
        struct keystore_account a;
        keystore_account_get(&c, &a);
        if (!cursor_ok(&c) || ks->accounts_n == WALLET_ACCOUNTS_MAX || check_name(a.name.s, NULL) != ERR_OK ||
            find(ks, a.name.s) || a.number >= BIP32_HARD - 1 ||
            (ks->accounts_n && a.number <= ks->accounts[ks->accounts_n - 1].number))
            return false;
        ks->accounts[ks->accounts_n++] = a;
    }
    return cursor_ok(&c) && ks->accounts_n > 0;
}

enum err keystore_get(struct bytes file, struct keystore *ks, struct note *note)
{
    struct keystore_file f;
    *ks = (struct keystore){0};
    if (file.n < sizeof magic + HASH_SIZE || memcmp(file.p, magic, sizeof magic) != 0)
        return note_set(note, ERR_FORMAT, "not a wallet of Kith");
    struct hash sum = hash_once(HASH_KEYSTORE, file.p, file.n - HASH_SIZE);
    if (memcmp(sum.b, file.p + file.n - HASH_SIZE, HASH_SIZE) != 0)
        return note_set(note, ERR_CORRUPT, "damaged: restore the wallet from its words (`kith wallet restore`)");
    struct cursor c = cursor_of(bytes_of(file.p + sizeof magic, file.n - sizeof magic - HASH_SIZE));
    keystore_file_get(&c, &f);
    if (cursor_ok(&c) && f.version != KEYSTORE_VERSION)
        return note_set(note, ERR_UNSUPPORTED, "a wallet of version %u: this kith reads version %d", f.version,
                        KEYSTORE_VERSION);
    ks->cost = (struct keystore_cost){f.passes, f.memory_kib};
    ks->prefix = f.prefix;
    if (!cursor_end(&c) || !cost_is_sane(ks->cost) || !prefix_is_good(&f.prefix) || f.salt.n != sizeof ks->salt ||
        f.nonce.n != sizeof ks->nonce || f.sealed.n != sizeof ks->sealed || !get_accounts(cursor_of(f.accounts), ks))
        return note_set(note, ERR_FORMAT, "not a well-formed wallet");
    memcpy(ks->salt, f.salt.p, sizeof ks->salt);
    memcpy(ks->nonce, f.nonce.p, sizeof ks->nonce);
    memcpy(ks->sealed, f.sealed.p, sizeof ks->sealed);
    return ERR_OK;
}

enum err keystore_read(const char *path, struct keystore *ks, struct note *note)
{
    struct buf file = {0};
    struct note why = {{0}};
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return note_set(note, ERR_NOT_FOUND, "there is no wallet at %s: `kith wallet new` makes one", path);
    enum err e = file_read(path, WALLET_FILE_MAX, &file, note);
    if (e == ERR_OK) {
        e = keystore_get(bytes_of_buf(&file), ks, &why);
        if (e != ERR_OK)
            note_set(note, e, "%.150s: %.160s", path, why.text);
    }
    buf_clear(&file);
    return e;
}

enum err keystore_write(const char *path, const struct keystore *ks, bool fresh, struct note *note)
{
    struct buf file = {0};
    if (fresh && access(path, F_OK) == 0)
        return note_set(note, ERR_EXISTS, "there is a wallet at %s already; it is left as it is", path);
    keystore_put(&file, ks);
    enum err e = file_write(path, 0600, bytes_of_buf(&file), note);
    buf_clear(&file);
    return e;
}
