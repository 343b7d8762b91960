/* Calls of tools in OpenAI's API: what a request may say about them, and the calls in a model's answer.
 *
 * A model says a call in the words that it was trained on, mostly behind a mark that its template or its vocabulary
 * shows (enum call_form of base/answer_form.h; node/api/tool_forms.c reads them). Without any mark these are read:
 *
 *     {"name":..,"parameters":{..}}; ...                            Llama 3, <|python_tag|> may stand in front
 *     [{"name":..,"arguments":{..}}, ..]
 *     [NAME(key=value, ..), ..]                                     Llama 4
 *     NAME{..}                                                      also NAME[ARGS]{..}, and NAME in a line of its own
 *
 * gpt-oss says calls in channels (base/harmony.h), which are told apart first (node/api/answer_parts.h).
 *
 * A call is one only of a tool that the request has, and only where all that looks like calls can be read; anything
 * else is text. A call that is to be forced is a schema that the answer keeps to, of the second form. Pure: no state,
 * no I/O. */
#ifndef KITH_NODE_TOOL_CALLS_H
#define KITH_NODE_TOOL_CALLS_H

#include "base/json.h"
#include "base/key.h"

/* What a tool may be called. NULL is no name. */
bool tool_calls_is_name(const char *name);

/* An answer that has to be one call. */
struct tool_forced {
    json_t *call;      /* the schema of an answer that says which; NULL where the model is free */
    const char *name;  /* where it can be only one (borrowed from the body), else NULL, */
    json_t *arguments; /* and the schema of its arguments alone */
};
void tool_forced_clear(struct tool_forced *f);
/* `tools`, `tool_choice` and `parallel_tool_calls` of a request, in which a choice of allowed tools leaves those:
 * *tools (borrowed from the body) is what the template and the reading of the answer get, NULL for none. *forced
 * (tool_forced_clear): of any tool or of the one that is named. A tool whose parameters no schema here can state is
 * called with any object, unless it is `strict`. */
enum err tool_calls_read(json_t *body, const json_t **tools, bool *one_only, struct tool_forced *forced,
                         struct note *note) MUST_USE;

/* The calls of a whole answer as [{"name":..,"arguments":"TEXT OF JSON"}, ..], or NULL (json_decref). `forms`: bit i is
 * enum call_form i, beside those that are always read. *content_n: bytes of the answer in front of them that are text
 * for people, none where these are white space, all of it without calls. */
json_t *tool_calls_find(const json_t *tools, uint32_t forms, struct bytes answer, size_t *content_n);
/* Adds a call to a list of that form, of one of the tools, with the text of an object; false where it is none. */
bool tool_calls_add(json_t *calls, const json_t *tools, struct bytes name, struct bytes arguments);
/* Of an answer that is not over: bytes that will be text for people whatever follows. */
size_t tool_calls_sure(const json_t *tools, uint32_t forms, struct bytes answer);

/* The id of a job's call: nine letters and digits, as some templates want them, the same each time for one job. */
void tool_calls_print_id(struct buf *out, const struct hash *job, size_t index);
/* Appends the value of OpenAI's `tool_calls`. */
void tool_calls_print(struct buf *out, const json_t *calls, const struct hash *job);
/* The i-th of them in a chunk of a stream: which call it is, without its arguments, or these. */
void tool_calls_print_delta(struct buf *out, const json_t *calls, const struct hash *job, size_t i, bool arguments);

#endif
