/* A GGUF file (versions 2 and 3, little-endian), parsed over borrowed bytes: metadata keys and the
 * tensors' places. Nothing is copied but names; the mapping must outlive the view.
 *
 * The file comes from a stranger. What holds for every view that gguf_open returned:
 *   1. every pointer that it hands out lies within the file;
 *   2. keys and tensor names are unique, clean UTF-8 and at most GGUF_KEY_BYTES_MAX bytes long;
 *   3. a tensor's size follows from its type and dimensions without overflow, its data is aligned as
 *      the file says, and no two tensors overlap;
 *   4. floating-point metadata that stands alone is finite, a flag is 0 or 1.
 * Time and memory to open are bounded by the file's own size. */
#ifndef KITH_INFERENCE_GGUF_H
#define KITH_INFERENCE_GGUF_H

#include "base/bytes.h"
#include "base/limits.h"

/* Types of metadata values, as the file numbers them. */
enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_FLAG = 7,
    GGUF_TEXT = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12,
    GGUF_TYPE_COUNT = 13
};

/* Types of tensors, as the file numbers them: E(name, number, elements of a block, bytes of a block). */
#define GGUF_TENSOR_LIST(E)                                                                                            \
    E(F32, 0, 1, 4)                                                                                                    \
    E(F16, 1, 1, 2)                                                                                                    \
    E(Q4_0, 2, 32, 18)                                                                                                 \
    E(Q4_1, 3, 32, 20)                                                                                                 \
    E(Q5_0, 6, 32, 22)                                                                                                 \
    E(Q5_1, 7, 32, 24)                                                                                                 \
    E(Q8_0, 8, 32, 34)                                                                                                 \
    E(Q8_1, 9, 32, 36)                                                                                                 \
    E(Q2_K, 10, 256, 84)                                                                                               \
    E(Q3_K, 11, 256, 110)                                                                                              \
    E(Q4_K, 12, 256, 144)                                                                                              \
    E(Q5_K, 13, 256, 176)                                                                                              \
    E(Q6_K, 14, 256, 210)                                                                                              \
    E(Q8_K, 15, 256, 292)                                                                                              \
    E(IQ2_XXS, 16, 256, 66)                                                                                            \
    E(IQ2_XS, 17, 256, 74)                                                                                             \
    E(IQ3_XXS, 18, 256, 98)                                                                                            \
    E(IQ1_S, 19, 256, 50)                                                                                              \
    E(IQ4_NL, 20, 32, 18)                                                                                              \
    E(IQ3_S, 21, 256, 110)                                                                                             \
    E(IQ2_S, 22, 256, 82)                                                                                              \
    E(IQ4_XS, 23, 256, 136)                                                                                            \
    E(IQ1_M, 29, 256, 56)                                                                                              \
    E(BF16, 30, 1, 2)                                                                                                  \
    E(MXFP4, 39, 32, 17)

enum gguf_tensor_type {
#define E(name, number, elements, bytes) GGUF_TENSOR_##name = (number),
    GGUF_TENSOR_LIST(E)
#undef E
};

struct gguf_tensor {
    const char *name;             /* NUL-terminated, owned by the view */
    enum gguf_tensor_type type;   /* one of the list */
    uint32_t n_dims;              /* 1..GGUF_DIMS_MAX */
    uint64_t dims[GGUF_DIMS_MAX]; /* dims[0] runs fastest: a row's length; unused ones are 1 */
    uint64_t offset;              /* from the start of the data section */
    uint64_t size;                /* bytes */
    struct bytes data;            /* size bytes of the file; {NULL, 0} from gguf_open_head */
};

struct gguf_array {
    enum gguf_type type; /* of the elements; never GGUF_ARRAY */
    uint64_t count;
    struct bytes data;          /* the elements as the file holds them */
    const uint64_t *text_start; /* GGUF_TEXT: where in data each element's length stands, [count] */
};

struct gguf;

/* The whole file. */
enum err gguf_open(struct bytes file, struct gguf **out, struct note *note) MUST_USE;
/* For a vocabulary: the file may end behind the tensor infos, and tensors have no data. */
enum err gguf_open_head(struct bytes file, struct gguf **out, struct note *note) MUST_USE;
/* NULL is fine. */
void gguf_free(struct gguf *g);

/* False where the key is absent, or its value is not of the kind asked for or does not fit. Integers
 * of every width convert; f32 takes both float types and integers. */
bool gguf_find_u32(const struct gguf *g, const char *key, uint32_t *out) MUST_USE;
bool gguf_find_u64(const struct gguf *g, const char *key, uint64_t *out) MUST_USE;
bool gguf_find_f32(const struct gguf *g, const char *key, float *out) MUST_USE;
bool gguf_find_flag(const struct gguf *g, const char *key, bool *out) MUST_USE;
/* Borrowed from the file, any bytes. */
bool gguf_find_text(const struct gguf *g, const char *key, struct bytes *out) MUST_USE;
bool gguf_find_array(const struct gguf *g, const char *key, struct gguf_array *out) MUST_USE;
/* Present, with any type. */
bool gguf_has(const struct gguf *g, const char *key) MUST_USE;

/* The i-th key, in an order of its own; {NULL, 0} behind the last. */
struct bytes gguf_key(const struct gguf *g, size_t i);
/* The same with its type and value, as they stand in the file. */
struct bytes gguf_key_raw(const struct gguf *g, size_t i);

/* Element i < count of an array of texts, of F32, of any integer type (which must fit). */
struct bytes gguf_array_text(const struct gguf_array *a, uint64_t i);
float gguf_array_f32(const struct gguf_array *a, uint64_t i);
bool gguf_array_i64(const struct gguf_array *a, uint64_t i, int64_t *out) MUST_USE;

/* In the order of the file. */
size_t gguf_tensor_count(const struct gguf *g);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i);
/* NULL if absent. */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);
/* "Q8_0"; NULL for a number that is not in the list. */
const char *gguf_tensor_type_name(uint32_t type);
/* Where the data section starts in the file. */
uint64_t gguf_data_start(const struct gguf *g);

#endif
