/* The owner's rules for lending this machine, and whether they let it serve now. Pure: readings and the time come in.
 *
 * A reading that a rule needs and the machine does not give counts against serving, and the line says so. What is
 * measured and moves (power, temperature, what other programs do) stops serving at once and starts it again only when
 * it has been well for a while, so that the decision does not flap:
 *
 *     serving --a rule says no--> held --none has said no for SHARE_CALM_MS--> serving
 *
 * The clock's hours need no such wait, and a key that was pressed counts for SHARE_INPUT_MS by itself.
 */
#ifndef KITH_NODE_SHARE_RULES_H
#define KITH_NODE_SHARE_RULES_H

#include "base/bytes.h"
#include "node/host/machine.h"

#define SHARE_CALM_MS       60000
#define SHARE_INPUT_MS      300000 /* after the last key, somebody is taken to be there for so long */
#define SHARE_BUSY_PERMILLE 300    /* of all processors: others' work beyond this is use of the machine */
#define SHARE_QUIET_DROP    100    /* and ends this much below it */
#define SHARE_COOL_DROP     5      /* degrees below the limit at which serving starts again */

struct share_rules {
    uint32_t from_min, to_min; /* of the local day, to_min excluded; the same: at any hour */
    bool idle_only;            /* not while somebody uses the machine */
    bool on_battery;           /* also on battery */
    uint32_t temperature_max;  /* degrees Celsius; 0: any */
    uint32_t memory_max_mb;    /* what the models that are lent may take together; 0: any */
};

/* What the decision is made from, besides the rules. */
struct share_readings {
    uint64_t now_ms; /* steady */
    struct machine machine;
    bool has_others;
    uint32_t others;       /* machine_others */
    uint64_t memory_bytes; /* that the lent models take */
};

enum share_reason {
    SHARE_MAY,
    SHARE_HOURS,
    SHARE_BATTERY,
    SHARE_POWER_UNKNOWN,
    SHARE_WARM,
    SHARE_TEMPERATURE_UNKNOWN,
    SHARE_INPUT,
    SHARE_INPUT_UNKNOWN,
    SHARE_BUSY,
    SHARE_BUSY_UNKNOWN,
    SHARE_MEMORY,
    SHARE_CALM, /* all is well, but not yet for long enough */
};

/* Between decisions; zeroed before the first. */
struct share_state {
    enum share_reason reason; /* the last decision */
    enum share_reason held;   /* of power, warmth and business, what last said no; SHARE_MAY: that is long past */
    uint64_t held_ms;         /* when it last did */
};

/* May this machine serve now? SHARE_MAY, or the first rule that speaks against it. */
enum share_reason share_decide(const struct share_rules *r, const struct share_readings *now, struct share_state *s);

/* Appends why not, in words that go behind "waiting: "; nothing for SHARE_MAY. */
void share_reason_put(struct buf *b, const struct share_rules *r, const struct share_readings *now,
                      const struct share_state *s);

/* "22:00-07:00", or "any". False if it is neither. */
bool share_hours_parse(const char *text, uint32_t *from_min, uint32_t *to_min) MUST_USE;
void share_hours_put(struct buf *b, const struct share_rules *r);

#endif
