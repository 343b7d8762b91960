/* Writing and reading adapters; see the header. */
#include "inference/train/train_adapter.h"

#include "base/codec.h"
#include "inference/gguf_put.h"

#include <stdio.h>
#include <string.h>

#define ALIGNMENT 32u

/* -- writing -- */

static void say_making(struct gguf_writer *w, const struct train_run *r)
{
    const struct train_recipe *p = &r->recipe;
    const struct hash digest = train_run_digest(r);
    gguf_writer_u32(w, "kith.train.version", TRAIN_VERSION);
    gguf_writer_hash(w, "kith.train.base", &r->base);
    gguf_writer_hash(w, "kith.train.data", &r->data);
    gguf_writer_u32(w, "kith.train.rank", p->rank);
    gguf_writer_f32(w, "kith.train.alpha", p->alpha);
    gguf_writer_u32(w, "kith.train.steps", p->steps);
    gguf_writer_f32(w, "kith.train.rate", p->rate);
    gguf_writer_u32(w, "kith.train.batch", p->batch);
    gguf_writer_u32(w, "kith.train.length", p->length);
    gguf_writer_u64(w, "kith.train.seed", p->seed);
    gguf_writer_f32(w, "kith.train.loss_before", (float)r->before);
    gguf_writer_f32(w, "kith.train.loss_after", (float)r->after);
    gguf_writer_list(w, "kith.train.losses", GGUF_F32, p->steps);
    for (uint32_t i = 0; i < p->steps; i++)
        gguf_put_f32(&w->keys, (float)r->loss[i]);
    gguf_writer_list(w, "kith.train.digests", GGUF_U64, p->steps);
    for (uint32_t i = 0; i < p->steps; i++)
        gguf_put_u64(&w->keys, r->digests[i]);
    gguf_writer_hash(w, "kith.train.digest", &digest);
}

static void add_info(struct gguf_writer *w, const struct train_site *s, const char *part, uint64_t n, uint64_t rows,
                     uint64_t *data_n)
{
    char name[96];
    snprintf(name, sizeof name, "%s.weight.%s", s->name, part);
    gguf_writer_tensor(w, name, (const uint64_t[]){n, rows}, 2, GGUF_TENSOR_F32, *data_n);
    *data_n += (4 * n * rows + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void align(struct buf *out, size_t from)
{
    static const uint8_t zeros[ALIGNMENT];
    buf_add(out, zeros, (ALIGNMENT - (out->n - from) % ALIGNMENT) % ALIGNMENT);
}

/* x[rows, columns], or turned over: element (i, j) of what is written is x[j, i]. */
static void add_data(struct buf *out, size_t from, const float *x, size_t rows, size_t columns, bool turned)
{
    const size_t at = out->n;
    buf_reserve(out, 4 * rows * columns + ALIGNMENT);
    out->n += 4 * rows * columns;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            store_le32(out->p + at + 4 * (turned ? j * rows + i : i * columns + j), arith_bits(x[i * columns + j]));
    align(out, from);
}

void train_adapter_put(const struct train_run *r, struct buf *out)
{
    const struct train_lora *l = r->lora;
    const size_t from = out->n;
    struct gguf_writer w = {.keys_n = 0};
    uint64_t data_n = 0;
    gguf_writer_text(&w, "general.architecture", l->m->architecture);
    gguf_writer_text(&w, "general.type", "adapter");
    gguf_writer_text(&w, "adapter.type", "lora");
    gguf_writer_f32(&w, "adapter.lora.alpha", r->recipe.alpha);
    say_making(&w, r);
    for (size_t i = 0; i < l->sites_n; i++) {
        add_info(&w, &l->site[i], "lora_a", l->site[i].w.n, l->rank, &data_n);
        add_info(&w, &l->site[i], "lora_b", l->rank, l->site[i].w.rows, &data_n);
    }
    gguf_writer_head(&w, ALIGNMENT, out);
    for (size_t i = 0; i < l->sites_n; i++) {
        add_data(out, from, l->site[i].a, l->site[i].w.n, l->rank, true);
        add_data(out, from, l->site[i].b, l->site[i].w.rows, l->rank, false);
    }
    gguf_writer_clear(&w);
}

/* -- reading -- */

static bool find_all(struct train_claim *c)
{
    const struct gguf *g = c->file;
    struct train_recipe *p = &c->recipe;
    return gguf_find_hash(g, "kith.train.base", &c->base) && gguf_find_hash(g, "kith.train.data", &c->data) &&
           gguf_find_hash(g, "kith.train.digest", &c->digest) && gguf_find_u32(g, "kith.train.rank", &p->rank) &&
           gguf_find_f32(g, "kith.train.alpha", &p->alpha) && gguf_find_u32(g, "kith.train.steps", &p->steps) &&
           gguf_find_f32(g, "kith.train.rate", &p->rate) && gguf_find_u32(g, "kith.train.batch", &p->batch) &&
           gguf_find_u32(g, "kith.train.length", &p->length) && gguf_find_u64(g, "kith.train.seed", &p->seed) &&
           gguf_find_array(g, "kith.train.digests", &c->digests) && c->digests.type == GGUF_U64 &&
           c->digests.count == p->steps;
}

enum err train_claim_open(struct bytes file, struct train_claim *out, struct note *note)
{
    uint32_t version;
    *out = (struct train_claim){0};
    enum err e = gguf_open(file, &out->file, note);
    if (e != ERR_OK)
        return e;
    if (!gguf_find_u32(out->file, "kith.train.version", &version))
        e = note_set(note, ERR_FORMAT, "the adapter does not say how it was trained: it was not made by kith train");
    else if (version != TRAIN_VERSION)
        e = note_set(note, ERR_UNSUPPORTED,
                     "it was trained by version %u of the rules, and this program has version %u", version,
                     TRAIN_VERSION);
    else if (!find_all(out))
        e = note_set(note, ERR_FORMAT, "what the adapter says of its training is not whole");
    if (e != ERR_OK)
        train_claim_close(out);
    return e;
}

void train_claim_close(struct train_claim *c)
{
    gguf_free(c->file);
    *c = (struct train_claim){0};
}

uint64_t train_claim_digest(const struct train_claim *c, uint32_t i)
{
    return load_le64(c->digests.data.p + 8 * (size_t)i);
}

/* The first tensor of ours that the file has otherwise. */
static const struct gguf_tensor *other_tensor(const struct gguf *theirs, const struct gguf *ours)
{
    for (size_t i = 0; i < gguf_tensor_count(ours); i++) {
        const struct gguf_tensor *t = gguf_tensor(ours, i), *other = gguf_find_tensor(theirs, t->name);
        if (!other || !bytes_equal(other->data, t->data))
            return t;
    }
    return NULL;
}

bool train_claim_is(const struct train_claim *c, struct bytes file, const struct train_run *r, struct note *note)
{
    struct buf made = {0};
    struct gguf *ours = NULL;
    train_adapter_put(r, &made);
    bool same = bytes_equal(file, bytes_of_buf(&made));
    if (!same && gguf_open(bytes_of_buf(&made), &ours, note) == ERR_OK) {
        const struct gguf_tensor *t = other_tensor(c->file, ours);
        if (t)
            note_set(note, ERR_MISMATCH, "every step agrees, but %s is not what they came to", t->name);
        else
            note_set(note, ERR_MISMATCH,
                     "every step and every weight agree, but what the file says beside them differs");
        gguf_free(ours);
    }
    buf_clear(&made);
    return same;
}
