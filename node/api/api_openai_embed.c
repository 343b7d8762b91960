/* /v1/embeddings: texts to vectors by a model on this machine. Each input is tokenised and evaluated by the model's
 * worker, a few at a time; the answer has them in the order of the request. */
#include "node/api/api_openai.h"

#include "base/codec.h"
#include "base/mem.h"
#include "inference/kernels/arith.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 8 /* questions that a worker has of one request: it goes on without waiting for us */

struct embeddings;

struct input {
    struct embeddings *all;
    worker_ask ask;
    struct buf ids, values;
    struct hash digest;
};

struct embeddings {
    struct node *node;
    struct http_request *request;
    json_t *body; /* the texts are in it */
    char *model;
    struct hash root;
    struct worker *worker;
    bool is_base64;
    uint32_t dimensions;
    struct input *input;
    uint32_t n, asked, done;
    uint64_t tokens;
};

static void embeddings_free(struct embeddings *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (e->input[i].ask)
            worker_drop(e->worker, e->input[i].ask);
        buf_clear(&e->input[i].ids);
        buf_clear(&e->input[i].values);
    }
    free(e->input);
    free(e->model);
    json_decref(e->body);
    free(e);
}

/* -- the answer -- */

static void put_base64(struct buf *b, struct bytes raw)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_reserve(b, raw.n / 3 * 4 + 8);
    buf_add_text(b, "\"");
    for (size_t i = 0; i < raw.n; i += 3) {
        size_t left = raw.n - i;
        uint32_t v = (uint32_t)raw.p[i] << 16;
        v |= left > 1 ? (uint32_t)raw.p[i + 1] << 8 : 0;
        v |= left > 2 ? raw.p[i + 2] : 0;
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63]};
        for (size_t k = left < 3 ? left + 1 : 4; k < 4; k++)
            four[k] = '=';
        buf_add(b, four, sizeof four);
    }
    buf_add_text(b, "\"");
}

static void put_numbers(struct buf *b, struct bytes raw)
{
    for (size_t i = 0; i < raw.n; i += 4)
        buf_add_format(b, "%s%.9g", i ? "," : "[", (double)arith_of_bits(load_le32(raw.p + i)));
    buf_add_text(b, "]");
}

static void reply(struct embeddings *e)
{
    struct buf b = {0};
    openai_name_ignored(e->request, e->body, OPENAI_EMBEDDING);
    buf_add_text(&b, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; i < e->n; i++) {
        buf_add_format(&b, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i ? "," : "", i);
        if (e->is_base64)
            put_base64(&b, bytes_of_buf(&e->input[i].values));
        else
            put_numbers(&b, bytes_of_buf(&e->input[i].values));
        buf_add_text(&b, "}");
    }
    buf_add_text(&b, "],\"model\":");
    codec_json_string(&b, e->model, strlen(e->model));
    buf_add_format(&b, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu},\"kith\":{\"model\":",
                   (unsigned long long)e->tokens, (unsigned long long)e->tokens);
    codec_json_hash(&b, &e->root);
    buf_add_text(&b, ",\"digests\":[");
    for (uint32_t i = 0; i < e->n; i++) {
        buf_add_text(&b, i ? "," : "");
        codec_json_hash(&b, &e->input[i].digest);
    }
    buf_add_text(&b, "]}}");
    api_reply_json(e->request, 200, &b);
}

/* -- asking -- */

static void ask_more(struct embeddings *e);

static void fail(struct embeddings *e, enum err error, const struct note *note)
{
    openai_refuse(e->request, error, "input", note->text);
    embeddings_free(e);
}

static void on_vector(void *arg, enum err error, const struct worker_embedding *v, const struct note *note)
{
    struct input *in = arg;
    struct embeddings *e = in->all;
    in->ask = 0;
    if (error != ERR_OK) {
        fail(e, error, note);
        return;
    }
    buf_add(&in->values, v->values.p, v->values.n);
    in->digest = v->digest;
    e->tokens += v->tokens;
    if (++e->done < e->n) {
        ask_more(e);
        return;
    }
    reply(e);
    embeddings_free(e);
}

static void on_ids(void *arg, enum err error, struct bytes ids, const struct note *note)
{
    struct input *in = arg;
    struct embeddings *e = in->all;
    struct note empty;
    in->ask = 0;
    if (error == ERR_OK && ids.n == 0) {
        error = note_set(&empty, ERR_FORMAT, "input %u has no tokens", (unsigned)(in - e->input));
        note = &empty;
    }
    if (error != ERR_OK)
        fail(e, error, note);
    else
        in->ask = worker_embed(e->worker, ids, e->dimensions, on_vector, in);
}

static void ask_more(struct embeddings *e)
{
    while (e->asked < e->n && e->asked - e->done < AT_ONCE) {
        struct input *in = &e->input[e->asked];
        struct openai_input one = openai_input_at(e->body, "input", e->asked++, &in->ids);
        in->all = e;
        in->ask = one.text ? worker_tokenize(e->worker, bytes_of_text(one.text), false, on_ids, in)
                           : worker_embed(e->worker, one.ids, e->dimensions, on_vector, in);
    }
}

static void on_client_gone(void *arg, struct http_request *r)
{
    (void)r;
    embeddings_free(arg);
}

/* -- reading -- */

static enum err read_format(json_t *body, bool *is_base64, struct note *note)
{
    json_t *v = json_object_get(body, "encoding_format");
    const char *format = json_string_value(v);
    *is_base64 = format && strcmp(format, "base64") == 0;
    if (json_is_given(v) && !*is_base64 && (!format || strcmp(format, "float") != 0))
        return note_set(note, ERR_FORMAT, "encoding_format must be float or base64");
    return ERR_OK;
}

static enum err read_dimensions(json_t *body, uint32_t *out, struct note *note)
{
    json_t *v = json_object_get(body, "dimensions");
    if (!json_is_given(v))
        return ERR_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > EMBED_MAX)
        return note_set(note, ERR_RANGE, "dimensions must be a whole number from 1 to those that the model has");
    *out = (uint32_t)json_integer_value(v);
    return ERR_OK;
}

static enum err read_request(struct embeddings *e, struct note *note)
{
    const char *model = json_text(e->body, "model");
    uint32_t n = 0;
    if (!model || !*model)
        return note_set(note, ERR_FORMAT, "model is missing: name one of GET /v1/models");
    e->model = mem_string(model);
    enum err error = openai_read_inputs(e->body, "input", EMBED_INPUTS_MAX, &n, note);
    if (error == ERR_OK)
        error = read_format(e->body, &e->is_base64, note);
    if (error == ERR_OK)
        error = read_dimensions(e->body, &e->dimensions, note);
    if (error == ERR_OK)
        error = openai_find_worker(e->node, e->model, "embeddings", &e->root, &e->worker, note);
    if (error != ERR_OK)
        return error;
    e->n = n;
    e->input = mem_array(n, sizeof *e->input);
    return ERR_OK;
}

void api_openai_embeddings(struct api_call *call)
{
    struct note note = {{0}};
    json_t *body = api_body(call->request);
    if (!body)
        return;
    struct embeddings *e = mem_new(sizeof *e);
    *e = (struct embeddings){.node = call->node, .request = call->request, .body = body};
    enum err error = read_request(e, &note);
    if (error != ERR_OK) {
        fail(e, error, &note);
        return;
    }
    http_on_gone(e->request, on_client_gone, e);
    ask_more(e);
}
