/* The chain of one that kithd dev runs on. */
#include "node/dev.h"

#include "base/secret.h"
#include "node/genesis_cmd.h"
#include "node/home.h"

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

static enum err make_genesis(char *path, const struct pubkey *id, struct note *note)
{
    char hex[65], validator[96], account[96];
    hex_put(hex, id->b, sizeof id->b);
    snprintf(validator, sizeof validator, "%s:1000", hex);
    snprintf(account, sizeof account, "%s:1000000", hex);
    char *words[] = {"--out", path, "--chain", "kith-dev", "--validator", validator, "--account", account};
    return genesis_cmd(sizeof words / sizeof *words, words, note);
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
        e = make_genesis(genesis, &id, note);
    secret_wipe(&secret, sizeof secret);
    home_close(lock_fd);
    free(genesis);
    return e;
}
