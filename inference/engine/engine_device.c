/* Layers on devices: what a batch is for them, and how the engine goes on when they fail. */
#include "inference/engine/recur_in.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { PINNED_X, PINNED_HIDDEN, PINNED_LOGITS, PINNED };

struct engine_devices {
    struct engine_device at[DEVICES_MAX];
    unsigned n;
    engine_lost_fn lost;
    void *lost_arg;
    /* of a batch */
    uint32_t *table, *page;
    uint32_t page_room;
    float *angles[2];
    uint8_t *finite;
    uint32_t *best, *keep;
    struct device_chain *chain;
    uint32_t *chain_row;
    struct engine_seq **holder; /* [holders] of the state of each number; NULL: it is free */
    uint32_t holders;
    void *pinned[PINNED];
};

struct engine_devices *engine_devices_new(const struct engine_options *o)
{
    if (o->devices_n == 0)
        return NULL;
    const struct model *m = o->model;
    struct engine_devices *d = mem_new(sizeof *d);
    CHECK(o->devices_n <= DEVICES_MAX);
    for (uint32_t i = 0; i < o->devices_n; i++) {
        CHECK(i == 0 || o->devices[i].first == o->devices[i - 1].end);
        d->at[d->n++] = o->devices[i];
    }
    CHECK(d->at[d->n - 1].end == m->layers);
    d->lost = o->lost;
    d->lost_arg = o->lost_arg;
    d->table = mem_array(o->batch_max, sizeof *d->table);
    d->finite = mem_array(o->batch_max, sizeof *d->finite);
    d->best = mem_array(o->batch_max, sizeof *d->best);
    d->keep = mem_array(o->batch_max, sizeof *d->keep);
    if (m->layers_recurrent) {
        d->chain = mem_array(o->batch_max, sizeof *d->chain);
        d->chain_row = mem_array(o->batch_max, sizeof *d->chain_row);
    }
    for (unsigned i = 0; i < 2; i++)
        d->angles[i] = mem_array((size_t)o->batch_max * 2 * m->rope_pairs, sizeof(float));
    return d;
}

/* One of them does it for all. */
static void pin(struct engine_devices *d, unsigned which, void *p, uint64_t bytes)
{
    const struct engine_device *last = &d->at[d->n - 1];
    if (d->pinned[which] == p || !last->table->pin)
        return;
    if (d->pinned[which])
        last->table->unpin(last->device_take, d->pinned[which]);
    if (p)
        last->table->pin(last->device_take, p, bytes);
    d->pinned[which] = p;
}

void engine_devices_pin(struct engine *e)
{
    const uint64_t row = e->m->embed * sizeof(float);
    pin(e->devices, PINNED_X, e->x, e->batch_max * row);
    pin(e->devices, PINNED_HIDDEN, e->hidden, e->batch_max * row);
    pin(e->devices, PINNED_LOGITS, e->logits, (uint64_t)e->logits_rows * e->m->vocab * sizeof(float));
}

void engine_devices_unpin_logits(struct engine *e)
{
    pin(e->devices, PINNED_LOGITS, NULL, 0);
}

void engine_devices_free(struct engine_devices *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < PINNED; i++)
        pin(d, i, NULL, 0);
    for (unsigned i = 0; i < d->n; i++)
        d->at[i].table->close(d->at[i].device_take);
    void *all[] = {d->table, d->page,      d->finite, d->best,      d->keep,
                   d->chain, d->chain_row, d->holder, d->angles[0], d->angles[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(d);
}

uint32_t engine_devices_first(const struct engine_devices *d)
{
    return d->at[0].first;
}

/* -- a batch -- */

/* The pages of every row's sequence; rows that follow each other share a table. */
static void list_pages(struct engine *e, struct device_batch *b)
{
    struct engine_devices *d = e->devices;
    for (uint32_t c = 0; c < e->n; c++) {
        const struct cache *cache = &e->rows[c].seq->cache;
        if (c > 0 && e->rows[c].seq == e->rows[c - 1].seq) {
            d->table[c] = d->table[c - 1];
            continue;
        }
        while (b->pages + cache->pages > d->page_room) {
            d->page_room = d->page_room ? 2 * d->page_room : 256;
            d->page = mem_resize(d->page, d->page_room, sizeof *d->page);
        }
        d->table[c] = b->pages;
        for (uint32_t i = 0; i < cache->pages; i++)
            d->page[b->pages++] = cache->page[i]->number;
        b->pages_most = cache->pages > b->pages_most ? cache->pages : b->pages_most;
    }
    b->table = d->table;
    b->page = d->page;
    b->number_end = pages_number_end(e->pages);
}

static const float *turn_rows(const struct engine *e, float *out, bool is_local)
{
    size_t pairs = e->m->rope_pairs;
    for (uint32_t c = 0; c < e->n; c++) {
        const float *sine, *cosine = rope_at(engine_rope(e, c, is_local), e->position[c], &sine);
        memcpy(out + 2 * c * pairs, cosine, pairs * sizeof *out);
        memcpy(out + (2 * c + 1) * pairs, sine, pairs * sizeof *out);
    }
    return out;
}

/* The rows that are wanted into e->slot, as they go on in the last layer. */
static uint32_t list_wanted(struct engine *e)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < e->n; c++)
        if (e->rows[c].wants)
            e->slot[n++] = c;
    return n;
}

/* -- states -- */

/* The smallest number that is free becomes the sequence's. */
static void take_number(struct engine_devices *d, struct engine_seq *s)
{
    uint32_t i = 0;
    while (i < d->holders && d->holder[i])
        i++;
    if (i == d->holders)
        d->holder = mem_resize(d->holder, ++d->holders, sizeof *d->holder);
    d->holder[i] = s;
    s->state.number = i + 1;
}

void engine_devices_leave(struct engine *e, struct engine_seq *s)
{
    if (s->state.number)
        e->devices->holder[s->state.number - 1] = NULL;
    s->state.number = 0;
}

static struct device_chain chain_from(struct engine_devices *d, struct engine_seq *s)
{
    struct device_chain c = {.begins = !s->state.number || s->state.is_taken_over, .right = s->state.guessed};
    if (!s->state.number)
        take_number(d, s);
    c.number = s->state.number - 1;
    c.from = s->state.is_taken_over ? s->state.now : NULL;
    c.guessed = s->state.guessing;
    return c;
}

/* The batch's rows by sequences, as recur_begin has them. */
static void list_chains(struct engine *e, struct device_batch *b)
{
    struct engine_devices *d = e->devices;
    const struct recur *r = e->recur;
    if (!r)
        return;
    for (uint32_t i = 0, at = 0; i < r->chains; i++) {
        struct device_chain *chain = &d->chain[i];
        *chain = chain_from(d, e->rows[r->first[i]].seq);
        chain->first = at;
        for (uint32_t c = r->first[i]; c != NONE; c = r->after[c])
            d->chain_row[at++] = c;
        chain->rows = at - chain->first;
    }
    b->chain = d->chain;
    b->chains = r->chains;
    b->chain_row = d->chain_row;
    b->state_kept = r->kept;
}

/* Devices have what was taken over. */
static void take_states(struct engine *e)
{
    for (uint32_t i = 0; e->recur && i < e->recur->chains; i++)
        e->rows[e->recur->first[i]].seq->state.is_taken_over = false;
}

/* -- a batch in parts: while one device evaluates one of them somewhere else, the next one is evaluated here --
 *
 *     layers here     1   2   3   4
 *     elsewhere           1   2   3   4          a call at a time; what it answers is taken when the next one goes out
 *     layers here                 1   2   3   4
 *     the last layer                              all
 *
 * Rows depend on earlier rows of their sequence alone, and each device has them in their order, so that these are the
 * bits of the batch in one piece. The last device has them whole: what is wanted of a batch is put together there. */

#define PART_ROWS 16u /* fewer gain nothing: weights are read once for as many */
#define PARTS_MAX 4u

struct parts {
    struct engine *e;
    const struct device_batch *b;
    float *x;
    uint32_t n;
    struct device_batch part;   /* on its way */
    struct engine_device *away; /* where it is; NULL: nowhere */
};

static uint32_t parts_of(const struct engine_devices *d, uint32_t rows)
{
    bool is_any_away = false;
    for (unsigned i = 0; i + 1 < d->n; i++)
        is_any_away |= d->at[i].table->begin != NULL;
    const uint32_t n = rows / PART_ROWS < PARTS_MAX ? rows / PART_ROWS : PARTS_MAX;
    return is_any_away && n > 1 ? n : 1;
}

/* The k-th part's rows, for a device that has no output. */
static struct device_batch part_at(const struct parts *p, uint32_t k)
{
    const struct model *m = p->e->m;
    const uint32_t from = (uint32_t)((uint64_t)p->b->n * k / p->n), to = (uint32_t)((uint64_t)p->b->n * (k + 1) / p->n);
    struct device_batch b = *p->b;
    b.n = to - from;
    b.position += from;
    b.table += from;
    for (unsigned i = 0; i < 2; i++)
        if (b.angles[i])
            b.angles[i] += (size_t)from * 2 * m->rope_pairs;
    b.x = b.out = p->x + (size_t)from * m->embed;
    b.finite += from;
    while (b.taps > 0 && b.tap->row < from) {
        b.tap++;
        b.taps--;
    }
    while (b.taps > 0 && b.tap[b.taps - 1].row >= to)
        b.taps--;
    b.tap_from = from;
    b.wanted = b.told = b.kept = 0;
    return b;
}

static enum err come_back(struct parts *p, struct note *note)
{
    const struct engine_device *away = p->away;
    p->away = NULL;
    return away ? away->table->end(away->device_take, &p->part, note) : ERR_OK;
}

static enum err step_part(struct parts *p, unsigned device, uint32_t k, struct note *note)
{
    struct engine_device *at = &p->e->devices->at[device];
    const struct device_batch b = part_at(p, k);
    if (!at->table->begin)
        return at->table->run(at->device_take, &b, note);
    enum err e = come_back(p, note);
    if (e == ERR_OK)
        e = at->table->begin(at->device_take, &b, note);
    if (e == ERR_OK) {
        p->part = b;
        p->away = at;
    }
    return e;
}

/* All devices but the last. In step t device i has part t - i: first those that go away, then those here. */
static enum err run_parts(struct engine *e, const struct device_batch *b, float *x, uint32_t n, struct note *note)
{
    const struct engine_devices *d = e->devices;
    struct parts p = {.e = e, .b = b, .x = x, .n = n};
    enum err err = ERR_OK;
    for (uint32_t t = 0; t + 2 < n + d->n && err == ERR_OK; t++) {
        err = come_back(&p, note);
        for (int is_here = 0; is_here < 2; is_here++)
            for (unsigned i = d->n - 1; i-- > 0;)
                if (err == ERR_OK && i <= t && t - i < n && (d->at[i].table->begin == NULL) == is_here)
                    err = step_part(&p, i, t - i, note);
    }
    struct note ignored;
    enum err last = come_back(&p, err == ERR_OK ? note : &ignored);
    return err == ERR_OK ? last : err;
}

/* Through all devices; x takes what leaves one, and `out` what leaves the last where it has no output. */
static enum err run_all(struct engine *e, struct device_batch *b, float *x, float *out, struct note *note)
{
    const struct engine_devices *d = e->devices;
    const uint32_t parts = x == out ? 1 : parts_of(d, b->n); /* an encoder's text is one piece */
    enum err err = parts > 1 ? run_parts(e, b, x, parts, note) : ERR_OK;
    for (unsigned i = parts > 1 ? d->n - 1 : 0; i < d->n && err == ERR_OK; i++) {
        b->x = x;
        b->out = i + 1 < d->n ? x : out;
        err = d->at[i].table->run(d->at[i].device_take, b, note);
    }
    return err;
}

/* -- going on without -- */

/* Positions [0, end) of a sequence once more, for what they leave in the cache. */
static void refill(struct engine *e, struct engine_seq *s, uint32_t end, struct engine_row *rows)
{
    for (uint32_t from = 0; from < end; from += e->n) {
        e->rows = rows;
        e->n = end - from < e->batch_max ? end - from : e->batch_max;
        for (uint32_t c = 0; c < e->n; c++) {
            uint32_t at = from + c;
            rows[c] = (struct engine_row){.seq = s, .token = s->cache.page[at / ARITH_CHUNK]->tokens[at % ARITH_CHUNK]};
            e->position[c] = at;
        }
        if (e->recur)
            recur_begin_again(e);
        engine_enter(e);
        for (uint32_t i = 0; i < e->m->layers; i++)
            (void)engine_layer(e, i);
    }
}

/* What a sequence had before the batch. */
static uint32_t length_before(const struct engine_seq *s, const struct engine_row *rows, const uint32_t *position,
                              uint32_t n)
{
    for (uint32_t c = 0; c < n; c++)
        if (rows[c].seq == s)
            return position[c];
    return s->length;
}

static void drop_devices(struct engine *e, const struct note *why)
{
    struct engine_devices *d = e->devices;
    e->devices = NULL;
    if (d->lost)
        d->lost(d->lost_arg, why);
    engine_devices_free(d);
}

/* What sequences carry is made anew, too, and the batch keeps none of it. */
static void forget_states(struct engine *e)
{
    recur_drop_kept(e);
    for (struct engine_seq *s = e->seqs; s; s = s->after)
        recur_forget(&s->state, e->m);
}

static void go_on_without(struct engine *e, const struct note *why)
{
    struct engine_row *batch = e->rows, *rows = mem_array(e->batch_max, sizeof *rows);
    const uint32_t n = e->n, taps = e->taps;
    uint32_t *position = mem_array(n, sizeof *position);
    memcpy(position, e->position, n * sizeof *position);
    drop_devices(e, why);
    if (e->recur)
        forget_states(e);
    engine_trim(e, 0);
    e->taps = 0;
    for (struct engine_seq *s = e->seqs; s; s = s->after)
        refill(e, s, length_before(s, batch, position, n), rows);
    e->rows = batch;
    e->n = n;
    e->taps = taps;
    memcpy(e->position, position, n * sizeof *position);
    if (e->recur)
        recur_begin(e);
    engine_enter(e);
    free(rows);
    free(position);
}

/* What a batch is for devices, but for what is wanted of it. */
static struct device_batch batch_of(struct engine *e)
{
    struct engine_devices *d = e->devices;
    struct device_batch b = {.n = e->n, .position = e->position, .finite = d->finite, .tap = e->tap, .taps = e->taps};
    list_pages(e, &b);
    list_chains(e, &b);
    if (e->rope[MODEL_ROPE])
        b.angles[0] = turn_rows(e, d->angles[0], false);
    if (e->rope[MODEL_ROPE_LOCAL])
        b.angles[1] = turn_rows(e, d->angles[1], true);
    memset(d->finite, 1, e->n);
    return b;
}

static void take_finite(struct engine *e)
{
    for (uint32_t c = 0; c < e->n; c++)
        e->finite[c] = e->finite[c] && e->devices->finite[c];
}

/* Which of the told keep their logits. */
static uint32_t list_kept(const struct engine *e, uint32_t told)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < told; c++)
        if (!e->rows[e->slot[c]].best_only)
            e->devices->keep[n++] = c;
    return n;
}

static void take_told(struct engine *e, const struct device_batch *b)
{
    for (uint32_t c = 0; c < b->told; c++)
        e->rows[e->slot[c]].best = b->best[c];
    for (uint32_t i = 0; i < b->kept; i++)
        e->rows[e->slot[b->keep[i]]].logits = e->logits + (size_t)i * e->m->vocab;
}

bool engine_devices_run(struct engine *e, size_t *cols)
{
    struct note note = {{0}};
    struct device_batch b = batch_of(e);
    b.wanted = list_wanted(e);
    b.told = (uint32_t)engine_told(e, b.wanted);
    b.kept = list_kept(e, b.told);
    engine_reserve_logits(e, b.kept);
    b.slot = e->slot;
    b.keep = e->devices->keep;
    b.best = e->devices->best;
    b.hidden = e->hidden;
    b.logits = e->logits;
    if (run_all(e, &b, e->x, NULL, &note) != ERR_OK) {
        go_on_without(e, &note);
        return false;
    }
    take_finite(e);
    take_told(e, &b);
    take_states(e);
    *cols = b.wanted;
    return true;
}

bool engine_devices_encode(struct engine *e, float *x)
{
    struct note note = {{0}};
    struct device_batch b = batch_of(e);
    if (run_all(e, &b, x, x, &note) != ERR_OK) {
        drop_devices(e, &note);
        return false;
    }
    take_finite(e);
    return true;
}
