/* Entries in an open hash table and in one of two queues, each in the order of its times. */
#include "node/consensus/wanted.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_LEAST 256u

struct entry {
    struct hash id;
    uint64_t tellers, asked; /* who told of it, and who was asked so far */
    int asking;              /* who is asked now; -1: nobody yet */
    int payer;               /* among whose WANTED_PEER_MAX it counts */
    uint64_t due_ms;
    struct queue *in;
    struct entry *prev, *next;
};

struct queue {
    struct entry *first, *last;
};

struct wanted {
    uint8_t key[16];
    struct entry **slot; /* linear probing, deletion by shifting back; at most half full */
    uint32_t slots, n;
    struct queue waiting, asked;
    uint32_t pays[RELAY_SLOTS], late[RELAY_SLOTS];
};

struct wanted *wanted_new(const uint8_t key[16])
{
    struct wanted *t = mem_new(sizeof *t);
    memcpy(t->key, key, sizeof t->key);
    t->slots = SLOTS_LEAST;
    t->slot = mem_array(t->slots, sizeof(struct entry *));
    return t;
}

void wanted_free(struct wanted *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->slots; i++)
        free(t->slot[i]);
    free(t->slot);
    free(t);
}

/* -- queues -- */

static void queue_add(struct queue *q, struct entry *e)
{
    e->in = q;
    e->prev = q->last;
    e->next = NULL;
    *(q->last ? &q->last->next : &q->first) = e;
    q->last = e;
}

static void queue_remove(struct entry *e)
{
    *(e->prev ? &e->prev->next : &e->in->first) = e->next;
    *(e->next ? &e->next->prev : &e->in->last) = e->prev;
}

/* -- the table -- */

static uint32_t home(const struct wanted *t, const struct hash *id)
{
    return (uint32_t)(hash_place(t->key, id->b, sizeof id->b) % t->slots);
}

static uint32_t find(const struct wanted *t, const struct hash *id)
{
    uint32_t i = home(t, id);
    while (t->slot[i] && !hash_equal(&t->slot[i]->id, id))
        i = (i + 1) % t->slots;
    return i;
}

static void grow(struct wanted *t)
{
    struct entry **old = t->slot;
    uint32_t n = t->slots;
    t->slots *= 2;
    t->slot = mem_array(t->slots, sizeof(struct entry *));
    for (uint32_t i = 0; i < n; i++)
        if (old[i])
            t->slot[find(t, &old[i]->id)] = old[i];
    free(old);
}

static void take_out(struct wanted *t, struct entry *e)
{
    uint32_t hole = find(t, &e->id);
    for (uint32_t i = (hole + 1) % t->slots; t->slot[i]; i = (i + 1) % t->slots) {
        uint32_t at = home(t, &t->slot[i]->id);
        if ((i + t->slots - at) % t->slots >= (i + t->slots - hole) % t->slots) {
            t->slot[hole] = t->slot[i];
            hole = i;
        }
    }
    t->slot[hole] = NULL;
    t->n--;
    t->pays[e->payer]--;
    queue_remove(e);
    free(e);
}

/* -- who told, who is asked -- */

bool wanted_add(struct wanted *t, const struct hash *id, int slot, uint64_t now_ms)
{
    CHECK(slot >= 0 && slot < RELAY_SLOTS);
    struct entry *e = t->slot[find(t, id)];
    if (e) {
        e->tellers |= UINT64_C(1) << slot;
        return true;
    }
    if (t->pays[slot] >= WANTED_PEER_MAX)
        return false;
    if (2 * (t->n + 1) > t->slots)
        grow(t);
    e = mem_new(sizeof *e);
    *e = (struct entry){.id = *id,
                        .tellers = UINT64_C(1) << slot,
                        .asking = -1,
                        .payer = slot,
                        .due_ms = now_ms + CONSENSUS_PATIENCE_MS};
    t->slot[find(t, id)] = e;
    t->n++;
    t->pays[slot]++;
    queue_add(&t->waiting, e);
    return true;
}

uint64_t wanted_remove(struct wanted *t, const struct hash *id)
{
    struct entry *e = t->slot[find(t, id)];
    uint64_t tellers = e ? e->tellers : 0;
    if (e)
        take_out(t, e);
    return tellers;
}

/* Due at once, before all others. */
static void ask_elsewhere(struct wanted *t, struct entry *e, uint64_t now_ms)
{
    queue_remove(e);
    e->asking = -1;
    e->due_ms = now_ms;
    e->in = &t->waiting;
    e->prev = NULL;
    e->next = t->waiting.first;
    *(e->next ? &e->next->prev : &t->waiting.last) = e;
    t->waiting.first = e;
}

void wanted_denied(struct wanted *t, const struct hash *id, int slot, uint64_t now_ms)
{
    struct entry *e = t->slot[find(t, id)];
    if (e && e->asking == slot)
        ask_elsewhere(t, e, now_ms);
}

void wanted_came(struct wanted *t, int slot)
{
    t->late[slot] = 0;
}

static void forget_teller(struct wanted *t, struct entry *e, int slot, uint64_t now_ms)
{
    e->tellers &= ~(UINT64_C(1) << slot);
    e->asked &= ~(UINT64_C(1) << slot);
    if (!e->tellers) {
        take_out(t, e);
        return;
    }
    if (e->payer == slot) {
        t->pays[slot]--;
        e->payer = __builtin_ctzll(e->tellers);
        t->pays[e->payer]++;
    }
    if (e->asking == slot)
        ask_elsewhere(t, e, now_ms);
}

void wanted_gone(struct wanted *t, int slot, uint64_t now_ms)
{
    struct queue *queues[] = {&t->waiting, &t->asked};
    for (int q = 0; q < 2; q++)
        for (struct entry *e = queues[q]->first, *next; e; e = next) {
            next = e->next;
            if (e->tellers >> slot & 1)
                forget_teller(t, e, slot, now_ms);
        }
    t->late[slot] = 0;
}

/* Of those not asked yet the one with the fewest unanswered questions; of several, another one for each id. */
static int whom_to_ask(const struct wanted *t, const struct entry *e)
{
    int best = -1;
    for (unsigned k = 0; k < RELAY_SLOTS; k++) {
        int slot = (int)((e->id.b[31] + k) % RELAY_SLOTS);
        if ((e->tellers & ~e->asked) >> slot & 1 && (best < 0 || t->late[slot] < t->late[best]))
            best = slot;
    }
    return best;
}

bool wanted_next(struct wanted *t, uint64_t now_ms, struct hash *id, int *slot)
{
    for (;;) {
        struct entry *e = t->asked.first && t->asked.first->due_ms <= now_ms ? t->asked.first : t->waiting.first;
        if (!e || e->due_ms > now_ms)
            return false;
        if (e->asking >= 0 && t->late[e->asking] < WANTED_LATE_MAX)
            t->late[e->asking]++;
        int next = whom_to_ask(t, e);
        if (next < 0) {
            take_out(t, e);
            continue;
        }
        queue_remove(e);
        e->asking = next;
        e->asked |= UINT64_C(1) << next;
        e->due_ms = now_ms + CONSENSUS_ASK_MS;
        queue_add(&t->asked, e);
        *id = e->id;
        *slot = next;
        return true;
    }
}

uint64_t wanted_due_ms(const struct wanted *t)
{
    uint64_t due = t->waiting.first ? t->waiting.first->due_ms : UINT64_MAX;
    return t->asked.first && t->asked.first->due_ms < due ? t->asked.first->due_ms : due;
}

uint32_t wanted_count(const struct wanted *t)
{
    return t->n;
}
