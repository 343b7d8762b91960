/* Whole models and jobs of theirs, run to the end: what the tests of engine and sessions share. */
#ifndef KITH_TESTS_ENGINE_H
#define KITH_TESTS_ENGINE_H

#include "base/file_map.h"
#include "base/mem.h"
#include "base/merkle.h"
#include "inference/sched/session.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

struct loaded {
    struct bytes file;
    struct gguf *gguf;
    struct pack *pack;
    uint8_t *packed;
    struct model *model;
    struct tok *tok;
    struct hash root;
};

static inline void pack_all(struct loaded *l)
{
    l->pack = pack_new(l->gguf);
    l->packed = mem_new(pack_bytes(l->pack) + 1);
    pack_set_memory(l->pack, l->packed);
    pack_fill(l->pack);
}

static inline void load(const char *path, struct loaded *l)
{
    struct note note = {{0}};
    assert_int_equal(file_map(path, &l->file, &note), ERR_OK);
    assert_int_equal(gguf_open(l->file, &l->gguf, &note), ERR_OK);
    pack_all(l);
    if (model_open(l->gguf, l->pack, &l->model, &note) != ERR_OK)
        fail_msg("%s", note.text);
    assert_int_equal(tok_open(l->gguf, &l->tok, &note), ERR_OK);
    struct merkle_tree *t = merkle_tree_of(l->file.p, l->file.n);
    l->root = merkle_tree_root(t);
    merkle_tree_free(t);
}

static inline void unload(struct loaded *l)
{
    tok_free(l->tok);
    model_free(l->model);
    pack_free(l->pack);
    free(l->packed);
    gguf_free(l->gguf);
    file_unmap(l->file);
}

static inline struct engine *engine_for(const struct loaded *l, const char *ops, unsigned threads, uint32_t batch)
{
    struct engine_options o = {.model = l->model, .ops = ops_pick(ops, NULL), .threads = threads, .batch_max = batch};
    return o.ops ? engine_new(&o) : NULL;
}

static inline void put_request(struct buf *b, const uint32_t *prompt, uint32_t n, uint32_t tokens, float temp,
                               uint8_t seed)
{
    struct request r;
    request_init(&r);
    r.prompt = bytes_of(prompt, (size_t)n * 4);
    r.tokens_max = tokens;
    r.temp = temp;
    r.top_p = 0.95f;
    r.top_k = 40;
    r.repeat_penalty = temp > 0 ? 1.1f : 1;
    r.window = 32;
    r.seed.b[0] = seed;
    request_put(b, &r);
}

struct answer {
    uint32_t tokens[256];
    uint32_t n;
    struct hash digest;
    uint8_t stop;
    struct buf text;
    bool same;
    uint32_t position;
    enum session_event_kind end;
};

static inline void collect(struct session *s, struct answer *a)
{
    struct session_event e;
    while ((e = session_next_event(s)).kind != SESSION_NONE) {
        buf_add(&a->text, e.text.p, e.text.n);
        a->digest = e.digest;
        if (e.kind == SESSION_TOKEN) {
            a->tokens[e.index] = e.token;
            a->n = e.index + 1;
        } else {
            a->end = e.kind;
            a->stop = e.stop;
            a->same = e.same;
            a->position = e.index;
        }
    }
}

/* Runs sessions together, `batch` rows at a time. */
static inline void drive(struct engine *engine, struct session **s, struct answer *a, unsigned n, uint32_t batch)
{
    struct engine_row *rows = mem_array(batch, sizeof *rows);
    for (;;) {
        uint32_t used = 0, share[8] = {0};
        for (unsigned i = 0; i < n; i++)
            used += share[i] =
                session_rows(s[i], NULL, rows + used, i + 1 < n ? (batch - used + 1) / 2 : batch - used, UINT32_MAX);
        if (used == 0)
            break;
        engine_eval(engine, rows, used);
        for (unsigned i = 0, at = 0; i < n; at += share[i++]) {
            session_take(s[i], rows + at, share[i]);
            collect(s[i], &a[i]);
        }
    }
    free(rows);
}

static inline struct answer run(const struct loaded *l, struct engine *e, enum session_mode mode, struct bytes request,
                                struct bytes tokens, const struct hash *claimed, uint32_t batch)
{
    struct answer a = {0};
    struct note note = {{0}};
    struct session *s;
    struct session_options o = {
        .mode = mode, .engine = e, .tok = l->tok, .model = l->root, .request = request, .tokens = tokens};
    if (claimed)
        o.digest = *claimed;
    if (session_new(&o, &s, &note) != ERR_OK)
        fail_msg("%s", note.text);
    drive(e, &s, &a, 1, batch);
    assert_true(session_is_over(s));
    session_free(s);
    return a;
}

static const uint32_t short_prompt[] = {1, 403, 407, 261, 378};

#endif
