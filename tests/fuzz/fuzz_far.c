/* Calls to layers that are lent (inference/engine/far.h): whatever comes, nothing outside of the batch and of the pages
 * that there are is touched, an answer is as long as its call has rows, and the same call has the same answer again: it
 * puts the same keys where they are. The first byte says how many rows a call is claimed to have in front of the rest;
 * 0: all is as it comes. */
#include "base/codec.h"
#include "base/mem.h"
#include "inference/engine/far.h"
#include "inference/engine/layers.h"
#include "tests/model_make.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS  4
#define PAGES 8

static struct far_bounds bounds;
static struct engine_device device;

static void make_once(void)
{
    static struct buf file;
    static struct gguf *gguf;
    static struct model *model;
    struct model_make s = *model_make_at(0);
    struct note note;
    if (model)
        return;
    s.layers = 3;
    model_make(&file, &s);
    CHECK(gguf_open(bytes_of_buf(&file), &gguf, &note) == ERR_OK);
    CHECK(model_open(gguf, NULL, &model, &note) == ERR_OK);
    device = layers_device(&(struct layers_options){
        .model = model, .ops = &ops_ref, .threads = 1, .batch_max = ROWS, .first = 1, .end = 2});
    bounds = (struct far_bounds){.model = model, .rows_max = ROWS, .context = 256, .numbers_max = PAGES};
}

/* Mostly right lengths, since few inputs have them by chance: words of the input, over and over, as far as a call of so
 * many rows and pages goes. */
static void put_words(struct buf *out, const uint8_t *data, size_t size, size_t words)
{
    for (size_t i = 0; i < 4 * words; i++)
        buf_add(out, &data[i % size], 1);
}

static void make_call(const uint8_t *data, size_t size, struct buf *out)
{
    const struct model *m = bounds.model;
    const uint32_t rows = 1 + data[0] % ROWS, pages = data[1] % (PAGES + 1), most = data[2] % 5,
                   end = data[3] % (PAGES + 2);
    const uint32_t taps = data[5] % 8;
    const uint8_t sets = 1 + data[4] % 2;
    codec_put_u32(out, &rows);
    codec_put_u32(out, &pages);
    codec_put_u32(out, &most);
    codec_put_u32(out, &end);
    codec_put_u32(out, &taps);
    codec_put_u8(out, &sets);
    for (uint32_t i = 0; i < 2 * rows + pages; i++) { /* positions, tables, pages: small, mostly */
        const uint32_t small = (uint32_t)data[(5 + i) % size] % (i < rows ? 256u : PAGES + 1u);
        codec_put_u32(out, &small);
    }
    for (uint32_t i = 0; i < 2 * taps; i++) { /* row, layer: mostly in order, and mostly one that is here */
        const uint32_t row = i * rows / (2 * taps) + (data[i % size] == 255), layer = 1 + (data[i % size] == 254);
        codec_put_u32(out, i % 2 ? &layer : &row);
    }
    put_words(out, data, size, (size_t)rows * (sets * 2 * m->rope_pairs + m->embed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf call = {0}, answer = {0}, again = {0};
    struct note note;
    make_once();
    if (size < 8)
        return 0;
    if (data[0] == 0)
        buf_add(&call, data + 1, size - 1);
    else
        make_call(data + 1, size - 1, &call);
    enum err e = far_serve(&bounds, &device, bytes_of_buf(&call), &answer, &note);
    if (e == ERR_OK) {
        const size_t rows = load_le32(call.p), taps = load_le32(call.p + 16);
        CHECK(answer.n == rows + (rows + taps) * bounds.model->embed * sizeof(float));
        CHECK(far_serve(&bounds, &device, bytes_of_buf(&call), &again, &note) == ERR_OK);
        CHECK(bytes_equal(bytes_of_buf(&answer), bytes_of_buf(&again)));
    } else {
        CHECK(e == ERR_PROTOCOL && answer.n == 0);
    }
    buf_clear(&again);
    buf_clear(&call);
    buf_clear(&answer);
    return 0;
}
