/* Where Kith's own parts lie, relative to the running program: in a build directory or installed. */
#ifndef KITH_BASE_LOCATE_H
#define KITH_BASE_LOCATE_H

#include "base/bytes.h"

/* The program kith-worker: $KITH_WORKER, else beside this program, else in ../libexec. Sets *path (cleared first). */
enum err locate_worker(struct buf *path, struct note *note) MUST_USE;
/* The program kithd, beside this one. Sets *path (cleared first). */
enum err locate_daemon(struct buf *path, struct note *note) MUST_USE;
/* What a worker is told of this process's environment: which GPUs to use (KITH_CUDA, CUDA_VISIBLE_DEVICES), and nothing
 * else. Points into it; NULL behind the last. */
#define LOCATE_ENVIRONMENT_MAX 3
void locate_environment(char *out[LOCATE_ENVIRONMENT_MAX]);
/* A model that came with Kith ("kith-guide.gguf"): in $KITH_MODELS, else in models/ of the source tree that this
 * program was built in, else in ../share/kith/models. */
enum err locate_model(const char *file, struct buf *path, struct note *note) MUST_USE;

#endif
