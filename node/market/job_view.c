/* A job as others see it. */
#include "node/market/job.h"

void job_get_request(const struct job *j, struct request *r)
{
    struct cursor c = cursor_of(bytes_of_buf(&j->request));
    request_get(&c, r);
    CHECK(cursor_end(&c));
}

uint32_t job_prompt_n(const struct job *j)
{
    struct request r;
    job_get_request(j, &r);
    return (uint32_t)(r.prompt.n / 4);
}

uint32_t job_tokens_max(const struct job *j)
{
    struct request r;
    job_get_request(j, &r);
    return r.tokens_max;
}

uint32_t job_tokens_n(const struct job *j)
{
    return (uint32_t)(j->tokens.n / 4);
}

struct job *job_find(struct jobs *jobs, const struct hash *id)
{
    for (struct job *j = jobs->first; j; j = j->next)
        if (hash_equal(&j->r.id, id))
            return j;
    return NULL;
}

void job_get_view(const struct job *j, struct job_view *v)
{
    struct request r;
    job_get_request(j, &r);
    *v = (struct job_view){.id = j->r.id,
                           .owner = j->r.owner,
                           .talk = j->talk,
                           .title = j->title.s,
                           .messages = j->r.chat ? bytes_of_buf(&j->input) : (struct bytes){0},
                           .called = j->called ? j->call.s : NULL,
                           .state = (enum job_state)j->r.state,
                           .model = j->r.model,
                           .model_name = j->r.model_name.s,
                           .is_local = j->r.local,
                           .is_private = j->r.route == ROUTE_LOCAL,
                           .provider = j->r.provider,
                           .channel = j->r.channel,
                           .prompt_tokens = (uint32_t)(r.prompt.n / 4),
                           .tokens = job_tokens_n(j),
                           .text = (const char *)j->text.p,
                           .text_n = j->text_shown,
                           .reaches = bytes_of_buf(&j->reaches),
                           .marks = bytes_of_buf(&j->marks),
                           .form = j->form,
                           .cost = j->r.cost,
                           .stop = j->r.state == JOB_DONE ? request_stop_name(j->r.stop) : NULL,
                           .digest = j->r.digest,
                           .receipt = j->r.receipt,
                           .receipt_index = job_receipt_index(j),
                           .text_tokens = j->r.text_tokens,
                           .seed = r.seed,
                           .logprobs = bytes_of_buf(&j->logprobs),
                           .logprobs_each = j->logprobs_asked,
                           .choice = r.choice,
                           .shared = j->shared,
                           .read = j->r.read,
                           .verified = j->r.verified,
                           .note = j->notes ? j->note : NULL,
                           .notes = j->notes,
                           .error = j->r.state == JOB_FAILED ? j->r.error.s : NULL,
                           .code = (enum err)j->r.code,
                           .made_ms = j->r.made_ms,
                           .first_token_ms = j->r.first_token_ms,
                           .done_ms = j->r.done_ms};
}

bool jobs_find(struct jobs *jobs, const struct hash *id, struct job_view *out)
{
    struct job *j = job_find(jobs, id);
    if (j)
        job_get_view(j, out);
    return j != NULL;
}

void jobs_each(struct jobs *jobs, const struct hash *owner, unsigned most, job_fn fn, void *arg)
{
    for (struct job *j = jobs->first; j && most; j = j->next) {
        struct job_view v;
        if (owner && !hash_equal(&j->r.owner, owner))
            continue;
        most--;
        job_get_view(j, &v);
        fn(arg, &v);
    }
}
