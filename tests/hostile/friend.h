/* Honest ones beside the attack, each in a thread of its own: a peer that asks, one that comes anew again and again,
 * and a client of the API. What they wait is what the attack costs others. */
#ifndef KITH_TESTS_HOSTILE_FRIEND_H
#define KITH_TESTS_HOSTILE_FRIEND_H

#include "tests/hostile/foe.h"

#include <pthread.h>

enum friend_kind { FRIEND_PEER, FRIEND_NEWCOMER, FRIEND_CLIENT, FRIEND_KINDS };

/* Of what was waited since the last friends_take. */
struct waits {
    unsigned n, failed;
    uint32_t median_ms, worst_ms;
};

struct friends;

struct friends *friends_start(const struct field *field, uint16_t http_port, uint64_t seed);
struct waits friends_take(struct friends *f, enum friend_kind kind);
void friends_stop(struct friends *f);

#endif
