/* Pages by count and by key; see the header. */
#include "inference/engine/pages.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_LEAST 64u
#define STATES_BYTES  (256u << 20) /* before anything was trimmed */

struct pages {
    size_t bytes; /* of a page with its head */
    struct page **bucket;
    size_t buckets, known; /* a power of two; pages in the index */
    struct page *oldest, *newest;
    size_t idle;
    size_t state_bytes; /* of one; 0: pages have none */
    struct page *state_oldest, *state_newest;
    uint64_t states_bytes, states_bytes_max; /* of all */
    uint32_t *free_number;                   /* [free_n]: below number_end, of no page; a heap, the smallest first */
    uint32_t free_n, number_end;
};

struct pages *pages_new(size_t data_bytes, size_t state_bytes)
{
    struct pages *p = mem_new(sizeof *p);
    p->bytes = sizeof(struct page) + data_bytes;
    p->state_bytes = state_bytes;
    p->states_bytes_max = STATES_BYTES;
    p->buckets = BUCKETS_LEAST;
    p->bucket = mem_array(p->buckets, sizeof *p->bucket);
    return p;
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    pages_trim(p, 0);
    CHECK(p->known == 0);
    free(p->bucket);
    free(p->free_number);
    free(p);
}

/* -- numbers -- */

static uint32_t take_number(struct pages *p)
{
    uint32_t *h = p->free_number, at = 0;
    if (p->free_n == 0) { /* all that exist have one, so there is room to give them back */
        p->number_end++;
        p->free_number = mem_resize(p->free_number, p->number_end, sizeof *p->free_number);
        return p->number_end - 1;
    }
    uint32_t least = h[0], last = h[--p->free_n];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < p->free_n && h[child + 1] < h[child])
            child++;
        if (child >= p->free_n || h[child] >= last)
            break;
        h[at] = h[child];
        at = child;
    }
    h[at] = last;
    return least;
}

static void give_number(struct pages *p, uint32_t number)
{
    uint32_t *h = p->free_number, at = p->free_n++;
    for (; at > 0 && h[(at - 1) / 2] > number; at = (at - 1) / 2)
        h[at] = h[(at - 1) / 2];
    h[at] = number;
}

uint32_t pages_number_end(const struct pages *p)
{
    return p->number_end;
}

uint32_t pages_count(const struct pages *p)
{
    return p->number_end - p->free_n;
}

/* -- states -- */

static void state_add(struct pages *p, struct page *page)
{
    page->state_older = p->state_newest;
    page->state_newer = NULL;
    *(p->state_newest ? &p->state_newest->state_newer : &p->state_oldest) = page;
    p->state_newest = page;
}

static void state_remove(struct pages *p, struct page *page)
{
    *(page->state_older ? &page->state_older->state_newer : &p->state_oldest) = page->state_newer;
    *(page->state_newer ? &page->state_newer->state_older : &p->state_newest) = page->state_older;
}

void pages_drop_state(struct pages *p, struct page *page)
{
    if (!page->state)
        return;
    state_remove(p, page);
    free(page->state);
    page->state = NULL;
    page->is_state_whole = false;
    p->states_bytes -= p->state_bytes;
}

/* The least recently used that is whole; false if there is none. */
static bool drop_oldest_state(struct pages *p)
{
    struct page *page = p->state_oldest;
    while (page && !page->is_state_whole)
        page = page->state_newer;
    if (page)
        pages_drop_state(p, page);
    return page != NULL;
}

float *pages_keep_state(struct pages *p, struct page *page)
{
    CHECK(!page->state && !page->is_known && p->state_bytes);
    while (p->states_bytes + p->state_bytes > p->states_bytes_max)
        if (!drop_oldest_state(p))
            return NULL;
    page->state = mem_new(p->state_bytes);
    p->states_bytes += p->state_bytes;
    state_add(p, page);
    return page->state;
}

void pages_settle_state(struct page *page)
{
    page->is_state_whole = page->state != NULL;
}

const float *pages_state(struct pages *p, struct page *page)
{
    if (!page->is_state_whole)
        return NULL;
    state_remove(p, page);
    state_add(p, page);
    return page->state;
}

/* `to` is the same page, known before. */
static void move_state(struct pages *p, struct page *from, struct page *to)
{
    if (!from->is_state_whole || to->state)
        return;
    state_remove(p, from);
    to->state = from->state;
    to->is_state_whole = true;
    from->state = NULL;
    from->is_state_whole = false;
    state_add(p, to);
}

static void page_free(struct pages *p, struct page *page)
{
    pages_drop_state(p, page);
    give_number(p, page->number);
    free(page);
}

/* -- the index -- */

static struct page **bucket_of(const struct pages *p, const struct hash *key)
{
    return &p->bucket[load_le64(key->b) & (p->buckets - 1)];
}

static void index_add(struct pages *p, struct page *page)
{
    struct page **at = bucket_of(p, &page->key);
    page->same = *at;
    *at = page;
    p->known++;
}

static void index_grow(struct pages *p)
{
    struct page **old = p->bucket;
    size_t n = p->buckets;
    if (p->known < n)
        return;
    p->buckets = 2 * n;
    p->bucket = mem_array(p->buckets, sizeof *p->bucket);
    p->known = 0;
    for (size_t i = 0; i < n; i++)
        for (struct page *page = old[i], *next; page; page = next) {
            next = page->same;
            index_add(p, page);
        }
    free(old);
}

static void index_remove(struct pages *p, struct page *page)
{
    struct page **at = bucket_of(p, &page->key);
    while (*at != page)
        at = &(*at)->same;
    *at = page->same;
    p->known--;
}

static struct page *index_find(const struct pages *p, const struct hash *key, const uint32_t *tokens)
{
    for (struct page *page = *bucket_of(p, key); page; page = page->same)
        if (hash_equal(&page->key, key) && memcmp(page->tokens, tokens, sizeof page->tokens) == 0)
            return page;
    return NULL;
}

/* -- idle ones -- */

static void idle_add(struct pages *p, struct page *page)
{
    page->older = p->newest;
    page->newer = NULL;
    *(p->newest ? &p->newest->newer : &p->oldest) = page;
    p->newest = page;
    p->idle++;
}

static void idle_remove(struct pages *p, struct page *page)
{
    *(page->older ? &page->older->newer : &p->oldest) = page->newer;
    *(page->newer ? &page->newer->older : &p->newest) = page->older;
    p->idle--;
}

uint64_t pages_idle_bytes(const struct pages *p)
{
    return (uint64_t)p->idle * p->bytes + p->states_bytes;
}

void pages_trim(struct pages *p, uint64_t idle_bytes_max)
{
    p->states_bytes_max = idle_bytes_max / 2;
    while (p->states_bytes > p->states_bytes_max && drop_oldest_state(p))
        ;
    while (p->oldest && pages_idle_bytes(p) > idle_bytes_max) {
        struct page *page = p->oldest;
        idle_remove(p, page);
        index_remove(p, page);
        page_free(p, page);
    }
}

/* -- holding -- */

struct page *pages_take(struct pages *p)
{
    struct page *page = mem_new(p->bytes);
    page->refs = 1;
    page->number = take_number(p);
    return page;
}

void pages_drop(struct pages *p, struct page *page)
{
    CHECK(page->refs > 0);
    if (--page->refs > 0)
        return;
    if (page->is_known)
        idle_add(p, page);
    else
        page_free(p, page);
}

struct page *pages_find(struct pages *p, const struct hash *key, const uint32_t tokens[ARITH_CHUNK])
{
    struct page *page = index_find(p, key, tokens);
    if (page && page->refs++ == 0)
        idle_remove(p, page);
    return page;
}

struct page *pages_publish(struct pages *p, struct page *page, const struct hash *key)
{
    struct page *known = pages_find(p, key, page->tokens);
    CHECK(!page->is_known && page->refs == 1);
    if (known) {
        move_state(p, page, known);
        pages_drop(p, page);
        return known;
    }
    page->key = *key;
    page->is_known = true;
    index_grow(p);
    index_add(p, page);
    return page;
}

/* -- keys -- */

struct hash pages_root(const struct hash *scope, uint32_t variant)
{
    struct hasher h;
    hash_start(&h, HASH_PAGE);
    hash_add(&h, scope->b, sizeof scope->b);
    hash_add_u32(&h, variant);
    return hash_end(&h);
}

struct hash pages_key(const struct hash *before, const uint32_t tokens[ARITH_CHUNK])
{
    struct hasher h;
    hash_start(&h, HASH_PAGE);
    hash_add(&h, before->b, sizeof before->b);
    hash_add(&h, tokens, ARITH_CHUNK * sizeof *tokens); /* of this process only: any order of bytes will do */
    return hash_end(&h);
}
