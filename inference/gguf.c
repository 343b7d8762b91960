/* The parser of GGUF files. One pass with a cursor that goes null on the first read past the end;
 * then indexes by name, then the tensors' places. See the header for what holds afterwards. */
#include "inference/gguf.h"

#include "base/codec.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GGUF_MAGIC        0x46554747u /* "GGUF" */
#define ALIGNMENT_DEFAULT 32
#define ALIGNMENT_MAX     65536

struct entry {
    struct bytes key;
    enum gguf_type type;
    struct bytes raw;   /* key, type and value as they stand in the file */
    struct bytes value; /* the scalar, or the text without its length */
    struct gguf_array array;
    uint64_t *text_start; /* owned; array.text_start borrows it */
};

struct gguf {
    struct bytes file;
    struct entry *entries; /* sorted by key */
    size_t n_entries;
    struct gguf_tensor *tensors; /* in file order */
    const struct gguf_tensor **by_name;
    size_t n_tensors;
    uint64_t data_start;
};

static const struct tensor_type {
    const char *name;
    uint32_t number;
    uint32_t block_elements;
    uint32_t block_bytes;
} tensor_types[] = {
#define E(name, number, elements, bytes) {#name, number, elements, bytes},
    GGUF_TENSOR_LIST(E)
#undef E
};

static const struct tensor_type *find_tensor_type(uint32_t number)
{
    for (size_t i = 0; i < sizeof tensor_types / sizeof *tensor_types; i++)
        if (tensor_types[i].number == number)
            return &tensor_types[i];
    return NULL;
}

const char *gguf_tensor_type_name(uint32_t type)
{
    const struct tensor_type *t = find_tensor_type(type);
    return t ? t->name : NULL;
}

/* Bytes of a value of fixed width; 0 for texts, arrays and unknown types. */
static size_t type_width(uint32_t type)
{
    static const uint8_t width[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_FLAG] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return type < GGUF_TYPE_COUNT ? width[type] : 0;
}

/* -- reading -- */

static uint32_t take_u32(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 4);
    return p ? load_le32(p) : 0;
}

static uint64_t take_u64(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 8);
    return p ? load_le64(p) : 0;
}

static struct bytes take_bytes(struct cursor *c, uint64_t n)
{
    if (n > c->n) {
        cursor_fail(c);
        return (struct bytes){0};
    }
    const uint8_t *p = cursor_take(c, (size_t)n);
    return bytes_of(p, p ? (size_t)n : 0);
}

static struct bytes take_text(struct cursor *c)
{
    uint64_t n = take_u64(c);
    return take_bytes(c, n);
}

static enum err truncated(const struct gguf *g, struct note *note, const char *where, uint64_t i)
{
    return note_set(note, ERR_FORMAT,
                    "GGUF: the file ends inside %s %" PRIu64
                    " (%zu bytes in all): it is cut off or damaged; fetch it again",
                    where, i, g->file.n);
}

static double float_of(enum gguf_type type, const uint8_t *p)
{
    if (type == GGUF_F32) {
        uint32_t bits = load_le32(p);
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    uint64_t bits = load_le64(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* A name that may be shown and compared: invariant 2 but for uniqueness. */
static bool name_is_fine(struct bytes name)
{
    return name.n > 0 && name.n <= GGUF_KEY_BYTES_MAX && text_is_clean((const char *)name.p, name.n);
}

static enum err read_array(struct gguf *g, struct cursor *c, struct entry *e, uint64_t at, struct note *note)
{
    uint32_t type = take_u32(c);
    uint64_t count = take_u64(c);
    if (!cursor_ok(c))
        return truncated(g, note, "key", at);
    if (count > GGUF_ARRAY_MAX)
        return note_set(note, ERR_LIMIT, "GGUF: the array %.*s has %" PRIu64 " elements; at most %u are read",
                        (int)e->key.n, (const char *)e->key.p, count, GGUF_ARRAY_MAX);
    if (type != GGUF_TEXT && type_width(type) == 0)
        return note_set(note, ERR_UNSUPPORTED, "GGUF: the array %.*s has elements of type %" PRIu32 "%s", (int)e->key.n,
                        (const char *)e->key.p, type,
                        type == GGUF_ARRAY ? " (arrays in arrays are not read)" : ", which no version defines");
    e->array.type = (enum gguf_type)type;
    e->array.count = count;
    if (type != GGUF_TEXT) {
        e->array.data = take_bytes(c, count * type_width(type));
        return cursor_ok(c) ? ERR_OK : truncated(g, note, "key", at);
    }
    if (count > c->n / 8) /* each text takes at least its length */
        return truncated(g, note, "key", at);
    e->text_start = mem_array((size_t)count + 1, sizeof *e->text_start);
    e->array.text_start = e->text_start;
    const uint8_t *start = c->p;
    for (uint64_t i = 0; i < count; i++) {
        e->text_start[i] = (uint64_t)(c->p - start);
        take_text(c);
        if (!cursor_ok(c))
            return truncated(g, note, "key", at);
    }
    e->array.data = bytes_of(start, (size_t)(c->p - start));
    return ERR_OK;
}

static enum err read_entry(struct gguf *g, struct cursor *c, struct entry *e, uint64_t at, struct note *note)
{
    e->key = take_text(c);
    uint32_t type = take_u32(c);
    if (!cursor_ok(c))
        return truncated(g, note, "key", at);
    if (!name_is_fine(e->key))
        return note_set(note, ERR_FORMAT,
                        "GGUF: the name of key %" PRIu64 " has %zu bytes%s; 1 to %u of clean UTF-8 are proper", at,
                        e->key.n, e->key.n && e->key.n <= GGUF_KEY_BYTES_MAX ? " that are no text" : "",
                        (unsigned)GGUF_KEY_BYTES_MAX);
    e->type = (enum gguf_type)type;
    if (type == GGUF_ARRAY)
        return read_array(g, c, e, at, note);
    if (type != GGUF_TEXT && type_width(type) == 0)
        return note_set(note, ERR_UNSUPPORTED, "GGUF: the key %.*s has type %" PRIu32 ", which no version defines",
                        (int)e->key.n, (const char *)e->key.p, type);
    e->value = type == GGUF_TEXT ? take_text(c) : take_bytes(c, type_width(type));
    if (!cursor_ok(c))
        return truncated(g, note, "key", at);
    if (type == GGUF_TEXT && e->value.n > GGUF_STRING_BYTES_MAX)
        return note_set(note, ERR_LIMIT, "GGUF: the text %.*s has %zu bytes; at most %u are read", (int)e->key.n,
                        (const char *)e->key.p, e->value.n, GGUF_STRING_BYTES_MAX);
    if (type == GGUF_FLAG && e->value.p[0] > 1)
        return note_set(note, ERR_FORMAT, "GGUF: the flag %.*s is %u, neither 0 nor 1", (int)e->key.n,
                        (const char *)e->key.p, e->value.p[0]);
    if ((type == GGUF_F32 || type == GGUF_F64) && !isfinite(float_of(e->type, e->value.p)))
        return note_set(note, ERR_FORMAT, "GGUF: the number %.*s is not finite", (int)e->key.n, (const char *)e->key.p);
    return ERR_OK;
}

/* The size that type and dimensions give; invariant 3. */
static enum err size_tensor(struct gguf_tensor *t, struct note *note)
{
    const struct tensor_type *type = find_tensor_type(t->type);
    if (!type)
        return note_set(note, ERR_UNSUPPORTED, "GGUF: the tensor %s has type %d, which is not known here", t->name,
                        (int)t->type);
    uint64_t elements = 1;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (t->dims[d] == 0)
            return note_set(note, ERR_FORMAT, "GGUF: dimension %" PRIu32 " of the tensor %s is 0", d, t->name);
        if (t->dims[d] > (uint64_t)INT64_MAX / elements)
            return note_set(note, ERR_LIMIT, "GGUF: the dimensions of the tensor %s overflow", t->name);
        elements *= t->dims[d];
    }
    if (t->dims[0] % type->block_elements)
        return note_set(note, ERR_FORMAT,
                        "GGUF: a row of the tensor %s has %" PRIu64 " elements, not a multiple of the %" PRIu32
                        " of a %s block",
                        t->name, t->dims[0], type->block_elements, type->name);
    if (elements / type->block_elements > (uint64_t)INT64_MAX / type->block_bytes)
        return note_set(note, ERR_LIMIT, "GGUF: the size of the tensor %s overflows", t->name);
    t->size = elements / type->block_elements * type->block_bytes;
    return ERR_OK;
}

static enum err read_tensor(struct gguf *g, struct cursor *c, struct gguf_tensor *t, uint64_t at, struct note *note)
{
    struct bytes name = take_text(c);
    t->n_dims = take_u32(c);
    if (!cursor_ok(c))
        return truncated(g, note, "tensor info", at);
    if (!name_is_fine(name))
        return note_set(note, ERR_FORMAT, "GGUF: tensor %" PRIu64 " has no proper name (1 to %u bytes of clean UTF-8)",
                        at, (unsigned)GGUF_KEY_BYTES_MAX);
    char *copy = mem_new(name.n + 1);
    memcpy(copy, name.p, name.n);
    t->name = copy;
    if (t->n_dims == 0 || t->n_dims > GGUF_DIMS_MAX)
        return note_set(note, ERR_FORMAT, "GGUF: the tensor %s has %" PRIu32 " dimensions; 1 to %d are possible",
                        t->name, t->n_dims, GGUF_DIMS_MAX);
    for (uint32_t d = 0; d < GGUF_DIMS_MAX; d++)
        t->dims[d] = d < t->n_dims ? take_u64(c) : 1;
    uint32_t type = take_u32(c);
    t->type = (enum gguf_tensor_type)type;
    t->offset = take_u64(c);
    if (!cursor_ok(c))
        return truncated(g, note, "tensor info", at);
    return size_tensor(t, note);
}

/* -- indexes -- */

static int compare_bytes(struct bytes a, struct bytes b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_bytes(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct gguf_tensor *const *)a)->name, (*(const struct gguf_tensor *const *)b)->name);
}

static int compare_offsets(const void *a, const void *b)
{
    uint64_t x = (*(const struct gguf_tensor *const *)a)->offset, y = (*(const struct gguf_tensor *const *)b)->offset;
    return (x > y) - (x < y);
}

static enum err index_entries(struct gguf *g, struct note *note)
{
    qsort(g->entries, g->n_entries, sizeof *g->entries, compare_entries);
    for (size_t i = 1; i < g->n_entries; i++)
        if (bytes_equal(g->entries[i - 1].key, g->entries[i].key))
            return note_set(note, ERR_DUPLICATE, "GGUF: the key %.*s stands twice", (int)g->entries[i].key.n,
                            (const char *)g->entries[i].key.p);
    return ERR_OK;
}

/* Alignment and overlap; then the index by name. */
static enum err index_tensors(struct gguf *g, uint64_t alignment, struct note *note)
{
    g->by_name = mem_array(g->n_tensors + 1, sizeof *g->by_name);
    for (size_t i = 0; i < g->n_tensors; i++)
        g->by_name[i] = &g->tensors[i];
    qsort(g->by_name, g->n_tensors, sizeof *g->by_name, compare_offsets);
    uint64_t end = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = g->by_name[i];
        if (t->offset % alignment)
            return note_set(note, ERR_FORMAT,
                            "GGUF: the tensor %s stands at offset %" PRIu64 ", not a multiple of %" PRIu64, t->name,
                            t->offset, alignment);
        if (t->offset < end)
            return note_set(note, ERR_FORMAT, "GGUF: the tensors %s and %s overlap", g->by_name[i - 1]->name, t->name);
        if (t->offset > (uint64_t)INT64_MAX - t->size)
            return note_set(note, ERR_FORMAT, "GGUF: the tensor %s ends beyond any file", t->name);
        end = t->offset + t->size;
    }
    qsort(g->by_name, g->n_tensors, sizeof *g->by_name, compare_names);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (strcmp(g->by_name[i - 1]->name, g->by_name[i]->name) == 0)
            return note_set(note, ERR_DUPLICATE, "GGUF: the tensor %s stands twice", g->by_name[i]->name);
    return ERR_OK;
}

/* Points every tensor at its bytes. */
static enum err place_tensors(struct gguf *g, struct note *note)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        if (g->data_start > g->file.n || t->offset + t->size > g->file.n - g->data_start)
            return note_set(note, ERR_FORMAT,
                            "GGUF: the tensor %s would end at byte %" PRIu64
                            " of a file of %zu bytes: it is cut off or damaged; fetch it again",
                            t->name, g->data_start + t->offset + t->size, g->file.n);
        t->data = bytes_of(g->file.p + g->data_start + t->offset, (size_t)t->size);
    }
    return ERR_OK;
}

/* -- opening -- */

static enum err read_head(struct gguf *g, struct cursor *c, struct note *note)
{
    uint32_t magic = take_u32(c), version = take_u32(c);
    uint64_t n_tensors = take_u64(c), n_entries = take_u64(c);
    if (!cursor_ok(c) || magic != GGUF_MAGIC)
        return note_set(note, ERR_FORMAT, "GGUF: not a GGUF file: it does not begin with the header of one");
    if (version == 0x02000000u || version == 0x03000000u)
        return note_set(note, ERR_UNSUPPORTED, "GGUF: the file is big-endian; convert it to little-endian");
    if (version != 2 && version != 3)
        return note_set(note, ERR_UNSUPPORTED, "GGUF: version %" PRIu32 " of the format; versions 2 and 3 are read",
                        version);
    if (n_tensors > TENSORS_MAX)
        return note_set(note, ERR_LIMIT, "GGUF: %" PRIu64 " tensors; at most %u are read", n_tensors, TENSORS_MAX);
    if (n_entries > GGUF_KEYS_MAX)
        return note_set(note, ERR_LIMIT, "GGUF: %" PRIu64 " keys; at most %u are read", n_entries, GGUF_KEYS_MAX);
    g->entries = mem_array((size_t)n_entries + 1, sizeof *g->entries);
    for (; g->n_entries < n_entries; g->n_entries++) {
        /* counted first, so that gguf_free sees what a failed read left */
        const uint8_t *from = c->p;
        enum err e = read_entry(g, c, &g->entries[g->n_entries], g->n_entries, note);
        if (e == ERR_OK)
            g->entries[g->n_entries].raw = bytes_of(from, (size_t)(c->p - from));
        if (e) {
            g->n_entries++;
            return e;
        }
    }
    enum err e = index_entries(g, note);
    if (e)
        return e;
    g->tensors = mem_array((size_t)n_tensors + 1, sizeof *g->tensors);
    for (; g->n_tensors < n_tensors; g->n_tensors++) {
        e = read_tensor(g, c, &g->tensors[g->n_tensors], g->n_tensors, note);
        if (e) {
            g->n_tensors++;
            return e;
        }
    }
    return ERR_OK;
}

static enum err parse(struct gguf *g, bool head_only, struct note *note)
{
    struct cursor c = cursor_of(g->file);
    enum err e = read_head(g, &c, note);
    if (e)
        return e;
    uint64_t alignment = ALIGNMENT_DEFAULT;
    if (gguf_has(g, "general.alignment") && !gguf_find_u64(g, "general.alignment", &alignment))
        return note_set(note, ERR_FORMAT, "GGUF: general.alignment is not a whole number");
    if (alignment < 8 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)))
        return note_set(note, ERR_FORMAT, "GGUF: general.alignment is %" PRIu64 ", not a power of two from 8 to %d",
                        alignment, ALIGNMENT_MAX);
    uint64_t end = (uint64_t)(c.p - g->file.p);
    g->data_start = (end + alignment - 1) / alignment * alignment;
    e = index_tensors(g, alignment, note);
    if (e || head_only)
        return e;
    return place_tensors(g, note);
}

static enum err open_any(struct bytes file, bool head_only, struct gguf **out, struct note *note)
{
    struct gguf *g = mem_new(sizeof *g);
    g->file = file;
    enum err e = parse(g, head_only, note);
    if (e) {
        if (e != ERR_UNSUPPORTED && note && !strstr(note->text, "again"))
            note_add(note, " (fetch the file again, or convert it again)");
        gguf_free(g);
        g = NULL;
    }
    *out = g;
    return e;
}

enum err gguf_open(struct bytes file, struct gguf **out, struct note *note)
{
    return open_any(file, false, out, note);
}

enum err gguf_open_head(struct bytes file, struct gguf **out, struct note *note)
{
    return open_any(file, true, out, note);
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_entries; i++)
        free(g->entries[i].text_start);
    for (size_t i = 0; i < g->n_tensors; i++)
        free((char *)(uintptr_t)g->tensors[i].name);
    free(g->entries);
    free(g->tensors);
    free(g->by_name);
    free(g);
}

/* -- looking up -- */

static const struct entry *find_entry(const struct gguf *g, const char *key)
{
    struct entry wanted = {.key = bytes_of_text(key)};
    return g->n_entries ? bsearch(&wanted, g->entries, g->n_entries, sizeof *g->entries, compare_entries) : NULL;
}

/* An integer of any width: its magnitude and sign. False for other types. */
static bool load_integer(enum gguf_type type, const uint8_t *p, uint64_t *magnitude, bool *negative)
{
    int64_t v;
    switch (type) {
    case GGUF_U8:
        v = p[0];
        break;
    case GGUF_I8:
        v = (int8_t)p[0];
        break;
    case GGUF_U16:
        v = load_le16(p);
        break;
    case GGUF_I16:
        v = (int16_t)load_le16(p);
        break;
    case GGUF_U32:
        v = load_le32(p);
        break;
    case GGUF_I32:
        v = (int32_t)load_le32(p);
        break;
    case GGUF_U64:
        *magnitude = load_le64(p);
        *negative = false;
        return true;
    case GGUF_I64:
        v = (int64_t)load_le64(p);
        break;
    default:
        return false;
    }
    *negative = v < 0;
    *magnitude = v < 0 ? (uint64_t) - (v + 1) + 1 : (uint64_t)v;
    return true;
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return find_entry(g, key) != NULL;
}

struct bytes gguf_key(const struct gguf *g, size_t i)
{
    return i < g->n_entries ? g->entries[i].key : (struct bytes){0};
}

struct bytes gguf_key_raw(const struct gguf *g, size_t i)
{
    return i < g->n_entries ? g->entries[i].raw : (struct bytes){0};
}

bool gguf_find_u64(const struct gguf *g, const char *key, uint64_t *out)
{
    const struct entry *e = find_entry(g, key);
    uint64_t magnitude;
    bool negative;
    if (!e || !load_integer(e->type, e->value.p, &magnitude, &negative) || negative)
        return false;
    *out = magnitude;
    return true;
}

bool gguf_find_u32(const struct gguf *g, const char *key, uint32_t *out)
{
    uint64_t v;
    if (!gguf_find_u64(g, key, &v) || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

bool gguf_find_f32(const struct gguf *g, const char *key, float *out)
{
    const struct entry *e = find_entry(g, key);
    uint64_t magnitude;
    bool negative;
    if (!e)
        return false;
    double v;
    if (e->type == GGUF_F32 || e->type == GGUF_F64)
        v = float_of(e->type, e->value.p);
    else if (load_integer(e->type, e->value.p, &magnitude, &negative))
        v = negative ? -(double)magnitude : (double)magnitude;
    else
        return false;
    *out = (float)v;
    return isfinite(*out);
}

bool gguf_find_flag(const struct gguf *g, const char *key, bool *out)
{
    const struct entry *e = find_entry(g, key);
    if (!e || e->type != GGUF_FLAG)
        return false;
    *out = e->value.p[0] == 1;
    return true;
}

bool gguf_find_text(const struct gguf *g, const char *key, struct bytes *out)
{
    const struct entry *e = find_entry(g, key);
    if (!e || e->type != GGUF_TEXT)
        return false;
    *out = e->value;
    return true;
}

bool gguf_find_array(const struct gguf *g, const char *key, struct gguf_array *out)
{
    const struct entry *e = find_entry(g, key);
    if (!e || e->type != GGUF_ARRAY)
        return false;
    *out = e->array;
    return true;
}

struct bytes gguf_array_text(const struct gguf_array *a, uint64_t i)
{
    CHECK(a->type == GGUF_TEXT && i < a->count);
    const uint8_t *p = a->data.p + a->text_start[i];
    return bytes_of(p + 8, (size_t)load_le64(p));
}

float gguf_array_f32(const struct gguf_array *a, uint64_t i)
{
    CHECK(a->type == GGUF_F32 && i < a->count);
    return (float)float_of(GGUF_F32, a->data.p + 4 * i);
}

bool gguf_array_i64(const struct gguf_array *a, uint64_t i, int64_t *out)
{
    CHECK(i < a->count);
    uint64_t magnitude;
    bool negative;
    if (a->type == GGUF_TEXT || !load_integer(a->type, a->data.p + i * type_width(a->type), &magnitude, &negative))
        return false;
    if (magnitude > (uint64_t)INT64_MAX)
        return false;
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i)
{
    CHECK(i < g->n_tensors);
    return &g->tensors[i];
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    const struct gguf_tensor wanted = {.name = name}, *p = &wanted;
    if (!g->n_tensors)
        return NULL;
    const struct gguf_tensor **found = bsearch(&p, g->by_name, g->n_tensors, sizeof *g->by_name, compare_names);
    return found ? *found : NULL;
}

uint64_t gguf_data_start(const struct gguf *g)
{
    return g->data_start;
}
