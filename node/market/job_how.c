/* How a chat becomes a prompt, beside its messages and tools: variables of the template, and the function that the
 * answer has to call. Kept beside the job's own record where there is any of it. */
#include "node/market/job.h"

#define HOW_FIELDS(F)                                                                                                  \
    F(blob, variables)                                                                                                 \
    F(text64, call)                                                                                                    \
    F(blob, call_schema)                                                                                               \
    F(flag, called)
RECORD_DECLARE(how_record, HOW_FIELDS)
RECORD_DEFINE(how_record, HOW_FIELDS)

#define LETTER 'q'

static bool is_plain(const struct job *j)
{
    return j->variables.n == 0 && j->call.n == 0;
}

void job_how_put(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    struct buf value = {0};
    const struct how_record r = {.variables = bytes_of_buf(&j->variables),
                                 .call = j->call,
                                 .call_schema = bytes_of_buf(&j->call_schema),
                                 .called = j->called};
    if (is_plain(j))
        return;
    job_key(key, LETTER, &j->r.id);
    how_record_put(&value, &r);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
}

void job_how_delete(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    job_key(key, LETTER, &j->r.id);
    if (!is_plain(j))
        kv_batch_delete(batch, bytes_of(key, sizeof key));
}

static bool get(struct job *j, struct bytes value)
{
    struct how_record r;
    struct cursor c = cursor_of(value);
    how_record_get(&c, &r);
    if (!cursor_end(&c))
        return false;
    buf_add(&j->variables, r.variables.p, r.variables.n);
    buf_add(&j->call_schema, r.call_schema.p, r.call_schema.n);
    j->call = r.call;
    j->called = r.called;
    return true;
}

enum err job_how_load(struct jobs *jobs, struct note *note)
{
    return job_load_beside(jobs, &(struct job_beside){LETTER, "job", get}, note);
}
