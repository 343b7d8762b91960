/* The optimiser: AdamW (arXiv:1711.05101), behind clipping by the norm of all gradients together. Scalar, from
 * primitives: beside a pass it weighs nothing. docs/arithmetic.md, Training. */
#ifndef KITH_INFERENCE_TRAIN_ADAM_H
#define KITH_INFERENCE_TRAIN_ADAM_H

#include <stddef.h>
#include <stdint.h>

struct train_adam {
    size_t n;
    float *mean, *square;  /* [n]: the moments */
    double power1, power2; /* of the moments' factors, to the number of steps taken */
};
void train_adam_init(struct train_adam *a, size_t n);
void train_adam_clear(struct train_adam *a);
/* As after so many steps; the moments are the caller's to fill. */
void train_adam_set_steps(struct train_adam *a, uint32_t steps);

/* The root of the sum of squares of g[n], left to right in binary64. */
double train_adam_norm(const float *g, size_t n);
/* One step of w[n] by g[n], whose norm it is. */
void train_adam_step(struct train_adam *a, float *w, const float *g, double norm, float rate);
/* Of step k of 1..steps: rising over the first tenth (at most 100 steps), then falling to nearly nothing. */
float train_adam_rate(float rate, uint32_t k, uint32_t steps);

#endif
