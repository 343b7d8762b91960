/* The small random models of tests/model_make.h evaluated in whole and in pieces: what the tests of layers on devices
 * and on other machines share. */
#ifndef KITH_TESTS_MODEL_EVAL_H
#define KITH_TESTS_MODEL_EVAL_H

#include "inference/engine/engine.h"
#include "tests/model_make.h"

#define MODEL_EVAL_TOKENS 70 /* two pages of the cache */
#define MODEL_EVAL_WIDTH  512

struct model_eval {
    struct buf file;
    struct gguf *gguf;
    struct model *model;
};
/* Fails the test where the model cannot be opened. */
void model_eval_open(struct model_eval *l, const struct model_make *s);
void model_eval_close(struct model_eval *l);

/* The i-th token of a text that all tests read. */
uint32_t model_eval_token(uint32_t i);
/* Rows [from, to) of it in a sequence, in batches; out[i, vocab + embed]: logits and hidden state of each that wants.
 */
void model_eval_rows(struct engine *e, struct engine_seq *s, uint32_t from, uint32_t to, uint32_t batch, float *out);
/* All MODEL_EVAL_TOKENS of it, in a new sequence. */
void model_eval_all(struct engine *e, uint32_t batch, float *out);

/* What is expected, and what came: of at most MODEL_EVAL_WIDTH values a row. */
extern float model_eval_want[MODEL_EVAL_TOKENS * MODEL_EVAL_WIDTH],
    model_eval_got[MODEL_EVAL_TOKENS * MODEL_EVAL_WIDTH];
/* Fails the test at the first bit that differs. */
void model_eval_compare(const struct model *m, const char *label, const char *way);

/* An engine_lost_fn: keeps why, in a struct note. */
void model_eval_lost(void *arg, const struct note *why);

/* Of the shapes that an emulated GPU takes long with, each third, unless all are asked for (KITH_TEST_ALL). */
bool model_eval_takes(size_t shape);

#endif
