/* The heap of candidate pairs. */
#include "inference/tok/tok_merge.h"

#include "base/mem.h"

#include <stdlib.h>

void merge_clear(struct merge *m)
{
    free(m->symbols);
    free(m->heap);
    *m = (struct merge){0};
}

void merge_reset(struct merge *m)
{
    m->n = 0;
    m->heap_n = 0;
}

void merge_add(struct merge *m, uint32_t n, int32_t id)
{
    if (m->n == m->symbols_room) {
        m->symbols_room = m->symbols_room ? 2 * m->symbols_room : 64;
        m->symbols = mem_resize(m->symbols, m->symbols_room, sizeof *m->symbols);
    }
    CHECK(m->n < INT32_MAX);
    int32_t at = (int32_t)m->n++;
    uint32_t start = at ? m->symbols[at - 1].start + m->symbols[at - 1].n : 0;
    m->symbols[at] = (struct merge_symbol){start, n, id, at - 1, -1};
    if (at)
        m->symbols[at - 1].next = at;
}

static void heap_add(struct merge *m, struct merge_pair pair)
{
    if (m->heap_n == m->heap_room) {
        m->heap_room = m->heap_room ? 2 * m->heap_room : 64;
        m->heap = mem_resize(m->heap, m->heap_room, sizeof *m->heap);
    }
    size_t at = m->heap_n++;
    while (at && m->heap[(at - 1) / 2].key > pair.key) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = pair;
}

static struct merge_pair heap_take(struct merge *m)
{
    struct merge_pair top = m->heap[0], last = m->heap[--m->heap_n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m->heap_n)
            break;
        if (child + 1 < m->heap_n && m->heap[child + 1].key < m->heap[child].key)
            child++;
        if (m->heap[child].key >= last.key)
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

static void try_pair(struct merge *m, int32_t left, merge_find find, const void *context)
{
    if (left < 0 || m->symbols[left].next < 0)
        return;
    const struct merge_symbol *a = &m->symbols[left], *b = &m->symbols[a->next];
    uint32_t order;
    int32_t id;
    if (find(context, a, b, &order, &id))
        heap_add(m, (struct merge_pair){(uint64_t)order << 32 | (uint32_t)left, a->n + b->n, id});
}

void merge_run(struct merge *m, merge_find find, const void *context)
{
    for (size_t i = 0; i + 1 < m->n; i++)
        try_pair(m, (int32_t)i, find, context);
    while (m->heap_n) {
        struct merge_pair pair = heap_take(m);
        int32_t left = (int32_t)(uint32_t)pair.key;
        struct merge_symbol *a = &m->symbols[left];
        if (a->n == 0 || a->next < 0 || a->n + m->symbols[a->next].n != pair.size)
            continue;
        struct merge_symbol *b = &m->symbols[a->next];
        a->n = pair.size;
        a->id = pair.id;
        a->next = b->next;
        b->n = 0;
        if (a->next >= 0)
            m->symbols[a->next].prev = left;
        try_pair(m, a->prev, find, context);
        try_pair(m, left, find, context);
    }
}
