/* What the files of the API's OpenAI half share: requests as they are read (api_openai_ask.c), logprobs
 * (api_openai_logprobs.c), embeddings (api_openai_embed.c). Answers: node/api/api_openai_answer.h. */
#ifndef KITH_NODE_API_OPENAI_H
#define KITH_NODE_API_OPENAI_H

#include "node/api/api.h"
#include "node/market/jobs.h"
#include "node/api/tool_calls.h"

/* Forms of requests: which fields each has. */
enum { OPENAI_CHAT = 1, OPENAI_COMPLETION = 2, OPENAI_RESPONSE = 4, OPENAI_EMBEDDING = 8 };

/* Where a client wants what was thought. */
enum openai_thoughts {
    OPENAI_THOUGHTS_APART,   /* beside what is said, in `reasoning_content` or an item of its own */
    OPENAI_THOUGHTS_IN_TEXT, /* in the text, as the model wrote it */
    OPENAI_THOUGHTS_HIDDEN,
};

struct worker;

struct openai_ask {
    struct job_ask job; /* borrows from the body and from here; its prompt is set by openai_set_prompt */
    struct buf messages, stops, schema, biases, tools_text, variables, call_schema, ids;
    char *call;
    bool is_chat, stream, include_usage, one_call;
    enum openai_thoughts thoughts;
    bool echo_prompt, no_answer; /* of a completion: the prompt is told again; no token is asked for */
    uint32_t prompts_n, n;       /* prompts, and answers to each */
    const json_t *tools;         /* borrowed from the body, or from: */
    json_t *chat;                /* what a response's request has otherwise than a chat's, as a chat has it */
    struct buf echo; /* of a response: the members of the answer that repeat its request, a comma in front of each */
};
void openai_ask_init(struct openai_ask *a);
void openai_ask_clear(struct openai_ask *a);
enum err openai_read_chat(json_t *body, struct openai_ask *a, struct note *note) MUST_USE;
enum err openai_read_completion(json_t *body, struct openai_ask *a, struct note *note) MUST_USE;
/* api_openai_response_ask.c */
enum err openai_read_response(json_t *body, struct openai_ask *a, struct note *note) MUST_USE;
/* The i-th prompt of a completion becomes that of `job`, until the next call. */
void openai_set_prompt(const json_t *body, struct openai_ask *a, uint32_t i);
/* Names the fields that nobody reads in a header of the answer. */
void openai_name_ignored(struct http_request *r, json_t *body, unsigned form);
/* Why there is no answer, of a job that was made. ERR_LIMIT is a prompt that is too long, ERR_NOT_FOUND a model;
 * `prompt`: the field that the prompt is in. A text about a field begins with its name. */
void openai_fail(struct http_request *r, enum err e, const char *prompt, const char *text);
/* The same before there is one: ERR_BUSY is that we have too many. */
void openai_refuse(struct http_request *r, enum err e, const char *prompt, const char *text);

/* -- for who reads requests -- */
/* What all forms have that are answered by jobs: model, stream, sampling, stops, `kith`. One answer to one prompt. */
enum err openai_read_common(json_t *body, struct openai_ask *a, struct note *note) MUST_USE;
/* The form that an answer is to have: {"type":"text"}, {"type":"json_object"}, or {"type":"json_schema"} with the
 * `schema` in `holder`. Into *schema, which stays empty for text. */
enum err openai_read_format(const json_t *format, const json_t *holder, const char *called, const char *holder_called,
                            struct buf *schema, struct note *note) MUST_USE;
/* `tools` and how they are to be called, of a chat's body, from which is borrowed. A call that has to be made replaces
 * the schema that was there. */
enum err openai_read_tools(json_t *body, struct openai_ask *a, struct note *note) MUST_USE;

/* What the template is told beside messages and tools: `chat_template_kwargs`, and how much it is to think, or NULL. */
enum err openai_read_variables(const json_t *body, const char *effort, const char *effort_called, struct openai_ask *a,
                               struct note *note) MUST_USE;

/* `reasoning_format` and `include_reasoning`. */
enum err openai_read_thoughts(json_t *body, struct openai_ask *a, struct note *note) MUST_USE;

/* api_openai_messages.c: whether a template can make a prompt of them. */
enum err openai_check_messages(const json_t *list, struct note *note) MUST_USE;

/* api_openai_items.c: the `instructions` and the `input` of a response as messages, into a list. */
enum err openai_read_items(json_t *instructions, json_t *input, json_t *messages, struct note *note) MUST_USE;

/* api_openai_bias.c: {"TOKEN":NUMBER,..} as a request has them; what is null or zero is left out. */
enum err openai_read_biases(json_t *object, struct buf *out, struct note *note) MUST_USE;

/* A member that is a text, a list of tokens, or a list of these: checked, counted; and the i-th. */
struct openai_input {
    const char *text; /* NULL: tokens */
    struct bytes ids; /* u32 little-endian each, in the buffer that was given */
};
enum err openai_read_inputs(json_t *body, const char *name, uint32_t most, uint32_t *n, struct note *note) MUST_USE;
struct openai_input openai_input_at(const json_t *body, const char *name, uint32_t i, struct buf *ids);

/* A prompt that is told again (api_openai_echo.c). */
struct openai_told {
    struct buf text, ids;
    struct buf logprobs; /* of each of the ids, where they are asked for; the first has none but its text */
};
void openai_told_clear(struct openai_told *t);

/* Where a client stands in the logprobs of an answer. */
struct openai_place {
    size_t at;       /* in the blob */
    uint32_t tokens; /* told */
    uint32_t chars;  /* of their texts, behind those of the prompt that was told */
};
/* The value of `logprobs` with the next tokens up to `end` of them, as the form has it where there are none. `told`: of
 * a completion whose prompt is told now, in front; or NULL. */
void openai_put_logprobs(struct buf *b, unsigned form, struct bytes blob, unsigned each, uint32_t end,
                         struct openai_place *place, const struct openai_told *told);

/* The worker of a model that is on this machine, and what a name means. ERR_NOT_FOUND: it is not; `what` needs it. */
enum err openai_find_worker(struct node *n, const char *model, const char *what, struct hash *root, struct worker **out,
                            struct note *note) MUST_USE;

#endif
