/* Some of a model's layers as a device (device.h) that is this machine's processor. With it the layers of one model can
 * be cut at any place: the first and the last may be evaluated here while others are evaluated elsewhere (far.h). */
#ifndef KITH_INFERENCE_LAYERS_H
#define KITH_INFERENCE_LAYERS_H

#include "inference/engine/engine.h"

struct layers_options {
    const struct model *model; /* one that writes; outlives the device */
    const struct ops *ops;
    struct pool *pool; /* outlives it, too; nobody else uses it during a run; NULL: its own, of `threads` */
    unsigned threads;
    uint32_t batch_max;  /* rows of a call */
    uint32_t first, end; /* first < end; if end is the model's last layer, the output norm and product belong to it */
};
/* Whether layers of a model may be evaluated apart: not an encoder's, nor where any carries a state. */
enum err layers_check(const struct model *m, struct note *note) MUST_USE;
/* Never fails, for a model that passes. `device_take` of the result belongs to whoever takes it: an engine, or
 * `table->close`. Its `open` and what is asked before that are not there. */
struct engine_device layers_device(const struct layers_options *o);

/* What it takes: for the work, and of the cache for a page of ARITH_CHUNK positions. */
uint64_t layers_bytes(const struct device *d);
uint64_t layers_page_bytes(const struct model *m, uint32_t first, uint32_t end);

#endif
