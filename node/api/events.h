/* What happened to this node lately, in order, for whoever follows (node/api/api_kith_events.c): the last
 * EVENTS_KEPT_MAX events, numbered from 1, each a line of JSON and who may read it. Pure: no clock, no I/O.
 *
 * All readers share the ring, and each is no more than the number that it reads next. So a slow one costs nothing and
 * holds nobody up: what it did not read in time is written over, and it is told how much that was. */
#ifndef KITH_NODE_EVENTS_H
#define KITH_NODE_EVENTS_H

#include "base/hash.h"

/* kind, its name, what a key must be for: enum apikeys_scope. Those of USE have an owner, who alone sees them beside
 * the node's user. */
#define EVENTS_LIST(E)                                                                                                 \
    E(BLOCK, "block", READ)                                                                                            \
    E(EARNED, "earned", READ)                                                                                          \
    E(SHARE, "share", READ)                                                                                            \
    E(PEER, "peer", READ)                                                                                              \
    E(HOPS, "hops", READ)                                                                                              \
    E(PULL, "pull", READ)                                                                                              \
    E(JOB, "job", USE)                                                                                                 \
    E(TASK, "task", USE)
enum event_kind {
#define E(kind, name, scope) EVENT_##kind,
    EVENTS_LIST(E)
#undef E
        EVENT_KINDS
};
const char *event_kind_name(enum event_kind kind);

struct event {
    uint64_t number;
    enum event_kind kind;
    struct hash owner; /* zero: the node's own user */
    struct buf data;   /* one JSON object on one line, without a NUL behind it */
};

struct events;
struct events *events_new(void);
void events_free(struct events *e);
void events_add(struct events *e, enum event_kind kind, const struct hash *owner, struct bytes json);
/* The number that the next event gets: where whoever wants only what is to come begins. */
uint64_t events_end(const struct events *e);
/* The event *next, and *next is moved behind it; NULL: there is none yet. *missed: how many from *next on were there
 * and are not any more, which are passed over. Borrowed until the next events_add. A *next beyond the end is the end.
 */
const struct event *events_read(const struct events *e, uint64_t *next, uint64_t *missed);

#endif
