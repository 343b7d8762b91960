/* Requests: hashing and checking. */
#include "inference/request.h"

#include <string.h>

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

enum err request_check(const struct request *r, uint32_t vocab, uint32_t context, struct note *note)
{
    enum err e = check_numbers(r, note);
    if (e == ERR_OK)
        e = check_stops(r, note);
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
