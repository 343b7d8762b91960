/* tx send, tx show. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/line.h"
#include "cli/out.h"
#include "cli/spend.h"

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

/* The words as spend_parse wants them; what is wrong without the network is said before it is asked. */
static int read_words(const struct cli *cli, const struct args *args, const struct accounts *known, const char *prefix,
                      struct spend *s)
{
    const char *words[] = {"send", args_word(args, 0), args_word(args, 1)};
    return spend_parse(cli, known, prefix, words, 3, args_text(args, "memo"), s);
}

static int confirm(struct owner *o, const struct args *args, struct amount amount, struct amount fee)
{
    struct buf question = {0};
    char sum[AMOUNT_TEXT_ROOM], cost[AMOUNT_TEXT_ROOM];
    if (args_has(args, "yes"))
        return CLI_DONE;
    amount_print(amount, sum);
    amount_print(fee, cost);
    buf_add_format(&question, "send %s KITH from \"%s\" to %s, fee %s KITH?", sum, o->account->name, args_word(args, 0),
                   cost);
    int rc = line_confirm(o->cli, buf_text(&question));
    buf_clear(&question);
    return rc;
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

static int send(struct owner *o, const struct args *args, const struct spend *s)
{
    struct amount fee;
    json_t *reply = NULL;
    int rc = spend_check(o, s, &fee);
    if (rc == CLI_DONE)
        rc = confirm(o, args, s->amount, fee);
    if (rc == CLI_DONE)
        rc = owner_send(o, s->kind, bytes_of_buf(&s->body), &reply);
    if (rc == CLI_DONE)
        rc = out_reply_take(o->cli, sent_json(args, reply, s->amount, fee), print_sent);
    json_decref(reply);
    return rc;
}

int cmd_tx_send(const struct cli *cli, const struct args *args)
{
    struct accounts known = {0};
    struct owner o = {0};
    struct spend s = {0};
    int rc = accounts_load(cli, &known);
    if (rc == CLI_DONE)
        rc = read_words(cli, args, &known, NULL, &s);
    accounts_clear(&known);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    spend_clear(&s);
    if (rc == CLI_DONE)
        rc = read_words(cli, args, &o.accounts, o.prefix, &s);
    if (rc == CLI_DONE)
        rc = send(&o, args, &s);
    spend_clear(&s);
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
        out_name(key, 14);
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
