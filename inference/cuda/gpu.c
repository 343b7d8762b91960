/* The device for NVIDIA's GPUs: what kith-cuda.so offers (inference/engine/device.h). */
#include "inference/cuda/gpu.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

static uint64_t layer_cache_bytes(const struct model *m)
{
    return (chunk_part_bytes(quant_padded(m->head) / ARITH_BLOCK) +
            chunk_part_bytes(quant_padded(model_value_length(m)) / ARITH_BLOCK)) *
           m->heads_kv;
}

/* Keys and values of a page. Where layers carry states the engine counts these in pages (sched_plan), so that a page is
 * worth the same part of them as well, if that is more. */
static uint64_t gpu_page_bytes(const struct device_options *o)
{
    const struct model *m = o->model;
    const uint64_t keys = gpu_attending(m, o->first, o->end), all = gpu_attending(m, 0, m->layers);
    const uint64_t carrying = gpu_carrying(m, o->first, o->end);
    const uint64_t states = carrying ? (all * carrying + m->layers_recurrent - 1) / m->layers_recurrent : 0;
    return layer_cache_bytes(m) * (keys > states ? keys : states);
}

static uint64_t slabs_most(const struct device_options *o)
{
    uint64_t pages = ((uint64_t)o->model->context + ARITH_CHUNK - 1) / ARITH_CHUNK * JOBS_MAX * 2;
    return pages / CUDA_SLAB_PAGES + 1;
}

static uint64_t buffer_bytes(const struct device_options *o)
{
    const struct model *m = o->model;
    uint64_t n = o->batch_max, all = o->has_output ? n * m->embed * sizeof(float) + gpu_logits_bytes(o) : 0;
#define B(name, type, count) all += (uint64_t)(count) * sizeof(type);
    GPU_BUFFERS(B)
#undef B
    return all + slabs_most(o) * sizeof(uint8_t *) + gpu_stage_bytes(o);
}

static uint64_t gpu_bytes(const struct device_options *o)
{
    return gpu_weight_bytes(o) + buffer_bytes(o);
}

static void gpu_close(struct device *d)
{
    if (!d)
        return;
    if (d->queue) {
        gpu_graph_forget(d);
        void *all[] = {
#define B(name, type, count) d->b.name,
            GPU_BUFFERS(B)
#undef B
                d->hidden,
            d->logits, d->facts, d->scratch, d->slab_list};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            cuda_free(d->queue, all[i]);
        for (uint32_t i = 0; i < d->slabs; i++)
            cuda_free(d->queue, d->slab[i]);
        cuda_free_host(d->queue, d->facts_host);
        gpu_states_close(d);
        gpu_weights_free(d);
        cuda_queue_free(d->queue);
    }
    free(d->slab);
    free(d);
}

static enum err make_buffers(struct device *d, struct note *note)
{
    const struct model *m = d->o.model;
    uint64_t n = d->o.batch_max;
    bool is_there = true;
#define B(name, type, count)                                                                                           \
    is_there = (d->b.name = cuda_alloc(d->queue, (uint64_t)(count) * sizeof(type))) && is_there;
    GPU_BUFFERS(B)
#undef B
    d->hidden = cuda_alloc(d->queue, d->o.has_output ? n * m->embed * sizeof(float) : 0);
    d->slab_room = (uint32_t)slabs_most(&d->o);
    d->slab = mem_array(d->slab_room, sizeof *d->slab);
    d->slab_list = cuda_alloc(d->queue, d->slab_room * sizeof *d->slab);
    if (d->b.arrived)
        cuda_zero(d->queue, d->b.arrived, n * m->heads * sizeof *d->b.arrived);
    if (is_there && d->hidden && d->slab_list)
        return ERR_OK;
    return note_set(note, ERR_FULL, "the GPU has no room for %llu MiB of work memory",
                    (unsigned long long)(buffer_bytes(&d->o) >> 20) + 1);
}

/* What kernels do not have; a kernel that a GPU has no room for would be a lost device in the middle of an answer. */
static enum err check_heads(const struct model *m, struct note *note)
{
    size_t needs, has;
    if (model_on_processors(m))
        return note_set(note, ERR_UNSUPPORTED, "a %s is run on processors only", m->architecture);
    if (cuda_attend_fits(m->head, model_value_length(m), &needs, &has))
        return ERR_OK;
    return note_set(note, ERR_UNSUPPORTED,
                    "heads of %u elements need %zu KiB of shared memory, of which this GPU has %zu for a block",
                    m->head, needs >> 10, has >> 10);
}

static enum err gpu_open(const struct device_options *o, struct device **out, struct note *note)
{
    struct device *d = mem_new(sizeof *d);
    CHECK(o->first < o->end && o->end <= o->model->layers);
    CHECK(!o->has_output || (model_writes(o->model) && o->end == o->model->layers));
    d->o = *o;
    d->page_bytes = layer_cache_bytes(o->model) * gpu_attending(o->model, o->first, o->end);
    d->layer_bytes = layer_cache_bytes(o->model);
    enum err e = cuda_queue_new(o->index, &d->queue, note);
    if (e == ERR_OK) {
        d->stream = cuda_queue_stream(d->queue);
        e = check_heads(o->model, note);
    }
    if (e == ERR_OK)
        e = gpu_weights_load(d, note);
    if (e == ERR_OK)
        e = make_buffers(d, note);
    if (e == ERR_OK)
        e = gpu_states_open(d, note);
    if (e == ERR_OK)
        e = cuda_wait(d->queue, note);
    if (e != ERR_OK) {
        gpu_close(d);
        return e;
    }
    *out = d;
    return ERR_OK;
}

static void gpu_pin(struct device *d, void *p, uint64_t bytes)
{
    cuda_pin(d->queue, p, bytes);
}

static void gpu_unpin(struct device *d, void *p)
{
    cuda_unpin(d->queue, p);
}

static const struct device_table table = {
    .abi = DEVICE_ABI,
    .start = cuda_start,
    .describe = cuda_describe,
    .bytes = gpu_bytes,
    .page_bytes = gpu_page_bytes,
    .open = gpu_open,
    .close = gpu_close,
    .pin = gpu_pin,
    .unpin = gpu_unpin,
    .run = gpu_run,
};

const struct device_table *kith_device_table(void)
{
    return &table;
}
