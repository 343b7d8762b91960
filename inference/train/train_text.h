/* Data to train on, as a row of tokens cut into windows. Data are a stranger's: a text, or JSONL, each line an object
 * with a `text`, or with `messages` as in OpenAI's API, which the model's template renders. Documents follow each other
 * in their order; a window may hold the end of one and the beginning of the next. A function of data, length and the
 * model's file.
 *
 * The last tenth of the windows (at least one, at most TRAIN_HELD_MAX) is held out: nobody trains on it. */
#ifndef KITH_INFERENCE_TRAIN_TEXT_H
#define KITH_INFERENCE_TRAIN_TEXT_H

#include "base/bytes.h"
#include "inference/tok/tok.h"

struct train_text {
    uint32_t *ids;   /* [n] */
    uint8_t *counts; /* [n]: it counts that this one is foretold: of messages those that the assistant wrote */
    size_t n;
    uint32_t length;        /* of a window, which has one token more, that is foretold last */
    uint32_t windows, held; /* to train on; behind them, held out */
};

struct train_text_source {
    struct bytes data, template; /* the model's; empty: it has none */
    const struct tok *tok;
    uint32_t vocab; /* ids are below it */
};
/* ERR_USAGE where there is too little for two windows. */
enum err train_text_read(const struct train_text_source *s, uint32_t length, struct train_text *out,
                         struct note *note) MUST_USE;
void train_text_clear(struct train_text *t);

/* order[windows]: which window comes when in the so-manieth time through the data. */
void train_text_order(uint32_t windows, uint64_t seed, uint64_t time, uint32_t *order);

#endif
