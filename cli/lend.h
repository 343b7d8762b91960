/* The terms on which this machine is lent, as `share start` and `share set` take them. */
#ifndef KITH_CLI_LEND_H
#define KITH_CLI_LEND_H

#include "base/json.h"
#include "base/limits.h"
#include "cli/cli.h"

#define LEND_TERMS_OPTIONS                                                                                             \
    {.name = "price-in",                                                                                               \
     .type = OPTION_AMOUNT,                                                                                            \
     .value = "KITH",                                                                                                  \
     .help = "per million tokens read (as it was; at first 0.1)"},                                                     \
        {.name = "price-out",                                                                                          \
         .type = OPTION_AMOUNT,                                                                                        \
         .value = "KITH",                                                                                              \
         .help = "per million tokens written (as it was; at first 0.4)"},                                              \
        {.name = "slots",                                                                                              \
         .type = OPTION_COUNT,                                                                                         \
         .value = "N",                                                                                                 \
         .least = 1,                                                                                                   \
         .most = SHARE_SLOTS_MAX,                                                                                      \
         .help = "jobs at a time (as it was; at first 4)"},                                                            \
        {.name = "hours",                                                                                              \
         .type = OPTION_TEXT,                                                                                          \
         .value = "HH:MM-HH:MM|any",                                                                                   \
         .help = "of the local day, also over midnight: 22:00-07:00"},                                                 \
        {.name = "idle-only",                                                                                          \
         .type = OPTION_TEXT,                                                                                          \
         .value = "yes|no",                                                                                            \
         .help = "only while nobody types here and other programs leave the processors alone"},                        \
        {.name = "on-battery", .type = OPTION_TEXT, .value = "yes|no", .help = "also on battery (at first no)"},       \
        {.name = "temperature-max",                                                                                    \
         .type = OPTION_COUNT,                                                                                         \
         .value = "C",                                                                                                 \
         .least = 0,                                                                                                   \
         .most = 150,                                                                                                  \
         .help = "degrees of the processor beyond which it waits until it is 5 cooler; 0: any"},                       \
    {                                                                                                                  \
        .name = "memory-max", .type = OPTION_COUNT, .value = "MB", .least = 0, .most = UINT32_MAX,                     \
        .help = "what the models that are lent may take together; 0: any"                                              \
    }

/* Adds what was given on the command line to the body of a request. A cli_exit. */
int lend_terms(const struct cli *cli, const struct args *args, json_t *body);
/* What `share start` with these options (model, bond, audit, account) would put at stake in addition, and pay in fees,
 * and what the account has. Needs a wallet. A cli_exit. */
int lend_costs(const struct cli *cli, const struct args *args, struct amount *bonds, struct amount *fees,
               struct amount *balance);
/* The state of lending, as `share status` shows it. */
void lend_print(const struct cli *cli, const json_t *reply);

#endif
