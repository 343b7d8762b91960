/* status, peers, peer add, chain info/block/wait, settle: what the daemon knows about itself and the chain. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_status(const struct cli *cli, const json_t *r)
{
    char room[OUT_AMOUNT_ROOM];
    const json_t *chain = json_object_get(r, "chain"), *share = json_object_get(r, "share"), *model;
    size_t i;
    printf("node     %s\n", out_text(r, "peer"));
    printf("chain    %s%s%s at height %" JSON_INTEGER_FORMAT "%s\n", out_style(cli, OUT_BOLD), out_text(chain, "name"),
           out_style(cli, OUT_PLAIN), out_count(chain, "height"),
           json_is_true(json_object_get(chain, "syncing")) ? ", catching up" : "");
    printf("peers    %" JSON_INTEGER_FORMAT "\n", out_count(r, "peers"));
    const json_t *reach = json_object_get(r, "reach");
    printf("reach    %s%s%s%s\n", out_text(reach, "reachable"), out_count(reach, "relays") ? ", through relays: " : "",
           out_count(reach, "relays") ? out_text(reach, "way") : "",
           json_is_true(json_object_get(reach, "relaying")) ? ", relays for others" : "");
    printf("account  %s  %s\n", out_text(r, "address"), out_amount(json_object_get(r, "balance"), room));
    printf("share    %s%s%s\n", out_text(share, "state"), json_text(share, "why") ? ": " : "",
           json_text(share, "why") ? out_text(share, "why") : "");
    json_array_foreach(json_object_get(r, "models"), i, model)
        printf("%s%s  %s (%s)\n", i ? "         " : "models   ", out_text(model, "name"), out_text(model, "root"),
               out_text(model, "state"));
}

int cmd_status(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/status");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_status) : rc;
}

static void print_peers(const struct cli *cli, const json_t *reply)
{
    static const char *const titles[] = {"NODE", "ADDRESS", "DIRECTION", "HEIGHT"};
    const json_t *peers = json_object_get(reply, "peers"), *peer;
    size_t i;
    if (json_array_size(peers) == 0) {
        printf("no peers: `kith peer add PUBKEY@HOST:PORT` connects to one\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 4);
    json_array_foreach(peers, i, peer)
    {
        out_table_add(t, "%s", out_text(peer, "node"));
        out_table_add(t, "%s", out_text(peer, "endpoint"));
        out_table_add(t, "%s", out_text(peer, "direction"));
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(peer, "height"));
    }
    out_table_print_free(cli, t);
}

int cmd_peers(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/peers");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_peers) : rc;
}

static void print_peer_added(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s %s\n", out_text(r, "state"), out_text(r, "peer"));
}

int cmd_peer_add(const struct cli *cli, const struct args *args)
{
    const char *peer = args_word(args, 0);
    const char *at = strchr(peer, '@'), *colon = strrchr(peer, ':');
    uint8_t key[32];
    char hex[65];
    json_t *reply;
    if (!at || at - peer != 64 || !colon || colon < at + 2 || !colon[1])
        return cli_fail(cli, CLI_USAGE, "\"%.120s\" is not a node: write PUBKEY@HOST:PORT with 64 hexadecimal digits",
                        peer);
    snprintf(hex, sizeof hex, "%.64s", peer);
    if (!hex_get(hex, key, sizeof key))
        return cli_fail(cli, CLI_USAGE, "\"%s\" is not a public key: 64 hexadecimal digits", hex);
    int rc = client_post_take(cli, "/kith/v1/peers", json_pack("{s:s}", "peer", peer), &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_peer_added) : rc;
}

/* Every member of a flat object, one a line; amounts in KITH. */
static void print_amounts(const json_t *object)
{
    const char *key;
    json_t *value;
    char room[OUT_AMOUNT_ROOM];
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        out_name(key, 12);
        printf("%s\n", out_amount(value, room));
    }
}

static void print_time(const char *label, json_int_t time_ms)
{
    char text[OUT_TIME_ROOM];
    printf("%s%s UTC\n", label, out_time(time_ms, text));
}

static void print_chain(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("chain       %s  %s\n", out_text(r, "name"), out_text(r, "id"));
    printf("height      %" JSON_INTEGER_FORMAT "  block %s\n", out_count(r, "height"), out_text(r, "block"));
    printf("state root  %s\n", out_text(r, "state_root"));
    print_time("time        ", out_count(r, "time_ms"));
    printf("validators  %" JSON_INTEGER_FORMAT "\nsupply\n", out_count(r, "validators"));
    print_amounts(json_object_get(r, "supply"));
    printf("fees\n");
    print_amounts(json_object_get(r, "fees"));
}

int cmd_chain_info(const struct cli *cli, const struct args *args)
{
    json_t *r;
    (void)args;
    int rc = client_get(cli, &r, "/kith/v1/chain/info");
    return rc == CLI_DONE ? out_reply_take(cli, r, print_chain) : rc;
}

/* A height given as a word; "latest" where that is allowed. */
static bool height_is_good(const char *word, uint64_t *height)
{
    size_t n = strlen(word);
    if (n == 0 || n > 18 || strspn(word, "0123456789") != n)
        return false;
    *height = 0;
    for (; *word; word++)
        *height = *height * 10 + (uint64_t)(*word - '0');
    return true;
}

static void print_block(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"TRANSACTION", "KIND", "SIGNER", "FEE", "RESULT"};
    const json_t *txs = json_object_get(r, "txs"), *tx;
    size_t i;
    char room[OUT_AMOUNT_ROOM];
    printf("block    %" JSON_INTEGER_FORMAT "  %s\n", out_count(r, "height"), out_text(r, "id"));
    print_time("time     ", out_count(r, "time_ms"));
    printf("proposer %s\n", out_text(r, "proposer"));
    if (json_array_size(txs) == 0) {
        printf("no transactions\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 5);
    json_array_foreach(txs, i, tx)
    {
        bool ok = json_is_true(json_object_get(tx, "ok"));
        out_table_add(t, "%s", out_text(tx, "id"));
        out_table_add(t, "%s", out_text(tx, "kind"));
        out_table_add(t, "%s", out_text(tx, "signer"));
        out_table_add(t, "%s", out_amount(json_object_get(tx, "fee"), room));
        out_table_add(t, "%s", ok ? "ok" : out_text(tx, "error"));
    }
    out_table_print_free(cli, t);
}

int cmd_chain_block(const struct cli *cli, const struct args *args)
{
    const char *word = args_word(args, 0);
    uint64_t height;
    json_t *r;
    if (strcmp(word, "latest") != 0 && !height_is_good(word, &height))
        return cli_fail(cli, CLI_USAGE, "\"%.40s\" is not a height: a whole number, or `latest`", word);
    int rc = client_get(cli, &r, "/kith/v1/chain/blocks/%s", word);
    return rc == CLI_DONE ? out_reply_take(cli, r, print_block) : rc;
}

const struct option_spec cmd_chain_wait_options[] = {
    {.name = "timeout", .type = OPTION_COUNT, .value = "SECONDS", .preset = "60", .help = "give up after that long"},
    {.name = NULL},
};

int cmd_chain_wait(const struct cli *cli, const struct args *args)
{
    uint64_t height, deadline = out_now_ms() + args_count(args, "timeout") * 1000;
    if (!height_is_good(args_word(args, 0), &height))
        return cli_fail(cli, CLI_USAGE, "\"%.40s\" is not a height: a whole number", args_word(args, 0));
    for (;;) {
        json_t *r;
        uint64_t now = out_now_ms(), left_s = deadline > now ? (deadline - now + 999) / 1000 : 0;
        int rc = client_get(cli, &r, "/kith/v1/chain/wait?height=%" PRIu64 "&wait=%" PRIu64, height,
                            left_s < 20 ? left_s : 20);
        if (rc != CLI_DONE)
            return rc;
        uint64_t reached = (uint64_t)out_count(r, "height");
        json_decref(r);
        if (reached < height && out_now_ms() < deadline)
            continue;
        if (reached < height)
            return cli_fail(cli, CLI_LATE, "the chain is at height %" PRIu64 " and did not reach %" PRIu64 " in time",
                            reached, height);
        if (cli->json)
            out_json_take(json_pack("{s:I}", "height", (json_int_t)reached));
        else
            printf("height %" PRIu64 "\n", reached);
        return CLI_DONE;
    }
}

static void print_settlements(const struct cli *cli, const json_t *r)
{
    const json_t *all = json_object_get(r, "settlements"), *s;
    char room[OUT_AMOUNT_ROOM];
    size_t i;
    (void)cli;
    if (json_array_size(all) == 0)
        printf("nothing to settle\n");
    json_array_foreach(all, i, s)
        printf("%s  channel %s\n", out_amount(json_object_get(s, "amount"), room), out_text(s, "channel"));
}

int cmd_settle(const struct cli *cli, const struct args *args)
{
    json_t *r;
    (void)args;
    int rc = client_post_take(cli, "/kith/v1/settle", json_object(), &r);
    return rc == CLI_DONE ? out_reply_take(cli, r, print_settlements) : rc;
}
