/* share start: lending this machine. The owner's wallet signs what puts money at stake; the node serves. The rest of
 * the group is in cmd_lend.c. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/lend.h"
#include "cli/out.h"
#include "cli/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option_spec cmd_share_start_options[] = {
    {.name = "model",
     .type = OPTION_TEXT,
     .value = "ROOT|NAME",
     .many = true,
     .help = "which to serve (all that are here and on the ledger)"},
    LEND_TERMS_OPTIONS,
    {.name = "bond",
     .type = OPTION_AMOUNT,
     .value = "KITH",
     .help = "to have at stake (the least the ledger asks for)"},
    {.name = "audit", .type = OPTION_FLAG, .help = "also check the work of others, with as much at stake"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

/* What has to go on the ledger before the node may serve. */
struct plan {
    struct tx_provider provider;
    struct buf roots;
    bool registered;
    struct amount bonds[2]; /* to add, as provider and as auditor */
};

static const enum bond_role plan_roles[2] = {BOND_PROVIDER, BOND_AUDITOR};
static const char *const plan_names[2] = {"provider", "auditor"};

static bool get_hex(const json_t *object, const char *key, uint8_t *out, size_t n)
{
    const char *hex = json_text(object, key);
    return hex && strlen(hex) == 2 * n && hex_get(hex, out, n);
}

static bool read_plan(const json_t *r, struct plan *p)
{
    const json_t *models = json_object_get(r, "models"), *root;
    const char *endpoint = json_text(r, "endpoint");
    size_t i;
    json_array_foreach(models, i, root)
    {
        struct hash h;
        const char *hex = json_string_value(root);
        if (!hex || strlen(hex) != 64 || !hex_get(hex, h.b, HASH_SIZE))
            return false;
        buf_add(&p->roots, h.b, HASH_SIZE);
    }
    p->provider.models = (struct hashes){p->roots.p, (uint32_t)(p->roots.n / HASH_SIZE)};
    p->provider.audits = json_is_true(json_object_get(r, "audits"));
    p->registered = json_is_true(json_object_get(r, "registered"));
    return endpoint && text255_set(&p->provider.endpoint, endpoint) &&
           get_hex(r, "node", p->provider.node.b, sizeof p->provider.node.b) &&
           get_hex(r, "consent", p->provider.node_sig.b, sizeof p->provider.node_sig.b);
}

/* How much each bond lacks of what is wanted. */
static bool read_bonds(const json_t *r, const struct args *args, struct plan *p)
{
    for (int i = 0; i < 2; i++) {
        const json_t *bond = json_object_get(json_object_get(r, "bonds"), plan_names[i]);
        struct amount have, want;
        if (i == 1 && !p->provider.audits)
            continue;
        if (!out_amount_get(json_object_get(bond, "have"), &have) ||
            !out_amount_get(json_object_get(bond, "least"), &want))
            return false;
        if (args_has(args, "bond") && amount_compare(args_amount(args, "bond"), want) > 0)
            want = args_amount(args, "bond");
        if (!amount_sub(&p->bonds[i], want, have))
            p->bonds[i] = amount_of(0);
    }
    return true;
}

static int prepare(struct owner *o, const struct args *args, struct plan *p)
{
    json_t *models = json_array(), *reply = NULL;
    const char *model;
    for (unsigned i = 0; (model = args_nth(args, "model", i)); i++)
        json_array_append_new(models, json_string(model));
    int rc = client_post_take(
        o->cli, "/kith/v1/share/prepare",
        json_pack("{s:s, s:o, s:b}", "owner", o->address, "models", models, "audits", (int)args_has(args, "audit")),
        &reply);
    if (rc == CLI_DONE && (!read_plan(reply, p) || !read_bonds(reply, args, p)))
        rc = cli_fail(o->cli, CLI_REFUSED,
                      "the daemon's answer is not as docs/api.md has it: do kith and kithd differ in version?");
    if (rc == CLI_DONE && p->provider.models.n == 0)
        rc = cli_fail(o->cli, CLI_REFUSED,
                      "there is no model to serve: `kith model pull` one that is on the ledger, or publish one");
    json_decref(reply);
    return rc;
}

static int add_fee(struct owner *o, enum tx_kind kind, const struct buf *body, struct amount *fees)
{
    struct amount fee = {0};
    int rc = owner_fee(o, kind, bytes_of_buf(body), &fee);
    if (rc == CLI_DONE && !amount_add(fees, *fees, fee))
        rc = cli_fail(o->cli, CLI_USAGE, "the fees are more than can exist");
    return rc;
}

static void bond_body(struct buf *body, enum bond_role role, struct amount amount)
{
    struct tx_bond bond = {.role = (uint8_t)role, .amount = amount};
    buf_reset(body);
    tx_bond_put(body, &bond);
}

static int sum_costs(struct owner *o, const struct plan *p, struct buf *body, struct amount *bonds, struct amount *fees)
{
    int rc = CLI_DONE;
    *bonds = *fees = amount_of(0);
    for (int i = 0; rc == CLI_DONE && i < 2; i++) {
        if (p->bonds[i].mote == 0)
            continue;
        bond_body(body, plan_roles[i], p->bonds[i]);
        rc = add_fee(o, TX_BOND, body, fees);
        if (rc == CLI_DONE && !amount_add(bonds, *bonds, p->bonds[i]))
            rc = cli_fail(o->cli, CLI_USAGE, "the bonds are more than can exist");
    }
    if (rc == CLI_DONE && !p->registered) {
        buf_reset(body);
        tx_provider_put(body, &p->provider);
        rc = add_fee(o, TX_PROVIDER, body, fees);
    }
    return rc;
}

/* The whole plan is paid for, or nothing of it is begun. */
static int check_funds(struct owner *o, const struct plan *p, struct buf *body)
{
    struct amount bonds, fees;
    int rc = sum_costs(o, p, body, &bonds, &fees);
    return rc == CLI_DONE ? owner_check_funds(o, bonds, fees) : rc;
}

int lend_costs(const struct cli *cli, const struct args *args, struct amount *bonds, struct amount *fees,
               struct amount *balance)
{
    struct owner o = {0};
    struct plan p = {0};
    struct buf body = {0};
    int rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = prepare(&o, args, &p);
    if (rc == CLI_DONE)
        rc = sum_costs(&o, &p, &body, bonds, fees);
    *balance = o.balance;
    buf_clear(&body);
    buf_clear(&p.roots);
    owner_close(&o);
    return rc;
}

static int carry_out(struct owner *o, const struct plan *p, struct buf *body)
{
    json_t *reply = NULL;
    int rc = CLI_DONE;
    for (int i = 0; rc == CLI_DONE && i < 2; i++) {
        if (p->bonds[i].mote == 0)
            continue;
        bond_body(body, plan_roles[i], p->bonds[i]);
        rc = owner_send(o, TX_BOND, bytes_of_buf(body), &reply);
        json_decref(reply);
    }
    if (rc == CLI_DONE && !p->registered) {
        buf_reset(body);
        tx_provider_put(body, &p->provider);
        rc = owner_send(o, TX_PROVIDER, bytes_of_buf(body), &reply);
        json_decref(reply);
    }
    return rc;
}

static int start(struct owner *o, json_t *terms, const struct plan *p)
{
    json_t *models = json_array(), *reply;
    char hex[65];
    for (uint32_t i = 0; i < p->provider.models.n; i++) {
        struct hash root = hashes_at(&p->provider.models, i);
        hex_put(hex, root.b, HASH_SIZE);
        json_array_append_new(models, json_string(hex));
    }
    json_object_set_new(terms, "owner", json_string(o->address));
    json_object_set_new(terms, "models", models);
    int rc = client_post_take(o->cli, "/kith/v1/share", json_incref(terms), &reply);
    return rc == CLI_DONE ? out_reply_take(o->cli, reply, lend_print) : rc;
}

int cmd_share_start(const struct cli *cli, const struct args *args)
{
    struct owner o = {0};
    struct plan p = {0};
    struct buf body = {0};
    json_t *terms = json_object();
    int rc = lend_terms(cli, args, terms); /* before anything is bonded */
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = prepare(&o, args, &p);
    if (rc == CLI_DONE)
        rc = check_funds(&o, &p, &body);
    if (rc == CLI_DONE)
        rc = carry_out(&o, &p, &body);
    if (rc == CLI_DONE)
        rc = start(&o, terms, &p);
    json_decref(terms);
    buf_clear(&body);
    buf_clear(&p.roots);
    owner_close(&o);
    return rc;
}
