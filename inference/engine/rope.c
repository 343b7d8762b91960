/* Rotary tables, made in pieces as positions are reached. */
#include "inference/engine/rope.h"

#include "base/mem.h"

#include <stdlib.h>

#define PIECE 256 /* positions made at a time */

struct rope {
    uint32_t pairs, room, pieces, made;
    double scale, magnitude;
    double *frequency; /* [pairs] */
    double *mix;       /* [pairs] share of the angle that is not scaled, or NULL */
    float **piece;     /* [pieces] of [PIECE, 2, room]: cosines, sines */
};

/* 1 up to `low`, 0 from `high` on, straight between. */
static double ramp(const struct model_rope *way, uint32_t i)
{
    double width = way->high - way->low > 0.001 ? way->high - way->low : 0.001;
    double x = ((double)i - way->low) / width;
    x = x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
    return (1.0 - x) * way->extrapolation;
}

struct rope *rope_new(const struct model_rope *way, uint32_t room, uint32_t positions)
{
    const uint32_t pairs = way->pairs;
    struct rope *r = mem_new(sizeof *r);
    double log_base = arith_log_f64(way->base);
    CHECK(pairs <= room);
    r->pairs = pairs;
    r->room = room;
    r->scale = way->scale;
    r->magnitude = way->magnitude;
    r->pieces = (positions + PIECE - 1) / PIECE;
    r->piece = mem_array(r->pieces, sizeof *r->piece);
    r->frequency = mem_array(pairs, sizeof *r->frequency);
    r->mix = way->yarn ? mem_array(pairs, sizeof *r->mix) : NULL;
    for (uint32_t i = 0; i < pairs; i++) {
        r->frequency[i] = arith_exp_f64(-((double)(2 * i) / (double)(2 * pairs)) * log_base);
        if (way->factors)
            r->frequency[i] = r->frequency[i] / (double)way->factors[i];
        if (r->mix)
            r->mix[i] = ramp(way, i);
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
    free(r->mix);
    free(r);
}

static double angle_of(const struct rope *r, uint32_t position, uint32_t i)
{
    double scaled = (double)position / r->scale * r->frequency[i];
    if (!r->mix)
        return scaled;
    return scaled * (1.0 - r->mix[i]) + (double)position * r->frequency[i] * r->mix[i];
}

static float *make_piece(const struct rope *r, uint32_t index)
{
    float *out = mem_array((size_t)PIECE * 2 * r->room, sizeof *out);
    for (uint32_t t = 0; t < PIECE; t++) {
        float *cosine = out + (size_t)t * 2 * r->room, *sine = cosine + r->room;
        for (uint32_t i = 0; i < r->pairs; i++) {
            double s, c;
            arith_sin_cos_f64(angle_of(r, index * PIECE + t, i), &s, &c);
            cosine[i] = (float)(c * r->magnitude);
            sine[i] = (float)(s * r->magnitude);
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
    const float *cosine = r->piece[position / PIECE] + (size_t)(position % PIECE) * 2 * r->room;
    *sine = cosine + r->room;
    return cosine;
}
