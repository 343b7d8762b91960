/* chat without a daemon: the model that came with Kith answers from a worker of the command's own. */
#ifndef KITH_CLI_LOCAL_CHAT_H
#define KITH_CLI_LOCAL_CHAT_H

#include "cli/cli.h"

/* With the options of `kith chat`. A cli_exit. */
int local_chat(const struct cli *cli, const struct args *args, const char *model);

#endif
