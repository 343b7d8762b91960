/* Answers to /v1/responses, as OpenAI's clients expect them: one object with its items (what was thought, a message,
 * what was thought behind its beginning, calls of tools), or events that say how it comes to be. Each event has its
 * type and its number in the stream:
 *
 *     response.created, response.in_progress
 *     response.output_item.added, response.content_part.added       what was thought, with its first text
 *         response.reasoning_text.delta ...
 *     response.reasoning_text.done, response.content_part.done, response.output_item.done
 *     response.output_item.added, response.content_part.added       the message, with its first text or at its end
 *         response.output_text.delta ...
 *     response.output_text.done, response.content_part.done, response.output_item.done
 *     response.output_item.added                                    each call, when all of the answer is known
 *         response.function_call_arguments.delta, response.function_call_arguments.done
 *     response.output_item.done
 *     response.completed | response.incomplete | response.failed    which has all of it
 */
#include "node/api/api_openai_answer.h"

#include "base/codec.h"

#include <inttypes.h>
#include <string.h>

/* -- pieces of JSON -- */

static void put_job(struct buf *b, const struct hash *job)
{
    char id[65];
    hex_put(id, job->b, sizeof job->b);
    buf_add_text(b, id);
}

static void put_text(struct buf *b, const char *name, const char *text, size_t n)
{
    buf_add_format(b, ",\"%s\":", name);
    codec_json_string(b, text, n);
}

/* Tokens from `place` on: a stream goes on where it was, a whole text begins with the first. */
static void put_logprobs(struct buf *b, const struct job_view *v, struct openai_place *place)
{
    buf_add_text(b, ",\"logprobs\":");
    openai_put_logprobs(b, OPENAI_RESPONSE, v->logprobs, v->logprobs_each, openai_tokens_told(v), place, NULL);
}

static void put_part(struct buf *b, const struct job_view *v, size_t n)
{
    struct openai_place whole = {0};
    buf_add_text(b, "{\"type\":\"output_text\",\"annotations\":[]");
    put_text(b, "text", v->text, n);
    if (n)
        put_logprobs(b, v, &whole);
    else
        buf_add_text(b, ",\"logprobs\":[]");
    buf_add_text(b, "}");
}

/* A message whose text is n bytes; none yet where it is only begun. */
static void put_message(struct buf *b, const struct choice *c, const struct job_view *v, const char *status, size_t n)
{
    buf_add_text(b, "{\"id\":\"msg_");
    put_job(b, &c->job);
    buf_add_format(b, "\",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[", status);
    if (strcmp(status, "in_progress") != 0)
        put_part(b, v, n);
    buf_add_text(b, "]}");
}

/* -- what was thought: in front of the message, and, where it went on behind its beginning, once more -- */

static struct bytes thought_of(const struct choice *c, unsigned which)
{
    const struct answer_parts *p = &c->parts;
    const size_t first = p->thought_first, between = first ? strlen("\n\n") : 0; /* as they are joined */
    if (which == 0)
        return bytes_of(p->thought.p, first);
    return p->thought.n > first ? bytes_of(p->thought.p + first + between, p->thought.n - first - between)
                                : bytes_of(NULL, 0);
}

static void put_thought_id(struct buf *b, const struct choice *c, unsigned which)
{
    buf_add_text(b, "rs_");
    put_job(b, &c->job);
    buf_add_text(b, which ? "_1" : "");
}

static void put_thought_part(struct buf *b, struct bytes text)
{
    buf_add_text(b, "{\"type\":\"reasoning_text\"");
    put_text(b, "text", (const char *)text.p, text.n);
    buf_add_text(b, "}");
}

static void put_thought(struct buf *b, const struct choice *c, unsigned which, const char *status)
{
    buf_add_text(b, "{\"id\":\"");
    put_thought_id(b, c, which);
    buf_add_format(b, "\",\"type\":\"reasoning\",\"status\":\"%s\",\"summary\":[],\"content\":[", status);
    if (strcmp(status, "in_progress") != 0)
        put_thought_part(b, thought_of(c, which));
    buf_add_text(b, "]}");
}

static void put_call_id(struct buf *b, const struct choice *c, size_t i)
{
    buf_add_text(b, "fc_");
    put_job(b, &c->job);
    buf_add_format(b, "_%zu", i);
}

static void put_call(struct buf *b, const struct choice *c, size_t i, bool is_over)
{
    const json_t *call = json_array_get(c->calls, i);
    const char *name = json_text(call, "name"), *arguments = is_over ? json_text(call, "arguments") : "";
    buf_add_text(b, "{\"id\":\"");
    put_call_id(b, c, i);
    buf_add_text(b, "\",\"call_id\":\"");
    tool_calls_print_id(b, &c->job, i);
    buf_add_format(b, "\",\"type\":\"function_call\",\"status\":\"%s\"", is_over ? "completed" : "in_progress");
    put_text(b, "name", name, strlen(name));
    put_text(b, "arguments", arguments, strlen(arguments));
    buf_add_text(b, "}");
}

/* Why an answer is not complete, or NULL where it is. */
static const char *why_incomplete(const struct choice *c, const struct job_view *v)
{
    const char *reason = openai_finish_reason(c, v);
    return strcmp(reason, "length") == 0 ? "max_output_tokens" : strcmp(reason, "content_filter") == 0 ? reason : NULL;
}

static const char *status_of(const struct choice *c, const struct job_view *v)
{
    return v->state == JOB_FAILED         ? "failed"
           : v->state != JOB_DONE         ? "in_progress"
           : why_incomplete(c, v) != NULL ? "incomplete"
                                          : "completed";
}

/* A call or a thought alone is no message. */
static bool has_message(const struct choice *c, size_t ready)
{
    return ready > 0 || (!c->calls && c->parts.thought.n == 0);
}

/* Where the items are, of those that there are. */
struct places {
    bool message;
    size_t message_at, late_at, calls_at;
};

static struct places places_of(const struct choice *c, size_t ready)
{
    struct places p = {.message = has_message(c, ready), .message_at = thought_of(c, 0).n > 0};
    p.late_at = p.message_at + p.message;
    p.calls_at = p.late_at + (thought_of(c, 1).n > 0);
    return p;
}

/* A thought that nothing followed ended as the answer did. */
static const char *thought_status(const struct choice *c, const struct job_view *v, size_t ready)
{
    return ready == 0 && !c->calls ? status_of(c, v) : "completed";
}

static void put_output(struct buf *b, const struct choice *c, const struct job_view *v, size_t ready)
{
    const struct places p = places_of(c, ready);
    if (p.message_at)
        put_thought(b, c, 0, thought_status(c, v, ready));
    if (p.message) {
        buf_add_text(b, p.message_at ? "," : "");
        put_message(b, c, v, status_of(c, v), ready);
    }
    if (p.calls_at > p.late_at) {
        buf_add_text(b, p.late_at ? "," : "");
        put_thought(b, c, 1, "completed");
    }
    for (size_t i = 0; i < json_array_size(c->calls); i++) {
        buf_add_text(b, p.calls_at + i ? "," : "");
        put_call(b, c, i, true);
    }
}

static void put_usage(struct buf *b, const struct answer *a)
{
    buf_add_format(b,
                   ",\"usage\":{\"input_tokens\":%" PRIu64 ",\"input_tokens_details\":{\"cached_tokens\":%" PRIu64
                   ",\"cache_write_tokens\":0},\"output_tokens\":%" PRIu64
                   ",\"output_tokens_details\":{\"reasoning_tokens\":%" PRIu64 "},\"total_tokens\":%" PRIu64 "}",
                   a->usage.prompt, a->usage.cached, a->usage.written, a->usage.thought,
                   a->usage.prompt + a->usage.written);
}

/* What is known when all of the answer is. */
static void put_end(struct buf *b, const struct choice *c, const struct job_view *v, size_t ready)
{
    const char *why = why_incomplete(c, v);
    if (why)
        buf_add_format(b, ",\"completed_at\":null,\"error\":null,\"incomplete_details\":{\"reason\":\"%s\"}", why);
    else
        buf_add_format(b, ",\"completed_at\":%" PRIu64 ",\"error\":null,\"incomplete_details\":null",
                       v->done_ms / 1000);
    buf_add_text(b, ",\"output\":[");
    put_output(b, c, v, ready);
    buf_add_text(b, "]");
    put_usage(b, c->answer);
    openai_put_kith(b, v);
}

static void put_error(struct buf *b, const struct job_view *v)
{
    buf_add_text(b, ",\"completed_at\":null,\"error\":{\"code\":\"server_error\"");
    put_text(b, "message", v->error, strlen(v->error));
    buf_add_text(b, "},\"incomplete_details\":null,\"output\":[],\"usage\":null");
}

static void put_response(struct buf *b, const struct choice *c, const struct job_view *v, const char *status,
                         size_t ready)
{
    const struct answer *a = c->answer;
    buf_add_text(b, "{\"id\":\"resp_");
    put_job(b, &c->job);
    buf_add_format(b, "\",\"object\":\"response\",\"created_at\":%" PRIu64 ",\"status\":\"%s\"", v->made_ms / 1000,
                   status);
    put_text(b, "model", a->model, strlen(a->model));
    buf_add(b, a->echo.p, a->echo.n);
    if (strcmp(status, "failed") == 0)
        put_error(b, v);
    else if (strcmp(status, "in_progress") == 0)
        buf_add_text(b,
                     ",\"completed_at\":null,\"error\":null,\"incomplete_details\":null,\"output\":[],\"usage\":null");
    else
        put_end(b, c, v, ready);
    buf_add_text(b, "}");
}

/* -- a stream -- */

static void begin_event(struct buf *b, struct answer *a, const char *type)
{
    buf_add_format(b, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%" PRIu64, type, type, a->events++);
}

static void end_event(struct buf *b)
{
    buf_add_text(b, "}\n\n");
}

static void add_response(struct buf *b, struct choice *c, const struct job_view *v, const char *type,
                         const char *status, size_t ready)
{
    begin_event(b, c->answer, type);
    buf_add_text(b, ",\"response\":");
    put_response(b, c, v, status, ready);
    end_event(b);
}

/* Where in the answer an event about the message's text is. */
static void begin_text_event(struct buf *b, struct choice *c, const char *type)
{
    begin_event(b, c->answer, type);
    buf_add_text(b, ",\"item_id\":\"msg_");
    put_job(b, &c->job);
    buf_add_format(b, "\",\"output_index\":%zu,\"content_index\":0", places_of(c, 1).message_at);
}

static void add_message_item(struct buf *b, struct choice *c, const struct job_view *v, const char *type,
                             const char *status, size_t n)
{
    begin_event(b, c->answer, type);
    buf_add_format(b, ",\"output_index\":%zu,\"item\":", places_of(c, 1).message_at);
    put_message(b, c, v, status, n);
    end_event(b);
}

static void add_part(struct buf *b, struct choice *c, const struct job_view *v, const char *type, size_t n)
{
    begin_text_event(b, c, type);
    buf_add_text(b, ",\"part\":");
    put_part(b, v, n);
    end_event(b);
}

static void begin_message(struct buf *b, struct choice *c, const struct job_view *v)
{
    c->started = true;
    add_message_item(b, c, v, "response.output_item.added", "in_progress", 0);
    add_part(b, c, v, "response.content_part.added", 0);
}

static void add_delta(struct buf *b, struct choice *c, const struct job_view *v, size_t ready)
{
    begin_text_event(b, c, "response.output_text.delta");
    put_text(b, "delta", v->text + c->sent, ready - c->sent);
    put_logprobs(b, v, &c->logprobs);
    end_event(b);
    c->sent = ready;
}

static void end_message(struct buf *b, struct choice *c, const struct job_view *v, size_t n)
{
    struct openai_place whole = {0};
    begin_text_event(b, c, "response.output_text.done");
    put_text(b, "text", v->text, n);
    put_logprobs(b, v, &whole);
    end_event(b);
    add_part(b, c, v, "response.content_part.done", n);
    add_message_item(b, c, v, "response.output_item.done", status_of(c, v), n);
}

static void begin_thought_event(struct buf *b, struct choice *c, unsigned which, size_t place, const char *type)
{
    begin_event(b, c->answer, type);
    buf_add_text(b, ",\"item_id\":\"");
    put_thought_id(b, c, which);
    buf_add_format(b, "\",\"output_index\":%zu,\"content_index\":0", place);
}

static void add_thought_item(struct buf *b, struct choice *c, unsigned which, size_t place, const char *type,
                             const char *status)
{
    begin_event(b, c->answer, type);
    buf_add_format(b, ",\"output_index\":%zu,\"item\":", place);
    put_thought(b, c, which, status);
    end_event(b);
}

static void add_thought_part(struct buf *b, struct choice *c, unsigned which, size_t place, const char *type,
                             struct bytes text)
{
    begin_thought_event(b, c, which, place, type);
    buf_add_text(b, ",\"part\":");
    put_thought_part(b, text);
    end_event(b);
}

static void begin_thought(struct buf *b, struct choice *c, unsigned which, size_t place)
{
    add_thought_item(b, c, which, place, "response.output_item.added", "in_progress");
    add_thought_part(b, c, which, place, "response.content_part.added", bytes_of(NULL, 0));
}

static void add_thought_delta(struct buf *b, struct choice *c, unsigned which, size_t place, struct bytes text)
{
    begin_thought_event(b, c, which, place, "response.reasoning_text.delta");
    put_text(b, "delta", (const char *)text.p, text.n);
    end_event(b);
}

static void end_thought(struct buf *b, struct choice *c, unsigned which, size_t place, const char *status)
{
    const struct bytes all = thought_of(c, which);
    begin_thought_event(b, c, which, place, "response.reasoning_text.done");
    put_text(b, "text", (const char *)all.p, all.n);
    end_event(b);
    add_thought_part(b, c, which, place, "response.content_part.done", all);
    add_thought_item(b, c, which, place, "response.output_item.done", status);
}

/* What was thought in front of the message, as it comes; it is over when something is said. */
static void add_first_thought(struct buf *b, struct choice *c, const struct job_view *v, size_t ready)
{
    const struct bytes all = thought_of(c, 0);
    if (all.n > c->thought_sent) {
        if (c->thought_sent == 0)
            begin_thought(b, c, 0, 0);
        add_thought_delta(b, c, 0, 0, bytes_of(all.p + c->thought_sent, all.n - c->thought_sent));
        c->thought_sent = all.n;
    }
    if (all.n == 0 || c->thought_over || (ready == 0 && v->state != JOB_DONE))
        return;
    c->thought_over = true;
    end_thought(b, c, 0, 0, thought_status(c, v, ready));
}

static void begin_call_event(struct buf *b, struct choice *c, size_t i, size_t place, const char *type)
{
    begin_event(b, c->answer, type);
    buf_add_text(b, ",\"item_id\":\"");
    put_call_id(b, c, i);
    buf_add_format(b, "\",\"output_index\":%zu", place);
}

static void add_call_item(struct buf *b, struct choice *c, size_t i, size_t place, const char *type, bool is_over)
{
    begin_event(b, c->answer, type);
    buf_add_format(b, ",\"output_index\":%zu,\"item\":", place);
    put_call(b, c, i, is_over);
    end_event(b);
}

static void add_call(struct buf *b, struct choice *c, size_t i, size_t place)
{
    const char *name = json_text(json_array_get(c->calls, i), "name");
    const char *arguments = json_text(json_array_get(c->calls, i), "arguments");
    add_call_item(b, c, i, place, "response.output_item.added", false);
    begin_call_event(b, c, i, place, "response.function_call_arguments.delta");
    put_text(b, "delta", arguments, strlen(arguments));
    end_event(b);
    begin_call_event(b, c, i, place, "response.function_call_arguments.done");
    put_text(b, "name", name, strlen(name));
    put_text(b, "arguments", arguments, strlen(arguments));
    end_event(b);
    add_call_item(b, c, i, place, "response.output_item.done", true);
}

static void add_end(struct buf *b, struct choice *c, const struct job_view *v, size_t ready)
{
    const struct places p = places_of(c, ready);
    if (p.message && !c->started)
        begin_message(b, c, v);
    if (p.message)
        end_message(b, c, v, ready);
    if (p.calls_at > p.late_at) {
        begin_thought(b, c, 1, p.late_at);
        add_thought_delta(b, c, 1, p.late_at, thought_of(c, 1));
        end_thought(b, c, 1, p.late_at, "completed");
    }
    for (size_t i = 0; i < json_array_size(c->calls); i++)
        add_call(b, c, i, p.calls_at + i);
    add_response(b, c, v, why_incomplete(c, v) ? "response.incomplete" : "response.completed", status_of(c, v), ready);
}

void openai_put_response_events(struct buf *b, struct choice *c, const struct job_view *v, size_t ready)
{
    if (c->answer->events == 0) {
        add_response(b, c, v, "response.created", "in_progress", 0);
        add_response(b, c, v, "response.in_progress", "in_progress", 0);
    }
    add_first_thought(b, c, v, ready);
    if (ready > c->sent && !c->started)
        begin_message(b, c, v);
    if (ready > c->sent)
        add_delta(b, c, v, ready);
    if (v->state == JOB_DONE)
        add_end(b, c, v, ready);
    else if (v->state == JOB_FAILED)
        add_response(b, c, v, "response.failed", status_of(c, v), ready);
}

static bool send(struct choice *c, const struct job_view *v, size_t ready)
{
    struct buf b = {0};
    openai_put_response_events(&b, c, v, ready);
    bool good = http_stream_put(c->answer->request, bytes_of_buf(&b));
    buf_clear(&b);
    return good;
}

/* The last event was the end of its only answer. */
static bool send_end(struct answer *a, const struct job_view *v)
{
    (void)a;
    (void)v;
    return true;
}

static bool send_error(struct answer *a, const struct job_view *v)
{
    return send(&a->choice[0], v, a->choice[0].sent);
}

/* -- a whole answer -- */

static void put_choice(struct choice *c, const struct job_view *v)
{
    size_t ready = openai_text_ready(c, v);
    put_response(&c->json, c, v, status_of(c, v), ready);
}

static void put_whole(struct buf *b, const struct answer *a, uint64_t made_ms)
{
    (void)made_ms; /* it says itself when it was made */
    buf_add(b, a->choice[0].json.p, a->choice[0].json.n);
}

const struct openai_form openai_form_response = {.kind = OPENAI_RESPONSE,
                                                 .prompt = "input",
                                                 .read = openai_read_response,
                                                 .send = send,
                                                 .send_end = send_end,
                                                 .send_error = send_error,
                                                 .put_choice = put_choice,
                                                 .put_whole = put_whole};
