/* kithd: one table of commands. Exit status: 0 done, 1 could not start, 3 wrong usage. */
#include "base/secret.h"
#include "node/config_cmd.h"
#include "node/dev.h"
#include "node/genesis_cmd.h"
#include "node/home.h"
#include "node/node.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 3 };

static int fail(enum err e, const struct note *note)
{
    fprintf(stderr, "kithd: %s\n", note->text[0] ? note->text : err_text(e));
    return e == ERR_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

/* Once it answers there, and with the port that it got where any was asked for. */
static void print_dev(const struct config *c, const struct node *n)
{
    struct buf http = {0};
    node_add_http(n, &http);
    if (http.n)
        printf("kithd dev: pages at http://%s, API at http://%s/v1, model \"default\", home %s\n", buf_text(&http),
               buf_text(&http), c->home);
    else
        printf("kithd dev: API at %s/kithd.sock alone, model \"default\", home %s\n", c->home, c->home);
    fflush(stdout);
    buf_clear(&http);
}

static int run(struct config *c, struct note *note)
{
    struct node *n;
    enum err e = node_open(c, &n, note);
    if (e != ERR_OK)
        return fail(e, note);
    if (c->dev)
        print_dev(c, n);
    node_run(n);
    node_close(n);
    return EXIT_DONE;
}

/* Makes the node's key if it is not there, and prints the node's id: scripts build addresses of it. */
static int init(struct config *c, struct note *note)
{
    struct seckey secret;
    struct pubkey id;
    int lock_fd;
    char hex[65];
    enum err e = home_open(c, &lock_fd, note);
    if (e == ERR_OK)
        e = home_key(c, &secret, &id, note);
    home_close(lock_fd);
    secret_wipe(&secret, sizeof secret);
    if (e != ERR_OK)
        return fail(e, note);
    hex_put(hex, id.b, sizeof id.b);
    printf("%s\n", hex);
    return EXIT_DONE;
}

static int dev(struct config *c, struct note *note)
{
    enum err e = dev_prepare(c, note);
    return e == ERR_OK ? run(c, note) : fail(e, note);
}

static const struct command {
    const char *name;                                /* "" runs the node */
    int (*run)(struct config *c, struct note *note); /* NULL: has words of its own: */
    const char *help;
    enum err (*words)(int words_n, char **words, struct note *note);
} commands[] = {
    {"", run, "run a node until SIGTERM or SIGINT", NULL},
    {"init", init, "make the node's key and print the node's id", NULL},
    {"dev", dev,
     "a chain of its own in one process, for building on Kith; --fresh begins again, with money for the wallet of its "
     "home",
     NULL},
    {"genesis", NULL, "write a genesis file: --out FILE --chain NAME --validator KEY:STAKE... --account KEY:AMOUNT...",
     genesis_cmd},
    {"config", NULL, "show [--json]: every setting and where it comes from; set NAME [VALUE]: write it into the file",
     config_cmd},
};

static int help(void)
{
    printf("kithd: a node of Kith\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        printf("  kithd %-20s %s\n", commands[i].name, commands[i].help);
    printf("  kithd %-20s %s\n\n", "--version", "its version");
    config_print_help();
    return EXIT_DONE;
}

static int with_words(const struct command *command, int words_n, char **words)
{
    struct note note = {{0}};
    enum err e = command->words(words_n, words, &note);
    return e == ERR_OK ? EXIT_DONE : fail(e, &note);
}

static int with_config(const struct command *command, int words_n, char **words)
{
    struct config config;
    struct note note = {{0}};
    bool wants_help;
    umask(077); /* what libraries make under the home is nobody else's either, wherever the home lies */
    enum err e = config_load(&config, words_n, words, &wants_help, &note);
    int status = wants_help ? help() : e != ERR_OK ? fail(e, &note) : command->run(&config, &note);
    config_clear(&config);
    return status;
}

int main(int argc, char **argv)
{
    secret_hide_process();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("kithd %s\n", NODE_VERSION);
        return EXIT_DONE;
    }
    const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
    int used = *name ? 2 : 1;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0 && !commands[i].run)
            return with_words(&commands[i], argc - used, argv + used);
        else if (strcmp(commands[i].name, name) == 0)
            return with_config(&commands[i], argc - used, argv + used);
    fprintf(stderr, "kithd: %.60s is no command: see kithd --help\n", name);
    return EXIT_WRONG_USAGE;
}
