/* Embeddings beside the other jobs of a worker. A model that writes takes a text in pieces, as it takes a prompt; an
 * encoder sees all of it at once, so there a step has one whole text. */
#include "base/mem.h"
#include "inference/sched/sched_in.h"

#include <stdlib.h>

static bool tell(struct sched *s, struct sched_job *j, bool finite, struct buf *out)
{
    uint32_t n = (uint32_t)(j->ids.n / 4), embed = s->model->embed;
    struct buf values = {0};
    struct note note;
    if (!finite) {
        note_set(&note, ERR_NUMERIC, "the embedding of this text of %u tokens is not finite", n);
        wire_add_failure(out, j->ask, ERR_NUMERIC, &note);
        return true;
    }
    struct wire_embedding m = {
        .ask = j->ask,
        .tokens = n,
        .digest = digest_embedding(&s->root, bytes_of_buf(&j->ids), j->vector, embed),
        .us = s->clock() - j->start_us,
    };
    if (j->is_unit)
        engine_embed_normalise(j->vector, j->dimensions);
    for (uint32_t i = 0; i < j->dimensions; i++)
        wire_put_id(&values, arith_bits(j->vector[i]));
    m.values = bytes_of_buf(&values);
    wire_add_embedding(out, &m);
    buf_clear(&values);
    return true;
}

bool sched_embed_rows(struct sched *s, struct sched_job *j, struct buf *out)
{
    uint32_t n = (uint32_t)(j->ids.n / 4);
    if (!j->seq)
        return false;
    for (uint32_t i = 0; i < j->rows_n; i++) {
        const struct engine_row *r = &s->rows[j->first_row + i];
        if (!r->finite)
            return tell(s, j, false, out);
        if (r->wants)
            engine_embed_add(s->engine, r->hidden, j->vector);
        j->at++;
    }
    return j->at == n && tell(s, j, engine_embed_end(s->engine, n, true, j->vector), out);
}

void sched_embed_whole(struct sched *s, uint32_t active, struct buf *out)
{
    uint32_t i = 0;
    while (i < active && (!s->jobs[i]->vector || s->jobs[i]->seq))
        i++;
    if (i == active)
        return;
    struct sched_job *j = s->jobs[i];
    uint32_t n = (uint32_t)(j->ids.n / 4), *ids = mem_array(n, sizeof *ids);
    j->start_us = s->clock();
    for (uint32_t k = 0; k < n; k++)
        ids[k] = wire_id_at(bytes_of_buf(&j->ids), k);
    j->is_over = tell(s, j, engine_embed(s->engine, ids, n, j->vector), out);
    free(ids);
}
