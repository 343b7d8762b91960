/* The tree's memory: pools of entries, and the payloads in them. */
#include "chain/tree_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK       4096u
#define CHUNKS_MAX  (UINT32_MAX / CHUNK)
#define SLAB_CHUNKS 16u
#define HUGE_PAGE   (2u << 20)

/* -- pools -- */

void *pool_at(const struct pool *p, uint32_t i)
{
    return p->chunks[i / CHUNK] + (size_t)(i % CHUNK) * p->item;
}

/* A large pool is used all over at once, and most of its accesses would also miss the processor's table of small pages:
 * large ones are asked for, which is a hint. */
static void *slab_new(size_t size)
{
    size_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *slab = aligned_alloc(HUGE_PAGE, whole);
    CHECK(slab);
    (void)madvise(slab, whole, MADV_HUGEPAGE);
    return slab;
}

static uint8_t *chunk_new(struct pool *p)
{
    size_t size = CHUNK * p->item;
    if (p->slab_left == 0) {
        bool is_large = p->chunks_n >= SLAB_CHUNKS;
        p->slab_left = is_large ? SLAB_CHUNKS : 1;
        p->slab = is_large ? slab_new(SLAB_CHUNKS * size) : mem_array(CHUNK, p->item);
        p->slabs = mem_resize(p->slabs, p->slabs_n + 1, sizeof *p->slabs);
        p->slabs[p->slabs_n++] = p->slab;
    }
    uint8_t *chunk = p->slab;
    p->slab += size;
    p->slab_left--;
    memset(chunk, 0, size);
    return chunk;
}

uint32_t pool_take(struct pool *p)
{
    uint32_t i = p->free_first;
    if (i) {
        memcpy(&p->free_first, pool_at(p, i), sizeof p->free_first);
        memset(pool_at(p, i), 0, p->item);
        return i;
    }
    i = p->used++;
    if (i / CHUNK == p->chunks_n) {
        CHECK(p->chunks_n < CHUNKS_MAX);
        p->chunks = mem_resize(p->chunks, p->chunks_n + 1, sizeof *p->chunks);
        p->chunks[p->chunks_n] = chunk_new(p);
        p->chunks_n++;
    }
    return i;
}

/* All of it is zeroed, so that nobody takes it for what it was. */
void pool_give(struct pool *p, uint32_t i)
{
    memset(pool_at(p, i), 0, p->item);
    memcpy(pool_at(p, i), &p->free_first, sizeof p->free_first);
    p->free_first = i;
}

void pool_clear(struct pool *p)
{
    for (uint32_t i = 0; i < p->slabs_n; i++)
        free(p->slabs[i]);
    free(p->slabs);
    free(p->chunks);
}

/* -- payloads -- */

const uint8_t *payload_at(const struct payload *d)
{
    const uint8_t *large;
    if (!d->is_large)
        return d->room;
    memcpy(&large, d->room, sizeof large);
    return large;
}

struct payload payload_make(struct bytes key, struct bytes value)
{
    CHECK(key.n <= UINT8_MAX && value.n <= UINT32_MAX);
    struct payload d = {.value_n = (uint32_t)value.n, .key_n = (uint8_t)key.n};
    uint8_t *at = d.room;
    d.is_large = key.n + value.n > TREE_SMALL_MAX;
    if (d.is_large) {
        at = mem_array(key.n + value.n, 1);
        memcpy(d.room, &at, sizeof at);
    }
    if (key.n)
        memcpy(at, key.p, key.n);
    if (value.n)
        memcpy(at + key.n, value.p, value.n);
    return d;
}

void payload_clear(const struct payload *d)
{
    if (d->is_large)
        free((void *)(uintptr_t)payload_at(d));
}

struct bytes leaf_key(const struct leaf *l)
{
    return bytes_of(payload_at(&l->data), l->data.key_n);
}

struct bytes leaf_value(const struct leaf *l)
{
    return bytes_of(payload_at(&l->data) + l->data.key_n, l->data.value_n);
}
