/* Questions through the model's template to a run, answer by answer. */
#include "cli/local_chat.h"

#include "base/harmony.h"
#include "base/secret.h"
#include "base/thought.h"
#include "base/variables.h"
#include "cli/chat.h"
#include "cli/local.h"
#include "cli/out.h"
#include "cli/transcript.h"

#include <signal.h>
#include <string.h>
#include <time.h>

struct talk {
    const struct cli *cli;
    const struct args *args;
    struct local *local;
    uint64_t ask; /* the last number that was used */
    /* of the answer that comes: */
    struct buf text; /* with its marks */
    struct thought_form form;
};

static void on_interrupt(int number)
{
    (void)number;
    local_break(true);
}

static void watch_interrupt(bool is_on)
{
    struct sigaction action = {.sa_handler = is_on ? on_interrupt : SIG_DFL};
    local_break(false);
    sigaction(SIGINT, &action, NULL);
}

/* cmd_chat has checked the word. */
static void put_variables(const struct args *args, struct buf *out)
{
    json_t *all = json_object();
    if (chat_effort(args) && variables_set_effort(all, chat_effort(args), "--effort", NULL) == ERR_OK)
        json_print(out, all);
    json_decref(all);
}

static enum err render(struct talk *t, const json_t *messages, struct buf *ids, struct note *note)
{
    struct buf json = {0}, variables = {0}, out = {0};
    struct wire_frame frame;
    struct wire_templated m;
    enum err e = ERR_OK;
    json_print(&json, messages);
    put_variables(t->args, &variables);
    if (json.n > PROMPT_BYTES_MAX)
        e = note_set(note, ERR_LIMIT, "the conversation has grown too long: start a new one");
    if (e == ERR_OK) {
        const struct wire_template q = {.ask = ++t->ask,
                                        .answer = true,
                                        .clock_ms = (uint64_t)time(NULL) * 1000,
                                        .messages = bytes_of_buf(&json),
                                        .variables = bytes_of_buf(&variables)};
        wire_add_template(&out, &q);
        e = local_send(t->local, &out, note);
    }
    if (e == ERR_OK)
        e = local_next(t->local, &frame, note);
    if (e == ERR_OK && (frame.type != WIRE_TEMPLATED || !wire_read_templated(frame.body, &m)))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e == ERR_OK) {
        buf_add(ids, m.ids.p, m.ids.n);
        t->form = thought_form_shown((struct thought_form){m.thought, m.within, m.said});
    }
    buf_clear(&json);
    buf_clear(&variables);
    buf_clear(&out);
    return e;
}

/* As many tokens as were asked for and have room. */
static enum err make_request(const struct talk *t, const struct buf *ids, struct buf *out, struct note *note)
{
    struct request r;
    const uint32_t context = local_opened(t->local)->context;
    const uint32_t most = args_has(t->args, "tokens") ? (uint32_t)args_count(t->args, "tokens") : context;
    size_t n = ids->n / 4;
    if (n >= context)
        return note_set(note, ERR_LIMIT,
                        "the conversation has %zu tokens, and this model reads at most %u: start a new one", n,
                        context);
    request_init(&r);
    r.prompt = bytes_of_buf(ids);
    r.tokens_max = most < context - n ? most : (uint32_t)(context - n);
    r.temp = (float)args_real(t->args, "temp");
    if (args_has(t->args, "seed"))
        args_hex32(t->args, "seed", r.seed.b);
    else if (r.temp > 0)
        secret_random(r.seed.b, HASH_SIZE);
    request_put(out, &r);
    return ERR_OK;
}

static void note_facts(struct chat_answer *out, const struct wire_done *d)
{
    char digest[2 * HASH_SIZE + 1];
    hex_put(digest, d->digest.b, HASH_SIZE);
    json_t *facts =
        json_pack("{s:s, s:I, s:I, s:s, s:s}", "route", "local", "tokens_in", (json_int_t)d->prompt_tokens,
                  "tokens_out", (json_int_t)d->tokens, "stop", request_stop_name(d->stop), "digest", digest);
    json_object_update(out->facts, facts);
    json_decref(facts);
}

/* Tells the worker, and reads what it had said before it knew. */
static enum err stop_run(struct talk *t, struct note *note)
{
    struct buf out = {0};
    struct wire_frame frame;
    local_break(false);
    wire_add_cancel(&out, &(struct wire_cancel){t->ask});
    enum err e = local_send(t->local, &out, note);
    while (e == ERR_OK && (e = local_next(t->local, &frame, note)) == ERR_OK && frame.type == WIRE_TOKEN)
        ;
    buf_clear(&out);
    return e == ERR_CANCELLED ? ERR_OK : e;
}

/* Marks of the thought that leave no text. */
static void add_mark(struct talk *t, struct bytes mark)
{
    const enum thought_kind kind = (enum thought_kind)t->form.kind;
    if (bytes_equal(mark, bytes_of_text(thought_open(kind))) || bytes_equal(mark, bytes_of_text(thought_close(kind))))
        buf_add(&t->text, mark.p, mark.n);
}

static struct bytes rest_of(const struct buf *b, size_t from)
{
    return b->n > from ? bytes_of(b->p + from, b->n - from) : (struct bytes){0};
}

/* What more the text so far says. */
static void put_more(struct talk *t, struct chat_answer *out, bool is_over)
{
    const struct bytes all = bytes_of_buf(&t->text);
    struct buf thought = {0}, said = {0};
    struct thought_split s;
    if (harmony_is(all, is_over)) {
        harmony_join(all, HARMONY_THOUGHT, &thought);
        harmony_join(all, HARMONY_ANSWER, &said);
    } else {
        thought_split(t->form, all, is_over, &s);
        buf_add(&thought, s.thought.p, s.thought.n);
        buf_add(&said, s.said.p, s.said.n);
    }
    chat_put(t->cli, out, rest_of(&thought, out->thought.n), rest_of(&said, out->said.n));
    buf_clear(&thought);
    buf_clear(&said);
}

static enum err follow(struct talk *t, struct chat_answer *out, struct note *note)
{
    for (;;) {
        struct wire_frame frame;
        struct wire_token token;
        struct wire_done done;
        enum err e = local_next(t->local, &frame, note);
        if (e == ERR_CANCELLED) {
            put_more(t, out, true);
            return stop_run(t, note);
        }
        if (e != ERR_OK)
            return e;
        if (frame.type == WIRE_TOKEN && wire_read_token(frame.body, &token)) {
            buf_add(&t->text, token.text.p, token.text.n);
            add_mark(t, token.mark);
            put_more(t, out, false);
        } else if (frame.type == WIRE_DONE && wire_read_done(frame.body, &done)) {
            buf_add(&t->text, done.text.p, done.text.n);
            put_more(t, out, true);
            note_facts(out, &done);
            return ERR_OK;
        } else {
            return note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
        }
    }
}

static const struct hash own = {{1}}; /* what one talk's turns share; nobody else asks this worker */

static int ask(void *arg, const json_t *messages, struct chat_answer *out)
{
    struct talk *t = arg;
    struct buf ids = {0}, request = {0}, frames = {0};
    struct note note = {{0}};
    buf_reset(&t->text);
    enum err e = render(t, messages, &ids, &note);
    if (e == ERR_OK)
        e = make_request(t, &ids, &request, &note);
    if (e == ERR_OK) {
        wire_add_run(&frames, &(struct wire_run){.ask = ++t->ask, .scope = own, .request = bytes_of_buf(&request)});
        e = local_send(t->local, &frames, &note);
    }
    if (e == ERR_OK) {
        watch_interrupt(true);
        e = follow(t, out, &note);
        watch_interrupt(false);
    }
    buf_clear(&ids);
    buf_clear(&request);
    buf_clear(&frames);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(t->cli, e, &note);
}

int local_chat(const struct cli *cli, const struct args *args, const char *model)
{
    struct talk t = {.cli = cli, .args = args};
    struct wire_open how = {.jobs = 1};
    struct buf path = {0};
    struct note note = {{0}};
    CHECK(text64_set(&how.backend, "auto"));
    enum err e = local_find_model(model, &path, &note);
    if (e == ERR_OK)
        e = local_open(buf_text(&path), &how, &t.local, &note);
    int rc = e == ERR_OK ? chat_run(cli, args, ask, &t) : cli_fail_note(cli, e, &note);
    local_close(t.local);
    buf_clear(&t.text);
    buf_clear(&path);
    return rc;
}
