/* How a model writes its answers, by what its vocabulary and its template show (base/answer_form.h). */
#ifndef KITH_INFERENCE_ANSWER_FORM_H
#define KITH_INFERENCE_ANSWER_FORM_H

#include "base/answer_form.h"
#include "inference/tok/tok.h"

/* Of the answer to a prompt. A mark that the prompt ends with was opened by the template, and the answer begins within
 * the thought; else a thought has the marks that the template speaks of, or that the vocabulary has as tokens. */
struct answer_form answer_form_of(const struct tok *tok, struct bytes template, struct bytes prompt);

#endif
