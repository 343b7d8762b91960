/* What the daemon does in the background (docs/api.md, tasks): waiting for it with a progress line. */
#ifndef KITH_CLI_TASK_H
#define KITH_CLI_TASK_H

#include "base/json.h"
#include "cli/cli.h"

/* Posts `body` (taken) to `path`, which answers with a task, and waits for its end. `what` stands in front of
 * the progress. 0 and *result (the caller's), or a cli_exit after having said why. */
int task_run_take(const struct cli *cli, const char *path, json_t *body, const char *what, json_t **result);
/* The absolute path of an existing regular file, for the daemon to open; the caller frees. */
int task_file(const struct cli *cli, const char *path, char **absolute);
/* "2.5" percent as 250 basis points: at most two decimals, at most 100. */
bool task_percent(const char *text, uint32_t *bps) MUST_USE;

#endif
