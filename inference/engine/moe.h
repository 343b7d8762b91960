/* Which experts a position goes to: for the engine, and for training, which reads the same routers. */
#ifndef KITH_INFERENCE_MOE_H
#define KITH_INFERENCE_MOE_H

#include "inference/engine/model.h"

/* chosen[experts_used], best first, by the values by[experts], from the best groups where there are some. `liking`
 * [experts] is scratch, and may be `by`. Finite values. */
void moe_pick(const struct model *m, const float *by, float *liking, uint32_t *chosen);

#endif
