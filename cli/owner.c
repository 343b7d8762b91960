/* From a body to a block. */
#include "cli/owner.h"

#include "base/mem.h"
#include "base/secret.h"
#include "cli/client.h"
#include "cli/line.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int strange(const struct cli *cli)
{
    return cli_fail(cli, CLI_REFUSED,
                    "kithd's answer is not as docs/api.md has it: do kith and kithd differ in version?");
}

/* The chain's id, prefix and fees. */
static int read_terms(struct owner *o)
{
    json_t *info;
    int rc = client_get(o->cli, &info, "/kith/v1/chain/info");
    if (rc != CLI_DONE)
        return rc;
    const json_t *fees = json_object_get(info, "fees");
    const char *id = json_text(info, "id"), *prefix = json_text(info, "prefix");
    if (id && strlen(id) == 64 && hex_get(id, o->terms.chain.b, HASH_SIZE) && prefix &&
        strlen(prefix) <= ADDRESS_PREFIX_MAX && *prefix &&
        out_amount_get(json_object_get(fees, "per_byte"), &o->terms.fee_per_byte) &&
        out_amount_get(json_object_get(fees, "per_work"), &o->terms.fee_per_work)) {
        snprintf(o->prefix, sizeof o->prefix, "%s", prefix);
        address_put(o->prefix, &o->account->key, o->address);
    } else
        rc = strange(o->cli);
    json_decref(info);
    return rc;
}

static int read_account(struct owner *o)
{
    json_t *account;
    int rc = client_get(o->cli, &account, "/kith/v1/accounts/%s", o->address);
    if (rc != CLI_DONE)
        return rc;
    const json_t *nonce = json_object_get(account, "next_nonce");
    if (json_is_integer(nonce) && json_integer_value(nonce) >= 0 &&
        out_amount_get(json_object_get(account, "balance"), &o->balance))
        o->terms.nonce = (uint64_t)json_integer_value(nonce);
    else
        rc = strange(o->cli);
    json_decref(account);
    return rc;
}

int owner_open(struct owner *o, const struct cli *cli, const char *account)
{
    struct note note = {{0}};
    *o = (struct owner){.cli = cli};
    int rc = accounts_load(cli, &o->accounts);
    if (rc != CLI_DONE)
        return rc;
    o->account = accounts_find(&o->accounts, account, &note);
    if (!o->account)
        return cli_fail(cli, CLI_USAGE, "%s", note.text);
    rc = read_terms(o);
    return rc == CLI_DONE ? read_account(o) : rc;
}

void owner_close(struct owner *o)
{
    if (o->key)
        secret_free(o->key);
    accounts_clear(&o->accounts);
    *o = (struct owner){0};
}

int owner_unlock(struct owner *o)
{
    struct note note = {{0}};
    if (o->key)
        return CLI_DONE;
    if (!o->account->own)
        return cli_fail(
            o->cli, CLI_USAGE,
            "account \"%.40s\" is only watched, its key is elsewhere: `kith tx build` writes a file to be signed "
            "there with `kith tx sign`",
            o->account->name);
    char *password = secret_new(LINE_PASSWORD_ROOM);
    struct keystore_secret *secret = secret_new(sizeof *secret);
    o->key = secret_new(sizeof *o->key);
    enum err e = line_password(o->cli, "password of the wallet: ", false, password, &note);
    if (e == ERR_OK)
        e = keystore_unlock(o->accounts.ks, password, secret, &note);
    if (e == ERR_OK)
        e = keystore_key(o->account->own, secret, o->key, &note);
    secret_free(secret);
    secret_free(password);
    if (e == ERR_OK)
        return CLI_DONE;
    secret_free(o->key);
    o->key = NULL;
    return cli_fail_note(o->cli, e, &note);
}

int owner_fee(struct owner *o, enum tx_kind kind, struct bytes body, struct amount *fee)
{
    struct note note = {{0}};
    enum err e = sign_fee(&o->terms, kind, body, fee, &note);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(o->cli, e, &note);
}

int owner_check_funds(struct owner *o, struct amount spend, struct amount fees)
{
    char have[AMOUNT_TEXT_ROOM], need[AMOUNT_TEXT_ROOM], fee[AMOUNT_TEXT_ROOM];
    struct amount total;
    if (amount_add(&total, spend, fees) && amount_compare(total, o->balance) <= 0)
        return CLI_DONE;
    amount_print(o->balance, have);
    amount_print(spend, need);
    amount_print(fees, fee);
    return cli_fail(o->cli, CLI_USAGE,
                    "not enough money: %s KITH and fees of %s KITH are needed, account \"%s\" (%s) has %s", need, fee,
                    o->account->name, o->address, have);
}

int owner_wait_tx(const struct cli *cli, const char *id, json_t **reply)
{
    enum { WAIT_S = 20, GIVE_UP_MS = 60000 };
    uint64_t start = out_now_ms();
    char path[128];
    snprintf(path, sizeof path, "/kith/v1/tx/%.64s?wait=%d", id, WAIT_S);
    for (;;) {
        int rc = client_get_patiently(cli, WAIT_S * 1000 + CLIENT_TIMEOUT_MS, reply, path);
        if (rc != CLI_DONE)
            return rc;
        const char *state = json_text(*reply, "state");
        bool included = state && strcmp(state, "included") == 0;
        if (included && json_is_true(json_object_get(*reply, "ok")))
            return CLI_DONE;
        if (included)
            rc = cli_fail(cli, CLI_REFUSED, "the transaction is in block %" JSON_INTEGER_FORMAT " but did nothing: %s",
                          out_count(*reply, "height"), out_text(*reply, "error"));
        else if (out_now_ms() - start > GIVE_UP_MS)
            rc = cli_fail(cli, CLI_LATE, "the transaction is not in a block yet: `kith tx show %s` will tell", id);
        json_decref(*reply);
        *reply = NULL;
        if (rc != CLI_DONE)
            return rc;
    }
}

int owner_send(struct owner *o, enum tx_kind kind, struct bytes body, json_t **reply)
{
    struct note note = {{0}};
    struct buf raw = {0};
    int rc = owner_unlock(o);
    *reply = NULL;
    if (rc != CLI_DONE)
        return rc;
    enum err e = sign_tx(&raw, o->key, &o->terms, kind, body, NULL, NULL, &note);
    if (e != ERR_OK) {
        buf_clear(&raw);
        return cli_fail_note(o->cli, e, &note);
    }
    char *hex = mem_new(2 * raw.n + 1);
    json_t *posted = NULL;
    hex_put(hex, raw.p, raw.n);
    rc = client_post_take(o->cli, "/kith/v1/tx", json_pack("{s:s}", "tx", hex), &posted);
    if (rc == CLI_DONE) {
        o->terms.nonce++;
        rc = owner_wait_tx(o->cli, out_text(posted, "id"), reply);
    }
    json_decref(posted);
    free(hex);
    buf_clear(&raw);
    return rc;
}
