/* Models and data sets by what people call them. */
#ifndef KITH_CLI_FIND_H
#define KITH_CLI_FIND_H

#include "base/json.h"
#include "cli/cli.h"

/* A data set on the ledger by root or name, as GET /kith/v1/data lists it; *data is the caller's. A name that several
 * have is refused: names of data sets are not unique. A cli_exit, after having said why. */
int find_data(const struct cli *cli, const char *what, json_t **data);
/* Is it on the ledger? Also false where nobody answers. */
bool find_is_data(const struct cli *cli, const char *root);
/* A model that is here or on the ledger, by root or name, as GET /kith/v1/models/NAME shows it. */
int find_model(const struct cli *cli, const char *name, json_t **model);

#endif
