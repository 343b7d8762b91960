/* Models evaluated for tests. */
#include "tests/model_eval.h"

#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

float model_eval_want[MODEL_EVAL_TOKENS * MODEL_EVAL_WIDTH], model_eval_got[MODEL_EVAL_TOKENS * MODEL_EVAL_WIDTH];

void model_eval_open(struct model_eval *l, const struct model_make *s)
{
    struct note note = {{0}};
    *l = (struct model_eval){0};
    model_make(&l->file, s);
    if (gguf_open(bytes_of_buf(&l->file), &l->gguf, &note) != ERR_OK ||
        model_open(l->gguf, NULL, &l->model, &note) != ERR_OK)
        fail_msg("%s: %s", s->label, note.text);
}

void model_eval_close(struct model_eval *l)
{
    model_free(l->model);
    gguf_free(l->gguf);
    buf_clear(&l->file);
}

uint32_t model_eval_token(uint32_t i)
{
    return (i * 31 + i * i * 7 + 3) % MODEL_MAKE_VOCAB;
}

void model_eval_rows(struct engine *e, struct engine_seq *s, uint32_t from, uint32_t to, uint32_t batch, float *out)
{
    const struct model *m = engine_model(e);
    struct engine_row rows[MODEL_EVAL_TOKENS];
    const size_t width = m->vocab + m->embed;
    assert_true(width <= MODEL_EVAL_WIDTH);
    for (; from < to; from += batch) {
        uint32_t cols = to - from < batch ? to - from : batch;
        for (uint32_t c = 0; c < cols; c++)
            rows[c] = (struct engine_row){.seq = s, .token = model_eval_token(from + c), .wants = (from + c) % 5 != 1};
        engine_eval(e, rows, cols);
        for (uint32_t c = 0; c < cols; c++) {
            float *x = out + (from + c) * width;
            assert_true(rows[c].finite);
            memset(x, 0, width * sizeof *x);
            if (!rows[c].wants)
                continue;
            memcpy(x, rows[c].logits, m->vocab * sizeof *x);
            memcpy(x + m->vocab, rows[c].hidden, m->embed * sizeof *x);
        }
    }
}

void model_eval_all(struct engine *e, uint32_t batch, float *out)
{
    struct engine_seq *s = engine_seq_new(e, MODEL_EVAL_TOKENS);
    model_eval_rows(e, s, 0, MODEL_EVAL_TOKENS, batch, out);
    engine_seq_free(s);
}

void model_eval_compare(const struct model *m, const char *label, const char *way)
{
    const size_t width = m->vocab + m->embed;
    for (size_t i = 0; i < MODEL_EVAL_TOKENS * width; i++)
        if (memcmp(&model_eval_want[i], &model_eval_got[i], sizeof *model_eval_got) != 0)
            fail_msg("%s, %s: position %zu, value %zu is %a instead of %a", label, way, i / width, i % width,
                     (double)model_eval_got[i], (double)model_eval_want[i]);
}

void model_eval_lost(void *arg, const struct note *why)
{
    *(struct note *)arg = *why;
}

bool model_eval_takes(size_t shape)
{
    return shape % 3 == 0 || getenv("KITH_TEST_ALL");
}
