/* A model as the engine sees it: numbers from the metadata, and every weight in its place in the mapped file, checked
 * against them. What an architecture has stands in one row of a table (model_kinds.c); the reading, the engine and
 * docs/arithmetic.md go by what a row says, never by a name.
 *
 * What holds for every model that model_open returned:
 *   1. each matrix has exactly the shape that the numbers ask for, a format that the kernels have, rows of whole
 *      blocks, and only finite scales and weights;
 *   2. no tensor and no key of its architecture was left unread that would have changed the answer;
 *   3. heads is a multiple of heads_kv, 2 rope_pairs <= head, 1 <= experts_used <= experts where there are experts. */
#ifndef KITH_INFERENCE_MODEL_H
#define KITH_INFERENCE_MODEL_H

#include "inference/kernels/ops.h"
#include "inference/kernels/pack.h"

/* What an architecture has, or may have where the file says so. */
enum model_has {
    HAS_HALVES = 1u << 0,        /* heads are rotated in pairs (i, i + d/2) instead of (2i, 2i + 1) */
    HAS_HEAD_NORMS = 1u << 1,    /* a norm of every query's and key's head before the rotation */
    HAS_POST_NORMS = 1u << 2,    /* a norm of what a branch adds to the stream */
    HAS_EMBED_SCALE = 1u << 3,   /* embeddings times the root of their length */
    HAS_GELU = 1u << 4,          /* the gate is a GELU, not a SiLU */
    HAS_SOFT_CAPS = 1u << 5,     /* of scores and of logits */
    HAS_ENCODER = 1u << 6,       /* sees all positions, norms behind its branches, positions learned; writes no text */
    MAY_BIASES = 1u << 7,        /* products plus a vector */
    MAY_FUSED = 1u << 8,         /* queries, keys and values in one tensor, gate and up in one tensor */
    MAY_EXPERTS = 1u << 9,       /* a mixture of experts instead of one gate, up and down */
    MUST_EXPERTS = 1u << 10,     /* ... always */
    MAY_ROPE_FACTORS = 1u << 11, /* a tensor of divisors of the rotation's frequencies */
    HAS_ROW_NORMS = 1u << 12, /* a norm of all queries of a position together, and of its keys, before the rotation */
    HAS_NO_PRE_NORMS = 1u << 13,  /* what enters a branch is not normed */
    HAS_LOCAL_TURNS = 1u << 14,   /* layers with a window are not scaled, and may have a base of their own */
    HAS_SCALES = 1u << 15,        /* of embeddings, of what branches add, of logits: by the file's numbers */
    MAY_SHARED = 1u << 16,        /* beside the experts one that all rows go to */
    MUST_SHARED = 1u << 17,       /* ... always, weighed by a gate of its own */
    HAS_PARTS_OF_ALL = 1u << 18,  /* the chosen experts' weights are parts of the sum over all, not over the chosen */
    HAS_LAYER_NORMS = 1u << 19,   /* norms have biases, as an encoder's */
    HAS_NO_GATE = 1u << 20,       /* down takes the GELU of up */
    HAS_SINKS = 1u << 21,         /* a logit of each head joins the sum of its scores */
    HAS_CLAMPED_GATE = 1u << 22,  /* the gate is arith_gate_clamped */
    MAY_EXPERT_BIASES = 1u << 23, /* with MAY_BIASES: the router and experts as well */
    HAS_POST_NAME = 1u << 24,     /* the norm of the second branch's input is called post_attention_norm */
    HAS_LATE_NORMS = 1u << 25,    /* with HAS_HEAD_NORMS: heads are normed behind the rotation */
    HAS_SQUARES = 1u << 26,       /* with HAS_NO_GATE: down takes the squares of what is positive of up, not a GELU */
    HAS_FLAT_NORMS = 1u << 27,    /* layer norms without biases */
    HAS_ONE_NORM = 1u << 28,      /* both branches enter by one norm of the stream as it was before the first */
    HAS_STILL_WIDE = 1u << 29,    /* where some layers have a window, those without are not rotated */
    HAS_LOGIT_FACTOR = 1u << 30   /* logits times the file's logit_scale */
};

/* The rest of it. */
enum model_more {
    MAY_WEIGH = 1u << 0,      /* the file says whether weights are sigmoids, whether they sum to one, and a scale */
    HAS_SIGMOIDS = 1u << 1,   /* ... and where it says no gating they are sigmoids */
    MAY_PREFER = 1u << 2,     /* a vector is added to what experts are chosen by */
    MAY_LEAD = 1u << 3,       /* the first layers have none; the shared one's length may follow from a count */
    MAY_LOOK_AHEAD = 1u << 4, /* the last layers are for guessing what comes next: they are not read */
    MAY_HEAD_NORMS = 1u << 5, /* HAS_HEAD_NORMS where the file has their tensors */
    MAY_SECTIONS = 1u << 6,   /* parts of a rotation that go by time, height and width: of a text all by its position */
    MAY_TEMPER = 1u << 7,     /* scores may be scaled from the original context on: such positions are not run */
    MAY_STILL = 1u << 8,      /* the file may say that nothing is rotated */
    HAS_LATENT = 1u << 9,     /* keys and values of all heads are made of one short row (latent.c) */
    MAY_GROUPS = 1u << 10,    /* experts are chosen from the best groups of them */
    HAS_SHORT_CONVS = 1u << 11,  /* layers without heads of keys convolve their last positions instead (recur.h) */
    MAY_OWN_NORMS = 1u << 13,    /* heads are layer-normed, each by gains of its own, where the file has them */
    HAS_WHOLE_SUMS = 1u << 12,   /* with MAY_WEIGH: where the file says nothing the chosen weights sum to one */
    HAS_DELTA_NET = 1u << 14,    /* most layers have a gated delta net instead of attention, whose queries have gates */
    MAY_LAYER_KEYS = 1u << 20,   /* layers say how many heads of keys they have; those with a window say how long, too;
                                    the last ones may read an earlier layer's; a mix has a length for each */
    HAS_VALUE_NORMS = 1u << 21,  /* values are normed without gains; a layer without a product for them has its keys' */
    HAS_PLAIN_SCORES = 1u << 22, /* scores are not scaled where the file does not say it */
    MAY_LAYER_INPUTS = 1u << 23, /* a second embedding is gated into every layer (inputs.c) */
    HAS_TWO_MIXES = 1u << 24, /* where there are experts they stand beside gate, up and down, with norms of their own */
    MAY_LAYER_SCALES = 1u << 25, /* what leaves a layer is multiplied by its number */
    HAS_TILED_HEADS = 1u << 15,  /* with it: head h of values belongs to head h mod of keys, not to h div */
    HAS_SCAN = 1u << 16,         /* layers without heads of keys have a state space (Mamba-2) instead of attention, */
    HAS_BOTH = 1u << 17,         /* ... or all layers one beside their attention */
    HAS_ONE_BRANCH = 1u << 18    /* a layer is attention, a state or a mix, and enters by the one norm it has */
};

struct model_kind {
    const char *name;
    unsigned has;      /* of enum model_has */
    int window_period; /* of so many layers the last sees all positions, the others a window; 1: all see a window;
                          0: windows are not for this architecture */
    uint32_t window;   /* where the file names none; 0: then there is none */
    double base_local; /* of the rotation in layers with a window, with HAS_LOCAL_TURNS; 0: that of the others */
    float cap_scores, cap_logits; /* where the file names none */
    uint32_t still_period;        /* of so many layers the last is not rotated; 0: all are */
    uint32_t
        scale_layers; /* a model of so many layers scales its scores by embed / heads instead of the head's length */
    unsigned more;    /* of enum model_more */
};
/* NULL where there is none of that name. */
const struct model_kind *model_kind_find(const char *name);

struct model_norm {
    const float *gain; /* [n], or NULL: no norm */
    const float *bias; /* [n]: a layer norm; NULL: by the root of the mean square */
};

/* What adapters add to a matrix w: to w . x comes up . (down . x). */
struct model_low {
    struct ops_weight down, up; /* [rank, n], [rows, rank] of binary32; no data: nothing is added */
};

struct model_product {
    struct ops_weight w;
    const float *bias; /* [rows], or NULL */
    struct model_low low;
};

struct model_expert {
    struct model_product gate, up, down; /* [expert_mix, embed] twice, [embed, expert_mix]; gate may be none */
};

/* What a layer has that carries a state from position to position instead of attention; recur.h has the steps. */
struct model_recurrent {
    struct model_product in;  /* [3 channels, embed]: a gate of what is convolved, a gate of the result, what is; of a
                                 delta net [channels, embed]: queries, keys, values; of a state space values, keys,
                                 queries */
    const float *taps;        /* [taps, channels], the oldest position's first */
    const float *taps_bias;   /* [channels] added behind them, or NULL */
    struct model_product out; /* [embed, channels], or [embed, values_n side] */
    /* a delta net's, or a state space's */
    struct model_product gate;        /* [values_n side, embed] of the result */
    struct model_product alpha, beta; /* [values_n, embed] each; or no alpha, and beta is both, [2 values_n, embed]; of
                                         a state space beta, [values_n, embed], is its steps */
    const float *rate, *bias;         /* [values_n] of the decay */
    const float *through;             /* [values_n] of a state space: so much of a value joins the result */
    struct model_norm norm;           /* [side]; of a state space [keys_n, values_n side / keys_n], or none */
};

/* Attention over one row for all heads: key and value are up . row, each head's own; latent.c has the steps. */
struct model_latent {
    struct model_product query_low; /* [query_low, embed], or none: queries are made of the stream itself */
    struct model_norm query_norm;   /* [query_low] */
    struct model_product query;     /* [heads x (plain + 2 rope_pairs), query_low or embed] */
    struct model_product row;       /* [latent + 2 rope_pairs, embed] */
    struct model_norm row_norm;     /* [latent] */
    struct ops_weight *key_up;      /* [heads] of [latent, plain]: a query's plain part as it meets the row */
    struct ops_weight *value_up;    /* [heads] of [value, latent]: a value of what attention makes of rows */
};

/* A layer's keys and values, and where they lie in a page of the cache (cache.h). */
struct model_keys {
    uint32_t heads;          /* 0: it has none, and no attention */
    uint32_t key_n, value_n; /* how long one is */
    uint32_t of;             /* the layer that makes them: itself, or one before it */
    size_t at;               /* in a page of all layers: cache_place */
};

/* What a layer takes of the second embedding. */
struct model_input {
    struct model_product gate; /* [input_n, embed] */
    struct model_product back; /* [embed, input_n] */
    struct model_norm post;    /* [embed] of what is added */
};

/* Of experts beside gate, up and down: what enters them and their router, and what both branches make before they are
 * added. */
struct model_two_mixes {
    struct model_norm norm, router_norm; /* [embed] */
    struct model_norm post, dense_post;  /* [embed] */
};

struct model_layer {
    struct model_keys keys;
    uint32_t pairs;                         /* of each head that are rotated */
    struct model_norm attention_norm;       /* [embed]; none in an encoder, or with HAS_NO_PRE_NORMS */
    struct model_product query, key, value; /* [heads x key_n, embed], [keys.heads x key_n, embed] twice */
    struct model_recurrent *recurrent;      /* instead of attention, or beside it; or NULL */
    bool mixes;                             /* it has gate, up and down, or experts */
    uint32_t place;                         /* so many layers before it are recurrent */
    struct model_latent *latent;            /* instead of the three; or NULL */
    struct model_norm query_norm, key_norm; /* [key_n], or with HAS_ROW_NORMS [heads x key_n], [keys.heads x key_n];
                                               with MAY_OWN_NORMS gains [heads, key_n] and a bias [key_n] */
    struct model_product output;            /* [embed, heads x key_n], or with a latent [embed, heads x value] */
    struct model_norm value_norm;           /* [value_n], gains of 1; or none */
    struct model_norm attention_post;       /* [embed], of what is added; in an encoder of the sum */
    struct model_norm mix_norm;             /* as attention_norm; with HAS_ONE_NORM the same */
    struct model_product gate, up, down;    /* [mix, embed] twice, [embed, mix]; gate may be none */
    const float *sinks;                     /* [heads], or NULL */
    struct model_product router;            /* [experts, embed], where there are experts */
    const float *preference;                /* [experts] added to what they are chosen by, or NULL */
    const float *importance;                /* [experts] their weights are multiplied by, or NULL */
    struct ops_weight shared_gate;          /* [1, embed], or none: the shared expert has the weight 1 */
    struct model_expert *expert;            /* [experts], or NULL. Where there are some, gate, up and down are those of
                                               the shared expert, [shared_mix, embed] ..., or nothing, or stand beside
                                               them (two_mixes) */
    struct model_two_mixes two_mixes;       /* with HAS_TWO_MIXES and experts */
    struct model_input input;               /* where there is a second embedding */
    float scale;                            /* of what leaves the layer; 1: none */
    struct model_norm mix_post;             /* as attention_post */
    bool is_still;                          /* queries and keys are not rotated, whatever `pairs` says */
    uint32_t window;                        /* positions that a position sees, itself included; 0: all before it */
};

/* One way to rotate: of pair i at position t by the angle that docs/arithmetic.md gives. */
struct model_rope {
    uint32_t pairs;
    double base, scale;   /* positions are divided by scale */
    const float *factors; /* [pairs] divisors of the frequencies, or NULL */
    double magnitude;     /* cosines and sines are multiplied by it */
    bool yarn;            /* pairs up to `low` are not scaled, from `high` on they are, mixed between */
    double low, high, extrapolation;
};
enum { MODEL_ROPE, MODEL_ROPE_LONG, MODEL_ROPE_LOCAL, MODEL_ROPE_COUNT };

enum model_pooling { MODEL_POOL_MEAN = 1, MODEL_POOL_FIRST = 2, MODEL_POOL_LAST = 3 }; /* as GGUF numbers them */

struct model {
    const struct model_kind *kind;
    char architecture[64];
    char format[32]; /* of most of its bytes: "Q8_0" */
    uint32_t vocab, context, embed, layers, heads, mix;
    uint32_t heads_kv, head;   /* the most of any layer: its own are in `keys` */
    uint32_t layers_ahead;     /* that the file has behind them, for guessing, which nobody reads */
    uint32_t layers_sharing;   /* the last so many, which read an earlier one's keys */
    uint32_t input_n;          /* of the second embedding a layer's part; 0: there is none */
    uint32_t layers_recurrent; /* that carry a state; 0: none */
    uint32_t taps, channels;   /* of their convolutions: positions, and elements of each */
    uint32_t keys_n, values_n; /* heads of a delta net or a state space; 0: it is none */
    uint32_t depth, side;      /* of its states, one for each head of values: as long as a key, and as a value */
    /* With a latent (0: none) heads_kv is 1 and head is latent + 2 rope_pairs: a key is the row and what of it is
     * rotated, a value the row. Of each head's query `plain` elements are not rotated; its value is `value` long. */
    uint32_t latent, plain, value, query_low;               /* query_low 0: queries are made of the stream itself */
    uint32_t experts, experts_used, expert_mix, shared_mix; /* 0: none */
    uint32_t experts_from;                                  /* layers before it have none */
    uint32_t low_rank;            /* the largest of what adapters add to its matrices; 0: it has none */
    uint32_t groups, groups_used; /* experts are chosen from so many groups of as many; 1: from all */
    bool by_sigmoid;              /* experts are weighed by sigmoids of their scores, not by a softmax */
    bool parts_of_all;            /* the weights of the chosen do not sum to one */
    float expert_scale;           /* of their weights; 1: none */
    float epsilon;                /* of the norms */
    float embed_scale, branch_scale, logit_scale; /* of embeddings, of what branches add, of logits; 1: none */
    float score_scale;                            /* of the attention's scores */
    float cap_scores, cap_logits;                 /* 0: none */
    uint32_t rope_pairs;                          /* the most of any layer; 0 in an encoder */
    struct model_rope rope[MODEL_ROPE_COUNT];     /* LOCAL in layers with a window */
    uint32_t rope_long_from; /* requests of more tokens (prompt and limit) rotate by LONG; 0: none do */
    enum model_pooling pooling;
    uint64_t parameters;
    struct ops_weight embedding, positions, types; /* [vocab, embed]; in an encoder [context, embed], [types, embed] */
    struct model_norm embedding_norm;              /* of an encoder */
    struct ops_weight inputs;                      /* [vocab, layers x input_n] the second embedding */
    struct model_product inputs_stream;            /* [layers x input_n, embed] what the first adds to it, */
    struct model_norm inputs_norm;                 /* [input_n] ... normed for each layer */
    struct model_product output;   /* [vocab, embed]; the embedding where the file has none; nothing in an encoder */
    struct model_norm output_norm; /* [embed]; none in an encoder */
    struct model_layer *layer;     /* [layers] */
    float **vectors; /* what gains, biases and factors point to: copies, so that their pages of the file can go */
    size_t vectors_n;
};

/* The length of a value in the cache; of keys it is m->head. */
static inline uint32_t model_value_length(const struct model *m)
{
    return m->latent ? m->latent : m->head;
}

/* The length of a head's value behind the cache: what `output` takes. */
static inline uint32_t model_out_length(const struct model *m)
{
    return m->latent ? m->value : m->head;
}

/* Elements of a position's queries, as they are projected and as they meet the cache, and of its values behind it. */
static inline uint64_t model_queries_n(const struct model *m)
{
    const uint32_t projected = m->latent ? m->plain + 2 * m->rope_pairs : 0, out = model_out_length(m);
    const uint32_t most = m->head > projected ? m->head : projected;
    return (uint64_t)m->heads * (most > out ? most : out);
}

/* The longest row between gate and down. */
static inline uint32_t model_mix_most(const struct model *m)
{
    uint32_t most = m->mix > m->expert_mix ? m->mix : m->expert_mix;
    return most > m->shared_mix ? most : m->shared_mix;
}

/* It continues texts; if not, it only makes vectors of them (engine_embed). */
static inline bool model_writes(const struct model *m)
{
    return !(m->kind->has & HAS_ENCODER);
}

/* What of it no GPU's kernels have yet, in words; NULL: nothing. */
static inline const char *model_on_processors(const struct model *m)
{
    return m->depth % 4                      ? "states whose keys are no multiple of 4 long"
           : m->layer->query_norm.bias       ? "norms of each head's own"
           : m->kind->more & HAS_VALUE_NORMS ? "values that are normed"
                                             : NULL;
}

/* Reads a parsed file; the file's bytes must outlive the model. `pack`: the weights once more, for kernels that want
 * them packed (struct ops), each found finite when it was packed; or NULL. Looks at every byte of the other tensors
 * once, unless the pack says that this was done (pack_is_checked). */
enum err model_open(const struct gguf *file, const struct pack *pack, struct model **out, struct note *note) MUST_USE;
void model_free(struct model *m);

#endif
