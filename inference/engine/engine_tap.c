/* Rows of the stream that are wanted beside the results. A batch without them pays a look at each row's sequence. */
#include "inference/engine/engine_in.h"

#include "base/mem.h"

#include <string.h>

void engine_seq_tap(struct engine_seq *s, const struct engine_tap *taps, uint32_t n)
{
    CHECK(s->length == 0 && model_writes(s->engine->m));
    for (uint32_t i = 0; i < n; i++)
        CHECK(taps[i].layer + 1 < s->engine->m->layers);
    s->tap = taps;
    s->taps = n;
}

static void add_tap(struct engine *e, const struct device_tap *tap)
{
    if (e->taps == e->tap_room) {
        e->tap_room = e->tap_room ? 2 * e->tap_room : 16;
        e->tap_list = mem_resize(e->tap_list, e->tap_room, sizeof *e->tap_list);
    }
    e->tap_list[e->taps++] = *tap;
}

void engine_list_taps(struct engine *e)
{
    e->taps = e->tap_from = 0;
    for (uint32_t c = 0; c < e->n; c++) {
        const struct engine_seq *s = e->rows[c].seq;
        for (uint32_t i = 0; i < s->taps; i++)
            if (s->tap[i].position == e->position[c])
                add_tap(e, &(struct device_tap){s->tap[i].layer, c, s->tap[i].to});
    }
    e->tap = e->tap_list;
}

void engine_take_taps(const struct engine *e, uint32_t layer)
{
    const size_t n = e->m->embed;
    for (uint32_t i = 0; i < e->taps; i++)
        if (e->tap[i].layer == layer)
            memcpy(e->tap[i].to, e->x + (e->tap[i].row - e->tap_from) * n, n * sizeof *e->x);
}
