/* Supply: a full scan of a node's store by the tests' own sum (tests/world.c), which ends the process where it does not
 * hold; the parent of the run reads the last line to say which checker it was. */
#include "tests/sim/check.h"
#include "tests/sim/store.h"
#include "tests/world.h"

#include <stdio.h>

void supply_look(struct sim *s, struct sim_node *n)
{
    if (s->is_violated)
        return;
    snprintf(s->violation, sizeof s->violation, "supply: in the store of node %s", n->name);
    supply_check(store_content(n->store));
    s->violation[0] = 0;
}
