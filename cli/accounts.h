/* The accounts that commands know by name: those of the wallet in `home`, and those that are only watched, whose keys
 * are on another machine. */
#ifndef KITH_CLI_ACCOUNTS_H
#define KITH_CLI_ACCOUNTS_H

#include "cli/cli.h"
#include "wallet/keystore.h"
#include "wallet/labels.h"

struct account {
    const char *name;
    struct pubkey key;
    const struct keystore_account *own; /* NULL: only watched */
};

struct accounts {
    struct keystore *ks; /* NULL: there is no wallet, something is watched */
    struct labels labels;
    struct account *at;
    unsigned n;
    char prefix[ADDRESS_PREFIX_MAX + 1]; /* of addresses: the running daemon's, else the wallet's */
};

/* HOME/wallet/wallet.keys and HOME/wallet/labels.jsonl; the caller frees. */
char *accounts_path(const struct cli *cli, const char *file);
/* A cli_exit, which has been said. accounts_clear is right after any. */
int accounts_load(const struct cli *cli, struct accounts *a);
void accounts_clear(struct accounts *a);
/* Asks the daemon, if one answers, for the prefix of its chain. */
void accounts_ask_prefix(const struct cli *cli, struct accounts *a);
/* By name, or the first when name is NULL; NULL with the names that exist in the note. Borrowed. */
const struct account *accounts_find(const struct accounts *a, const char *name, struct note *note);
/* What the person calls it: an account's name, a label, or NULL. Borrowed. */
const char *accounts_name(const struct accounts *a, const struct pubkey *key);
/* An address, or the name or label of one. */
int accounts_address(const struct cli *cli, const struct accounts *a, const char *text, const char *prefix,
                     struct pubkey *key);
/* The labels alone, where no wallet is needed. */
int accounts_labels_load(const struct cli *cli, struct labels *l);
int accounts_labels_save(const struct cli *cli, const struct labels *l);

/* The prefix of the running daemon's chain; false when none answers. */
bool accounts_daemon_prefix(const struct cli *cli, char prefix[ADDRESS_PREFIX_MAX + 1]);

#endif
