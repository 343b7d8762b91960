/* Sorting a vocabulary's pieces into a tree. */
#include "inference/tok/trie.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct piece {
    const uint8_t *p;
    uint32_t n, token;
};

static int by_bytes(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    uint32_t n = x->n < y->n ? x->n : y->n;
    int c = memcmp(x->p, y->p, n);
    if (c)
        return c;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

static uint32_t shared(const struct piece *a, const struct piece *b)
{
    uint32_t n = 0;
    while (n < a->n && n < b->n && a->p[n] == b->p[n])
        n++;
    return n;
}

/* The pieces in order; each adds the nodes that the one before it has not. */
static void fill(struct trie *t, const struct piece *pieces, uint32_t n)
{
    uint32_t open[TOKEN_PIECE_MAX + 1], depth = 0; /* the path to the last node */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t keep = i ? shared(&pieces[i - 1], &pieces[i]) : 0;
        while (depth > keep)
            t->ends[open[depth--]] = t->n;
        for (; depth < pieces[i].n; t->n++) {
            t->bytes[t->n] = pieces[i].p[depth];
            open[++depth] = t->n;
            t->depths[t->n] = (uint16_t)depth;
        }
        uint32_t *at = &t->firsts[open[depth]];
        if (*at) /* the same piece again: behind the first */
            t->same[pieces[i].token] = *at;
        *at = pieces[i].token + 1;
    }
    while (depth > 0)
        t->ends[open[depth--]] = t->n;
}

struct trie *trie_new(const struct buf *pieces, const uint32_t *starts, uint32_t tokens)
{
    struct trie *t = mem_new(sizeof *t);
    struct piece *sorted = mem_array(tokens + 1u, sizeof *sorted);
    uint32_t n = 0;
    size_t most = 1;
    for (uint32_t i = 0; i < tokens; i++) {
        uint32_t size = starts[i + 1] - starts[i];
        CHECK(size <= TOKEN_PIECE_MAX);
        if (size)
            sorted[n++] = (struct piece){pieces->p + starts[i], size, i};
    }
    qsort(sorted, n, sizeof *sorted, by_bytes);
    for (uint32_t i = 0; i < n; i++)
        most += sorted[i].n - (i ? shared(&sorted[i - 1], &sorted[i]) : 0);
    t->tokens = tokens;
    t->bytes = mem_array(most, sizeof *t->bytes);
    t->depths = mem_array(most, sizeof *t->depths);
    t->ends = mem_array(most, sizeof *t->ends);
    t->firsts = mem_array(most, sizeof *t->firsts);
    t->same = mem_array(tokens + 1u, sizeof *t->same);
    fill(t, sorted, n);
    free(sorted);
    return t;
}

void trie_free(struct trie *t)
{
    if (!t)
        return;
    free(t->bytes);
    free(t->depths);
    free(t->ends);
    free(t->firsts);
    free(t->same);
    free(t);
}
