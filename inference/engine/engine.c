/* Evaluating a batch: its rows enter the stream, go through the layers (layer.c), and leave as hidden states and
 * logits. */
#include "inference/engine/engine_in.h"

#include "base/limits.h"
#include "base/mem.h"
#include "inference/engine/attention.h"
#include "inference/kernels/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENTER_GRAIN 8 /* rows that a thread reads out of the embedding at once: some 10 microseconds each */

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Floats of a row of keys, or of values. */
static size_t keys_n(const struct model *m)
{
    size_t most = 0;
    for (uint32_t i = 0; i < m->layers; i++)
        most = max_of(most, (size_t)m->layer[i].keys.heads * m->layer[i].keys.key_n);
    return most;
}

static void new_ropes(struct engine *e)
{
    const struct model *m = e->m;
    bool windows = false;
    for (uint32_t i = 0; i < m->layers; i++)
        windows = windows || m->layer[i].window;
    if (!m->rope_pairs)
        return;
    e->rope[MODEL_ROPE] = rope_new(&m->rope[MODEL_ROPE], m->rope_pairs, e->context);
    if (m->rope_long_from && m->rope_long_from < m->context)
        e->rope[MODEL_ROPE_LONG] = rope_new(&m->rope[MODEL_ROPE_LONG], m->rope_pairs, e->context);
    if ((m->kind->has & HAS_LOCAL_TURNS) && windows)
        e->rope[MODEL_ROPE_LOCAL] = rope_new(&m->rope[MODEL_ROPE_LOCAL], m->rope_pairs, e->context);
}

struct engine *engine_new(const struct engine_options *o)
{
    const struct model *m = o->model;
    struct engine *e = mem_new(sizeof *e);
    size_t n = o->batch_max, all = (size_t)model_queries_n(m), kv = keys_n(m);
    size_t mix = model_mix_most(m), inner = max_of(all, recur_inner(m));
    CHECK(n >= 1 && n <= BATCH_MAX);
    e->m = m;
    e->ops = o->ops;
    e->batch_max = o->batch_max;
    e->logits_most = o->logits_max ? (uint32_t)min_of(o->logits_max + LOGITS_ROWS, n) : o->batch_max;
    e->context = o->context && o->context < m->context ? o->context : m->context;
    e->is_pool_shared = o->pool != NULL;
    e->pool = o->pool ? o->pool : pool_new(o->threads);
    e->pages = pages_new(cache_page_bytes(m), recur_state_bytes(m));
    new_ropes(e);
    e->widest = max_of(max_of(m->embed, mix), max_of(inner, m->input_n));
    e->x = mem_array(n * m->embed, sizeof(float));
    e->h = mem_array(n * m->embed, sizeof(float));
    e->q = mem_array(n * all, sizeof(float));
    e->o = mem_array(n * inner, sizeof(float));
    e->k = mem_array(n * kv, sizeof(float));
    e->v = mem_array(n * kv, sizeof(float));
    e->gate = mem_array(n * mix, sizeof(float));
    e->up = mem_array(n * mix, sizeof(float));
    e->back = mem_array(n * m->embed, sizeof(float));
    e->low = mem_array(n * m->low_rank, sizeof(float));
    e->hidden = mem_array(n * m->embed, sizeof(float));
    e->narrow = mem_new(ops_blocks_bytes(e->widest, n));
    e->wide = mem_new(ops_blocks_bytes(e->widest, n));
    e->position = mem_array(n, sizeof *e->position);
    e->slot = mem_array(n, sizeof *e->slot);
    e->finite = mem_array(n, sizeof *e->finite);
    e->scratch = mem_new(engine_attend_scratch(m, n));
    e->moe = moe_new(m, o->batch_max);
    e->recur = recur_new(m, o->batch_max);
    e->latent = latent_new(m, o->batch_max);
    e->inputs = inputs_new(m, o->batch_max);
    CHECK(!e->inputs || !o->devices_n);
    e->devices = engine_devices_new(o);
    if (e->devices)
        engine_devices_pin(e);
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    engine_devices_free(e->devices);
    if (!e->is_pool_shared)
        pool_free(e->pool);
    pages_free(e->pages);
    for (unsigned i = 0; i < MODEL_ROPE_COUNT; i++)
        rope_free(e->rope[i]);
    moe_free(e->moe);
    recur_free(e->recur);
    latent_free(e->latent);
    inputs_free(e->inputs);
    void *all[] = {e->x,    e->h,      e->q,       e->o,      e->k,       e->v,    e->gate,
                   e->up,   e->back,   e->hidden,  e->logits, e->narrow,  e->wide, e->position,
                   e->slot, e->finite, e->scratch, e->low,    e->tap_list};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(e);
}

const struct model *engine_model(const struct engine *e)
{
    return e->m;
}

const struct ops *engine_ops(const struct engine *e)
{
    return e->ops;
}

struct pool *engine_pool(const struct engine *e)
{
    return e->pool;
}

uint32_t engine_batch_max(const struct engine *e)
{
    return e->batch_max;
}

uint32_t engine_context(const struct engine *e)
{
    return e->context;
}

uint64_t engine_bytes(const struct engine *e)
{
    const struct model *m = e->m;
    size_t all = (size_t)model_queries_n(m), kv = keys_n(m);
    uint64_t mix = model_mix_most(m), vocab = model_writes(m) ? m->vocab : 0;
    uint64_t floats = 4ull * m->embed + all + max_of(all, recur_inner(m)) + 2 * kv + 2 * mix + m->low_rank;
    return 2 * ops_blocks_bytes(e->widest, e->batch_max) + e->batch_max * floats * 4 + e->logits_most * vocab * 4 +
           engine_attend_scratch(m, e->batch_max) + moe_bytes(m, e->batch_max) + latent_bytes(m, e->batch_max) +
           recur_bytes(m, e->batch_max) + inputs_bytes(m, e->batch_max);
}

uint64_t engine_seq_bytes(const struct engine *e, uint32_t positions)
{
    return ((uint64_t)positions + ARITH_CHUNK - 1) / ARITH_CHUNK * (sizeof(struct page) + cache_page_bytes(e->m)) +
           recur_seq_bytes(e->m);
}

struct engine_seq *engine_seq_new(struct engine *e, uint32_t length)
{
    struct engine_seq *s = mem_new(sizeof *s);
    s->engine = e;
    s->finite = true;
    s->is_long = e->rope[MODEL_ROPE_LONG] && length > e->m->rope_long_from;
    cache_init(&s->cache, e->m, e->pages);
    s->after = e->seqs;
    if (e->seqs)
        e->seqs->before = s;
    e->seqs = s;
    return s;
}

void engine_seq_free(struct engine_seq *s)
{
    if (!s)
        return;
    *(s->before ? &s->before->after : &s->engine->seqs) = s->after;
    if (s->after)
        s->after->before = s->before;
    if (s->engine->devices)
        engine_devices_leave(s->engine, s);
    cache_clear(&s->cache);
    recur_state_clear(&s->state);
    free(s);
}

uint32_t engine_seq_length(const struct engine_seq *s)
{
    return s->length;
}

/* What is in the cache beyond the length is written again before anybody reads it. */
void engine_seq_cut(struct engine_seq *s, uint32_t length)
{
    CHECK(length <= s->length);
    if (s->engine->recur)
        recur_cut(&s->state, s->length - length);
    s->length = length;
    s->finite = true;
}

void engine_seq_share(struct engine_seq *s, const struct hash *scope)
{
    struct hash root = pages_root(scope, s->is_long);
    cache_share(&s->cache, &root);
}

uint32_t engine_seq_reuse(struct engine_seq *s, const uint32_t *tokens, uint32_t n)
{
    uint32_t known;
    if (s->length % ARITH_CHUNK != 0 || !s->cache.is_shared)
        return s->length;
    uint32_t end = cache_reuse(&s->cache, tokens, n, &known);
    if (s->engine->recur)
        recur_reuse(s, end, known, n);
    s->length = end;
    return end;
}

bool engine_seq_next_key(struct engine_seq *s, const uint32_t *tokens, uint32_t n, struct hash *key)
{
    return s->engine->recur ? recur_next_key(s, tokens, n, key) : cache_next_key(&s->cache, s->length, tokens, n, key);
}

uint64_t engine_idle_bytes(const struct engine *e)
{
    return pages_idle_bytes(e->pages);
}

void engine_trim(struct engine *e, uint64_t idle_bytes_max)
{
    pages_trim(e->pages, idle_bytes_max);
}

/* -- a batch -- */

void engine_read_row(const struct engine *e, const struct ops_weight *w, uint32_t row, float *out)
{
    if (w->packed && e->ops->wants_packed && !e->devices)
        pack_read_row(quant_format(w->type), w->packed, w->n, row, out);
    else
        quant_read_row(w->type, w->data + (size_t)row * w->row_bytes, w->n, out);
}

static void enter_part(void *arg, size_t first, size_t end)
{
    struct engine *e = arg;
    const struct model *m = e->m;
    for (size_t c = first; c < end; c++) {
        float *x = e->x + c * m->embed;
        engine_read_row(e, &m->embedding, e->rows[c].token, x);
        if (m->embed_scale != 1.0f)
            e->ops->scale(x, m->embed_scale, m->embed);
        e->slot[c] = (uint32_t)c;
        e->finite[c] = true;
    }
}

void engine_enter(struct engine *e)
{
    pool_run(e->pool, e->n, ENTER_GRAIN, enter_part, e);
    if (e->inputs)
        inputs_make(e);
}

/* Every row has its position, room for it, and its angles. */
static void begin(struct engine *e, struct engine_row *rows, uint32_t n)
{
    e->rows = rows;
    e->n = n;
    for (uint32_t c = 0; c < n; c++) {
        struct engine_seq *s = rows[c].seq;
        CHECK(rows[c].token < e->m->vocab && s->length < e->context);
        e->position[c] = s->length++;
        rows[c].logits = NULL;
        cache_reserve(&s->cache, e->position[c], rows[c].token);
        for (unsigned i = 0; i < MODEL_ROPE_COUNT; i++)
            if (e->rope[i])
                rope_prepare(e->rope[i], s->length);
    }
    if (e->recur)
        recur_begin(e);
    engine_list_taps(e);
    engine_enter(e);
}

/* A position is finite when it and all before it in its sequence are; rows of a sequence are in order. */
static void settle_finite(struct engine *e)
{
    for (uint32_t c = 0; c < e->n; c++) {
        struct engine_seq *s = e->rows[c].seq;
        s->finite = s->finite && e->finite[c];
        e->rows[c].finite = s->finite;
        if (e->recur)
            recur_settle(e, c);
        cache_settle(&s->cache, e->position[c], s->finite);
    }
}

size_t engine_told(const struct engine *e, size_t cols)
{
    size_t told = 0;
    while (told < cols && !e->rows[e->slot[told]].no_logits)
        told++;
    for (size_t c = told; c < cols; c++)
        CHECK(e->rows[e->slot[c]].no_logits);
    return told;
}

static void mark(struct engine *e, const float *x, size_t n, size_t cols)
{
    for (size_t c = 0; c < cols; c++)
        if (!e->ops->finite(x + c * n, n))
            e->finite[e->slot[c]] = false;
}

/* -- logits -- */

void engine_reserve_logits(struct engine *e, uint32_t rows)
{
    if (rows <= e->logits_rows)
        return;
    if (e->devices)
        engine_devices_unpin_logits(e);
    free(e->logits);
    CHECK(rows <= e->logits_most);
    e->logits_rows = (uint32_t)min_of(rows + rows / 2, e->logits_most);
    e->logits = mem_array((size_t)e->logits_rows * e->m->vocab, sizeof *e->logits);
    if (e->devices)
        engine_devices_pin(e);
}

/* Rows [first, end) of those that go on have their logits at `logits`. */
struct looking {
    struct engine *e;
    size_t first;
    float *logits;
};

/* Scaled and capped where the model has it so; whether they are finite, and which is the largest where that is all. */
static void look_part(void *arg, size_t first, size_t end)
{
    const struct looking *t = arg;
    struct engine *e = t->e;
    const size_t vocab = e->m->vocab;
    for (size_t c = first; c < end; c++) {
        uint32_t row = e->slot[t->first + c];
        struct engine_row *r = &e->rows[row];
        float *logits = t->logits + c * vocab;
        if (e->m->logit_scale != 1.0f)
            e->ops->scale(logits, e->m->logit_scale, vocab);
        if (e->m->cap_logits != 0.0f)
            e->ops->soft_cap(logits, e->m->cap_logits, vocab);
        bool finite = r->best_only ? ops_largest(e->ops, logits, vocab, &r->best) : e->ops->finite(logits, vocab);
        if (!finite)
            e->finite[row] = false;
        r->logits = r->best_only ? NULL : logits;
    }
}

/* How many of the first `told` rows that go on keep their logits. */
static size_t count_kept(const struct engine *e, size_t told)
{
    size_t kept = 0;
    for (size_t c = 0; c < told; c++)
        kept += !e->rows[e->slot[c]].best_only;
    return kept;
}

/* Of a piece the logits that are kept, to its front. How many they are. */
static size_t gather_kept(struct engine *e, const struct looking *t, size_t end)
{
    const size_t vocab = e->m->vocab;
    size_t kept = 0;
    for (size_t c = t->first; c < end; c++) {
        struct engine_row *r = &e->rows[e->slot[c]];
        if (r->best_only)
            continue;
        float *to = t->logits + kept++ * vocab;
        if (to != r->logits)
            memcpy(to, r->logits, vocab * sizeof *to);
        r->logits = to;
    }
    return kept;
}

/* Logits of the first `told` rows that go on, in pieces: those of which only the largest is asked for share memory. */
static void tell(struct engine *e, size_t told)
{
    size_t room = count_kept(e, told) + LOGITS_ROWS, at = 0;
    engine_reserve_logits(e, (uint32_t)min_of(room, told));
    for (size_t c = 0, end; c < told; c = end) {
        end = min_of(told, c + LOGITS_ROWS);
        struct looking t = {e, c, e->logits + at * e->m->vocab};
        struct ops_input in = engine_input(e, e->hidden + c * e->m->embed, e->m->embed, end - c, e->slot + c,
                                           &e->m->output.w, NULL, NULL);
        engine_product(e, &e->m->output, &in, t.logits);
        pool_run(e->pool, end - c, 1, look_part, &t);
        at += gather_kept(e, &t, end);
    }
}

void engine_leave(struct engine *e, size_t cols)
{
    const struct model *m = e->m;
    engine_norm(e, &m->output_norm, e->x, m->embed, e->hidden, cols);
    mark(e, e->hidden, m->embed, cols);
    tell(e, engine_told(e, cols));
}

/* All layers, then hidden states and logits; how many rows went on to them. */
static size_t run_here(struct engine *e)
{
    const struct model *m = e->m;
    size_t cols = 0;
    for (uint32_t i = 0; i < m->layers; i++)
        cols = engine_layer(e, i);
    if (!cols)
        return 0;
    engine_leave(e, cols);
    return cols;
}

/* The first layers here, the others on devices. */
static bool run_devices(struct engine *e, size_t *cols)
{
    for (uint32_t i = 0; i < engine_devices_first(e->devices); i++)
        (void)engine_layer(e, i);
    return engine_devices_run(e, cols);
}

void engine_eval(struct engine *e, struct engine_row *rows, uint32_t n)
{
    size_t cols = 0;
    CHECK(n >= 1 && n <= e->batch_max && model_writes(e->m));
    begin(e, rows, n);
    if (!e->devices || !run_devices(e, &cols))
        cols = run_here(e);
    for (size_t c = 0; c < cols; c++)
        rows[e->slot[c]].hidden = e->hidden + c * e->m->embed;
    settle_finite(e);
}

/* -- embeddings -- */

bool engine_embed_wants(const struct engine *e, uint32_t i, uint32_t n)
{
    enum model_pooling pooling = e->m->pooling;
    return pooling == MODEL_POOL_MEAN || i == (pooling == MODEL_POOL_FIRST ? 0 : n - 1);
}

void engine_embed_add(const struct engine *e, const float *hidden, float *out)
{
    if (e->m->pooling == MODEL_POOL_MEAN)
        e->ops->add(out, hidden, e->m->embed);
    else
        memcpy(out, hidden, e->m->embed * sizeof *out);
}

bool engine_embed_end(const struct engine *e, uint32_t n, bool finite, float *out)
{
    size_t embed = e->m->embed;
    for (size_t j = 0; e->m->pooling == MODEL_POOL_MEAN && j < embed; j++)
        out[j] = out[j] / (float)(int32_t)n;
    finite = finite && e->ops->finite(out, embed);
    if (!finite)
        memset(out, 0, embed * sizeof *out);
    return finite;
}

static bool embed_decoder(struct engine *e, struct engine_row *rows, const uint32_t *ids, uint32_t n, float *out)
{
    struct engine_seq *s = rows->seq;
    for (uint32_t from = 0; from < n;) {
        uint32_t cols = n - from < e->batch_max ? n - from : e->batch_max;
        for (uint32_t c = 0; c < cols; c++)
            rows[c] = (struct engine_row){
                .seq = s, .token = ids[from + c], .wants = engine_embed_wants(e, from + c, n), .no_logits = true};
        engine_eval(e, rows, cols);
        for (uint32_t c = 0; c < cols; c++)
            if (rows[c].wants)
                engine_embed_add(e, rows[c].hidden, out);
        from += cols;
    }
    return engine_embed_end(e, n, s->finite, out);
}

static bool embed_encoder(struct engine *e, struct engine_row *rows, const uint32_t *ids, uint32_t n, float *out)
{
    size_t embed = e->m->embed;
    float *hidden = mem_array((size_t)n * embed, sizeof *hidden);
    bool finite = encoder_run(e, rows, ids, n, hidden);
    for (uint32_t i = 0; finite && i < n; i++)
        if (engine_embed_wants(e, i, n))
            engine_embed_add(e, hidden + i * embed, out);
    free(hidden);
    return engine_embed_end(e, n, finite, out);
}

bool engine_embed(struct engine *e, const uint32_t *ids, uint32_t n, float *out)
{
    const struct model *m = e->m;
    CHECK(n >= 1 && n <= e->context);
    for (uint32_t i = 0; i < n; i++)
        CHECK(ids[i] < m->vocab);
    struct engine_row *rows = mem_array(e->batch_max, sizeof *rows);
    struct engine_seq *s = engine_seq_new(e, n);
    rows->seq = s;
    memset(out, 0, m->embed * sizeof *out);
    bool finite = model_writes(m) ? embed_decoder(e, rows, ids, n, out) : embed_encoder(e, rows, ids, n, out);
    engine_seq_free(s);
    free(rows);
    return finite;
}

void engine_embed_normalise(float *x, size_t n)
{
    float lanes[ARITH_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % ARITH_LANES] = lanes[i % ARITH_LANES] + x[i] * x[i];
    float length = sqrtf(arith_fold(lanes));
    for (size_t i = 0; length > 0.0f && i < n; i++)
        x[i] = x[i] / length;
}

uint64_t engine_embed_bytes(const struct engine *e, uint32_t n)
{
    return engine_seq_bytes(e, n) + (uint64_t)n * e->m->embed * 4 + e->batch_max * sizeof(struct engine_row);
}
