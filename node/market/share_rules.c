#include "node/market/share_rules.h"

#include <inttypes.h>
#include <string.h>

#define DAY_MIN 1440u

static bool is_hour(const struct share_rules *r, uint32_t min)
{
    if (r->from_min == r->to_min)
        return true;
    if (r->from_min < r->to_min)
        return min >= r->from_min && min < r->to_min;
    return min >= r->from_min || min < r->to_min; /* over midnight */
}

/* A limit that was passed must be left behind by some way before it counts as kept again. */
static bool is_over(enum share_reason this, const struct share_state *s, int64_t value, int64_t limit, int64_t drop)
{
    return value > (s->held == this ? limit - drop : limit);
}

static enum share_reason use_of(const struct share_readings *now, const struct share_state *s)
{
    if (!now->machine.has_input)
        return SHARE_INPUT_UNKNOWN;
    if (now->machine.input_ms < SHARE_INPUT_MS)
        return SHARE_INPUT;
    if (!now->has_others)
        return SHARE_BUSY_UNKNOWN;
    return is_over(SHARE_BUSY, s, now->others, SHARE_BUSY_PERMILLE, SHARE_QUIET_DROP) ? SHARE_BUSY : SHARE_MAY;
}

/* What is measured, the gravest first. */
static enum share_reason measure(const struct share_rules *r, const struct share_readings *now,
                                 const struct share_state *s)
{
    const struct machine *m = &now->machine;
    if (!r->on_battery && m->power == MACHINE_BATTERY)
        return SHARE_BATTERY;
    if (!r->on_battery && m->power == MACHINE_POWER_UNKNOWN)
        return SHARE_POWER_UNKNOWN;
    if (r->temperature_max && !m->has_temperature)
        return SHARE_TEMPERATURE_UNKNOWN;
    if (r->temperature_max && is_over(SHARE_WARM, s, m->temperature, r->temperature_max, SHARE_COOL_DROP))
        return SHARE_WARM;
    return r->idle_only ? use_of(now, s) : SHARE_MAY;
}

/* What moves, and what some machines tell only now and then. */
static bool is_held(enum share_reason measured)
{
    return measured == SHARE_BATTERY || measured == SHARE_POWER_UNKNOWN || measured == SHARE_WARM ||
           measured == SHARE_TEMPERATURE_UNKNOWN || measured == SHARE_BUSY;
}

enum share_reason share_decide(const struct share_rules *r, const struct share_readings *now, struct share_state *s)
{
    enum share_reason measured = measure(r, now, s);
    if (is_held(measured)) {
        s->held = measured;
        s->held_ms = now->now_ms;
    } else if (s->held != SHARE_MAY && now->now_ms - s->held_ms >= SHARE_CALM_MS) {
        s->held = SHARE_MAY;
    }
    if (!is_hour(r, now->machine.local_min))
        s->reason = SHARE_HOURS;
    else if (measured != SHARE_MAY)
        s->reason = measured;
    else if (r->memory_max_mb && now->memory_bytes > (uint64_t)r->memory_max_mb << 20)
        s->reason = SHARE_MEMORY;
    else
        s->reason = s->held != SHARE_MAY ? SHARE_CALM : SHARE_MAY;
    return s->reason;
}

/* -- words -- */

static void put_minute(struct buf *b, uint32_t min)
{
    buf_add_format(b, "%02u:%02u", min / 60, min % 60);
}

void share_hours_put(struct buf *b, const struct share_rules *r)
{
    if (r->from_min == r->to_min) {
        buf_add_text(b, "any");
        return;
    }
    put_minute(b, r->from_min);
    buf_add_text(b, "-");
    put_minute(b, r->to_min);
}

static const char *cause_of(enum share_reason held)
{
    switch (held) {
    case SHARE_BATTERY:
        return "it ran on battery";
    case SHARE_WARM:
        return "it was too warm";
    case SHARE_POWER_UNKNOWN:
        return "it did not say whether it ran on battery";
    case SHARE_TEMPERATURE_UNKNOWN:
        return "it did not say how warm it was";
    default:
        return "other programs kept it busy";
    }
}

void share_reason_put(struct buf *b, const struct share_rules *r, const struct share_readings *now,
                      const struct share_state *s)
{
    const struct machine *m = &now->machine;
    switch (s->reason) {
    case SHARE_MAY:
        break;
    case SHARE_HOURS:
        buf_add_text(b, "it is lent ");
        share_hours_put(b, r);
        buf_add_text(b, ", and it is ");
        put_minute(b, m->local_min);
        break;
    case SHARE_BATTERY:
        buf_add_text(b, "it runs on battery (kith share set --on-battery yes would lend it then too)");
        break;
    case SHARE_POWER_UNKNOWN:
        buf_add_text(b, "this machine does not say whether it runs on battery: kith share set --on-battery yes if that "
                        "does not matter");
        break;
    case SHARE_WARM:
        buf_add_format(b,
                       "the processor has %" PRId32 " degrees, over the %" PRIu32 " allowed, and must come to %" PRIu32,
                       m->temperature, r->temperature_max,
                       r->temperature_max > SHARE_COOL_DROP ? r->temperature_max - SHARE_COOL_DROP : 0);
        break;
    case SHARE_TEMPERATURE_UNKNOWN:
        buf_add_text(b, "this machine does not say how warm it is: kith share set --temperature-max 0 if that does not "
                        "matter");
        break;
    case SHARE_INPUT:
        buf_add_format(b, "somebody typed here %" PRIu64 " s ago; it is lent after %u s without", m->input_ms / 1000,
                       SHARE_INPUT_MS / 1000);
        break;
    case SHARE_INPUT_UNKNOWN:
        buf_add_text(b, "this machine does not say whether somebody is at it: kith share set --idle-only no if that "
                        "does not matter");
        break;
    case SHARE_BUSY:
        buf_add_format(b, "other programs keep the processors %" PRIu32 " %% busy; it is lent below %u %%",
                       now->others / 10, (SHARE_BUSY_PERMILLE - SHARE_QUIET_DROP) / 10);
        break;
    case SHARE_BUSY_UNKNOWN:
        buf_add_text(b, "how busy other programs keep this machine is not known yet");
        break;
    case SHARE_MEMORY:
        buf_add_format(b,
                       "the models take %" PRIu64 " MiB, over the %" PRIu32 " allowed: lend fewer, or kith share set "
                       "--memory-max",
                       now->memory_bytes >> 20, r->memory_max_mb);
        break;
    case SHARE_CALM:
        buf_add_format(b, "%s %" PRIu64 " s ago; it is lent again after %u s without", cause_of(s->held),
                       (now->now_ms - s->held_ms) / 1000, SHARE_CALM_MS / 1000);
        break;
    }
}

static bool read_minute(const char *text, uint32_t *out)
{
    for (int i = 0; i < 5; i++)
        if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9')
            return false;
    uint32_t hour = (uint32_t)(text[0] - '0') * 10 + (uint32_t)(text[1] - '0');
    uint32_t min = (uint32_t)(text[3] - '0') * 10 + (uint32_t)(text[4] - '0');
    *out = hour * 60 + min;
    return hour <= 24 && min < 60 && *out <= DAY_MIN;
}

bool share_hours_parse(const char *text, uint32_t *from_min, uint32_t *to_min)
{
    uint32_t from, to;
    if (strcmp(text, "any") == 0) {
        *from_min = *to_min = 0;
        return true;
    }
    if (strlen(text) != 11 || !read_minute(text, &from) || text[5] != '-' || !read_minute(text + 6, &to) ||
        from == to || from == DAY_MIN)
        return false;
    *from_min = from;
    *to_min = to;
    return true;
}
