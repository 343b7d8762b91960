/* A worker of the command's own: kith-worker on one model file, without a daemon. Blocking; one question at a time. */
#ifndef KITH_CLI_LOCAL_H
#define KITH_CLI_LOCAL_H

#include "cli/cli.h"
#include "inference/worker_proto.h"

struct local;

/* A file, `default`, or the name of a model that came with Kith. Sets *path. */
enum err local_find_model(const char *model, struct buf *path, struct note *note) MUST_USE;
/* Starts the worker and waits until it has read the file. `how`: mode, backend, threads, batch. */
enum err local_open(const char *path, const struct wire_open *how, struct local **out, struct note *note) MUST_USE;
/* NULL is fine. Returns the most memory that the worker ever held, in bytes; 0 if unknown. */
uint64_t local_close(struct local *l);
const struct wire_opened *local_opened(const struct local *l);

/* Sends frames; the buffer is emptied. */
enum err local_send(struct local *l, struct buf *frames, struct note *note) MUST_USE;
/* Waits for the next message, borrowed until the next call. A `failed` is returned as its error. ERR_CLOSED: the worker
 * ended. ERR_CANCELLED, in vain: local_break was called, e.g. by a signal. */
enum err local_next(struct local *l, struct wire_frame *frame, struct note *note) MUST_USE;
/* Asks for the ids of a text and appends them. */
enum err local_tokenize(struct local *l, struct bytes text, enum wire_ends ends, struct buf *ids,
                        struct note *note) MUST_USE;
/* From a signal's handler, and before asking again. */
void local_break(bool is_broken);

#endif
