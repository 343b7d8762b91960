/* How a chat becomes a prompt, beside its messages and tools: variables of the template, and the function that the
 * answer has to call. Kept under 'q' and the job's id, beside the job's own record and in the same batch, where there
 * is any of it, so that jobs of before are read as they are. */
#include "node/job.h"
#include "node/stored.h"

#include <string.h>

#define HOW_FIELDS(F)                                                                                                  \
    F(blob, variables)                                                                                                 \
    F(text64, call)                                                                                                    \
    F(blob, call_schema)                                                                                               \
    F(flag, called)
RECORD_DECLARE(how_record, HOW_FIELDS)
RECORD_DEFINE(how_record, HOW_FIELDS)

#define KEY_SIZE (1 + HASH_SIZE)

static void key_of(uint8_t key[KEY_SIZE], const struct hash *job)
{
    key[0] = 'q';
    memcpy(key + 1, job->b, HASH_SIZE);
}

static bool is_plain(const struct job *j)
{
    return j->variables.n == 0 && j->call.n == 0;
}

void job_how_put(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[KEY_SIZE];
    struct buf value = {0};
    const struct how_record r = {.variables = bytes_of_buf(&j->variables),
                                 .call = j->call,
                                 .call_schema = bytes_of_buf(&j->call_schema),
                                 .called = j->called};
    if (is_plain(j))
        return;
    key_of(key, &j->r.id);
    how_record_put(&value, &r);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
}

void job_how_delete(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[KEY_SIZE];
    key_of(key, &j->r.id);
    if (!is_plain(j))
        kv_batch_delete(batch, bytes_of(key, sizeof key));
}

static enum err load_one(struct job *j, struct buf *value, struct note *note)
{
    uint8_t key[KEY_SIZE];
    struct how_record r;
    key_of(key, &j->r.id);
    buf_reset(value);
    enum err e = kv_get(j->jobs->s.kv, bytes_of(key, sizeof key), value, note);
    if (e != ERR_OK) /* there was nothing more to it */
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    struct cursor c = cursor_of(bytes_of_buf(value));
    how_record_get(&c, &r);
    if (!cursor_end(&c))
        return stored_broken(note, "job", bytes_of(j->r.id.b, sizeof j->r.id.b));
    buf_add(&j->variables, r.variables.p, r.variables.n);
    buf_add(&j->call_schema, r.call_schema.p, r.call_schema.n);
    j->call = r.call;
    j->called = r.called;
    return ERR_OK;
}

enum err job_how_load(struct jobs *jobs, struct note *note)
{
    struct buf value = {0};
    enum err e = ERR_OK;
    for (struct job *j = jobs->first; j && e == ERR_OK; j = j->next)
        e = load_one(j, &value, note);
    buf_clear(&value);
    return e;
}
