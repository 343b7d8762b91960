#include "wallet/offline.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND "transaction to sign"

void offline_clear(struct offline *o)
{
    buf_clear(&o->partial);
    *o = (struct offline){0};
}

static enum err decode(struct offline *o, struct note *note)
{
    enum err e = tx_partial_decode(bytes_of_buf(&o->partial), &o->p, &o->tx, note);
    if (e != ERR_OK)
        offline_clear(o);
    return e;
}

enum err offline_begin(struct offline *o, const char *prefix, const struct tx *t, uint8_t k, const struct hashes *keys,
                       struct note *note)
{
    *o = (struct offline){0};
    snprintf(o->prefix, sizeof o->prefix, "%s", prefix);
    enum err e = tx_partial_begin(&o->partial, t, k, keys, note);
    if (e != ERR_OK) {
        offline_clear(o);
        return e;
    }
    return decode(o, note);
}

/* -- the file -- */

static bool prefix_is_known(const char *prefix)
{
    return prefix && (strcmp(prefix, ADDRESS_PREFIX_MAIN) == 0 || strcmp(prefix, ADDRESS_PREFIX_DEV) == 0);
}

enum err offline_get(struct bytes file, struct offline *o, struct note *note)
{
    *o = (struct offline){0};
    json_t *v = json_parse(file, note);
    if (!v)
        return ERR_FORMAT;
    const char *kind = json_text(v, "kith"), *prefix = json_text(v, "prefix"), *hex = json_text(v, "partial");
    size_t n = hex ? strlen(hex) : 0;
    enum err e = ERR_OK;
    if (!kind || strcmp(kind, KIND) != 0 || !prefix_is_known(prefix) || n == 0 || n % 2)
        e = note_set(note, ERR_FORMAT, "not a transaction to sign: `kith tx build` makes one");
    else if (json_integer_value(json_object_get(v, "version")) != 1)
        e = note_set(note, ERR_UNSUPPORTED, "a file of another version: this kith reads version 1");
    else if (n > 2 * (TX_SIZE_MAX + COSIGNERS_MAX * 32u + 64))
        e = note_set(note, ERR_LIMIT, "longer than a transaction can be");
    if (e == ERR_OK) {
        snprintf(o->prefix, sizeof o->prefix, "%s", prefix);
        buf_reserve(&o->partial, n / 2);
        o->partial.n = n / 2;
        if (hex_get(hex, o->partial.p, n / 2))
            e = decode(o, note);
        else
            e = note_set(note, ERR_FORMAT, "\"partial\" is not hexadecimal");
    }
    if (e != ERR_OK)
        offline_clear(o);
    json_decref(v);
    return e;
}

void offline_put(struct buf *out, const struct offline *o)
{
    char *hex = mem_new(2 * o->partial.n + 1);
    hex_put(hex, o->partial.p, o->partial.n);
    buf_add_format(out, "{\"kith\":\"" KIND "\",\"version\":1,\"prefix\":\"%s\",\"partial\":\"", o->prefix);
    buf_add_text(out, hex);
    buf_add_text(out, "\"}\n");
    free(hex);
}

enum err offline_read(const char *path, struct offline *o, struct note *note)
{
    struct buf file = {0};
    struct note why = {{0}};
    *o = (struct offline){0};
    enum err e = file_read(path, 4 * TX_SIZE_MAX, &file, note);
    if (e == ERR_OK && (e = offline_get(bytes_of_buf(&file), o, &why)) != ERR_OK)
        note_set(note, e, "%.150s: %.160s", path, why.text);
    buf_clear(&file);
    return e;
}

enum err offline_write(const char *path, const struct offline *o, struct note *note)
{
    struct buf file = {0};
    offline_put(&file, o);
    enum err e = file_write(path, 0600, bytes_of_buf(&file), note);
    buf_clear(&file);
    return e;
}

/* -- signatures -- */

static bool has_signed(const struct offline *o, const struct pubkey *key)
{
    for (uint32_t i = 0; i < o->tx.sigs.n; i++) {
        struct cosig one = sigs_at(&o->tx.sigs, i);
        if (memcmp(one.key.b, key->b, sizeof key->b) == 0)
            return true;
    }
    return false;
}

bool offline_wants(const struct offline *o, const struct pubkey *key)
{
    if (tx_partial_missing(&o->p) == 0)
        return false;
    if (o->p.k == 0)
        return memcmp(o->tx.signer.b, key->b, sizeof key->b) == 0;
    for (uint32_t i = 0; i < o->p.keys.n; i++)
        if (memcmp(o->p.keys.p + (size_t)i * sizeof key->b, key->b, sizeof key->b) == 0)
            return !has_signed(o, key);
    return false;
}

static enum err replace_take(struct offline *o, struct buf *partial, struct note *note)
{
    buf_clear(&o->partial);
    o->partial = *partial;
    *partial = (struct buf){0};
    return decode(o, note);
}

enum err offline_sign(struct offline *o, const struct seckey *secret, struct note *note)
{
    struct buf next = {0};
    enum err e = tx_partial_sign(bytes_of_buf(&o->partial), secret, &next, note);
    if (e == ERR_OK)
        e = replace_take(o, &next, note);
    buf_clear(&next);
    return e;
}

enum err offline_merge(struct offline *o, const struct offline *copy, struct note *note)
{
    struct buf next = {0};
    enum err e = tx_partial_merge(bytes_of_buf(&o->partial), bytes_of_buf(&copy->partial), &next, note);
    if (e == ERR_OK)
        e = replace_take(o, &next, note);
    buf_clear(&next);
    return e;
}

/* -- in words -- */

static void add_address(struct buf *out, const struct offline *o, const struct pubkey *key)
{
    char text[ADDRESS_TEXT_ROOM];
    address_put(o->prefix, key, text);
    buf_add_text(out, text);
}

static void add_amount(struct buf *out, struct amount a)
{
    char text[AMOUNT_TEXT_ROOM];
    amount_print(a, text);
    buf_add_format(out, "%s KITH", text);
}

static const char *role_name(uint8_t role)
{
    static const char *const names[] = {"validator", "provider", "auditor"};
    return role < BOND_ROLES ? names[role] : "unknown role";
}

static void describe_rule(struct buf *out, const struct offline *o, const struct tx_account_rule *rule)
{
    if (rule->k == 0) {
        buf_add_text(out, "the account is signed for by its own key again\n");
        return;
    }
    buf_add_format(out, "from then on %u of these %u keys sign for the account:\n", rule->k, rule->keys.n);
    for (uint32_t i = 0; i < rule->keys.n; i++) {
        struct pubkey key;
        memcpy(key.b, rule->keys.p + (size_t)i * sizeof key.b, sizeof key.b);
        buf_add_text(out, "  ");
        add_address(out, o, &key);
        buf_add_text(out, "\n");
    }
}

/* The kinds that people build by hand in a sentence; any other as the ledger prints it. */
static void describe_body(struct buf *out, const struct offline *o)
{
    struct cursor c = cursor_of(o->tx.body);
    struct tx_transfer transfer;
    struct tx_bond bond;
    struct tx_account_rule rule;
    switch (o->tx.kind) {
    case TX_TRANSFER:
        tx_transfer_get(&c, &transfer);
        buf_add_text(out, "send ");
        add_amount(out, transfer.amount);
        buf_add_text(out, " to ");
        add_address(out, o, &transfer.to);
        if (transfer.memo.n)
            buf_add_format(out, ": %s", transfer.memo.s);
        buf_add_text(out, "\n");
        return;
    case TX_BOND:
    case TX_UNBOND: /* the same fields */
        tx_bond_get(&c, &bond);
        buf_add_text(out, o->tx.kind == TX_BOND ? "put up " : "ask back ");
        add_amount(out, bond.amount);
        buf_add_format(out, " of bond as %s\n", role_name(bond.role));
        return;
    case TX_ACCOUNT_RULE:
        tx_account_rule_get(&c, &rule);
        describe_rule(out, o, &rule);
        return;
    }
    tx_print(out, &o->tx);
    buf_add_text(out, "\n");
}

void offline_describe(struct buf *out, const struct offline *o)
{
    char chain[65];
    uint32_t need = o->p.k ? o->p.k : 1;
    describe_body(out, o);
    buf_add_text(out, "from       ");
    add_address(out, o, &o->tx.signer);
    buf_add_text(out, "\nfee        ");
    add_amount(out, o->tx.fee);
    hex_put(chain, o->tx.chain.b, sizeof o->tx.chain.b);
    buf_add_format(out, "\nchain      %s\nnumber     %llu of this account\n", chain, (unsigned long long)o->tx.nonce);
    buf_add_format(out, "signatures %u of %u\n", need - tx_partial_missing(&o->p), need);
}
