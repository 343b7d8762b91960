/* Reading a model file's facts: root of the whole, root of every tensor, names. */
#include "node/blobs/model_facts.h"

#include "base/codec.h"
#include "base/file.h"
#include "base/file_map.h"
#include "base/merkle.h"
#include "chain/tx.h"
#include "inference/gguf.h"
#include "inference/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void take_text(const struct gguf *g, const char *key, char out[65], const char *otherwise)
{
    struct bytes text;
    snprintf(out, 65, "%s", otherwise);
    if (gguf_find_text(g, key, &text) && text.n <= 64 && text_is_clean((const char *)text.p, text.n)) {
        memcpy(out, text.p, text.n);
        out[text.n] = 0;
    }
}

/* What an adapted model says that it was made of (inference/adapt.h). */
static void take_base(struct model_facts *f, const struct gguf *g)
{
    char hex[65];
    take_text(g, "kith.adapted.base", hex, "");
    f->is_adapted = strlen(hex) == 2 * HASH_SIZE && hex_get(hex, f->base.b, HASH_SIZE);
}

/* The format of a file is that of most of its bytes. */
static const char *main_format(const struct gguf *g)
{
    uint64_t sums[64] = {0};
    unsigned best = 0;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        unsigned type = (unsigned)t->type % 64;
        sums[type] += t->size;
        if (sums[type] > sums[best])
            best = type;
    }
    const char *name = gguf_tensor_type_name(best);
    return name ? name : "?";
}

static void read_tensors(struct model_facts *f, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        struct hash h = hash_once(HASH_TENSOR, t->data.p, t->data.n);
        uint64_t n = 1;
        for (unsigned d = 0; d < GGUF_DIMS_MAX; d++)
            n *= t->dims[d];
        f->parameters += n;
        buf_add(&f->tensors, h.b, sizeof h.b);
    }
    struct hashes list = {f->tensors.p, (uint32_t)(f->tensors.n / HASH_SIZE)};
    f->tensors_root = tx_tensors_root(&list);
}

static uint32_t find_context(const struct gguf *g, const char *architecture)
{
    char key[96];
    uint32_t context;
    snprintf(key, sizeof key, "%s.context_length", architecture);
    return gguf_find_u32(g, key, &context) ? context : 0;
}

enum err model_facts_peek(const char *path, struct note *note)
{
    char magic[4] = {0};
    int fd;
    uint64_t size;
    enum err e = file_open_regular(path, &fd, &size, note);
    if (e != ERR_OK)
        return e;
    if (size >= sizeof magic)
        e = file_read_at(fd, path, magic, sizeof magic, 0, note);
    if (e == ERR_OK && memcmp(magic, "GGUF", sizeof magic) != 0)
        e = note_set(note, ERR_FORMAT, "GGUF: not a GGUF file: it does not begin with the header of one");
    close(fd);
    return e;
}

void model_brief_read(const char *path, struct model_brief *out)
{
    struct bytes file;
    struct gguf *g = NULL;
    *out = (struct model_brief){.context = 0};
    if (file_map(path, &file, NULL) != ERR_OK)
        return;
    if (gguf_open(file, &g, NULL) == ERR_OK) {
        take_text(g, "general.architecture", out->architecture, "?");
        snprintf(out->format, sizeof out->format, "%s", main_format(g));
        out->context = find_context(g, out->architecture);
    }
    gguf_free(g);
    file_unmap(file);
}

/* The layer that a tensor is of; UINT32_MAX: of none. */
static uint32_t layer_of(const struct gguf_tensor *t)
{
    unsigned layer;
    int used = 0;
    return sscanf(t->name, "blk.%9u.%n", &layer, &used) == 1 && used > 0 ? layer : UINT32_MAX;
}

enum err model_layers_read(const char *path, uint32_t first, uint32_t end, uint32_t *layers, uint64_t *bytes,
                           struct note *note)
{
    struct bytes file;
    struct gguf *g = NULL;
    char architecture[65], key[96];
    enum err e = file_map(path, &file, note);
    if (e != ERR_OK)
        return e;
    *layers = 0;
    *bytes = 0;
    e = gguf_open(file, &g, note);
    if (e == ERR_OK) {
        take_text(g, "general.architecture", architecture, "?");
        snprintf(key, sizeof key, "%s.block_count", architecture);
        if (!gguf_find_u32(g, key, layers))
            e = note_set(note, ERR_FORMAT, "%s does not say how many layers it has (%s)", path, key);
    }
    for (size_t i = 0; e == ERR_OK && i < gguf_tensor_count(g); i++) {
        uint32_t layer = layer_of(gguf_tensor(g, i));
        if (layer >= first && layer < end)
            *bytes += gguf_tensor(g, i)->size;
    }
    gguf_free(g);
    file_unmap(file);
    return e;
}

void model_facts_read(struct model_facts *f)
{
    struct bytes file;
    struct gguf *g = NULL;
    f->e = file_map(f->path, &file, &f->note);
    if (f->e != ERR_OK)
        return;
    f->e = gguf_open(file, &g, &f->note);
    if (f->e == ERR_OK) {
        struct merkle_tree *tree = merkle_tree_of(file.p, file.n);
        f->root = merkle_tree_root(tree);
        merkle_tree_free(tree);
        f->size = file.n;
        take_text(g, "general.name", f->name, "");
        take_text(g, "general.architecture", f->architecture, "?");
        snprintf(f->format, sizeof f->format, "%s", main_format(g));
        f->context = find_context(g, f->architecture);
        take_base(f, g);
        read_tensors(f, g);
    }
    if (!file_map_is_whole(file))
        f->e = note_set(&f->note, ERR_IO, "%s became shorter while it was read, or its disk fails", f->path);
    gguf_free(g);
    file_unmap(file);
}

void model_facts_clear(struct model_facts *f)
{
    free(f->path);
    buf_clear(&f->tensors);
}

enum err model_facts_open(const struct model_facts *f, int *fd, struct note *note)
{
    uint64_t size;
    return file_open_regular(f->path, fd, &size, note);
}

void model_facts_json(struct buf *b, const struct model_facts *f)
{
    bool first = true;
    struct hashes list = {f->tensors.p, (uint32_t)(f->tensors.n / HASH_SIZE)};
    buf_add_text(b, "{");
    codec_json_key(b, &first, "root");
    codec_json_hash(b, &f->root);
    codec_json_key(b, &first, "name");
    codec_json_string(b, f->name, strlen(f->name));
    codec_json_key(b, &first, "architecture");
    codec_json_string(b, f->architecture, strlen(f->architecture));
    codec_json_key(b, &first, "format");
    codec_json_string(b, f->format, strlen(f->format));
    buf_add_format(b, ",\"size\":%" PRIu64 ",\"context\":%u,\"params\":%" PRIu64 ",\"arith\":%d", f->size, f->context,
                   f->parameters, REQUEST_ARITH);
    if (f->is_adapted) {
        codec_json_key(b, &first, "base");
        codec_json_hash(b, &f->base);
    }
    codec_json_key(b, &first, "tensors_root");
    codec_json_hash(b, &f->tensors_root);
    codec_json_key(b, &first, "tensors");
    codec_json_hashes(b, &list);
    buf_add_text(b, "}");
}
