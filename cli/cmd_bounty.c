/* bounty post, ls, show, offer, accept: money for a model or a data set that its poster accepts (docs/ledger.md). */
#include "base/merkle_file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/line.h"
#include "cli/out.h"
#include "cli/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY_MS   UINT64_C(86400000)
#define DAYS_MAX 364 /* the ledger takes a year, by its own clock */

const struct option_spec cmd_bounty_post_options[] = {
    {.name = "title", .type = OPTION_TEXT, .value = "TEXT", .help = "what is wanted, in at most 64 bytes (needed)"},
    {.name = "terms",
     .type = OPTION_TEXT,
     .value = "FILE",
     .help = "text that says it all; its root goes on the ledger, the text is yours to publish"},
    {.name = "days",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "30",
     .help = "until the money returns",
     .least = 1,
     .most = DAYS_MAX},
    {.name = "yes", .type = OPTION_FLAG, .help = "do not ask"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

const struct option_spec cmd_bounty_show_options[] = {
    {.name = "terms", .type = OPTION_TEXT, .value = "FILE", .help = "is this the text that was promised?"},
    {.name = NULL},
};

const struct option_spec cmd_bounty_offer_options[] = {
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

const struct option_spec cmd_bounty_accept_options[] = {
    {.name = "yes", .type = OPTION_FLAG, .help = "do not ask"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

/* -- what all share -- */

static int read_root_of_file(const struct cli *cli, const char *path, struct hash *root)
{
    struct note note = {{0}};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail(cli, CLI_USAGE, "cannot open %s: %s", path, strerror(errno));
    enum err e = merkle_root_of_file(fd, 1, root, &note);
    close(fd);
    return e == ERR_OK ? CLI_DONE : cli_fail(cli, CLI_USAGE, "cannot read %s: %s", path, note.text);
}

static int read_id(const struct cli *cli, const char *text, struct hash *id)
{
    if (strlen(text) == 64 && hex_get(text, id->b, sizeof id->b))
        return CLI_DONE;
    return cli_fail(cli, CLI_USAGE, "\"%.70s\" is not the id of a bounty: 64 hexadecimal digits, see `kith bounty ls`",
                    text);
}

static int get_bounty(const struct cli *cli, const char *text, struct hash *id, json_t **reply)
{
    int rc = read_id(cli, text, id);
    return rc == CLI_DONE ? client_get(cli, reply, "/kith/v1/bounties/%.64s", text) : rc;
}

static const char *day_of(const json_t *bounty, char text[32])
{
    const time_t s = (time_t)(out_count(bounty, "deadline_ms") / 1000);
    struct tm utc;
    if (!gmtime_r(&s, &utc) || strftime(text, 32, "%Y-%m-%d %H:%M", &utc) == 0)
        snprintf(text, 32, "-");
    return text;
}

/* Signs and sends a body whose spending is `spend`, after asking `question` where that is not NULL. */
static int spend_signed(struct owner *o, enum tx_kind kind, const struct buf *body, struct amount spend,
                        const char *question, json_t **reply)
{
    struct amount fee;
    int rc = owner_fee(o, kind, bytes_of_buf(body), &fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, spend, fee);
    if (rc == CLI_DONE && question)
        rc = line_confirm(o->cli, question);
    if (rc == CLI_DONE)
        rc = owner_unlock(o);
    return rc == CLI_DONE ? owner_send(o, kind, bytes_of_buf(body), reply) : rc;
}

static json_t *sent_json(const char *id, const json_t *reply)
{
    return json_pack("{s:s, s:s, s:I}", "bounty", id, "id", out_text(reply, "id"), "height",
                     out_count(reply, "height"));
}

/* -- posting -- */

static int read_post(const struct cli *cli, const struct args *args, struct tx_bounty_post *p)
{
    const char *wants = args_word(args, 0), *title = args_text(args, "title");
    struct note note;
    *p = (struct tx_bounty_post){.wants = strcmp(wants, "data") == 0 ? LINEAGE_DATA : LINEAGE_MODEL};
    if (p->wants == LINEAGE_MODEL && strcmp(wants, "model") != 0)
        return cli_fail(cli, CLI_USAGE, "a bounty is for a model or for data, not for \"%.40s\"", wants);
    if (amount_parse(args_word(args, 1), &p->amount, &note) != ERR_OK)
        return cli_fail(cli, CLI_USAGE, "%s", note.text);
    if (p->amount.mote == 0)
        return cli_fail(cli, CLI_USAGE, "a bounty of nothing: give an amount");
    if (!title || !*title || !text64_set(&p->title, title))
        return cli_fail(cli, CLI_USAGE, "`kith bounty post` needs --title TEXT of 1 to 64 bytes of plain text");
    p->deadline_ms = (uint64_t)time(NULL) * 1000 + args_count(args, "days") * DAY_MS;
    return args_has(args, "terms") ? read_root_of_file(cli, args_text(args, "terms"), &p->terms) : CLI_DONE;
}

static void print_posted(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("posted in block %" JSON_INTEGER_FORMAT "\nbounty %s\n", out_count(r, "height"), out_text(r, "bounty"));
}

int cmd_bounty_post(const struct cli *cli, const struct args *args)
{
    struct tx_bounty_post p;
    struct owner o = {0};
    struct buf body = {0}, question = {0};
    json_t *reply = NULL;
    char sum[AMOUNT_TEXT_ROOM];
    int rc = read_post(cli, args, &p);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE) {
        amount_print(p.amount, sum);
        buf_add_format(&question, "lock %s KITH for %s days?", sum, args_text(args, "days"));
        tx_bounty_post_put(&body, &p);
        rc = spend_signed(&o, TX_BOUNTY_POST, &body, p.amount, args_has(args, "yes") ? NULL : buf_text(&question),
                          &reply);
    }
    if (rc == CLI_DONE)
        rc = out_reply_take(cli, sent_json(out_text(reply, "id"), reply), print_posted);
    json_decref(reply);
    buf_clear(&body);
    buf_clear(&question);
    owner_close(&o);
    return rc;
}

/* -- looking -- */

static void print_list(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"AMOUNT", "WANTS", "STATE", "UNTIL", "TITLE", "BOUNTY"};
    const json_t *list = json_object_get(r, "bounties"), *b;
    char amount[OUT_AMOUNT_ROOM], day[32];
    size_t i;
    if (json_array_size(list) == 0) {
        printf("no bounties are posted: `kith bounty post` posts one\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 6);
    json_array_foreach(list, i, b)
    {
        out_table_add(t, "%s", out_amount(json_object_get(b, "amount"), amount));
        out_table_add(t, "%s", out_text(b, "wants"));
        out_table_add(t, "%s", out_text(b, "state"));
        out_table_add(t, "%s", day_of(b, day));
        out_table_add(t, "%s", out_text(b, "title"));
        out_table_add(t, "%s", out_text(b, "id"));
    }
    out_table_print_free(cli, t);
}

int cmd_bounty_ls(const struct cli *cli, const struct args *args)
{
    json_t *all = json_array();
    char after[80] = "";
    int rc = CLI_DONE;
    (void)args;
    for (bool more = true; rc == CLI_DONE && more;) {
        json_t *reply = NULL;
        rc = client_get(cli, &reply, "/kith/v1/bounties%s", after);
        json_array_extend(all, json_object_get(reply, "bounties"));
        more = json_text(reply, "next") != NULL;
        if (more)
            snprintf(after, sizeof after, "?after=%.64s", json_text(reply, "next"));
        json_decref(reply);
    }
    if (rc == CLI_DONE)
        return out_reply_take(cli, json_pack("{s:o}", "bounties", all), print_list);
    json_decref(all);
    return rc;
}

static void print_bounty(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"OFFERED", "BY", "ROOT"};
    const json_t *offers = json_object_get(r, "offers"), *o;
    char amount[OUT_AMOUNT_ROOM], day[32];
    size_t i;
    printf("%s%s%s\n", out_style(cli, OUT_BOLD), out_text(r, "title"), out_style(cli, OUT_PLAIN));
    printf("wants     %s\namount    %s\nposter    %s\nterms     %s\nuntil     %s UTC\nstate     %s\n",
           out_text(r, "wants"), out_amount(json_object_get(r, "amount"), amount), out_text(r, "poster"),
           out_text(r, "terms"), day_of(r, day), out_text(r, "state"));
    if (json_is_object(json_object_get(r, "paid")))
        printf("paid      to %s for %s\n", out_text(json_object_get(r, "paid"), "to"),
               out_text(json_object_get(r, "paid"), "root"));
    if (json_array_size(offers) == 0)
        return;
    struct out_table *t = out_table_new(titles, 3);
    json_array_foreach(offers, i, o)
    {
        out_table_add(t, "%s", out_text(o, "name"));
        out_table_add(t, "%s", out_text(o, "by"));
        out_table_add(t, "%s", out_text(o, "root"));
    }
    out_table_print_free(cli, t);
}

int cmd_bounty_show(const struct cli *cli, const struct args *args)
{
    struct hash id, promised, given;
    json_t *reply = NULL;
    int rc = get_bounty(cli, args_word(args, 0), &id, &reply);
    if (rc == CLI_DONE && args_has(args, "terms")) {
        rc = read_root_of_file(cli, args_text(args, "terms"), &given);
        if (rc == CLI_DONE &&
            (!hex_get(out_text(reply, "terms"), promised.b, sizeof promised.b) || !hash_equal(&promised, &given)))
            rc = cli_fail(cli, CLI_REFUSED, "%s is not the text that this bounty promises", args_text(args, "terms"));
    }
    if (rc == CLI_DONE)
        return out_reply_take(cli, reply, print_bounty);
    json_decref(reply);
    return rc;
}

/* -- offering, accepting -- */

/* What is offered, by root or name, of the kind that is wanted. */
static int find_offered(const struct cli *cli, const json_t *bounty, const char *what, struct hash *root)
{
    const bool is_model = strcmp(out_text(bounty, "wants"), "model") == 0;
    json_t *found = NULL;
    int rc = is_model ? find_model(cli, what, &found) : find_data(cli, what, &found);
    if (rc == CLI_DONE && !hex_get(out_text(found, is_model ? "root" : "plain_root"), root->b, sizeof root->b))
        rc = cli_fail(cli, CLI_REFUSED, "the daemon did not say the root of %.64s", what);
    json_decref(found);
    return rc;
}

static void print_offered(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("offered in block %" JSON_INTEGER_FORMAT "\n", out_count(r, "height"));
}

int cmd_bounty_offer(const struct cli *cli, const struct args *args)
{
    struct tx_bounty_offer t;
    struct owner o = {0};
    struct buf body = {0};
    json_t *bounty = NULL, *reply = NULL;
    int rc = get_bounty(cli, args_word(args, 0), &t.bounty, &bounty);
    if (rc == CLI_DONE)
        rc = find_offered(cli, bounty, args_word(args, 1), &t.root);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE) {
        tx_bounty_offer_put(&body, &t);
        rc = spend_signed(&o, TX_BOUNTY_OFFER, &body, amount_of(0), NULL, &reply);
    }
    if (rc == CLI_DONE)
        rc = out_reply_take(cli, sent_json(args_word(args, 0), reply), print_offered);
    json_decref(bounty);
    json_decref(reply);
    buf_clear(&body);
    owner_close(&o);
    return rc;
}

static void print_accepted(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("accepted and paid in block %" JSON_INTEGER_FORMAT "\n", out_count(r, "height"));
}

/* The question names who is paid: a name may be anybody's. */
static int ask_accept(const struct cli *cli, const json_t *bounty, const struct hash *root, struct buf *question)
{
    const json_t *offers = json_object_get(bounty, "offers"), *o;
    char amount[OUT_AMOUNT_ROOM], hex[65];
    size_t i;
    hex_put(hex, root->b, sizeof root->b);
    json_array_foreach(offers, i, o)
    {
        if (strcmp(out_text(o, "root"), hex) != 0)
            continue;
        buf_add_format(question, "pay %s to %s for \"%s\"?", out_amount(json_object_get(bounty, "amount"), amount),
                       out_text(o, "by"), out_text(o, "name"));
        return CLI_DONE;
    }
    return cli_fail(cli, CLI_REFUSED, "%.16s... is not offered for this bounty: see `kith bounty show`", hex);
}

int cmd_bounty_accept(const struct cli *cli, const struct args *args)
{
    struct tx_bounty_accept t;
    struct owner o = {0};
    struct buf body = {0}, question = {0};
    json_t *bounty = NULL, *reply = NULL;
    int rc = get_bounty(cli, args_word(args, 0), &t.bounty, &bounty);
    if (rc == CLI_DONE)
        rc = find_offered(cli, bounty, args_word(args, 1), &t.root);
    if (rc == CLI_DONE)
        rc = ask_accept(cli, bounty, &t.root, &question);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE) {
        tx_bounty_accept_put(&body, &t);
        rc = spend_signed(&o, TX_BOUNTY_ACCEPT, &body, amount_of(0), args_has(args, "yes") ? NULL : buf_text(&question),
                          &reply);
    }
    if (rc == CLI_DONE)
        rc = out_reply_take(cli, sent_json(args_word(args, 0), reply), print_accepted);
    json_decref(bounty);
    json_decref(reply);
    buf_clear(&body);
    buf_clear(&question);
    owner_close(&o);
    return rc;
}
