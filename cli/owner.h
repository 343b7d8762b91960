/* The owner's side of a spending command: the wallet in `home`, the account that signs, the terms of the chain, and
 * the way of a transaction from a body to a block. Keys stay in this process, in locked memory. */
#ifndef KITH_CLI_OWNER_H
#define KITH_CLI_OWNER_H

#include "base/json.h"
#include "cli/accounts.h"
#include "wallet/sign.h"

/* --account, for the commands that sign. */
#define OWNER_ACCOUNT_OPTION                                                                                           \
    {                                                                                                                  \
        .name = "account", .type = OPTION_TEXT, .value = "NAME", .help = "which account of the wallet (the first)"     \
    }

struct owner {
    const struct cli *cli;
    struct accounts accounts;
    const struct account *account;
    char address[ADDRESS_TEXT_ROOM]; /* with the chain's prefix */
    char prefix[ADDRESS_PREFIX_MAX + 1];
    struct sign_terms terms;
    struct amount balance;
    struct { /* how many of these keys sign for the account; k = 0: its own */
        uint8_t k;
        struct hashes keys;
        struct buf room;
    } rule;
    struct seckey *key; /* NULL until unlocked */
};

/* A cli_exit each; on failure it has been said. owner_close is right after any of them. */
/* Reads the wallet, then asks the daemon for the chain's terms and this account's nonce and balance. */
int owner_open(struct owner *o, const struct cli *cli, const char *account);
void owner_close(struct owner *o);
/* Asks again for terms, nonce and balance. */
int owner_refresh(struct owner *o);
/* Can this wallet sign for the account alone? Else says what to do. */
int owner_check_key(const struct owner *o);
/* Asks the password, once. */
int owner_unlock(struct owner *o);
/* What a transaction with this body will pay. */
int owner_fee(struct owner *o, enum tx_kind kind, struct bytes body, struct amount *fee);
/* Refuses before anything is signed when balance < spend + fees. */
int owner_check_funds(struct owner *o, struct amount spend, struct amount fees);
/* Signs, posts, and waits until it is in a block. *reply as GET /kith/v1/tx/ID (the caller's). The next one signs with
 * the next nonce. */
int owner_send(struct owner *o, enum tx_kind kind, struct bytes body, json_t **reply);

/* Asks the wallet's password for the secret key of an account; secret_free it. */
int owner_key(const struct cli *cli, const struct accounts *all, const struct account *account, struct seckey **key);
/* Posts a signed transaction and waits until it is in a block. *reply is the caller's. */
int owner_post(const struct cli *cli, struct bytes tx, json_t **reply);
/* Waits for a transaction to be in a block: CLI_LATE when it is not within a minute. */
int owner_wait_tx(const struct cli *cli, const char *id, json_t **reply);

#endif
