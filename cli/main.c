/* kith: the table of commands, and the way from the command line to one of them. Help is made from the table. */
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/light.h"
#include "cli/out.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef KITH_VERSION
#define KITH_VERSION "0.1.0"
#endif

static int cmd_help(const struct cli *cli, const struct args *args);
static int cmd_version(const struct cli *cli, const struct args *args);

static const struct option_spec no_options[] = {{.name = NULL}};

static const struct option_spec help_options[] = {
    {.name = "man", .type = OPTION_FLAG, .help = "all of it as a man page: kith help --man >kith.1"},
    {.name = NULL},
};

static const struct option_spec global_options[] = {
    {.name = "json", .type = OPTION_FLAG, .help = "one JSON object instead of lines for people"},
    {.name = "home", .type = OPTION_TEXT, .value = "DIR", .help = "where wallet and daemon live (KITH_HOME)"},
    {.name = "url", .type = OPTION_TEXT, .value = "http://HOST:PORT", .help = "the daemon, instead of its socket"},
    {.name = "password-file",
     .type = OPTION_TEXT,
     .value = "FILE",
     .help = "the wallet's password (KITH_PASSWORD_FILE)"},
    {.name = "light", .type = OPTION_FLAG, .help = "believe no node: follow headers, show what is proven"},
    {.name = "peer",
     .type = OPTION_TEXT,
     .value = "http://HOST:PORT",
     .many = true,
     .help = "with --light: a node to ask, or several to compare"},
    {.name = "checkpoint",
     .type = OPTION_TEXT,
     .value = "HEIGHT:BLOCK",
     .help = "with --light: a block that somebody trusted named"},
    {.name = "genesis", .type = OPTION_TEXT, .value = "FILE", .help = "with --light: the chain (HOME/genesis.json)"},
    {.name = "help", .type = OPTION_FLAG, .letter = 'h', .help = "what the command does"},
    {.name = "version", .type = OPTION_FLAG, .help = "the version of kith"},
    {.name = NULL},
};

/* Commands of a group stand together, in the order in which help shows them. */
static const struct command commands[] = {
    {"init", "", 0, 0, "start", "make a home for a node, and say what comes next", no_options, cmd_init},
    {"status", "", 0, 0, "start", "the daemon: chain, peers, balance, sharing, models", no_options, cmd_status},
    {"doctor", "", 0, 0, "start", "this machine: kernels, GPUs, walls around workers, room", no_options, cmd_doctor},
    {"ps", "", 0, 0, "start", "models that are loaded: where they run, and on what", no_options, cmd_ps},
    {"events", "", 0, 0, "start", "what happens to the node, as it happens: blocks, jobs, earnings, peers, pulls",
     cmd_events_options, cmd_events},
    {"config show", "", 0, 0, "start", "every setting of kithd as a start would read it, and where it comes from",
     no_options, cmd_config_show},
    {"config set", "NAME [VALUE..]", 1, ARGS_MAX, "start", "write a setting into HOME/kith.conf; no value: its default",
     no_options, cmd_config_set},
    {"help", "[COMMAND]", 0, 2, "start", "this list, or all about one command", help_options, cmd_help},
    {"completion", "", 0, 0, "start", "for bash: eval \"$(kith completion)\"", no_options, cmd_completion},
    {"version", "", 0, 0, "start", "the version of kith", no_options, cmd_version},
    {"chat", "[MODEL]", 0, 1, "use", "talk to a model, here or in the network", cmd_chat_options, cmd_chat},
    {"run", "[MODEL] [PROMPT]", 0, 2, "use", "a model file on this machine continues a text", cmd_run_options, cmd_run},
    {"verify", "", 0, 0, "use", "replay what `kith run --json` printed: the same, or not", cmd_verify_options,
     cmd_verify},
    {"models", "", 0, 0, "use", "models on this machine and on offer, with prices", no_options, cmd_models},
    {"jobs", "", 0, 0, "use", "what was asked, newest first: state, model, tokens, cost", cmd_jobs_options, cmd_jobs},
    {"job show", "ID", 1, 1, "use", "state, answer, cost, receipt, settlement, audit", cmd_job_show_options,
     cmd_job_show},
    {"job verify", "ID", 1, 1, "use", "replay an answer here: the same, or not", no_options, cmd_job_verify},
    {"job challenge", "ID", 1, 1, "use", "take an answer that is not the model's own to the ledger", no_options,
     cmd_job_challenge},
    {"embed", "TEXT..", 1, ARGS_MAX, "use", "texts as vectors, by a model file on this machine", cmd_embed_options,
     cmd_embed},
    {"model check", "FILE", 1, 1, "model", "can Kith run this GGUF file?", no_options, cmd_model_check},
    {"model import", "FILE", 1, 1, "model", "copy a GGUF file into the node's store", cmd_model_import_options,
     cmd_model_import},
    {"model adapt", "BASE ADAPTER[=WEIGHT]..", 2, ARGS_MAX, "model",
     "one file of a model and what low-rank adapters add to it: it runs like any other", cmd_model_adapt_options,
     cmd_model_adapt},
    {"model publish", "FILE", 1, 1, "model", "import it, register it on the ledger, serve it to the network",
     cmd_model_publish_options, cmd_model_publish},
    {"model pull", "MODEL", 1, 1, "model", "fetch a model by root or name, every leaf checked", cmd_model_pull_options,
     cmd_model_pull},
    {"model verify", "MODEL", 1, 1, "model", "read every leaf of a model on this machine again", no_options,
     cmd_model_verify},
    {"model rm", "MODEL", 1, 1, "model", "take a model off this machine's disk", no_options, cmd_model_rm},
    {"model show", "MODEL", 1, 1, "model", "one model: size, publisher, royalty, lineage, offers", no_options,
     cmd_model_show},
    {"logits", "", 0, 0, "model", "every position's logits, into a file", cmd_logits_options, cmd_logits},
    {"bench", "[MODEL]", 0, 1, "model", "how fast a model reads, writes and is checked here", cmd_bench_options,
     cmd_bench},
    {"perplexity", "", 0, 0, "model", "how well a model foretells a text", cmd_perplexity_options, cmd_perplexity},
    {"train", "", 0, 0, "model", "an update of a model, trained here on your data, or checked", cmd_train_options,
     cmd_train},
    {"tokenize", "", 0, 0, "model", "a text as a model's tokens", cmd_tokenize_options, cmd_tokenize},
    {"detokenize", "", 0, 0, "model", "tokens as the text that they stand for", cmd_detokenize_options, cmd_detokenize},
    {"template", "", 0, 0, "model", "messages through a model's chat template", cmd_template_options, cmd_template},
    {"data add", "FILE", 1, 1, "data", "register data that models may be trained on", cmd_data_add_options,
     cmd_data_add},
    {"data ls", "", 0, 0, "data", "the data sets on the ledger", no_options, cmd_data_ls},
    {"data show", "DATA", 1, 1, "data", "one data set, by root or name", no_options, cmd_data_show},
    {"data buy", "DATA", 1, 1, "data", "lock its price, get its key, and the price back if that does not fit",
     cmd_data_buy_options, cmd_data_buy},
    {"data grant", "[GRANT]", 0, 1, "data", "release the keys that buyers of your data wait for",
     cmd_data_grant_options, cmd_data_grant},
    {"data get", "DATA", 1, 1, "data", "write a data set whose key is here, decrypted and checked",
     cmd_data_get_options, cmd_data_get},
    {"bounty post", "model|data AMOUNT", 2, 2, "data", "money for a model or data that you will accept",
     cmd_bounty_post_options, cmd_bounty_post},
    {"bounty ls", "", 0, 0, "data", "what is wanted, and for how much", no_options, cmd_bounty_ls},
    {"bounty show", "BOUNTY", 1, 1, "data", "one bounty and what is offered for it", cmd_bounty_show_options,
     cmd_bounty_show},
    {"bounty offer", "BOUNTY MODEL|DATA", 2, 2, "data", "offer what you registered for a bounty",
     cmd_bounty_offer_options, cmd_bounty_offer},
    {"bounty accept", "BOUNTY MODEL|DATA", 2, 2, "data", "pay your bounty to who offered this",
     cmd_bounty_accept_options, cmd_bounty_accept},
    {"share plan", "", 0, 0, "share",
     "before lending: what this machine could serve, how fast, what it costs and earns", cmd_share_plan_options,
     cmd_share_plan},
    {"share start", "", 0, 0, "share", "lend this machine: bond, register, offer", cmd_share_start_options,
     cmd_share_start},
    {"share set", "", 0, 0, "share", "change the terms: hours, battery, idle only, temperature, prices",
     cmd_share_set_options, cmd_share_set},
    {"share pause", "[2h]", 0, 1, "share", "take no job for that long, or until it is resumed; what runs is finished",
     no_options, cmd_share_pause},
    {"share resume", "", 0, 0, "share", "end the pause", no_options, cmd_share_resume},
    {"share finish", "", 0, 0, "share", "take no job any more, wait for those that run, settle, then off",
     cmd_share_finish_options, cmd_share_finish},
    {"share stop", "", 0, 0, "share", "off now: settle, withdraw the offer; what runs is finished", no_options,
     cmd_share_stop},
    {"share status", "", 0, 0, "share", "what is served, at which price, what it earned", no_options, cmd_share_status},
    {"share why", "", 0, 0, "share", "in one line: why this machine is or is not working", no_options, cmd_share_why},
    {"hop set", "MODEL NODE[@HOST:PORT] FIRST-LAST", 3, 3, "share",
     "layers of a model are to be on another device of yours", no_options, cmd_hop_set},
    {"hop rm", "MODEL NODE", 2, 2, "share", "take them back", no_options, cmd_hop_rm},
    {"hop ls", "", 0, 0, "share", "which layers are where, connected or not; who may borrow some here", no_options,
     cmd_hop_ls},
    {"hop allow", "NODE", 1, 1, "share", "let another device of yours borrow layers of this one", no_options,
     cmd_hop_allow},
    {"hop deny", "NODE", 1, 1, "share", "let it borrow none any more", no_options, cmd_hop_deny},
    {"hop check", "MODEL", 1, 1, "share", "evaluate again what the devices with layers answer: right, or who is wrong",
     no_options, cmd_hop_check},
    {"earn", "[ADDRESS]", 0, 1, "share", "what was paid to an account: by day, reason and model", cmd_earn_options,
     cmd_earn},
    {"settle", "", 0, 0, "share", "settle open channels now", no_options, cmd_settle},
    {"wallet new", "", 0, 0, "wallet", "24 words and a first account, or one more account", cmd_wallet_new_options,
     cmd_wallet_new},
    {"wallet restore", "", 0, 0, "wallet", "a wallet from its words, read from standard input",
     cmd_wallet_restore_options, cmd_wallet_restore},
    {"wallet balance", "[ADDRESS]", 0, 1, "wallet", "of your accounts, or of any address", no_options,
     cmd_wallet_balance},
    {"wallet receive", "", 0, 0, "wallet", "your address, also as a QR code", cmd_wallet_receive_options,
     cmd_wallet_receive},
    {"wallet ls", "", 0, 0, "wallet", "the accounts of this wallet", no_options, cmd_wallet_ls},
    {"wallet backup", "", 0, 0, "wallet", "the words of this wallet once more", no_options, cmd_wallet_backup},
    {"wallet watch", "ADDRESS", 1, 1, "wallet", "an account whose key is elsewhere", cmd_wallet_watch_options,
     cmd_wallet_watch},
    {"wallet label", "ADDRESS|TXID [TEXT]", 1, 2, "wallet", "what you call an address or a transaction",
     cmd_wallet_label_options, cmd_wallet_label},
    {"wallet labels", "", 0, 0, "wallet", "everything that has a label", no_options, cmd_wallet_labels},
    {"tx send", "ADDRESS AMOUNT", 2, 2, "wallet", "send KITH", cmd_tx_send_options, cmd_tx_send},
    {"tx bond", "ROLE AMOUNT", 2, 2, "wallet", "put up stake as validator, provider or auditor", cmd_tx_spend_options,
     cmd_tx_bond},
    {"tx unbond", "ROLE AMOUNT", 2, 2, "wallet", "ask stake back; it returns after the unbonding time",
     cmd_tx_spend_options, cmd_tx_unbond},
    {"tx rule", "K ADDRESS...", 1, 17, "wallet", "from now on K of these keys sign for the account; 0 ends it",
     cmd_tx_spend_options, cmd_tx_rule},
    {"tx build", "WHAT...", 1, 18, "wallet",
     "write a transaction to be signed elsewhere: send, bond, unbond or rule, and their words", cmd_tx_build_options,
     cmd_tx_build},
    {"tx sign", "FILE", 1, 1, "wallet", "sign what `kith tx build` wrote; needs no network", cmd_tx_sign_options,
     cmd_tx_sign},
    {"tx broadcast", "FILE...", 1, 16, "wallet", "send what was signed; several copies add up", no_options,
     cmd_tx_broadcast},
    {"tx show", "TXID", 1, 1, "wallet", "what a transaction did", no_options, cmd_tx_show},
    {"tx history", "[ADDRESS]", 0, 1, "wallet", "what happened to an account, newest first", cmd_tx_history_options,
     cmd_tx_history},
    {"key new", "", 0, 0, "network", "a key of the API, for clients on other machines", cmd_key_new_options,
     cmd_key_new},
    {"key ls", "", 0, 0, "network", "the keys there are, and what they spent", no_options, cmd_key_ls},
    {"key rm", "ID", 1, 1, "network", "take a key back", no_options, cmd_key_rm},
    {"peers", "", 0, 0, "network", "who this node is connected to", no_options, cmd_peers},
    {"peer add", "PUBKEY@HOST:PORT", 1, 1, "network", "connect to a node and remember it", no_options, cmd_peer_add},
    {"peer ban", "NODE", 1, 1, "network", "keep a node out: not dialled, and hung up on", cmd_peer_ban_options,
     cmd_peer_ban},
    {"peer unban", "NODE", 1, 1, "network", "let it in again", no_options, cmd_peer_unban},
    {"peer ls", "", 0, 0, "network", "whom you keep out, and why", no_options, cmd_peer_ls},
    {"net check", "", 0, 0, "network",
     "can others reach this node? peers, ports, chain, clock; 1 where something is bad", no_options, cmd_net_check},
    {"chain info", "", 0, 0, "network", "height, fees, money in existence", no_options, cmd_chain_info},
    {"chain block", "HEIGHT", 1, 1, "network", "one block and its transactions", no_options, cmd_chain_block},
    {"chain wait", "HEIGHT", 1, 1, "network", "until the chain is that high", cmd_chain_wait_options, cmd_chain_wait},
    {"chain testimony", "HEIGHT", 1, 1, "network", "what this node can testify of a height, as a file",
     cmd_chain_testimony_options, cmd_chain_testimony},
    {"chain blame", "FILE...", 1, 16, "network", "from testimonies of two decisions of one height: who is to blame",
     no_options, cmd_chain_blame},
    {"receipt show", "SETTLEMENT INDEX", 2, 2, "network", "with --light: a settled receipt, proven", no_options,
     cmd_light_only},
    {"proof", "CLASS [KEY]", 1, 2, "network", "with --light: any record of the ledger, or that it is absent",
     no_options, cmd_light_only},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

const struct command *commands_at(unsigned i)
{
    return i < COMMAND_COUNT ? &commands[i] : NULL;
}

const struct option_spec *commands_globals(void)
{
    return global_options;
}

static void print_options(const struct option_spec *table)
{
    for (; table->name; table++) {
        char left[80];
        int n = snprintf(left, sizeof left, "--%s%s%s", table->name, table->value ? " " : "",
                         table->value ? table->value : "");
        if (table->letter)
            snprintf(left + n, sizeof left - (size_t)n, ", -%c", table->letter);
        printf("  %-28s %s", left, table->help);
        if (table->preset)
            printf(" (%s)", table->preset);
        printf("\n");
    }
}

static void print_usage(const struct command *c)
{
    printf("usage: kith %s%s%s%s\n", c->name, *c->words ? " " : "", c->words, c->options->name ? " [OPTIONS]" : "");
}

static void print_command(const struct command *c)
{
    print_usage(c);
    printf("%s\n", c->help);
    if (c->options->name) {
        printf("\noptions:\n");
        print_options(c->options);
    }
    printf("\nfor every command:\n");
    print_options(global_options);
}

/* Whether it is one of several under that word. */
static bool is_of(const struct command *c, const char *group)
{
    size_t n = strlen(group);
    return strncmp(c->name, group, n) == 0 && c->name[n] == ' ';
}

/* All commands, or those whose first word is `first`. */
static void print_list(const struct cli *cli, const char *first)
{
    const char *group = "";
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        char left[128];
        if (first && !is_of(c, first))
            continue;
        if (!first && strcmp(group, c->group) != 0)
            printf("%s%s%s%s\n", *group ? "\n" : "", out_style(cli, OUT_BOLD), c->group, out_style(cli, OUT_PLAIN));
        group = c->group;
        snprintf(left, sizeof left, "%s%s%s", c->name, *c->words ? " " : "", c->words);
        printf("  kith %-34s %s\n", left, c->help);
    }
}

static const struct command *find_command(const char *first, const char *second)
{
    char both[128];
    snprintf(both, sizeof both, "%.60s %.60s", first, second ? second : "");
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, both) == 0)
            return &commands[i];
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, first) == 0)
            return &commands[i];
    return NULL;
}

static bool is_group(const char *first)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (is_of(&commands[i], first))
            return true;
    return false;
}

/* The command that was begun, or whose name is nearest to what was typed within a few letters, two words before one;
 * `second` may be NULL. */
static const char *nearest_command(const char *first, const char *second)
{
    char both[128];
    const char *best = NULL;
    unsigned least = 8;
    snprintf(both, sizeof both, "%.60s %.60s", first, second ? second : "");
    for (int i = 0; i < COMMAND_COUNT; i++) {
        bool two = second && strchr(commands[i].name, ' ');
        const char *typed = two ? both : first;
        unsigned distance = text_distance(commands[i].name, typed), cost = 2 * distance + !two;
        if (strncmp(commands[i].name, typed, strlen(typed)) == 0)
            return commands[i].name;
        if (cost < least && distance <= strlen(typed) / 2) {
            least = cost;
            best = commands[i].name;
        }
    }
    return best;
}

static int unknown_command(const struct cli *cli, const char *first, const char *second)
{
    bool group = is_group(first);
    const char *best = nearest_command(first, second);
    const char *shown = group && second ? second : "";
    if (best && (second || !group))
        return cli_fail(cli, CLI_USAGE, "there is no command `%.60s%s%.60s`: did you mean `kith %s`?", first,
                        *shown ? " " : "", shown, best);
    if (group && !second)
        return cli_fail(cli, CLI_USAGE, "`kith %s` is several commands: `kith help %s` lists them", first, first);
    return cli_fail(cli, CLI_USAGE, "there is no command `%.60s%s%.60s`: `kith help` lists them all", first,
                    *shown ? " " : "", shown);
}

static json_t *command_json(const struct command *c)
{
    json_t *options = json_array();
    for (const struct option_spec *o = c->options; o->name; o++)
        json_array_append_new(options, json_pack("{s:s, s:s?, s:s?, s:s}", "name", o->name, "value", o->value,
                                                 "default", o->preset, "help", o->help));
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", c->name, "words", c->words, "group", c->group, "help",
                     c->help, "options", options);
}

/* One, or those of a group, or all. */
static void show_commands(const struct cli *cli, const struct command *one, const char *group)
{
    json_t *list = json_array();
    for (int i = 0; i < COMMAND_COUNT && cli->json; i++)
        if (one ? one == &commands[i] : !group || is_of(&commands[i], group))
            json_array_append_new(list, command_json(&commands[i]));
    if (cli->json)
        out_json_take(json_pack("{s:O}", "commands", list));
    else if (one)
        print_command(one);
    else if (group)
        print_list(cli, group);
    else {
        printf("kith: ask open models, lend a machine to others, be paid for it.\n\n");
        print_list(cli, NULL);
        printf("\nfor every command:\n");
        print_options(global_options);
        printf("\nexit status: %s\n", COMMANDS_EXIT_TEXT);
    }
    json_decref(list);
}

static int cmd_help(const struct cli *cli, const struct args *args)
{
    const char *first = args_word(args, 0), *second = args_word(args, 1);
    const struct command *c = first ? find_command(first, second) : NULL;
    if (first && !c && (second || !is_group(first)))
        return unknown_command(cli, first, second);
    if (args_has(args, "man") && !cli->json && !first)
        print_man();
    else if (args_has(args, "man"))
        return cli_fail(cli, CLI_USAGE, "`kith help --man` is one page of all commands, and no JSON");
    else
        show_commands(cli, c, first);
    return CLI_DONE;
}

static int cmd_version(const struct cli *cli, const struct args *args)
{
    (void)args;
    if (cli->json)
        out_json_take(json_pack("{s:s}", "version", KITH_VERSION));
    else
        printf("kith %s\n", KITH_VERSION);
    return CLI_DONE;
}

/* Where wallet and daemon live when nobody says otherwise (XDG base directories). */
static const char *default_home(struct buf *room)
{
    const char *home = getenv("KITH_HOME"), *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    if (home && *home)
        return home;
    if (data && *data == '/')
        buf_add_format(room, "%s/kith", data);
    else
        buf_add_format(room, "%s/.local/share/kith", user && *user ? user : ".");
    return buf_text(room);
}

static void read_globals(struct cli *cli, const struct args *args)
{
    cli->json = args_has(args, "json");
    if (args_has(args, "home"))
        cli->home = args_text(args, "home");
    cli->url = args_has(args, "url") ? args_text(args, "url") : getenv("KITH_URL");
    cli->password_file =
        args_has(args, "password-file") ? args_text(args, "password-file") : getenv("KITH_PASSWORD_FILE");
    const char *no_color = getenv("NO_COLOR");
    cli->color = !cli->json && isatty(STDOUT_FILENO) && !(no_color && *no_color);
}

static int check_words(const struct cli *cli, const struct command *c, const struct args *args)
{
    if (args->words_n > c->words_max)
        return cli_fail(cli, CLI_USAGE, "`kith %s` does not know what to do with \"%.60s\": see `kith help %s`",
                        c->name, args_word(args, c->words_max), c->name);
    if (args->words_n < c->words_min)
        return cli_fail(cli, CLI_USAGE, "`kith %s` needs %s: see `kith help %s`", c->name, c->words, c->name);
    return CLI_DONE;
}

/* argv without the program's name. The words of the command are found first, then all the rest is read against its
 * options and the global ones. */
static int run(struct cli *cli, int argc, char **argv)
{
    struct note note = {{0}};
    struct args args;
    int first = args_next_word(global_options, argc, argv, 0);
    int second = first < argc ? args_next_word(global_options, argc, argv, first + 1) : argc;
    const struct command *c = NULL;
    for (int i = 0; i < argc; i++)
        cli->json = cli->json || strcmp(argv[i], "--json") == 0; /* so that a usage error is JSON too */
    if (first < argc) {
        const char *follows = second < argc ? argv[second] : NULL;
        c = find_command(argv[first], follows);
        if (!c)
            return unknown_command(cli, argv[first], follows);
        if (strchr(c->name, ' ')) {
            memmove(argv + second, argv + second + 1, (size_t)(argc - second - 1) * sizeof *argv);
            argc--;
        }
        memmove(argv + first, argv + first + 1, (size_t)(argc - first - 1) * sizeof *argv);
        argc--;
    }
    if (args_parse(&args, global_options, c ? c->options : NULL, argc, argv, &note) != ERR_OK)
        return cli_fail(cli, CLI_USAGE, "%s (`kith help%s%s`)", note.text, c ? " " : "", c ? c->name : "");
    read_globals(cli, &args);
    if (args_has(&args, "version"))
        return cmd_version(cli, &args);
    if (!c) {
        show_commands(cli, NULL, NULL);
        return args_has(&args, "help") ? CLI_DONE : CLI_USAGE;
    }
    if (args_has(&args, "help")) {
        show_commands(cli, c, NULL);
        return CLI_DONE;
    }
    int rc = check_words(cli, c, &args);
    if (rc == CLI_DONE && args_has(&args, "light"))
        return light_run(cli, c, &args);
    return rc == CLI_DONE ? c->run(cli, &args) : rc;
}

int main(int argc, char **argv)
{
    secret_hide_process();
    struct buf home = {0};
    struct cli cli = {.home = default_home(&home)};
    signal(SIGPIPE, SIG_IGN);
    int rc = run(&cli, argc - 1, argv + 1);
    buf_clear(&home);
    return !out_end() && rc == CLI_DONE ? CLI_REFUSED : rc;
}
