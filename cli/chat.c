/* The loop of a conversation. */
#include "cli/chat.h"

#include "base/harmony.h"
#include "cli/line.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where nobody said how the model thinks, an answer shows it by the mark that it begins with. */
static struct thought_form form_of(const struct chat_answer *out)
{
    return out->form.kind != THOUGHT_NONE ? out->form : (struct thought_form){.kind = THOUGHT_THINK};
}

/* Of the next n bytes that are shown, those that were not yet. *at: how many stand before them. `dim`: how they begin
 * and end, or NULL. */
static void show_piece(struct chat_answer *out, const char *text, size_t n, size_t *at, const char *const dim[2])
{
    size_t from = out->shown > *at ? out->shown - *at : 0;
    *at += n;
    if (from >= n)
        return;
    fputs(dim ? dim[0] : "", stdout);
    out_untrusted(text + from, n - from);
    fputs(dim ? dim[1] : "", stdout);
    out->shown = *at;
}

/* Thoughts are shown on a terminal only, and dimmed: what goes to a file or another program is the answer. */
static void show_parts(const struct cli *cli, struct chat_answer *out)
{
    struct bytes rest = bytes_of_buf(&out->text);
    struct harmony_part part;
    const char *const dim[2] = {out_style(cli, OUT_DIM), out_style(cli, OUT_PLAIN)};
    const bool all = isatty(STDOUT_FILENO);
    size_t at = 0;
    while (harmony_next(&rest, &part)) {
        bool is_thought = part.kind == HARMONY_THOUGHT;
        if (part.text.n == 0 || (is_thought && !all))
            continue;
        if (at)
            show_piece(out, "\n\n", 2, &at, NULL);
        show_piece(out, (const char *)part.text.p, part.text.n, &at, is_thought ? dim : NULL);
    }
}

/* The same of a thought in front of the answer. */
static void show_thought(const struct cli *cli, struct chat_answer *out, const struct thought_split *s)
{
    const char *const dim[2] = {out_style(cli, OUT_DIM), out_style(cli, OUT_PLAIN)};
    size_t at = 0;
    if (s->thought.n && isatty(STDOUT_FILENO)) {
        show_piece(out, (const char *)s->thought.p, s->thought.n, &at, dim);
        if (s->said.n)
            show_piece(out, "\n\n", 2, &at, NULL);
    }
    show_piece(out, (const char *)s->said.p, s->said.n, &at, NULL);
}

static void show(const struct cli *cli, struct chat_answer *out, bool is_over)
{
    struct thought_split s;
    if (cli->json)
        return;
    if (harmony_is(bytes_of_buf(&out->text), is_over)) {
        show_parts(cli, out);
    } else {
        thought_split(form_of(out), bytes_of_buf(&out->text), is_over, &s);
        show_thought(cli, out, &s);
    }
    fflush(stdout);
}

void chat_put(const struct cli *cli, struct chat_answer *out, const char *text, size_t n)
{
    buf_add(&out->text, text, n);
    show(cli, out, false);
}

/* What a person is told of an answer, and with `kind` a thought what led to it; appended. */
static void join(const struct chat_answer *a, enum harmony_kind kind, struct buf *out)
{
    struct bytes all = bytes_of_buf(&a->text);
    struct thought_split s;
    if (harmony_is(all, true)) {
        harmony_join(all, kind, out);
        return;
    }
    thought_split(form_of(a), all, true, &s);
    const struct bytes part = kind == HARMONY_ANSWER ? s.said : s.thought;
    buf_add(out, part.p, part.n);
}

static void set_text(const struct chat_answer *a, enum harmony_kind kind, const char *member)
{
    struct buf text = {0};
    join(a, kind, &text);
    if (text.n || kind == HARMONY_ANSWER)
        json_object_set_new(a->facts, member, json_stringn_nocheck(buf_text(&text), text.n));
    buf_clear(&text);
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
        set_text(out, HARMONY_ANSWER, "text");
        set_text(out, HARMONY_THOUGHT, "thought");
        out_json_take(json_incref(out->facts));
    } else if (!cli->json) {
        show(cli, out, true);
        printf("\n");
        fflush(stdout);
        print_facts(cli, out->facts);
    }
    json_decref(out->facts);
    buf_clear(&out->text);
    *out = (struct chat_answer){0};
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
        json_decref(answer.facts);
        return cli_fail(cli, CLI_USAGE, "the message is not UTF-8 text");
    }
    int rc = ask(arg, messages, &answer);
    if (rc == CLI_DONE) {
        struct buf said = {0};
        join(&answer, HARMONY_ANSWER, &said);
        add_message(messages, "assistant", (const char *)said.p, said.n);
        buf_clear(&said);
        chat_finish(cli, &answer, cli->json);
    } else {
        json_array_remove(messages, json_array_size(messages) - 1);
        json_decref(answer.facts);
        buf_clear(&answer.text);
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
