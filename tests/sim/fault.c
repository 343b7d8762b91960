/* What fate does to nodes and network until it heals. */
#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"
#include "tests/sim/store.h"
#include "tests/sim/wire.h"

#include <stdlib.h>

struct fault {
    struct sim *sim;
    struct random random;
    struct timer timer;
};

void fault_open(struct sim *s)
{
    s->fault = mem_new(sizeof *s->fault);
    s->fault->sim = s;
    s->fault->random = random_fork(&s->random);
}

void fault_heal(struct sim *s)
{
    s->is_healed = true;
    check_healed(s);
}

void fault_close(struct sim *s)
{
    if (!s->fault)
        return;
    timer_remove(&s->events, &s->fault->timer);
    free(s->fault);
}
