/* tx send, tx show. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/line.h"
#include "cli/out.h"
#include "cli/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct option_spec cmd_tx_send_options[] = {
    OWNER_ACCOUNT_OPTION,
    {.name = "memo",
     .type = OPTION_TEXT,
     .value = "TEXT",
     .preset = "",
     .help = "for everyone to read, at most 64 bytes"},
    {.name = "yes", .type = OPTION_FLAG, .help = "do not ask"},
    {.name = NULL},
};

/* Everything that can be known to be wrong without the network. */
static int read_words(const struct cli *cli, const struct args *args, struct tx_transfer *t)
{
    struct note note = {{0}};
    struct accounts all;
    int rc = accounts_load(cli, &all);
    if (rc == CLI_DONE)
        rc = accounts_address(cli, &all, args_word(args, 0), NULL, &t->to);
    accounts_clear(&all);
    if (rc != CLI_DONE)
        return rc;
    if (amount_parse(args_word(args, 1), &t->amount, &note) != ERR_OK)
        return cli_fail(cli, CLI_USAGE, "%s", note.text);
    if (t->amount.mote == 0)
        return cli_fail(cli, CLI_USAGE, "\"%.40s\" is nothing: the least that can be sent is 0.000000001 KITH",
                        args_word(args, 1));
    if (!text64_set(&t->memo, args_text(args, "memo")))
        return cli_fail(cli, CLI_USAGE, "--memo is longer than 64 bytes or not plain text");
    return CLI_DONE;
}

static int confirm(struct owner *o, const struct args *args, struct amount amount, struct amount fee)
{
    struct note note = {{0}};
    struct buf question = {0};
    char sum[AMOUNT_TEXT_ROOM], cost[AMOUNT_TEXT_ROOM];
    if (args_has(args, "yes"))
        return CLI_DONE;
    amount_print(amount, sum);
    amount_print(fee, cost);
    buf_add_format(&question, "send %s KITH from \"%s\" to %s, fee %s KITH?", sum, o->account->name, args_word(args, 0),
                   cost);
    enum err e = line_confirm(buf_text(&question), &note);
    buf_clear(&question);
    if (e == ERR_OK)
        return CLI_DONE;
    return cli_fail(o->cli, e == ERR_CANCELLED ? CLI_REFUSED : CLI_USAGE, "%s", note.text);
}

static void print_sent(const struct cli *cli, const json_t *r)
{
    char amount[OUT_AMOUNT_ROOM], fee[OUT_AMOUNT_ROOM];
    (void)cli;
    printf("sent %s to %s in block %" JSON_INTEGER_FORMAT ", fee %s\ntx %s\n",
           out_amount(json_object_get(r, "amount"), amount), out_text(r, "to"), out_count(r, "height"),
           out_amount(json_object_get(r, "fee"), fee), out_text(r, "id"));
}

static json_t *sent_json(const struct args *args, const json_t *reply, struct amount amount, struct amount fee)
{
    char sum[24], cost[24];
    snprintf(sum, sizeof sum, "%" PRIu64, amount.mote);
    snprintf(cost, sizeof cost, "%" PRIu64, fee.mote);
    return json_pack("{s:s, s:I, s:s, s:s, s:s}", "id", out_text(reply, "id"), "height", out_count(reply, "height"),
                     "to", args_word(args, 0), "amount", sum, "fee", cost);
}

int cmd_tx_send(const struct cli *cli, const struct args *args)
{
    struct owner o = {0};
    struct tx_transfer t = {0};
    struct buf body = {0};
    struct amount fee;
    json_t *reply = NULL;
    int rc = read_words(cli, args, &t);
    if (rc != CLI_DONE)
        return rc;
    tx_transfer_put(&body, &t);
    rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = accounts_address(cli, &o.accounts, args_word(args, 0), o.prefix, &t.to);
    if (rc == CLI_DONE)
        rc = owner_fee(&o, TX_TRANSFER, bytes_of_buf(&body), &fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(&o, t.amount, fee);
    if (rc == CLI_DONE)
        rc = confirm(&o, args, t.amount, fee);
    if (rc == CLI_DONE)
        rc = owner_send(&o, TX_TRANSFER, bytes_of_buf(&body), &reply);
    if (rc == CLI_DONE)
        rc = out_reply_take(cli, sent_json(args, reply, t.amount, fee), print_sent);
    json_decref(reply);
    buf_clear(&body);
    owner_close(&o);
    return rc;
}

static void print_tx(const struct cli *cli, const json_t *r)
{
    const char *key;
    json_t *value, *tx = json_object_get(r, "tx");
    const char *state = out_text(r, "state");
    printf("%s%s%s  %s", out_style(cli, OUT_BOLD), out_text(tx, "kind"), out_style(cli, OUT_PLAIN), state);
    if (strcmp(state, "included") == 0)
        printf(" in block %" JSON_INTEGER_FORMAT "%s%s", out_count(r, "height"),
               json_is_true(json_object_get(r, "ok")) ? "" : ", did nothing: ",
               json_is_true(json_object_get(r, "ok")) ? "" : out_text(r, "error"));
    printf("\n");
    json_object_foreach(tx, key, value)
    {
        struct buf text = {0};
        if (json_is_string(value))
            buf_add_text(&text, json_string_value(value));
        else
            json_print(&text, value);
        printf("  %-14s ", key);
        out_untrusted(buf_text(&text), text.n);
        printf("\n");
        buf_clear(&text);
    }
}

int cmd_tx_show(const struct cli *cli, const struct args *args)
{
    const char *id = args_word(args, 0);
    uint8_t hash[32];
    json_t *reply;
    if (strlen(id) != 64 || !hex_get(id, hash, sizeof hash))
        return cli_fail(cli, CLI_USAGE, "\"%.70s\" is not a transaction id: 64 hexadecimal digits", id);
    int rc = client_get(cli, &reply, "/kith/v1/tx/%s", id);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_tx) : rc;
}
