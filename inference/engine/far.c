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

/* Of these layers. */
static bool is_mine(const struct device *d, const struct device_tap *t)
{
    return t->layer >= d->o.first && t->layer < d->o.end;
}

static uint32_t count_taps(const struct device *d, const struct device_batch *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->taps; i++)
        n += is_mine(d, &b->tap[i]);
    return n;
}

static void put_taps(const struct device *d, const struct device_batch *b, struct buf *out)
{
    for (uint32_t i = 0; i < b->taps; i++) {
        const struct device_tap *t = &b->tap[i];
        const uint32_t row = t->row - b->tap_from;
        if (!is_mine(d, t))
            continue;
        codec_put_u32(out, &row);
        codec_put_u32(out, &t->layer);
    }
}

static void put_call(const struct device *d, const struct device_batch *b, struct buf *out)
{
    const struct model *m = d->o.model;
    const uint32_t n = b->n, pages = b->pages, most = b->pages_most, end = b->number_end, taps = count_taps(d, b);
    const uint8_t sets = (uint8_t)(b->angles[0] ? b->angles[1] ? 2 : 1 : 0);
    codec_put_u32(out, &n);
    codec_put_u32(out, &pages);
    codec_put_u32(out, &most);
    codec_put_u32(out, &end);
    codec_put_u32(out, &taps);
    codec_put_u8(out, &sets);
    buf_add(out, b->position, (size_t)n * WORD);
    buf_add(out, b->table, (size_t)n * WORD);
    buf_add(out, b->page, (size_t)pages * WORD);
    put_taps(d, b, out);
    for (uint8_t i = 0; i < sets; i++)
        buf_add(out, b->angles[i], angle_words(m, n) * WORD);
    buf_add(out, b->x, (size_t)n * m->embed * WORD);
}

static void get_taps(const struct device *d, const struct device_batch *b, const uint8_t *p)
{
    const size_t bytes = (size_t)d->o.model->embed * WORD;
    for (uint32_t i = 0; i < b->taps; i++)
        if (is_mine(d, &b->tap[i])) {
            memcpy(b->tap[i].to, p, bytes);
            p += bytes;
        }
}

static enum err get_answer(const struct device *d, const struct device_batch *b, struct note *note)
{
    const struct bytes answer = bytes_of_buf(&d->answer);
    const size_t n = b->n, row = (size_t)d->o.model->embed * WORD, stream = n * row;
    const size_t all = n + stream + count_taps(d, b) * row;
    if (answer.n != all)
        return note_set(note, ERR_PROTOCOL, "%zu rows came back as %zu bytes instead of %zu", n, answer.n, all);
    for (size_t c = 0; c < n; c++)
        if (answer.p[c] == 0)
            b->finite[c] = 0;
        else if (answer.p[c] != 1)
            return note_set(note, ERR_PROTOCOL, "a row is said to be %u, which is neither finite nor not", answer.p[c]);
    memcpy(b->out, answer.p + n, stream);
    get_taps(d, b, answer.p + n + stream);
    return ERR_OK;
}

static enum err run(struct device *d, const struct device_batch *b, struct note *note)
{
    buf_reset(&d->call);
    buf_reset(&d->answer);
    put_call(d, b, &d->call);
    enum err e = d->o.call(d->o.arg, d->o.hop, bytes_of_buf(&d->call), &d->answer, note);
    return e == ERR_OK ? get_answer(d, b, note) : e;
}

static enum err begin(struct device *d, const struct device_batch *b, struct note *note)
{
    buf_reset(&d->call);
    buf_reset(&d->answer);
    put_call(d, b, &d->call);
    return d->o.send(d->o.arg, d->o.hop, bytes_of_buf(&d->call), note);
}

static enum err end(struct device *d, const struct device_batch *b, struct note *note)
{
    enum err e = d->o.receive(d->o.arg, d->o.hop, &d->answer, note);
    return e == ERR_OK ? get_answer(d, b, note) : e;
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
    const uint64_t call = (FAR_CALL_MAX - 64 - FAR_TAPS_MAX * 2 * WORD) / row;
    const uint64_t taps = (uint64_t)FAR_TAPS_MAX * m->embed * WORD, left = FAR_CALL_MAX - 64;
    const uint64_t answer = taps < left ? (left - taps) / (1 + (uint64_t)WORD * m->embed) : 0;
    const uint64_t n = call < answer ? call : answer;
    return n < BATCH_MAX ? (uint32_t)n : BATCH_MAX;
}

/* -- the end that answers -- */

struct served {
    struct device_batch b;
    uint8_t sets;
    uint32_t *position, *table, *page, *places;
    struct device_tap *tap; /* their rows behind each other */
    float *angles[2], *x, *tapped;
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
    codec_get_u32(&c, &b->taps);
    codec_get_u8(&c, &s->sets);
    if (!cursor_ok(&c) || b->n == 0 || b->n > k->rows_max || b->taps > FAR_TAPS_MAX || s->sets > 2 ||
        (s->sets == 0) != (k->model->rope_pairs == 0))
        return false;
    s->position = get_words(&c, b->n);
    s->table = get_words(&c, b->n);
    s->page = get_words(&c, b->pages);
    s->places = get_words(&c, 2ull * b->taps);
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

/* Taps by rising rows, of layers that are here. */
static bool are_taps_here(const struct engine_device *device, const struct served *s)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < s->b.taps; i++) {
        const uint32_t row = s->places[2 * i], layer = s->places[2 * i + 1];
        if (row < before || row >= s->b.n || layer < device->first || layer >= device->end)
            return false;
        before = row;
    }
    return true;
}

static void mark(struct served *s, uint32_t row, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n && s->finite[row]; i++)
        s->finite[row] = arith_is_finite(x[i]);
}

/* Of a row that is not finite processors differ in the bits: it has none. */
static void clear_rows(const struct far_bounds *k, struct served *s)
{
    const uint32_t n = k->model->embed;
    for (uint32_t c = 0; c < s->b.n; c++)
        mark(s, c, s->x + (size_t)c * n, n);
    for (uint32_t i = 0; i < s->b.taps; i++)
        mark(s, s->tap[i].row, s->tap[i].to, n);
    for (uint32_t c = 0; c < s->b.n; c++)
        if (!s->finite[c])
            memset(s->x + (size_t)c * n, 0, n * sizeof *s->x);
    for (uint32_t i = 0; i < s->b.taps; i++)
        if (!s->finite[s->tap[i].row])
            memset(s->tap[i].to, 0, n * sizeof *s->x);
}

static void point_taps(const struct far_bounds *k, struct served *s)
{
    const uint32_t n = s->b.taps;
    if (n == 0)
        return;
    s->tapped = mem_array((size_t)n * k->model->embed, sizeof *s->tapped);
    s->tap = mem_array(n, sizeof *s->tap);
    for (uint32_t i = 0; i < n; i++)
        s->tap[i] =
            (struct device_tap){s->places[2 * i + 1], s->places[2 * i], s->tapped + (size_t)i * k->model->embed};
    s->b.tap = s->tap;
}

static void point(const struct far_bounds *k, struct served *s)
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
    point_taps(k, s);
}

static void clear(struct served *s)
{
    void *all[] = {s->position, s->table,  s->page,   s->angles[0], s->angles[1],
                   s->x,        s->finite, s->places, s->tap,       s->tapped};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

enum err far_serve(const struct far_bounds *k, const struct engine_device *device, struct bytes call,
                   struct buf *answer, struct note *note)
{
    struct served s = {.sets = 0};
    enum err e = ERR_OK;
    if (!get_call(k, call, &s) || !is_within(k, &s) || !are_places_apart(&s) || !are_taps_here(device, &s))
        e = note_set(note, ERR_PROTOCOL, "a call of %zu bytes for %u rows is malformed, or asks for more than there is",
                     call.n, s.b.n);
    if (e == ERR_OK) {
        point(k, &s);
        e = device->table->run(device->device_take, &s.b, note);
    }
    if (e == ERR_OK) {
        clear_rows(k, &s);
        buf_add(answer, s.finite, s.b.n);
        buf_add(answer, s.x, (size_t)s.b.n * k->model->embed * WORD);
        if (s.tapped)
            buf_add(answer, s.tapped, (size_t)s.b.taps * k->model->embed * WORD);
    }
    clear(&s);
    return e;
}
