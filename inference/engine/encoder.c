/* An encoder: every position sees all of the text, so a text is evaluated whole, layer by layer, in pieces of the
 * batch: first the keys and values of all positions, then what they make of each piece.
 *
 *     x = norm(embedding[token] + types[0] + positions[i])
 *     each layer:  x = norm(x + output . attention);  x = norm(x + down . gelu(up . x)) */
#include "inference/engine/engine_in.h"

#include <string.h>

/* The rows of a piece, [from, from + cols) of the text, as the shared steps want them. */
static void begin_piece(struct engine *e, struct engine_row *row, uint32_t from, uint32_t cols)
{
    e->rows = row;
    e->n = cols;
    for (uint32_t c = 0; c < cols; c++) {
        row[c] = (struct engine_row){.seq = row->seq};
        e->position[c] = from + c;
        e->slot[c] = c;
    }
}

static void embed_text(struct engine *e, const uint32_t *ids, uint32_t n, float *x)
{
    const struct model *m = e->m;
    for (uint32_t i = 0; i < n; i++) {
        float *row = x + (size_t)i * m->embed;
        engine_read_row(e, &m->embedding, ids[i], row);
        if (m->types.data) {
            engine_read_row(e, &m->types, 0, e->h);
            e->ops->add(row, e->h, m->embed);
        }
        engine_read_row(e, &m->positions, i, e->h);
        e->ops->add(row, e->h, m->embed);
    }
    engine_norm(e, &m->embedding_norm, x, m->embed, x, n);
}

static void rest_of_layer(struct engine *e, const struct model_layer *l, uint32_t index, float *x, uint32_t cols)
{
    size_t embed = e->m->embed;
    engine_project(e, index, x, cols, ENGINE_QUERIES);
    engine_attend(e, index, cols);
    engine_attention_output(e, l, cols);
    engine_add(e, x, e->back, cols);
    engine_norm(e, &l->attention_post, x, embed, x, cols);
    engine_mix(e, l, x, e->back, cols);
    engine_add(e, x, e->back, cols);
    engine_norm(e, &l->mix_post, x, embed, x, cols);
}

/* Layer by layer, here. */
static void run_layer(struct engine *e, struct engine_row *rows, uint32_t index, uint32_t n, float *hidden)
{
    const uint32_t piece = e->batch_max;
    for (unsigned pass = 0; pass < 2; pass++)
        for (uint32_t from = 0; from < n; from += piece) {
            uint32_t cols = n - from < piece ? n - from : piece;
            float *x = hidden + (size_t)from * e->m->embed;
            begin_piece(e, rows, from, cols);
            if (pass == 0)
                engine_project(e, index, x, cols, ENGINE_KEYS);
            else
                rest_of_layer(e, &e->m->layer[index], index, x, cols);
        }
}

/* Devices take a text that is one batch; a longer one is evaluated here. */
static bool run_devices(struct engine *e, struct engine_row *rows, const uint32_t *ids, uint32_t n, float *hidden)
{
    if (!e->devices || n > e->batch_max)
        return false;
    embed_text(e, ids, n, hidden);
    for (uint32_t i = 0; i < engine_devices_first(e->devices); i++)
        run_layer(e, rows, i, n, hidden);
    begin_piece(e, rows, 0, n);
    return engine_devices_encode(e, hidden);
}

bool encoder_run(struct engine *e, struct engine_row *rows, const uint32_t *ids, uint32_t n, float *hidden)
{
    const uint32_t piece = e->batch_max;
    bool finite = true;
    CHECK(n >= 1 && n <= e->context);
    rows->seq->length = n;
    cache_reserve(&rows->seq->cache, n - 1, ids[n - 1]);
    memset(e->finite, true, piece * sizeof *e->finite);
    if (!run_devices(e, rows, ids, n, hidden)) {
        memset(e->finite, true, piece * sizeof *e->finite);
        embed_text(e, ids, n, hidden);
        for (uint32_t i = 0; i < e->m->layers; i++)
            run_layer(e, rows, i, n, hidden);
    }
    for (uint32_t c = 0; c < piece; c++)
        finite = finite && e->finite[c];
    return finite && e->ops->finite(hidden, (size_t)n * e->m->embed);
}
