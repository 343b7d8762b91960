/* The loop of a conversation. */
#include "cli/chat.h"

#include "cli/line.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void chat_answer_clear(struct chat_answer *out)
{
    json_decref(out->facts);
    buf_clear(&out->thought);
    buf_clear(&out->said);
    *out = (struct chat_answer){0};
}

/* An empty line stands between what was thought and what is said. */
static void show(const struct cli *cli, struct chat_answer *out, struct bytes text, bool is_thought)
{
    if (text.n == 0 || cli->json || (is_thought && !isatty(STDOUT_FILENO)))
        return;
    if (out->is_shown && out->thinks != is_thought)
        fputs("\n\n", stdout);
    out->is_shown = true;
    out->thinks = is_thought;
    fputs(is_thought ? out_style(cli, OUT_DIM) : "", stdout);
    out_untrusted((const char *)text.p, text.n);
    fputs(is_thought ? out_style(cli, OUT_PLAIN) : "", stdout);
    fflush(stdout);
}

void chat_put(const struct cli *cli, struct chat_answer *out, struct bytes thought, struct bytes said)
{
    buf_add(&out->thought, thought.p, thought.n);
    buf_add(&out->said, said.p, said.n);
    show(cli, out, thought, true);
    show(cli, out, said, false);
}

static void print_facts(const struct cli *cli, const json_t *facts)
{
    char cost[OUT_AMOUNT_ROOM];
    const json_t *mote = json_object_get(facts, "cost");
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "%s[%" JSON_INTEGER_FORMAT " tokens", out_style(cli, OUT_DIM), out_count(facts, "tokens_out"));
    if (mote && strcmp(out_text(facts, "cost"), "0") != 0)
        fprintf(stderr, ", %s", out_amount(mote, cost));
    if (json_text(facts, "job"))
        fprintf(stderr, ", job %s", out_text(facts, "job"));
    fprintf(stderr, "]%s\n", out_style(cli, OUT_PLAIN));
}

void chat_finish(const struct cli *cli, struct chat_answer *out, bool as_json)
{
    if (as_json) {
        json_object_set_new(out->facts, "text", json_stringn_nocheck(buf_text(&out->said), out->said.n));
        if (out->thought.n)
            json_object_set_new(out->facts, "thought", json_stringn_nocheck(buf_text(&out->thought), out->thought.n));
        out_json_take(json_incref(out->facts));
    } else if (!cli->json) {
        printf("\n");
        fflush(stdout);
        print_facts(cli, out->facts);
    }
    chat_answer_clear(out);
}

static bool add_message(json_t *messages, const char *role, const char *text, size_t n)
{
    json_t *content = json_stringn(n ? text : "", n);
    return content && json_array_append_new(messages, json_pack("{s:s, s:o}", "role", role, "content", content)) == 0;
}

/* Asks with one more message of the user's; keeps both sides when it succeeds. */
static int ask_one(const struct cli *cli, chat_ask_fn ask, void *arg, json_t *messages, const char *question)
{
    struct chat_answer answer = {.facts = json_object()};
    if (!add_message(messages, "user", question, strlen(question))) {
        chat_answer_clear(&answer);
        return cli_fail(cli, CLI_USAGE, "the message is not UTF-8 text");
    }
    int rc = ask(arg, messages, &answer);
    if (rc == CLI_DONE) {
        add_message(messages, "assistant", buf_text(&answer.said), answer.said.n);
        chat_finish(cli, &answer, cli->json);
    } else {
        json_array_remove(messages, json_array_size(messages) - 1);
        chat_answer_clear(&answer);
    }
    return rc;
}

static int converse(const struct cli *cli, chat_ask_fn ask, void *arg, json_t *messages)
{
    struct line_editor *lines = line_editor_new("> ");
    const char *line;
    int rc = CLI_DONE, last = CLI_DONE;
    if (isatty(STDIN_FILENO) && !cli->json)
        printf("%s/quit or Ctrl-D ends, Ctrl-C breaks an answer off%s\n", out_style(cli, OUT_DIM),
               out_style(cli, OUT_PLAIN));
    while ((line = line_editor_get(lines))) {
        if (strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0)
            break;
        if (!line[strspn(line, " \t")])
            continue;
        last = ask_one(cli, ask, arg, messages, line);
        if (last == CLI_UNREACHABLE || !isatty(STDIN_FILENO))
            rc = last;
        if (rc != CLI_DONE)
            break;
    }
    line_editor_free(lines);
    return rc;
}

int chat_run(const struct cli *cli, const struct args *args, chat_ask_fn ask, void *arg)
{
    const char *system = args_text(args, "system"), *message = args_text(args, "message");
    json_t *messages = json_array();
    int rc = CLI_DONE;
    if (system && !add_message(messages, "system", system, strlen(system)))
        rc = cli_fail(cli, CLI_USAGE, "--system is not UTF-8 text");
    else if (message && !*message)
        rc = cli_fail(cli, CLI_USAGE, "--message is empty");
    else
        rc = message ? ask_one(cli, ask, arg, messages, message) : converse(cli, ask, arg, messages);
    json_decref(messages);
    return rc;
}

const char *chat_effort(const struct args *args)
{
    return args_has(args, "no-think") ? "none" : args_text(args, "effort");
}
