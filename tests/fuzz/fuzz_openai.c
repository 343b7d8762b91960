/* Bodies of requests in OpenAI's form, as JSON that a client sends: chats, completions, inputs of embeddings,
 * responses. The first byte chooses one. What is accepted has as many prompts as it says, and a prompt for each; a
 * response's items are messages that a chat would take. */
#include "base/json.h"
#include "base/limits.h"
#include "base/variables.h"
#include "node/api/api_openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMPTS_LOOKED_AT 8

/* What the template is to be told is within bounds, and a call that can only be one has its schemas. */
static void check_how(const struct openai_ask *a)
{
    struct note note = {{0}};
    json_t *variables = a->job.variables ? json_parse(bytes_of_text(a->job.variables), &note) : NULL;
    CHECK(!a->job.variables || variables_check(variables, "variables", &note) == ERR_OK);
    CHECK(!a->job.call || (tool_calls_is_name(a->job.call) && a->job.call_schema.n && a->job.schema.n));
    json_decref(variables);
}

static void try_chat(json_t *body)
{
    struct note note = {{0}};
    struct openai_ask a;
    openai_ask_init(&a);
    if (openai_read_chat(body, &a, &note) != ERR_OK)
        CHECK(note.text[0]);
    else {
        CHECK(a.n >= 1 && a.n <= CHOICES_MAX);
        check_how(&a);
    }
    openai_ask_clear(&a);
}

static void try_completion(json_t *body)
{
    struct note note = {{0}};
    struct openai_ask a;
    openai_ask_init(&a);
    if (openai_read_completion(body, &a, &note) != ERR_OK)
        CHECK(note.text[0]);
    else
        for (uint32_t i = 0; i < a.prompts_n && i < PROMPTS_LOOKED_AT; i++)
            openai_set_prompt(body, &a, i);
    openai_ask_clear(&a);
}

static void try_response(json_t *body)
{
    struct note note = {{0}};
    struct openai_ask a;
    openai_ask_init(&a);
    if (openai_read_response(body, &a, &note) != ERR_OK)
        CHECK(note.text[0]);
    else {
        json_t *messages = json_parse(bytes_of_text(a.job.messages), &note);
        CHECK(openai_check_messages(messages, &note) == ERR_OK);
        CHECK(a.n == 1 && a.prompts_n == 1 && a.echo.n <= RESPONSE_ECHO_MAX);
        check_how(&a);
        json_decref(messages);
    }
    openai_ask_clear(&a);
}

static void try_inputs(json_t *body)
{
    struct note note = {{0}};
    struct buf ids = {0};
    uint32_t n = 0;
    if (openai_read_inputs(body, "input", EMBED_INPUTS_MAX, &n, &note) != ERR_OK)
        CHECK(note.text[0]);
    else
        for (uint32_t i = 0; i < n && i < PROMPTS_LOOKED_AT; i++) {
            struct openai_input in = openai_input_at(body, "input", i, &ids);
            CHECK(in.text || in.ids.n % 4 == 0);
        }
    buf_clear(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(json_t *) = {try_chat, try_completion, try_inputs, try_response};
    struct note note;
    if (size == 0)
        return 0;
    json_t *body = json_parse(bytes_of(data + 1, size - 1), &note);
    if (json_is_object(body))
        tries[data[0] % (sizeof tries / sizeof *tries)](body);
    json_decref(body);
    return 0;
}
