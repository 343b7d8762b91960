/* What every command of `kith` is given, and the shape of the table that they stand in. */
#ifndef KITH_CLI_CLI_H
#define KITH_CLI_CLI_H

#include "cli/args.h"

#include <stddef.h>

/* The exit status of the process; scripts rely on it. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_REFUSED = 1,     /* by the daemon, the network or the ledger; `verify`: different */
    CLI_UNREACHABLE = 2, /* no daemon answers */
    CLI_USAGE = 3,       /* wrong usage or bad input */
    CLI_LATE = 4,        /* waited too long */
};

struct cli {
    bool json;                 /* one JSON object on standard output and nothing else */
    bool color;                /* standard output is a terminal and NO_COLOR is not set */
    const char *home;          /* KITH_HOME, or ~/.local/share/kith */
    const char *url;           /* of the daemon, instead of its socket in `home`; or NULL */
    size_t answer_max;         /* bytes of a daemon's answer; 0: JSON_BYTES_MAX */
    const char *password_file; /* instead of asking on the terminal; or NULL */
};

/* Has a cli_exit as its result; on failure it has said why (out.h, cli_fail). */
typedef int (*command_fn)(const struct cli *cli, const struct args *args);

struct command {
    const char *name;  /* one or two words */
    const char *words; /* usage behind the name, without the options */
    unsigned words_min, words_max;
    const char *group;
    const char *help; /* one line */
    const struct option_spec *options;
    command_fn run;
};

#endif
