/* Numbers and credit of a connection's streams. */
#include "p2p/stream.h"

#include "base/mem.h"

#include <stdlib.h>

void stream_table_init(struct stream_table *t, bool dialled)
{
    *t = (struct stream_table){.dialled = dialled, .next_out = dialled ? 2 : 1, .next_in = dialled ? 1 : 2};
}

void stream_table_clear(struct stream_table *t)
{
    free(t->open);
    *t = (struct stream_table){0};
}

struct stream *stream_find(struct stream_table *t, uint32_t id)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->open[i].id == id)
            return &t->open[i];
    return NULL;
}

static struct stream *add(struct stream_table *t, uint32_t id, uint64_t user, uint32_t window)
{
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 8;
        t->open = mem_resize(t->open, t->room, sizeof *t->open);
    }
    struct stream *s = &t->open[t->n++];
    *s = (struct stream){.id = id, .user = user, .window = window, .credit = window, .in_flight = window};
    return s;
}

struct stream *stream_open_out(struct stream_table *t, uint64_t user, uint32_t window)
{
    if (t->n >= STREAMS_MAX || t->next_out > UINT32_MAX - 2)
        return NULL;
    uint32_t id = t->next_out;
    t->next_out += 2;
    return add(t, id, user, window);
}

struct stream *stream_open_in(struct stream_table *t, uint32_t id, uint64_t user, uint32_t window, enum err *e)
{
    /* In order without gaps: a number that is skipped could never be told from one of the future. */
    if (id != t->next_in || id > UINT32_MAX - 2) {
        *e = ERR_PROTOCOL;
        return NULL;
    }
    t->next_in += 2;
    if (t->n >= STREAMS_MAX) {
        *e = ERR_FULL;
        return NULL;
    }
    *e = ERR_OK;
    return add(t, id, user, window);
}

void stream_remove(struct stream_table *t, uint32_t id)
{
    struct stream *s = stream_find(t, id);
    if (s)
        *s = t->open[--t->n];
}

bool stream_spend(struct stream *s, size_t n)
{
    s->starved = n > s->credit;
    if (s->starved)
        return false;
    s->credit -= (uint32_t)n;
    return true;
}

static void give_back(struct stream *s, uint32_t *give)
{
    if (s->held || s->taken < s->window / 4)
        return; /* not for every small message a message back */
    *give = s->taken;
    s->in_flight += s->taken;
    s->taken = 0;
}

bool stream_take(struct stream *s, size_t n, uint32_t *give)
{
    *give = 0;
    if (n > s->in_flight)
        return false;
    s->in_flight -= (uint32_t)n;
    s->taken += (uint32_t)n;
    give_back(s, give);
    return true;
}

void stream_hold(struct stream *s, bool held, uint32_t *give)
{
    *give = 0;
    s->held = held;
    give_back(s, give);
}

bool stream_refill(struct stream *s, uint32_t n, bool *ready)
{
    *ready = false;
    if (n == 0 || n > s->window - s->credit)
        return false;
    s->credit += n;
    *ready = s->starved;
    s->starved = false;
    return true;
}

bool stream_was_open(const struct stream_table *t, uint32_t id)
{
    uint32_t next = (id % 2 == 0) == t->dialled ? t->next_out : t->next_in;
    return id != 0 && id < next;
}
