/* The small random models of tests/model_make.h, opened and run: what the tests of architectures share. */
#ifndef KITH_TESTS_ARCH_H
#define KITH_TESTS_ARCH_H

#include "base/mem.h"
#include "inference/sched/session.h"
#include "tests/model_make.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOCAB  MODEL_MAKE_VOCAB
#define TOKENS 150 /* three chunks of the cache, and over every window of theirs */

struct loaded {
    struct buf file;
    struct gguf *gguf;
    struct pack *pack;
    void *pack_memory;
    struct model *model;
};

static inline void load(struct loaded *l, const struct model_make *s)
{
    struct note note = {{0}};
    *l = (struct loaded){0};
    model_make(&l->file, s);
    if (gguf_open(bytes_of_buf(&l->file), &l->gguf, &note) != ERR_OK)
        fail_msg("%s: %s", s->label, note.text);
    l->pack = pack_new(l->gguf);
    l->pack_memory = aligned_alloc(64, (size_t)pack_bytes(l->pack) / 64 * 64 + 64);
    pack_set_memory(l->pack, l->pack_memory);
    pack_fill(l->pack);
    if (model_open(l->gguf, l->pack, &l->model, &note) != ERR_OK)
        fail_msg("%s: %s", s->label, note.text);
}

static inline void unload(struct loaded *l)
{
    model_free(l->model);
    pack_free(l->pack);
    free(l->pack_memory);
    gguf_free(l->gguf);
    buf_clear(&l->file);
}

static inline struct engine *engine_for(const struct loaded *l, const struct ops *ops, unsigned threads, uint32_t batch)
{
    struct engine_options o = {.model = l->model, .ops = ops, .threads = threads, .batch_max = batch};
    return engine_new(&o);
}

static inline uint32_t token_at(uint32_t i)
{
    return (i * 31 + i * i * 7 + 3) % VOCAB;
}

/* out[n, vocab + embed]: logits and hidden state of every position of a request of `length` tokens. */
static inline void eval_all(struct engine *e, const uint32_t *ids, uint32_t n, uint32_t length, uint32_t batch,
                            float *out)
{
    const struct model *m = engine_model(e);
    struct engine_seq *s = engine_seq_new(e, length);
    struct engine_row rows[TOKENS];
    size_t width = m->vocab + m->embed;
    for (uint32_t from = 0; from < n; from += batch) {
        uint32_t cols = n - from < batch ? n - from : batch;
        for (uint32_t c = 0; c < cols; c++)
            rows[c] = (struct engine_row){.seq = s, .token = ids[from + c], .wants = true};
        engine_eval(e, rows, cols);
        for (uint32_t c = 0; c < cols; c++) {
            float *to = out + (from + c) * width;
            assert_true(rows[c].finite);
            memcpy(to, rows[c].logits, m->vocab * sizeof *to);
            memcpy(to + m->vocab, rows[c].hidden, m->embed * sizeof *to);
        }
    }
    engine_seq_free(s);
}

/* All the model has to say about a text of n tokens: logits and hidden states, or the vector of an encoder. */
static inline size_t everything(struct engine *e, uint32_t n, uint32_t batch, float *out)
{
    const struct model *m = engine_model(e);
    uint32_t ids[TOKENS];
    for (uint32_t i = 0; i < n; i++)
        ids[i] = token_at(i);
    if (!model_writes(m)) {
        assert_true(engine_embed(e, ids, n, out));
        return m->embed;
    }
    eval_all(e, ids, n, n, batch, out);
    return (size_t)n * (m->vocab + m->embed);
}

static inline float spread(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return (float)sqrt(sum / (double)n);
}

static inline const struct model_make *shape_of(const char *label)
{
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++)
        if (strcmp(shape->label, label) == 0)
            return shape;
    fail_msg("no shape %s", label);
    return NULL;
}

static inline void expect_refusal(const struct model_make *s, const char *word)
{
    struct buf file = {0};
    struct gguf *g;
    struct model *m;
    struct note note = {{0}};
    model_make(&file, s);
    assert_int_equal(gguf_open(bytes_of_buf(&file), &g, &note), ERR_OK);
    if (model_open(g, NULL, &m, &note) == ERR_OK)
        fail_msg("%s with %s was taken", s->label, word);
    if (!strstr(note.text, word))
        fail_msg("%s: \"%s\" does not name %s", s->label, note.text, word);
    gguf_free(g);
    buf_clear(&file);
}

#endif
