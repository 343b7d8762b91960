/* A training, step by step; see the header. */
#include "inference/train/train_run.h"

#include "base/codec.h"
#include "base/mem.h"
#include "base/merkle.h"

#include <stdlib.h>
#include <string.h>

enum err train_recipe_check(const struct train_recipe *r, uint32_t context, struct note *note)
{
    if (r->rank < 1 || r->rank > TRAIN_RANK_MAX)
        return note_set(note, ERR_RANGE, "a rank of %u: 1 to %u are possible", r->rank, TRAIN_RANK_MAX);
    if (r->steps < 1 || r->steps > TRAIN_STEPS_MAX)
        return note_set(note, ERR_RANGE, "%u steps: 1 to %u are possible", r->steps, TRAIN_STEPS_MAX);
    if (r->batch < 1 || r->batch > TRAIN_BATCH_MAX)
        return note_set(note, ERR_RANGE, "%u windows a step: 1 to %u are possible", r->batch, TRAIN_BATCH_MAX);
    if (r->length < 16 || r->length % 16 || r->length > TRAIN_LENGTH_MAX)
        return note_set(note, ERR_RANGE, "windows of %u tokens: a multiple of 16 up to %u is needed", r->length,
                        TRAIN_LENGTH_MAX);
    if (r->length > context)
        return note_set(note, ERR_RANGE, "windows of %u tokens are longer than the model's context of %u", r->length,
                        context);
    if (!(r->alpha > 0.0f && r->alpha <= 65536.0f))
        return note_set(note, ERR_RANGE, "an alpha of %g: above 0 and at most 65536 is possible", (double)r->alpha);
    if (!(r->rate > 0.0f && r->rate <= 1.0f))
        return note_set(note, ERR_RANGE, "a rate of %g: above 0 and at most 1 is possible", (double)r->rate);
    return ERR_OK;
}

static uint64_t bits_of(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static bool is_finite(double x)
{
    return (bits_of(x) >> 52 & 2047u) != 2047u;
}

/* -- opening and closing -- */

/* What the training is of: it begins the digest. */
static struct hash start_of(const struct train_run *r)
{
    const struct train_recipe *p = &r->recipe;
    struct hasher h;
    hash_start(&h, HASH_TRAIN);
    hash_add_u32(&h, TRAIN_VERSION);
    hash_add(&h, r->base.b, sizeof r->base.b);
    hash_add(&h, r->data.b, sizeof r->data.b);
    hash_add_u32(&h, p->rank);
    hash_add_u32(&h, arith_bits(p->alpha));
    hash_add_u32(&h, p->steps);
    hash_add_u32(&h, arith_bits(p->rate));
    hash_add_u32(&h, p->batch);
    hash_add_u32(&h, p->length);
    hash_add_u64(&h, p->seed);
    return hash_end(&h);
}

static struct hash root_of(struct bytes data)
{
    struct merkle_tree *t = merkle_tree_of(data.p, data.n);
    struct hash root = merkle_tree_root(t);
    merkle_tree_free(t);
    return root;
}

static enum err open_run(struct train_run *r, const struct train_run_options *o, struct note *note)
{
    enum err e = train_text_read(&o->source, r->recipe.length, &r->text, note);
    if (e != ERR_OK)
        return e;
    r->lora = train_lora_new(o->file, o->model, r->recipe.rank, r->recipe.alpha, r->recipe.seed);
    const struct train_pass_options po = {.lora = r->lora, .set = o->set, .pool = o->pool, .length = r->recipe.length};
    const uint64_t need = train_pass_bytes(&po) + r->lora->values_n * 4 * sizeof(float);
    if (o->memory_bytes && need > o->memory_bytes)
        return note_set(note, ERR_FULL,
                        "training takes %llu MiB beside the model, more than the %llu that there are: give a smaller "
                        "--length",
                        (unsigned long long)(need >> 20), (unsigned long long)(o->memory_bytes >> 20));
    r->pass = train_pass_new(&po);
    train_adam_init(&r->adam, r->lora->values_n);
    r->loss = mem_array(r->recipe.steps, sizeof *r->loss);
    r->digests = mem_array(r->recipe.steps, sizeof *r->digests);
    r->order = mem_array(r->text.windows, sizeof *r->order);
    r->time = UINT64_MAX;
    return ERR_OK;
}

enum err train_run_new(const struct train_run_options *o, struct train_run **run, struct note *note)
{
    struct train_run *r = mem_new(sizeof *r);
    r->recipe = o->recipe;
    r->base = o->base;
    r->data = root_of(o->source.data);
    r->start = r->digest = start_of(r);
    enum err e = open_run(r, o, note);
    if (e != ERR_OK) {
        train_run_free(r);
        return e;
    }
    *run = r;
    return ERR_OK;
}

void train_run_free(struct train_run *r)
{
    if (!r)
        return;
    train_text_clear(&r->text);
    train_pass_free(r->pass);
    train_lora_free(r->lora);
    train_adam_clear(&r->adam);
    free(r->loss);
    free(r->digests);
    free(r->order);
    free(r);
}

/* -- measuring and stepping -- */

static size_t window_at(const struct train_run *r, uint32_t window)
{
    return (size_t)window * r->recipe.length;
}

static uint64_t counted(const struct train_run *r, uint32_t window)
{
    const uint8_t *counts = r->text.counts + window_at(r, window) + 1;
    uint64_t n = 0;
    for (uint32_t i = 0; i < r->recipe.length; i++)
        n += counts[i];
    return n;
}

static double loss_of(struct train_run *r, uint32_t window)
{
    const size_t at = window_at(r, window);
    return train_pass_loss(r->pass, r->text.ids + at, r->text.counts + at + 1);
}

enum err train_run_measure(struct train_run *r, struct note *note)
{
    double sum = 0;
    uint64_t n = 0;
    for (uint32_t i = 0; i < r->text.held; i++) {
        sum = sum + loss_of(r, r->text.windows + i);
        n += counted(r, r->text.windows + i);
    }
    sum = n ? sum / (double)n : 0;
    if (!is_finite(sum))
        return note_set(note, ERR_NUMERIC, "the loss of what is held out is not a finite number");
    *(r->step ? &r->after : &r->before) = sum;
    r->has_before = true;
    return ERR_OK;
}

static uint32_t draw(struct train_run *r, uint64_t at)
{
    if (at / r->text.windows != r->time) {
        r->time = at / r->text.windows;
        train_text_order(r->text.windows, r->recipe.seed, r->time, r->order);
    }
    return r->order[at % r->text.windows];
}

static void absorb(struct train_run *r, double loss, double norm)
{
    struct hasher h;
    hash_start(&h, HASH_TRAIN);
    hash_add(&h, r->digest.b, sizeof r->digest.b);
    hash_add_u32(&h, r->step);
    hash_add_u64(&h, bits_of(loss));
    hash_add_u64(&h, bits_of(norm));
    r->digest = hash_end(&h);
    r->loss[r->step] = loss;
    r->digests[r->step] = load_le64(r->digest.b);
}

enum err train_run_step(struct train_run *r, struct note *note)
{
    const struct train_recipe *p = &r->recipe;
    const uint64_t from = (uint64_t)r->step * p->batch;
    struct train_lora *l = r->lora;
    double sum = 0;
    uint64_t n = 0;
    CHECK(r->step < p->steps);
    for (uint32_t i = 0; i < p->batch; i++)
        n += counted(r, draw(r, from + i));
    memset(l->gradient, 0, l->values_n * sizeof *l->gradient);
    for (uint32_t i = 0; n && i < p->batch; i++) {
        sum = sum + loss_of(r, draw(r, from + i));
        train_pass_back(r->pass, n);
    }
    const double loss = n ? sum / (double)n : 0, norm = train_adam_norm(l->gradient, l->values_n);
    if (!is_finite(loss) || !is_finite(norm))
        return note_set(note, ERR_NUMERIC, "step %u came to what is not a finite number: a smaller --rate may help",
                        r->step + 1);
    absorb(r, loss, norm);
    train_adam_step(&r->adam, l->value, l->gradient, norm, train_adam_rate(p->rate, r->step + 1, p->steps));
    r->step++;
    return ERR_OK;
}

static void hash_floats(struct hasher *h, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash_add_u32(h, arith_bits(x[i]));
}

struct hash train_run_digest(const struct train_run *r)
{
    struct hasher h;
    hash_start(&h, HASH_TRAIN);
    hash_add(&h, r->digest.b, sizeof r->digest.b);
    hash_add_u64(&h, bits_of(r->before));
    hash_add_u64(&h, bits_of(r->after));
    hash_floats(&h, r->lora->value, r->lora->values_n);
    return hash_end(&h);
}

/* -- states -- */

static void put_u64(struct buf *out, uint64_t v)
{
    codec_put_u64(out, &v);
}

static void put_floats(struct buf *out, const float *x, size_t n)
{
    const size_t at = out->n;
    buf_reserve(out, 4 * n);
    out->n += 4 * n;
    for (size_t i = 0; i < n; i++)
        store_le32(out->p + at + 4 * i, arith_bits(x[i]));
}

void train_run_put(const struct train_run *r, struct buf *out)
{
    const size_t from = out->n, n = r->lora->values_n;
    buf_reserve(out, 12 * n + 16 * (size_t)r->step + 256);
    buf_add(out, r->start.b, sizeof r->start.b);
    buf_add(out, r->digest.b, sizeof r->digest.b);
    put_u64(out, r->step);
    put_u64(out, r->has_before);
    put_u64(out, bits_of(r->before));
    for (uint32_t i = 0; i < r->step; i++) {
        put_u64(out, bits_of(r->loss[i]));
        put_u64(out, r->digests[i]);
    }
    put_floats(out, r->lora->value, n);
    put_floats(out, r->adam.mean, n);
    put_floats(out, r->adam.square, n);
    struct hash sum = hash_once(HASH_FILE, out->p + from, out->n - from);
    buf_add(out, sum.b, sizeof sum.b);
}

static double get_double(struct cursor *c)
{
    uint64_t bits;
    double x;
    codec_get_u64(c, &bits);
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void get_floats(struct cursor *c, float *x, size_t n)
{
    const uint8_t *p = cursor_take(c, 4 * n);
    for (size_t i = 0; p && i < n; i++)
        x[i] = arith_of_bits(load_le32(p + 4 * i));
}

static bool sum_fits(struct bytes *state)
{
    struct hash sum;
    if (state->n < sizeof sum.b)
        return false;
    state->n -= sizeof sum.b;
    sum = hash_once(HASH_FILE, state->p, state->n);
    return memcmp(sum.b, state->p + state->n, sizeof sum.b) == 0;
}

enum err train_run_get(struct train_run *r, struct bytes state, struct note *note)
{
    struct hash start;
    uint64_t step, has_before;
    if (!sum_fits(&state))
        return note_set(note, ERR_CORRUPT, "the state does not match its checksum");
    struct cursor c = cursor_of(state);
    codec_get_hash(&c, &start);
    if (!hash_equal(&start, &r->start))
        return note_set(note, ERR_MISMATCH, "it is of another training: model, data or recipe differ");
    codec_get_hash(&c, &r->digest);
    codec_get_u64(&c, &step);
    codec_get_u64(&c, &has_before);
    r->before = get_double(&c);
    for (uint64_t i = 0; i < step && i < r->recipe.steps; i++) {
        r->loss[i] = get_double(&c);
        codec_get_u64(&c, &r->digests[i]);
    }
    get_floats(&c, r->lora->value, r->lora->values_n);
    get_floats(&c, r->adam.mean, r->lora->values_n);
    get_floats(&c, r->adam.square, r->lora->values_n);
    if (!cursor_end(&c) || step > r->recipe.steps || has_before > 1)
        return note_set(note, ERR_CORRUPT, "the state is not one of this version");
    r->step = (uint32_t)step;
    r->has_before = has_before;
    train_adam_set_steps(&r->adam, r->step);
    return ERR_OK;
}
