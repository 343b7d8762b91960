/* Questions through the model's template to a run, answer by answer. */
#include "cli/local_chat.h"

#include "base/secret.h"
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

static enum err render(struct talk *t, const json_t *messages, struct buf *ids, struct thought_form *form,
                       struct note *note)
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
        *form = (struct thought_form){m.thought, m.within};
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
static void put_mark(const struct cli *cli, struct chat_answer *out, struct bytes mark)
{
    const enum thought_kind kind = (enum thought_kind)out->form.kind;
    if (kind != THOUGHT_NONE &&
        (bytes_equal(mark, bytes_of_text(thought_open(kind))) || bytes_equal(mark, bytes_of_text(thought_close(kind)))))
        chat_put(cli, out, (const char *)mark.p, mark.n);
}

static enum err follow(struct talk *t, struct chat_answer *out, struct note *note)
{
    for (;;) {
        struct wire_frame frame;
        struct wire_token token;
        struct wire_done done;
        enum err e = local_next(t->local, &frame, note);
        if (e == ERR_CANCELLED)
            return stop_run(t, note);
        if (e != ERR_OK)
            return e;
        if (frame.type == WIRE_TOKEN && wire_read_token(frame.body, &token)) {
            chat_put(t->cli, out, (const char *)token.text.p, token.text.n);
            put_mark(t->cli, out, token.mark);
        } else if (frame.type == WIRE_DONE && wire_read_done(frame.body, &done)) {
            chat_put(t->cli, out, (const char *)done.text.p, done.text.n);
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
    enum err e = render(t, messages, &ids, &out->form, &note);
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
    buf_clear(&path);
    return rc;
}
