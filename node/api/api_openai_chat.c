/* Answers to chats and completions, as OpenAI's clients expect them: one object, or chunks of one and [DONE]. */
#include "node/api/api_openai_answer.h"

#include "base/codec.h"

#include <inttypes.h>
#include <string.h>

static bool is_chat(const struct answer *a)
{
    return a->form == &openai_form_chat;
}

/* -- pieces of JSON -- */

static void put_head(struct buf *b, const struct answer *a, uint64_t made_ms, bool is_chunk)
{
    char id[65];
    hex_put(id, a->choice[0].job.b, sizeof a->choice[0].job.b);
    const char *object = !is_chat(a) ? "text_completion" : is_chunk ? "chat.completion.chunk" : "chat.completion";
    buf_add_format(b, "{\"id\":\"%s-%s\",\"object\":\"%s\",\"created\":%" PRIu64 ",\"model\":",
                   is_chat(a) ? "chatcmpl" : "cmpl", id, object, made_ms / 1000);
    codec_json_string(b, a->model, strlen(a->model));
}

static void put_usage(struct buf *b, const struct answer *a)
{
    buf_add_format(b,
                   "\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                   ",\"total_tokens\":%" PRIu64 ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}",
                   a->usage.prompt, a->usage.written, a->usage.prompt + a->usage.written, a->usage.cached);
    if (is_chat(a))
        buf_add_format(b, ",\"completion_tokens_details\":{\"reasoning_tokens\":%" PRIu64 "}", a->usage.thought);
    buf_add_text(b, "}");
}

/* Those of the tokens that came since the last time. */
static void put_logprobs(struct buf *b, struct choice *c, const struct job_view *v)
{
    buf_add_text(b, "\"logprobs\":");
    openai_put_logprobs(b, c->answer->form->kind, v->logprobs, v->logprobs_each, openai_tokens_told(v), &c->logprobs,
                        NULL);
}

/* -- a stream -- */

/* Of each chunk but the last, where the last one has it. */
static const char no_usage[] = ",\"usage\":null";

static bool send_event(struct answer *a, struct buf *json)
{
    struct buf frame = {0};
    buf_add_format(&frame, "data: %s\n\n", buf_text(json));
    bool good = http_stream_put(a->request, bytes_of_buf(&frame));
    buf_clear(&frame);
    buf_clear(json);
    return good;
}

/* `member`: what of the message the text is. */
static void put_delta(struct buf *b, const struct choice *c, const char *member, const char *text, size_t n, bool last)
{
    buf_add_text(b, "\"delta\":{");
    if (!c->started)
        buf_add_text(b, "\"role\":\"assistant\",");
    if (!last) {
        buf_add_format(b, "\"%s\":", member);
        codec_json_string(b, text, n);
    } else if (!c->started)
        buf_add_text(b, "\"content\":\"\"");
    buf_add_text(b, "},");
}

static bool send_chunk(struct choice *c, const struct job_view *v, const char *member, const char *text, size_t n,
                       bool last)
{
    struct answer *a = c->answer;
    struct buf b = {0};
    put_head(&b, a, v->made_ms, true);
    buf_add_format(&b, ",\"choices\":[{\"index\":%u,", c->index);
    if (is_chat(a)) {
        put_delta(&b, c, member, text, n, last);
    } else {
        buf_add_text(&b, "\"text\":");
        codec_json_string(&b, text, n);
        buf_add_text(&b, ",");
    }
    put_logprobs(&b, c, v);
    buf_add_format(&b, last ? ",\"finish_reason\":\"%s\"}]" : ",\"finish_reason\":null}]",
                   last ? openai_finish_reason(c, v) : "");
    if (a->include_usage)
        buf_add_text(&b, no_usage);
    if (last && !hash_is_zero(&v->id))
        openai_put_kith(&b, v);
    buf_add_text(&b, "}");
    c->started = true;
    return send_event(a, &b);
}

static bool send_call(struct choice *c, const struct job_view *v, size_t i, bool arguments)
{
    struct buf b = {0};
    put_head(&b, c->answer, v->made_ms, true);
    buf_add_format(&b, ",\"choices\":[{\"index\":%u,\"delta\":{", c->index);
    if (!c->started)
        buf_add_text(&b, "\"role\":\"assistant\",\"content\":null,");
    buf_add_text(&b, "\"tool_calls\":[");
    tool_calls_print_delta(&b, c->calls, &c->job, i, arguments);
    buf_add_text(&b, "]},\"logprobs\":null,\"finish_reason\":null}]");
    buf_add_text(&b, c->answer->include_usage ? no_usage : "");
    buf_add_text(&b, "}");
    c->started = true;
    return send_event(c->answer, &b);
}

/* As OpenAI's API has it: which call it is, then its arguments. */
static bool send_calls(struct choice *c, const struct job_view *v)
{
    for (size_t i = 0; i < json_array_size(c->calls); i++)
        if (!send_call(c, v, i, false) || !send_call(c, v, i, true))
            return false;
    return true;
}

static bool send_end(struct answer *a, const struct job_view *v)
{
    static const char done[] = "data: [DONE]\n\n";
    struct buf b = {0};
    bool good = true;
    if (a->include_usage) {
        put_head(&b, a, v->made_ms, true);
        buf_add_text(&b, ",\"choices\":[],");
        put_usage(&b, a);
        buf_add_text(&b, "}");
        good = send_event(a, &b);
    }
    return good && http_stream_put(a->request, bytes_of_text(done));
}

static bool send_error(struct answer *a, const struct job_view *v)
{
    struct buf b = {0};
    http_put_error(&b, 500, api_code(v->code), NULL, v->error);
    return send_event(a, &b);
}

/* The prompt, where it is told again: a chunk in front of all others. */
static bool send_told(struct choice *c, const struct job_view *v)
{
    struct answer *a = c->answer;
    struct buf b = {0};
    put_head(&b, a, v->made_ms, true);
    buf_add_format(&b, ",\"choices\":[{\"index\":%u,\"text\":", c->index);
    codec_json_string(&b, (const char *)c->told->text.p, c->told->text.n);
    buf_add_text(&b, ",\"logprobs\":");
    openai_put_logprobs(&b, OPENAI_COMPLETION, v->logprobs, a->logprobs_each, 0, &c->logprobs, c->told);
    buf_add_format(&b, ",\"finish_reason\":null}]%s}", a->include_usage ? no_usage : "");
    c->started = true;
    return send_event(a, &b);
}

static bool send_thought(struct choice *c, const struct job_view *v)
{
    const struct buf *thought = &c->parts.thought;
    size_t from = c->thought_sent;
    c->thought_sent = thought->n;
    return send_chunk(c, v, "reasoning_content", (const char *)thought->p + from, thought->n - from, false);
}

static bool send(struct choice *c, const struct job_view *v, size_t ready)
{
    if (is_chat(c->answer) && c->parts.thought.n > c->thought_sent && !send_thought(c, v))
        return false;
    if (c->told && !c->started && !send_told(c, v))
        return false;
    if (ready > c->sent) {
        bool good = send_chunk(c, v, "content", v->text + c->sent, ready - c->sent, false);
        c->sent = ready;
        if (!good)
            return false;
    }
    if (v->state != JOB_DONE)
        return true;
    return (!c->calls || send_calls(c, v)) && send_chunk(c, v, "content", "", 0, true);
}

/* -- a whole answer -- */

static void put_message(struct buf *b, struct choice *c, const struct job_view *v)
{
    size_t n = openai_text_ready(c, v);
    buf_add_text(b, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (n || !c->calls)
        codec_json_string(b, v->text, n);
    else
        buf_add_text(b, "null");
    if (c->parts.thought.n) {
        buf_add_text(b, ",\"reasoning_content\":");
        codec_json_string(b, buf_text(&c->parts.thought), c->parts.thought.n);
    }
    if (c->calls) {
        buf_add_text(b, ",\"tool_calls\":");
        tool_calls_print(b, c->calls, &c->job);
    }
    buf_add_text(b, ",\"refusal\":null},");
}

/* With the prompt in front, where it is told again. */
static void put_text(struct buf *b, struct choice *c, const struct job_view *v)
{
    struct buf all = {0};
    if (c->told)
        buf_add(&all, c->told->text.p, c->told->text.n);
    buf_add(&all, v->text, v->text_n);
    buf_add_text(b, "\"text\":");
    codec_json_string(b, (const char *)all.p, all.n);
    buf_add_text(b, ",\"logprobs\":");
    openai_put_logprobs(b, OPENAI_COMPLETION, v->logprobs, c->answer->logprobs_each, openai_tokens_told(v),
                        &c->logprobs, c->told);
    buf_clear(&all);
}

static void put_choice(struct choice *c, const struct job_view *v)
{
    struct buf *b = &c->json;
    buf_add_format(b, "%s{\"index\":%u,", c->index ? "," : "", c->index);
    if (is_chat(c->answer)) {
        put_message(b, c, v);
        put_logprobs(b, c, v);
    } else
        put_text(b, c, v);
    buf_add_format(b, ",\"finish_reason\":\"%s\"", openai_finish_reason(c, v));
    bool has_job = !hash_is_zero(&v->id);
    if (c->answer->n > 1 && has_job)
        openai_put_kith(b, v);
    buf_add_text(b, "}");
    if (c->index == 0 && has_job)
        openai_put_kith(&c->answer->kith, v);
}

static void put_whole(struct buf *b, const struct answer *a, uint64_t made_ms)
{
    put_head(b, a, made_ms, false);
    buf_add_text(b, ",\"choices\":[");
    for (unsigned i = 0; i < a->n; i++)
        buf_add(b, a->choice[i].json.p, a->choice[i].json.n);
    buf_add_text(b, "],");
    put_usage(b, a);
    buf_add(b, a->kith.p, a->kith.n);
    buf_add_text(b, "}");
}

const struct openai_form openai_form_chat = {.kind = OPENAI_CHAT,
                                             .prompt = "messages",
                                             .read = openai_read_chat,
                                             .send = send,
                                             .send_end = send_end,
                                             .send_error = send_error,
                                             .put_choice = put_choice,
                                             .put_whole = put_whole};
const struct openai_form openai_form_completion = {.kind = OPENAI_COMPLETION,
                                                   .prompt = "prompt",
                                                   .read = openai_read_completion,
                                                   .send = send,
                                                   .send_end = send_end,
                                                   .send_error = send_error,
                                                   .put_choice = put_choice,
                                                   .put_whole = put_whole};
