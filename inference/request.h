/* A request: everything that an answer is a function of, besides the model. One record, hashed into job ids
 * and digests. Its canonical encoding travels; defaults are never left implicit in it. */
#ifndef KITH_INFERENCE_REQUEST_H
#define KITH_INFERENCE_REQUEST_H

#include "base/codec.h"
#include "inference/kernels/arith.h"

#define REQUEST_ARITH ARITH_VERSION

/* What a request ends with if it has any biases, and has no byte of if not: requests without are encoded as they were
 * before there were any. A record that ends with it is a whole message. */
#define CODEC_TYPE_biases struct bytes
void codec_put_biases(struct buf *b, const struct bytes *v);
void codec_get_biases(struct cursor *c, struct bytes *v);
bool codec_equal_biases(const struct bytes *a, const struct bytes *b);
void codec_json_biases(struct buf *b, const struct bytes *v);

/* `prompt`: token ids, u32 little-endian each. `tokens_max`: of the answer. temp 0: the likeliest token. top_k 0, top_p
 * 1, min_p 0, repeat_penalty 1, presence 0, frequency 0: off. `window`: how many of the last tokens, prompt included,
 * the penalties look at. `stops`: texts that end the answer, u8 length and bytes, each. `schema`: the JSON schema that
 * the answer satisfies, as json_print writes it; empty: none. `choice`: which of several answers to
 * one question with one seed this is, from 0. `biases`: token u32 and what is added to its logit f32, little-endian
 * each, tokens rising. Only for models on one's own machine: providers refuse them, since auditors that are older could
 * not read the request and would take the answer for another. */
#define REQUEST_FIELDS(F)                                                                                              \
    F(u32, arith)                                                                                                      \
    F(blob, prompt)                                                                                                    \
    F(u32, tokens_max)                                                                                                 \
    F(f32, temp)                                                                                                       \
    F(u32, top_k)                                                                                                      \
    F(f32, top_p)                                                                                                      \
    F(f32, min_p)                                                                                                      \
    F(f32, repeat_penalty)                                                                                             \
    F(f32, presence)                                                                                                   \
    F(f32, frequency)                                                                                                  \
    F(u32, window)                                                                                                     \
    F(blob, stops)                                                                                                     \
    F(blob, schema)                                                                                                    \
    F(u32, choice)                                                                                                     \
    F(hash, seed)                                                                                                      \
    F(biases, biases)
RECORD_DECLARE(request, REQUEST_FIELDS)

/* Why an answer ended. The numbers are in receipts. SCHEMA: no token can go on as the schema demands, and the text is
 * not whole. */
enum request_stop { REQUEST_LENGTH, REQUEST_EOS, REQUEST_STOP, REQUEST_NUMERIC, REQUEST_SCHEMA, REQUEST_STOPS };
/* "length", "eos", "stop", "numeric", "schema"; "?" for any other number. */
const char *request_stop_name(uint8_t stop);

/* Greedy, everything off, no prompt. */
void request_init(struct request *r);
/* Of everything but the seed: H[kith.request](encoding with a zero seed). */
struct hash request_hash(const struct request *r);
/* Numbers in their ranges, stops well-formed, the schema within its bytes (what it says is read where it is used),
 * prompt ids under `vocab`, prompt and answer within `context`, the arithmetic ours. The note names the value. */
enum err request_check(const struct request *r, uint32_t vocab, uint32_t context, struct note *note) MUST_USE;

/* Whether providers may be asked for its answer: what has biases stays at home. */
bool request_travels(const struct request *r);

/* The i-th of the biases. */
struct request_bias {
    uint32_t token;
    float add;
};
uint32_t request_biases_n(const struct request *r);
struct request_bias request_bias_at(const struct request *r, uint32_t i);
/* As the record has them; the caller keeps tokens rising. */
void request_bias_put(struct buf *b, struct request_bias bias);

uint32_t request_prompt_n(const struct request *r);
uint32_t request_prompt_at(const struct request *r, uint32_t i);

/* A prompt is paid in steps. The position behind the step that begins at `from`, which is 0 or the end of another: so
 * many tokens of the prompt were read then. 0 for the last step, which the answer begins with. A step has an eighth as
 * many tokens as come before it, at least PROMPT_STEP_TOKENS and at most PROMPT_STEP_MAX. */
uint32_t request_step_end(uint32_t from, uint32_t prompt_n);
/* Whether some step that is not the last ends there. */
bool request_is_step_end(uint32_t at, uint32_t prompt_n);

#endif
