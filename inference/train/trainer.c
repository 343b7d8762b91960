/* Messages of a training; see the header. What is fed is kept until the training is over. */
#include "inference/train/trainer.h"

#include "base/mem.h"
#include "base/merkle.h"
#include "inference/train/train_adapter.h"

#include <stdlib.h>
#include <string.h>

struct trainer {
    struct gguf *file;
    struct model *model;
    struct tok *tok;
    struct bytes template;
    struct hash root;
    const struct train_set *set;
    struct pool *pool;
    trainer_clock_fn clock;
    uint64_t memory_bytes;
    struct buf fed[WIRE_PIECES];
    uint64_t ask;          /* of the training; 0: there is none */
    struct train_run *run; /* it */
    bool is_check;
    struct train_claim claim;
};

/* -- opening and closing -- */

static enum err read_file(struct trainer *t, struct bytes file, struct note *note)
{
    enum err e = gguf_open(file, &t->file, note);
    if (e == ERR_OK)
        e = model_open(t->file, NULL, &t->model, note);
    if (e == ERR_OK)
        e = train_lora_check(t->model, note);
    if (e == ERR_OK)
        e = tok_open(t->file, &t->tok, note);
    if (e == ERR_OK && !gguf_find_text(t->file, "tokenizer.chat_template", &t->template))
        t->template = bytes_of(NULL, 0);
    return e;
}

static void say_opened(const struct trainer *t, const struct wire_open *open, struct buf *out)
{
    const struct model *m = t->model;
    const int32_t bos = tok_bos(t->tok), eos = tok_eos(t->tok);
    struct wire_opened o = {.root = t->root,
                            .arith = REQUEST_ARITH,
                            .vocab = m->vocab,
                            .context = m->context,
                            .embed = m->embed,
                            .layers = m->layers,
                            .bos = bos < 0 ? WIRE_NO_TOKEN : (uint32_t)bos,
                            .eos = eos < 0 ? WIRE_NO_TOKEN : (uint32_t)eos,
                            .has_template = t->template.n > 0,
                            .parameters = m->parameters,
                            .threads = open->threads};
    CHECK(text64_set(&o.architecture, m->architecture) && text64_set(&o.format, m->format));
    CHECK(text64_set(&o.backend, t->set->name));
    wire_add_opened(out, &o);
}

enum err trainer_open(const struct wire_open *open, struct bytes file, trainer_clock_fn clock, struct buf *out,
                      struct trainer **trainer, struct note *note)
{
    if (open->threads == 0 || open->threads > THREADS_MAX)
        return note_set(note, ERR_RANGE, "%u threads are out of range: 1 to %u", open->threads, (unsigned)THREADS_MAX);
    struct trainer *t = mem_new(sizeof *t);
    t->clock = clock;
    t->memory_bytes = open->memory_bytes;
    t->set = train_set_pick(*open->backend.s ? open->backend.s : "auto", note);
    enum err e = t->set ? ERR_OK : ERR_UNSUPPORTED;
    if (e == ERR_OK)
        e = read_file(t, file, note);
    if (e == ERR_OK) {
        t->pool = pool_new(open->threads);
        t->root = open->root;
        if (hash_is_zero(&t->root)) {
            struct merkle_tree *tree = merkle_tree_of(file.p, file.n);
            t->root = merkle_tree_root(tree);
            merkle_tree_free(tree);
        }
        say_opened(t, open, out);
        *trainer = t;
    } else {
        trainer_close(t);
    }
    return e;
}

static void end_training(struct trainer *t)
{
    train_run_free(t->run);
    train_claim_close(&t->claim);
    for (size_t i = 0; i < WIRE_PIECES; i++)
        buf_clear(&t->fed[i]);
    t->run = NULL;
    t->ask = 0;
    t->is_check = false;
}

void trainer_close(struct trainer *t)
{
    if (!t)
        return;
    end_training(t);
    model_free(t->model);
    gguf_free(t->file);
    tok_free(t->tok);
    if (t->pool)
        pool_free(t->pool);
    free(t);
}

/* -- beginning -- */

static enum err feed(struct trainer *t, const struct wire_train_feed *m, struct note *note)
{
    static const size_t room[WIRE_PIECES] = {TRAIN_DATA_MAX, TRAIN_STATE_MAX, TRAIN_STATE_MAX};
    struct buf *to = &t->fed[m->piece];
    if (t->ask)
        return note_set(note, ERR_BUSY, "this worker is training already");
    if (to->n + m->part.n > room[m->piece])
        return note_set(note, ERR_LIMIT, "more than %zu bytes: no training takes them", room[m->piece]);
    buf_add(to, m->part.p, m->part.n);
    return ERR_OK;
}

/* An adapter of another base or of other data needs no training to be told. */
static enum err open_claim(struct trainer *t, struct train_recipe *recipe, struct note *note)
{
    enum err e = train_claim_open(bytes_of_buf(&t->fed[WIRE_PIECE_ADAPTER]), &t->claim, note);
    if (e != ERR_OK)
        return e;
    *recipe = t->claim.recipe;
    return ERR_OK;
}

static enum err begin(struct trainer *t, const struct wire_train *m, struct note *note)
{
    const struct train_text_source source = {.data = bytes_of_buf(&t->fed[WIRE_PIECE_DATA]),
                                             .template = t->template,
                                             .tok = t->tok,
                                             .vocab = t->model->vocab};
    struct train_run_options o = {.file = t->file,
                                  .model = t->model,
                                  .source = source,
                                  .base = t->root,
                                  .set = t->set,
                                  .pool = t->pool,
                                  .memory_bytes = t->memory_bytes};
    const struct buf *state = &t->fed[WIRE_PIECE_STATE];
    o.recipe = (struct train_recipe){.rank = m->rank,
                                     .steps = m->steps,
                                     .batch = m->batch,
                                     .length = m->length,
                                     .alpha = m->alpha,
                                     .rate = m->rate,
                                     .seed = m->seed};
    enum err e = m->check ? open_claim(t, &o.recipe, note) : ERR_OK;
    if (e == ERR_OK && m->check && !hash_equal(&t->claim.base, &t->root))
        e = note_set(note, ERR_MISMATCH, "the adapter says that it was trained beside another model");
    if (e == ERR_OK)
        e = train_recipe_check(&o.recipe, t->model->context, note);
    if (e == ERR_OK)
        e = train_run_new(&o, &t->run, note);
    if (e == ERR_OK && m->check && !hash_equal(&t->claim.data, &t->run->data))
        e = note_set(note, ERR_MISMATCH, "the adapter says that it was trained on other data");
    if (e == ERR_OK && state->n)
        e = train_run_get(t->run, bytes_of_buf(state), note);
    t->is_check = m->check;
    return e;
}

static void say_began(const struct trainer *t, struct buf *out)
{
    const struct train_run *r = t->run;
    const struct train_pass_options o = {.lora = r->lora, .length = r->recipe.length};
    wire_add_train_began(
        out, &(struct wire_train_began){.ask = t->ask,
                                        .tokens = r->text.n,
                                        .windows = r->text.windows,
                                        .held = r->text.held,
                                        .values = r->lora->values_n,
                                        .step = r->step,
                                        .steps = r->recipe.steps,
                                        .memory_bytes = train_pass_bytes(&o) + 16 * (uint64_t)r->lora->values_n});
}

/* -- saving and ending -- */

static void say_parts(uint64_t ask, enum wire_piece piece, struct bytes whole, struct buf *out)
{
    for (size_t at = 0; at == 0 || at < whole.n; at += TRAIN_PART_MAX) {
        const size_t n = whole.n - at < TRAIN_PART_MAX ? whole.n - at : TRAIN_PART_MAX;
        wire_add_train_part(out, &(struct wire_train_part){.ask = ask,
                                                           .piece = (uint8_t)piece,
                                                           .last = at + n == whole.n,
                                                           .part = bytes_of(whole.p + at, n)});
    }
}

static enum err save(struct trainer *t, uint64_t ask, struct buf *out, struct note *note)
{
    struct buf state = {0};
    if (ask != t->ask)
        return ERR_OK; /* it has ended meanwhile */
    train_run_put(t->run, &state);
    if (state.n > TRAIN_STATE_MAX)
        note_set(note, ERR_LIMIT, "the state is over %u bytes", TRAIN_STATE_MAX);
    else
        say_parts(ask, WIRE_PIECE_STATE, bytes_of_buf(&state), out);
    const bool fits = state.n <= TRAIN_STATE_MAX;
    buf_clear(&state);
    return fits ? ERR_OK : ERR_LIMIT;
}

static void say_trained(const struct trainer *t, uint32_t step, const struct note *why, struct buf *out)
{
    const struct train_run *r = t->run;
    struct wire_trained m = {.ask = t->ask,
                             .same = why == NULL,
                             .step = step,
                             .steps = r->recipe.steps,
                             .base = r->base,
                             .data = r->data,
                             .digest = step ? r->digest : train_run_digest(r)};
    memcpy(&m.before, &r->before, sizeof m.before);
    memcpy(&m.after, &r->after, sizeof m.after);
    if (why)
        wire_set_text(&m.text, why->text);
    wire_add_trained(out, &m);
}

static void finish(struct trainer *t, struct buf *out)
{
    struct note why = {{0}};
    struct buf file = {0};
    if (t->is_check) {
        bool same = train_claim_is(&t->claim, bytes_of_buf(&t->fed[WIRE_PIECE_ADAPTER]), t->run, &why);
        say_trained(t, 0, same ? NULL : &why, out);
    } else {
        train_adapter_put(t->run, &file);
        say_parts(t->ask, WIRE_PIECE_ADAPTER, bytes_of_buf(&file), out);
        say_trained(t, 0, NULL, out);
        buf_clear(&file);
    }
    end_training(t);
}

/* -- messages -- */

static enum err take(struct trainer *t, const struct wire_frame *frame, uint64_t *ask, struct buf *out,
                     struct note *note)
{
    struct wire_train_feed fed;
    struct wire_train m;
    struct wire_train_save to_save;
    enum err e = ERR_OK;
    if (frame->type == WIRE_TRAIN_FEED && wire_read_train_feed(frame->body, &fed)) {
        *ask = fed.ask;
        return feed(t, &fed, note);
    }
    if (frame->type == WIRE_TRAIN_SAVE && wire_read_train_save(frame->body, &to_save)) {
        *ask = to_save.ask;
        return save(t, to_save.ask, out, note);
    }
    if (frame->type != WIRE_TRAIN || !wire_read_train(frame->body, &m))
        return note_set(note, ERR_PROTOCOL, "a worker that trains answers to that, and to nothing else");
    *ask = m.ask;
    if (t->ask)
        return note_set(note, ERR_BUSY, "this worker is training already");
    e = begin(t, &m, note);
    if (e != ERR_OK) {
        end_training(t);
        return e;
    }
    t->ask = m.ask;
    say_began(t, out);
    return ERR_OK;
}

enum err trainer_take(struct trainer *t, const struct wire_frame *frame, struct buf *out, struct note *note)
{
    struct note why = {{0}};
    uint64_t ask = 0;
    enum err e = take(t, frame, &ask, out, &why);
    if (e == ERR_OK)
        return ERR_OK;
    if (ask == 0) {
        *note = why;
        return e;
    }
    wire_add_failure(out, ask, e, &why);
    return ERR_OK;
}

bool trainer_is_busy(const struct trainer *t)
{
    return t->ask != 0;
}

static enum err take_step(struct trainer *t, struct buf *out, struct note *note)
{
    struct train_run *r = t->run;
    const uint64_t before = t->clock();
    enum err e = train_run_step(r, note);
    if (e != ERR_OK)
        return e;
    struct wire_train_step m = {.ask = t->ask,
                                .step = r->step,
                                .tokens = (uint64_t)r->recipe.batch * r->recipe.length,
                                .us = t->clock() - before};
    memcpy(&m.loss, &r->loss[r->step - 1], sizeof m.loss);
    wire_add_train_step(out, &m);
    if (t->is_check && r->digests[r->step - 1] != train_claim_digest(&t->claim, r->step - 1)) {
        struct note why;
        note_set(&why, ERR_MISMATCH, "step %u came to something else than the adapter says", r->step);
        say_trained(t, r->step, &why, out);
        end_training(t);
    }
    return ERR_OK;
}

void trainer_step(struct trainer *t, struct buf *out)
{
    struct train_run *r = t->run;
    struct note note = {{0}};
    const uint64_t ask = t->ask;
    const bool has_steps = r->step < r->recipe.steps;
    enum err e = r->has_before && has_steps ? take_step(t, out, &note) : train_run_measure(r, &note);
    if (e != ERR_OK) {
        wire_add_failure(out, ask, e, &note);
        end_training(t);
    } else if (!has_steps) {
        finish(t, out);
    }
}
