/* What a worker does, without its socket: one model, and many jobs on it at once. Messages of worker_proto.h go in,
 * messages come out; between them `sched_step` evaluates one batch, into which every job puts its rows:
 *
 *     jobs that write     one row each
 *     jobs that read      prompts, and answers that are verified or known: as many rows as a step has time for, shared
 *
 * so that nobody who writes waits long for others' prompts, and jobs of one scope that begin alike read that beginning
 * once. Jobs beyond the slots, or beyond the memory, wait in the order in which they came. None of that shows in an
 * answer: it depends on its request alone.
 */
#ifndef KITH_INFERENCE_SCHED_H
#define KITH_INFERENCE_SCHED_H

#include "inference/engine/devices.h"
#include "inference/engine/far.h"
#include "inference/worker_proto.h"

#define SCHED_JOBS      16u   /* at once on a CPU: beyond it that writes no more tokens a second in all */
#define SCHED_BATCH     252u  /* rows: a strip of columns of the fastest kernels; prompts gain little beyond it */
#define SCHED_POSITIONS 8192u /* of a job that the cache of a device is laid out for, where there is room */

/* Pages of such a cache, for so many jobs of a context: one whole context at least. */
uint32_t sched_pages(uint32_t jobs, uint32_t context);

struct sched;

/* Steady microseconds, for the times in `done`; asked by any of the engine's threads. */
typedef uint64_t (*sched_clock_fn)(void);

/* The backend of the message takes devices where there are some: they are to be started first. Beside layers of other
 * machines none is used. */
bool sched_wants_devices(const struct wire_open *open);
struct sched_options {
    struct bytes file;             /* the model's, mapped (its pages may be let go); a stranger's, outlives it */
    int pack_fd;                   /* what `pack` of the message says, or -1 */
    const struct devices *devices; /* used as its `backend` says; NULL: none */
    sched_clock_fn clock;
    far_call_fn call; /* carries calls to its `hops`, where it names some */
    far_send_fn send; /* the same in two, or NULL */
    far_receive_fn receive;
    void *call_arg;
};
/* Parses the file and starts the engine. `threads` of the message must be given. On success `opened` is appended. */
enum err sched_open(const struct wire_open *open, const struct sched_options *options, struct buf *out,
                    struct sched **sched, struct note *note) MUST_USE;
void sched_close(struct sched *s);

/* Takes a message; answers are appended. ERR_PROTOCOL: it was malformed, and the worker had better end. */
enum err sched_take(struct sched *s, const struct wire_frame *frame, struct buf *out, struct note *note) MUST_USE;
/* There is something to evaluate. */
bool sched_is_busy(const struct sched *s);
void sched_step(struct sched *s, struct buf *out);

/* Work that nobody waits for, in pieces of about a millisecond: kept weights are compared with their hashes.
 * ERR_CORRUPT: they are not what they were, and the worker must end. While jobs wait most calls do nothing. */
bool sched_has_chores(const struct sched *s);
enum err sched_tend(struct sched *s, struct note *note) MUST_USE;

#endif
