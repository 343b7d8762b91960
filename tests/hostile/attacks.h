/* What hostile peers do: a table. Each attack has so many connections at a time; one that the node closed is made again
 * with a new key. `turn` is called whenever a connection has little left to write, and makes up what comes next. */
#ifndef KITH_TESTS_HOSTILE_ATTACKS_H
#define KITH_TESTS_HOSTILE_ATTACKS_H

#include "tests/hostile/foe.h"

struct attack {
    const char *name, *what;
    unsigned foes;                                /* connections */
    bool is_raw;                                  /* without a handshake of foe.c's */
    bool is_deaf;                                 /* reads nothing once the handshake is done */
    void (*begin)(struct foe *f);                 /* before it is dialled; may be NULL */
    void (*turn)(struct foe *f, uint64_t now_ms); /* in READY (is_raw: connected) */
    void (*first)(struct foe *f);                 /* instead of hello, or NULL */
    void (*heard)(struct foe *f, uint8_t, struct bytes);
};

extern const struct attack attacks[];
extern const unsigned attacks_n;

#endif
