/* A ring, written over from its oldest end. */
#include "node/api/events.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

struct events {
    struct event kept[EVENTS_KEPT_MAX]; /* number n at n % EVENTS_KEPT_MAX */
    uint64_t end;
};

const char *event_kind_name(enum event_kind kind)
{
    static const char *const names[] = {
#define E(kind, name, scope) name,
        EVENTS_LIST(E)
#undef E
    };
    return names[kind];
}

struct events *events_new(void)
{
    struct events *e = mem_new(sizeof *e);
    e->end = 1;
    return e;
}

void events_free(struct events *e)
{
    for (size_t i = 0; e && i < EVENTS_KEPT_MAX; i++)
        buf_clear(&e->kept[i].data);
    free(e);
}

void events_add(struct events *e, enum event_kind kind, const struct hash *owner, struct bytes json)
{
    struct event *v = &e->kept[e->end % EVENTS_KEPT_MAX];
    CHECK(json.n <= EVENT_BYTES_MAX);
    v->number = e->end++;
    v->kind = kind;
    v->owner = owner ? *owner : (struct hash){{0}};
    buf_reset(&v->data);
    buf_add(&v->data, json.p, json.n);
}

uint64_t events_end(const struct events *e)
{
    return e->end;
}

const struct event *events_read(const struct events *e, uint64_t *next, uint64_t *missed)
{
    uint64_t oldest = e->end > EVENTS_KEPT_MAX ? e->end - EVENTS_KEPT_MAX : 1;
    *missed = 0;
    if (*next < oldest) {
        *missed = oldest - *next;
        *next = oldest;
    }
    if (*next >= e->end) {
        *next = e->end;
        return NULL;
    }
    return &e->kept[(*next)++ % EVENTS_KEPT_MAX];
}
