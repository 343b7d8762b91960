/* What a worker finds on this machine, as one JSON object for `kith doctor`:
 *
 *     {"kernels":["ref","avx2"],"picked":"avx2","gpus":[{"name":..,"kind":..,"driver":..,"free_bytes":..,
 *      "total_bytes":..}],"gpu_why":"","sandbox":{"filter":true,"own_root":true,"own_net":true}}
 *
 * gpu_why: why no GPU can be used, where there is none in the list. */
#ifndef KITH_INFERENCE_DOCTOR_H
#define KITH_INFERENCE_DOCTOR_H

#include "base/bytes.h"

/* Shuts the process in on the way, as a worker does. */
void doctor_look(struct buf *json);

#endif
