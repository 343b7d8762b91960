/* What a file says about the rotation of heads: base, scaling, divisors of the frequencies. */
#include "inference/engine/model_read.h"

#define TWO_PI 6.283185307179586

static bool says(struct model_reader *r, const char *type)
{
    struct bytes text;
    return model_text(r, "rope.scaling.type", &text) && bytes_equal(text, bytes_of_text(type));
}

/* The pair whose wave turns `turns` times within the original context. */
static double pair_of(const struct model *m, double turns, double original, double base)
{
    return 2.0 * m->rope_pairs * arith_log_f64(original / (turns * TWO_PI)) / (2.0 * arith_log_f64(base));
}

/* The largest integer not above x, |x| < 2^31. */
static double floor_of(double x)
{
    double n = (double)(int64_t)x;
    return n > x ? n - 1.0 : n;
}

/* How yarn makes up for positions that stand closer. */
static double magnitude_of(double scale, double by)
{
    return scale > 1.0 ? 1.0 + 0.1 * by * arith_log_f64(scale) : 1.0;
}

/* With a latent the rotation keeps its length, and scores are scaled instead. The file has a tenth of the multiplier.
 */
static double scale_scores(struct model_reader *r, const struct model_rope *rope)
{
    if (!model_has_key(r, "rope.scaling.yarn_log_multiplier") && r->e == ERR_OK)
        r->e =
            note_set(r->note, ERR_UNSUPPORTED,
                     "the file says scaling by yarn, but not %s.rope.scaling.yarn_log_multiplier", r->m->architecture);
    double by = magnitude_of(rope->scale, 10.0 * model_real(r, "rope.scaling.yarn_log_multiplier", 0, 1e2, 0));
    r->m->score_scale = r->m->score_scale * (float)(by * by);
    return 1.0;
}

static void read_yarn(struct model_reader *r, struct model_rope *rope)
{
    struct model *m = r->m;
    double original = model_number(r, "rope.scaling.original_context_length", CONTEXT_MAX, m->context);
    double fast = model_real(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32.0);
    double slow = model_real(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1.0);
    double magnitude = magnitude_of(rope->scale, 1.0);
    if (m->latent)
        magnitude = scale_scores(r, rope);
    else if (m->kind->more & MAY_TEMPER)
        magnitude = magnitude / magnitude_of(rope->scale, model_real(r, "rope.scaling.yarn_log_multiplier", 0, 1e3, 0));
    rope->yarn = true;
    rope->extrapolation = model_real(r, "rope.scaling.yarn_ext_factor", 0, 1, 1.0);
    rope->magnitude = rope->magnitude * model_real(r, "rope.scaling.yarn_attn_factor", 1e-3, 1e3, magnitude);
    rope->low = floor_of(pair_of(m, fast, original, rope->base));
    rope->high = -floor_of(-pair_of(m, slow, original, rope->base));
    rope->low = rope->low > 0.0 ? rope->low : 0.0;
    double last = 2.0 * m->rope_pairs - 1.0;
    rope->high = rope->high < last ? rope->high : last;
}

static void read_scaling(struct model_reader *r, struct model_rope *rope)
{
    struct bytes type;
    rope->scale = model_real(r, "rope.scale_linear", 1e-3, 1e6, 1.0);
    rope->scale = model_real(r, "rope.scaling.factor", 1e-3, 1e6, rope->scale);
    rope->magnitude = model_real(r, "rope.scaling.attn_factor", 1e-3, 1e3, 1.0);
    if (!model_text(r, "rope.scaling.type", &type) || says(r, "linear") || says(r, "longrope"))
        return;
    if (says(r, "none"))
        rope->scale = 1.0;
    else if (says(r, "yarn"))
        read_yarn(r, rope);
    else if (r->e == ERR_OK)
        r->e = note_set(r->note, ERR_UNSUPPORTED, "rope scaling \"%.*s\" is not supported",
                        (int)(type.n < 40 ? type.n : 40), (const char *)type.p);
}

/* What would change scores in a way of its own. */
static void check_latent(struct model_reader *r, const struct model_rope *rope)
{
    (void)model_has_key(r, "rope.scaling.yarn_log_multiplier"); /* without yarn it says nothing */
    if (rope->magnitude != 1.0)
        model_fail(r, ERR_UNSUPPORTED, "rope.scaling.attn_factor", 0, "only 1 runs for this architecture");
    if (!rope->yarn && rope->scale != 1.0)
        model_fail(r, ERR_UNSUPPORTED, "rope.scaling.type", 0, "only yarn, or none, runs for this architecture");
}

static const float *read_factors(struct model_reader *r, const char *name)
{
    const float *f = model_has_tensor(r, name) ? model_vector(r, name, r->m->rope_pairs) : NULL;
    for (uint32_t i = 0; f && i < r->m->rope_pairs; i++)
        if (!(f[i] >= 1e-3f && f[i] <= 1e30f)) /* 1e30: files' way to say that a pair is not turned */
            model_fail(r, ERR_RANGE, name, i, "a factor is out of range");
    return f;
}

/* One set of divisors for all requests, or one for short and one for long ones. */
static void read_all_factors(struct model_reader *r)
{
    struct model *m = r->m;
    const float *factors = read_factors(r, "rope_freqs.weight");
    m->rope[MODEL_ROPE].factors = factors;
    m->rope[MODEL_ROPE_LONG] = m->rope[MODEL_ROPE];
    const char *names[] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    if (!model_has_tensor(r, names[0]) && !model_has_tensor(r, names[1]))
        return;
    if (factors || !model_has_tensor(r, names[0]) || !model_has_tensor(r, names[1])) {
        if (r->e == ERR_OK)
            r->e = note_set(r->note, ERR_FORMAT, "the file must have both of %s and %s, or only rope_freqs.weight",
                            names[0], names[1]);
        return;
    }
    m->rope[MODEL_ROPE].factors = read_factors(r, names[0]);
    m->rope[MODEL_ROPE_LONG].factors = read_factors(r, names[1]);
    m->rope_long_from = model_number(r, "rope.scaling.original_context_length", CONTEXT_MAX, m->context);
}

/* Pairs go by time, height, width or a fourth number, which in a text are its position thrice, and 0. */
static void read_sections(struct model_reader *r)
{
    (void)model_has_key(r, "n_deepstack_layers"); /* what pictures add to the first layers */
    if (model_has_list(r, "rope.dimension_sections") && model_number_at(r, "rope.dimension_sections", 3) != 0)
        model_fail(r, ERR_UNSUPPORTED, "rope.dimension_sections", 3, "only the first three parts run here");
}

/* Of heads in layers with a window. */
static uint32_t local_pairs(struct model_reader *r)
{
    uint32_t dims = model_number(r, "rope.dimension_count_swa", EMBED_MAX, 2 * r->m->rope_pairs);
    if (dims % 2)
        model_fail(r, ERR_RANGE, "rope.dimension_count_swa", dims, "it must be even");
    return dims / 2;
}

void model_read_rope(struct model_reader *r)
{
    struct model *m = r->m;
    if (!model_writes(m))
        return;
    if ((m->kind->more & MAY_STILL) && !model_flag(r, "rope.scaling.finetuned", true))
        return; /* how these files say that nothing is rotated */
    uint32_t dims = model_number(r, "rope.dimension_count", m->head, m->head);
    m->rope_pairs = dims / 2;
    if (dims % 2)
        model_fail(r, ERR_RANGE, "rope.dimension_count", dims, "it must be even");
    if (r->e != ERR_OK)
        return;
    m->rope[MODEL_ROPE].pairs = m->rope_pairs;
    m->rope[MODEL_ROPE].base = model_real(r, "rope.freq_base", 1.001, 1e12, 10000.0);
    read_scaling(r, &m->rope[MODEL_ROPE]);
    if (m->latent)
        check_latent(r, &m->rope[MODEL_ROPE]);
    if (m->kind->more & MAY_SECTIONS)
        read_sections(r);
    if (m->kind->has & MAY_ROPE_FACTORS)
        read_all_factors(r);
    m->rope[MODEL_ROPE_LOCAL] = m->rope[MODEL_ROPE];
    double local = m->kind->base_local != 0.0 ? m->kind->base_local : m->rope[MODEL_ROPE].base;
    if (m->kind->has & HAS_LOCAL_TURNS)
        m->rope[MODEL_ROPE_LOCAL] = (struct model_rope){.pairs = m->rope_pairs,
                                                        .base = model_real(r, "rope.freq_base_swa", 1.001, 1e12, local),
                                                        .scale = 1.0,
                                                        .magnitude = 1.0};
    if (m->kind->more & MAY_LAYER_KEYS)
        m->rope[MODEL_ROPE_LOCAL].pairs = local_pairs(r);
}
