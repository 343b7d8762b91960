/* Building a grammar, and what is found out about it once: how deep each operation must go, which bytes it never tells
 * apart. */
#include "inference/schema/grammar.h"

#include "base/limits.h"
#include "base/mem.h"
#include "inference/schema/grammar_in.h"

#include <stdlib.h>
#include <string.h>

/* -- adding -- */

static uint32_t add(struct grammar *g, enum grammar_kind kind, uint32_t x, uint32_t next)
{
    CHECK(!g->is_closed);
    if (g->n == GRAMMAR_OPS_MAX) {
        g->is_full = true;
        return GRAMMAR_FAIL;
    }
    if (g->n == g->room) {
        g->room = g->room ? 2 * g->room : 256;
        g->ops = mem_resize(g->ops, g->room, sizeof *g->ops);
    }
    g->ops[g->n] = (struct grammar_op){.kind = (uint8_t)kind, .height = HEIGHT_NEVER, .x = x, .next = next};
    return g->n++;
}

struct grammar *grammar_new(void)
{
    struct grammar *g = mem_new(sizeof *g);
    add(g, OP_RETURN, 0, GRAMMAR_RETURN);
    add(g, OP_FAIL, 0, GRAMMAR_FAIL);
    return g;
}

void grammar_free(struct grammar *g)
{
    if (!g)
        return;
    free(g->ops);
    free(g->sets);
    free(g);
}

uint32_t grammar_range(struct grammar *g, uint8_t lo, uint8_t hi, uint32_t next)
{
    if (next == GRAMMAR_FAIL || lo > hi)
        return GRAMMAR_FAIL;
    return add(g, OP_RANGE, (uint32_t)hi << 8 | lo, next);
}

/* Equal sets are kept once; looked for among the latest, which is where repeated ones are. */
static uint32_t find_set(struct grammar *g, const uint32_t set[8])
{
    for (uint32_t i = g->sets_n; i > 0 && g->sets_n - i < 16; i--)
        if (memcmp(g->sets[i - 1], set, sizeof *g->sets) == 0)
            return i - 1;
    if (g->sets_n == g->sets_room) {
        g->sets_room = g->sets_room ? 2 * g->sets_room : 16;
        g->sets = mem_resize(g->sets, g->sets_room, sizeof *g->sets);
    }
    memcpy(g->sets[g->sets_n], set, sizeof *g->sets);
    return g->sets_n++;
}

uint32_t grammar_set(struct grammar *g, const uint32_t set[8], uint32_t next)
{
    static const uint32_t none[8];
    if (next == GRAMMAR_FAIL || memcmp(set, none, sizeof none) == 0 || g->n == GRAMMAR_OPS_MAX) {
        g->is_full |= g->n == GRAMMAR_OPS_MAX;
        return GRAMMAR_FAIL;
    }
    return add(g, OP_SET, find_set(g, set), next);
}

uint32_t grammar_text(struct grammar *g, struct bytes text, uint32_t next)
{
    for (size_t i = text.n; i > 0; i--)
        next = grammar_range(g, text.p[i - 1], text.p[i - 1], next);
    return next;
}

uint32_t grammar_split(struct grammar *g, uint32_t first, uint32_t second)
{
    if (first == GRAMMAR_FAIL || first == second)
        return second;
    return second == GRAMMAR_FAIL ? first : add(g, OP_SPLIT, second, first);
}

uint32_t grammar_call(struct grammar *g, uint32_t rule, uint32_t next)
{
    if (next == GRAMMAR_FAIL || rule == GRAMMAR_FAIL)
        return GRAMMAR_FAIL;
    return add(g, OP_CALL, rule, next);
}

uint32_t grammar_below(struct grammar *g, uint32_t max, uint32_t next)
{
    return next == GRAMMAR_FAIL || max == 0 ? GRAMMAR_FAIL : add(g, OP_BELOW, max, next);
}

uint32_t grammar_least(struct grammar *g, uint32_t min, uint32_t next)
{
    return next == GRAMMAR_FAIL || min == 0 ? next : add(g, OP_LEAST, min, next);
}

uint32_t grammar_count(struct grammar *g, uint32_t cap, uint32_t next)
{
    return next == GRAMMAR_FAIL || cap == 0 ? next : add(g, OP_COUNT, cap, next);
}

uint32_t grammar_label(struct grammar *g)
{
    return add(g, OP_JUMP, 0, GRAMMAR_FAIL);
}

void grammar_bind(struct grammar *g, uint32_t label, uint32_t target)
{
    if (label == GRAMMAR_FAIL && g->is_full)
        return;
    CHECK(g->ops[label].kind == OP_JUMP);
    g->ops[label].next = target;
}

bool grammar_is_full(const struct grammar *g)
{
    return g->is_full;
}

/* -- closing -- */

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static uint8_t higher(uint8_t a, uint8_t b)
{
    return a > b ? a : b;
}

/* Guards count as open: whoever builds a loop sees to it that min <= max, and that an item which must come came once
 * before the loop, at the same depth. */
static uint8_t height_of(const struct grammar *g, const struct grammar_op *op)
{
    uint8_t next = g->ops[op->next].height, called;
    switch (op->kind) {
    case OP_RETURN:
        return 0;
    case OP_FAIL:
        return HEIGHT_NEVER;
    case OP_SPLIT:
        return lower(next, g->ops[op->x].height);
    case OP_CALL:
        called = g->ops[op->x].height;
        if (op->next == GRAMMAR_RETURN)
            return called; /* the rule is left for the other: nothing is opened */
        return called >= GRAMMAR_DEPTH_MAX ? HEIGHT_NEVER : higher((uint8_t)(called + 1), next);
    default:
        return next;
    }
}

/* Who depends on whom: users[firsts[i]..firsts[i+1]) name operation i. */
struct users {
    uint32_t *firsts, *list;
};

static bool has_x(const struct grammar_op *op)
{
    return op->kind == OP_SPLIT || op->kind == OP_CALL;
}

static struct users find_users(const struct grammar *g)
{
    struct users u = {mem_array(g->n + 2u, sizeof *u.firsts), mem_array(2u * g->n, sizeof *u.list)};
    for (uint32_t i = 0; i < g->n; i++) {
        u.firsts[g->ops[i].next + 2]++;
        if (has_x(&g->ops[i]))
            u.firsts[g->ops[i].x + 2]++;
    }
    for (uint32_t i = 1; i < g->n + 2; i++)
        u.firsts[i] += u.firsts[i - 1];
    for (uint32_t i = 0; i < g->n; i++) {
        u.list[u.firsts[g->ops[i].next + 1]++] = i;
        if (has_x(&g->ops[i]))
            u.list[u.firsts[g->ops[i].x + 1]++] = i;
    }
    return u;
}

/* Heights only fall, each at most GRAMMAR_DEPTH_MAX times, so this ends. */
static void find_heights(struct grammar *g)
{
    struct users u = find_users(g);
    uint32_t *work = mem_array(g->n, sizeof *work), head = 0, n = 0;
    bool *waits = mem_array(g->n, sizeof *waits);
    for (uint32_t i = 0; i < g->n; i++) {
        work[n++] = i;
        waits[i] = true;
    }
    while (n > 0) {
        uint32_t i = work[head];
        head = (head + 1) % g->n;
        n--;
        waits[i] = false;
        uint8_t height = height_of(g, &g->ops[i]);
        if (height >= g->ops[i].height)
            continue;
        g->ops[i].height = height;
        for (uint32_t k = u.firsts[i]; k < u.firsts[i + 1]; k++)
            if (!waits[u.list[k]]) {
                waits[u.list[k]] = true;
                work[(head + n++) % g->n] = u.list[k];
            }
    }
    free(work);
    free(waits);
    free(u.firsts);
    free(u.list);
}

static void find_classes(struct grammar *g)
{
    bool begins[257] = {true};
    for (uint32_t i = 0; i < g->n; i++)
        if (g->ops[i].kind == OP_RANGE)
            begins[g->ops[i].x & 255] = begins[(g->ops[i].x >> 8) + 1] = true;
    for (uint32_t i = 0; i < g->sets_n; i++)
        for (unsigned b = 1; b < 256; b++)
            begins[b] |= set_has(g->sets[i], b) != set_has(g->sets[i], b - 1);
    for (unsigned b = 0; b < 256; b++) {
        if (begins[b])
            g->sample[g->classes++] = (uint8_t)b;
        g->class_of[b] = (uint8_t)(g->classes - 1);
    }
}

enum err grammar_close(struct grammar *g, uint32_t start, struct note *note)
{
    if (g->is_full)
        return note_set(note, ERR_LIMIT, "the schema becomes a grammar of more than %u steps: make it smaller",
                        GRAMMAR_OPS_MAX);
    g->start = start;
    find_heights(g);
    find_classes(g);
    g->is_closed = true;
    if (g->ops[start].height > GRAMMAR_DEPTH_MAX)
        return note_set(note, ERR_RANGE, "nothing satisfies the schema, or nothing that is nested less than %d deep",
                        GRAMMAR_DEPTH_MAX);
    return ERR_OK;
}
