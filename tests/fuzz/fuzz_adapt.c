/* Adapters and bases from strangers: the first byte says whether the rest is an adapter to a base of ours, or a base to
 * an adapter of ours. What is taken becomes a file as long as was said, which opens, has what the base had, and can be
 * a base again. And an adapter's words about its training, whatever they are, are read or refused. */
#include "base/mem.h"
#include "inference/adapt.h"
#include "inference/train/train_adapter.h"
#include "tests/model_make.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MADE_MAX (8u << 20)

static struct buf base, adapter;

static void add_half(struct gguf_make *m, const char *name, uint64_t n, uint64_t rows)
{
    struct buf zeros = {0};
    for (uint64_t i = 0; i < 4 * n * rows; i++)
        buf_add(&zeros, "", 1);
    gguf_make_tensor(m, name, n, rows, GGUF_TENSOR_F32, bytes_of_buf(&zeros));
    buf_clear(&zeros);
}

static void make_ours(void)
{
    struct gguf_make m;
    size_t i = 0;
    while (strcmp(model_make_at(i)->label, "llama") != 0)
        i++;
    model_make(&base, model_make_at(i));
    gguf_make_init(&m);
    gguf_make_text(&m, "general.type", "adapter");
    gguf_make_text(&m, "general.architecture", "llama");
    gguf_make_text(&m, "adapter.type", "lora");
    gguf_make_f32(&m, "adapter.lora.alpha", 6);
    add_half(&m, "blk.0.attn_q.weight.lora_a", 64, 3);
    add_half(&m, "blk.0.attn_q.weight.lora_b", 3, 64);
    gguf_make_end(&m, &adapter);
    gguf_make_clear(&m);
}

static void look_at(struct bytes made, struct bytes from)
{
    struct gguf *g, *b;
    struct note note;
    CHECK(gguf_open(made, &g, &note) == ERR_OK && gguf_open(from, &b, &note) == ERR_OK);
    for (size_t i = 0; i < gguf_tensor_count(b); i++)
        CHECK(gguf_find_tensor(g, gguf_tensor(b, i)->name));
    gguf_free(g);
    gguf_free(b);
}

static bool make(struct bytes from, struct bytes with, struct buf *out)
{
    const struct adapt_file b = {.name = "base", .bytes = from}, a = {.name = "adapter", .bytes = with, .weight = 0.5f};
    struct adapt *t;
    struct bytes piece;
    struct note note;
    if (adapt_new(&b, &a, 1, &t, &note) != ERR_OK)
        return false;
    const uint64_t bytes = adapt_facts(t).bytes;
    while (bytes <= MADE_MAX && adapt_next(t, &piece))
        buf_add(out, piece.p, piece.n);
    adapt_free(t);
    CHECK(bytes > MADE_MAX || out->n == bytes);
    return bytes <= MADE_MAX;
}

static void read_claim(struct bytes file)
{
    struct train_claim c;
    struct note note;
    if (train_claim_open(file, &c, &note) != ERR_OK)
        return;
    for (uint32_t i = 0; i < c.recipe.steps; i++)
        (void)train_claim_digest(&c, i);
    if (train_recipe_check(&c.recipe, 1024, &note) == ERR_OK)
        CHECK(c.recipe.steps <= TRAIN_STEPS_MAX);
    train_claim_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf made = {0}, again = {0};
    if (!base.n)
        make_ours();
    if (size == 0)
        return 0;
    const struct bytes theirs = bytes_of(data + 1, size - 1);
    const bool is_base = data[0] & 1;
    if (make(is_base ? theirs : bytes_of_buf(&base), is_base ? bytes_of_buf(&adapter) : theirs, &made)) {
        look_at(bytes_of_buf(&made), is_base ? theirs : bytes_of_buf(&base));
        if (make(bytes_of_buf(&made), bytes_of_buf(&adapter), &again))
            look_at(bytes_of_buf(&again), bytes_of_buf(&made));
    }
    if (!is_base)
        read_claim(theirs);
    buf_clear(&made);
    buf_clear(&again);
    return 0;
}
