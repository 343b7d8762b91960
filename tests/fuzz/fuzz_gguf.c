/* A GGUF file from a stranger: whatever the bytes are, what the view hands out lies within them, and a model that
 * is taken can be run. */
#include "base/mem.h"
#include "inference/engine/engine.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct gguf *g, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        CHECK(gguf_find_tensor(g, t->name) == t);
        CHECK(t->data.n == t->size && t->data.p >= data && t->data.n <= size);
        CHECK((size_t)(t->data.p - data) <= size - t->data.n);
        CHECK(gguf_tensor_type_name(t->type));
    }
    struct gguf_array a;
    if (gguf_find_array(g, "tokenizer.ggml.tokens", &a) && a.type == GGUF_TEXT)
        for (uint64_t i = 0; i < a.count; i++) {
            struct bytes text = gguf_array_text(&a, i);
            CHECK(text.p >= data && text.n <= size && (size_t)(text.p - data) <= size - text.n);
        }
}

static void run(const struct model *m)
{
    /* Large scratch would only slow the search for bytes that matter. */
    if (m->embed > 256 || m->mix > 256 || m->vocab > 256 || m->heads * m->head > 256 || m->layers > 4 ||
        m->experts > 16 || m->expert_mix > 256 || m->shared_mix > 256 || m->query_low > 256 ||
        m->heads * (m->plain + m->value) > 256 || m->channels > 512 || m->values_n * m->side > 256 || m->depth > 64 ||
        m->taps > 8 || m->layers * m->input_n > 256)
        return;
    struct engine_options o = {.model = m, .ops = ops_pick("auto", NULL), .threads = 1, .batch_max = 3};
    struct engine *e = engine_new(&o);
    struct engine_seq *s = engine_seq_new(e, 4);
    struct engine_row rows[3] = {{.seq = s, .token = 0, .wants = true},
                                 {.seq = s, .token = m->vocab - 1, .wants = true},
                                 {.seq = s, .token = 0, .wants = true, .guessed = true}};
    const uint32_t n = m->context < 3 ? m->context : 3;
    if (model_writes(m)) {
        engine_eval(e, rows, n); /* the guess was right: the next row finds it in the state */
        if (m->context > 3)
            engine_eval(e, rows, 1);
    }
    float vector[256];
    if (engine_embed(e, (const uint32_t[]){0, m->vocab - 1}, m->context > 1 ? 2 : 1, vector))
        engine_embed_normalise(vector, m->embed);
    engine_seq_free(s);
    engine_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    struct model *m;
    struct note note;
    uint8_t *copy = mem_new(size + 1); /* aligned, as a mapping is, and of exactly that size */
    memcpy(copy, data, size);
    if (gguf_open(bytes_of(copy, size), &g, &note) == ERR_OK) {
        look_at(g, copy, size);
        struct pack *pack = pack_new(g);
        uint8_t *memory = mem_new((size_t)pack_bytes(pack) + 1);
        pack_set_memory(pack, memory);
        pack_fill(pack);
        if (model_open(g, pack, &m, &note) == ERR_OK) {
            run(m);
            model_free(m);
        }
        pack_free(pack);
        free(memory);
        gguf_free(g);
    }
    if (gguf_open_head(bytes_of(copy, size), &g, &note) == ERR_OK)
        gguf_free(g);
    free(copy);
    return 0;
}
