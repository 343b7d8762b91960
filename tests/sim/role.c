/* Which roles there are. */
#include "tests/sim/role.h"

#include <string.h>

static const char *const names[SIM_ROLES] = {
    [SIM_HONEST] = "honest",     [SIM_EQUIVOCATING] = "equivocating", [SIM_SILENT] = "silent",
    [SIM_DELAYING] = "delaying", [SIM_FORGETFUL] = "forgetful",       [SIM_TWIN] = "twin",
    [SIM_INVALID] = "invalid",   [SIM_AMNESIAC] = "amnesiac",
};

const char *role_name(enum sim_role r)
{
    return names[r];
}

enum sim_role role_parse(const char *name)
{
    unsigned r = 0;
    while (r < SIM_ROLES && strcmp(names[r], name) != 0)
        r++;
    return (enum sim_role)r;
}

void role_before_start(struct sim_node *n)
{
    (void)n;
}

bool role_send(struct sim_node *n, struct peer *to, enum msg_type type, struct bytes body)
{
    (void)n, (void)to, (void)type, (void)body;
    return false;
}
