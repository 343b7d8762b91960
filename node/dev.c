/* The chain of one that kithd dev runs on. */
#include "node/dev.h"

#include "base/mem.h"
#include "base/secret.h"
#include "node/genesis_cmd.h"
#include "node/home.h"
#include "wallet/keystore.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Everything that belongs to a chain. */
static void begin_again(const struct config *c)
{
    static const char *const names[] = {"chain", "consensus",  "market",       "genesis.json",
                                        "share", "peers.book", "peers.anchors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = config_path(c, names[i]);
        nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(path);
    }
}

/* The owner's accounts, where `kith wallet new` made some before the chain, have money from the beginning as the node's
 * has. */
static enum err owner_accounts(const struct config *c, struct keystore *ks, struct note *note)
{
    char *path = config_path(c, "wallet/wallet.keys");
    ks->accounts_n = 0;
    enum err e = access(path, F_OK) == 0 ? keystore_read(path, ks, note) : ERR_OK;
    free(path);
    return e;
}

static enum err make_genesis(const struct config *c, char *path, const struct pubkey *id, struct note *note)
{
    enum { HOLDER_ROOM = 96 };
    struct keystore *ks = mem_new(sizeof *ks);
    char hex[65], validator[HOLDER_ROOM], account[1 + WALLET_ACCOUNTS_MAX][HOLDER_ROOM];
    char *words[8 + 2 * WALLET_ACCOUNTS_MAX] = {"--out", path, "--chain", "kith-dev", "--validator", validator};
    int n = 6;
    hex_put(hex, id->b, sizeof id->b);
    snprintf(validator, sizeof validator, "%s:1000", hex);
    enum err e = owner_accounts(c, ks, note);
    for (unsigned i = 0; e == ERR_OK && i <= ks->accounts_n; i++) {
        if (i)
            hex_put(hex, ks->accounts[i - 1].key.b, sizeof ks->accounts[i - 1].key.b);
        snprintf(account[i], sizeof account[i], "%s:1000000", hex);
        words[n++] = "--account";
        words[n++] = account[i];
    }
    free(ks);
    return e == ERR_OK ? genesis_cmd(n, words, note) : e;
}

enum err dev_prepare(struct config *c, struct note *note)
{
    struct seckey secret;
    struct pubkey id;
    int lock_fd;
    c->dev = c->validator = true;
    enum err e = home_open(c, &lock_fd, note);
    if (e != ERR_OK)
        return e;
    char *genesis = config_path(c, "genesis.json");
    if (c->fresh)
        begin_again(c);
    e = home_key(c, &secret, &id, note);
    if (e == ERR_OK && access(genesis, R_OK) != 0)
        e = make_genesis(c, genesis, &id, note);
    secret_wipe(&secret, sizeof secret);
    home_close(lock_fd);
    free(genesis);
    return e;
}
