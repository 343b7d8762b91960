/* data show, buy, grant, get: the two sides of an exchange of money for a data set's key. The daemon keeps keys and
 * checks them (docs/api.md); every transaction is signed here. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/line.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LOOK_MS = 1000 }; /* between looks at a grant that is waited for */

const struct option_spec cmd_data_buy_options[] = {
    {.name = "max-price", .type = OPTION_AMOUNT, .value = "KITH", .help = "refuse what costs more"},
    {.name = "no-wait", .type = OPTION_FLAG, .help = "do not wait for the key: `kith data get` takes it later"},
    {.name = "yes", .type = OPTION_FLAG, .help = "do not ask"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

const struct option_spec cmd_data_grant_options[] = {
    {.name = "follow", .type = OPTION_FLAG, .help = "stay, and release keys as they are bought"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

const struct option_spec cmd_data_get_options[] = {
    {.name = "out", .type = OPTION_TEXT, .value = "FILE", .help = "where to (needed); must not be there yet"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

/* -- showing -- */

static void print_one(const struct cli *cli, const json_t *d)
{
    char price[OUT_AMOUNT_ROOM];
    printf("%s%s%s\n", out_style(cli, OUT_BOLD), out_text(d, "name"), out_style(cli, OUT_PLAIN));
    printf("root      %s\nowner     %s\nsize      %" JSON_INTEGER_FORMAT " bytes, %s\nlicence   %s\n",
           out_text(d, "plain_root"), out_text(d, "owner"), out_count(d, "size"), out_text(d, "format"),
           out_text(d, "licence"));
    if (json_is_true(json_object_get(d, "train")))
        printf("training  yes, for %.2f %% of royalties at least\n", (double)out_count(d, "share_bps") / 100);
    else
        printf("training  no\n");
    printf("price     %s\n", out_amount(json_object_get(d, "price"), price));
    if (out_count(d, "disputes"))
        printf("disputes  %" JSON_INTEGER_FORMAT " keys were released that did not open it\n",
               out_count(d, "disputes"));
    printf("here      %s\n", json_is_true(json_object_get(d, "key"))     ? "with its key: `kith data get` writes it"
                             : json_is_true(json_object_get(d, "local")) ? "encrypted"
                                                                         : "no");
}

int cmd_data_show(const struct cli *cli, const struct args *args)
{
    json_t *data;
    int rc = find_data(cli, args_word(args, 0), &data);
    return rc == CLI_DONE ? out_reply_take(cli, data, print_one) : rc;
}

/* The account's grants in this state; `data` NULL: of any set. `fn` returns a cli_exit. */
typedef int (*grant_fn)(void *arg, const json_t *grant);
static int each_grant(const struct owner *o, const char *data, const char *state, grant_fn fn, void *arg)
{
    char after[80] = "";
    int rc = CLI_DONE;
    for (bool more = true; rc == CLI_DONE && more;) {
        json_t *reply = NULL, *grant;
        size_t i;
        rc = client_get(o->cli, &reply, "/kith/v1/grants?account=%s%s%s%s", o->address, data ? "&data=" : "",
                        data ? data : "", after);
        json_array_foreach(json_object_get(reply, "grants"), i, grant)
        {
            if (rc == CLI_DONE && strcmp(out_text(grant, "state"), state) == 0)
                rc = fn(arg, grant);
        }
        more = json_text(reply, "next") != NULL;
        if (more)
            snprintf(after, sizeof after, "&after=%.64s", json_text(reply, "next"));
        json_decref(reply);
    }
    return rc;
}

/* Any one that this account bought and whose key this machine can open. */
struct found {
    const struct owner *owner;
    char id[65];
};
static int take_bought(void *arg, const json_t *grant)
{
    struct found *f = arg;
    if (strcmp(out_text(grant, "buyer"), f->owner->address) == 0 && json_is_true(json_object_get(grant, "secret")))
        snprintf(f->id, sizeof f->id, "%.64s", out_text(grant, "id"));
    return CLI_DONE;
}
static int find_bought(const struct owner *o, const char *data, const char *state, char id[65])
{
    struct found f = {.owner = o};
    int rc = each_grant(o, data, state, take_bought, &f);
    memcpy(id, f.id, sizeof f.id);
    return rc;
}

/* -- a released key -- */

static int read_hex(const struct cli *cli, const json_t *reply, const char *name, struct buf *out)
{
    const char *hex = json_text(reply, name);
    const size_t n = hex ? strlen(hex) / 2 : 0;
    buf_reserve(out, n);
    if (n == 0 || strlen(hex) % 2 || !hex_get(hex, out->p, n))
        return cli_fail(cli, CLI_REFUSED, "the daemon did not say \"%s\"", name);
    out->n = n;
    return CLI_DONE;
}

/* A key that does not open what was promised: the price comes back, and a part of the seller's bond with it. */
static int dispute(struct owner *o, const json_t *verdict)
{
    struct buf body = {0};
    struct amount fee;
    json_t *reply = NULL;
    int rc = owner_unlock(o);
    if (rc == CLI_DONE)
        rc = read_hex(o->cli, verdict, "dispute", &body);
    if (rc == CLI_DONE)
        rc = owner_fee(o, TX_DATA_DISPUTE, bytes_of_buf(&body), &fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, amount_of(0), fee);
    if (rc == CLI_DONE)
        rc = owner_send(o, TX_DATA_DISPUTE, bytes_of_buf(&body), &reply);
    if (rc == CLI_DONE)
        rc = cli_fail(o->cli, CLI_REFUSED,
                      "the key that was released does not open the data; this was proven in block %" JSON_INTEGER_FORMAT
                      ", the price came back",
                      out_count(reply, "height"));
    json_decref(reply);
    buf_clear(&body);
    return rc;
}

/* Checks the key of a released grant against every leaf; one that fits is kept by the daemon. */
static int take_key(struct owner *o, const char *grant)
{
    char path[128];
    json_t *verdict = NULL;
    snprintf(path, sizeof path, "/kith/v1/grants/%.64s/check", grant);
    int rc = task_run_take(o->cli, path, json_object(), "checking the key", &verdict);
    if (rc == CLI_DONE && !json_is_true(json_object_get(verdict, "fits")))
        rc = dispute(o, verdict);
    json_decref(verdict);
    return rc;
}

/* -- buying -- */

static void say_deadline(const struct cli *cli, const json_t *grant)
{
    const time_t s = (time_t)(out_count(grant, "deadline_ms") / 1000);
    struct tm utc;
    char text[32];
    if (cli->json || !gmtime_r(&s, &utc) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc) == 0)
        return;
    fprintf(stderr, "the price is locked; the key must come until %s UTC, or the price comes back\n", text);
}

/* Until the key is released, or the grant is gone. */
static int wait_released(struct owner *o, const char *grant)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L - 1};
    char path[128];
    bool has_said = false;
    snprintf(path, sizeof path, "/kith/v1/grants/%.64s", grant);
    for (;;) {
        struct note note = {{0}};
        json_t *reply = NULL;
        int status = 0;
        enum err e = client_try(o->cli, "GET", path, NULL, CLIENT_TIMEOUT_MS, &status, &reply, &note);
        bool is_open = status == 200 && strcmp(out_text(reply, "state"), "open") == 0;
        int rc = CLI_DONE;
        if (e == ERR_OK && status == 404)
            rc = cli_fail(o->cli, CLI_REFUSED, "no key came in time: the price came back");
        else if (e == ERR_OK && status != 200 && status < 500)
            rc = client_refusal(o->cli, status, reply);
        else if (is_open && !has_said)
            say_deadline(o->cli, reply);
        has_said = has_said || is_open;
        json_decref(reply);
        if (rc != CLI_DONE || (e == ERR_OK && status == 200 && !is_open))
            return rc;
        nanosleep(&pause, NULL); /* a daemon that is starting again is waited for too */
    }
}

static int confirm(struct owner *o, const struct args *args, const json_t *data, struct amount fee)
{
    char price[OUT_AMOUNT_ROOM], cost[AMOUNT_TEXT_ROOM];
    struct buf question = {0};
    if (args_has(args, "yes"))
        return CLI_DONE;
    amount_print(fee, cost);
    buf_add_format(&question, "lock %s of \"%s\" for the key of %s, fee %s KITH?",
                   out_amount(json_object_get(data, "price"), price), o->account->name, out_text(data, "name"), cost);
    int rc = line_confirm(o->cli, buf_text(&question));
    buf_clear(&question);
    return rc;
}

static int read_price(const struct cli *cli, const struct args *args, const json_t *data, struct amount *price)
{
    char is[OUT_AMOUNT_ROOM];
    if (!out_amount_get(json_object_get(data, "price"), price))
        return cli_fail(cli, CLI_REFUSED, "the daemon did not say the price");
    if (args_has(args, "max-price") && amount_compare(*price, args_amount(args, "max-price")) > 0)
        return cli_fail(cli, CLI_REFUSED, "%s costs %s, more than --max-price", out_text(data, "name"),
                        out_amount(json_object_get(data, "price"), is));
    return CLI_DONE;
}

/* The one-time key is made last, so that one which is not used is rare. */
static int lock_price(struct owner *o, const struct args *args, const json_t *data, char id[65])
{
    struct tx_data_grant g;
    struct amount price, fee;
    struct buf body = {0};
    char path[128];
    json_t *key = NULL, *reply = NULL;
    const char *root = out_text(data, "plain_root");
    int rc = hex_get(root, g.data.b, sizeof g.data.b)
                 ? read_price(o->cli, args, data, &price)
                 : cli_fail(o->cli, CLI_REFUSED, "the daemon did not say the root of the data");
    snprintf(path, sizeof path, "/kith/v1/data/%.64s/key", root);
    memset(&g.key, 0, sizeof g.key);
    tx_data_grant_put(&body, &g);
    if (rc == CLI_DONE)
        rc = owner_fee(o, TX_DATA_GRANT, bytes_of_buf(&body), &fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, price, fee);
    if (rc == CLI_DONE)
        rc = confirm(o, args, data, fee);
    if (rc == CLI_DONE)
        rc = owner_unlock(o);
    if (rc == CLI_DONE)
        rc = client_post_take(o->cli, path, json_object(), &key);
    if (rc == CLI_DONE && (!json_text(key, "key") || !hex_get(json_text(key, "key"), g.key.b, sizeof g.key.b)))
        rc = cli_fail(o->cli, CLI_REFUSED, "the daemon made no key");
    buf_reset(&body);
    tx_data_grant_put(&body, &g);
    if (rc == CLI_DONE)
        rc = owner_send(o, TX_DATA_GRANT, bytes_of_buf(&body), &reply);
    if (rc == CLI_DONE)
        snprintf(id, 65, "%.64s", out_text(reply, "id"));
    json_decref(key);
    json_decref(reply);
    buf_clear(&body);
    return rc;
}

static void print_bought(const struct cli *cli, const json_t *r)
{
    char price[OUT_AMOUNT_ROOM];
    (void)cli;
    if (json_is_true(json_object_get(r, "key")))
        printf("bought %s for %s: its key opens every leaf\n`kith data get %s --out FILE` writes it\n",
               out_text(r, "name"), out_amount(json_object_get(r, "price"), price), out_text(r, "name"));
    else
        printf("%s locked for the key of %s\n`kith data get %s --out FILE` takes it once it is released\n",
               out_amount(json_object_get(r, "price"), price), out_text(r, "name"), out_text(r, "name"));
    printf("grant %s\n", out_text(r, "grant"));
}

/* From wherever an earlier try ended. */
static int buy(struct owner *o, const struct args *args, const json_t *data)
{
    const char *root = out_text(data, "plain_root");
    char path[128], grant[65] = "", released[65] = "";
    json_t *fetched = NULL;
    int rc = find_bought(o, root, "open", grant);
    if (rc == CLI_DONE)
        rc = find_bought(o, root, "released", released);
    if (rc == CLI_DONE && released[0])
        memcpy(grant, released, sizeof grant);
    snprintf(path, sizeof path, "/kith/v1/data/%.64s/fetch", root);
    if (rc == CLI_DONE && !grant[0])
        rc = task_run_take(o->cli, path, json_object(), "fetching", &fetched);
    if (rc == CLI_DONE && !grant[0])
        rc = lock_price(o, args, data, grant);
    if (rc == CLI_DONE && !args_has(args, "no-wait"))
        rc = wait_released(o, grant);
    if (rc == CLI_DONE && !args_has(args, "no-wait"))
        rc = take_key(o, grant);
    if (rc == CLI_DONE)
        rc = out_reply_take(o->cli,
                            json_pack("{s:s, s:s, s:s, s:O, s:b}", "grant", grant, "plain_root", root, "name",
                                      out_text(data, "name"), "price", json_object_get(data, "price"), "key",
                                      (int)!args_has(args, "no-wait")),
                            print_bought);
    json_decref(fetched);
    return rc;
}

int cmd_data_buy(const struct cli *cli, const struct args *args)
{
    struct owner o = {0};
    struct amount price;
    json_t *data = NULL;
    int rc = find_data(cli, args_word(args, 0), &data);
    if (rc == CLI_DONE && json_is_true(json_object_get(data, "key")))
        rc = cli_fail(cli, CLI_REFUSED, "the key of %s is on this node already: `kith data get` writes the data",
                      out_text(data, "name"));
    if (rc == CLI_DONE)
        rc = read_price(cli, args, data, &price);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = buy(&o, args, data);
    json_decref(data);
    owner_close(&o);
    return rc;
}

/* -- selling -- */

struct releasing {
    struct owner *owner;
    const char *only; /* a grant, or NULL */
    json_t *done;     /* list of {grant, name, price, id, height} */
    int failed;       /* the first cli_exit that is no success */
};

static int release(struct releasing *r, const json_t *grant)
{
    struct owner *o = r->owner;
    struct tx_key_release k;
    struct buf sealed = {0}, body = {0};
    struct amount fee;
    char path[128];
    json_t *reply = NULL, *sent = NULL;
    const char *id = out_text(grant, "id");
    snprintf(path, sizeof path, "/kith/v1/grants/%.64s/seal", id);
    int rc = owner_unlock(o);
    if (rc == CLI_DONE)
        rc = client_post_take(o->cli, path, json_object(), &reply);
    if (rc == CLI_DONE)
        rc = read_hex(o->cli, reply, "sealed", &sealed);
    if (rc == CLI_DONE && !hex_get(id, k.grant.b, sizeof k.grant.b))
        rc = cli_fail(o->cli, CLI_REFUSED, "the daemon did not say the grant's id");
    if (rc == CLI_DONE) {
        k.sealed = bytes_of_buf(&sealed);
        tx_key_release_put(&body, &k);
        rc = owner_fee(o, TX_KEY_RELEASE, bytes_of_buf(&body), &fee);
    }
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, amount_of(0), fee);
    if (rc == CLI_DONE)
        rc = owner_send(o, TX_KEY_RELEASE, bytes_of_buf(&body), &sent);
    if (rc == CLI_DONE)
        json_array_append_new(r->done, json_pack("{s:s, s:s, s:O, s:s, s:I}", "grant", id, "name",
                                                 out_text(grant, "name"), "price", json_object_get(grant, "price"),
                                                 "id", out_text(sent, "id"), "height", out_count(sent, "height")));
    json_decref(reply);
    json_decref(sent);
    buf_clear(&sealed);
    buf_clear(&body);
    return rc;
}

/* One that fails keeps no other from its key. */
static int release_if_sold(void *arg, const json_t *grant)
{
    struct releasing *r = arg;
    if (strcmp(out_text(grant, "seller"), r->owner->address) != 0 ||
        (r->only && strcmp(out_text(grant, "id"), r->only) != 0))
        return CLI_DONE;
    int rc = release(r, grant);
    if (r->failed == CLI_DONE)
        r->failed = rc;
    return rc == CLI_UNREACHABLE ? rc : CLI_DONE;
}

static void print_released(const struct cli *cli, const json_t *reply)
{
    const json_t *one, *list = json_object_get(reply, "released");
    char price[OUT_AMOUNT_ROOM];
    size_t i;
    (void)cli;
    json_array_foreach(list, i, one)
        printf("released the key of %s for %s in block %" JSON_INTEGER_FORMAT "\n", out_text(one, "name"),
               out_amount(json_object_get(one, "price"), price), out_count(one, "height"));
    fflush(stdout);
}

static int release_all(struct releasing *r, bool says_none)
{
    r->done = json_array();
    int rc = each_grant(r->owner, NULL, "open", release_if_sold, r);
    if (rc == CLI_DONE)
        rc = r->failed;
    if (json_array_size(r->done) || (rc == CLI_DONE && says_none && r->owner->cli->json)) {
        out_reply_take(r->owner->cli, json_pack("{s:o}", "released", r->done), print_released);
        return rc;
    }
    json_decref(r->done);
    if (rc == CLI_DONE && says_none && r->only)
        rc = cli_fail(r->owner->cli, CLI_REFUSED, "no grant %.64s waits for a key of yours", r->only);
    else if (rc == CLI_DONE && says_none)
        printf("nobody waits for a key of yours\n");
    return rc;
}

int cmd_data_grant(const struct cli *cli, const struct args *args)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L - 1};
    struct owner o = {0};
    struct releasing r = {.owner = &o, .only = args_word(args, 0)};
    int rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE && args_has(args, "follow"))
        rc = owner_unlock(&o);
    if (rc == CLI_DONE)
        rc = release_all(&r, !args_has(args, "follow"));
    while (rc == CLI_DONE && args_has(args, "follow")) {
        nanosleep(&pause, NULL);
        rc = release_all(&r, false);
    }
    owner_close(&o);
    return rc;
}

/* -- the data itself -- */

/* The absolute path of a file that is not there, in a directory that is; the caller frees. */
static int new_file(const struct cli *cli, const char *path, char **absolute)
{
    struct stat st;
    char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
    const char *name = slash ? slash + 1 : copy;
    int rc = CLI_DONE;
    struct buf b = {0};
    *absolute = NULL;
    if (!copy || !*name)
        rc = cli_fail(cli, CLI_USAGE, "--out \"%s\" names no file", path);
    else if (lstat(path, &st) == 0)
        rc = cli_fail(cli, CLI_USAGE, "%s is there already: name another --out, or remove it", path);
    if (rc == CLI_DONE) {
        if (slash)
            *slash = 0;
        char *dir = realpath(!slash ? "." : *copy ? copy : "/", NULL);
        if (dir)
            buf_add_format(&b, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
        else
            rc = cli_fail(cli, CLI_USAGE, "cannot write %s: %s", path, strerror(errno));
        free(dir);
    }
    if (rc == CLI_DONE)
        *absolute = strdup(buf_text(&b));
    buf_clear(&b);
    free(copy);
    return rc;
}

/* The key of a set that was bought may be released and not taken yet. */
static int take_released(const struct cli *cli, const struct args *args, const json_t *data)
{
    struct owner o = {0};
    char released[65] = "", open[65] = "";
    const char *root = out_text(data, "plain_root"), *name = out_text(data, "name");
    int rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = find_bought(&o, root, "released", released);
    if (rc == CLI_DONE && released[0])
        rc = take_key(&o, released);
    else if (rc == CLI_DONE) {
        rc = find_bought(&o, root, "open", open);
        if (rc == CLI_DONE)
            rc = open[0] ? cli_fail(cli, CLI_REFUSED,
                                    "the key of %s is not released yet: `kith data buy %s` waits for it", name, name)
                         : cli_fail(cli, CLI_REFUSED, "the key of %s is not here: `kith data buy %s` buys access", name,
                                    name);
    }
    owner_close(&o);
    return rc;
}

static void print_got(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("wrote %s, %" JSON_INTEGER_FORMAT " bytes of %s, every leaf as the ledger's root says\n",
           out_text(r, "path"), out_count(r, "size"), out_text(r, "name"));
}

int cmd_data_get(const struct cli *cli, const struct args *args)
{
    char path[128], *to = NULL;
    json_t *data = NULL, *result = NULL, *body = NULL;
    int rc = args_has(args, "out") ? new_file(cli, args_text(args, "out"), &to)
                                   : cli_fail(cli, CLI_USAGE, "`kith data get` needs --out FILE");
    if (rc == CLI_DONE)
        rc = find_data(cli, args_word(args, 0), &data);
    if (rc == CLI_DONE && !json_is_true(json_object_get(data, "key")))
        rc = take_released(cli, args, data);
    if (rc == CLI_DONE && !(body = json_pack("{s:s}", "path", to)))
        rc = cli_fail(cli, CLI_USAGE, "the path of %s is not UTF-8", args_text(args, "out"));
    if (rc == CLI_DONE) {
        snprintf(path, sizeof path, "/kith/v1/data/%.64s/open", out_text(data, "plain_root"));
        rc = task_run_take(cli, path, body, "opening", &result);
    }
    if (rc == CLI_DONE) {
        json_object_set_new(result, "path", json_string(to));
        rc = out_reply_take(cli, json_incref(result), print_got);
    }
    json_decref(data);
    json_decref(result);
    free(to);
    return rc;
}
