/* Training, of a stranger's bytes: u8 what | u32 length of a GGUF file | the file, which has a vocabulary and perhaps a
 * template | the rest, which is
 *
 *     what 0   data: what is taken are tokens of the vocabulary, in windows, twice the same
 *     what 1   a state to go on from, its start and checksum mended: what is taken is written the same again, and the
 *              next step comes to something or says that it does not */
#include "base/mem.h"
#include "inference/train/train_run.h"
#include "tests/model_make.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_data(const struct train_text_source *s)
{
    struct train_text one, two;
    struct note note = {{0}};
    const enum err e = train_text_read(s, 16, &one, &note);
    CHECK(train_text_read(s, 16, &two, NULL) == e);
    CHECK(e == ERR_OK || (note.text[0] && !one.ids && !one.counts));
    if (e != ERR_OK)
        return;
    CHECK(one.n == two.n && memcmp(one.ids, two.ids, one.n * sizeof *one.ids) == 0);
    CHECK(memcmp(one.counts, two.counts, one.n) == 0);
    CHECK(one.held >= 1 && one.windows >= 1 && (size_t)(one.windows + one.held) * one.length < one.n);
    for (size_t i = 0; i < one.n; i++)
        CHECK(one.ids[i] < s->vocab && one.counts[i] <= 1);
    train_text_clear(&one);
    train_text_clear(&two);
}

/* As a state begins and ends; what is between is the input's. */
static void mend(struct buf *state, const struct train_run *r)
{
    memcpy(state->p, r->start.b, sizeof r->start.b);
    const struct hash sum = hash_once(HASH_FILE, state->p, state->n);
    buf_add(state, sum.b, sizeof sum.b);
}

static void take_state(struct train_run *r, struct bytes given)
{
    struct buf state = {0}, again = {0};
    struct note note = {{0}};
    if (given.n < HASH_SIZE)
        return;
    buf_add(&state, given.p, given.n);
    mend(&state, r);
    const enum err e = train_run_get(r, bytes_of_buf(&state), &note);
    CHECK(e == ERR_OK || (e == ERR_CORRUPT && note.text[0]));
    if (e == ERR_OK) {
        train_run_put(r, &again);
        CHECK(bytes_equal(bytes_of_buf(&state), bytes_of_buf(&again)));
        const enum err went = r->step < r->recipe.steps ? train_run_step(r, &note) : train_run_measure(r, &note);
        CHECK(went == ERR_OK || went == ERR_NUMERIC);
    }
    buf_clear(&state);
    buf_clear(&again);
}

static void go_on(const struct train_text_source *s, struct bytes state)
{
    static const struct train_recipe recipe = {
        .rank = 1, .steps = 2, .batch = 1, .length = 16, .alpha = 2.0f, .rate = 0.1f, .seed = 3};
    struct model_make shape = *model_make_at(0);
    struct buf file = {0};
    struct gguf *g;
    struct model *m;
    struct train_run *r;
    struct note note;
    shape.embed = shape.mix = 32;
    shape.layers = shape.heads = shape.heads_kv = 1;
    model_make(&file, &shape);
    CHECK(gguf_open(bytes_of_buf(&file), &g, &note) == ERR_OK && model_open(g, NULL, &m, &note) == ERR_OK);
    struct pool *pool = pool_new(1);
    const struct train_run_options o = {
        .file = g, .model = m, .source = *s, .recipe = recipe, .set = train_set_pick("auto", &note), .pool = pool};
    if (train_run_new(&o, &r, &note) == ERR_OK) {
        take_state(r, state);
        train_run_free(r);
    }
    pool_free(pool);
    model_free(m);
    gguf_free(g);
    buf_clear(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "abc a abc ab a abc abc ab a a abc ab a abc a ab abc a abc ab a abc abc ab a a abc ab a abc a ab";
    struct gguf *g;
    struct tok *t;
    struct note note;
    if (size < 5 || load_le32(data + 1) > size - 5)
        return 0;
    const struct bytes file = bytes_of(data + 5, load_le32(data + 1));
    const struct bytes rest = bytes_of(file.p + file.n, size - 5 - file.n);
    if (gguf_open_head(file, &g, &note) != ERR_OK)
        return 0;
    if (tok_open(g, &t, &note) == ERR_OK) {
        struct train_text_source s = {.data = rest, .tok = t, .vocab = tok_count(t)};
        if (!gguf_find_text(g, "tokenizer.chat_template", &s.template))
            s.template = bytes_of(NULL, 0);
        if (data[0] == 0) {
            read_data(&s);
        } else {
            s.data = bytes_of(text, sizeof text - 1);
            s.vocab = MODEL_MAKE_VOCAB;
            go_on(&s, rest);
        }
        tok_free(t);
    }
    gguf_free(g);
    return 0;
}
