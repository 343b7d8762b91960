/* A training: an update as a pure function of base, data, recipe and seed. Step by step, with a digest that runs over
 * what each step came to, so that whoever does it again sees at which step somebody did otherwise; it can be left at
 * any step and taken up again, with the same bits. docs/arithmetic.md, Training. */
#ifndef KITH_INFERENCE_TRAIN_RUN_H
#define KITH_INFERENCE_TRAIN_RUN_H

#include "base/hash.h"
#include "inference/train/train_adam.h"
#include "inference/train/train_pass.h"
#include "inference/train/train_text.h"

struct train_recipe {
    uint32_t rank, steps, batch, length;
    float alpha, rate;
    uint64_t seed;
};
/* The note names what is out of range. `context`: the model's. */
enum err train_recipe_check(const struct train_recipe *r, uint32_t context, struct note *note) MUST_USE;

struct train_run {
    struct train_recipe recipe;
    struct hash base, data; /* roots of the model's file and of the data */
    struct hash start, digest;
    struct train_text text;
    struct train_lora *lora;
    struct train_pass *pass;
    struct train_adam adam;
    uint32_t step;        /* taken */
    bool has_before;      /* `before` is known */
    double before, after; /* mean loss of what is held out */
    double *loss;         /* [steps] mean of each step, before it is taken */
    uint64_t *digests;    /* [steps] the first 8 bytes of the digest behind each */
    uint32_t *order;      /* [text.windows], of time `time` through the data */
    uint64_t time;
};

struct train_run_options {
    const struct gguf *file;
    const struct model *model; /* checked by train_lora_check */
    struct train_text_source source;
    struct hash base;
    struct train_recipe recipe; /* checked */
    const struct train_set *set;
    struct pool *pool;
    uint64_t memory_bytes; /* that the run may take beside the model; 0: as much as there is */
};
enum err train_run_new(const struct train_run_options *o, struct train_run **run, struct note *note) MUST_USE;
/* NULL is fine. */
void train_run_free(struct train_run *r);

/* The mean loss of what is held out: before the first step, and behind the last. ERR_NUMERIC: it is not a number. */
enum err train_run_measure(struct train_run *r, struct note *note) MUST_USE;
/* One step, r->step < recipe.steps. ERR_NUMERIC where a loss or a gradient is not a number: such a training has no
 * result.
 */
enum err train_run_step(struct train_run *r, struct note *note) MUST_USE;
/* Behind the last measure: over the whole training. */
struct hash train_run_digest(const struct train_run *r);

/* Everything that goes on needs, with a checksum. */
void train_run_put(const struct train_run *r, struct buf *out);
/* ERR_CORRUPT: damaged. ERR_MISMATCH: of another training. */
enum err train_run_get(struct train_run *r, struct bytes state, struct note *note) MUST_USE;

#endif
