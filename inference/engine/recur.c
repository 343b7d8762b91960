/* Layers that carry a state: what they share, and short convolutions. Rows of a sequence depend on each other, so a
 * batch is a few chains of rows; what depends only on inputs of earlier rows is done row by row, by all threads. */
#include "inference/engine/recur.h"

#include "base/mem.h"
#include "inference/engine/recur_in.h"

#include <stdlib.h>
#include <string.h>

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What a row's queries take that have gates behind them. */
static size_t gated_queries(const struct model *m)
{
    return m->kind->more & HAS_DELTA_NET ? (size_t)m->heads * m->head : 0;
}

/* Of a batch's row: what enters, and gates. */
static size_t in_floats(const struct model *m)
{
    return m->values_n ? max_of(m->channels, 2 * gated_queries(m)) : 3 * (size_t)m->channels;
}

static size_t gate_floats(const struct model *m)
{
    return m->values_n ? max_of((size_t)m->values_n * m->side, gated_queries(m)) : 0;
}

static size_t beside_floats(const struct model *m)
{
    return m->kind->more & HAS_BOTH ? m->embed : 0;
}

struct recur *recur_new(const struct model *m, uint32_t batch)
{
    if (!m->layers_recurrent)
        return NULL;
    struct recur *t = mem_new(sizeof *t);
    t->in_n = m->values_n ? m->channels : 3 * (size_t)m->channels;
    t->in = mem_array(batch * in_floats(m), sizeof(float));
    if (m->values_n) {
        t->mixed = mem_array((size_t)batch * m->channels, sizeof(float));
        t->gate = mem_array(batch * gate_floats(m), sizeof(float));
        t->raw = mem_array((size_t)batch * 2 * m->values_n, sizeof(float));
        t->rates = mem_array((size_t)batch * 2 * m->values_n, sizeof(float));
    }
    t->beside = mem_array(batch * beside_floats(m), sizeof(float));
    t->kept = mem_array(batch, sizeof *t->kept);
    t->before = mem_array(batch, sizeof *t->before);
    t->after = mem_array(batch, sizeof *t->after);
    t->first = mem_array(batch, sizeof *t->first);
    return t;
}

void recur_free(struct recur *t)
{
    if (!t)
        return;
    void *all[] = {t->in, t->mixed, t->gate, t->raw, t->rates, t->beside, t->kept, t->before, t->after, t->first};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(t);
}

uint64_t recur_bytes(const struct model *m, uint32_t batch)
{
    const uint64_t links = sizeof(float *) + 3 * sizeof(uint32_t);
    uint64_t floats = in_floats(m) + gate_floats(m) + (m->values_n ? m->channels + 4ull * m->values_n : 0);
    return m->layers_recurrent ? batch * ((floats + beside_floats(m)) * sizeof(float) + links) : 0;
}

/* -- a batch -- */

static void link_row(struct engine *e, uint32_t c)
{
    struct recur *t = e->recur;
    struct engine_seq *s = e->rows[c].seq;
    t->before[c] = s->row;
    t->after[c] = NONE;
    if (s->row == NONE)
        t->first[t->chains++] = c;
    else
        t->after[s->row] = c;
    s->row = c;
}

static void reserve(struct engine *e, struct state *s, bool guessed)
{
    const struct model *m = e->m;
    if (!s->now)
        s->now = mem_new(recur_state_bytes(m));
    if (!guessed || s->guesses)
        return;
    s->guesses = mem_array((size_t)m->layers_recurrent * GUESSES_MAX * recur_guess_floats(m), sizeof(float));
    s->ahead = m->values_n ? mem_new(recur_heads_bytes(m)) : NULL;
}

/* Rows behind which a state is kept, at most: what devices have room for. */
static uint32_t keeps_max(const struct engine *e)
{
    return e->devices ? device_keeps_max(recur_state_bytes(e->m), e->batch_max) : UINT32_MAX;
}

static void begin(struct engine *e, uint32_t keeps)
{
    struct recur *t = e->recur;
    t->chains = 0;
    for (uint32_t c = 0; c < e->n; c++) {
        e->rows[c].seq->row = NONE;
        e->rows[c].seq->state.guessing = 0;
    }
    for (uint32_t c = 0; c < e->n; c++) {
        struct state *s = &e->rows[c].seq->state;
        const bool guessed = e->rows[c].guessed;
        CHECK(guessed || s->guessing == 0);
        s->guessing += guessed;
        CHECK(s->guessing <= GUESSES_MAX);
        link_row(e, c);
        reserve(e, s, guessed);
        t->kept[c] = guessed || !keeps ? NULL : recur_keep(e->rows[c].seq, e->position[c]);
        keeps -= t->kept[c] != NULL;
    }
}

void recur_begin(struct engine *e)
{
    begin(e, keeps_max(e));
}

void recur_begin_again(struct engine *e)
{
    begin(e, 0);
}

void recur_drop_kept(struct engine *e)
{
    for (uint32_t c = 0; c < e->n; c++)
        if (e->recur->kept[c]) {
            struct cache *cache = &e->rows[c].seq->cache;
            pages_drop_state(cache->store, cache->page[e->position[c] / ARITH_CHUNK]);
        }
}

void recur_settle(struct engine *e, uint32_t c)
{
    struct engine_seq *s = e->rows[c].seq;
    if (e->recur->after[c] == NONE)
        s->state.guessed = s->state.guessing;
    if (!e->recur->kept[c])
        return;
    struct page *page = s->cache.page[e->position[c] / ARITH_CHUNK];
    if (s->finite)
        pages_settle_state(page);
    else
        pages_drop_state(s->cache.store, page);
}

/* -- a layer -- */

float *recur_state_of(const struct recur_step *t, float *state)
{
    return state + t->l->place * recur_floats(t->e->m);
}

float *recur_guess_of(const struct recur_step *t, const struct state *s, uint32_t i)
{
    return s->guesses + ((size_t)t->l->place * GUESSES_MAX + i) * recur_guess_floats(t->e->m);
}

float *recur_entry_of(const struct engine *e, uint32_t c)
{
    return e->recur->in + (size_t)c * e->recur->in_n;
}

/* What entered it `back` positions before row c. The state has what stands before the batch, the oldest first. */
static const float *entry_before(const struct recur_step *t, uint32_t c, uint32_t back)
{
    const struct model *m = t->e->m;
    float *history = recur_state_of(t, t->e->rows[c].seq->state.now);
    for (; back > 0; back--) {
        if (t->e->recur->before[c] == NONE)
            return history + (size_t)(m->taps - 1 - back) * m->channels;
        c = t->e->recur->before[c];
    }
    return recur_entry_of(t->e, c);
}

/* out[taps - 1, channels] = the last entries up to row c. `out` may be the history itself. */
static void write_history(const struct recur_step *t, uint32_t c, float *out)
{
    const uint32_t taps = t->e->m->taps, n = t->e->m->channels;
    for (uint32_t i = 0; i + 1 < taps; i++) /* rising: of the history only later entries are read */
        memmove(out + (size_t)i * n, entry_before(t, c, taps - 2 - i), n * sizeof *out);
}

/* What was guessed before and turned out to be right joins the state. */
static void take_guesses(const struct recur_step *t, struct state *s)
{
    const uint32_t kept = t->e->m->taps - 1, n = t->e->m->channels;
    float *history = recur_state_of(t, s->now);
    for (uint32_t i = 0; i < s->guessed; i++) {
        memmove(history, history + n, (size_t)(kept - 1) * n * sizeof *history);
        memcpy(history + (size_t)(kept - 1) * n, recur_guess_of(t, s, i), n * sizeof *history);
    }
}

/* By chains. */
void recur_take_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    for (size_t i = first; i < end; i++)
        take_guesses(t, &t->e->rows[t->e->recur->first[i]].seq->state);
}

static void put_guess(const struct recur_step *t, uint32_t c, float *out)
{
    const struct recur *r = t->e->recur;
    const size_t n = t->e->m->channels, rates = 2 * (size_t)t->e->m->values_n;
    memcpy(out, recur_entry_of(t->e, c), n * sizeof *out);
    if (rates == 0)
        return;
    memcpy(out + n, r->mixed + c * n, n * sizeof *out);
    memcpy(out + 2 * n, r->rates + c * rates, rates * sizeof *out);
}

static void leave_chain(const struct recur_step *t, uint32_t c)
{
    const struct recur *r = t->e->recur;
    struct state *s = &t->e->rows[c].seq->state;
    uint32_t last = NONE, guessed = 0;
    for (; c != NONE; c = r->after[c]) {
        if (t->e->rows[c].guessed) {
            put_guess(t, c, recur_guess_of(t, s, guessed++));
            continue;
        }
        if (r->kept[c])
            write_history(t, c, recur_state_of(t, r->kept[c]));
        last = c;
    }
    if (last != NONE)
        write_history(t, last, recur_state_of(t, s->now));
}

void recur_leave_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    for (size_t i = first; i < end; i++)
        leave_chain(t, t->e->recur->first[i]);
}

/* By rows: gate times value enters the convolution. */
static void enter_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    struct engine *e = t->e;
    const size_t n = e->m->channels;
    for (size_t c = first; c < end; c++) {
        float *x = recur_entry_of(e, (uint32_t)c);
        e->ops->times(x, x + 2 * n, n);
        if (!e->ops->finite(x, n))
            e->finite[c] = false;
    }
}

void recur_convolve(const struct recur_step *t, uint32_t c, float *out)
{
    const uint32_t taps = t->e->m->taps;
    const float *x[TAPS_MAX];
    for (uint32_t k = 0; k < taps; k++)
        x[k] = entry_before(t, c, taps - 1 - k);
    t->e->ops->convolve(x, t->l->recurrent->taps, taps, t->e->m->channels, out);
}

/* By rows: what the convolution makes times the other gate. */
static void convolve_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const size_t n = t->e->m->channels;
    for (size_t c = first; c < end; c++) {
        float *out = t->e->o + c * n;
        const float *gate = recur_entry_of(t->e, (uint32_t)c) + n;
        recur_convolve(t, (uint32_t)c, out);
        t->e->ops->times(out, gate, n);
    }
}

/* -- heads: each of each sequence goes through the rows of its sequence by itself, so that heads are what threads
 * share. Guessed rows go on in a copy. -- */

#define RUN 64 /* positions that a head goes through at once */

struct run {
    const struct recur_step *t;
    uint32_t head;
    float *state;
    struct ops_delta row[RUN];
    size_t n;
};

static void finish_run(struct run *r)
{
    const struct model *m = r->t->e->m;
    if (r->n > 0 && m->kind->more & HAS_SCAN)
        r->t->e->ops->scan(r->state, m->depth, m->side, r->row, r->n);
    else if (r->n > 0)
        r->t->e->ops->delta(r->state, m->side, r->row, r->n);
    r->n = 0;
}

/* A position whose convolution and rates are given. out NULL: nobody asks. */
static void add_row(struct run *r, const float *mixed, const float *rates, float *out)
{
    if (r->n == RUN)
        finish_run(r);
    r->row[r->n] = r->t->row(r->t->e->m, r->head, mixed, rates);
    r->row[r->n++].out = out;
}

static float *head_of(const struct recur_step *t, float *state, uint32_t head)
{
    const struct model *m = t->e->m;
    return recur_state_of(t, state) + recur_history_floats(m) + head * recur_head_floats(m);
}

static void run_head(const struct recur_step *t, uint32_t c, uint32_t head)
{
    const struct engine *e = t->e;
    const struct model *m = e->m;
    const struct recur *r = e->recur;
    struct state *s = &e->rows[c].seq->state;
    const size_t all = (size_t)m->values_n * m->side, bytes = recur_head_floats(m) * sizeof(float);
    struct run run;
    run.t = t;
    run.head = head;
    run.state = head_of(t, s->now, head);
    run.n = 0;
    for (uint32_t i = 0; i < s->guessed; i++) {
        const float *guess = recur_guess_of(t, s, i);
        add_row(&run, guess + m->channels, guess + 2 * (size_t)m->channels, NULL);
    }
    for (bool ahead = false; c != NONE; c = r->after[c]) {
        if (e->rows[c].guessed && !ahead) {
            finish_run(&run);
            run.state = memcpy(s->ahead + head * recur_head_floats(m), run.state, bytes);
            ahead = true;
        }
        add_row(&run, r->mixed + (size_t)c * m->channels, r->rates + (size_t)c * 2 * m->values_n,
                e->o + c * all + (size_t)head * m->side);
        if (r->kept[c]) {
            finish_run(&run);
            memcpy(head_of(t, r->kept[c], head), run.state, bytes);
        }
    }
    finish_run(&run);
}

void recur_heads_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const uint32_t heads = t->e->m->values_n;
    for (size_t i = first; i < end; i++)
        run_head(t, t->e->recur->first[i / heads], (uint32_t)(i % heads));
}

void recur_run(struct engine *e, const struct model_layer *l, const float *x, size_t cols)
{
    struct recur_step t = {.e = e, .l = l};
    if (e->m->values_n) {
        if (e->m->kind->more & HAS_SCAN)
            scan_run(&t, x, cols);
        else
            delta_run(&t, x, cols);
        return;
    }
    struct ops_input in = engine_input(e, x, e->m->embed, cols, e->slot, &l->recurrent->in.w, NULL, NULL);
    engine_product(e, &l->recurrent->in, &in, e->recur->in);
    pool_run(e->pool, cols, 1, enter_part, &t);
    pool_run(e->pool, e->recur->chains, 1, recur_take_part, &t);
    pool_run(e->pool, cols, 1, convolve_part, &t);
    pool_run(e->pool, e->recur->chains, 1, recur_leave_part, &t);
}

void recur_set_aside(struct engine *e, size_t cols)
{
    memcpy(e->recur->beside, e->back, cols * e->m->embed * sizeof *e->back);
}

void recur_add_aside(struct engine *e, size_t cols)
{
    e->ops->add(e->back, e->recur->beside, cols * e->m->embed);
}

size_t recur_pack(struct engine *e, size_t cols)
{
    const size_t n = recur_inner(e->m);
    for (size_t c = 0; c < cols; c++)
        if (e->slot[c] != c)
            memmove(e->o + c * n, e->o + e->slot[c] * n, n * sizeof *e->o);
    return cols;
}
