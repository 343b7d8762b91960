/* The packed weights of a model (pack.h) in memory of this process, or in a file that is kept for the next one, so that
 * a start need not make them again.
 *
 *     head    HEAD_BYTES: a record, its checksum, zeros
 *     table   a hash for each leaf of LEAF_BYTES of the weights, zeros up to whole pages
 *     weights pack_bytes
 *
 * What is checked, and when:
 *
 *   - when it is made: every weight is finite; the head comes last, and whoever started the worker syncs the file
 * before it gets the name under which it is found;
 *   - at a start: checksum of the head, version, root of the model, the file's size, the hash over the table of leaves;
 *   - while it is used: the weights, a leaf at a time, against the table (pack_file_check). It begins at a place drawn
 * by chance, so that processes that end early together come to every leaf.
 *
 * So a bit that went bad on the disk is found within about a second of rest, or a minute of work, for each GiB, and
 * then the worker ends, the file is removed, and the weights are packed anew from the model. */
#ifndef KITH_INFERENCE_PACK_FILE_H
#define KITH_INFERENCE_PACK_FILE_H

#include "base/hash.h"
#include "inference/kernels/pack.h"
#include "inference/engine/pool.h"
#include "inference/worker_proto.h"

struct pack_file;

struct pack_file_options {
    struct pack *pack; /* outlives it; gets its memory */
    const struct gguf *file;
    const struct hash *root;
    int fd; /* closed as soon as it is mapped; -1: none */
    enum wire_pack given;
    uint64_t memory_bytes; /* most that may be taken, 0: no limit */
    struct pool *pool;
};

/* Maps what is kept, or packs: into the file, or where that is not possible into memory of the process. Reading the
 * source goes tensor by tensor, and its pages are let go, so that at most one tensor is there twice. ERR_NUMERIC: a
 * weight is not finite. ERR_FULL: no memory. */
enum err pack_file_open(const struct pack_file_options *o, struct pack_file **out, struct note *note) MUST_USE;
/* Only room for them in the process' memory, of which nothing is taken before something is written: for a model that is
 * evaluated on devices, as long as they hold. ERR_FULL: not even that. */
enum err pack_file_reserve(const struct pack_file_options *o, struct pack_file **out, struct note *note) MUST_USE;
/* Looks at all weights of the file, those that are not packed, too (pack_is_checked). ERR_NUMERIC as above. */
enum err pack_file_look(struct pack_file *f, struct pool *pool, struct note *note) MUST_USE;
/* Packs what is not yet there: into what was reserved, or what the pack left out (pack_leave). */
enum err pack_file_fill(struct pack_file *f, struct pool *pool, struct note *note) MUST_USE;
void pack_file_close(struct pack_file *f);

/* What became of the file, and a line about it, mostly empty. */
enum wire_packed pack_file_state(const struct pack_file *f);
const char *pack_file_remark(const struct pack_file *f);

/* Compares the next leaf with its hash. ERR_CORRUPT: it is not what was packed, and no answer is to be trusted. *more:
 * there are leaves that were not compared yet. */
enum err pack_file_check(struct pack_file *f, bool *more, struct note *note) MUST_USE;

#endif
