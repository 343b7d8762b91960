/* Devices of this machine: whether there are any, and which layers of a model they get. */
#ifndef KITH_INFERENCE_DEVICES_H
#define KITH_INFERENCE_DEVICES_H

#include "inference/engine/device.h"

#include "base/bytes.h"
#include "inference/engine/model.h"

/* Beside the program, or in ../libexec or ../lib/kith of its folder; the variable names another one. */
#define DEVICES_OBJECT   "kith-cuda.so"
#define DEVICES_VARIABLE "KITH_CUDA"

struct devices {
    const struct device_table *table; /* NULL: there are none, */
    uint32_t n;
    struct note why; /* ... and why */
};
/* Whether there may be a GPU at all: a look at this machine's devices, without opening anything. False with `why`. */
bool devices_possible(struct devices *out);
/* Opens the shared object and starts the devices; for a process that will not be shut in before. Never fails: without
 * devices everything runs here. Nothing is given back: it is called once. */
void devices_start(struct devices *out);

/* Who gets which layers, in the order of the layers; `n` 0 with the reason in `why` if a model gets none. */
struct devices_plan {
    uint32_t n;
    struct device_options at[DEVICES_MAX];
    struct device_facts facts[DEVICES_MAX];
    uint32_t pages_max; /* of the cache that all of them have room for */
    struct note why;
};
/* `pages`: of the cache that are wanted, `pages_least` that are needed; batch_max as in engine_options. The last
 * layers and the output go to the first device that has the room, the layers before them to the next, and what fits on
 * none stays here. */
void devices_plan(const struct devices *d, const struct model *m, uint32_t batch_max, uint32_t pages,
                  uint32_t pages_least, struct devices_plan *out);

/* "32 of 32 layers on NVIDIA H200" */
void devices_say(const struct devices_plan *p, char *out, size_t room);

#endif
