/* What becomes of a base and its adapters: a list of tensors, each one that stands in the base, or half of a pair that
 * is put together from what base and adapters have of it. */
#include "inference/adapt.h"

#include "base/codec.h"
#include "base/mem.h"
#include "inference/gguf_put.h"
#include "inference/kernels/quant.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOWN ".lora_a"
#define UP   ".lora_b"

/* What one file adds to one matrix. */
struct part {
    const struct gguf_tensor *down, *up;
    uint32_t rank;
    float factor; /* of up */
};

struct pair {
    const struct gguf_tensor *matrix;
    struct part *parts; /* [parts_n], of the base first, then in the order of the adapters */
    size_t parts_n;
    uint32_t rank; /* of all */
};

enum place_kind { PLACE_BASE, PLACE_DOWN, PLACE_UP };

struct place {
    enum place_kind kind;
    const struct gguf_tensor *tensor; /* of the base */
    const struct pair *pair;          /* else */
    uint64_t offset, size;
};

struct adapt {
    struct gguf *base, **adapter; /* adapter[adapters_n] */
    size_t adapters_n;
    struct pair *pairs; /* [matrices of the base] in its order; those without parts are none */
    size_t pairs_n;
    struct place *places;
    size_t places_n;
    uint64_t alignment, data_bytes;
    struct buf head;
    size_t next; /* piece: the head, then for each place its bytes, then what fills up to the next */
    struct buf made;
};

/* -- names -- */

/* "NAME" of "NAME.lora_a"; false where it ends otherwise. */
static bool matrix_of(const char *name, char out[GGUF_KEY_BYTES_MAX + 1], bool *is_down)
{
    size_t n = strlen(name), end = strlen(DOWN);
    if (n <= end || n > GGUF_KEY_BYTES_MAX)
        return false;
    *is_down = strcmp(name + n - end, DOWN) == 0;
    if (!*is_down && strcmp(name + n - end, UP) != 0)
        return false;
    memcpy(out, name, n - end);
    out[n - end] = 0;
    return true;
}

static const struct gguf_tensor *half_of(const struct gguf *g, const char *matrix, const char *end)
{
    char name[GGUF_KEY_BYTES_MAX + 16];
    snprintf(name, sizeof name, "%s%s", matrix, end);
    return gguf_find_tensor(g, name);
}

/* Half of a pair is nothing that has one. */
static struct pair *pair_of(struct adapt *a, const char *matrix)
{
    char ignored[GGUF_KEY_BYTES_MAX + 1];
    bool is_down;
    const struct gguf_tensor *t = matrix_of(matrix, ignored, &is_down) ? NULL : gguf_find_tensor(a->base, matrix);
    return t ? &a->pairs[t - gguf_tensor(a->base, 0)] : NULL;
}

/* -- reading pairs -- */

static bool is_float(const struct gguf_tensor *t)
{
    return t->type == GGUF_TENSOR_F32 || t->type == GGUF_TENSOR_F16 || t->type == GGUF_TENSOR_BF16;
}

static enum err shapes_fit(const char *file, const struct gguf_tensor *matrix, const struct gguf_tensor *down,
                           const struct gguf_tensor *up, struct note *note)
{
    if (matrix->dims[2] != 1 || matrix->dims[3] != 1 || matrix->n_dims < 2)
        return note_set(note, ERR_UNSUPPORTED,
                        "%.100s: %s cannot have an addition: in the base it is no matrix, but a vector or several "
                        "matrices, as experts are",
                        file, matrix->name);
    if (down->dims[0] != matrix->dims[0] || up->dims[1] != matrix->dims[1] || down->dims[1] != up->dims[0] ||
        down->dims[2] != 1 || up->dims[2] != 1 || down->dims[3] != 1 || up->dims[3] != 1)
        return note_set(note, ERR_FORMAT,
                        "%.100s: %s is %" PRIu64 " x %" PRIu64 " in the base, its pair %" PRIu64 " x %" PRIu64
                        " and %" PRIu64 " x %" PRIu64 ": is it an adapter of another model?",
                        file, matrix->name, matrix->dims[0], matrix->dims[1], down->dims[0], down->dims[1], up->dims[0],
                        up->dims[1]);
    if (!is_float(down) || !is_float(up))
        return note_set(note, ERR_UNSUPPORTED, "%.100s: %s has a pair in %s and %s: F32, F16 and BF16 are read", file,
                        matrix->name, gguf_tensor_type_name(down->type), gguf_tensor_type_name(up->type));
    if (!quant_is_finite(down->type, down->data.p, (size_t)(down->dims[0] * down->dims[1])) ||
        !quant_is_finite(up->type, up->data.p, (size_t)(up->dims[0] * up->dims[1])))
        return note_set(note, ERR_NUMERIC, "%.100s: what it adds to %s holds a value that is not finite", file,
                        matrix->name);
    return ERR_OK;
}

/* What a file adds to the matrix that `half` stands beside. */
static enum err take_part(struct adapt *a, const char *file, const struct gguf *g, const struct gguf_tensor *half,
                          float alpha, float weight, struct note *note)
{
    char matrix[GGUF_KEY_BYTES_MAX + 1];
    bool is_down;
    if (!matrix_of(half->name, matrix, &is_down))
        return note_set(note, ERR_UNSUPPORTED,
                        "%.100s: the tensor %s is no half of a pair (its name ends neither in " DOWN " nor in " UP ")",
                        file, half->name);
    const struct gguf_tensor *other = half_of(g, matrix, is_down ? UP : DOWN);
    if (!other)
        return note_set(note, ERR_FORMAT, "%.100s: %s has no %s beside it", file, half->name, is_down ? UP : DOWN);
    struct pair *p = pair_of(a, matrix);
    if (!p)
        return note_set(note, ERR_NOT_FOUND, "%.100s: it adds to %s, which the base does not have", file, matrix);
    if (!is_down)
        return ERR_OK; /* taken with its other half */
    enum err e = shapes_fit(file, p->matrix, half, other, note);
    if (e != ERR_OK)
        return e;
    if (half->dims[1] > LOW_RANK_MAX - p->rank)
        return note_set(note, ERR_LIMIT,
                        "%.100s: with its rank of %" PRIu64 " the additions to %s have more than %u together", file,
                        half->dims[1], matrix, LOW_RANK_MAX);
    p->parts = mem_resize(p->parts, p->parts_n + 1, sizeof *p->parts);
    struct part *part = &p->parts[p->parts_n++];
    *part = (struct part){.down = half, .up = other, .rank = (uint32_t)half->dims[1], .factor = weight};
    if (alpha != 0.0f)
        part->factor = (alpha / (float)(int32_t)part->rank) * weight;
    if (!isfinite(part->factor))
        return note_set(note, ERR_RANGE, "%.100s: its alpha times its weight is over what a number can be", file);
    p->rank += part->rank;
    return ERR_OK;
}

/* -- reading files -- */

static enum err expect_text(const char *file, const struct gguf *g, const char *key, struct bytes wanted,
                            struct note *note)
{
    struct bytes text = {0};
    if (!gguf_find_text(g, key, &text))
        return note_set(note, ERR_FORMAT, "%.100s is no adapter: it does not say its %s", file, key);
    if (!bytes_equal(text, wanted))
        return note_set(note, ERR_UNSUPPORTED, "%.100s: its %s is \"%.*s\", not \"%.*s\"", file, key,
                        text.n < 40 && text_is_clean((const char *)text.p, text.n) ? (int)text.n : 0,
                        (const char *)text.p, wanted.n < 40 ? (int)wanted.n : 40, (const char *)wanted.p);
    return ERR_OK;
}

static enum err name_file(const char *file, enum err e, struct note *note)
{
    struct note said = *note;
    return e == ERR_OK ? e : note_set(note, e, "%.100s: %s", file, said.text);
}

static enum err read_base(struct adapt *a, const struct adapt_file *f, struct bytes *architecture, struct note *note)
{
    struct bytes type;
    enum err e = name_file(f->name, gguf_open(f->bytes, &a->base, note), note);
    if (e != ERR_OK)
        return e;
    if (!gguf_find_text(a->base, "general.architecture", architecture))
        return note_set(note, ERR_FORMAT, "%.100s is no model: it does not say its architecture", f->name);
    if (gguf_find_text(a->base, "general.type", &type) && bytes_equal(type, bytes_of_text("adapter")))
        return note_set(note, ERR_UNSUPPORTED, "%.100s is an adapter, no model: the base comes first", f->name);
    a->pairs_n = gguf_tensor_count(a->base);
    a->pairs = mem_array(a->pairs_n, sizeof *a->pairs);
    for (size_t i = 0; i < a->pairs_n; i++)
        a->pairs[i].matrix = gguf_tensor(a->base, i);
    char matrix[GGUF_KEY_BYTES_MAX + 1];
    bool is_down;
    for (size_t i = 0; e == ERR_OK && i < a->pairs_n; i++)
        if (matrix_of(gguf_tensor(a->base, i)->name, matrix, &is_down))
            e = take_part(a, f->name, a->base, gguf_tensor(a->base, i), 0, 1, note);
    return e;
}

static const char trained_beside[] = "kith.train.base", made_of[] = "kith.adapted.base",
                  first_of_all[] = "kith.adapted.first";

/* The base is this file, or what it was made of: joining in steps is joining at once. */
static bool is_made_of(const struct adapt *a, const struct adapt_file *base, const struct hash *wanted)
{
    struct hash before;
    return hash_equal(wanted, &base->root) ||
           (gguf_find_hash(a->base, made_of, &before) && hash_equal(wanted, &before)) ||
           (gguf_find_hash(a->base, first_of_all, &before) && hash_equal(wanted, &before));
}

static enum err expect_base(const struct adapt *a, const struct adapt_file *base, const struct adapt_file *f,
                            const struct gguf *g, struct note *note)
{
    struct hash wanted;
    char digits[2][2 * HASH_SIZE + 1];
    if (f->is_of_any || !gguf_has(g, trained_beside))
        return ERR_OK;
    if (!gguf_find_hash(g, trained_beside, &wanted))
        return note_set(note, ERR_FORMAT, "%.100s: its %s is no root of a file", f->name, trained_beside);
    if (is_made_of(a, base, &wanted))
        return ERR_OK;
    hex_put(digits[0], wanted.b, HASH_SIZE);
    hex_put(digits[1], base->root.b, HASH_SIZE);
    return note_set(note, ERR_MISMATCH,
                    "%.40s was trained beside the model %s, and %.40s is %s: join it to that model, or give --any-base "
                    "if this is it in another format",
                    f->name, digits[0], base->name, digits[1]);
}

static enum err read_adapter(struct adapt *a, const struct adapt_file *base, const struct adapt_file *f,
                             struct bytes architecture, struct note *note)
{
    struct gguf **g = &a->adapter[a->adapters_n];
    float alpha = 0;
    enum err e = name_file(f->name, gguf_open(f->bytes, g, note), note);
    if (e != ERR_OK)
        return e;
    a->adapters_n++;
    e = expect_text(f->name, *g, "general.type", bytes_of_text("adapter"), note);
    if (e == ERR_OK)
        e = expect_text(f->name, *g, "adapter.type", bytes_of_text("lora"), note);
    if (e == ERR_OK)
        e = expect_text(f->name, *g, "general.architecture", architecture, note);
    if (e == ERR_OK)
        e = expect_base(a, base, f, *g, note);
    if (e != ERR_OK)
        return e;
    if (gguf_has(*g, "adapter.alora.invocation_tokens"))
        return note_set(note, ERR_UNSUPPORTED, "%.100s works from certain tokens on only: such adapters are not run",
                        f->name);
    if (gguf_has(*g, "adapter.lora.alpha") && !gguf_find_f32(*g, "adapter.lora.alpha", &alpha))
        return note_set(note, ERR_FORMAT, "%.100s: adapter.lora.alpha is no number", f->name);
    if (!isfinite(f->weight) || f->weight == 0.0f)
        return note_set(note, ERR_RANGE, "%.100s: a weight of an adapter is finite and not 0", f->name);
    if (gguf_tensor_count(*g) == 0)
        return note_set(note, ERR_FORMAT, "%.100s adds nothing: it has no tensors", f->name);
    for (size_t i = 0; e == ERR_OK && i < gguf_tensor_count(*g); i++)
        e = take_part(a, f->name, *g, gguf_tensor(*g, i), alpha, f->weight, note);
    return e;
}

/* -- the file that is made -- */

static void add_place(struct adapt *a, struct place p)
{
    p.offset = a->data_bytes;
    a->places[a->places_n++] = p;
    a->data_bytes = (p.offset + p.size + a->alignment - 1) / a->alignment * a->alignment;
}

/* Tensors of the base in its order, but halves of pairs; then these. */
static enum err place_all(struct adapt *a, struct note *note)
{
    char matrix[GGUF_KEY_BYTES_MAX + 1];
    bool is_down;
    a->places = mem_array(3 * a->pairs_n, sizeof *a->places);
    for (size_t i = 0; i < a->pairs_n; i++) {
        const struct gguf_tensor *t = gguf_tensor(a->base, i);
        if (!matrix_of(t->name, matrix, &is_down))
            add_place(a, (struct place){.kind = PLACE_BASE, .tensor = t, .size = t->size});
    }
    for (size_t i = 0; i < a->pairs_n; i++) {
        const struct pair *p = &a->pairs[i];
        if (!p->parts_n)
            continue;
        add_place(a, (struct place){.kind = PLACE_DOWN, .pair = p, .size = 4 * p->matrix->dims[0] * p->rank});
        add_place(a, (struct place){.kind = PLACE_UP, .pair = p, .size = 4 * p->matrix->dims[1] * p->rank});
    }
    if (a->places_n > TENSORS_MAX)
        return note_set(note, ERR_LIMIT, "it would have %zu tensors: at most %u are read", a->places_n, TENSORS_MAX);
    return ERR_OK;
}

static const char own[] = "kith.adapted.";

static void put_keys(const struct adapt *a, const struct adapt_file *base, const struct adapt_file *adapters,
                     struct gguf_writer *w)
{
    struct bytes key;
    for (size_t i = 0; (key = gguf_key(a->base, i)).p; i++) {
        if (key.n >= strlen(own) && memcmp(key.p, own, strlen(own)) == 0)
            continue; /* of the base's own making, which its root stands for */
        struct bytes raw = gguf_key_raw(a->base, i);
        buf_add(&w->keys, raw.p, raw.n);
        w->keys_n++;
    }
    struct hash first;
    gguf_writer_hash(w, made_of, &base->root);
    if (gguf_find_hash(a->base, first_of_all, &first) || gguf_find_hash(a->base, made_of, &first))
        gguf_writer_hash(w, first_of_all, &first);
    gguf_writer_list(w, "kith.adapted.adapters", GGUF_TEXT, a->adapters_n);
    for (size_t i = 0; i < a->adapters_n; i++)
        gguf_put_hash(&w->keys, &adapters[i].root);
    gguf_writer_list(w, "kith.adapted.weights", GGUF_F32, a->adapters_n);
    for (size_t i = 0; i < a->adapters_n; i++)
        gguf_put_f32(&w->keys, adapters[i].weight);
}

static void put_info(const struct place *p, struct gguf_writer *w)
{
    char name[GGUF_KEY_BYTES_MAX + 16];
    const struct gguf_tensor *t = p->kind == PLACE_BASE ? p->tensor : p->pair->matrix;
    const uint64_t down[2] = {t->dims[0], p->pair ? p->pair->rank : 0}, up[2] = {down[1], t->dims[1]};
    snprintf(name, sizeof name, "%s%s", t->name, p->kind == PLACE_BASE ? "" : p->kind == PLACE_DOWN ? DOWN : UP);
    if (p->kind == PLACE_BASE)
        gguf_writer_tensor(w, name, t->dims, t->n_dims, t->type, p->offset);
    else
        gguf_writer_tensor(w, name, p->kind == PLACE_DOWN ? down : up, 2, GGUF_TENSOR_F32, p->offset);
}

static void put_head(struct adapt *a, const struct adapt_file *base, const struct adapt_file *adapters)
{
    struct gguf_writer w = {.keys_n = 0};
    put_keys(a, base, adapters, &w);
    for (size_t i = 0; i < a->places_n; i++)
        put_info(&a->places[i], &w);
    gguf_writer_head(&w, a->alignment, &a->head);
    gguf_writer_clear(&w);
}

enum err adapt_new(const struct adapt_file *base, const struct adapt_file *adapters, size_t n, struct adapt **out,
                   struct note *note)
{
    struct adapt *a = mem_new(sizeof *a);
    struct bytes architecture = {0};
    CHECK(n >= 1 && n <= ADAPTERS_MAX);
    a->adapter = mem_array(n, sizeof(struct gguf *));
    enum err e = read_base(a, base, &architecture, note);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = read_adapter(a, base, &adapters[i], architecture, note);
    if (e == ERR_OK) {
        a->alignment = 32; /* where the file says none; gguf_open found it in order */
        if (gguf_has(a->base, "general.alignment"))
            CHECK(gguf_find_u64(a->base, "general.alignment", &a->alignment));
        e = place_all(a, note);
    }
    if (e != ERR_OK) {
        adapt_free(a);
        return e;
    }
    put_head(a, base, adapters);
    *out = a;
    return ERR_OK;
}

void adapt_free(struct adapt *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->pairs_n; i++)
        free(a->pairs[i].parts);
    for (size_t i = 0; i < a->adapters_n; i++)
        gguf_free(a->adapter[i]);
    gguf_free(a->base);
    free(a->adapter);
    free(a->pairs);
    free(a->places);
    buf_clear(&a->head);
    buf_clear(&a->made);
    free(a);
}

struct adapt_facts adapt_facts(const struct adapt *a)
{
    struct adapt_facts f = {.bytes = a->head.n + a->data_bytes};
    for (size_t i = 0; i < a->pairs_n; i++) {
        f.matrices += a->pairs[i].parts_n > 0;
        f.rank = a->pairs[i].rank > f.rank ? a->pairs[i].rank : f.rank;
    }
    return f;
}

/* -- pieces -- */

static void add_row(struct buf *out, const struct gguf_tensor *t, size_t n, size_t row, float factor, float *room)
{
    quant_read_row(t->type, t->data.p + row * quant_row_bytes(t->type, n), n, room);
    for (size_t i = 0; i < n; i++)
        gguf_put_f32(out, room[i] * factor);
}

static void make_down(const struct pair *p, struct buf *out)
{
    const size_t n = (size_t)p->matrix->dims[0];
    float *room = mem_array(n, sizeof *room);
    for (size_t i = 0; i < p->parts_n; i++)
        for (size_t r = 0; r < p->parts[i].rank; r++)
            add_row(out, p->parts[i].down, n, r, 1.0f, room);
    free(room);
}

static void make_up(const struct pair *p, struct buf *out)
{
    float *room = mem_array(p->rank, sizeof *room);
    for (size_t r = 0; r < p->matrix->dims[1]; r++)
        for (size_t i = 0; i < p->parts_n; i++)
            add_row(out, p->parts[i].up, p->parts[i].rank, r, p->parts[i].factor, room);
    free(room);
}

bool adapt_next(struct adapt *a, struct bytes *piece)
{
    if (a->next > 2 * a->places_n)
        return false;
    size_t at = a->next++;
    *piece = bytes_of_buf(&a->head);
    if (at == 0)
        return true;
    const struct place *p = &a->places[(at - 1) / 2];
    if (at % 2 == 0) {
        buf_reset(&a->made);
        for (uint64_t end = p->size; end % a->alignment; end++)
            buf_add(&a->made, "", 1);
        *piece = bytes_of_buf(&a->made);
        return true;
    }
    if (p->kind == PLACE_BASE) {
        *piece = p->tensor->data;
        return true;
    }
    buf_reset(&a->made);
    if (p->kind == PLACE_DOWN)
        make_down(p->pair, &a->made);
    else
        make_up(p->pair, &a->made);
    *piece = bytes_of_buf(&a->made);
    return true;
}
