/* Reading a llama model out of a GGUF file, believing nothing. */
#include "inference/model.h"

#include "base/codec.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const struct gguf *file;
    const struct pack *pack;
    struct model *m;
    struct note *note;
    enum err e; /* the first failure; after it everything is skipped */
};

/* -- numbers -- */

static void fail(struct reader *r, enum err e, const char *what, uint64_t value, const char *why)
{
    if (r->e == ERR_OK)
        r->e = note_set(r->note, e, "%s = %" PRIu64 ": %s", what, value, why);
}

static const char *name_of(const struct reader *r, const char *key, char room[128])
{
    snprintf(room, 128, "%s.%s", r->m->architecture, key);
    return room;
}

/* A number of the architecture within [1, most]; `otherwise` where it is absent, 0 meaning that it must be there. */
static uint32_t number(struct reader *r, const char *key, uint32_t most, uint32_t otherwise)
{
    char room[128];
    uint32_t v = 0;
    name_of(r, key, room);
    if (!gguf_has(r->file, room)) {
        if (otherwise == 0 && r->e == ERR_OK)
            r->e = note_set(r->note, ERR_FORMAT, "the file does not say %s", room);
        return otherwise;
    }
    if (!gguf_find_u32(r->file, room, &v) || v == 0 || v > most)
        fail(r, ERR_RANGE, room, v, "not a number that a model can have");
    return v;
}

static double real(struct reader *r, const char *key, double otherwise)
{
    char room[128];
    float v;
    name_of(r, key, room);
    return gguf_find_f32(r->file, room, &v) ? (double)v : otherwise;
}

static void read_rope(struct reader *r)
{
    struct model *m = r->m;
    char room[128];
    struct bytes scaling;
    uint32_t dims = number(r, "rope.dimension_count", m->head ? m->head : 1, m->head ? m->head : 1);
    m->rope_pairs = dims / 2;
    if (dims % 2)
        fail(r, ERR_RANGE, "rope.dimension_count", dims, "it must be even");
    m->rope_base = real(r, "rope.freq_base", 10000.0);
    m->rope_scale = 1;
    if (!(m->rope_base > 1 && m->rope_base < 1e12))
        fail(r, ERR_RANGE, "rope.freq_base", (uint64_t)(m->rope_base > 0 && m->rope_base < 1e18 ? m->rope_base : 0),
             "out of range");
    if (gguf_find_text(r->file, name_of(r, "rope.scaling.type", room), &scaling) &&
        !bytes_equal(scaling, bytes_of_text("none"))) {
        if (bytes_equal(scaling, bytes_of_text("linear")))
            m->rope_scale = real(r, "rope.scaling.factor", 1.0);
        else if (r->e == ERR_OK)
            r->e = note_set(r->note, ERR_UNSUPPORTED, "rope scaling \"%.*s\" is not supported",
                            (int)(scaling.n < 40 ? scaling.n : 40), (const char *)scaling.p);
    }
    if (!(m->rope_scale >= 1e-3 && m->rope_scale <= 1e6))
        fail(r, ERR_RANGE, "rope.scaling.factor", 0, "out of range");
}

static void read_numbers(struct reader *r)
{
    struct model *m = r->m;
    m->context = number(r, "context_length", CONTEXT_MAX, 0);
    m->embed = number(r, "embedding_length", EMBED_MAX, 0);
    m->layers = number(r, "block_count", LAYERS_MAX, 0);
    m->mix = number(r, "feed_forward_length", EMBED_MAX * 8, 0);
    m->heads = number(r, "attention.head_count", HEADS_MAX, 0);
    m->heads_kv = number(r, "attention.head_count_kv", HEADS_MAX, m->heads);
    if (r->e != ERR_OK)
        return;
    m->head = number(r, "attention.key_length", EMBED_MAX, m->embed / m->heads ? m->embed / m->heads : 1);
    uint32_t value_length = number(r, "attention.value_length", EMBED_MAX, m->head);
    m->epsilon = (float)real(r, "attention.layer_norm_rms_epsilon", 1e-5);
    if (m->heads % m->heads_kv)
        fail(r, ERR_RANGE, "attention.head_count_kv", m->heads_kv, "does not divide the number of heads");
    if (value_length != m->head)
        fail(r, ERR_UNSUPPORTED, "attention.value_length", value_length, "differs from the keys' length");
    if (!gguf_has(r->file, "llama.attention.key_length") && m->embed % m->heads)
        fail(r, ERR_RANGE, "attention.head_count", m->heads, "does not divide the embedding");
    if (!(m->epsilon > 0 && m->epsilon < 1))
        fail(r, ERR_RANGE, "attention.layer_norm_rms_epsilon", 0, "out of range");
    read_rope(r);
}

/* -- tensors -- */

static const struct gguf_tensor *find(struct reader *r, const char *name)
{
    const struct gguf_tensor *t = gguf_find_tensor(r->file, name);
    if (!t && r->e == ERR_OK)
        r->e = note_set(r->note, ERR_FORMAT, "the file has no tensor %s", name);
    return r->e == ERR_OK ? t : NULL;
}

static bool has_shape(struct reader *r, const struct gguf_tensor *t, uint64_t n, uint64_t rows)
{
    if (t->dims[0] == n && t->dims[1] == rows && t->dims[2] == 1 && t->dims[3] == 1)
        return true;
    r->e = note_set(r->note, ERR_FORMAT,
                    "tensor %s is %" PRIu64 " x %" PRIu64 ", but the metadata asks for %" PRIu64 " x %" PRIu64, t->name,
                    t->dims[0], t->dims[1], n, rows);
    return false;
}

/* What is packed was looked at then, and if the packed weights were kept, all the rest too. */
static bool is_finite(const struct reader *r, const struct gguf_tensor *t)
{
    return (r->pack && pack_is_checked(r->pack)) ||
           quant_is_finite(t->type, t->data.p, (size_t)(t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]));
}

/* [rows, n] */
static struct ops_weight matrix(struct reader *r, const char *name, uint64_t n, uint64_t rows)
{
    const struct gguf_tensor *t = find(r, name);
    struct ops_weight w = {0};
    if (!t || !has_shape(r, t, n, rows))
        return w;
    if (!quant_is_supported(t->type)) {
        r->e = note_set(r->note, ERR_UNSUPPORTED, "tensor %s has the format %s, which this version does not run",
                        t->name, gguf_tensor_type_name(t->type));
        return w;
    }
    w = (struct ops_weight){.type = t->type,
                            .n = (size_t)n,
                            .rows = (size_t)rows,
                            .row_bytes = quant_row_bytes(t->type, (size_t)n),
                            .data = t->data.p,
                            .packed = r->pack ? pack_find(r->pack, t) : NULL};
    if (t->data.n != w.row_bytes * w.rows)
        r->e = note_set(r->note, ERR_FORMAT, "tensor %s has %zu bytes, %zu are needed", t->name, t->data.n,
                        w.row_bytes * w.rows);
    else if (!w.packed && !is_finite(r, t))
        r->e = note_set(r->note, ERR_NUMERIC, "tensor %s holds a value that is not finite", t->name);
    r->m->parameters += n * rows;
    return w;
}

/* [n] of binary32 */
static const float *vector(struct reader *r, const char *name, uint64_t n)
{
    const struct gguf_tensor *t = find(r, name);
    if (!t || !has_shape(r, t, n, 1))
        return NULL;
    if (t->type != GGUF_TENSOR_F32 || (uintptr_t)t->data.p % _Alignof(float)) {
        r->e = note_set(r->note, ERR_UNSUPPORTED, "tensor %s must be F32 and aligned", t->name);
        return NULL;
    }
    if (!is_finite(r, t)) {
        r->e = note_set(r->note, ERR_NUMERIC, "tensor %s holds a value that is not finite", t->name);
        return NULL;
    }
    r->m->parameters += n;
    return (const float *)(const void *)t->data.p;
}

static struct ops_weight layer_matrix(struct reader *r, uint32_t i, const char *name, uint64_t n, uint64_t rows)
{
    char full[96];
    snprintf(full, sizeof full, "blk.%u.%s.weight", i, name);
    return matrix(r, full, n, rows);
}

static const float *layer_vector(struct reader *r, uint32_t i, const char *name, uint64_t n)
{
    char full[96];
    snprintf(full, sizeof full, "blk.%u.%s.weight", i, name);
    return vector(r, full, n);
}

static void read_layer(struct reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    uint64_t all = (uint64_t)m->heads * m->head, kv = (uint64_t)m->heads_kv * m->head;
    l->attention_norm = layer_vector(r, i, "attn_norm", m->embed);
    l->query = layer_matrix(r, i, "attn_q", m->embed, all);
    l->key = layer_matrix(r, i, "attn_k", m->embed, kv);
    l->value = layer_matrix(r, i, "attn_v", m->embed, kv);
    l->output = layer_matrix(r, i, "attn_output", all, m->embed);
    l->mix_norm = layer_vector(r, i, "ffn_norm", m->embed);
    l->gate = layer_matrix(r, i, "ffn_gate", m->embed, m->mix);
    l->up = layer_matrix(r, i, "ffn_up", m->embed, m->mix);
    l->down = layer_matrix(r, i, "ffn_down", m->mix, m->embed);
}

static void read_vocab(struct reader *r)
{
    const struct gguf_tensor *t = find(r, "token_embd.weight");
    if (!t)
        return;
    if (t->dims[1] == 0 || t->dims[1] > VOCAB_MAX)
        fail(r, ERR_RANGE, "vocabulary", t->dims[1], "over the limit");
    else
        r->m->vocab = (uint32_t)t->dims[1];
    uint32_t said = number(r, "vocab_size", VOCAB_MAX, r->m->vocab ? r->m->vocab : 1);
    struct gguf_array tokens;
    if (r->e == ERR_OK && said != r->m->vocab)
        fail(r, ERR_FORMAT, "vocab_size", said, "token_embd.weight has another number of rows");
    if (gguf_find_array(r->file, "tokenizer.ggml.tokens", &tokens) && tokens.count != r->m->vocab)
        fail(r, ERR_FORMAT, "tokenizer.ggml.tokens", tokens.count, "token_embd.weight has another number of rows");
}

static void read_tensors(struct reader *r)
{
    struct model *m = r->m;
    read_vocab(r);
    m->embedding = matrix(r, "token_embd.weight", m->embed, m->vocab);
    m->output_norm = vector(r, "output_norm.weight", m->embed);
    m->output =
        gguf_find_tensor(r->file, "output.weight") ? matrix(r, "output.weight", m->embed, m->vocab) : m->embedding;
    if (gguf_find_tensor(r->file, "rope_freqs.weight"))
        m->rope_factors = vector(r, "rope_freqs.weight", m->rope_pairs);
    for (uint32_t i = 0; m->rope_factors && i < m->rope_pairs; i++)
        if (!(m->rope_factors[i] >= 1e-3f && m->rope_factors[i] <= 1e6f))
            fail(r, ERR_RANGE, "rope_freqs.weight", i, "a factor is out of range");
    for (uint32_t i = 0; r->e == ERR_OK && i < m->layers; i++)
        read_layer(r, i);
}

/* The format that most bytes are in. */
static void name_format(const struct gguf *file, struct model *m)
{
    uint64_t most = 0;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        uint64_t bytes = 0;
        for (size_t j = 0; j < gguf_tensor_count(file); j++)
            if (gguf_tensor(file, j)->type == gguf_tensor(file, i)->type)
                bytes += gguf_tensor(file, j)->size;
        if (bytes > most) {
            most = bytes;
            snprintf(m->format, sizeof m->format, "%s", gguf_tensor_type_name(gguf_tensor(file, i)->type));
        }
    }
}

/* A tensor that was not asked for (a bias, a norm of keys, a feature of another family) would have changed the answer:
 * better refused than ignored. */
static void refuse_strangers(struct reader *r)
{
    uint32_t of_layers = 9 * r->m->layers, others = 2;
    const char *optional[] = {"output.weight", "rope_freqs.weight"};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        others += gguf_find_tensor(r->file, optional[i]) != NULL;
    if (r->e == ERR_OK && gguf_tensor_count(r->file) != of_layers + others)
        r->e = note_set(r->note, ERR_UNSUPPORTED,
                        "the file has %zu tensors where %u are a llama model's: biases and other additions do not run",
                        gguf_tensor_count(r->file), of_layers + others);
}

enum err model_open(const struct gguf *file, const struct pack *pack, struct model **out, struct note *note)
{
    struct bytes text;
    struct model *m = mem_new(sizeof *m);
    struct reader r = {.file = file, .pack = pack, .m = m, .note = note};
    if (!gguf_find_text(file, "general.architecture", &text) || text.n >= sizeof m->architecture ||
        !text_is_clean((const char *)text.p, text.n)) {
        r.e = note_set(note, ERR_FORMAT, "the file does not say its architecture");
    } else {
        memcpy(m->architecture, text.p, text.n);
        if (strcmp(m->architecture, "llama") != 0)
            r.e = note_set(note, ERR_UNSUPPORTED, "the architecture \"%s\" is not supported: this version runs llama",
                           m->architecture);
    }
    uint32_t experts;
    if (r.e == ERR_OK && gguf_find_u32(file, "llama.expert_count", &experts) && experts > 0)
        fail(&r, ERR_UNSUPPORTED, "llama.expert_count", experts, "mixtures of experts are not supported");
    if (r.e == ERR_OK)
        read_numbers(&r);
    if (r.e == ERR_OK) {
        m->layer = mem_array(m->layers, sizeof *m->layer);
        read_tensors(&r);
        refuse_strangers(&r);
    }
    if (r.e != ERR_OK) {
        model_free(m);
        return r.e;
    }
    name_format(file, m);
    *out = m;
    return ERR_OK;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    free(m->layer);
    free(m);
}
