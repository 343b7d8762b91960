/* Rotary tables, made in pieces as positions are reached. */
#include "inference/rope.h"

#include "base/mem.h"

#include <stdlib.h>

#define PIECE 256 /* positions made at a time */

struct rope {
    uint32_t pairs, pieces, made;
    double scale;
    double *frequency; /* [pairs] */
    float **piece;     /* [pieces] of [PIECE, 2, pairs]: cosines, sines */
};

struct rope *rope_new(const struct model *m, uint32_t positions)
{
    struct rope *r = mem_new(sizeof *r);
    double log_base = arith_log_f64(m->rope_base);
    r->pairs = m->rope_pairs;
    r->scale = m->rope_scale;
    r->pieces = (positions + PIECE - 1) / PIECE;
    r->piece = mem_array(r->pieces, sizeof *r->piece);
    r->frequency = mem_array(r->pairs, sizeof *r->frequency);
    for (uint32_t i = 0; i < r->pairs; i++) {
        r->frequency[i] = arith_exp_f64(-((double)(2 * i) / (double)(2 * r->pairs)) * log_base);
        if (m->rope_factors)
            r->frequency[i] = r->frequency[i] / (double)m->rope_factors[i];
    }
    return r;
}

void rope_free(struct rope *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->pieces; i++)
        free(r->piece[i]);
    free(r->piece);
    free(r->frequency);
    free(r);
}

static float *make_piece(const struct rope *r, uint32_t index)
{
    float *out = mem_array((size_t)PIECE * 2 * r->pairs, sizeof *out);
    for (uint32_t t = 0; t < PIECE; t++) {
        double position = (double)(index * PIECE + t) / r->scale;
        float *cosine = out + (size_t)t * 2 * r->pairs, *sine = cosine + r->pairs;
        for (uint32_t i = 0; i < r->pairs; i++) {
            double s, c;
            arith_sin_cos_f64(position * r->frequency[i], &s, &c);
            cosine[i] = (float)c;
            sine[i] = (float)s;
        }
    }
    return out;
}

void rope_prepare(struct rope *r, uint32_t end)
{
    while (r->made * PIECE < end && r->made < r->pieces) {
        r->piece[r->made] = make_piece(r, r->made);
        r->made++;
    }
}

const float *rope_at(const struct rope *r, uint32_t position, const float **sine)
{
    const float *cosine = r->piece[position / PIECE] + (size_t)(position % PIECE) * 2 * r->pairs;
    *sine = cosine + r->pairs;
    return cosine;
}
