/* models, model check, import, publish, pull, show. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/local.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/publish.h"
#include "cli/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void print_offers(const struct cli *cli, const json_t *offers)
{
    static const char *const titles[] = {"MODEL", "PROVIDER", "IN/1M", "OUT/1M", "CONTEXT", "SLOTS", "TOKENS/S"};
    char in[OUT_AMOUNT_ROOM], out[OUT_AMOUNT_ROOM];
    const json_t *offer;
    size_t i;
    struct out_table *t = out_table_new(titles, 7);
    json_array_foreach(offers, i, offer)
    {
        out_table_add(t, "%s", out_text(offer, json_text(offer, "name") ? "name" : "model"));
        out_table_add(t, "%.16s", out_text(offer, "provider"));
        out_table_add(t, "%s", out_amount(json_object_get(offer, "price_in"), in));
        out_table_add(t, "%s", out_amount(json_object_get(offer, "price_out"), out));
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(offer, "context"));
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(offer, "slots"));
        out_table_add(t, "%.1f", json_number_value(json_object_get(offer, "speed")));
    }
    out_table_print_free(cli, t);
}

static void print_models(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"NAME", "FORMAT", "SIZE", "CONTEXT", "STATE", "ROOT"};
    const json_t *local = json_object_get(r, "local"), *offers = json_object_get(r, "offers"), *m;
    size_t i;
    if (json_array_size(local) == 0)
        printf("no models on this machine: `kith model import FILE` adds one\n");
    else {
        printf("%son this machine%s\n", out_style(cli, OUT_BOLD), out_style(cli, OUT_PLAIN));
        struct out_table *t = out_table_new(titles, 6);
        json_array_foreach(local, i, m)
        {
            out_table_add(t, "%s", out_text(m, "name"));
            out_table_add(t, "%s %s", out_text(m, "architecture"), out_text(m, "format"));
            out_table_add(t, "%.1f MB", (double)out_count(m, "size") / 1e6);
            out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(m, "context"));
            out_table_add(t, "%s", out_text(m, "state"));
            out_table_add(t, "%s", out_text(m, "root"));
        }
        out_table_print_free(cli, t);
    }
    if (json_array_size(offers)) {
        printf("\n%son offer in the network%s\n", out_style(cli, OUT_BOLD), out_style(cli, OUT_PLAIN));
        print_offers(cli, offers);
    } else
        printf("\nno offers in the network now\n");
}

int cmd_models(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/models");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_models) : rc;
}

static void print_file(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s\n", out_text(r, "name"));
    printf("  root          %s\n", out_text(r, "root"));
    printf("  architecture  %s, %s\n", out_text(r, "architecture"), out_text(r, "format"));
    printf("  size          %" JSON_INTEGER_FORMAT " bytes\n", out_count(r, "size"));
    if (out_count(r, "context"))
        printf("  context       %" JSON_INTEGER_FORMAT " tokens\n", out_count(r, "context"));
    if (out_count(r, "params"))
        printf("  parameters    %" JSON_INTEGER_FORMAT "\n", out_count(r, "params"));
    if (json_text(r, "base"))
        printf("  adapted from  %s\n", out_text(r, "base"));
}

/* Has the daemon read the file; with `check` it keeps nothing. */
static int import(const struct cli *cli, const char *file, const char *name, bool check, json_t **result)
{
    char *path;
    int rc = task_file(cli, file, &path);
    if (rc != CLI_DONE)
        return rc;
    json_t *body = json_pack("{s:s, s:b}", "path", path, "check", (int)check);
    free(path);
    if (!body)
        return cli_fail(cli, CLI_USAGE, "the path of %s is not UTF-8", file);
    if (name)
        json_object_set_new(body, "name", json_string(name));
    return task_run_take(cli, "/kith/v1/models/import", body, check ? "checking" : "importing", result);
}

/* Without a daemon: by a worker of the command's own, with the reference kernels, which keep no packed weights. */
static int check_here(const struct cli *cli, const char *file)
{
    struct wire_open how = {.mode = WIRE_FULL};
    struct local *l = NULL;
    struct note note = {{0}};
    struct stat st;
    char root[2 * HASH_SIZE + 1], *path;
    int rc = task_file(cli, file, &path);
    if (rc != CLI_DONE)
        return rc;
    CHECK(text64_set(&how.backend, "ref"));
    enum err e = local_open(path, &how, &l, &note);
    if (e == ERR_OK && stat(path, &st) == 0) {
        const struct wire_opened *o = local_opened(l);
        hex_put(root, o->root.b, HASH_SIZE);
        rc = out_reply_take(cli,
                            json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I}", "root", root, "name", o->name.s,
                                      "size", (json_int_t)st.st_size, "architecture", o->architecture.s, "format",
                                      o->format.s, "context", (json_int_t)o->context, "params",
                                      (json_int_t)o->parameters, "arith", (json_int_t)o->arith),
                            print_file);
    } else
        rc = cli_fail_note(cli, e, &note);
    local_close(l);
    free(path);
    return rc;
}

int cmd_model_check(const struct cli *cli, const struct args *args)
{
    json_t *result;
    if (!cli->url && !client_is_reachable(cli))
        return check_here(cli, args_word(args, 0));
    int rc = import(cli, args_word(args, 0), NULL, true, &result);
    return rc == CLI_DONE ? out_reply_take(cli, result, print_file) : rc;
}

const struct option_spec cmd_model_import_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "NAME", .help = "what to call it here (as the file says)"},
    {.name = NULL},
};

int cmd_model_import(const struct cli *cli, const struct args *args)
{
    json_t *result;
    int rc = import(cli, args_word(args, 0), args_text(args, "name"), false, &result);
    return rc == CLI_DONE ? out_reply_take(cli, result, print_file) : rc;
}

static void print_pulled(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("here, every leaf checked: %s, %" JSON_INTEGER_FORMAT " bytes\n", out_text(r, "root"), out_count(r, "size"));
}

const struct option_spec cmd_model_pull_options[] = {
    {.name = "cancel", .type = OPTION_FLAG, .help = "end the pull that is under way; what came is kept"},
    {.name = NULL},
};

static void print_cancelled(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s\n", json_is_true(json_object_get(r, "cancelled")) ? "the pull has ended; what came of it is kept"
                                                                 : "it was not being pulled");
}

int cmd_model_pull(const struct cli *cli, const struct args *args)
{
    json_t *result = NULL;
    bool cancels = args_has(args, "cancel");
    json_t *body = json_pack("{s:s,s:b}", "model", args_word(args, 0), "cancel", cancels);
    if (!body)
        return cli_fail(cli, CLI_USAGE, "that is not the name of a model");
    if (cancels) {
        int done = client_post_take(cli, "/kith/v1/models/pull", body, &result);
        return done == CLI_DONE ? out_reply_take(cli, result, print_cancelled) : done;
    }
    int rc = task_run_take(cli, "/kith/v1/models/pull", body, "fetching", &result);
    return rc == CLI_DONE ? out_reply_take(cli, result, print_pulled) : rc;
}

static void print_verified(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("every one of %" JSON_INTEGER_FORMAT " leaves is as its root says\n", out_count(r, "leaves"));
}

int cmd_model_verify(const struct cli *cli, const struct args *args)
{
    json_t *result;
    json_t *body = json_pack("{s:s}", "model", args_word(args, 0));
    if (!body)
        return cli_fail(cli, CLI_USAGE, "that is not the name of a model");
    int rc = task_run_take(cli, "/kith/v1/models/verify", body, "reading", &result);
    return rc == CLI_DONE ? out_reply_take(cli, result, print_verified) : rc;
}

static void print_removed(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s: %" JSON_INTEGER_FORMAT " bytes freed\n", out_text(r, "root"), out_count(r, "bytes"));
    if (json_is_true(json_object_get(r, "published")))
        printf("it is on the ledger: kith model pull fetches it again, while others keep it\n");
}

int cmd_model_rm(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    json_t *body = json_pack("{s:s}", "model", args_word(args, 0));
    if (!body)
        return cli_fail(cli, CLI_USAGE, "that is not the name of a model");
    int rc = client_post_take(cli, "/kith/v1/models/remove", body, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_removed) : rc;
}

static void print_model(const struct cli *cli, const json_t *r)
{
    const json_t *published = json_object_get(r, "published"), *lineage = json_object_get(published, "lineage"), *entry;
    const json_t *offers = json_object_get(r, "offers");
    size_t i;
    print_file(cli, r);
    printf("  here          %s\n",
           json_is_true(json_object_get(r, "local")) ? "yes" : "no: `kith model pull` fetches it");
    if (json_is_object(published)) {
        printf("  publisher     %s (height %" JSON_INTEGER_FORMAT ")\n", out_text(published, "publisher"),
               out_count(published, "height"));
        printf("  licence       %s\n", out_text(published, "licence"));
        printf("  royalty       %.2f %% of what its use earns; models made from it owe %.2f %% of theirs\n",
               (double)out_count(published, "royalty_bps") / 100, (double)out_count(published, "derive_bps") / 100);
    } else
        printf("  publisher     none: it is not on the ledger\n");
    json_array_foreach(lineage, i, entry) printf("  %-13s %s %.2f %%\n", out_text(entry, "type"), out_text(entry, "id"),
                                                 (double)out_count(entry, "bps") / 100);
    if (json_array_size(offers))
        print_offers(cli, offers);
}

int cmd_model_show(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    int rc = find_model(cli, args_word(args, 0), &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_model) : rc;
}

const struct option_spec cmd_model_publish_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "NAME", .help = "under which it is known (needed)"},
    {.name = "licence", .type = OPTION_TEXT, .value = "TEXT", .preset = "unstated", .help = "such as Apache-2.0"},
    {.name = "royalty", .type = OPTION_TEXT, .value = "PERCENT", .preset = "5", .help = "of what its use earns"},
    {.name = "derive-share",
     .type = OPTION_TEXT,
     .value = "PERCENT",
     .preset = "10",
     .help = "of their royalty that models made from it owe"},
    {.name = "parent",
     .type = OPTION_TEXT,
     .value = "ROOT:PERCENT",
     .many = true,
     .help = "a model it was made from, and that one's part of the royalty"},
    {.name = "data",
     .type = OPTION_TEXT,
     .value = "ROOT:PERCENT",
     .many = true,
     .help = "a data set it was trained on, and that one's part of the royalty"},
    PUBLISH_OUT_OPTION,
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

static int percent_option(const struct cli *cli, const struct args *args, const char *name, uint16_t *out)
{
    uint32_t bps;
    if (!task_percent(args_text(args, name), &bps))
        return cli_fail(cli, CLI_USAGE, "--%s \"%.40s\" is not a percentage: 0 to 100 with at most two decimals", name,
                        args_text(args, name));
    *out = (uint16_t)bps;
    return CLI_DONE;
}

/* "ROOT:PERCENT" of --parent or --data as one more entry of the lineage. */
static int add_lineage(const struct cli *cli, const char *option, const char *text, enum lineage_type type,
                       struct buf *lineage, uint32_t *total)
{
    struct lineage_entry entry = {.type = (uint8_t)type};
    char hex[65];
    uint32_t bps = 0;
    snprintf(hex, sizeof hex, "%.64s", text);
    if (strlen(text) < 66 || text[64] != ':' || !hex_get(hex, entry.id.b, HASH_SIZE) || !task_percent(text + 65, &bps))
        return cli_fail(cli, CLI_USAGE, "--%s \"%.90s\" is not of the form ROOT:PERCENT with 64 hexadecimal digits",
                        option, text);
    entry.bps = (uint16_t)bps;
    *total += bps;
    lineage_entry_put(lineage, &entry);
    if (*total > BPS_ALL)
        return cli_fail(cli, CLI_USAGE, "parents and data sets together take more than 100 %% of the royalty");
    if (lineage->n / LINEAGE_ENTRY_SIZE > LINEAGE_MAX)
        return cli_fail(cli, CLI_USAGE, "more than %d parents and data sets", LINEAGE_MAX);
    return CLI_DONE;
}

/* What the command line says about the manifest. */
static int read_manifest(const struct cli *cli, const struct args *args, struct tx_model_publish *m,
                         struct buf *lineage)
{
    uint32_t total = 0;
    const char *text;
    int rc = CLI_DONE;
    if (!args_has(args, "name"))
        return cli_fail(cli, CLI_USAGE, "`kith model publish` needs --name NAME");
    if (!*args_text(args, "name") || !text64_set(&m->name, args_text(args, "name")))
        return cli_fail(cli, CLI_USAGE, "--name \"%.40s\" is not 1 to 64 bytes of plain text", args_text(args, "name"));
    if (!text64_set(&m->licence, args_text(args, "licence")))
        return cli_fail(cli, CLI_USAGE, "--licence is longer than 64 bytes or not plain text");
    rc = percent_option(cli, args, "royalty", &m->royalty_bps);
    if (rc == CLI_DONE)
        rc = percent_option(cli, args, "derive-share", &m->derive_bps);
    for (unsigned i = 0; rc == CLI_DONE && (text = args_nth(args, "parent", i)); i++)
        rc = add_lineage(cli, "parent", text, LINEAGE_MODEL, lineage, &total);
    for (unsigned i = 0; rc == CLI_DONE && (text = args_nth(args, "data", i)); i++)
        rc = add_lineage(cli, "data", text, LINEAGE_DATA, lineage, &total);
    m->lineage = bytes_of_buf(lineage);
    return rc;
}

/* The part of the royalty that a lineage names for that model, -1 where it names none; and the sum of all parts. */
static int named_part(const struct buf *lineage, const struct hash *model, uint32_t *total)
{
    int part = -1;
    *total = 0;
    for (struct cursor at = cursor_of(bytes_of_buf(lineage)); at.n;) {
        struct lineage_entry entry;
        lineage_entry_get(&at, &entry);
        *total += entry.bps;
        if (entry.type == LINEAGE_MODEL && hash_equal(&entry.id, model))
            part = entry.bps;
    }
    return part;
}

/* What an adapted model says it was made of. */
struct said_base {
    const char *hex;
    struct hash root;
    json_t *reply, *published; /* on the ledger; or NULL */
};

static int find_base(const struct cli *cli, const json_t *result, const char *name, struct said_base *out)
{
    struct note note = {{0}};
    struct buf path = {0};
    int status = 0;
    *out = (struct said_base){.hex = json_text(result, name)};
    if (!out->hex || strlen(out->hex) != 2 * HASH_SIZE || !hex_get(out->hex, out->root.b, HASH_SIZE))
        return CLI_DONE;
    buf_add_format(&path, "/kith/v1/models/%s", out->hex);
    enum err e = client_try(cli, "GET", buf_text(&path), NULL, CLIENT_TIMEOUT_MS, &status, &out->reply, &note);
    buf_clear(&path);
    if (e != ERR_OK)
        return client_fail(cli, e, &note);
    json_t *published = json_object_get(out->reply, "published");
    if (status == 200 && json_is_object(published))
        out->published = published;
    return CLI_DONE;
}

/* Where it is on the ledger and no --parent names it, it is a parent, with what its children owe it. */
static int name_base(const struct cli *cli, const struct said_base *base, const char *what, struct buf *lineage)
{
    struct lineage_entry entry = {.type = LINEAGE_MODEL, .id = base->root};
    uint32_t total;
    if (!base->published || named_part(lineage, &entry.id, &total) >= 0)
        return CLI_DONE;
    entry.bps = (uint16_t)out_count(base->published, "derive_bps");
    if (total + entry.bps > BPS_ALL)
        return cli_fail(cli, CLI_USAGE, "with the %.2f %% that %s asks for, parents and data sets take over 100 %%",
                        (double)entry.bps / 100, what);
    lineage_entry_put(lineage, &entry);
    cli_remark("%s %.16s... is named as a parent, with %.2f %% of the royalty", what, base->hex,
               (double)entry.bps / 100);
    return CLI_DONE;
}

/* Through the base the first one has what a child of its own would owe it. The ledger asks for that, because most
 * tensors are the first one's. */
static bool has_its_part(const struct said_base *first, const struct said_base *base, const struct buf *lineage)
{
    const json_t *entry;
    size_t i;
    uint32_t total;
    const int64_t part = named_part(lineage, &base->root, &total);
    json_array_foreach(json_object_get(base->published, "lineage"), i, entry)
    {
        const int64_t through = part * out_count(entry, "bps") / BPS_ALL;
        if (strcmp(out_text(entry, "id"), first->hex) == 0)
            return through > 0 && through >= out_count(first->published, "derive_bps");
    }
    return false;
}

static int add_bases(const struct cli *cli, const json_t *result, struct tx_model_publish *m, struct buf *lineage)
{
    struct said_base base, first = {.hex = NULL};
    int rc = find_base(cli, result, "base", &base);
    if (rc == CLI_DONE)
        rc = name_base(cli, &base, "its base", lineage);
    if (rc == CLI_DONE)
        rc = find_base(cli, result, "first_base", &first);
    if (rc == CLI_DONE && first.published && !has_its_part(&first, &base, lineage))
        rc = name_base(cli, &first, "what its base was made of,", lineage);
    json_decref(base.reply);
    json_decref(first.reply);
    m->lineage = bytes_of_buf(lineage);
    return rc;
}

/* What the daemon found in the file. */
static bool read_import(const json_t *result, struct tx_model_publish *m, struct buf *tensors)
{
    const char *root = json_text(result, "root"), *top = json_text(result, "tensors_root");
    const char *architecture = json_text(result, "architecture"), *format = json_text(result, "format");
    const json_t *tensor;
    size_t i;
    json_array_foreach(json_object_get(result, "tensors"), i, tensor)
    {
        const char *hex = json_string_value(tensor);
        struct hash h;
        if (!hex || strlen(hex) != 64 || !hex_get(hex, h.b, HASH_SIZE))
            return false;
        buf_add(tensors, h.b, HASH_SIZE);
    }
    m->tensors = (struct hashes){tensors->p, (uint32_t)(tensors->n / HASH_SIZE)};
    m->size = (uint64_t)out_count(result, "size");
    m->arith = (uint32_t)out_count(result, "arith");
    return root && strlen(root) == 64 && hex_get(root, m->root.b, HASH_SIZE) && top && strlen(top) == 64 &&
           hex_get(top, m->tensors_root.b, HASH_SIZE) && architecture && text64_set(&m->architecture, architecture) &&
           format && text64_set(&m->format, format);
}

static void print_published(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("published %s in block %" JSON_INTEGER_FORMAT "\nroot %s\ntx   %s\n", out_text(r, "name"),
           out_count(r, "height"), out_text(r, "root"), out_text(r, "id"));
}

static int publish_model(struct owner *o, struct tx_model_publish *m, const char *out)
{
    struct buf body = {0};
    char root[65];
    json_t *reply = NULL;
    tx_model_publish_put(&body, m);
    int rc = publish(o, TX_MODEL_PUBLISH, &body, out, &reply);
    hex_put(root, m->root.b, HASH_SIZE);
    if (rc == CLI_DONE && reply)
        rc = out_reply_take(o->cli,
                            json_pack("{s:s, s:s, s:s, s:I}", "root", root, "name", m->name.s, "id",
                                      out_text(reply, "id"), "height", out_count(reply, "height")),
                            print_published);
    json_decref(reply);
    buf_clear(&body);
    return rc;
}

int cmd_model_publish(const struct cli *cli, const struct args *args)
{
    struct owner o = {0};
    struct tx_model_publish m = {0};
    struct buf lineage = {0}, tensors = {0};
    json_t *result = NULL;
    int rc = read_manifest(cli, args, &m, &lineage);
    if (rc == CLI_DONE)
        rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE && !args_has(args, "out"))
        rc = owner_unlock(&o);
    if (rc == CLI_DONE)
        rc = import(cli, args_word(args, 0), NULL, false, &result);
    if (rc == CLI_DONE)
        rc = add_bases(cli, result, &m, &lineage);
    if (rc == CLI_DONE)
        rc = read_import(result, &m, &tensors)
                 ? publish_model(&o, &m, args_text(args, "out"))
                 : cli_fail(cli, CLI_REFUSED, "the daemon did not give the roots of the model: is it of this version?");
    json_decref(result);
    buf_clear(&lineage);
    buf_clear(&tensors);
    owner_close(&o);
    return rc;
}
