/* kithd config: showing the settings and where each comes from, and writing one into the file. What `kith config` runs.
 */
#ifndef KITH_NODE_CONFIG_CMD_H
#define KITH_NODE_CONFIG_CMD_H

#include "base/bytes.h"

/* show [--json] [OPTIONS], or set NAME [VALUE..] [--home DIR] [--config FILE]. */
enum err config_cmd(int words_n, char **words, struct note *note) MUST_USE;

#endif
