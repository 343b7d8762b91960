/* One job on an engine: a request turned into tokens, as a state machine. Several sessions share one engine: each says
 * which rows it wants evaluated next, the caller puts them into one batch, and gives the results back.
 *
 *     run:     [prompt in chunks] -> [one token after the other] -> over
 *     resume:  the prompt and the tokens that are known already in chunks, each choice checked on the way -> one token
 * ... verify:  prompt and answer in chunks, every choice and the digest checked -> over
 *     ... with the key of a witness (witness.h): to the last token that is given, whatever the model would have chosen
 *
 * Nothing of the result depends on how rows are cut into chunks or batches. Not thread-safe. */
#ifndef KITH_INFERENCE_SESSION_H
#define KITH_INFERENCE_SESSION_H

#include "inference/sched/digest.h"
#include "inference/sched/draft.h"
#include "inference/engine/engine.h"
#include "inference/sched/sampler.h"
#include "inference/tok/tok.h"

struct session;

enum session_mode { SESSION_RUN, SESSION_VERIFY };

struct session_options {
    enum session_mode mode;
    struct engine *engine;
    const struct tok *tok;  /* for ends of text and stop texts; NULL: neither ends the answer */
    struct hash model;      /* root, for the digest */
    struct bytes request;   /* encoded; copied */
    struct bytes tokens;    /* of the answer, u32 each: known already (run), or to be verified */
    struct hash digest;     /* verify: what is claimed */
    const struct hash *key; /* verify: of a witness, and then `scope` counts for nothing; NULL: none */
    bool is_forced;         /* run, for measuring: `tokens` are what it chooses, one after the other */
    uint32_t draft;         /* run: tokens of a draft at most (draft.h); 0: none */
    struct hash scope;      /* whose beginnings are shared (engine_seq_share); zero: none */
    uint32_t logprobs; /* run: 0 none, else 1 and how many of the likeliest beside each token, up to LOGPROBS_MAX */
};
/* ERR_FORMAT, ERR_RANGE, ERR_LIMIT... with a note for a request that cannot be run. */
enum err session_new(const struct session_options *o, struct session **out, struct note *note) MUST_USE;
void session_free(struct session *s);

/* Fills at most `max` rows to be evaluated next, all of this session, in order; 0 when it is over. While a prompt is
 * being read, as many as allowed, of which `logits_max` at most (at least one) keep their logits; afterwards one, and
 * behind it a draft, as long as pays by `cost` (NULL: not known). */
uint32_t session_rows(struct session *s, const struct draft_cost *cost, struct engine_row *rows, uint32_t max,
                      uint32_t logits_max);
/* The same rows, evaluated. They must stay until session_next_event, asked over and over, says that there is none. */
void session_take(struct session *s, struct engine_row *rows, uint32_t n);
/* What row i of them comes to by itself, beside other rows, also of this session: its part of the digest, and the token
 * that it chooses, where that depends on nothing that is still to be chosen, or on what was guessed or claimed, and
 * then means nothing if that was wrong. Any thread may do it; what nobody has looked at, session_next_event does. */
bool session_may_look(const struct session *s, uint32_t i);
void session_look(const struct session *s, uint32_t i, struct sampler *sampler);

enum session_event_kind {
    SESSION_NONE,
    SESSION_TOKEN,    /* run: index, token, digest, text */
    SESSION_DONE,     /* run: stop, tokens, digest, text still held back */
    SESSION_FAILED,   /* run: the known tokens are not the model's (ERR_MISMATCH, at index) */
    SESSION_VERIFIED, /* verify: same, index of the first difference, token that the model chose there, digest, witness
                       */
};
struct session_event {
    enum session_event_kind kind;
    uint32_t index, token;
    struct hash digest, witness;
    uint8_t stop; /* enum request_stop */
    bool same, is_witnessed;
    struct bytes text; /* whole characters that this token completed, less what may be part of a stop text; until the
                          next call */
    uint32_t reach;    /* token: bytes of the text with it, those that are held back included */
    struct bytes mark; /* token: its text, where that is no part of the text (tok_mark) */
    struct bytes logprobs; /* token: as in worker_proto.h, empty if not asked for; until the next call */
};
struct session_event session_next_event(struct session *s);
bool session_is_over(const struct session *s);
uint32_t session_prompt_n(const struct session *s);
uint32_t session_tokens_n(const struct session *s); /* of the answer so far */
uint32_t session_shared_n(const struct session *s); /* positions of the prompt that were not evaluated, but shared */
/* Still reading what is known: prompt, or known tokens. How many rows of that are left. */
bool session_is_prefilling(const struct session *s);
uint32_t session_unread_n(const struct session *s);
uint32_t session_read_n(const struct session *s); /* rows handed out or shared */
/* engine_seq_next_key of its next row, if that row is in the prompt. A session that begins to read a page which another
 * with the same key is reading may as well wait, and share it. */
bool session_next_key(struct session *s, struct hash *key);
const struct draft *session_draft(const struct session *s);

#endif
