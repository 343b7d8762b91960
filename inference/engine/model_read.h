/* Reading a model out of a GGUF file, believing nothing: what the parts of model_open share. The first failure stays;
 * after it every call returns at once, so that callers check once. */
#ifndef KITH_INFERENCE_MODEL_READ_H
#define KITH_INFERENCE_MODEL_READ_H

#include "inference/engine/model.h"

#define MODEL_KEYS_MAX 96 /* keys of an architecture that are asked for */

struct model_reader {
    const struct gguf *file;
    const struct pack *pack; /* or NULL */
    struct model *m;
    struct note *note;
    enum err e;
    const char *asked[MODEL_KEYS_MAX]; /* keys, without the architecture's name */
    size_t asked_n;
    bool *used; /* [tensors of the file] */
};

void model_fail(struct model_reader *r, enum err e, const char *what, uint64_t value, const char *why);

/* Keys are named without the architecture: "block_count". All remember that the key was asked for. */
bool model_has_key(struct model_reader *r, const char *key);
/* Within [1, most]; `otherwise` where it is absent, 0 meaning that it must be there. */
uint32_t model_number(struct model_reader *r, const char *key, uint32_t most, uint32_t otherwise);
/* 0 where it is absent. */
uint32_t model_number_or_none(struct model_reader *r, const char *key, uint32_t most);
/* Within [least, most], or `otherwise` where it is absent. */
double model_real(struct model_reader *r, const char *key, double least, double most, double otherwise);
bool model_text(struct model_reader *r, const char *key, struct bytes *out);
bool model_flag(struct model_reader *r, const char *key, bool otherwise);
/* Whether the key is there as a list; element i of one, 0 where it has not so many; of one that has to be of n flags.
 */
bool model_has_list(struct model_reader *r, const char *key);
uint32_t model_number_at(struct model_reader *r, const char *key, uint32_t i);
bool model_flag_at(struct model_reader *r, const char *key, uint32_t i, uint32_t n);
/* Refuses a file with a key of the architecture that nobody asked for and that asks for something. */
void model_refuse_keys(struct model_reader *r);

/* Tensors: [rows, n]; [n] of binary32; rows [first, first + rows) of a tensor that has `all`. `what` is the name
 * without
 * ".weight". */
bool model_has_tensor(const struct model_reader *r, const char *name);
struct ops_weight model_matrix(struct model_reader *r, const char *name, uint64_t n, uint64_t rows);
struct ops_weight model_matrix_part(struct model_reader *r, const char *name, uint64_t n, uint64_t all, uint64_t first,
                                    uint64_t rows);
/* Rows [first, first + rows) of a tensor with `all` the other way round: [n, rows] of binary32, a copy. */
struct ops_weight model_matrix_turned(struct model_reader *r, const char *name, uint64_t n, uint64_t all,
                                      uint64_t first, uint64_t rows);
/* count matrices [rows, n] that stand one behind the other in a tensor [count, rows, n]: the i-th goes to
 * *(struct ops_weight *)(to + i * step). */
void model_matrices(struct model_reader *r, const char *name, uint64_t n, uint64_t rows, uint64_t count, void *to,
                    size_t step);
/* Of count matrices [all, n] rows [first, first + rows) of each. */
void model_matrices_part(struct model_reader *r, const char *name, uint64_t n, uint64_t all, uint64_t first,
                         uint64_t rows, uint64_t count, void *to, size_t step);
const float *model_vector(struct model_reader *r, const char *name, uint64_t n);
/* [count, n] */
const float *model_vectors(struct model_reader *r, const char *name, uint64_t n, uint64_t count);
/* A tensor [count, n] turned: [n, count]. */
const float *model_columns(struct model_reader *r, const char *name, uint64_t n, uint64_t count);
/* [n] of one value, where an architecture has none of what it is computed with. */
const float *model_same(struct model_reader *r, uint64_t n, float value);
/* Each element of a vector multiplied: [n]. */
const float *model_vector_times(struct model_reader *r, const char *name, uint64_t n, float by);
/* Files have it in some layers where it is not used. */
void model_ignore_tensor(struct model_reader *r, const char *name);
/* Refuses a file with a tensor that nobody asked for. */
void model_refuse_tensors(struct model_reader *r);

/* The parts. */
void model_read_rope(struct model_reader *r);
/* What says which layers are recurrent, and how long their parts are; the lists have an element for each layer. */
void model_read_recurrence(struct model_reader *r);
bool model_is_recurrent(struct model_reader *r, uint32_t layer);
void model_read_tensors(struct model_reader *r);

#endif
