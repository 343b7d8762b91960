/* Which layers of a model are recurrent, and how long their parts are. */
#include "base/limits.h"
#include "inference/engine/model_read.h"

/* Layers without heads of keys convolve. */
static void read_short_convolution(struct model_reader *r)
{
    struct model *m = r->m;
    m->taps = model_number(r, "shortconv.l_cache", TAPS_MAX, 0);
    m->channels = m->embed;
    if (r->e == ERR_OK && m->taps < 2)
        model_fail(r, ERR_UNSUPPORTED, "shortconv.l_cache", m->taps, "a convolution is over two positions at least");
}

bool model_is_recurrent(struct model_reader *r, uint32_t layer)
{
    const char *key = "attention.head_count_kv";
    return (r->m->kind->more & HAS_SHORT_CONVS) && model_has_list(r, key) && model_number_at(r, key, layer) == 0;
}

void model_read_recurrence(struct model_reader *r)
{
    if (r->m->kind->more & HAS_SHORT_CONVS)
        read_short_convolution(r);
}
