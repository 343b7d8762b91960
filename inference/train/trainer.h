/* What a worker does that trains (the mode TRAINING of worker_proto.h): one model, and one training beside it at a
 * time. It is given data, perhaps a state or an adapter in parts, goes step by step, and says what each came to; asked
 * in between it gives its state, from which another goes on. */
#ifndef KITH_INFERENCE_TRAINER_H
#define KITH_INFERENCE_TRAINER_H

#include "inference/worker_proto.h"

struct trainer;
typedef uint64_t (*trainer_clock_fn)(void); /* steady microseconds */

/* `file`: the model's; a stranger's, and outlives the trainer. On success `opened` is appended. */
enum err trainer_open(const struct wire_open *open, struct bytes file, trainer_clock_fn clock, struct buf *out,
                      struct trainer **trainer, struct note *note) MUST_USE;
/* NULL is fine. */
void trainer_close(struct trainer *t);

/* Takes a message; answers are appended. ERR_PROTOCOL: it was malformed, and the worker had better end. */
enum err trainer_take(struct trainer *t, const struct wire_frame *frame, struct buf *out, struct note *note) MUST_USE;
/* There is a training that is not over. */
bool trainer_is_busy(const struct trainer *t);
/* One step of it, or one of its measures. */
void trainer_step(struct trainer *t, struct buf *out);

#endif
