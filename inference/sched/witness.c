/* Places of a key, and the rows there. */
#include "inference/sched/witness.h"

#include "base/mem.h"
#include "inference/kernels/arith.h"
#include "inference/sched/digest.h"

#include <stdlib.h>
#include <string.h>

struct witness {
    struct witness_options o;
    struct witness_place place[WITNESS_PLACES];
    struct engine_tap tap[WITNESS_PLACES];
    uint32_t taps;
    float *rows;  /* [WITNESS_PLACES, embed] */
    uint32_t at;  /* positions before it were taken, */
    uint32_t end; /* ... and those from it on are not numbers */
};

uint32_t witness_count(const struct witness_options *o)
{
    return o->prompt_n + o->answer_n - (o->answer_n ? 1 : 0);
}

/* x * n >> 64. */
static uint32_t part_of(uint64_t x, uint32_t n)
{
    return (uint32_t)(((x >> 32) * n + ((x & UINT32_MAX) * n >> 32)) >> 32);
}

static struct witness_place draw(const struct witness_options *o, uint32_t k)
{
    uint8_t number[4];
    store_le32(number, k);
    const struct hash h = hash_keyed(HASH_PLACES, o->key.b, number, sizeof number);
    const uint64_t a = load_le64(h.b), b = load_le64(h.b + 8);
    const uint32_t first = o->layers > 1 ? 0 : o->prompt_n - 1;
    return (struct witness_place){.layer = o->layers > 1 ? part_of(a, o->layers - 1) : 0,
                                  .position = first + part_of(b, witness_count(o) - first)};
}

void witness_find_places(const struct witness_options *o, struct witness_place out[WITNESS_PLACES])
{
    CHECK(o->layers >= 1 && o->prompt_n >= 1);
    out[0] = (struct witness_place){o->layers - 1, witness_count(o) - 1};
    for (uint32_t k = 1; k < WITNESS_PLACES; k++)
        out[k] = draw(o, k);
}

struct witness *witness_new(const struct witness_options *o)
{
    struct witness *w = mem_new(sizeof *w);
    w->o = *o;
    w->end = UINT32_MAX;
    w->rows = mem_array((size_t)WITNESS_PLACES * o->embed, sizeof *w->rows);
    witness_find_places(o, w->place);
    for (uint32_t k = 0; k < WITNESS_PLACES; k++)
        if (w->place[k].layer + 1 < o->layers)
            w->tap[w->taps++] =
                (struct engine_tap){w->place[k].layer, w->place[k].position, w->rows + (size_t)k * o->embed};
    return w;
}

void witness_free(struct witness *w)
{
    if (!w)
        return;
    free(w->rows);
    free(w);
}

const struct engine_tap *witness_taps(const struct witness *w, uint32_t *n)
{
    *n = w->taps;
    return w->tap;
}

void witness_take(struct witness *w, uint32_t position, const struct engine_row *row)
{
    const size_t embed = w->o.embed;
    CHECK(position == w->at);
    w->at++;
    if (!row->finite && position < w->end)
        w->end = position;
    for (uint32_t k = 0; k < WITNESS_PLACES && row->finite; k++)
        if (w->place[k].position == position && w->place[k].layer + 1 == w->o.layers)
            memcpy(w->rows + k * embed, row->hidden, embed * sizeof *w->rows);
}

bool witness_is_whole(const struct witness *w)
{
    return w->at >= witness_count(&w->o) || w->at > w->end;
}

static bool is_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!arith_is_finite(x[i]))
            return false;
    return true;
}

struct hash witness_end(const struct witness *w)
{
    struct hasher h;
    CHECK(witness_is_whole(w));
    hash_start(&h, HASH_WITNESS);
    hash_add(&h, w->o.key.b, sizeof w->o.key.b);
    for (uint32_t k = 0; k < WITNESS_PLACES; k++) {
        const float *row = w->rows + (size_t)k * w->o.embed;
        hash_add_u32(&h, w->place[k].layer);
        hash_add_u32(&h, w->place[k].position);
        if (w->place[k].position < w->end && is_finite(row, w->o.embed))
            digest_add_floats(&h, row, w->o.embed);
        else
            hash_add(&h, "numeric", 7);
    }
    return hash_end(&h);
}
