#include "cli/spend.h"

#include "cli/out.h"

#include <stdlib.h>
#include <string.h>

const char spend_usage[] = "send ADDRESS AMOUNT, bond ROLE AMOUNT, unbond ROLE AMOUNT, rule K ADDRESS...";

struct asked {
    const struct cli *cli;
    const struct accounts *known;
    const char *prefix, *memo;
    const char *const *words; /* behind the first */
    unsigned n;
};

void spend_clear(struct spend *s)
{
    buf_clear(&s->body);
    buf_clear(&s->words);
    buf_clear(&s->room);
}

static int read_amount(const struct asked *a, const char *text, struct amount *out)
{
    struct note note = {{0}};
    if (amount_parse(text, out, &note) != ERR_OK)
        return cli_fail(a->cli, CLI_USAGE, "%s", note.text);
    if (out->mote == 0)
        return cli_fail(a->cli, CLI_USAGE, "\"%.40s\" is nothing: the least is 0.000000001 KITH", text);
    return CLI_DONE;
}

static void say_amount(struct spend *s, const char *verb, struct amount amount)
{
    char text[AMOUNT_TEXT_ROOM];
    amount_print(amount, text);
    buf_add_format(&s->words, "%s %s KITH", verb, text);
}

static int parse_send(const struct asked *a, struct spend *s)
{
    struct tx_transfer t = {0};
    int rc = accounts_address(a->cli, a->known, a->words[0], a->prefix, &t.to);
    if (rc == CLI_DONE)
        rc = read_amount(a, a->words[1], &t.amount);
    if (rc == CLI_DONE && a->memo && !text64_set(&t.memo, a->memo))
        rc = cli_fail(a->cli, CLI_USAGE, "--memo is longer than 64 bytes or not plain text");
    if (rc != CLI_DONE)
        return rc;
    tx_transfer_put(&s->body, &t);
    s->amount = t.amount;
    say_amount(s, "send", t.amount);
    buf_add_format(&s->words, " to %s", a->words[0]);
    return CLI_DONE;
}

static int read_role(const struct asked *a, const char *text, uint8_t *role)
{
    static const char *const names[BOND_ROLES] = {"validator", "provider", "auditor"};
    for (int i = 0; i < BOND_ROLES; i++)
        if (strcmp(text, names[i]) == 0) {
            *role = (uint8_t)i;
            return CLI_DONE;
        }
    return cli_fail(a->cli, CLI_USAGE, "\"%.40s\" is no role: validator, provider or auditor", text);
}

static int parse_bond(const struct asked *a, struct spend *s)
{
    struct tx_bond b = {0};
    int rc = read_role(a, a->words[0], &b.role);
    if (rc == CLI_DONE)
        rc = read_amount(a, a->words[1], &b.amount);
    if (rc != CLI_DONE)
        return rc;
    tx_bond_put(&s->body, &b);
    s->amount = b.amount;
    say_amount(s, "put up", b.amount);
    buf_add_format(&s->words, " of bond as %s", a->words[0]);
    return CLI_DONE;
}

static int parse_unbond(const struct asked *a, struct spend *s)
{
    struct tx_unbond b = {0};
    int rc = read_role(a, a->words[0], &b.role);
    if (rc == CLI_DONE)
        rc = read_amount(a, a->words[1], &b.amount);
    if (rc != CLI_DONE)
        return rc;
    tx_unbond_put(&s->body, &b);
    say_amount(s, "ask back", b.amount);
    buf_add_format(&s->words, " of bond as %s", a->words[0]);
    return CLI_DONE;
}

static int order_of_keys(const void *x, const void *y)
{
    return memcmp(x, y, sizeof(struct pubkey));
}

/* Keys in any order; the ledger wants them sorted. K of 0 ends the rule. */
static int parse_rule(const struct asked *a, struct spend *s)
{
    struct note note = {{0}};
    struct tx_account_rule r = {0};
    const char *k = a->words[0];
    if (strspn(k, "0123456789") != strlen(k) || strlen(k) > 2)
        return cli_fail(a->cli, CLI_USAGE, "\"%.40s\": how many signatures are needed, 1 to %d; 0 ends the rule", k,
                        COSIGNERS_MAX);
    r.k = (uint8_t)atol(k);
    for (unsigned i = 1; i < a->n; i++) {
        struct pubkey key;
        int rc = accounts_address(a->cli, a->known, a->words[i], a->prefix, &key);
        if (rc != CLI_DONE)
            return rc;
        buf_add(&s->room, key.b, sizeof key.b);
    }
    if (s->room.n)
        qsort(s->room.p, a->n - 1, sizeof(struct pubkey), order_of_keys);
    r.keys = (struct hashes){s->room.p, a->n - 1};
    if ((r.k || r.keys.n) && tx_rule_check(r.k, &r.keys, &note) != ERR_OK)
        return cli_fail(a->cli, CLI_USAGE, "%s", note.text);
    tx_account_rule_put(&s->body, &r);
    if (r.k)
        buf_add_format(&s->words, "from then on %u of %u keys sign for this account", r.k, r.keys.n);
    else
        buf_add_text(&s->words, "this account's own key signs for it again");
    return CLI_DONE;
}

static const struct spend_kind {
    const char *name;
    enum tx_kind kind;
    unsigned least, most; /* words behind the name */
    int (*parse)(const struct asked *a, struct spend *s);
} kinds[] = {
    {"send", TX_TRANSFER, 2, 2, parse_send},
    {"bond", TX_BOND, 2, 2, parse_bond},
    {"unbond", TX_UNBOND, 2, 2, parse_unbond},
    {"rule", TX_ACCOUNT_RULE, 1, 1 + COSIGNERS_MAX, parse_rule},
};

int spend_parse(const struct cli *cli, const struct accounts *known, const char *prefix, const char *const *words,
                unsigned n, const char *memo, struct spend *s)
{
    struct asked a = {cli, known, prefix, memo, words + 1, n - 1};
    *s = (struct spend){0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(words[0], kinds[i].name) != 0)
            continue;
        if (a.n < kinds[i].least || a.n > kinds[i].most)
            break;
        s->kind = kinds[i].kind;
        return kinds[i].parse(&a, s);
    }
    return cli_fail(cli, CLI_USAGE, "`%.40s` with %u words: it is %s", words[0], n - 1, spend_usage);
}

int spend_check(struct owner *o, const struct spend *s, struct amount *fee)
{
    int rc = owner_fee(o, s->kind, bytes_of_buf(&s->body), fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, s->amount, *fee);
    return rc == CLI_DONE ? owner_check_key(o) : rc;
}
