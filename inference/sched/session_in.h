/* Inside a session: what session_new.c makes and session.c goes through. */
#ifndef KITH_INFERENCE_SESSION_IN_H
#define KITH_INFERENCE_SESSION_IN_H

#include "inference/schema/constraint.h"
#include "inference/sched/session.h"
#include "inference/sched/witness.h"

#define SESSION_EVENTS_MAX 4 /* a result makes a token and an end at most */

struct session {
    enum session_mode mode;
    struct engine *engine;
    struct engine_seq *seq;
    const struct tok *tok;
    bool is_plain;                 /* the largest logit is chosen, and nothing else is asked of the logits */
    struct sampler *sampler;       /* NULL: not needed so far */
    struct constraint *constraint; /* NULL: any token may come */
    struct buf raw;                /* the request's bytes */
    struct request request;        /* borrows from raw */
    uint32_t prompt_n;
    uint32_t *tokens;  /* prompt, then answer; room for all */
    uint32_t known_n;  /* tokens of the answer that were given */
    uint32_t chosen_n; /* tokens of the answer whose choice was made (and, where known, checked) */
    uint32_t fed;      /* rows handed out, or shared */
    uint32_t step;     /* run: the end of the step that is being read; 0: the last one, or none */
    uint32_t reads_to; /* rows may be handed out up to there */
    uint32_t until;    /* verify: of the prompt alone, or 0 */
    uint32_t shared_n;
    bool is_shared; /* looks for others' beginnings */
    struct draft draft;
    uint32_t guesses; /* rows of the draft that was handed out last, behind the certain one */
    uint32_t *forced; /* [forced_n] the answer, or NULL */
    uint32_t forced_n;
    struct engine_row *rows; /* evaluated, [rows_at, rows_n) not looked at yet */
    uint32_t rows_at, rows_n;
    struct hash digest, claimed;
    bool over;
    struct witness *witness;      /* verify: NULL where none is wanted */
    struct session_event verdict; /* verify: what it came to */
    bool is_settled;              /* ... which nothing changes any more */
    bool beyond;                  /* verify: the row behind the last token is evaluated too, see check_end */
    /* text: what the tokens so far came to, and how much of it was given out */
    struct buf text;
    size_t shown;
    struct session_event events[SESSION_EVENTS_MAX];
    unsigned events_n, events_at;
    struct buf event_text;
    uint32_t logprobs;
    float *raw_logits; /* [vocab], where logprobs are asked for */
    struct buf event_logprobs;
};

#endif
