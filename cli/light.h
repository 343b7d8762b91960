/* kith --light: questions about the chain to nodes that are not trusted. Headers are followed and everything shown is
 * proven (chain/light.h); of several --peer the first that can prove it answers, and all others are asked whether
 * they know the same block. */
#ifndef KITH_CLI_LIGHT_H
#define KITH_CLI_LIGHT_H

#include "cli/cli.h"

/* Runs the command over a light client, or says that it needs a daemon. */
int light_run(const struct cli *cli, const struct command *command, const struct args *args);

#endif
