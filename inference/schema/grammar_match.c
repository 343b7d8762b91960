/* Reading a text along a grammar: all readings at once.
 *
 * A thread is a reading: the operation that takes the next byte, the counter of its rule, and the stack of the rules
 * that are open around it. A configuration is the ordered list of all threads. Stacks and configurations are numbered
 * as they are met, equal ones once, so that what follows a configuration and a byte, and which tokens may follow it, is
 * found out once. These tables change nothing but the time: when they have grown over GRAMMAR_CACHE_BYTES, all is
 * forgotten but what is in use.
 *
 * Invariants: configuration 0 has no thread and is not complete: nothing goes on. Stack 0 is empty. An operation is
 * entered only if its rule, and all rules open around it, can be finished within GRAMMAR_DEPTH_MAX. */
#include "base/limits.h"
#include "base/mem.h"
#include "inference/schema/grammar_in.h"

#include <stdlib.h>
#include <string.h>

#define DEAD    0u
#define UNKNOWN UINT32_MAX
#define SEEN    (1u << 31) /* beside a configuration's number: met in this mask */

struct frame { /* where a rule that was called returns to */
    uint32_t next, counter, below;
    uint32_t depth;
};

struct thread {
    uint32_t op, counter, stack;
};

struct config {
    uint32_t first, n; /* threads */
    bool is_complete;
};

/* Numbered things by their content: open addressing, number + 1, 0 is empty. */
struct index {
    uint32_t *slots;
    uint32_t mask, used;
};

struct tables {
    struct frame *frames;
    uint32_t frames_n, frames_room;
    struct thread *threads;
    uint32_t threads_n, threads_room;
    struct config *configs;
    uint32_t *follow; /* [configs][classes] */
    uint32_t configs_n, configs_room;
    struct index frame_index, config_index;
};

struct visit {
    struct thread at;
    uint32_t round;
};
#define VISIT_SLOTS (2 * GRAMMAR_VISITS_MAX)

struct mask {
    uint32_t config;
    uint32_t *bits; /* NULL: none is kept here */
};

struct matcher {
    const struct grammar *g;
    struct tables t;
    uint32_t current;
    /* the configuration being made */
    struct thread made[GRAMMAR_THREADS_MAX];
    uint32_t made_n;
    bool made_complete;
    struct visit visited[VISIT_SLOTS];
    uint32_t round, visits;
    struct thread work[GRAMMAR_VISITS_MAX + 2]; /* one is taken off and two are put on in a visit */
    struct mask masks[GRAMMAR_CACHE_MASKS];
    uint32_t masks_next;
    uint32_t path[TOKEN_PIECE_MAX + 1];
};

/* -- numbers for contents -- */

static uint32_t mix(uint32_t h, uint32_t v)
{
    h = (h ^ v) * 0x9e3779b1u;
    return h ^ h >> 15;
}

static uint32_t thread_hash(uint32_t h, const struct thread *t)
{
    return mix(mix(mix(h, t->op), t->counter), t->stack);
}

static bool thread_equal(const struct thread *a, const struct thread *b)
{
    return a->op == b->op && a->counter == b->counter && a->stack == b->stack;
}

static uint32_t frame_hash(const struct frame *f)
{
    return mix(mix(mix(7, f->next), f->counter), f->below);
}

static uint32_t config_hash(const struct thread *threads, uint32_t n, bool is_complete)
{
    uint32_t h = mix(11, is_complete);
    for (uint32_t i = 0; i < n; i++)
        h = thread_hash(h, &threads[i]);
    return h;
}

/* Room for one more: `n` things are numbered, hash_of gives the hash of one. */
static void index_grow(struct index *x, const struct tables *t, uint32_t n,
                       uint32_t (*hash_of)(const struct tables *t, uint32_t i))
{
    if (x->slots && 2 * (x->used + 1) <= x->mask)
        return;
    free(x->slots);
    x->mask = x->mask ? 2 * x->mask + 1 : 1023;
    x->slots = mem_array((size_t)x->mask + 1, sizeof *x->slots);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = hash_of(t, i) & x->mask;
        while (x->slots[at])
            at = (at + 1) & x->mask;
        x->slots[at] = i + 1;
    }
}

static uint32_t hash_of_frame(const struct tables *t, uint32_t i)
{
    return frame_hash(&t->frames[i]);
}

static uint32_t hash_of_config(const struct tables *t, uint32_t i)
{
    const struct config *c = &t->configs[i];
    return config_hash(t->threads + c->first, c->n, c->is_complete);
}

static uint32_t find_frame(struct tables *t, uint32_t next, uint32_t counter, uint32_t below)
{
    const struct frame f = {next, counter, below, t->frames[below].depth + 1};
    index_grow(&t->frame_index, t, t->frames_n, hash_of_frame);
    struct index *x = &t->frame_index;
    uint32_t at = frame_hash(&f) & x->mask;
    for (; x->slots[at]; at = (at + 1) & x->mask) {
        const struct frame *o = &t->frames[x->slots[at] - 1];
        if (o->next == next && o->counter == counter && o->below == below)
            return x->slots[at] - 1;
    }
    if (t->frames_n == t->frames_room) {
        t->frames_room *= 2;
        t->frames = mem_resize(t->frames, t->frames_room, sizeof *t->frames);
    }
    t->frames[t->frames_n++] = f;
    x->slots[at] = t->frames_n;
    x->used++;
    return t->frames_n - 1;
}

static void reserve_config(struct tables *t, uint32_t threads, uint32_t classes)
{
    if (t->configs_n == t->configs_room) {
        t->configs_room *= 2;
        t->configs = mem_resize(t->configs, t->configs_room, sizeof *t->configs);
        t->follow = mem_resize(t->follow, (size_t)t->configs_room * classes, sizeof *t->follow);
    }
    while (t->threads_n + threads > t->threads_room) {
        t->threads_room *= 2;
        t->threads = mem_resize(t->threads, t->threads_room, sizeof *t->threads);
    }
}

static uint32_t find_config(struct tables *t, const struct thread *threads, uint32_t n, bool is_complete,
                            uint32_t classes)
{
    index_grow(&t->config_index, t, t->configs_n, hash_of_config);
    struct index *x = &t->config_index;
    uint32_t at = config_hash(threads, n, is_complete) & x->mask;
    for (; x->slots[at]; at = (at + 1) & x->mask) {
        const struct config *c = &t->configs[x->slots[at] - 1];
        bool same = c->n == n && c->is_complete == is_complete;
        for (uint32_t i = 0; same && i < n; i++)
            same = thread_equal(&t->threads[c->first + i], &threads[i]);
        if (same)
            return x->slots[at] - 1;
    }
    reserve_config(t, n, classes);
    uint32_t id = t->configs_n++;
    t->configs[id] = (struct config){t->threads_n, n, is_complete};
    for (uint32_t i = 0; i < n; i++)
        t->threads[t->threads_n++] = threads[i];
    for (uint32_t i = 0; i < classes; i++)
        t->follow[(size_t)id * classes + i] = UNKNOWN;
    x->slots[at] = id + 1;
    x->used++;
    return id;
}

static void tables_init(struct tables *t, uint32_t classes)
{
    *t = (struct tables){.frames_room = 64, .threads_room = 256, .configs_room = 64};
    t->frames = mem_array(t->frames_room, sizeof *t->frames);
    t->threads = mem_array(t->threads_room, sizeof *t->threads);
    t->configs = mem_array(t->configs_room, sizeof *t->configs);
    t->follow = mem_array((size_t)t->configs_room * classes, sizeof *t->follow);
    t->frames_n = 1; /* the empty stack; its hash is looked up by nobody */
    find_config(t, NULL, 0, false, classes);
}

static void tables_clear(struct tables *t)
{
    free(t->frames);
    free(t->threads);
    free(t->configs);
    free(t->follow);
    free(t->frame_index.slots);
    free(t->config_index.slots);
}

static size_t tables_size(const struct tables *t, uint32_t classes)
{
    return t->frames_n * (sizeof *t->frames + 8) + t->threads_n * sizeof *t->threads +
           (size_t)t->configs_n * (sizeof *t->configs + 8 + classes * sizeof *t->follow);
}

/* -- forgetting -- */

static uint32_t copy_stack(struct tables *to, const struct tables *from, uint32_t stack)
{
    uint32_t path[GRAMMAR_DEPTH_MAX + 1], n = 0, copy = 0;
    for (; stack; stack = from->frames[stack].below)
        path[n++] = stack;
    while (n > 0) {
        const struct frame *f = &from->frames[path[--n]];
        copy = find_frame(to, f->next, f->counter, copy);
    }
    return copy;
}

static uint32_t copy_config(struct matcher *m, struct tables *to, uint32_t id)
{
    const struct config *c = &m->t.configs[id];
    struct thread *threads = mem_array(c->n + 1u, sizeof *threads);
    for (uint32_t i = 0; i < c->n; i++) {
        threads[i] = m->t.threads[c->first + i];
        threads[i].stack = copy_stack(to, &m->t, threads[i].stack);
    }
    uint32_t copy = find_config(to, threads, c->n, c->is_complete, m->g->classes);
    free(threads);
    return copy;
}

static void forget_masks(struct matcher *m)
{
    for (unsigned i = 0; i < GRAMMAR_CACHE_MASKS; i++) {
        free(m->masks[i].bits);
        m->masks[i] = (struct mask){0};
    }
}

/* When the tables have grown too large: all but the current configuration and *at. */
static void forget_much(struct matcher *m, uint32_t *at)
{
    struct tables kept;
    if (tables_size(&m->t, m->g->classes) <= GRAMMAR_CACHE_BYTES)
        return;
    tables_init(&kept, m->g->classes);
    m->current = copy_config(m, &kept, m->current);
    *at = copy_config(m, &kept, *at);
    tables_clear(&m->t);
    m->t = kept;
    forget_masks(m);
}

/* -- one byte -- */

/* False if it was there in this round. */
static bool visit(struct matcher *m, const struct thread *t)
{
    uint32_t at = thread_hash(3, t) % VISIT_SLOTS;
    for (; m->visited[at].round == m->round; at = (at + 1) % VISIT_SLOTS)
        if (thread_equal(&m->visited[at].at, t))
            return false;
    m->visited[at] = (struct visit){*t, m->round};
    return true;
}

/* Puts on the work list, where the bounds allow it. */
static void push(struct matcher *m, uint32_t *n, uint32_t op, uint32_t counter, uint32_t stack)
{
    if (m->t.frames[stack].depth + m->g->ops[op].height <= GRAMMAR_DEPTH_MAX)
        m->work[(*n)++] = (struct thread){op, counter, stack};
}

static void leave_rule(struct matcher *m, uint32_t *n, uint32_t stack)
{
    const struct frame f = m->t.frames[stack];
    if (stack)
        push(m, n, f.next, f.counter, f.below);
    else
        m->made_complete = true;
}

static void enter_rule(struct matcher *m, uint32_t *n, const struct grammar_op *op, const struct thread *t)
{
    uint32_t stack = t->stack;
    if (op->next != GRAMMAR_RETURN)
        stack = find_frame(&m->t, op->next, t->counter, stack);
    push(m, n, op->x, 0, stack);
}

/* From an operation to those that take a byte, depth first, first branch first. */
static void spread(struct matcher *m, uint32_t start, uint32_t counter, uint32_t stack)
{
    uint32_t n = 0;
    push(m, &n, start, counter, stack);
    while (n > 0 && m->visits < GRAMMAR_VISITS_MAX) {
        const struct thread t = m->work[--n];
        const struct grammar_op *op = &m->g->ops[t.op];
        if (!visit(m, &t))
            continue;
        m->visits++;
        switch ((enum grammar_kind)op->kind) {
        case OP_FAIL:
            break;
        case OP_RETURN:
            leave_rule(m, &n, t.stack);
            break;
        case OP_RANGE:
        case OP_SET:
            if (m->made_n < GRAMMAR_THREADS_MAX)
                m->made[m->made_n++] = t;
            break;
        case OP_SPLIT:
            push(m, &n, op->x, t.counter, t.stack);
            push(m, &n, op->next, t.counter, t.stack);
            break;
        case OP_CALL:
            enter_rule(m, &n, op, &t);
            break;
        case OP_BELOW:
            if (t.counter < op->x)
                push(m, &n, op->next, t.counter, t.stack);
            break;
        case OP_LEAST:
            if (t.counter >= op->x)
                push(m, &n, op->next, t.counter, t.stack);
            break;
        case OP_COUNT:
            push(m, &n, op->next, t.counter < op->x ? t.counter + 1 : op->x, t.stack);
            break;
        case OP_JUMP:
            push(m, &n, op->next, t.counter, t.stack);
            break;
        }
    }
}

static void begin_config(struct matcher *m)
{
    m->made_n = m->visits = 0;
    m->made_complete = false;
    if (++m->round == 0) {
        memset(m->visited, 0, sizeof m->visited);
        m->round = 1;
    }
}

static uint32_t end_config(struct matcher *m)
{
    return find_config(&m->t, m->made, m->made_n, m->made_complete, m->g->classes);
}

static uint32_t *follow_of(struct matcher *m, uint32_t config, uint8_t byte)
{
    return &m->t.follow[(size_t)config * m->g->classes + m->g->class_of[byte]];
}

/* What follows a configuration and a byte. */
static uint32_t step(struct matcher *m, uint32_t from, uint8_t byte)
{
    uint32_t to = *follow_of(m, from, byte);
    if (to != UNKNOWN)
        return to & ~SEEN;
    const uint8_t sample = m->g->sample[m->g->class_of[byte]];
    begin_config(m);
    for (uint32_t i = 0; i < m->t.configs[from].n; i++) {
        const struct thread t = m->t.threads[m->t.configs[from].first + i];
        const struct grammar_op *op = &m->g->ops[t.op];
        if (op_takes(m->g, op, sample))
            spread(m, op->next, t.counter, t.stack);
    }
    to = end_config(m);
    *follow_of(m, from, byte) = to;
    return to;
}

/* -- the whole -- */

struct matcher *matcher_new(const struct grammar *g)
{
    CHECK(g->is_closed);
    struct matcher *m = mem_new(sizeof *m);
    m->g = g;
    tables_init(&m->t, g->classes);
    begin_config(m);
    spread(m, g->start, 0, 0);
    m->current = end_config(m);
    return m;
}

void matcher_free(struct matcher *m)
{
    if (!m)
        return;
    tables_clear(&m->t);
    forget_masks(m);
    free(m);
}

bool matcher_take(struct matcher *m, struct bytes text)
{
    uint32_t at = m->current;
    for (size_t i = 0; i < text.n; i++) {
        forget_much(m, &at);
        at = step(m, at, text.p[i]);
        if (at == DEAD)
            return false;
    }
    m->current = at;
    return true;
}

bool matcher_is_complete(const struct matcher *m)
{
    return m->t.configs[m->current].is_complete;
}

bool matcher_goes_on(const struct matcher *m)
{
    return m->t.configs[m->current].n > 0;
}

/* A step counts when its configuration and byte are met for the first time in this mask, whether or not an earlier one
 * has found out what follows: so the count is the same whatever was kept, and nothing may be forgotten on the way. */
static bool spend(struct matcher *m, uint32_t from, uint8_t byte, uint32_t *spent)
{
    uint32_t *to = follow_of(m, from, byte);
    if (*to != UNKNOWN && *to & SEEN)
        return true;
    *spent += m->t.configs[from].n + GRAMMAR_STEP_LEAST;
    return *spent <= GRAMMAR_STEPS_MAX;
}

static bool walk(struct matcher *m, const struct trie *t, uint32_t *bits)
{
    uint32_t spent = 0, at = m->current;
    forget_much(m, &at);
    for (size_t i = 0; i < (size_t)m->t.configs_n * m->g->classes; i++)
        if (m->t.follow[i] != UNKNOWN)
            m->t.follow[i] &= ~SEEN;
    m->path[0] = m->current;
    for (uint32_t i = 0; i < t->n;) {
        uint32_t depth = t->depths[i], from = m->path[depth - 1];
        if (!spend(m, from, t->bytes[i], &spent))
            return false;
        uint32_t to = step(m, from, t->bytes[i]);
        *follow_of(m, from, t->bytes[i]) |= SEEN;
        if (to == DEAD) {
            i = t->ends[i];
            continue;
        }
        m->path[depth] = to;
        for (uint32_t token = t->firsts[i++]; token; token = t->same[token - 1])
            bits[(token - 1) / 32] |= 1u << (token - 1) % 32;
    }
    return true;
}

bool matcher_mask(struct matcher *m, const struct trie *t, uint32_t *bits)
{
    size_t words = (t->tokens + 31) / 32;
    for (unsigned i = 0; i < GRAMMAR_CACHE_MASKS; i++)
        if (m->masks[i].bits && m->masks[i].config == m->current) {
            memcpy(bits, m->masks[i].bits, words * sizeof *bits);
            return true;
        }
    memset(bits, 0, words * sizeof *bits);
    if (!walk(m, t, bits)) {
        memset(bits, 0, words * sizeof *bits);
        return false;
    }
    struct mask *kept = &m->masks[m->masks_next++ % GRAMMAR_CACHE_MASKS];
    if (!kept->bits)
        kept->bits = mem_array(words + 1, sizeof *bits);
    kept->config = m->current;
    memcpy(kept->bits, bits, words * sizeof *bits);
    return true;
}
