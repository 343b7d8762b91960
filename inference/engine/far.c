/* Calls to layers of another machine, written, read and checked. */
#include "inference/engine/far.h"

#include "base/codec.h"
#include "base/mem.h"
#include "inference/kernels/arith.h"
#include "inference/engine/pages.h"

#include <stdlib.h>
#include <string.h>

/* Arrays go over as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words of a call are little-endian");

#define WORD 4u

/* -- the end that asks -- */

struct device {
    struct far_options o;
    struct buf call, answer;
};

static size_t angle_words(const struct model *m, uint32_t rows)
{
    return (size_t)rows * 2 * m->rope_pairs;
}

static void put_call(const struct model *m, const struct device_batch *b, struct buf *out)
{
    const uint32_t n = b->n, pages = b->pages, most = b->pages_most, end = b->number_end;
    const uint8_t sets = (uint8_t)(b->angles[0] ? b->angles[1] ? 2 : 1 : 0);
    codec_put_u32(out, &n);
    codec_put_u32(out, &pages);
    codec_put_u32(out, &most);
    codec_put_u32(out, &end);
    codec_put_u8(out, &sets);
    buf_add(out, b->position, (size_t)n * WORD);
    buf_add(out, b->table, (size_t)n * WORD);
    buf_add(out, b->page, (size_t)pages * WORD);
    for (uint8_t i = 0; i < sets; i++)
        buf_add(out, b->angles[i], angle_words(m, n) * WORD);
    buf_add(out, b->x, (size_t)n * m->embed * WORD);
}

static enum err get_answer(const struct model *m, const struct device_batch *b, struct bytes answer, struct note *note)
{
    const size_t n = b->n, stream = n * m->embed * WORD;
    if (answer.n != n + stream)
        return note_set(note, ERR_PROTOCOL, "%zu rows came back as %zu bytes instead of %zu", n, answer.n, n + stream);
    for (size_t c = 0; c < n; c++)
        if (answer.p[c] == 0)
            b->finite[c] = 0;
        else if (answer.p[c] != 1)
            return note_set(note, ERR_PROTOCOL, "a row is said to be %u, which is neither finite nor not", answer.p[c]);
    memcpy(b->out, answer.p + n, stream);
    return ERR_OK;
}

static enum err run(struct device *d, const struct device_batch *b, struct note *note)
{
    buf_reset(&d->call);
    buf_reset(&d->answer);
    put_call(d->o.model, b, &d->call);
    enum err e = d->o.call(d->o.arg, d->o.hop, bytes_of_buf(&d->call), &d->answer, note);
    return e == ERR_OK ? get_answer(d->o.model, b, bytes_of_buf(&d->answer), note) : e;
}

static enum err begin(struct device *d, const struct device_batch *b, struct note *note)
{
    buf_reset(&d->call);
    buf_reset(&d->answer);
    put_call(d->o.model, b, &d->call);
    return d->o.send(d->o.arg, d->o.hop, bytes_of_buf(&d->call), note);
}

static enum err end(struct device *d, const struct device_batch *b, struct note *note)
{
    enum err e = d->o.receive(d->o.arg, d->o.hop, &d->answer, note);
    return e == ERR_OK ? get_answer(d->o.model, b, bytes_of_buf(&d->answer), note) : e;
}

static void close_far(struct device *d)
{
    if (!d)
        return;
    buf_clear(&d->call);
    buf_clear(&d->answer);
    free(d);
}

static const struct device_table waits = {.abi = DEVICE_ABI, .close = close_far, .run = run},
                                 goes_on = {
                                     .abi = DEVICE_ABI, .close = close_far, .run = run, .begin = begin, .end = end};

struct engine_device far_device(const struct far_options *o)
{
    CHECK(model_writes(o->model) && o->first < o->end && o->end < o->model->layers);
    struct device *d = mem_new(sizeof *d);
    d->o = *o;
    return (struct engine_device){
        .table = o->send ? &goes_on : &waits, .device_take = d, .first = o->first, .end = o->end};
}

/* A row at most: its words, a table of its own, all angles, its stretch of the stream. */
uint32_t far_rows_max(const struct model *m, uint32_t context)
{
    const uint64_t row = (uint64_t)WORD * (2 + pages_for(context) + 4ull * m->rope_pairs + m->embed);
    const uint64_t n = (FAR_CALL_MAX - 64) / row;
    return n < BATCH_MAX ? (uint32_t)n : BATCH_MAX;
}

/* -- the end that answers -- */

struct served {
    struct device_batch b;
    uint8_t sets;
    uint32_t *position, *table, *page;
    float *angles[2], *x;
    uint8_t *finite;
};

/* count words, copied: what comes is not aligned. */
static void *get_words(struct cursor *c, uint64_t count)
{
    const uint8_t *p = cursor_take(c, (size_t)count * WORD);
    void *out = p ? mem_array(count ? (size_t)count : 1, WORD) : NULL;
    if (p && count)
        memcpy(out, p, (size_t)count * WORD);
    return out;
}

static bool get_call(const struct far_bounds *k, struct bytes call, struct served *s)
{
    struct cursor c = cursor_of(call);
    struct device_batch *b = &s->b;
    codec_get_u32(&c, &b->n);
    codec_get_u32(&c, &b->pages);
    codec_get_u32(&c, &b->pages_most);
    codec_get_u32(&c, &b->number_end);
    codec_get_u8(&c, &s->sets);
    if (!cursor_ok(&c) || b->n == 0 || b->n > k->rows_max || s->sets > 2 ||
        (s->sets == 0) != (k->model->rope_pairs == 0))
        return false;
    s->position = get_words(&c, b->n);
    s->table = get_words(&c, b->n);
    s->page = get_words(&c, b->pages);
    for (uint8_t i = 0; i < s->sets; i++)
        s->angles[i] = get_words(&c, angle_words(k->model, b->n));
    s->x = get_words(&c, (uint64_t)b->n * k->model->embed);
    return cursor_end(&c);
}

/* Every row's page is in its table, and has a number that there is room for. */
static bool is_within(const struct far_bounds *k, const struct served *s)
{
    const struct device_batch *b = &s->b;
    if (b->number_end > k->numbers_max || b->pages_most > pages_for(k->context))
        return false;
    for (uint32_t i = 0; i < b->pages; i++)
        if (s->page[i] >= b->number_end)
            return false;
    for (uint32_t c = 0; c < b->n; c++) {
        const uint64_t at = s->position[c] / ARITH_CHUNK;
        if (s->position[c] >= k->context || at >= b->pages_most || s->table[c] + at >= b->pages)
            return false;
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* No two rows put their keys at one place of one page: which of them stays there is for the threads to decide, so an
 * answer, which is signed, would not be the only right one. */
static bool are_places_apart(const struct served *s)
{
    const uint32_t n = s->b.n;
    uint64_t *place = mem_array(n, sizeof *place);
    bool apart = true;
    for (uint32_t c = 0; c < n; c++) {
        const uint32_t at = s->position[c];
        place[c] = (uint64_t)s->page[s->table[c] + at / ARITH_CHUNK] * ARITH_CHUNK + at % ARITH_CHUNK;
    }
    qsort(place, n, sizeof *place, by_value);
    for (uint32_t c = 1; c < n; c++)
        apart = apart && place[c] != place[c - 1];
    free(place);
    return apart;
}

/* Of a row that is not finite processors differ in the bits: it has none. */
static void clear_rows(const struct far_bounds *k, struct served *s)
{
    for (uint32_t c = 0; c < s->b.n; c++) {
        float *x = s->x + (size_t)c * k->model->embed;
        for (uint32_t i = 0; i < k->model->embed && s->finite[c]; i++)
            s->finite[c] = arith_is_finite(x[i]);
        if (!s->finite[c])
            memset(x, 0, k->model->embed * sizeof *x);
    }
}

static void point(struct served *s)
{
    struct device_batch *b = &s->b;
    b->position = s->position;
    b->table = s->table;
    b->page = s->page;
    b->angles[0] = s->angles[0];
    b->angles[1] = s->angles[1];
    b->x = b->out = s->x;
    s->finite = mem_array(b->n, sizeof *s->finite);
    memset(s->finite, 1, b->n);
    b->finite = s->finite;
}

static void clear(struct served *s)
{
    void *all[] = {s->position, s->table, s->page, s->angles[0], s->angles[1], s->x, s->finite};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

enum err far_serve(const struct far_bounds *k, const struct engine_device *device, struct bytes call,
                   struct buf *answer, struct note *note)
{
    struct served s = {.sets = 0};
    enum err e = ERR_OK;
    if (!get_call(k, call, &s) || !is_within(k, &s) || !are_places_apart(&s))
        e = note_set(note, ERR_PROTOCOL, "a call of %zu bytes for %u rows is malformed, or asks for more than there is",
                     call.n, s.b.n);
    if (e == ERR_OK) {
        point(&s);
        e = device->table->run(device->device_take, &s.b, note);
    }
    if (e == ERR_OK) {
        clear_rows(k, &s);
        buf_add(answer, s.finite, s.b.n);
        buf_add(answer, s.x, (size_t)s.b.n * k->model->embed * WORD);
    }
    clear(&s);
    return e;
}
