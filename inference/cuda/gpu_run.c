/* A batch on a device: room for it, what it says, its kernels (gpu_pass.c) as they are or as a graph, and what comes
 * back. */
#include "inference/cuda/gpu.h"

#include <string.h>

/* -- room -- */

static enum err no_room(struct note *note, const char *what, uint64_t bytes)
{
    return note_set(note, ERR_FULL, "the GPU has no room for %llu MiB of %s", (unsigned long long)(bytes >> 20) + 1,
                    what);
}

static enum err grow(struct device *d, void **p, uint64_t *room, uint64_t bytes, const char *what, struct note *note)
{
    if (bytes <= *room)
        return ERR_OK;
    gpu_graph_forget(d);
    cuda_free(d->queue, *p);
    *room = bytes + bytes / 2;
    *p = cuda_alloc(d->queue, *room);
    if (*p)
        return ERR_OK;
    *room = 0;
    return no_room(note, what, bytes + bytes / 2);
}

/* Slabs for all numbers of pages below `end`. They begin as zeros, so that whatever stands at a position which was
 * never written is a finite number. */
static enum err grow_cache(struct device *d, uint32_t end, struct note *note)
{
    uint64_t bytes = d->page_bytes * CUDA_SLAB_PAGES;
    while (bytes && (uint64_t)d->slabs * CUDA_SLAB_PAGES < end) {
        if (d->slabs == d->slab_room)
            return note_set(note, ERR_FULL, "the cache has %u pages at most on a GPU", d->slab_room * CUDA_SLAB_PAGES);
        uint8_t *slab = cuda_alloc(d->queue, bytes);
        if (!slab)
            return no_room(note, "cache", bytes);
        cuda_zero(d->queue, slab, bytes);
        d->slab[d->slabs] = slab;
        cuda_put(d->queue, d->slab_list + d->slabs, &d->slab[d->slabs], sizeof slab);
        d->slabs++;
    }
    return ERR_OK;
}

static uint32_t up_to_power(uint32_t n)
{
    uint32_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static enum err make_room(struct device *d, const struct device_batch *b, uint32_t pages_most, struct note *note)
{
    const struct model *m = d->o.model;
    uint64_t scratch = 0;
    for (uint32_t i = d->o.first; i < d->o.end; i++) {
        const struct cuda_attention a = gpu_pass_attention(m, &d->layer[i - d->o.first], pages_most);
        uint64_t bytes = cuda_attend_scratch(&a, b->n);
        scratch = bytes > scratch ? bytes : scratch;
    }
    enum err e = grow_cache(d, b->number_end, note);
    if (e == ERR_OK)
        e = gpu_states_begin(d, b, note);
    if (e == ERR_OK)
        e = grow(d, &d->scratch, &d->scratch_room, scratch, "attention's scratch", note);
    if (e == ERR_OK && b->told && !d->logits) {
        d->logits = cuda_alloc(d->queue, gpu_logits_bytes(&d->o));
        e = d->logits ? ERR_OK : no_room(note, "logits", gpu_logits_bytes(&d->o));
    }
    return e;
}

/* -- what a batch is -- */

struct piece {
    const void *from;
    uint64_t bytes, at;
};

/* How columns meet the cache, laid down `at` bytes from the beginning of what a batch says. */
static struct cuda_plan plan_of(const struct device *d, const struct device_batch *b, const uint32_t *slot,
                                uint32_t cols, uint64_t at)
{
    const struct model *m = d->o.model;
    const struct cuda_attention a = {.heads = m->heads, .head = m->head, .value = model_value_length(m)};
    struct cuda_stretch *out = (struct cuda_stretch *)(void *)(d->facts_host + at);
    struct cuda_plan plan = cuda_attend_plan(&a, m->heads_kv, b->position, b->table, slot, cols, out);
    plan.stretch = (const struct cuda_stretch *)(const void *)(d->facts + at);
    return plan;
}

/* In this order; pages last, since their number is no part of a graph's shape. */
enum {
    POSITION,
    TABLE,
    SLOT,
    ALL_ROWS,
    SEES,
    ANGLES,
    ANGLES_LOCAL,
    STRETCHES,
    SLOT_STRETCHES,
    CHAINS,
    CHAIN_ROWS,
    WHOSE,
    PLACE,
    KEEP,
    FINITE,
    BEST,
    PAGES,
    PIECES
};

/* What it says of states, laid down likewise. */
static struct cuda_states states_of(const struct device *d, const struct device_batch *b, const struct piece *p)
{
    uint8_t *here = d->facts_host, *there = d->facts;
    if (b->chains)
        gpu_states_put(d, b, (void *)(here + p[CHAINS].at), (void *)(here + p[WHOSE].at), (void *)(here + p[PLACE].at),
                       (void *)(here + p[KEEP].at));
    return (struct cuda_states){.chain = (void *)(there + p[CHAINS].at),
                                .chains = b->chains,
                                .row = (void *)(there + p[CHAIN_ROWS].at),
                                .whose = (void *)(there + p[WHOSE].at),
                                .place = (void *)(there + p[PLACE].at),
                                .keep = (void *)(there + p[KEEP].at),
                                .stage = d->stage,
                                .stage_floats = d->state_layers * gpu_state_floats(d->o.model),
                                .taps = d->o.model->taps,
                                .channels = d->o.model->channels};
}

/* All that a batch says into one piece of memory, and over. */
static enum err put_facts(struct device *d, const struct device_batch *b, struct gpu_facts *f, struct note *note)
{
    uint64_t rows = b->n * sizeof(uint32_t), of_chains = b->chains ? rows : 0,
             angles = 2ull * b->n * d->o.model->rope_pairs * sizeof(float), all = 0;
    struct piece p[PIECES] = {[POSITION] = {b->position, rows, 0},
                              [TABLE] = {b->table, rows, 0},
                              [SLOT] = {b->slot, b->wanted * sizeof(uint32_t), 0},
                              [ALL_ROWS] = {NULL, rows, 0},
                              [SEES] = {NULL, rows, 0},
                              [ANGLES] = {b->angles[0], b->angles[0] ? angles : 0, 0},
                              [ANGLES_LOCAL] = {b->angles[1], b->angles[1] ? angles : 0, 0},
                              [STRETCHES] = {NULL, b->n * sizeof(struct cuda_stretch), 0},
                              [SLOT_STRETCHES] = {NULL, b->wanted * sizeof(struct cuda_stretch), 0},
                              [CHAINS] = {NULL, b->chains * sizeof(struct cuda_chain), 0},
                              [CHAIN_ROWS] = {b->chain_row, of_chains, 0},
                              [WHOSE] = {NULL, of_chains, 0},
                              [PLACE] = {NULL, of_chains, 0},
                              [KEEP] = {NULL, of_chains, 0},
                              [FINITE] = {b->finite, b->n, 0},
                              [BEST] = {NULL, b->told * sizeof(uint64_t), 0},
                              [PAGES] = {b->page, b->pages * sizeof(uint32_t), 0}};
    for (size_t i = 0; i < PIECES; i++) {
        p[i].at = all;
        all += (p[i].bytes + 255) / 256 * 256;
    }
    if (all > d->facts_room) {
        gpu_graph_forget(d);
        cuda_free(d->queue, d->facts);
        cuda_free_host(d->queue, d->facts_host);
        d->facts_room = 2 * all;
        d->facts = cuda_alloc(d->queue, d->facts_room);
        d->facts_host = cuda_alloc_host(d->queue, d->facts_room);
        if (!d->facts || !d->facts_host)
            return no_room(note, "a batch", d->facts_room);
    }
    for (size_t i = 0; i < PIECES; i++)
        if (p[i].from)
            memcpy(d->facts_host + p[i].at, p[i].from, p[i].bytes);
    memset(d->facts_host + p[BEST].at, 0, p[BEST].bytes);
    const bool writes = model_writes(d->o.model);
    for (uint32_t c = 0; c < b->n; c++) {
        store_le32(d->facts_host + p[ALL_ROWS].at + 4 * c, c);
        store_le32(d->facts_host + p[SEES].at + 4 * c, writes ? b->position[c] : b->n - 1);
    }
    f->plan = plan_of(d, b, NULL, b->n, p[STRETCHES].at);
    f->states = states_of(d, b, p);
    f->slot_plan = plan_of(d, b, b->slot, b->wanted, p[SLOT_STRETCHES].at);
    cuda_put(d->queue, d->facts, d->facts_host, all);
    const void *at[PIECES];
    for (size_t i = 0; i < PIECES; i++)
        at[i] = d->facts + p[i].at;
    f->position = at[POSITION];
    f->table = at[TABLE];
    f->slot = at[SLOT];
    f->all = at[ALL_ROWS];
    f->sees = at[SEES];
    f->angles[0] = b->angles[0] ? at[ANGLES] : NULL;
    f->angles[1] = b->angles[1] ? at[ANGLES_LOCAL] : NULL;
    f->finite = d->facts + p[FINITE].at;
    f->best = (uint64_t *)(void *)(d->facts + p[BEST].at);
    f->finite_at = p[FINITE].at;
    f->best_at = p[BEST].at;
    f->told_end = p[BEST].at + p[BEST].bytes;
    f->page = at[PAGES];
    return ERR_OK;
}

static bool is_tapped(const struct device *d, const struct device_batch *b)
{
    for (uint32_t i = 0; i < b->taps; i++)
        if (b->tap[i].layer >= d->o.first && b->tap[i].layer < d->o.end)
            return true;
    return false;
}

/* Rows between layers go to memory that is another one each time, so that they are in no graph. */
static void run_shape(struct gpu_pass *t, const struct gpu_shape *shape)
{
    struct device *d = t->d;
    bool record;
    if (t->tapped) {
        gpu_pass_queue(t, shape);
        return;
    }
    struct cuda_graph *g = gpu_graph_find(d, shape, &record);
    if (!g && record && cuda_graph_begin(d->queue)) {
        struct gpu_pass kept = *t;
        gpu_pass_queue(t, shape);
        g = cuda_graph_end(d->queue);
        if (g)
            gpu_graph_keep(d, shape, g);
        else
            *t = kept;
    }
    if (g)
        cuda_graph_run(d->queue, g);
    else
        gpu_pass_queue(t, shape);
}

/* Of the rows [first, end) of those that are told, whose logits are in d->logits, those that are kept. */
static void get_logits(struct device *d, const struct device_batch *b, uint32_t first, uint32_t end)
{
    const uint64_t vocab = d->o.model->vocab;
    for (uint32_t i = 0, n; i < b->kept; i += n) {
        n = 1;
        if (b->keep[i] < first || b->keep[i] >= end)
            continue;
        while (i + n < b->kept && b->keep[i + n] == b->keep[i] + n && b->keep[i + n] < end)
            n++; /* neighbours go together */
        cuda_get(d->queue, b->logits + i * vocab, d->logits + (b->keep[i] - first) * vocab, n * vocab * sizeof(float));
    }
}

/* What the last device has to say: hidden states, and logits in pieces, of which the kernels of the first are queued.
 */
static void get_output(const struct gpu_pass *t, const struct device_batch *b)
{
    struct device *d = t->d;
    cuda_get(d->queue, b->hidden, d->hidden, b->wanted * t->m->embed * sizeof(float));
    for (uint32_t first = 0; first < b->told; first += GPU_TOLD_ROWS) {
        uint32_t end = b->told - first < GPU_TOLD_ROWS ? b->told : first + GPU_TOLD_ROWS;
        if (first)
            gpu_pass_tell(t, first, end);
        get_logits(d, b, first, end);
    }
}

/* What stands beside the batch's numbers: no pages, so it is in memory of ours when the queue is done. */
static void take_marks(const struct device *d, const struct gpu_facts *f, const struct device_batch *b)
{
    memcpy(b->finite, d->facts_host + f->finite_at, b->n);
    for (uint32_t c = 0; d->o.has_output && c < b->told; c++)
        b->best[c] = CUDA_BEST_LAST - load_le32(d->facts_host + f->best_at + 8 * c);
}

enum err gpu_run(struct device *d, const struct device_batch *b, struct note *note)
{
    const struct model *m = d->o.model;
    uint32_t pages_most = up_to_power(b->pages_most);
    struct gpu_pass t = {.d = d, .m = m, .x = d->b.x, .rows = b->n, .cols = b->n, .pages_most = pages_most};
    uint64_t embed = m->embed * sizeof(float);
    CHECK(b->n >= 1 && b->n <= d->o.batch_max);
    enum err e = make_room(d, b, pages_most, note);
    if (e == ERR_OK)
        e = put_facts(d, b, &t.f, note);
    if (e != ERR_OK)
        return e;
    (void)cuda_queue_stream(d->queue); /* of several GPUs the last that was used is another */
    t.slot = t.f.all;
    t.tapped = is_tapped(d, b) ? b : NULL;
    cuda_put(d->queue, t.x, b->x, b->n * embed);
    t.plan = t.f.plan;
    const struct cuda_plan *all = &t.f.plan, *slots = &t.f.slot_plan;
    const struct gpu_shape shape = {
        b->n,
        b->wanted,
        b->told,
        pages_most,
        {all->long_n, all->short_n, all->short_cols, all->short_most},
        {slots->long_n, slots->short_n, slots->short_cols, slots->short_most},
        b->chains,
    };
    run_shape(&t, &shape);
    if (d->o.has_output && b->wanted)
        get_output(&t, b);
    else if (!d->o.has_output)
        cuda_get(d->queue, b->out, d->b.x, b->n * embed);
    gpu_states_get(d, b);
    cuda_get(d->queue, d->facts_host + t.f.finite_at, t.f.finite, t.f.told_end - t.f.finite_at);
    e = cuda_wait(d->queue, note);
    if (e == ERR_OK) {
        take_marks(d, &t.f, b);
        gpu_states_give(d, b);
    }
    return e;
}
