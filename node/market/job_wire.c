/* The messages of a job's and of an audit's stream. */
#include "node/market/job_wire.h"

#include "inference/request.h"

RECORD_DEFINE(job_open, JOB_OPEN_FIELDS)
RECORD_DEFINE(job_secret, JOB_SECRET_FIELDS)
RECORD_DEFINE(job_accept, JOB_ACCEPT_FIELDS)
RECORD_DEFINE(job_tokens, JOB_TOKENS_FIELDS)
RECORD_DEFINE(job_step, JOB_STEP_FIELDS)
RECORD_DEFINE(job_pay, JOB_PAY_FIELDS)
RECORD_DEFINE(job_behind, JOB_BEHIND_FIELDS)
RECORD_DEFINE(audit_open, AUDIT_OPEN_FIELDS)
RECORD_DEFINE(audit_show, AUDIT_SHOW_FIELDS)

struct receipt_reach receipt_reach(const struct receipt *r, struct bytes request)
{
    struct request q;
    struct cursor c = cursor_of(request);
    request_get(&c, &q);
    const uint64_t all = (uint64_t)r->tokens_in + r->tokens_out, prompt = cursor_end(&c) ? request_prompt_n(&q) : all;
    if (all < prompt)
        return (struct receipt_reach){.until = (uint32_t)all};
    return (struct receipt_reach){.answered = (uint32_t)(all - prompt)};
}

struct cursor job_message_open(struct bytes message, uint8_t *type)
{
    struct cursor c = cursor_of(message);
    codec_get_u8(&c, type);
    return c;
}

void job_message_start(struct buf *b, enum job_message type)
{
    uint8_t raw = (uint8_t)type;
    codec_put_u8(b, &raw);
}

struct hash job_id(const struct hash *chain, const struct pubkey *payer, uint64_t nonce, const struct hash *model,
                   const struct hash *request)
{
    struct hasher h;
    hash_start(&h, HASH_JOB);
    hash_add(&h, chain->b, sizeof chain->b);
    hash_add(&h, payer->b, sizeof payer->b);
    hash_add_u64(&h, nonce);
    hash_add(&h, model->b, sizeof model->b);
    hash_add(&h, request->b, sizeof request->b);
    return hash_end(&h);
}

struct hash job_seed(const struct hash *job, const struct pubkey *payer, const struct hash *block)
{
    struct hasher h;
    hash_start(&h, HASH_SEED);
    hash_add(&h, job->b, sizeof job->b);
    hash_add(&h, payer->b, sizeof payer->b);
    hash_add(&h, block->b, sizeof block->b);
    return hash_end(&h);
}
