/* data add, data ls. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/publish.h"
#include "cli/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct option_spec cmd_data_add_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "NAME", .help = "under which it is known (needed)"},
    {.name = "licence", .type = OPTION_TEXT, .value = "TEXT", .preset = "unstated", .help = "such as CC-BY-4.0"},
    {.name = "format", .type = OPTION_TEXT, .value = "TEXT", .help = "such as jsonl (the file's ending)"},
    {.name = "train", .type = OPTION_TEXT, .value = "yes|no", .preset = "yes", .help = "may models be trained on it?"},
    {.name = "share",
     .type = OPTION_TEXT,
     .value = "PERCENT",
     .preset = "5",
     .help = "least part of the royalty of a model that was"},
    {.name = "price", .type = OPTION_AMOUNT, .value = "KITH", .preset = "0", .help = "of access to it"},
    PUBLISH_OUT_OPTION,
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

static int read_terms(const struct cli *cli, const struct args *args, struct tx_data_contribute *d)
{
    const char *train = args_text(args, "train"), *name = args_text(args, "name"), *format = args_text(args, "format");
    const char *file = args_word(args, 0), *dot = strrchr(file, '.');
    uint32_t bps;
    if (!name)
        return cli_fail(cli, CLI_USAGE, "`kith data add` needs --name NAME");
    if (!*name || !text64_set(&d->name, name))
        return cli_fail(cli, CLI_USAGE, "--name \"%.40s\" is not 1 to 64 bytes of plain text", name);
    if (!text64_set(&d->licence, args_text(args, "licence")))
        return cli_fail(cli, CLI_USAGE, "--licence is longer than 64 bytes or not plain text");
    if (!format)
        format = dot && !strchr(dot, '/') && dot[1] ? dot + 1 : "bytes";
    if (!text64_set(&d->format, format))
        return cli_fail(cli, CLI_USAGE, "--format \"%.40s\" is longer than 64 bytes or not plain text", format);
    d->train = strcmp(train, "yes") == 0;
    if (!d->train && strcmp(train, "no") != 0)
        return cli_fail(cli, CLI_USAGE, "--train \"%.40s\" is neither yes nor no", train);
    if (!task_percent(args_text(args, "share"), &bps))
        return cli_fail(cli, CLI_USAGE, "--share \"%.40s\" is not a percentage: 0 to 100 with at most two decimals",
                        args_text(args, "share"));
    d->share_bps = (uint16_t)bps;
    d->price = args_amount(args, "price");
    return CLI_DONE;
}

static void print_added(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("registered %s in block %" JSON_INTEGER_FORMAT "\nroot %s\ntx   %s\n", out_text(r, "name"),
           out_count(r, "height"), out_text(r, "plain_root"), out_text(r, "id"));
    if (strcmp(out_text(r, "price"), "0") != 0)
        printf("buyers wait for its key: `kith data grant --follow` releases it to each that paid\n");
}

static int contribute(struct owner *o, const struct tx_data_contribute *d, const json_t *stored, const char *out)
{
    struct buf body = {0};
    char price[24];
    json_t *reply = NULL;
    snprintf(price, sizeof price, "%" PRIu64, d->price.mote);
    tx_data_contribute_put(&body, d);
    int rc = publish(o, TX_DATA_CONTRIBUTE, &body, out, &reply);
    if (rc == CLI_DONE && reply)
        rc = out_reply_take(o->cli,
                            json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "plain_root", out_text(stored, "plain_root"),
                                      "cipher_root", out_text(stored, "cipher_root"), "name", d->name.s, "price", price,
                                      "id", out_text(reply, "id"), "height", out_count(reply, "height")),
                            print_added);
    json_decref(reply);
    buf_clear(&body);
    return rc;
}

static bool read_stored(const json_t *r, struct tx_data_contribute *d)
{
    const char *plain = json_text(r, "plain_root"), *cipher = json_text(r, "cipher_root");
    d->size = (uint64_t)out_count(r, "size");
    return plain && strlen(plain) == 64 && hex_get(plain, d->plain_root.b, HASH_SIZE) && cipher &&
           strlen(cipher) == 64 && hex_get(cipher, d->cipher_root.b, HASH_SIZE);
}

/* -- what was encrypted before: each time it would be under another key, with other roots, which nobody has claimed --
 */

#define STORED_FIELDS(F) F(hash, plain_root) F(hash, cipher_root) F(u64, size)
RECORD_DECLARE(stored, STORED_FIELDS)
RECORD_DEFINE(stored, STORED_FIELDS)

/* By the file as it is now: where it is, its size, its time. NULL: it is gone. */
static char *stored_path(const struct cli *cli, const char *path)
{
    struct stat st;
    struct hasher h;
    if (stat(path, &st) != 0)
        return NULL;
    hash_start(&h, HASH_FILE);
    hash_add(&h, path, strlen(path));
    hash_add_u64(&h, (uint64_t)st.st_size);
    hash_add_u64(&h, (uint64_t)st.st_ino);
    hash_add_u64(&h, (uint64_t)st.st_mtim.tv_sec);
    hash_add_u64(&h, (uint64_t)st.st_mtim.tv_nsec);
    struct hash id = hash_end(&h);
    return publish_path(cli, "file", &id);
}

/* The roots that the daemon gave for this file, where what these words say of it was not published otherwise. */
static json_t *find_earlier(const struct owner *o, const char *at, const struct tx_data_contribute *terms)
{
    struct buf raw = {0}, body = {0};
    struct stored s;
    char plain[65], cipher[65];
    json_t *earlier = NULL;
    bool good = publish_read(at, &raw);
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    stored_get(&c, &s);
    if (good && cursor_end(&c)) {
        struct tx_data_contribute d = *terms;
        d.plain_root = s.plain_root;
        d.cipher_root = s.cipher_root;
        d.size = s.size;
        tx_data_contribute_put(&body, &d);
        hex_put(plain, s.plain_root.b, HASH_SIZE);
        hex_put(cipher, s.cipher_root.b, HASH_SIZE);
        if (publish_has_begun(o, TX_DATA_CONTRIBUTE, bytes_of_buf(&body)) || !find_is_data(o->cli, plain))
            earlier = json_pack("{s:s, s:s}", "plain_root", plain, "cipher_root", cipher);
    }
    buf_clear(&body);
    buf_clear(&raw);
    return earlier;
}

static int remember(const struct cli *cli, const char *at, const struct tx_data_contribute *d)
{
    struct buf raw = {0};
    stored_put(&raw, &(struct stored){d->plain_root, d->cipher_root, d->size});
    int rc = publish_write(cli, at, bytes_of_buf(&raw));
    buf_clear(&raw);
    return rc;
}

/* Has the daemon encrypt the file, or find what it made of it. */
static int store(struct owner *o, const char *path, struct tx_data_contribute *d, json_t **stored)
{
    char *at = stored_path(o->cli, path);
    json_t *body = json_pack("{s:s}", "path", path), *earlier = at ? find_earlier(o, at, d) : NULL;
    int rc = body ? CLI_DONE : cli_fail(o->cli, CLI_USAGE, "the path of %s is not UTF-8", path);
    if (rc == CLI_DONE && earlier)
        json_object_set(body, "earlier", earlier);
    if (rc == CLI_DONE)
        rc = task_run_take(o->cli, "/kith/v1/data", body, "encrypting", stored);
    if (rc == CLI_DONE && !read_stored(*stored, d))
        rc = cli_fail(o->cli, CLI_REFUSED, "the daemon did not give the roots of the data");
    if (rc == CLI_DONE && at)
        rc = remember(o->cli, at, d);
    json_decref(earlier);
    free(at);
    return rc;
}

int cmd_data_add(const struct cli *cli, const struct args *args)
{
    struct owner o = {0};
    struct tx_data_contribute d = {0};
    char *path = NULL;
    json_t *stored = NULL;
    int rc = read_terms(cli, args, &d);
    if (rc == CLI_DONE)
        rc = task_file(cli, args_word(args, 0), &path);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE && !args_has(args, "out"))
        rc = owner_unlock(&o);
    if (rc == CLI_DONE)
        rc = store(&o, path, &d, &stored);
    if (rc == CLI_DONE)
        rc = contribute(&o, &d, stored, args_text(args, "out"));
    json_decref(stored);
    free(path);
    owner_close(&o);
    return rc;
}

static void print_data(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"NAME", "SIZE", "LICENCE", "TRAIN", "SHARE", "PRICE", "HERE", "ROOT"};
    const json_t *list = json_object_get(r, "data"), *d;
    char price[OUT_AMOUNT_ROOM];
    size_t i;
    if (json_array_size(list) == 0) {
        printf("no data is registered: `kith data add FILE --name NAME` registers some\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 8);
    json_array_foreach(list, i, d)
    {
        out_table_add(t, "%s", out_text(d, "name"));
        out_table_add(t, "%.1f MB", (double)out_count(d, "size") / 1e6);
        out_table_add(t, "%s", out_text(d, "licence"));
        out_table_add(t, "%s", json_is_true(json_object_get(d, "train")) ? "yes" : "no");
        out_table_add(t, "%.2f %%", (double)out_count(d, "share_bps") / 100);
        out_table_add(t, "%s", out_amount(json_object_get(d, "price"), price));
        out_table_add(t, "%s",
                      json_is_true(json_object_get(d, "key"))     ? "with key"
                      : json_is_true(json_object_get(d, "local")) ? "encrypted"
                                                                  : "no");
        out_table_add(t, "%s", out_text(d, "plain_root"));
    }
    out_table_print_free(cli, t);
}

int cmd_data_ls(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/data");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_data) : rc;
}
