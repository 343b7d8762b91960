/* A base and an adapter from strangers: u32 length of the base | the base | the adapter. What is made of them is as
 * long as it was said, twice the same, and a GGUF file; where it is a model that training has the steps of, a step can
 * be taken beside it, over what was joined. What the adapter says of its training is read too. */
#include "base/mem.h"
#include "inference/adapt.h"
#include "inference/train/train_adapter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err make(const struct adapt_file *base, const struct adapt_file *adapter, struct buf *out)
{
    struct adapt *a;
    struct bytes piece;
    struct note note = {{0}};
    enum err e = adapt_new(base, adapter, 1, &a, &note);
    CHECK(e == ERR_OK || note.text[0]);
    if (e != ERR_OK)
        return e;
    while (adapt_next(a, &piece))
        buf_add(out, piece.p, piece.n);
    CHECK(out->n == adapt_facts(a).bytes && adapt_facts(a).matrices > 0);
    adapt_free(a);
    return ERR_OK;
}

/* Large scratch would only slow the search for bytes that matter. */
static bool is_small(const struct model *m)
{
    return m->embed <= 256 && m->mix <= 256 && m->vocab <= 256 && m->heads * m->head <= 256 && m->layers <= 4 &&
           m->low_rank <= 64 && m->context >= 16;
}

static void step(const struct gguf *g, const struct model *m)
{
    struct note note;
    uint32_t tokens[17];
    uint8_t counts[16];
    struct pool *pool = pool_new(1);
    struct train_lora *l = train_lora_new(g, m, 2, 4.0f, 1);
    struct train_pass *p = train_pass_new(
        &(struct train_pass_options){.lora = l, .set = train_set_pick("auto", &note), .pool = pool, .length = 16});
    for (uint32_t i = 0; i < 17; i++)
        tokens[i] = i * 7 % m->vocab;
    memset(counts, 1, sizeof counts);
    train_pass_loss(p, tokens, counts);
    train_pass_back(p, 16);
    train_pass_free(p);
    train_lora_free(l);
    pool_free(pool);
}

static void look_at(struct bytes file)
{
    struct gguf *g;
    struct model *m;
    struct note note = {{0}};
    if (gguf_open(file, &g, &note) != ERR_OK)
        CHECK(!"what was made is no GGUF file");
    if (model_open(g, NULL, &m, &note) == ERR_OK) {
        if (train_lora_check(m, &note) == ERR_OK && is_small(m))
            step(g, m);
        model_free(m);
    }
    gguf_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct note note;
    struct train_claim claim;
    struct buf one = {0}, two = {0};
    if (size < 4 || load_le32(data) > size - 4)
        return 0;
    const size_t n = load_le32(data);
    uint8_t *base = mem_new(n + 1), *adapter = mem_new(size - 4 - n + 1); /* aligned, as mappings are */
    memcpy(base, data + 4, n);
    memcpy(adapter, data + 4 + n, size - 4 - n);
    const struct adapt_file b = {"base", bytes_of(base, n), {{1}}, 0, false},
                            a = {"adapter", bytes_of(adapter, size - 4 - n), {{2}}, 0.5f, n % 2};
    if (make(&b, &a, &one) == ERR_OK) {
        CHECK(make(&b, &a, &two) == ERR_OK && bytes_equal(bytes_of_buf(&one), bytes_of_buf(&two)));
        look_at(bytes_of_buf(&one));
    }
    if (train_claim_open(a.bytes, &claim, &note) == ERR_OK) {
        for (uint32_t i = 0; i < claim.recipe.steps; i++)
            (void)train_claim_digest(&claim, i);
        train_claim_close(&claim);
    }
    buf_clear(&one);
    buf_clear(&two);
    free(base);
    free(adapter);
    return 0;
}
