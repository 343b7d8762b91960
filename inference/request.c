/* Requests: hashing and checking. */
#include "inference/request.h"

#include <string.h>

void codec_put_biases(struct buf *b, const struct bytes *v)
{
    if (v->n)
        codec_put_blob(b, v);
}

void codec_get_biases(struct cursor *c, struct bytes *v)
{
    *v = (struct bytes){0};
    if (!cursor_ok(c) || c->n == 0)
        return;
    codec_get_blob(c, v);
    if (v->n == 0)
        cursor_fail(c); /* none has an encoding already */
}

bool codec_equal_biases(const struct bytes *a, const struct bytes *b)
{
    return codec_equal_blob(a, b);
}

void codec_json_biases(struct buf *b, const struct bytes *v)
{
    codec_json_blob(b, v);
}

RECORD_DEFINE(request, REQUEST_FIELDS)

const char *request_stop_name(uint8_t stop)
{
    static const char *const names[REQUEST_STOPS] = {"length", "eos", "stop", "numeric", "schema"};
    return stop < REQUEST_STOPS ? names[stop] : "?";
}

void request_init(struct request *r)
{
    *r = (struct request){.arith = REQUEST_ARITH, .tokens_max = 64, .top_p = 1, .repeat_penalty = 1};
}

struct hash request_hash(const struct request *r)
{
    struct request bare = *r;
    struct buf b = {0};
    bare.seed = (struct hash){{0}};
    request_put(&b, &bare);
    struct hash h = hash_once(HASH_REQUEST, b.p, b.n);
    buf_clear(&b);
    return h;
}

uint32_t request_prompt_n(const struct request *r)
{
    return (uint32_t)(r->prompt.n / 4);
}

uint32_t request_prompt_at(const struct request *r, uint32_t i)
{
    return load_le32(r->prompt.p + (size_t)i * 4);
}

#define BIAS_BYTES 8
#define BIAS_MOST  100.0f /* as OpenAI has it: with it a token is certain, or gone */

uint32_t request_biases_n(const struct request *r)
{
    return (uint32_t)(r->biases.n / BIAS_BYTES);
}

bool request_travels(const struct request *r)
{
    return r->biases.n == 0;
}

struct request_bias request_bias_at(const struct request *r, uint32_t i)
{
    const uint8_t *p = r->biases.p + (size_t)i * BIAS_BYTES;
    return (struct request_bias){load_le32(p), arith_of_bits(load_le32(p + 4))};
}

void request_bias_put(struct buf *b, struct request_bias bias)
{
    codec_put_u32(b, &bias.token);
    codec_put_f32(b, &bias.add);
}

static enum err check_numbers(const struct request *r, struct note *note)
{
    if (r->arith != REQUEST_ARITH)
        return note_set(note, ERR_UNSUPPORTED, "arithmetic version %u is asked for: this engine has %d", r->arith,
                        REQUEST_ARITH);
    if (!(r->temp >= 0 && r->temp <= 100))
        return note_set(note, ERR_RANGE, "temperature %g: from 0 to 100 is allowed", (double)r->temp);
    if (!(r->top_p >= 0 && r->top_p <= 1) || !(r->min_p >= 0 && r->min_p <= 1))
        return note_set(note, ERR_RANGE, "top_p %g and min_p %g: each is from 0 to 1", (double)r->top_p,
                        (double)r->min_p);
    if (!(r->repeat_penalty >= 0.01f && r->repeat_penalty <= 100))
        return note_set(note, ERR_RANGE, "repeat penalty %g: from 0.01 to 100 is allowed", (double)r->repeat_penalty);
    if (!(r->presence >= -100 && r->presence <= 100) || !(r->frequency >= -100 && r->frequency <= 100))
        return note_set(note, ERR_RANGE, "penalties %g and %g: each is from -100 to 100", (double)r->presence,
                        (double)r->frequency);
    return ERR_OK;
}

static enum err check_stops(const struct request *r, struct note *note)
{
    size_t at = 0;
    unsigned n = 0;
    while (at < r->stops.n) {
        size_t length = r->stops.p[at];
        if (length == 0 || at + 1 + length > r->stops.n || ++n > STOPS_MAX)
            return note_set(note, ERR_FORMAT, "at most %d stop texts of 1 to 255 bytes are allowed", STOPS_MAX);
        at += 1 + length;
    }
    return ERR_OK;
}

static enum err check_biases(const struct request *r, uint32_t vocab, struct note *note)
{
    uint32_t n = request_biases_n(r);
    if (r->biases.n % BIAS_BYTES || n > BIASES_MAX)
        return note_set(note, ERR_FORMAT, "biases of %zu bytes: at most %d of %d bytes are allowed", r->biases.n,
                        BIASES_MAX, BIAS_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        struct request_bias b = request_bias_at(r, i);
        if (b.token >= vocab)
            return note_set(note, ERR_RANGE, "logit_bias of token %u: the vocabulary has %u", b.token, vocab);
        if (i && b.token <= request_bias_at(r, i - 1).token)
            return note_set(note, ERR_FORMAT, "token %u has a bias behind that of token %u: they must rise", b.token,
                            request_bias_at(r, i - 1).token);
        if (!(b.add >= -BIAS_MOST && b.add <= BIAS_MOST) || b.add == 0)
            return note_set(note, ERR_RANGE, "token %u has a bias of %g: from -100 to 100, and not 0, is allowed",
                            b.token, (double)b.add);
    }
    return ERR_OK;
}

enum err request_check(const struct request *r, uint32_t vocab, uint32_t context, struct note *note)
{
    enum err e = check_numbers(r, note);
    if (e == ERR_OK)
        e = check_stops(r, note);
    if (e == ERR_OK)
        e = check_biases(r, vocab, note);
    if (e != ERR_OK)
        return e;
    if (r->schema.n > SCHEMA_BYTES_MAX)
        return note_set(note, ERR_LIMIT, "the schema has %zu bytes: at most %u are read", r->schema.n,
                        SCHEMA_BYTES_MAX);
    uint32_t n = request_prompt_n(r);
    if (r->prompt.n % 4 || n == 0)
        return note_set(note, ERR_FORMAT, "the prompt has no tokens");
    if (r->tokens_max == 0)
        return note_set(note, ERR_RANGE, "an answer of 0 tokens was asked for: ask for at least 1");
    if (r->prompt.n / 4 >= context || (uint64_t)n + r->tokens_max > context)
        return note_set(note, ERR_LIMIT,
                        "the prompt of %zu tokens and an answer of %u do not fit the context of %u tokens",
                        r->prompt.n / 4, r->tokens_max, context);
    for (uint32_t i = 0; i < n; i++)
        if (request_prompt_at(r, i) >= vocab)
            return note_set(note, ERR_RANGE, "token %u at position %u of the prompt: the vocabulary has %u",
                            request_prompt_at(r, i), i, vocab);
    return ERR_OK;
}
