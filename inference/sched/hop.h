/* What a worker does that has some of a model's layers for another machine (the mode LAYERS of worker_proto.h): it
 * reads their weights, keeps their part of the cache, and answers calls (far.h) one by one. It sees no token, no text,
 * and no logits; but the stream is no cipher: who has the model can guess much of a text from it. */
#ifndef KITH_INFERENCE_HOP_H
#define KITH_INFERENCE_HOP_H

#include "inference/engine/devices.h"
#include "inference/worker_proto.h"

struct hop;

struct hop_options {
    struct bytes file; /* the model's; a stranger's, and outlives the hop */
    int pack_fd;       /* as in sched_options */
    const struct devices *devices;
};
/* `first` and `end` of the message are the layers. On success `opened` is appended: its `batch` is how many rows a call
 * may have, its `pages` how many numbers of pages. A GPU takes the layers where the backend allows it and one has the
 * room. */
enum err hop_open(const struct wire_open *open, const struct hop_options *options, struct buf *out, struct hop **hop,
                  struct note *note) MUST_USE;
/* NULL is fine. */
void hop_close(struct hop *h);

/* Takes a message; the answer is appended, a `failed` where the call was wrong or the device is lost. ERR_PROTOCOL: it
 * was malformed, and the worker had better end. */
enum err hop_take(struct hop *h, const struct wire_frame *frame, struct buf *out, struct note *note) MUST_USE;

#endif
