/* Layers that another machine evaluates. To the engine they are a device (device.h) whose calls go out as bytes and
 * come back as bytes; on the other machine the same bytes drive a device that has the layers.
 *
 *     engine -> far_device -> call ........ far_serve -> layers_device, or a GPU
 *                          <- answer ......
 *
 *     call   = u32 rows, u32 pages, u32 pages_most, u32 number_end, u32 taps, u8 angle sets (0 to 2),
 *              position[rows], table[rows], page[pages], (row, layer)[taps] u32,
 *              angles[sets][rows, 2, rope_pairs], x[rows, embed] binary32
 *     answer = u8 finite[rows], x[rows, embed] binary32, tap[taps, embed] binary32; of a row that is not finite zeros
 *
 * all little-endian; the words are device.h's. The layers are never a model's last, so that only the stream leaves: a
 * row of it is much shorter than a row of logits, and which token is chosen is decided where the request is. Pure: who
 * carries the bytes is elsewhere, and neither side trusts what comes. */
#ifndef KITH_INFERENCE_FAR_H
#define KITH_INFERENCE_FAR_H

#include "inference/engine/engine.h"

/* Carries a call to hop `hop`, and waits for its answer. Whatever it returns but ERR_OK loses the device. */
typedef enum err (*far_call_fn)(void *arg, uint32_t hop, struct bytes call, struct buf *answer, struct note *note);

/* The same in two, for whoever has something else to do meanwhile: at most one call of all hops is on its way. */
typedef enum err (*far_send_fn)(void *arg, uint32_t hop, struct bytes call, struct note *note);
typedef enum err (*far_receive_fn)(void *arg, uint32_t hop, struct buf *answer, struct note *note);

struct far_options {
    const struct model *model; /* outlives the device */
    uint32_t hop;
    uint32_t first, end; /* first < end < the model's layers */
    far_call_fn call;
    far_send_fn send; /* with `receive`; both NULL: calls are waited for */
    far_receive_fn receive;
    void *arg;
};
/* `device_take` of the result belongs to whoever takes it. */
struct engine_device far_device(const struct far_options *o);

#define FAR_TAPS_MAX 128u /* of a call: rows that are wanted as they leave a layer */

/* Rows of a call whose bytes, and whose answer's, stay under FAR_CALL_MAX; 0: not even one row's do. */
uint32_t far_rows_max(const struct model *m, uint32_t context);

/* The other end. */
struct far_bounds {
    const struct model *model;
    uint32_t rows_max;
    uint32_t context;     /* positions of a sequence at most */
    uint32_t numbers_max; /* pages of the cache */
};
/* Evaluates a call by a device that has the layers. ERR_PROTOCOL: it is malformed, asks for more than the bounds, or
 * has more than one right answer (two rows at one place of a page); what the device says otherwise. */
enum err far_serve(const struct far_bounds *bounds, const struct engine_device *device, struct bytes call,
                   struct buf *answer, struct note *note) MUST_USE;

#endif
