/* What the owner's rules for lending ask of this machine: the local time, power, temperature, whether somebody uses it,
 * memory. Read from /sys and /proc as Linux has them; what they do not tell is said to be unknown, and never guessed.
 */
#ifndef KITH_NODE_MACHINE_H
#define KITH_NODE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum machine_power {
    MACHINE_POWER_UNKNOWN,
    MACHINE_MAINS, /* also: there is no battery */
    MACHINE_BATTERY,
};

#define MACHINE_NOBODY UINT64_MAX

struct machine {
    uint32_t local_min; /* minute of the day on this machine's clock */
    enum machine_power power;
    bool has_temperature;
    int32_t temperature; /* degrees Celsius, of the warmest processor sensor */
    bool has_input;
    uint64_t input_ms; /* since the last key at any terminal; MACHINE_NOBODY: nobody is logged in at one */
    /* Clock ticks since the machine started, over all processors: passed, busy, and busy for this process and those
     * below it. total 0: unknown. */
    uint64_t cpu_total, cpu_busy, cpu_ours;
    uint64_t memory_bytes, memory_free_bytes; /* 0: unknown; free: what could be had without swapping */
};

/* `root` stands in front of /sys, /proc, /dev and /run: "" for this machine. Takes milliseconds; may be called on any
 * thread. */
void machine_read(const char *root, uint64_t wall_ms, struct machine *out);

/* How busy others than this process and those below it kept the processors between two readings, in thousandths of all
 * of them. False if that is unknown or the readings are one. */
bool machine_others(const struct machine *before, const struct machine *now, uint32_t *permille);

#endif
