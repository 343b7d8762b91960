/* A grammar over bytes, and texts read along it.
 *
 * A grammar is a graph of operations. Each says what may come next; `next` is the operation behind it. Rules are
 * operations that are called: a call remembers where to go on, so rules may contain themselves. Every open rule has one
 * counter, 0 when it is entered.
 *
 * Operations are added from the end of a text to its beginning, because each names the one behind it. Everything is
 * bounded (base/limits.h); what follows from a bound is part of docs/arithmetic.md, Constraints, because it decides
 * which tokens an answer may have:
 *
 *   - at most GRAMMAR_DEPTH_MAX rules are open at once: no reading goes where it could not be finished within that;
 *   - of the readings of one text the first GRAMMAR_THREADS_MAX are kept, in the order of the graph, depth first, first
 * branch first, and behind one byte at most GRAMMAR_VISITS_MAX operations are looked at;
 *   - so, where that does not happen, whatever is accepted can be completed, byte by byte.
 *
 * A closed grammar is read-only and may be shared. A matcher belongs to one thread. */
#ifndef KITH_INFERENCE_GRAMMAR_H
#define KITH_INFERENCE_GRAMMAR_H

#include "base/bytes.h"
#include "inference/tok/trie.h"

struct grammar;
struct matcher;

#define GRAMMAR_RETURN 0u /* the rule is over */
#define GRAMMAR_FAIL   1u /* nothing goes on from here */

struct grammar *grammar_new(void);
void grammar_free(struct grammar *g);

/* Each returns the new operation; GRAMMAR_FAIL for one that leads nowhere, or when there are GRAMMAR_OPS_MAX. */
uint32_t grammar_range(struct grammar *g, uint8_t lo, uint8_t hi, uint32_t next);
uint32_t grammar_set(struct grammar *g, const uint32_t set[8], uint32_t next); /* bit b of set: byte b */
uint32_t grammar_text(struct grammar *g, struct bytes text, uint32_t next);
uint32_t grammar_split(struct grammar *g, uint32_t first, uint32_t second);
uint32_t grammar_call(struct grammar *g, uint32_t rule, uint32_t next);
/* Goes on while the counter is below `max`; while it is at least `min`; adds 1 to it, up to `cap`, above which a guard
 * would not see a difference. */
uint32_t grammar_below(struct grammar *g, uint32_t max, uint32_t next);
uint32_t grammar_least(struct grammar *g, uint32_t min, uint32_t next);
uint32_t grammar_count(struct grammar *g, uint32_t cap, uint32_t next);
/* A place that is known before what stands there: for loops and rules. */
uint32_t grammar_label(struct grammar *g);
void grammar_bind(struct grammar *g, uint32_t label, uint32_t target);
/* The bound was hit: what is added now is for nothing. */
bool grammar_is_full(const struct grammar *g);

/* Nothing is added afterwards. ERR_LIMIT: too large. ERR_RANGE: no text is in the language. */
enum err grammar_close(struct grammar *g, uint32_t start, struct note *note) MUST_USE;

/* -- reading -- */

struct matcher *matcher_new(const struct grammar *g); /* borrowed */
void matcher_free(struct matcher *m);
/* False, and nothing is changed, if no text of the language goes on so. */
bool matcher_take(struct matcher *m, struct bytes text) MUST_USE;
/* What was read is in the language. */
bool matcher_is_complete(const struct matcher *m);
/* ... and in the language is something longer that begins so. */
bool matcher_goes_on(const struct matcher *m);
/* Bit `token` of bits[(t->tokens + 31) / 32]: its piece may come next. False: over GRAMMAR_STEPS_MAX, no bit is
 * set. One matcher, one trie. One matcher is asked about one trie. The same for the same text, whatever was asked
 * before. */
bool matcher_mask(struct matcher *m, const struct trie *t, uint32_t *bits) MUST_USE;

#endif
