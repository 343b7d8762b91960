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

/* Absent where the account's own key signs. */
static bool read_rule(struct owner *o, const json_t *rule)
{
    const json_t *keys = json_object_get(rule, "keys"), *address;
    json_int_t k = json_integer_value(json_object_get(rule, "k"));
    struct pubkey key;
    size_t i;
    if (!rule)
        return true;
    json_array_foreach(keys, i, address)
    {
        if (!json_is_string(address) || address_get(json_string_value(address), NULL, &key, NULL) != ERR_OK)
            return false;
        buf_add(&o->rule.room, key.b, sizeof key.b);
    }
    o->rule.keys = (struct hashes){o->rule.room.p, (uint32_t)json_array_size(keys)};
    if (k < 1 || k > COSIGNERS_MAX)
        return false;
    o->rule.k = (uint8_t)k;
    return tx_rule_check(o->rule.k, &o->rule.keys, NULL) == ERR_OK;
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
    if (rc == CLI_DONE && !read_rule(o, json_object_get(account, "rule")))
        rc = strange(o->cli);
    json_decref(account);
    return rc;
}

int owner_refresh(struct owner *o)
{
    buf_reset(&o->rule.room);
    o->rule.k = 0;
    o->rule.keys = (struct hashes){0};
    int rc = read_terms(o);
    return rc == CLI_DONE ? read_account(o) : rc;
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
    return owner_refresh(o);
}

void owner_close(struct owner *o)
{
    if (o->key)
        secret_free(o->key);
    accounts_clear(&o->accounts);
    buf_clear(&o->rule.room);
    *o = (struct owner){0};
}

int owner_key(const struct cli *cli, const struct accounts *all, const struct account *account, struct seckey **key)
{
    struct note note = {{0}};
    char *password = secret_new(LINE_PASSWORD_ROOM);
    struct keystore_secret *secret = secret_new(sizeof *secret);
    *key = secret_new(sizeof **key);
    enum err e = line_password(cli, "password of the wallet: ", false, password, &note);
    if (e == ERR_OK)
        e = keystore_unlock(all->ks, password, secret, &note);
    if (e == ERR_OK)
        e = keystore_key(account->own, secret, *key, &note);
    secret_free(secret);
    secret_free(password);
    if (e == ERR_OK)
        return CLI_DONE;
    secret_free(*key);
    *key = NULL;
    return cli_fail_note(cli, e, &note);
}

int owner_check_key(const struct owner *o)
{
    if (o->rule.k)
        return cli_fail(o->cli, CLI_USAGE,
                        "%u of %u keys sign for account \"%.40s\": `kith tx build`, or --out of what publishes, writes "
                        "a file for them to sign",
                        o->rule.k, o->rule.keys.n, o->account->name);
    if (!o->account->own)
        return cli_fail(o->cli, CLI_USAGE,
                        "account \"%.40s\" is only watched, its key is elsewhere: `kith tx build`, or --out of what "
                        "publishes, writes "
                        "a file to be signed there with `kith tx sign`",
                        o->account->name);
    return CLI_DONE;
}

int owner_unlock(struct owner *o)
{
    if (o->key)
        return CLI_DONE;
    int rc = owner_check_key(o);
    return rc != CLI_DONE ? rc : owner_key(o->cli, &o->accounts, o->account, &o->key);
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
    return cli_fail(o->cli, CLI_REFUSED,
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

int owner_post(const struct cli *cli, struct bytes tx, json_t **reply)
{
    char *hex = mem_new(2 * tx.n + 1);
    json_t *posted = NULL;
    hex_put(hex, tx.p, tx.n);
    *reply = NULL;
    int rc = client_post_take(cli, "/kith/v1/tx", json_pack("{s:s}", "tx", hex), &posted);
    if (rc == CLI_DONE)
        rc = owner_wait_tx(cli, out_text(posted, "id"), reply);
    json_decref(posted);
    free(hex);
    return rc;
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
    rc = e == ERR_OK ? owner_post(o->cli, bytes_of_buf(&raw), reply) : cli_fail_note(o->cli, e, &note);
    if (rc == CLI_DONE)
        o->terms.nonce++;
    buf_clear(&raw);
    return rc;
}
