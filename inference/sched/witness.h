/* The witness of a replay: what only a replay of the real model has, drawn by a key that only its author knows. The
 * digest of an answer is public, so that whoever copies it seems to have replayed; rows of the residual stream at
 * places that another key draws are nobody's to copy.
 *
 *     witness = H[kith.witness](key | for each of WITNESS_PLACES places in order: layer u32 | position u32 | row)
 *
 * little-endian. Positions are those of the transcript, prompt then answer, as a replay feeds them: 0 to count - 1,
 * where count = prompt + answer - 1, the last token needing none; an answer of no tokens: count = prompt. The tokens
 * are the transcript's own, also behind one that the model would not have chosen. The row of a layer at a position,
 * n_embd binary32:
 *
 *     of all layers but the last   the residual stream as it leaves the layer
 *     of the last                  the final hidden state, behind the output norm (what the digest absorbs)
 *
 * For a position from the first marked one on (docs/arithmetic.md), or a row that is not all finite, the 7 bytes
 * "numeric" stand for the row. The first place is always (last layer, last position): its row needs every row before
 * it, so that whoever draws keys until the other places are cheap has gained nothing. Those are drawn: place k from
 * h = H[kith.places] keyed by the key, of k as u32, its first two words of 64 bits being a and b:
 *
 *     several layers   layer a * (layers - 1) >> 64             position b * count >> 64
 *     one              layer 0                                  position prompt - 1 + (b * (count - prompt + 1) >> 64)
 *
 * each as near to even as 2^-64; two may be the same. In the last layer a replay has rows from the last prompt position
 * on alone, which is why nothing but the first place is drawn there, unless there is no other layer.
 *
 * Nothing of it depends on batches, threads, kernels or devices. It does not on caches either: a replay with a key
 * takes no beginning over from others (session.h), since their rows are gone. */
#ifndef KITH_INFERENCE_WITNESS_H
#define KITH_INFERENCE_WITNESS_H

#include "base/hash.h"
#include "inference/engine/engine.h"

#define WITNESS_PLACES 8u

struct witness_place {
    uint32_t layer, position;
};

struct witness_options {
    struct hash key;
    uint32_t layers, embed;      /* of the model */
    uint32_t prompt_n, answer_n; /* tokens: at least 1, and 0 */
};

/* Positions that a replay feeds. */
uint32_t witness_count(const struct witness_options *o);
void witness_find_places(const struct witness_options *o, struct witness_place out[WITNESS_PLACES]);

/* Takes the rows as a replay comes to them. */
struct witness *witness_new(const struct witness_options *o);
void witness_free(struct witness *w);
/* What its sequence is to be tapped for (engine_seq_tap), all but the last layer's. */
const struct engine_tap *witness_taps(const struct witness *w, uint32_t *n);
/* The row of a position was evaluated; positions come in order. */
void witness_take(struct witness *w, uint32_t position, const struct engine_row *row);
/* No row is missing any more. */
bool witness_is_whole(const struct witness *w);
struct hash witness_end(const struct witness *w);

#endif
