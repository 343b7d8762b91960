/* Documents, tokens, windows; see the header. */
#include "inference/train/train_text.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "inference/template/chat.h"

#include <stdlib.h>
#include <string.h>

/* -- a row of tokens -- */

struct row {
    const struct train_text_source *s;
    struct tok_ids ids;
    struct buf counts;
};

static enum err add_piece(struct row *r, struct bytes text, struct tok_options o, bool counts, struct note *note)
{
    enum err e = tok_encode(r->s->tok, text, o, &r->ids, note);
    const uint8_t one = counts;
    while (r->counts.n < r->ids.n)
        buf_add(&r->counts, &one, 1);
    if (e == ERR_OK && r->ids.n > TRAIN_TOKENS_MAX)
        e = note_set(note, ERR_LIMIT, "the data have more than %u tokens: train on a part of them", TRAIN_TOKENS_MAX);
    return e;
}

/* With its ends; nobody is to foretell the token that begins a text. */
static enum err add_text(struct row *r, struct bytes text, struct note *note)
{
    const size_t from = r->ids.n;
    const int32_t eos = tok_eos(r->s->tok);
    const uint8_t one = 1;
    enum err e = add_piece(r, text, (struct tok_options){.ends = TOK_ENDS_FILE}, true, note);
    if (e != ERR_OK)
        return e;
    if (r->ids.n > from && r->ids.p[from] == tok_bos(r->s->tok))
        r->counts.p[from] = 0;
    if (eos >= 0 && r->ids.n > from && r->ids.p[r->ids.n - 1] != eos) {
        tok_ids_add(&r->ids, eos);
        buf_add(&r->counts, &one, 1);
    }
    return ERR_OK;
}

/* -- messages -- */

static enum err render(const struct row *r, const json_t *messages, size_t n, bool answer, struct buf *out,
                       struct note *note)
{
    struct template_input in = {.source = r->s->template, .add_generation_prompt = answer};
    const struct tok *t = r->s->tok;
    json_t *front = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append(front, json_array_get(messages, i));
    in.messages = front;
    if (tok_bos(t) >= 0)
        in.bos = tok_text(t, tok_bos(t));
    if (tok_eos(t) >= 0)
        in.eos = tok_text(t, tok_eos(t));
    buf_reset(out);
    enum err e = chat_render(&in, out, note);
    json_decref(front);
    return e;
}

static bool begins_with(const struct buf *whole, const struct buf *front, size_t from)
{
    return front->n >= from && front->n <= whole->n && memcmp(whole->p, front->p, front->n) == 0;
}

static bool is_assistant(const json_t *message)
{
    const char *role = json_text(message, "role");
    return role && strcmp(role, "assistant") == 0;
}

/* Where answers stand in the text: from where the template asks for one to where it is written. False where templates
 * make earlier messages otherwise once others follow: then the places cannot be told. */
static bool find_answers(const struct row *r, const json_t *messages, const struct buf *whole, struct buf *marks)
{
    struct buf front = {0};
    struct note ignored;
    uint64_t at = 0;
    bool found = json_array_size(messages) <= TRAIN_MESSAGES_MAX;
    for (size_t i = 0; found && i < json_array_size(messages); i++) {
        if (!is_assistant(json_array_get(messages, i)))
            continue;
        for (size_t end = 0; found && end < 2; end++) {
            found =
                render(r, messages, i + end, end == 0, &front, &ignored) == ERR_OK && begins_with(whole, &front, at);
            at = front.n;
            buf_add(marks, &at, sizeof at);
        }
    }
    buf_clear(&front);
    return found;
}

/* Pieces between the marks by themselves, as a prompt and its answer are; every second one is an answer. */
static enum err add_marked(struct row *r, const struct buf *whole, const struct buf *marks, struct note *note)
{
    const struct tok_options o = {.ends = TOK_ENDS_NONE, .special = true};
    const size_t n = marks->n / sizeof(uint64_t);
    uint64_t at = 0, to;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i <= n; i++, at = to) {
        to = whole->n;
        if (i < n)
            memcpy(&to, marks->p + i * sizeof to, sizeof to);
        if (to > at)
            e = add_piece(r, bytes_of(whole->p + at, to - at), o, i % 2 == 1, note);
    }
    return e;
}

static enum err add_messages(struct row *r, const json_t *messages, struct note *note)
{
    const struct tok_options o = {.ends = TOK_ENDS_NONE, .special = true};
    struct buf whole = {0}, marks = {0};
    if (r->s->template.n == 0)
        return note_set(note, ERR_UNSUPPORTED,
                        "the model has no chat template for `messages`: give lines with a `text`");
    enum err e = render(r, messages, json_array_size(messages), false, &whole, note);
    if (e == ERR_OK && find_answers(r, messages, &whole, &marks))
        e = add_marked(r, &whole, &marks, note);
    else if (e == ERR_OK)
        e = add_piece(r, bytes_of_buf(&whole), o, true, note);
    buf_clear(&whole);
    buf_clear(&marks);
    return e;
}

/* -- lines -- */

static struct bytes next_line(struct bytes *data)
{
    const uint8_t *end = data->n ? memchr(data->p, '\n', data->n) : NULL;
    struct bytes line = bytes_of(data->p, end ? (size_t)(end - data->p) : data->n);
    const size_t used = end ? line.n + 1 : line.n;
    *data = bytes_of(data->p + used, data->n - used);
    return bytes_trim(line);
}

static bool is_document(const json_t *line)
{
    return json_text(line, "text") || json_is_array(json_object_get(line, "messages"));
}

/* The first line that is not blank decides. */
static bool is_jsonl(struct bytes data)
{
    struct bytes line = {0};
    struct note ignored;
    while (data.n && line.n == 0)
        line = next_line(&data);
    if (line.n == 0 || line.p[0] != '{')
        return false;
    json_t *first = json_parse(line, &ignored);
    bool is = first && is_document(first);
    json_decref(first);
    return is;
}

static enum err add_line(struct row *r, struct bytes line, struct note *note)
{
    json_t *document = json_parse(line, note);
    if (!document)
        return ERR_FORMAT;
    const json_t *text = json_object_get(document, "text");
    enum err e = ERR_OK;
    if (!is_document(document))
        e = note_set(note, ERR_FORMAT, "there is neither a \"text\" nor \"messages\" in it");
    else if (json_is_string(text))
        e = add_text(r, bytes_of(json_string_value(text), json_string_length(text)), note);
    else
        e = add_messages(r, json_object_get(document, "messages"), note);
    json_decref(document);
    return e;
}

static enum err add_lines(struct row *r, struct bytes data, struct note *note)
{
    enum err e = ERR_OK;
    for (uint64_t n = 1; e == ERR_OK && data.n; n++) {
        struct bytes line = next_line(&data);
        if (line.n)
            e = add_line(r, line, note);
        if (e != ERR_OK && note) {
            struct note why = *note;
            note_set(note, e, "line %llu of the data: %.200s", (unsigned long long)n, why.text);
        }
    }
    return e;
}

/* -- windows -- */

static enum err cut(struct row *r, uint32_t length, struct train_text *out, struct note *note)
{
    const size_t n = r->ids.n, windows = n ? (n - 1) / length : 0;
    if (windows < 2)
        return note_set(
            note, ERR_USAGE,
            "the data have %zu tokens: at least two windows of %u and one more are needed; give more data or "
            "a smaller --length",
            n, length);
    size_t held = windows / 10 < 1 ? 1 : windows / 10;
    out->held = (uint32_t)(held > TRAIN_HELD_MAX ? TRAIN_HELD_MAX : held);
    out->windows = (uint32_t)windows - out->held;
    out->length = length;
    out->n = n;
    out->ids = mem_array(n, sizeof *out->ids);
    for (size_t i = 0; i < n; i++) {
        out->ids[i] = (uint32_t)r->ids.p[i];
        if (out->ids[i] >= r->s->vocab)
            return note_set(note, ERR_FORMAT, "the vocabulary has a token %u, and the model no row for it",
                            out->ids[i]);
    }
    out->counts = r->counts.p;
    r->counts = (struct buf){0};
    return ERR_OK;
}

enum err train_text_read(const struct train_text_source *s, uint32_t length, struct train_text *out, struct note *note)
{
    struct row r = {.s = s};
    *out = (struct train_text){0};
    enum err e = ERR_OK;
    if (is_jsonl(s->data))
        e = add_lines(&r, s->data, note);
    else if (s->data.n > PROMPT_BYTES_MAX)
        e = note_set(note, ERR_LIMIT,
                     "a text of %zu bytes is over %u: give it in parts, as JSONL with an object {\"text\": ..} a line",
                     s->data.n, PROMPT_BYTES_MAX);
    else
        e = add_text(&r, s->data, note);
    if (e == ERR_OK)
        e = cut(&r, length, out, note);
    tok_ids_clear(&r.ids);
    buf_clear(&r.counts);
    if (e != ERR_OK)
        train_text_clear(out);
    return e;
}

void train_text_clear(struct train_text *t)
{
    free(t->ids);
    free(t->counts);
    *t = (struct train_text){0};
}

/* -- order -- */

struct place {
    uint64_t key;
    uint32_t window;
};

static int compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->window < y->window ? -1 : 1;
}

void train_text_order(uint32_t windows, uint64_t seed, uint64_t time, uint32_t *order)
{
    struct place *p = mem_array(windows, sizeof *p);
    uint8_t key[32] = {0}, from[16];
    store_le64(key, seed);
    store_le64(from, time);
    for (uint32_t i = 0; i < windows; i++) {
        store_le64(from + 8, i);
        struct hash h = hash_keyed(HASH_TRAIN, key, from, sizeof from);
        p[i] = (struct place){load_le64(h.b), i};
    }
    qsort(p, windows, sizeof *p, compare);
    for (uint32_t i = 0; i < windows; i++)
        order[i] = p[i].window;
    free(p);
}
