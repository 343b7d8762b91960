/* AdamW; see the header. */
#include "inference/train/train_adam.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define KEEP_MEAN   0.9
#define KEEP_SQUARE 0.999
#define EPSILON     1e-8f
#define DECAY       0.01f
#define NORM_MAX    1.0
#define WARM_MAX    100u

void train_adam_init(struct train_adam *a, size_t n)
{
    *a = (struct train_adam){.n = n, .power1 = 1, .power2 = 1};
    a->mean = mem_array(n, sizeof *a->mean);
    a->square = mem_array(n, sizeof *a->square);
}

void train_adam_clear(struct train_adam *a)
{
    free(a->mean);
    free(a->square);
    *a = (struct train_adam){0};
}

static void count_step(struct train_adam *a)
{
    a->power1 = a->power1 * KEEP_MEAN;
    a->power2 = a->power2 * KEEP_SQUARE;
}

void train_adam_set_steps(struct train_adam *a, uint32_t steps)
{
    a->power1 = a->power2 = 1;
    for (uint32_t i = 0; i < steps; i++)
        count_step(a);
}

double train_adam_norm(const float *g, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum + (double)g[i] * (double)g[i];
    return sqrt(sum);
}

void train_adam_step(struct train_adam *a, float *w, const float *g, double norm, float rate)
{
    const float clip = norm > NORM_MAX ? (float)(NORM_MAX / norm) : 1.0f;
    const float keep1 = (float)KEEP_MEAN, new1 = (float)(1.0 - KEEP_MEAN);
    const float keep2 = (float)KEEP_SQUARE, new2 = (float)(1.0 - KEEP_SQUARE);
    count_step(a);
    const float whole1 = (float)(1.0 / (1.0 - a->power1)), whole2 = (float)(1.0 / (1.0 - a->power2));
    for (size_t i = 0; i < a->n; i++) {
        const float d = g[i] * clip;
        a->mean[i] = a->mean[i] * keep1 + d * new1;
        a->square[i] = a->square[i] * keep2 + (d * d) * new2;
        const float step = (a->mean[i] * whole1) / (sqrtf(a->square[i] * whole2) + EPSILON);
        w[i] = w[i] - rate * (step + DECAY * w[i]);
    }
}

float train_adam_rate(float rate, uint32_t k, uint32_t steps)
{
    uint32_t warm = steps / 10 < 1 ? 1 : steps / 10;
    if (warm > WARM_MAX)
        warm = WARM_MAX;
    double part = k <= warm ? (double)k / (double)warm : (double)(steps - k + 1) / (double)(steps - warm + 1);
    return (float)((double)rate * part);
}
