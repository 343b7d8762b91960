/* Layers on the processor, driven by a device's batches. An engine of its own lends its steps; sequences are made up
 * for each batch out of the pages that it names. */
#include "inference/engine/layers.h"

#include "base/mem.h"
#include "inference/engine/engine_in.h"

#include <stdlib.h>
#include <string.h>

struct device {
    struct engine *e;
    struct engine_row *rows; /* [batch_max] */
    struct engine_seq *seqs; /* [batch_max] those of the batch, each with its stretch of `list` */
    uint32_t first, end;
    struct pages *store;
    struct page **page; /* [numbers] by the number that a batch gives it; NULL: not yet named */
    uint32_t numbers;
    struct page **list;
    uint32_t list_room;
};

/* -- the pages of a batch -- */

static struct page *page_of(struct device *d, uint32_t number)
{
    if (!d->page[number])
        d->page[number] = pages_take(d->store);
    return d->page[number];
}

static void reserve_numbers(struct device *d, uint32_t end)
{
    if (end <= d->numbers)
        return;
    uint32_t room = 2 * d->numbers > end ? 2 * d->numbers : end;
    d->page = mem_resize(d->page, room, sizeof *d->page);
    memset(d->page + d->numbers, 0, (room - d->numbers) * sizeof *d->page);
    d->numbers = room;
}

static uint32_t pages_until(uint32_t position)
{
    return position / ARITH_CHUNK + 1;
}

/* Where row c belongs to the same table as the one before it, it is of the same sequence. */
static bool goes_on(const struct device_batch *b, uint32_t c)
{
    return c > 0 && b->table[c] == b->table[c - 1];
}

static void reserve_list(struct device *d, const struct device_batch *b)
{
    uint64_t n = 0;
    for (uint32_t c = 0; c < b->n; c++)
        n += goes_on(b, c) ? 0 : b->pages_most;
    if (n <= d->list_room)
        return;
    d->list_room = (uint32_t)n;
    d->list = mem_resize(d->list, d->list_room, sizeof *d->list);
}

/* Each row with its sequence, which has pages up to its last row's position. */
static void place_rows(struct device *d, const struct device_batch *b)
{
    struct engine_seq *s = d->seqs - 1;
    struct page **list;
    reserve_numbers(d, b->number_end);
    reserve_list(d, b);
    list = d->list;
    for (uint32_t c = 0; c < b->n; c++) {
        if (!goes_on(b, c)) {
            *++s = (struct engine_seq){.engine = d->e, .finite = true};
            cache_init_layers(&s->cache, d->e->m, d->first, d->end, d->store);
            s->cache.page = list;
        }
        for (uint32_t i = s->cache.pages; i < pages_until(b->position[c]); i++) {
            CHECK(i < b->pages_most && b->table[c] + i < b->pages && b->page[b->table[c] + i] < b->number_end);
            *list++ = page_of(d, b->page[b->table[c] + i]);
            s->cache.pages++;
        }
        d->rows[c] = (struct engine_row){.seq = s};
        d->e->position[c] = b->position[c];
        d->e->slot[c] = c;
        d->e->finite[c] = true;
    }
}

/* -- the output -- */

static void mark_wanted(struct device *d, const struct device_batch *b)
{
    for (uint32_t i = 0; i < b->wanted; i++) {
        struct engine_row *r = &d->rows[b->slot[i]];
        r->wants = true;
        r->no_logits = i >= b->told;
        r->best_only = !r->no_logits;
    }
    for (uint32_t i = 0; i < b->kept; i++)
        d->rows[b->slot[b->keep[i]]].best_only = false;
}

static void give_out(struct device *d, const struct device_batch *b)
{
    const struct model *m = d->e->m;
    engine_leave(d->e, b->wanted);
    memcpy(b->hidden, d->e->hidden, (size_t)b->wanted * m->embed * sizeof *b->hidden);
    for (uint32_t i = 0; i < b->told; i++)
        b->best[i] = d->rows[b->slot[i]].best;
    for (uint32_t i = 0; i < b->kept; i++) {
        const float *logits = d->rows[b->slot[b->keep[i]]].logits;
        (void)ops_largest(d->e->ops, logits, m->vocab, &b->best[b->keep[i]]);
        memcpy(b->logits + (size_t)i * m->vocab, logits, m->vocab * sizeof *logits);
    }
}

/* -- the table -- */

static enum err run(struct device *d, const struct device_batch *b, struct note *note)
{
    struct engine *e = d->e;
    const size_t row = e->m->embed * sizeof(float);
    size_t cols = b->n;
    (void)note;
    CHECK(b->n >= 1 && b->n <= e->batch_max);
    place_rows(d, b);
    mark_wanted(d, b);
    e->rows = d->rows;
    e->n = b->n;
    e->angles[0] = b->angles[0];
    e->angles[1] = b->angles[1];
    e->tap = b->tap;
    e->taps = b->taps;
    e->tap_from = b->tap_from;
    memcpy(e->x, b->x, b->n * row);
    for (uint32_t i = d->first; i < d->end; i++)
        cols = engine_layer(e, i);
    if (d->end < e->m->layers)
        memcpy(b->out, e->x, b->n * row);
    else if (cols > 0)
        give_out(d, b);
    for (uint32_t c = 0; c < b->n; c++)
        b->finite[c] = b->finite[c] && e->finite[c];
    return ERR_OK;
}

static void close_layers(struct device *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->numbers; i++)
        if (d->page[i])
            pages_drop(d->store, d->page[i]);
    pages_free(d->store);
    engine_free(d->e);
    free(d->page);
    free(d->list);
    free(d->seqs);
    free(d->rows);
    free(d);
}

static const struct device_table table = {.abi = DEVICE_ABI, .close = close_layers, .run = run};

enum err layers_check(const struct model *m, struct note *note)
{
    if (!model_writes(m))
        return note_set(note, ERR_UNSUPPORTED, "a model of architecture %s is not cut over machines", m->architecture);
    if (m->layers_recurrent)
        return note_set(note, ERR_UNSUPPORTED,
                        "a model of architecture %s is not cut over machines: its layers carry a state",
                        m->architecture);
    if (m->layers_sharing || m->input_n)
        return note_set(
            note, ERR_UNSUPPORTED, "a model of architecture %s is not cut over machines where %s", m->architecture,
            m->input_n ? "its layers take more of a token than the stream" : "layers read the keys of others");
    return ERR_OK;
}

struct engine_device layers_device(const struct layers_options *o)
{
    CHECK(model_writes(o->model) && !o->model->layers_recurrent && !o->model->layers_sharing && !o->model->input_n &&
          o->first < o->end && o->end <= o->model->layers);
    const struct engine_options eo = {.model = o->model,
                                      .ops = o->ops,
                                      .pool = o->pool,
                                      .threads = o->threads,
                                      .batch_max = o->batch_max,
                                      .logits_max = o->end == o->model->layers ? 0 : 1};
    struct device *d = mem_new(sizeof *d);
    d->e = engine_new(&eo);
    d->rows = mem_array(o->batch_max, sizeof *d->rows);
    d->seqs = mem_array(o->batch_max, sizeof *d->seqs);
    d->first = o->first;
    d->end = o->end;
    d->store = pages_new(layers_page_bytes(o->model, o->first, o->end), 0);
    return (struct engine_device){.table = &table, .device_take = d, .first = o->first, .end = o->end};
}

uint64_t layers_bytes(const struct device *d)
{
    return engine_bytes(d->e);
}

uint64_t layers_page_bytes(const struct model *m, uint32_t first, uint32_t end)
{
    return cache_layers_bytes(m, first, end);
}
