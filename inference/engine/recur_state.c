/* The memory of recurrent layers: a sequence's, and what of it is kept. */
#include "base/mem.h"
#include "inference/engine/engine_in.h"

#include <stdlib.h>
#include <string.h>

size_t recur_inner(const struct model *m)
{
    return m->values_n ? (size_t)m->values_n * m->side : m->channels;
}

size_t recur_history_floats(const struct model *m)
{
    return (size_t)(m->taps - 1) * m->channels;
}

size_t recur_head_floats(const struct model *m)
{
    return (size_t)m->depth * m->side;
}

size_t recur_heads_bytes(const struct model *m)
{
    return m->values_n * recur_head_floats(m) * sizeof(float);
}

size_t recur_floats(const struct model *m)
{
    return m->layers_recurrent ? recur_history_floats(m) + m->values_n * recur_head_floats(m) : 0;
}

size_t recur_guess_floats(const struct model *m)
{
    return m->channels + (m->values_n ? m->channels + 2 * (size_t)m->values_n : 0);
}

size_t recur_state_bytes(const struct model *m)
{
    return m->layers_recurrent * recur_floats(m) * sizeof(float);
}

uint64_t recur_seq_bytes(const struct model *m)
{
    const uint64_t guesses = (uint64_t)m->layers_recurrent * GUESSES_MAX * recur_guess_floats(m) * sizeof(float);
    return m->layers_recurrent ? recur_state_bytes(m) + guesses + recur_heads_bytes(m) : 0;
}

void recur_state_clear(struct state *s)
{
    free(s->now);
    free(s->guesses);
    free(s->ahead);
}

void recur_cut(struct state *s, uint32_t count)
{
    CHECK(count <= s->guessed);
    s->guessed -= count;
}

void recur_forget(struct state *s, const struct model *m)
{
    if (s->now)
        memset(s->now, 0, recur_state_bytes(m));
    s->guessed = 0;
    s->is_taken_over = false;
}

bool recur_keeps_all(const struct model *m)
{
    return recur_state_bytes(m) <= cache_page_bytes(m);
}

void recur_reuse(struct engine_seq *s, uint32_t end, uint32_t known, uint32_t n)
{
    const struct model *m = s->engine->m;
    struct state *t = &s->state;
    t->prompt_pages = n / ARITH_CHUNK;
    t->known_pages = known > end / ARITH_CHUNK ? known : 0;
    if (end == s->length)
        return;
    const float *kept = pages_state(s->cache.store, s->cache.page[end / ARITH_CHUNK - 1]);
    CHECK(kept && t->guessed == 0);
    t->is_taken_over = true;
    if (!t->now)
        t->now = mem_new(recur_state_bytes(m));
    memcpy(t->now, kept, recur_state_bytes(m));
}

bool recur_next_key(struct engine_seq *s, const uint32_t *tokens, uint32_t n, struct hash *key)
{
    struct state *t = &s->state;
    const struct cache *c = &s->cache;
    if (recur_keeps_all(s->engine->m))
        return cache_next_key(c, s->length, tokens, n, key);
    if (!c->is_shared || s->length / ARITH_CHUNK >= t->prompt_pages || n / ARITH_CHUNK < t->prompt_pages)
        return false;
    if (!t->has_goal) {
        t->goal = c->key;
        for (uint32_t i = c->whole; i < t->prompt_pages; i++)
            t->goal = pages_key(&t->goal, tokens + (size_t)i * ARITH_CHUNK);
        t->has_goal = true;
    }
    *key = t->goal;
    return true;
}

/* The newest page of the answer takes the place of the one before. */
static void forget_last(struct engine_seq *s)
{
    struct page *last = s->state.answer_pages ? s->cache.page[s->state.answer_pages - 1] : NULL;
    if (last && last->refs == 1 && last->is_state_whole)
        pages_drop_state(s->cache.store, last);
}

float *recur_keep(struct engine_seq *s, uint32_t position)
{
    struct state *t = &s->state;
    const uint32_t pages = position / ARITH_CHUNK + 1;
    if (!s->cache.is_shared || position % ARITH_CHUNK != ARITH_CHUNK - 1)
        return NULL;
    if (!recur_keeps_all(s->engine->m) && pages != t->known_pages && pages <= t->prompt_pages &&
        pages != t->prompt_pages)
        return NULL;
    if (!recur_keeps_all(s->engine->m) && pages > t->prompt_pages) {
        forget_last(s);
        t->answer_pages = pages;
    }
    return pages_keep_state(s->cache.store, s->cache.page[pages - 1]);
}
