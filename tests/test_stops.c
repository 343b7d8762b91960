/* Stop texts: where an answer ends, and that a stream shows nothing that is taken back. What a session does token by
 * token is compared with looking for the stop texts in the whole answer. */
#include "base/file_map.h"
#include "base/mem.h"
#include "inference/sched/session.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS 60

struct loaded {
    struct bytes file;
    struct gguf *gguf;
    struct model *model;
    struct tok *tok;
    struct engine *engine;
};

static void load(const char *path, struct loaded *l)
{
    struct note note = {{0}};
    assert_int_equal(file_map(path, &l->file, &note), ERR_OK);
    assert_int_equal(gguf_open(l->file, &l->gguf, &note), ERR_OK);
    assert_int_equal(model_open(l->gguf, NULL, &l->model, &note), ERR_OK);
    assert_int_equal(tok_open(l->gguf, &l->tok, &note), ERR_OK);
    struct engine_options o = {.model = l->model, .ops = ops_pick("ref", NULL), .threads = 1, .batch_max = 8};
    l->engine = engine_new(&o);
}

static void unload(struct loaded *l)
{
    engine_free(l->engine);
    tok_free(l->tok);
    model_free(l->model);
    gguf_free(l->gguf);
    file_unmap(l->file);
}

struct answer {
    uint32_t tokens[TOKENS], n;
    uint8_t stop;
    struct buf text;
    size_t shown[TOKENS]; /* bytes of text when the token had come */
};

static void collect(struct session *s, struct answer *a)
{
    struct session_event e;
    while ((e = session_next_event(s)).kind != SESSION_NONE) {
        buf_add(&a->text, e.text.p, e.text.n);
        a->stop = e.stop;
        if (e.kind == SESSION_TOKEN) {
            a->tokens[e.index] = e.token;
            a->shown[e.index] = a->text.n;
            a->n = e.index + 1;
        }
    }
}

static void run(const struct loaded *l, uint8_t seed, struct bytes stops, struct answer *a)
{
    static const uint8_t prompt[4] = {1, 0, 0, 0};
    struct buf request = {0};
    struct request r;
    struct session *s;
    struct engine_row rows[8];
    request_init(&r);
    r.prompt = bytes_of(prompt, sizeof prompt);
    r.tokens_max = TOKENS;
    r.temp = 1.5f; /* words, and now and then a piece of a character */
    r.seed.b[0] = seed;
    r.stops = stops;
    request_put(&request, &r);
    struct session_options o = {.engine = l->engine, .tok = l->tok, .request = bytes_of_buf(&request)};
    assert_int_equal(session_new(&o, &s, NULL), ERR_OK);
    *a = (struct answer){0};
    for (uint32_t n; (n = session_rows(s, NULL, rows, 8, UINT32_MAX)) > 0;) {
        engine_eval(l->engine, rows, n);
        session_take(s, rows, n);
        collect(s, a);
    }
    session_free(s);
    buf_clear(&request);
}

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* Up to three pieces of the text, some with another last letter: those come close and do not match. */
static void draw_stops(uint32_t *state, const struct buf *text, struct buf *stops)
{
    buf_reset(stops);
    for (uint32_t i = 1 + draw(state, 3); i > 0; i--) {
        uint8_t n = (uint8_t)(1 + draw(state, 9));
        buf_add(stops, &n, 1);
        buf_add(stops, text->p + draw(state, (uint32_t)text->n - n), n);
        if (draw(state, 3) == 0)
            stops->p[stops->n - 1] = '#';
    }
}

/* Where in text[n] the first stop text begins; n if there is none. */
static size_t first_stop(struct bytes text, const struct buf *stops)
{
    size_t first = text.n;
    for (size_t at = 0; at < stops->n; at += 1 + stops->p[at])
        for (size_t i = 0, n = stops->p[at]; i + n <= text.n && i < first; i++)
            if (memcmp(text.p + i, stops->p + at + 1, n) == 0)
                first = i;
    return first;
}

/* The answer with stop texts against the same without: it ends with the first token that completes one, before the one
 * that begins first. */
static void compare(const struct loaded *l, const struct answer *whole, const struct answer *a, const struct buf *stops)
{
    struct buf text = {0};
    uint32_t n = 0;
    size_t end = 0;
    while (n < whole->n && end == text.n) {
        tok_piece(l->tok, (int32_t)whole->tokens[n++], false, &text);
        end = first_stop(bytes_of_buf(&text), stops);
    }
    assert_int_equal(a->n, n);
    assert_memory_equal(a->tokens, whole->tokens, n * sizeof *a->tokens);
    assert_int_equal(a->stop, end < text.n ? REQUEST_STOP : whole->stop);
    assert_int_equal(a->text.n, end);
    assert_memory_equal(a->text.p, text.p, end);
    for (uint32_t i = 0; i < n; i++)
        assert_true(a->shown[i] <= end && text_half_character(bytes_of(text.p, a->shown[i])) == 0);
    buf_clear(&text);
}

static void answers_end_before_the_first_stop_text(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct loaded l;
    uint32_t random = 1, stopped = 0;
    struct buf stops = {0};
    load(path, &l);
    for (uint8_t seed = 0; seed < 3; seed++) {
        struct answer whole, a;
        run(&l, seed, (struct bytes){0}, &whole);
        for (unsigned i = 0; i < 16; i++) {
            draw_stops(&random, &whole.text, &stops);
            run(&l, seed, bytes_of_buf(&stops), &a);
            compare(&l, &whole, &a, &stops);
            stopped += a.stop == REQUEST_STOP;
            buf_clear(&a.text);
        }
        buf_clear(&whole.text);
    }
    assert_in_range(stopped, 24, 47);
    buf_clear(&stops);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_end_before_the_first_stop_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
