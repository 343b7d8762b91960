/* States on a device: of each sequence in the batches one, by its number, and those of a batch that are kept, on their
 * way to this machine's memory. */
#include "inference/cuda/gpu.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

uint32_t gpu_carrying(const struct model *m, uint32_t first, uint32_t end)
{
    uint32_t n = 0;
    for (uint32_t i = first; i < end; i++)
        n += m->layer[i].recurrent != NULL;
    return n;
}

uint32_t gpu_attending(const struct model *m, uint32_t first, uint32_t end)
{
    uint32_t n = 0;
    for (uint32_t i = first; i < end; i++)
        n += m->layer[i].keys.heads > 0;
    return n;
}

/* Of all layers: what is kept is bounded by that. */
static uint32_t keeps_max(const struct device_options *o)
{
    const struct model *m = o->model;
    return device_keeps_max(m->layers_recurrent * gpu_state_floats(m) * sizeof(float), o->batch_max);
}

static uint64_t here_bytes(const struct device *d)
{
    return d->state_layers * gpu_state_floats(d->o.model) * sizeof(float);
}

static uint64_t slot_bytes(const struct device *d)
{
    return here_bytes(d) + (uint64_t)d->state_layers * GUESSES_MAX * gpu_guess_floats(d->o.model) * sizeof(float);
}

uint64_t gpu_stage_bytes(const struct device_options *o)
{
    return keeps_max(o) * gpu_carrying(o->model, o->first, o->end) * gpu_state_floats(o->model) * sizeof(float);
}

enum err gpu_states_open(struct device *d, struct note *note)
{
    const uint64_t bytes = gpu_stage_bytes(&d->o);
    d->state_layers = gpu_carrying(d->o.model, d->o.first, d->o.end);
    d->state_first = gpu_carrying(d->o.model, 0, d->o.first);
    if (!bytes)
        return ERR_OK;
    d->stage = cuda_alloc(d->queue, bytes);
    d->stage_host = cuda_alloc_host(d->queue, bytes);
    if (d->stage && d->stage_host)
        return ERR_OK;
    return note_set(note, ERR_FULL, "there is no room for %llu MiB of states, here or on the GPU",
                    (unsigned long long)(bytes >> 20) + 1);
}

void gpu_states_close(struct device *d)
{
    for (uint32_t i = 0; i < d->states; i++)
        cuda_free(d->queue, d->state[i]);
    free(d->state);
    cuda_free(d->queue, d->stage);
    cuda_free_host(d->queue, d->stage_host);
}

/* Memory for the state of a number, which stays. */
static enum err take(struct device *d, uint32_t number, struct note *note)
{
    while (d->states <= number) {
        d->state = mem_resize(d->state, d->states + 1, sizeof *d->state);
        d->state[d->states++] = NULL;
    }
    if (!d->state[number])
        d->state[number] = cuda_alloc(d->queue, slot_bytes(d));
    if (d->state[number])
        return ERR_OK;
    return note_set(note, ERR_FULL, "the GPU has no room for %llu MiB of a sequence's state",
                    (unsigned long long)(slot_bytes(d) >> 20) + 1);
}

/* Where this device's part of a state of all layers begins. */
static uint64_t part_at(const struct device *d)
{
    return d->state_first * gpu_state_floats(d->o.model);
}

enum err gpu_states_begin(struct device *d, const struct device_batch *b, struct note *note)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < b->chains && d->state_layers && e == ERR_OK; i++) {
        const struct device_chain *chain = &b->chain[i];
        CHECK(chain->guessed <= GUESSES_MAX && chain->right <= GUESSES_MAX && chain->rows > 0);
        e = take(d, chain->number, note);
        if (e != ERR_OK || !chain->begins)
            continue;
        if (chain->from)
            cuda_put(d->queue, d->state[chain->number], chain->from + part_at(d), here_bytes(d));
        else
            cuda_zero(d->queue, d->state[chain->number], here_bytes(d));
    }
    return e;
}

void gpu_states_put(const struct device *d, const struct device_batch *b, struct cuda_chain *chain, uint32_t *whose,
                    uint32_t *place, uint32_t *keep)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->chains; i++) {
        const struct device_chain *from = &b->chain[i];
        chain[i] = (struct cuda_chain){.state = d->state_layers ? d->state[from->number] : NULL,
                                       .first = from->first,
                                       .rows = from->rows,
                                       .guessed = from->guessed,
                                       .right = from->right};
        for (uint32_t k = 0; k < from->rows; k++) {
            whose[b->chain_row[from->first + k]] = i;
            place[b->chain_row[from->first + k]] = k;
        }
    }
    for (uint32_t c = 0; c < b->n && b->chains; c++)
        keep[c] = b->state_kept[c] ? kept++ : CUDA_NOT_KEPT;
    CHECK(kept <= keeps_max(&d->o));
}

static uint32_t kept_n(const struct device_batch *b)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < b->n && b->chains; c++)
        n += b->state_kept[c] != NULL;
    return n;
}

void gpu_states_get(struct device *d, const struct device_batch *b)
{
    const uint64_t bytes = kept_n(b) * here_bytes(d);
    if (bytes)
        cuda_get(d->queue, d->stage_host, d->stage, bytes);
}

void gpu_states_give(const struct device *d, const struct device_batch *b)
{
    const uint64_t each = here_bytes(d);
    const float *from = d->stage_host;
    for (uint32_t c = 0; c < b->n && b->chains && each; c++)
        if (b->state_kept[c]) {
            memcpy(b->state_kept[c] + part_at(d), from, each);
            from += each / sizeof *from;
        }
}
