/* Transcripts as JSON. */
#include "cli/transcript.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void transcript_clear(struct transcript *t)
{
    buf_clear(&t->prompt);
    buf_clear(&t->stops);
    buf_clear(&t->schema);
    buf_clear(&t->tokens);
    buf_clear(&t->text);
}

json_t *transcript_text(const void *p, size_t n)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    const char *s = p;
    json_t *whole = json_stringn(n ? s : "", n);
    if (whole)
        return whole;
    struct buf clean = {0};
    for (size_t i = 0; i < n;) {
        size_t len = 1;
        json_t *one = NULL;
        for (; len <= 4 && i + len <= n && !(one = json_stringn(s + i, len)); len++)
            ;
        if (one)
            buf_add(&clean, s + i, len);
        else
            buf_add_text(&clean, replacement);
        i += one ? len : 1;
        json_decref(one);
    }
    whole = json_stringn((const char *)clean.p, clean.n);
    buf_clear(&clean);
    return whole;
}

json_t *transcript_ids(struct bytes ids)
{
    json_t *list = json_array();
    for (size_t i = 0; i < wire_id_count(ids); i++)
        json_array_append_new(list, json_integer(wire_id_at(ids, i)));
    return list;
}

static json_t *hex_json(const struct hash *h)
{
    char text[2 * HASH_SIZE + 1];
    hex_put(text, h->b, HASH_SIZE);
    return json_string(text);
}

/* The shortest decimal that reads back as the same binary32. */
static json_t *real_json(float value)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *stops_json(const struct buf *stops)
{
    json_t *list = json_array();
    for (size_t at = 0; at < stops->n; at += 1u + stops->p[at])
        json_array_append_new(list, transcript_text(stops->p + at + 1, stops->p[at]));
    return list;
}

static json_t *request_members(const struct transcript *t)
{
    const struct request *r = &t->request;
    return json_pack("{s:I, s:o, s:I, s:o, s:o, s:{s:o, s:o, s:o, s:I}, s:o, s:o, s:I, s:o*}", "tokens",
                     (json_int_t)r->tokens_max, "temp", real_json(r->temp), "top_k", (json_int_t)r->top_k, "top_p",
                     real_json(r->top_p), "min_p", real_json(r->min_p), "penalties", "repeat",
                     real_json(r->repeat_penalty), "presence", real_json(r->presence), "frequency",
                     real_json(r->frequency), "window", (json_int_t)r->window, "seed", hex_json(&r->seed), "stop",
                     stops_json(&t->stops), "choice", (json_int_t)r->choice, "schema",
                     t->schema.n ? json_parse(bytes_of_buf(&t->schema), NULL) : NULL);
}

json_t *transcript_object(const struct transcript *t)
{
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:{s:o, s:o}}", "model", hex_json(&t->model),
                     "arith", (json_int_t)t->request.arith, "request", request_members(t), "prompt_tokens",
                     transcript_ids(bytes_of_buf(&t->prompt)), "tokens", transcript_ids(bytes_of_buf(&t->tokens)),
                     "text", transcript_text(t->text.p, t->text.n), "digest", hex_json(&t->digest), "stop",
                     request_stop_name(t->stop), "backend", t->backend, "timings", "prompt_ms",
                     json_real((double)t->prompt_us / 1000), "decode_ms", json_real((double)t->decode_us / 1000));
}

/* -- reading; a failed read sets the note once and the rest is skipped -- */

struct reader {
    enum err e;
    struct note *note;
};

static void fail(struct reader *r, const char *key, const char *must)
{
    if (r->e == ERR_OK)
        r->e = note_set(r->note, ERR_FORMAT, "the transcript's \"%s\" must be %s", key, must);
}

static void read_hash(struct reader *r, const json_t *o, const char *key, struct hash *out)
{
    const char *text = json_text(o, key);
    if (!text || strlen(text) != 2 * HASH_SIZE || !hex_get(text, out->b, HASH_SIZE))
        fail(r, key, "64 hexadecimal digits");
}

static void read_u32(struct reader *r, const json_t *o, const char *key, uint32_t *out)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
        fail(r, key, "a whole number");
    else
        *out = (uint32_t)json_integer_value(v);
}

static void read_real(struct reader *r, const json_t *o, const char *key, float *out)
{
    const json_t *v = json_object_get(o, key);
    float f = json_is_number(v) ? (float)json_number_value(v) : NAN;
    if (!isfinite(f))
        fail(r, key, "a number");
    else
        *out = f;
}

static void read_ids(struct reader *r, const json_t *o, const char *key, struct buf *out)
{
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list) || json_array_size(list) > CONTEXT_MAX) {
        fail(r, key, "a list of tokens");
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= (json_int_t)VOCAB_MAX) {
            fail(r, key, "a list of tokens, each a whole number");
            return;
        }
        wire_put_id(out, (uint32_t)json_integer_value(v));
    }
}

enum err transcript_add_stop(struct buf *stops, const char *text, size_t n, struct note *note)
{
    if (n == 0 || n > 255)
        return note_set(note, ERR_RANGE, "a stop text of %zu bytes: from 1 to 255 are allowed", n);
    const uint8_t length = (uint8_t)n;
    buf_add(stops, &length, 1);
    buf_add(stops, text, n);
    return ERR_OK;
}

static void read_stops(struct reader *r, const json_t *o, const char *key, struct buf *out)
{
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list) || json_array_size(list) > STOPS_MAX) {
        fail(r, key, "a short list of texts");
        return;
    }
    for (size_t i = 0; i < json_array_size(list) && r->e == ERR_OK; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v))
            fail(r, key, "a list of texts");
        else
            r->e = transcript_add_stop(out, json_string_value(v), json_string_length(v), r->note);
    }
}

static void read_stop_reason(struct reader *r, const json_t *o, const char *key, uint8_t *out)
{
    const char *name = json_text(o, key);
    for (*out = 0; *out < REQUEST_STOPS; ++*out)
        if (name && strcmp(name, request_stop_name(*out)) == 0)
            return;
    fail(r, key, "\"length\", \"eos\", \"stop\", \"numeric\" or \"schema\"");
}

static void read_request(struct reader *r, const json_t *o, struct transcript *t)
{
    const json_t *q = json_object_get(o, "request"), *p = json_object_get(q, "penalties");
    request_init(&t->request);
    read_u32(r, o, "arith", &t->request.arith);
    if (!json_is_object(q))
        fail(r, "request", "an object");
    read_u32(r, q, "tokens", &t->request.tokens_max);
    read_real(r, q, "temp", &t->request.temp);
    read_u32(r, q, "top_k", &t->request.top_k);
    read_real(r, q, "top_p", &t->request.top_p);
    read_real(r, q, "min_p", &t->request.min_p);
    if (!json_is_object(p))
        fail(r, "penalties", "an object");
    read_real(r, p, "repeat", &t->request.repeat_penalty);
    read_real(r, p, "presence", &t->request.presence);
    read_real(r, p, "frequency", &t->request.frequency);
    read_u32(r, p, "window", &t->request.window);
    read_hash(r, q, "seed", &t->request.seed);
    read_stops(r, q, "stop", &t->stops);
    read_u32(r, q, "choice", &t->request.choice);
    read_ids(r, o, "prompt_tokens", &t->prompt);
    t->request.prompt = bytes_of_buf(&t->prompt);
    t->request.stops = bytes_of_buf(&t->stops);
    if (json_object_get(q, "schema"))
        json_print(&t->schema, json_object_get(q, "schema"));
    t->request.schema = bytes_of_buf(&t->schema);
}

enum err transcript_read(const json_t *o, struct transcript *t, struct note *note)
{
    struct reader r = {ERR_OK, note};
    if (!json_is_object(o))
        return note_set(note, ERR_FORMAT, "the transcript is not a JSON object as `kith run --json` prints it");
    const json_t *text = json_object_get(o, "text");
    read_hash(&r, o, "model", &t->model);
    read_request(&r, o, t);
    read_ids(&r, o, "tokens", &t->tokens);
    read_hash(&r, o, "digest", &t->digest);
    read_stop_reason(&r, o, "stop", &t->stop);
    if (!json_is_string(text))
        fail(&r, "text", "a text");
    else
        buf_add(&t->text, json_string_value(text), json_string_length(text));
    return r.e;
}
