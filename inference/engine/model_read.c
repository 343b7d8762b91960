/* Keys and tensors of a stranger's file, each checked before it is used. */
#include "inference/engine/model_read.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_fail(struct model_reader *r, enum err e, const char *what, uint64_t value, const char *why)
{
    if (r->e == ERR_OK)
        r->e = note_set(r->note, e, "%s = %" PRIu64 ": %s", what, value, why);
}

/* -- keys -- */

static const char *ask(struct model_reader *r, const char *key, char room[128])
{
    size_t i = 0;
    while (i < r->asked_n && strcmp(r->asked[i], key) != 0)
        i++;
    CHECK(i < MODEL_KEYS_MAX);
    if (i == r->asked_n)
        r->asked[r->asked_n++] = key;
    snprintf(room, 128, "%s.%s", r->m->architecture, key);
    return room;
}

bool model_has_key(struct model_reader *r, const char *key)
{
    char room[128];
    return gguf_has(r->file, ask(r, key, room));
}

/* A number, or as some files have it a list of one for each layer, all alike. */
static bool find_number(struct model_reader *r, const char *name, uint32_t *out)
{
    struct gguf_array list;
    int64_t first, other;
    if (!gguf_find_array(r->file, name, &list))
        return gguf_find_u32(r->file, name, out);
    if (list.count == 0 || list.count != r->m->layers + r->m->layers_ahead || !gguf_array_i64(&list, 0, &first))
        return false;
    for (uint64_t i = 1; i < list.count; i++)
        if (!gguf_array_i64(&list, i, &other) || other != first) {
            model_fail(r, ERR_UNSUPPORTED, name, i,
                       "in this layer it is another than in the first: they must be alike");
            return false;
        }
    *out = (uint32_t)first;
    return first >= 0 && first <= UINT32_MAX;
}

uint32_t model_number(struct model_reader *r, const char *key, uint32_t most, uint32_t otherwise)
{
    char room[128];
    uint32_t v = 0;
    ask(r, key, room);
    if (!gguf_has(r->file, room)) {
        if (otherwise == 0 && r->e == ERR_OK)
            r->e = note_set(r->note, ERR_FORMAT, "the file does not say %s", room);
        return otherwise;
    }
    if (!find_number(r, room, &v) || v == 0 || v > most)
        model_fail(r, ERR_RANGE, room, v, "not a number that a model can have");
    return v;
}

uint32_t model_number_or_none(struct model_reader *r, const char *key, uint32_t most)
{
    char room[128];
    uint32_t v = 0;
    ask(r, key, room);
    if (gguf_has(r->file, room) && (!find_number(r, room, &v) || v > most))
        model_fail(r, ERR_RANGE, room, v, "not a number that a model can have");
    return v;
}

double model_real(struct model_reader *r, const char *key, double least, double most, double otherwise)
{
    char room[128];
    float v;
    ask(r, key, room);
    if (!gguf_has(r->file, room))
        return otherwise;
    if (gguf_find_f32(r->file, room, &v) && (double)v >= least && (double)v <= most)
        return (double)v;
    if (r->e == ERR_OK)
        r->e = note_set(r->note, ERR_RANGE, "%s is out of range: from %g to %g", room, least, most);
    return otherwise;
}

bool model_text(struct model_reader *r, const char *key, struct bytes *out)
{
    char room[128];
    return gguf_find_text(r->file, ask(r, key, room), out);
}

bool model_flag(struct model_reader *r, const char *key, bool otherwise)
{
    char room[128];
    bool v = otherwise;
    ask(r, key, room);
    if (gguf_has(r->file, room) && !gguf_find_flag(r->file, room, &v) && r->e == ERR_OK)
        r->e = note_set(r->note, ERR_FORMAT, "%s is neither true nor false", room);
    return v;
}

bool model_has_list(struct model_reader *r, const char *key)
{
    char room[128];
    struct gguf_array list;
    return gguf_find_array(r->file, ask(r, key, room), &list);
}

uint32_t model_number_at(struct model_reader *r, const char *key, uint32_t i)
{
    struct gguf_array list;
    int64_t v = 0;
    char room[128];
    if (!gguf_find_array(r->file, ask(r, key, room), &list) || i >= list.count)
        return 0;
    if (!gguf_array_i64(&list, i, &v) || v < 0 || v > UINT32_MAX)
        model_fail(r, ERR_RANGE, room, i, "this element is not a number that a model can have");
    return (uint32_t)v;
}

bool model_flag_at(struct model_reader *r, const char *key, uint32_t i, uint32_t n)
{
    char room[128];
    struct gguf_array list = {.count = 0};
    ask(r, key, room);
    if (gguf_find_array(r->file, room, &list) && list.type == GGUF_FLAG && list.count == n && list.data.p[i] <= 1)
        return list.data.p[i];
    model_fail(r, ERR_FORMAT, room, list.count, "a list of this has a flag for each layer");
    return false;
}

/* Keys that say how a model came about, or that only matter together with one that is asked for, or with tensors of a
 * classifier or of state spaces, which are refused. */
static bool is_harmless(struct bytes key)
{
    static const char *const list[] = {"rope.scaling.finetuned",
                                       "rope.scaling.original_context_length",
                                       "attention.layer_norm_epsilon",
                                       "attention.layer_norm_rms_epsilon",
                                       "rope.dimension_count",
                                       "rope.freq_base",
                                       "classifier.output_labels",
                                       "tensor_data_layout",
                                       "ssm.conv_kernel",
                                       "ssm.state_size",
                                       "ssm.group_count",
                                       "ssm.inner_size",
                                       "ssm.time_step_rank"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (bytes_equal(key, bytes_of_text(list[i])))
            return true;
    return false;
}

/* 0, false and "none" ask for nothing. */
static bool asks_nothing(const struct gguf *file, const char *key)
{
    float number;
    bool flag;
    struct bytes text;
    if (gguf_find_f32(file, key, &number))
        return number == 0.0f;
    if (gguf_find_flag(file, key, &flag))
        return !flag;
    return gguf_find_text(file, key, &text) && (text.n == 0 || bytes_equal(text, bytes_of_text("none")));
}

void model_refuse_keys(struct model_reader *r)
{
    size_t prefix = strlen(r->m->architecture) + 1;
    struct bytes key;
    for (size_t i = 0; r->e == ERR_OK && (key = gguf_key(r->file, i)).p; i++) {
        if (key.n <= prefix || memcmp(key.p, r->m->architecture, prefix - 1) != 0 || key.p[prefix - 1] != '.')
            continue;
        struct bytes rest = bytes_of(key.p + prefix, key.n - prefix);
        bool known = is_harmless(rest);
        for (size_t j = 0; j < r->asked_n; j++)
            known = known || bytes_equal(rest, bytes_of_text(r->asked[j]));
        char name[GGUF_KEY_BYTES_MAX + 1];
        memcpy(name, key.p, key.n);
        name[key.n] = 0;
        if (!known && !asks_nothing(r->file, name))
            r->e = note_set(r->note, ERR_UNSUPPORTED,
                            "the file says %s, which this version does not know for %s: it might change the answer",
                            name, r->m->architecture);
    }
}

/* -- tensors -- */

bool model_has_tensor(const struct model_reader *r, const char *name)
{
    return gguf_find_tensor(r->file, name) != NULL;
}

static const struct gguf_tensor *find(struct model_reader *r, const char *name)
{
    if (r->e != ERR_OK)
        return NULL;
    const struct gguf_tensor *t = gguf_find_tensor(r->file, name);
    if (t)
        r->used[t - gguf_tensor(r->file, 0)] = true;
    else
        r->e = note_set(r->note, ERR_FORMAT, "the file has no tensor %s", name);
    return t;
}

static bool has_shape(struct model_reader *r, const struct gguf_tensor *t, uint64_t n, uint64_t rows, uint64_t count)
{
    if (t->dims[0] == n && t->dims[1] == rows && t->dims[2] == count && t->dims[3] == 1)
        return true;
    r->e = note_set(r->note, ERR_FORMAT,
                    "tensor %s is %" PRIu64 " x %" PRIu64 " x %" PRIu64 ", but the metadata asks for %" PRIu64
                    " x %" PRIu64 " x %" PRIu64,
                    t->name, t->dims[0], t->dims[1], t->dims[2], n, rows, count);
    return false;
}

/* A tensor of `count` matrices [rows, n] that the kernels can take. */
static const struct gguf_tensor *find_matrices(struct model_reader *r, const char *name, uint64_t n, uint64_t rows,
                                               uint64_t count)
{
    const struct gguf_tensor *t = find(r, name);
    if (!t || !has_shape(r, t, n, rows, count))
        return NULL;
    if (!quant_is_supported(t->type))
        r->e = note_set(r->note, ERR_UNSUPPORTED, "tensor %s has the format %s, which this version does not run",
                        t->name, gguf_tensor_type_name(t->type));
    else if (t->data.n != quant_row_bytes(t->type, (size_t)n) * rows * count)
        r->e = note_set(r->note, ERR_FORMAT, "tensor %s has %zu bytes, %" PRIu64 " are needed", t->name, t->data.n,
                        (uint64_t)quant_row_bytes(t->type, (size_t)n) * rows * count);
    r->m->has_grids |= r->e == ERR_OK && quant_is_grid(quant_format(t->type));
    return r->e == ERR_OK ? t : NULL;
}

/* What is packed was looked at then, and if the packed weights were kept, all the rest too. */
static bool is_finite(const struct model_reader *r, const struct gguf_tensor *t, const uint8_t *data, size_t n)
{
    return (r->pack && pack_is_checked(r->pack)) || quant_is_finite(t->type, data, n);
}

/* `packed`: of these rows, or NULL. */
static struct ops_weight rows_of(struct model_reader *r, const struct gguf_tensor *t, uint64_t n, uint64_t first,
                                 uint64_t rows, const uint8_t *packed)
{
    size_t row_bytes = quant_row_bytes(t->type, (size_t)n);
    r->m->parameters += n * rows;
    if (!packed && !is_finite(r, t, t->data.p + first * row_bytes, (size_t)(n * rows)) && r->e == ERR_OK)
        r->e = note_set(r->note, ERR_NUMERIC, "tensor %s holds a value that is not finite", t->name);
    return (struct ops_weight){.type = t->type,
                               .n = (size_t)n,
                               .rows = (size_t)rows,
                               .row_bytes = row_bytes,
                               .data = t->data.p + first * row_bytes,
                               .packed = packed};
}

static const uint8_t *packed_of(const struct model_reader *r, const struct gguf_tensor *t)
{
    return r->pack ? pack_find(r->pack, t) : NULL;
}

/* Where row `first` begins in a packed matrix; it has to begin a tile. */
static uint64_t packed_at(struct model_reader *r, const struct gguf_tensor *t, uint64_t n, uint64_t first)
{
    if (!quant_is_blocked(t->type))
        return 0;
    if (first % PACK_ROWS && r->e == ERR_OK)
        r->e =
            note_set(r->note, ERR_UNSUPPORTED,
                     "tensor %s has a part that begins at row %" PRIu64 ": in the format %s only multiples of %d run",
                     t->name, first, gguf_tensor_type_name(t->type), PACK_ROWS);
    return first / PACK_ROWS * pack_tile_bytes(quant_format(t->type), (size_t)n);
}

struct ops_weight model_matrix_part(struct model_reader *r, const char *name, uint64_t n, uint64_t all, uint64_t first,
                                    uint64_t rows)
{
    const struct gguf_tensor *t = find_matrices(r, name, n, all, 1);
    if (!t)
        return (struct ops_weight){0};
    const uint64_t at = packed_at(r, t, n, first);
    const uint8_t *packed = packed_of(r, t);
    return rows_of(r, t, n, first, rows, packed ? packed + at : NULL);
}

struct ops_weight model_matrix(struct model_reader *r, const char *name, uint64_t n, uint64_t rows)
{
    return model_matrix_part(r, name, n, rows, 0, rows);
}

void model_matrices_part(struct model_reader *r, const char *name, uint64_t n, uint64_t all, uint64_t first,
                         uint64_t rows, uint64_t count, void *to, size_t step)
{
    const struct gguf_tensor *t = find_matrices(r, name, n, all, count);
    const uint64_t at = t ? packed_at(r, t, n, first) : 0;
    const uint8_t *packed = t ? packed_of(r, t) : NULL;
    uint64_t step_packed = packed ? pack_matrix_bytes(quant_format(t->type), (size_t)n, all) : 0;
    for (uint64_t i = 0; t && i < count; i++) {
        struct ops_weight w = rows_of(r, t, n, i * all + first, rows, packed ? packed + i * step_packed + at : NULL);
        memcpy((uint8_t *)to + i * step, &w, sizeof w);
    }
}

void model_matrices(struct model_reader *r, const char *name, uint64_t n, uint64_t rows, uint64_t count, void *to,
                    size_t step)
{
    model_matrices_part(r, name, n, rows, 0, rows, count, to, step);
}

/* [n], which live as long as the model. */
static float *keep_floats(struct model *m, uint64_t n)
{
    float *copy = mem_array((size_t)n, sizeof *copy);
    m->vectors = mem_resize(m->vectors, m->vectors_n + 1, sizeof *m->vectors);
    m->vectors[m->vectors_n++] = copy;
    return copy;
}

struct ops_weight model_matrix_turned(struct model_reader *r, const char *name, uint64_t n, uint64_t all,
                                      uint64_t first, uint64_t rows)
{
    struct ops_weight w = model_matrix_part(r, name, n, all, first, rows);
    if (r->e != ERR_OK)
        return (struct ops_weight){0};
    float *turned = keep_floats(r->m, n * rows), *row = mem_array((size_t)n, sizeof *row);
    for (uint64_t i = 0; i < rows; i++) {
        quant_read_row(w.type, w.data + i * w.row_bytes, (size_t)n, row);
        for (uint64_t j = 0; j < n; j++)
            turned[j * rows + i] = row[j];
    }
    free(row);
    return (struct ops_weight){.type = GGUF_TENSOR_F32,
                               .n = (size_t)rows,
                               .rows = (size_t)n,
                               .row_bytes = (size_t)rows * sizeof(float),
                               .data = (const uint8_t *)turned};
}

const float *model_vectors(struct model_reader *r, const char *name, uint64_t n, uint64_t count)
{
    const struct gguf_tensor *t = find(r, name);
    if (!t || !has_shape(r, t, n, count, 1))
        return NULL;
    if (t->type != GGUF_TENSOR_F32) {
        r->e = note_set(r->note, ERR_UNSUPPORTED, "tensor %s is %s, only F32 runs here", t->name,
                        gguf_tensor_type_name(t->type));
        return NULL;
    }
    if (!is_finite(r, t, t->data.p, (size_t)(n * count))) {
        r->e = note_set(r->note, ERR_NUMERIC, "tensor %s holds a value that is not finite", t->name);
        return NULL;
    }
    float *copy = keep_floats(r->m, n * count);
    quant_read_row(t->type, t->data.p, (size_t)(n * count), copy);
    r->m->parameters += n * count;
    return copy;
}

const float *model_columns(struct model_reader *r, const char *name, uint64_t n, uint64_t count)
{
    const float *rows = model_vectors(r, name, n, count);
    float *columns = rows ? keep_floats(r->m, n * count) : NULL;
    for (uint64_t i = 0; columns && i < n * count; i++)
        columns[i % n * count + i / n] = rows[i];
    return columns;
}

const float *model_vector(struct model_reader *r, const char *name, uint64_t n)
{
    return model_vectors(r, name, n, 1);
}

const float *model_vector_times(struct model_reader *r, const char *name, uint64_t n, float by)
{
    const float *x = model_vector(r, name, n);
    float *out = x ? keep_floats(r->m, n) : NULL;
    for (uint64_t i = 0; out && i < n; i++)
        out[i] = x[i] * by;
    return out;
}

const float *model_same(struct model_reader *r, uint64_t n, float value)
{
    float *out = r->e == ERR_OK ? keep_floats(r->m, n) : NULL;
    for (uint64_t i = 0; out && i < n; i++)
        out[i] = value;
    return out;
}

void model_ignore_tensor(struct model_reader *r, const char *name)
{
    if (model_has_tensor(r, name))
        (void)find(r, name);
}

/* Of a layer behind those that are run. */
static bool is_ahead(const struct model *m, const char *name)
{
    unsigned layer;
    int end = 0;
    return m->layers_ahead && sscanf(name, "blk.%u.%n", &layer, &end) == 1 && end > 0 && layer >= m->layers &&
           layer < m->layers + m->layers_ahead;
}

/* A tensor that was not asked for (a bias, a norm, a feature of another family) would have changed the answer: better
 * refused than ignored. */
void model_refuse_tensors(struct model_reader *r)
{
    for (size_t i = 0; r->e == ERR_OK && i < gguf_tensor_count(r->file); i++)
        if (!r->used[i] && !is_ahead(r->m, gguf_tensor(r->file, i)->name))
            r->e = note_set(r->note, ERR_UNSUPPORTED,
                            "the file has a tensor %s, which this version does not know for %s: it might change the "
                            "answer",
                            gguf_tensor(r->file, i)->name, r->m->architecture);
}
